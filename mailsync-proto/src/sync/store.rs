//! The vocabulary between the engines and whoever keeps their state.
//!
//! An engine is a pure function. It asks for rows ([`Read`]), and gets them as [`Found`]; what it decides is a
//! list of [`Write`]s that are committed in one transaction together with the session value. A store implements
//! [`Store`]: two methods. `testkit::conformance` says whether it does so rightly.
//!
//! Revisions: each commit that touches items of a datastore takes the next number of that datastore's counter
//! row, which the commit locks; every item it touches gets that number as its `rev`. So a reader who sees the
//! counter at `n` sees everything up to `n`.

use super::seal::ItemKey;
use bytes::Bytes;
use idmap::{Entry, Guid, Luid, Record};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One datastore of one user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoreKey {
    /// Whose.
    pub user: Box<str>,
    /// Its name without `./`: `notes`, `contacts`.
    pub datastore: Box<str>,
}

/// What one peer holds of one datastore: a device of the user on the server's side, a server on the client's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PeerKey {
    /// The datastore.
    pub store: StoreKey,
    /// The peer's id.
    pub device: Box<str>,
}

/// A hash by which equal items of two stores find each other in a slow sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MatchKey(pub [u8; 16]);

/// An item's row, without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id in this store.
    pub guid: Guid,
    /// When anything of it changed last.
    pub rev: u64,
    /// When its body changed last.
    pub body_rev: u64,
    /// It is gone; only the row is left.
    pub deleted: bool,
    /// The rest.
    pub value: ItemValue,
    /// Octets of the body.
    pub size: u64,
}

impl Item {
    /// Where its row stands in a walk.
    pub fn cursor(&self) -> Cursor {
        Cursor { rank: self.value.rank, rev: self.rev, guid: Some(self.guid.clone()) }
    }
}

/// What a collection says of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemValue {
    /// Order of sending: 0 for what contains others.
    pub rank: u8,
    /// The item it is in.
    pub parent: Option<Guid>,
    /// Media type of the stored body.
    pub kind: Box<str>,
    /// Small state beside the body, for instance flags; opaque to the engine.
    pub fields: Bytes,
    /// By what it is found in a slow sync, strongest first; the last one stands for the body alone.
    pub match_keys: Vec<MatchKey>,
}

/// A moment of a datastore that both sides agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPoint {
    /// The peer's `Next` of that session.
    pub theirs: Box<str>,
    /// Our `Next` of that session.
    pub ours: Box<str>,
    /// Everything up to this revision had been offered to the peer and answered.
    pub rev: u64,
}

/// What is kept of a peer and a datastore between sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The map generation in force.
    pub generation: u32,
    /// The highest generation that a slow sync has begun; what it bound counts only once it is in force.
    pub started: u32,
    /// The last sync point.
    pub committed: Option<SyncPoint>,
    /// The one before it: a peer that lost our last answer is still there.
    pub previous: Option<SyncPoint>,
    /// What the peer wants to hold only, as a digest of its filter; none: everything.
    pub filter: Option<MatchKey>,
}

/// What is kept of a device of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The nonce that the peer gave for our next login at it.
    pub nonce: Option<Bytes>,
    /// How often the peer has logged in at us. Nonces are derived from it, so each is used once.
    pub logins: u64,
    /// On a server: the token of its last session. A new login ends that one.
    pub session: Option<Box<str>>,
    /// On a server its last DevInf, on a client the one that it sent last; the engine's own format.
    pub devinf: Option<Bytes>,
}

/// How a login is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// `B64(MD5(user ":" password))`: a password equivalent, so a secret of its own.
    pub verifier: Box<str>,
    /// The password itself, where it is kept: for the digest of SyncML 1.0, on a test bench.
    pub password: Option<Box<str>>,
    /// The key that seals the device's items, if they are to be sealed.
    pub item_key: Option<ItemKey>,
    /// The device may not log in.
    pub revoked: bool,
    /// What is kept of the device.
    pub device: Device,
    /// Sessions of the user's other devices that are stored.
    pub sessions: u32,
}

/// Where a walk over changes stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Rank of the last row seen.
    pub rank: u8,
    /// Its revision.
    pub rev: u64,
    /// Its id; none before the first row.
    pub guid: Option<Guid>,
}

/// Direction of a spooled object, as seen from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Chunks that came.
    In,
    /// An object that goes.
    Out,
}

