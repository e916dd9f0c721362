//! The server's side: what is in people's datastores becomes plans of the task engine; what the engine decides becomes items,
//! answers and wakes.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod effects;
mod keep;

pub use effects::{Answered, Effects, ItemChange, Said};
pub use keep::{StateChange, StateKey, StateKind, Unreadable};

use super::group::FriendGroup;
use super::reminder::{self, Reminder};
use bytes::Bytes;
use idmap::Guid;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timesync::UnixTime;
use timesync::task::ical::{self, Entry};
use timesync::task::{
    Ack, ClientId, Plan, Setter, Task, TaskConfig, TaskRefusal, TaskServer, TaskUid, UserId,
};
use timesync::zones::Home;

/// Where an entry is.
pub type Place = (UserId, Box<str>, Guid);

/// One change of a datastore: an entry as it is now, or that it is gone.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// Whose.
    pub owner: &'a UserId,
    /// `tasks`, `calendar` or `reminders`.
    pub datastore: &'a str,
    /// Which.
    pub guid: &'a Guid,
    /// What it is; none: gone.
    pub body: Option<&'a Bytes>,
}

/// The task engine of a server with everything around it that decides something.
///
/// # The contract
/// Give it the stored state ([`Desk::restore`]), the clients ([`Desk::client`]), the groups, and every entry of `./tasks` and
/// `./calendar`; afterwards what changes. After each call take [`Desk::effects`] and make states and items durable in one step
/// before anybody is woken. `now` is the server's true time.
#[derive(Debug)]
pub struct Desk {
    engine: TaskServer,
    /// Whose zone floating times are in.
    home: Home,
    /// Which task an entry is.
    entries: BTreeMap<Place, TaskUid>,
    /// Tasks that others have set, for the answers.
    foreign: BTreeMap<(UserId, TaskUid), (Task, Place)>,
    /// When the reminders of finished tasks go.
    sweeps: BTreeSet<(UnixTime, UserId, TaskUid)>,
    effects: Effects,
}

/// How long the copy of a finished task stays: it may be put off.
const KEPT: Duration = Duration::from_secs(86_400);

impl Desk {
    /// A desk that knows nobody.
    pub fn new(config: TaskConfig, home: Home) -> Self {
        Desk {
            engine: TaskServer::new(config),
            home,
            entries: BTreeMap::new(),
            foreign: BTreeMap::new(),
            sweeps: BTreeSet::new(),
            effects: Effects::default(),
        }
    }

    /// Puts stored state back; what nobody needs any more is dropped.
    ///
    /// # Errors
    /// [`Unreadable`]: of a newer program, or damaged.
    pub fn restore(&mut self, now: UnixTime, key: &StateKey, value: &[u8]) -> Result<(), Unreadable> {
        match key.kind {
            StateKind::Plan => self.engine.restore(keep::read::<Plan>(value)?),
            StateKind::Gone => {
                let (sequence, at): (u32, UnixTime) = keep::read(value)?;
                let uid = TaskUid::new(&key.name).map_err(|_| Unreadable::Damaged)?;
                self.sweeps.insert((at.after(KEPT), key.owner.clone(), uid.clone()));
                self.engine.restore_gone(&key.owner, uid, sequence, at);
            }
            StateKind::Ack => {
                let ack: Ack = keep::read(value)?;
                if ack.occurrence.at < now.before(TaskConfig::default().retention) {
                    self.effects.states.push(StateChange { key: key.clone(), value: None });
                } else {
                    self.engine.restore_ack(ack);
                }
            }
        }
        Ok(())
    }

    /// Makes a client known: it syncs `./reminders`.
    pub fn client(&mut self, owner: &UserId, client: &ClientId) {
        self.engine.register(owner, client);
    }

    /// A sign of life of a client.
    pub fn presence(&mut self, now: UnixTime, owner: &UserId, client: &ClientId) {
        self.engine.presence(now, owner, client, true);
        self.drain(now);
    }

