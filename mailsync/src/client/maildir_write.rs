//! Items of the database become files.

use super::dirstore::{DirStore, DirStoreError, Kind, Layout, MAIL, Work};
use super::maildir::{Flags, Place, directories, directory, encode, join, mails};
use super::maildir_index::{Change, FileRow};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::mailbox::KIND_FOLDER;
use mailsync_proto::mail::{Folder, MailFields, Role};
use mailsync_proto::sync::collection::match_key;
use mailsync_proto::sync::store::{Item, Read, Store, Value};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

/// The file system; a test can let it fail at any step.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    fuse: Option<AtomicI64>,
}

/// Files that are written and not yet synced, open because another program may rename them.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    files: Vec<(File, String, Guid, u64)>,
    bytes: u64,
}

/// Open files, at most.
const UNSYNCED_FILES: usize = 128;
/// Octets of bodies that stay in the database, about.
const UNSYNCED_BYTES: u64 = 16 << 20;

impl Disk {
    /// One that works for so many steps and then fails for good, as a process that was killed.
    #[cfg(test)]
    pub(crate) fn failing_after(steps: i64) -> Self {
        Disk { fuse: Some(AtomicI64::new(steps)) }
    }

    fn step(&self) -> io::Result<()> {
        match &self.fuse {
            Some(left) if left.fetch_sub(1, Ordering::Relaxed) <= 0 => Err(io::Error::other("killed")),
            _ => Ok(()),
        }
    }

    pub(crate) fn make_dir(&self, path: &Path) -> io::Result<()> {
        if !path.is_dir() {
            self.step()?;
            fs::create_dir_all(path)?;
        }
        Ok(())
    }

    /// Writes a file under another name and renames it, so that a half-written one is never seen.
    pub(crate) fn write(&self, tmp: &Path, path: &Path, data: &[u8]) -> io::Result<File> {
        self.step()?;
        let mut file = File::create(tmp)?;
        if self.fuse.is_some() {
            // A test may stop in mid-file.
            let (head, tail) = data.split_at(data.len() / 2);
            file.write_all(head)?;
            self.step()?;
            file.write_all(tail)?;
        } else {
            file.write_all(data)?;
        }
        self.rename(tmp, path)?;
        Ok(file)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        fs::rename(from, to)
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        match fs::remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        self.step()?;
        file.sync_all()
    }

    pub(crate) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        #[cfg(unix)]
        File::open(path)?.sync_all()?;
        Ok(())
    }
}

/// One round of writing.
struct Round<'w> {
    work: &'w mut Work,
    changes: Vec<Change>,
    dirs: BTreeSet<PathBuf>,
    /// Every mail's file by base name, once it was needed.
    listing: Option<HashMap<String, Place>>,
    thorough: bool,
}

type Done = Result<(), DirStoreError>;

