//! The terminal's side: sleeping copies, the server's words and one's own entries in; what to show, and feedback, out.
#![warn(clippy::indexing_slicing)]

use super::reminder::Reminder;
use crate::stored::{self, Unread};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timesync::UnixTime;
use timesync::appoint::Place;
use timesync::task::ical::{self, Entry};
use timesync::task::{
    Ack, ClientEvent, ClientId, DirectReply, FriendGroups, Occurrence, Setter, Task, TaskClient,
    TaskClientConfig, TaskUid, UserId,
};

/// The format of the stored value.
const FORMAT: u8 = 1;
/// Own entries whose moment passed longer ago are old, not missed.
const OLD: Duration = Duration::from_secs(86_400);

/// A terminal's tasks.
///
/// # The contract
/// `now` is true time: the terminal's clock minus its deviation. After [`Bell::links`] and [`Bell::own`], and when
/// [`Bell::poll_timeout`] says, call [`Bell::handle_timeout`], then [`Bell::poll_event`] until `None`. Store the value
/// ([`Bell::to_bytes`]) before anything is shown, and a restart shows nothing twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bell {
    engine: TaskClient,
    /// What the server gave, by its version.
    copies: BTreeMap<TaskUid, u32>,
    /// What entries of ours say, by version.
    own: BTreeMap<TaskUid, u32>,
}

/// Why a stored value is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BellError {
    /// A newer program wrote it.
    #[error("the tasks are in format {0}, this program knows up to {FORMAT}")]
    Newer(u8),
    /// It is none.
    #[error("the tasks that are kept are damaged")]
    Damaged,
}

impl From<Unread> for BellError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Newer(format) => BellError::Newer(format),
            Unread::Damaged => BellError::Damaged,
        }
    }
}

impl Bell {
    /// A terminal of a person.
    pub fn new(owner: UserId, client: ClientId) -> Self {
        let engine = TaskClient::new(TaskClientConfig::new(owner, client));
        Bell { engine, copies: BTreeMap::new(), own: BTreeMap::new() }
    }

    /// Reads the stored value.
    ///
    /// # Errors
    /// [`BellError`].
    pub fn from_bytes(octets: &[u8]) -> Result<Self, BellError> {
        Ok(stored::from_bytes(FORMAT, octets)?)
    }

    /// The stored form.
    ///
    /// # Errors
    /// [`BellError::Damaged`]: it cannot be written.
    pub fn to_bytes(&self) -> Result<Bytes, BellError> {
        Ok(stored::to_bytes(FORMAT, self)?)
    }

    /// How long it waits for the server's word, and how much longer, before it shows a task by itself.
    pub fn reconfigure(&mut self, grace: Duration, jitter: Duration) {
        self.engine.reconfigure(grace, jitter);
    }

    /// All that is in `./reminders` now.
    pub fn links(&mut self, now: UnixTime, links: &[Reminder], place: Place<'_>) {
        let before = std::mem::take(&mut self.copies);
        let config = self.engine.config().clone();
        let own = Setter { user: config.owner.clone(), client: config.client.clone() };
        for link in links {
            let Reminder::Copy { calendar, .. } = link else { continue };
            let Ok(entry) = ical::read_entry(calendar, &config.owner, &own) else { continue };
            let Some(task) = of_entry(entry).filter(|task| task.targets.include(&config.client)) else {
                continue;
            };
            self.copies.insert(task.uid.clone(), task.sequence);
            // What is known, or newer here, stays.
            let _ = self.engine.deliver(now, task, place);
        }
        for (uid, sequence) in &before {
            if !self.copies.contains_key(uid) && !self.own.contains_key(uid) {
                self.engine.cancel(now, uid, *sequence);
            }
        }
        for link in links {
            let Reminder::Word { occurrence, holder } = link else { continue };
            match holder {
                None => self.engine.withdraw(now, occurrence, place),
                Some(lease) if lease.client == config.client => {
                    self.engine.fire(now, occurrence, lease.epoch, lease.until, place);
                }
                Some(_) => {}
            }
        }
    }

