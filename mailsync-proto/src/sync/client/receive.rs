//! Package 4: the server's changes.

use super::super::collection::{Absorbed, Both, Context, Incoming, Stop};
use super::super::core::Side;
use super::super::event::Event;
use super::super::store::{Item, ItemValue, Seen, StoreKey};
use super::super::turn::Missing;
use super::Run;
use idmap::{Entry, Guid, Luid, Record, State, TempId, Wire};
use sha2::{Digest, Sha256};
use syncml::session::{ClientExchange, Received, Slot};
use syncml::{CommandName, StatusCode};

impl Run<'_, '_> {
    /// One change of the server.
    pub(super) fn change(
        &mut self,
        ex: &mut ClientExchange<'_>,
        slot: &Slot,
        received: &Received,
    ) -> Result<(), Missing> {
        let Some(index) = self.current else {
            ex.answer(slot, StatusCode::NOT_FOUND);
            return Ok(());
        };
        self.core.surplus = ex.take_surplus();
        let taken = self.core.stores.get(index).map(|store| (store.takes(Side::Client), store));
        let code = match taken {
            Some((false, store)) => store.not_taking(Side::Client),
            _ => self.apply(index, received)?,
        };
        ex.answer(slot, code);
        let Some(store) = self.core.stores.get_mut(index) else { return Ok(()) };
        if code.is_success() {
            store.received.count(&received.cmd);
        }
        let event = Event::Received { store: store.name.clone(), cmd: received.cmd.clone(), code: code.0 };
        self.core.events.push(event);
        Ok(())
    }

    fn apply(&mut self, index: usize, received: &Received) -> Result<StatusCode, Missing> {
        if received.cmd == CommandName::Copy {
            return Ok(StatusCode::NOT_SUPPORTED);
        }
        let Some(store) = self.core.stores.get(index) else { return Ok(StatusCode::NOT_FOUND) };
        let key = self.core.store_key(&store.name);
        let luid = received.target.as_deref().filter(|text| !text.is_empty());
        let wire = received.source.as_deref().filter(|text| !text.is_empty());
        let guid = match (&received.cmd, luid, wire) {
            (CommandName::Add, _, Some(wire)) => return self.add(index, &key, wire, received),
            (_, Some(luid), _) => Guid::try_from(luid).ok(),
            (_, None, Some(wire)) => self.by_wire(index, wire)?,
            _ => None,
        };
        let Some(guid) = guid else { return Ok(StatusCode::NOT_FOUND) };
        if received.cmd == CommandName::Move {
            return self.relocate(index, &key, &guid, received);
        }
        if received.cmd == CommandName::Delete {
            let code = self.delete(index, &key, &guid, received.soft_delete)?;
            // spec: session facts section 4: what is deleted here is kept nowhere
            let unkept = received.archive && code == StatusCode::OK;
            return Ok(if unkept { StatusCode::DELETED_WITHOUT_ARCHIVE } else { code });
        }
        self.replace(index, &key, &guid, received)
    }

