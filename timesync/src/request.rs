//! One question to one server, and the checks its answer must pass.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use crate::packet::{DecodeError, KissCode, Packet, Trailer};
use crate::timestamp::NtpTimestamp;

/// The farthest a believable server may be from its reference clock, in nanoseconds.
// spec: RFC 5905 §7.2 MAXDISP
pub const MAX_DISPERSION: u64 = 16_000_000_000;

/// The longest datagram looked at; longer ones are refused unread.
pub const MAX_DATAGRAM: usize = 2048;

/// A request that is under way.
///
/// The nonce goes out as the transmit timestamp and must come back as the origin. It is good for one reply:
/// [`check`](Self::check) consumes the request when it succeeds, and hands it back otherwise so that a forged
/// reply cannot cancel the wait for the real one.
///
/// ```
/// use timesync::{NtpTimestamp, Packet, ReplyRefusal, Request};
/// let request = Request::new(NtpTimestamp::from_bits(0x1234_5678_9abc_def0));
/// let bytes = request.packet().encode();
/// // The request itself, echoed by a reflector, is no answer:
/// let (_, refusal) = request.check(&bytes).unwrap_err();
/// assert_eq!(refusal, ReplyRefusal::WrongMode { mode: 3 });
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    nonce: NtpTimestamp,
    version: u8,
}

impl Request {
    /// A version 4 request with this random nonce.
    #[must_use]
    pub const fn new(nonce: NtpTimestamp) -> Self {
        Request { nonce, version: 4 }
    }

    /// The same with another version, 1..=4.
    #[must_use]
    pub const fn with_version(nonce: NtpTimestamp, version: u8) -> Self {
        Request { nonce, version }
    }

    /// What to send.
    #[must_use]
    pub const fn packet(&self) -> Packet {
        Packet::request(self.version, self.nonce)
    }

    /// Checks a datagram against this request, in the order of the standard.
    ///
    /// # Errors
    /// The first check that fails, with the request given back.
    // spec: RFC 5905 §8 figure 22, A.5.1.1
    pub fn check(self, datagram: &[u8]) -> Result<Packet, (Request, ReplyRefusal)> {
        match self.examine(datagram) {
            Ok(packet) => Ok(packet),
            Err(refusal) => Err((self, refusal)),
        }
    }

    /// [`check`](Self::check) by reference: the caller forgets the request itself.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn examine(&self, datagram: &[u8]) -> Result<Packet, ReplyRefusal> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(ReplyRefusal::TooLong { len: datagram.len() });
        }
        let reply = Packet::decode(datagram)?;
        if reply.mode != 4 {
            return Err(ReplyRefusal::WrongMode { mode: reply.mode });
        }
        if reply.version == 0 || reply.version > self.version {
            return Err(ReplyRefusal::WrongVersion { version: reply.version });
        }
        if reply.origin != self.nonce || self.nonce.is_unknown() {
            return Err(ReplyRefusal::WrongOrigin);
        }
        if let Some(code) = reply.kiss_code() {
            return Err(ReplyRefusal::KissOfDeath { code });
        }
        if reply.leap == 3 || reply.stratum >= 16 {
            return Err(ReplyRefusal::Unsynchronised { leap: reply.leap, stratum: reply.stratum });
        }
        if reply.transmit.is_unknown() || reply.receive.is_unknown() {
            return Err(ReplyRefusal::UnknownTimestamp);
        }
        let root = root_distance(&reply);
        if root >= MAX_DISPERSION {
            return Err(ReplyRefusal::RootTooFar { nanos: root });
        }
        // By signed difference: `<` is wrong across an era change.
        if !reply.reference.is_unknown() && reply.transmit.signed_since(reply.reference).bits() < 0 {
            return Err(ReplyRefusal::ReferenceInFuture);
        }
        if !(-32..=0).contains(&reply.precision) {
            return Err(ReplyRefusal::BadPrecision { precision: reply.precision });
        }
        Trailer::decode(datagram)?;
        Ok(reply)
    }
}

/// Root delay / 2 + root dispersion, in nanoseconds.
#[must_use]
pub fn root_distance(reply: &Packet) -> u64 {
    reply.root_delay.as_nanos_ceil().div_ceil(2).saturating_add(reply.root_dispersion.as_nanos_ceil())
}

/// Why a datagram is not taken as the answer. The request stays open unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyRefusal {
    /// Over 2,048 octets.
    TooLong {
        /// Octets received.
        len: usize,
    },
    /// Not an NTP packet.
    Malformed(DecodeError),
    /// Not a server's reply.
    WrongMode {
        /// Mode received.
        mode: u8,
    },
    /// Version 0, or newer than asked.
    WrongVersion {
        /// Version received.
        version: u8,
    },
    /// The origin is not our nonce: late, repeated or forged.
    WrongOrigin,
    /// The server asks to be left alone or asked less often.
    KissOfDeath {
        /// Its code.
        code: KissCode,
    },
    /// The server does not know the time.
    Unsynchronised {
        /// Leap indicator.
        leap: u8,
        /// Stratum.
        stratum: u8,
    },
    /// Receive or transmit timestamp is zero.
    UnknownTimestamp,
    /// Root delay / 2 + root dispersion is 16 s or more.
    RootTooFar {
        /// That sum in nanoseconds.
        nanos: u64,
    },
    /// The server was set later than it answered.
    ReferenceInFuture,
    /// Precision outside 2^-32 ..= 1 s.
    // quirk: another client panics on precision 100 or -128
    BadPrecision {
        /// Precision received, log2 seconds.
        precision: i8,
    },
}

impl From<DecodeError> for ReplyRefusal {
    fn from(error: DecodeError) -> Self {
        ReplyRefusal::Malformed(error)
    }
}

impl fmt::Display for ReplyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyRefusal::TooLong { len } => write!(f, "reply of {len} octets, at most {MAX_DATAGRAM}"),
            ReplyRefusal::Malformed(error) => error.fmt(f),
            ReplyRefusal::WrongMode { mode } => write!(f, "mode {mode}, expected 4"),
            ReplyRefusal::WrongVersion { version } => write!(f, "version {version}"),
            ReplyRefusal::WrongOrigin => write!(f, "origin is not the nonce of this request"),
            ReplyRefusal::KissOfDeath { code } => write!(f, "kiss of death {code:?}"),
            ReplyRefusal::Unsynchronised { leap, stratum } => {
                write!(f, "server not synchronised (leap {leap}, stratum {stratum})")
            }
            ReplyRefusal::UnknownTimestamp => write!(f, "receive or transmit timestamp is zero"),
            ReplyRefusal::RootTooFar { nanos } => {
                write!(f, "root distance {nanos} ns, limit {MAX_DISPERSION}")
            }
            ReplyRefusal::ReferenceInFuture => write!(f, "reference later than transmit"),
            ReplyRefusal::BadPrecision { precision } => write!(f, "precision {precision}, expected -32..=0"),
        }
    }
}

impl core::error::Error for ReplyRefusal {}
