//! The terminal's engine: holds sleeping copies and shows each moment once.
//!
//! # The contract
//! `now` is true time as the terminal knows it: its clock minus its deviation. One mutation, then
//! [`poll_event`](TaskClient::poll_event) until `None`, then [`poll_timeout`](TaskClient::poll_timeout).
//! The value is serialisable; store it before acting on an event, and a restart shows nothing twice.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::appoint::Place;
use crate::instant::{UnixTime, nanos};
use crate::task::model::{ClientId, Setter, Task, TaskLimits, TaskRefusal, TaskUid, UserId};
use crate::task::record::{Ack, AckKind, AckSet, Occurrence};
use crate::task::rights::{FriendGroups, RightsRefusal};

/// Who this terminal is and how it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskClientConfig {
    /// Whose it is.
    pub owner: UserId,
    /// Its own name.
    pub client: ClientId,
    /// How long after the moment it shows a task that nobody told it to show.
    pub grace: Duration,
    /// Up to this much longer, different on every client, so that not all fire at once.
    pub jitter: Duration,
    /// How long what was shown is remembered.
    pub retention: Duration,
    /// What tasks may hold.
    pub limits: TaskLimits,
}

impl TaskClientConfig {
    /// Grace 120 s, jitter up to 15 s, memory of 90 days.
    #[must_use]
    pub fn new(owner: UserId, client: ClientId) -> Self {
        TaskClientConfig {
            owner,
            client,
            grace: Duration::from_secs(120),
            jitter: Duration::from_secs(15),
            retention: Duration::from_secs(90 * 86_400),
            limits: TaskLimits::default(),
        }
    }
}

/// What the terminal must do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ClientEvent {
    /// Show this task now.
    Show {
        /// Which occurrence.
        occurrence: Occurrence,
        /// How late, nanoseconds.
        late: i64,
        /// Nobody told this terminal to: it fired on its own.
        alone: bool,
    },
    /// Take it off the screen: it was shown elsewhere, or withdrawn.
    Dismiss {
        /// Which occurrence.
        occurrence: Occurrence,
    },
    /// It was missed, and its policy lets it go.
    Missed {
        /// Which occurrence.
        occurrence: Occurrence,
        /// How late it would have been, nanoseconds.
        late: i64,
    },
}

/// The answer to a task sent directly from client to client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectReply {
    /// Kept, and to be uploaded.
    Accepted,
    /// Refused; say so to the sender.
    Refused(TaskRefusal),
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct HeldTask {
    task: Task,
    at: UnixTime,
    /// The rule's moment that `at` stands for.
    of: UnixTime,
    /// Highest epoch heard for `at`, and until when it holds.
    lease: Option<(u32, UnixTime)>,
}

/// How long a finished task can still be put off.
const SNOOZE_KEPT: Duration = Duration::from_secs(86_400);
/// The moment of a task that waits for nothing but a snooze.
const ASLEEP: UnixTime = UnixTime::from_nanos(i128::MAX / 2);

/// The task engine of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskClient {
    config: TaskClientConfig,
    held: BTreeMap<TaskUid, HeldTask>,
    shown: AckSet,
    /// Occurrences that were shown elsewhere or withdrawn.
    over: BTreeSet<Occurrence>,
    gone: BTreeMap<TaskUid, (u32, UnixTime)>,
    uploads: Vec<TaskUid>,
    outbox: Vec<Ack>,
    events: VecDeque<ClientEvent>,
}

