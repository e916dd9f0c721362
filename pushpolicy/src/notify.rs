//! Whether a terminal is told of an event at all, when, and how often: rules, quiet hours, folding, the SMS budget.
//!
//! All values without clock or IO; the host keeps them as rows.

use crate::location::name_rule;
use crate::mail::MailFacts;
use crate::pattern::Pattern;
use crate::policy::TimeWindow;
use crate::time::LocalTime;
use serde::{Deserialize, Serialize};

mod budget;
mod delivery;
mod fold;

pub use budget::SmsBudget;
pub use delivery::{Delivery, Next, Pace, Waiting};
pub use fold::{Folded, Folder, Gather};

/// What happened.
// mission: M4e
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A mail arrived.
    Arrived,
    /// Its state changed.
    StateChanged,
    /// It was deleted.
    Deleted,
}

/// The name under which the terminal knows the mail, or will be offered it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemId {
    /// The terminal holds it under this LUID.
    Luid(String),
    /// It does not hold it yet; it will be offered under this temporary id.
    Temporary(String),
}

/// An event as one terminal sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Where.
    pub folder: String,
    /// To what.
    pub item: ItemId,
}

impl Event {
    /// All parts.
    #[must_use]
    pub fn new(kind: EventKind, folder: impl Into<String>, item: ItemId) -> Event {
        Event { kind, folder: folder.into(), item }
    }
}

/// Which events a terminal is told of. The first rule that matches decides.
// mission: M4a
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotifyRules {
    /// In order.
    #[serde(default)]
    pub rules: Vec<NotifyRule>,
    /// When none matches.
    #[serde(default)]
    pub default: Tell,
    /// The user sleeps.
    #[serde(default)]
    pub quiet: Vec<TimeWindow>,
}

impl Default for NotifyRules {
    /// Tells of everything, at any time.
    fn default() -> NotifyRules {
        NotifyRules { rules: Vec::new(), default: Tell::Yes, quiet: Vec::new() }
    }
}

/// One rule; everything that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct NotifyRule {
    /// Names it in verdicts.
    pub id: String,
    /// These kinds; all if empty.
    pub kinds: Vec<EventKind>,
    /// The folder.
    pub folder: Option<Pattern>,
    /// The sender.
    pub sender: Option<Pattern>,
    /// The subject.
    pub subject: Option<Pattern>,
    /// At least so many octets.
    pub min_size: Option<u64>,
    /// At most so many octets.
    pub max_size: Option<u64>,
    /// What then.
    pub then: Tell,
}

impl NotifyRule {
    /// A rule that matches everything.
    #[must_use]
    pub fn new(id: impl Into<String>, then: Tell) -> NotifyRule {
        NotifyRule { id: id.into(), then, ..NotifyRule::default() }
    }

    fn matches(&self, kind: EventKind, mail: &MailFacts) -> bool {
        let fits = |p: &Option<Pattern>, field: &str| p.as_ref().is_none_or(|p| p.matches(field));
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.min_size.is_none_or(|n| mail.size() >= n)
            && self.max_size.is_none_or(|n| mail.size() <= n)
            && fits(&self.folder, mail.folder())
            && fits(&self.sender, mail.from())
            && fits(&self.subject, mail.subject())
    }
}

/// Whether to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tell {
    /// Yes, outside quiet hours.
    #[default]
    Yes,
    /// Yes, in quiet hours too.
    Urgent,
    /// No: it comes with the next sync.
    No,
}

/// What is to be done with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Tell now (or fold it with others: [`Folder`]).
    Now,
    /// Quiet hours: tell in so many minutes.
    Later {
        /// Minutes until the quiet ends.
        minutes: u16,
    },
    /// Not yet, perhaps then.
    Until(crate::time::Millis),
    /// Tell now where it went, once: that asks for no session.
    Hint,
    /// Do not tell: the rule, or that the terminal does not hold the mail.
    Silent {
        /// The rule's id; empty for the default; `not_held`.
        because: String,
    },
}

/// Why rules were not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("notify rule {id:?}: {what}")]
#[non_exhaustive]
pub struct NotifyError {
    /// The rule; empty for the quiet hours.
    pub id: String,
    /// What is wrong.
    pub what: String,
}

impl NotifyRules {
    /// Rules at most, and windows at most.
    pub const MAX: usize = 256;

