//! What a turn tells the host: for logs, progress and notices. Nothing is decided by them.

use idmap::Guid;
use serde::{Deserialize, Serialize};
use syncml::CommandName;

pub use super::modes::Mode;

/// Why a sync is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WhySlow {
    /// The client asked for it.
    Asked,
    /// There was no sync before.
    First,
    /// The client's anchor is not the one that the server knows.
    ClientAnchor,
    /// The server's anchor is not the one that the client knows.
    ServerAnchor,
    /// The server asked for it.
    ServerAsked,
    /// A sync that stopped was to go on, but nothing is left of it.
    NothingLeft,
    /// The last session broke, and it is not known what the server made of our new items.
    Unsure,
}

impl WhySlow {
    /// In words, for a person.
    pub fn text(self) -> &'static str {
        match self {
            WhySlow::Asked => "it was asked for",
            WhySlow::First => "it is the first sync",
            WhySlow::ClientAnchor => "the client's anchor does not match what the server remembers",
            WhySlow::ServerAnchor => "the server's anchor does not match what the client remembers",
            WhySlow::ServerAsked => "the server asked for it",
            WhySlow::NothingLeft => "what was left of the sync that stopped is gone",
            WhySlow::Unsure => "the last session broke, and nobody knows what the server made of new items",
        }
    }
}

/// How a conflict ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConflictRule {
    /// The client's version stays.
    ClientWins,
    /// The server's version stays.
    ServerWins,
    /// Both stay, the client's as a new item.
    KeepBoth,
    /// Both are merged where the collection can; else both stay.
    Merge,
}

/// What becomes of an item that one side deleted and the other changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionRule {
    /// As it fits what the items are: where a collection says so the deletion stays, else the change.
    #[default]
    ByKind,
    /// The change stays.
    EditWins,
    /// The deletion stays; the change is set aside for a while.
    DeletionWins,
}

/// Items one side took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New ones.
    pub added: u32,
    /// Changed ones.
    pub replaced: u32,
    /// Deleted ones.
    pub deleted: u32,
}

impl Counts {
    pub(crate) fn count(&mut self, cmd: &CommandName) {
        let field = match cmd {
            CommandName::Add => &mut self.added,
            CommandName::Delete => &mut self.deleted,
            _ => &mut self.replaced,
        };
        *field = field.saturating_add(1);
    }
}

/// Something that happened in a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// What the server says in its device information that it can beside the standard.
    Announces {
        /// The extensions; none of a server that is not of our kind.
        extensions: Vec<syncml::Ext>,
    },
    /// A login succeeded.
    LoggedIn {
        /// Who.
        user: Box<str>,
        /// From which device.
        device: Box<str>,
    },
    /// A login was refused. 407 is the normal first answer to a client without credentials.
    LoginRefused {
        /// Who.
        user: Box<str>,
        /// From which device.
        device: Box<str>,
        /// 401, 407, 505, 513, ...
        code: u16,
    },
    /// The server could not prove who it is.
    ServerRefused {
        /// By what we know it.
        server: Box<str>,
        /// 401, 407, ...
        code: u16,
    },
    /// A sync of a datastore begins.
    Alerted {
        /// Which.
        store: Box<str>,
        /// How.
        mode: Mode,
        /// Why slowly.
        why_slow: Option<WhySlow>,
    },
    /// A sync of a datastore goes on where an earlier session stopped.
    Resumed {
        /// Which.
        store: Box<str>,
    },
    /// The peer stops here; another session may go on.
    Suspended,
    /// A peer has deleted much of a datastore: more than twenty items and half of it, or all of it. What a server
    /// loses so is kept for 30 days.
    MassDelete {
        /// Which.
        store: Box<str>,
        /// How many items.
        deleted: u64,
        /// How many are left.
        left: u64,
    },
    /// The server asks for a sync of a datastore.
    ServerAlerted {
        /// Which.
        store: Box<str>,
        /// How.
        mode: Mode,
    },
    /// The server says what happened in a datastore.
    Noticed {
        /// Which.
        store: Box<str>,
        /// The media type of what it says.
        media_type: Box<str>,
        /// What it says.
        data: bytes::Bytes,
    },
    /// A datastore is not synced in this session.
    StoreRefused {
        /// Which.
        store: Box<str>,
        /// The status.
        code: u16,
    },
    /// An item of the peer was taken or refused.
    Received {
        /// Datastore.
        store: Box<str>,
        /// What was to be done.
        cmd: CommandName,
        /// The status given.
        code: u16,
    },
    /// An item went to the peer.
    Sent {
        /// Datastore.
        store: Box<str>,
        /// What is to be done.
        cmd: CommandName,
    },
    /// The peer refused an item.
    Refused {
        /// Datastore.
        store: Box<str>,
        /// Which.
        guid: Guid,
        /// Its status.
        code: u16,
    },
    /// An item was not offered to the peer.
    Skipped {
        /// Datastore.
        store: Box<str>,
        /// Which.
        guid: Guid,
        /// Why, in words.
        reason: String,
    },
    /// Both sides changed an item.
    Conflict {
        /// Datastore.
        store: Box<str>,
        /// Which.
        guid: Guid,
        /// The status given.
        code: u16,
    },
    /// The peer announced how many changes it will send.
    Announced {
        /// Datastore.
        store: Box<str>,
        /// How many.
        changes: u32,
    },
    /// A datastore is synced and its sync point stored.
    Completed {
        /// Which.
        store: Box<str>,
        /// How.
        mode: Mode,
        /// What we took.
        received: Counts,
        /// What the peer took.
        sent: Counts,
    },
    /// The server is busy (101): the host waits a little before it sends the message, by which we ask again.
    Busy,
    /// Text of the peer for the user.
    Display(String),
    /// The peer said something that cannot be stored or used; it was refused.
    Oddity(String),
}
