//! NTP's time formats, the eras they wrap in, and how to unfold them.
//!
//! A wire timestamp says nothing about its era. Two things are defined on it: subtraction modulo 2^64 (right
//! while both clocks are within 68 years of each other), and unfolding with a *pivot*, any instant known to be
//! within 68 years of the truth, such as the build date or the last good time.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use crate::instant::{NANOS_PER_SEC, UnixTime, saturate};

/// Seconds from the NTP prime epoch (1900-01-01) to 1970-01-01.
// spec: RFC 5905 §6 figure 4
pub const NTP_TO_UNIX_SECS: i64 = 2_208_988_800;

const FRACTIONS: i128 = 1 << 32;

/// A timestamp as it travels: 32-bit seconds since the start of the era, 32-bit binary fraction.
///
/// # Shape
/// One big-endian 64-bit word; unit 2^-32 s (232.8 ps); an era is 2^32 s (136.1 years). All zero bits mean
/// "unknown", never an instant. There is no ordering on purpose: use [`signed_since`](Self::signed_since).
///
/// ```
/// use timesync::{NtpTimestamp, UnixTime};
/// let era_end = NtpTimestamp::from_unix(UnixTime::from_secs(2_085_978_495));
/// let era_start = NtpTimestamp::from_unix(UnixTime::from_secs(2_085_978_496));
/// assert_eq!(era_start.bits(), 0); // 2036-02-07 06:28:16 UTC
/// assert_eq!(era_start.signed_since(era_end).bits(), 1 << 32); // one second, across the era change
/// ```
/// # Spec
/// RFC 5905 §6
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NtpTimestamp(u64);

impl NtpTimestamp {
    /// The value that stands for "unknown".
    pub const UNKNOWN: NtpTimestamp = NtpTimestamp(0);

    /// From the 64 bits as they travel.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        NtpTimestamp(bits)
    }

    /// The 64 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// True for the all-zero value.
    #[must_use]
    pub const fn is_unknown(self) -> bool {
        self.0 == 0
    }

    /// The low 64 bits of an instant: its era is dropped.
    ///
    /// The fraction is rounded up, so that nanoseconds survive a round trip through [`unfold`](Self::unfold).
    #[must_use]
    pub const fn from_unix(time: UnixTime) -> Self {
        NtpTimestamp(units_since_1900(time) as u64)
    }

    /// `self - earlier`, signed, modulo 2^64.
    // spec: RFC 5905 §6: only first-order differences are defined
    #[must_use]
    pub const fn signed_since(self, earlier: NtpTimestamp) -> NtpDuration {
        NtpDuration(self.0.wrapping_sub(earlier.0) as i64)
    }

    /// The timestamp `by` later, modulo 2^64.
    #[must_use]
    pub const fn wrapping_add(self, by: NtpDuration) -> Self {
        NtpTimestamp(self.0.wrapping_add(by.0 as u64))
    }

    /// The instant nearest to `pivot` that has these 64 bits.
    ///
    /// Right whenever the truth is within 68 years of the pivot. Rounds down to whole nanoseconds.
    #[must_use]
    pub const fn unfold(self, pivot: UnixTime) -> UnixTime {
        let pivot_units = units_since_1900(pivot);
        let away = self.0.wrapping_sub(pivot_units as u64) as i64;
        unix_from_units(pivot_units.saturating_add(away as i128))
    }
}

impl fmt::Debug for NtpTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}.{:08x}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A signed difference of timestamps in units of 2^-32 s; about +-68 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NtpDuration(i64);

impl NtpDuration {
    /// From units of 2^-32 s.
    #[must_use]
    pub const fn from_bits(bits: i64) -> Self {
        NtpDuration(bits)
    }

    /// Units of 2^-32 s.
    #[must_use]
    pub const fn bits(self) -> i64 {
        self.0
    }

