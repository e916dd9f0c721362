//! The plan of one mail.

use super::{Say, World};
use crate::MailFacts;
use crate::decision::{DecisionView, Outcome, TargetView, Then};
use crate::evidence::{Order, PowerState, Reading};
use crate::record::Record;
use crate::snapshot::Snapshot;
use crate::terminal::{RoutePower, Standing, Terminal, TerminalId};
use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What becomes of one mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    came: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Asked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decided: Option<Decided>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    hinted: BTreeSet<TerminalId>,
    #[serde(default)]
    over: bool,
}

/// Who was asked for a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    until: Millis,
    /// And the last one known of each then.
    whom: Vec<(TerminalId, Option<Order>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Decided {
    /// When the first decision was made: steps of the escalation count from then.
    at: Millis,
    /// How many reports had been taken.
    heard: u64,
    /// When the last decision was made.
    last: Millis,
    /// By what ways terminals could be reached then.
    ways: u64,
    view: DecisionView,
}

/// What [`PushState::settle`](super::PushState::settle) came to.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settled {
    /// Terminals that are to be asked for a report now.
    pub ask: Vec<TerminalId>,
    /// The decision that was made now, with everything it was made from.
    pub record: Option<Box<Record>>,
    /// When to look again, if nothing happens before.
    pub next: Option<Millis>,
}

impl Plan {
    pub(super) fn new(came: Millis) -> Plan {
        Plan { came, asked: None, decided: None, hinted: BTreeSet::new(), over: false }
    }

    pub(super) fn came(&self) -> Millis {
        self.came
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn end(&mut self) {
        self.over = true;
    }

    pub(super) fn hinted(&mut self, terminal: &TerminalId) {
        self.hinted.insert(terminal.clone());
    }

    /// What is to be done before the next decision; none: decide now.
    pub(super) fn ready(
        &mut self,
        world: &World<'_>,
        heard: u64,
        last: &dyn Fn(&TerminalId) -> Option<Order>,
    ) -> Option<Settled> {
        if self.over {
            return Some(Settled::default());
        }
        let now = world.now.at;
        if let Some(decided) = &self.decided {
            let again = decided.is_to_be_made_again(world, heard);
            return (!again).then(|| Settled { next: self.next(now), ..Settled::default() });
        }
        if let Some(asked) = &self.asked {
            // mission: P2 (bounded wait, then the last one known)
            let waits = now < asked.until && asked.whom.iter().any(|(id, before)| last(id) <= *before);
            return waits.then(|| Settled { next: Some(asked.until), ..Settled::default() });
        }
        if world.patience.wait_ms == 0 {
            return None;
        }
        let whom: Vec<TerminalId> = stale(world).map(|terminal| terminal.id.clone()).collect();
        if whom.is_empty() {
            return None;
        }
        let until = now.plus(world.patience.wait_ms);
        self.asked = Some(Asked { until, whom: whom.iter().map(|id| (id.clone(), last(id))).collect() });
        Some(Settled { ask: whom, next: Some(until), record: None })
    }

    pub(super) fn decide(&mut self, world: &World<'_>, facts: MailFacts, heard: u64) -> Settled {
        let (policy, snapshot) = (world.policy.clone(), world.snapshot.clone());
        // A policy that compiled once compiles again.
        let Ok(record) = Record::make(world.revision, policy, snapshot, facts, world.now) else {
            return Settled::default();
        };
        let last = world.now.at;
        let at = self.decided.as_ref().map_or(last, |before| before.at);
        let ways = ways(world.snapshot);
        self.decided = Some(Decided { at, heard, last, ways, view: record.decision.clone() });
        Settled { ask: Vec::new(), record: Some(Box::new(record)), next: self.next(last) }
    }

    /// When somebody's turn comes, or the question is asked again.
    fn next(&self, now: Millis) -> Option<Millis> {
        let decided = self.decided.as_ref()?;
        let turns = decided.view.escalation.iter().map(|(after_s, _)| decided.turn(*after_s));
        decided.retry().into_iter().chain(turns).filter(|at| *at > now).min()
    }

    pub(super) fn say(&self, terminal: &TerminalId, now: Millis) -> Say<'_> {
        if self.over {
            return Say::Nothing;
        }
        let Some(decided) = &self.decided else {
            return Say::Until(self.asked.as_ref().map_or(now.plus(1_000), |asked| asked.until));
        };
        let view = &decided.view;
        if let Outcome::NoTarget { then: Then::Nothing, .. } = view.outcome {
            return Say::Nothing;
        }
        let mine = |targets: &'_ [TargetView]| targets.iter().position(|target| target.terminal == *terminal);
        if let Some(at) = mine(&view.targets) {
            return view.targets.get(at).map_or(Say::Nothing, Say::Push);
        }
        let turn = view
            .escalation
            .iter()
            .find_map(|(after_s, targets)| Some((decided.turn(*after_s), targets.get(mine(targets)?)?)));
        if let Some((_, target)) = turn.filter(|(at, _)| *at <= now) {
            return Say::Push(target);
        }
        let hint = view.hints.iter().find(|hint| hint.terminal == *terminal);
        if let Some(hint) = hint.filter(|_| !self.hinted.contains(terminal)) {
            return Say::Hint(hint);
        }
        // Whoever is not told now may be, as long as nobody has seen it: another decision, an escalation.
        let later = turn.map(|(at, _)| at).or_else(|| decided.retry());
        Say::Until(later.unwrap_or_else(|| now.plus(3_600_000)))
    }
}

