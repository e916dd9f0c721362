//! Recurrence on civil time: expand dates first, then resolve each in its zone.
//!
//! The subset of iCalendar rules that reminders use. A daily 02:30 fires once at 03:30 on the day the clocks
//! jump over it, and once on the day it comes twice. Rules that could flood (every second, a billion times) are
//! refused where they are read, and expansion has a budget.

use alloc::vec::Vec;
use core::fmt;

use jiff::civil::{Date, DateTime, Weekday};

use crate::appoint::{AppointRefusal, AppointedZone, Appointment, Place};
use crate::civil::{CivilText, resolve, shown_at};
use crate::instant::UnixTime;
use crate::zones::fixed;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Frequency {
    /// Days.
    Daily,
    /// Weeks.
    Weekly,
    /// Months.
    Monthly,
    /// Years.
    Yearly,
}

/// When a rule ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Ends {
    /// Never.
    Never,
    /// After this many occurrences, the first included; at most 10,000.
    Count(u32),
    /// With this civil time, included.
    Until(DateTime),
    /// With this instant, included (`UNTIL` written in UTC).
    UntilInstant(UnixTime),
}

/// A weekday of a rule: every one, or the n-th (from the end when negative) of the month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WeekdayRule {
    /// 0 for every one, else -5..=5.
    pub nth: i8,
    /// 0 Monday to 6 Sunday.
    pub day: u8,
}

/// A recurrence rule.
///
/// # Shape
/// Text form as in iCalendar: `FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;COUNT=10`. Parts: FREQ (DAILY to YEARLY),
/// INTERVAL, COUNT or UNTIL, BYMONTH, BYMONTHDAY, BYDAY, WKST.
/// # Errors
/// [`RecurRefusal`] names a part that is not supported or over a limit.
/// # Spec
/// RFC 5545 §3.3.10
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rule {
    /// Unit of repetition.
    pub frequency: Frequency,
    /// Every n-th unit, 1..=1000.
    pub interval: u16,
    /// When it ends.
    pub ends: Ends,
    /// Months, 1..=12; empty for any.
    pub by_month: Vec<u8>,
    /// Days of the month, 1..=31 or -31..=-1; empty for any.
    pub by_month_day: Vec<i8>,
    /// Weekdays; empty for any.
    pub by_day: Vec<WeekdayRule>,
    /// First day of the week, 0 Monday to 6 Sunday.
    pub week_start: u8,
}

/// Most occurrences a counted rule may have.
pub(crate) const MAX_COUNT: u32 = 10_000;
/// Days looked at for one answer: 400 years, after which the calendar repeats itself.
const FUEL: u32 = 146_097 + 366;
const DAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

impl Rule {
    /// Every `interval` units, for ever.
    #[must_use]
    pub const fn every(interval: u16, frequency: Frequency) -> Self {
        Rule {
            frequency,
            interval,
            ends: Ends::Never,
            by_month: Vec::new(),
            by_month_day: Vec::new(),
            by_day: Vec::new(),
            week_start: 0,
        }
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`RecurRefusal`].
    pub fn parse(text: &str) -> Result<Self, RecurRefusal> {
        if text.len() > 512 {
            return Err(RecurRefusal::Syntax);
        }
        let mut rule = Rule::every(1, Frequency::Daily);
        let mut frequency = None;
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(';') {
            let (key, value) = part.split_once('=').ok_or(RecurRefusal::Syntax)?;
            if seen.contains(&key) {
                return Err(RecurRefusal::Syntax);
            }
            seen.push(key);
            match key {
                "FREQ" => frequency = Some(frequency_of(value)?),
                "INTERVAL" => rule.interval = number(value, 1, 1_000)?,
                "COUNT" => {
                    let count: u64 = value.parse().map_err(|_| RecurRefusal::Syntax)?;
                    rule.ends = match u32::try_from(count) {
                        Ok(count) if (1..=MAX_COUNT).contains(&count) => Ends::Count(count),
                        _ => return Err(RecurRefusal::TooMany { count }),
                    };
                }
                "UNTIL" => rule.ends = until(value)?,
                "BYMONTH" => rule.by_month = list(value, |v| number(v, 1, 12))?,
                "BYMONTHDAY" => rule.by_month_day = list(value, month_day)?,
                "BYDAY" => rule.by_day = list(value, weekday)?,
                "WKST" => rule.week_start = weekday(value)?.day,
                _ => return Err(RecurRefusal::Unsupported),
            }
        }
        if seen.contains(&"COUNT") && seen.contains(&"UNTIL") {
            return Err(RecurRefusal::Syntax);
        }
        rule.frequency = frequency.ok_or(RecurRefusal::Syntax)?;
        rule.check()?;
        Ok(rule)
    }

