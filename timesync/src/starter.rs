//! Starts appointed operations: once each, at the right moment, whatever the clocks, zones and power do.
//!
//! # The contract
//! Call [`handle`](Starter::handle) with every event and whenever [`poll_timeout`](Starter::poll_timeout) says;
//! carry out the actions **after** storing the new state, so that a crash in between starts nothing twice. An
//! appointment waits on wall time and is armed again whenever the wall clock, the zone or the zone data change;
//! a delay waits on the monotonic clock, which runs on in sleep.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::appoint::{AppointRefusal, Appointment, Difference, Place, Start};
use crate::instant::{Now, UnixTime, nanos};

/// Names an operation; the sender's choice, never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OpId(pub u64);

/// When to start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum When {
    /// At a civil time.
    Appointed {
        /// The intent.
        appointment: Appointment,
        /// The difference of the wall clocks, if measured.
        difference: Option<Difference>,
    },
    /// This long after it was submitted.
    Delay(Duration),
}

/// What to do when the moment has passed unseen: the machine was off, or its clock jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Missed {
    /// Let it go.
    Skip,
    /// Start once, however late: of several missed occurrences only the latest.
    FireOnce,
    /// Start every missed occurrence, at most this many.
    FireAll(u32),
    /// Start once if it is no later than this.
    FireIfWithin(Duration),
}

impl Default for Missed {
    /// Within a day.
    fn default() -> Self {
        Missed::FireIfWithin(Duration::from_secs(86_400))
    }
}

impl Missed {
    /// Whether something `late` nanoseconds late is still started.
    #[must_use]
    pub fn allows(self, late: i64) -> bool {
        match self {
            Missed::Skip => false,
            Missed::FireOnce => true,
            Missed::FireAll(most) => most > 0,
            Missed::FireIfWithin(grace) => late <= nanos(grace),
        }
    }
}

/// One operation to start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Operation {
    /// Its name.
    pub id: OpId,
    /// When.
    pub when: When,
    /// What if missed.
    pub missed: Missed,
    /// Up to this late it counts as on time.
    pub tolerance: Duration,
}

/// What happened to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// A deadline came.
    Timeout,
    /// The wall clock was set or corrected by more than a tolerance.
    ClockChanged,
    /// The terminal's zone is another now.
    ZoneChanged,
    /// The rules of zones changed.
    TzdataChanged,
    /// The machine started: monotonic time began anew.
    Rebooted,
}

/// What the host must do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Start it.
    Start {
        /// Which.
        id: OpId,
        /// When it was due.
        due: UnixTime,
        /// How late it is by the wall clock, nanoseconds.
        late: i64,
        /// How far off the start may be: the clock's radius and the appointment's own, nanoseconds.
        radius: u64,
    },
    /// It was missed and is let go.
    Skipped {
        /// Which.
        id: OpId,
        /// When it was due.
        due: UnixTime,
        /// How late it would have been, nanoseconds.
        late: i64,
    },
    /// It will start at another instant than before.
    Rearmed {
        /// Which.
        id: OpId,
        /// Due before.
        from: UnixTime,
        /// Due now.
        to: UnixTime,
    },
    /// Its appointment means nothing any more (its zone is gone); it stays armed as it was.
    Unresolved {
        /// Which.
        id: OpId,
        /// Why.
        refusal: AppointRefusal,
    },
}

/// Why an operation was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StarterRefusal {
    /// Its appointment has no start.
    Appoint(AppointRefusal),
    /// It was started or let go before.
    AlreadyDone,
    /// It is due before anything the record of started operations still remembers.
    TooOld,
    /// Too many are waiting.
    Full {
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for StarterRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StarterRefusal::Appoint(refusal) => refusal.fmt(f),
            StarterRefusal::AlreadyDone => write!(f, "operation was started or let go before"),
            StarterRefusal::TooOld => write!(f, "operation is older than the record of started ones"),
            StarterRefusal::Full { limit } => write!(f, "{limit} operations are waiting"),
        }
    }
}

impl core::error::Error for StarterRefusal {}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Armed {
    operation: Operation,
    due: UnixTime,
    /// The appointment's own doubt, nanoseconds.
    radius: u64,
    /// Deadline of a delay on the monotonic clock.
    mono: Option<Duration>,
}

/// The operations that wait, and the record of those that do not any more.
///
/// Serialisable: store it after every call that returned actions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Starter {
    waiting: BTreeMap<OpId, Armed>,
    /// Started or let go, with when they were due.
    done: BTreeSet<(UnixTime, OpId)>,
    done_ids: BTreeSet<OpId>,
    /// Everything due before this may have been forgotten.
    remembers_from: UnixTime,
    limit: usize,
    memory: usize,
    tzdata: String,
}

impl Starter {
    /// A starter for at most `limit` waiting operations that remembers the last `memory` finished ones.
    #[must_use]
    pub fn new(limit: usize, memory: usize) -> Self {
        Starter {
            waiting: BTreeMap::new(),
            done: BTreeSet::new(),
            done_ids: BTreeSet::new(),
            remembers_from: UnixTime::from_nanos(i128::MIN),
            limit,
            memory,
            tzdata: String::new(),
        }
    }

