//! Commits.

use super::read::{SPOOL_ROW, peer_id, spool_end, store_id, way};
use super::{Bodies, Fault, int, uint};
use bytes::Bytes;
use idmap::{Entry, Guid, Record};
use mailsync_proto::sync::store::*;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// Writes all of a commit within the transaction that is open.
pub(super) fn commit(conn: &Connection, commit: &Commit, bodies: Bodies, now: i64) -> Result<(), Fault> {
    if let Some(session) = &commit.session {
        check_session(conn, session)?;
    }
    let mut writer =
        Writer { conn, bodies, now, stores: HashMap::new(), peers: HashMap::new(), before: HashMap::new() };
    writer.take_revisions(&commit.writes)?;
    for write in &commit.writes {
        writer.write(write)?;
    }
    match &commit.session {
        Some(session) => put_session(conn, session, now),
        None => Ok(()),
    }
}

struct Writer<'c> {
    conn: &'c Connection,
    bodies: Bodies,
    now: i64,
    /// Row ids, and the revision that this commit gives to the datastore's items.
    stores: HashMap<StoreKey, (i64, Option<u64>)>,
    peers: HashMap<PeerKey, i64>,
    /// Revisions, before this commit, of the items that it touched.
    before: HashMap<(i64, Guid), Option<u64>>,
}

/// What of an item's old row matters to the new one.
struct Old {
    rev: u64,
    body_rev: u64,
    size: u64,
    match_keys: Vec<u8>,
}

