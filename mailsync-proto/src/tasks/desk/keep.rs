//! What of the engine is kept: a value for each plan, each finished task, each feedback.

use crate::stored::{self, Unread};
use serde::Serialize;
use serde::de::DeserializeOwned;
use timesync::task::{Ack, UserId};

/// The format of the values.
const FORMAT: u8 = 1;

/// Where a value is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateKey {
    /// What it is.
    pub kind: StateKind,
    /// Whose.
    pub owner: UserId,
    /// Which: the task's name, or one made of the feedback.
    pub name: Box<str>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateKind {
    /// A task that waits.
    Plan,
    /// A task that is over.
    Gone,
    /// Feedback.
    Ack,
}

impl StateKind {
    /// All of them.
    pub const ALL: [StateKind; 3] = [StateKind::Plan, StateKind::Gone, StateKind::Ack];

    /// Its name in a store.
    pub const fn name(self) -> &'static str {
        match self {
            StateKind::Plan => "task plan",
            StateKind::Gone => "task gone",
            StateKind::Ack => "task ack",
        }
    }
}

/// A change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Where.
    pub key: StateKey,
    /// The new value; none deletes it.
    pub value: Option<Vec<u8>>,
}

/// Why a kept value is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A newer program wrote it.
    #[error("a state of tasks in format {0}, this program knows up to {FORMAT}")]
    Newer(u8),
    /// It is none.
    #[error("a damaged state of tasks")]
    Damaged,
}

pub(super) fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, Unreadable> {
    stored::from_bytes(FORMAT, value).map_err(|unread| match unread {
        Unread::Newer(format) => Unreadable::Newer(format),
        Unread::Damaged => Unreadable::Damaged,
    })
}

pub(super) fn bytes<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    stored::to_bytes(FORMAT, value).map(Vec::from).ok()
}

/// One feedback is kept once, however often it comes.
pub(super) fn ack_key(ack: &Ack) -> StateKey {
    let name = super::super::guid_of("ack", &format!("{ack:?}"));
    StateKey { kind: StateKind::Ack, owner: ack.occurrence.owner.clone(), name: name.as_str().into() }
}
