//! What was decided: small, without names, so that making it allocates nothing.

use crate::compile::CompiledPolicy;
use crate::limits::Limits;
use crate::policy::RuleId;
use crate::snapshot::Snapshot;
use crate::terminal::{Bearer, Route, TerminalId};
use crate::trace::Reason;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The answer to "who gets this mail?". Terminals are numbers: places in
/// [`Snapshot::terminals`]. [`view`](Decision::view) gives names and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub(crate) outcome: Outcome,
    pub(crate) rule: Option<u16>,
    pub(crate) first: Option<u8>,
    pub(crate) targets: TerminalSet,
    pub(crate) hints: TerminalSet,
    pub(crate) witnesses: TerminalSet,
    pub(crate) reference: Option<u8>,
    pub(crate) steps: [Step; Limits::MAX_STEPS],
    pub(crate) routes: [RouteChoice; Limits::MAX_TERMINALS],
}

/// What happens with the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It is pushed.
    Push(Content),
    /// It is not, for this reason; it stays on the server and comes with the next sync.
    NoTarget {
        /// Why.
        reason: Reason,
        /// When the question is asked again.
        then: Then,
    },
}

/// What of the mail the terminal may be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// All of it.
    Full,
    /// Headers: no terminal of the user can show the rest.
    Notice,
}

/// When an unanswered question is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Then {
    /// Never: a rule wants silence.
    Nothing,
    /// When a terminal reports or syncs.
    Wait,
    /// After so many seconds, or when a terminal reports.
    Retry(u32),
}

/// One step of the escalation plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Seconds after the push without anybody seeing the mail.
    pub after_s: u32,
    /// Who is pushed to then; never empty in [`Decision::escalation`].
    pub targets: TerminalSet,
}

/// Which route of a terminal, and whether it must be woken first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteChoice {
    /// Place in the terminal's routes, plus one; 0: none.
    pub(crate) route: u8,
    pub(crate) wake: bool,
}

impl Decision {
    pub(crate) const EMPTY: Decision = Decision {
        outcome: Outcome::NoTarget { reason: Reason::NoTerminals, then: Then::Wait },
        rule: None,
        first: None,
        targets: TerminalSet(0),
        hints: TerminalSet(0),
        witnesses: TerminalSet(0),
        reference: None,
        steps: [Step { after_s: 0, targets: TerminalSet(0) }; Limits::MAX_STEPS],
        routes: [RouteChoice { route: 0, wake: false }; Limits::MAX_TERMINALS],
    };

    /// What happens with the mail.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Terminals that get it.
    #[must_use]
    pub const fn targets(&self) -> TerminalSet {
        self.targets
    }

    /// The best of the targets.
    #[must_use]
    pub const fn first(&self) -> Option<u8> {
        self.first
    }

    /// Terminals that learn where it went.
    #[must_use]
    pub const fn hints(&self) -> TerminalSet {
        self.hints
    }

    /// Terminals whose evidence was used about others: without them, the decision might be another.
    #[must_use]
    pub const fn witnesses(&self) -> TerminalSet {
        self.witnesses
    }

    /// The terminal in use that said where the user is.
    #[must_use]
    pub const fn reference(&self) -> Option<u8> {
        self.reference
    }

    /// The rule that applied, in order of evaluation; `None`: the default.
    #[must_use]
    pub const fn rule(&self) -> Option<u16> {
        self.rule
    }