impl TaskClient {
    /// A terminal that holds nothing.
    #[must_use]
    pub const fn new(config: TaskClientConfig) -> Self {
        TaskClient {
            config,
            held: BTreeMap::new(),
            shown: AckSet::new(),
            over: BTreeSet::new(),
            gone: BTreeMap::new(),
            uploads: Vec::new(),
            outbox: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes a copy from the server. `false`: it was held already.
    ///
    /// # Errors
    /// [`TaskRefusal`]; nothing changes then.
    pub fn deliver(&mut self, now: UnixTime, task: Task, place: Place<'_>) -> Result<bool, TaskRefusal> {
        if task.owner != self.config.owner {
            return Err(RightsRefusal::NotOwner.into());
        }
        self.config.limits.check(&task)?;
        if let Some(known) = self.held.get(&task.uid) {
            if known.task == task {
                return Ok(false);
            }
            if known.task.sequence >= task.sequence {
                return Err(TaskRefusal::OldSequence { known: known.task.sequence });
            }
        } else if self.held.len() >= self.config.limits.per_owner {
            return Err(TaskRefusal::Full { limit: self.config.limits.per_owner });
        }
        if self.gone.get(&task.uid).is_some_and(|(sequence, _)| *sequence >= task.sequence) {
            return Err(TaskRefusal::Gone);
        }
        let first = task.next(None, place)?.ok_or(TaskRefusal::NoOccurrence)?;
        let late = now.since(first);
        let at = match &task.rule {
            Some(_) if late > 0 && !task.missed.allows(late) => {
                task.next(Some(now), place)?.ok_or(TaskRefusal::InThePast { due: first })?
            }
            _ => first,
        };
        self.held.insert(task.uid.clone(), HeldTask { task, at, of: at, lease: None });
        Ok(true)
    }

    /// Takes a task that another client sent directly: refused here when its setter has no right.
    pub fn direct(
        &mut self,
        now: UnixTime,
        sender: &Setter,
        task: Task,
        groups: &FriendGroups,
        place: Place<'_>,
    ) -> DirectReply {
        let uid = task.uid.clone();
        let other_setter = |known: &HeldTask| known.task.setter.user != task.setter.user;
        let checked = if *sender != task.setter || self.held.get(&uid).is_some_and(other_setter) {
            Err(RightsRefusal::NotSetter.into())
        } else if !task.targets.include(&self.config.client) {
            Err(TaskRefusal::NoTarget)
        } else {
            groups.check(&task).map_err(TaskRefusal::from)
        };
        match checked.and_then(|()| self.deliver(now, task, place)) {
            Ok(_) => {
                if !self.uploads.contains(&uid) {
                    self.uploads.push(uid);
                }
                DirectReply::Accepted
            }
            Err(refusal) => DirectReply::Refused(refusal),
        }
    }

    /// Tasks that came directly and are not yet at the server.
    pub fn uploads(&self) -> impl Iterator<Item = &Task> {
        self.uploads.iter().filter_map(|uid| self.held.get(uid)).map(|held| &held.task)
    }

    /// The server has a task, or refused it for good; a refused one is dropped here too.
    pub fn uploaded(&mut self, now: UnixTime, uid: &TaskUid, kept: bool) {
        self.uploads.retain(|waiting| waiting != uid);
        if !kept && let Some(held) = self.held.remove(uid) {
            self.gone.insert(uid.clone(), (held.task.sequence, now));
        }
    }

    /// The server's word: show this occurrence at its moment.
    pub fn fire(
        &mut self,
        now: UnixTime,
        occurrence: &Occurrence,
        epoch: u32,
        lease_until: UnixTime,
        place: Place<'_>,
    ) {
        let Some(held) = self.held.get_mut(&occurrence.uid) else { return };
        let over = self.shown.is_executed(occurrence) || self.over.contains(occurrence);
        // What was shown so long ago is forgotten: it would ring again at every repetition of the word.
        let forgotten = occurrence.at < now.before(self.config.retention);
        if held.task.sequence != occurrence.sequence || over || forgotten {
            return;
        }
        if occurrence.at != held.at {
            held.at = occurrence.at;
            held.lease = None;
        }
        // An old epoch is somebody else's lease by now.
        if held.lease.is_none_or(|(known, _)| known < epoch) {
            held.lease = Some((epoch, lease_until));
        }
        self.handle_timeout(now, place);
    }

    /// It was shown elsewhere, cancelled or replaced.
    pub fn withdraw(&mut self, now: UnixTime, occurrence: &Occurrence, place: Place<'_>) {
        let waits = self
            .held
            .get(&occurrence.uid)
            .is_some_and(|held| held.task.sequence == occurrence.sequence && held.at == occurrence.at);
        if self.over.insert(occurrence.clone()) {
            self.events.push_back(ClientEvent::Dismiss { occurrence: occurrence.clone() });
        }
        if waits {
            self.advance(now, &occurrence.uid, place);
        }
    }

    /// The task itself was cancelled: that version and older ones never come back.
    pub fn cancel(&mut self, now: UnixTime, uid: &TaskUid, sequence: u32) {
        let tomb = self.gone.entry(uid.clone()).or_insert((sequence, now));
        *tomb = (tomb.0.max(sequence), now);
        if self.held.get(uid).is_some_and(|held| held.task.sequence <= sequence)
            && let Some(held) = self.held.remove(uid)
        {
            self.events.push_back(ClientEvent::Dismiss { occurrence: occurrence_of(&held) });
        }
        self.uploads.retain(|waiting| waiting != uid);
    }

    /// The person put a shown task off; `false` when it is not the latest moment shown.
    pub fn snooze(&mut self, now: UnixTime, occurrence: &Occurrence, until: UnixTime) -> bool {
        let Some(held) = self.held.get_mut(&occurrence.uid) else { return false };
        if held.task.sequence != occurrence.sequence || until <= now {
            return false;
        }
        held.at = until;
        // Whoever put it off shows it again, without waiting for anybody's word.
        held.lease = Some((0, until.after(SNOOZE_KEPT)));
        let ack = Ack {
            occurrence: occurrence.clone(),
            by: self.config.client.clone(),
            epoch: 0,
            at: now,
            kind: AckKind::Snoozed(until),
        };
        self.shown.add(ack.clone());
        // One answer per moment: the snooze says that it was shown, too.
        self.outbox.retain(|waiting| waiting.occurrence != *occurrence);
        self.outbox.push(ack);
        true
    }

    /// The latest moment of a task that was shown here.
    #[must_use]
    pub fn last_shown(&self, uid: &TaskUid) -> Option<&Occurrence> {
        let here = |occurrence: &&Occurrence| {
            occurrence.uid == *uid && self.shown.of(occurrence).any(|ack| ack.by == self.config.client)
        };
        self.shown.occurrences().filter(here).last()
    }

    /// How it waits, and for whom.
    #[must_use]
    pub const fn config(&self) -> &TaskClientConfig {
        &self.config
    }

    /// Waits in another way from now on; whose it is stays.
    pub fn reconfigure(&mut self, grace: Duration, jitter: Duration) {
        self.config.grace = grace;
        self.config.jitter = jitter;
    }

    /// Shows what is due.
    pub fn handle_timeout(&mut self, now: UnixTime, place: Place<'_>) {
        let due: Vec<TaskUid> = self
            .held
            .iter()
            .filter(|(uid, held)| self.deadline(uid, held, now) <= now)
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in due {
            let Some(held) = self.held.get(&uid) else { continue };
            let occurrence = occurrence_of(held);
            if self.shown.is_executed(&occurrence) || self.over.contains(&occurrence) {
                self.advance(now, &uid, place);
                continue;
            }
            let late = now.since(held.at);
            let lease = held.lease.filter(|(_, until)| *until >= now);
            // Its own waiting is no lateness.
            let allowed =
                nanos(self.config.grace.saturating_add(self.config.jitter)).saturating_add(1_000_000_000);
            if lease.is_some() || late <= allowed || held.task.missed.allows(late) {
                let ack = Ack {
                    occurrence: occurrence.clone(),
                    by: self.config.client.clone(),
                    epoch: lease.map_or(0, |(epoch, _)| epoch),
                    at: now,
                    kind: AckKind::Executed,
                };
                self.shown.add(ack.clone());
                self.outbox.push(ack);
                self.events.push_back(ClientEvent::Show { occurrence, late, alone: lease.is_none() });
            } else {
                self.events.push_back(ClientEvent::Missed { occurrence, late });
            }
            self.advance(now, &uid, place);
        }
        self.shown.forget(now, self.config.retention);
        let limit = now.before(self.config.retention);
        self.over.retain(|occurrence| occurrence.at >= limit);
        self.gone.retain(|_, (_, at)| *at >= limit);
        let kept = now.before(SNOOZE_KEPT);
        let (uploads, gone) = (&self.uploads, &mut self.gone);
        self.held.retain(|uid, held| {
            let finished = held.at == ASLEEP && held.of < kept && !uploads.contains(uid);
            if finished {
                gone.insert(uid.clone(), (held.task.sequence, now));
            }
            !finished
        });
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, true time.
    #[must_use]
    pub fn poll_timeout(&self, now: UnixTime) -> Option<UnixTime> {
        let waiting = self.held.iter().filter(|(_, held)| held.at != ASLEEP);
        waiting.map(|(uid, held)| self.deadline(uid, held, now)).min()
    }

    /// Feedback the server has not confirmed yet; send all of it whenever there is a connection.
    #[must_use]
    pub fn outbox(&self) -> &[Ack] {
        &self.outbox
    }

    /// The server confirmed this feedback.
    pub fn confirmed(&mut self, ack: &Ack) {
        self.outbox.retain(|waiting| waiting != ack);
    }

    /// The tasks held, with the next moment of each, if one comes.
    pub fn held(&self) -> impl Iterator<Item = (&Task, Option<UnixTime>)> {
        self.held.values().map(|held| (&held.task, Some(held.at).filter(|at| *at != ASLEEP)))
    }

    fn deadline(&self, uid: &TaskUid, held: &HeldTask, now: UnixTime) -> UnixTime {
        match held.lease {
            Some((_, until)) if until >= now => held.at,
            // No lease, or one that ran out while the terminal slept: somebody else may be showing it.
            _ => held.at.after(self.config.grace).after(self.jitter(uid, held.at)),
        }
    }

    /// Different on every client, the same whenever it is asked for.
    fn jitter(&self, uid: &TaskUid, at: UnixTime) -> Duration {
        let mut seed = [0_u8; 32];
        for (i, octet) in self.config.client.as_str().bytes().chain(uid.as_str().bytes()).enumerate() {
            if let Some(slot) = seed.get_mut(i % 24) {
                *slot = octet.wrapping_add((*slot).rotate_left(3));
            }
        }
        for (slot, octet) in seed.iter_mut().skip(24).zip(at.as_secs().to_le_bytes()) {
            *slot = octet;
        }
        let most = nanos(self.config.jitter).unsigned_abs();
        Duration::from_nanos(crate::rng::ChaCha::new(seed).below(most.max(1)))
    }

    fn advance(&mut self, now: UnixTime, uid: &TaskUid, place: Place<'_>) {
        let Some(held) = self.held.get_mut(uid) else { return };
        let after = if held.at > held.of && held.at > now { held.of } else { held.of.max(now) };
        let next = held.task.rule.as_ref().and_then(|_| held.task.next(Some(after), place).ok().flatten());
        held.lease = None;
        match next {
            Some(at) => {
                held.at = at;
                held.of = at;
            }
            None => held.at = ASLEEP,
        }
    }
}

fn occurrence_of(held: &HeldTask) -> Occurrence {
    Occurrence {
        owner: held.task.owner.clone(),
        uid: held.task.uid.clone(),
        sequence: held.task.sequence,
        at: held.at,
    }
}
