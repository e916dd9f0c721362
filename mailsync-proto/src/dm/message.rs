//! Small helpers around messages: what an item says, and a message being written.

use bytes::Bytes;
use syncml::{
    Alert, AlertCode, Change, Command, CommandName, Data, EncodeError, Encoding, Exec, Get, Item, Meta,
    Results, Source, Status, StatusCode, SyncHdr, Target, Version, Writer,
};

/// Longest text that is looked at in an item, octets.
pub(super) const MAX_TEXT: usize = 8 << 10;

/// The text of an item; none when there is none, or it is no text, or too long.
pub(super) fn text_of(item: &Item) -> Option<&str> {
    let octets = item.data.as_ref()?.as_bytes().filter(|octets| octets.len() <= MAX_TEXT)?;
    std::str::from_utf8(octets).ok()
}

/// The node an item is about.
pub(super) fn target_of(item: &Item) -> Option<&str> {
    item.target.as_ref().map(|target| &*target.loc_uri)
}

/// The node an item comes from.
pub(super) fn source_of(item: &Item) -> Option<&str> {
    item.source.as_ref().map(|source| &*source.loc_uri)
}

/// The type of an item.
pub(super) fn type_of(item: &Item) -> Option<&str> {
    item.meta.as_ref()?.type_.as_deref()
}

/// An item for a node of the receiver.
pub(super) fn node(path: &str, text: Option<&str>) -> Item {
    let mut item = Item::default();
    item.target = Some(Target::new(path));
    fill(&mut item, text);
    item
}

/// An item from a node of the sender.
pub(super) fn own(path: &str, text: &str) -> Item {
    let mut item = Item::default();
    item.source = Some(Source::new(path));
    fill(&mut item, Some(text));
    item
}

fn fill(item: &mut Item, text: Option<&str>) {
    let Some(text) = text else { return };
    item.meta = Some(Box::new(meta("chr", "text/plain")));
    item.data = Some(Data::Bytes(Bytes::copy_from_slice(text.as_bytes())));
}

fn meta(format: &str, type_: &str) -> Meta {
    let mut meta = Meta::default();
    meta.format = Some(format.into());
    meta.type_ = Some(type_.into());
    meta
}

/// The name of a command that wants a status, with its id and whether it wants none after all.
pub(super) fn answerable(command: &Command) -> Option<(CommandName, u32)> {
    let (name, id, silent) = match command {
        Command::Add(c) => (CommandName::Add, c.cmd_id, c.no_resp),
        Command::Alert(c) => (CommandName::Alert, c.cmd_id, c.no_resp),
        Command::Atomic(c) => (CommandName::Atomic, c.cmd_id, c.no_resp),
        Command::Copy(c) => (CommandName::Copy, c.cmd_id, c.no_resp),
        Command::Delete(c) => (CommandName::Delete, c.cmd_id, c.no_resp),
        Command::Exec(c) => (CommandName::Exec, c.cmd_id, c.no_resp),
        Command::Get(c) => (CommandName::Get, c.cmd_id, c.no_resp),
        Command::Replace(c) => (CommandName::Replace, c.cmd_id, c.no_resp),
        Command::Results(c) => (CommandName::Results, c.cmd_id, false),
        Command::Sequence(c) => (CommandName::Sequence, c.cmd_id, c.no_resp),
        _ => return None,
    };
    (!silent).then_some((name, id))
}

/// A message being written.
#[derive(Debug)]
pub(super) struct Outgoing {
    writer: Writer,
    next: u32,
    peer_msg: u32,
    /// Something in it wants an answer.
    pub(super) asks: bool,
    /// Something did not fit.
    pub(super) full: bool,
}

impl Outgoing {
    pub(super) fn new(
        encoding: Encoding,
        hdr: &SyncHdr,
        peer_msg: u32,
        limit: usize,
    ) -> Result<Self, EncodeError> {
        let mut writer = Writer::new(encoding, Version::V1_2, limit);
        writer.header(hdr)?;
        Ok(Outgoing { writer, next: 1, peer_msg, asks: false, full: false })
    }

