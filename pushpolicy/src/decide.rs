//! Who gets the mail: one pure function.
//!
//! # Order of evaluation (normative)
//!
//! 0. **Observe.** Each terminal's evidence is weighed at `now`: in use, not in use, unknown. Terminals that are
//!    blocked or unregistered are not heard. A sensor that claims presence far from where another terminal had
//!    input since is doubted. Then the first rule that holds gives the action (priority, then id).
//! 1. **Eligible**: registered, allowed, not muted, and a route that works in its state of power by a bearer that the
//!    push allows. The route is the cheapest; ties by the order of [`Bearer`](crate::Bearer), then by address, then one
//!    that works while on, always, after waking.
//! 2. **Capable**: known not to show a picture of the mail, to be too small for it, or to lack what the push
//!    requires: out. Not known: stays, ranked lower. Attributes count only if the terminal reported anything else
//!    too, or another terminal that is heard reported.
//! 3. **Use** was scored in stage 0; it orders and selects, it drops nobody.
//! 4. **Select**: the selectors in order; the first that picks anybody decides; `at_least` goes on until it is full.
//!    *Nearest* is the smallest fresh sensed distance; else the terminal that was in use last (the *reference*); else
//!    one at the same place; else the one closest to the reference's last location; else nobody, and the next
//!    selector decides.
//! 5. **Tie break**: what it shows better, most recent input, cost, id.
//! 6. **Hints** to every other eligible terminal, narrowed by the policy.
//! 7. **Fall-back**: if nobody is capable, headers alone; if nobody is left, `NoTarget` with the reason.
//! 8. **Escalation**: the steps' selectors over who has not been told.
//!
//! Nothing here depends on the order of terminals, rules, routes or evidence.

mod observe;
mod select;

use crate::attributes::Capability;
use crate::compile::{CompiledPolicy, Scene};
use crate::decision::{Content, Decision, Outcome, RouteChoice, TerminalSet, Then};
use crate::limits::Limits;
use crate::location::PlaceLabel;
use crate::mail::MailFacts;
use crate::policy::{Action, HintScope, Push, Tuning};
use crate::score::Use;
use crate::snapshot::{Known, Snapshot};
use crate::terminal::{RoutePower, Standing, Terminal, TerminalKind};
use crate::time::{Millis, Now};
use crate::trace::{NoTrace, Reason, Recorder, Sink, Stage, Trace, TraceEntry};

/// Decides. Never fails, never allocates.
// mission: P3, P4
#[must_use]
pub fn decide(policy: &CompiledPolicy, snapshot: &Snapshot, mail: &MailFacts, now: Now) -> Decision {
    let mut run = Run::new(policy, snapshot, mail, now, NoTrace);
    run.run();
    run.decision
}

/// Decides the same, and says why, and why not.
#[must_use]
pub fn decide_traced(
    policy: &CompiledPolicy,
    snapshot: &Snapshot,
    mail: &MailFacts,
    now: Now,
) -> (Decision, Trace) {
    let mut run = Run::new(policy, snapshot, mail, now, Recorder::new(snapshot.terminals().len()));
    run.run();
    (run.decision, run.sink.finish(run.decision))
}

/// What is known of one terminal at `now`.
#[derive(Clone, Copy)]
struct Seen {
    state: Use,
    /// In use by input or by its own word.
    by_input: bool,
    on: Option<bool>,
    capability: Capability,
    /// Rank of what it shows.
    shows: u8,
    cost: u16,
    route: RouteChoice,
    last_input: u64,
    seen_at: Millis,
}

const UNSEEN: Seen = Seen {
    state: Use::Unknown,
    by_input: false,
    on: None,
    capability: Capability::Unknown,
    shows: 0,
    cost: 0,
    route: RouteChoice { route: 0, wake: false },
    last_input: 0,
    seen_at: Millis(0),
};

struct Run<'a, S> {
    policy: &'a CompiledPolicy,
    snapshot: &'a Snapshot,
    mail: &'a MailFacts,
    now: Now,
    tuning: &'a Tuning,
    seen: [Seen; Limits::MAX_TERMINALS],
    heard: TerminalSet,
    reference: Option<u8>,
    decision: Decision,
    sink: S,
}

impl<'a, S: Sink> Run<'a, S> {
    fn new(
        policy: &'a CompiledPolicy,
        snapshot: &'a Snapshot,
        mail: &'a MailFacts,
        now: Now,
        sink: S,
    ) -> Self {
        Run {
            policy,
            snapshot,
            mail,
            now,
            tuning: policy.tuning(),
            seen: [UNSEEN; Limits::MAX_TERMINALS],
            heard: TerminalSet::default(),
            reference: None,
            decision: Decision::EMPTY,
            sink,
        }
    }

