//! The units everything else is written in: instants, the host's moment, and intervals.
//!
//! All of them are integers of nanoseconds. An [`Interval`] is what an answer looks like in this crate: it
//! says where the truth lies, and rounding always widens it.

use core::fmt;
use core::time::Duration;

/// Nanoseconds in a second.
pub const NANOS_PER_SEC: i64 = 1_000_000_000;

/// An instant, in nanoseconds since 1970-01-01 00:00 UTC, leap seconds not counted (POSIX).
///
/// # Shape
/// A signed 128-bit count, so that it neither wraps in 2036, 2038 nor 2262. A leap second has no instant of
/// its own: `23:59:60` is read as `23:59:59` of the same day by the civil part of this crate.
/// # Spec
/// POSIX.1 "Seconds Since the Epoch".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnixTime(i128);

impl UnixTime {
    /// 1970-01-01 00:00 UTC.
    pub const EPOCH: UnixTime = UnixTime(0);

    /// The instant `nanos` after 1970 (before it, when negative).
    #[must_use]
    pub const fn from_nanos(nanos: i128) -> Self {
        UnixTime(nanos)
    }

    /// The instant `seconds` after 1970.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        UnixTime(seconds as i128 * NANOS_PER_SEC as i128)
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub const fn as_nanos(self) -> i128 {
        self.0
    }

    /// Whole seconds since 1970, rounded towards the past; saturates at the ends of `i64`.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        saturate(self.0.div_euclid(NANOS_PER_SEC as i128))
    }

    /// This instant moved by `nanos`, saturating.
    #[must_use]
    pub const fn plus(self, nanos: i64) -> Self {
        UnixTime(self.0.saturating_add(nanos as i128))
    }

    /// `self - earlier` in nanoseconds, saturating at the ends of `i64` (292 years).
    #[must_use]
    pub const fn since(self, earlier: UnixTime) -> i64 {
        saturate(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved forward by a duration, saturating.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        self.plus(nanos(by))
    }

    /// This instant moved back by a duration, saturating.
    #[must_use]
    pub const fn before(self, by: Duration) -> Self {
        self.plus(-nanos(by))
    }
}

impl fmt::Debug for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, part) =
            (self.0.div_euclid(NANOS_PER_SEC as i128), self.0.rem_euclid(NANOS_PER_SEC as i128));
        write!(f, "@{secs}.{part:09}")
    }
}

/// What the host's clocks show at one moment: the argument of every engine that also needs wall time.
///
/// `mono` is a clock that never goes back and runs while the machine sleeps (`CLOCK_BOOTTIME` on Linux),
/// counted from an origin the host chose. `wall` is the system's idea of UTC, and `radius` says how far it
/// may be wrong, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Now {
    /// Monotonic time since the host's origin.
    pub mono: Duration,
    /// The system's UTC.
    pub wall: UnixTime,
    /// Bound of the error of `wall`, in nanoseconds.
    pub radius: u64,
}

impl Now {
    /// A moment whose wall clock is taken as exact.
    #[must_use]
    pub const fn exact(mono: Duration, wall: UnixTime) -> Self {
        Now { mono, wall, radius: 0 }
    }
}

/// The time, and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reading {
    /// Best value.
    pub time: UnixTime,
    /// True time is within this many nanoseconds of it.
    pub radius: u64,
}

impl Reading {
    /// A reading taken as exact.
    #[must_use]
    pub const fn exact(time: UnixTime) -> Self {
        Reading { time, radius: 0 }
    }
}

/// A closed interval of signed nanoseconds that holds the true value.
///
/// `lo <= hi` always. Widening saturates, so an interval never silently loses the truth.
///
/// ```
/// use timesync::Interval;
/// let offset = Interval::around(4_995_000_000, 15_000_000);
/// assert_eq!((offset.lo(), offset.hi()), (4_980_000_000, 5_010_000_000));
/// assert!(offset.contains(5_000_000_000));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Interval {
    lo: i64,
    hi: i64,
}

impl Interval {
    /// Everything: nothing is known.
    pub const UNKNOWN: Interval = Interval { lo: i64::MIN, hi: i64::MAX };

    /// From one end to the other; the ends may be given in either order.
    #[must_use]
    pub const fn new(a: i64, b: i64) -> Self {
        if a <= b { Interval { lo: a, hi: b } } else { Interval { lo: b, hi: a } }
    }

    /// `mid - radius ..= mid + radius`, saturating.
    #[must_use]
    pub const fn around(mid: i64, radius: u64) -> Self {
        Interval { lo: mid.saturating_sub_unsigned(radius), hi: mid.saturating_add_unsigned(radius) }
    }

    /// One value, known exactly.
    #[must_use]
    pub const fn point(value: i64) -> Self {
        Interval { lo: value, hi: value }
    }