    /// A person's groups as they are now.
    pub fn groups<'o>(&mut self, owner: &UserId, objects: impl IntoIterator<Item = &'o Bytes>) {
        self.engine.set_groups(FriendGroup::all(owner, objects));
    }

    /// Takes a change of a datastore.
    pub fn take(&mut self, now: UnixTime, change: &Change<'_>) {
        if change.datastore == reminder::DATASTORE {
            self.feedback(now, change);
        } else {
            self.entry(now, change);
        }
        self.drain(now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: UnixTime) {
        self.engine.handle_timeout(now, self.home.place());
        self.drain(now);
        while let Some((_, owner, uid)) = self.sweeps.first().filter(|(at, ..)| *at <= now).cloned() {
            self.sweeps.pop_first();
            if self.engine.record(&owner, &uid).is_none() {
                self.effects.delete_reminders(&owner, &uid);
            }
        }
    }

    /// When to call [`Desk::tick`] next.
    pub fn poll_timeout(&self) -> Option<UnixTime> {
        self.engine.poll_timeout()
    }

    /// What came of it all since the last time.
    pub fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// Tasks that wait.
    pub fn waiting(&self) -> usize {
        self.engine.len()
    }

    fn feedback(&mut self, now: UnixTime, change: &Change<'_>) {
        let Some(body) = change.body else { return };
        let Ok(Reminder::Feedback(ack)) = Reminder::parse(body, change.owner) else { return };
        match self.engine.ack(now, change.owner, &ack.by.clone(), ack.clone(), self.home.place()) {
            Ok(true) => self.effects.keep_ack(&ack),
            Ok(false) => {}
            Err(refusal) => {
                let uid = ack.occurrence.uid.clone();
                self.effects.said.push(Said::Refused { owner: change.owner.clone(), uid, refusal });
            }
        }
        // Heard, whatever it was.
        let place = (change.owner.clone(), change.datastore.into(), change.guid.clone());
        self.effects.items.push(ItemChange::Delete(place));
    }

    fn entry(&mut self, now: UnixTime, change: &Change<'_>) {
        let place: Place = (change.owner.clone(), change.datastore.into(), change.guid.clone());
        let read = change.body.and_then(|body| {
            let text = core::str::from_utf8(body).ok()?;
            let own = Setter { user: change.owner.clone(), client: ClientId::new("-").ok()? };
            ical::read_entry(text, change.owner, &own).ok()
        });
        let was = self.entries.get(&place).cloned();
        let Some(entry) = read.filter(|entry| entry.alarmed) else {
            // Gone, or a thing without an alarm, or nothing that can be read.
            if let Some(uid) = was {
                self.entries.remove(&place);
                self.close(now, change.owner, &uid);
            }
            return;
        };
        let uid = entry.task.uid.clone();
        if let Some(other) = was.filter(|was| *was != uid) {
            self.close(now, change.owner, &other);
        }
        self.entries.insert(place.clone(), uid.clone());
        if entry.closed {
            self.close(now, change.owner, &uid);
            return;
        }
        self.set(now, entry, place);
    }

    /// A task as its owner's datastore has it.
    fn set(&mut self, now: UnixTime, entry: Entry, place: Place) {
        let Entry { mut task, claims, acknowledged, .. } = entry;
        let (owner, uid) = (task.owner.clone(), task.uid.clone());
        let known = self.engine.record(&owner, &uid).cloned();
        match (claims, &known) {
            (Some(setter), _) => task.setter = setter,
            // Written anew by a program that drops what it does not know.
            (None, Some(known)) => {
                task.kind = known.kind();
                task.targets = known.targets().clone();
                task.missed = known.missed();
            }
            (None, None) => {}
        }
        if let Some(known) = &known {
            // What its owner edits stays set by whoever set it.
            if task.setter.user == owner {
                task.setter = known.setter().clone();
            }
            let same = Task { sequence: known.sequence(), ..task.clone() };
            if same.fingerprint() == known.fingerprint() {
                self.remember(&same, &place);
                self.copy(&same);
                return;
            }
            if task.sequence <= known.sequence() {
                task.sequence = known.sequence().saturating_add(1);
            }
        } else {
            let next = task.next(None, self.home.place()).ok().flatten();
            // spec: RFC 9074 §6
            let seen = acknowledged.is_some_and(|at| next.is_some_and(|next| at >= next));
            if seen && task.rule.is_none() {
                return;
            }
            if let Some((sequence, _)) = self.engine.gone(&owner, &uid) {
                let ahead = task.next(Some(now), self.home.place()).ok().flatten();
                if ahead.is_none() || task.sequence > sequence {
                    self.remember(&task, &place);
                }
                if ahead.is_none() {
                    return;
                }
                task.sequence = task.sequence.max(sequence.saturating_add(1));
            }
        }
        self.remember(&task, &place);
        let sender = task.setter.clone();
        match self.engine.set(now, &sender, &task, self.home.place()) {
            Ok(_) => {
                self.copy(&task);
                if task.setter.user != owner {
                    self.answer(&task, ical::itip::Answer::Accepted, now);
                }
            }
            Err(refusal) => {
                if task.setter.user != owner && !matches!(refusal, TaskRefusal::Gone) {
                    // Whatever way it came, it does not stay.
                    self.answer(&task, ical::itip::Answer::Declined(refusal.to_string()), now);
                    self.drop_entry(&owner, &uid);
                }
                self.effects.said.push(Said::Refused { owner, uid, refusal });
            }
        }
    }

    /// Its owner is done with it.
    fn close(&mut self, now: UnixTime, owner: &UserId, uid: &TaskUid) {
        match self.engine.record(owner, uid).map(Plan::sequence) {
            Some(sequence) => {
                if let Err(refusal) = self.engine.cancel(now, owner, owner, uid, sequence) {
                    let (owner, uid) = (owner.clone(), uid.clone());
                    self.effects.said.push(Said::Refused { owner, uid, refusal });
                }
                // What was said of it goes with it.
                self.drain(now);
            }
            None if self.engine.gone(owner, uid).is_none() => return,
            None => {}
        }
        self.foreign.remove(&(owner.clone(), uid.clone()));
        self.effects.delete_reminders(owner, uid);
    }

    fn remember(&mut self, task: &Task, place: &Place) {
        if task.setter.user != task.owner {
            self.foreign.insert((task.owner.clone(), task.uid.clone()), (task.clone(), place.clone()));
        }
    }

    fn copy(&mut self, task: &Task) {
        let copy = Reminder::Copy { uid: task.uid.clone(), calendar: ical::write(task) };
        self.effects.put(&task.owner, &copy);
    }

    fn answer(&mut self, task: &Task, answer: ical::itip::Answer, now: UnixTime) {
        self.effects.answers.push(Answered { task: task.clone(), answer, at: now });
    }

    /// An entry that somebody else has put there does not stay.
    fn drop_entry(&mut self, owner: &UserId, uid: &TaskUid) {
        if let Some((_, place)) = self.foreign.remove(&(owner.clone(), uid.clone())) {
            self.entries.remove(&place);
            self.effects.items.push(ItemChange::Delete(place));
        }
        self.effects.delete_reminders(owner, uid);
    }
}