    fn run(&mut self) {
        self.observe();
        let policy = self.policy;
        let (rule, action) = policy.action(self.mail, self.now.local, &SceneNow(self));
        self.decision.rule = rule;
        if self.policy.asks_terminals() {
            let in_use = self.where_all(self.heard, |s| s.state == Use::InUse);
            self.decision.witnesses = self.decision.witnesses.with(in_use);
        }
        self.note(
            Stage::Rule,
            None,
            if rule.is_some() { Reason::RuleMatched } else { Reason::DefaultUsed },
            0,
            0,
        );
        match action {
            Action::Push(push) => self.push(push),
            Action::Hold => self.nobody(Stage::Rule, Reason::RuleHolds),
            Action::Mute => self.nobody(Stage::Rule, Reason::RuleMutes),
        }
    }

    fn push(&mut self, push: &Push) {
        let eligible = self.eligible(push);
        if eligible.is_empty() {
            let none = self.snapshot.terminals().is_empty();
            let reason = if none { Reason::NoTerminals } else { Reason::NoneEligible };
            return self.nobody(Stage::Eligible, reason);
        }
        let capable = self.capable(push, eligible);
        if S::ON {
            self.trace_use(capable);
        }
        let (from, content) = match (capable.is_empty(), self.policy.fallback().notice) {
            (false, _) => (capable, Content::Full),
            (true, true) => (eligible, Content::Notice),
            (true, false) => return self.nobody(Stage::Capable, Reason::NoneCapable),
        };
        if content == Content::Notice {
            self.note(Stage::Fallback, None, Reason::FallbackNotice, 0, 0);
        }
        let (targets, first) = self.select(Stage::Select, from, &push.select, push.count);
        if targets.is_empty() {
            return self.nobody(Stage::Select, Reason::NoneSelected);
        }
        self.decision.outcome = Outcome::Push(content);
        self.decision.targets = targets;
        self.decision.first = first;
        for i in targets.iter() {
            self.sink.chosen(i);
        }
        self.hints(push.hints, eligible.without(targets));
        self.escalate(push, from.without(targets));
        self.routes();
    }

    // ---- stages 1 and 2 ----

    fn eligible(&mut self, push: &Push) -> TerminalSet {
        let mut eligible = TerminalSet::default();
        for (t, i) in self.snapshot.terminals().iter().zip(0u8..) {
            let reason = match t.standing {
                Standing::Unregistered => Some(Reason::NotRegistered),
                Standing::Blocked => Some(Reason::NotAllowed),
                Standing::Muted { until } if until.is_none_or(|u| self.now.at < u) => Some(Reason::Muted),
                _ => None,
            };
            let Some(seen) = self.seen.get_mut(usize::from(i)) else { continue };
            let reason = match (reason, best_route(t, seen.on, push)) {
                (Some(reason), _) => reason,
                (None, None) => Reason::Unreachable,
                (None, Some((route, cost))) => {
                    seen.route = route;
                    seen.cost = cost;
                    eligible.insert(i);
                    continue;
                }
            };
            self.drop(Stage::Eligible, i, reason, 0, 0);
        }
        eligible
    }

    fn capable(&mut self, push: &Push, eligible: TerminalSet) -> TerminalSet {
        let mut capable = TerminalSet::default();
        for i in eligible.iter() {
            let Some((t, k)) = self.at(i) else { continue };
            let companion = if k.attributes_alone { self.companion(i) } else { None };
            let attributes = k.attributes(t).filter(|_| !k.attributes_alone || companion.is_some());
            if k.attributes_alone {
                match companion {
                    Some(j) => self.decision.witnesses.insert(j),
                    None => self.note(Stage::Capable, Some(i), Reason::AttributesAlone, 0, 0),
                }
            }
            let limit = attributes.and_then(|a| a.max_mail_bytes);
            if let Some(limit) = limit.filter(|limit| self.mail.size() > *limit) {
                self.drop(Stage::Capable, i, Reason::TooLarge, self.mail.size(), limit);
                continue;
            }
            let shows = self.mail.shown_by(attributes);
            let meets = push
                .require
                .iter()
                .map(|r| attributes.map_or(Capability::Unknown, |a| a.meets(r)))
                .min()
                .unwrap_or(Capability::Yes);
            let capability = shows.min(meets);
            if capability == Capability::No {
                let reason =
                    if shows == Capability::No { Reason::CannotShow } else { Reason::RequirementUnmet };
                self.drop(Stage::Capable, i, reason, 0, 0);
                continue;
            }
            let says = |known: Option<bool>| known == Some(true);
            let colour = !self.mail.pictures().is_empty() && attributes.is_some_and(|a| says(a.colour));
            let html = self.mail.has_html() && attributes.is_some_and(|a| says(a.html));
            let known = capability == Capability::Yes;
            if let Some(seen) = self.seen.get_mut(usize::from(i)) {
                seen.capability = capability;
                seen.shows = u8::from(known) * 4 + u8::from(colour) * 2 + u8::from(html);
            }
            let reason = if known { Reason::Capable } else { Reason::CapabilityUnknown };
            self.note(Stage::Capable, Some(i), reason, 0, 0);
            capable.insert(i);
        }
        capable
    }

    /// Another terminal that is heard and reported anything.
    fn companion(&self, of: u8) -> Option<u8> {
        self.heard.iter().find(|j| *j != of && self.at(*j).is_some_and(|(_, k)| k.reported))
    }

    // ---- stages 6 to 8 ----

