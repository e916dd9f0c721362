//! The server's engine: keeps plans, checks rights, hands out leases, collects feedback.
//!
//! # The contract
//! `now` is the server's own corrected time (a [`VirtualClock`](crate::VirtualClock)), never going back. One
//! mutation, then [`poll_output`](TaskServer::poll_output) until `None`, then
//! [`poll_timeout`](TaskServer::poll_timeout). Store the plans named by [`TaskOutput::Changed`] and the
//! acknowledgements before sending anything: after a crash [`restore`](TaskServer::restore) them.

mod books;
mod output;
mod schedule;

pub use output::{TaskEvent, TaskOutput};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::appoint::Place;
use crate::instant::{UnixTime, nanos};
use crate::task::model::{
    ClientId, Setter, Targets, Task, TaskLimits, TaskRefusal, TaskUid, TaskWhen, UserId, next_occurrence,
};
use crate::task::plan::Plan;
use crate::task::record::{Ack, AckKind, AckSet};
use crate::task::rights::{FriendGroups, RightsRefusal};

use books::{MEMORY_FACTOR, Person, check_rights};

/// How the server treats time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskConfig {
    /// How long before the moment a client is chosen.
    pub lead: Duration,
    /// How long after the moment (or the choice, if later) the chosen client has to report.
    pub lease: Duration,
    /// A client counts as online this long after it was last heard.
    pub fresh: Duration,
    /// How long a moment that must be on time ([`Missed::Skip`](crate::starter::Missed::Skip)) is still tried for.
    pub grace: Duration,
    /// How long executed and deleted tasks are remembered: longer than any client stays away.
    pub retention: Duration,
    /// What tasks may hold.
    pub limits: TaskLimits,
}

impl Default for TaskConfig {
    /// Lead 60 s, lease 30 s, online for 5 min, grace 120 s, memory of 90 days.
    fn default() -> Self {
        TaskConfig {
            lead: Duration::from_secs(60),
            lease: Duration::from_secs(30),
            fresh: Duration::from_secs(300),
            grace: Duration::from_secs(120),
            retention: Duration::from_secs(90 * 86_400),
            limits: TaskLimits::default(),
        }
    }
}

/// The task engine of a server.
#[derive(Clone, Debug)]
pub struct TaskServer {
    config: TaskConfig,
    people: BTreeMap<UserId, Person>,
    plans: BTreeMap<u64, Plan>,
    wakes: BTreeSet<(UnixTime, u64)>,
    acks: AckSet,
    next_slot: u64,
    outputs: VecDeque<TaskOutput>,
    swept: UnixTime,
}

impl TaskServer {
    /// An engine that knows nobody.
    #[must_use]
    pub const fn new(config: TaskConfig) -> Self {
        TaskServer {
            config,
            people: BTreeMap::new(),
            plans: BTreeMap::new(),
            wakes: BTreeSet::new(),
            acks: AckSet::new(),
            next_slot: 0,
            outputs: VecDeque::new(),
            swept: UnixTime::EPOCH,
        }
    }

    /// Makes a client of a person known.
    pub fn register(&mut self, user: &UserId, client: &ClientId) {
        self.people.entry(user.clone()).or_default().clients.entry(client.clone()).or_insert(None);
    }

    /// Sets a person's friend groups, already changed by [`FriendGroups::change`].
    pub fn set_groups(&mut self, groups: FriendGroups) {
        let owner = groups.owner().clone();
        self.people.entry(owner).or_default().groups = Some(groups);
    }

    /// A sign of life of a client: a session, a report, an open channel (repeat it while the channel is open);
    /// `false` when it is known to have gone.
    pub fn presence(&mut self, now: UnixTime, user: &UserId, client: &ClientId, online: bool) {
        let Some(person) = self.people.get_mut(user) else { return };
        let Some(seen) = person.clients.get_mut(client) else { return };
        *seen = online.then_some(now);
        if online {
            let waiting: Vec<u64> = person.active.iter().copied().collect();
            for slot in waiting {
                if self
                    .plans
                    .get(&slot)
                    .is_some_and(|plan| plan.active.as_ref().is_some_and(|a| a.holder.is_none()))
                {
                    self.offer(now, slot);
                }
            }
        }
    }

