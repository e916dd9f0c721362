//! The server's side: one value per terminal.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::clock::deviation::{Compensation, CompensationRefusal, Deviation, Due, ZoneSource, split_zone};
use crate::clock::message::{ClockSync, LocalStamp, Probe, Report, SyncAnswer};
use crate::exchange::one_way;
use crate::instant::{Interval, Reading, UnixTime, growth, nanos, saturate};

/// How a server manages clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClockConfig {
    /// Deviations up to this many nanoseconds are left alone.
    pub tolerance: u64,
    /// How fast a terminal's clock may drift, parts per billion. Phones in heat: 50 to 100 ppm.
    pub phi: u64,
    /// Longest trip assumed for a stamp that came one way, nanoseconds.
    pub max_trip: u64,
    /// Reports that took longer are refused, nanoseconds.
    pub max_delay: u64,
    /// Least time between two requests to set the clock.
    pub ask_every: Duration,
    /// After this many requests without an answer no more are sent.
    pub max_asks: u32,
    /// Deviations over this many nanoseconds raise an event.
    pub alarm: u64,
    /// Deviations over this many nanoseconds are not compensated.
    pub cap: u64,
    /// A reference wider than this many nanoseconds measures nobody.
    pub max_reference_radius: u64,
}

impl Default for ClockConfig {
    /// 1 s tolerated, 100 ppm, trips to 60 s, reports within 10 min, asked daily at most 5 times; alarm at a
    /// day, cap at 100 years; the reference good to 1 s.
    fn default() -> Self {
        ClockConfig {
            tolerance: 1_000_000_000,
            phi: 100_000,
            max_trip: 60_000_000_000,
            max_delay: 600_000_000_000,
            ask_every: Duration::from_secs(86_400),
            max_asks: 5,
            alarm: 86_400_000_000_000,
            cap: 36_525 * 86_400_000_000_000,
            max_reference_radius: 1_000_000_000,
        }
    }
}

/// What the host must send, or may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerOutput {
    /// Send this to the terminal at a suitable moment.
    Send(ClockSync),
    /// Something happened.
    Event(ClockEvent),
}

/// What happened to a terminal's clock record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockEvent {
    /// A deviation was recorded.
    Measured(Deviation),
    /// What moments are compensated with changed by more than the tolerance: moments sent on the terminal's
    /// clock must be sent again.
    CompensationChanged {
        /// Before, nanoseconds.
        from: i64,
        /// Now, nanoseconds.
        to: i64,
    },
    /// The terminal said it set its clock and the next measurement agrees: deviation zero, not custom.
    Confirmed,
    /// It said so, but its clock is as wrong as before.
    NotConfirmed(Deviation),
    /// The user keeps a time of their own.
    CustomTime,
    /// The deviation is implausibly large.
    Alarm(Deviation),
}

/// Why a message of a terminal was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockRefusal {
    /// The nonce is not the one asked with, or was used already.
    WrongNonce,
    /// The answer belongs to no open request.
    WrongSerial,
    /// The terminal's second stamp is before its first.
    ClientWentBack,
    /// The terminal claims to have held the probe longer than the server waited.
    NegativeDelay {
        /// By how many nanoseconds.
        by: u64,
    },
    /// The report took too long to be worth anything.
    TooMuchDelay {
        /// How long, nanoseconds.
        delay: u64,
    },
    /// The zone is no offset of a time zone, or changed between the two stamps.
    BadZone {
        /// Seconds.
        zone: i32,
    },
    /// Our own reference is not good enough.
    ReferenceTooUncertain {
        /// Its radius, nanoseconds.
        radius: u64,
    },
}

impl fmt::Display for ClockRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClockRefusal::WrongNonce => write!(f, "report answers no open probe"),
            ClockRefusal::WrongSerial => write!(f, "answer to no open request"),
            ClockRefusal::ClientWentBack => write!(f, "terminal clock went back"),
            ClockRefusal::NegativeDelay { by } => write!(f, "delay is negative by {by} ns"),
            ClockRefusal::TooMuchDelay { delay } => write!(f, "report took {delay} ns"),
            ClockRefusal::BadZone { zone } => write!(f, "zone offset {zone} s"),
            ClockRefusal::ReferenceTooUncertain { radius } => {
                write!(f, "reference is good to {radius} ns only")
            }
        }
    }
}

