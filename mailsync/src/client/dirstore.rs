//! The client's store: state in `DIR/.mailsync/state.db`, items as files that other programs may read and change.
//!
//! A commit puts bodies into the database together with everything else, so it is one durable step. Then the files
//! are written (to `tmp`, then renamed), and once they are synced the bodies leave the database. What a crash
//! interrupts is done again at the next start; doing it twice is harmless, as a file's name derives from its item.

use super::maildir::encode;
use super::maildir_index::Index;
use super::maildir_write::{Disk, Unsynced};
use crate::store::{Bodies, DirError, DirLock, OpenError, SqliteStore};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::mailbox;
use mailsync_proto::pim::{PimCollection, Profile};
use mailsync_proto::plain::plain_value;
use mailsync_proto::sync::store::{
    Commit, Found, ItemValue, Read, Store, StoreError, StoreKey, Value, Write,
};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A client's folder as a [`Store`].
#[derive(Debug)]
pub struct DirStore {
    pub(super) root: PathBuf,
    pub(super) user: Box<str>,
    pub(super) inner: SqliteStore,
    pub(super) layouts: Vec<(Box<str>, Layout)>,
    pub(super) disk: Disk,
    pub(super) work: Mutex<Work>,
    _lock: DirLock,
}

/// How the items of a datastore show as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Maildir++ in the folder itself.
    Mail,
    /// One file an item in a folder of the datastore's name.
    Files(Kind),
}

/// What the files of a datastore are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Objects of a profile: `.vcf`, `.ics`.
    Pim(Profile),
    /// Anything of this media type.
    Plain(Box<str>),
}

impl Kind {
    /// The item of a file.
    pub(super) fn value(&self, body: &[u8]) -> ItemValue {
        match self {
            Kind::Pim(profile) => PimCollection::new(*profile).value(body),
            Kind::Plain(media_type) => plain_value(media_type, body),
        }
    }

    /// What the file of an item is called, unless it is called something else already.
    pub(super) fn file_name(&self, guid: &Guid) -> String {
        match self {
            Kind::Pim(profile) => format!("{}.{}", encode(guid.as_str()), profile.extension()),
            Kind::Plain(_) => encode(guid.as_str()),
        }
    }

    /// The item whose file is called so; none if no item's is.
    pub(super) fn guid(&self, name: &str) -> Option<Guid> {
        let stem = match self {
            Kind::Pim(profile) => name.strip_suffix(profile.extension())?.strip_suffix('.')?,
            Kind::Plain(_) => name,
        };
        Guid::try_from(stem).ok().filter(|guid| self.file_name(guid) == name)
    }
}

/// Why a client's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirStoreError {
    /// The folder for our state.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Its words.
        source: rusqlite::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Files are gone that were there: a disk that is not mounted looks like this.
    #[error("{path}: gone, with {items} items that were in it; put it back, or start anew in another folder")]
    Gone {
        /// The folder.
        path: PathBuf,
        /// How many items it had.
        items: usize,
    },
}

/// What changes while files are written.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) index: Index,
    pub(super) unsynced: Unsynced,
    pub(super) trouble: Option<String>,
}

const STATE: &str = ".mailsync";
const DATABASE: &str = "state.db";
pub(super) const MAIL: &str = mailbox::DATASTORE;

impl DirStore {
    /// Opens a folder for a user, or makes a new one with the five mail folders, and finishes what a crash left.
    ///
    /// # Errors
    /// [`DirStoreError::Dir`] when another process syncs it.
    pub fn open(root: &Path, user: &str, layouts: &[(&str, Layout)]) -> Result<Self, DirStoreError> {
        DirStore::open_with(root, user, layouts, Disk::default())
    }

    pub(super) fn open_with(
        root: &Path,
        user: &str,
        layouts: &[(&str, Layout)],
        disk: Disk,
    ) -> Result<Self, DirStoreError> {
        let state = root.join(STATE);
        let lock = DirLock::take(&state)?;
        let database = state.join(DATABASE);
        let inner = SqliteStore::open(&database, Bodies::Inside)?;
        let index = open_index(&database)?;
        let store = DirStore {
            root: root.into(),
            user: user.into(),
            inner,
            layouts: layouts.iter().map(|(name, layout)| ((*name).into(), layout.clone())).collect(),
            disk,
            work: Mutex::new(Work { index, unsynced: Unsynced::default(), trouble: None }),
            _lock: lock,
        };
        if store.layout(MAIL).is_some() {
            store.provision()?;
        }
        store.recover()?;
        Ok(store)
    }