impl Writer<'_> {
    /// Gives each datastore whose items are touched its next revision, and so locks its counter.
    fn take_revisions(&mut self, writes: &[Write]) -> Result<(), Fault> {
        for write in writes {
            let (Write::PutItem { store, .. } | Write::DeleteItem { store, .. }) = write else { continue };
            if self.stores.contains_key(store) {
                continue;
            }
            let (id, rev): (i64, i64) = self
                .conn
                .prepare_cached(
                    "INSERT INTO datastore (user, name, rev) VALUES (?1, ?2, 1)
                     ON CONFLICT (user, name) DO UPDATE SET rev = rev + 1 RETURNING id, rev",
                )?
                .query_row(params![store.user, store.datastore], |row| Ok((row.get(0)?, row.get(1)?)))?;
            self.stores.insert(store.clone(), (id, Some(uint(rev))));
        }
        Ok(())
    }

    fn write(&mut self, write: &Write) -> Result<(), Fault> {
        match write {
            Write::PutItem { store, guid, expect, value, body } => {
                self.put_item(store, guid, *expect, value, body.as_ref())
            }
            Write::DeleteItem { store, guid, expect } => self.delete_item(store, guid, *expect),
            Write::Keep { store, guid, until } => self.keep(store, guid, *until),
            Write::KeepCopy { store, guid, until, value, body } => {
                let Some((store, _)) = store_id(self.conn, store)? else { return Ok(()) };
                let keys: Vec<u8> = value.match_keys.iter().flat_map(|key| key.0).collect();
                let sql = "INSERT INTO kept (store, guid, until, added, rank, parent, kind, fields, match_keys, data)
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
                self.conn.prepare_cached(sql)?.execute(params![
                    store,
                    guid.as_str(),
                    until.map(int),
                    self.now,
                    value.rank,
                    value.parent.as_ref().map(Guid::as_str),
                    value.kind,
                    &value.fields[..],
                    keys,
                    &body[..]
                ])?;
                Ok(())
            }
            Write::MoveSpool(from, to) => {
                self.conn.prepare_cached("DELETE FROM spool WHERE token = ?1")?.execute([to])?;
                let sql = "UPDATE spool SET token = ?2 WHERE token = ?1";
                self.conn.prepare_cached(sql)?.execute([from, to])?;
                Ok(())
            }
            Write::Map(peer, record, seen) => self.map(peer, record, *seen),
            Write::PutPeer(key, peer) => self.put_peer(key, peer),
            Write::PutDevice(user, id, device) => self.put_device(user, id, device),
            Write::Spool { token, direction, offset, data } => self.spool(token, *direction, *offset, data),
            Write::ClearSpool(token, direction) => self.clear_spool(token, *direction, 0),
            Write::EndSession(token) => {
                self.conn.prepare_cached("DELETE FROM session WHERE token = ?1")?.execute([token])?;
                self.conn.prepare_cached("DELETE FROM spool WHERE token = ?1")?.execute([token])?;
                Ok(())
            }
            Write::Once(user, key, guid) => self.once(user, key, guid),
            Write::Enqueue(queue, id, content) => self.enqueue(queue, id, content),
            Write::Dequeue(queue, id) => {
                let sql = "DELETE FROM queue WHERE queue = ?1 AND id = ?2";
                self.conn.prepare_cached(sql)?.execute(params![queue, id])?;
                Ok(())
            }
        }
    }

    fn put_item(
        &mut self,
        key: &StoreKey,
        guid: &Guid,
        expect: Option<u64>,
        value: &ItemValue,
        body: Option<&Bytes>,
    ) -> Result<(), Fault> {
        let (store, rev) = self.store(key)?;
        let old = self.expect(store, key, guid, expect)?;
        let keys: Vec<u8> = value.match_keys.iter().flat_map(|key| key.0).collect();
        let (body_rev, size) = match (body, &old) {
            (Some(body), _) => (rev, body.len() as u64),
            (None, Some(old)) => (old.body_rev, old.size),
            (None, None) => (rev, 0),
        };
        self.conn
            .prepare_cached(
                "INSERT INTO item (store, guid, rev, body_rev, deleted, rank, parent, kind, fields, match_keys, size)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (store, guid) DO UPDATE SET rev = ?3, body_rev = ?4, deleted = 0, rank = ?5,
                   parent = ?6, kind = ?7, fields = ?8, match_keys = ?9, size = ?10",
            )?
            .execute(params![
                store,
                guid.as_str(),
                int(rev),
                int(body_rev),
                value.rank,
                value.parent.as_ref().map(Guid::as_str),
                value.kind,
                &*value.fields,
                keys,
                int(size)
            ])?;
        let old_keys = old.map(|old| old.match_keys).unwrap_or_default();
        self.change_keys(store, guid, &old_keys, &keys)?;
        if let (Some(body), Bodies::Inside) = (body, self.bodies) {
            self.drop_body(store, guid)?;
            self.conn
                .prepare_cached("INSERT INTO body (store, guid, rev, data) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![store, guid.as_str(), int(rev), &**body])?;
        }
        Ok(())
    }

    fn delete_item(&mut self, key: &StoreKey, guid: &Guid, expect: u64) -> Result<(), Fault> {
        let (store, rev) = self.store(key)?;
        let old = self.expect(store, key, guid, Some(expect))?;
        self.conn
            .prepare_cached(
                "UPDATE item SET rev = ?3, body_rev = ?3, deleted = 1, match_keys = x'', size = 0
                 WHERE store = ?1 AND guid = ?2",
            )?
            .execute(params![store, guid.as_str(), int(rev)])?;
        self.change_keys(store, guid, &old.map(|old| old.match_keys).unwrap_or_default(), &[])?;
        self.drop_body(store, guid)
    }

    fn keep(&self, key: &StoreKey, guid: &Guid, until: Option<u64>) -> Result<(), Fault> {
        let Some((store, _)) = store_id(self.conn, key)? else { return Ok(()) };
        self.conn
            .prepare_cached(
                "INSERT INTO kept (store, guid, until, added, rank, parent, kind, fields, match_keys, data)
                 SELECT item.store, item.guid, ?3, ?4, rank, parent, kind, fields, match_keys, data
                 FROM item LEFT JOIN body ON body.store = item.store AND body.guid = item.guid
                 WHERE item.store = ?1 AND item.guid = ?2 AND item.deleted = 0",
            )?
            .execute(params![store, guid.as_str(), until.map(int), self.now])?;
        Ok(())
    }

    /// The old row, if the item was as expected before this commit.
    fn expect(
        &mut self,
        store: i64,
        key: &StoreKey,
        guid: &Guid,
        expect: Option<u64>,
    ) -> Result<Option<Old>, Fault> {
        let old = self
            .conn
            .prepare_cached(
                "SELECT rev, body_rev, size, match_keys FROM item WHERE store = ?1 AND guid = ?2",
            )?
            .query_row(params![store, guid.as_str()], |row| {
                let (rev, body_rev, size) = (uint(row.get(0)?), uint(row.get(1)?), uint(row.get(2)?));
                Ok(Old { rev, body_rev, size, match_keys: row.get(3)? })
            })
            .optional()?;
        let now = old.as_ref().map(|old| old.rev);
        let before = *self.before.entry((store, guid.clone())).or_insert(now);
        if before == expect {
            return Ok(old);
        }
        let name = &key.datastore;
        Err(StoreError::Stale(format!("item {guid} of {name} at {before:?}, expected {expect:?}")).into())
    }

    fn change_keys(&self, store: i64, guid: &Guid, old: &[u8], new: &[u8]) -> Result<(), Fault> {
        if old == new {
            return Ok(());
        }
        let mut delete =
            self.conn.prepare_cached("DELETE FROM match_key WHERE store = ?1 AND key = ?2 AND guid = ?3")?;
        for key in old.as_chunks::<16>().0 {
            delete.execute(params![store, key, guid.as_str()])?;
        }
        let mut insert = self
            .conn
            .prepare_cached("INSERT OR IGNORE INTO match_key (store, key, guid) VALUES (?1, ?2, ?3)")?;
        for key in new.as_chunks::<16>().0 {
            insert.execute(params![store, key, guid.as_str()])?;
        }
        Ok(())
    }

    fn drop_body(&self, store: i64, guid: &Guid) -> Result<(), Fault> {
        self.conn
            .prepare_cached("DELETE FROM body WHERE store = ?1 AND guid = ?2")?
            .execute(params![store, guid.as_str()])?;
        Ok(())
    }

    fn map(&mut self, key: &PeerKey, record: &Record, seen: Seen) -> Result<(), Fault> {
        let peer = self.peer(key)?;
        match record {
            Record::Put(entry) => {
                let seen_rev = match (seen, self.stores.get(&key.store)) {
                    (Seen::AsRecorded, _) => entry.seen_rev,
                    (Seen::ThisCommit, Some((_, Some(rev)))) => *rev,
                    (Seen::ThisCommit, _) => {
                        let what = "map entry seen at a commit that touches no item";
                        return Err(StoreError::Failed(what.into()).into());
                    }
                };
                self.put_entry(peer, entry, seen_rev)
            }
            Record::Remove { generation, guid } => {
                let sql = "DELETE FROM map WHERE peer = ?1 AND generation = ?2 AND guid = ?3";
                self.conn.prepare_cached(sql)?.execute(params![peer, generation, guid.as_str()])?;
                Ok(())
            }
            Record::KeepOnly { generation } => {
                let sql = "DELETE FROM map WHERE peer = ?1 AND generation <> ?2";
                self.conn.prepare_cached(sql)?.execute(params![peer, generation])?;
                Ok(())
            }
        }
    }

    /// Replaces the row of the GUID, and those that have its LUID or its temporary id.
    fn put_entry(&self, peer: i64, entry: &Entry, seen_rev: u64) -> Result<(), Fault> {
        let temp = entry.wire().temp().map(|temp| temp.as_str());
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO map (peer, generation, guid, luid, temp, seen_rev, form)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                peer,
                entry.generation,
                entry.guid.as_str(),
                entry.luid().map(|luid| luid.as_str()),
                temp,
                int(seen_rev),
                entry.form
            ])?;
        Ok(())
    }

    fn put_peer(&mut self, key: &PeerKey, value: &Peer) -> Result<(), Fault> {
        let id = self.peer(key)?;
        let (committed, previous) = (value.committed.as_ref(), value.previous.as_ref());
        self.conn
            .prepare_cached(
                "UPDATE peer SET generation = ?2, committed_theirs = ?3, committed_ours = ?4, committed_rev = ?5,
                   previous_theirs = ?6, previous_ours = ?7, previous_rev = ?8, started = ?9, filter = ?10
                 WHERE id = ?1",
            )?
            .execute(params![
                id,
                value.generation,
                committed.map(|point| &point.theirs),
                committed.map(|point| &point.ours),
                committed.map(|point| int(point.rev)),
                previous.map(|point| &point.theirs),
                previous.map(|point| &point.ours),
                previous.map(|point| int(point.rev)),
                value.started,
                value.filter.map(|key| key.0)
            ])?;
        Ok(())
    }

    fn put_device(&self, user: &str, id: &str, device: &Device) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT INTO device (user, id, nonce, logins, devinf, session) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (user, id) DO UPDATE SET nonce = ?3, logins = ?4, devinf = ?5, session = ?6",
            )?
            .execute(params![
                user,
                id,
                device.nonce.as_deref(),
                int(device.logins),
                device.devinf.as_deref(),
                device.session
            ])?;
        Ok(())
    }

    fn spool(&self, token: &str, direction: Direction, offset: u64, data: &[u8]) -> Result<(), Fault> {
        let end = spool_end(self.conn, token, direction)?;
        if offset > end.unwrap_or(0) {
            let what = format!("spool ends at {}, piece starts at {offset}", end.unwrap_or(0));
            return Err(StoreError::Failed(what).into());
        }
        self.cut_spool(token, direction, offset)?;
        let mut insert = self
            .conn
            .prepare_cached("INSERT INTO spool (token, direction, start, data) VALUES (?1, ?2, ?3, ?4)")?;
        let mut start = offset;
        for piece in data.chunks(SPOOL_ROW) {
            insert.execute(params![token, way(direction), int(start), piece])?;
            start = start.saturating_add(piece.len() as u64);
        }
        if start == 0 {
            // An object without octets is one, too.
            insert.execute(params![token, way(direction), 0, &[][..] as &[u8]])?;
        }
        Ok(())
    }

    /// Drops what a spool has from an offset on.
    fn cut_spool(&self, token: &str, direction: Direction, offset: u64) -> Result<(), Fault> {
        self.clear_spool(token, direction, offset)?;
        self.conn
            .prepare_cached(
                "UPDATE spool SET data = substr(data, 1, ?4 - start)
                 WHERE token = ?1 AND direction = ?2 AND start > ?3 AND start < ?4 AND start + length(data) > ?4",
            )?
            .execute(params![token, way(direction), int(offset).saturating_sub(SPOOL_ROW as i64), int(offset)])?;
        Ok(())
    }

    fn clear_spool(&self, token: &str, direction: Direction, from: u64) -> Result<(), Fault> {
        self.conn
            .prepare_cached("DELETE FROM spool WHERE token = ?1 AND direction = ?2 AND start >= ?3")?
            .execute(params![token, way(direction), int(from)])?;
        Ok(())
    }

    fn once(&self, user: &str, key: &str, guid: &Guid) -> Result<(), Fault> {
        let made = self
            .conn
            .prepare_cached("INSERT OR IGNORE INTO once (user, key, guid) VALUES (?1, ?2, ?3)")?
            .execute(params![user, key, guid.as_str()])?;
        if made == 0 {
            return Err(StoreError::Stale(format!("happened already: {key}")).into());
        }
        Ok(())
    }

    fn enqueue(&self, queue: &str, id: &str, content: &[u8]) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO queue (queue, id, content, added) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![queue, id, content, self.now])?;
        Ok(())
    }

    /// The row id of a datastore whose items this commit touches, and their revision.
    fn store(&self, key: &StoreKey) -> Result<(i64, u64), Fault> {
        match self.stores.get(key) {
            Some((id, Some(rev))) => Ok((*id, *rev)),
            _ => Err(StoreError::Failed(format!("no revision taken for {}", key.datastore)).into()),
        }
    }

    /// The row id of a peer, which is made if need be.
    fn peer(&mut self, key: &PeerKey) -> Result<i64, Fault> {
        if let Some(id) = self.peers.get(key) {
            return Ok(*id);
        }
        let id = match peer_id(self.conn, key)? {
            Some(id) => id,
            None => self.new_peer(key)?,
        };
        self.peers.insert(key.clone(), id);
        Ok(id)
    }

    fn new_peer(&mut self, key: &PeerKey) -> Result<i64, Fault> {
        let store = match store_id(self.conn, &key.store)? {
            Some((id, _)) => id,
            None => {
                self.conn
                    .prepare_cached("INSERT INTO datastore (user, name, rev) VALUES (?1, ?2, 0)")?
                    .execute(params![key.store.user, key.store.datastore])?;
                self.conn.last_insert_rowid()
            }
        };
        self.conn
            .prepare_cached("INSERT INTO peer (store, device) VALUES (?1, ?2)")?
            .execute(params![store, key.device])?;
        Ok(self.conn.last_insert_rowid())
    }
}

fn check_session(conn: &Connection, session: &SessionWrite) -> Result<(), Fault> {
    let found: Option<i64> = conn
        .prepare_cached("SELECT version FROM session WHERE token = ?1")?
        .query_row([&session.token], |row| row.get(0))
        .optional()?;
    let version = found.map_or(0, uint);
    if version == session.expect {
        return Ok(());
    }
    Err(StoreError::Stale(format!("session version {version}, expected {}", session.expect)).into())
}

fn put_session(conn: &Connection, session: &SessionWrite, now: i64) -> Result<(), Fault> {
    match &session.value {
        Some(value) => {
            conn.prepare_cached(
                "INSERT INTO session (token, version, value, answer, created, touched) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                 ON CONFLICT (token) DO UPDATE SET version = ?2, value = ?3, answer = ?4, touched = ?5",
            )?
            .execute(params![
                session.token,
                int(session.expect.saturating_add(1)),
                &**value,
                &*session.answer,
                now
            ])?;
        }
        None => {
            conn.prepare_cached("DELETE FROM session WHERE token = ?1")?.execute([&session.token])?;
            conn.prepare_cached("DELETE FROM spool WHERE token = ?1")?.execute([&session.token])?;
        }
    }
    Ok(())
}
