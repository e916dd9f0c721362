//! Dates as the e-mail object and mail headers spell them. All are seconds since 1970-01-01 UTC.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// A moment as `YYYYMMDDThhmmssZ`.
// spec: e-mail object, section 2
pub fn to_basic(seconds: u64) -> String {
    let c = Civil::from_unix(seconds);
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// Reads `YYYYMMDDThhmmssZ`; also with `-` and `:` between, and without the `Z`. None if it is no such date
/// or one before 1970.
pub fn from_basic(text: &str) -> Option<u64> {
    let digits: Vec<u8> =
        text.trim().bytes().filter(|b| !matches!(b, b'-' | b':' | b'T' | b't')).take(20).collect();
    let digits = digits.strip_suffix(b"Z").or_else(|| digits.strip_suffix(b"z")).unwrap_or(&digits);
    if digits.len() != 14 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        core::str::from_utf8(digits.get(from..to)?).ok()?.parse().ok()
    };
    Civil {
        year: number(0, 4)?,
        month: number(4, 6)?,
        day: number(6, 8)?,
        hour: number(8, 10)?,
        minute: number(10, 12)?,
        second: number(12, 14)?,
    }
    .to_unix()
}

/// A moment as a `Date` field in UTC: `Tue, 7 Aug 2007 00:00:00 +0000`.
// spec: RFC 5322 §3.3
pub fn to_rfc5322(seconds: u64) -> String {
    let c = Civil::from_unix(seconds);
    let index = |n: u64| usize::try_from(n).unwrap_or(0);
    let day_name = DAYS.get(index((seconds / 86_400).wrapping_add(4) % 7)).copied().unwrap_or("Thu");
    let month = MONTHS.get(index(c.month.saturating_sub(1))).copied().unwrap_or("Jan");
    format!("{day_name}, {} {month} {:04} {:02}:{:02}:{:02} +0000", c.day, c.year, c.hour, c.minute, c.second)
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    #[expect(clippy::arithmetic_side_effects, reason = "bounded by LAST")]
    fn from_unix(seconds: u64) -> Self {
        let seconds = seconds.min(LAST);
        // Days since 0000-03-01, so that a leap day ends its year.
        let days = seconds / 86_400 + 719_468;
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let rest = seconds % 86_400;
        Civil { year, month, day, hour: rest / 3_600, minute: rest / 60 % 60, second: rest % 60 }
    }

    #[expect(clippy::arithmetic_side_effects, reason = "the fields are checked first")]
    fn to_unix(&self) -> Option<u64> {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let last = match self.month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u64::from(leap),
            1..=12 => 31,
            _ => return None,
        };
        if self.year < 1970 || self.year > 9999 || self.day < 1 || self.day > last {
            return None;
        }
        // 60 is a leap second.
        if self.hour > 23 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let year = self.year - u64::from(self.month <= 2);
        let era = year / 400;
        let of_era = year % 400;
        let shifted = (self.month + 9) % 12;
        let of_year = (153 * shifted + 2) / 5 + self.day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        Some(days * 86_400 + self.hour * 3_600 + self.minute * 60 + self.second.min(59))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_186_444_800, "20070807T000000Z"),
            (1_709_210_096, "20240229T123456Z"),
            (4_102_444_799, "20991231T235959Z"),
            (LAST, "99991231T235959Z"),
        ] {
            assert_eq!(to_basic(seconds), text);
            assert_eq!(from_basic(text), Some(seconds));
        }
        assert_eq!(to_basic(u64::MAX), "99991231T235959Z");
        assert_eq!(from_basic("2007-08-07T00:00:00Z"), Some(1_186_444_800));
        assert_eq!(from_basic("20070807T000000"), Some(1_186_444_800));
    }

    #[test]
    fn what_is_no_date() {
        for text in
            ["", "Z", "20070230T000000Z", "19691231T235959Z", "20071301T000000Z", "2007", "aaaabbccTddeeffZ"]
        {
            assert_eq!(from_basic(text), None, "{text}");
        }
    }

    #[test]
    fn header_form() {
        assert_eq!(to_rfc5322(1_186_444_800), "Tue, 7 Aug 2007 00:00:00 +0000");
        assert_eq!(to_rfc5322(0), "Thu, 1 Jan 1970 00:00:00 +0000");
    }
}
