//! UCS-2, in practice UTF-16: two octets a unit, big-endian, no byte order mark.

/// Writes a text.
pub fn encode(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Reads a text. Never fails: a lone surrogate or half a unit at the end becomes U+FFFD.
pub fn decode(octets: &[u8]) -> String {
    let pairs = octets.chunks_exact(2);
    let odd = !pairs.remainder().is_empty();
    let units = pairs.filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(u16::from_be_bytes);
    let mut units = units.peekable();
    // quirk: some centres put a byte order mark in front
    if units.peek() == Some(&0xFEFF) {
        units.next();
    }
    let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    text.chain(odd.then_some(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_comes_back() {
        for character in (0..=0x10_FFFFu32).filter_map(char::from_u32).filter(|&c| c != '\u{FEFF}') {
            assert_eq!(decode(&encode(&character.to_string())), character.to_string());
        }
    }

    #[test]
    fn odd_octets() {
        for (octets, text) in [
            (&[0x4F][..], "\u{FFFD}"),
            (&[0x00, 0x41, 0x42], "A\u{FFFD}"),
            (&[0xD8, 0x3D], "\u{FFFD}"),
            (&[0xDE, 0x00, 0x00, 0x41], "\u{FFFD}A"),
            (&[0xD8, 0x3D, 0x00, 0x41], "\u{FFFD}A"),
            (&[0xFE, 0xFF, 0x00, 0x41], "A"),
            (&[0xD8, 0x3D, 0xDE, 0x00], "😀"),
        ] {
            assert_eq!(decode(octets), text, "{octets:02X?}");
        }
    }
}
