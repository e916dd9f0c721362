//! What the server keeps of a task: everything but its content.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::instant::UnixTime;
use crate::starter::Missed;
use crate::task::model::{ClientId, ExtraKind, Kind, Setter, Targets, TaskUid, TaskWhen, UserId};
use crate::task::record::Occurrence;
use crate::task::recur::Rule;

/// What the server keeps of a task: everything but its content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Plan {
    pub(super) owner: UserId,
    pub(super) uid: TaskUid,
    pub(super) sequence: u32,
    pub(super) fingerprint: u64,
    pub(super) setter: Box<Setter>,
    pub(super) targets: Targets,
    pub(super) kind: Kind,
    pub(super) extras: Vec<ExtraKind>,
    pub(super) when: TaskWhen,
    pub(super) trigger: i64,
    pub(super) rule: Option<Box<Rule>>,
    pub(super) missed: Missed,
    /// The moment waited for; after a snooze this differs from the rule's.
    pub(super) at: UnixTime,
    /// The rule's moment that `at` stands for.
    pub(super) of: UnixTime,
    pub(super) active: Option<Box<Active>>,
    /// The client to choose first: it put the task off.
    pub(super) prefer: Option<Box<ClientId>>,
    pub(super) wake: UnixTime,
}

impl Plan {
    /// Whose.
    #[must_use]
    pub const fn owner(&self) -> &UserId {
        &self.owner
    }

    /// Which task.
    #[must_use]
    pub const fn uid(&self) -> &TaskUid {
        &self.uid
    }

    /// Which version of it.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Who set it.
    #[must_use]
    pub fn setter(&self) -> &Setter {
        &self.setter
    }

    /// What sort of task it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What if its moment is missed.
    #[must_use]
    pub const fn missed(&self) -> Missed {
        self.missed
    }

    /// For which clients.
    #[must_use]
    pub const fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The [`Task::fingerprint`](crate::task::Task::fingerprint) of its content.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Its moment is near or past, and no client has it: wake them.
    #[must_use]
    pub fn is_unclaimed(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.holder.is_none())
    }

    /// The occurrence waited for.
    #[must_use]
    pub fn occurrence(&self) -> Occurrence {
        Occurrence { owner: self.owner.clone(), uid: self.uid.clone(), sequence: self.sequence, at: self.at }
    }
}

/// A moment that is near or past and not yet shown.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Active {
    pub(super) epoch: u32,
    pub(super) holder: Option<ClientId>,
    pub(super) tried: Vec<ClientId>,
    pub(super) rounds: u32,
}
