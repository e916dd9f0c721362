//! The message itself on the wire: finding its end, unstuffing and stuffing dots.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::Error;
use bytes::{BufMut, Bytes, BytesMut};

/// Collects a message from the octets after DATA, however they are cut.
///
/// Only CR LF `.` CR LF ends it; the CRLF of the DATA command counts as the first line's. A message with a fault is
/// read to that end too, so that the link stays in step, but nothing of it is kept.
pub(super) struct Receiver {
    place: Place,
    body: BytesMut,
    /// Octets of the current line so far, without its stuffed dot and its CRLF.
    line: usize,
    /// Octets that may still come; no honest message reaches the end of it, however many dots were stuffed.
    patience: usize,
    fault: Option<Fault>,
    max_line: usize,
    max_message: usize,
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    BareCr,
    BareLf,
    Nul,
    LongLine,
    TooLarge,
}

/// What the last octets were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot and a CR at the start of a line.
    DotCr,
    Text,
    /// After a CR in the text.
    Cr,
}

/// How far [`Receiver::push`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    End,
    /// The message is too large, and its sender does not stop.
    Hopeless,
}

impl Receiver {
    pub(super) fn new(max_line: usize, max_message: usize) -> Self {
        Receiver {
            place: Place::LineStart,
            body: BytesMut::new(),
            line: 0,
            patience: max_message.saturating_mul(2).saturating_add(64),
            fault: None,
            max_line,
            max_message,
        }
    }

    /// Takes octets from the front of `input`, up to the end of the message.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Progress {
        let (mut piece, later) = input.split_at_checked(self.patience).unwrap_or((input, &[]));
        let before = piece.len();
        let progress = self.scan(&mut piece);
        self.patience = self.patience.saturating_sub(before.saturating_sub(piece.len()));
        // what is left of the piece and what was not looked at lie side by side
        let left = piece.len().saturating_add(later.len());
        *input = input.get(input.len().saturating_sub(left)..).unwrap_or_default();
        if progress == Progress::More && self.patience == 0 { Progress::Hopeless } else { progress }
    }

    pub(super) fn finish(self) -> Result<Bytes, Fault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.body.freeze()),
        }
    }

    fn scan(&mut self, input: &mut &[u8]) -> Progress {
        while let Some((&octet, rest)) = input.split_first() {
            match (self.place, octet) {
                (Place::Text, _) => {
                    self.text_run(input);
                    continue;
                }
                (Place::LineStart, b'.') => self.place = Place::Dot,
                (Place::LineStart, _) => {
                    self.place = Place::Text;
                    continue;
                }
                (Place::Dot, b'\r') => self.place = Place::DotCr,
                // spec: RFC 5321 §4.5.2, the first dot of a longer line goes
                (Place::Dot, _) => {
                    self.place = Place::Text;
                    continue;
                }
                (Place::DotCr, b'\n') => {
                    *input = rest;
                    return Progress::End;
                }
                (Place::Cr, b'\n') => {
                    self.keep(b"\r\n");
                    self.line = 0;
                    self.place = Place::LineStart;
                }
                // mission: M1; a CR that begins no CRLF, also right after a dot
                (Place::DotCr | Place::Cr, _) => {
                    self.fail(Fault::BareCr);
                    self.place = Place::Text;
                    continue;
                }
            }
            *input = rest;
        }
        Progress::More
    }

    /// Takes text up to and with the next CR, LF or NUL.
    fn text_run(&mut self, input: &mut &[u8]) {
        let end = memchr::memchr3(b'\r', b'\n', 0, input).unwrap_or(input.len());
        let (run, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
        self.line = self.line.saturating_add(run.len());
        if self.line.saturating_add(2) > self.max_line {
            self.fail(Fault::LongLine);
        }
        self.keep(run);
        *input = rest;
        if let Some((&octet, rest)) = rest.split_first() {
            match octet {
                b'\r' => self.place = Place::Cr,
                b'\n' => self.fail(Fault::BareLf),
                _ => self.fail(Fault::Nul),
            }
            *input = rest;
        }
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if self.body.len().saturating_add(octets.len()) > self.max_message {
            self.fail(Fault::TooLarge);
        } else {
            self.body.put_slice(octets);
        }
    }

    /// The first fault counts; what was kept is let go at once.
    fn fail(&mut self, fault: Fault) {
        if self.fault.is_none() {
            self.fault = Some(fault);
            self.body = BytesMut::new();
        }
    }
}

