//! A clock whose every error is known.

use alloc::vec::Vec;
use core::time::Duration;

use crate::instant::{Ppb, UnixTime, nanos, saturate};
use crate::rng::ChaCha;

/// A simulated clock: what it shows is a known function of true time.
///
/// ```
/// use core::time::Duration;
/// use timesync::testkit::SimClock;
/// let clock = SimClock::new(5_000_000_000, 20_000).step(Duration::from_secs(100), -1_000);
/// assert_eq!(clock.error(Duration::from_secs(50)), 5_001_000_000);
/// assert_eq!(clock.error(Duration::from_secs(100)), 5_002_000_000 - 1_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimClock {
    /// From this true time on: the error then, and the rate error.
    pieces: Vec<(Duration, i64, Ppb)>,
    steps: Vec<(Duration, i64)>,
}

impl SimClock {
    /// A clock that shows true time plus `error` nanoseconds at the start and gains `rate` parts per billion.
    #[must_use]
    pub fn new(error: i64, rate: Ppb) -> Self {
        SimClock { pieces: [(Duration::ZERO, error, rate)].into(), steps: Vec::new() }
    }

    /// Lets the rate wander: a new one within `+-limit` parts per billion of the first every `every`, up to
    /// `horizon`.
    #[must_use]
    pub fn wander(mut self, seed: [u8; 32], limit: u64, every: Duration, horizon: Duration) -> Self {
        let mut rng = ChaCha::new(seed);
        let Some(&(_, error, base)) = self.pieces.first() else { return self };
        self.pieces.truncate(1);
        let (mut at, mut error, mut rate) = (Duration::ZERO, error, base);
        while at < horizon && !every.is_zero() {
            error = error.saturating_add(gained(every, rate));
            at = at.saturating_add(every);
            let away = i64::try_from(rng.below(limit.saturating_mul(2).saturating_add(1))).unwrap_or(0);
            rate = base.saturating_add(away).saturating_sub_unsigned(limit);
            self.pieces.push((at, error, rate));
        }
        self
    }

    /// Steps the clock by `by` nanoseconds at a true time.
    #[must_use]
    pub fn step(mut self, at: Duration, by: i64) -> Self {
        self.steps.push((at, by));
        self
    }

    /// What the clock shows minus true time, nanoseconds.
    #[must_use]
    pub fn error(&self, at: Duration) -> i64 {
        let piece = self.pieces.iter().rev().find(|(from, ..)| *from <= at);
        let smooth = piece
            .map_or(0, |(from, error, rate)| error.saturating_add(gained(at.saturating_sub(*from), *rate)));
        self.steps.iter().filter(|(from, _)| *from <= at).fold(smooth, |sum, (_, by)| sum.saturating_add(*by))
    }

    /// What the clock shows when true time is `epoch` plus `at`.
    #[must_use]
    pub fn read(&self, epoch: UnixTime, at: Duration) -> UnixTime {
        epoch.after(at).plus(self.error(at))
    }

    /// The same as a monotonic duration since the start; steps do not touch it.
    #[must_use]
    pub fn monotonic(&self, at: Duration) -> Duration {
        let first = self.pieces.first().map_or(0, |(_, error, _)| *error);
        let steps: i64 = self.steps.iter().filter(|(from, _)| *from <= at).map(|(_, by)| *by).sum();
        let run = nanos(at).saturating_add(self.error(at)).saturating_sub(first).saturating_sub(steps);
        Duration::from_nanos(u64::try_from(run).unwrap_or(0))
    }
}

fn gained(run: Duration, rate: Ppb) -> i64 {
    saturate((i128::from(nanos(run)) * i128::from(rate)).div_euclid(1_000_000_000))
}
