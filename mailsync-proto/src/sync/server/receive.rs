//! Package 3 and after: the client's changes, and its answers to ours.

use super::super::collection::{Absorbed, Context, Incoming, Stop};
use super::super::core::Side;
use super::super::event::{Event, Mode};
use super::super::state::{Resume, StoreSync, Tag};
use super::super::store::{Direction, Item, ItemValue, Read, Seen, StoreKey, Value, Write};
use super::super::turn::Missing;
use super::Run;
use bytes::Bytes;
use idmap::{Entry, Guid, Luid};
use syncml::session::{Package, Received, ServerExchange, Slot};
use syncml::{CommandName, StatusCode};

/// An item that came, and where it belongs.
pub(super) struct Arrival<'r> {
    pub(super) index: usize,
    pub(super) key: StoreKey,
    pub(super) luid: Luid,
    pub(super) cmd: CommandName,
    pub(super) media_type: &'r str,
    pub(super) data: Bytes,
    pub(super) parent: Option<Guid>,
}

impl Run<'_, '_> {
    pub(super) fn find(&self, target: &str) -> Option<usize> {
        let config = self.config.stores.iter().find(|store| store.is_named(target))?;
        self.core.stores.iter().position(|store| store.name == config.name)
    }

    /// Changes of a datastore follow.
    pub(super) fn sync(
        &mut self,
        ex: &mut ServerExchange<'_>,
        slot: &Slot,
        target: &str,
        source: &str,
        changes: Option<u32>,
    ) {
        if ex.package() == Package::Alerts {
            // What is in the first package was chosen before it was known how to sync.
            let other = |store: &StoreSync| store.resume == Resume::No && store.mode != store.wanted;
            if self.core.stores.iter().any(|store| store.is_active() && other(store)) {
                self.current = None;
                ex.answer(slot, StatusCode::REFRESH_REQUIRED);
                return;
            }
            ex.combine();
        }
        // quirk: Sony Ericsson C510 leaves the Target empty (facts §3, traps).
        self.current = self.find(if target.is_empty() { source } else { target });
        let active = self.current.and_then(|index| self.core.stores.get_mut(index)).filter(|s| s.is_active());
        let Some(store) = active else {
            ex.answer(slot, StatusCode::NOT_FOUND);
            return;
        };
        if store.theirs.is_empty() {
            store.theirs = source.into();
        }
        if let Some(changes) = changes {
            self.core.events.push(Event::Announced { store: store.name.clone(), changes });
        }
        ex.answer(slot, StatusCode::OK);
    }

    /// One change of the client.
    pub(super) fn change(
        &mut self,
        ex: &mut ServerExchange<'_>,
        slot: &Slot,
        received: &Received,
    ) -> Result<(), Missing> {
        let Some(index) = self.current else {
            ex.answer(slot, StatusCode::NOT_FOUND);
            return Ok(());
        };
        self.core.surplus = ex.take_surplus();
        if received.cmd == CommandName::Delete
            && self.core.before_atomic.is_none()
            && self.is_filled(index, received)?
        {
            self.deferred.push((slot.clone(), index, received.clone()));
            return Ok(());
        }
        let taken = self.core.stores.get(index).map(|store| (store.takes(Side::Server), store));
        let code = match taken {
            Some((false, store)) => store.not_taking(Side::Server),
            _ => self.apply(index, received)?,
        };
        self.done(ex, slot, index, received, code);
        Ok(())
    }

    /// A change has its status.
    pub(super) fn done(
        &mut self,
        ex: &mut ServerExchange<'_>,
        slot: &Slot,
        index: usize,
        received: &Received,
        code: StatusCode,
    ) {
        ex.answer(slot, code);
        let Some(store) = self.core.stores.get_mut(index) else { return };
        if code.is_success() {
            store.received.count(&received.cmd);
        }
        let event = Event::Received { store: store.name.clone(), cmd: received.cmd.clone(), code: code.0 };
        self.core.events.push(event);
    }

