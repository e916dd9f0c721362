//! One text, as few parts as possible.

use super::gsm7::{self, Language, Shifts};
use super::{Alphabet, Concat, ElementId, Udh, transliterate};
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;

/// How parts of one message find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// User data header with an 8-bit reference.
    Udh8(u8),
    /// User data header with a 16-bit reference.
    Udh16(u16),
    /// The SAR TLVs of SMPP: no octets of the text are lost.
    Sar(u16),
    /// `message_payload`: the centre splits.
    Payload,
}

/// How a text is to be split.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// How parts find each other.
    pub reference: Reference,
    /// What the peer takes for GSM 7-bit: `Gsm7`, `Gsm7Packed`, or `Latin1` or `Ascii` where that is its default.
    pub default_alphabet: Alphabet,
    /// National tables that the phones know; none by default, as many know none.
    pub languages: Vec<Language>,
    /// Replace typographic characters if the text then needs no UCS-2.
    pub transliterate: bool,
    /// Parts at most, 1 to 255.
    pub max_parts: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            reference: Reference::Udh8(0),
            default_alphabet: Alphabet::Gsm7,
            languages: Vec::new(),
            transliterate: true,
            max_parts: 255,
        }
    }
}

/// A split text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// What the octets are.
    pub alphabet: Alphabet,
    /// The GSM 7-bit tables used.
    pub shifts: Shifts,
    /// The parts in order, at least one.
    pub parts: Vec<Segment>,
}

impl Split {
    /// `data_coding`, for a peer whose 0 means the default alphabet of the rules.
    pub fn data_coding(&self) -> u8 {
        match self.alphabet {
            Alphabet::Ucs2 => 0x08,
            Alphabet::Binary => 0x04,
            _ => 0x00,
        }
    }
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Header, if any, and text: what goes into `short_message`.
    pub octets: Vec<u8>,
    /// True if a header comes first: set UDHI in `esm_class`.
    pub has_udh: bool,
    /// Which part, for the SAR TLVs; only with [`Reference::Sar`] and more than one part.
    pub sar: Option<Concat>,
    /// The characters of this part.
    pub text: String,
}

/// Why a text was not split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// It needs more parts than allowed.
    #[error("{parts} parts, limit {limit}")]
    TooManyParts {
        /// Parts needed.
        parts: usize,
        /// The limit.
        limit: usize,
    },
}

/// One way to write a text.
#[derive(Clone, Copy)]
enum Code {
    Gsm7(Shifts),
    /// Octets of one character each.
    Octets(Alphabet),
    Ucs2,
}

/// Octets of a short message on the air.
const ROOM: usize = 140;

/// Splits a text into the fewest parts: in the default alphabet, with the national tables allowed, or in UCS-2.
///
/// A part ends between graphemes, so that no flag or family falls apart; only a grapheme larger than a part is cut,
/// never inside a character. Among equals the plain default alphabet is taken.
///
/// # Errors
/// [`SplitError::TooManyParts`].
pub fn split(text: &str, rules: &Rules) -> Result<Split, SplitError> {
    let plain = if rules.transliterate { transliterate(text) } else { Cow::Borrowed(text) };
    let mut best: Option<(Code, &str, Vec<&str>)> = None;
    for (code, text) in candidates(text, &plain, rules) {
        let Some(parts) = cut(text, code, rules.reference) else { continue };
        if best.as_ref().is_none_or(|(_, _, fewest)| parts.len() < fewest.len()) {
            best = Some((code, text, parts));
        }
    }
    // UCS-2 writes every text, so there always is one
    let (code, parts) = best.map_or((Code::Ucs2, vec![""]), |(code, _, parts)| (code, parts));
    let limit = rules.max_parts.min(255);
    if parts.len() > limit && rules.reference != Reference::Payload {
        return Err(SplitError::TooManyParts { parts: parts.len(), limit });
    }
    Ok(write(&parts, code, rules))
}

/// Ways to try, the preferred first.
fn candidates<'a>(text: &'a str, plain: &'a str, rules: &Rules) -> Vec<(Code, &'a str)> {
    let mut codes = Vec::new();
    match rules.default_alphabet {
        alphabet @ (Alphabet::Latin1 | Alphabet::Ascii) => codes.push(Code::Octets(alphabet)),
        _ => {
            codes.push(Code::Gsm7(Shifts::default()));
            for &language in &rules.languages {
                codes.push(Code::Gsm7(Shifts { locking: None, single: Some(language) }));
                if language != Language::Spanish {
                    codes.push(Code::Gsm7(Shifts { locking: Some(language), single: None }));
                    codes.push(Code::Gsm7(Shifts { locking: Some(language), single: Some(language) }));
                }
            }
        }
    }
    // what can be written as it is, is; the typographic characters go only if UCS-2 is the alternative
    let exact = codes.iter().map(|&code| (code, text));
    let changed = codes.iter().filter(|_| plain != text).map(|&code| (code, plain));
    let any_exact = codes.iter().any(|code| text.chars().all(|c| cost(*code, c).is_some()));
    let changed: Vec<_> = if any_exact { Vec::new() } else { changed.collect() };
    exact.chain(changed).chain([(Code::Ucs2, text)]).collect()
}

