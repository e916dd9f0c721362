//! One message being answered.

use super::SessionError;
use super::link::{Link, MAX_IDLE, MAX_SENT, Package, Sent};
use super::object::{IncomingObject, ObjectHead, OutgoingObject};
use super::owed::{MAX_OWED, Owed};
use crate::model::{
    Alert, AlertCode, Anchor, Chal, Change, Command, CommandName, Data, DevInf, Get, Item, MapItem, Message,
    Meta, Results, Source, Status, StatusCode, Sync, SyncHdr, Target,
};
use crate::{EncodeError, Writer};
use bytes::Bytes;

/// A command in the peer's message, to be answered once.
#[derive(Clone, Debug)]
pub struct Slot {
    cmd: CommandName,
    cmd_id: u32,
    target: Option<Box<str>>,
    source: Option<Box<str>>,
    many: bool,
    silent: bool,
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
    stack: Vec<Level<'m>>,
    silent: bool,
    max_obj_size: u64,
    next_cmd: u32,
    /// Commands of our own were written, besides statuses.
    spoke: bool,
    /// The peer's message held something besides statuses and Alert 222.
    heard: bool,
    chunk_written: bool,
    /// Free octets after the header.
    fresh: usize,
    pub(crate) barred: Option<StatusCode>,
}

