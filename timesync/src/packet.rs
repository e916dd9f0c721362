//! The NTP packet: 48 octets, then extension fields and a MAC.
//!
//! [`Packet::decode`] takes any bytes and never fails on a *value*, only on a length; whether a reply may be
//! believed is decided by [`Request::check`](crate::Request::check).

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use crate::timestamp::{NtpShort, NtpTimestamp};

/// Octets of the fixed header.
pub const HEADER_LEN: usize = 48;

/// The fixed header of an NTP packet, all fields as they travel.
///
/// # Shape
/// 48 octets, big-endian: LI, VN, mode (2+3+3 bits), stratum, poll, precision; root delay, root dispersion,
/// reference id (4 octets each); reference, origin, receive, transmit timestamps (8 octets each).
/// # Errors
/// [`DecodeError::TooShort`] below 48 octets.
/// # Spec
/// RFC 5905 §7.3
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Packet {
    /// Leap indicator, 0..=3; 3 means "clock not synchronised".
    pub leap: u8,
    /// Version number, 0..=7.
    pub version: u8,
    /// Mode, 0..=7; 3 client, 4 server.
    pub mode: u8,
    /// Stratum; 0 in a reply is a kiss of death, 16 and up are unsynchronised.
    pub stratum: u8,
    /// Poll interval, log2 seconds.
    pub poll: i8,
    /// Precision of the sender's clock, log2 seconds.
    pub precision: i8,
    /// Round-trip delay to the reference clock.
    pub root_delay: NtpShort,
    /// Dispersion to the reference clock.
    pub root_dispersion: NtpShort,
    /// Reference id: four ASCII letters at stratum 0 and 1, else an address or its hash.
    pub reference_id: [u8; 4],
    /// When the sender's clock was last set.
    pub reference: NtpTimestamp,
    /// Copy of the request's transmit timestamp.
    pub origin: NtpTimestamp,
    /// When the request arrived at the server.
    pub receive: NtpTimestamp,
    /// When the packet left.
    pub transmit: NtpTimestamp,
}

impl Packet {
    /// A client request that tells nothing but its nonce.
    // spec: data minimisation: every other field zero, transmit random
    #[must_use]
    pub const fn request(version: u8, nonce: NtpTimestamp) -> Self {
        Packet {
            leap: 0,
            version,
            mode: 3,
            stratum: 0,
            poll: 0,
            precision: 0,
            root_delay: NtpShort::from_bits(0),
            root_dispersion: NtpShort::from_bits(0),
            reference_id: [0; 4],
            reference: NtpTimestamp::UNKNOWN,
            origin: NtpTimestamp::UNKNOWN,
            receive: NtpTimestamp::UNKNOWN,
            transmit: nonce,
        }
    }