impl DirStore {
    /// Makes files show what the database says of these items. `thorough`: files may be there that no row knows.
    pub(super) fn materialise(&self, work: &mut Work, items: &[(String, Guid)], thorough: bool) -> Done {
        for chunk in items.chunks(64) {
            let mut reads = Vec::new();
            for (store, guid) in chunk {
                let key = self.key(store);
                reads.extend([Read::Item(key.clone(), guid.clone()), Read::Body(key, guid.clone())]);
            }
            let found = self.inner.read(&reads)?;
            let mut round =
                Round { work, changes: Vec::new(), dirs: BTreeSet::new(), listing: None, thorough };
            for ((store, guid), pair) in chunk.iter().zip(reads.chunks(2)) {
                let item = match pair.first().and_then(|read| found.get(read)) {
                    Some(Value::Item(Some(item))) => item,
                    _ => continue,
                };
                let body = match pair.get(1).and_then(|read| found.get(read)) {
                    Some(Value::Body(body)) => body.as_ref(),
                    _ => None,
                };
                let row = round.work.index.row(store, guid.as_str()).map_err(|e| self.sqlite(e))?;
                match self.layout(store) {
                    Some(Layout::Mail) if &*item.value.kind == KIND_FOLDER => {
                        self.write_folder(&mut round, item, row)?;
                        // The rows of folders are looked up by the mails that follow.
                        let changes = core::mem::take(&mut round.changes);
                        round.work.index.apply(&changes).map_err(|e| self.sqlite(e))?;
                    }
                    Some(Layout::Mail) => self.write_mail(&mut round, item, body, row)?,
                    Some(Layout::Files(kind)) => self.write_file(&mut round, store, kind, item, body, row)?,
                    None => {}
                }
            }
            for dir in &round.dirs {
                match self.disk.sync_dir(dir) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    done => done.map_err(|e| at(dir, e))?,
                }
            }
            let changes = round.changes;
            work.index.apply(&changes).map_err(|e| self.sqlite(e))?;
            if work.unsynced.files.len() >= UNSYNCED_FILES || work.unsynced.bytes >= UNSYNCED_BYTES {
                self.settle(work)?;
            }
        }
        Ok(())
    }

    /// Syncs what was written and drops its bodies from the database.
    pub(super) fn settle(&self, work: &mut Work) -> Done {
        let unsynced = core::mem::take(&mut work.unsynced);
        let mut bodies = Vec::new();
        for (file, store, guid, rev) in unsynced.files {
            self.disk.sync(&file).map_err(|e| at(&self.root, e))?;
            bodies.push((store, guid, rev));
        }
        if !bodies.is_empty() {
            work.index.drop_bodies(&self.user, &bodies).map_err(|e| self.sqlite(e))?;
        }
        Ok(())
    }

    /// The content of an item's file.
    pub(super) fn read_file(
        &self,
        work: &Work,
        store: &str,
        guid: &Guid,
    ) -> Result<Option<Bytes>, DirStoreError> {
        let Some(row) = work.index.row(store, guid.as_str()).map_err(|e| self.sqlite(e))? else {
            return Ok(None);
        };
        let path = match self.layout(store) {
            Some(Layout::Mail) => {
                let base = encode(guid.as_str());
                let expected = Place { directory: self.directory_of(work, &row.place)?, name: row.name };
                if expected.path(&self.root).is_file() {
                    expected.path(&self.root)
                } else {
                    match listing(&self.root)?.remove(&base) {
                        Some(place) => place.path(&self.root),
                        None => return Ok(None),
                    }
                }
            }
            _ => self.root.join(store).join(row.name),
        };
        match fs::read(&path) {
            Ok(data) => Ok(Some(data.into())),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(None),
            Err(e) => Err(at(&path, e)),
        }
    }

    /// The directory of a folder; the inbox's for one that is unknown.
    pub(super) fn directory_of(&self, work: &Work, folder: &str) -> Result<String, DirStoreError> {
        let row = work.index.row(MAIL, folder).map_err(|e| self.sqlite(e))?;
        Ok(row.map(|row| row.name).unwrap_or_default())
    }

    fn write_folder(&self, round: &mut Round<'_>, item: &Item, row: Option<FileRow>) -> Done {
        let store = MAIL.to_owned();
        if item.deleted {
            if let Some(row) = row.filter(|row| !row.name.is_empty()) {
                self.drop_folder(round, &row.name)?;
            }
            round.changes.push(Change::Remove(store, item.guid.clone()));
            return Ok(());
        }
        let folder = Folder::from_fields(&item.value.fields).unwrap_or_default();
        let above = match &item.value.parent {
            Some(parent) => self.directory_of(round.work, parent.as_str())?,
            None => String::new(),
        };
        let mut wanted = directory(&folder, Role::of(&item.guid), &above);
        let taken = round.work.index.rows(MAIL).map_err(|e| self.sqlite(e))?;
        let is_taken = |name: &str| {
            taken
                .iter()
                .any(|(guid, row)| *guid != *item.guid.as_str() && row.name.eq_ignore_ascii_case(name))
        };
        // Mail file names are never directory names, and the inbox is nobody else's.
        if is_taken(&wanted) || (wanted.is_empty() && item.guid != Role::Inbox.guid()) {
            wanted = format!("{wanted}-{}", encode(item.guid.as_str()).replace('.', "%2E"));
        }
        let path = join(&self.root, &wanted);
        if let Some(row) = row.filter(|row| row.name != wanted && !row.name.is_empty()) {
            let old = join(&self.root, &row.name);
            if old.is_dir() && !path.exists() {
                self.disk.rename(&old, &path).map_err(|e| at(&old, e))?;
            }
        }
        for sub in ["cur", "new", "tmp"] {
            let sub = path.join(sub);
            self.disk.make_dir(&sub).map_err(|e| at(&sub, e))?;
        }
        if !wanted.is_empty() && !path.join("maildirfolder").exists() {
            let marker = path.join("maildirfolder");
            self.disk.write(&path.join("tmp/maildirfolder"), &marker, b"").map_err(|e| at(&marker, e))?;
        }
        round.dirs.insert(path);
        round.dirs.insert(self.root.clone());
        let row =
            FileRow { rev: item.rev, place: String::new(), name: wanted, size: 0, mtime: 0, digest: vec![] };
        round.changes.push(Change::Put(store, item.guid.clone(), row));
        Ok(())
    }

    /// A folder goes; mail that is still in it goes to the inbox, where a scan finds it.
    fn drop_folder(&self, round: &mut Round<'_>, name: &str) -> Done {
        let path = join(&self.root, name);
        for place in mails(&self.root, name).map_err(|e| at(&path, e))? {
            let file = place.path(&self.root);
            let to = self.root.join("cur").join(place.flags().name(place.base()));
            self.disk.rename(&file, &to).map_err(|e| at(&file, e))?;
        }
        self.disk.remove(&path.join("maildirfolder")).map_err(|e| at(&path, e))?;
        for sub in ["cur", "new", "tmp", ""] {
            // What another program keeps in it stays.
            let _ = fs::remove_dir(path.join(sub));
        }
        round.dirs.insert(self.root.join("cur"));
        round.dirs.insert(self.root.clone());
        Ok(())
    }

    fn write_mail(
        &self,
        round: &mut Round<'_>,
        item: &Item,
        body: Option<&Bytes>,
        row: Option<FileRow>,
    ) -> Done {
        let base = encode(item.guid.as_str());
        let there = self.locate(round, &base, row.as_ref())?;
        if item.deleted {
            if let Some(place) = there {
                let path = place.path(&self.root);
                self.disk.remove(&path).map_err(|e| at(&path, e))?;
                round.touch(&path);
            }
            round.changes.push(Change::Remove(MAIL.into(), item.guid.clone()));
            return Ok(());
        }
        let parent = item.value.parent.as_ref().map_or("", Guid::as_str);
        let mut folder = self.directory_of(round.work, parent)?;
        let fields = MailFields::from_fields(&item.value.fields).unwrap_or_default();
        let state = Flags::of(&fields);
        let mut flags = state.clone();
        if let Some(place) = &there {
            // What a reader did since we looked stays, and the next scan finds it.
            let before = row.as_ref().map_or_else(|| place.flags(), |row| Flags::split(&row.name).1);
            flags = state.with_change(&before, &place.flags());
            if let Some(row) = &row
                && row.place == parent
                && place.directory != folder
            {
                folder.clone_from(&place.directory);
            }
        }
        let target = Place { directory: folder, name: format!("cur/{}", flags.name(&base)) };
        let path = target.path(&self.root);
        match (body, &there) {
            (Some(body), _) => {
                let tmp = join(&self.root, &target.directory).join("tmp").join(&base);
                let file = self.disk.write(&tmp, &path, body).map_err(|e| at(&path, e))?;
                round.written(file, MAIL, item, body.len());
                if let Some(place) = there.filter(|place| *place != target) {
                    let old = place.path(&self.root);
                    self.disk.remove(&old).map_err(|e| at(&old, e))?;
                    round.touch(&old);
                }
            }
            (None, Some(place)) if *place != target => {
                let old = place.path(&self.root);
                self.disk.rename(&old, &path).map_err(|e| at(&old, e))?;
                round.touch(&old);
            }
            // Gone: the next scan says that it was deleted.
            (None, _) => {}
        }
        round.touch(&path);
        let row = FileRow {
            rev: item.rev,
            place: parent.to_owned(),
            name: format!("cur/{}", state.name(&base)),
            size: item.size,
            mtime: 0,
            digest: Vec::new(),
        };
        round.changes.push(Change::Put(MAIL.into(), item.guid.clone(), row));
        Ok(())
    }

    /// Where a mail's file is now.
    fn locate(
        &self,
        round: &mut Round<'_>,
        base: &str,
        row: Option<&FileRow>,
    ) -> Result<Option<Place>, DirStoreError> {
        if let Some(row) = row {
            let place =
                Place { directory: self.directory_of(round.work, &row.place)?, name: row.name.clone() };
            if place.path(&self.root).is_file() {
                return Ok(Some(place));
            }
        } else if !round.thorough {
            return Ok(None);
        }
        if round.listing.is_none() {
            round.listing = Some(listing(&self.root)?);
        }
        Ok(round.listing.as_ref().and_then(|listing| listing.get(base)).cloned())
    }

    fn write_file(
        &self,
        round: &mut Round<'_>,
        store: &str,
        kind: &Kind,
        item: &Item,
        body: Option<&Bytes>,
        row: Option<FileRow>,
    ) -> Done {
        let dir = self.root.join(store);
        let name = row.as_ref().map_or_else(|| kind.file_name(&item.guid), |row| row.name.clone());
        let path = dir.join(&name);
        let edited = match (&row, stat(&path).map_err(|e| at(&path, e))?) {
            (Some(row), Some((size, mtime))) => (size, mtime) != (row.size, row.mtime),
            _ => false,
        };
        if item.deleted {
            // What was edited meanwhile stays, and the next scan finds it as new.
            if !edited {
                self.disk.remove(&path).map_err(|e| at(&path, e))?;
                round.dirs.insert(dir);
            }
            round.changes.push(Change::Remove(store.to_owned(), item.guid.clone()));
            return Ok(());
        }
        let (size, mtime, digest) = match body {
            Some(body) => {
                self.disk.make_dir(&dir).map_err(|e| at(&dir, e))?;
                if edited && fs::read(&path).is_ok_and(|ours| ours != **body) {
                    let mine = dir.join(format!("{name}.mine"));
                    self.disk.rename(&path, &mine).map_err(|e| at(&path, e))?;
                }
                let tmp = dir.join(format!(".{name}.tmp"));
                let file = self.disk.write(&tmp, &path, body).map_err(|e| at(&path, e))?;
                round.written(file, store, item, body.len());
                round.dirs.insert(dir);
                let (size, mtime) = stat(&path).map_err(|e| at(&path, e))?.unwrap_or_default();
                (size, mtime, digest(body))
            }
            None => row.map_or((item.size, 0, Vec::new()), |row| (row.size, row.mtime, row.digest)),
        };
        let row = FileRow { rev: item.rev, place: String::new(), name, size, mtime, digest };
        round.changes.push(Change::Put(store.to_owned(), item.guid.clone(), row));
        Ok(())
    }
}