    /// Checks the limits of a rule built by hand.
    ///
    /// # Errors
    /// [`RecurRefusal`].
    pub fn check(&self) -> Result<(), RecurRefusal> {
        if let Ends::Count(count) = self.ends
            && !(1..=MAX_COUNT).contains(&count)
        {
            return Err(RecurRefusal::TooMany { count: count.into() });
        }
        let in_range = (1..=1_000).contains(&self.interval)
            && self.week_start < 7
            && self.by_month.iter().all(|m| (1..=12).contains(m))
            && self.by_month_day.iter().all(|d| *d != 0 && d.unsigned_abs() <= 31)
            && self.by_day.iter().all(|d| d.day < 7 && d.nth.unsigned_abs() <= 5)
            && self.by_month.len() <= 12
            && self.by_month_day.len() <= 62
            && self.by_day.len() <= 77;
        if !in_range {
            return Err(RecurRefusal::Syntax);
        }
        let ordinals = self.by_day.iter().any(|d| d.nth != 0);
        // "The 5th Monday of a year" needs BYMONTH here; of a day or week it means nothing.
        let months_known = self.frequency == Frequency::Monthly
            || self.frequency == Frequency::Yearly && !self.by_month.is_empty();
        if ordinals && !months_known {
            return Err(RecurRefusal::Unsupported);
        }
        Ok(())
    }

    /// The text form.
    #[must_use]
    pub fn text(&self) -> alloc::string::String {
        use fmt::Write;
        let mut out = alloc::string::String::from("FREQ=");
        out.push_str(match self.frequency {
            Frequency::Daily => "DAILY",
            Frequency::Weekly => "WEEKLY",
            Frequency::Monthly => "MONTHLY",
            Frequency::Yearly => "YEARLY",
        });
        if self.interval != 1 {
            let _ = write!(out, ";INTERVAL={}", self.interval);
        }
        match self.ends {
            Ends::Never => {}
            Ends::Count(count) => {
                let _ = write!(out, ";COUNT={count}");
            }
            Ends::Until(civil) => {
                let _ = write!(out, ";UNTIL={}", civil.strftime("%Y%m%dT%H%M%S"));
            }
            Ends::UntilInstant(time) => {
                if let Ok((civil, _)) = shown_at(time, &jiff::tz::TimeZone::UTC) {
                    let _ = write!(out, ";UNTIL={}", civil.strftime("%Y%m%dT%H%M%SZ"));
                }
            }
        }
        let mut part = |key: &str, values: Vec<alloc::string::String>| {
            if !values.is_empty() {
                let _ = write!(out, ";{key}={}", values.join(","));
            }
        };
        part("BYMONTH", self.by_month.iter().map(|m| alloc::format!("{m}")).collect());
        part("BYMONTHDAY", self.by_month_day.iter().map(|d| alloc::format!("{d}")).collect());
        let day = |d: &WeekdayRule| {
            let name = DAYS.get(usize::from(d.day)).copied().unwrap_or("MO");
            if d.nth == 0 { name.into() } else { alloc::format!("{}{name}", d.nth) }
        };
        part("BYDAY", self.by_day.iter().map(day).collect());
        if self.week_start != 0 {
            part("WKST", [day(&WeekdayRule { nth: 0, day: self.week_start })].into());
        }
        out
    }

    /// The first occurrence after `after` (exclusive); the first of all when that is `None`.
    ///
    /// # Errors
    /// [`RecurRefusal::OutOfFuel`] when 400 years hold none (30 February); [`RecurRefusal::Appoint`].
    pub fn next(
        &self,
        first: &Appointment,
        after: Option<UnixTime>,
        place: Place<'_>,
    ) -> Result<Option<UnixTime>, crate::task::TaskRefusal> {
        Ok(self.search(first, after, place)?)
    }

