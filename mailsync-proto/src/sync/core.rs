//! What a turn of either side works with.

use super::batch::Batch;
use super::collection::Collection;
use super::event::{ConflictRule, DeletionRule, Event, Mode};
use super::filter::Filter;
use super::ids::Ids;
use super::lookup::Lookup;
use super::savepoint::Savepoint;
use super::seal::{self, Sealer, Sealing};
use super::state::{Kind, Outcome, Resume, Retry, StoreSync, Tag};
use super::store::{Direction, Found, Item, PeerKey, Read, Seen, StoreKey, Value, Write};
use super::turn::{Missing, Moment, Reader};
use bytes::{Bytes, BytesMut};
use idmap::Guid;
use std::borrow::Cow;
use std::sync::Arc;
use syncml::StatusCode;
use syncml::session::Payload;

/// A datastore that this side offers.
#[derive(Clone)]
pub struct StoreConfig {
    /// Its name, without `./`.
    pub name: Box<str>,
    /// Other names that peers use for it.
    pub aliases: Vec<Box<str>>,
    /// What its items are.
    pub collection: Arc<dyn Collection>,
    /// What becomes of an item that both sides changed.
    pub conflict: ConflictRule,
    /// What becomes of one that one side deleted and the other changed.
    pub deletions: DeletionRule,
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreConfig")
            .field("name", &self.name)
            .field("conflict", &self.conflict)
            .finish_non_exhaustive()
    }
}

impl StoreConfig {
    /// A datastore without other names, of which the server's version stays in a conflict.
    pub fn new(name: &str, collection: Arc<dyn Collection>) -> Self {
        let (conflict, deletions) = (ConflictRule::ServerWins, DeletionRule::ByKind);
        StoreConfig { name: name.into(), aliases: Vec::new(), collection, conflict, deletions }
    }

    /// Whether a deletion beats a change.
    pub(crate) fn deletion_wins(&self) -> bool {
        match self.deletions {
            DeletionRule::ByKind => self.collection.delete_beats_edit(),
            DeletionRule::EditWins => false,
            DeletionRule::DeletionWins => true,
        }
    }

    /// Whether a path names this datastore: with or without `./`, a `?` part does not count.
    pub(crate) fn is_named(&self, path: &str) -> bool {
        let name = plain_name(path);
        name.eq_ignore_ascii_case(&self.name)
            || self.aliases.iter().any(|alias| name.eq_ignore_ascii_case(alias))
    }
}

/// A datastore path without `./` and `?` part.
pub(crate) fn plain_name(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    path.trim_start_matches("./").trim_matches('/')
}

/// Which side a turn is on: the server knows GUIDs and maps them, the client's ids are the LUIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        }
    }
}

/// A turn at work.
pub(crate) struct Core<'a, 'f> {
    pub(crate) side: Side,
    pub(crate) at: Moment,
    pub(crate) configs: &'a [StoreConfig],
    pub(crate) reader: Reader<'f>,
    pub(crate) batch: Batch,
    pub(crate) ids: Ids,
    pub(crate) events: Vec<Event>,
    /// Whose data; empty on a client.
    pub(crate) user: Box<str>,
    /// The peer: a device on the server's side, the server on the client's.
    pub(crate) device: Box<str>,
    /// The session's token.
    pub(crate) token: Box<str>,
    pub(crate) stores: Vec<StoreSync>,
    pub(crate) lookups: Vec<Lookup>,
    /// What came twice of the object that is being read.
    pub(crate) surplus: Option<(u64, Vec<(u64, u64)>)>,
    /// Where spooled octets are found in this turn: they may be about to move to this session.
    pub(crate) spool_from: Box<str>,
    /// Candidates of a slow sync that this turn has used up.
    pub(crate) used: Vec<super::matching::Used>,
    /// On a client: the server knows our extensions.
    pub(crate) extended: bool,
    /// How items travel.
    pub(crate) sealing: Sealing,
    /// What an open `Atomic` may return to.
    pub(crate) before_atomic: Option<Box<Savepoint>>,
}