    /// Takes an operation. The same id again replaces one that waits.
    ///
    /// # Errors
    /// [`StarterRefusal`]; nothing changes then.
    pub fn submit(
        &mut self,
        now: Now,
        place: Place<'_>,
        operation: Operation,
    ) -> Result<Start, StarterRefusal> {
        if self.done_ids.contains(&operation.id) {
            return Err(StarterRefusal::AlreadyDone);
        }
        if self.waiting.len() >= self.limit && !self.waiting.contains_key(&operation.id) {
            return Err(StarterRefusal::Full { limit: self.limit });
        }
        let (start, mono) = match &operation.when {
            When::Appointed { appointment, difference } => {
                (appointment.start(place, difference.as_ref()).map_err(StarterRefusal::Appoint)?, None)
            }
            When::Delay(delay) => {
                let instant = now.wall.after(*delay);
                let check = crate::appoint::CrossCheck::None;
                let start = Start { instant, radius: 0, mode: crate::appoint::Mode::Instant, check };
                (start, Some(now.mono.saturating_add(*delay)))
            }
        };
        if start.instant < self.remembers_from {
            return Err(StarterRefusal::TooOld);
        }
        place.zones.version().clone_into(&mut self.tzdata);
        let id = operation.id;
        self.waiting.insert(id, Armed { operation, due: start.instant, radius: start.radius, mono });
        Ok(start)
    }

    /// Withdraws an operation; `false` when it does not wait (any more).
    pub fn cancel(&mut self, id: OpId) -> bool {
        self.waiting.remove(&id).is_some()
    }

    /// Takes an event in and returns what to do. Store the state before acting.
    pub fn handle(&mut self, now: Now, place: Place<'_>, event: HostEvent) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            HostEvent::Timeout | HostEvent::ClockChanged => {}
            HostEvent::ZoneChanged | HostEvent::TzdataChanged => self.rearm(place, &mut actions),
            HostEvent::Rebooted => {
                for armed in self.waiting.values_mut().filter(|armed| armed.mono.is_some()) {
                    let left = u64::try_from(armed.due.since(now.wall)).unwrap_or(0);
                    armed.mono = Some(now.mono.saturating_add(Duration::from_nanos(left)));
                }
                if self.tzdata != place.zones.version() {
                    self.rearm(place, &mut actions);
                }
            }
        }
        let due: Vec<OpId> =
            self.waiting.iter().filter(|(_, armed)| armed.is_due(now)).map(|(id, _)| *id).collect();
        for id in due {
            let Some(armed) = self.waiting.remove(&id) else { continue };
            self.remember(armed.due, id);
            let late = armed.late(now);
            let on_time = late <= nanos(armed.operation.tolerance);
            actions.push(if on_time || armed.operation.missed.allows(late) {
                Action::Start { id, due: armed.due, late, radius: armed.radius.saturating_add(now.radius) }
            } else {
                Action::Skipped { id, due: armed.due, late }
            });
        }
        actions
    }

    /// When to call [`handle`](Self::handle) next, on the monotonic clock; `None` when nothing waits.
    #[must_use]
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let deadline = |armed: &Armed| {
            armed.mono.unwrap_or_else(|| {
                let left = u64::try_from(armed.due.since(now.wall)).unwrap_or(0);
                now.mono.saturating_add(Duration::from_nanos(left))
            })
        };
        self.waiting.values().map(deadline).min()
    }

    /// What waits, with its due instant.
    pub fn waiting(&self) -> impl Iterator<Item = (OpId, UnixTime)> + '_ {
        self.waiting.iter().map(|(id, armed)| (*id, armed.due))
    }

    fn rearm(&mut self, place: Place<'_>, actions: &mut Vec<Action>) {
        place.zones.version().clone_into(&mut self.tzdata);
        for (id, armed) in &mut self.waiting {
            let When::Appointed { appointment, difference } = &armed.operation.when else { continue };
            match appointment.start(place, difference.as_ref()) {
                Ok(start) if start.instant != armed.due => {
                    actions.push(Action::Rearmed { id: *id, from: armed.due, to: start.instant });
                    armed.due = start.instant;
                    armed.radius = start.radius;
                }
                Ok(_) => {}
                Err(refusal) => actions.push(Action::Unresolved { id: *id, refusal }),
            }
        }
    }

    fn remember(&mut self, due: UnixTime, id: OpId) {
        self.done.insert((due, id));
        self.done_ids.insert(id);
        while self.done.len() > self.memory {
            let Some((oldest, id)) = self.done.pop_first() else { break };
            self.done_ids.remove(&id);
            // What is forgotten must not be startable again.
            self.remembers_from = self.remembers_from.max(oldest.plus(1));
        }
    }
}

impl Armed {
    fn is_due(&self, now: Now) -> bool {
        match self.mono {
            Some(at) => at <= now.mono,
            None => self.due <= now.wall,
        }
    }

    fn late(&self, now: Now) -> i64 {
        match self.mono {
            Some(at) => nanos(now.mono.saturating_sub(at)),
            None => now.wall.since(self.due),
        }
    }
}
