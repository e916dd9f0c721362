//! What a mobile network says about the time: NITZ.
//!
//! Seven semi-octet pairs, as in an SMS service-centre timestamp, and a daylight-saving octet. It is good to
//! minutes only, and its zone is an *offset*, not a zone: it cannot tell what the offset will be next month.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use crate::instant::{Interval, NANOS_PER_SEC};

/// How wrong a NITZ time may be, nanoseconds: the network promises "minutes" only.
pub const NITZ_RADIUS: u64 = 120_000_000_000;

/// Largest offset from UTC, in quarters of an hour: UTC+14.
pub const MAX_QUARTERS: i8 = 56;

/// A decoded network time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Nitz {
    /// Seconds since 1970, UTC.
    pub utc: i64,
    /// Local time minus UTC in quarters of an hour, daylight saving included.
    pub quarters: i8,
    /// Hours of daylight saving in that offset, 0..=2, when the network said.
    pub dst_hours: Option<u8>,
}

impl Nitz {
    /// Reads seven octets: year, month, day, hour, minute, second, zone, and the DST octet if there is one.
    ///
    /// # Errors
    /// [`NitzRefusal`]: a semi-octet that is no digit, a date that does not exist, an offset beyond UTC+14, a
    /// daylight saving of 3.
    /// # Spec
    /// 3GPP TS 23.040 §9.2.3.11; 3GPP TS 22.042 §4
    pub fn decode(octets: [u8; 7], dst: Option<u8>) -> Result<Self, NitzRefusal> {
        let [year, month, day, hour, minute, second, zone] = octets;
        let quarters = decode_quarters(zone)?;
        let [year, month, day] = [digits(year)?, digits(month)?, digits(day)?];
        let [hour, minute, second] = [digits(hour)?, digits(minute)?, digits(second)?];
        // Two digits of year: the pivot of SMS, 1970..2069, cut to what GSM existed for.
        let year = if year >= 90 {
            i64::from(year).saturating_add(1900)
        } else {
            i64::from(year).saturating_add(2000)
        };
        let days = days_from_civil(year, month, day).ok_or(NitzRefusal::NoSuchDate)?;
        if hour > 23 || minute > 59 || second > 60 {
            return Err(NitzRefusal::NoSuchTime);
        }
        let of_day = i64::from(hour)
            .saturating_mul(3600)
            .saturating_add(i64::from(minute).saturating_mul(60))
            .saturating_add(i64::from(second.min(59)));
        let dst_hours = match dst.map(|octet| octet & 3) {
            Some(3) => return Err(NitzRefusal::BadDst { value: 3 }),
            other => other,
        };
        Ok(Nitz { utc: days.saturating_mul(86_400).saturating_add(of_day), quarters, dst_hours })
    }

    /// Local time minus UTC, in seconds.
    #[must_use]
    pub fn offset_seconds(&self) -> i32 {
        i32::from(self.quarters).saturating_mul(900)
    }

    /// Where true time lies, in nanoseconds relative to `reference` (seconds since 1970).
    #[must_use]
    pub fn bound(&self, reference: i64) -> Interval {
        Interval::around(self.utc.saturating_sub(reference).saturating_mul(NANOS_PER_SEC), NITZ_RADIUS)
    }
}

/// Reads the zone octet: swapped semi-octets of quarter hours, sign in bit 3 of the first.
///
/// # Errors
/// [`NitzRefusal::BadDigit`], or [`NitzRefusal::BadOffset`] beyond 56 quarters.
pub fn decode_quarters(octet: u8) -> Result<i8, NitzRefusal> {
    let (tens, units) = (octet & 0x07, octet >> 4);
    if units > 9 {
        return Err(NitzRefusal::BadDigit { octet });
    }
    let size = tens.saturating_mul(10).saturating_add(units).cast_signed();
    if size > MAX_QUARTERS {
        return Err(NitzRefusal::BadOffset { quarters: size });
    }
    Ok(if octet & 0x08 == 0 { size } else { size.saturating_neg() })
}

fn digits(octet: u8) -> Result<u8, NitzRefusal> {
    let (tens, units) = (octet & 0x0f, octet >> 4);
    if tens > 9 || units > 9 {
        return Err(NitzRefusal::BadDigit { octet });
    }
    Ok(tens.saturating_mul(10).saturating_add(units))
}