    /// Takes a task that `sender` sets or changes, directly or in an upload by the owner's own client.
    ///
    /// Returns `false` when the very same task was known already. Rights are those of the task's setter, so
    /// `sender` must be that setter, or a client of the owner that brings what the setter gave it.
    ///
    /// # Errors
    /// [`TaskRefusal`]; nothing changes then.
    pub fn set(
        &mut self,
        now: UnixTime,
        sender: &Setter,
        task: &Task,
        place: Place<'_>,
    ) -> Result<bool, TaskRefusal> {
        if *sender != task.setter && sender.user != task.owner {
            return Err(RightsRefusal::NotSetter.into());
        }
        self.config.limits.check(task)?;
        let person = self.people.get(&task.owner).ok_or(TaskRefusal::Unknown)?;
        check_rights(person, task)?;
        if let Targets::Clients(named) = &task.targets
            && !named.iter().all(|client| person.clients.contains_key(client))
        {
            return Err(TaskRefusal::Unknown);
        }
        let fingerprint = task.fingerprint();
        let known = person.tasks.get(&task.uid).and_then(|slot| self.plans.get(slot));
        if let Some(plan) = known {
            if plan.sequence == task.sequence && plan.fingerprint == fingerprint {
                return Ok(false);
            }
            if plan.setter.user != task.setter.user {
                return Err(RightsRefusal::NotSetter.into());
            }
            if plan.sequence >= task.sequence {
                return Err(TaskRefusal::OldSequence { known: plan.sequence });
            }
        } else {
            self.check_room(person, task)?;
        }
        if person.gone.get(&task.uid).is_some_and(|(sequence, _)| *sequence >= task.sequence) {
            return Err(TaskRefusal::Gone);
        }
        let at = self.first(now, task, place)?;
        let plan = Plan {
            owner: task.owner.clone(),
            uid: task.uid.clone(),
            sequence: task.sequence,
            fingerprint,
            setter: Box::new(task.setter.clone()),
            targets: task.targets.clone(),
            kind: task.kind,
            extras: task.extras.iter().map(|extra| extra.kind).collect(),
            when: task.when.clone(),
            trigger: task.trigger,
            rule: task.rule.clone().map(Box::new),
            missed: task.missed,
            at,
            of: at,
            active: None,
            prefer: None,
            wake: at.before(self.config.lead),
        };
        self.remove_plan(&task.owner, &task.uid);
        for (client, _) in self.targets(&plan) {
            let (owner, uid) = (plan.owner.clone(), plan.uid.clone());
            self.outputs.push_back(TaskOutput::Deliver { owner, to: client, uid, sequence: plan.sequence });
        }
        self.insert(plan);
        Ok(true)
    }

    /// Withdraws a task, by its owner or whoever set it. What has that or a lower sequence never comes back.
    ///
    /// # Errors
    /// [`TaskRefusal`]; nothing changes then.
    pub fn cancel(
        &mut self,
        now: UnixTime,
        sender: &UserId,
        owner: &UserId,
        uid: &TaskUid,
        sequence: u32,
    ) -> Result<(), TaskRefusal> {
        let person = self.people.get_mut(owner).ok_or(TaskRefusal::Unknown)?;
        let plan = person.tasks.get(uid).and_then(|slot| self.plans.get(slot));
        match plan {
            Some(plan) if sender != owner && *sender != plan.setter.user => {
                return Err(RightsRefusal::NotSetter.into());
            }
            Some(plan) if plan.sequence > sequence => {
                return Err(TaskRefusal::OldSequence { known: plan.sequence });
            }
            // A friend may not block names that do not exist yet.
            None if sender != owner => return Err(TaskRefusal::Unknown),
            _ => {}
        }
        let limit = self.config.limits.per_owner.saturating_mul(MEMORY_FACTOR);
        if person.gone.len() >= limit && !person.gone.contains_key(uid) {
            return Err(TaskRefusal::Full { limit });
        }
        let tomb = person.gone.entry(uid.clone()).or_insert((sequence, now));
        *tomb = (tomb.0.max(sequence), now);
        if let Some(plan) = self.remove_plan(owner, uid) {
            self.withdraw(&plan, &plan.occurrence(), None);
        }
        self.outputs.push_back(TaskOutput::Changed { owner: owner.clone(), uid: uid.clone() });
        Ok(())
    }