impl core::error::Error for ClockRefusal {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Asked {
    No,
    /// Sent, no answer yet.
    Open(u64),
    /// The terminal says it obeyed; a measurement must confirm it.
    Accepted,
}

/// What a server knows of one terminal's clock.
///
/// ```
/// use timesync::clock::*;
/// use timesync::{Interval, Reading, UnixTime};
/// let at = |ms: i64| Reading::exact(UnixTime::from_nanos(1_000_000_000_000_000 + i128::from(ms) * 1_000_000));
/// let config = ClockConfig::default();
/// let mut terminal = ServerSide::default();
/// let probe = terminal.probe(at(0), 42);
/// // The terminal is 90 s fast and lives at UTC+2; the probe takes 30 ms, the report 10 ms.
/// let shown = |ms: i64| LocalStamp::with_zone(at(ms + 90_000 + 7_200_000).time, 7_200);
/// let report = Report { nonce: probe.nonce, received: shown(30), sent: shown(30) };
/// let outputs = terminal.report(at(40), report, &config).unwrap();
/// assert!(terminal.deviation().unwrap().clock.contains(90_000_000_000));
/// assert!(matches!(outputs.last(), Some(ServerOutput::Send(ClockSync { .. }))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ServerSide {
    deviation: Option<Deviation>,
    custom: bool,
    /// Nonce and s1 of the open probe.
    open: Option<(u64, Reading)>,
    asked: Asked,
    serial: u64,
    asks: u32,
    last_ask: Option<UnixTime>,
}

impl Default for ServerSide {
    fn default() -> Self {
        ServerSide {
            deviation: None,
            custom: false,
            open: None,
            asked: Asked::No,
            serial: 0,
            asks: 0,
            last_ask: None,
        }
    }
}

impl ServerSide {
    /// The deviation as last measured.
    #[must_use]
    pub const fn deviation(&self) -> Option<Deviation> {
        self.deviation
    }

    /// True when the user keeps a time of their own.
    #[must_use]
    pub const fn is_custom(&self) -> bool {
        self.custom
    }

    /// The deviation to compensate with at `now`.
    ///
    /// # Errors
    /// [`CompensationRefusal::Unknown`] or [`CompensationRefusal::BeyondCap`].
    pub fn compensation(
        &self,
        now: UnixTime,
        config: &ClockConfig,
    ) -> Result<Compensation, CompensationRefusal> {
        let deviation = self.deviation.ok_or(CompensationRefusal::Unknown)?;
        let clock = deviation.clock_at(now, config.phi);
        if clock.mid().unsigned_abs() > config.cap {
            return Err(CompensationRefusal::BeyondCap { deviation: clock.mid(), limit: config.cap });
        }
        Ok(Compensation::from_interval(clock))
    }

    /// A moment for this terminal, written on its own clock.
    ///
    /// # Errors
    /// [`CompensationRefusal`].
    pub fn for_terminal(
        &self,
        due: Due,
        now: UnixTime,
        config: &ClockConfig,
    ) -> Result<Due, CompensationRefusal> {
        due.to_client_clock(self.compensation(now, config)?)
    }

    /// A moment set on this terminal, in true time whatever clock it was written on.
    ///
    /// # Errors
    /// [`CompensationRefusal`].
    pub fn from_terminal(
        &self,
        due: Due,
        now: UnixTime,
        config: &ClockConfig,
    ) -> Result<Due, CompensationRefusal> {
        match due.scale() {
            crate::clock::Timescale::Utc => Ok(due),
            crate::clock::Timescale::ClientClock => due.to_utc(self.compensation(now, config)?),
        }
    }

    /// The local time a terminal uploaded with its login: one way, so known only to the longest trip.
    ///
    /// # Errors
    /// [`ClockRefusal`]; nothing is recorded then.
    pub fn login(
        &mut self,
        now: Reading,
        stamp: LocalStamp,
        config: &ClockConfig,
    ) -> Result<Vec<ServerOutput>, ClockRefusal> {
        check_reference(now, config)?;
        check_zone(stamp)?;
        let shown = stamp.utc().unwrap_or(stamp.shown);
        let difference = one_way(shown.as_nanos(), now.time.as_nanos(), config.max_trip).widen(now.radius);
        Ok(self.record(now, difference, stamp.zone, config))
    }

    /// Opens a measurement: send the probe at once. `nonce` must be unpredictable.
    pub fn probe(&mut self, now: Reading, nonce: u64) -> Probe {
        self.open = Some((nonce, now));
        Probe { nonce }
    }

    /// Takes the answer to a probe.
    ///
    /// # Errors
    /// [`ClockRefusal`]; a wrong nonce leaves the probe open, everything else closes it.
    pub fn report(
        &mut self,
        now: Reading,
        report: Report,
        config: &ClockConfig,
    ) -> Result<Vec<ServerOutput>, ClockRefusal> {
        let (_, sent) =
            self.open.filter(|(nonce, _)| *nonce == report.nonce).ok_or(ClockRefusal::WrongNonce)?;
        self.open = None;
        check_reference(now, config)?;
        check_zone(report.received)?;
        check_zone(report.sent)?;
        if report.received.zone != report.sent.zone {
            return Err(ClockRefusal::BadZone { zone: report.sent.zone.unwrap_or(0) });
        }
        let difference = measure(sent, now, &report, config)?;
        Ok(self.record(now, difference, report.sent.zone, config))
    }

