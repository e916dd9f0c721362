//! When a task is looked at, who gets it, and what comes after.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::{TaskEvent, TaskOutput, TaskServer};
use crate::appoint::Place;
use crate::instant::UnixTime;
use crate::starter::Missed;
use crate::task::model::{ClientId, Task, TaskRefusal, next_occurrence};
use crate::task::plan::Plan;
use crate::task::record::Occurrence;
use crate::task::rights::RightsRefusal;

impl TaskServer {
    /// The first moment to wait for: the first not yet past, or a missed one that its policy still allows.
    pub(super) fn first(
        &self,
        now: UnixTime,
        task: &Task,
        place: Place<'_>,
    ) -> Result<UnixTime, TaskRefusal> {
        let first = task.next(None, place)?.ok_or(TaskRefusal::NoOccurrence)?;
        let allowed = |at: UnixTime| at >= now || task.missed.allows(now.since(at));
        let due = if allowed(first) {
            first
        } else {
            match task.rule {
                Some(_) => task.next(Some(now), place)?.ok_or(TaskRefusal::InThePast { due: first })?,
                None => return Err(TaskRefusal::InThePast { due: first }),
            }
        };
        if due.since(now) > self.config.limits.horizon {
            return Err(TaskRefusal::TooFar { due });
        }
        Ok(due)
    }

    pub(super) fn set_wake(&mut self, slot: u64, wake: UnixTime) {
        if let Some(plan) = self.plans.get_mut(&slot) {
            self.wakes.remove(&(plan.wake, slot));
            plan.wake = wake;
            self.wakes.insert((wake, slot));
        }
    }

    pub(super) fn wake(&mut self, now: UnixTime, slot: u64, place: Place<'_>) {
        let Some(plan) = self.plans.get(&slot).cloned() else { return };
        let person = self.people.get(&plan.owner);
        // Rights are looked at again: the friend may have been dropped since.
        let setter = &plan.setter.user;
        let refused = person.filter(|_| *setter != plan.owner).map(|person| {
            person
                .groups
                .as_ref()
                .ok_or(RightsRefusal::Stranger)
                .and_then(|groups| groups.may_set(setter, plan.kind, &plan.extras))
        });
        if let Some(Err(refusal)) = refused {
            self.remove_plan(&plan.owner, &plan.uid);
            self.withdraw(&plan, &plan.occurrence(), None);
            let (owner, uid) = (plan.owner, plan.uid);
            self.outputs.push_back(TaskOutput::Changed { owner: owner.clone(), uid: uid.clone() });
            let event = TaskEvent::RightsLost { owner, uid, setter: *plan.setter, refusal };
            self.outputs.push_back(TaskOutput::Event(event));
            return;
        }
        if self.acks.is_executed(&plan.occurrence()) {
            // Snoozed, or moved by new rules, to a moment that somebody has shown before.
            self.advance(now, slot, place);
            return;
        }
        if let Some(active) = &plan.active
            && let Some(holder) = &active.holder
        {
            let event = TaskEvent::LeaseExpired {
                occurrence: plan.occurrence(),
                by: holder.clone(),
                epoch: active.epoch,
            };
            self.outputs.push_back(TaskOutput::Event(event));
        }
        if now > self.last_try(&plan) {
            self.outputs.push_back(TaskOutput::Event(TaskEvent::Missed { occurrence: plan.occurrence() }));
            self.advance(now, slot, place);
            return;
        }
        if let Some(plan) = self.plans.get_mut(&slot) {
            let active = plan.active.get_or_insert_default();
            if let Some(holder) = active.holder.take() {
                active.tried.push(holder);
            }
            if let Some(person) = self.people.get_mut(&plan.owner) {
                person.active.insert(slot);
            }
        }
        self.offer(now, slot);
    }

    /// The last moment at which a client may still be chosen.
    pub(super) fn last_try(&self, plan: &Plan) -> UnixTime {
        let window = match plan.missed {
            Missed::Skip | Missed::FireAll(0) => self.config.grace,
            Missed::FireIfWithin(grace) => grace.max(self.config.grace),
            Missed::FireOnce | Missed::FireAll(_) => Duration::MAX,
        };
        plan.at.after(window)
    }

