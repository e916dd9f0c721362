//! The answers to reads. Each costs what its answer costs: every look-up and walk has its index.

use super::{Bodies, int, uint};
use bytes::Bytes;
use idmap::{Entry, Guid, Luid, State, TempId, Wire};
use mailsync_proto::sync::store::*;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

/// What of an item is read, in the order of [`item_from`].
pub(super) const ITEM: &str = "item.guid, item.rev, item.body_rev, item.deleted, item.rank, item.parent, \
                               item.kind, item.fields, item.match_keys, item.size";
/// What of an entry is read, in the order of [`entry_from`].
const ENTRY: &str = "map.guid, map.generation, map.luid, map.temp, map.seen_rev, map.form";

/// Octets of a spool row, at most; so a range is read without the rest.
pub(super) const SPOOL_ROW: usize = 64 << 10;

pub(super) fn read(conn: &Connection, read: &Read, bodies: Bodies) -> rusqlite::Result<Value> {
    Ok(match read {
        Read::Login { user, device } => Value::Login(login(conn, user, device)?),
        Read::Peer(key) => Value::Peer(peer(conn, key)?),
        Read::Head(store) => Value::Rev(head(conn, store)?),
        Read::ByLuid(key, generation, luid) => {
            Value::Entry(entry(conn, key, *generation, "map.luid = ?3", luid.as_str())?)
        }
        Read::ByGuid(key, generation, guid) => Value::Entry(by_guid(conn, key, *generation, guid.as_str())?),
        Read::ByWire(key, generation, wire) => Value::Entry(by_wire(conn, key, *generation, wire)?),
        Read::Pending(key, generation, limit) => Value::Entries(pending(conn, key, *generation, *limit)?),
        Read::Device(user, device) => Value::Device(device_row(conn, user, device)?),
        Read::Item(store, guid) => Value::Item(item(conn, store, guid)?),
        Read::Body(store, guid) => Value::Body(match bodies {
            Bodies::Inside => body(conn, store, guid)?,
            Bodies::Outside => None,
        }),
        Read::Matches { peer, generation, key, after, limit } => {
            let after = after.as_ref().map_or("", Guid::as_str);
            Value::Items(matches(conn, peer, *generation, key, after, *limit)?)
        }
        Read::Children(store, guid, limit) => Value::Items(children(conn, store, guid, *limit)?),
        Read::Live(key, generation, cursor, limit) => {
            Value::Rows(live(conn, key, *generation, cursor, *limit)?)
        }
        Read::Rows(changes, cursor, limit) => Value::Rows(rows(conn, changes, cursor, *limit)?),
        Read::Count(changes) => Value::Count(count(conn, changes)?),
        Read::Spool { token, direction, offset, len } => {
            Value::Body(spool(conn, token, *direction, *offset, *len)?)
        }
        Read::Once(user, key) => Value::Once(once(conn, user, key)?),
        Read::Session(token) => Value::Session(session(conn, token)?),
        Read::Ask(..) => Value::no_answer(),
    })
}

fn login(conn: &Connection, user: &str, device: &str) -> rusqlite::Result<Option<Login>> {
    conn.prepare_cached(
        "SELECT coalesce(device.verifier, user.verifier), coalesce(device.revoked, 0), device.nonce,
           coalesce(device.logins, 0), device.devinf, device.session,
           (SELECT value FROM secret WHERE name = 'password:' || user.name),
           (SELECT count(*) FROM device AS other JOIN session ON session.token = other.session
            WHERE other.user = ?1 AND other.id <> ?2)
         FROM user LEFT JOIN device ON device.user = user.name AND device.id = ?2 WHERE user.name = ?1",
    )?
    .query_row(params![user, device], |row| {
        let password: Option<Vec<u8>> = row.get(6)?;
        Ok(Login {
            verifier: row.get(0)?,
            item_key: None,
            password: password.and_then(|octets| String::from_utf8(octets).ok()).map(Into::into),
            revoked: row.get(1)?,
            device: device_from(row, 2)?,
            sessions: row.get(7)?,
        })
    })
    .optional()
}

fn device_row(conn: &Connection, user: &str, device: &str) -> rusqlite::Result<Option<Device>> {
    conn.prepare_cached("SELECT nonce, logins, devinf, session FROM device WHERE user = ?1 AND id = ?2")?
        .query_row([user, device], |row| device_from(row, 0))
        .optional()
}

