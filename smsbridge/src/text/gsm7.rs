//! GSM 7-bit: the default alphabet, its extension and the national shift tables; packing.
//!
//! A *septet* here is an octet of 0 to 127, as SMPP carries them; [`pack`] makes eight of them seven octets.
//!
//! # Spec
//! 3GPP TS 23.038 §6

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::tables::{lock, shift};

/// The escape to the extension or single-shift table.
pub const ESCAPE: u8 = 0x1B;

/// A language with tables of its own, by its number in the shift elements of a user data header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Language {
    Turkish = 1,
    /// Has a single-shift table only.
    Spanish = 2,
    Portuguese = 3,
    Bengali = 4,
    Gujarati = 5,
    Hindi = 6,
    Kannada = 7,
    Malayalam = 8,
    Oriya = 9,
    Punjabi = 10,
    Tamil = 11,
    Telugu = 12,
    Urdu = 13,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 13] = [
        Language::Turkish,
        Language::Spanish,
        Language::Portuguese,
        Language::Bengali,
        Language::Gujarati,
        Language::Hindi,
        Language::Kannada,
        Language::Malayalam,
        Language::Oriya,
        Language::Punjabi,
        Language::Tamil,
        Language::Telugu,
        Language::Urdu,
    ];

    /// The language with this number.
    pub fn from_id(id: u8) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.id() == id)
    }

    /// Its number.
    pub fn id(self) -> u8 {
        self as u8
    }

    fn lock(self) -> Option<&'static lock::Lock> {
        Some(match self {
            Language::Turkish => &lock::TURKISH,
            Language::Spanish => return None,
            Language::Portuguese => &lock::PORTUGUESE,
            Language::Bengali => &lock::BENGALI,
            Language::Gujarati => &lock::GUJARATI,
            Language::Hindi => &lock::HINDI,
            Language::Kannada => &lock::KANNADA,
            Language::Malayalam => &lock::MALAYALAM,
            Language::Oriya => &lock::ORIYA,
            Language::Punjabi => &lock::PUNJABI,
            Language::Tamil => &lock::TAMIL,
            Language::Telugu => &lock::TELUGU,
            Language::Urdu => &lock::URDU,
        })
    }

    fn shift(self) -> &'static shift::Shift {
        match self {
            Language::Turkish => shift::TURKISH,
            Language::Spanish => shift::SPANISH,
            Language::Portuguese => shift::PORTUGUESE,
            Language::Bengali => shift::BENGALI,
            Language::Gujarati => shift::GUJARATI,
            Language::Hindi => shift::HINDI,
            Language::Kannada => shift::KANNADA,
            Language::Malayalam => shift::MALAYALAM,
            Language::Oriya => shift::ORIYA,
            Language::Punjabi => shift::PUNJABI,
            Language::Tamil => shift::TAMIL,
            Language::Telugu => shift::TELUGU,
            Language::Urdu => shift::URDU,
        }
    }
}

/// Which tables a text uses; the default is the default alphabet with its extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shifts {
    /// Replaces the default alphabet (element 0x25).
    pub locking: Option<Language>,
    /// Replaces the extension table (element 0x24).
    pub single: Option<Language>,
}

impl Shifts {
    fn lock_table(self) -> &'static lock::Lock {
        self.locking.and_then(Language::lock).unwrap_or(&lock::DEFAULT)
    }

    fn shift_table(self) -> &'static shift::Shift {
        self.single.map_or(shift::DEFAULT, Language::shift)
    }

    /// One septet, or two with an escape; `None` if these tables lack the character.
    pub fn encode_char(self, character: char) -> Option<Septets> {
        let code = u16::try_from(u32::from(character))
            .ok()
            .filter(|&code| code != u16::from(ESCAPE) && code != 0)?;
        if let Some(septet) = self.lock_table().iter().position(|&entry| entry == code) {
            return u8::try_from(septet).ok().map(Septets::One);
        }
        let mut entries = self.shift_table().iter();
        entries.find(|(_, entry)| *entry == code).map(|(septet, _)| Septets::Escaped(*septet))
    }
}

/// How a character is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Septets {
    /// As one septet.
    One(u8),
    /// As the escape and this septet.
    Escaped(u8),
}

