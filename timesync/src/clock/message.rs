//! What the two ends say to each other. Plain values; the host chooses the encoding (feature `serde`).

use crate::instant::{Interval, UnixTime};

/// What a terminal's clock shows.
///
/// `shown` is the local date and time on its display, read as though it were UTC. `zone` is its offset from
/// UTC in seconds, daylight saving included, if it knows one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LocalStamp {
    /// Local time, read as though it were UTC.
    pub shown: UnixTime,
    /// Local time minus UTC, seconds.
    pub zone: Option<i32>,
}

impl LocalStamp {
    /// A stamp of a terminal that knows its offset.
    #[must_use]
    pub const fn with_zone(shown: UnixTime, zone: i32) -> Self {
        LocalStamp { shown, zone: Some(zone) }
    }

    /// What the terminal believes to be UTC, when it knows its offset.
    #[must_use]
    pub const fn utc(&self) -> Option<UnixTime> {
        match self.zone {
            Some(zone) => Some(self.shown.plus((zone as i64).saturating_mul(-1_000_000_000))),
            None => None,
        }
    }
}

/// Server to terminal: "what does your clock show?"
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Probe {
    /// Comes back in the report; good for one.
    pub nonce: u64,
}

/// Terminal to server: the clock when the probe came, and when this report left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// From the probe.
    pub nonce: u64,
    /// c2.
    pub received: LocalStamp,
    /// c3.
    pub sent: LocalStamp,
}

/// Server to terminal: "your clock is wrong by this much; will you set it?"
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClockSync {
    /// Comes back in the answer.
    pub serial: u64,
    /// Terminal clock minus true time, nanoseconds.
    pub deviation: Interval,
}

/// Terminal to server: whether it set its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SyncAnswer {
    /// From the message answered.
    pub serial: u64,
    /// True: the clock was set. False: the user wants it as it is.
    pub accepted: bool,
}