    fn by_wire(&mut self, index: usize, wire: &str) -> Result<Option<Guid>, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(None) };
        Ok(lookup.by_wire(&mut self.core.reader, wire)?.map(|entry| entry.guid))
    }

    /// A new item. Its id derives from the server's, so that the same `Add` again makes the same item.
    fn add(
        &mut self,
        index: usize,
        key: &StoreKey,
        wire: &str,
        received: &Received,
    ) -> Result<StatusCode, Missing> {
        let (guid, existing) = self.local_id(index, key, wire)?;
        let absorbed = match self.absorb(index, key, &guid, existing.as_ref(), received)? {
            Ok(absorbed) => absorbed,
            Err(code) => return Ok(code),
        };
        // What is there under an id of our own (a folder that everyone has) is bound to.
        if existing.is_none() && absorbed.same_as.is_none() && self.compares(index) {
            // The server could not compare what we did not send: we do.
            if let Some(item) = self.core.matching(index, key, &absorbed.value)? {
                return self.pair(index, key, wire, &item, absorbed);
            }
        }
        let (guid, existing) = match &absorbed.same_as {
            Some(own) => match self.core.item(key, own)?.filter(|item| !item.deleted) {
                Some(item) => (own.clone(), Some(item)),
                None => (guid, existing),
            },
            None => (guid, existing),
        };
        let expect = existing.as_ref().map(|item| item.rev);
        let body = absorbed.body.or_else(|| existing.is_none().then(Default::default));
        self.core.batch.put(key, &guid, expect, absorbed.value, body);
        Ok(self.offered(index, guid, wire, Seen::ThisCommit, 0))
    }

    /// Whether items of ours may be those of the server though they were not sent.
    fn compares(&self, index: usize) -> bool {
        let side = Side::Client;
        self.core.stores.get(index).is_some_and(|store| store.mode.is_anew() && !store.sends(side))
    }

    /// The server's item is one of ours.
    fn pair(
        &mut self,
        index: usize,
        key: &StoreKey,
        wire: &str,
        item: &Item,
        absorbed: Absorbed,
    ) -> Result<StatusCode, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
        lookup.by_guid(&mut self.core.reader, &item.guid)?;
        let same = item.value.match_keys.last() == absorbed.value.match_keys.last()
            && self
                .core
                .config(index)
                .is_some_and(|config| config.collection.same_state(&item.value, &absorbed.value));
        if same {
            return Ok(self.offered(index, item.guid.clone(), wire, Seen::AsRecorded, item.rev));
        }
        self.core.batch.put(key, &item.guid, Some(item.rev), absorbed.value, absorbed.body);
        Ok(self.offered(index, item.guid.clone(), wire, Seen::ThisCommit, 0))
    }

    /// The server's id of an item is to be mapped to ours.
    fn offered(&mut self, index: usize, guid: Guid, wire: &str, seen: Seen, rev: u64) -> StatusCode {
        let Some(lookup) = self.core.lookups.get_mut(index) else { return StatusCode::NOT_FOUND };
        let wire = if guid.as_str() == wire {
            Wire::Guid
        } else {
            match TempId::try_from(wire) {
                Ok(temp) => Wire::Temp(temp),
                Err(_) => return StatusCode::BAD_REQUEST,
            }
        };
        let state = State::Pending { wire };
        let entry = Entry { guid, state, generation: lookup.generation, seen_rev: rev, form: 0 };
        self.core.batch.map(lookup, vec![Record::Put(entry)], seen);
        StatusCode::ITEM_ADDED
    }

    /// Our id for an id of the server, and the item that is there already if this `Add` came before.
    fn local_id(
        &mut self,
        index: usize,
        key: &StoreKey,
        wire: &str,
    ) -> Result<(Guid, Option<Item>), Missing> {
        for candidate in candidates(wire) {
            let Some(lookup) = self.core.lookups.get_mut(index) else { break };
            let entry = lookup.by_guid(&mut self.core.reader, &candidate);
            let item = self.core.item(key, &candidate);
            let (entry, item) = (entry?, item?);
            let Some(item) = item else { return Ok((candidate, None)) };
            // A refresh overwrites what it finds.
            let free = entry.is_none() && !self.core.batch.touches(key, &candidate);
            if free && self.core.stores.get(index).is_some_and(|store| store.mode.empties(Side::Client)) {
                return Ok((candidate, Some(item)));
            }
            let again = entry
                .is_some_and(|entry| matches!(entry.state, State::Pending { .. }) && entry.wire_id() == wire);
            if again || (item.deleted && !self.core.batch.touches(key, &candidate)) {
                return Ok((candidate, Some(item)));
            }
        }
        Ok((self.core.ids.guid(), None))
    }

    fn replace(
        &mut self,
        index: usize,
        key: &StoreKey,
        guid: &Guid,
        received: &Received,
    ) -> Result<StatusCode, Missing> {
        let item = self.core.item(key, guid)?;
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
        let entry = lookup.by_guid(&mut self.core.reader, guid)?;
        let live = item.as_ref().filter(|item| !item.deleted);
        let absorbed = match self.absorb(index, key, guid, live, received)? {
            Ok(absorbed) => absorbed,
            Err(code) => return Ok(code),
        };
        let expect = item.as_ref().map(|item| item.rev);
        if self.is_kept(index, item.as_ref(), entry.as_ref()) {
            return Ok(StatusCode::CONFLICT);
        }
        let pending = live.filter(|item| entry.as_ref().is_some_and(|entry| item.rev > entry.seen_rev));
        let (value, taken) = match (pending, self.core.config(index)) {
            // mission: M5: a pending change of ours is not undone by the server's older state
            (Some(item), Some(config)) if absorbed.body.is_none() => {
                let seen = entry.as_ref().map(|entry| entry.seen_rev);
                let both = Both { ours: item, theirs: &absorbed.value, seen, server: false };
                let merged = config.collection.merge(&both);
                let taken = config.collection.same_state(&merged, &absorbed.value);
                (merged, taken)
            }
            _ => (absorbed.value, true),
        };
        let added = live.is_none();
        let body = if added { Some(absorbed.body.unwrap_or_default()) } else { absorbed.body };
        self.core.batch.put(key, guid, expect, value, body);
        if taken {
            let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
            let state = match (entry.map(|entry| entry.state), Luid::try_from(guid.as_str())) {
                (Some(state), _) => state,
                (None, Ok(luid)) => State::Bound { luid, wire: Wire::Guid },
                (None, Err(_)) => return Ok(StatusCode::BAD_REQUEST),
            };
            let generation = lookup.generation;
            let entry = Entry { guid: guid.clone(), state, generation, seen_rev: 0, form: 0 };
            self.core.batch.map(lookup, vec![Record::Put(entry)], Seen::ThisCommit);
        }
        Ok(if added { StatusCode::ITEM_ADDED } else { StatusCode::OK })
    }

    /// Whether an item has a change of ours that does not go in this session: it stays until a sync that sends.
    fn is_kept(&self, index: usize, item: Option<&Item>, entry: Option<&Entry>) -> bool {
        let Some(store) = self.core.stores.get(index) else { return false };
        let waits = !store.sends(Side::Client) && !store.mode.is_anew();
        let touched =
            item.is_some_and(|item| self.core.batch.touches(&self.core.store_key(&store.name), &item.guid));
        let changed = match (item, entry) {
            (Some(item), Some(entry)) => item.rev > entry.seen_rev,
            _ => false,
        };
        waits && changed && !touched
    }

    /// The server puts an item into another container.
    fn relocate(
        &mut self,
        index: usize,
        key: &StoreKey,
        guid: &Guid,
        received: &Received,
    ) -> Result<StatusCode, Missing> {
        let item = self.core.item(key, guid);
        let parent = self.named_parent(index, received);
        let (Some(item), parent) = (item?.filter(|item| !item.deleted), parent?) else {
            return Ok(StatusCode::MOVE_FAILED);
        };
        let root = received.target_parent.as_deref().or(received.source_parent.as_deref()) == Some("/");
        let there = match &parent {
            Some(parent) => self.core.item(key, parent)?.is_some_and(|parent| !parent.deleted),
            None => root,
        };
        if !there {
            return Ok(StatusCode::MOVE_FAILED);
        }
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
        let Some(entry) = lookup.by_guid(&mut self.core.reader, guid)? else {
            return Ok(StatusCode::MOVE_FAILED);
        };
        let pending = item.rev > entry.seen_rev;
        let value = ItemValue { parent, ..item.value };
        self.core.batch.put(key, guid, Some(item.rev), value, None);
        if !pending {
            let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
            self.core.batch.map(lookup, vec![Record::Put(entry)], Seen::ThisCommit);
        }
        Ok(StatusCode::OK)
    }

    /// The container that the server names by our id, or by its own while our Map has not reached it.
    fn named_parent(&mut self, index: usize, received: &Received) -> Result<Option<Guid>, Missing> {
        match (&received.target_parent, &received.source_parent) {
            (Some(luid), _) => Ok(Guid::try_from(&**luid).ok()),
            (None, Some(wire)) => self.by_wire(index, wire),
            (None, None) => Ok(None),
        }
    }

    fn delete(
        &mut self,
        index: usize,
        key: &StoreKey,
        guid: &Guid,
        soft: bool,
    ) -> Result<StatusCode, Missing> {
        let item = self.core.item(key, guid)?;
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
        let entry = lookup.by_guid(&mut self.core.reader, guid)?;
        let (view, generation) = (lookup.view().clone(), lookup.generation);
        if self.is_kept(index, item.as_ref().filter(|item| !item.deleted), entry.as_ref()) {
            return Ok(StatusCode::CONFLICT);
        }
        let changed = item.as_ref().is_some_and(|item| {
            !item.deleted && entry.as_ref().is_some_and(|entry| item.rev > entry.seen_rev)
        });
        if soft && changed && !self.core.batch.touches(key, guid) {
            return Ok(StatusCode::SOFT_DELETE_CONFLICT);
        }
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
        let records = idmap::forget(&view, generation, guid);
        self.core.batch.map(lookup, records, Seen::AsRecorded);
        match item.filter(|item| !item.deleted) {
            Some(item) => {
                self.core.batch.delete(key, guid, item.rev);
                Ok(StatusCode::OK)
            }
            None => Ok(StatusCode::NOT_DELETED),
        }
    }

    fn absorb(
        &mut self,
        index: usize,
        key: &StoreKey,
        guid: &Guid,
        existing: Option<&Item>,
        received: &Received,
    ) -> Result<Result<Absorbed, StatusCode>, Missing> {
        let Some(config) = self.core.config(index) else { return Ok(Err(StatusCode::NOT_FOUND)) };
        if self.core.is_half(index, received) {
            return Ok(Err(StatusCode::NOT_SUPPORTED));
        }
        let data = match self.core.payload(&received.payload, received.format.as_deref())? {
            Ok(data) => data,
            Err(code) => return Ok(Err(code)),
        };
        let id = received.target.as_deref().or(received.source.as_deref()).unwrap_or_default();
        let (media_type, data) = match self.core.unsealed(Some(index), id, &received.media_type, data) {
            Ok(opened) => opened,
            Err(code) => return Ok(Err(code)),
        };
        let parent = self.named_parent(index, received)?;
        let incoming = Incoming {
            media_type: &media_type,
            data: &data,
            parent: parent.as_ref(),
            existing: existing.filter(|item| !item.deleted),
            guid,
            server: false,
            peer_id: received.source.as_deref(),
        };
        let mut cx = Context::new(key, "", self.core.at.now, &mut self.core.reader)
            .with_pending(self.core.batch.writes());
        match config.collection.absorb(&mut cx, &incoming) {
            Ok(absorbed) => Ok(Ok(absorbed)),
            Err(Stop::Missing(missing)) => Err(missing),
            Err(Stop::Refuse(code, reason)) => {
                self.core.events.push(Event::Oddity(format!("{} {guid}: {reason}", config.name)));
                Ok(Err(code))
            }
        }
    }
}

/// Ids that an id of the server may get here: itself where it can be a file name, else a hash.
fn candidates(wire: &str) -> impl Iterator<Item = Guid> {
    let safe = (1..=64).contains(&wire.len())
        && !wire.starts_with('.')
        && wire.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let own = safe.then(|| Guid::unvalidated(wire));
    let wire = wire.to_owned();
    let hashed = (0u8..8).map(move |salt| {
        let digest = Sha256::new().chain_update([salt]).chain_update(&wire).finalize();
        let hex: String = digest.iter().take(13).map(|byte| format!("{byte:02x}")).collect();
        Guid::unvalidated(hex)
    });
    own.into_iter().chain(hashed)
}
