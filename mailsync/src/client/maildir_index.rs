//! Which file shows which item at which revision: a table beside the store's own in the same database.
//!
//! An item whose row says another revision, or whose body is still in the database, has yet to be written out. So
//! the rows may be lost in a crash: what they said is then done again.

use idmap::Guid;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// What a file showed when we last looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRow {
    /// The item's revision that it shows.
    pub(crate) rev: u64,
    /// The folder's id; empty for what is in none.
    pub(crate) place: String,
    /// The file's name in its folder (`cur/x:2,S`), or the folder's directory.
    pub(crate) name: String,
    /// Octets.
    pub(crate) size: u64,
    /// When it was changed, in nanoseconds since 1970; 0 where that does not matter.
    pub(crate) mtime: i64,
    /// A hash of its content; empty where that does not matter.
    pub(crate) digest: Vec<u8>,
}

/// A change of the table.
pub(crate) enum Change {
    Put(String, Guid, FileRow),
    Remove(String, Guid),
}

/// The table.
#[derive(Debug)]
pub(crate) struct Index {
    conn: Connection,
}

impl Index {
    pub(crate) fn open(database: &Path) -> rusqlite::Result<Self> {
        let conn = Connection::open(database)?;
        conn.busy_timeout(Duration::from_secs(10))?;
        // Losing the last rows is harmless: they are made again.
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        conn.execute_batch(
            "CREATE TABLE IF NOT EXISTS file (
               store TEXT NOT NULL, guid TEXT NOT NULL, rev INTEGER NOT NULL, place TEXT NOT NULL, name TEXT NOT NULL,
               size INTEGER NOT NULL, mtime INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (store, guid)
             ) STRICT, WITHOUT ROWID;",
        )?;
        Ok(Index { conn })
    }

    pub(crate) fn row(&self, store: &str, guid: &str) -> rusqlite::Result<Option<FileRow>> {
        self.conn
            .prepare_cached(
                "SELECT rev, place, name, size, mtime, digest FROM file WHERE store = ?1 AND guid = ?2",
            )?
            .query_row([store, guid], |row| row_from(row, 0))
            .optional()
    }

    pub(crate) fn rows(&self, store: &str) -> rusqlite::Result<HashMap<String, FileRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT guid, rev, place, name, size, mtime, digest FROM file WHERE store = ?1",
        )?;
        statement.query_map([store], |row| Ok((row.get(0)?, row_from(row, 1)?)))?.collect()
    }

    pub(crate) fn apply(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let tx = self.conn.transaction()?;
        for change in changes {
            match change {
                Change::Put(store, guid, row) => {
                    tx.prepare_cached(
                        "INSERT OR REPLACE INTO file (store, guid, rev, place, name, size, mtime, digest)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    )?
                    .execute(params![
                        store,
                        guid.as_str(),
                        int(row.rev),
                        row.place,
                        row.name,
                        int(row.size),
                        row.mtime,
                        row.digest
                    ])?;
                }
                Change::Remove(store, guid) => {
                    tx.prepare_cached("DELETE FROM file WHERE store = ?1 AND guid = ?2")?
                        .execute([store.as_str(), guid.as_str()])?;
                }
            }
        }
        tx.commit()
    }

    /// Items that are not written out, folders first.
    pub(crate) fn pending(&self, user: &str) -> rusqlite::Result<Vec<(String, Guid)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT d.name, i.guid FROM item i JOIN datastore d ON d.id = i.store
             LEFT JOIN file f ON f.store = d.name AND f.guid = i.guid
             WHERE d.user = ?1 AND (
               (i.deleted = 0 AND (f.rev IS NOT i.rev
                 OR EXISTS (SELECT 1 FROM body b WHERE b.store = i.store AND b.guid = i.guid)))
               OR (i.deleted = 1 AND f.guid IS NOT NULL))
             ORDER BY i.rank, i.rev",
        )?;
        let rows = statement
            .query_map([user], |row| Ok((row.get(0)?, Guid::unvalidated(row.get::<_, Box<str>>(1)?))))?;
        rows.collect()
    }

    /// Drops bodies that are safe in files: store, id, and the revision up to which.
    pub(crate) fn drop_bodies(&mut self, user: &str, bodies: &[(String, Guid, u64)]) -> rusqlite::Result<()> {
        let tx = self.conn.transaction()?;
        for (store, guid, rev) in bodies {
            tx.prepare_cached(
                "DELETE FROM body WHERE guid = ?3 AND rev <= ?4
                 AND store = (SELECT id FROM datastore WHERE user = ?1 AND name = ?2)",
            )?
            .execute(params![user, store, guid.as_str(), int(*rev)])?;
        }
        tx.commit()
    }

    /// Ids and stored states of a datastore's live items.
    pub(crate) fn fields(&self, user: &str, store: &str) -> rusqlite::Result<HashMap<String, Vec<u8>>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT i.guid, i.fields FROM item i JOIN datastore d ON d.id = i.store
             WHERE d.user = ?1 AND d.name = ?2 AND i.deleted = 0",
        )?;
        statement.query_map([user, store], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// Bodies that are still in the database.
    #[cfg(test)]
    pub(crate) fn bodies(&self) -> rusqlite::Result<u64> {
        self.conn.query_row("SELECT count(*) FROM body", [], |row| row.get::<_, i64>(0)).map(uint)
    }
}

fn row_from(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<FileRow> {
    Ok(FileRow {
        rev: uint(row.get(at)?),
        place: row.get(at + 1)?,
        name: row.get(at + 2)?,
        size: uint(row.get(at + 3)?),
        mtime: row.get(at + 4)?,
        digest: row.get(at + 5)?,
    })
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
