//! The state in SQLite: one file, one writer, many readers.

mod admin;
mod alias;
mod dir;
mod item_key;
mod kept;
mod mailbox;
mod notices;
mod read;
mod schema;
pub mod sms;
mod tasks;
mod time;
mod write;

pub use admin::{DeviceInfo, Job, SessionInfo, UserInfo};
pub use alias::Alias;
pub use dir::{DirError, DirLock, Lead, database, private_dir};
pub use kept::Kept;
pub use mailbox::{AccountRow, Note, queue_name};
pub use notices::Registered;
pub use schema::SCHEMA;
pub use tasks::{Followed, TaskClientRow, TaskItem};
pub use time::{TimeKey, TimeRow, TimeWrite};

use mailsync_proto::sync::store::{Commit, Found, Login, Read, Store, StoreError, Value};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A [`Store`] in an SQLite file (WAL, `synchronous=FULL`: what was committed survives a power loss).
///
/// Other processes may have the same file open, for instance `mailsyncd user add` beside the running server.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    bodies: Bodies,
    /// None after an IO error: a connection whose sync failed is not used again.
    // spec: threats D1
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

/// Where the bodies of items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// In the same file.
    Inside,
    /// With the caller: rows say their size and revision, `Read::Body` finds none.
    Outside,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A newer program wrote it.
    #[error("{path}: schema {found} is newer than this program ({SCHEMA}); use a newer version of it")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// It is a database, but none of ours.
    #[error("{path}: not a mailsync database")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// SQLite says no.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Its words.
        source: rusqlite::Error,
    },
}

/// How long a writer waits for another process.
const BUSY: Duration = Duration::from_secs(10);
/// Connections kept open for reading.
const IDLE_READERS: usize = 8;

impl SqliteStore {
    /// Opens a file, or makes a new one.
    pub fn open(path: impl Into<PathBuf>, bodies: Bodies) -> Result<Self, OpenError> {
        let path = path.into();
        let failed = |source| OpenError::Sqlite { path: path.clone(), source };
        let mut writer = Connection::open(&path).map_err(failed)?;
        writer.busy_timeout(BUSY).map_err(failed)?;
        let (found, application) = schema::version(&writer)
            .and_then(|version| Ok((version, schema::application(&writer)?)))
            .map_err(failed)?;
        if ![0, schema::APPLICATION].contains(&application) || (application == 0 && found != 0) {
            return Err(OpenError::Foreign { path });
        }
        if found > SCHEMA {
            return Err(OpenError::Newer { path, found });
        }
        prepare(&writer).map_err(failed)?;
        schema::migrate(&mut writer).map_err(failed)?;
        Ok(SqliteStore { path, bodies, writer: Mutex::new(Some(writer)), readers: Mutex::default() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one transaction on the writer; whatever fails rolls it back.
    fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let mut slot = self.writer();
        let mut conn = match slot.take() {
            Some(conn) => conn,
            None => self.reopen().map_err(store_error)?,
        };
        let result = transact(&mut conn, work);
        match &result {
            Err(Fault::Sqlite(error)) if is_io(error) => self.idle().clear(),
            _ => *slot = Some(conn),
        }
        result.map_err(|fault| match fault {
            Fault::Store(error) => error,
            Fault::Sqlite(error) => store_error(error),
        })
    }

    /// Runs `work` on a reader, which sees one state of the file.
    fn query<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => self.reopen().map_err(store_error)?,
        };
        let result = conn.unchecked_transaction().and_then(|tx| {
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        });
        if !result.as_ref().is_err_and(is_io) {
            let mut idle = self.idle();
            if idle.len() < IDLE_READERS {
                idle.push(conn);
            }
        }
        result.map_err(store_error)
    }

    fn reopen(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.busy_timeout(BUSY)?;
        prepare(&conn)?;
        Ok(conn)
    }

    fn writer(&self) -> MutexGuard<'_, Option<Connection>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SqliteStore {
    fn read(&self, reads: &[Read]) -> Result<Found, StoreError> {
        let mut keys = Vec::new();
        let mut found = self.query(|conn| {
            let mut found = Found::default();
            keys.clear();
            for read in reads {
                found.insert(read.clone(), read::read(conn, read, self.bodies)?);
                if let Read::Login { user, device } = read
                    && let Some(sealed) = item_key::sealed(conn, user, device)?
                {
                    keys.push((read, self.opened(user, device, &sealed)));
                }
            }
            Ok(found)
        })?;
        for (read, key) in keys {
            let key = key?;
            if let Some(Value::Login(Some(login))) = found.get(read).cloned() {
                found.insert(read.clone(), Value::Login(Some(Login { item_key: Some(key), ..login })));
            }
        }
        Ok(found)
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.write(|conn| write::commit(conn, commit, self.bodies, now()))
    }
}

/// What ends a transaction early.
#[derive(Debug)]
enum Fault {
    Store(StoreError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

fn transact<T>(
    conn: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    // Immediate: a writer that began as a reader could be refused when it first writes.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&tx)?;
    tx.commit()?;
    Ok(value)
}

/// What each connection needs.
fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(64);
    // spec: threats D1
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    conn.pragma_update(None, "temp_store", "MEMORY")
}

fn is_io(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(SystemIoFailure | CannotOpen | DatabaseCorrupt | NotADatabase))
}

fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Seconds since 1970, for when a row was made; no decision hangs on it.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// SQLite counts in `i64`. Revisions never come near its end; bounds may.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