fn device_from(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Device> {
    Ok(Device {
        nonce: octets(row, at)?,
        logins: uint(row.get(at + 1)?),
        devinf: octets(row, at + 2)?,
        session: row.get::<_, Option<String>>(at + 3)?.map(Into::into),
    })
}

/// The row id of a datastore and its revision counter.
pub(super) fn store_id(conn: &Connection, key: &StoreKey) -> rusqlite::Result<Option<(i64, u64)>> {
    conn.prepare_cached("SELECT id, rev FROM datastore WHERE user = ?1 AND name = ?2")?
        .query_row(params![key.user, key.datastore], |row| Ok((row.get(0)?, uint(row.get(1)?))))
        .optional()
}

/// The row id of a peer.
pub(super) fn peer_id(conn: &Connection, key: &PeerKey) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT peer.id FROM datastore JOIN peer ON peer.store = datastore.id
         WHERE datastore.user = ?1 AND datastore.name = ?2 AND peer.device = ?3",
    )?
    .query_row(params![key.store.user, key.store.datastore, key.device], |row| row.get(0))
    .optional()
}

fn head(conn: &Connection, key: &StoreKey) -> rusqlite::Result<u64> {
    Ok(store_id(conn, key)?.map_or(0, |(_, rev)| rev))
}

fn peer(conn: &Connection, key: &PeerKey) -> rusqlite::Result<Option<Peer>> {
    let Some(id) = peer_id(conn, key)? else { return Ok(None) };
    conn.prepare_cached(
        "SELECT generation, started, committed_theirs, committed_ours, committed_rev,
                previous_theirs, previous_ours, previous_rev, filter FROM peer WHERE id = ?1",
    )?
    .query_row([id], |row| {
        let Some(generation) = row.get(0)? else { return Ok(None) };
        let started = row.get(1)?;
        let filter = row.get::<_, Option<[u8; 16]>>(8)?.map(MatchKey);
        Ok(Some(Peer { generation, started, committed: point(row, 2)?, previous: point(row, 5)?, filter }))
    })
}

