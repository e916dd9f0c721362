//! The server's engine: keeps plans, checks rights, hands out leases, collects feedback.
//!
//! # The contract
//! `now` is the server's own corrected time (a [`VirtualClock`](crate::VirtualClock)), never going back. One
//! mutation, then [`poll_output`](TaskServer::poll_output) until `None`, then
//! [`poll_timeout`](TaskServer::poll_timeout). Store the plans named by [`TaskOutput::Changed`] and the
//! acknowledgements before sending anything: after a crash [`restore`](TaskServer::restore) them.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::appoint::Place;
use crate::instant::{UnixTime, nanos};
use crate::starter::Missed;
use crate::task::model::{
    ClientId, ExtraKind, Kind, Setter, Targets, Task, TaskLimits, TaskRefusal, TaskUid, TaskWhen, UserId,
    next_occurrence,
};
use crate::task::record::{Ack, AckKind, AckSet, Occurrence};
use crate::task::recur::Rule;
use crate::task::rights::{FriendGroups, RightsRefusal};

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
    /// How long a moment that must be on time ([`Missed::Skip`]) is still tried for.
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

/// What the host must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskOutput {
    /// Store this plan's record, or delete it when there is none any more; the body of the task may go with it.
    Changed {
        /// Whose.
        owner: UserId,
        /// Which.
        uid: TaskUid,
    },
    /// Give this client a sleeping copy.
    Deliver {
        /// Whose.
        owner: UserId,
        /// To which of the owner's clients.
        to: ClientId,
        /// Which.
        uid: TaskUid,
        /// Which version.
        sequence: u32,
    },
    /// Tell this client to show it at its moment. Send the task along: its copy may not have arrived.
    Fire {
        /// Which client.
        to: ClientId,
        /// Which occurrence.
        occurrence: Occurrence,
        /// The lease's epoch.
        epoch: u32,
        /// Report until then.
        lease_until: UnixTime,
    },
    /// Tell this client that it is over: shown elsewhere, cancelled or replaced.
    Withdraw {
        /// Which client.
        to: ClientId,
        /// Which occurrence.
        occurrence: Occurrence,
    },
    /// Something happened.
    Event(TaskEvent),
}

/// What happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskEvent {
    /// Shown, for the first time.
    Executed {
        /// Which.
        occurrence: Occurrence,
        /// By whom.
        by: ClientId,
        /// How late, nanoseconds.
        late: i64,
    },
    /// Shown on more than one device.
    Duplicate {
        /// Which.
        occurrence: Occurrence,
        /// On how many.
        devices: usize,
    },
    /// A client let its lease run out.
    LeaseExpired {
        /// Which occurrence.
        occurrence: Occurrence,
        /// Which client.
        by: ClientId,
        /// Which epoch.
        epoch: u32,
    },
    /// No client could be reached before the policy let it go.
    Missed {
        /// Which.
        occurrence: Occurrence,
    },
    /// The setter has lost the right since; the task was dropped. Tell the setter.
    RightsLost {
        /// Whose task.
        owner: UserId,
        /// Which.
        uid: TaskUid,
        /// Who had set it.
        setter: Setter,
        /// Why.
        refusal: RightsRefusal,
    },
}

/// What the server keeps of a task: everything but its content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Plan {
    owner: UserId,
    uid: TaskUid,
    sequence: u32,
    fingerprint: u64,
    setter: Box<Setter>,
    targets: Targets,
    kind: Kind,
    extras: Vec<ExtraKind>,
    when: TaskWhen,
    rule: Option<Box<Rule>>,
    missed: Missed,
    /// The moment waited for; after a snooze this differs from the rule's.
    at: UnixTime,
    /// The rule's moment that `at` stands for.
    of: UnixTime,
    active: Option<Box<Active>>,
    /// The client to choose first: it put the task off.
    prefer: Option<Box<ClientId>>,
    wake: UnixTime,
}

impl Plan {
    /// The occurrence waited for.
    #[must_use]
    pub fn occurrence(&self) -> Occurrence {
        Occurrence { owner: self.owner.clone(), uid: self.uid.clone(), sequence: self.sequence, at: self.at }
    }
}

/// A moment that is near or past and not yet shown.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Active {
    epoch: u32,
    holder: Option<ClientId>,
    tried: Vec<ClientId>,
    rounds: u32,
}

#[derive(Clone, Debug, Default)]
struct Person {
    clients: BTreeMap<ClientId, Option<UnixTime>>,
    tasks: BTreeMap<TaskUid, u64>,
    groups: Option<FriendGroups>,
    /// Plans whose moment is near or past.
    active: BTreeSet<u64>,
    /// Tasks by setter.
    set_by: BTreeMap<UserId, usize>,
    gone: BTreeMap<TaskUid, (u32, UnixTime)>,
    /// Occurrences with feedback, so that invented ones cannot fill the memory.
    acked: usize,
}