    /// Reads the fixed header; what follows it is left to [`Trailer::decode`].
    ///
    /// # Errors
    /// [`DecodeError::TooShort`] below 48 octets.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(DecodeError::TooShort { len: bytes.len() });
        };
        let [flags, stratum, poll, precision, rest @ ..] = header;
        let (words, _) = rest.as_chunks::<4>();
        let [root_delay, root_dispersion, reference_id, stamps @ ..] = words else {
            return Err(DecodeError::TooShort { len: bytes.len() });
        };
        let [r0, r1, o0, o1, c0, c1, t0, t1] = stamps else {
            return Err(DecodeError::TooShort { len: bytes.len() });
        };
        Ok(Packet {
            leap: flags >> 6,
            version: (flags >> 3) & 7,
            mode: flags & 7,
            stratum: *stratum,
            poll: i8::from_be_bytes([*poll]),
            precision: i8::from_be_bytes([*precision]),
            root_delay: NtpShort::from_bits(u32::from_be_bytes(*root_delay)),
            root_dispersion: NtpShort::from_bits(u32::from_be_bytes(*root_dispersion)),
            reference_id: *reference_id,
            reference: stamp(*r0, *r1),
            origin: stamp(*o0, *o1),
            receive: stamp(*c0, *c1),
            transmit: stamp(*t0, *t1),
        })
    }

    /// Writes the fixed header. Values wider than their field keep their low bits.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let flags = ((self.leap & 3) << 6) | ((self.version & 7) << 3) | (self.mode & 7);
        let head = [flags, self.stratum, self.poll.cast_unsigned(), self.precision.cast_unsigned()];
        let (words, _) = out.as_chunks_mut::<4>();
        let [w0, w1, w2, w3, stamps @ ..] = words else { return out };
        *w0 = head;
        *w1 = self.root_delay.bits().to_be_bytes();
        *w2 = self.root_dispersion.bits().to_be_bytes();
        *w3 = self.reference_id;
        let times = [self.reference, self.origin, self.receive, self.transmit];
        for (pair, time) in stamps.chunks_exact_mut(2).zip(times) {
            if let [high, low] = pair {
                *high = ((time.bits() >> 32) as u32).to_be_bytes();
                *low = (time.bits() as u32).to_be_bytes();
            }
        }
        out
    }

    /// The kiss code when this is a kiss of death (stratum 0).
    #[must_use]
    pub fn kiss_code(&self) -> Option<KissCode> {
        (self.stratum == 0).then_some(KissCode(self.reference_id))
    }
}

fn stamp(high: [u8; 4], low: [u8; 4]) -> NtpTimestamp {
    NtpTimestamp::from_bits((u64::from(u32::from_be_bytes(high)) << 32) | u64::from(u32::from_be_bytes(low)))
}

/// Why a server refuses to serve: four ASCII letters in the reference id.
///
/// An open code space: unknown codes survive and print as they are.
/// # Spec
/// RFC 5905 §7.4
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KissCode(pub [u8; 4]);

impl KissCode {
    /// Access denied: stop for good.
    pub const DENY: KissCode = KissCode(*b"DENY");
    /// Access denied by policy: stop for good.
    pub const RSTR: KissCode = KissCode(*b"RSTR");
    /// Rate exceeded: ask less often.
    pub const RATE: KissCode = KissCode(*b"RATE");
    /// The association has not yet synchronised.
    pub const INIT: KissCode = KissCode(*b"INIT");
    /// Step change in system time.
    pub const STEP: KissCode = KissCode(*b"STEP");

    /// True when the client must not ask this server again.
    #[must_use]
    pub fn means_stop(self) -> bool {
        self == Self::DENY || self == Self::RSTR
    }
}

impl fmt::Debug for KissCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// What follows the header: extension fields, then a MAC or nothing.
///
/// Nothing in it is acted on by this crate; it is walked so that a packet with a broken tail is refused
/// instead of half read.
/// # Spec
/// RFC 7822 §3
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer<'a> {
    /// The octets of all extension fields.
    fields: &'a [u8],
    /// The message authentication code: empty, 4 (crypto-NAK), 20 or 24 octets.
    pub mac: &'a [u8],
}

impl<'a> Trailer<'a> {
    /// Walks the octets after the header.
    ///
    /// # Errors
    /// [`DecodeError::BadExtension`] when a field is shorter than 16 octets, not a multiple of 4, or passes
    /// the end; [`DecodeError::BadMac`] when what is left has no legal length.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let tail = datagram.get(HEADER_LEN..).unwrap_or_default();
        let mut at = 0_usize;
        loop {
            let rest = tail.get(at..).unwrap_or_default();
            match rest.len() {
                0 | 4 | 20 | 24 => {
                    return Ok(Trailer { fields: tail.get(..at).unwrap_or_default(), mac: rest });
                }
                1..=3 | 5..=15 => return Err(DecodeError::BadMac { len: rest.len() }),
                _ => at = at.saturating_add(field_len(rest, at)?),
            }
        }
    }

    /// The extension fields, as (type, body) in wire order.
    pub fn extensions(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.fields;
        core::iter::from_fn(move || {
            let [k0, k1, l0, l1, ..] = *rest else { return None };
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            let (field, next) = rest.split_at_checked(len)?;
            rest = next;
            Some((u16::from_be_bytes([k0, k1]), field.get(4..)?))
        })
    }
}