/// Septets, octets or units of a character.
fn cost(code: Code, character: char) -> Option<usize> {
    match code {
        Code::Gsm7(shifts) => shifts.encode_char(character).map(gsm7::Septets::count),
        Code::Octets(Alphabet::Ascii) => character.is_ascii().then_some(1),
        Code::Octets(_) => (u32::from(character) <= 0xFF).then_some(1),
        Code::Ucs2 => Some(character.len_utf16()),
    }
}

/// What fits into a part with this header, in the units of [`cost`].
fn capacity(code: Code, header: usize) -> usize {
    let room = ROOM.saturating_sub(header);
    match code {
        Code::Gsm7(_) => room.saturating_mul(8) / 7,
        Code::Octets(_) => room,
        Code::Ucs2 => room / 2,
    }
}

/// Octets of the header of a part.
fn header_octets(code: Code, concat: Option<Reference>) -> usize {
    let shifts = match code {
        Code::Gsm7(shifts) => usize::from(shifts.locking.is_some()) + usize::from(shifts.single.is_some()),
        _ => 0,
    };
    let concat = match concat {
        Some(Reference::Udh8(_)) => 5,
        Some(Reference::Udh16(_)) => 6,
        _ => 0,
    };
    let elements = shifts * 3 + concat;
    if elements == 0 { 0 } else { elements + 1 }
}

