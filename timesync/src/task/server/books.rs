//! Who is known, what waits for whom, and what is remembered of it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{TaskOutput, TaskServer};
use crate::instant::UnixTime;
use crate::task::model::{ClientId, Task, TaskRefusal, TaskUid, UserId};
use crate::task::plan::Plan;
use crate::task::record::Ack;
use crate::task::rights::{FriendGroups, RightsRefusal};

/// What is known of one person.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    pub(super) clients: BTreeMap<ClientId, Option<UnixTime>>,
    pub(super) tasks: BTreeMap<TaskUid, u64>,
    pub(super) groups: Option<FriendGroups>,
    /// Plans whose moment is near or past.
    pub(super) active: BTreeSet<u64>,
    /// Tasks by setter.
    pub(super) set_by: BTreeMap<UserId, usize>,
    pub(super) gone: BTreeMap<TaskUid, (u32, UnixTime)>,
    /// Occurrences with feedback, so that invented ones cannot fill the memory.
    pub(super) acked: usize,
}

/// Feedback and deleted names remembered per person, as a multiple of the tasks that may wait.
pub(super) const MEMORY_FACTOR: usize = 8;

impl TaskServer {
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

    /// A person's clients that are known.
    pub fn clients_of(&self, user: &UserId) -> impl Iterator<Item = &ClientId> {
        self.people.get(user).into_iter().flat_map(|person| person.clients.keys())
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

    pub(super) fn check_room(&self, person: &Person, task: &Task) -> Result<(), TaskRefusal> {
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

    pub(super) fn insert(&mut self, plan: Plan) {
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

    pub(super) fn remove_plan(&mut self, owner: &UserId, uid: &TaskUid) -> Option<Plan> {
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

    pub(super) fn targets(&self, plan: &Plan) -> Vec<(ClientId, Option<UnixTime>)> {
        let clients = self.people.get(&plan.owner).map(|person| &person.clients);
        let named = clients.into_iter().flatten().filter(|(client, _)| plan.targets.include(client));
        named.map(|(client, seen)| (client.clone(), *seen)).collect()
    }
}

pub(super) fn check_rights(person: &Person, task: &Task) -> Result<(), RightsRefusal> {
    if task.setter.user == task.owner {
        return Ok(());
    }
    person.groups.as_ref().ok_or(RightsRefusal::Stranger)?.check(task)
}
