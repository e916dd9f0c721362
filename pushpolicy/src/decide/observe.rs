//! Stage 0: what the evidence says at this moment.

use super::Run;
use crate::score::Use;
use crate::snapshot::Known;
use crate::terminal::{Standing, Terminal};
use crate::trace::{Reason, Sink, Stage, TraceEntry};

impl<S: Sink> Run<'_, S> {
    pub(super) fn observe(&mut self) {
        let known = self.snapshot.known();
        for ((seen, (t, k)), i) in self.seen.iter_mut().zip(known).zip(0u8..) {
            if matches!(t.standing, Standing::Blocked | Standing::Unregistered) {
                continue;
            }
            self.heard.insert(i);
            let usage = k.usage.at(self.now.at, self.tuning);
            (seen.state, seen.by_input) = (usage.state, usage.by_input);
            seen.seen_at = usage.seen_at;
            seen.last_input = k.usage.last_input.map_or(0, |m| m.0);
            seen.on = k.power.is_on(self.now.at, self.tuning);
            if S::ON {
                let reason = match usage.state {
                    _ if usage.stuck => Reason::SensorStuck,
                    Use::InUse => Reason::InUse,
                    Use::NotInUse => Reason::NotInUse,
                    Use::Unknown => Reason::UseUnknown,
                };
                let needed = u64::from(self.tuning.in_use_score);
                let mut entry = TraceEntry::new(Stage::Use, Some(i), reason, usage.score.into(), needed);
                if let Some((order, at)) = k.usage.newest {
                    entry.evidence = Some(order);
                    entry.age_ms = Some(self.now.at.since(at));
                }
                self.sink.note(entry);
            }
        }
        self.doubt();
    }

    /// A sensor claims somebody while another terminal, far away, had input since it was last touched itself.
    /// Every term but the claimant's own decay is independent of `now`: time alone never ends a doubt.
    pub(super) fn doubt(&mut self) {
        for i in self.where_all(self.heard, |s| s.state == Use::InUse && !s.by_input).iter() {
            let Some((t, claimant)) = self.at(i) else { continue };
            let doubter = self
                .heard
                .iter()
                .filter(|j| *j != i)
                .find(|j| self.at(*j).is_some_and(|(u, other)| self.contradicts(t, claimant, u, other)));
            if let Some(j) = doubter {
                self.decision.witnesses.insert(j);
                if let Some(seen) = self.seen.get_mut(usize::from(i)) {
                    seen.state = Use::Unknown;
                }
                self.note(Stage::Use, Some(i), Reason::SensorDoubted, 0, self.tuning.apart_m);
            }
        }
    }

    pub(super) fn contradicts(&self, t: &Terminal, claimant: &Known, u: &Terminal, other: &Known) -> bool {
        let (Some(claimed_at), Some(input)) = (claimant.usage.presence_at(), other.usage.last_input) else {
            return false;
        };
        let (Some((p, p_at)), Some((q, q_at))) = (claimant.point, other.point) else { return false };
        let apart = |a: u32, b: u32| self.tuning.apart_m.saturating_add(u64::from(a) + u64::from(b));
        input > claimant.usage.stirred_at()
            && input.plus(self.tuning.fresh_ms) >= claimed_at
            && p_at.plus(self.tuning.location_ms) >= claimed_at
            && q_at.plus(self.tuning.location_ms) >= input
            && p.chord_m(q) > apart(t.radius_m(), u.radius_m())
    }
}