    /// All that is in our own `./tasks` and `./calendar` now, as text: it is shown without the server, too.
    pub fn own<'t>(&mut self, now: UnixTime, texts: impl IntoIterator<Item = &'t str>, place: Place<'_>) {
        let config = self.engine.config().clone();
        let me = Setter { user: config.owner.clone(), client: config.client.clone() };
        let mut there = BTreeMap::new();
        for text in texts {
            let Ok(entry) = ical::read_entry(text, &config.owner, &me) else { continue };
            if !entry.alarmed {
                continue;
            }
            let (closed, acknowledged) = (entry.closed, entry.acknowledged);
            let says_all = entry.claims.is_some();
            let Some(mut task) = of_entry(entry) else { continue };
            let known = self.task(&task.uid).cloned();
            if let Some(known) = known.as_ref().filter(|_| !says_all) {
                // Written anew by a program that drops what it does not know.
                (task.kind, task.missed) = (known.kind, known.missed);
                (task.targets, task.setter) = (known.targets.clone(), known.setter.clone());
            }
            if closed || !task.targets.include(&config.client) {
                continue;
            }
            let after = acknowledged.unwrap_or(now.before(OLD)).max(now.before(OLD));
            if !matches!(task.next(Some(after), place), Ok(Some(_))) {
                continue;
            }
            // An edit here is the next version, as it will be at the server.
            if let Some(known) = &known {
                let same = Task { sequence: known.sequence, setter: known.setter.clone(), ..task.clone() };
                if same == *known {
                    task = same;
                } else if task.sequence <= known.sequence {
                    task.sequence = known.sequence.saturating_add(1);
                }
            }
            there.insert(task.uid.clone(), task.sequence);
            let _ = self.engine.deliver(now, task, place);
        }
        for (uid, sequence) in std::mem::replace(&mut self.own, there) {
            if !self.own.contains_key(&uid) && self.is_waiting(&uid) {
                let sequence = self.copies.get(&uid).copied().unwrap_or(sequence).max(sequence);
                self.engine.cancel(now, &uid, sequence);
            }
        }
    }

    /// Takes a task that another client sent.
    pub fn direct(
        &mut self,
        now: UnixTime,
        sender: &Setter,
        task: Task,
        groups: &FriendGroups,
        place: Place<'_>,
    ) -> DirectReply {
        self.engine.direct(now, sender, task, groups, place)
    }

    /// Tasks that came from other clients, and of which the server does not know.
    pub fn uploads(&self) -> Vec<Task> {
        self.engine.uploads().cloned().collect()
    }

    /// The server has them.
    pub fn uploaded(&mut self, now: UnixTime, uids: &BTreeSet<TaskUid>) {
        uids.iter().for_each(|uid| self.engine.uploaded(now, uid, true));
    }

    /// Puts off what was shown last of a task; none when nothing was.
    pub fn snooze(&mut self, now: UnixTime, uid: &TaskUid, until: UnixTime) -> Option<Occurrence> {
        let occurrence = self.engine.last_shown(uid)?.clone();
        self.engine.snooze(now, &occurrence, until).then_some(occurrence)
    }

    /// Shows what is due.
    pub fn handle_timeout(&mut self, now: UnixTime, place: Place<'_>) {
        self.engine.handle_timeout(now, place);
    }

    /// The next thing to show or to say.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.engine.poll_event()
    }

    /// When to call [`Bell::handle_timeout`] next.
    pub fn poll_timeout(&self, now: UnixTime) -> Option<UnixTime> {
        self.engine.poll_timeout(now)
    }

    /// Feedback that the server has not confirmed.
    pub fn feedback(&self) -> Vec<Ack> {
        self.engine.outbox().to_vec()
    }

    /// The server has it.
    pub fn confirmed(&mut self, ack: &Ack) {
        self.engine.confirmed(ack);
    }

    /// The tasks held, each with its next moment.
    pub fn held(&self) -> impl Iterator<Item = (&Task, Option<UnixTime>)> {
        self.engine.held()
    }

    /// A task that is held.
    pub fn task(&self, uid: &TaskUid) -> Option<&Task> {
        self.held().map(|(task, _)| task).find(|task| task.uid == *uid)
    }

    /// Whose it is.
    pub fn owner(&self) -> &UserId {
        &self.engine.config().owner
    }

    /// Which terminal.
    pub fn client(&self) -> &ClientId {
        &self.engine.config().client
    }

    fn is_waiting(&self, uid: &TaskUid) -> bool {
        self.held().any(|(task, at)| task.uid == *uid && at.is_some())
    }
}

