//! Time as the host tells it.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since an origin that the host chose once and keeps (the Unix epoch, or its own).
///
/// All `received_at` and `now` of one user count from the same origin. Differences saturate, so a clock that goes
/// back makes evidence look fresh, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds since `earlier`; 0 if that is later.
    #[must_use]
    pub const fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and `ms` milliseconds more; stops at the largest value.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }
}

impl From<Duration> for Millis {
    fn from(d: Duration) -> Millis {
        Millis(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The user's own wall clock: minutes since Monday 00:00, `0..10080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct LocalTime(u16);

impl LocalTime {
    /// Minutes of a week.
    pub const WEEK: u16 = 7 * 24 * 60;

    /// `day` 0 is Monday.
    ///
    /// # Errors
    /// The value, if day, hour or minute is out of range.
    pub fn new(day: u16, hour: u16, minute: u16) -> Result<LocalTime, u16> {
        if day > 6 || hour > 23 || minute > 59 {
            return Err(day.max(hour).max(minute));
        }
        Ok(LocalTime(day * 1440 + hour * 60 + minute))
    }

    /// Day of the week, 0 is Monday.
    #[must_use]
    pub const fn day(self) -> u16 {
        self.0 / 1440
    }

    /// Minute of the day, `0..1440`.
    #[must_use]
    pub const fn minute_of_day(self) -> u16 {
        self.0 % 1440
    }

    /// Minutes since Monday 00:00.
    #[must_use]
    pub const fn minute_of_week(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for LocalTime {
    type Error = String;
    fn try_from(minute: u16) -> Result<LocalTime, String> {
        if minute < LocalTime::WEEK {
            Ok(LocalTime(minute))
        } else {
            Err(format!("minute of the week {minute}, limit {}", LocalTime::WEEK - 1))
        }
    }
}

impl From<LocalTime> for u16 {
    fn from(t: LocalTime) -> u16 {
        t.0
    }
}

/// The moment of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Now {
    /// Host time.
    pub at: Millis,
    /// The user's wall clock, if the host knows it. Rules about the time of day do not match without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalTime>,
}

impl Now {
    /// A moment without a wall clock.
    #[must_use]
    pub const fn at(at: Millis) -> Now {
        Now { at, local: None }
    }

    /// The same moment, with the user's wall clock.
    #[must_use]
    pub const fn with_local(mut self, local: LocalTime) -> Now {
        self.local = Some(local);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_stays_inside_the_week() {
        assert_eq!(LocalTime::new(6, 23, 59).map(LocalTime::minute_of_week), Ok(10_079));
        assert!(LocalTime::new(7, 0, 0).is_err());
        assert!(LocalTime::try_from(10_080).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_negative_age() {
        assert_eq!(Millis(5).since(Millis(9)), 0);
        assert_eq!(Millis(u64::MAX).plus(1), Millis(u64::MAX));
    }
}
