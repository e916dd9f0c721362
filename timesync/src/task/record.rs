//! Acknowledgements: a set that only grows, so order and repetition do not matter.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::instant::UnixTime;
use crate::task::model::{ClientId, TaskUid, UserId};

/// One moment of one version of one person's task: the key everything is deduplicated by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Occurrence {
    /// Whose.
    pub owner: UserId,
    /// Which task.
    pub uid: TaskUid,
    /// Which version.
    pub sequence: u32,
    /// Which moment, true time.
    pub at: UnixTime,
}

/// What a client did with an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AckKind {
    /// Shown to the person.
    Executed,
    /// Shown, and put off until then.
    Snoozed(UnixTime),
}

/// A client's feedback.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ack {
    /// Which occurrence.
    pub occurrence: Occurrence,
    /// Who shows it.
    pub by: ClientId,
    /// Under which lease; 0 when the client fired on its own.
    pub epoch: u32,
    /// When it was shown, true time as the client knows it.
    pub at: UnixTime,
    /// What happened.
    pub kind: AckKind,
}

/// All acknowledgements known; also the tombstones of occurrences.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AckSet {
    #[cfg_attr(feature = "serde", serde(with = "pairs"))]
    acks: BTreeMap<Occurrence, BTreeSet<Ack>>,
}

impl AckSet {
    /// Nothing known.
    #[must_use]
    pub const fn new() -> Self {
        AckSet { acks: BTreeMap::new() }
    }

    /// Adds one; `true` when it was new.
    pub fn add(&mut self, ack: Ack) -> bool {
        self.acks.entry(ack.occurrence.clone()).or_default().insert(ack)
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &AckSet) {
        for ack in other.acks.values().flatten() {
            self.add(ack.clone());
        }
    }

    /// True when somebody has shown it.
    #[must_use]
    pub fn is_executed(&self, occurrence: &Occurrence) -> bool {
        self.acks.contains_key(occurrence)
    }

    /// The feedback on one occurrence, in a fixed order.
    pub fn of(&self, occurrence: &Occurrence) -> impl Iterator<Item = &Ack> {
        self.acks.get(occurrence).into_iter().flatten()
    }

    /// How many devices showed it.
    #[must_use]
    pub fn devices(&self, occurrence: &Occurrence) -> usize {
        self.of(occurrence).map(|ack| &ack.by).collect::<BTreeSet<_>>().len()
    }

    /// The occurrences remembered.
    pub fn occurrences(&self) -> impl Iterator<Item = &Occurrence> {
        self.acks.keys()
    }

    /// How many occurrences are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.acks.len()
    }

    /// True when nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acks.is_empty()
    }

    /// Forgets occurrences due longer ago than any client stays away.
    pub fn forget(&mut self, now: UnixTime, retention: Duration) {
        let limit = now.before(retention);
        self.acks.retain(|occurrence, _| occurrence.at >= limit);
    }
}

/// A map with a structured key as a list of acks: every format can write that.
#[cfg(feature = "serde")]
mod pairs {
    use super::{Ack, BTreeMap, BTreeSet, Occurrence};
    use alloc::vec::Vec;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        acks: &BTreeMap<Occurrence, BTreeSet<Ack>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let all: Vec<&Ack> = acks.values().flatten().collect();
        all.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Occurrence, BTreeSet<Ack>>, D::Error> {
        let mut acks: BTreeMap<Occurrence, BTreeSet<Ack>> = BTreeMap::new();
        for ack in Vec::<Ack>::deserialize(deserializer)? {
            acks.entry(ack.occurrence.clone()).or_default().insert(ack);
        }
        Ok(acks)
    }
}
