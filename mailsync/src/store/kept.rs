//! What was set aside before it was deleted or lost a conflict.

use super::read::octets;
use super::{SqliteStore, now, uint};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::sync::store::{ItemValue, MatchKey, StoreError, StoreKey};
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

/// An item that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// By what it is named here.
    pub id: i64,
    /// Whose.
    pub user: String,
    /// The datastore.
    pub datastore: String,
    /// Its id there.
    pub guid: String,
    /// When it was set aside, seconds since 1970.
    pub added: i64,
    /// Until when it is kept, seconds since 1970; none: for good.
    pub until: Option<i64>,
    /// Its media type.
    pub kind: String,
    /// Octets.
    pub size: u64,
    #[serde(skip)]
    state: (ItemValue, Bytes),
}

impl Kept {
    /// Where it was.
    pub fn key(&self) -> (StoreKey, Guid) {
        let store = StoreKey { user: self.user.as_str().into(), datastore: self.datastore.as_str().into() };
        (store, Guid::unvalidated(self.guid.as_str()))
    }

    /// As it was.
    pub fn state(&self) -> (ItemValue, Bytes) {
        self.state.clone()
    }
}

const KEPT: &str = "SELECT kept.id, user, name, guid, added, until, rank, parent, kind, fields, match_keys, data \
                    FROM kept JOIN datastore ON datastore.id = kept.store";

impl SqliteStore {
    /// What is kept, of a user or of all, oldest first.
    pub fn kept(&self, user: Option<&str>) -> Result<Vec<Kept>, StoreError> {
        self.query(|conn| {
            let sql = format!(
                "{KEPT} WHERE user = coalesce(?1, user) AND coalesce(until, ?2) >= ?2 ORDER BY kept.id"
            );
            conn.prepare(&sql)?.query_map(params![user, now()], kept_from)?.collect()
        })
    }

    /// One of them.
    pub fn kept_item(&self, user: &str, id: i64) -> Result<Option<Kept>, StoreError> {
        self.query(|conn| {
            let sql = format!("{KEPT} WHERE user = ?1 AND kept.id = ?2");
            conn.prepare(&sql)?.query_row(params![user, id], kept_from).optional()
        })
    }

    /// It is kept no more. False if there is no such thing.
    pub fn drop_kept(&self, id: i64) -> Result<bool, StoreError> {
        self.write(|conn| Ok(conn.execute("DELETE FROM kept WHERE id = ?1", [id])? > 0))
    }
}

fn kept_from(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let (keys, _) = row.get_ref(10)?.as_blob()?.as_chunks::<16>();
    let kind: String = row.get(8)?;
    let body = octets(row, 11)?.unwrap_or_default();
    let value = ItemValue {
        rank: row.get(6)?,
        parent: row.get::<_, Option<Box<str>>>(7)?.map(Guid::unvalidated),
        kind: kind.as_str().into(),
        fields: octets(row, 9)?.unwrap_or_default(),
        match_keys: keys.iter().copied().map(MatchKey).collect(),
    };
    Ok(Kept {
        id: row.get(0)?,
        user: row.get(1)?,
        datastore: row.get(2)?,
        guid: row.get(3)?,
        added: row.get(4)?,
        until: row.get(5)?,
        kind,
        size: uint(i64::try_from(body.len()).unwrap_or(i64::MAX)),
        state: (value, body),
    })
}
