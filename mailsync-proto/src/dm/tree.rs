//! The nodes of the management tree and what is written in them.

use timesync::civil::{CivilText, Policy, resolve, shown_at};
use timesync::clock::LocalStamp;
use timesync::starter::Missed;
use timesync::zones::fixed;
use timesync::{Interval, UnixTime};

/// What the terminal's clock shows.
pub const CLOCK_NOW: &str = "./Ext/mailsync/Clock/Now";
/// What it showed when the question came.
pub const CLOCK_RECEIVED: &str = "./Ext/mailsync/Clock/Received";
/// What it showed when the answer left.
pub const CLOCK_SENT: &str = "./Ext/mailsync/Clock/Sent";
/// How far it is off.
pub const CLOCK_DEVIATION: &str = "./Ext/mailsync/Clock/Deviation";
/// The request to set it.
pub const CLOCK_SET: &str = "./Ext/mailsync/Clock/Set";
/// Under it, one node an operation, named by its number.
pub const OPERATION: &str = "./Ext/mailsync/Operation/";
/// Type of the alert that tells what became of an operation.
pub const OUTCOME: &str = "org.mailsync.dm.outcome";
/// Type of the alert that answers a request to set the clock.
pub const ANSWER: &str = "org.mailsync.dm.clock.answer";

/// A local time as text: `2026-03-29T03:59:55.25+03:00`; without an offset when the terminal knows none.
pub fn stamp_text(stamp: LocalStamp) -> String {
    let shown = fixed(0).ok().and_then(|utc| shown_at(stamp.shown, &utc).ok());
    let mut text = shown.map_or_else(String::new, |(civil, _)| civil.to_string());
    if let Some(zone) = stamp.zone {
        let (sign, size) = (if zone < 0 { '-' } else { '+' }, zone.unsigned_abs());
        text.push_str(&format!("{sign}{:02}:{:02}", size / 3600, size / 60 % 60));
    }
    text
}

/// Reads what [`stamp_text`] writes, and any ISO 8601 local time.
pub fn stamp(text: &str) -> Option<LocalStamp> {
    let text = CivilText::parse(text.trim()).ok()?;
    let shown = resolve(text.civil, &fixed(0).ok()?).ok()?.pick(Policy::Compatible).ok()?;
    Some(LocalStamp { shown, zone: text.offset })
}

/// An interval as text: lowest and highest value.
pub fn interval_text(interval: Interval) -> String {
    format!("{} {}", interval.lo(), interval.hi())
}

/// Reads what [`interval_text`] writes.
pub fn interval(text: &str) -> Option<Interval> {
    let (lo, hi) = text.trim().split_once(' ')?;
    let (lo, hi): (i64, i64) = (lo.parse().ok()?, hi.trim().parse().ok()?);
    (lo <= hi).then(|| Interval::new(lo, hi))
}

/// A policy as text.
pub fn missed_text(missed: Missed) -> String {
    match missed {
        Missed::Skip => "skip".into(),
        Missed::FireIfWithin(grace) => format!("within {}", grace.as_secs()),
        Missed::FireOnce | Missed::FireAll(_) => "once".into(),
    }
}

/// Reads what [`missed_text`] writes.
pub fn missed(text: &str) -> Option<Missed> {
    match text.trim().split_once(' ') {
        None if text.trim() == "skip" => Some(Missed::Skip),
        None if text.trim() == "once" => Some(Missed::FireOnce),
        Some(("within", seconds)) => {
            let seconds = seconds.trim().parse().ok()?;
            Some(Missed::FireIfWithin(std::time::Duration::from_secs(seconds)))
        }
        _ => None,
    }
}

/// What a terminal tells of a finished operation: status, when it started (true time), how late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// 200 when it ran well, 215 when it was let go, 500 and up when it failed.
    pub code: u16,
    /// When it started, true time as the terminal knows it.
    pub at: UnixTime,
    /// How late, nanoseconds.
    pub late: i64,
}

impl Outcome {
    pub(super) fn text(&self) -> String {
        format!("{} {} {}", self.code, self.at.as_nanos(), self.late)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (code, at, late) =
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        words.next().is_none().then_some(Outcome { code, at: UnixTime::from_nanos(at), late })
    }
}

/// The node of an operation.
pub(super) fn operation(id: u64, leaf: &str) -> String {
    if leaf.is_empty() { format!("{OPERATION}{id}") } else { format!("{OPERATION}{id}/{leaf}") }
}

/// The number of an operation and the leaf below it.
pub(super) fn operation_of(node: &str) -> Option<(u64, &str)> {
    let rest = node.strip_prefix(OPERATION)?;
    let (id, leaf) = rest.split_once('/').unwrap_or((rest, ""));
    Some((id.parse().ok()?, leaf))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let stamp_of = |nanos, zone| LocalStamp { shown: UnixTime::from_nanos(nanos), zone };
        for one in [
            stamp_of(1_774_749_595_250_000_000, Some(10_800)),
            stamp_of(1_774_749_595_000_000_001, Some(-34_200)),
            stamp_of(-1, None),
        ] {
            assert_eq!(stamp(&stamp_text(one)), Some(one), "{}", stamp_text(one));
        }
        let wide = Interval::new(i64::MIN, -3);
        assert_eq!(interval(&interval_text(wide)), Some(wide));
        for policy in
            [Missed::Skip, Missed::FireOnce, Missed::FireIfWithin(std::time::Duration::from_secs(60))]
        {
            assert_eq!(missed(&missed_text(policy)), Some(policy));
        }
        let outcome = Outcome { code: 200, at: UnixTime::from_secs(7), late: -5 };
        assert_eq!(Outcome::parse(&outcome.text()), Some(outcome));
        assert_eq!(operation_of(&operation(7, "At")), Some((7, "At")));
    }

    #[test]
    fn threat_t1_nodes_that_say_nothing_are_nothing() {
        for text in ["", "x", "2026-13-01T00:00:00", "2026-01-01", "2026-01-01T00:00:00+99:99"] {
            assert_eq!(stamp(text), None, "{text}");
        }
        assert_eq!([interval("5 1"), interval("1"), interval("")], [None; 3]);
        assert_eq!([missed("within -1"), missed("maybe"), missed("")], [None; 3]);
        assert_eq!(Outcome::parse("200 1 2 3"), None);
        assert_eq!([operation_of("./Ext/mailsync/Operation/"), operation_of("./DevInfo/Man")], [None; 2]);
    }
}
