//! To whom, how many, who else is told, and who is next.

use crate::attributes::Requirement;
use crate::location::PlaceLabel;
use crate::terminal::{Bearer, TerminalId, TerminalKind};
use serde::{Deserialize, Serialize};

/// To whom, and who else is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Push {
    /// In this order; the first that selects anybody decides.
    pub select: Vec<Selector>,
    /// How many.
    #[serde(default)]
    pub count: Count,
    /// What a terminal must be able to do besides what the mail needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Requirement>,
    /// Who is told where the mail went.
    #[serde(default)]
    pub hints: HintScope,
    /// Bearers allowed; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bearers: Vec<Bearer>,
    /// Who is next while nobody has seen it; at most [`MAX_STEPS`](crate::Limits::MAX_STEPS).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<EscalationStep>,
}

impl Push {
    /// To one terminal by these selectors, hints to all others.
    #[must_use]
    pub fn to(select: impl IntoIterator<Item = Selector>) -> Push {
        Push {
            select: select.into_iter().collect(),
            count: Count::One,
            require: Vec::new(),
            hints: HintScope::All,
            bearers: Vec::new(),
            escalate: Vec::new(),
        }
    }
}

/// Picks terminals among those that may and can get the mail.
// mission: P3
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Selector {
    /// Those in use.
    InUse,
    /// The nearest to the user: see [`decide`](mod@crate::decide).
    Nearest,
    /// Those of a kind that are on (`laptop if on`).
    On(TerminalKind),
    /// Those of a kind, on or not.
    Kind(TerminalKind),
    /// Those known to show what the mail holds, not merely not known to fail.
    Capable,
    /// Those at a place.
    At(PlaceLabel),
    /// This one. A terminal that is gone selects nobody.
    Terminal(TerminalId),
    /// All that are left.
    Any,
}

/// How many terminals get the mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Count {
    /// Exactly one.
    // mission: P4
    #[default]
    One,
    /// This many at once; later selectors fill up what the first leaves open.
    AtLeast(u8),
    /// All that the selector picks.
    All,
}

/// Which of the other terminals learn where the mail went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HintScope {
    /// Every other one that may be pushed to.
    #[default]
    All,
    /// Those in use, and those nearer to the user than the first target.
    NearerOrInUse,
    /// Those in use.
    InUse,
    /// None.
    None,
}

/// One step of an escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EscalationStep {
    /// Seconds after the push without anybody seeing the mail; rises from step to step.
    pub after_s: u32,
    /// As [`Push::select`], among those not told yet.
    pub select: Vec<Selector>,
    /// How many.
    #[serde(default)]
    pub count: Count,
}

impl EscalationStep {
    /// One more terminal after `after_s` seconds.
    #[must_use]
    pub fn after(after_s: u32, select: impl IntoIterator<Item = Selector>) -> EscalationStep {
        EscalationStep { after_s, select: select.into_iter().collect(), count: Count::One }
    }
}

/// What happens when nobody can be pushed to; the mail is never dropped silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Fallback {
    /// When no terminal can show the mail, push its headers alone to the one that would have got it.
    #[serde(default = "yes")]
    pub notice: bool,
    /// Seconds until the decision is made again; absent: when a report arrives, or at the next sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_s: Option<u32>,
}

const fn yes() -> bool {
    true
}

impl Default for Fallback {
    fn default() -> Fallback {
        Fallback { notice: true, retry_s: None }
    }
}
