//! What to do about an offset, and a clock of our own that obeys.
//!
//! This crate never sets the system's clock. [`advise`] says what should be done; a [`VirtualClock`] does it
//! to a timescale of its own, which never goes back except by an explicit step.

use core::fmt;
use core::time::Duration;

use crate::instant::{Interval, Ppb, UnixTime, nanos, saturate};

/// Advice about an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Correction {
    /// Zero lies within the bound: nothing is known to be wrong.
    None,
    /// Run faster (positive) or slower for a while.
    Slew {
        /// Extra rate, parts per billion.
        rate: Ppb,
        /// For how long.
        duration: Duration,
    },
    /// Jump; forget all samples taken before.
    Step {
        /// Nanoseconds to add to the clock.
        by: i64,
    },
    /// Do nothing and ask a human.
    Refuse(SteerRefusal),
}

/// Why an offset is not corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SteerRefusal {
    /// More than the panic threshold: likelier a broken server than a broken clock.
    Panic {
        /// The offset, nanoseconds.
        offset: i64,
        /// The threshold, nanoseconds.
        limit: u64,
    },
    /// The bound is wider than the caller allows for a correction.
    TooUncertain {
        /// Radius of the bound, nanoseconds.
        radius: u64,
        /// The most allowed, nanoseconds.
        limit: u64,
    },
}

impl fmt::Display for SteerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SteerRefusal::Panic { offset, limit } => write!(f, "offset {offset} ns is over {limit} ns"),
            SteerRefusal::TooUncertain { radius, limit } => {
                write!(f, "offset is known to +-{radius} ns only, limit {limit}")
            }
        }
    }
}

/// When to slew, step or refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Thresholds {
    /// Offsets of at least this many nanoseconds are stepped.
    pub step: u64,
    /// Offsets over this many nanoseconds are refused.
    pub panic: u64,
    /// Bounds wider than this many nanoseconds are refused.
    pub max_radius: u64,
    /// Fastest slew, parts per billion; at most 500,000,000.
    pub max_slew: u64,
    /// A slew takes at least this long: small offsets are spread, not jerked.
    pub slew_over: Duration,
}

impl Default for Thresholds {
    /// Step from 0.125 s, panic over 1000 s, slew at most 500 ppm, spread over at least 64 s.
    // spec: RFC 5905 §11.2.3 STEPT, PANICT
    fn default() -> Self {
        Thresholds {
            step: 125_000_000,
            panic: 1_000_000_000_000,
            max_radius: u64::MAX,
            max_slew: 500_000,
            slew_over: Duration::from_secs(64),
        }
    }
}

/// What to do about a clock that is behind the reference by `offset`.
///
/// ```
/// use core::time::Duration;
/// use timesync::{Correction, Interval, Thresholds, advise};
/// let slew = advise(Interval::around(100_000_000, 1_000), &Thresholds::default());
/// assert_eq!(slew, Correction::Slew { rate: 500_000, duration: Duration::from_secs(200) });
/// ```
#[must_use]
pub fn advise(offset: Interval, thresholds: &Thresholds) -> Correction {
    if offset.contains(0) {
        return Correction::None;
    }
    let (by, radius) = (offset.mid(), offset.radius());
    if radius > thresholds.max_radius {
        return Correction::Refuse(SteerRefusal::TooUncertain { radius, limit: thresholds.max_radius });
    }
    if by.unsigned_abs() > thresholds.panic {
        return Correction::Refuse(SteerRefusal::Panic { offset: by, limit: thresholds.panic });
    }
    if by.unsigned_abs() >= thresholds.step || thresholds.max_slew == 0 {
        return Correction::Step { by };
    }
    slew(by, thresholds)
}

fn slew(by: i64, thresholds: &Thresholds) -> Correction {
    let gentle = nanos(thresholds.slew_over).unsigned_abs().max(1);
    let wanted = (u128::from(by.unsigned_abs()) * 1_000_000_000).div_ceil(u128::from(gentle));
    let size = wanted.min(u128::from(thresholds.max_slew.min(MAX_SLEW))).max(1);
    let duration = (u128::from(by.unsigned_abs()) * 1_000_000_000) / size;
    let rate = i64::try_from(size).unwrap_or(i64::MAX) * by.signum();
    Correction::Slew { rate, duration: Duration::from_nanos(u64::try_from(duration).unwrap_or(u64::MAX)) }
}

/// No slew may stop a clock: half speed at most.
const MAX_SLEW: u64 = 500_000_000;