/// Cuts a text; `None` if a character cannot be written.
fn cut(text: &str, code: Code, reference: Reference) -> Option<Vec<&str>> {
    let mut total = 0;
    for character in text.chars() {
        total += cost(code, character)?;
    }
    if total <= capacity(code, header_octets(code, None)) || reference == Reference::Payload {
        return Some(vec![text]);
    }
    let room = capacity(code, header_octets(code, Some(reference)));
    let mut parts = Vec::new();
    let (mut start, mut used) = (0, 0);
    let mut place = |at: usize, size: usize| {
        if used + size > room {
            parts.push(text.get(start..at).unwrap_or_default());
            (start, used) = (at, 0);
        }
        used += size;
    };
    for (at, grapheme) in text.grapheme_indices(true) {
        let size: usize = grapheme.chars().map(|character| cost(code, character).unwrap_or(0)).sum();
        if size <= room {
            place(at, size);
            continue;
        }
        for (inner, character) in grapheme.char_indices() {
            place(at + inner, cost(code, character).unwrap_or(0));
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    Some(parts)
}

fn write(parts: &[&str], code: Code, rules: &Rules) -> Split {
    let shifts = if let Code::Gsm7(shifts) = code { shifts } else { Shifts::default() };
    let alphabet = match code {
        Code::Gsm7(_) if rules.default_alphabet == Alphabet::Gsm7Packed => Alphabet::Gsm7Packed,
        Code::Gsm7(_) => Alphabet::Gsm7,
        Code::Octets(alphabet) => alphabet,
        Code::Ucs2 => Alphabet::Ucs2,
    };
    let total = u8::try_from(parts.len()).unwrap_or(u8::MAX);
    let segment = |(index, text): (usize, &&str)| {
        let number = u8::try_from(index + 1).unwrap_or(u8::MAX);
        let concat = |reference, wide| Concat { reference, wide, total, number };
        let mut udh = Udh::default();
        let mut sar = None;
        match rules.reference {
            Reference::Udh8(reference) if total > 1 => concat(u16::from(reference), false).write(&mut udh),
            Reference::Udh16(reference) if total > 1 => concat(reference, true).write(&mut udh),
            Reference::Sar(reference) if total > 1 => sar = Some(concat(reference, true)),
            _ => {}
        }
        if let Some(language) = shifts.single {
            udh.push(ElementId::SINGLE_SHIFT, &[language.id()]);
        }
        if let Some(language) = shifts.locking {
            udh.push(ElementId::LOCKING_SHIFT, &[language.id()]);
        }
        // 13 octets at most
        let mut octets = udh.encode().unwrap_or_default();
        let header = octets.len();
        match alphabet {
            Alphabet::Gsm7 => octets.extend(gsm7::encode(text, shifts).unwrap_or_default()),
            Alphabet::Gsm7Packed => {
                let septets = gsm7::encode(text, shifts).unwrap_or_default();
                octets.extend(gsm7::pack(&septets, gsm7::fill_bits(header)));
            }
            Alphabet::Ucs2 => octets.extend(super::ucs2::encode(text)),
            _ => octets.extend(text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok())),
        }
        Segment { octets, has_udh: header > 0, sar, text: (*text).to_owned() }
    };
    Split { alphabet, shifts, parts: parts.iter().enumerate().map(segment).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str, rules: &Rules) -> Vec<usize> {
        split(text, rules).unwrap().parts.iter().map(|part| part.text.chars().count()).collect()
    }

    // mission: S1; sms facts §11
    #[test]
    fn limits_are_exact() {
        let rule = |reference| Rules { reference, ..Rules::default() };
        let (udh8, udh16, sar) =
            (rule(Reference::Udh8(1)), rule(Reference::Udh16(1)), rule(Reference::Sar(1)));
        for (character, rules, single, multi) in [
            ("a", &udh8, 160, 153),
            ("a", &udh16, 160, 152),
            ("a", &sar, 160, 160),
            ("中", &udh8, 70, 67),
            ("中", &udh16, 70, 66),
            ("中", &sar, 70, 70),
        ] {
            assert_eq!(lengths(&character.repeat(single), rules), [single]);
            assert_eq!(lengths(&character.repeat(single + 1), rules), [multi, single + 1 - multi]);
            assert_eq!(lengths(&character.repeat(multi * 2), rules), [multi, multi]);
            assert_eq!(lengths(&character.repeat(multi * 2 + 1), rules), [multi, multi, 1]);
        }
        let turkish = Rules { languages: vec![Language::Turkish], ..udh8.clone() };
        assert_eq!(lengths(&"ş".repeat(77), &turkish), [77]); // two septets each, 155 fit
        assert_eq!(lengths(&"ı".repeat(155), &turkish), [155]); // locking: one septet
        assert_eq!(lengths(&"ı".repeat(156), &turkish), [149, 7]);
        let latin = Rules { default_alphabet: Alphabet::Latin1, ..udh8 };
        assert_eq!(lengths(&"ç".repeat(141), &latin), [134, 7]);
    }

    #[test]
    fn escapes_pairs_and_graphemes_stay_whole() {
        let euros = "a".repeat(152) + "€" + &"a".repeat(10);
        assert_eq!(lengths(&euros, &Rules::default()), [152, 11]);
        let emoji = "中".repeat(66) + "😀" + "中中中";
        assert_eq!(lengths(&emoji, &Rules::default()), [66, 4]);
        let family = "中".repeat(60) + "👨‍👩‍👧‍👦" + "中";
        assert_eq!(lengths(&family, &Rules::default()), [60, 8]);
        // a grapheme larger than a part is cut, but not inside a character
        let tower = "e".to_owned() + &"\u{301}".repeat(200);
        let parts = split(&tower, &Rules::default()).unwrap().parts;
        assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<String>(), tower);
        assert_eq!(parts.len(), 3);
    }

    #[test]
    fn the_fewest_parts_win() {
        let quoted = "\u{201C}".to_owned() + &"a".repeat(150) + "\u{201D}";
        let plain = split(&quoted, &Rules::default()).unwrap();
        assert_eq!((plain.alphabet, plain.parts.len()), (Alphabet::Gsm7, 1));
        let kept = split(&quoted, &Rules { transliterate: false, ..Rules::default() }).unwrap();
        assert_eq!((kept.alphabet, kept.parts.len()), (Alphabet::Ucs2, 3));
        // 70 characters of two septets fit one part either way; the default alphabet is preferred
        assert_eq!(split(&"€".repeat(70), &Rules::default()).unwrap().alphabet, Alphabet::Gsm7);
        assert_eq!(split(&"€".repeat(100), &Rules::default()).unwrap().parts.len(), 2);
        let hindi = Rules { languages: vec![Language::Hindi], ..Rules::default() };
        let split = split(&"न".repeat(100), &hindi).unwrap();
        assert_eq!((split.parts.len(), split.shifts.locking), (1, Some(Language::Hindi)));
    }

    #[test]
    fn too_long_is_refused() {
        let rules = Rules { max_parts: 2, ..Rules::default() };
        assert_eq!(split(&"a".repeat(306), &rules).unwrap().parts.len(), 2);
        assert_eq!(split(&"a".repeat(307), &rules), Err(SplitError::TooManyParts { parts: 3, limit: 2 }));
        let payload = Rules { reference: Reference::Payload, ..rules };
        assert_eq!(split(&"a".repeat(5_000), &payload).unwrap().parts.len(), 1);
    }
}
