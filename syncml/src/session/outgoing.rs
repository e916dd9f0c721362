//! Commands of our own, as many as fit, and objects in chunks.

use super::exchange::{Exchange, Full, ObjectProgress};
use super::link::{MAX_SENT, Sent};
use super::object::{ObjectHead, OutgoingObject};
use crate::EncodeError;
use crate::model::{
    Alert, AlertCode, Change, Command, CommandName, Data, DevInf, Get, Item, Mem, Meta, Results, Source,
    Sync, Target,
};
use bytes::Bytes;

impl<'m> Exchange<'m> {
    /// Whether commands of ours may go: owed statuses go first, and a chunk is the last thing in its message.
    pub fn can_send(&self) -> bool {
        self.barred.is_none()
            && self.link.owed.is_empty()
            && !self.chunk_written
            && !self.link.more.suspended
            && !self.busy
            && self.link.sent.len() < MAX_SENT
    }

    /// Sends a command; its `CmdID` is set here. `tag` comes back in [`Ask::Answered`](super::Ask::Answered); an empty one does not.
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
        let results = Results {
            msg_ref: Some(asked.0),
            cmd_ref: asked.1,
            meta: Some(Box::new(self.devinf_meta())),
            items: vec![self.devinf_item(devinf)],
            ..Results::default()
        };
        self.write(Command::Results(Box::new(results))).map_err(|_| Full)?;
        self.spoke = true;
        Ok(())
    }

    /// Answers a `Search`; `asked` is [`Exchange::reference`] of its slot.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn search_results(&mut self, asked: (u32, u32), items: Vec<Item>) -> Result<(), Full> {
        if !self.can_send() {
            return Err(Full);
        }
        let results = Results { msg_ref: Some(asked.0), cmd_ref: asked.1, items, ..Results::default() };
        self.write(Command::Results(Box::new(results))).map_err(|_| Full)?;
        self.spoke = true;
        Ok(())
    }

    /// Puts our device information.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn put_devinf(&mut self, devinf: DevInf) -> Result<(), Full> {
        let meta = Some(Box::new(self.devinf_meta()));
        let put = Get { meta, items: vec![self.devinf_item(devinf)], ..Get::default() };
        self.send(Command::Put(Box::new(put)), Vec::new())
    }

    /// Asks for the peer's device information.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn get_devinf(&mut self) -> Result<(), Full> {
        let meta = Some(Box::new(self.devinf_meta()));
        let target = Some(Target::new(self.link.version.devinf_uri()));
        let get = Get { meta, items: vec![Item { target, ..Item::default() }], ..Get::default() };
        self.send(Command::Get(Box::new(get)), Vec::new())
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
        self.start_sync(target, source, number_of_changes, None)
    }

    /// As [`Exchange::open_sync`], and says what this side has room for: octets, and items.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    // spec: session facts section 4, Sync/Meta/Mem
    pub fn open_sync_with_room(
        &mut self,
        target: &str,
        source: &str,
        number_of_changes: Option<u32>,
        (free_mem, free_id): (u64, u64),
    ) -> Result<(), Full> {
        let mem = Mem { free_mem, free_id, ..Mem::default() };
        let meta = Meta { mem: Some(Box::new(mem)), ..Meta::default() };
        self.start_sync(target, source, number_of_changes, Some(Box::new(meta)))
    }

    fn start_sync(
        &mut self,
        target: &str,
        source: &str,
        number_of_changes: Option<u32>,
        meta: Option<Box<Meta>>,
    ) -> Result<(), Full> {
        if !self.can_send() {
            return Err(Full);
        }
        let sync = Sync {
            meta,
            cmd_id: self.next_cmd,
            target: Some(Target::new(target)),
            source: Some(Source::new(source)),
            number_of_changes: number_of_changes.filter(|_| self.link.version >= crate::Version::V1_1),
            ..Sync::default()
        };
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
        self.link.more.answered = 0;
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

    /// The tag of the object of which a chunk must go now.
    pub fn outgoing_tag(&self) -> Option<&[u8]> {
        self.link.outgoing.as_ref().map(|object| &*object.tag)
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
        let mut change = Box::<Change>::default();
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

    pub(super) fn write(&mut self, mut command: Command) -> Result<u32, EncodeError> {
        let cmd_id = self.next_cmd;
        set_cmd_id(&mut command, cmd_id);
        self.writer.command(&command)?;
        self.next_cmd = cmd_id.saturating_add(1);
        Ok(cmd_id)
    }

    pub(super) fn await_status(&mut self, cmd_id: u32, tag: Vec<u8>) {
        if !tag.is_empty() {
            self.link.sent.push(Sent { msg_id: self.link.our_msg, cmd_id, tag });
        }
    }

    /// Alert 222: go on; 221 where the peer said that it was busy. Left out where it does not fit; a message without `Final` says the same.
    pub(super) fn next_message(&mut self) {
        let item = Item {
            target: Some(Target::new(&self.link.peer_uri)),
            source: Some(Source::new(&self.link.our_uri)),
            ..Item::default()
        };
        let code = if self.ask_for_result { AlertCode::RESULT } else { AlertCode::NEXT_MESSAGE };
        let code = Some(code);
        let alert = Alert { code, items: vec![item], ..Alert::default() };
        let _ = self.write(Command::Alert(Box::new(alert)));
    }
}

/// Octets that command, item and a reopened `Sync` take besides the data, at most.
const OVERHEAD: usize = 700;

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