impl Round<'_> {
    fn touch(&mut self, path: &Path) {
        if let Some(dir) = path.parent() {
            self.dirs.insert(dir.into());
        }
    }

    fn written(&mut self, file: File, store: &str, item: &Item, len: usize) {
        self.work.unsynced.bytes = self.work.unsynced.bytes.saturating_add(len as u64);
        self.work.unsynced.files.push((file, store.to_owned(), item.guid.clone(), item.body_rev));
    }
}

/// Every mail's file by base name.
pub(super) fn listing(root: &Path) -> Result<HashMap<String, Place>, DirStoreError> {
    let mut found = HashMap::new();
    for directory in directories(root).map_err(|e| at(root, e))? {
        for place in mails(root, &directory).map_err(|e| at(root, e))? {
            found.insert(place.base().to_owned(), place);
        }
    }
    Ok(found)
}

/// Octets and time of change (nanoseconds since 1970) of a file.
pub(super) fn stat(path: &Path) -> io::Result<Option<(u64, i64)>> {
    match fs::metadata(path) {
        Ok(meta) => {
            let changed =
                meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            Ok(Some((meta.len(), i64::try_from(changed.as_nanos()).unwrap_or(i64::MAX))))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// A hash of a file's content.
pub(super) fn digest(data: &[u8]) -> Vec<u8> {
    match_key(&[data]).0.to_vec()
}

pub(super) fn at(path: &Path, source: io::Error) -> DirStoreError {
    DirStoreError::Io { path: path.into(), source }
}
