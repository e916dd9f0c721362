//! When an alarm rings: `TRIGGER`, as a duration from the start or the end, or as an instant.

use alloc::format;
use alloc::string::String;

use jiff::tz::TimeZone;

use super::line::Line;
use super::refusal::Problem;
use crate::civil::{CivilText, Policy, resolve};
use crate::instant::UnixTime;

/// When an alarm rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// So many nanoseconds after the start.
    Start(i64),
    /// So many nanoseconds after the end, or what is due.
    End(i64),
    /// Then.
    At(UnixTime),
}

/// Longest distance of an alarm, seconds: a hundred years.
const MOST: i64 = 36_525 * 86_400;
const SECOND: i64 = 1_000_000_000;

pub(super) fn read(line: &Line<'_>) -> Result<Trigger, Problem> {
    let param = |name| line.params.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    if param("VALUE").is_some_and(|value| value.eq_ignore_ascii_case("DATE-TIME")) {
        return instant(line.value).map(Trigger::At);
    }
    let by = duration(line.value).ok_or(Problem::Moment)?;
    let end = param("RELATED").is_some_and(|related| related.eq_ignore_ascii_case("END"));
    Ok(if end { Trigger::End(by) } else { Trigger::Start(by) })
}

/// A time in UTC; one that names no zone is taken for UTC.
pub(super) fn instant(value: &str) -> Result<UnixTime, Problem> {
    let text = CivilText::parse(value).map_err(|_| Problem::Moment)?;
    let time = resolve(text.civil, &TimeZone::UTC).and_then(|found| found.pick(Policy::Compatible));
    time.map_err(|_| Problem::Moment)
}

/// `-PT15M`, `P1DT12H`, `P2W`, in nanoseconds.
// spec: RFC 5545 §3.3.6
fn duration(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0_i64;
    let (mut time, mut number, mut any) = (false, None::<i64>, false);
    for c in rest.strip_prefix('P')?.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit.into())?);
            continue;
        }
        if c == 'T' {
            if time || number.is_some() {
                return None;
            }
            time = true;
            continue;
        }
        let unit = match (c, time) {
            ('W', false) => 7 * 86_400,
            ('D', false) => 86_400,
            ('H', true) => 3_600,
            ('M', true) => 60,
            ('S', true) => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.take()?.checked_mul(unit)?)?;
        any = true;
    }
    let whole = number.is_none() && any && seconds <= MOST;
    whole.then_some(seconds.saturating_mul(sign).saturating_mul(SECOND))
}

/// As text, to the second.
pub(super) fn written(nanos: i64) -> String {
    let seconds = nanos.checked_div(SECOND).unwrap_or(0);
    let sign = if seconds < 0 { "-" } else { "" };
    format!("{sign}PT{}S", seconds.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_by_table() {
        for (text, seconds) in
            [("-PT15M", -900), ("PT0S", 0), ("+P1DT2H3M4S", 93_784), ("P2W", 1_209_600), ("-P1D", -86_400)]
        {
            assert_eq!(duration(text), Some(seconds * SECOND), "{text}");
            assert_eq!(duration(&written(seconds * SECOND)), Some(seconds * SECOND));
        }
        for bad in ["", "P", "PT", "15M", "PT15", "P1H", "PTT1S", "PT1M1", "P99999999999W", "--PT1S", "PT-1S"]
        {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