    /// Who is next while nobody has seen the mail.
    pub fn escalation(&self) -> impl Iterator<Item = Step> + '_ {
        self.steps.iter().copied().filter(|s| !s.targets.is_empty())
    }

    /// The route to a terminal of the decision and whether it must be woken first.
    #[must_use]
    pub fn route<'s>(&self, snapshot: &'s Snapshot, terminal: u8) -> Option<(&'s Route, bool)> {
        let choice = self.routes.get(usize::from(terminal))?;
        let routes = &snapshot.terminals().get(usize::from(terminal))?.routes;
        Some((routes.get(usize::from(choice.route.checked_sub(1)?))?, choice.wake))
    }

    /// The same with names and addresses, for the host and for people.
    #[must_use]
    pub fn view(&self, policy: &CompiledPolicy, snapshot: &Snapshot) -> DecisionView {
        let target = |i: u8| {
            let id = snapshot.terminals().get(usize::from(i))?.id.clone();
            let (route, wake) = self.route(snapshot, i)?;
            Some(TargetView { terminal: id, bearer: route.bearer, address: route.address.clone(), wake })
        };
        let first_then_rest = |set: TerminalSet, first: Option<u8>| {
            let rest = set.iter().filter(move |i| Some(*i) != first);
            first.into_iter().chain(rest).filter_map(target).collect::<Vec<_>>()
        };
        let names = |set: TerminalSet| {
            set.iter()
                .filter_map(|i| Some(snapshot.terminals().get(usize::from(i))?.id.clone()))
                .collect::<Vec<_>>()
        };
        let went_to = names(self.targets);
        DecisionView {
            outcome: self.outcome,
            rule: self.rule.and_then(|r| policy.rule_id(r).cloned()),
            targets: first_then_rest(self.targets, self.first),
            hints: self
                .hints
                .iter()
                .filter_map(target)
                .map(|t| HintView {
                    terminal: t.terminal,
                    bearer: t.bearer,
                    address: t.address,
                    went_to: went_to.clone(),
                })
                .collect(),
            escalation: self.escalation().map(|s| (s.after_s, first_then_rest(s.targets, None))).collect(),
            reference: self
                .reference
                .and_then(|r| Some(snapshot.terminals().get(usize::from(r))?.id.clone())),
        }
    }
}

/// A decision with names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DecisionView {
    /// What happens with the mail.
    pub outcome: Outcome,
    /// The rule that applied; absent: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// Who gets it, the best first, others by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetView>,
    /// Who is told where it went, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<HintView>,
    /// Seconds, and who gets it then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalation: Vec<(u32, Vec<TargetView>)>,
    /// The terminal in use that said where the user is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<TerminalId>,
}

/// A push instruction.
// mission: P4
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TargetView {
    /// Who.
    pub terminal: TerminalId,
    /// By what.
    pub bearer: Bearer,
    /// Number, IP address, URL.
    pub address: String,
    /// It sleeps: wake it with a magic packet, then push.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wake: bool,
}

/// A hint: no content, only where the mail went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HintView {
    /// Who is told.
    pub terminal: TerminalId,
    /// By what.
    pub bearer: Bearer,
    /// Where.
    pub address: String,
    /// The terminals that got the mail.
    pub went_to: Vec<TerminalId>,
}

/// Some terminals of a snapshot, by place.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TerminalSet(pub(crate) u64);

impl TerminalSet {
    /// Whether nobody is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the terminal at `place` is in it.
    #[must_use]
    pub const fn contains(self, place: u8) -> bool {
        place < 64 && self.0 >> place & 1 == 1
    }

    /// Places, rising.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let at = u8::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
            rest &= rest - 1;
            Some(at)
        })
    }

    pub(crate) fn insert(&mut self, place: u8) {
        if place < 64 {
            self.0 |= 1 << place;
        }
    }

    pub(crate) const fn without(self, other: TerminalSet) -> TerminalSet {
        TerminalSet(self.0 & !other.0)
    }

    pub(crate) const fn with(self, other: TerminalSet) -> TerminalSet {
        TerminalSet(self.0 | other.0)
    }
}

impl fmt::Debug for TerminalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_list_their_places() {
        let mut set = TerminalSet::default();
        [63, 0, 5, 5, 64].into_iter().for_each(|p| set.insert(p));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!((set.len(), set.contains(5), set.contains(64)), (3, true, false));
        assert_eq!(format!("{:?}", set.without(TerminalSet(1))), "{5, 63}");
    }
}
