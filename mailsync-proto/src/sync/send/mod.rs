//! Our changes: the walk that sends what the peer has not seen, as much as fits into each message. What becomes of one
//! item: `item`.

mod item;

use super::core::{Core, Side};
use super::event::Event;
use super::state::{Containers, Kind, Retry, Tag};
use super::store::{Changes, Direction, Item, Read, Row, Value, Write};
use super::turn::Missing;
use idmap::{Entry, Guid};
use std::collections::HashSet;
use syncml::StatusCode;
use syncml::session::{Exchange, ObjectProgress};

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
    /// Media types of which it takes single fields.
    pub(crate) field_level: Vec<Box<str>>,
    /// It understands folders although its version has none.
    pub(crate) folders: bool,
    /// It takes sealed items.
    pub(crate) seals: bool,
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
    /// What is asked for would fill the message.
    filled: bool,
    /// What went and is not answered yet: datastore, item, revision.
    awaited: HashSet<(u8, Guid, u64)>,
    /// Containers that went before their turn, in this message.
    announced: HashSet<(usize, Guid)>,
}

/// What becomes of an item under the peer's filter.
enum Judged {
    /// It goes to the peer.
    Goes,
    /// It leaves the peer.
    Leaves,
    /// Nothing.
    Stays,
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
        Sender {
            core,
            ex,
            caps,
            open: None,
            sent_any: false,
            filled: false,
            awaited,
            announced: HashSet::new(),
        }
    }

    /// Sends what fits of every datastore; true when nothing is left to send.
    pub(crate) fn send(mut self) -> Result<bool, Missing> {
        if !self.continue_object()? {
            return Ok(false);
        }
        for (index, caps) in self.caps.iter().enumerate() {
            if let Some(why) = self.core.sealing.hinders(caps.seals) {
                self.core.stop(index, StatusCode::UNSUPPORTED_TYPE, why);
            }
        }
        let waits = |core: &Core<'_, '_>, index: usize| {
            core.stores.get(index).is_some_and(|store| store.is_active() && !store.done)
        };
        for index in (0..self.core.stores.len()).filter(|index| waits(self.core, *index)).collect::<Vec<_>>()
        {
            self.look_ahead(index);
        }
        let (mut done, mut missing) = (true, false);
        for index in 0..self.core.stores.len() {
            if !waits(self.core, index) {
                continue;
            }
            match self.store(index) {
                Ok(Walk::Done) => {}
                Ok(Walk::Later) => {
                    done = false;
                    break;
                }
                // What the next ones need is asked for in the same round, where there may be room for it.
                Err(Missing) => missing = true,
            }
            if missing && self.filled {
                break;
            }
        }
        self.ex.close_sync();
        if missing { Err(Missing) } else { Ok(done) }
    }

    /// Asks for what the walk of a datastore begins with: few rounds for many datastores.
    fn look_ahead(&mut self, index: usize) {
        let Some(store) = self.core.stores.get(index).filter(|store| store.sends(self.core.side)) else {
            return;
        };
        let (name, opened, upto) = (store.name.clone(), store.opened, store.upto);
        let head = self.core.head(&self.core.store_key(&name));
        let (Some(upto), false) = (upto.or(head.ok()), opened) else { return };
        let peer = self.core.peer_key(&name);
        let Some(changes) = self.core.stores.get(index).map(|store| store.changes(&peer, upto)) else {
            return;
        };
        let _ = self.core.reader.read(Read::Count(changes.clone()));
        let _ = self.rows(index, &changes);
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
        let rows = self.rows(index, &changes);
        let number = match count.transpose()? {
            // How many of them go shows on the way.
            Some(Value::Count(count)) if !self.core.is_partial(index) => u32::try_from(*count).ok(),
            _ => None,
        };
        let mut rows = rows?;
        if !opened && !self.open_sync(index, number) {
            return Ok(Walk::Later);
        }
        loop {
            if !self.page(index, &rows)? {
                return Ok(Walk::Later);
            }
            if rows.len() < PAGE as usize && !self.next_pass(index) {
                break;
            }
            rows = self.rows(index, &changes)?;
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

    /// The next rows of the pass that is under way.
    fn rows(&mut self, index: usize, changes: &Changes) -> Result<Vec<Row>, Missing> {
        let Some(store) = self.core.stores.get(index) else { return Ok(Vec::new()) };
        let inclusive = store.filter.as_ref().filter(|filter| filter.inclusive);
        if let Some(luid) = inclusive.and_then(|filter| filter.record.as_ref()?.single_luid()) {
            let luid = luid.to_owned();
            return self.single(index, &luid);
        }
        let (peer, generation) = (changes.peer.clone(), changes.generation);
        let read = match store.live {
            true => Read::Live(peer, generation, store.cursor.clone(), PAGE),
            false => Read::Rows(changes.clone(), store.cursor.clone(), PAGE),
        };
        match self.core.reader.read(read)? {
            Value::Rows(rows) => Ok(rows.clone()),
            _ => Ok(Vec::new()),
        }
    }

    /// The one item that the peer asks for.
    fn single(&mut self, index: usize, luid: &str) -> Result<Vec<Row>, Missing> {
        let Some(key) = self.core.stores.get(index).map(|store| self.core.store_key(&store.name)) else {
            return Ok(Vec::new());
        };
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(Vec::new()) };
        let entry = match idmap::Luid::try_from(luid) {
            Ok(luid) => lookup.by_luid(&mut self.core.reader, &luid)?,
            Err(_) => None,
        };
        let Some(entry) = entry else { return Ok(Vec::new()) };
        let item = self.core.item(&key, &entry.guid)?;
        let row = |item| Row { item, entry: Some(entry) };
        Ok(item.filter(|item| !item.deleted).map(row).into_iter().collect())
    }

    /// Goes on to the next pass over a datastore, if there is one.
    fn next_pass(&mut self, index: usize) -> bool {
        let Some(store) = self.core.stores.get_mut(index) else { return false };
        let inclusive = store.filter.as_ref().is_some_and(|filter| filter.inclusive);
        if store.all && !store.live && !inclusive {
            store.live = true;
        } else if store.containers == Containers::Wait {
            // What was in them has gone before.
            store.live = false;
            store.containers = Containers::Now;
        } else {
            return false;
        }
        store.cursor = Default::default();
        true
    }

    /// Whether nothing of an item changed but the state of what the peer holds. What contains others goes in any case:
    /// they may have been moved into it.
    // mission: M5
    fn is_state(&self, index: usize, item: &Item, entry: Option<&Entry>) -> bool {
        let config = self.core.config(index);
        let container = config.is_some_and(|config| config.collection.is_container(&item.value));
        let held = entry.is_some_and(|entry| {
            let bound = self.core.side == Side::Client || entry.luid().is_some();
            bound && (item.deleted || entry.seen_rev >= item.body_rev)
        });
        container || held
    }

    /// What becomes of an item under the peer's filter.
    fn judge(&mut self, index: usize, item: &Item, entry: Option<&Entry>) -> Result<Judged, Missing> {
        let (Some(store), Some(config)) = (self.core.stores.get(index), self.core.config(index)) else {
            return Ok(Judged::Stays);
        };
        let seen = entry.is_some_and(|entry| entry.seen_rev >= item.rev);
        let Some(filter) = store.filter.clone() else {
            return Ok(if seen { Judged::Stays } else { Judged::Goes });
        };
        let key = self.core.store_key(&store.name);
        let mut body = None;
        if filter.needs_body(&*config.collection) {
            let read = Read::Body(key, item.guid.clone());
            if let Value::Body(found) = self.core.reader.read(read)? {
                body = found.clone();
            }
        }
        let luid = entry.and_then(Entry::luid).map(|luid| luid.as_str());
        let fits = filter.fits(&*config.collection, item, body.as_ref(), luid);
        Ok(match (fits, filter.inclusive, entry) {
            (true, true, _) => Judged::Goes,
            (true, false, _) if !seen => Judged::Goes,
            // spec: session facts section 6: what falls outside is deleted on the device
            (false, false, Some(entry)) if entry.luid().is_some() && !self.core.is_partial(index) => {
                Judged::Leaves
            }
            _ => Judged::Stays,
        })
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
                Ok(Went::Sent) => {
                    let store = u8::try_from(index).unwrap_or(u8::MAX);
                    self.awaited.insert((store, row.item.guid.clone(), row.item.rev));
                    self.pass(index, row);
                }
                Ok(Went::Skipped) => self.pass(index, row),
            }
            if missing {
                // Only gathering now: as much as may fit into this message, so that few rounds are needed.
                let size = usize::try_from(row.item.size).unwrap_or(usize::MAX).saturating_add(ABOUT);
                if size >= room {
                    self.filled = true;
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
        let awaited = (u8::try_from(index).unwrap_or(u8::MAX), item.guid.clone(), item.rev);
        let containers = store.containers;
        if self.core.batch.touches(&key, &item.guid) || self.awaited.contains(&awaited) {
            return Ok(Went::Skipped);
        }
        if self.core.state_only(index) && !self.is_state(index, item, entry.as_ref()) {
            return Ok(Went::Skipped);
        }
        if item.deleted {
            let seen = entry.as_ref().is_some_and(|entry| entry.seen_rev >= item.rev);
            let config = self.core.config(index);
            let container = config.is_some_and(|config| config.collection.is_container(&item.value));
            if container && entry.is_some() && containers != Containers::Now && !gathering {
                if let Some(store) = self.core.stores.get_mut(index) {
                    store.containers = Containers::Wait;
                }
                return Ok(Went::Skipped);
            }
            return Ok(match seen {
                true => Went::Skipped,
                false => self.delete(index, item, entry.as_ref(), Kind::Delete, gathering),
            });
        }
        if containers == Containers::Now {
            return Ok(Went::Skipped);
        }
        match self.judge(index, item, entry.as_ref())? {
            Judged::Stays => Ok(Went::Skipped),
            Judged::Leaves => Ok(self.delete(index, item, entry.as_ref(), Kind::SoftDelete, gathering)),
            Judged::Goes => {
                let parent = self.parent_first(index, &key, item, gathering)?;
                match parent {
                    Went::Sent | Went::Skipped => self.put(index, item, entry.as_ref(), gathering),
                    full => Ok(full),
                }
            }
        }
    }

    fn open_sync(&mut self, index: usize, number_of_changes: Option<u32>) -> bool {
        if self.open == Some(index) {
            return true;
        }
        let Some(store) = self.core.stores.get_mut(index) else { return false };
        self.ex.close_sync();
        let opened = match store.room {
            Some(room) if !store.opened => {
                self.ex.open_sync_with_room(&store.theirs, &store.ours, number_of_changes, room)
            }
            _ => self.ex.open_sync(&store.theirs, &store.ours, number_of_changes),
        };
        if opened.is_err() {
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
