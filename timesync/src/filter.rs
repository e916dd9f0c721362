//! The clock filter: the last samples of one server, the best of them, and how far they scatter.

use core::fmt;
use core::time::Duration;

use crate::exchange::Measurement;
use crate::instant::{Interval, growth, nanos};

/// How many samples are kept.
// spec: RFC 5905 §10 NSTAGE
pub const STAGES: usize = 8;

/// One measured offset of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sample {
    /// When it was taken, on the host's monotonic clock.
    pub at: Duration,
    /// Offset of the server from the client's timescale, nanoseconds.
    pub offset: Interval,
    /// Round-trip delay, nanoseconds.
    pub delay: u64,
    /// How far the server itself may be from true time, nanoseconds (root delay / 2 + root dispersion).
    pub root: u64,
}

impl Sample {
    /// A sample from a measurement.
    #[must_use]
    pub const fn new(at: Duration, measured: Measurement, root: u64) -> Self {
        Sample { at, offset: measured.offset, delay: measured.delay, root }
    }

    /// The bound at `now`: the sample's own, the server's, and `phi` parts per billion of age.
    #[must_use]
    pub const fn bound_at(&self, now: Duration, phi: u64) -> Interval {
        self.offset.widen(self.root.saturating_add(growth(age(self.at, now), phi)))
    }
}

pub(crate) const fn age(then: Duration, now: Duration) -> u64 {
    nanos(now.abs_diff(then)).unsigned_abs()
}

/// The last eight samples of one server.
///
/// ```
/// use core::time::Duration;
/// use timesync::{ClockFilter, Interval, Sample};
/// let mut filter = ClockFilter::new(15_000);
/// let sample = |s, offset, delay| Sample {
///     at: Duration::from_secs(s), offset: Interval::around(offset, delay / 2), delay, root: 0 };
/// filter.push(sample(1, 5_000, 40_000)).unwrap();
/// filter.push(sample(2, -900, 2_000)).unwrap();
/// filter.push(sample(3, 9_000, 60_000)).unwrap();
/// let best = filter.best(Duration::from_secs(3)).unwrap();
/// assert_eq!(best.sample.offset.mid(), -900); // least delay wins
/// ```
/// # Spec
/// RFC 5905 §10
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClockFilter {
    /// Newest first.
    samples: [Option<Sample>; STAGES],
    phi: u64,
}

/// The filter's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// The sample chosen: least half delay plus growth by age.
    pub sample: Sample,
    /// Its bound now.
    pub bound: Interval,
    /// Root mean square difference of the other offsets from it, nanoseconds.
    pub jitter: u64,
    /// Weighted sum of the samples' ages and bounds; empty stages count 16 s. Nanoseconds.
    pub dispersion: u64,
}

/// Why a sample was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterRefusal {
    /// Not newer than the last one used: the same reply twice, or replies out of order.
    NotNewer,
    /// It contradicts what is kept beyond every bound: a clock was stepped. The filter now holds this sample
    /// only; the samples before the step are gone.
    Stepped {
        /// What the kept sample allows.
        expected: Interval,
        /// What the new one says.
        found: Interval,
    },
}

impl fmt::Display for FilterRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterRefusal::NotNewer => write!(f, "sample is not newer than the last one"),
            FilterRefusal::Stepped { expected, found } => {
                write!(f, "a clock stepped: expected {expected:?}, found {found:?}")
            }
        }
    }
}

impl core::error::Error for FilterRefusal {}

impl ClockFilter {
    /// An empty filter for clocks that may drift `phi` parts per billion.
    #[must_use]
    pub const fn new(phi: u64) -> Self {
        ClockFilter { samples: [None; STAGES], phi }
    }

    /// Takes a sample in.
    ///
    /// # Errors
    /// [`FilterRefusal::NotNewer`] changes nothing; after [`FilterRefusal::Stepped`] the filter has restarted
    /// from this sample.
    pub fn push(&mut self, sample: Sample) -> Result<(), FilterRefusal> {
        // spec: RFC 5905 §10: never a sample older than the last one used
        if self.samples.iter().flatten().any(|kept| kept.at >= sample.at) {
            return Err(FilterRefusal::NotNewer);
        }
        let found = sample.bound_at(sample.at, self.phi);
        let broken = self
            .samples
            .iter()
            .flatten()
            .map(|kept| kept.bound_at(sample.at, self.phi))
            .find(|expected| !expected.overlaps(found));
        if let Some(expected) = broken {
            self.clear();
            self.insert(sample);
            return Err(FilterRefusal::Stepped { expected, found });
        }
        self.insert(sample);
        Ok(())
    }