/// Checks that a message may be sent: CRLF lines of at most `max_line` octets, no NUL.
///
/// # Errors
/// [`Error::Message`] with the octet of the first fault.
pub(super) fn check(message: &[u8], max_line: usize) -> Result<(), Error> {
    let bad = |reason, offset| Err(Error::Message { reason, offset });
    let mut start = 0usize;
    let mut cr = None;
    for at in memchr::memchr3_iter(b'\r', b'\n', 0, message) {
        let after_cr = cr.is_some_and(|cr: usize| cr.saturating_add(1) == at);
        match message.get(at) {
            Some(b'\n') if after_cr => {
                if at.saturating_add(1).saturating_sub(start) > max_line {
                    return bad("line too long", start);
                }
                start = at.saturating_add(1);
                cr = None;
            }
            _ if cr.is_some() => break,
            Some(b'\n') => return bad("bare LF", at),
            Some(b'\r') => cr = Some(at),
            _ => return bad("NUL", at),
        }
    }
    match cr {
        Some(cr) => bad("bare CR", cr),
        None if message.len().saturating_sub(start).saturating_add(2) > max_line => {
            bad("line too long", start)
        }
        None => Ok(()),
    }
}

/// Hands out a checked message piece by piece in wire form: dots stuffed, the end mark last.
///
/// Pieces without a stuffed dot are slices of the message, so 32 MiB are not copied.
pub(super) struct Sender {
    message: Bytes,
    line_start: bool,
    ended: bool,
}

/// Octets of one piece; a piece with stuffed dots is at most a third longer.
const PIECE: usize = 64 * 1024;

impl Sender {
    /// `message` passed [`check`].
    pub(super) fn new(message: Bytes) -> Self {
        Sender { message, line_start: true, ended: false }
    }

    /// True once the end mark was handed out.
    pub(super) fn is_done(&self) -> bool {
        self.ended
    }

