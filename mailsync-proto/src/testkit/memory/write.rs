//! A commit: looked at whole, then done.

use super::State;
use crate::sync::store::*;
use bytes::Bytes;
use idmap::{Guid, Record};
use std::collections::{HashMap, HashSet};

impl State {
    /// Says why a commit cannot be, before any of it is.
    pub(super) fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        if let Some(session) = &commit.session {
            let version = self.sessions.get(&session.token).map_or(0, |row| row.version);
            if version != session.expect {
                return Err(StoreError::Stale(format!(
                    "session version {version}, expected {}",
                    session.expect
                )));
            }
        }
        let touched = touched(commit);
        let mut once = HashSet::new();
        let mut ends: HashMap<(&str, Direction), u64> = HashMap::new();
        for write in &commit.writes {
            match write {
                Write::PutItem { store, guid, expect, .. } => self.expect(store, guid, *expect)?,
                Write::DeleteItem { store, guid, expect } => self.expect(store, guid, Some(*expect))?,
                Write::MoveSpool(from, to) => {
                    for direction in [Direction::In, Direction::Out] {
                        if let Some(spool) = self.spools.get(&(from.clone(), direction)) {
                            ends.insert((to, direction), spool.len() as u64);
                        }
                    }
                }
                Write::Map(peer, Record::Put(_), Seen::ThisCommit) if !touched.contains(&peer.store) => {
                    return Err(StoreError::Failed("map entry seen at a commit that touches no item".into()));
                }
                Write::Once(user, key, _) => {
                    let before = self.once.contains_key(&(user.clone(), key.clone()));
                    let twice = !once.insert((user, key));
                    if before || twice {
                        return Err(StoreError::Stale(format!("happened already: {key}")));
                    }
                }
                Write::Spool { token, direction, offset, data } => {
                    let end = ends.entry((token, *direction)).or_insert_with(|| {
                        self.spools.get(&(token.clone(), *direction)).map_or(0, |spool| spool.len() as u64)
                    });
                    if *offset > *end {
                        return Err(StoreError::Failed(format!(
                            "spool ends at {end}, piece starts at {offset}"
                        )));
                    }
                    *end = offset.saturating_add(data.len() as u64);
                }
                Write::ClearSpool(token, direction) => {
                    ends.insert((token, *direction), 0);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn expect(&self, store: &StoreKey, guid: &Guid, expect: Option<u64>) -> Result<(), StoreError> {
        let rev = self.item(store, guid).map(|(item, _)| item.rev);
        if rev == expect {
            return Ok(());
        }
        Err(StoreError::Stale(format!("item {guid} of {} at {rev:?}, expected {expect:?}", store.datastore)))
    }

    /// Does what was checked.
    pub(super) fn apply(&mut self, commit: &Commit) {
        for store in touched(commit) {
            let shelf = self.shelves.entry(store.clone()).or_default();
            shelf.rev = shelf.rev.saturating_add(1);
        }
        for write in &commit.writes {
            self.write(write);
        }
        let Some(session) = &commit.session else { return };
        match &session.value {
            Some(value) => {
                let version = session.expect.saturating_add(1);
                let row = SessionRow { version, value: value.clone(), answer: session.answer.clone() };
                self.sessions.insert(session.token.clone(), row);
            }
            None => {
                self.sessions.remove(&session.token);
                self.spools.retain(|(token, _), _| *token != session.token);
            }
        }
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::PutItem { store, guid, value, body, .. } => {
                self.put_item(store, guid, value, body.as_ref())
            }
            Write::DeleteItem { store, guid, .. } => self.delete_item(store, guid),
            Write::Keep { store, guid, until } => {
                if let Some((item, body)) = self.item(store, guid).filter(|(item, _)| !item.deleted).cloned()
                {
                    self.kept.push((store.clone(), item, body, *until));
                }
            }
            Write::KeepCopy { store, guid, until, value, body } => {
                let (guid, value, size) = (guid.clone(), value.clone(), body.len() as u64);
                let item = Item { guid, rev: 0, body_rev: 0, deleted: false, value, size };
                self.kept.push((store.clone(), item, Some(body.clone()), *until));
            }
            Write::MoveSpool(from, to) => {
                for direction in [Direction::In, Direction::Out] {
                    if let Some(spool) = self.spools.remove(&(from.clone(), direction)) {
                        self.spools.insert((to.clone(), direction), spool);
                    }
                }
            }
            Write::Map(peer, record, seen) => {
                let mut record = record.clone();
                if let (Record::Put(entry), Seen::ThisCommit) = (&mut record, seen) {
                    entry.seen_rev = self.shelves.get(&peer.store).map_or(0, |shelf| shelf.rev);
                }
                self.maps.entry(peer.clone()).or_default().apply(&record);
            }
            Write::PutPeer(key, peer) => {
                self.peers.insert(key.clone(), peer.clone());
            }
            Write::PutDevice(user, device, value) => {
                self.devices.entry((user.clone(), device.clone())).or_default().device = value.clone();
            }
            Write::Spool { token, direction, offset, data } => {
                let spool = self.spools.entry((token.clone(), *direction)).or_default();
                spool.truncate(usize::try_from(*offset).unwrap_or(usize::MAX));
                spool.extend_from_slice(data);
            }
            Write::ClearSpool(token, direction) => {
                self.spools.remove(&(token.clone(), *direction));
            }
            Write::EndSession(token) => {
                self.sessions.remove(token);
                self.spools.retain(|(of, _), _| of != token);
            }
            Write::Once(user, key, guid) => {
                self.once.insert((user.clone(), key.clone()), guid.clone());
            }
            Write::Enqueue(queue, id, content) => {
                self.queues.entry(queue.clone()).or_default().insert(id.clone(), content.clone());
            }
            Write::Dequeue(queue, id) => {
                if let Some(jobs) = self.queues.get_mut(queue) {
                    jobs.remove(id);
                }
            }
        }
    }

    fn put_item(&mut self, store: &StoreKey, guid: &Guid, value: &ItemValue, body: Option<&Bytes>) {
        let Some(shelf) = self.shelves.get_mut(store) else { return };
        let rev = shelf.rev;
        let (old_body, mut body_rev, mut size) = match shelf.take(guid) {
            Some((item, body)) => (body, item.body_rev, item.size),
            None => (None, rev, 0),
        };
        if let Some(body) = body {
            (body_rev, size) = (rev, body.len() as u64);
        }
        let item = Item { guid: guid.clone(), rev, body_rev, deleted: false, value: value.clone(), size };
        shelf.insert(item, body.cloned().or(old_body));
    }

    fn delete_item(&mut self, store: &StoreKey, guid: &Guid) {
        let Some(shelf) = self.shelves.get_mut(store) else { return };
        let rev = shelf.rev;
        if let Some((mut item, _)) = shelf.take(guid) {
            (item.rev, item.body_rev, item.deleted, item.size) = (rev, rev, true, 0);
            item.value.match_keys.clear();
            shelf.insert(item, None);
        }
    }
}

/// The datastores that take a new revision.
fn touched(commit: &Commit) -> HashSet<&StoreKey> {
    fn item_of(write: &Write) -> Option<&StoreKey> {
        match write {
            Write::PutItem { store, .. } | Write::DeleteItem { store, .. } => Some(store),
            _ => None,
        }
    }
    commit.writes.iter().filter_map(item_of).collect()
}