/// The task of an entry, set by whom it says: whoever gave it to us is believed.
fn of_entry(entry: Entry) -> Option<Task> {
    let Entry { mut task, claims, .. } = entry;
    if let Some(setter) = claims {
        task.setter = setter;
    }
    Some(task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::reminder::Lease;
    use timesync::task::TaskWhen;
    use timesync::zones::{Home, ZoneName, Zones};

    const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);

    fn home() -> Home {
        Home::new(Zones::bundled(), &ZoneName::new("UTC").unwrap()).unwrap()
    }

    fn at(seconds: i64) -> UnixTime {
        NOW.plus(seconds * 1_000_000_000)
    }

    fn bell() -> Bell {
        let mut bell = Bell::new(UserId::new("ana").unwrap(), ClientId::new("phone").unwrap());
        bell.reconfigure(Duration::from_secs(120), Duration::from_secs(15));
        bell
    }

    fn task(due: i64) -> Task {
        let setter = Setter { user: UserId::new("ana").unwrap(), client: ClientId::new("desk").unwrap() };
        Task::alarm(TaskUid::new("t1").unwrap(), setter, "Wake up", TaskWhen::Instant(at(due)))
    }

    fn copy(task: &Task) -> Reminder {
        Reminder::Copy { uid: task.uid.clone(), calendar: ical::write(task) }
    }

    fn occurrence(task: &Task, due: i64) -> Occurrence {
        Occurrence { owner: task.owner.clone(), uid: task.uid.clone(), sequence: task.sequence, at: at(due) }
    }

    fn word(task: &Task, due: i64, client: &str) -> Reminder {
        let lease = Lease { client: ClientId::new(client).unwrap(), epoch: 1, until: at(due + 30) };
        Reminder::Word { occurrence: occurrence(task, due), holder: Some(lease) }
    }

    fn shown(bell: &mut Bell, now: UnixTime) -> Vec<(i64, bool)> {
        bell.handle_timeout(now, home().place());
        let mut shown = Vec::new();
        while let Some(event) = bell.poll_event() {
            if let ClientEvent::Show { late, alone, .. } = event {
                shown.push((late / 1_000_000_000, alone));
            }
        }
        shown
    }

    // mission: T6
    #[test]
    fn told_it_shows_on_time_untold_later_and_for_others_not_at_all() {
        let (task, home) = (task(60), home());
        let mut told = bell();
        told.links(NOW, &[copy(&task), word(&task, 60, "phone")], home.place());
        assert_eq!(told.poll_timeout(NOW), Some(at(60)));
        assert_eq!(shown(&mut told, at(60)), [(0, false)]);
        assert_eq!(told.feedback().len(), 1);
        let again = Bell::from_bytes(&told.to_bytes().unwrap()).unwrap();
        assert_eq!(again, told);
        told.links(at(61), &[copy(&task), word(&task, 60, "phone")], home.place());
        assert_eq!(shown(&mut told, at(3_600)), []);
        let mut untold = bell();
        untold.links(NOW, &[copy(&task)], home.place());
        assert_eq!(shown(&mut untold, at(179)), []);
        let late = shown(&mut untold, at(196));
        assert_eq!(late, [(136, true)]);
        let mut other = bell();
        other.links(NOW, &[copy(&task), word(&task, 60, "tablet")], home.place());
        assert_eq!(shown(&mut other, at(70)), []);
        let over = Reminder::Word { occurrence: occurrence(&task, 60), holder: None };
        other.links(at(71), &[copy(&task), over], home.place());
        assert_eq!(shown(&mut other, at(3_600)), []);
        let mut named = task.clone();
        named.targets = timesync::task::Targets::Clients(vec![ClientId::new("tablet").unwrap()]);
        let mut not_named = bell();
        not_named.links(NOW, &[copy(&named)], home.place());
        assert_eq!(not_named.held().count(), 0);
    }

    #[test]
    fn own_entries_ring_without_a_server_and_go_with_their_text() {
        let (task, home) = (task(60), home());
        let text = ical::write(&task);
        let mut bell = bell();
        bell.own(NOW, [&*text], home.place());
        assert_eq!(bell.held().count(), 1);
        // The server's copy of the same is the same.
        bell.links(NOW, &[copy(&task)], home.place());
        assert_eq!(bell.held().count(), 1);
        // An edit is the next version on both sides.
        let edited = ical::write(&Task { summary: "Later".into(), ..task.clone() });
        bell.own(NOW, [&*edited], home.place());
        let held = bell.task(&task.uid).unwrap();
        assert_eq!((held.sequence, &*held.summary), (1, "Later"));
        bell.own(NOW, [], home.place());
        assert_eq!(bell.held().count(), 0);
        bell.links(at(1), &[copy(&task)], home.place());
        assert_eq!(bell.held().count(), 0, "it does not come back");
        let old = ical::write(&self::task(-100_000));
        let done = text.replace("END:VEVENT", "STATUS:COMPLETED\r\nEND:VEVENT");
        let silent = text.replace("BEGIN:VALARM", "BEGIN:X").replace("END:VALARM", "END:X");
        let mut fresh = super::tests::bell();
        fresh.own(NOW, [&*old, &*done, &*silent, "no calendar"], home.place());
        assert_eq!(fresh.held().count(), 0);
    }

    #[test]
    fn withdrawn_copies_are_gone_and_damage_is_named() {
        let (task, home) = (task(60), home());
        let mut bell = bell();
        bell.links(NOW, &[copy(&task)], home.place());
        bell.links(at(1), &[], home.place());
        assert_eq!(shown(&mut bell, at(3_600)), []);
        assert_eq!(Bell::from_bytes(b"\x01\xff"), Err(BellError::Damaged));
        assert_eq!(Bell::from_bytes(b"\x09"), Err(BellError::Newer(9)));
    }
}
