//! The end of a refresh: what the other side did not send goes, so that both have exactly the same.

use super::collection::{Context, Stop};
use super::core::{Core, Side};
use super::event::Event;
use super::store::{Changes, Item, ItemValue, Read, StoreKey, Value, Write};
use super::turn::Missing;
use bytes::Bytes;
use idmap::Guid;
use syncml::StatusCode;

/// Rows looked at in one turn.
const PAGE: u32 = 2_000;

/// Deletions that nobody is told of.
const MANY: u64 = 20;

/// How long what was deleted is kept, in seconds: 30 days.
const KEPT: u64 = 30 * 86_400;

impl Core<'_, '_> {
    /// Removes what a refresh has not confirmed, of every datastore; true when nothing is left to remove.
    pub(crate) fn sweep(&mut self) -> Result<bool, Missing> {
        let mut done = true;
        for index in 0..self.stores.len() {
            if self.stores.get(index).is_some_and(|store| store.is_active()) {
                done &= self.sweep_store(index)?;
            }
        }
        Ok(done)
    }

    fn sweep_store(&mut self, index: usize) -> Result<bool, Missing> {
        let Some(store) = self.stores.get(index) else { return Ok(true) };
        let Some(sweep) = store.sweep.clone() else { return Ok(true) };
        let (key, peer) = (self.store_key(&store.name), self.peer_key(&store.name));
        let changes = Changes { peer, generation: store.generation, since: 0, upto: sweep.upto };
        let read = Read::Rows(changes, sweep.cursor, PAGE);
        let Value::Rows(rows) = self.reader.read(read)? else { return Ok(true) };
        let mut missing = false;
        for row in rows {
            let Some(lookup) = self.lookups.get_mut(index) else { return Ok(true) };
            let held = lookup.with_row(&row.item.guid, row.entry.as_ref()).is_some();
            if held || row.item.deleted || self.batch.touches(&key, &row.item.guid) {
                continue;
            }
            match self.removed(index, &key, &row.item) {
                Err(Missing) => missing = true,
                Ok(Err(_)) => {}
                Ok(Ok(effects)) => {
                    effects.into_iter().for_each(|write| self.batch.push(write));
                    self.set_aside(&key, &row.item.guid, false);
                    self.batch.delete(&key, &row.item.guid, row.item.rev);
                    if let Some(store) = self.stores.get_mut(index) {
                        store.received.deleted = store.received.deleted.saturating_add(1);
                    }
                }
            }
        }
        if missing {
            return Err(Missing);
        }
        let Some(store) = self.stores.get_mut(index) else { return Ok(true) };
        store.sweep = match rows.last().filter(|_| rows.len() >= PAGE as usize) {
            Some(last) => Some(super::state::Sweep { upto: sweep.upto, cursor: last.item.cursor() }),
            None => None,
        };
        Ok(store.sweep.is_none())
    }

    /// Keeps a copy of what a peer deletes here: for good if it asked for that, else for a while.
    // threat: S11
    pub(crate) fn set_aside(&mut self, key: &StoreKey, guid: &Guid, archive: bool) {
        if self.side == Side::Server {
            let until = (!archive).then(|| self.at.now.saturating_add(KEPT));
            self.batch.keep(key, guid, until);
        }
    }

    /// Keeps a copy of what a peer wrote and is not taken here.
    // threat: S11
    pub(crate) fn set_aside_copy(&mut self, key: &StoreKey, guid: &Guid, value: ItemValue, body: Bytes) {
        if self.side == Side::Server {
            let until = Some(self.at.now.saturating_add(KEPT));
            let (store, guid) = (key.clone(), guid.clone());
            self.batch.push(Write::KeepCopy { store, guid, until, value, body });
        }
    }

    /// Says so when a peer has deleted suspiciously much.
    // threat: S11
    pub(crate) fn guard(&mut self) -> Result<(), Missing> {
        for index in 0..self.stores.len() {
            let Some(store) = self.stores.get(index) else { continue };
            let (name, deleted) = (store.name.clone(), u64::from(store.received.deleted));
            let emptied = store.mode.empties(self.side) && store.received.added == 0 && deleted > 0;
            if store.warned || (deleted <= MANY && !emptied) {
                continue;
            }
            let key = self.store_key(&name);
            // No generation is this one, so everything is news.
            let all = Changes { peer: self.peer_key(&name), generation: u32::MAX, since: 0, upto: u64::MAX };
            let Value::Count(before) = self.reader.read(Read::Count(all))? else { continue };
            let left = before.saturating_sub(self.batch.deleted(&key));
            if emptied || deleted >= left {
                self.events.push(Event::MassDelete { store: name, deleted, left });
                if let Some(store) = self.stores.get_mut(index) {
                    store.warned = true;
                }
            }
        }
        Ok(())
    }

    /// What a deletion sets off, or the status that refuses it.
    pub(crate) fn removed(
        &mut self,
        index: usize,
        key: &StoreKey,
        item: &Item,
    ) -> Result<Result<Vec<Write>, StatusCode>, Missing> {
        let Some(config) = self.config(index) else { return Ok(Err(StatusCode::NOT_FOUND)) };
        let (user, device, now) = (self.user.clone(), self.device.clone(), self.at.now);
        let mut cx = Context::new(key, &user, now, &mut self.reader)
            .of_device(&device)
            .with_pending(self.batch.writes());
        match config.collection.removed(&mut cx, item, self.side == Side::Server) {
            Ok(effects) => Ok(Ok(effects)),
            Err(Stop::Missing(missing)) => Err(missing),
            Err(Stop::Refuse(code, reason)) => {
                self.events.push(Event::Oddity(format!("{} {}: {reason}", config.name, item.guid)));
                Ok(Err(code))
            }
        }
    }
}