/// Feedback and deleted names remembered per person, as a multiple of the tasks that may wait.
const MEMORY_FACTOR: usize = 8;

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
            if let Ok(Some(at)) = next_occurrence(&plan.when, plan.rule.as_deref(), after, place)
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

    /// What a client must hold: name and version of every task for it. The host compares at login.
    pub fn held_for(&self, user: &UserId, client: &ClientId) -> impl Iterator<Item = (&TaskUid, u32)> {
        let slots = self.people.get(user).map(|person| person.tasks.values());
        slots
            .into_iter()
            .flatten()
            .filter_map(|slot| self.plans.get(slot))
            .filter(move |plan| plan.targets.include(client))
            .map(|plan| (&plan.uid, plan.sequence))
    }

    /// The record to store for a task; `None`: delete it.
    #[must_use]
    pub fn record(&self, owner: &UserId, uid: &TaskUid) -> Option<&Plan> {
        self.people.get(owner)?.tasks.get(uid).and_then(|slot| self.plans.get(slot))
    }

    /// Puts a stored record back after a start. Its lease, if any, is given out anew.
    pub fn restore(&mut self, mut plan: Plan) {
        if let Some(active) = &mut plan.active {
            active.holder = None;
            plan.wake = plan.at.before(self.config.lead);
        }
        self.remove_plan(&plan.owner.clone(), &plan.uid.clone());
        self.insert(plan);
        while let Some(TaskOutput::Changed { .. }) = self.outputs.back() {
            self.outputs.pop_back();
        }
    }

    /// Puts stored feedback back.
    pub fn restore_ack(&mut self, ack: Ack) {
        self.acks.add(ack);
    }

    /// Puts the name and version of a finished or deleted task back.
    pub fn restore_gone(&mut self, owner: &UserId, uid: TaskUid, sequence: u32, at: UnixTime) {
        self.people.entry(owner.clone()).or_default().gone.insert(uid, (sequence, at));
    }

    /// The version and moment under which a task was finished or deleted.
    #[must_use]
    pub fn gone(&self, owner: &UserId, uid: &TaskUid) -> Option<(u32, UnixTime)> {
        self.people.get(owner)?.gone.get(uid).copied()
    }

    fn check_room(&self, person: &Person, task: &Task) -> Result<(), TaskRefusal> {
        let limits = &self.config.limits;
        if person.tasks.len() >= limits.per_owner {
            return Err(TaskRefusal::Full { limit: limits.per_owner });
        }
        let by_friend = person.set_by.get(&task.setter.user).copied().unwrap_or(0);
        if task.setter.user != task.owner && by_friend >= limits.per_friend {
            return Err(TaskRefusal::Full { limit: limits.per_friend });
        }
        Ok(())
    }

    /// The first moment to wait for: the first not yet past, or a missed one that its policy still allows.
    fn first(&self, now: UnixTime, task: &Task, place: Place<'_>) -> Result<UnixTime, TaskRefusal> {
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

    fn insert(&mut self, plan: Plan) {
        let slot = self.next_slot;
        self.next_slot += 1;
        let person = self.people.entry(plan.owner.clone()).or_default();
        person.tasks.insert(plan.uid.clone(), slot);
        *person.set_by.entry(plan.setter.user.clone()).or_default() += 1;
        if plan.active.is_some() {
            person.active.insert(slot);
        }
        self.wakes.insert((plan.wake, slot));
        self.outputs.push_back(TaskOutput::Changed { owner: plan.owner.clone(), uid: plan.uid.clone() });
        self.plans.insert(slot, plan);
    }

    fn remove_plan(&mut self, owner: &UserId, uid: &TaskUid) -> Option<Plan> {
        let person = self.people.get_mut(owner)?;
        let slot = person.tasks.remove(uid)?;
        person.active.remove(&slot);
        let plan = self.plans.remove(&slot)?;
        if let Some(count) = person.set_by.get_mut(&plan.setter.user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                person.set_by.remove(&plan.setter.user);
            }
        }
        self.wakes.remove(&(plan.wake, slot));
        Some(plan)
    }

    fn targets(&self, plan: &Plan) -> Vec<(ClientId, Option<UnixTime>)> {
        let clients = self.people.get(&plan.owner).map(|person| &person.clients);
        let named = clients.into_iter().flatten().filter(|(client, _)| plan.targets.include(client));
        named.map(|(client, seen)| (client.clone(), *seen)).collect()
    }

    fn set_wake(&mut self, slot: u64, wake: UnixTime) {
        if let Some(plan) = self.plans.get_mut(&slot) {
            self.wakes.remove(&(plan.wake, slot));
            plan.wake = wake;
            self.wakes.insert((wake, slot));
        }
    }

    fn wake(&mut self, now: UnixTime, slot: u64, place: Place<'_>) {
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
    fn last_try(&self, plan: &Plan) -> UnixTime {
        let window = match plan.missed {
            Missed::Skip | Missed::FireAll(0) => self.config.grace,
            Missed::FireIfWithin(grace) => grace.max(self.config.grace),
            Missed::FireOnce | Missed::FireAll(_) => Duration::MAX,
        };
        plan.at.after(window)
    }

    /// Gives the lease to the best client that is online and was not tried, if there is one.
    fn offer(&mut self, now: UnixTime, slot: u64) {
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
    fn advance(&mut self, now: UnixTime, slot: u64, place: Place<'_>) {
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

    fn after(&self, plan: &Plan, at: UnixTime, place: Place<'_>) -> Option<UnixTime> {
        plan.rule.as_ref()?;
        next_occurrence(&plan.when, plan.rule.as_deref(), Some(at), place).ok().flatten()
    }

    /// Waits for `at`; `of` is the rule's moment it stands for, unchanged by a snooze.
    fn reschedule(&mut self, slot: u64, at: UnixTime, of: Option<UnixTime>) {
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

    fn withdraw(&mut self, plan: &Plan, occurrence: &Occurrence, except: Option<&ClientId>) {
        for (client, _) in self.targets(plan) {
            if Some(&client) != except {
                self.outputs.push_back(TaskOutput::Withdraw { to: client, occurrence: occurrence.clone() });
            }
        }
    }
}

fn check_rights(person: &Person, task: &Task) -> Result<(), RightsRefusal> {
    if task.setter.user == task.owner {
        return Ok(());
    }
    person.groups.as_ref().ok_or(RightsRefusal::Stranger)?.check(task)
}
