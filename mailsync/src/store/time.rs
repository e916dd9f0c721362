//! Time's own table: small values by kind, owner and name, each with a version. What is in them is the engines' business.

use super::{Fault, SqliteStore, int, uint};
use mailsync_proto::sync::store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

pub(super) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS time_value (
  kind TEXT NOT NULL, user TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (kind, user, name)
) STRICT, WITHOUT ROWID;
";

/// The place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeKey {
    /// What sort of value.
    pub kind: &'static str,
    /// Whose.
    pub user: String,
    /// Which.
    pub name: String,
}

/// A value that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRow {
    /// Whose.
    pub user: String,
    /// Which.
    pub name: String,
    /// Rises with every change.
    pub version: u64,
    /// The value.
    pub value: Vec<u8>,
}

/// A change of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeWrite {
    /// Where.
    pub key: TimeKey,
    /// The version that the change was decided on, 0 for none; unset: whatever is there.
    pub expect: Option<u64>,
    /// The new value; none deletes it.
    pub value: Option<Vec<u8>>,
}

impl SqliteStore {
    /// Makes the table if it is not there.
    pub fn open_time(&self) -> Result<(), StoreError> {
        self.write(|conn| Ok(conn.execute_batch(TABLE)?))
    }

    /// A value.
    pub fn time_value(&self, key: &TimeKey) -> Result<Option<TimeRow>, StoreError> {
        self.query(|conn| one(conn, key))
    }

    /// All values of a kind, of one user or of all.
    pub fn time_values(&self, kind: &str, user: Option<&str>) -> Result<Vec<TimeRow>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT user, name, version, value FROM time_value WHERE kind = ?1 AND user = coalesce(?2, user)
                 ORDER BY user, name",
            )?;
            let rows = statement.query_map(params![kind, user], row)?;
            rows.collect()
        })
    }

    /// Changes values, all of them or none.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when one has changed since it was read.
    pub fn put_time_values(&self, writes: &[TimeWrite]) -> Result<(), StoreError> {
        self.write(|conn| {
            for write in writes {
                let TimeKey { kind, user, name } = &write.key;
                let found = one(conn, &write.key)?.map_or(0, |row| row.version);
                if write.expect.is_some_and(|expect| expect != found) {
                    return Err(Fault::Store(StoreError::Stale(format!("{kind} {name}"))));
                }
                match &write.value {
                    Some(value) => conn
                        .prepare_cached(
                            "INSERT INTO time_value (kind, user, name, version, value) VALUES (?1, ?2, ?3, ?4, ?5)
                             ON CONFLICT (kind, user, name) DO UPDATE SET version = ?4, value = ?5",
                        )?
                        .execute(params![kind, user, name, int(found.saturating_add(1)), value])?,
                    None => conn
                        .prepare_cached("DELETE FROM time_value WHERE kind = ?1 AND user = ?2 AND name = ?3")?
                        .execute(params![kind, user, name])?,
                };
            }
            Ok(())
        })
    }
}

fn one(conn: &Connection, key: &TimeKey) -> rusqlite::Result<Option<TimeRow>> {
    let sql = "SELECT user, name, version, value FROM time_value WHERE kind = ?1 AND user = ?2 AND name = ?3";
    conn.prepare_cached(sql)?.query_row(params![key.kind, key.user, key.name], row).optional()
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<TimeRow> {
    Ok(TimeRow { user: row.get(0)?, name: row.get(1)?, version: uint(row.get(2)?), value: row.get(3)? })
}