    /// Lower end.
    #[must_use]
    pub const fn lo(self) -> i64 {
        self.lo
    }

    /// Upper end.
    #[must_use]
    pub const fn hi(self) -> i64 {
        self.hi
    }

    /// The middle, rounded towards the past.
    #[must_use]
    pub const fn mid(self) -> i64 {
        (((self.lo as i128) + (self.hi as i128)) >> 1) as i64
    }

    /// Half the width, rounded up: `mid() +- radius()` covers the interval.
    #[must_use]
    pub const fn radius(self) -> u64 {
        self.hi.abs_diff(self.mid())
    }

    /// Full width.
    #[must_use]
    pub const fn width(self) -> u64 {
        self.hi.abs_diff(self.lo)
    }

    /// True when `value` lies inside, ends included.
    #[must_use]
    pub const fn contains(self, value: i64) -> bool {
        self.lo <= value && value <= self.hi
    }

    /// True when every value of `other` lies inside.
    #[must_use]
    pub const fn covers(self, other: Interval) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// True when the two share a value; touching ends count.
    #[must_use]
    pub const fn overlaps(self, other: Interval) -> bool {
        self.lo <= other.hi && other.lo <= self.hi
    }

    /// The common part, if any.
    #[must_use]
    pub fn intersect(self, other: Interval) -> Option<Interval> {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        (lo <= hi).then_some(Interval { lo, hi })
    }

    /// Both ends moved outwards.
    #[must_use]
    pub const fn widen(self, by: u64) -> Self {
        Interval { lo: self.lo.saturating_sub_unsigned(by), hi: self.hi.saturating_add_unsigned(by) }
    }

    /// Both ends moved by the same amount.
    #[must_use]
    pub const fn shift(self, by: i64) -> Self {
        Interval { lo: self.lo.saturating_add(by), hi: self.hi.saturating_add(by) }
    }

    /// The interval of `-x`.
    #[must_use]
    pub const fn negate(self) -> Self {
        Interval { lo: self.hi.saturating_neg(), hi: self.lo.saturating_neg() }
    }

    /// The interval of `x + y` for `x` in one and `y` in the other.
    #[must_use]
    pub const fn plus(self, other: Interval) -> Self {
        Interval { lo: self.lo.saturating_add(other.lo), hi: self.hi.saturating_add(other.hi) }
    }
}

// An interval from outside may have its ends swapped; the constructor puts them right.
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Interval {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename = "Interval")]
        struct Ends {
            lo: i64,
            hi: i64,
        }
        Ends::deserialize(deserializer).map(|ends| Interval::new(ends.lo, ends.hi))
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns+-{}", self.mid(), self.radius())
    }
}

/// A frequency tolerance or rate in parts per billion.
pub type Ppb = i64;

/// `nanos` grown by `ppb` parts per billion, rounded up: how much error a clock that may run wrong by `ppb`
/// gathers over that time.
#[must_use]
pub const fn growth(nanos: u64, ppb: u64) -> u64 {
    if let Some(product) = nanos.checked_mul(ppb) {
        return product.div_ceil(1_000_000_000);
    }
    let product = nanos as u128 * ppb as u128;
    let grown = product.div_ceil(1_000_000_000);
    if grown > u64::MAX as u128 { u64::MAX } else { grown as u64 }
}

/// A `core` duration in nanoseconds, saturating at `i64::MAX`.
#[must_use]
pub(crate) const fn nanos(duration: Duration) -> i64 {
    let wide = duration.as_nanos();
    if wide > i64::MAX as u128 { i64::MAX } else { wide as i64 }
}

pub(crate) const fn saturate(wide: i128) -> i64 {
    if wide > i64::MAX as i128 {
        i64::MAX
    } else if wide < i64::MIN as i128 {
        i64::MIN
    } else {
        wide as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mid_and_radius_cover_odd_and_extreme_intervals() {
        for (lo, hi) in [(0, 1), (-1, 0), (-3, 4), (i64::MIN, i64::MAX), (i64::MAX, i64::MAX)] {
            let interval = Interval::new(lo, hi);
            assert!(Interval::around(interval.mid(), interval.radius()).covers(interval), "{lo}..{hi}");
        }
    }

    #[test]
    fn growth_rounds_up_and_saturates() {
        assert_eq!(growth(0, 15_000), 0);
        assert_eq!(growth(1, 15_000), 1);
        assert_eq!(growth(86_400_000_000_000, 15_000), 1_296_000_000); // spec-test: RFC 5905 §9.2
        assert_eq!(growth(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn seconds_of_instants_before_1970_round_to_the_past() {
        assert_eq!(UnixTime::from_nanos(-1).as_secs(), -1);
        assert_eq!(UnixTime::from_secs(-5).as_secs(), -5);
        assert_eq!(UnixTime::from_nanos(i128::MIN).since(UnixTime::EPOCH), i64::MIN);
    }
}
