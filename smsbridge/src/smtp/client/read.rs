//! Reads replies. `smtp-proto` cuts detail codes above 255 (`5.7.509`) and texts, so this part is ours.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::smtp::{EnhancedCode, Reply};

/// Collects one reply, however its octets are cut.
#[derive(Default)]
pub(super) struct Reader {
    /// Whole lines so far, and a piece of the next.
    wire: Vec<u8>,
    /// Where that piece begins.
    line: usize,
}

/// A whole reply, decoded and as it came.
pub(super) struct Read {
    pub(super) reply: Reply,
    pub(super) wire: Vec<u8>,
}

impl Reader {
    /// Takes octets from the front of `input` up to the end of a reply.
    ///
    /// # Errors
    /// What rule the server broke.
    pub(super) fn next(&mut self, input: &mut &[u8], max: usize) -> Result<Option<Read>, &'static str> {
        while let Some(at) = memchr::memchr(b'\n', input) {
            let (piece, rest) = input.split_at_checked(at.saturating_add(1)).unwrap_or((input, &[]));
            *input = rest;
            self.keep(piece, max)?;
            let line = self.wire.get(self.line..).unwrap_or_default();
            let last = is_last(line)?;
            self.line = self.wire.len();
            if last {
                self.line = 0;
                let wire = std::mem::take(&mut self.wire);
                return decode(&wire).map(|reply| Some(Read { reply, wire }));
            }
        }
        self.keep(input, max)?;
        *input = &[];
        Ok(None)
    }

    fn keep(&mut self, piece: &[u8], max: usize) -> Result<(), &'static str> {
        if self.wire.len().saturating_add(piece.len()) > max {
            return Err("reply too long");
        }
        self.wire.extend_from_slice(piece);
        Ok(())
    }
}

/// Whether a line (with its line end) is the last of its reply.
fn is_last(line: &[u8]) -> Result<bool, &'static str> {
    match line {
        [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', separator, ..] => match separator {
            b'-' => Ok(false),
            // quirk: a code alone on its line, RFC 5321 §4.2 asks clients to take it
            b' ' | b'\r' | b'\n' => Ok(true),
            _ => Err("no separator after a reply code"),
        },
        _ => Err("no reply code"),
    }
}

fn decode(wire: &[u8]) -> Result<Reply, &'static str> {
    let text = String::from_utf8_lossy(wire);
    let mut reply: Option<Reply> = None;
    for line in text.lines() {
        let code: u16 = line.get(..3).and_then(|code| code.parse().ok()).ok_or("no reply code")?;
        let words = line.get(4..).unwrap_or_default();
        let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
        let enhanced = EnhancedCode::parse(first);
        let words = if enhanced.is_some() { rest } else { words };
        // our own reports quote this text: no control character of the peer gets there
        let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match &mut reply {
            None => {
                reply = Some(match enhanced {
                    Some(enhanced) => Reply::new(code, enhanced, words),
                    None => Reply::plain(code, words),
                });
            }
            Some(reply) if reply.code != code => return Err("lines of one reply with different codes"),
            Some(reply) => {
                reply.text.push('\n');
                reply.text.push_str(&words);
            }
        }
    }
    reply.ok_or("no reply code")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8]) -> Result<Option<Reply>, &'static str> {
        let mut reader = Reader::default();
        let mut cut = Reader::default();
        let whole = reader.next(&mut &wire[..], 4096).map(|read| read.map(|read| read.reply));
        let pieces = wire
            .chunks(1)
            .map(|piece| cut.next(&mut &piece[..], 4096))
            .find(|read| !matches!(read, Ok(None)));
        let pieces = pieces.unwrap_or(Ok(None)).map(|read| read.map(|read| read.reply));
        assert_eq!(whole, pieces);
        whole
    }

    #[test]
    fn replies_in_all_shapes() {
        for (wire, reply) in [
            ("250 Ok\r\n", Reply::plain(250, "Ok")),
            ("250\r\n", Reply::plain(250, "")),
            ("250 \n", Reply::plain(250, "")),
            ("550 5.7.509 Access denied\r\n", Reply::new(550, EnhancedCode(5, 7, 509), "Access denied")),
            ("550-5.1.1 No\r\n550 5.1.1 Body\r\n", Reply::new(550, EnhancedCode(5, 1, 1), "No\nBody")),
            ("250 1.2.3.4 hello\r\n", Reply::plain(250, "1.2.3.4 hello")),
            ("451 a\tb\u{1b}\r\n", Reply::plain(451, "a b ")),
        ] {
            assert_eq!(read(wire.as_bytes()), Ok(Some(reply)), "{wire:?}");
        }
        assert_eq!(read(b"250-more\r\n250"), Ok(None));
    }

    #[test]
    fn broken_replies_are_violations() {
        for wire in [
            &b"\r\n"[..],
            b"25\r\n",
            b"hello\r\n",
            b"150 x\r\n",
            b"650 x\r\n",
            b"250_x\r\n",
            b"250-a\r\n550 b\r\n",
        ] {
            assert!(read(wire).is_err(), "{wire:?}");
        }
        assert_eq!(read(&[b'2'; 4097]), Err("reply too long"));
        assert!(read(&[b"220 ", &[b'x'; 4090][..], b"\r\n"].concat()).is_ok());
    }
}