    fn search(
        &self,
        first: &Appointment,
        after: Option<UnixTime>,
        place: Place<'_>,
    ) -> Result<Option<UnixTime>, RecurRefusal> {
        self.check()?;
        let named;
        let zone = match &first.zone {
            AppointedZone::Named(name) => {
                named = place.zones.zone(name).map_err(AppointRefusal::from)?;
                &named
            }
            AppointedZone::Fixed(seconds) => {
                named = fixed(*seconds).map_err(AppointRefusal::from)?;
                &named
            }
            AppointedZone::Floating => place.zone,
            AppointedZone::Unknown => return Err(AppointRefusal::NoZoneNoDifference.into()),
        };
        let counted = matches!(self.ends, Ends::Count(_));
        // Without a count the past need not be walked: start two periods before `after`.
        let mut period = match after {
            Some(after) if !counted => {
                let civil = shown_at(after, zone).map_err(AppointRefusal::from)?.0;
                self.period_of(first.civil.date(), civil.date()).saturating_sub(2).max(0)
            }
            _ => 0,
        };
        let mut found = 0_u32;
        let mut fuel = FUEL;
        let cost = match self.frequency {
            Frequency::Daily => 1,
            Frequency::Weekly => 7,
            Frequency::Monthly => 31,
            Frequency::Yearly => 366,
        };
        while let Some(left) = fuel.checked_sub(cost) {
            fuel = left;
            let Some(mut dates) = self.dates(first.civil.date(), period) else { return Ok(None) };
            dates.sort_unstable();
            dates.dedup();
            for date in dates {
                let civil = date.to_datetime(first.civil.time());
                if civil < first.civil {
                    continue;
                }
                found += 1;
                let time = resolve(civil, zone)
                    .and_then(|resolution| resolution.pick(first.policy))
                    .map_err(AppointRefusal::from);
                let over = match self.ends {
                    Ends::Never => false,
                    Ends::Count(count) => found > count,
                    Ends::Until(last) => civil > last,
                    Ends::UntilInstant(last) => time.as_ref().is_ok_and(|time| *time > last),
                };
                if over {
                    return Ok(None);
                }
                // A gap or fold under `Policy::Reject` leaves this one out, not the whole rule.
                let Ok(time) = time else { continue };
                if after.is_none_or(|after| time > after) {
                    return Ok(Some(time));
                }
            }
            period = period.saturating_add(1);
        }
        Err(RecurRefusal::OutOfFuel)
    }

    /// Which period of the rule a date falls into, counted from the first.
    fn period_of(&self, first: Date, date: Date) -> i64 {
        let units = match self.frequency {
            Frequency::Daily => days_between(first, date),
            Frequency::Weekly => days_between(self.week_of(first).unwrap_or(first), date).div_euclid(7),
            Frequency::Monthly => months(date) - months(first),
            Frequency::Yearly => i64::from(date.year()) - i64::from(first.year()),
        };
        units.div_euclid(i64::from(self.interval))
    }

    fn week_of(&self, date: Date) -> Option<Date> {
        let since = (i64::from(weekday_number(date)) - i64::from(self.week_start)).rem_euclid(7);
        add_days(date, -since)
    }

    /// The dates of one period that fit; `None` past the end of the calendar.
    fn dates(&self, first: Date, period: i64) -> Option<Vec<Date>> {
        let steps = period.checked_mul(i64::from(self.interval))?;
        let fits = |date: &Date| self.fits(*date);
        Some(match self.frequency {
            Frequency::Daily => [add_days(first, steps)?].into_iter().filter(fits).collect(),
            Frequency::Weekly => {
                let week = add_days(self.week_of(first)?, steps.checked_mul(7)?)?;
                let own = weekday_number(first);
                (0..7)
                    .filter_map(|day| add_days(week, day))
                    .filter(|date| !self.by_day.is_empty() || weekday_number(*date) == own)
                    .filter(fits)
                    .collect()
            }
            Frequency::Monthly => {
                let month = months(first).checked_add(steps)?;
                let month = month_start(month)?;
                self.days_of_month(month, first)
            }
            Frequency::Yearly => {
                let year = i16::try_from(i64::from(first.year()).checked_add(steps)?).ok()?;
                let all =
                    !self.by_month.is_empty() || !self.by_day.is_empty() || !self.by_month_day.is_empty();
                let mut dates = Vec::new();
                for month in 1..=12_i8 {
                    if all || month == first.month() {
                        dates.extend(self.days_of_month(Date::new(year, month, 1).ok()?, first));
                    }
                }
                dates
            }
        })
    }

    fn days_of_month(&self, month: Date, first: Date) -> Vec<Date> {
        let own_day = self.by_month_day.is_empty() && self.by_day.is_empty();
        (1..=month.days_in_month())
            .filter(|day| !own_day || *day == first.day())
            .filter_map(|day| Date::new(month.year(), month.month(), day).ok())
            .filter(|date| self.fits(*date))
            .collect()
    }

    fn fits(&self, date: Date) -> bool {
        let length = date.days_in_month();
        let month =
            self.by_month.is_empty() || self.by_month.iter().any(|m| i8::try_from(*m) == Ok(date.month()));
        let month_day = self.by_month_day.is_empty()
            || self
                .by_month_day
                .iter()
                .any(|d| *d == date.day() || (*d < 0 && length + 1 + *d == date.day()));
        let day = self.by_day.is_empty()
            || self.by_day.iter().any(|rule| {
                rule.day == weekday_number(date)
                    && (rule.nth == 0
                        || rule.nth > 0 && (date.day() - 1) / 7 + 1 == rule.nth
                        || rule.nth < 0 && (length - date.day()) / 7 + 1 == -rule.nth)
            });
        month && month_day && day
    }
}

