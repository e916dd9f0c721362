//! `multipart/related` of PAP and MM7: written with a boundary that no part holds, read with limits.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::error::{DecodeError, EncodeError, one_line};

const FORMAT: &str = "multipart";
const MAX_PARTS: usize = 100;
const MAX_HEADERS: usize = 32;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Name and value, in order.
    pub headers: Vec<(String, String)>,
    /// Content.
    pub body: Vec<u8>,
}

impl Part {
    /// A part of a type.
    #[must_use]
    pub fn new(content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Part {
        Part { headers: vec![("Content-Type".to_owned(), content_type.into())], body: body.into() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Part {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The value of a header, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// A parameter of a header value: `boundary` of `multipart/related; boundary="x"; type="text/xml"`.
#[must_use]
pub fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (found, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                (quoted.get(..end)?, quoted.get(end..)?.trim_start_matches('"'))
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after.get(..end)?.trim(), after.get(end..)?)
            }
        };
        if key.trim().trim_start_matches(';').trim().eq_ignore_ascii_case(name) {
            return Some(found.to_owned());
        }
        rest = next.split_once(';')?.1;
    }
}

/// The body, and its boundary.
///
/// # Errors
/// [`EncodeError`] for control characters in a header.
// threat: M2
pub fn encode(parts: &[Part]) -> Result<(Vec<u8>, String), EncodeError> {
    let holds = |boundary: &str| {
        parts.iter().any(|p| p.body.windows(boundary.len()).any(|w| w == boundary.as_bytes()))
    };
    let mut boundary = "mailsync-part".to_owned();
    // Each part can rule out only so many: a free one is found soon.
    let mut n = 0u32;
    while holds(&boundary) {
        n = n.wrapping_add(1);
        boundary = format!("mailsync-part-{n:08x}");
    }
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        for (name, value) in &part.headers {
            one_line(FORMAT, "header name", name)?;
            one_line(FORMAT, "header value", value)?;
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&part.body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((out, boundary))
}

/// Reads the parts of `body`.
///
/// # Errors
/// [`DecodeError`] without a closing boundary, or past a limit.
pub fn decode(boundary: &str, body: &[u8]) -> Result<Vec<Part>, DecodeError> {
    if boundary.is_empty() || boundary.len() > 200 {
        return Err(DecodeError::malformed(FORMAT, 0, "boundary"));
    }
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let (_, mut at) = next_delimiter(body, 0, &delimiter).ok_or(DecodeError::incomplete(FORMAT, 0))?;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let line_end = rest.iter().position(|b| *b == b'\n').ok_or(DecodeError::incomplete(FORMAT, at))?;
        let start = at.saturating_add(line_end).saturating_add(1);
        let (end, next) = next_delimiter(body, start.saturating_sub(1), &delimiter)
            .ok_or(DecodeError::incomplete(FORMAT, start))?;
        if parts.len() >= MAX_PARTS {
            return Err(DecodeError::limit(FORMAT, start, "parts", parts.len(), MAX_PARTS));
        }
        parts.push(part(start, body.get(start..end.max(start)).unwrap_or_default())?);
        at = next;
    }
}

/// Where the line end before the next delimiter begins, and what follows the delimiter.
fn next_delimiter(body: &[u8], from: usize, delimiter: &str) -> Option<(usize, usize)> {
    let d = delimiter.as_bytes();
    let mut at = from;
    loop {
        let found = at.checked_add(body.get(at..)?.windows(d.len()).position(|w| w == d)?)?;
        let after = found.checked_add(d.len())?;
        let before = body.get(..found)?;
        let ends_well = matches!(body.get(after), Some(b'\r' | b'\n' | b' ' | b'\t' | b'-'));
        if (before.is_empty() || before.ends_with(b"\n")) && ends_well {
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            return Some((before.strip_suffix(b"\r").unwrap_or(before).len(), after));
        }
        at = found.checked_add(1)?;
    }
}

fn part(offset: usize, bytes: &[u8]) -> Result<Part, DecodeError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|b| *b == b'\n');
        let (line, after) = match end {
            Some(end) => {
                (rest.get(..end).unwrap_or_default(), rest.get(end.saturating_add(1)..).unwrap_or_default())
            }
            None => (rest, &[][..]),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        rest = after;
        if line.is_empty() {
            break;
        }
        let text = std::str::from_utf8(line).map_err(|_| DecodeError::malformed(FORMAT, offset, "header"))?;
        if text.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(text.trim());
            }
            continue;
        }
        let (name, value) =
            text.split_once(':').ok_or_else(|| DecodeError::malformed(FORMAT, offset, "header"))?;
        if headers.len() >= MAX_HEADERS {
            return Err(DecodeError::limit(FORMAT, offset, "headers", headers.len(), MAX_HEADERS));
        }
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
        if end.is_none() {
            break;
        }
    }
    Ok(Part { headers, body: rest.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_both_directions() {
        let parts = vec![
            Part::new("application/xml", "<pap/>"),
            Part::new("application/octet-stream", vec![0, 13, 10, 0xFF, b'\n'])
                .with("X-Wap-Application-Id", "x"),
            Part::new("text/plain", "--mailsync-part\r\n"),
            Part::new("text/plain", ""),
        ];
        let (body, boundary) = encode(&parts).unwrap();
        assert_ne!(boundary, "mailsync-part");
        assert_eq!(decode(&boundary, &body).unwrap(), parts);
    }

    #[test]
    fn parameters_quoted_and_bare() {
        let value = "multipart/related; type=\"application/xml; x=y\"; boundary=abc ; start=\"<a>\"";
        assert_eq!(parameter(value, "boundary").as_deref(), Some("abc"));
        assert_eq!(parameter(value, "START").as_deref(), Some("<a>"));
        assert_eq!(parameter(value, "type").as_deref(), Some("application/xml; x=y"));
        assert_eq!(parameter("text/xml", "boundary"), None);
    }

    #[test]
    fn bad_bodies_are_refused() {
        for bad in [
            &b""[..],
            b"--x",
            b"--x\r\n",
            b"--x\r\na: b\r\n\r\nc",
            b"--x\r\nno header\r\n--x--",
            b"--xy--\r\n",
        ] {
            assert!(decode("x", bad).is_err(), "{bad:?}");
        }
        let many = format!("{}--x--", "--x\r\n\r\na\r\n".repeat(1_000));
        assert!(matches!(
            decode("x", many.as_bytes()).unwrap_err().kind,
            super::super::DecodeErrorKind::Limit { .. }
        ));
    }

    #[test]
    fn threat_m2_a_header_cannot_add_lines() {
        assert!(encode(&[Part::new("a/b\r\nX: y", "")]).is_err());
    }
}
