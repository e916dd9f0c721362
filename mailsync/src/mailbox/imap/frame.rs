//! Where a response of an IMAP server ends.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{Bytes, BytesMut};

/// What a server may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a response outside of its literals.
    pub line: usize,
    /// Octets of one literal.
    pub literal: usize,
    /// Octets of all literals of a response.
    pub literals: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // What vanished of a mailbox of 100,000 may be one line.
        Limits { line: 512 << 10, literal: 64 << 10, literals: 1 << 20 }
    }
}

/// What a server sent too much of; the link cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {value} octets, limit {limit}")]
pub struct TooMuch {
    /// Of what.
    pub what: &'static str,
    /// How much it said or sent.
    pub value: u64,
    /// How much we take.
    pub limit: u64,
}

/// Cuts a stream into responses. A response is a line; a line that ends with `{n}` goes on after `n` octets.
///
/// A literal is refused by what it says of its size, before any of it is kept.
// spec: RFC 3501 §7, §4.3; threats: M5
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Octets of the response under way that have been looked at.
    scanned: usize,
    /// Octets of it that were in literals.
    in_literals: usize,
    /// Where its last line began.
    line: usize,
    /// What may come.
    pub limits: Limits,
}

impl Framer {
    /// Adds what came.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole response, with its literals and its last CRLF.
    ///
    /// # Errors
    /// When a limit is passed.
    #[expect(clippy::should_implement_trait, reason = "more may come after None")]
    pub fn next(&mut self) -> Result<Option<Bytes>, TooMuch> {
        loop {
            let Some(rest) = self.buffer.get(self.scanned..) else { return Ok(None) };
            let Some(end) = rest.iter().position(|&octet| octet == b'\n') else {
                // Only the line is looked at again, and it has a limit.
                let outside = self.buffer.len().saturating_sub(self.in_literals);
                return if outside > self.limits.line { Err(self.too_long(outside)) } else { Ok(None) };
            };
            let after = self.scanned.saturating_add(end).saturating_add(1);
            let outside = after.saturating_sub(self.in_literals);
            if outside > self.limits.line {
                return Err(self.too_long(outside));
            }
            let line = self.buffer.get(self.line..after).unwrap_or_default();
            let Some(size) = literal(line) else {
                (self.scanned, self.in_literals, self.line) = (0, 0, 0);
                return Ok(Some(self.buffer.split_to(after).freeze()));
            };
            let all = size.saturating_add(self.in_literals as u64);
            for (what, value, limit) in [
                ("a literal", size, self.limits.literal),
                ("literals of a response", all, self.limits.literals.max(self.limits.literal)),
            ] {
                if value > limit as u64 {
                    return Err(TooMuch { what, value, limit: limit as u64 });
                }
            }
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            self.in_literals = self.in_literals.saturating_add(size);
            self.scanned = after.saturating_add(size);
            self.line = self.scanned;
        }
    }

    fn too_long(&self, value: usize) -> TooMuch {
        TooMuch { what: "a line", value: value as u64, limit: self.limits.line as u64 }
    }
}

/// The size of the literal that a line announces at its end.
fn literal(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_suffix(b"}")?;
    let start = line.iter().rposition(|&octet| octet == b'{')?;
    let digits = line.get(start.saturating_add(1)..)?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // More digits than a number has: too large in any case.
    Some(std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"* OK hi\r\n* 1 FETCH (BODY[] {5}\r\na\r\n{9 UID 3 X {2}\r\nyz)\r\na1 OK {x}\r\n* 2 EXISTS\n";

    fn all(pieces: &[&[u8]]) -> Vec<Bytes> {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        for piece in pieces {
            framer.push(piece);
            while let Some(response) = framer.next().unwrap() {
                out.push(response);
            }
        }
        assert!(framer.is_empty());
        out
    }

    #[test]
    fn any_split_gives_the_same_responses() {
        let whole = all(&[STREAM]);
        assert_eq!(whole.len(), 4);
        assert!(whole[1].ends_with(b"yz)\r\n"));
        assert_eq!(whole.concat(), STREAM);
        for at in 0..STREAM.len() {
            let (a, b) = STREAM.split_at(at);
            assert_eq!(all(&[a, b]), whole, "split at {at}");
        }
        let single: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(all(&single), whole);
    }

    #[test]
    fn threat_m5_literals_are_refused_by_what_they_say() {
        for (said, value) in [
            ("* 1 FETCH (BODY[] {4294967295}\r\n", 4_294_967_295),
            ("* 1 FETCH (BODY[] {99999999999999999999999}\r\n", u64::MAX),
            ("* LIST () \"/\" {65537}\r\n", 65_537),
        ] {
            let mut framer = Framer::default();
            framer.push(said.as_bytes());
            let error = framer.next().unwrap_err();
            assert_eq!(error, TooMuch { what: "a literal", value, limit: 65_536 }, "{said}");
        }
        let mut framer = Framer::default();
        for _ in 0..16 {
            framer.push(b"{65536}\r\n");
            framer.push(&[b'x'; 65_536]);
            assert_eq!(framer.next(), Ok(None));
        }
        framer.push(b"{1}\r\n");
        assert_eq!(framer.next().unwrap_err().what, "literals of a response");
    }

    #[test]
    fn threat_m5_a_line_without_end() {
        let mut framer = Framer::default();
        framer.limits.line = 100;
        framer.push(&[b'x'; 100]);
        assert_eq!(framer.next(), Ok(None));
        framer.push(b"x");
        assert_eq!(framer.next().unwrap_err().what, "a line");
    }
}