/// The changes that one peer has not seen.
///
/// Items with `since < rev <= upto` that the peer does not hold at that revision: rows whose entry in the
/// generation has `seen_rev >= rev` are left out, and so are deleted items without an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Changes {
    /// For whom.
    pub peer: PeerKey,
    /// In which map generation.
    pub generation: u32,
    /// After this revision.
    pub since: u64,
    /// Up to this revision.
    pub upto: u64,
}

/// One thing an engine asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Read {
    /// How to check a login of this device: [`Value::Login`].
    Login {
        /// The user name.
        user: Box<str>,
        /// The device id.
        device: Box<str>,
    },
    /// What is kept of a peer: [`Value::Peer`].
    Peer(PeerKey),
    /// The revision counter: [`Value::Rev`].
    Head(StoreKey),
    /// The map entry of a LUID: [`Value::Entry`].
    ByLuid(PeerKey, u32, Luid),
    /// The map entry of a GUID: [`Value::Entry`].
    ByGuid(PeerKey, u32, Guid),
    /// The map entry of an id under which an item was offered: [`Value::Entry`].
    ByWire(PeerKey, u32, Box<str>),
    /// Entries that are offered and not bound, by GUID, at most `limit`: [`Value::Entries`].
    Pending(PeerKey, u32, u32),
    /// What is kept of a device: [`Value::Device`].
    Device(Box<str>, Box<str>),
    /// An item: [`Value::Item`].
    Item(StoreKey, Guid),
    /// An item's body: [`Value::Body`].
    Body(StoreKey, Guid),
    /// Items with this match key that are not deleted and have no entry in the generation, by GUID:
    /// [`Value::Items`].
    Matches {
        /// For whom.
        peer: PeerKey,
        /// In which map generation.
        generation: u32,
        /// The key.
        key: MatchKey,
        /// After this one.
        after: Option<Guid>,
        /// At most so many.
        limit: u32,
    },
    /// Items that are in this one and not deleted, by GUID, at most so many: [`Value::Items`].
    Children(StoreKey, Guid, u32),
    /// The next rows of a walk, at most `limit`: [`Value::Rows`].
    Rows(Changes, Cursor, u32),
    /// The next items that are not deleted, with what the peer holds of them, in the order of walks, at most
    /// `limit`: [`Value::Rows`].
    Live(PeerKey, u32, Cursor, u32),
    /// How many rows the walk has in all: [`Value::Count`].
    Count(Changes),
    /// A spooled object, or `len` octets of it from an offset: [`Value::Body`].
    Spool {
        /// The session.
        token: Box<str>,
        /// Which way.
        direction: Direction,
        /// First octet.
        offset: u64,
        /// At most so many octets.
        len: u64,
    },
    /// Whether something that must happen once has happened: [`Value::Once`].
    Once(Box<str>, Box<str>),
    /// A stored session: [`Value::Session`].
    Session(Box<str>),
    /// A question of a collection (its name first) to the world outside of the store, which takes as long as it
    /// takes: [`Value::Answer`]. A store has none; a host that knows answers in its place.
    Ask(Box<str>, Question),
}

/// What a collection asks. It may hold secrets, so it does not show.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question(pub Bytes);

impl core::fmt::Debug for Question {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} octets", self.0.len())
    }
}

/// A set of [`Read`]s.
pub type Reads = Vec<Read>;

/// One row of a walk over changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The item.
    pub item: Item,
    /// What the peer holds of it.
    pub entry: Option<Entry>,
}

/// A stored session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Counts commits; 1 after the first.
    pub version: u64,
    /// The session value.
    pub value: Bytes,
    /// The last answer (server) or request (client), whole.
    pub answer: Bytes,
}

/// What a [`Read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is described by the Read that asks for it")]
pub enum Value {
    Login(Option<Login>),
    Peer(Option<Peer>),
    Rev(u64),
    Entry(Option<Entry>),
    Entries(Vec<Entry>),
    Device(Option<Device>),
    Item(Option<Item>),
    Body(Option<Bytes>),
    Items(Vec<Item>),
    Rows(Vec<Row>),
    Count(u64),
    Once(Option<Guid>),
    Session(Option<SessionRow>),
    Answer(Result<Bytes, (u16, Box<str>)>),
}

impl Value {
    /// Nobody answers.
    pub fn no_answer() -> Self {
        Value::Answer(Err((500, "nobody answers here".into())))
    }
}

/// Everything found so far for one turn.
#[derive(Clone, Debug, Default)]
pub struct Found {
    values: HashMap<Read, Value>,
}