fn point(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Option<SyncPoint>> {
    let Some(theirs) = row.get(at)? else { return Ok(None) };
    Ok(Some(SyncPoint { theirs, ours: row.get(at + 1)?, rev: uint(row.get(at + 2)?) }))
}

fn entry(
    conn: &Connection,
    key: &PeerKey,
    generation: u32,
    condition: &str,
    value: &str,
) -> rusqlite::Result<Option<Entry>> {
    let Some(peer) = peer_id(conn, key)? else { return Ok(None) };
    let sql = format!("SELECT {ENTRY} FROM map WHERE map.peer = ?1 AND map.generation = ?2 AND {condition}");
    conn.prepare_cached(&sql)?
        .query_row(params![peer, generation, value], |row| entry_from(row, 0))
        .optional()
        .map(Option::flatten)
}

fn by_guid(conn: &Connection, key: &PeerKey, generation: u32, guid: &str) -> rusqlite::Result<Option<Entry>> {
    entry(conn, key, generation, "map.guid = ?3", guid)
}

fn by_wire(conn: &Connection, key: &PeerKey, generation: u32, wire: &str) -> rusqlite::Result<Option<Entry>> {
    match entry(conn, key, generation, "map.temp = ?3", wire)? {
        Some(entry) => Ok(Some(entry)),
        None => entry(conn, key, generation, "map.guid = ?3 AND map.temp IS NULL", wire),
    }
}

fn pending(conn: &Connection, key: &PeerKey, generation: u32, limit: u32) -> rusqlite::Result<Vec<Entry>> {
    let Some(peer) = peer_id(conn, key)? else { return Ok(Vec::new()) };
    // Through the index of LUIDs, where those without one lie together in the order of their GUIDs.
    let sql = format!(
        "SELECT {ENTRY} FROM map WHERE map.peer = ?1 AND map.generation = ?2 AND map.luid IS NULL
         ORDER BY map.guid LIMIT ?3"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let entries = statement.query_map(params![peer, generation, limit], |row| entry_from(row, 0))?;
    entries.filter_map(Result::transpose).collect()
}

/// An entry from the columns of [`ENTRY`]; none if a join found none.
fn entry_from(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Option<Entry>> {
    let Some(guid) = row.get::<_, Option<Box<str>>>(at)? else { return Ok(None) };
    let luid: Option<Box<str>> = row.get(at + 2)?;
    let temp: Option<Box<str>> = row.get(at + 3)?;
    let wire = temp.map_or(Wire::Guid, |temp| Wire::Temp(TempId::unvalidated(temp)));
    let state = match luid {
        Some(luid) => State::Bound { luid: Luid::unvalidated(luid), wire },
        None => State::Pending { wire },
    };
    Ok(Some(Entry {
        guid: Guid::unvalidated(guid),
        state,
        generation: row.get(at + 1)?,
        seen_rev: uint(row.get(at + 4)?),
        form: row.get(at + 5)?,
    }))
}

fn item(conn: &Connection, key: &StoreKey, guid: &Guid) -> rusqlite::Result<Option<Item>> {
    let Some((store, _)) = store_id(conn, key)? else { return Ok(None) };
    let sql = format!("SELECT {ITEM} FROM item WHERE item.store = ?1 AND item.guid = ?2");
    conn.prepare_cached(&sql)?.query_row(params![store, guid.as_str()], item_from).optional()
}

/// An item from the columns of [`ITEM`].
pub(super) fn item_from(row: &SqlRow<'_>) -> rusqlite::Result<Item> {
    let keys = row.get_ref(8)?.as_blob()?;
    let (keys, _) = keys.as_chunks::<16>();
    Ok(Item {
        guid: Guid::unvalidated(row.get::<_, Box<str>>(0)?),
        rev: uint(row.get(1)?),
        body_rev: uint(row.get(2)?),
        deleted: row.get(3)?,
        value: ItemValue {
            rank: row.get(4)?,
            parent: row.get::<_, Option<Box<str>>>(5)?.map(Guid::unvalidated),
            kind: row.get(6)?,
            fields: octets(row, 7)?.unwrap_or_default(),
            match_keys: keys.iter().copied().map(MatchKey).collect(),
        },
        size: uint(row.get(9)?),
    })
}

fn body(conn: &Connection, key: &StoreKey, guid: &Guid) -> rusqlite::Result<Option<Bytes>> {
    let Some((store, _)) = store_id(conn, key)? else { return Ok(None) };
    conn.prepare_cached("SELECT data FROM body WHERE store = ?1 AND guid = ?2 ORDER BY rev DESC LIMIT 1")?
        .query_row(params![store, guid.as_str()], |row| octets(row, 0))
        .optional()
        .map(Option::flatten)
}

fn matches(
    conn: &Connection,
    key: &PeerKey,
    generation: u32,
    match_key: &MatchKey,
    after: &str,
    limit: u32,
) -> rusqlite::Result<Vec<Item>> {
    let Some((store, _)) = store_id(conn, &key.store)? else { return Ok(Vec::new()) };
    // A peer without rows has id 0: no entry is its.
    let peer = peer_id(conn, key)?.unwrap_or(0);
    let mut statement = conn.prepare_cached(&matches_sql())?;
    let items =
        statement.query_map(params![store, match_key.0, peer, generation, after, limit], item_from)?;
    items.collect()
}

fn matches_sql() -> String {
    format!(
        "SELECT {ITEM} FROM match_key CROSS JOIN item ON item.store = match_key.store AND item.guid = match_key.guid
         WHERE match_key.store = ?1 AND match_key.key = ?2 AND match_key.guid > ?5 AND NOT EXISTS
           (SELECT 1 FROM map WHERE map.peer = ?3 AND map.generation = ?4 AND map.guid = item.guid)
         ORDER BY match_key.guid LIMIT ?6"
    )
}

fn children(conn: &Connection, key: &StoreKey, parent: &Guid, limit: u32) -> rusqlite::Result<Vec<Item>> {
    let Some((store, _)) = store_id(conn, key)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare_cached(&children_sql())?;
    let items = statement.query_map(params![store, parent.as_str(), limit], item_from)?;
    items.collect()
}

fn children_sql() -> String {
    format!(
        "SELECT {ITEM} FROM item INDEXED BY item_parent WHERE item.store = ?1 AND item.parent = ?2 AND item.deleted = 0
         ORDER BY item.guid LIMIT ?3"
    )
}

fn live(
    conn: &Connection,
    key: &PeerKey,
    generation: u32,
    cursor: &Cursor,
    limit: u32,
) -> rusqlite::Result<Vec<Row>> {
    let Some((store, _)) = store_id(conn, &key.store)? else { return Ok(Vec::new()) };
    let peer = peer_id(conn, key)?.unwrap_or(0);
    let after = cursor.guid.as_ref().map_or("", Guid::as_str);
    let mut statement = conn.prepare_cached(&live_sql())?;
    let rows = statement
        .query_map(params![store, peer, generation, cursor.rank, int(cursor.rev), after, limit], |row| {
            Ok(Row { item: item_from(row)?, entry: entry_from(row, 10)? })
        })?;
    rows.collect()
}

fn live_sql() -> String {
    format!(
        "SELECT {ITEM}, {ENTRY} FROM item
           LEFT JOIN map ON map.peer = ?2 AND map.generation = ?3 AND map.guid = item.guid
         WHERE item.store = ?1 AND (item.rank, item.rev, item.guid) > (?4, ?5, ?6) AND NOT item.deleted
         ORDER BY item.rank, item.rev, item.guid LIMIT ?7"
    )
}

/// What makes an item news for the peer: ?1 store, ?2 peer, ?3 generation, ?4 rank, after (?5 revision, ?6 id),
/// ?7 upto. One lower bound over both columns, so that the index leads straight to it.
const NEWS: &str = "FROM item LEFT JOIN map ON map.peer = ?2 AND map.generation = ?3 AND map.guid = item.guid
    WHERE item.store = ?1 AND item.rank = ?4 AND (item.rev, item.guid) > (?5, ?6) AND item.rev <= ?7
      AND CASE WHEN map.guid IS NULL THEN NOT item.deleted ELSE map.seen_rev < item.rev END";

fn rows_sql() -> String {
    format!("SELECT {ITEM}, {ENTRY} {NEWS} ORDER BY item.rev, item.guid LIMIT ?8")
}

fn rows(conn: &Connection, changes: &Changes, cursor: &Cursor, limit: u32) -> rusqlite::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let Some((store, peer)) = walk(conn, changes)? else { return Ok(rows) };
    // Rank by rank, so that within each the index leads from revision to revision.
    let mut statement = conn.prepare_cached(&rows_sql())?;
    let mut rank = next_rank(conn, store, i64::from(cursor.rank))?;
    // No id is empty: this is before the first row of the revision.
    let since = (changes.since.saturating_add(1), "");
    while let Some(at) = rank {
        let left = i64::from(limit).saturating_sub(int(rows.len() as u64));
        if left <= 0 {
            break;
        }
        let (rev, guid) = if at == i64::from(cursor.rank) {
            since.max((cursor.rev, cursor.guid.as_ref().map_or("", Guid::as_str)))
        } else {
            since
        };
        let found = statement.query_map(
            params![store, peer, changes.generation, at, int(rev), guid, int(changes.upto), left],
            |row| Ok(Row { item: item_from(row)?, entry: entry_from(row, 10)? }),
        )?;
        for row in found {
            rows.push(row?);
        }
        rank = next_rank(conn, store, at + 1)?;
    }
    Ok(rows)
}

fn count(conn: &Connection, changes: &Changes) -> rusqlite::Result<u64> {
    let mut count = 0;
    let Some((store, peer)) = walk(conn, changes)? else { return Ok(count) };
    let mut statement = conn.prepare_cached(&format!("SELECT count(*) {NEWS}"))?;
    let mut rank = next_rank(conn, store, 0)?;
    while let Some(at) = rank {
        let since = int(changes.since.saturating_add(1));
        let bounds = params![store, peer, changes.generation, at, since, "", int(changes.upto)];
        count += uint(statement.query_row(bounds, |row| row.get(0))?);
        rank = next_rank(conn, store, at + 1)?;
    }
    Ok(count)
}

/// The row ids of a walk; none when nothing can have changed.
fn walk(conn: &Connection, changes: &Changes) -> rusqlite::Result<Option<(i64, i64)>> {
    let key = &changes.peer;
    let Some((store, head)) = store_id(conn, &key.store)? else { return Ok(None) };
    if changes.since >= changes.upto.min(head) {
        return Ok(None);
    }
    Ok(Some((store, peer_id(conn, key)?.unwrap_or(0))))
}

/// The first rank from `rank` on that any item has.
fn next_rank(conn: &Connection, store: i64, rank: i64) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT min(rank) FROM item WHERE store = ?1 AND rank >= ?2")?
        .query_row([store, rank], |row| row.get(0))
}

fn spool(
    conn: &Connection,
    token: &str,
    direction: Direction,
    offset: u64,
    len: u64,
) -> rusqlite::Result<Option<Bytes>> {
    let Some(end) = spool_end(conn, token, direction)? else { return Ok(None) };
    let stop = offset.saturating_add(len).min(end);
    if stop <= offset {
        return Ok(Some(Bytes::new()));
    }
    let mut statement = conn.prepare_cached(
        "SELECT start, data FROM spool WHERE token = ?1 AND direction = ?2 AND start > ?3 AND start < ?4
         ORDER BY start",
    )?;
    let reach = int(offset).saturating_sub(SPOOL_ROW as i64);
    let mut rows = statement.query(params![token, way(direction), reach, int(stop)])?;
    let mut data = Vec::with_capacity(usize::try_from(stop - offset).unwrap_or(0).min(32 << 20));
    while let Some(row) = rows.next()? {
        let start = uint(row.get(0)?);
        let piece = row.get_ref(1)?.as_blob()?;
        let at =
            |place: u64| usize::try_from(place.saturating_sub(start)).unwrap_or(usize::MAX).min(piece.len());
        data.extend_from_slice(piece.get(at(offset)..at(stop)).unwrap_or_default());
    }
    Ok(Some(Bytes::from(data)))
}

/// Where a spooled object ends; none when there is none.
pub(super) fn spool_end(
    conn: &Connection,
    token: &str,
    direction: Direction,
) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached(
        "SELECT start + length(data) FROM spool WHERE token = ?1 AND direction = ?2 ORDER BY start DESC LIMIT 1",
    )?
    .query_row(params![token, way(direction)], |row| row.get(0).map(uint))
    .optional()
}