    /// The next piece; `None` after the end mark.
    pub(super) fn next_piece(&mut self) -> Option<Bytes> {
        if self.message.is_empty() {
            if self.ended {
                return None;
            }
            self.ended = true;
            let end: &'static [u8] = if self.line_start { b".\r\n" } else { b"\r\n.\r\n" };
            return Some(Bytes::from_static(end));
        }
        let piece = self.message.split_to(PIECE.min(self.message.len()));
        // a dot first in the piece is stuffed only if the piece before ended a line
        let first = self.line_start && piece.first() == Some(&b'.');
        self.line_start = piece.last() == Some(&b'\n');
        let mut dots = memchr::memmem::find_iter(&piece, b"\n.").map(|at| at.saturating_add(1)).peekable();
        if !first && dots.peek().is_none() {
            return Some(piece);
        }
        let mut out = BytesMut::with_capacity(piece.len().saturating_add(64));
        if first {
            out.put_u8(b'.');
        }
        let mut done = 0usize;
        for dot in dots {
            out.put_slice(piece.get(done..dot).unwrap_or_default());
            out.put_u8(b'.');
            done = dot;
        }
        out.put_slice(piece.get(done..).unwrap_or_default());
        Some(out.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(wire: &[u8]) -> (Option<Result<Bytes, Fault>>, usize) {
        let mut receiver = Receiver::new(1_000, 1 << 20);
        let mut rest = wire;
        match receiver.push(&mut rest) {
            Progress::End => (Some(receiver.finish()), rest.len()),
            _ => (None, rest.len()),
        }
    }

    #[test]
    fn dots_are_unstuffed_byte_exact() {
        for (wire, body) in [
            (&b".\r\n"[..], &b""[..]),
            (b"\r\n.\r\n", b"\r\n"),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b"...\r\n.\r\n", b"..\r\n"),
            (b".a\r\n..b\r\nc.\r\n.\r\n", b"a\r\n.b\r\nc.\r\n"),
            (b"a\r\n..\r\n..\r\n.\r\n", b"a\r\n.\r\n.\r\n"),
        ] {
            let (result, left) = receive(wire);
            assert_eq!(result.unwrap().unwrap(), body);
            assert_eq!(left, 0);
        }
    }

    // mission: M1; the list of end marks that other servers took for real ones
    #[test]
    fn threat_m1_only_crlf_dot_crlf_ends_data() {
        for (mark, fault) in [
            (&b"\n.\n"[..], Fault::BareLf),
            (b"\n.\r\n", Fault::BareLf),
            (b"\r\n.\n", Fault::BareLf),
            (b"\r.\r", Fault::BareCr),
            (b"\r.\r\n", Fault::BareCr),
            (b"\r\n.\r", Fault::BareCr),
            (b"\r\n.\r\r\n", Fault::BareCr),
            (b"\r\r\n.\n", Fault::BareCr),
            (b"\r\n.\0\r\n", Fault::Nul),
            (b"\r\n\0.\r\n", Fault::Nul),
        ] {
            let wire = [b"first", mark, b"MAIL FROM:<eve@example.org>\r\n"].concat();
            assert_eq!(receive(&wire).0, None, "{mark:?} ended the message");
            let (result, _) = receive(&[&wire[..], b".\r\n"].concat());
            assert_eq!(result, Some(Err(fault)), "{mark:?}");
        }
    }

    #[test]
    fn bare_cr_before_crlf_is_a_fault_but_the_line_ends() {
        assert_eq!(receive(b"a\r\r\n.\r\n"), (Some(Err(Fault::BareCr)), 0));
    }

    #[test]
    fn limits_are_exact() {
        let line = vec![b'x'; 998];
        for (stuffed, extra, fault) in [(false, 0, false), (true, 0, false), (false, 1, true)] {
            let mut wire = if stuffed { b".".to_vec() } else { Vec::new() };
            wire.extend(if stuffed { [&b"."[..], line.get(1..).unwrap()].concat() } else { line.clone() });
            wire.extend(vec![b'x'; extra]);
            wire.extend(b"\r\n.\r\n");
            let expected = fault.then_some(Fault::LongLine);
            assert_eq!(receive(&wire).0.unwrap().err(), expected);
        }
        // "abc" CRLF ".x" CRLF are 9 octets once unstuffed
        for (limit, expected) in [(9, None), (8, Some(Fault::TooLarge))] {
            let mut receiver = Receiver::new(1_000, limit);
            assert_eq!(receiver.push(&mut &b"abc\r\n..x\r\n.\r\n"[..]), Progress::End);
            assert_eq!(receiver.finish().err(), expected);
        }
    }

    #[test]
    fn threat_l1_a_message_without_end_is_given_up() {
        for piece in [1, 7, 1_000] {
            let mut receiver = Receiver::new(1_000, 100);
            let junk = vec![b'x'; 1_000];
            let taken = junk.chunks(piece).find_map(|mut octets| match receiver.push(&mut octets) {
                Progress::More => None,
                progress => Some((progress, octets.len())),
            });
            assert_eq!(taken.unwrap().0, Progress::Hopeless);
            assert_eq!(receiver.patience, 0);
        }
    }

    #[test]
    fn what_is_checked_and_stuffed_comes_back_equal() {
        let big = b"line\r\n.dot\r\n..\r\n".repeat(20_000);
        for body in [&b""[..], b".", b"a", b"a\r\n", b"\r\n.\r\n", b".\r\n.\r\n", &big] {
            check(body, 1_000).unwrap();
            let mut sender = Sender::new(Bytes::copy_from_slice(body));
            let mut wire = Vec::new();
            while let Some(piece) = sender.next_piece() {
                assert!(!piece.is_empty());
                wire.extend_from_slice(&piece);
            }
            let (result, left) = receive(&wire);
            let mut expected = body.to_vec();
            if !body.is_empty() && !body.ends_with(b"\r\n") {
                expected.extend(b"\r\n");
            }
            assert_eq!(result.unwrap().unwrap(), expected);
            assert_eq!(left, 0);
        }
    }

    #[test]
    fn threat_m1_only_clean_messages_are_sent() {
        for (body, reason, offset) in [
            (&b"a\nb"[..], "bare LF", 1),
            (b"a\rb", "bare CR", 1),
            (b"a\r", "bare CR", 1),
            (b"a\r\r\n", "bare CR", 1),
            (b"a\0", "NUL", 1),
            (b"a\r\n\nb", "bare LF", 3),
            (b"a\r\0\n", "bare CR", 1),
            (b"a\rb\n", "bare CR", 1),
        ] {
            assert_eq!(check(body, 1_000), Err(Error::Message { reason, offset }));
        }
        assert!(check(&[b'x'; 998], 1_000).is_ok());
        assert_eq!(check(&[b'x'; 999], 1_000), Err(Error::Message { reason: "line too long", offset: 0 }));
    }
}