impl<'a, 'f> Core<'a, 'f> {
    pub(crate) fn new(side: Side, at: Moment, configs: &'a [StoreConfig], found: &'f Found) -> Self {
        Core {
            side,
            at,
            configs,
            reader: Reader::new(found),
            batch: Batch::default(),
            ids: Ids::new(at.entropy),
            events: Vec::new(),
            user: Box::default(),
            device: Box::default(),
            token: Box::default(),
            stores: Vec::new(),
            lookups: Vec::new(),
            spool_from: Box::default(),
            surplus: None,
            used: Vec::new(),
            extended: false,
            sealing: Sealing::Clear,
            before_atomic: None,
        }
    }

    /// What came for an item, opened if it was sealed: its type and the object. Refused, it stops its datastore: nothing of the sync
    /// counts, so that nothing is lost when both sides agree again.
    pub(crate) fn unsealed<'t>(
        &mut self,
        index: Option<usize>,
        id: &str,
        media_type: &'t str,
        data: Bytes,
    ) -> Result<(Cow<'t, str>, Bytes), StatusCode> {
        let is_sealed = media_type.eq_ignore_ascii_case(seal::MEDIA_TYPE);
        let sealer = match self.side {
            Side::Client => Sealer::Server,
            Side::Server => Sealer::Client,
        };
        let (code, why) = match &self.sealing {
            Sealing::Clear if !is_sealed => return Ok((media_type.into(), data)),
            Sealing::With(key) if is_sealed => match key.open(sealer, id, &data) {
                Ok((media_type, data)) => return Ok((String::from(media_type).into(), data)),
                Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            },
            _ if is_sealed => (StatusCode::UNSUPPORTED_TYPE, "an item is sealed, and there is no key".into()),
            _ => (StatusCode::FORBIDDEN, "an item is not sealed, and must be".into()),
        };
        match index {
            Some(index) => self.stop(index, code, &why),
            None => self.events.push(Event::Oddity(why)),
        }
        Err(code)
    }

    /// Ends the sync of a datastore; nothing of it counts.
    pub(crate) fn stop(&mut self, index: usize, code: StatusCode, why: &str) {
        let Some(store) = self.stores.get_mut(index).filter(|store| store.is_active()) else { return };
        store.fail(code);
        let name = store.name.clone();
        self.events.push(Event::Oddity(format!("{name}: {why}")));
        self.events.push(Event::StoreRefused { store: name, code: code.0 });
    }

    /// Takes up the datastores of a session.
    pub(crate) fn take_stores(&mut self, stores: Vec<StoreSync>) {
        for store in stores {
            self.add_store(store);
        }
    }

    /// Adds a datastore to the session.
    pub(crate) fn add_store(&mut self, store: StoreSync) {
        self.lookups.push(Lookup::new(self.peer_key(&store.name), store.generation));
        self.stores.push(store);
    }

    /// The map of a datastore as its state now says.
    pub(crate) fn refresh_lookup(&mut self, index: usize) {
        let Some(store) = self.stores.get(index) else { return };
        let lookup = Lookup::new(self.peer_key(&store.name), store.generation);
        if let Some(old) = self.lookups.get_mut(index) {
            *old = lookup;
        }
    }

    pub(crate) fn store_key(&self, name: &str) -> StoreKey {
        StoreKey { user: self.user.clone(), datastore: name.into() }
    }

    pub(crate) fn peer_key(&self, name: &str) -> PeerKey {
        PeerKey { store: self.store_key(name), device: self.device.clone() }
    }

    pub(crate) fn config(&self, index: usize) -> Option<&'a StoreConfig> {
        let name = &self.stores.get(index)?.name;
        self.configs.iter().find(|config| config.name == *name)
    }

    /// Whether only the state of what both sides hold is synced.
    // mission: M5
    pub(crate) fn state_only(&self, index: usize) -> bool {
        let (Some(store), Some(config)) = (self.stores.get(index), self.config(index)) else { return false };
        let collection = &*config.collection;
        match (&store.filter, &store.asks) {
            (Some(filter), _) => filter.is_state(collection),
            (None, Some(asks)) => {
                Filter::parse(asks, collection).is_ok_and(|filter| filter.is_state(collection))
            }
            (None, None) => false,
        }
    }

    /// Whether some of what changed does not go in this session and waits for another one.
    pub(crate) fn is_partial(&self, index: usize) -> bool {
        let scope =
            self.stores.get(index).and_then(|store| store.filter.as_ref()).is_some_and(Filter::is_scope);
        scope || self.state_only(index)
    }

    /// A slow sync of a datastore begins.
    pub(crate) fn begin_slow(&mut self, index: usize, why: super::event::WhySlow) {
        // Only a refresh reads rows.
        let _ = self.begin_anew(index, Mode::Slow, Some(why));
    }

    /// A datastore is synced anew: its generation is taken at once, so that no other attempt uses it.
    pub(crate) fn begin_anew(
        &mut self,
        index: usize,
        mode: Mode,
        why: Option<super::event::WhySlow>,
    ) -> Result<(), Missing> {
        let Some(name) = self.stores.get(index).map(|store| store.name.clone()) else { return Ok(()) };
        let head = if mode.empties(self.side) { Some(self.head(&self.store_key(&name))?) } else { None };
        let Some(store) = self.stores.get_mut(index) else { return Ok(()) };
        store.anew(mode, why);
        if let Some(head) = head {
            store.sweep_upto(head);
        }
        let (name, base, generation) = (store.name.clone(), store.base.clone(), store.generation);
        let peer = self.peer_key(&name);
        self.batch.push(Write::PutPeer(peer.clone(), base));
        if let Some(lookup) = self.lookups.get_mut(index) {
            *lookup = Lookup::new(peer, generation);
        }
        Ok(())
    }

    /// An item as this turn sees it.
    pub(crate) fn item(&mut self, store: &StoreKey, guid: &Guid) -> Result<Option<Item>, Missing> {
        let read = match self.reader.read(Read::Item(store.clone(), guid.clone()))? {
            Value::Item(item) => item.clone(),
            _ => None,
        };
        Ok(self.batch.current(store, guid, read))
    }

    pub(crate) fn head(&mut self, store: &StoreKey) -> Result<u64, Missing> {
        match self.reader.read(Read::Head(store.clone()))? {
            Value::Rev(rev) => Ok(*rev),
            _ => Ok(0),
        }
    }

    pub(crate) fn spool(&mut self, direction: Direction, offset: u64, len: u64) -> Result<Bytes, Missing> {
        let token = if self.spool_from.is_empty() { &self.token } else { &self.spool_from };
        let read = Read::Spool { token: token.clone(), direction, offset, len };
        match self.reader.read(read)? {
            Value::Body(body) => Ok(body.clone().unwrap_or_default()),
            _ => Ok(Bytes::new()),
        }
    }

    /// Whether only fields of an item came, where the others would be lost.
    // spec: session facts section 4, FieldLevel
    pub(crate) fn is_half(&self, index: usize, received: &syncml::session::Received) -> bool {
        received.field_level
            && self.config(index).is_some_and(|config| !config.collection.takes_field_level())
    }

    /// The octets of an item that came; a spooled one is put together, its spool is done with.
    pub(crate) fn payload(
        &mut self,
        payload: &Payload,
        format: Option<&str>,
    ) -> Result<Result<Bytes, StatusCode>, Missing> {
        let wire = match payload {
            Payload::None => Bytes::new(),
            Payload::Whole(data) => data.clone(),
            Payload::Spooled { offset, tail } => {
                let head = self.spool(Direction::In, 0, *offset)?;
                self.batch.push(Write::ClearSpool(self.token.clone(), Direction::In));
                if head.len() as u64 != *offset {
                    return Ok(Err(StatusCode::SIZE_MISMATCH));
                }
                let mut whole = BytesMut::from(&head[..]);
                whole.extend_from_slice(tail);
                match &self.surplus {
                    None => whole.freeze(),
                    Some((surplus, places)) => match super::resume::cut(&whole, *surplus, places) {
                        Some(whole) => whole,
                        None => return Ok(Err(StatusCode::SIZE_MISMATCH)),
                    },
                }
            }
        };
        Ok(syncml::session::payload(format, wire))
    }

    pub(crate) fn spool_chunk(&mut self, offset: u64, data: Bytes) {
        let token = self.token.clone();
        self.batch.push(Write::Spool { token, direction: Direction::In, offset, data });
    }

    pub(crate) fn drop_chunks(&mut self) {
        self.batch.push(Write::ClearSpool(self.token.clone(), Direction::In));
    }

    /// The peer answered an item that we sent.
    pub(crate) fn item_answered(
        &mut self,
        index: usize,
        guid: &Guid,
        rev: u64,
        kind: Kind,
        code: StatusCode,
    ) -> Result<(), Missing> {
        let (Some(store), Some(lookup)) = (self.stores.get_mut(index), self.lookups.get_mut(index)) else {
            return Ok(());
        };
        let entry = lookup.by_guid(&mut self.reader, guid)?;
        let generation = store.generation;
        let outcome = Outcome::of(code);
        // spec: session facts section 7: the peer lacks the earlier part of it
        let half = matches!(
            code,
            StatusCode::PARTIAL_ITEM_REFUSED | StatusCode::SIZE_MISMATCH | StatusCode::INCOMPLETE
        );
        if half && store.resume == Resume::Accepted && store.retry == Retry::No {
            store.retry = Retry::Wanted;
            store.done = false;
            store.not_taken(rev);
            return Ok(());
        }
        // spec: session facts section 4: by these a peer says that it had changed the item too
        let conflict = matches!(
            code,
            StatusCode::CONFLICT_MERGED
                | StatusCode::CONFLICT_CLIENT_WON
                | StatusCode::CONFLICT_DUPLICATED
                | StatusCode::CONFLICT_SERVER_WON
                | StatusCode::CONFLICT
        );
        if conflict {
            let store = store.name.clone();
            self.events.push(Event::Conflict { store, guid: guid.clone(), code: code.0 });
        }
        let gone = matches!(kind, Kind::Delete | Kind::SoftDelete);
        // The rest is kept for later.
        store.full |= code == StatusCode::DEVICE_FULL && kind == Kind::Add;
        let taken = outcome == Outcome::Taken || (outcome == Outcome::Unknown && gone);
        if taken {
            store.sent.count(&kind.cmd());
        } else {
            self.events.push(Event::Refused { store: store.name.clone(), guid: guid.clone(), code: code.0 });
        }
        let records = match (kind, outcome) {
            (_, Outcome::Later) | (Kind::Add, Outcome::Unknown) => {
                store.not_taken(rev);
                return Ok(());
            }
            (Kind::Delete | Kind::SoftDelete, _) => idmap::forget(lookup.view(), generation, guid),
            (Kind::Replace, Outcome::Unknown) => {
                store.not_taken(rev);
                idmap::forget(lookup.view(), generation, guid)
            }
            _ if entry.is_some() => idmap::seen(lookup.view(), generation, guid, rev, 0).unwrap_or_default(),
            // A client's own item: its id is the LUID.
            _ => match idmap::Luid::try_from(guid.as_str()) {
                Ok(luid) if self.side == Side::Client => {
                    idmap::adopt(lookup.view(), generation, &luid, guid, rev, 0).unwrap_or_default()
                }
                _ => Vec::new(),
            },
        };
        self.batch.map(lookup, records, Seen::AsRecorded);
        Ok(())
    }

    /// Stores the sync point of every datastore that was synced, of those that are wanted.
    pub(crate) fn complete(&mut self, awaited: &[Tag], wanted: impl Fn(&StoreSync) -> bool) {
        for tag in awaited {
            if let Tag::Item { store, rev, .. } = tag
                && let Some(store) = self.stores.get_mut(usize::from(*store))
            {
                store.not_taken(*rev);
            }
        }
        let side = self.side;
        for index in 0..self.stores.len() {
            let partial = self.is_partial(index);
            let Some(store) = self.stores.get_mut(index) else { continue };
            if !store.is_active() || store.completed || !wanted(store) {
                continue;
            }
            let Some(peer) = store.completed(side, partial) else { continue };
            store.completed = true;
            let store = store.clone();
            let key = self.peer_key(&store.name);
            if store.generation != store.base.generation {
                let record = idmap::switch_generation(store.generation);
                self.batch.push(Write::Map(key.clone(), record, Seen::AsRecorded));
            }
            self.batch.push(Write::PutPeer(key, peer));
            self.events.push(Event::Completed {
                store: store.name.clone(),
                mode: store.mode,
                received: store.received,
                sent: store.sent,
            });
        }
    }
}