/// A list of commands being gone through.
#[derive(Debug)]
struct Level<'m> {
    commands: &'m [Command],
    command: usize,
    item: usize,
    in_sync: bool,
    /// Every command of it is refused with this.
    refused: Option<StatusCode>,
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

    /// Answers the peer's header; always the first status.
    pub(crate) fn answer_header(&mut self, hdr: &SyncHdr, code: StatusCode, chal: Option<Chal>) {
        if self.silent {
            return;
        }
        // Before the owed ones: the header's status is always the first.
        let owed = std::mem::take(&mut self.link.owed);
        let mut status = Status::new(0, hdr.msg_id, 0, CommandName::SyncHdr, code);
        status.target_ref.push(hdr.target.loc_uri.clone());
        status.source_ref.push(hdr.source.loc_uri.clone());
        status.chal = chal.map(Box::new);
        self.write_status(status, false);
        for owed in owed {
            self.write_owed(owed);
        }
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

    fn advance(&mut self) {
        if let Some(level) = self.stack.last_mut() {
            level.command = level.command.saturating_add(1);
            level.item = 0;
        }
    }

    fn ask(&mut self, command: &'m Command, in_sync: bool) -> Option<Ask<'m>> {
        match command {
            Command::Add(change) | Command::Replace(change) | Command::Delete(change) if in_sync => {
                return self.change(command, change);
            }
            Command::Alert(alert) => return self.alert(command, alert),
            _ => self.advance(),
        }
        match command {
            Command::Sync(sync) if !in_sync => {
                self.heard = true;
                let refused = None;
                self.stack.push(Level {
                    commands: &sync.commands,
                    command: 0,
                    item: 0,
                    in_sync: true,
                    refused,
                });
                let target = sync.target.as_ref().map_or("", |t| &t.loc_uri);
                let source = sync.source.as_ref().map_or("", |s| &s.loc_uri);
                // quirk: Sony Ericsson C510 leaves the target empty
                let target = if target.is_empty() { source } else { target };
                let slot =
                    self.slot(command, sync.target.as_ref(), sync.source.as_ref(), sync.no_resp, false);
                Some(Ask::Sync { slot, target, source, number_of_changes: sync.number_of_changes })
            }
            Command::Sequence(nest) => {
                self.status(command, nest.no_resp, StatusCode::OK);
                self.stack.push(Level {
                    commands: &nest.commands,
                    command: 0,
                    item: 0,
                    in_sync,
                    refused: None,
                });
                None
            }
            Command::Map(map) => {
                self.heard = true;
                let slot = self.slot(command, Some(&map.target), Some(&map.source), false, false);
                Some(Ask::Map { slot, target: &map.target.loc_uri, items: &map.items })
            }
            Command::Put(put) => self.put(command, put),
            Command::Get(get) => self.get(command, get),
            Command::Results(results) => {
                self.status(command, false, StatusCode::OK);
                results.items.iter().find_map(devinf_of).map(Ask::DevInf)
            }
            Command::Unknown(_) => None,
            // Known, but not ours to do here: refused without harm, contents untouched.
            other => {
                self.heard = true;
                let code = if in_sync
                    || matches!(other, Command::Atomic(_) | Command::Search(_) | Command::Exec(_))
                {
                    StatusCode::NOT_SUPPORTED
                } else {
                    StatusCode::NOT_ALLOWED
                };
                self.refuse(other, code);
                None
            }
        }
    }

    fn alert(&mut self, command: &'m Command, alert: &'m Alert) -> Option<Ask<'m>> {
        let level = self.stack.last_mut()?;
        let item = alert.items.get(level.item);
        level.item = level.item.saturating_add(1);
        let last = level.item >= alert.items.len();
        let first = level.item == 1;
        if last {
            self.advance();
        }
        let code = alert.code.unwrap_or(AlertCode::TWO_WAY);
        match code {
            AlertCode::NEXT_MESSAGE => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::OK);
                }
                None
            }
            AlertCode::NO_END_OF_DATA => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::OK);
                }
                self.link.outgoing.take().map(|object| Ask::Answered {
                    tag: object.tag,
                    code: StatusCode::INCOMPLETE,
                    object_dropped: true,
                })
            }
            AlertCode::DISPLAY => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::OK);
                }
                let text = item?.data.as_ref()?.as_bytes()?;
                std::str::from_utf8(text).ok().map(Ask::Display)
            }
            AlertCode(200..=210) => {
                self.heard = true;
                let Some(item) = item else {
                    self.status(command, alert.no_resp, StatusCode::INCOMPLETE);
                    return None;
                };
                let source = item.source.as_ref().map_or("", |s| &s.loc_uri);
                let target = item.target.as_ref().map_or("", |t| &t.loc_uri);
                // quirk: Sony Ericsson C510 leaves the target empty
                let target = if target.is_empty() { source } else { target };
                let many = alert.items.len() > 1;
                let slot =
                    self.slot(command, item.target.as_ref(), item.source.as_ref(), alert.no_resp, many);
                let anchor = item.meta.as_ref().and_then(|m| m.anchor.as_deref());
                if let Some(max) = item.meta.as_ref().and_then(|m| m.max_obj_size) {
                    self.link.peer_max_obj = Some(max);
                }
                Some(Ask::Alert { slot, code, target, source, anchor, item })
            }
            _ => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::NOT_SUPPORTED);
                }
                None
            }
        }
    }

    fn put(&mut self, command: &'m Command, put: &'m Get) -> Option<Ask<'m>> {
        self.heard = true;
        let devinf = put.items.iter().find_map(devinf_of);
        let code = if devinf.is_some() { StatusCode::OK } else { StatusCode::NOT_SUPPORTED };
        self.status(command, put.no_resp, code);
        devinf.map(Ask::DevInf)
    }

    fn get(&mut self, command: &'m Command, get: &'m Get) -> Option<Ask<'m>> {
        self.heard = true;
        let item = get.items.first()?;
        let target = item.target.as_ref().map_or("", |t| &t.loc_uri);
        let slot = self.slot(command, item.target.as_ref(), None, get.no_resp, false);
        if target.trim_start_matches("./").starts_with("devinf") {
            return Some(Ask::GetDevInf(slot));
        }
        self.answer(&slot, StatusCode::NOT_FOUND);
        None
    }

    fn change(&mut self, command: &'m Command, change: &'m Change) -> Option<Ask<'m>> {
        self.heard = true;
        let level = self.stack.last_mut()?;
        let Some(item) = change.items.get(level.item) else {
            if change.items.is_empty() {
                self.status(command, change.no_resp, StatusCode::INCOMPLETE);
            }
            self.advance();
            return None;
        };
        let name = command.name();
        let data = item.data.as_ref().and_then(Data::as_bytes);
        if let Some(open) = &self.link.incoming
            && !open.continued_by(&name, item)
        {
            // Something new while an object is open: it is dropped, the peer is told, then the new one is done.
            let open = self.link.incoming.take()?;
            self.no_end_of_data(&open);
            return Some(Ask::ChunksDropped);
        }
        level.item = level.item.saturating_add(1);
        if level.item >= change.items.len() {
            self.advance();
        }
        let many = change.items.len() > 1;
        let slot = self.slot(command, item.target.as_ref(), item.source.as_ref(), change.no_resp, many);
        let meta = Metas { item: item.meta.as_deref(), command: change.meta.as_deref() };
        let open = self.link.incoming.take();
        if open.is_none() && !item.more_data {
            if data.is_some_and(|data| data.len() as u64 > self.max_obj_size) {
                self.answer(&slot, StatusCode::SIZE_TOO_BIG);
                return None;
            }
            let payload = data.cloned().map_or(Payload::None, Payload::Whole);
            return Some(Ask::Change { slot, received: received(name, item, &meta, payload) });
        }
        self.chunk(slot, open, name, item, &meta, data.cloned().unwrap_or_default())
    }

    /// A chunk: the first, another, or the last.
    fn chunk(
        &mut self,
        slot: Slot,
        open: Option<IncomingObject>,
        name: CommandName,
        item: &Item,
        meta: &Metas<'_>,
        data: Bytes,
    ) -> Option<Ask<'m>> {
        let continued = open.is_some();
        let mut object = match open {
            Some(object) => object,
            None => {
                let Some(size) = meta.size() else {
                    self.answer(&slot, StatusCode::SIZE_REQUIRED);
                    return None;
                };
                if size > self.max_obj_size {
                    self.answer(&slot, StatusCode::SIZE_TOO_BIG);
                    return None;
                }
                IncomingObject {
                    cmd: name,
                    target: item.target.as_ref().map(|t| t.loc_uri.clone()),
                    source: item.source.as_ref().map(|s| s.loc_uri.clone()),
                    source_parent: item.source_parent.clone(),
                    target_parent: item.target_parent.clone(),
                    media_type: meta.media_type().map(Into::into),
                    format: meta.format().map(Into::into),
                    size,
                    received: 0,
                }
            }
        };
        let offset = object.received;
        object.received = offset.saturating_add(data.len() as u64);
        let wrong = object.received > object.size || (!item.more_data && object.received != object.size);
        if wrong {
            // spec: session facts section 5: dropped, not committed
            self.answer(&slot, StatusCode::SIZE_MISMATCH);
            return continued.then_some(Ask::ChunksDropped);
        }
        if item.more_data {
            self.link.incoming = Some(object);
            self.answer(&slot, StatusCode::CHUNK_ACCEPTED);
            return Some(Ask::Chunk { offset, data });
        }
        let received = Received {
            cmd: object.cmd,
            target: object.target,
            source: object.source,
            source_parent: object.source_parent,
            target_parent: object.target_parent,
            media_type: media_type(object.media_type.as_deref()),
            format: object.format,
            field_level: meta.field_level(),
            payload: Payload::Spooled { offset, tail: data },
        };
        Some(Ask::Change { slot, received })
    }

    fn no_end_of_data(&mut self, open: &IncomingObject) {
        let mut item = Item::default();
        item.target = open.target.as_deref().map(Target::new);
        item.source = open.source.as_deref().map(Source::new);
        let mut alert = Alert::default();
        alert.code = Some(AlertCode::NO_END_OF_DATA);
        alert.items.push(item);
        // Without room the peer learns it from the missing status.
        if self.write(Command::Alert(alert)).is_ok() {
            self.spoke = true;
        }
    }

    fn answered(&mut self, status: &'m Status) -> Option<Ask<'m>> {
        if status.cmd_ref == 0 {
            return Some(Ask::Header { code: status.data, chal: status.chal.as_deref() });
        }
        let fits = |sent: &Sent| {
            sent.cmd_id == status.cmd_ref && status.msg_ref.is_none_or(|msg_ref| msg_ref == sent.msg_id)
        };
        let index = self.link.sent.iter().position(fits)?;
        let sent = self.link.sent.remove(index);
        let chunk = self.link.outgoing.as_ref().is_some_and(|object| object.tag == sent.tag);
        if chunk {
            if status.data.is_success() {
                return None;
            }
            // A status other than 213 on a chunk: stop.
            self.link.outgoing = None;
        }
        Some(Ask::Answered { tag: sent.tag, code: status.data, object_dropped: chunk })
    }

    // ---- answers -------------------------------------------------------------------------------------

    /// Gives a command its status.
    pub fn answer(&mut self, slot: &Slot, code: StatusCode) {
        self.answer_with(slot, code, Vec::new());
    }

    /// Gives an alert its status, with the anchor that it carried echoed.
    // spec: session facts section 3: the received Next goes back in Status/Item/Data
    pub fn answer_alert(&mut self, slot: &Slot, code: StatusCode, anchor: Option<&Anchor>) {
        let items = anchor
            .map(|anchor| {
                let echo = Anchor { last: None, next: anchor.next.clone() };
                Item { data: Some(Data::Anchor(echo)), ..Item::default() }
            })
            .into_iter()
            .collect();
        self.answer_with(slot, code, items);
    }

    fn answer_with(&mut self, slot: &Slot, code: StatusCode, items: Vec<Item>) {
        if slot.cmd == CommandName::Sync
            && code.is_error()
            && let Some(level) = self.stack.last_mut()
        {
            level.refused = Some(code);
        }
        if slot.silent {
            return;
        }
        let mut status = Status::new(0, self.link.peer_msg, slot.cmd_id, slot.cmd.clone(), code);
        status.target_ref.extend(slot.target.clone());
        status.source_ref.extend(slot.source.clone());
        status.items = items;
        self.write_status(status, slot.many);
    }

    /// `MsgID` and `CmdID` of a command of the message.
    pub fn reference(&self, slot: &Slot) -> (u32, u32) {
        (self.link.peer_msg, slot.cmd_id)
    }

    fn status(&mut self, command: &Command, no_resp: bool, code: StatusCode) {
        let slot = self.slot(command, None, None, no_resp, false);
        self.answer(&slot, code);
    }

    /// Refuses a command and everything in it.
    fn refuse(&mut self, command: &'m Command, code: StatusCode) {
        let (nested, no_resp): (&'m [Command], bool) = match command {
            Command::Sync(sync) => (&sync.commands, sync.no_resp),
            Command::Atomic(nest) | Command::Sequence(nest) => (&nest.commands, nest.no_resp),
            Command::Results(_) | Command::Status(_) | Command::Unknown(_) => return,
            Command::Add(c)
            | Command::Replace(c)
            | Command::Delete(c)
            | Command::Copy(c)
            | Command::Move(c) => (&[], c.no_resp),
            Command::Alert(c) => (&[], c.no_resp),
            Command::Get(c) | Command::Put(c) => (&[], c.no_resp),
            Command::Exec(c) => (&[], c.no_resp),
            Command::Search(c) => (&[], c.no_resp),
            Command::Map(_) => (&[], false),
        };
        self.status(command, no_resp, code);
        if !nested.is_empty() {
            let code = if matches!(command, Command::Atomic(_)) { StatusCode::NOT_EXECUTED } else { code };
            self.stack.push(Level {
                commands: nested,
                command: 0,
                item: 0,
                in_sync: true,
                refused: Some(code),
            });
        }
    }

    fn slot(
        &self,
        command: &Command,
        target: Option<&Target>,
        source: Option<&Source>,
        no_resp: bool,
        many: bool,
    ) -> Slot {
        Slot {
            cmd: command.name(),
            cmd_id: command.cmd_id(),
            target: target.map(|t| t.loc_uri.clone()),
            source: source.map(|s| s.loc_uri.clone()),
            many,
            silent: self.silent || no_resp,
        }
    }

    fn write_status(&mut self, status: Status, many: bool) {
        if !self.link.owed.is_empty() {
            self.owe(Owed::keep(&status, many));
            return;
        }
        let kept = Owed::keep(&status, many);
        if self.write(Command::Status(status)).is_err() {
            self.owe(kept);
        }
    }

    fn write_owed(&mut self, owed: Owed) {
        if !self.link.owed.is_empty() || self.write(Command::Status(owed.status())).is_err() {
            self.owe(owed);
        }
    }

    fn owe(&mut self, owed: Owed) {
        if self.link.owed.len() < MAX_OWED {
            self.link.owed.push(owed);
        }
    }

    // ---- commands of our own ---------------------------------------------------------------------------

    /// Whether commands of ours may go: owed statuses go first, and a chunk is the last thing in its message.
    pub fn can_send(&self) -> bool {
        self.barred.is_none()
            && self.link.owed.is_empty()
            && !self.chunk_written
            && self.link.sent.len() < MAX_SENT
    }

    /// Sends a command; its `CmdID` is set here. `tag` comes back in [`Ask::Answered`]; an empty one does not.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; nothing was written.
    pub fn send(&mut self, command: Command, tag: Vec<u8>) -> Result<(), Full> {
        if !self.can_send() {
            return Err(Full);
        }
        let cmd_id = self.write(command).map_err(|_| Full)?;
        self.spoke = true;
        self.await_status(cmd_id, tag);
        Ok(())
    }

    /// Answers a `Get` for device information; `asked` is [`Exchange::reference`] of its slot.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn results(&mut self, asked: (u32, u32), devinf: DevInf) -> Result<(), Full> {
        if !self.can_send() {
            return Err(Full);
        }
        let mut results = Results::default();
        results.msg_ref = Some(asked.0);
        results.cmd_ref = asked.1;
        results.meta = Some(Box::new(self.devinf_meta()));
        results.items.push(self.devinf_item(devinf));
        self.write(Command::Results(results)).map_err(|_| Full)?;
        self.spoke = true;
        Ok(())
    }

    /// Puts our device information.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn put_devinf(&mut self, devinf: DevInf) -> Result<(), Full> {
        let mut put = Get::default();
        put.meta = Some(Box::new(self.devinf_meta()));
        put.items.push(self.devinf_item(devinf));
        self.send(Command::Put(put), Vec::new())
    }

    /// Asks for the peer's device information.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn get_devinf(&mut self) -> Result<(), Full> {
        let mut get = Get::default();
        get.meta = Some(Box::new(self.devinf_meta()));
        let target = Some(Target::new(self.link.version.devinf_uri()));
        get.items.push(Item { target, ..Item::default() });
        self.send(Command::Get(get), Vec::new())
    }

    fn devinf_meta(&self) -> Meta {
        Meta { type_: Some(self.link.encoding.devinf_type().into()), ..Meta::default() }
    }

    fn devinf_item(&self, devinf: DevInf) -> Item {
        Item {
            source: Some(Source::new(self.link.version.devinf_uri())),
            data: Some(Data::DevInf(Box::new(devinf))),
            ..Item::default()
        }
    }

    /// Starts the changes of a datastore in this message; `target` is the peer's.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn open_sync(
        &mut self,
        target: &str,
        source: &str,
        number_of_changes: Option<u32>,
    ) -> Result<(), Full> {
        if !self.can_send() {
            return Err(Full);
        }
        let mut sync = Sync::default();
        sync.cmd_id = self.next_cmd;
        sync.target = Some(Target::new(target));
        sync.source = Some(Source::new(source));
        sync.number_of_changes = number_of_changes.filter(|_| self.link.version >= crate::Version::V1_1);
        self.writer.open_sync(&sync).map_err(|_| Full)?;
        // An empty `Sync` alone is no progress.
        self.next_cmd = self.next_cmd.saturating_add(1);
        Ok(())
    }

    /// Ends the changes of a datastore in this message.
    pub fn close_sync(&mut self) {
        self.writer.close_sync();
    }

    /// Sends an object inside the open `Sync`, in chunks where it cannot fit into one message.
    ///
    /// `data` is in wire form ([`wire_form`](super::wire_form)).
    /// # Errors
    /// [`Full`] when it goes into the next message, or when the peer takes no chunks and it can never fit.
    pub fn send_object(
        &mut self,
        cmd: CommandName,
        head: ObjectHead,
        data: &Bytes,
        stores: (&str, &str),
        tag: Vec<u8>,
    ) -> Result<ObjectProgress, Full> {
        if !self.can_send() {
            return Err(Full);
        }
        let command = self.object_command(&cmd, head.item(None, data.clone()));
        match self.write(command) {
            Ok(cmd_id) => {
                self.spoke = true;
                self.await_status(cmd_id, tag);
                return Ok(ObjectProgress::Whole);
            }
            // It may fit into a message of its own: wait for that.
            Err(_) if data.len().saturating_add(OVERHEAD) < self.fresh && !self.is_roomy() => {
                return Err(Full);
            }
            Err(_) => {}
        }
        if self.link.version < crate::Version::V1_1 {
            return Err(Full);
        }
        let size = data.len() as u64;
        let command = self.object_command(&cmd, head.item(Some(size), data.clone()));
        let (cmd_id, sent) = self.write_chunk(command, false)?;
        self.await_status(cmd_id, tag.clone());
        if sent >= size {
            self.chunk_written = false;
            return Ok(ObjectProgress::Whole);
        }
        let stores = (stores.0.into(), stores.1.into());
        self.link.outgoing = Some(OutgoingObject { cmd, head, size, sent, stores, tag });
        Ok(ObjectProgress::Started)
    }

    /// The object of which a chunk must go now: its datastores (target, source), where to go on and how many
    /// octets can fit at most.
    pub fn outgoing(&self) -> Option<((&str, &str), u64, u64)> {
        let object = self.link.outgoing.as_ref()?;
        let left = object.size.saturating_sub(object.sent);
        Some(((&object.stores.0, &object.stores.1), object.sent, left.min(self.fresh as u64)))
    }

    /// Sends the next chunk inside the open `Sync`; `data` starts where [`Exchange::outgoing`] said.
    ///
    /// # Errors
    /// [`Full`] when it goes into the next message.
    pub fn continue_object(&mut self, data: &Bytes) -> Result<ObjectProgress, Full> {
        if !self.can_send() {
            return Err(Full);
        }
        let Some(object) = self.link.outgoing.clone() else { return Err(Full) };
        let mut data = data.clone();
        if self.link.encoding == crate::Encoding::Xml
            && let Err(error) = std::str::from_utf8(&data)
            && error.error_len().is_none()
        {
            // The piece that was read ends inside a character; XML carries whole ones.
            data.truncate(error.valid_up_to());
        }
        let reach = object.sent.saturating_add(data.len() as u64);
        let command = self.object_command(&object.cmd, object.head.item(None, data.clone()));
        let (cmd_id, written) = self.write_chunk(command, reach < object.size)?;
        self.await_status(cmd_id, object.tag.clone());
        let sent = object.sent.saturating_add(written);
        if sent >= object.size {
            self.link.outgoing = None;
            // The object is whole: other commands may follow it.
            self.chunk_written = false;
            return Ok(ObjectProgress::Done);
        }
        self.link.outgoing = Some(OutgoingObject { sent, ..object });
        Ok(ObjectProgress::More)
    }

    fn object_command(&self, cmd: &CommandName, item: Item) -> Command {
        let mut change = Change::default();
        change.items.push(item);
        match cmd {
            CommandName::Add => Command::Add(change),
            CommandName::Delete => Command::Delete(change),
            _ => Command::Replace(change),
        }
    }

    fn write_chunk(&mut self, mut command: Command, more_after: bool) -> Result<(u32, u64), Full> {
        let cmd_id = self.next_cmd;
        set_cmd_id(&mut command, cmd_id);
        let written = self.writer.chunk(&command, more_after).map_err(|_| Full)?;
        self.next_cmd = cmd_id.saturating_add(1);
        self.spoke = true;
        self.chunk_written = true;
        Ok((cmd_id, written as u64))
    }

    fn write(&mut self, mut command: Command) -> Result<u32, EncodeError> {
        let cmd_id = self.next_cmd;
        set_cmd_id(&mut command, cmd_id);
        self.writer.command(&command)?;
        self.next_cmd = cmd_id.saturating_add(1);
        Ok(cmd_id)
    }

    fn await_status(&mut self, cmd_id: u32, tag: Vec<u8>) {
        if !tag.is_empty() {
            self.link.sent.push(Sent { msg_id: self.link.our_msg, cmd_id, tag });
        }
    }

    // ---- the end ---------------------------------------------------------------------------------------

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

    /// Alert 222: go on. Left out where it does not fit; a message without `Final` says the same.
    fn next_message(&mut self) {
        let mut alert = Alert::default();
        alert.code = Some(AlertCode::NEXT_MESSAGE);
        alert.items.push(Item {
            target: Some(Target::new(&self.link.peer_uri)),
            source: Some(Source::new(&self.link.our_uri)),
            ..Item::default()
        });
        let _ = self.write(Command::Alert(alert));
    }
}