    /// Checks what the types cannot: names, patterns of at most 256 octets, windows, numbers of both.
    ///
    /// # Errors
    /// [`NotifyError`], naming the rule.
    pub fn check(&self) -> Result<(), NotifyError> {
        let error = |id: &str, what: String| NotifyError { id: id.to_owned(), what };
        if self.rules.len() > Self::MAX || self.quiet.len() > Self::MAX {
            return Err(error(
                "",
                format!("{} rules, {} windows, limit {}", self.rules.len(), self.quiet.len(), Self::MAX),
            ));
        }
        self.quiet.iter().try_for_each(TimeWindow::check).map_err(|what| error("", what))?;
        for rule in &self.rules {
            name_rule("notify rule", &rule.id).map_err(|e| error("", e.to_string()))?;
            for p in [&rule.folder, &rule.sender, &rule.subject].into_iter().flatten() {
                if p.text().len() > 256 {
                    return Err(error(&rule.id, format!("pattern of {} octets, limit 256", p.text().len())));
                }
            }
        }
        Ok(())
    }

    /// Judges an event for one terminal. `holds`: whether that terminal holds the mail. `local`: its user's wall
    /// clock; unknown: no quiet hours.
    #[must_use]
    pub fn judge(&self, kind: EventKind, mail: &MailFacts, holds: bool, local: Option<LocalTime>) -> Verdict {
        // mission: M4e (a deletion or state change is told only to clients that hold the mail)
        if kind != EventKind::Arrived && !holds {
            return Verdict::Silent { because: "not_held".to_owned() };
        }
        let rule = self.rules.iter().find(|r| r.matches(kind, mail));
        let (tell, id) = rule.map_or((self.default, ""), |r| (r.then, r.id.as_str()));
        match tell {
            Tell::No => Verdict::Silent { because: id.to_owned() },
            Tell::Urgent => Verdict::Now,
            Tell::Yes => match local.map_or(0, |t| self.quiet_minutes(t)) {
                0 => Verdict::Now,
                minutes => Verdict::Later { minutes },
            },
        }
    }

    /// Minutes until no window holds; 0 outside; a week if they leave no gap.
    fn quiet_minutes(&self, now: LocalTime) -> u16 {
        let quiet =
            |minute: u16| LocalTime::try_from(minute).is_ok_and(|t| self.quiet.iter().any(|w| w.contains(t)));
        (0..LocalTime::WEEK)
            .find(|ahead| !quiet((now.minute_of_week() + ahead) % LocalTime::WEEK))
            .unwrap_or(LocalTime::WEEK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(size: u64) -> MailFacts {
        MailFacts::new("INBOX/Work", "Boss <boss@corp.example>", "Budget", size, ["text/plain"])
    }

    // mission: M4a
    #[test]
    fn rules_look_at_folder_sender_and_size() {
        let rules: NotifyRules = serde_json::from_str(
            r#"{"rules":[{"id":"huge","min_size":1000000,"then":"no"},
                {"id":"boss","sender":{"keyword":"boss@"},"then":"urgent"},
                {"id":"work","folder":{"glob":"inbox/*"},"kinds":["arrived"],"then":"no"}],
                "quiet":[{"from_minute":1320,"to_minute":420}]}"#,
        )
        .unwrap();
        rules.check().unwrap();
        let night = LocalTime::new(1, 23, 0).ok();
        let judge = |m: &MailFacts| rules.judge(EventKind::Arrived, m, false, night);
        assert_eq!(judge(&mail(2_000_000)), Verdict::Silent { because: "huge".into() });
        assert_eq!(judge(&mail(5)), Verdict::Now);
        let other = MailFacts::new("INBOX/Work", "x@y.example", "", 1, ["text/plain"]);
        assert_eq!(judge(&other), Verdict::Silent { because: "work".into() });
        let inbox = MailFacts::new("INBOX", "x@y.example", "", 1, ["text/plain"]);
        assert_eq!(judge(&inbox), Verdict::Later { minutes: 480 });
        assert_eq!(rules.judge(EventKind::Arrived, &inbox, false, None), Verdict::Now);
    }

    // mission: M4e
    #[test]
    fn deletions_and_changes_are_told_only_to_holders() {
        let rules = NotifyRules::default();
        for kind in [EventKind::Deleted, EventKind::StateChanged] {
            assert_eq!(
                rules.judge(kind, &mail(1), false, None),
                Verdict::Silent { because: "not_held".into() }
            );
            assert_eq!(rules.judge(kind, &mail(1), true, None), Verdict::Now);
        }
        assert_eq!(rules.judge(EventKind::Arrived, &mail(1), false, None), Verdict::Now);
    }

    #[test]
    fn quiet_hours_without_a_gap_end_in_a_week() {
        let rules = NotifyRules { quiet: vec![TimeWindow::daily(0, 1440)], ..NotifyRules::default() };
        let local = LocalTime::new(3, 3, 3).ok();
        assert_eq!(
            rules.judge(EventKind::Arrived, &mail(1), false, local),
            Verdict::Later { minutes: 10_080 }
        );
    }
}