impl Septets {
    /// 1 or 2.
    pub fn count(self) -> usize {
        match self {
            Septets::One(_) => 1,
            Septets::Escaped(_) => 2,
        }
    }

    /// Adds them to a text.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Septets::One(septet) => out.push(septet),
            Septets::Escaped(septet) => out.extend([ESCAPE, septet]),
        }
    }
}

/// Writes a text as septets, one in each octet; `None` if a character is in no table.
pub fn encode(text: &str, shifts: Shifts) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    for character in text.chars() {
        shifts.encode_char(character)?.write(&mut out);
    }
    Some(out)
}

/// Reads septets, one in each octet.
///
/// Never fails: a septet without a character becomes U+FFFD, so does an octet above 127; what is unknown after the
/// escape is read from the locking table, an escape at the end is dropped, two escapes are a space.
pub fn decode(septets: &[u8], shifts: Shifts) -> String {
    let (lock, shift) = (shifts.lock_table(), shifts.shift_table());
    let plain = |septet: u8| match lock.get(usize::from(septet)) {
        Some(&code) if code != 0 => char::from_u32(u32::from(code)).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    };
    let mut text = String::with_capacity(septets.len());
    let mut septets = septets.iter().copied();
    while let Some(septet) = septets.next() {
        if septet != ESCAPE {
            text.push(plain(septet));
            continue;
        }
        match septets.next() {
            None => break,
            Some(ESCAPE) => text.push(' '),
            Some(escaped) => {
                let found =
                    shift.iter().find(|(entry, _)| *entry == escaped).map(|(_, code)| u32::from(*code));
                text.push(found.and_then(char::from_u32).unwrap_or_else(|| plain(escaped)));
            }
        }
    }
    text
}

/// Bits to leave free after a header of `octets` (its length octet included), so that text starts on a septet.
pub fn fill_bits(octets: usize) -> u32 {
    let over = octets.wrapping_mul(8) % 7;
    if over == 0 { 0 } else { u32::try_from(7usize.saturating_sub(over)).unwrap_or(0) }
}

/// Packs septets into octets, low bits first, after `fill` free bits (0 to 6).
///
/// If 7 bits are left at the end they become a CR, so that nobody reads them as `@`.
pub fn pack(septets: &[u8], fill: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(septets.len());
    let (mut bits, mut count) = (0u32, fill.min(6));
    let mut put = |septet: u8, bits: &mut u32, count: &mut u32| {
        *bits |= u32::from(septet & 0x7F) << *count;
        *count = count.saturating_add(7);
        if *count >= 8 {
            out.push((*bits & 0xFF) as u8);
            *bits >>= 8;
            *count = count.saturating_sub(8);
        }
    };
    septets.iter().for_each(|&septet| put(septet, &mut bits, &mut count));
    if count == 1 && !septets.is_empty() {
        put(0x0D, &mut bits, &mut count);
    }
    if count > 0 {
        out.push((bits & 0xFF) as u8);
    }
    out
}

/// Unpacks `count` septets after `fill` free bits; fewer if the octets end.
pub fn unpack(octets: &[u8], fill: u32, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut have) = (0u32, 0u32);
    let mut skip = fill.min(6);
    for &octet in octets {
        bits |= u32::from(octet) << have;
        have = have.saturating_add(8);
        let skipped = skip.min(have);
        bits >>= skipped;
        have = have.saturating_sub(skipped);
        skip = skip.saturating_sub(skipped);
        while have >= 7 && out.len() < count {
            out.push((bits & 0x7F) as u8);
            bits >>= 7;
            have = have.saturating_sub(7);
        }
    }
    out
}

