//! Statements about the time, and proof that two of them cannot both be true.

use core::time::Duration;

use alloc::collections::VecDeque;

use crate::filter::age;
use crate::instant::{Interval, growth};
use crate::select::SourceId;

/// "At this moment of your monotonic clock the true offset was in here", said by someone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Statement {
    /// Who says it.
    pub by: SourceId,
    /// Our monotonic clock when it was said.
    pub at: Duration,
    /// The claim: offset from our own timescale, nanoseconds.
    pub offset: Interval,
}

/// Two statements that exclude each other: at least one of the two sources is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Contradiction {
    /// The earlier statement.
    pub earlier: Statement,
    /// The later one.
    pub later: Statement,
    /// Nanoseconds between the two after allowing for drift.
    pub gap: u64,
}

/// Remembers the latest statements and reports contradictions.
///
/// Holds at most `capacity` statements; the oldest goes first.
#[derive(Clone, Debug)]
pub struct Ledger {
    kept: VecDeque<Statement>,
    capacity: usize,
    phi: u64,
}

impl Ledger {
    /// A ledger for a clock that may drift `phi` parts per billion.
    #[must_use]
    pub const fn new(capacity: usize, phi: u64) -> Self {
        Ledger { kept: VecDeque::new(), capacity, phi }
    }

    /// Takes a statement in and returns the widest contradiction with what is kept.
    pub fn add(&mut self, statement: Statement) -> Option<Contradiction> {
        let found = self
            .kept
            .iter()
            .filter_map(|kept| contradicts(*kept, statement, self.phi))
            .max_by_key(|found| found.gap);
        while self.kept.len() >= self.capacity.max(1) {
            self.kept.pop_front();
        }
        self.kept.push_back(statement);
        found
    }

    /// Forgets all statements; do so when the timescale they refer to is stepped.
    pub fn clear(&mut self) {
        self.kept.clear();
    }
}

/// Whether two statements exclude each other, given a clock that may drift `phi` parts per billion.
#[must_use]
pub fn contradicts(a: Statement, b: Statement, phi: u64) -> Option<Contradiction> {
    let (earlier, later) = if a.at <= b.at { (a, b) } else { (b, a) };
    let aged = earlier.offset.widen(growth(age(earlier.at, later.at), phi));
    if aged.overlaps(later.offset) {
        return None;
    }
    let gap = if aged.hi() < later.offset.lo() {
        later.offset.lo().abs_diff(aged.hi())
    } else {
        aged.lo().abs_diff(later.offset.hi())
    };
    Some(Contradiction { earlier, later, gap })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(by: u32, s: u64, mid: i64) -> Statement {
        Statement { by: SourceId(by), at: Duration::from_secs(s), offset: Interval::around(mid, 1_000_000) }
    }

    #[test]
    fn drift_excuses_what_it_can_and_no_more() {
        let mut ledger = Ledger::new(4, 15_000);
        assert_eq!(ledger.add(says(1, 0, 0)), None);
        assert_eq!(ledger.add(says(2, 1_000, 16_000_000)), None); // 15 ms of drift allowed
        let found = ledger.add(says(3, 1_000, 40_000_000)).unwrap();
        assert_eq!((found.earlier.by, found.later.by, found.gap), (SourceId(1), SourceId(3), 23_000_000));
    }

    #[test]
    fn the_ledger_stays_small() {
        let mut ledger = Ledger::new(2, 0);
        for s in 0..100 {
            ledger.add(says(1, s, 0));
        }
        assert_eq!(ledger.kept.len(), 2);
    }
}
