//! What characters XML can carry, and how text is written.

/// Whether XML can carry these octets as text: UTF-8 without NUL, C0 controls other than TAB, LF and CR, and the
/// noncharacters U+FFFE and U+FFFF.
///
/// What it cannot carry goes as base64 (`Format` `b64`).
pub fn xml_can_carry(data: &[u8]) -> bool {
    std::str::from_utf8(data).is_ok_and(is_xml_text)
}

/// What a text may hold, seen at a glance: many octets at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Some octet is `<`, `&` or `>`.
    pub(crate) is_special: bool,
    /// Some octet is a control that XML cannot carry, or not ASCII.
    pub(crate) is_suspect: bool,
}

/// From here on a text is worth the instructions that take many octets at once.
const LONG: usize = 48;

impl Look {
    pub(crate) fn at(text: &[u8]) -> Look {
        if text.len() < LONG {
            let seen = text.iter().fold(0, |seen, octet| seen | class(*octet));
            return Look { is_special: seen & SPECIAL != 0, is_suspect: seen & SUSPECT != 0 };
        }
        let mut suspect = 0_u8;
        // Without branches the compiler takes as many octets at once as the machine can.
        for &octet in text {
            let unprinted = u8::from(octet.wrapping_sub(b' ') >= 0x60);
            // `\t` and `\r` differ in one bit.
            let space = u8::from(octet | 4 == b'\r') | u8::from(octet == b'\n');
            suspect |= unprinted & (space ^ 1);
        }
        let is_special = memchr::memchr3(b'<', b'&', b'>', text).is_some();
        Look { is_special, is_suspect: suspect != 0 }
    }
}

const SPECIAL: u8 = 1;
const SUSPECT: u8 = 2;

static CLASSES: [u8; 256] = classes();

fn class(octet: u8) -> u8 {
    CLASSES.get(usize::from(octet)).copied().unwrap_or(SUSPECT)
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut octet = 0;
    while octet < classes.len() {
        classes[octet] = match octet as u8 {
            b'<' | b'&' | b'>' => SPECIAL,
            b'\t' | b'\n' | b'\r' | b' '..=0x7F => 0,
            _ => SUSPECT,
        };
        octet += 1;
    }
    classes
}

/// Whether every character of the text is one of XML's.
pub(crate) fn is_xml_text(text: &str) -> bool {
    let mut octets = text.as_bytes();
    while let Some((first, rest)) = octets.split_first() {
        let bad = match first {
            0x00..=0x08 | 0x0B | 0x0C | 0x0E..=0x1F => true,
            0xEF => matches!(rest, [0xBF, 0xBE | 0xBF, ..]),
            _ => false,
        };
        if bad {
            return false;
        }
        octets = rest;
    }
    true
}

/// Whether a character reference may name it.
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether the text can be a tag or attribute name.
pub(crate) fn is_xml_name(name: &str) -> bool {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_' || (!c.is_ascii() && is_xml_char(c));
    let mut chars = name.chars();
    chars.next().is_some_and(start)
        && chars.all(|c| start(c) || c.is_ascii_digit() || matches!(c, '-' | '.' | ':'))
}

/// The octets that stand for a character in text or in an attribute value, if it cannot stand for itself.
pub(crate) fn escaped(octet: u8, in_attribute: bool) -> Option<&'static [u8]> {
    Some(match octet {
        b'&' => b"&amp;",
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'"' if in_attribute => b"&quot;",
        b'\t' if in_attribute => b"&#9;",
        b'\n' if in_attribute => b"&#10;",
        b'\r' if in_attribute => b"&#13;",
        _ => return None,
    })
}

/// Where the first octet is that plain text cannot hold.
pub(crate) fn first_special(data: &[u8]) -> Option<usize> {
    data.iter().position(|b| matches!(b, b'<' | b'&' | b'>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_can_carry() {
        for good in [&b""[..], b"a\tb\r\nc", "é \u{FFFD} \u{10000} \u{EFFF}".as_bytes(), b"]]>"] {
            assert!(xml_can_carry(good), "{good:?}");
        }
        for bad in
            [&b"\0"[..], b"a\x1Bb", b"\x0C", b"\xFF", b"\xC3", "\u{FFFE}".as_bytes(), "\u{FFFF}".as_bytes()]
        {
            assert!(!xml_can_carry(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_glance_sees_what_a_look_at_every_octet_sees() {
        for octet in 0..=u8::MAX {
            for before in [0, 1, 15, 31, 32, 33, 63, 64, 100] {
                let text = [&vec![b'a'; before][..], &[octet], &[b'b'; 2]].concat();
                let look = Look::at(&text);
                assert_eq!(look.is_special, first_special(&[octet]).is_some(), "{octet} after {before}");
                let is_plain = octet < 0x80 && is_xml_text(&char::from(octet).to_string());
                assert_eq!(look.is_suspect, !is_plain, "{octet} after {before}");
            }
        }
        assert!(Look::at("\u{FFFE}".as_bytes()).is_suspect);
    }

    #[test]
    fn names() {
        for good in ["a", "_", "Rx-Pref", "x:y", "é1"] {
            assert!(is_xml_name(good), "{good}");
        }
        for bad in ["", "1", "-a", "a b", "a<", "a\"", "0x05"] {
            assert!(!is_xml_name(bad), "{bad}");
        }
    }
}