/// Unpacks all septets when only the octets are counted, as SMPP does; a CR that only pads is dropped.
pub fn unpack_all(octets: &[u8], fill: u32) -> Vec<u8> {
    let bits = octets.len().saturating_mul(8).saturating_sub(usize::try_from(fill).unwrap_or(0));
    let mut septets = unpack(octets, fill, bits / 7);
    if bits % 7 == 0 && septets.last() == Some(&0x0D) {
        septets.pop();
    }
    septets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> impl Iterator<Item = (u8, bool, u8, char)> {
        let lines = include_str!("../../tests/data/gsm0338.tsv").lines();
        lines.filter(|line| !line.starts_with('#')).map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [id, _, table, septet, code, ..] = fields.as_slice() else { panic!("{line}") };
            let code = u32::from_str_radix(code.strip_prefix("U+").unwrap(), 16).unwrap();
            let septet = u8::from_str_radix(septet, 16).unwrap();
            (id.parse().unwrap(), *table == "lock", septet, char::from_u32(code).unwrap())
        })
    }

    // spec-test: 3GPP TS 23.038 §6.2.1, annex A
    #[test]
    fn tables_equal_the_data() {
        let mut seen = 0;
        let mut locks = [0usize; 14];
        for (id, is_lock, septet, character) in rows() {
            let language = Language::from_id(id);
            let code = u16::try_from(u32::from(character)).unwrap();
            if is_lock {
                let table = Shifts { locking: language, single: None }.lock_table();
                assert_eq!(table.get(usize::from(septet)), Some(&code));
                *locks.get_mut(usize::from(id)).unwrap() += 1;
            } else {
                let table = Shifts { locking: None, single: language }.shift_table();
                assert!(table.contains(&(septet, code)), "{language:?} {septet:02X}");
            }
            seen += 1;
        }
        let shifts: usize =
            Language::ALL.iter().map(|language| language.shift().len()).sum::<usize>() + shift::DEFAULT.len();
        let filled = |table: &lock::Lock| table.iter().filter(|&&code| code != 0).count();
        assert_eq!(locks.iter().sum::<usize>() + shifts, seen);
        for language in Language::ALL {
            let expected = locks.get(usize::from(language.id())).copied().unwrap();
            assert_eq!(language.lock().map_or(0, filled), expected, "{language:?}");
        }
        assert_eq!(seen, 2_468);
    }

    #[test]
    fn every_character_comes_back() {
        let pair = |locking, single| Shifts { locking, single };
        let each = Language::ALL.into_iter().map(Some);
        let pairs =
            each.flat_map(|language| [pair(language, None), pair(None, language), pair(language, language)]);
        for shifts in pairs.chain([Shifts::default()]) {
            for character in (0..=0xFFFFu32).filter_map(char::from_u32) {
                let mut septets = Vec::new();
                let Some(written) = shifts.encode_char(character) else { continue };
                written.write(&mut septets);
                assert_eq!(septets.len(), written.count());
                assert!(septets.iter().all(|&septet| septet < 0x80));
                assert_eq!(decode(&septets, shifts), character.to_string(), "{shifts:?} {character:?}");
            }
            assert_eq!(shifts.encode_char('😀'), None);
        }
    }

    #[test]
    fn odd_septets() {
        let plain = Shifts::default();
        for (septets, text) in [
            (&[0x1B][..], ""),
            (&[0x1B, 0x1B, 0x41], " A"),
            (&[0x1B, 0x41], "A"),
            (&[0x00, 0x41, 0x00], "@A@"),
            (&[0x1B, 0x65, 0x5F, 0x09], "€§Ç"),
            (&[0x80, 0xFF], "\u{FFFD}\u{FFFD}"),
        ] {
            assert_eq!(decode(septets, plain), text);
        }
        assert_eq!(encode("`", plain), None);
        assert_eq!(encode("ç", plain), None);
        assert_eq!(encode("\u{1B}", plain), None);
        assert_eq!(encode("\0", plain), None);
    }

    #[test]
    fn packing() {
        let packed = pack(b"hellohello", 0);
        assert_eq!(packed, [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
        assert_eq!(unpack(&packed, 0, 10), b"hellohello");
        // 7 septets leave 7 bits: a CR fills them, and is no text
        let seven = pack(b"1234567", 0);
        assert_eq!((seven.len(), unpack(&seven, 0, 8).last()), (7, Some(&0x0D)));
        for length in 0..=160usize {
            for header in [0usize, 5, 6, 7, 9, 12] {
                let septets: Vec<u8> = (0..length).map(|n| ((n * 37 + 11) % 128) as u8 | 0x40).collect();
                let fill = fill_bits(header);
                assert_eq!((header * 8 + fill as usize) % 7, 0);
                let packed = pack(&septets, fill);
                assert_eq!(unpack(&packed, fill, length), septets);
                if length > 0 {
                    assert_eq!(unpack_all(&packed, fill), septets, "{length} {header}");
                }
            }
        }
    }
}