    /// From nanoseconds, rounded up to a unit; saturates at +-68 years.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        let units = (nanos as i128).saturating_mul(FRACTIONS);
        NtpDuration(saturate(div_ceil(units, NANOS_PER_SEC as i128)))
    }

    /// Nanoseconds, rounded towards the past.
    #[must_use]
    pub const fn as_nanos_floor(self) -> i64 {
        saturate((self.0 as i128).saturating_mul(NANOS_PER_SEC as i128) >> 32)
    }

    /// Nanoseconds, rounded towards the future.
    #[must_use]
    pub const fn as_nanos_ceil(self) -> i64 {
        saturate(div_ceil((self.0 as i128).saturating_mul(NANOS_PER_SEC as i128), FRACTIONS))
    }

    /// `|self|` in units of 2^-32 s; the most negative value has one too.
    #[must_use]
    pub const fn unsigned_abs(self) -> u64 {
        self.0.unsigned_abs()
    }
}

impl fmt::Debug for NtpDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.as_nanos_floor())
    }
}

/// Unsigned 16.16 seconds: root delay and root dispersion.
///
/// Unit 2^-16 s (15.26 us), at most 18.2 hours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NtpShort(u32);

impl NtpShort {
    /// From the 32 bits as they travel.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        NtpShort(bits)
    }

    /// The 32 bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Nanoseconds, rounded up.
    #[must_use]
    pub const fn as_nanos_ceil(self) -> u64 {
        (self.0 as u64).saturating_mul(NANOS_PER_SEC as u64).div_ceil(1 << 16)
    }

    /// From nanoseconds, rounded up; saturates at 18.2 hours.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        let units = ((nanos as u128) << 16).div_ceil(NANOS_PER_SEC as u128);
        NtpShort(if units > u32::MAX as u128 { u32::MAX } else { units as u32 })
    }
}

impl fmt::Debug for NtpShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.as_nanos_ceil())
    }
}

/// NTPv5's short format: 4-bit seconds, 28-bit fraction; unit 2^-28 s, at most 16 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NtpTime32(u32);

impl NtpTime32 {
    /// From the 32 bits as they travel.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        NtpTime32(bits)
    }

    /// The 32 bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Nanoseconds, rounded up.
    #[must_use]
    pub const fn as_nanos_ceil(self) -> u64 {
        (self.0 as u64).saturating_mul(NANOS_PER_SEC as u64).div_ceil(1 << 28)
    }
}

/// The 128-bit date format: era, seconds in the era, 64-bit fraction.
///
/// # Shape
/// Covers all of history at 2^-64 s; the era of an instant before 1900 is negative.
/// # Spec
/// RFC 5905 §6
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NtpDate {
    /// Era number; era 0 starts 1900-01-01, era 1 2036-02-07 06:28:16 UTC.
    pub era: i32,
    /// Seconds since the start of the era.
    pub era_offset: u32,
    /// Fraction of a second, 2^-64 s.
    pub fraction: u64,
}

impl NtpDate {
    /// The date of an instant, or `None` when its era does not fit 32 bits.
    #[must_use]
    pub fn from_unix(time: UnixTime) -> Option<Self> {
        let nanos = time.as_nanos();
        let second = nanos.div_euclid(i128::from(NANOS_PER_SEC));
        let part = nanos.rem_euclid(i128::from(NANOS_PER_SEC)).unsigned_abs();
        let since_1900 = second.checked_add(i128::from(NTP_TO_UNIX_SECS))?;
        // spec: RFC 5905 §6: era = floor(s / 2^32), right for negative s too
        let era = i32::try_from(since_1900.div_euclid(FRACTIONS)).ok()?;
        let era_offset = u32::try_from(since_1900.rem_euclid(FRACTIONS)).ok()?;
        let fraction = u64::try_from((part << 64).div_ceil(NANOS_PER_SEC as u128)).ok()?;
        Some(NtpDate { era, era_offset, fraction })
    }

    /// The instant, rounded down to whole nanoseconds.
    #[must_use]
    pub fn to_unix(self) -> UnixTime {
        let since_1900 = (i128::from(self.era) << 32).saturating_add(i128::from(self.era_offset));
        let second = since_1900.saturating_sub(i128::from(NTP_TO_UNIX_SECS));
        let part = (u128::from(self.fraction).saturating_mul(NANOS_PER_SEC as u128) >> 64) as i128;
        UnixTime::from_nanos(second.saturating_mul(i128::from(NANOS_PER_SEC)).saturating_add(part))
    }

