//! What a caller of [`Exchange`](super::Exchange) is asked.

use crate::model::{
    AlertCode, Anchor, Chal, CommandName, DevInf, Exec, Item, MapItem, Mem, Search, StatusCode,
};
use bytes::Bytes;

/// A command in the peer's message, to be answered once.
#[derive(Clone, Debug)]
pub struct Slot {
    pub(super) cmd: CommandName,
    pub(super) cmd_id: u32,
    pub(super) target: Option<Box<str>>,
    pub(super) source: Option<Box<str>>,
    pub(super) many: bool,
    pub(super) silent: bool,
}

/// The data of an item that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// None.
    None,
    /// All of it is here, in wire form.
    Whole(Bytes),
    /// This is its tail; the rest is in the spool, from 0 to `offset`.
    Spooled {
        /// Where the tail belongs.
        offset: u64,
        /// The tail.
        tail: Bytes,
    },
}

/// An item that came in an `Add`, `Replace`, `Delete`, `Copy` or `Move`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received {
    /// `Add`, `Replace`, `Delete`, `Copy`, `Move`.
    ///
    /// `Copy`: `source` is copied to `target`. `Move` (1.2): `source` goes into the folder that a parent names.
    pub cmd: CommandName,
    /// Our id of it.
    pub target: Option<Box<str>>,
    /// The peer's id of it.
    pub source: Option<Box<str>>,
    /// Its folder, by the peer's id.
    pub source_parent: Option<Box<str>>,
    /// Its folder, by our id.
    pub target_parent: Option<Box<str>>,
    /// `Meta/Type` in lower case without parameters, or empty.
    pub media_type: String,
    /// `Meta/Format`.
    pub format: Option<Box<str>>,
    /// Only fields were sent.
    pub field_level: bool,
    /// A `Delete` wants a copy kept.
    pub archive: bool,
    /// A `Delete` only makes room on the device: the item stays in the set, and is not sent again.
    pub soft_delete: bool,
    /// Its data in wire form.
    pub payload: Payload,
}

/// What the caller must decide or keep.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ask<'m> {
    /// The peer's answer to our header.
    Header {
        /// The outcome.
        code: StatusCode,
        /// A challenge, or the nonce for the next login.
        chal: Option<&'m Chal>,
    },
    /// The peer wants to sync a datastore (200 to 205), asks us to (206 to 210), or to go on with a sync that
    /// stopped (225, see [`Leftover`](super::Leftover)).
    Alert {
        /// Answer it with [`Exchange::answer_alert`](super::Exchange::answer_alert).
        slot: Slot,
        /// The sync type.
        code: AlertCode,
        /// Our datastore.
        target: &'m str,
        /// The peer's datastore.
        source: &'m str,
        /// Its anchors.
        anchor: Option<&'m Anchor>,
        /// The whole item.
        item: &'m Item,
    },
    /// The peer's device information.
    DevInf(&'m DevInf),
    /// The peer wants ours: answer, then [`Exchange::results`](super::Exchange::results).
    GetDevInf(Slot),
    /// Changes of a datastore follow. Answer before going on: an error refuses all of them.
    Sync {
        /// Answer it.
        slot: Slot,
        /// Our datastore.
        target: &'m str,
        /// The peer's datastore.
        source: &'m str,
        /// How many changes will come: a hint.
        number_of_changes: Option<u32>,
        /// What the peer has room for.
        mem: Option<&'m Mem>,
    },
    /// A change.
    Change {
        /// Answer it.
        slot: Slot,
        /// What changed.
        received: Received,
    },
    /// A chunk to be spooled. Its status is written already.
    Chunk {
        /// Where it belongs.
        offset: u64,
        /// Its octets, in wire form.
        data: Bytes,
    },
    /// The object of which chunks are in the spool will not be completed.
    ChunksDropped,
    /// LUIDs for items that we offered.
    Map {
        /// Answer it.
        slot: Slot,
        /// Our datastore.
        target: &'m str,
        /// The pairs.
        items: &'m [MapItem],
    },
    /// A command of ours was answered.
    Answered {
        /// What [`Exchange::send`](super::Exchange::send) was given.
        tag: Vec<u8>,
        /// The outcome.
        code: StatusCode,
        /// It was a large object of which not all chunks went: its spool is done with.
        object_dropped: bool,
    },
    /// Text for the user (Alert 100).
    Display(&'m str),
    /// All or nothing: what follows until [`Ask::AtomicEnd`] is done together. Answer with 200 when what was
    /// done so far can be returned to; unanswered, or answered with an error, the whole is refused.
    // spec: session facts section 4, Atomic
    AtomicBegin(Slot),
    /// The end of it. Without `keep`, everything since [`Ask::AtomicBegin`] is taken back: one part failed. The
    /// statuses (200, or 507, 216 and 215) are written already.
    AtomicEnd {
        /// All parts succeeded.
        keep: bool,
    },
    /// Something is to be run. Unanswered it is refused with 406.
    Exec {
        /// Answer it.
        slot: Slot,
        /// What to run.
        exec: &'m Exec,
    },
    /// Something is looked for. Answer, then [`Exchange::search_results`](super::Exchange::search_results);
    /// unanswered it is refused: 421 for a grammar other than that of filters, else 406.
    Search {
        /// Answer it.
        slot: Slot,
        /// Where and what.
        search: &'m Search,
    },
    /// The peer stops here and will go on in another session (Alert 224): its status is written, what follows in
    /// the message is not executed (514), and nothing of ours goes any more. Keep the
    /// [`Leftover`](super::Leftover) of the session.
    // spec: session facts section 7
    Suspend,
}