    /// Takes the answer to a request to set the clock.
    ///
    /// # Errors
    /// [`ClockRefusal::WrongSerial`] for an answer to anything but the open request.
    pub fn answer(&mut self, answer: SyncAnswer) -> Result<Vec<ServerOutput>, ClockRefusal> {
        if self.asked != Asked::Open(answer.serial) {
            return Err(ClockRefusal::WrongSerial);
        }
        if answer.accepted {
            // Believed only when the next measurement shows it.
            self.asked = Asked::Accepted;
            return Ok(Vec::new());
        }
        self.asked = Asked::No;
        self.custom = true;
        Ok([ServerOutput::Event(ClockEvent::CustomTime)].into())
    }

    fn record(
        &mut self,
        now: Reading,
        difference: Interval,
        zone: Option<i32>,
        config: &ClockConfig,
    ) -> Vec<ServerOutput> {
        let (zone, clock, zone_source) = match zone {
            Some(zone) => (zone, difference, ZoneSource::Reported),
            None => split_zone(difference),
        };
        let deviation = Deviation { clock, zone, zone_source, at: now.time };
        let before = self.deviation.map_or(0, |old| old.clock.mid());
        self.deviation = Some(deviation);
        let mut outputs: Vec<ServerOutput> = [ServerOutput::Event(ClockEvent::Measured(deviation))].into();
        let mut event = |event| outputs.push(ServerOutput::Event(event));
        let wrong = clock.lo() > 0 && clock.lo().unsigned_abs() > config.tolerance
            || clock.hi() < 0 && clock.hi().unsigned_abs() > config.tolerance;
        let good = Interval::around(0, config.tolerance.saturating_add(clock.radius())).covers(clock);
        if self.asked == Asked::Accepted && good {
            self.asked = Asked::No;
            self.custom = false;
            self.asks = 0;
            self.deviation = Some(Deviation { clock: Interval::around(0, clock.radius()), ..deviation });
            event(ClockEvent::Confirmed);
        } else if self.asked == Asked::Accepted {
            self.asked = Asked::No;
            event(ClockEvent::NotConfirmed(deviation));
        }
        let after = self.deviation.map_or(0, |new| new.clock.mid());
        if before.abs_diff(after) > config.tolerance {
            event(ClockEvent::CompensationChanged { from: before, to: after });
        }
        if clock.mid().unsigned_abs() > config.alarm {
            event(ClockEvent::Alarm(deviation));
        }
        if wrong && !self.custom && self.may_ask(now.time, config) {
            self.serial = self.serial.wrapping_add(1);
            self.asks = self.asks.saturating_add(1);
            self.last_ask = Some(now.time);
            self.asked = Asked::Open(self.serial);
            outputs.push(ServerOutput::Send(ClockSync { serial: self.serial, deviation: clock }));
        }
        outputs
    }

    fn may_ask(&self, now: UnixTime, config: &ClockConfig) -> bool {
        let rested = self.last_ask.is_none_or(|last| now.since(last) >= nanos(config.ask_every));
        rested && self.asks < config.max_asks
    }
}

/// Terminal minus reference, from s1, c2, c3, s4.
fn measure(
    sent: Reading,
    now: Reading,
    report: &Report,
    config: &ClockConfig,
) -> Result<Interval, ClockRefusal> {
    let shown = |stamp: LocalStamp| stamp.utc().unwrap_or(stamp.shown).as_nanos();
    let (s1, s4) = (sent.time.as_nanos(), now.time.as_nanos());
    let (c2, c3) = (shown(report.received), shown(report.sent));
    let held = c3.saturating_sub(c2);
    if held < 0 {
        return Err(ClockRefusal::ClientWentBack);
    }
    let waited = s4.saturating_sub(s1);
    let waited_nanos = u64::try_from(waited).unwrap_or(0);
    // Both clocks may have drifted while the terminal held the probe, for hours if it slept.
    let blur = growth(waited_nanos, config.phi).saturating_add(sent.radius.max(now.radius));
    let delay = waited.saturating_sub(held);
    if delay < -i128::from(blur) {
        return Err(ClockRefusal::NegativeDelay { by: saturate(delay).unsigned_abs() });
    }
    let delay = u64::try_from(delay.max(0)).unwrap_or(u64::MAX);
    if delay > config.max_delay {
        return Err(ClockRefusal::TooMuchDelay { delay });
    }
    let twice = c2.saturating_sub(s1).saturating_add(c3.saturating_sub(s4));
    Ok(Interval::around(saturate(twice >> 1), (delay / 2).saturating_add(2).saturating_add(blur)))
}

fn check_reference(now: Reading, config: &ClockConfig) -> Result<(), ClockRefusal> {
    if now.radius > config.max_reference_radius {
        return Err(ClockRefusal::ReferenceTooUncertain { radius: now.radius });
    }
    Ok(())
}

fn check_zone(stamp: LocalStamp) -> Result<(), ClockRefusal> {
    // No zone was ever farther than 16 hours from UTC (Manila before 1845, Alaska before 1867).
    match stamp.zone {
        Some(zone) if zone.unsigned_abs() > 16 * 3600 => Err(ClockRefusal::BadZone { zone }),
        _ => Ok(()),
    }
}