fn field_len(rest: &[u8], at: usize) -> Result<usize, DecodeError> {
    let [_, _, l0, l1, ..] = *rest else { return Err(DecodeError::BadMac { len: rest.len() }) };
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    // spec: RFC 7822 §3: at least 16 octets, padded to a word
    if len < 16 || !len.is_multiple_of(4) || len > rest.len() {
        return Err(DecodeError::BadExtension { offset: HEADER_LEN.saturating_add(at), len });
    }
    Ok(len)
}

/// Why bytes are not an NTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer than 48 octets.
    TooShort {
        /// Octets received.
        len: usize,
    },
    /// An extension field with an impossible length.
    BadExtension {
        /// Where the field starts, in octets from the start of the datagram.
        offset: usize,
        /// The length it declares.
        len: usize,
    },
    /// Octets at the end that are neither a field nor a MAC.
    BadMac {
        /// How many.
        len: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::TooShort { len } => write!(f, "ntp: {len} octets, at least 48 needed"),
            DecodeError::BadExtension { offset, len } => {
                write!(f, "ntp: extension field at byte {offset} declares {len} octets")
            }
            DecodeError::BadMac { len } => write!(f, "ntp: {len} octets left that are no MAC"),
        }
    }
}

impl core::error::Error for DecodeError {}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn a_request_tells_nothing_but_its_nonce() {
        let bytes = Packet::request(4, NtpTimestamp::from_bits(0x0102_0304_0506_0708)).encode();
        assert_eq!(bytes[0], 0b00_100_011);
        assert!(bytes[1..40].iter().all(|b| *b == 0));
        assert_eq!(bytes[40..], [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn threat_ntp_lengths_0_to_47_are_too_short() {
        for len in 0..HEADER_LEN {
            assert_eq!(Packet::decode(&vec![0xff; len]), Err(DecodeError::TooShort { len }));
        }
    }

    #[test]
    fn threat_ntp_extension_fields_of_impossible_length() {
        for (len, tail) in [(0_u16, 28), (3, 28), (65_535, 28), (12, 28), (18, 28), (32, 28)] {
            let mut bytes = vec![0; HEADER_LEN + tail];
            bytes[HEADER_LEN + 2..HEADER_LEN + 4].copy_from_slice(&len.to_be_bytes());
            let expected = DecodeError::BadExtension { offset: HEADER_LEN, len: usize::from(len) };
            assert_eq!(Trailer::decode(&bytes), Err(expected), "{len}");
        }
    }

    #[test]
    fn threat_ntp_mac_lengths() {
        for len in 0..16 {
            let bytes = vec![0; HEADER_LEN + len];
            assert_eq!(Trailer::decode(&bytes).is_ok(), len == 0 || len == 4, "{len}");
        }
        for len in [20, 24] {
            let bytes = vec![0; HEADER_LEN + len];
            assert_eq!(Trailer::decode(&bytes).unwrap().mac.len(), len);
        }
    }

    #[test]
    fn extension_fields_and_mac_are_told_apart() {
        let mut bytes = vec![0; HEADER_LEN];
        for (kind, len) in [(0x0104_u16, 16_u16), (0x0204, 28)] {
            let start = bytes.len();
            bytes.extend(kind.to_be_bytes());
            bytes.extend(len.to_be_bytes());
            bytes.resize(start + usize::from(len), kind as u8);
        }
        bytes.extend([9; 20]);
        let trailer = Trailer::decode(&bytes).unwrap();
        assert_eq!(trailer.mac, [9; 20]);
        let seen: Vec<_> = trailer.extensions().map(|(kind, body)| (kind, body.len())).collect();
        assert_eq!(seen, [(0x0104, 12), (0x0204, 24)]);
    }
}
