//! How far a terminal's clock is off, and moments on either timescale.

use core::fmt;

use crate::instant::{Interval, NANOS_PER_SEC, UnixTime, growth};

/// A terminal's deviation: its clock minus true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Deviation {
    /// Clock part, nanoseconds: positive when the clock is fast. No time zone in it.
    pub clock: Interval,
    /// Zone part: local time minus UTC, seconds.
    pub zone: i32,
    /// How the zone part is known.
    pub zone_source: ZoneSource,
    /// When it was measured, true time.
    pub at: UnixTime,
}

/// How the zone part of a deviation is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ZoneSource {
    /// The terminal said it.
    Reported,
    /// It is the multiple of 15 minutes nearest to the whole difference: a guess, right only while the clock
    /// itself is less than 7.5 minutes off.
    Guessed,
    /// The difference is larger than any zone's offset: none was taken out.
    None,
}

impl Deviation {
    /// The clock part at a later time: the bound grows by `phi` parts per billion of age.
    #[must_use]
    pub fn clock_at(&self, now: UnixTime, phi: u64) -> Interval {
        self.clock.widen(growth(now.since(self.at).unsigned_abs(), phi))
    }
}

/// Largest offset of a time zone from UTC, seconds.
const MAX_ZONE: i64 = 14 * 3600;
const QUARTER: i64 = 15 * 60;

/// Splits "local time minus UTC" into a zone part and a clock part.
///
/// The zone part is a multiple of 15 minutes of at most 14 hours; the clock part lies in -450..450 s. Without
/// a word from the terminal this is a guess and says so.
///
/// ```
/// use timesync::clock::{ZoneSource, split_zone};
/// use timesync::Interval;
/// let seven_hours_and_30_s = Interval::point((7 * 3600 + 30) * 1_000_000_000);
/// let (zone, clock, source) = split_zone(seven_hours_and_30_s);
/// assert_eq!((zone, clock, source), (25_200, Interval::point(30_000_000_000), ZoneSource::Guessed));
/// ```
#[must_use]
pub fn split_zone(difference: Interval) -> (i32, Interval, ZoneSource) {
    let seconds = difference.mid().div_euclid(NANOS_PER_SEC);
    let zone = (seconds + QUARTER / 2).div_euclid(QUARTER) * QUARTER;
    match i32::try_from(zone) {
        Ok(small) if zone.abs() <= MAX_ZONE => {
            (small, difference.shift(-zone * NANOS_PER_SEC), ZoneSource::Guessed)
        }
        _ => (0, difference, ZoneSource::None),
    }
}

/// Which clock a moment is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timescale {
    /// True time.
    Utc,
    /// What the terminal's own clock will show then (its zone taken out).
    ClientClock,
}

/// A moment and the clock it is written in. Converting it twice is an error, not a wrong alarm.
///
/// ```
/// use timesync::UnixTime;
/// use timesync::clock::{Compensation, CompensationRefusal, Due, Timescale};
/// let due = Due::utc(UnixTime::from_secs(1_000));
/// let fast = Compensation::exact(90_000_000_000);
/// let shown = due.to_client_clock(fast).unwrap();
/// assert_eq!(shown.at(), UnixTime::from_secs(1_090));
/// assert_eq!(shown.to_client_clock(fast), Err(CompensationRefusal::AlreadyOn(Timescale::ClientClock)));
/// assert_eq!(shown.to_utc(fast), Ok(due));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Due {
    at: UnixTime,
    scale: Timescale,
}

impl Due {
    /// A moment in true time.
    #[must_use]
    pub const fn utc(at: UnixTime) -> Self {
        Due { at, scale: Timescale::Utc }
    }

    /// A moment as a terminal's clock shows it.
    #[must_use]
    pub const fn client_clock(at: UnixTime) -> Self {
        Due { at, scale: Timescale::ClientClock }
    }

    /// The number, on its own clock.
    #[must_use]
    pub const fn at(&self) -> UnixTime {
        self.at
    }

