//! What the rows in memory say.

use super::State;
use crate::sync::store::*;
use bytes::Bytes;
use idmap::{Entry, Guid, View};
use std::ops::Bound;

impl State {
    pub(super) fn read(&self, read: &Read) -> Value {
        match read {
            Read::Login { user, device } => Value::Login(self.login(user, device)),
            Read::Peer(peer) => Value::Peer(self.peers.get(peer).cloned()),
            Read::Head(store) => Value::Rev(self.shelves.get(store).map_or(0, |shelf| shelf.rev)),
            Read::ByLuid(peer, generation, luid) => {
                Value::Entry(self.maps.get(peer).and_then(|map| map.by_luid(*generation, luid)).cloned())
            }
            Read::ByGuid(peer, generation, guid) => {
                Value::Entry(self.entry(peer, *generation, guid).cloned())
            }
            Read::ByWire(peer, generation, wire) => {
                Value::Entry(self.maps.get(peer).and_then(|map| map.by_wire(*generation, wire)).cloned())
            }
            Read::Pending(peer, generation, limit) => {
                let entries = self.maps.get(peer).into_iter().flat_map(View::iter);
                let open = entries.filter(|entry| entry.generation == *generation && entry.luid().is_none());
                Value::Entries(open.take(usize::try_from(*limit).unwrap_or(usize::MAX)).cloned().collect())
            }
            Read::Device(user, device) => {
                let row = self.devices.get(&(user.clone(), device.clone()));
                Value::Device(row.map(|row| row.device.clone()))
            }
            Read::Item(store, guid) => Value::Item(self.item(store, guid).map(|(item, _)| item.clone())),
            Read::Body(store, guid) => Value::Body(self.item(store, guid).and_then(|(_, body)| body.clone())),
            Read::Matches { peer, generation, key, after, limit } => {
                Value::Items(self.matches(peer, *generation, key, after.as_ref(), *limit))
            }
            Read::Children(store, guid, limit) => Value::Items(self.children(store, guid, *limit)),
            Read::Rows(changes, cursor, limit) => {
                let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
                Value::Rows(self.rows(changes, cursor, limit))
            }
            Read::Live(peer, generation, cursor, limit) => Value::Rows(self.live(
                peer,
                *generation,
                cursor,
                usize::try_from(*limit).unwrap_or(usize::MAX),
            )),
            Read::Count(changes) => {
                Value::Count(self.rows(changes, &Cursor::default(), usize::MAX).len() as u64)
            }
            Read::Spool { token, direction, offset, len } => Value::Body(
                self.spools.get(&(token.clone(), *direction)).map(|data| range(data, *offset, *len)),
            ),
            Read::Once(user, key) => Value::Once(self.once.get(&(user.clone(), key.clone())).cloned()),
            Read::Session(token) => Value::Session(self.sessions.get(token).cloned()),
            Read::Ask(..) => Value::no_answer(),
        }
    }

    fn login(&self, user: &str, device: &str) -> Option<Login> {
        let verifier = self.users.get(user)?.clone();
        let row = self.devices.get(&(user.into(), device.into())).cloned().unwrap_or_default();
        let others = self.devices.iter().filter(|((of, id), _)| **of == *user && **id != *device);
        let sessions = others.filter_map(|(_, row)| row.device.session.as_ref());
        let sessions = sessions.filter(|token| self.sessions.contains_key(*token)).count();
        Some(Login {
            verifier: row.verifier.unwrap_or(verifier),
            password: None,
            item_key: row.item_key,
            revoked: row.revoked,
            device: row.device,
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        })
    }

    fn entry(&self, peer: &PeerKey, generation: u32, guid: &Guid) -> Option<&Entry> {
        self.maps.get(peer)?.by_guid(generation, guid)
    }

    pub(super) fn item(&self, store: &StoreKey, guid: &Guid) -> Option<&(Item, Option<Bytes>)> {
        self.shelves.get(store)?.items.get(guid)
    }

    fn matches(
        &self,
        peer: &PeerKey,
        generation: u32,
        key: &MatchKey,
        after: Option<&Guid>,
        limit: u32,
    ) -> Vec<Item> {
        let Some(shelf) = self.shelves.get(&peer.store) else { return Vec::new() };
        let Some(guids) = shelf.keys.get(key) else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        guids
            .range::<Guid, _>((from, Bound::Unbounded))
            .filter(|guid| self.entry(peer, generation, guid).is_none())
            .filter_map(|guid| shelf.items.get(guid))
            .map(|(item, _)| item.clone())
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect()
    }

    fn children(&self, store: &StoreKey, parent: &Guid, limit: u32) -> Vec<Item> {
        let Some(shelf) = self.shelves.get(store) else { return Vec::new() };
        let guids = shelf.children.get(parent).into_iter().flatten();
        let items = guids.filter_map(|guid| shelf.items.get(guid)).map(|(item, _)| item.clone());
        items.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
    }

    fn rows(&self, changes: &Changes, cursor: &Cursor, limit: usize) -> Vec<Row> {
        let Some(shelf) = self.shelves.get(&changes.peer.store) else { return Vec::new() };
        let mut rows = Vec::new();
        let first = (changes.since.saturating_add(1), None);
        let mut place = (cursor.rank, (cursor.rev, cursor.guid.clone()).max(first.clone()));
        while rows.len() < limit {
            let (rank, (rev, guid)) = place.clone();
            let after = (Bound::Excluded((rank, rev, guid)), Bound::Unbounded);
            let Some((rank, rev, guid)) = shelf.walk.range(after).next().cloned() else { break };
            if rank != place.0 {
                // The next rank begins at its first new revision.
                place = (rank, first.clone());
                continue;
            }
            if rev > changes.upto {
                match rank.checked_add(1) {
                    Some(next) => place = (next, first.clone()),
                    None => break,
                }
                continue;
            }
            place = (rank, (rev, guid.clone()));
            let Some((item, _)) = guid.as_ref().and_then(|guid| shelf.items.get(guid)) else { continue };
            let entry = self.entry(&changes.peer, changes.generation, &item.guid);
            let news = entry.map_or(!item.deleted, |entry| entry.seen_rev < item.rev);
            if news {
                rows.push(Row { item: item.clone(), entry: entry.cloned() });
            }
        }
        rows
    }

    fn live(&self, peer: &PeerKey, generation: u32, cursor: &Cursor, limit: usize) -> Vec<Row> {
        let Some(shelf) = self.shelves.get(&peer.store) else { return Vec::new() };
        let after = (cursor.rank, cursor.rev, cursor.guid.clone());
        let guids = shelf.walk.range((Bound::Excluded(after), Bound::Unbounded));
        guids
            .filter_map(|(.., guid)| shelf.items.get(guid.as_ref()?))
            .filter(|(item, _)| !item.deleted)
            .map(|(item, _)| Row {
                item: item.clone(),
                entry: self.entry(peer, generation, &item.guid).cloned(),
            })
            .take(limit)
            .collect()
    }
}

fn range(data: &[u8], offset: u64, len: u64) -> Bytes {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(data.len());
    let (start, end) = (at(offset), at(offset.saturating_add(len)));
    Bytes::copy_from_slice(data.get(start..end).unwrap_or_default())
}