impl Found {
    /// Keeps what a read found.
    pub fn insert(&mut self, read: Read, value: Value) {
        self.values.insert(read, value);
    }

    /// Adds what another round found.
    pub fn extend(&mut self, other: Found) {
        self.values.extend(other.values);
    }

    /// The sessions that were found.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionRow> {
        self.values.values().filter_map(|value| match value {
            Value::Session(row) => row.as_ref(),
            _ => None,
        })
    }

    /// What a read found, if it was made.
    pub fn get(&self, read: &Read) -> Option<&Value> {
        self.values.get(read)
    }
}

/// The revision that a map entry gets as `seen_rev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    /// As the record says.
    AsRecorded,
    /// The one that this commit gives to the items of the datastore.
    ThisCommit,
}

/// One effect of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// A new item, or a new state of one.
    PutItem {
        /// Where.
        store: StoreKey,
        /// Its id.
        guid: Guid,
        /// The revision that the engine saw; none when it must not exist. Another one: [`StoreError::Stale`].
        expect: Option<u64>,
        /// Its state.
        value: ItemValue,
        /// Its body; none leaves the body as it is.
        body: Option<Bytes>,
    },
    /// A copy of an item and its body as they are now is set aside, before it is deleted or replaced.
    // threat: S11
    Keep {
        /// Where.
        store: StoreKey,
        /// Which.
        guid: Guid,
        /// Until when, seconds since 1970; none: for good.
        until: Option<u64>,
    },
    /// A state of an item that was not taken, because it lost a conflict, is set aside; the item stays as it is.
    // threat: S11
    KeepCopy {
        /// Where.
        store: StoreKey,
        /// Of which item.
        guid: Guid,
        /// Until when, seconds since 1970; none: for good.
        until: Option<u64>,
        /// The state.
        value: ItemValue,
        /// The body.
        body: Bytes,
    },
    /// An item is gone; its row stays as a tombstone, its body and match keys do not.
    DeleteItem {
        /// Where.
        store: StoreKey,
        /// Its id.
        guid: Guid,
        /// The revision that the engine saw.
        expect: u64,
    },
    /// A change of the map.
    Map(PeerKey, Record, Seen),
    /// What is kept of a peer.
    PutPeer(PeerKey, Peer),
    /// What is kept of a device: user, device id.
    PutDevice(Box<str>, Box<str>, Device),
    /// A piece of a spooled object.
    Spool {
        /// The session.
        token: Box<str>,
        /// Which way.
        direction: Direction,
        /// Its first octet.
        offset: u64,
        /// The piece.
        data: Bytes,
    },
    /// What a session has spooled belongs to another one from now on: from, to.
    MoveSpool(Box<str>, Box<str>),
    /// A spooled object is done with.
    ClearSpool(Box<str>, Direction),
    /// A session and its spool are done with.
    EndSession(Box<str>),
    /// Something that must happen once, of a user, under a key, has happened and made this item.
    /// There already: [`StoreError::Stale`].
    Once(Box<str>, Box<str>, Guid),
    /// A job for a worker of the host: queue, id, content. The same id again replaces it.
    Enqueue(Box<str>, Box<str>, Bytes),
    /// A job is done.
    Dequeue(Box<str>, Box<str>),
}

/// The session's part of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionWrite {
    /// Its token.
    pub token: Box<str>,
    /// The version that was read; 0 for a new one. Another one: [`StoreError::Stale`].
    pub expect: u64,
    /// The new value; none removes the session and its spool.
    pub value: Option<Bytes>,
    /// The answer that leaves when the commit is done.
    pub answer: Bytes,
}

/// What is committed in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The session, if the change comes from one.
    pub session: Option<SessionWrite>,
    /// The effects, in order.
    pub writes: Vec<Write>,
}

/// Why a store did not do it. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Something changed since it was read: read again and run the turn again.
    #[error("stale: {0}")]
    Stale(String),
    /// No room: nothing is lost, the peer may try later.
    #[error("storage full: {0}")]
    Full(String),
    /// The storage failed.
    #[error("storage failed: {0}")]
    Failed(String),
}

/// Who keeps the state. Reads happen outside of any transaction; a commit is all or nothing and durable.
pub trait Store {
    /// Answers every read.
    fn read(&self, reads: &[Read]) -> Result<Found, StoreError>;
    /// Makes all of it durable, or nothing.
    fn commit(&self, commit: &Commit) -> Result<(), StoreError>;
}
