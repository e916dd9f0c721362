//! How fast a clock runs wrong, from offsets over time.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::filter::{Sample, age};
use crate::instant::{Interval, Ppb, growth, saturate};

/// A clock's rate error in parts per billion: positive when the reference runs faster than it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rate {
    /// Best estimate.
    pub ppb: Ppb,
    /// The true mean rate over the samples is within `ppb +- radius`.
    pub radius: u64,
}

/// Why there is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriftRefusal {
    /// Fewer than two samples, or all at one moment.
    TooFew {
        /// Samples at distinct moments.
        have: usize,
    },
    /// Times or offsets too large for the arithmetic (decades).
    OutOfRange,
    /// No single rate fits the bounds: the clock was stepped, or a server lied.
    NoSingleRate,
}

impl fmt::Display for DriftRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DriftRefusal::TooFew { have } => write!(f, "{have} samples, at least 2 needed"),
            DriftRefusal::OutOfRange => write!(f, "times or offsets out of range"),
            DriftRefusal::NoSingleRate => write!(f, "no single rate fits the samples"),
        }
    }
}

impl core::error::Error for DriftRefusal {}

/// Least-squares slope of (time, offset) points in nanoseconds, as parts per billion rounded to nearest.
///
/// # Errors
/// [`DriftRefusal::TooFew`], or [`DriftRefusal::OutOfRange`] for spans of decades.
pub fn least_squares(points: &[(i64, i64)]) -> Result<Ppb, DriftRefusal> {
    let n = i128::try_from(points.len()).map_err(|_| DriftRefusal::OutOfRange)?;
    let &(x0, y0) = points.first().ok_or(DriftRefusal::TooFew { have: 0 })?;
    let (mut sx, mut sy, mut sxx, mut sxy) = (0_i128, 0_i128, 0_i128, 0_i128);
    for &(x, y) in points {
        let (x, y) = (i128::from(x) - i128::from(x0), i128::from(y) - i128::from(y0));
        sx += x;
        sy += y;
        sxx = add(sxx, mul(x, x)?)?;
        sxy = add(sxy, mul(x, y)?)?;
    }
    let below = add(mul(n, sxx)?, -mul(sx, sx)?)?;
    let above = add(mul(n, sxy)?, -mul(sx, sy)?)?;
    if below == 0 {
        return Err(DriftRefusal::TooFew { have: points.len().min(1) });
    }
    // Scale down together until the multiplication by 10^9 fits; costs far less than 1 ppb.
    let (mut above, mut below) = (above, below);
    while above.checked_mul(1_000_000_000).is_none() {
        above >>= 1;
        below >>= 1;
    }
    if below == 0 {
        return Err(DriftRefusal::OutOfRange);
    }
    Ok(saturate((above * 1_000_000_000 + below / 2).div_euclid(below)))
}

/// The median of all pairwise slopes (Theil-Sen), in parts per billion: a third of the points may be wild.
///
/// Looks at every pair: meant for at most a few dozen points.
/// # Errors
/// [`DriftRefusal::TooFew`].
pub fn theil_sen(points: &[(i64, i64)]) -> Result<Ppb, DriftRefusal> {
    let mut slopes = Vec::new();
    for (i, &(x1, y1)) in points.iter().enumerate() {
        for &(x2, y2) in points.iter().skip(i + 1) {
            let (dx, dy) = (i128::from(x2) - i128::from(x1), i128::from(y2) - i128::from(y1));
            if dx != 0 {
                slopes.push((dy * 1_000_000_000).div_euclid(dx));
            }
        }
    }
    slopes.sort_unstable();
    let middle = slopes.len() / 2;
    slopes.get(middle).copied().map(saturate).ok_or(DriftRefusal::TooFew { have: points.len().min(1) })
}

/// The rate that fits all samples, with a bound that holds for a clock of constant rate.
///
/// Every pair of samples confines the rate to `((lo2 - hi1) / dt, (hi2 - lo1) / dt)`; the answer is what they
/// all allow, around the least-squares slope.
///
/// # Errors
/// [`DriftRefusal::NoSingleRate`] when the pairs contradict one another.
pub fn rate(samples: &[Sample]) -> Result<Rate, DriftRefusal> {
    let points: Vec<(i64, i64)> =
        samples.iter().map(|s| (crate::instant::nanos(s.at), s.offset.mid())).collect();
    let slope = least_squares(&points)?;
    let (mut lo, mut hi) = (i128::MIN, i128::MAX);
    for (i, one) in samples.iter().enumerate() {
        for other in samples.iter().skip(i + 1) {
            let (first, second) = if one.at <= other.at { (one, other) } else { (other, one) };
            let dt = i128::from(age(first.at, second.at));
            if dt == 0 {
                continue;
            }
            let (a, b) = (first.bound_at(first.at, 0), second.bound_at(second.at, 0));
            lo = lo.max(((i128::from(b.lo()) - i128::from(a.hi())) * 1_000_000_000).div_euclid(dt));
            let most = (i128::from(b.hi()) - i128::from(a.lo())) * 1_000_000_000;
            hi = hi.min(-(-most).div_euclid(dt));
        }
    }
    if lo > hi {
        return Err(DriftRefusal::NoSingleRate);
    }
    let ppb = slope.clamp(saturate(lo), saturate(hi));
    Ok(Rate { ppb, radius: ppb.abs_diff(saturate(lo)).max(ppb.abs_diff(saturate(hi))) })
}