    fn hints(&mut self, scope: HintScope, others: TerminalSet) {
        let nearest = self.decision.first.filter(|_| scope == HintScope::NearerOrInUse).and_then(|first| {
            self.find_reference();
            self.nearness(first)
        });
        for i in others.iter() {
            let in_use = self.seen.get(usize::from(i)).is_some_and(|s| s.state == Use::InUse);
            let told = match scope {
                HintScope::All => true,
                HintScope::None => false,
                HintScope::InUse => in_use,
                HintScope::NearerOrInUse => {
                    in_use || self.nearness(i).is_some_and(|n| nearest.is_none_or(|first| n < first))
                }
            };
            if told {
                self.decision.hints.insert(i);
            }
            self.note(Stage::Hint, Some(i), if told { Reason::Hinted } else { Reason::HintNarrowed }, 0, 0);
        }
    }

    fn escalate(&mut self, push: &Push, mut left: TerminalSet) {
        for (step, number) in push.escalate.iter().zip(0usize..) {
            let (targets, _) = self.select(Stage::Escalate, left, &step.select, step.count);
            left = left.without(targets);
            if let Some(slot) = self.decision.steps.get_mut(number) {
                slot.after_s = step.after_s;
                slot.targets = targets;
            }
        }
    }

    fn routes(&mut self) {
        let steps = self.decision.escalation().fold(TerminalSet::default(), |all, s| all.with(s.targets));
        for i in self.decision.targets.with(self.decision.hints).with(steps).iter() {
            let chosen = self.seen.get(usize::from(i)).map_or(UNSEEN.route, |s| s.route);
            if let Some(slot) = self.decision.routes.get_mut(usize::from(i)) {
                *slot = chosen;
            }
        }
    }

    fn nobody(&mut self, stage: Stage, reason: Reason) {
        let then = match (reason, self.policy.fallback().retry_s) {
            (Reason::RuleMutes, _) => Then::Nothing,
            (Reason::RuleHolds, _) | (_, None) => Then::Wait,
            (_, Some(after_s)) => Then::Retry(after_s),
        };
        self.decision.outcome = Outcome::NoTarget { reason, then };
        for (_, i) in self.snapshot.terminals().iter().zip(0u8..) {
            self.sink.verdict(i, stage, reason);
        }
        self.note(Stage::Fallback, None, reason, 0, 0);
    }

    // ---- helpers ----

    fn at(&self, i: u8) -> Option<(&'a Terminal, &'a Known)> {
        self.snapshot.known_at(i)
    }

    fn where_all(&self, from: TerminalSet, holds: impl Fn(&Seen) -> bool) -> TerminalSet {
        let mut set = TerminalSet::default();
        from.iter()
            .filter(|i| self.seen.get(usize::from(*i)).is_some_and(&holds))
            .for_each(|i| set.insert(i));
        set
    }

    fn drop(&mut self, stage: Stage, i: u8, reason: Reason, observed: u64, needed: u64) {
        self.sink.verdict(i, stage, reason);
        self.note(stage, Some(i), reason, observed, needed);
    }

    fn note(&mut self, stage: Stage, i: Option<u8>, reason: Reason, observed: u64, needed: u64) {
        if S::ON {
            self.sink.note(TraceEntry::new(stage, i, reason, observed, needed));
        }
    }

    fn trace_use(&mut self, capable: TerminalSet) {
        for i in capable.iter() {
            let on = self.seen.get(usize::from(i)).and_then(|s| s.on);
            let reason = match on {
                Some(true) => Reason::IsOn,
                Some(false) => Reason::IsOff,
                None => continue,
            };
            self.note(Stage::Use, Some(i), reason, 0, 0);
        }
    }
}

/// The cheapest route that works; routes are sorted, so the first of the cheapest.
fn best_route(t: &Terminal, on: Option<bool>, push: &Push) -> Option<(RouteChoice, u16)> {
    let asleep = on == Some(false);
    let usable = t.routes.iter().zip(1u8..).filter(|(r, _)| {
        r.up && (push.bearers.is_empty() || push.bearers.contains(&r.bearer))
            && !(asleep && r.power == RoutePower::On)
    });
    let (route, number) = usable.min_by_key(|(r, _)| r.cost)?;
    let wake = asleep && route.power == RoutePower::Wake;
    Some((RouteChoice { route: number, wake }, route.cost))
}

struct SceneNow<'r, 'a, S>(&'r Run<'a, S>);

impl<S: Sink> SceneNow<'_, '_, S> {
    fn in_use(&self) -> impl Iterator<Item = u8> {
        self.0.where_all(self.0.heard, |s| s.state == Use::InUse).iter()
    }
}

impl<S: Sink> Scene for SceneNow<'_, '_, S> {
    fn any_in_use(&self) -> bool {
        self.in_use().next().is_some()
    }
    fn kind_in_use(&self, kind: TerminalKind) -> bool {
        self.in_use().any(|i| self.0.at(i).is_some_and(|(t, _)| t.kind == kind))
    }
    fn user_at(&self, place: &PlaceLabel) -> bool {
        self.in_use().any(|i| self.0.is_at(i, place))
    }
}
