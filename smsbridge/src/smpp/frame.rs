//! Where one PDU ends and the next begins.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::header::{HEADER, Header};
use super::{FrameError, Pdu};
use bytes::{BufMut, BytesMut};

/// Limits on what a peer may send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of one PDU, header included.
    pub pdu_octets: usize,
    /// The same before the peer has bound.
    pub unbound_pdu_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pdu_octets: 70_000, unbound_pdu_octets: 256 }
    }
}

/// Cuts a stream into PDUs.
///
/// # Shape
/// [`push`](Framer::push) octets, then [`next_pdu`](Framer::next_pdu) until `None`. A PDU's body is a slice of what
/// was pushed. The declared length is checked as soon as it is there and sizes no allocation.
#[derive(Clone, Debug)]
pub struct Framer {
    limits: Limits,
    buffer: BytesMut,
    bound: bool,
    broken: Option<FrameError>,
}

impl Framer {
    /// For a new link: nothing is bound yet.
    pub fn new(limits: Limits) -> Self {
        Framer { limits, buffer: BytesMut::new(), bound: false, broken: None }
    }

    /// The peer has bound, or we trust it: full-size PDUs from now on.
    pub fn set_bound(&mut self, bound: bool) {
        self.bound = bound;
    }

    /// Adds octets of the stream.
    pub fn push(&mut self, octets: &[u8]) {
        if self.broken.is_none() {
            self.buffer.put_slice(octets);
        }
    }

    /// Octets of an unfinished PDU.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole PDU, `None` if more octets are needed.
    ///
    /// # Errors
    /// [`FrameError`] for a `command_length` below 16 or above the limit; from then on always.
    pub fn next_pdu(&mut self) -> Result<Option<Pdu>, FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        let limit = if self.bound { self.limits.pdu_octets } else { self.limits.unbound_pdu_octets };
        let octets = usize::try_from(length).unwrap_or(usize::MAX);
        if octets < HEADER || octets > limit {
            let sequence_number = Header::read(&self.buffer).map(|header| header.sequence_number);
            let error = FrameError { length, limit, sequence_number };
            self.broken = Some(error);
            self.buffer = BytesMut::new();
            return Err(error);
        }
        if self.buffer.len() < octets {
            return Ok(None);
        }
        Ok(Pdu::from_frame(self.buffer.split_to(octets).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::{Body, SequenceNumber};

    #[test]
    fn any_split_gives_the_same_pdus() {
        let wire: Vec<u8> =
            (1..=3).flat_map(|n| Pdu::new(SequenceNumber(n), &Body::EnquireLink).encode().to_vec()).collect();
        for size in 1..wire.len() {
            let mut framer = Framer::new(Limits::default());
            let mut seen = Vec::new();
            for piece in wire.chunks(size) {
                framer.push(piece);
                while let Some(pdu) = framer.next_pdu().unwrap() {
                    seen.push(pdu.sequence_number.0);
                }
            }
            assert_eq!((seen, framer.pending()), (vec![1, 2, 3], 0));
        }
    }

    #[test]
    fn threat_p1_bad_command_length() {
        for (length, bound, fits) in [
            (0u32, true, false),
            (15, true, false),
            (16, true, true),
            (70_000, true, true),
            (70_001, true, false),
            (0xFFFF_FFFF, true, false),
            (0x8000_0000, true, false),
            (256, false, true),
            (257, false, false),
        ] {
            let mut framer = Framer::new(Limits::default());
            framer.set_bound(bound);
            framer.push(&length.to_be_bytes());
            assert_eq!(framer.next_pdu().is_ok(), fits, "{length}");
            // refused at the fourth octet, and for good
            framer.push(&[0; 100]);
            if !fits {
                assert!(framer.next_pdu().is_err());
                assert_eq!(framer.pending(), 0);
            }
        }
        let mut framer = Framer::new(Limits::default());
        framer.push(&[0, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(framer.next_pdu().unwrap_err().sequence_number, Some(SequenceNumber(9)));
    }
}