/// A clock derived from the host's monotonic one: corrected, and never going back under slew.
///
/// ```
/// use core::time::Duration;
/// use timesync::{Correction, UnixTime, VirtualClock};
/// let mut clock = VirtualClock::new(Duration::ZERO, UnixTime::from_secs(1_000));
/// clock.apply(Duration::ZERO, Correction::Slew { rate: 500_000, duration: Duration::from_secs(200) });
/// let later = clock.read(Duration::from_secs(200));
/// assert_eq!(later.since(UnixTime::from_secs(1_200)), 100_000_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VirtualClock {
    since: Duration,
    value: UnixTime,
    /// Standing frequency correction.
    rate: Ppb,
    /// Slew on top of it, until a moment.
    slew: Option<(Ppb, Duration)>,
}

impl VirtualClock {
    /// A clock that reads `value` at `now` and runs as the monotonic clock does.
    #[must_use]
    pub const fn new(now: Duration, value: UnixTime) -> Self {
        VirtualClock { since: now, value, rate: 0, slew: None }
    }

    /// The time at `now`. Moments before the last correction read as that correction.
    #[must_use]
    pub fn read(&self, now: Duration) -> UnixTime {
        let run = now.saturating_sub(self.since);
        let (slew, slewed) = match self.slew {
            Some((rate, until)) => (rate, run.min(until.saturating_sub(self.since))),
            None => (0, Duration::ZERO),
        };
        let extra = stretch(run, self.rate).saturating_add(stretch(slewed, slew));
        UnixTime::from_nanos(
            self.value.as_nanos().saturating_add(i128::from(nanos(run))).saturating_add(extra),
        )
    }

    /// Applies a correction from `now` on. A slew replaces the one under way.
    pub fn apply(&mut self, now: Duration, correction: Correction) {
        let now = now.max(self.since);
        self.value = self.read(now);
        self.slew = self.slew.filter(|(_, until)| *until > now);
        self.since = now;
        match correction {
            Correction::None | Correction::Refuse(_) => {}
            Correction::Slew { rate, duration } => {
                let most = MAX_SLEW.cast_signed();
                self.slew = Some((rate.clamp(-most, most), now.saturating_add(duration)));
            }
            Correction::Step { by } => {
                self.slew = None;
                self.value = self.value.plus(by);
            }
        }
    }

    /// Sets the standing frequency correction, parts per billion, from `now` on; limited to +-40 %.
    pub fn set_rate(&mut self, now: Duration, rate: Ppb) {
        self.apply(now, Correction::None);
        self.rate = rate.clamp(-400_000_000, 400_000_000);
    }

    /// What is still to be slewed at `now`, nanoseconds.
    #[must_use]
    pub fn pending(&self, now: Duration) -> i64 {
        self.slew
            .map_or(0, |(rate, until)| saturate(stretch(until.saturating_sub(now.max(self.since)), rate)))
    }
}

fn stretch(run: Duration, rate: Ppb) -> i128 {
    (i128::from(nanos(run)) * i128::from(rate)).div_euclid(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_follows_the_thresholds() {
        let t = Thresholds::default();
        assert_eq!(advise(Interval::around(50, 100), &t), Correction::None);
        assert_eq!(advise(Interval::point(125_000_000), &t), Correction::Step { by: 125_000_000 });
        assert_eq!(advise(Interval::point(-125_000_000), &t), Correction::Step { by: -125_000_000 });
        assert!(matches!(advise(Interval::point(-124_999_999), &t), Correction::Slew { rate: -500_000, .. }));
        let small = advise(Interval::point(6_400_000), &t);
        assert_eq!(small, Correction::Slew { rate: 100_000, duration: Duration::from_secs(64) });
    }

    #[test]
    fn threat_t1_a_step_over_1000_seconds_asks() {
        let far = Interval::point(1_000_000_000_001);
        let refusal = SteerRefusal::Panic { offset: 1_000_000_000_001, limit: 1_000_000_000_000 };
        assert_eq!(advise(far, &Thresholds::default()), Correction::Refuse(refusal));
    }

    #[test]
    fn a_second_slew_keeps_what_the_first_has_done() {
        let mut clock = VirtualClock::new(Duration::ZERO, UnixTime::EPOCH);
        clock.apply(Duration::ZERO, Correction::Slew { rate: 500_000, duration: Duration::from_secs(200) });
        assert_eq!(clock.pending(Duration::from_secs(100)), 50_000_000);
        clock.apply(Duration::from_secs(100), Correction::Step { by: -1 });
        assert_eq!(clock.pending(Duration::from_secs(100)), 0);
        assert_eq!(clock.read(Duration::from_secs(100)).as_nanos(), 100_050_000_000 - 1);
    }

    #[test]
    fn an_absurd_slew_cannot_stop_the_clock() {
        let mut clock = VirtualClock::new(Duration::ZERO, UnixTime::EPOCH);
        clock.apply(Duration::ZERO, Correction::Slew { rate: i64::MIN, duration: Duration::MAX });
        clock.set_rate(Duration::ZERO, i64::MIN);
        assert!(clock.read(Duration::from_secs(10)) > clock.read(Duration::from_secs(9)));
    }
}