fn weekday_number(date: Date) -> u8 {
    match date.weekday() {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}

fn months(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

fn month_start(months: i64) -> Option<Date> {
    let year = i16::try_from(months.div_euclid(12)).ok()?;
    let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
    Date::new(year, month, 1).ok()
}

fn add_days(date: Date, days: i64) -> Option<Date> {
    date.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

fn days_between(a: Date, b: Date) -> i64 {
    b.duration_since(a).as_hours() / 24
}

fn frequency_of(value: &str) -> Result<Frequency, RecurRefusal> {
    match value {
        "DAILY" => Ok(Frequency::Daily),
        "WEEKLY" => Ok(Frequency::Weekly),
        "MONTHLY" => Ok(Frequency::Monthly),
        "YEARLY" => Ok(Frequency::Yearly),
        "SECONDLY" | "MINUTELY" | "HOURLY" => Err(RecurRefusal::TooOften),
        _ => Err(RecurRefusal::Syntax),
    }
}

fn number<T: core::str::FromStr + PartialOrd>(value: &str, least: T, most: T) -> Result<T, RecurRefusal> {
    let number: T = value.parse().map_err(|_| RecurRefusal::Syntax)?;
    if number < least || number > most { Err(RecurRefusal::Syntax) } else { Ok(number) }
}

fn month_day(value: &str) -> Result<i8, RecurRefusal> {
    let day = number(value, -31, 31)?;
    if day == 0 { Err(RecurRefusal::Syntax) } else { Ok(day) }
}

fn weekday(value: &str) -> Result<WeekdayRule, RecurRefusal> {
    let split = value.len().checked_sub(2).ok_or(RecurRefusal::Syntax)?;
    let (nth, name) = value.split_at_checked(split).ok_or(RecurRefusal::Syntax)?;
    let day = DAYS.iter().position(|day| *day == name).ok_or(RecurRefusal::Syntax)?;
    let nth = if nth.is_empty() { 0 } else { number(nth, -5, 5)? };
    Ok(WeekdayRule { nth, day: u8::try_from(day).map_err(|_| RecurRefusal::Syntax)? })
}

fn list<T>(value: &str, one: impl Fn(&str) -> Result<T, RecurRefusal>) -> Result<Vec<T>, RecurRefusal> {
    value.split(',').map(one).collect()
}

fn until(value: &str) -> Result<Ends, RecurRefusal> {
    if value.len() == 8 {
        let day = alloc::format!("{value}T235959");
        return CivilText::parse(&day).map(|text| Ends::Until(text.civil)).map_err(|_| RecurRefusal::Syntax);
    }
    let text = CivilText::parse(value).map_err(|_| RecurRefusal::Syntax)?;
    match (text.offset, text.zone) {
        (None, None) => Ok(Ends::Until(text.civil)),
        (Some(0), None) => resolve(text.civil, &jiff::tz::TimeZone::UTC)
            .and_then(|found| found.pick(crate::civil::Policy::Compatible))
            .map(Ends::UntilInstant)
            .map_err(|_| RecurRefusal::Syntax),
        _ => Err(RecurRefusal::Syntax),
    }
}

/// Why a rule is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecurRefusal {
    /// Not a rule, or a number out of range.
    Syntax,
    /// More often than daily.
    TooOften,
    /// More occurrences than 10,000.
    TooMany {
        /// Asked for.
        count: u64,
    },
    /// A part this crate does not expand.
    Unsupported,
    /// 400 years without an occurrence.
    OutOfFuel,
    /// The first occurrence.
    Appoint(AppointRefusal),
}

impl From<AppointRefusal> for RecurRefusal {
    fn from(refusal: AppointRefusal) -> Self {
        RecurRefusal::Appoint(refusal)
    }
}

impl fmt::Display for RecurRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecurRefusal::Syntax => write!(f, "rule: syntax or range"),
            RecurRefusal::TooOften => write!(f, "rule: more often than daily"),
            RecurRefusal::TooMany { count } => write!(f, "rule: {count} occurrences, limit {MAX_COUNT}"),
            RecurRefusal::Unsupported => write!(f, "rule: part not supported"),
            RecurRefusal::OutOfFuel => write!(f, "rule: no occurrence in {FUEL} days"),
            RecurRefusal::Appoint(refusal) => refusal.fmt(f),
        }
    }
}

impl core::error::Error for RecurRefusal {}
