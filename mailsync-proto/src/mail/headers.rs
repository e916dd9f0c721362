//! The header fields of a message, found without touching an octet.
//!
//! Ours, because what is computed from it (match keys, ids of what was sent) is stored and must never change
//! with a library.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::ops::Range;

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name as written.
    pub name: &'a str,
    /// What follows the colon, folds and line end included.
    pub value: &'a [u8],
    /// Where the whole field is in the message, line end included.
    pub range: Range<usize>,
}

impl Field<'_> {
    /// Its value on one line: folds undone, blanks around it removed, octets that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.value);
        let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect();
        text.trim().to_owned()
    }
}

/// A message cut into its header and the rest.
///
/// The header ends at the first empty line, or before the first line that is no field. Lines end with LF or CRLF.
/// At most 1,000 fields in 256 KiB are looked at; what follows counts as the body.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    /// The fields in order.
    pub fields: Vec<Field<'a>>,
    /// Where the header ends.
    pub end: usize,
    /// Where the body starts: after the empty line if there is one.
    pub body: usize,
}

const FIELDS: usize = 1_000;
const BYTES: usize = 256 * 1024;

impl<'a> Headers<'a> {
    /// Finds the fields.
    pub fn parse(message: &'a [u8]) -> Self {
        let mut fields: Vec<Field<'a>> = Vec::new();
        let mut at = 0usize;
        while at < message.len() && at < BYTES && fields.len() < FIELDS {
            let rest = message.get(at..).unwrap_or_default();
            match rest {
                [b'\r', b'\n', ..] => return Headers { fields, end: at, body: at.saturating_add(2) },
                [b'\n', ..] => return Headers { fields, end: at, body: at.saturating_add(1) },
                _ => {}
            }
            let Some((name, colon)) = field_name(rest) else { break };
            let mut len = line_len(rest);
            // A line that starts with a blank belongs to the field before it.
            while let Some(next @ [b' ' | b'\t', ..]) = rest.get(len..) {
                len = len.saturating_add(line_len(next));
            }
            fields.push(Field {
                name,
                value: rest.get(colon.saturating_add(1)..len).unwrap_or_default(),
                range: at..at.saturating_add(len),
            });
            at = at.saturating_add(len);
        }
        Headers { fields, end: at, body: at }
    }

    /// The first field of this name.
    pub fn first(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name))
    }

    /// Every field of this name.
    pub fn all<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Field<'a>> {
        self.fields.iter().filter(move |f| f.name.eq_ignore_ascii_case(name))
    }

    /// Whether the header ends with an empty line.
    pub fn is_closed(&self) -> bool {
        self.body > self.end
    }
}

/// The first `<id>` of a `Message-ID`, `In-Reply-To` or like field, without the brackets; a bare word counts.
/// At most 255 octets of printable ASCII, else none.
pub fn message_id(value: &str) -> Option<&str> {
    let id = match value.split_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        None => value.split_ascii_whitespace().next()?,
    };
    let id = id.trim();
    let good = !id.is_empty()
        && id.len() <= 255
        && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>');
    good.then_some(id)
}

fn line_len(rest: &[u8]) -> usize {
    rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |n| n.saturating_add(1))
}

// spec: RFC 5322 §2.2: printable ASCII except colon; blanks before the colon are obsolete syntax.
fn field_name(line: &[u8]) -> Option<(&str, usize)> {
    let len = line.iter().take_while(|b| b.is_ascii_graphic() && **b != b':').count();
    let blanks = line.get(len..)?.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let colon = len.checked_add(blanks)?;
    if len == 0 || line.get(colon) != Some(&b':') {
        return None;
    }
    core::str::from_utf8(line.get(..len)?).ok().map(|name| (name, colon))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_folds_and_body() {
        let message = b"Subject: a\r\n b\r\nTo : x\nX:\r\n\r\nbody";
        let headers = Headers::parse(message);
        assert_eq!(headers.fields.len(), 3);
        assert_eq!(headers.first("subject").unwrap().text(), "a b");
        assert_eq!(headers.first("TO").unwrap().text(), "x");
        assert_eq!(&message[headers.body..], b"body");
        assert!(headers.is_closed());
    }

    #[test]
    fn what_is_no_header() {
        for (message, end, body) in [
            (&b""[..], 0, 0),
            (b"\r\nx", 0, 2),
            (b"hello\r\n\r\n", 0, 0),
            (b"A: b", 4, 4),
            (b"A: b\nno field\n", 5, 5),
            (b" A: b\n", 0, 0),
        ] {
            let headers = Headers::parse(message);
            assert_eq!((headers.end, headers.body), (end, body), "{message:?}");
        }
    }

    #[test]
    fn ids() {
        assert_eq!(message_id(" <a@b> (x)"), Some("a@b"));
        assert_eq!(message_id("a@b c@d"), Some("a@b"));
        for bad in ["", "<>", "<a b>", "<a", "<a\u{e9}>", "<a\r\nb>"] {
            assert_eq!(message_id(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn threat_limits_header_fields() {
        let message = "A: b\r\n".repeat(5_000);
        let headers = Headers::parse(message.as_bytes());
        assert_eq!(headers.fields.len(), 1_000);
        assert_eq!(headers.body, 6_000);
    }
}
