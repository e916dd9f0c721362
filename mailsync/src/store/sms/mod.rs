//! The exchange's tables: queues, parts, conversations, bindings. Made when the exchange first runs.

mod bindings;
mod queue;
mod threads;
mod toll;

pub use bindings::{AuditRow, BindingRows};
pub use queue::{Claimed, Depth, MessageRow, PartRow, Taken};
pub use threads::ThreadRow;

use super::{Fault, SqliteStore};
use mailsync_proto::sync::store::StoreError;
use rusqlite::{Connection, params};

/// What SQLite says; rolls the transaction back.
pub type Result<T> = rusqlite::Result<T>;

/// The version of these tables.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS sms_schema (version INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sms_message (
  id INTEGER PRIMARY KEY AUTOINCREMENT, info BLOB NOT NULL, parts INTEGER NOT NULL, added INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sms_out (
  id INTEGER PRIMARY KEY AUTOINCREMENT, message INTEGER NOT NULL, link TEXT NOT NULL, body BLOB NOT NULL,
  state INTEGER NOT NULL, doubt INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  remote TEXT, error TEXT, added INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sms_out_next ON sms_out (link, state, id);
CREATE INDEX IF NOT EXISTS sms_out_message ON sms_out (message);
CREATE TABLE IF NOT EXISTS sms_part (
  id INTEGER PRIMARY KEY AUTOINCREMENT, link TEXT NOT NULL, set_key TEXT NOT NULL, body BLOB NOT NULL,
  added INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sms_part_set ON sms_part (set_key);
CREATE TABLE IF NOT EXISTS sms_thread (
  token TEXT PRIMARY KEY, phone TEXT NOT NULL, number TEXT NOT NULL, mailbox TEXT NOT NULL, subject TEXT,
  ids TEXT NOT NULL, used INTEGER NOT NULL, expires INTEGER NOT NULL, UNIQUE (phone, number)
) STRICT;
CREATE TABLE IF NOT EXISTS sms_binding (
  number TEXT NOT NULL, mailbox_key TEXT NOT NULL, mailbox TEXT NOT NULL, ends INTEGER, origin TEXT NOT NULL,
  preferred INTEGER NOT NULL, PRIMARY KEY (number, mailbox_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sms_binding_mailbox ON sms_binding (mailbox_key);
CREATE TABLE IF NOT EXISTS sms_audit (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL, number TEXT NOT NULL, mailbox TEXT NOT NULL,
  origin TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS sms_challenge (
  number TEXT PRIMARY KEY, mailbox TEXT NOT NULL, phone_code TEXT NOT NULL, mail_code TEXT NOT NULL,
  expires INTEGER NOT NULL, attempts INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sms_toll (
  day INTEGER NOT NULL, prefix INTEGER NOT NULL, who TEXT NOT NULL, parts INTEGER NOT NULL,
  PRIMARY KEY (day, prefix, who)
) STRICT, WITHOUT ROWID;
";

/// The tables, within one transaction.
#[derive(Debug)]
pub struct Tables<'c> {
    pub(super) conn: &'c Connection,
}

impl SqliteStore {
    /// Makes the exchange's tables if they are not there.
    pub fn open_sms(&self) -> std::result::Result<(), StoreError> {
        let found = self.write(|conn| {
            conn.execute_batch(TABLES)?;
            let found: Option<i64> =
                conn.query_row("SELECT max(version) FROM sms_schema", [], |row| row.get(0))?;
            if found.is_none() {
                conn.execute("INSERT INTO sms_schema (version) VALUES (?1)", [VERSION])?;
            }
            Ok(found.unwrap_or(VERSION))
        })?;
        if found > VERSION {
            return Err(StoreError::Failed(format!(
                "the tables of short messages have version {found}, newer than this program ({VERSION})"
            )));
        }
        Ok(())
    }

    /// Works on the exchange's tables in one transaction; whatever fails rolls it back.
    pub fn sms<T>(&self, work: impl FnOnce(&Tables<'_>) -> Result<T>) -> std::result::Result<T, StoreError> {
        self.write(|conn| work(&Tables { conn }).map_err(Fault::Sqlite))
    }

    /// Reads the exchange's tables.
    pub fn sms_read<T>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        self.query(|conn| work(&Tables { conn }))
    }
}

impl Tables<'_> {
    /// Adds a job to a queue of the server's.
    pub fn enqueue(&self, queue: &str, id: &str, content: &[u8], now: u64) -> Result<()> {
        let sql = "INSERT OR IGNORE INTO queue (queue, id, content, added) VALUES (?1, ?2, ?3, ?4)";
        self.conn.prepare_cached(sql)?.execute(params![queue, id, content, super::int(now)])?;
        Ok(())
    }

    /// Takes a job out of a queue of the server's.
    pub fn dequeue(&self, queue: &str, id: &str) -> Result<()> {
        let sql = "DELETE FROM queue WHERE queue = ?1 AND id = ?2";
        self.conn.prepare_cached(sql)?.execute(params![queue, id])?;
        Ok(())
    }

    /// Whose mail an address is.
    pub fn user_of(&self, address: &str) -> Result<Option<String>> {
        use rusqlite::OptionalExtension;
        let sql = "SELECT user FROM address WHERE address = ?1";
        self.conn.prepare_cached(sql)?.query_row([address], |row| row.get(0)).optional()
    }

    /// The addresses of a user.
    pub fn addresses_of(&self, user: &str) -> Result<Vec<String>> {
        let sql = "SELECT address FROM address WHERE user = ?1 ORDER BY address";
        let mut statement = self.conn.prepare_cached(sql)?;
        statement.query_map([user], |row| row.get(0))?.collect()
    }
}
