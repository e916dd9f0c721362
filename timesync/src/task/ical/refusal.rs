//! Why a calendar holds no task for us.

use core::fmt;

use crate::task::model::TaskRefusal;
use crate::task::recur::RecurRefusal;

/// Longest calendar read, octets; most lines.
pub(super) const MAX_OCTETS: usize = 1 << 20;
pub(super) const MAX_LINES: usize = 20_000;

/// Why a calendar holds no task for us.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IcalRefusal {
    /// Over 1 MiB or 20,000 lines.
    TooLarge,
    /// A line that cannot be used.
    Line {
        /// Which, after unfolding, from 1.
        number: usize,
        /// What is wrong.
        problem: Problem,
    },
    /// A component is not closed.
    Unclosed,
    /// No `VEVENT` or `VTODO`.
    NoTask,
    /// No `UID`.
    NoUid,
    /// No `DTSTART` or `DUE`.
    NoMoment,
    /// It says not for whom it is.
    NoOwner,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Not a content line, or components that do not nest.
    Syntax,
    /// More than 8 components deep.
    TooDeep,
    /// A calendar with two tasks.
    SecondTask,
    /// More of them than make sense.
    TooMany,
    /// Not a date-time.
    Moment,
    /// Not a zone name or offset.
    Zone,
    /// Not base64.
    Base64,
    /// The rule.
    Rule(RecurRefusal),
    /// A name.
    Task(TaskRefusal),
}

impl fmt::Display for IcalRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IcalRefusal::TooLarge => write!(f, "icalendar: over {MAX_OCTETS} octets or {MAX_LINES} lines"),
            IcalRefusal::Line { number, problem } => write!(f, "icalendar: line {number}: {problem:?}"),
            IcalRefusal::Unclosed => write!(f, "icalendar: component not closed"),
            IcalRefusal::NoTask => write!(f, "icalendar: no VEVENT or VTODO"),
            IcalRefusal::NoUid => write!(f, "icalendar: no UID"),
            IcalRefusal::NoOwner => write!(f, "icalendar: for nobody that is known here"),
            IcalRefusal::NoMoment => write!(f, "icalendar: no DTSTART or DUE"),
        }
    }
}

impl core::error::Error for IcalRefusal {}