pub(super) fn way(direction: Direction) -> i64 {
    match direction {
        Direction::In => 0,
        Direction::Out => 1,
    }
}

fn once(conn: &Connection, user: &str, key: &str) -> rusqlite::Result<Option<Guid>> {
    conn.prepare_cached("SELECT guid FROM once WHERE user = ?1 AND key = ?2")?
        .query_row([user, key], |row| row.get::<_, Box<str>>(0).map(Guid::unvalidated))
        .optional()
}

fn session(conn: &Connection, token: &str) -> rusqlite::Result<Option<SessionRow>> {
    conn.prepare_cached("SELECT version, value, answer FROM session WHERE token = ?1")?
        .query_row([token], |row| {
            let (value, answer) = (octets(row, 1)?.unwrap_or_default(), octets(row, 2)?.unwrap_or_default());
            Ok(SessionRow { version: uint(row.get(0)?), value, answer })
        })
        .optional()
}

pub(super) fn octets(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Option<Bytes>> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null => None,
        value => Some(Bytes::copy_from_slice(value.as_blob()?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(sql: &str) -> String {
        let mut conn = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut conn).unwrap();
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = vec![1; statement.parameter_count()];
        let lines =
            statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3));
        lines.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn walks_follow_the_index() {
        for sql in [rows_sql(), format!("SELECT count(*) {NEWS}")] {
            let plan = plan(&sql);
            assert!(plan.contains("item_walk (store=? AND rank=? AND (rev,guid)>(?,?) AND rev<?)"), "{plan}");
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        for (sql, index) in [
            (matches_sql(), "match_key USING PRIMARY KEY (store=? AND key=? AND guid>?)"),
            (children_sql(), "item_parent (store=? AND parent=?)"),
            (live_sql(), "item_walk (store=? AND (rank,rev,guid)>(?,?,?))"),
        ] {
            let plan = plan(&sql);
            assert!(plan.contains(index), "{plan}");
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        let plan = plan("SELECT min(rank) FROM item WHERE store = ?1 AND rank >= ?2");
        assert!(plan.contains("SEARCH item USING COVERING INDEX item_walk (store=? AND rank>?)"), "{plan}");
    }
}