/// Days from 1970-01-01 to a date of the years 1990..=2089.
fn days_from_civil(year: i64, month: u8, day: u8) -> Option<i64> {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::from(month).checked_sub(1)?;
    let length: i64 = *lengths.get(index)?;
    if day == 0 || i64::from(day) > length {
        return None;
    }
    let before: i64 = lengths.iter().take(index).sum();
    let earlier = year.saturating_sub(1);
    let leaps = |y: i64| y.div_euclid(4).saturating_sub(y.div_euclid(100)).saturating_add(y.div_euclid(400));
    let years = year.saturating_sub(1970).saturating_mul(365);
    let days = years.saturating_add(leaps(earlier)).saturating_sub(leaps(1969));
    Some(days.saturating_add(before).saturating_add(i64::from(day)).saturating_sub(1))
}

/// Why a network time is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NitzRefusal {
    /// A semi-octet is A to F.
    BadDigit {
        /// The octet.
        octet: u8,
    },
    /// Beyond UTC+14.
    BadOffset {
        /// Quarters of an hour.
        quarters: i8,
    },
    /// No such day.
    NoSuchDate,
    /// No such time of day.
    NoSuchTime,
    /// Daylight saving of 3 is reserved.
    BadDst {
        /// The two bits.
        value: u8,
    },
}

impl fmt::Display for NitzRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NitzRefusal::BadDigit { octet } => write!(f, "nitz: octet {octet:#04x} is not two digits"),
            NitzRefusal::BadOffset { quarters } => {
                write!(f, "nitz: offset of {quarters} quarters, at most {MAX_QUARTERS}")
            }
            NitzRefusal::NoSuchDate => write!(f, "nitz: no such date"),
            NitzRefusal::NoSuchTime => write!(f, "nitz: no such time"),
            NitzRefusal::BadDst { value } => write!(f, "nitz: daylight saving {value} is reserved"),
        }
    }
}

impl core::error::Error for NitzRefusal {}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn a_network_time_east_and_west() {
        // 2026-11-22 04:21:45 UTC, UTC+8 (32 quarters: 2 then 3 swapped = 0x23)
        let octets = [0x62, 0x11, 0x22, 0x40, 0x12, 0x54, 0x23];
        let time = Nitz::decode(octets, Some(0)).unwrap();
        assert_eq!((time.utc, time.quarters, time.offset_seconds()), (1_795_321_305, 32, 28_800));
        assert!(time.bound(1_795_321_305 + 119).contains(0));
        assert!(!time.bound(1_795_321_305 + 121).contains(0));
        assert_eq!(decode_quarters(0x0a), Ok(-20)); // UTC-5: tens 2 with the sign bit, units 0
    }

    #[test]
    fn threat_civil_nitz_digits_a_to_f_and_impossible_offsets() {
        for octet in 0..=u8::MAX {
            match decode_quarters(octet) {
                Ok(quarters) => assert!(quarters.unsigned_abs() <= 56),
                Err(NitzRefusal::BadDigit { .. }) => assert!(octet >> 4 > 9),
                Err(refusal) => assert!(matches!(refusal, NitzRefusal::BadOffset { quarters: 57..=79 })),
            }
        }
        let good = [0x62, 0x11, 0x22, 0x40, 0x12, 0x54, 0x00];
        for at in 0..6 {
            let mut bad = good;
            bad[at] = 0xa1;
            assert_eq!(Nitz::decode(bad, None), Err(NitzRefusal::BadDigit { octet: 0xa1 }), "{at}");
        }
    }

    #[test]
    fn threat_civil_nitz_dates_that_do_not_exist_and_dst_3() {
        let february = |day| [0x72, 0x20, day, 0x00, 0x00, 0x00, 0x00];
        assert_eq!(Nitz::decode(february(0x92), None), Err(NitzRefusal::NoSuchDate)); // 2027-02-29
        assert!(Nitz::decode(february(0x82), None).is_ok());
        assert_eq!(Nitz::decode(february(0x00), None), Err(NitzRefusal::NoSuchDate));
        let late = [0x62, 0x11, 0x22, 0x42, 0x00, 0x00, 0x00]; // 24:00
        assert_eq!(Nitz::decode(late, None), Err(NitzRefusal::NoSuchTime));
        assert_eq!(Nitz::decode(february(0x82), Some(3)), Err(NitzRefusal::BadDst { value: 3 }));
    }
}