    /// The clock.
    #[must_use]
    pub const fn scale(&self) -> Timescale {
        self.scale
    }

    /// The same moment on the terminal's clock: plus its deviation.
    ///
    /// # Errors
    /// [`CompensationRefusal::AlreadyOn`] when it is on that clock already.
    pub const fn to_client_clock(self, by: Compensation) -> Result<Due, CompensationRefusal> {
        match self.scale {
            Timescale::Utc => Ok(Due::client_clock(self.at.plus(by.deviation))),
            Timescale::ClientClock => Err(CompensationRefusal::AlreadyOn(Timescale::ClientClock)),
        }
    }

    /// The same moment in true time: minus the terminal's deviation.
    ///
    /// # Errors
    /// [`CompensationRefusal::AlreadyOn`] when it is in true time already.
    pub const fn to_utc(self, by: Compensation) -> Result<Due, CompensationRefusal> {
        match self.scale {
            Timescale::ClientClock => Ok(Due::utc(self.at.plus(by.deviation.saturating_neg()))),
            Timescale::Utc => Err(CompensationRefusal::AlreadyOn(Timescale::Utc)),
        }
    }
}

/// The deviation to compensate with, frozen: both directions use the same number, so they cancel exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Compensation {
    deviation: i64,
    radius: u64,
}

impl Compensation {
    /// From a deviation known to an interval: its middle is used, its radius kept.
    #[must_use]
    pub const fn from_interval(deviation: Interval) -> Self {
        Compensation { deviation: deviation.mid(), radius: deviation.radius() }
    }

    /// From a deviation taken as exact, nanoseconds.
    #[must_use]
    pub const fn exact(deviation: i64) -> Self {
        Compensation { deviation, radius: 0 }
    }

    /// Terminal clock minus true time, nanoseconds.
    #[must_use]
    pub const fn deviation(&self) -> i64 {
        self.deviation
    }

    /// How far a compensated moment may be off, nanoseconds.
    #[must_use]
    pub const fn radius(&self) -> u64 {
        self.radius
    }
}

/// Why a moment was not compensated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompensationRefusal {
    /// It is on that clock already: compensating again would shift it twice.
    AlreadyOn(Timescale),
    /// The terminal's deviation was never measured.
    Unknown,
    /// The deviation is beyond what this server compensates.
    BeyondCap {
        /// The deviation, nanoseconds.
        deviation: i64,
        /// The limit, nanoseconds.
        limit: u64,
    },
}

impl fmt::Display for CompensationRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompensationRefusal::AlreadyOn(scale) => write!(f, "the moment is on {scale:?} already"),
            CompensationRefusal::Unknown => write!(f, "the terminal's deviation is unknown"),
            CompensationRefusal::BeyondCap { deviation, limit } => {
                write!(f, "deviation {deviation} ns is over {limit} ns")
            }
        }
    }
}

impl core::error::Error for CompensationRefusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traveller_of_seven_hours_has_no_deviation_of_seven_hours() {
        // mission: T1
        for (seconds, zone, rest) in [
            (7 * 3600, 25_200, 0),
            (-(3 * 3600 + 1800), -12_600, 0),
            (20_700 + 449, 20_700, 449),
            (20_700 + 450, 21_600, -450),
            (20_700 - 450, 20_700, -450),
            (14 * 3600, 50_400, 0),
        ] {
            let (found, clock, source) = split_zone(Interval::point(seconds * NANOS_PER_SEC));
            assert_eq!((found, clock), (zone, Interval::point(rest * NANOS_PER_SEC)), "{seconds}");
            assert_eq!(source, ZoneSource::Guessed);
        }
    }

    #[test]
    fn what_no_zone_explains_is_the_clock() {
        let day = Interval::point(-86_400 * NANOS_PER_SEC);
        assert_eq!(split_zone(day), (0, day, ZoneSource::None));
        assert_eq!(split_zone(Interval::UNKNOWN).0, 0);
    }
}