/// Octets that command, item and a reopened `Sync` take besides the data, at most.
const OVERHEAD: usize = 700;

/// Meta of an item and of its command: the item's wins.
struct Metas<'a> {
    item: Option<&'a Meta>,
    command: Option<&'a Meta>,
}

impl<'a> Metas<'a> {
    fn first<T>(&self, field: impl Fn(&'a Meta) -> Option<T>) -> Option<T> {
        self.item.and_then(&field).or_else(|| self.command.and_then(&field))
    }

    fn size(&self) -> Option<u64> {
        self.first(|meta| meta.size)
    }

    fn media_type(&self) -> Option<&'a str> {
        self.first(|meta| meta.type_.as_deref())
    }

    fn format(&self) -> Option<&'a str> {
        self.first(|meta| meta.format.as_deref())
    }

    fn field_level(&self) -> bool {
        self.item.is_some_and(|m| m.field_level) || self.command.is_some_and(|m| m.field_level)
    }
}

fn received(cmd: CommandName, item: &Item, meta: &Metas<'_>, payload: Payload) -> Received {
    Received {
        cmd,
        target: item.target.as_ref().map(|t| t.loc_uri.clone()),
        source: item.source.as_ref().map(|s| s.loc_uri.clone()),
        source_parent: item.source_parent.clone(),
        target_parent: item.target_parent.clone(),
        media_type: media_type(meta.media_type()),
        format: meta.format().map(Into::into),
        field_level: meta.field_level(),
        payload,
    }
}

fn media_type(text: Option<&str>) -> String {
    text.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn devinf_of(item: &Item) -> Option<&DevInf> {
    match &item.data {
        Some(Data::DevInf(devinf)) => Some(devinf),
        _ => None,
    }
}

fn set_cmd_id(command: &mut Command, cmd_id: u32) {
    match command {
        Command::Add(c) | Command::Copy(c) | Command::Delete(c) | Command::Move(c) | Command::Replace(c) => {
            c.cmd_id = cmd_id;
        }
        Command::Alert(c) => c.cmd_id = cmd_id,
        Command::Atomic(c) | Command::Sequence(c) => c.cmd_id = cmd_id,
        Command::Exec(c) => c.cmd_id = cmd_id,
        Command::Get(c) | Command::Put(c) => c.cmd_id = cmd_id,
        Command::Map(c) => c.cmd_id = cmd_id,
        Command::Results(c) => c.cmd_id = cmd_id,
        Command::Search(c) => c.cmd_id = cmd_id,
        Command::Status(c) => c.cmd_id = cmd_id,
        Command::Sync(c) => c.cmd_id = cmd_id,
        Command::Unknown(_) => {}
    }
}