impl Decided {
    fn turn(&self, after_s: u32) -> Millis {
        self.at.plus(u64::from(after_s).saturating_mul(1_000))
    }

    fn retry(&self) -> Option<Millis> {
        match self.view.outcome {
            Outcome::NoTarget { then: Then::Retry(after_s), .. } => {
                Some(self.last.plus(u64::from(after_s).saturating_mul(1_000)))
            }
            _ => None,
        }
    }

    /// Nobody was found and there is news of the terminals or a new way to one, or it is time; or somebody's route has failed since.
    fn is_to_be_made_again(&self, world: &World<'_>, heard: u64) -> bool {
        match self.view.outcome {
            Outcome::NoTarget { then: Then::Nothing, .. } => false,
            Outcome::NoTarget { .. } => {
                heard != self.heard
                    || self.retry().is_some_and(|at| at <= world.now.at)
                    || ways(world.snapshot) != self.ways
            }
            Outcome::Push(_) => {
                let steps = self.view.escalation.iter().flat_map(|(_, targets)| targets);
                self.view.targets.iter().chain(steps).any(|target| has_failed(world, target))
            }
        }
    }
}

/// Tells one set of ways to reach terminals from another.
fn ways(snapshot: &Snapshot) -> u64 {
    let up = snapshot.terminals().iter().flat_map(|terminal| {
        let up = terminal.routes.iter().filter(|route| route.up);
        up.flat_map(|route| [terminal.id.as_str(), route.bearer.as_str(), route.address.as_str()])
    });
    // FNV-1a
    let octets = up.flat_map(|text| text.bytes().chain([0]));
    octets.fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}

fn has_failed(world: &World<'_>, target: &TargetView) -> bool {
    let terminals = world.snapshot.terminals();
    let Some(at) = world.snapshot.position(&target.terminal) else { return true };
    let routes = terminals.get(at).map(|terminal| &terminal.routes[..]).unwrap_or_default();
    let same = routes.iter().find(|route| route.bearer == target.bearer && route.address == target.address);
    same.is_none_or(|route| !route.up)
}

/// Terminals that may be pushed to, can be asked for nothing, are not known to be off, and have said nothing lately.
// mission: P2
fn stale<'a>(world: &'a World<'_>) -> impl Iterator<Item = &'a Terminal> {
    let now = world.now.at;
    world.snapshot.terminals().iter().filter(move |terminal| {
        let free =
            |route: &&crate::Route| route.up && !route.bearer.is_sms_like() && route.power != RoutePower::Any;
        let off = terminal
            .evidence
            .iter()
            .any(|evidence| matches!(evidence.reading, Reading::Power(PowerState::Off | PowerState::Sleep)));
        let newest = terminal.evidence.iter().map(|evidence| evidence.received_at).max();
        matches!(terminal.standing, Standing::Active)
            && terminal.routes.iter().any(|route| free(&route))
            && !off
            && newest.is_none_or(|at| now.since(at) > world.patience.fresh_ms)
    })
}