fn mul(a: i128, b: i128) -> Result<i128, DriftRefusal> {
    a.checked_mul(b).ok_or(DriftRefusal::OutOfRange)
}

fn add(a: i128, b: i128) -> Result<i128, DriftRefusal> {
    a.checked_add(b).ok_or(DriftRefusal::OutOfRange)
}

/// What is known about the offset of a clock, and how that knowledge ages.
///
/// ```
/// use core::time::Duration;
/// use timesync::{Estimate, Interval};
/// let estimate = Estimate::new(Duration::from_secs(100), Interval::around(0, 2_000_000), 15_000);
/// // A day later 15 ppm have become 1.3 s:
/// assert_eq!(estimate.offset_at(Duration::from_secs(86_500)).radius(), 1_298_000_000);
/// assert_eq!(estimate.good_for(5_000_000), Some(Duration::from_secs(200)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Estimate {
    /// When it was made, monotonic.
    pub at: Duration,
    /// Reference minus clock, then.
    pub offset: Interval,
    /// The clock's rate error that is taken out of the prediction.
    pub rate: Ppb,
    /// How fast the bound grows, parts per billion: PHI, plus the doubt about `rate`.
    pub growth: u64,
}

impl Estimate {
    /// An estimate for a clock of unknown rate that may drift `phi` parts per billion.
    #[must_use]
    pub const fn new(at: Duration, offset: Interval, phi: u64) -> Self {
        Estimate { at, offset, rate: 0, growth: phi }
    }

    /// The same with a known rate: the prediction follows it, the bound grows by `phi + radius`.
    #[must_use]
    pub const fn with_rate(mut self, rate: Rate, phi: u64) -> Self {
        self.rate = rate.ppb;
        self.growth = phi.saturating_add(rate.radius);
        self
    }

    /// The offset at `now`; wider the farther `now` is from the measurement.
    #[must_use]
    pub fn offset_at(&self, now: Duration) -> Interval {
        let away = age(self.at, now);
        let moved = i128::from(away).saturating_mul(i128::from(self.rate)).div_euclid(1_000_000_000);
        let moved = if now < self.at { -moved } else { moved };
        // One more nanosecond for the rounding of the prediction.
        let rounding = u64::from(self.rate != 0);
        let wider = growth(away, self.growth).saturating_add(rounding);
        self.offset.shift(saturate(moved)).widen(wider)
    }

    /// For how long after the measurement the bound stays within `tolerance` nanoseconds; `None` if it never
    /// did. The answer to "is this clock good enough to start a task on time?".
    #[must_use]
    pub const fn good_for(&self, tolerance: u64) -> Option<Duration> {
        let Some(room) = tolerance.checked_sub(self.offset.radius()) else { return None };
        let Some(room) = room.checked_sub(if self.rate != 0 { 1 } else { 0 }) else { return None };
        match (room as u128 * 1_000_000_000).checked_div(self.growth as u128) {
            None => Some(Duration::MAX),
            Some(nanos) if nanos > u64::MAX as u128 => Some(Duration::from_nanos(u64::MAX)),
            Some(nanos) => Some(Duration::from_nanos(nanos as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(s: u64, mid: i64, radius: u64) -> Sample {
        Sample { at: Duration::from_secs(s), offset: Interval::around(mid, radius), delay: 0, root: 0 }
    }

    #[test]
    fn the_true_rate_is_inside_the_bound() {
        // 20 ppm, noise inside the stated bounds
        let samples: Vec<Sample> = [(0, 300), (100, -900), (200, 700), (300, -1000)]
            .map(|(s, noise)| sample(s, i64::try_from(s).unwrap() * 20_000 + noise, 1_000))
            .into();
        let rate = rate(&samples).unwrap();
        assert!(rate.ppb.abs_diff(20_000) <= rate.radius);
        assert!(rate.radius < 20);
    }

    #[test]
    fn a_step_between_samples_fits_no_single_rate() {
        let samples =
            [sample(0, 0, 10), sample(100, 0, 10), sample(200, 5_000_000, 10), sample(300, 5_000_000, 10)];
        assert_eq!(rate(&samples), Err(DriftRefusal::NoSingleRate));
        assert_eq!(rate(&samples[..1]), Err(DriftRefusal::TooFew { have: 1 }));
    }

    #[test]
    fn one_spike_moves_the_mean_but_not_the_median() {
        let mut points: Vec<(i64, i64)> = (0..15).map(|i| (i * 1_000_000_000, i * 1_000)).collect();
        points[12].1 = 900_000_000;
        assert_eq!(theil_sen(&points), Ok(1_000));
        assert_ne!(least_squares(&points), Ok(1_000));
    }

    #[test]
    fn extreme_points_are_refused_not_wrapped() {
        let far = [(i64::MIN, i64::MIN), (i64::MAX, i64::MAX)];
        assert!(matches!(least_squares(&far), Ok(1_000_000_000) | Err(DriftRefusal::OutOfRange)));
        assert_eq!(least_squares(&[(5, 1), (5, 2)]), Err(DriftRefusal::TooFew { have: 1 }));
    }
}
