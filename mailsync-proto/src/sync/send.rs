//! Our changes: the walk that sends what the peer has not seen, as much as fits into each message.

use super::collection::{Projection, Wire};
use super::core::{Core, Side};
use super::event::Event;
use super::state::{Kind, Retry, Tag};
use super::store::{Direction, Item, Read, Row, Seen, Value, Write};
use super::turn::Missing;
use bytes::Bytes;
use idmap::{Entry, Guid};
use std::collections::HashSet;
use syncml::session::{Exchange, ObjectHead, ObjectProgress, wire_form};
use syncml::{Change, Command, Source, Target, Version};

/// Rows asked for at once; no message takes more.
const PAGE: u32 = 512;

/// Octets that a command takes besides its data, at least: what may fit is read in one round.
const ABOUT: usize = 80;

/// What is known of the peer's datastore.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Caps {
    /// Octets of the longest id it takes.
    pub(crate) max_guid_size: Option<u32>,
    /// Media types it takes, the preferred one first.
    pub(crate) accepts: Vec<Box<str>>,
    /// It understands folders although its version has none.
    pub(crate) folders: bool,
}

/// How far a row got.
enum Went {
    /// Into the message.
    Sent,
    /// The peer gets nothing of it.
    Skipped,
    /// Its first chunk is in the message, which is full with it.
    Started,
    /// It goes into the next message.
    Full,
}

/// How far a datastore got.
#[derive(PartialEq, Eq)]
enum Walk {
    Done,
    /// More goes in the next message.
    Later,
}

/// The walk of one message.
pub(crate) struct Sender<'s, 'a, 'f, 'm> {
    pub(crate) core: &'s mut Core<'a, 'f>,
    pub(crate) ex: &'s mut Exchange<'m>,
    pub(crate) caps: &'s [Caps],
    open: Option<usize>,
    sent_any: bool,
    /// What went and is not answered yet: datastore, item, revision.
    awaited: HashSet<(u8, Guid, u64)>,
}

impl<'s, 'a, 'f, 'm> Sender<'s, 'a, 'f, 'm> {
    pub(crate) fn new(core: &'s mut Core<'a, 'f>, ex: &'s mut Exchange<'m>, caps: &'s [Caps]) -> Self {
        let awaited = ex
            .awaited_tags()
            .filter_map(|tag| match Tag::from_bytes(tag) {
                Some(Tag::Item { store, guid, rev, .. }) => Some((store, guid, rev)),
                _ => None,
            })
            .collect();
        Sender { core, ex, caps, open: None, sent_any: false, awaited }
    }

    /// Sends what fits of every datastore; true when nothing is left to send.
    pub(crate) fn send(mut self) -> Result<bool, Missing> {
        if !self.continue_object()? {
            return Ok(false);
        }
        let mut done = true;
        for index in 0..self.core.stores.len() {
            let waiting = self.core.stores.get(index).is_some_and(|store| store.is_active() && !store.done);
            if waiting && self.store(index)? == Walk::Later {
                done = false;
                break;
            }
        }
        self.ex.close_sync();
        Ok(done)
    }

    /// Sends the next chunk of an object that is under way; true when the message goes on after it.
    fn continue_object(&mut self) -> Result<bool, Missing> {
        let Some(((target, source), offset, len)) = self.ex.outgoing() else { return Ok(true) };
        if let Some(Tag::Item { store, guid, rev, .. }) = self.ex.outgoing_tag().and_then(Tag::from_bytes) {
            self.awaited.insert((store, guid, rev));
        }
        let (target, source): (Box<str>, Box<str>) = (target.into(), source.into());
        let data = self.core.spool(Direction::Out, offset, len)?;
        if self.ex.open_sync(&target, &source, None).is_err() {
            return Ok(false);
        }
        let progress = self.ex.continue_object(&data);
        self.open = self.core.stores.iter().position(|s| s.theirs == target && s.ours == source);
        if progress == Ok(ObjectProgress::Done) {
            self.core.batch.push(Write::ClearSpool(self.core.token.clone(), Direction::Out));
            return Ok(true);
        }
        Ok(false)
    }