    fn insert(&mut self, sample: Sample) {
        self.samples.rotate_right(1);
        if let Some(newest) = self.samples.first_mut() {
            *newest = Some(sample);
        }
    }

    /// Forgets everything: call it after stepping the clock the samples were taken on.
    pub fn clear(&mut self) {
        self.samples = [None; STAGES];
    }

    /// The best sample at `now`, or `None` when there is none.
    #[must_use]
    pub fn best(&self, now: Duration) -> Option<Filtered> {
        let mut order: [Option<(u64, Sample)>; STAGES] =
            self.samples.map(|stage| stage.map(|kept| (kept.bound_at(now, self.phi).radius(), kept)));
        order.sort_unstable_by_key(|stage| stage.map_or((u64::MAX, Duration::MAX), |(r, kept)| (r, kept.at)));
        let (_, sample) = order.first().copied().flatten()?;
        let mut squares = 0_u128;
        let mut others = 0_u128;
        let mut dispersion = 0_u64;
        for (i, stage) in order.iter().enumerate() {
            // spec: RFC 5905 §10: sum of eps_i / 2^(i+1), dummies count MAXDISP
            let radius = stage.map_or(crate::request::MAX_DISPERSION, |(radius, _)| radius);
            dispersion = dispersion.saturating_add(radius >> (i + 1));
            if let Some((_, kept)) = stage.filter(|_| i > 0) {
                let away = u128::from(kept.offset.mid().abs_diff(sample.offset.mid()));
                squares = squares.saturating_add(away.saturating_mul(away));
                others += 1;
            }
        }
        // spec: RFC 5905 §10 equation: root of the sum of squares, over n - 1
        let jitter = squares.isqrt().checked_div(others).unwrap_or(0);
        Some(Filtered {
            sample,
            bound: sample.bound_at(now, self.phi),
            jitter: u64::try_from(jitter).unwrap_or(u64::MAX),
            dispersion,
        })
    }

    /// The kept samples, newest first.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(s: u64, mid: i64, radius: u64) -> Sample {
        Sample {
            at: Duration::from_secs(s),
            offset: Interval::around(mid, radius),
            delay: radius * 2,
            root: 0,
        }
    }

    #[test]
    fn an_old_good_sample_loses_to_a_fresh_fair_one() {
        let mut filter = ClockFilter::new(15_000);
        filter.push(sample(0, 0, 1_000)).unwrap();
        filter.push(sample(1_000, 0, 2_000_000)).unwrap();
        // 1000 s at 15 ppm is 15 ms: more than 2 ms.
        let best = filter.best(Duration::from_secs(1_000)).unwrap();
        assert_eq!(best.sample.at, Duration::from_secs(1_000));
    }

    #[test]
    fn a_replayed_sample_is_refused() {
        let mut filter = ClockFilter::new(15_000);
        filter.push(sample(5, 0, 10)).unwrap();
        assert_eq!(filter.push(sample(5, 0, 10)), Err(FilterRefusal::NotNewer));
        assert_eq!(filter.push(sample(4, 0, 10)), Err(FilterRefusal::NotNewer));
        assert_eq!(filter.samples().count(), 1);
    }

    #[test]
    fn a_step_is_named_and_restarts_the_filter() {
        let mut filter = ClockFilter::new(15_000);
        filter.push(sample(1, 0, 1_000)).unwrap();
        let refusal = filter.push(sample(2, 5_000_000_000, 1_000)).unwrap_err();
        assert!(matches!(refusal, FilterRefusal::Stepped { found, .. } if found.contains(5_000_000_000)));
        assert_eq!(filter.best(Duration::from_secs(2)).unwrap().sample.offset.mid(), 5_000_000_000);
    }

    #[test]
    fn jitter_as_the_standard_prints_it() {
        // spec-test: RFC 5905 §10
        let mut filter = ClockFilter::new(0);
        for (s, mid) in [(1, 0), (2, 30), (3, 40)] {
            filter.push(sample(s, mid, 1_000 + s)).unwrap();
        }
        assert_eq!(filter.best(Duration::from_secs(3)).unwrap().jitter, 25); // sqrt(900 + 1600) / 2
        assert!(filter.best(Duration::from_secs(3)).unwrap().dispersion > 125_000_000);
    }
}
