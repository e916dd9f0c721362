//! What a user wants: a closed, versioned language without scripts.
//!
//! A policy is a list of rules and a default. The first rule that matches says what happens: by priority (highest
//! first), then by id, so the order in the file means nothing. All clauses of a rule must hold. A condition that
//! this version does not know makes the whole policy fail at load, never at evaluation.

use crate::attributes::MediaRange;
use crate::error::{Implausible, PolicyError};
use crate::limits::Limits;
use crate::location::{PlaceLabel, name_rule};
use crate::mail::Importance;
use crate::pattern::Pattern;
use crate::terminal::TerminalKind;
use crate::time::LocalTime;
use serde::{Deserialize, Serialize};
use std::fmt;

mod push;
mod tuning;

pub use push::{Count, EscalationStep, Fallback, HintScope, Push, Selector};
pub use tuning::Tuning;

/// The format that this crate writes.
pub const VERSION: u32 = 1;

/// A user's policy.
///
/// # Shape
/// JSON: `{"version":1,"rules":[...],"default":{"push":{"select":["in_use","nearest","any"]}}}`; unknown fields are
/// errors.
// mission: P3
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// [`VERSION`].
    pub version: u32,
    /// Exceptions, in any order.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// What happens when no rule matches.
    pub default: Action,
    /// What happens when nobody can be pushed to.
    #[serde(default)]
    pub fallback: Fallback,
    /// How evidence is weighed.
    #[serde(default)]
    pub tuning: Tuning,
}

impl Default for Policy {
    /// To the terminal in use, else the nearest, else any.
    fn default() -> Policy {
        Policy {
            version: VERSION,
            rules: Vec::new(),
            default: Action::Push(Push::to([Selector::InUse, Selector::Nearest, Selector::Any])),
            fallback: Fallback::default(),
            tuning: Tuning::default(),
        }
    }
}

impl Policy {
    /// A policy without rules.
    #[must_use]
    pub fn new(default: Action) -> Policy {
        Policy { default, ..Policy::default() }
    }

