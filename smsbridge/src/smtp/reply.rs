//! Replies: a code, an enhanced code, and words.

use bytes::{BufMut, BytesMut};
use std::fmt;

/// An enhanced status code, like `5.1.1` (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl EnhancedCode {
    /// Reads `class.subject.detail`: class one digit of 2, 4 and 5, the others up to three digits.
    pub fn parse(text: &str) -> Option<EnhancedCode> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let mut number = || {
            let digits = parts.next()?;
            let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
            plain.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let (subject, detail) = (number()?, number()?);
        parts.next().is_none().then_some(EnhancedCode(class, subject, detail))
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One reply of a server, ours or the peer's.
///
/// # Shape
/// `code` 200 to 599; `text` is UTF-8, its lines joined by LF. Written to the wire, control characters become
/// spaces, octets above 127 `?`, and each line is cut at 400 octets.
/// # Spec
/// RFC 5321 §4.2, RFC 2034
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// The enhanced code, if there is one.
    pub enhanced: Option<EnhancedCode>,
    /// The words, without codes.
    pub text: String,
}

impl Reply {
    /// A reply with an enhanced code.
    pub fn new(code: u16, enhanced: EnhancedCode, text: impl Into<String>) -> Self {
        Reply { code, enhanced: Some(enhanced), text: text.into() }
    }

    /// A reply without one, as RFC 2034 wants it for greetings, EHLO and 3yz.
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Reply { code, enhanced: None, text: text.into() }
    }

    /// 2yz: done.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 4yz: not now, try again.
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5yz: not ever.
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }

    /// 4yz or 5yz.
    pub(super) fn is_refusal(&self) -> bool {
        self.is_transient() || self.is_permanent()
    }

    /// Writes it as the lines of the wire.
    pub(super) fn write(&self, out: &mut BytesMut) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.put_slice(format!("{:03}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.put_slice(format!("{enhanced} ").as_bytes());
            }
            // mission: M2; host text may quote a peer, so nothing in it may end the line
            out.extend(line.bytes().take(400).map(|octet| match octet {
                0x20..=0x7e => octet,
                0x80.. => b'?',
                _ => b' ',
            }));
            out.put_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} ", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        write!(f, "{}", self.text.replace('\n', " / "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = BytesMut::new();
        reply.write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn lines_carry_both_codes() {
        let reply = Reply::new(550, EnhancedCode(5, 1, 1), "No such user\nTry another");
        assert_eq!(wire(&reply), "550-5.1.1 No such user\r\n550 5.1.1 Try another\r\n");
    }

    #[test]
    fn threat_m2_reply_text_cannot_end_its_line() {
        let reply = Reply::new(451, EnhancedCode(4, 3, 0), "a\r\u{0}b\u{7f}é");
        assert_eq!(wire(&reply), "451 4.3.0 a  b ??\r\n");
    }

    #[test]
    fn enhanced_codes_are_read_strictly() {
        for (text, code) in [
            ("5.1.1", Some(EnhancedCode(5, 1, 1))),
            ("5.7.509", Some(EnhancedCode(5, 7, 509))),
            ("3.1.1", None),
            ("5.1", None),
            ("5.1.1.1", None),
            ("5.+1.1", None),
            ("5.1.1000", None),
            ("", None),
        ] {
            assert_eq!(EnhancedCode::parse(text), code, "{text}");
        }
    }
}
