//! One message being answered.

use super::SessionError;
use super::link::{Link, MAX_IDLE, Package};
use crate::Writer;
use crate::model::{
    AlertCode, Anchor, Chal, Command, CommandName, DevInf, Item, MapItem, Message, StatusCode, SyncHdr,
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

/// An item that came in an `Add`, `Replace` or `Delete`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received {
    /// `Add`, `Replace`, `Delete`, `Copy`, `Move`.
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
    /// The peer wants to sync a datastore.
    Alert {
        /// Answer it with [`Exchange::answer_alert`].
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
    /// The peer wants ours: answer, then [`Exchange::results`].
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
        /// What [`Exchange::send`] was given.
        tag: Vec<u8>,
        /// The outcome.
        code: StatusCode,
        /// It was a large object of which not all chunks went: its spool is done with.
        object_dropped: bool,
    },
    /// Text for the user (Alert 100).
    Display(&'m str),
}

/// Something does not fit any more: it goes into the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is full")]
pub struct Full;

/// How far an object got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectProgress {
    /// All of it is in the message.
    Whole,
    /// The first chunk is. The caller spools the whole; nothing else fits into this message.
    Started,
    /// Another chunk is, and more must follow.
    More,
    /// The last chunk is: its spool is done with.
    Done,
}

/// One message being answered. See the module.
#[derive(Debug)]
pub struct Exchange<'m> {
    pub(crate) link: Link,
    pub(crate) writer: Writer,
    pub(super) stack: Vec<Level<'m>>,
    pub(super) silent: bool,
    pub(super) max_obj_size: u64,
    pub(super) next_cmd: u32,
    /// Commands of our own were written, besides statuses.
    pub(super) spoke: bool,
    /// The peer's message held something besides statuses and Alert 222.
    pub(super) heard: bool,
    pub(super) chunk_written: bool,
    /// Free octets after the header.
    pub(super) fresh: usize,
    pub(crate) barred: Option<StatusCode>,
}

/// A list of commands being gone through.
#[derive(Debug)]
pub(super) struct Level<'m> {
    pub(super) commands: &'m [Command],
    pub(super) command: usize,
    pub(super) item: usize,
    pub(super) in_sync: bool,
    /// Every command of it is refused with this.
    pub(super) refused: Option<StatusCode>,
}

impl<'m> Exchange<'m> {
    /// Starts an answer: the header is written, owed statuses go first.
    pub(crate) fn new(
        mut link: Link,
        ours_max_msg: u32,
        max_obj_size: u64,
        make_header: impl FnOnce(&Link) -> SyncHdr,
        message: Option<&'m Message>,
    ) -> Result<Self, SessionError> {
        link.our_msg = link.our_msg.saturating_add(1);
        let mut writer = Writer::new(link.encoding, link.version, link.limit(ours_max_msg));
        writer.header(&make_header(&link))?;
        let fresh = writer.left();
        let mut stack = Vec::new();
        if let Some(message) = message {
            link.peer_final |= message.is_final;
            stack.push(Level {
                commands: &message.commands,
                command: 0,
                item: 0,
                in_sync: false,
                refused: None,
            });
        }
        let silent = message.is_some_and(|m| m.hdr.no_resp);
        Ok(Exchange {
            link,
            writer,
            stack,
            silent,
            max_obj_size,
            next_cmd: 1,
            spoke: false,
            heard: false,
            chunk_written: false,
            fresh,
            barred: None,
        })
    }

    /// With what everything in the message is refused, if the peer is not let in.
    pub fn barred_with(&self) -> Option<StatusCode> {
        self.barred
    }

    /// The package that is being answered.
    pub fn package(&self) -> Package {
        self.link.package
    }

    /// Whether the peer has said all of its package.
    pub fn peer_final(&self) -> bool {
        self.link.peer_final
    }

    /// Largest object that the peer takes, in octets.
    pub fn peer_max_obj_size(&self) -> Option<u64> {
        self.link.peer_max_obj
    }

    /// Octets left for commands in this message.
    pub fn left(&self) -> usize {
        self.writer.left()
    }

    /// Whether most of the message is still free.
    pub fn is_roomy(&self) -> bool {
        self.writer.left().saturating_mul(4) >= self.fresh.saturating_mul(3)
    }

    /// The protocol version of the session.
    pub fn version(&self) -> crate::Version {
        self.link.version
    }

    /// The spelling of the session.
    pub fn encoding(&self) -> crate::Encoding {
        self.link.encoding
    }

    /// Commands of ours that still await their status.
    pub fn awaited(&self) -> usize {
        self.link.sent.len()
    }

    /// The tags of commands that still await their status.
    pub fn awaited_tags(&self) -> impl Iterator<Item = &[u8]> {
        self.link.sent.iter().map(|sent| &*sent.tag)
    }

    /// What the caller must decide next; none when the message is done.
    pub fn next_ask(&mut self) -> Option<Ask<'m>> {
        loop {
            let level = self.stack.last_mut()?;
            let Some(command) = level.commands.get(level.command) else {
                self.stack.pop();
                continue;
            };
            let (in_sync, refused) = (level.in_sync, level.refused.or(self.barred));
            if let Command::Status(status) = command {
                level.command = level.command.saturating_add(1);
                // A status is never answered; one that a stranger sends is not looked at.
                if self.barred.is_none()
                    && let Some(ask) = self.answered(status)
                {
                    return Some(ask);
                }
                continue;
            }
            if let Some(code) = refused {
                level.command = level.command.saturating_add(1);
                self.refuse(command, code);
                continue;
            }
            if let Some(ask) = self.ask(command, in_sync) {
                return Some(ask);
            }
        }
    }

    pub(super) fn advance(&mut self) {
        if let Some(level) = self.stack.last_mut() {
            level.command = level.command.saturating_add(1);
            level.item = 0;
        }
    }

    /// Ends the answer; `last` says that all of our package is said. Gives the octets and whether `Final` is set.
    pub(crate) fn finish(mut self, last: bool) -> Result<(Link, Bytes, bool), SessionError> {
        self.writer.close_sync();
        let is_final = last && self.link.owed.is_empty() && self.link.outgoing.is_none();
        if self.spoke || self.heard || is_final {
            self.link.idle = 0;
        } else {
            self.link.idle = self.link.idle.saturating_add(1);
            if self.link.idle > MAX_IDLE {
                return Err(SessionError::NoProgress(self.link.idle));
            }
        }
        if !is_final && !self.spoke {
            self.next_message();
        }
        Ok((self.link, self.writer.finish(is_final), is_final))
    }
}
