//! The server: a pure function from a request to a reply that is never longer.

use crate::instant::UnixTime;
use crate::packet::{HEADER_LEN, KissCode, Packet};
use crate::request::MAX_DATAGRAM;
use crate::timestamp::{NtpShort, NtpTimestamp};

/// What a server says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// Leap indicator: 0 none, 1 and 2 a leap second is near, 3 not synchronised.
    pub leap: u8,
    /// Stratum, 1..=15; 16 when not synchronised.
    pub stratum: u8,
    /// Precision, log2 seconds.
    pub precision: i8,
    /// Delay to the reference, nanoseconds.
    pub root_delay: u64,
    /// Dispersion to the reference, nanoseconds.
    pub root_dispersion: u64,
    /// Reference id.
    pub reference_id: [u8; 4],
    /// When the clock was last set; `None` when unknown.
    pub reference: Option<UnixTime>,
}

impl ServerStatus {
    /// A server that is its own reference.
    #[must_use]
    pub const fn primary() -> Self {
        ServerStatus {
            leap: 0,
            stratum: 1,
            precision: -20,
            root_delay: 0,
            root_dispersion: 0,
            reference_id: *b"LOCL",
            reference: None,
        }
    }

    /// A server that does not know the time; honest clients refuse its answers.
    #[must_use]
    pub const fn unsynchronised() -> Self {
        ServerStatus { leap: 3, stratum: 16, ..Self::primary() }
    }
}

/// Answers requests; keeps nothing between them.
///
/// Only client requests (mode 3) of versions 1 to 4 are answered, all else is met with silence, and a reply is
/// always 48 octets: it amplifies nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Server {}

impl Server {
    /// The reply to a datagram that came at `received`, to be sent at `transmit` (both on the server's clock);
    /// `None` when silence is the answer.
    #[must_use]
    pub fn reply(
        &self,
        datagram: &[u8],
        received: UnixTime,
        transmit: UnixTime,
        status: &ServerStatus,
    ) -> Option<[u8; HEADER_LEN]> {
        let request = accept(datagram)?;
        let reply = Packet {
            leap: status.leap,
            version: request.version,
            mode: 4,
            stratum: status.stratum,
            poll: request.poll,
            precision: status.precision,
            root_delay: NtpShort::from_nanos(status.root_delay),
            root_dispersion: NtpShort::from_nanos(status.root_dispersion),
            reference_id: status.reference_id,
            reference: status.reference.map_or(NtpTimestamp::UNKNOWN, known),
            origin: request.transmit,
            receive: known(received),
            transmit: known(transmit.max(received)),
        };
        Some(reply.encode())
    }

    /// A kiss of death instead of an answer: it carries no time.
    #[must_use]
    pub fn kiss(&self, datagram: &[u8], code: KissCode) -> Option<[u8; HEADER_LEN]> {
        let request = accept(datagram)?;
        let mut reply = Packet::request(request.version, NtpTimestamp::UNKNOWN);
        reply.mode = 4;
        reply.leap = 3;
        reply.reference_id = code.0;
        reply.origin = request.transmit;
        Some(reply.encode())
    }
}

fn accept(datagram: &[u8]) -> Option<Packet> {
    if datagram.len() > MAX_DATAGRAM {
        return None;
    }
    let request = Packet::decode(datagram).ok()?;
    (request.mode == 3 && (1..=4).contains(&request.version)).then_some(request)
}

/// The first instant of an era must not travel as "unknown".
fn known(time: UnixTime) -> NtpTimestamp {
    NtpTimestamp::from_bits(NtpTimestamp::from_unix(time).bits().max(1))
}