    fn store(&mut self, index: usize) -> Result<Walk, Missing> {
        let Some(store) = self.core.stores.get(index) else { return Ok(Walk::Done) };
        if !store.sends(self.core.side) {
            return Ok(self.nothing(index));
        }
        let name = store.name.clone();
        let key = self.core.store_key(&name);
        let upto = match store.upto {
            Some(upto) => upto,
            None => self.core.head(&key)?,
        };
        let peer = self.core.peer_key(&name);
        let Some(store) = self.core.stores.get_mut(index) else { return Ok(Walk::Done) };
        store.upto = Some(upto);
        let opened = store.opened;
        let changes = store.changes(&peer, upto);
        let count = if opened { None } else { Some(self.core.reader.read(Read::Count(changes.clone()))) };
        let cursor = self.core.stores.get(index).map(|store| store.cursor.clone()).unwrap_or_default();
        let rows = self.core.reader.read(Read::Rows(changes.clone(), cursor, PAGE));
        let number = match count.transpose()? {
            Some(Value::Count(count)) => u32::try_from(*count).ok(),
            _ => None,
        };
        let mut rows = rows?;
        if !opened && !self.open_sync(index, number) {
            return Ok(Walk::Later);
        }
        loop {
            let Value::Rows(page) = rows else { return Ok(Walk::Done) };
            if page.is_empty() {
                break;
            }
            if !self.page(index, page)? {
                return Ok(Walk::Later);
            }
            if page.len() < PAGE as usize {
                break;
            }
            let cursor = self.core.stores.get(index).map(|store| store.cursor.clone()).unwrap_or_default();
            rows = self.core.reader.read(Read::Rows(changes.clone(), cursor, PAGE))?;
        }
        let Some(store) = self.core.stores.get_mut(index) else { return Ok(Walk::Done) };
        if std::mem::take(&mut store.walk_again) {
            // What this turn changes has its revision only once it is committed.
            store.from = upto;
            store.upto = None;
            store.cursor = Default::default();
            return Ok(Walk::Later);
        }
        if store.retry == Retry::Wanted {
            store.retry = Retry::Done;
            store.cursor = Default::default();
            return Ok(Walk::Later);
        }
        store.done = true;
        Ok(Walk::Done)
    }

    /// Only the other side sends: of a client's an empty `Sync` is awaited all the same.
    // spec: session facts section 1, package 3 of a sync from the server
    fn nothing(&mut self, index: usize) -> Walk {
        if self.core.side == Side::Client && !self.open_sync(index, Some(0)) {
            return Walk::Later;
        }
        if let Some(store) = self.core.stores.get_mut(index) {
            store.done = true;
        }
        Walk::Done
    }

    /// Sends rows while they fit; true when all of them are done with.
    fn page(&mut self, index: usize, rows: &[Row]) -> Result<bool, Missing> {
        let mut missing = false;
        let mut room = self.ex.left();
        for row in rows {
            match self.row(index, row, missing) {
                Err(Missing) => missing = true,
                Ok(Went::Full) => return if missing { Err(Missing) } else { Ok(false) },
                Ok(Went::Started) => {
                    self.pass(index, row);
                    return if missing { Err(Missing) } else { Ok(false) };
                }
                Ok(Went::Sent | Went::Skipped) => self.pass(index, row),
            }
            if missing {
                // Only gathering now: as much as may fit into this message, so that few rounds are needed.
                let size = usize::try_from(row.item.size).unwrap_or(usize::MAX).saturating_add(ABOUT);
                if size >= room {
                    break;
                }
                room = room.saturating_sub(size);
            }
        }
        if missing { Err(Missing) } else { Ok(true) }
    }

    fn pass(&mut self, index: usize, row: &Row) {
        if let Some(store) = self.core.stores.get_mut(index) {
            store.cursor = row.item.cursor();
        }
    }

