//! The handled state of a mail is the same on all terminals of its user.
//!
//! States only grow and join: whatever order terminals report in, however often, all end equal. A mail that was seen
//! anywhere is taken back from the terminals that still announce it.

use crate::terminal::TerminalId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far a mail has come: new, pushed, seen, answered or forwarded, deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Nobody was told.
    New,
    /// Terminals were told.
    Pushed,
    /// Seen on some terminal.
    Seen,
    /// Answered, forwarded, or both.
    Acted,
    /// Deleted: nothing comes after.
    Deleted,
}

/// What happened to one mail on all terminals together.
// mission: P8
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Handled {
    /// Terminals that got the mail or its notice.
    pub pushed: BTreeSet<TerminalId>,
    /// Terminals that were told where it went.
    pub hinted: BTreeSet<TerminalId>,
    /// Terminals on which it was seen, answered, forwarded or deleted.
    pub handled_on: BTreeSet<TerminalId>,
    /// Seen, also where no terminal of ours is known (the mail server says so).
    pub seen: bool,
    /// Answered.
    pub answered: bool,
    /// Forwarded.
    pub forwarded: bool,
    /// Deleted.
    pub deleted: bool,
}

/// A notice or hint that is taken back, or if it is still on its way, stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CancelHint {
    /// Who was told.
    pub terminal: TerminalId,
    /// How far the mail has come.
    pub because: Progress,
}

impl Handled {
    /// A mail that nobody knows of.
    #[must_use]
    pub fn new() -> Handled {
        Handled::default()
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        if self.deleted {
            Progress::Deleted
        } else if self.answered || self.forwarded {
            Progress::Acted
        } else if self.seen || !self.handled_on.is_empty() {
            Progress::Seen
        } else if self.pushed.is_empty() {
            Progress::New
        } else {
            Progress::Pushed
        }
    }

    /// Both histories together: commutative, associative, idempotent.
    #[must_use]
    pub fn join(&self, other: &Handled) -> Handled {
        let both = |a: &BTreeSet<TerminalId>, b: &BTreeSet<TerminalId>| a.union(b).cloned().collect();
        Handled {
            pushed: both(&self.pushed, &other.pushed),
            hinted: both(&self.hinted, &other.hinted),
            handled_on: both(&self.handled_on, &other.handled_on),
            seen: self.seen || other.seen,
            answered: self.answered || other.answered,
            forwarded: self.forwarded || other.forwarded,
            deleted: self.deleted || other.deleted,
        }
    }

    /// What to take back now that `self` became `after`: from everyone told, except where it was handled, and not
    /// twice.
    #[must_use]
    pub fn cancel_hints(&self, after: &Handled) -> Vec<CancelHint> {
        let because = after.progress();
        if because < Progress::Seen {
            return Vec::new();
        }
        let was_over = self.progress() >= Progress::Seen;
        after
            .pushed
            .union(&after.hinted)
            .filter(|t| !after.handled_on.contains(*t))
            .filter(|t| !(was_over && (self.pushed.contains(*t) || self.hinted.contains(*t))))
            .map(|t| CancelHint { terminal: t.clone(), because })
            .collect()
    }

    /// Whether the escalation goes on: nobody has seen it.
    #[must_use]
    pub fn still_waits(&self) -> bool {
        self.progress() < Progress::Seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(all: &[&str]) -> BTreeSet<TerminalId> {
        all.iter().map(|id| TerminalId::new(*id).unwrap()).collect()
    }

    // mission: P8
    #[test]
    fn seen_anywhere_is_taken_back_everywhere_else_once() {
        let told = Handled { pushed: ids(&["phone"]), hinted: ids(&["laptop", "desktop"]), ..Handled::new() };
        assert!(told.still_waits());
        let seen = told.join(&Handled { seen: true, handled_on: ids(&["laptop"]), ..Handled::new() });
        let cancelled: BTreeSet<_> = told.cancel_hints(&seen).into_iter().map(|c| c.terminal).collect();
        assert_eq!(cancelled, ids(&["phone", "desktop"]));
        assert!(!seen.still_waits());
        assert!(seen.cancel_hints(&seen).is_empty());
        let late = seen.join(&Handled { pushed: ids(&["watch"]), ..Handled::new() });
        assert_eq!(seen.cancel_hints(&late)[0].terminal.as_str(), "watch");
    }

    #[test]
    fn deleted_is_the_end() {
        let all = Handled { answered: true, deleted: true, ..Handled::new() };
        assert_eq!(all.progress(), Progress::Deleted);
        assert_eq!(all.join(&Handled { seen: true, ..Handled::new() }).progress(), Progress::Deleted);
        assert_eq!(Handled { forwarded: true, ..Handled::new() }.progress(), Progress::Acted);
    }
}