    /// Writes a command; its id, or none when it does not fit.
    fn add(&mut self, make: impl FnOnce(u32) -> Command) -> Option<u32> {
        let id = self.next;
        if self.full || self.writer.command(&make(id)).is_err() {
            self.full = true;
            return None;
        }
        self.next = self.next.saturating_add(1);
        Some(id)
    }

    fn ask(&mut self, make: impl FnOnce(u32) -> Command) -> Option<u32> {
        let id = self.add(make)?;
        self.asks = true;
        Some(id)
    }

    /// The answer to a command of the peer's last message; 0 is its header.
    pub(super) fn status(
        &mut self,
        cmd_ref: u32,
        name: CommandName,
        code: StatusCode,
        chal: Option<syncml::Chal>,
    ) {
        let peer_msg = self.peer_msg;
        self.add(|id| {
            let mut status = Status::new(id, peer_msg, cmd_ref, name, code);
            status.chal = chal.map(Box::new);
            Command::Status(Box::new(status))
        });
    }

    pub(super) fn alert(
        &mut self,
        code: AlertCode,
        correlator: Option<&str>,
        item: Option<(Item, &str)>,
    ) -> Option<u32> {
        self.ask(|id| {
            let mut alert = Alert::default();
            alert.cmd_id = id;
            alert.code = Some(code);
            alert.correlator = correlator.map(Into::into);
            if let Some((mut item, type_)) = item {
                item.meta = Some(Box::new(meta("chr", type_)));
                alert.items.push(item);
            }
            Command::Alert(Box::new(alert))
        })
    }

    pub(super) fn replace(&mut self, items: Vec<Item>) -> Option<u32> {
        self.ask(|id| Command::Replace(Box::new(change(id, items))))
    }

    pub(super) fn delete(&mut self, path: &str) -> Option<u32> {
        self.ask(|id| Command::Delete(Box::new(change(id, vec![node(path, None)]))))
    }

    pub(super) fn get(&mut self, path: &str) -> Option<u32> {
        self.ask(|id| {
            let mut get = Get::default();
            get.cmd_id = id;
            get.items.push(node(path, None));
            Command::Get(Box::new(get))
        })
    }

    pub(super) fn exec(&mut self, path: &str, correlator: &str, text: &str) -> Option<u32> {
        self.ask(|id| {
            let mut exec = Exec::default();
            exec.cmd_id = id;
            exec.correlator = Some(correlator.into());
            exec.items.push(node(path, Some(text)));
            Command::Exec(Box::new(exec))
        })
    }

    pub(super) fn results(&mut self, cmd_ref: u32, items: Vec<Item>) {
        let peer_msg = self.peer_msg;
        self.ask(|id| {
            let mut results = Results::default();
            results.cmd_id = id;
            results.msg_ref = Some(peer_msg);
            results.cmd_ref = cmd_ref;
            results.items = items;
            Command::Results(Box::new(results))
        });
    }

    /// Octets left.
    pub(super) fn left(&self) -> usize {
        self.writer.left()
    }

    pub(super) fn finish(self) -> Bytes {
        self.writer.finish(true)
    }
}

fn change(id: u32, items: Vec<Item>) -> Change {
    let mut change = Change::default();
    change.cmd_id = id;
    change.items = items;
    change
}

/// A header of a DM message.
pub(super) fn header(session: &str, msg_id: u32, target: &str, source: &str, max_msg_size: u32) -> SyncHdr {
    let mut hdr = SyncHdr::new(Version::V1_2, session, msg_id, Target::new(target), Source::new(source));
    hdr.ver_proto = super::VER_PROTO.into();
    let mut meta = Meta::default();
    meta.max_msg_size = Some(max_msg_size.into());
    hdr.meta = Some(Box::new(meta));
    hdr
}
