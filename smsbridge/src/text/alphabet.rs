//! Alphabets of a text, and `data_coding`.

use super::gsm7::{self, Shifts};
use super::ucs2;
use std::borrow::Cow;

/// What the octets of a text are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// GSM 7-bit, one septet in each octet.
    #[default]
    Gsm7,
    /// GSM 7-bit, packed: eight septets in seven octets.
    Gsm7Packed,
    /// ASCII.
    Ascii,
    /// ISO-8859-1.
    Latin1,
    /// UCS-2, in practice UTF-16, big-endian.
    Ucs2,
    /// Octets that are no text.
    Binary,
}

/// What `data_coding` says, for a peer whose default alphabet is `default`; `None` for alphabets that we cannot read.
///
/// Values from 0x10 on are read as GSM's TP-DCS.
///
/// # Spec
/// SMPP v3.4 §5.2.19, 3GPP TS 23.038 §4
pub fn alphabet_of(data_coding: u8, default: Alphabet) -> Option<Alphabet> {
    Some(match data_coding {
        0x00 => default,
        0x01 => Alphabet::Ascii,
        0x02 | 0x04 => Alphabet::Binary,
        0x03 => Alphabet::Latin1,
        0x08 => Alphabet::Ucs2,
        0x05..=0x0F => return None,
        // compressed texts (bit 5) are read by nobody
        0x20..=0x3F | 0x60..=0x7F => return None,
        0x10..=0x1F | 0x40..=0x5F => match data_coding >> 2 & 3 {
            0 => default,
            1 => Alphabet::Binary,
            2 => Alphabet::Ucs2,
            _ => return None,
        },
        0x80..=0xBF => return None,
        // message waiting: text in the default alphabet, or UCS-2
        0xC0..=0xDF => default,
        0xE0..=0xEF => Alphabet::Ucs2,
        0xF0..=0xFF if data_coding & 4 != 0 => Alphabet::Binary,
        0xF0..=0xFF => default,
    })
}

impl Alphabet {
    /// Reads a text after a header of `header` octets; never fails, see the alphabets' own `decode`.
    pub fn decode(self, octets: &[u8], shifts: Shifts, header: usize) -> String {
        match self {
            Alphabet::Gsm7 => gsm7::decode(octets, shifts),
            Alphabet::Gsm7Packed => gsm7::decode(&gsm7::unpack_all(octets, gsm7::fill_bits(header)), shifts),
            Alphabet::Ascii => octets
                .iter()
                .map(|&o| if o < 0x80 { char::from(o) } else { char::REPLACEMENT_CHARACTER })
                .collect(),
            Alphabet::Latin1 => octets.iter().copied().map(char::from).collect(),
            Alphabet::Ucs2 => ucs2::decode(octets),
            Alphabet::Binary => String::from_utf8_lossy(octets).into_owned(),
        }
    }
}

/// Replaces typographic quotes, dashes, dots and spaces that GSM 7-bit lacks, so that one of them does not more than
/// halve the room.
pub fn transliterate(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| plain(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match plain(character) {
            Some(plain) => out.push_str(plain),
            None => out.push(character),
        }
    }
    Cow::Owned(out)
}

fn plain(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{2018}'..='\u{201B}' | '\u{2032}' | '`' | '\u{B4}' => "'",
        '\u{201C}'..='\u{201F}' | '\u{2033}' | '\u{AB}' | '\u{BB}' => "\"",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        '\u{2026}' => "...",
        '\u{A0}' | '\u{2002}'..='\u{200A}' | '\u{202F}' | '\t' => " ",
        '\u{2022}' | '\u{B7}' => "*",
        '\u{AD}' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_codings() {
        use Alphabet::*;
        for (coding, alphabet) in [
            (0x00, Some(Gsm7)),
            (0x01, Some(Ascii)),
            (0x03, Some(Latin1)),
            (0x04, Some(Binary)),
            (0x08, Some(Ucs2)),
            (0x0E, None),
            (0x10, Some(Gsm7)),
            (0x14, Some(Binary)),
            (0x18, Some(Ucs2)),
            (0x20, None),
            (0xC8, Some(Gsm7)),
            (0xE8, Some(Ucs2)),
            (0xF0, Some(Gsm7)),
            (0xF5, Some(Binary)),
        ] {
            assert_eq!(alphabet_of(coding, Gsm7), alphabet, "{coding:02X}");
        }
        assert_eq!(alphabet_of(0, Latin1), Some(Latin1));
    }

    #[test]
    fn transliteration_only_where_needed() {
        assert_eq!(transliterate("\u{201C}a\u{201D}\u{2014}b\u{2026}"), "\"a\"-b...");
        assert!(matches!(transliterate("Grüße €"), Cow::Borrowed(_)));
    }
}
