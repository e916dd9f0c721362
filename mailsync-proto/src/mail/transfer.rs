//! Base64 and quoted-printable.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 on one line.
pub fn to_base64(data: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(data)
}

/// Base64 in lines of 76, each with its line end.
// spec: RFC 2045 §6.8
pub fn to_base64_lines(data: &[u8]) -> String {
    let mut out = String::with_capacity(data.len().saturating_mul(78) / 57);
    for line in data.chunks(57) {
        out.push_str(&to_base64(line));
        out.push_str("\r\n");
    }
    out
}

/// Reads base64, blanks anywhere, padding or none. None if any other octet is in it.
pub fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    if text.iter().any(u8::is_ascii_whitespace) {
        let packed: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        LENIENT.decode(packed).ok()
    } else {
        LENIENT.decode(text).ok()
    }
}

/// Reads quoted-printable. What is no valid escape stays as it is.
// spec: RFC 2045 §6.7
pub fn from_quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        if b != b'=' {
            out.push(b);
            continue;
        }
        if let [high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
            continue;
        }
        // A soft line break; blanks before the line end are transport padding.
        let blanks = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        match rest.get(blanks..) {
            Some([b'\r', b'\n', after @ ..] | [b'\n', after @ ..]) => rest = after,
            Some([]) => rest = &[],
            _ => out.push(b'='),
        }
    }
    out
}

/// Text as quoted-printable with CRLF line ends, lines of at most 76.
pub fn to_quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push_str("\r\n");
        }
        let line = line.strip_suffix('\r').unwrap_or(line).as_bytes();
        let mut column = 0usize;
        for (i, &b) in line.iter().enumerate() {
            let last = i.saturating_add(1) == line.len();
            let plain = matches!(b, b'!'..=b'<' | b'>'..=b'~') || (matches!(b, b' ' | b'\t') && !last);
            let width = if plain { 1 } else { 3 };
            if column.saturating_add(width) > 75 {
                out.push_str("=\r\n");
                column = 0;
            }
            if plain {
                out.push(char::from(b));
            } else {
                out.push_str(&format!("={b:02X}"));
            }
            column = column.saturating_add(width);
        }
    }
    out
}

fn hex(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_reads() {
        for (text, data) in [
            (&b"a=3Db"[..], &b"a=b"[..]),
            (b"soft=\r\nbreak", b"softbreak"),
            (b"soft= \t\nbreak", b"softbreak"),
            (b"hard\r\nbreak", b"hard\r\nbreak"),
            (b"=e4=C4", b"\xe4\xc4"),
            (b"=XY=", b"=XY"),
            (b"=4", b"=4"),
        ] {
            assert_eq!(from_quoted_printable(text), data);
        }
    }

    #[test]
    fn quoted_printable_writes() {
        let text = format!("{} =\t\r\nü\n", "x".repeat(100));
        let coded = to_quoted_printable(&text);
        assert!(coded.split("\r\n").all(|l| l.len() <= 76), "{coded}");
        assert_eq!(
            from_quoted_printable(coded.as_bytes()),
            format!("{} =\t\r\nü\r\n", "x".repeat(100)).as_bytes()
        );
    }

    #[test]
    fn base64_is_lenient_in_blanks_only() {
        assert_eq!(from_base64(b"aGVs\r\n bG8").as_deref(), Some(&b"hello"[..]));
        assert_eq!(from_base64(b"aGVsbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(from_base64(b"aGV*bG8="), None);
    }
}
