//! Dates of SI and EMN, and the XML dates of PAP and MM7: UTC, to the second.

use super::error::DecodeError;
use std::fmt;

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl UtcTime {
    /// `None` unless it is a date of the years 1 to 9999 and a time of day.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<UtcTime> {
        let days = match month {
            2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let ok = (1..=9999).contains(&year)
            && (1..=days).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        ok.then_some(UtcTime { year, month, day, hour, minute, second })
    }

    /// From seconds since 1970; `None` after the year 9999.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Option<UtcTime> {
        // Days to date: count from 1 March of year 0, so that the leap day ends a year.
        let day = i64::try_from(seconds / 86_400).ok().filter(|d| *d < 3_000_000)? + 719_468;
        let (era, of_era) = (day / 146_097, day % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let small = |n: i64| u8::try_from(n).ok();
        let clock = i64::try_from(seconds % 86_400).ok()?;
        UtcTime::new(
            u16::try_from(year).ok()?,
            small(month)?,
            small(of_year - (153 * shifted + 2) / 5 + 1)?,
            small(clock / 3_600)?,
            small(clock / 60 % 60)?,
            small(clock % 60)?,
        )
    }

    /// `YYYYMMDDhhmmss` in binary coded decimal, zero octets at the end cut.
    pub(crate) fn to_bcd(self) -> Vec<u8> {
        let bcd = |n: u8| n / 10 * 16 + n % 10;
        let (high, low) =
            (u8::try_from(self.year / 100).unwrap_or(0), u8::try_from(self.year % 100).unwrap_or(0));
        let mut out =
            [high, low, self.month, self.day, self.hour, self.minute, self.second].map(bcd).to_vec();
        while out.last() == Some(&0) {
            out.pop();
        }
        out
    }

    pub(crate) fn from_bcd(
        format: &'static str,
        offset: usize,
        bytes: &[u8],
    ) -> Result<UtcTime, DecodeError> {
        let bad = || DecodeError::malformed(format, offset, "date");
        let mut field = [0u8; 7];
        if bytes.len() > field.len() || bytes.len() < 4 {
            return Err(bad());
        }
        for (f, b) in field.iter_mut().zip(bytes) {
            if b >> 4 > 9 || b & 15 > 9 {
                return Err(bad());
            }
            *f = (b >> 4) * 10 + (b & 15);
        }
        let [high, low, month, day, hour, minute, second] = field;
        UtcTime::new(u16::from(high) * 100 + u16::from(low), month, day, hour, minute, second).ok_or_else(bad)
    }

    /// Reads `YYYY-MM-DDThh:mm:ssZ`.
    #[must_use]
    pub fn parse(text: &str) -> Option<UtcTime> {
        let bytes = text.as_bytes();
        let shape = b"dddd-dd-ddTdd:dd:ddZ";
        let fits = |(b, s): (&u8, &u8)| if *s == b'd' { b.is_ascii_digit() } else { b == s };
        if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
            return None;
        }
        let n = |at: std::ops::Range<usize>| text.get(at)?.parse::<u16>().ok();
        let small = |at| u8::try_from(n(at)?).ok();
        UtcTime::new(n(0..4)?, small(5..7)?, small(8..10)?, small(11..13)?, small(14..16)?, small(17..19)?)
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UtcTime { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_from_seconds() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_317_120, "2026-11-22T03:12:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            let t = UtcTime::from_unix(seconds).unwrap();
            assert_eq!(t.to_string(), text);
            assert_eq!(UtcTime::parse(text), Some(t));
        }
        assert_eq!(UtcTime::from_unix(u64::MAX), None);
    }

    #[test]
    fn bad_dates() {
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22 03:12:00Z",
            "",
            "2026-11-22T24:00:00Z",
        ] {
            assert_eq!(UtcTime::parse(bad), None, "{bad}");
        }
        for bad in [&[0x20, 0x26, 0x1A, 0x01][..], &[0x20, 0x26, 0x13, 0x01], &[0x20, 0x26, 0x11], &[0; 8]] {
            assert!(UtcTime::from_bcd("si", 0, bad).is_err());
        }
    }
}