    /// Reads a policy with the default limits. [`compile`](Policy::compile) checks the rest.
    ///
    /// # Errors
    /// [`PolicyError`]: no policy, an unknown condition, a newer version.
    pub fn from_json(bytes: &[u8]) -> Result<Policy, PolicyError> {
        let limit = Limits::default().document_bytes;
        if bytes.len() > limit {
            return Err(PolicyError::Limit { what: "document_bytes", value: bytes.len(), limit });
        }
        if let Some(newer) = crate::stored::check_version(bytes, VERSION)? {
            return Err(PolicyError::Newer(newer));
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// Names a rule in traces; 1 to 64 octets, no control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleId(Box<str>);

impl RuleId {
    /// # Errors
    /// [`Implausible`] if it is empty, too long or holds a control character.
    pub fn new(id: impl Into<String>) -> Result<RuleId, Implausible> {
        let id = id.into();
        name_rule("rule id", &id)?;
        Ok(RuleId(id.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RuleId {
    type Error = Implausible;
    fn try_from(s: String) -> Result<RuleId, Implausible> {
        RuleId::new(s)
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> String {
        id.0.into()
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An exception from the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// Unique in the policy.
    pub id: RuleId,
    /// Higher goes first; equal ones by id.
    #[serde(default)]
    pub priority: i32,
    /// All must hold; none means always.
    #[serde(default)]
    pub when: Vec<Clause>,
    /// What then.
    pub then: Action,
}

impl Rule {
    /// A rule of priority 0.
    #[must_use]
    pub const fn new(id: RuleId, when: Vec<Clause>, then: Action) -> Rule {
        Rule { id, priority: 0, when, then }
    }
}

/// One line of a rule. Two levels, no nesting: any rule can be written so, and no file can be deep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Clause {
    /// It holds.
    Is(Condition),
    /// One of them holds.
    Any(Vec<Condition>),
    /// None of them holds.
    Not(Vec<Condition>),
}

impl Clause {
    /// Its conditions.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        match self {
            Clause::Is(c) => std::slice::from_ref(c),
            Clause::Any(all) | Clause::Not(all) => all,
        }
    }
}

/// What can be asked about a mail, the moment and the terminals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// The folder.
    Folder(Pattern),
    /// The sender's address as in `From`.
    From(Pattern),
    /// The subject.
    Subject(Pattern),
    /// A part is a picture.
    HasPicture,
    /// A part has this type.
    HasMedia(MediaRange),
    /// More octets than this.
    SizeOver(u64),
    /// The sender's importance.
    Importance(Importance),
    /// The user's wall clock is inside. Does not hold when the host does not know the wall clock.
    LocalTime(TimeWindow),
    /// A terminal of this kind is in use.
    KindInUse(TerminalKind),
    /// Some terminal is in use.
    AnyInUse,
    /// A terminal in use is at this place.
    UserAt(PlaceLabel),
}

/// Minutes of the day on some days of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TimeWindow {
    /// Days on which it begins, 0 is Monday; all if empty.
    #[serde(default)]
    pub days: Vec<u16>,
    /// First minute of the day, 0 to 1439.
    pub from_minute: u16,
    /// First minute after it, 0 to 1440; not after `from_minute`: it ends on the next day.
    pub to_minute: u16,
}

impl TimeWindow {
    /// Every day from one minute to another.
    #[must_use]
    pub const fn daily(from_minute: u16, to_minute: u16) -> TimeWindow {
        TimeWindow { days: Vec::new(), from_minute, to_minute }
    }

    /// Whether `t` is inside.
    #[must_use]
    pub fn contains(&self, t: LocalTime) -> bool {
        let on = |day: u16| self.days.is_empty() || self.days.contains(&day);
        let (day, minute) = (t.day(), t.minute_of_day());
        if self.from_minute < self.to_minute {
            on(day) && (self.from_minute..self.to_minute).contains(&minute)
        } else {
            (on(day) && minute >= self.from_minute) || (on((day + 6) % 7) && minute < self.to_minute)
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.from_minute > 1439 || self.to_minute > 1440 || self.days.iter().any(|d| *d > 6) {
            return Err("local_time: minutes 0 to 1440, days 0 to 6".to_owned());
        }
        Ok(())
    }
}

/// What happens with the mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Push it.
    Push(Push),
    /// Wait for the next sync, or for something to change.
    Hold,
    /// Tell nobody.
    Mute,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins() {
        let w = TimeWindow { days: vec![4], from_minute: 22 * 60, to_minute: 7 * 60 };
        let t = |d, h| LocalTime::new(d, h, 0).unwrap();
        assert!(w.contains(t(4, 23)) && w.contains(t(5, 6)));
        assert!(!w.contains(t(5, 7)) && !w.contains(t(4, 6)) && !w.contains(t(5, 23)));
        assert!(TimeWindow::daily(0, 1440).contains(t(2, 0)));
        assert!(TimeWindow { days: vec![6], from_minute: 60, to_minute: 60 }.contains(t(0, 0)));
    }

    #[test]
    fn unknown_conditions_selectors_and_fields_fail_at_load() {
        for (json, part) in [
            (r#"{"version":1,"default":"teleport"}"#, "unknown variant"),
            (r#"{"version":1,"default":{"push":{"select":["telepathy"]}}}"#, "unknown variant"),
            (r#"{"version":1,"default":"hold","colour":1}"#, "unknown field"),
            (
                r#"{"version":1,"default":"hold","rules":[{"id":"a","when":[{"is":{"moon":"full"}}],"then":"mute"}]}"#,
                "unknown variant",
            ),
            (r#"{"version":9,"default":{"beam":{}}}"#, "version 9, this reads 1"),
        ] {
            let error = Policy::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn json_survives() {
        let mut policy = Policy::default();
        policy.rules.push(Rule::new(
            RuleId::new("night").unwrap(),
            vec![
                Clause::Is(Condition::LocalTime(TimeWindow::daily(1320, 420))),
                Clause::Not(vec![Condition::Importance(Importance::High), Condition::AnyInUse]),
            ],
            Action::Hold,
        ));
        let json = serde_json::to_vec(&policy).unwrap();
        assert_eq!(Policy::from_json(&json).unwrap(), policy);
    }
}
