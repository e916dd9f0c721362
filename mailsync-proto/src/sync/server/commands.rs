//! Commands beside `Add`, `Replace` and `Delete`: what leaves a device only, copies, moves, containers, searches.

use super::super::collection::{Context, Incoming, Projection, Stop, Wire};
use super::super::core::plain_name;
use super::super::event::Event;
use super::super::filter::cgi::Expr;
use super::super::store::{Cursor, Item, Peer, Read, Seen, StoreKey, Value};
use super::super::turn::Missing;
use super::Run;
use super::receive::Arrival;
use bytes::Bytes;
use idmap::{Entry, Luid, Record, State};
use std::sync::Arc;
use syncml::session::{Received, ServerExchange, Slot};
use syncml::{CommandName, Data, Encoding, Exec, Meta, Search, Source, StatusCode, Target, Version};

/// Items of a container looked at.
const CONTENT: u32 = 5_000;

/// Items that a search looks at, and finds, at most.
const SEARCHED: u32 = 10_000;
const FOUND: usize = 200;

impl Run<'_, '_> {
    /// The item that a LUID means.
    fn mapped(
        &mut self,
        index: usize,
        key: &StoreKey,
        luid: &Luid,
    ) -> Result<Option<(Entry, Item)>, Missing> {
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(None) };
        let Some(entry) = lookup.by_luid(&mut self.core.reader, luid)? else { return Ok(None) };
        let item = self.core.item(key, &entry.guid)?.filter(|item| !item.deleted);
        Ok(item.map(|item| (entry, item)))
    }

    /// The device makes room: the item stays here, and does not go to it again.
    // spec: session facts section 4, SftDel
    pub(super) fn soft_delete(
        &mut self,
        index: usize,
        key: &StoreKey,
        luid: &Luid,
    ) -> Result<StatusCode, Missing> {
        let Some((entry, _)) = self.mapped(index, key, luid)? else { return Ok(StatusCode::NOT_DELETED) };
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(StatusCode::NOT_FOUND) };
        // The device may give its id to another item now; no revision of this one is news to it.
        let state = State::Pending { wire: entry.wire().clone() };
        let gone = Entry { state, seen_rev: u64::MAX, ..entry };
        self.core.batch.map(lookup, vec![Record::Put(gone)], Seen::AsRecorded);
        Ok(StatusCode::OK)
    }

    /// An item as it would go to a peer that takes everything.
    fn whole(&mut self, index: usize, key: &StoreKey, item: &Item) -> Result<Option<Wire>, Missing> {
        let read = Read::Body(key.clone(), item.guid.clone());
        let Value::Body(body) = self.core.reader.read(read)? else { return Ok(None) };
        let Some(config) = self.core.config(index) else { return Ok(None) };
        let projection = Projection::new(item, false, &[], Version::V1_2, Encoding::Wbxml);
        Ok(config.collection.project(&projection, body.as_ref()).ok())
    }

    pub(super) fn copy(
        &mut self,
        index: usize,
        key: &StoreKey,
        luid: &Luid,
        received: &Received,
    ) -> Result<StatusCode, Missing> {
        let Some((_, item)) = self.mapped(index, key, luid)? else { return Ok(StatusCode::NOT_FOUND) };
        let parent = self.parent(index, received);
        let wire = self.whole(index, key, &item);
        let (parent, wire) = (parent?.or_else(|| item.value.parent.clone()), wire?);
        let Some(Wire { media_type, data }) = wire else { return Ok(StatusCode::COMMAND_FAILED) };
        let named = received.target.as_deref().and_then(|text| Luid::try_from(text).ok());
        let named = named.filter(|named| named != luid);
        let arrival = Arrival {
            index,
            key: key.clone(),
            luid: named.clone().unwrap_or_else(|| luid.clone()),
            cmd: CommandName::Add,
            media_type: &media_type,
            data,
            parent,
        };
        if let Some(named) = &named
            && self.mapped(index, key, named)?.is_some()
        {
            return Ok(StatusCode::ALREADY_EXISTS);
        }
        let guid = self.core.ids.guid();
        let absorbed = match self.absorb(&arrival, &guid, None)? {
            Ok(absorbed) => absorbed,
            Err(code) => return Ok(code),
        };
        if absorbed.same_as.is_some() {
            return Ok(StatusCode::ALREADY_EXISTS);
        }
        let body = Some(absorbed.body.unwrap_or_default());
        self.core.batch.put(key, &guid, None, absorbed.value, body);
        absorbed.effects.into_iter().for_each(|write| self.core.batch.push(write));
        if named.is_some() {
            return Ok(self.bind(&arrival, &guid, Seen::ThisCommit, 0, StatusCode::ITEM_ADDED));
        }
        // The device gives it an id when it gets it.
        self.walk_again(index, true);
        Ok(StatusCode::ITEM_ADDED)
    }

    // spec: session facts section 4, Move
    pub(super) fn relocate(
        &mut self,
        index: usize,
        key: &StoreKey,
        luid: &Luid,
        received: &Received,
    ) -> Result<StatusCode, Missing> {
        let Some((entry, item)) = self.mapped(index, key, luid)? else {
            return Ok(StatusCode::MOVE_FAILED);
        };
        let to = received.source_parent.as_deref().or(received.target_parent.as_deref());
        let root = to.is_some_and(|to| to == "/");
        let parent = self.parent(index, received);
        let wire = self.whole(index, key, &item);
        let (parent, wire) = (parent?, wire?);
        if parent.is_none() && !root {
            return Ok(StatusCode::MOVE_FAILED);
        }
        if let Some(parent) = &parent
            && self.core.item(key, parent)?.is_none_or(|parent| parent.deleted)
        {
            return Ok(StatusCode::MOVE_FAILED);
        }
        let Some(Wire { media_type, data }) = wire else { return Ok(StatusCode::MOVE_FAILED) };
        let cmd = CommandName::Replace;
        let arrival = Arrival {
            index,
            key: key.clone(),
            luid: luid.clone(),
            cmd,
            media_type: &media_type,
            data,
            parent,
        };
        let code = self.replace(&arrival, &entry, &item)?;
        let conflict = matches!(code, StatusCode::CONFLICT_SERVER_WON | StatusCode::CONFLICT);
        Ok(if code.is_error() && !conflict { StatusCode::MOVE_FAILED } else { code })
    }

    /// Whether a deletion is of a container that is not empty.
    pub(super) fn is_filled(&mut self, index: usize, received: &Received) -> Result<bool, Missing> {
        if received.soft_delete {
            return Ok(false);
        }
        let Some(key) = self.core.stores.get(index).map(|store| self.core.store_key(&store.name)) else {
            return Ok(false);
        };
        let text = received.source.as_deref().or(received.target.as_deref()).unwrap_or_default();
        let Ok(luid) = Luid::try_from(text) else { return Ok(false) };
        match self.mapped(index, &key, &luid)? {
            Some((_, item)) => self.has_content(&key, &item),
            None => Ok(false),
        }
    }

    pub(super) fn has_content(&mut self, key: &StoreKey, item: &Item) -> Result<bool, Missing> {
        let config = self.config.stores.iter().find(|config| config.name == key.datastore);
        if !config.is_some_and(|config| config.collection.is_container(&item.value)) {
            return Ok(false);
        }
        let read = Read::Children(key.clone(), item.guid.clone(), CONTENT);
        let Value::Items(children) = self.core.reader.read(read)? else { return Ok(false) };
        let stays = |child: &Item| {
            let now = self.core.batch.current(key, &child.guid, Some(child.clone()));
            now.is_some_and(|now| !now.deleted && now.value.parent.as_ref() == Some(&item.guid))
        };
        Ok(children.iter().any(stays) || self.core.batch.fills(key, &item.guid))
    }

    /// Deletes the containers that the message has emptied; the others are refused.
    // spec: session facts section 4: 427
    pub(super) fn delete_deferred(&mut self, ex: &mut ServerExchange<'_>) -> Result<(), Missing> {
        let mut waiting = std::mem::take(&mut self.deferred);
        loop {
            let before = waiting.len();
            let mut still = Vec::new();
            for (slot, index, received) in waiting {
                if self.is_filled(index, &received)? {
                    still.push((slot, index, received));
                } else {
                    let code = self.apply(index, &received)?;
                    self.done(ex, &slot, index, &received, code);
                }
            }
            waiting = still;
            if waiting.len() == before {
                break;
            }
        }
        for (slot, index, received) in waiting {
            self.done(ex, &slot, index, &received, StatusCode::NOT_EMPTY);
        }
        Ok(())
    }

    /// Runs a command of a collection: what it makes goes to the devices as any new item does.
    pub(super) fn exec(
        &mut self,
        ex: &mut ServerExchange<'_>,
        slot: &Slot,
        exec: &Exec,
    ) -> Result<(), Missing> {
        let Some(item) = exec.items.first() else {
            ex.answer(slot, StatusCode::INCOMPLETE);
            return Ok(());
        };
        let target = item.target.as_ref().map(|target| plain_name(&target.loc_uri)).unwrap_or_default();
        let named = target.split_once("/command/");
        let found = named.and_then(|(name, command)| {
            Some((self.config.stores.iter().find(|store| store.is_named(name))?, command))
        });
        let Some((config, command)) = found else {
            // Left unanswered it is refused as what we do not run.
            return Ok(());
        };
        let (name, collection) = (config.name.clone(), Arc::clone(&config.collection));
        let key = self.core.store_key(&name);
        let peer = self.core.peer_key(&name);
        let index = self.core.stores.iter().position(|store| store.name == name);
        let generation = match index.and_then(|index| self.core.lookups.get(index)) {
            Some(lookup) => lookup.generation,
            None => match self.core.reader.read(Read::Peer(peer.clone()))? {
                Value::Peer(kept) => kept.as_ref().map_or(0, |kept| kept.generation),
                _ => 0,
            },
        };
        let metas = [item.meta.as_deref(), exec.meta.as_deref()];
        let said = |of: fn(&Meta) -> Option<&str>| metas.iter().flatten().find_map(|meta| of(meta));
        let format = said(|meta| meta.format.as_deref());
        let media_type = said(|meta| meta.type_.as_deref()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let octets = item.data.as_ref().and_then(Data::as_bytes).cloned().unwrap_or_default();
        let data = match syncml::session::payload(format, octets) {
            Ok(data) => data,
            Err(code) => {
                ex.answer(slot, code);
                return Ok(());
            }
        };
        let (media_type, data) = match self.core.unsealed(None, "", &media_type, data) {
            Ok(opened) => opened,
            Err(code) => {
                ex.answer(slot, code);
                return Ok(());
            }
        };
        let guid = self.core.ids.guid();
        let incoming = Incoming::new(&media_type, &data, &guid, true);
        let (user, now) = (self.core.user.clone(), self.core.at.now);
        let mut cx = Context::new(&key, &user, now, &mut self.core.reader)
            .with_pending(self.core.batch.writes())
            .with_allowance(&self.allowance)
            .with_peer(peer, generation);
        let code = match collection.command(&mut cx, command, &incoming) {
            Ok(None) => return Ok(()),
            Ok(Some(absorbed)) => {
                // What is here already under another id was done before.
                if absorbed.same_as.is_none() {
                    let body = Some(absorbed.body.unwrap_or_default());
                    self.core.batch.put(&key, &guid, None, absorbed.value, body);
                    absorbed.effects.into_iter().for_each(|write| self.core.batch.push(write));
                    if let Some(index) = index {
                        self.walk_again(index, true);
                    }
                }
                // It is stored; the outcome comes as a change of the item.
                StatusCode::ACCEPTED
            }
            Err(Stop::Missing(missing)) => return Err(missing),
            Err(Stop::Refuse(code, reason)) => {
                self.core.events.push(Event::Oddity(format!("{name} {command}: {reason}")));
                code
            }
        };
        ex.answer(slot, code);
        Ok(())
    }

    /// Which items fit an expression: their ids, those that the device gave where it holds them.
    pub(super) fn search(
        &mut self,
        ex: &mut ServerExchange<'_>,
        slot: &Slot,
        search: &Search,
    ) -> Result<(), Missing> {
        let target = search.target.as_ref().map(|target| &*target.loc_uri);
        let target =
            target.or_else(|| search.sources.first().map(|source| &*source.loc_uri)).unwrap_or_default();
        let Some(config) = self.config.stores.iter().find(|store| store.is_named(target)) else {
            ex.answer(slot, StatusCode::NOT_FOUND);
            return Ok(());
        };
        let grammar = search.meta.as_ref().and_then(|meta| meta.type_.as_deref()).unwrap_or_default();
        if !grammar.eq_ignore_ascii_case(super::super::filter::GRAMMAR) {
            ex.answer(slot, StatusCode::UNKNOWN_GRAMMAR);
            return Ok(());
        }
        let text = search.data.as_ref().and_then(Data::as_bytes).cloned().unwrap_or_else(Bytes::new);
        let Some(expr) = std::str::from_utf8(&text).ok().and_then(|text| Expr::parse(text.trim()).ok())
        else {
            ex.answer(slot, StatusCode::BAD_FILTER);
            return Ok(());
        };
        let filter = super::super::filter::Filter { record: Some(expr), fields: None, inclusive: true };
        let filter = match filter.checked(&*config.collection) {
            Ok(filter) => filter,
            Err(error) => {
                ex.answer(slot, error.status());
                return Ok(());
            }
        };
        let key = self.core.peer_key(&config.name);
        let generation = match self.core.reader.read(Read::Peer(key.clone()))? {
            Value::Peer(peer) => peer.as_ref().map_or(0, |peer: &Peer| peer.generation),
            _ => 0,
        };
        let read = Read::Live(key.clone(), generation, Cursor::default(), SEARCHED);
        let Value::Rows(rows) = self.core.reader.read(read)? else { return Ok(()) };
        let needs_body = filter.needs_body(&*config.collection);
        let (mut found, mut missing) = (Vec::new(), false);
        for row in rows {
            let mut body = None;
            if needs_body {
                match self.core.reader.read(Read::Body(key.store.clone(), row.item.guid.clone())) {
                    Ok(Value::Body(read)) => body = read.clone(),
                    Ok(_) => {}
                    Err(Missing) => missing = true,
                }
            }
            let luid = row.entry.as_ref().and_then(Entry::luid).map(|luid| luid.as_str());
            if !missing
                && found.len() < FOUND
                && filter.fits(&*config.collection, &row.item, body.as_ref(), luid)
            {
                let mut item = syncml::Item::default();
                match luid {
                    Some(luid) => item.target = Some(Target::new(luid)),
                    None => item.source = Some(Source::new(row.item.guid.as_str())),
                }
                found.push(item);
            }
        }
        if missing {
            return Err(Missing);
        }
        ex.answer(slot, if found.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::OK });
        if !search.no_results && !found.is_empty() {
            let asked = ex.reference(slot);
            // As many as fit.
            while ex.search_results(asked, found.clone()).is_err() && found.len() > 1 {
                found.truncate(found.len() / 2);
            }
        }
        Ok(())
    }
}
