//! A SIP message: start line, headers, body.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::super::error::DecodeError;
use super::FORMAT;

const MAX_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// First line.
    pub start: StartLine,
    /// Name as written (compact forms spelled out) and value, in order; without Content-Length, which the body says.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartLine {
    /// A request.
    Request {
        /// `MESSAGE`, `INVITE`, ...
        method: String,
        /// Request-URI.
        uri: String,
    },
    /// A response.
    Response {
        /// Three digits.
        status: u16,
        /// In words.
        reason: String,
    },
}

// spec: RFC 3261 §7.3.3
const COMPACT: [(&str, &str); 10] = [
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("e", "Content-Encoding"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("f", "From"),
    ("s", "Subject"),
    ("k", "Supported"),
    ("t", "To"),
    ("v", "Via"),
];

impl Message {
    /// A request without headers.
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Message {
        let start = StartLine::Request { method: method.to_owned(), uri: uri.to_owned() };
        Message { start, headers: Vec::new(), body: Vec::new() }
    }

    /// The answer to a request: its Via, From, To (with `tag` if it has none), Call-ID and CSeq.
    // spec: RFC 3261 §8.2.6.2
    #[must_use]
    pub fn response_to(request: &Message, status: u16, reason: &str, tag: &str) -> Message {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        let mut headers: Vec<(String, String)> = request
            .headers
            .iter()
            .filter(|(n, _)| copied.iter().any(|c| n.eq_ignore_ascii_case(c)))
            .cloned()
            .collect();
        for (name, value) in &mut headers {
            if name.eq_ignore_ascii_case("To") && !value.contains(";tag=") && status > 100 {
                value.push_str(";tag=");
                value.push_str(tag);
            }
        }
        let start = StartLine::Response { status, reason: reason.to_owned() };
        Message { start, headers, body: Vec::new() }
    }

    pub(crate) fn push(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    /// The first value of a header, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Status of a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Response { status, .. } => Some(status),
            StartLine::Request { .. } => None,
        }
    }

    /// Method of a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// Number and method of CSeq.
    #[must_use]
    pub fn sequence(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The tag of To.
    #[must_use]
    pub fn to_tag(&self) -> Option<String> {
        let after = self.header("To")?.rsplit_once('>').map_or(self.header("To")?, |(_, after)| after);
        after.split(';').find_map(|p| p.trim().strip_prefix("tag=")).map(str::to_owned)
    }

    /// The octets, Content-Length included.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = match &self.start {
            StartLine::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            StartLine::Response { status, reason } => format!("SIP/2.0 {status} {reason}\r\n"),
        };
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }

    /// How many octets the first message of a stream takes; `None`: more are needed.
    ///
    /// # Errors
    /// [`DecodeError`] past a limit, or without a Content-Length that can be read.
    pub fn frame(stream: &[u8]) -> Result<Option<usize>, DecodeError> {
        let Some(end) = stream.windows(4).position(|w| w == b"\r\n\r\n") else {
            if stream.len() > MAX_BYTES {
                return Err(DecodeError::limit(FORMAT, 0, "octets of header", stream.len(), MAX_BYTES));
            }
            return Ok(None);
        };
        let head = end.saturating_add(4);
        let message = Message::decode_head(stream.get(..head).unwrap_or_default())?;
        let length =
            message.1.ok_or_else(|| DecodeError::violation(FORMAT, 0, "no Content-Length on a stream"))?;
        let whole = head.saturating_add(length);
        Ok(Some(whole).filter(|n| *n <= stream.len()))
    }

    /// Reads one datagram, or one frame.
    ///
    /// # Errors
    /// [`DecodeError`], with the offset.
    pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
        if bytes.len() > MAX_BYTES {
            return Err(DecodeError::limit(FORMAT, 0, "octets", bytes.len(), MAX_BYTES));
        }
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .ok_or(DecodeError::incomplete(FORMAT, bytes.len()))?;
        let (head, body) = bytes.split_at_checked(end.saturating_add(4)).unwrap_or((bytes, &[]));
        let (mut message, length) = Message::decode_head(head)?;
        // spec: RFC 3261 §18.3 (octets past Content-Length are dropped, too few are an error)
        let body = body.get(..length.unwrap_or(body.len()));
        message.body = body.ok_or(DecodeError::incomplete(FORMAT, bytes.len()))?.to_vec();
        Ok(message)
    }

    fn decode_head(head: &[u8]) -> Result<(Message, Option<usize>), DecodeError> {
        let text = std::str::from_utf8(head)
            .map_err(|e| DecodeError::malformed(FORMAT, e.valid_up_to(), "not UTF-8"))?;
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = start_line(lines.next().unwrap_or(""))?;
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut length = None;
        for line in lines {
            let bad = || {
                DecodeError::malformed(
                    FORMAT,
                    0,
                    format!("header {:?}", line.chars().take(20).collect::<String>()),
                )
            };
            if line.contains(['\r', '\n', '\0']) {
                return Err(bad());
            }
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut().ok_or_else(bad)?;
                if !value.is_empty() {
                    value.push(' ');
                }
                value.push_str(line.trim());
                value.truncate(value.trim_end().len());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            let name = name.trim();
            if name.is_empty() || name.contains(' ') {
                return Err(bad());
            }
            let full =
                COMPACT.iter().find(|(short, _)| name.eq_ignore_ascii_case(short)).map_or(name, |(_, n)| n);
            if full.eq_ignore_ascii_case("Content-Length") {
                let n: usize = value.trim().parse().map_err(|_| bad())?;
                // threat: H1 (two lengths that differ)
                if n > MAX_BYTES || length.is_some_and(|l| l != n) {
                    return Err(bad());
                }
                length = Some(n);
                continue;
            }
            if headers.len() >= MAX_HEADERS {
                return Err(DecodeError::limit(FORMAT, 0, "headers", headers.len(), MAX_HEADERS));
            }
            headers.push((full.to_owned(), value.trim().to_owned()));
        }
        Ok((Message { start, headers, body: Vec::new() }, length))
    }
}