    /// The key of one of its datastores.
    pub fn key(&self, datastore: &str) -> StoreKey {
        StoreKey { user: self.user.clone(), datastore: datastore.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Syncs every file written so far and takes the bodies out of the database. Call it at the end of a session.
    ///
    /// # Errors
    /// What went wrong since the last call while files were written. Nothing is lost: it is done again at the next
    /// start.
    pub fn finish(&self) -> Result<(), DirStoreError> {
        let mut work = self.work();
        self.settle(&mut work)?;
        match work.trouble.take() {
            Some(trouble) => Err(StoreError::Failed(trouble).into()),
            None => Ok(()),
        }
    }

    fn provision(&self) -> Result<(), DirStoreError> {
        let key = self.key(MAIL);
        let writes: Vec<Write> = mailbox::provision(&key);
        let read = |guid: &Guid| Read::Item(key.clone(), guid.clone());
        let wanted: Vec<(Read, Write)> = writes
            .into_iter()
            .filter_map(|write| match &write {
                Write::PutItem { guid, .. } => Some((read(guid), write)),
                _ => None,
            })
            .collect();
        let reads: Vec<Read> = wanted.iter().map(|(read, _)| read.clone()).collect();
        let found = self.inner.read(&reads)?;
        let missing = |read: &Read| !matches!(found.get(read), Some(Value::Item(Some(_))));
        let writes: Vec<Write> = wanted.into_iter().filter(|(r, _)| missing(r)).map(|(_, w)| w).collect();
        if !writes.is_empty() {
            self.inner.commit(&Commit { session: None, writes })?;
        }
        Ok(())
    }

    /// Writes out what a crash left in the database.
    fn recover(&self) -> Result<(), DirStoreError> {
        let mut work = self.work();
        let pending = work.index.pending(&self.user).map_err(|e| self.sqlite(e))?;
        let pending: Vec<(String, Guid)> =
            pending.into_iter().filter(|(store, _)| self.layout(store).is_some()).collect();
        self.materialise(&mut work, &pending, true)?;
        self.settle(&mut work)
    }

    pub(super) fn layout(&self, datastore: &str) -> Option<&Layout> {
        self.layouts.iter().find(|(name, _)| **name == *datastore).map(|(_, layout)| layout)
    }

    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sqlite(&self, source: rusqlite::Error) -> DirStoreError {
        DirStoreError::Sqlite { path: self.inner.path().into(), source }
    }

    fn file_body(&self, key: &StoreKey, guid: &Guid) -> Result<Option<Bytes>, StoreError> {
        if *key.user != *self.user || self.layout(&key.datastore).is_none() {
            return Ok(None);
        }
        let work = self.work();
        self.read_file(&work, &key.datastore, guid).map_err(|e| StoreError::Failed(e.to_string()))
    }
}

impl Store for DirStore {
    fn read(&self, reads: &[Read]) -> Result<Found, StoreError> {
        let mut found = self.inner.read(reads)?;
        for read in reads {
            if let (Read::Body(key, guid), Some(Value::Body(None))) = (read, found.get(read)) {
                let body = self.file_body(key, guid)?;
                found.insert(read.clone(), Value::Body(body));
            }
        }
        Ok(found)
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.inner.commit(commit)?;
        // Folders first: a mail's place is in one.
        let mut seen = HashSet::new();
        let (mut touched, mut others) = (Vec::new(), Vec::new());
        for write in &commit.writes {
            let (key, guid, rank) = match write {
                Write::PutItem { store, guid, value, .. } => (store, guid, value.rank),
                Write::DeleteItem { store, guid, .. } => (store, guid, u8::MAX),
                _ => continue,
            };
            let ours = *key.user == *self.user && self.layout(&key.datastore).is_some();
            if ours && seen.insert((key, guid)) {
                let list = if rank == 0 { &mut touched } else { &mut others };
                list.push((key.datastore.to_string(), guid.clone()));
            }
        }
        touched.append(&mut others);
        // It is durable whatever happens now; trouble with files is told at the end.
        let mut work = self.work();
        if let Err(error) = self.materialise(&mut work, &touched, false) {
            work.trouble.get_or_insert_with(|| error.to_string());
        }
        Ok(())
    }
}

pub(super) fn open_index(database: &Path) -> Result<Index, DirStoreError> {
    Index::open(database).map_err(|source| DirStoreError::Sqlite { path: database.into(), source })
}

/// The database of a client's folder.
pub(super) fn database(root: &Path) -> PathBuf {
    root.join(STATE).join(DATABASE)
}