    pub(super) fn apply(&mut self, index: usize, received: &Received) -> Result<StatusCode, Missing> {
        // Client to server: the LUID is the source. Some clients name it as target.
        let luid = received.source.as_deref().or(received.target.as_deref()).unwrap_or_default();
        let Ok(luid) = Luid::try_from(luid) else { return Ok(StatusCode::BAD_REQUEST) };
        let Some(store) = self.core.stores.get(index) else { return Ok(StatusCode::NOT_FOUND) };
        let key = self.core.store_key(&store.name);
        match received.cmd {
            CommandName::Delete if received.soft_delete => return self.soft_delete(index, &key, &luid),
            CommandName::Delete => return self.delete(index, &key, &luid, received.archive),
            CommandName::Copy => return self.copy(index, &key, &luid, received),
            CommandName::Move => return self.relocate(index, &key, &luid, received),
            _ => {}
        }
        if self.core.is_half(index, received) {
            return Ok(StatusCode::NOT_SUPPORTED);
        }
        let data = match self.core.payload(&received.payload, received.format.as_deref())? {
            Ok(data) => data,
            Err(code) => return Ok(code),
        };
        let parent = self.parent(index, received)?;
        let opened = self.core.unsealed(Some(index), luid.as_str(), &received.media_type, data);
        let (media_type, data) = match opened {
            Ok(opened) => opened,
            Err(code) => return Ok(code),
        };
        let (cmd, media_type) = (received.cmd.clone(), &*media_type);
        self.put(&Arrival { index, key, luid, cmd, media_type, data, parent })
    }

