//! What comes of what the engine puts out.

use super::super::reminder::{self, Lease, Reminder, copy_guid, word_guid};
use super::keep::{StateChange, StateKey, StateKind, ack_key, bytes};
use super::{Desk, KEPT, Place};
use crate::sync::store::ItemValue;
use bytes::Bytes;
use std::collections::BTreeSet;
use timesync::UnixTime;
use timesync::task::ical::itip::Answer;
use timesync::task::{Ack, ClientId, Occurrence, Task, TaskEvent, TaskOutput, TaskRefusal, TaskUid, UserId};

/// What is to be done, states and items in one durable step.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Changes of what is kept, in order.
    pub states: Vec<StateChange>,
    /// Changes of datastores, in order; an item that is so already is left alone.
    pub items: Vec<ItemChange>,
    /// Replies, into their setters' `./requests`.
    pub answers: Vec<Answered>,
    /// Clients for which there is something in `./reminders`.
    pub wake: BTreeSet<(UserId, ClientId)>,
    /// Clients that are to show that they are there, because a moment is near.
    pub call: BTreeSet<(UserId, ClientId)>,
    /// For the log.
    pub said: Vec<Said>,
}

/// A change of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemChange {
    /// It is this now.
    Put {
        /// Where.
        place: Place,
        /// Its state.
        value: ItemValue,
        /// Its body.
        body: Bytes,
    },
    /// It is gone.
    Delete(Place),
}

/// What became of a task that somebody set for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The task.
    pub task: Task,
    /// What became of it.
    pub answer: Answer,
    /// When.
    pub at: UnixTime,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The engine's event.
    Event(TaskEvent),
    /// An entry became no task, or feedback was not taken.
    Refused {
        /// Whose.
        owner: UserId,
        /// Which.
        uid: TaskUid,
        /// Why.
        refusal: TaskRefusal,
    },
}

impl Effects {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty() && self.items.is_empty() && self.answers.is_empty() && self.wake.is_empty()
    }

    pub(super) fn put(&mut self, owner: &UserId, reminder: &Reminder) {
        let body = reminder.to_xml();
        let value = reminder.value(&body);
        let place = (owner.clone(), reminder::DATASTORE.into(), reminder.guid());
        self.items.push(ItemChange::Put { place, value, body });
    }

    pub(super) fn delete_reminders(&mut self, owner: &UserId, uid: &TaskUid) {
        for guid in [copy_guid(uid), word_guid(uid)] {
            self.items.push(ItemChange::Delete((owner.clone(), reminder::DATASTORE.into(), guid)));
        }
    }

    pub(super) fn keep_ack(&mut self, ack: &Ack) {
        self.states.push(StateChange { key: ack_key(ack), value: bytes(ack) });
    }
}

impl Desk {
    /// Turns what the engine puts out into effects.
    pub(super) fn drain(&mut self, now: UnixTime) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                TaskOutput::Changed { owner, uid } => self.changed(&owner, &uid),
                TaskOutput::Deliver { owner, to, .. } => {
                    self.effects.wake.insert((owner, to));
                }
                TaskOutput::Fire { to, occurrence, epoch, lease_until } => {
                    let lease = Lease { client: to.clone(), epoch, until: lease_until };
                    self.word(to, occurrence, Some(lease));
                }
                TaskOutput::Withdraw { to, occurrence } => self.word(to, occurrence, None),
                TaskOutput::Event(event) => self.event(now, event),
                _ => {}
            }
        }
    }

    fn word(&mut self, to: ClientId, occurrence: Occurrence, holder: Option<Lease>) {
        let owner = occurrence.owner.clone();
        self.effects.put(&owner, &Reminder::Word { occurrence, holder });
        self.effects.wake.insert((owner, to));
    }

    fn changed(&mut self, owner: &UserId, uid: &TaskUid) {
        let key = |kind| StateKey { kind, owner: owner.clone(), name: uid.as_str().into() };
        let plan = self.engine.record(owner, uid);
        if plan.is_some_and(timesync::task::Plan::is_unclaimed) {
            let clients = self.engine.clients_of(owner);
            let named = clients.filter(|client| plan.is_some_and(|plan| plan.targets().include(client)));
            self.effects.call.extend(named.map(|client| (owner.clone(), client.clone())));
        }
        self.effects.states.push(StateChange { key: key(StateKind::Plan), value: plan.and_then(bytes) });
        if plan.is_none()
            && let Some(gone) = self.engine.gone(owner, uid)
        {
            self.effects.states.push(StateChange { key: key(StateKind::Gone), value: bytes(&gone) });
            self.sweeps.insert((gone.1.after(KEPT), owner.clone(), uid.clone()));
        }
    }

    fn event(&mut self, now: UnixTime, event: TaskEvent) {
        match &event {
            TaskEvent::Executed { occurrence, .. } => {
                let key = (occurrence.owner.clone(), occurrence.uid.clone());
                if let Some((task, _)) = self.foreign.get(&key).cloned() {
                    self.answer(&task, Answer::Completed, now);
                }
            }
            TaskEvent::RightsLost { owner, uid, refusal, .. } => {
                let (owner, uid) = (owner.clone(), uid.clone());
                if let Some((task, _)) = self.foreign.get(&(owner.clone(), uid.clone())).cloned() {
                    self.answer(&task, Answer::Declined(refusal.to_string()), now);
                }
                self.drop_entry(&owner, &uid);
            }
            _ => {}
        }
        self.effects.said.push(Said::Event(event));
    }
}