    fn row(&mut self, index: usize, row: &Row, gathering: bool) -> Result<Went, Missing> {
        let item = &row.item;
        let Some(store) = self.core.stores.get(index) else { return Ok(Went::Skipped) };
        let key = self.core.store_key(&store.name);
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(Went::Skipped) };
        let entry = lookup.with_row(&item.guid, row.entry.as_ref());
        let seen = entry.as_ref().is_some_and(|entry| entry.seen_rev >= item.rev);
        let awaited = (u8::try_from(index).unwrap_or(u8::MAX), item.guid.clone(), item.rev);
        if seen || self.core.batch.touches(&key, &item.guid) || self.awaited.contains(&awaited) {
            return Ok(Went::Skipped);
        }
        if item.deleted {
            return Ok(self.delete(index, item, entry.as_ref(), gathering));
        }
        self.put(index, item, entry.as_ref(), gathering)
    }

    fn delete(&mut self, index: usize, item: &Item, entry: Option<&Entry>, gathering: bool) -> Went {
        let Some(entry) = entry else { return Went::Skipped };
        let mut object = syncml::Item::default();
        match (self.core.side, entry.luid()) {
            (Side::Client, _) => object.source = Some(Source::new(item.guid.as_str())),
            (Side::Server, Some(luid)) => object.target = Some(Target::new(luid.as_str())),
            (Side::Server, None) => {
                // Offered, perhaps taken, never mapped: it can be deleted once the Map comes.
                if let Some(store) = self.core.stores.get_mut(index) {
                    store.not_taken(item.rev);
                }
                return Went::Skipped;
            }
        }
        if gathering {
            return Went::Sent;
        }
        let mut change = Change::default();
        change.items.push(object);
        if !self.open_sync(index, None) {
            return Went::Full;
        }
        match self.ex.send(Command::Delete(change), tag(index, item, Kind::Delete)) {
            Ok(()) => {
                self.went(index, Kind::Delete);
                Went::Sent
            }
            Err(_) => Went::Full,
        }
    }

    fn put(
        &mut self,
        index: usize,
        item: &Item,
        entry: Option<&Entry>,
        gathering: bool,
    ) -> Result<Went, Missing> {
        let (Some(store), Some(config)) = (self.core.stores.get(index), self.core.config(index)) else {
            return Ok(Went::Skipped);
        };
        let name = store.name.clone();
        let caps = self.caps.get(index).cloned().unwrap_or_default();
        let has_it = entry.is_some_and(|e| self.core.side == Side::Client || e.luid().is_some());
        let projection = Projection {
            item,
            fields_only: has_it && entry.is_some_and(|entry| entry.seen_rev >= item.body_rev),
            accepts: &caps.accepts,
            version: self.ex.version(),
            encoding: self.ex.encoding(),
        };
        let mut body = None;
        if config.collection.needs_body(&projection) {
            let read = Read::Body(self.core.store_key(&name), item.guid.clone());
            if let Value::Body(found) = self.core.reader.read(read)? {
                body = found.clone();
            }
        }
        let wire = match config.collection.project(&projection, body.as_ref()) {
            Ok(wire) => wire,
            Err(refusal) => return Ok(self.skip(&name, &item.guid, refusal.reason)),
        };
        if let Some(max) = self.ex.peer_max_obj_size().filter(|max| wire.data.len() as u64 > *max) {
            let reason = format!("{} octets, the peer takes {max}", wire.data.len());
            return Ok(self.skip(&name, &item.guid, reason));
        }
        let kind = if has_it { Kind::Replace } else { Kind::Add };
        let Some((mut head, records)) = self.address(index, item, entry, kind, &caps)? else {
            return Ok(self.skip(&name, &item.guid, "the peer takes no id long enough".into()));
        };
        if gathering {
            return Ok(Went::Sent);
        }
        let Wire { media_type, data } = wire;
        let (data, base64) = wire_form(self.ex.encoding(), &data);
        head.media_type = media_type;
        head.base64 = base64;
        if !self.open_sync(index, None) {
            return Ok(Went::Full);
        }
        let went = self.object(index, kind, head, &data, tag(index, item, kind));
        match went {
            Went::Sent | Went::Started => {
                if let Some(lookup) = self.core.lookups.get_mut(index) {
                    self.core.batch.map(lookup, records, Seen::AsRecorded);
                }
                self.went(index, kind);
            }
            Went::Full if !self.sent_any && self.ex.version() < Version::V1_1 && self.ex.is_roomy() => {
                return Ok(self.skip(&name, &item.guid, "it fits into no message of the peer".into()));
            }
            _ => {}
        }
        Ok(went)
    }

    fn object(&mut self, index: usize, kind: Kind, head: ObjectHead, data: &Bytes, tag: Vec<u8>) -> Went {
        let Some(store) = self.core.stores.get(index) else { return Went::Skipped };
        match self.ex.send_object(kind.cmd(), head, data, (&store.theirs, &store.ours), tag) {
            Ok(ObjectProgress::Started) => {
                // law 5: it is spooled in wire form, so it may change or vanish meanwhile
                let token = self.core.token.clone();
                let data = data.clone();
                self.core.batch.push(Write::Spool { token, direction: Direction::Out, offset: 0, data });
                Went::Started
            }
            Ok(_) => Went::Sent,
            Err(_) => Went::Full,
        }
    }

    /// The ids of an item on the wire, and what the map remembers of the offer.
    fn address(
        &mut self,
        index: usize,
        item: &Item,
        entry: Option<&Entry>,
        kind: Kind,
        caps: &Caps,
    ) -> Result<Option<(ObjectHead, Vec<idmap::Record>)>, Missing> {
        let mut head = ObjectHead::default();
        let mut records = Vec::new();
        let folders = self.ex.version() >= Version::V1_2 || caps.folders;
        let parent = item.value.parent.as_ref().filter(|_| folders);
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(None) };
        if self.core.side == Side::Client {
            head.source = Some(item.guid.as_str().into());
            head.source_parent = parent.map(|parent| parent.as_str().into());
            return Ok(Some((head, records)));
        }
        if let Some(parent) = parent {
            match lookup.by_guid(&mut self.core.reader, parent)? {
                Some(entry) => match entry.luid() {
                    Some(luid) => head.target_parent = Some(luid.as_str().into()),
                    None => head.source_parent = Some(entry.wire_id().into()),
                },
                None => head.source_parent = Some(parent.as_str().into()),
            }
        }
        match (kind, entry.and_then(Entry::luid)) {
            (Kind::Replace, Some(luid)) => head.target = Some(luid.as_str().into()),
            _ => {
                let max = caps.max_guid_size.map(|size| size as usize);
                let unique = self.core.ids.unique();
                let seen = entry.map_or(0, |entry| entry.seen_rev);
                let generation = lookup.generation;
                match idmap::offer(lookup.view(), generation, &item.guid, max, unique, seen, 0) {
                    Ok((wire, offered)) => {
                        head.source = Some(wire.as_str(&item.guid).into());
                        records = offered;
                    }
                    Err(_) => return Ok(None),
                }
            }
        }
        Ok(Some((head, records)))
    }

    fn open_sync(&mut self, index: usize, number_of_changes: Option<u32>) -> bool {
        if self.open == Some(index) {
            return true;
        }
        let Some(store) = self.core.stores.get_mut(index) else { return false };
        self.ex.close_sync();
        if self.ex.open_sync(&store.theirs, &store.ours, number_of_changes).is_err() {
            return false;
        }
        store.opened = true;
        self.open = Some(index);
        true
    }

    fn went(&mut self, index: usize, kind: Kind) {
        self.sent_any = true;
        if let Some(store) = self.core.stores.get(index) {
            self.core.events.push(Event::Sent { store: store.name.clone(), cmd: kind.cmd() });
        }
    }

    fn skip(&mut self, store: &str, guid: &Guid, reason: String) -> Went {
        self.core.events.push(Event::Skipped { store: store.into(), guid: guid.clone(), reason });
        Went::Skipped
    }
}

fn tag(index: usize, item: &Item, kind: Kind) -> Vec<u8> {
    let store = u8::try_from(index).unwrap_or(u8::MAX);
    Tag::Item { store, guid: item.guid.clone(), rev: item.rev, kind }.to_bytes()
}