    /// The folder of an item: its LUID as the client says it, or our own id.
    pub(super) fn parent(&mut self, index: usize, received: &Received) -> Result<Option<Guid>, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(None) };
        if let Some(luid) = received.source_parent.as_deref().and_then(|text| Luid::try_from(text).ok()) {
            let entry = lookup.by_luid(&mut self.core.reader, &luid)?;
            return Ok(entry.map(|entry| entry.guid));
        }
        match &received.target_parent {
            Some(text) => Ok(lookup.by_wire(&mut self.core.reader, text)?.map(|entry| entry.guid)),
            None => Ok(None),
        }
    }

    fn put(&mut self, arrival: &Arrival<'_>) -> Result<StatusCode, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(arrival.index) else { return Ok(StatusCode::NOT_FOUND) };
        let entry = lookup.by_luid(&mut self.core.reader, &arrival.luid)?;
        let item = match &entry {
            Some(entry) => self.core.item(&arrival.key, &entry.guid)?,
            None => None,
        };
        match (entry, item) {
            (Some(entry), Some(item)) => self.replace(arrival, &entry, &item),
            _ => self.add(arrival),
        }
    }

    /// An item that this client has not mapped.
    fn add(&mut self, arrival: &Arrival<'_>) -> Result<StatusCode, Missing> {
        let guid = self.core.ids.guid();
        let absorbed = match self.absorb(arrival, &guid, None)? {
            Ok(absorbed) => absorbed,
            Err(code) => return Ok(code),
        };
        let Some(store) = self.core.stores.get(arrival.index) else { return Ok(StatusCode::NOT_FOUND) };
        let (slow, refresh) = (store.mode.is_anew(), store.mode == Mode::RefreshFromClient);
        let same = match &absorbed.same_as {
            Some(guid) => self.core.item(&arrival.key, guid)?,
            None if slow => self.core.matching(arrival.index, &arrival.key, &absorbed.value)?,
            None => None,
        };
        match same {
            // What it sets off (a draft that is now to be sent) it does as a change of that item.
            Some(item) if !absorbed.effects.is_empty() => return self.pair_with_effects(arrival, &item),
            // The client may hold it in another state: it is told ours.
            Some(item) if absorbed.same_as.is_some() && item.value.rank > 0 => {
                return self.pair_and_tell(arrival, &item);
            }
            Some(item) if refresh => return self.overwrite(arrival, &item, absorbed),
            Some(item) => return self.pair(arrival, &item, &absorbed.value),
            None => {}
        }
        if let Some((code, reason)) = absorbed.unless_matched {
            if slow && let Some(item) = self.deleted_meanwhile(arrival)? {
                return self.pair_with_deleted(arrival, &item);
            }
            self.oddity(arrival.index, &arrival.luid, &reason);
            return Ok(code);
        }
        self.core.batch.put(
            &arrival.key,
            &guid,
            None,
            absorbed.value,
            Some(absorbed.body.unwrap_or_default()),
        );
        absorbed.effects.into_iter().for_each(|write| self.core.batch.push(write));
        let seen = if absorbed.tell_back { Seen::AsRecorded } else { Seen::ThisCommit };
        self.walk_again(arrival.index, absorbed.tell_back);
        Ok(self.bind(arrival, &guid, seen, 0, StatusCode::ITEM_ADDED))
    }

    /// Binds an item to the client's LUID, if the map allows it.
    pub(super) fn bind(
        &mut self,
        arrival: &Arrival<'_>,
        guid: &Guid,
        seen: Seen,
        rev: u64,
        code: StatusCode,
    ) -> StatusCode {
        let Some(lookup) = self.core.lookups.get_mut(arrival.index) else { return StatusCode::NOT_FOUND };
        match idmap::adopt(lookup.view(), lookup.generation, &arrival.luid, guid, rev, 0) {
            Ok(records) => {
                self.core.batch.map(lookup, records, seen);
                code
            }
            Err(error) => {
                self.core.events.push(Event::Oddity(error.to_string()));
                StatusCode::ALREADY_EXISTS
            }
        }
    }

    /// The client's item is one of ours: they become one, and what differs is merged.
    fn pair(
        &mut self,
        arrival: &Arrival<'_>,
        item: &Item,
        theirs: &ItemValue,
    ) -> Result<StatusCode, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(arrival.index) else { return Ok(StatusCode::NOT_FOUND) };
        lookup.by_guid(&mut self.core.reader, &item.guid)?;
        let code = if arrival.cmd == CommandName::Add { StatusCode::ITEM_ADDED } else { StatusCode::OK };
        if self.same_state(arrival.index, &item.value, theirs) {
            return Ok(self.bind(arrival, &item.guid, Seen::AsRecorded, item.rev, code));
        }
        let merged = self.merge(arrival.index, item, theirs, None);
        let taken = self.same_state(arrival.index, &merged, theirs);
        let (seen, rev) = if taken { (Seen::ThisCommit, 0) } else { (Seen::AsRecorded, item.body_rev) };
        let code = self.bind(arrival, &item.guid, seen, rev, code);
        if code != StatusCode::ALREADY_EXISTS {
            self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), merged, None);
            self.walk_again(arrival.index, !taken);
        }
        Ok(code)
    }

    /// In a refresh the client's item takes the place of its like.
    fn overwrite(
        &mut self,
        arrival: &Arrival<'_>,
        item: &Item,
        absorbed: Absorbed,
    ) -> Result<StatusCode, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(arrival.index) else { return Ok(StatusCode::NOT_FOUND) };
        lookup.by_guid(&mut self.core.reader, &item.guid)?;
        let same = self.same_state(arrival.index, &item.value, &absorbed.value)
            && item.value.match_keys.last() == absorbed.value.match_keys.last();
        if same {
            return Ok(self.bind(arrival, &item.guid, Seen::AsRecorded, item.rev, StatusCode::ITEM_ADDED));
        }
        let code = self.bind(arrival, &item.guid, Seen::ThisCommit, 0, StatusCode::ITEM_ADDED);
        if code != StatusCode::ALREADY_EXISTS {
            self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), absorbed.value, absorbed.body);
        }
        Ok(code)
    }

    /// The client's item is one of ours, whatever state it is in there.
    fn pair_and_tell(&mut self, arrival: &Arrival<'_>, item: &Item) -> Result<StatusCode, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(arrival.index) else { return Ok(StatusCode::NOT_FOUND) };
        lookup.by_guid(&mut self.core.reader, &item.guid)?;
        let code = self.bind(arrival, &item.guid, Seen::AsRecorded, item.body_rev, StatusCode::ITEM_ADDED);
        if code != StatusCode::ALREADY_EXISTS {
            self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), item.value.clone(), None);
            self.walk_again(arrival.index, true);
        }
        Ok(code)
    }

    /// What the client's item was when both last agreed, if that is deleted here and the client has not heard of it: a slow
    /// sync forgets what is to be told.
    fn deleted_meanwhile(&mut self, arrival: &Arrival<'_>) -> Result<Option<Item>, Missing> {
        let places = (self.core.stores.get(arrival.index), self.core.lookups.get(arrival.index));
        let (Some(store), Some(lookup)) = places else { return Ok(None) };
        let before = Read::ByLuid(lookup.peer.clone(), store.base.generation, arrival.luid.clone());
        let Value::Entry(Some(entry)) = self.core.reader.read(before)?.clone() else { return Ok(None) };
        Ok(self.core.item(&arrival.key, &entry.guid)?.filter(|item| item.deleted))
    }

    /// The client is told that its item is deleted: deleted once more, as what was bound in this turn is in no walk of it.
    fn pair_with_deleted(&mut self, arrival: &Arrival<'_>, item: &Item) -> Result<StatusCode, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(arrival.index) else { return Ok(StatusCode::NOT_FOUND) };
        lookup.by_guid(&mut self.core.reader, &item.guid)?;
        let code = self.bind(arrival, &item.guid, Seen::AsRecorded, 0, StatusCode::OK);
        if code != StatusCode::ALREADY_EXISTS {
            self.core.batch.delete(&arrival.key, &item.guid, item.rev);
            self.walk_again(arrival.index, true);
        }
        Ok(code)
    }

    /// As [`Run::pair`], when the client's item sets something off.
    fn pair_with_effects(&mut self, arrival: &Arrival<'_>, item: &Item) -> Result<StatusCode, Missing> {
        let absorbed = match self.absorb(arrival, &item.guid, Some(item))? {
            Ok(absorbed) => absorbed,
            Err(code) => return Ok(code),
        };
        let Some(lookup) = self.core.lookups.get_mut(arrival.index) else { return Ok(StatusCode::NOT_FOUND) };
        lookup.by_guid(&mut self.core.reader, &item.guid)?;
        let code = self.bind(arrival, &item.guid, Seen::ThisCommit, 0, StatusCode::ITEM_ADDED);
        if code != StatusCode::ALREADY_EXISTS {
            self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), absorbed.value, absorbed.body);
            absorbed.effects.into_iter().for_each(|write| self.core.batch.push(write));
        }
        Ok(code)
    }

    fn oddity(&mut self, index: usize, luid: &Luid, reason: &str) {
        let store = self.core.stores.get(index).map_or("", |store| &store.name);
        self.core.events.push(Event::Oddity(format!("{store} {luid}: {reason}")));
    }

    fn delete(
        &mut self,
        index: usize,
        key: &StoreKey,
        luid: &Luid,
        archive: bool,
    ) -> Result<StatusCode, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
        let Some(entry) = lookup.by_luid(&mut self.core.reader, luid)? else {
            return Ok(StatusCode::NOT_DELETED);
        };
        let item = self.core.item(key, &entry.guid)?.filter(|item| !item.deleted);
        let edit_wins = self.core.config(index).is_some_and(|config| !config.deletion_wins());
        let conflict = edit_wins && item.as_ref().is_some_and(|item| item.rev > entry.seen_rev);
        let effects = match item.as_ref().filter(|_| !conflict) {
            Some(item) => match self.core.removed(index, key, item)? {
                Ok(effects) => effects,
                Err(code) => return Ok(code),
            },
            None => Vec::new(),
        };
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
        let records = idmap::forget(lookup.view(), lookup.generation, &entry.guid);
        self.core.batch.map(lookup, records, Seen::AsRecorded);
        let Some(item) = item else { return Ok(StatusCode::OK) };
        if conflict {
            // Forgotten in the map, it goes back to the client as new.
            let (store, code) = (key.datastore.clone(), StatusCode::CONFLICT_SERVER_WON);
            self.core.events.push(Event::Conflict { store, guid: item.guid, code: code.0 });
            return Ok(code);
        }
        if self.core.before_atomic.is_some() && self.has_content(key, &item)? {
            return Ok(StatusCode::NOT_EMPTY);
        }
        effects.into_iter().for_each(|write| self.core.batch.push(write));
        self.core.set_aside(key, &item.guid, archive);
        self.core.batch.delete(key, &item.guid, item.rev);
        Ok(StatusCode::OK)
    }

    /// Reads an item by its collection; the inner error is a status.
    pub(super) fn absorb(
        &mut self,
        arrival: &Arrival<'_>,
        guid: &Guid,
        existing: Option<&Item>,
    ) -> Result<Result<Absorbed, StatusCode>, Missing> {
        let Some(config) = self.core.config(arrival.index) else { return Ok(Err(StatusCode::NOT_FOUND)) };
        let incoming = Incoming {
            media_type: arrival.media_type,
            data: &arrival.data,
            parent: arrival.parent.as_ref(),
            existing: existing.filter(|item| !item.deleted),
            guid,
            server: true,
            peer_id: Some(arrival.luid.as_str()),
        };
        let (user, device, now) = (self.core.user.clone(), self.core.device.clone(), self.core.at.now);
        let peer =
            self.core.lookups.get(arrival.index).map(|lookup| (lookup.peer.clone(), lookup.generation));
        let mut cx = Context::new(&arrival.key, &user, now, &mut self.core.reader)
            .of_device(&device)
            .with_pending(self.core.batch.writes())
            .with_allowance(&self.allowance);
        if let Some((peer, generation)) = peer {
            cx = cx.with_peer(peer, generation);
        }
        match config.collection.absorb(&mut cx, &incoming) {
            Ok(absorbed) => Ok(Ok(absorbed)),
            Err(Stop::Missing(missing)) => Err(missing),
            Err(Stop::Refuse(code, reason)) => {
                self.oddity(arrival.index, &arrival.luid, &reason);
                Ok(Err(code))
            }
        }
    }

    pub(super) fn seen(&mut self, index: usize, guid: &Guid, seen: Seen, rev: u64) {
        let Some(lookup) = self.core.lookups.get_mut(index) else { return };
        let generation = lookup.generation;
        let Some(entry) = lookup.view().by_guid(generation, guid) else { return };
        // With `ThisCommit` the store sets the revision; the record is needed even if nothing else changes.
        let entry = Entry { seen_rev: entry.seen_rev.max(rev), ..entry.clone() };
        self.core.batch.map(lookup, vec![idmap::Record::Put(entry)], seen);
    }

    /// This turn made a change that the client must still get.
    pub(super) fn walk_again(&mut self, index: usize, needed: bool) {
        if let Some(store) = self.core.stores.get_mut(index) {
            store.walk_again |= needed;
        }
    }

    /// The client answered a command of ours.
    pub(super) fn answered(&mut self, tag: &[u8], code: StatusCode, dropped: bool) -> Result<(), Missing> {
        if dropped {
            self.core.batch.push(Write::ClearSpool(self.core.token.clone(), Direction::Out));
        }
        match Tag::from_bytes(tag) {
            Some(Tag::Alert(index)) => {
                self.alert_answered(usize::from(index), code);
                Ok(())
            }
            Some(Tag::Item { store, guid, rev, kind }) => {
                self.core.item_answered(usize::from(store), &guid, rev, kind, code)
            }
            Some(Tag::Offer(index)) => self.offer_answered(usize::from(index), code),
            Some(Tag::Maps { .. }) | None => Ok(()),
        }
    }
}