    /// Gives the lease to the best client that is online and was not tried, if there is one.
    pub(super) fn offer(&mut self, now: UnixTime, slot: u64) {
        let Some(plan) = self.plans.get(&slot) else { return };
        let tried = plan.active.as_ref().map_or(&[][..], |active| &active.tried);
        let fresh = now.before(self.config.fresh);
        let mut online: Vec<(UnixTime, ClientId)> = self
            .targets(plan)
            .into_iter()
            .filter_map(|(client, seen)| seen.filter(|seen| *seen >= fresh).map(|seen| (seen, client)))
            .collect();
        let anyone = !online.is_empty();
        online.retain(|(_, client)| !tried.contains(client));
        // Heard last first: it is likeliest in the person's hand.
        let rank = |client: &ClientId| plan.prefer.as_deref() != Some(client);
        online.sort_unstable_by(|a, b| (rank(&a.1), b.0, &a.1).cmp(&(rank(&b.1), a.0, &b.1)));
        let (config, last) = (self.config, self.last_try(plan));
        let Some(plan) = self.plans.get_mut(&slot) else { return };
        let at = plan.at;
        let Some(active) = plan.active.as_deref_mut() else { return };
        let wake = if let Some((_, client)) = online.into_iter().next() {
            active.epoch = active.epoch.saturating_add(1);
            active.holder = Some(client.clone());
            let epoch = active.epoch;
            let lease_until = now.max(at).after(config.lease);
            let fire = TaskOutput::Fire { to: client, occurrence: plan.occurrence(), epoch, lease_until };
            self.outputs.push_back(fire);
            lease_until
        } else if anyone {
            // All were tried: after a pause, ever longer, they are asked again.
            active.tried.clear();
            active.rounds = active.rounds.saturating_add(1);
            let pause = config.lease.saturating_mul(1 << active.rounds.min(7));
            now.after(pause).min(last.plus(1))
        } else {
            last.plus(1)
        };
        let (owner, uid) = (plan.owner.clone(), plan.uid.clone());
        self.outputs.push_back(TaskOutput::Changed { owner, uid });
        self.set_wake(slot, wake.max(now.plus(1)));
    }

    /// Waits for the next moment of the rule, or finishes the task.
    pub(super) fn advance(&mut self, now: UnixTime, slot: u64, place: Place<'_>) {
        let Some(plan) = self.plans.get(&slot) else { return };
        let keep = match plan.missed {
            Missed::Skip => 0,
            Missed::FireOnce | Missed::FireIfWithin(_) => 1,
            Missed::FireAll(most) => usize::try_from(most).unwrap_or(usize::MAX),
        };
        // Moments that passed meanwhile: the latest few are still of use, by the policy.
        let mut passed = VecDeque::new();
        let mut next = self.after(plan, plan.of, place);
        while let Some(at) = next.filter(|at| *at <= now) {
            passed.push_back(at);
            if passed.len() > keep {
                passed.pop_front();
            }
            next = self.after(plan, at, place);
        }
        let next = passed.into_iter().find(|at| plan.missed.allows(now.since(*at))).or(next);
        if let Some(at) = next {
            self.reschedule(slot, at, Some(at));
            return;
        }
        let (owner, uid) = (plan.owner.clone(), plan.uid.clone());
        if let Some(plan) = self.remove_plan(&owner, &uid)
            && let Some(person) = self.people.get_mut(&owner)
        {
            person.gone.insert(uid.clone(), (plan.sequence, now));
        }
        self.outputs.push_back(TaskOutput::Changed { owner, uid });
    }

    pub(super) fn after(&self, plan: &Plan, at: UnixTime, place: Place<'_>) -> Option<UnixTime> {
        plan.rule.as_ref()?;
        next_occurrence((&plan.when, plan.rule.as_deref(), plan.trigger), Some(at), place).ok().flatten()
    }

    /// Waits for `at`; `of` is the rule's moment it stands for, unchanged by a snooze.
    pub(super) fn reschedule(&mut self, slot: u64, at: UnixTime, of: Option<UnixTime>) {
        let wake = at.before(self.config.lead);
        let Some(plan) = self.plans.get_mut(&slot) else { return };
        plan.at = at;
        plan.of = of.unwrap_or(plan.of);
        plan.active = None;
        let (owner, uid) = (plan.owner.clone(), plan.uid.clone());
        if let Some(person) = self.people.get_mut(&owner) {
            person.active.remove(&slot);
        }
        self.set_wake(slot, wake);
        self.outputs.push_back(TaskOutput::Changed { owner, uid });
    }

    pub(super) fn withdraw(&mut self, plan: &Plan, occurrence: &Occurrence, except: Option<&ClientId>) {
        for (client, _) in self.targets(plan) {
            if Some(&client) != except {
                self.outputs.push_back(TaskOutput::Withdraw { to: client, occurrence: occurrence.clone() });
            }
        }
    }
}