    /// The wire timestamp of this date: its era is dropped.
    #[must_use]
    pub const fn timestamp(self) -> NtpTimestamp {
        NtpTimestamp(((self.era_offset as u64) << 32) | (self.fraction >> 32))
    }
}

/// 2^-32 s units since 1900, rounded up.
const fn units_since_1900(time: UnixTime) -> i128 {
    let nanos = time.as_nanos();
    let second = nanos.div_euclid(NANOS_PER_SEC as i128);
    let part = nanos.rem_euclid(NANOS_PER_SEC as i128);
    let whole = second.saturating_add(NTP_TO_UNIX_SECS as i128).saturating_mul(FRACTIONS);
    whole.saturating_add(div_ceil(part << 32, NANOS_PER_SEC as i128))
}

const fn unix_from_units(units: i128) -> UnixTime {
    let second = (units >> 32).saturating_sub(NTP_TO_UNIX_SECS as i128);
    let fraction = units & 0xffff_ffff;
    let part = fraction.saturating_mul(NANOS_PER_SEC as i128) >> 32;
    UnixTime::from_nanos(second.saturating_mul(NANOS_PER_SEC as i128).saturating_add(part))
}

pub(crate) const fn div_ceil(a: i128, positive: i128) -> i128 {
    match a.checked_div_euclid(positive) {
        Some(quotient) if a.wrapping_sub(quotient.wrapping_mul(positive)) != 0 => quotient.saturating_add(1),
        Some(quotient) => quotient,
        None => 0,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_the_standard() {
        // spec-test: RFC 5905 §6 figure 4
        for (unix, era, offset) in [
            (-NTP_TO_UNIX_SECS, 0, 0),
            (0, 0, 2_208_988_800),
            (63_072_000, 0, 2_272_060_800),
            (2_085_978_495, 0, u32::MAX),
            (2_085_978_496, 1, 0),
            (2_086_041_600, 1, 63_104),
            (-NTP_TO_UNIX_SECS - 1, -1, u32::MAX),
        ] {
            let date = NtpDate::from_unix(UnixTime::from_secs(unix)).unwrap();
            assert_eq!((date.era, date.era_offset), (era, offset), "{unix}");
            assert_eq!(date.to_unix(), UnixTime::from_secs(unix));
            assert_eq!(date.timestamp(), NtpTimestamp::from_unix(UnixTime::from_secs(unix)));
        }
    }

    #[test]
    fn nanoseconds_survive_the_round_trip() {
        for nanos in [0, 1, 2, 232, 999_999_998, 999_999_999, 500_000_000, 123_456_789] {
            let time = UnixTime::from_nanos(1_795_334_400_000_000_000 + nanos);
            assert_eq!(NtpTimestamp::from_unix(time).unfold(time), time);
            assert_eq!(NtpDate::from_unix(time).unwrap().to_unix(), time);
        }
    }

    #[test]
    fn unfolding_follows_the_pivot_across_eras_and_not_the_top_bit() {
        for secs in [2_085_978_495_i64, 2_085_978_496, 4_233_462_144, 4_500_000_000, -2_300_000_000] {
            let time = UnixTime::from_secs(secs);
            for pivot in [secs - 2_000_000_000, secs, secs + 2_000_000_000] {
                assert_eq!(NtpTimestamp::from_unix(time).unfold(UnixTime::from_secs(pivot)), time);
            }
        }
    }

    #[test]
    fn short_formats_round_up() {
        assert_eq!(NtpShort::from_bits(1).as_nanos_ceil(), 15_259);
        assert_eq!(NtpShort::from_bits(u32::MAX).as_nanos_ceil(), 65_535_999_984_742);
        assert_eq!(NtpShort::from_nanos(u64::MAX).bits(), u32::MAX);
        assert_eq!(NtpTime32::from_bits(1 << 28).as_nanos_ceil(), 1_000_000_000);
        assert_eq!(NtpTime32::from_bits(u32::MAX).as_nanos_ceil(), 15_999_999_997);
    }

    #[test]
    fn the_most_negative_difference_has_a_size() {
        let most = NtpDuration::from_bits(i64::MIN);
        assert_eq!(most.unsigned_abs(), 1 << 63);
        assert_eq!(most.as_nanos_floor(), -(1 << 31) * NANOS_PER_SEC);
    }
}