fn start_line(line: &str) -> Result<StartLine, DecodeError> {
    let bad = || DecodeError::malformed(FORMAT, 0, "start line");
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status: u16 = status.parse().map_err(|_| bad())?;
        if !(100..700).contains(&status) {
            return Err(bad());
        }
        return Ok(StartLine::Response { status, reason: reason.to_owned() });
    }
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(uri), Some("SIP/2.0"), None) if !method.is_empty() && !uri.is_empty() => {
            Ok(StartLine::Request { method: method.to_owned(), uri: uri.to_owned() })
        }
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "MESSAGE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nt: <sip:a@b>\r\nCSeq: 7 MESSAGE\r\n\
                           Subject: one\r\n two\r\nl: 2\r\n\r\nhi";

    #[test]
    fn requests_are_read_answered_and_framed() {
        let m = Message::decode(REQUEST.as_bytes()).unwrap();
        assert_eq!(
            (m.method(), m.sequence(), m.header("subject")),
            (Some("MESSAGE"), Some((7, "MESSAGE")), Some("one two"))
        );
        let answer = Message::decode(&Message::response_to(&m, 200, "OK", "x9").to_bytes()).unwrap();
        assert_eq!((answer.status(), answer.to_tag().as_deref()), (Some(200), Some("x9")));
        let stream = [REQUEST, REQUEST].concat();
        assert_eq!(Message::frame(stream.as_bytes()).unwrap(), Some(REQUEST.len()));
        for n in 0..REQUEST.len() {
            assert_eq!(Message::frame(&REQUEST.as_bytes()[..n]).unwrap(), None, "{n}");
        }
    }

    #[test]
    fn a_value_may_go_on_in_lines_that_say_nothing() {
        for (folded, value) in [("", ""), ("\r\n ", ""), ("\r\n a\r\n\t\r\n b \r\n  ", "a b")] {
            let message = Message::decode(format!("A b SIP/2.0\r\nX:{folded}\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(message.header("X"), Some(value), "{folded:?}");
            assert_eq!(Message::decode(&message.to_bytes()).unwrap(), message);
        }
    }

    #[test]
    fn bad_messages_are_refused() {
        for bad in [
            "",
            "\r\n\r\n",
            "MESSAGE sip:a@b\r\n\r\n",
            "SIP/2.0 99 x\r\n\r\n",
            "SIP/2.0 abc\r\n\r\n",
            "A b SIP/2.0\r\nno colon\r\n\r\n",
            "A b SIP/2.0\r\n folded first\r\n\r\n",
            "A b SIP/2.0\r\nl: -1\r\n\r\n",
            "A b SIP/2.0\r\nl: 5\r\n\r\nhi",
            "A b SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\nhi",
            "A b SIP/2.0\r\nX: a\nb\r\n\r\n",
            "A b SIP/2.0\r\nX: a\r\n b\nY: c\r\n\r\n",
            "A b SIP/2.0\r\nl: 99999999999\r\n\r\n",
        ] {
            assert!(Message::decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let flood = format!("A b SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(1_000));
        assert!(matches!(
            Message::decode(flood.as_bytes()).unwrap_err().kind,
            crate::bearer::DecodeErrorKind::Limit { .. }
        ));
    }
}