    /// Takes a client's feedback. Any epoch counts: the person was reminded.
    ///
    /// Returns `false` when it was known already.
    ///
    /// # Errors
    /// [`TaskRefusal::Unknown`] for a client or task that does not exist; [`RightsRefusal::NotOwner`] for
    /// feedback on somebody else's task or in another client's name.
    pub fn ack(
        &mut self,
        now: UnixTime,
        user: &UserId,
        client: &ClientId,
        ack: Ack,
        place: Place<'_>,
    ) -> Result<bool, TaskRefusal> {
        let occurrence = ack.occurrence.clone();
        if occurrence.owner != *user || ack.by != *client {
            return Err(RightsRefusal::NotOwner.into());
        }
        let person = self.people.get(user).ok_or(TaskRefusal::Unknown)?;
        if !person.clients.contains_key(client) {
            return Err(TaskRefusal::Unknown);
        }
        let slot = person.tasks.get(&occurrence.uid).copied();
        if slot.is_none() && !person.gone.contains_key(&occurrence.uid) {
            return Err(TaskRefusal::Unknown);
        }
        let first = !self.acks.is_executed(&occurrence);
        let limit = self.config.limits.per_owner.saturating_mul(MEMORY_FACTOR);
        if first && person.acked >= limit {
            return Err(TaskRefusal::Full { limit });
        }
        let (kind, at) = (ack.kind, ack.at);
        if !self.acks.add(ack) {
            return Ok(false);
        }
        if first {
            if let Some(person) = self.people.get_mut(user) {
                person.acked = person.acked.saturating_add(1);
            }
            let late = at.since(occurrence.at);
            let event = TaskEvent::Executed { occurrence: occurrence.clone(), by: client.clone(), late };
            self.outputs.push_back(TaskOutput::Event(event));
        } else {
            let devices = self.acks.devices(&occurrence);
            if devices > 1 {
                let event = TaskEvent::Duplicate { occurrence: occurrence.clone(), devices };
                self.outputs.push_back(TaskOutput::Event(event));
            }
        }
        let current = slot.and_then(|slot| self.plans.get(&slot).map(|plan| (slot, plan.occurrence())));
        if let Some((slot, current)) = current
            && current == occurrence
        {
            if let Some(plan) = self.plans.get(&slot).cloned() {
                self.withdraw(&plan, &occurrence, Some(client));
            }
            match kind {
                AckKind::Snoozed(until) if until > occurrence.at => {
                    self.reschedule(slot, until, None);
                    if let Some(plan) = self.plans.get_mut(&slot) {
                        plan.prefer = Some(Box::new(client.clone()));
                    }
                }
                AckKind::Executed | AckKind::Snoozed(_) => self.advance(now, slot, place),
            }
        }
        Ok(true)
    }

    /// Does what is due: chooses clients, takes leases away, lets go what was missed.
    pub fn handle_timeout(&mut self, now: UnixTime, place: Place<'_>) {
        while let Some((at, slot)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, slot));
            self.wake(now, slot, place);
        }
        if now.since(self.swept) > nanos(self.config.retention) / 16 {
            self.swept = now;
            self.acks.forget(now, self.config.retention);
            let limit = now.before(self.config.retention);
            for person in self.people.values_mut() {
                person.gone.retain(|_, (_, at)| *at >= limit);
                person.acked = 0;
            }
            for occurrence in self.acks.occurrences() {
                if let Some(person) = self.people.get_mut(&occurrence.owner) {
                    person.acked += 1;
                }
            }
        }
    }

    /// The rules of zones changed: moments are computed again from what was meant.
    pub fn rezone(&mut self, now: UnixTime, place: Place<'_>) {
        let civil: Vec<u64> = self
            .plans
            .iter()
            .filter(|(_, plan)| {
                plan.active.is_none() && plan.at == plan.of && matches!(plan.when, TaskWhen::Civil(_))
            })
            .map(|(slot, _)| *slot)
            .collect();
        for slot in civil {
            let Some(plan) = self.plans.get(&slot) else { continue };
            // A day back, so that the same occurrence is found again wherever it moved.
            let after = plan.rule.as_ref().map(|_| plan.of.plus(-86_400_000_000_000).max(now));
            if let Ok(Some(at)) =
                next_occurrence((&plan.when, plan.rule.as_deref(), plan.trigger), after, place)
                && at != plan.at
            {
                self.reschedule(slot, at, Some(at));
            }
        }
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<TaskOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<UnixTime> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Tasks that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// True when none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    /// All feedback known.
    #[must_use]
    pub const fn acks(&self) -> &AckSet {
        &self.acks
    }
}
