//! How a session behaves.

use crate::Secret;
use crate::smpp::pdu::Bind;
use crate::smpp::{CString, CommandId, InterfaceVersion, Limits, Npi, Quirks, Ton};
use std::time::Duration;

/// What a session keeps to; every field can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Our name: of the centre, as SMSC.
    pub system_id: CString<16>,
    /// Version that we speak.
    pub interface_version: InterfaceVersion,
    /// Our requests that may be unanswered at once.
    pub window: usize,
    /// The peer's requests that may be unanswered at once.
    pub peer_window: usize,
    /// How fast we may send; `None` for no limit.
    pub rate: Option<Rate>,
    /// How long to wait for what.
    pub timers: Timers,
    /// Limits on PDUs.
    pub limits: Limits,
    /// Deviations taken.
    pub quirks: Quirks,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            system_id: CString::default(),
            interface_version: InterfaceVersion::V3_4,
            window: 10,
            peer_window: 100,
            rate: None,
            timers: Timers::default(),
            limits: Limits::default(),
            quirks: Quirks::normal(),
        }
    }
}

/// Timers of a session. The standard names no numbers; these are usual.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timers {
    /// From the start of the link to a bind that is accepted.
    pub bind: Duration,
    /// From a request to its response.
    pub response: Duration,
    /// Of silence until we ask whether the peer is there.
    pub enquire_link: Duration,
    /// Without a message in either direction until we unbind; `None` for never.
    pub inactivity: Option<Duration>,
    /// For an unbind to drain.
    pub unbind: Duration,
    /// First pause after RTHROTTLED or RMSGQFUL; doubles up to 64 times this.
    pub throttle: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            bind: Duration::from_secs(10),
            response: Duration::from_secs(60),
            enquire_link: Duration::from_secs(30),
            inactivity: None,
            unbind: Duration::from_secs(30),
            throttle: Duration::from_secs(1),
        }
    }
}

/// How fast messages may go out. Operators count parts, not messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Parts a second.
    pub parts_per_second: u32,
    /// Parts at once after a pause, at least 1.
    pub burst: u32,
}

/// What a bind is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindMode {
    /// The ESME sends.
    Transmitter,
    /// The ESME receives.
    Receiver,
    /// Both.
    Transceiver,
}

impl BindMode {
    /// The command that asks for it.
    pub fn command_id(self) -> CommandId {
        match self {
            BindMode::Transmitter => CommandId::BIND_TRANSMITTER,
            BindMode::Receiver => CommandId::BIND_RECEIVER,
            BindMode::Transceiver => CommandId::BIND_TRANSCEIVER,
        }
    }

    /// True if the ESME may send messages.
    pub fn transmits(self) -> bool {
        self != BindMode::Receiver
    }

    /// True if the ESME gets messages.
    pub fn receives(self) -> bool {
        self != BindMode::Transmitter
    }
}

/// What an ESME binds with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// What for.
    pub mode: BindMode,
    /// The account.
    pub system_id: CString<16>,
    /// Its password.
    pub password: Secret<CString<9>>,
    /// Kind of client; usually empty.
    pub system_type: CString<13>,
    /// Type of the served numbers.
    pub addr_ton: Ton,
    /// Plan of the served numbers.
    pub addr_npi: Npi,
    /// The served numbers.
    pub address_range: CString<41>,
}

impl Credentials {
    /// Without system type and address range.
    pub fn new(mode: BindMode, system_id: CString<16>, password: CString<9>) -> Self {
        Credentials {
            mode,
            system_id,
            password: Secret::new(password),
            system_type: CString::default(),
            addr_ton: Ton::UNKNOWN,
            addr_npi: Npi::UNKNOWN,
            address_range: CString::default(),
        }
    }

    pub(super) fn bind(&self, interface_version: InterfaceVersion) -> Bind {
        Bind {
            system_id: self.system_id.clone(),
            password: self.password.clone(),
            system_type: self.system_type.clone(),
            interface_version,
            addr_ton: self.addr_ton,
            addr_npi: self.addr_npi,
            address_range: self.address_range.clone(),
            ..Bind::default()
        }
    }
}
