//! What other programs changed in the folder since we last looked becomes changes of items.
//!
//! A mail reader may mark (flags in the name), move between folders, delete and add; a note may be edited. One look
//! at each directory; a file is opened only when it is new.

use super::dirstore::{DirStore, DirStoreError, Kind, Layout, MAIL, Work};
use super::maildir::{Flags, Place, directories, encode, folder_name, join, mails};
use super::maildir_index::{Change, FileRow};
use super::maildir_write::{at, digest, stat};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::forward::{ext_of, without_field};
use mailsync_proto::mail::headers::Headers;
use mailsync_proto::mail::mailbox::{changed_value, folder_value, mail_value};
use mailsync_proto::mail::summary::Summary;
use mailsync_proto::mail::{Folder, MailFields, Role};
use mailsync_proto::sync::store::{Commit, Item, Read, Store, Value, Write};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// New files.
    pub added: usize,
    /// Files with another state, place or content.
    pub changed: usize,
    /// Files that are gone.
    pub deleted: usize,
    /// How many there were before.
    pub before: usize,
}

/// Most items of a scan's commit.
const BATCH: usize = 64;
/// Octets of bodies of a scan's commit, about.
const BATCH_BYTES: usize = 16 << 20;

/// Changes that wait for their commit, and what the files then show.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    rows: Vec<(Guid, FileRow)>,
    gone: Vec<Guid>,
    /// Whose files are not what the items say: they are written from the database.
    rewritten: Vec<Guid>,
    bytes: usize,
}

type Done = Result<(), DirStoreError>;

impl DirStore {
    /// Looks at a datastore's files and commits what changed since the last look. `now`: seconds since 1970.
    ///
    /// # Errors
    /// [`DirStoreError::Gone`] when the whole folder vanished: that deletes nothing.
    pub fn scan(&self, datastore: &str, now: u64) -> Result<ScanReport, DirStoreError> {
        let mut work = self.work();
        match self.layout(datastore) {
            Some(Layout::Mail) => self.scan_mail(&mut work, now),
            Some(Layout::Files(kind)) => self.scan_files(&mut work, datastore, kind),
            None => Ok(ScanReport::default()),
        }
    }

    fn scan_mail(&self, work: &mut Work, now: u64) -> Result<ScanReport, DirStoreError> {
        let mut report = ScanReport::default();
        let rows = work.index.rows(MAIL).map_err(|e| self.sqlite(e))?;
        let is_folder = |row: &FileRow| !row.name.contains('/');
        report.before = rows.values().filter(|row| !is_folder(row)).count();
        if !self.root.join("cur").is_dir() {
            return Err(DirStoreError::Gone { path: self.root.join("cur"), items: report.before });
        }
        let present = directories(&self.root).map_err(|e| at(&self.root, e))?;
        let mut folders: HashMap<String, String> = rows
            .iter()
            .filter(|(_, row)| is_folder(row))
            .map(|(guid, row)| (row.name.clone(), guid.clone()))
            .collect();
        let mut batch = Batch::default();
        self.new_folders(work, &present, &mut folders, &rows, &mut report)?;

        let mut files: HashMap<String, Vec<Place>> = HashMap::new();
        for directory in &present {
            for place in mails(&self.root, directory).map_err(|e| at(&self.root, e))? {
                files.entry(place.base().to_owned()).or_default().push(place);
            }
        }
        for (guid, row) in rows.iter().filter(|(_, row)| !is_folder(row)) {
            let guid = Guid::unvalidated(guid.as_str());
            let places = files.remove(&encode(guid.as_str())).unwrap_or_default();
            let directory = rows.get(&row.place).map(|row| row.name.clone()).unwrap_or_default();
            let recorded = Place { directory, name: row.name.clone() };
            let (mine, others) = choose(places, &recorded);
            // A copy under the same name is another mail.
            for other in others {
                files.entry(format!("\n{}", other.path(&self.root).display())).or_default().push(other);
            }
            match mine {
                None => self.mail_gone(&guid, &mut batch, &mut report)?,
                Some(place) if place == recorded => {}
                Some(place) => {
                    self.mail_changed(&guid, row, &recorded, &place, &folders, now, &mut batch, &mut report)?;
                }
            }
            self.commit_if(work, MAIL, &mut batch, BATCH)?;
        }
        let new: BTreeMap<String, Vec<Place>> = files.into_iter().collect();
        for place in new.into_values().flatten() {
            self.mail_added(&place, &folders, now, &mut batch, &mut report)?;
            self.commit_if(work, MAIL, &mut batch, BATCH)?;
        }
        self.commit_if(work, MAIL, &mut batch, 1)?;
        self.gone_folders(work, &present, &rows, &mut report)?;
        Ok(report)
    }

    /// Directories that no folder has yet.
    fn new_folders(
        &self,
        work: &mut Work,
        present: &[String],
        folders: &mut HashMap<String, String>,
        rows: &HashMap<String, FileRow>,
        report: &mut ScanReport,
    ) -> Done {
        let mut batch = Batch::default();
        for directory in present {
            if folders.contains_key(directory) {
                continue;
            }
            let name = folder_name(directory);
            let wish = format!("folder-{}", encode(&name.to_lowercase()));
            let guid = self.free_guid(&wish, rows)?;
            let above = directory.rsplit_once('.').map(|(above, _)| above).filter(|above| !above.is_empty());
            let parent =
                above.and_then(|above| folders.get(above)).map(|guid| Guid::unvalidated(guid.as_str()));
            let value = folder_value(&Folder::new(&name, None), parent);
            batch.writes.push(Write::PutItem {
                store: self.key(MAIL),
                guid: guid.clone(),
                expect: None,
                value,
                body: None,
            });
            let row = FileRow {
                rev: 0,
                place: String::new(),
                name: directory.clone(),
                size: 0,
                mtime: 0,
                digest: Vec::new(),
            };
            folders.insert(directory.clone(), guid.to_string());
            batch.rows.push((guid, row));
            report.added += 1;
        }
        self.commit_if(work, MAIL, &mut batch, 1)
    }

    /// Folders whose directory another program removed; those that everyone has are made again.
    fn gone_folders(
        &self,
        work: &mut Work,
        present: &[String],
        rows: &HashMap<String, FileRow>,
        report: &mut ScanReport,
    ) -> Done {
        let mut batch = Batch::default();
        for (guid, row) in rows {
            if row.name.contains('/') || present.contains(&row.name) {
                continue;
            }
            let guid = Guid::unvalidated(guid.as_str());
            if Role::of(&guid).is_some() {
                self.materialise(work, &[(MAIL.to_owned(), guid)], false)?;
            } else {
                self.mail_gone(&guid, &mut batch, report)?;
            }
        }
        self.commit_if(work, MAIL, &mut batch, 1)
    }

    fn mail_gone(&self, guid: &Guid, batch: &mut Batch, report: &mut ScanReport) -> Done {
        if let Some(item) = self.item(MAIL, guid)?.filter(|item| !item.deleted) {
            batch.writes.push(Write::DeleteItem {
                store: self.key(MAIL),
                guid: guid.clone(),
                expect: item.rev,
            });
            report.deleted += 1;
        }
        batch.gone.push(guid.clone());
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one look at one file")]
    fn mail_changed(
        &self,
        guid: &Guid,
        row: &FileRow,
        recorded: &Place,
        place: &Place,
        folders: &HashMap<String, String>,
        now: u64,
        batch: &mut Batch,
        report: &mut ScanReport,
    ) -> Done {
        let Some(item) = self.item(MAIL, guid)?.filter(|item| !item.deleted) else { return Ok(()) };
        let mut fields = MailFields::from_fields(&item.value.fields).unwrap_or_default();
        let marked = place.flags().change(&recorded.flags(), &mut fields);
        let moved = place.directory != recorded.directory;
        let mut new = FileRow { name: place.name.clone(), ..row.clone() };
        if marked || moved {
            let mut parent = item.value.parent.clone();
            if moved {
                parent = folders.get(&place.directory).map(|guid| Guid::unvalidated(guid.as_str()));
                new.place = parent.as_ref().map_or_else(String::new, ToString::to_string);
                fields.draft = parent == Some(Role::Drafts.guid());
            }
            fields.modified = Some(now);
            let mut body = None;
            if moved && parent == Some(Role::Outbox.guid()) {
                let path = place.path(&self.root);
                body = as_sent(&fs::read(&path).map_err(|e| at(&path, e))?.into());
                batch.rewritten.extend(body.is_some().then(|| guid.clone()));
            }
            batch.writes.push(Write::PutItem {
                store: self.key(MAIL),
                guid: guid.clone(),
                expect: Some(item.rev),
                value: changed_value(&item, parent, &fields),
                body,
            });
            report.changed += 1;
        }
        batch.rows.push((guid.clone(), new));
        Ok(())
    }

    fn mail_added(
        &self,
        place: &Place,
        folders: &HashMap<String, String>,
        now: u64,
        batch: &mut Batch,
        report: &mut ScanReport,
    ) -> Done {
        let path = place.path(&self.root);
        let message = match fs::read(&path) {
            Ok(message) => message,
            // Moved or removed while we look: the next scan sees it.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(at(&path, e)),
        };
        let base = place.base();
        let exists = |guid: &Guid| -> Result<bool, DirStoreError> {
            Ok(self.item(MAIL, guid)?.is_some() || batch.rows.iter().any(|(g, _)| g == guid))
        };
        let own = Guid::try_from(base).ok().filter(|guid| encode(guid.as_str()) == base);
        let mut guid = match own {
            Some(guid) if !exists(&guid)? => Some(guid),
            _ => None,
        };
        for salt in 0u8..=255 {
            if guid.is_some() {
                break;
            }
            let hash = digest(&[&[salt], now.to_be_bytes().as_slice(), base.as_bytes(), &message].concat());
            let made = Guid::unvalidated(format!(
                "l{}",
                hash.iter().map(|b| format!("{b:02x}")).collect::<String>()
            ));
            if !exists(&made)? {
                guid = Some(made);
            }
        }
        let Some(guid) = guid else { return Ok(()) };
        let target = Place {
            directory: place.directory.clone(),
            name: format!("cur/{}", place.flags().name(&encode(guid.as_str()))),
        };
        // Other programs keep lines as the system has them; mail has CRLF.
        let crlf = (!message.windows(2).any(|w| w == b"\r\n") && message.contains(&b'\n'))
            .then(|| to_crlf(&message));
        let to = target.path(&self.root);
        // Its final name comes first: were it committed under another one, a crash would make two mails of it.
        if let Some(message) = &crlf {
            let tmp = join(&self.root, &target.directory).join("tmp").join(encode(guid.as_str()));
            self.disk.write(&tmp, &path, message).map_err(|e| at(&path, e))?;
        }
        if path != to {
            self.disk.rename(&path, &to).map_err(|e| at(&path, e))?;
        }
        let file = fs::File::open(&to).map_err(|e| at(&to, e))?;
        self.disk.sync(&file).map_err(|e| at(&to, e))?;
        let mut message = Bytes::from(crlf.unwrap_or(message));
        let parent = folders.get(&target.directory).map_or("folder-inbox", String::as_str);
        let parent = Guid::unvalidated(parent);
        let mut fields = MailFields::default();
        place.flags().change(&Flags::default(), &mut fields);
        fields.draft |= parent == Role::Drafts.guid();
        if [Role::Outbox, Role::Drafts].iter().any(|role| role.guid() == parent) {
            fields.ext.extend(ext_of(&message));
        }
        if parent == Role::Outbox.guid()
            && let Some(sent) = as_sent(&message)
        {
            message = sent;
            batch.rewritten.push(guid.clone());
        }
        fields.received =
            stat(&to).ok().flatten().and_then(|(_, mtime)| u64::try_from(mtime / 1_000_000_000).ok());
        let head = message.get(..Headers::parse(&message).body).unwrap_or_default();
        fields.created = Summary::of(head).date;
        fields.modified = Some(now);
        batch.bytes += message.len();
        batch.rows.push((
            guid.clone(),
            FileRow {
                rev: 0,
                place: parent.to_string(),
                name: target.name,
                size: message.len() as u64,
                mtime: 0,
                digest: Vec::new(),
            },
        ));
        batch.writes.push(Write::PutItem {
            store: self.key(MAIL),
            guid,
            expect: None,
            value: mail_value(parent, &fields, &message),
            body: Some(message),
        });
        report.added += 1;
        Ok(())
    }

    fn scan_files(&self, work: &mut Work, store: &str, kind: &Kind) -> Result<ScanReport, DirStoreError> {
        let mut report = ScanReport::default();
        let rows = work.index.rows(store).map_err(|e| self.sqlite(e))?;
        report.before = rows.len();
        let dir = self.root.join(store);
        if !dir.is_dir() {
            if !rows.is_empty() {
                return Err(DirStoreError::Gone { path: dir, items: rows.len() });
            }
            self.disk.make_dir(&dir).map_err(|e| at(&dir, e))?;
        }
        let mut names = list_files(&dir)?;
        let mut batch = Batch::default();
        for (guid, row) in &rows {
            let guid = Guid::unvalidated(guid.as_str());
            let item = self.item(store, &guid)?.filter(|item| !item.deleted);
            if names.remove(&row.name).is_none() {
                if let Some(item) = item {
                    let store = self.key(store);
                    batch.writes.push(Write::DeleteItem { store, guid: guid.clone(), expect: item.rev });
                    report.deleted += 1;
                }
                batch.gone.push(guid);
            } else if let Some(item) = item {
                self.file_changed(store, kind, &item, row, &mut batch, &mut report)?;
            }
            self.commit_if(work, store, &mut batch, BATCH)?;
        }
        for name in names.into_keys() {
            let guid = match kind.guid(&name) {
                Some(guid) if self.item(store, &guid)?.is_none() => guid,
                _ => self.free_guid(
                    &format!(
                        "l{}",
                        digest(name.as_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>()
                    ),
                    &rows,
                )?,
            };
            let path = dir.join(&name);
            let (size, mtime) = stat(&path).map_err(|e| at(&path, e))?.unwrap_or_default();
            let body = Bytes::from(fs::read(&path).map_err(|e| at(&path, e))?);
            let row = FileRow { rev: 0, place: String::new(), name, size, mtime, digest: digest(&body) };
            batch.bytes += body.len();
            batch.rows.push((guid.clone(), row));
            let value = kind.value(&body);
            batch.writes.push(Write::PutItem {
                store: self.key(store),
                guid,
                expect: None,
                value,
                body: Some(body),
            });
            report.added += 1;
            self.commit_if(work, store, &mut batch, BATCH)?;
        }
        self.commit_if(work, store, &mut batch, 1)?;
        Ok(report)
    }

    fn file_changed(
        &self,
        store: &str,
        kind: &Kind,
        item: &Item,
        row: &FileRow,
        batch: &mut Batch,
        report: &mut ScanReport,
    ) -> Done {
        let path = self.root.join(store).join(&row.name);
        let Some((size, mtime)) = stat(&path).map_err(|e| at(&path, e))? else { return Ok(()) };
        if (size, mtime) == (row.size, row.mtime) {
            return Ok(());
        }
        let body = Bytes::from(fs::read(&path).map_err(|e| at(&path, e))?);
        let new = FileRow { size, mtime, digest: digest(&body), ..row.clone() };
        if new.digest != row.digest {
            batch.bytes += body.len();
            batch.writes.push(Write::PutItem {
                store: self.key(store),
                guid: item.guid.clone(),
                expect: Some(item.rev),
                value: kind.value(&body),
                body: Some(body),
            });
            report.changed += 1;
        }
        batch.rows.push((item.guid.clone(), new));
        Ok(())
    }

    /// Commits a batch that is full; `full` = 1 commits whatever there is.
    fn commit_if(&self, work: &mut Work, store: &str, batch: &mut Batch, full: usize) -> Done {
        let waiting = batch.rows.len() + batch.gone.len();
        if waiting == 0 || (waiting < full && batch.bytes < BATCH_BYTES) {
            return Ok(());
        }
        let batch = core::mem::take(batch);
        if !batch.writes.is_empty() {
            self.inner.commit(&Commit { session: None, writes: batch.writes })?;
        }
        let mut changes: Vec<Change> =
            batch.gone.into_iter().map(|guid| Change::Remove(store.to_owned(), guid)).collect();
        let mut bodies = Vec::new();
        for (guid, row) in batch.rows {
            let Some(item) = self.item(store, &guid)? else { continue };
            let as_found = !batch.rewritten.contains(&guid);
            if as_found {
                bodies.push((store.to_owned(), guid.clone(), item.body_rev));
            }
            let rev = if as_found { item.rev } else { row.rev };
            changes.push(Change::Put(store.to_owned(), guid, FileRow { rev, ..row }));
        }
        work.index.apply(&changes).map_err(|e| self.sqlite(e))?;
        work.index.drop_bodies(&self.user, &bodies).map_err(|e| self.sqlite(e))?;
        let rewritten: Vec<_> = batch.rewritten.into_iter().map(|guid| (store.to_owned(), guid)).collect();
        self.materialise(work, &rewritten, true)?;
        self.settle(work)
    }

    fn item(&self, store: &str, guid: &Guid) -> Result<Option<Item>, DirStoreError> {
        let read = Read::Item(self.key(store), guid.clone());
        let found = self.inner.read(core::slice::from_ref(&read))?;
        Ok(match found.get(&read) {
            Some(Value::Item(item)) => item.clone(),
            _ => None,
        })
    }

    /// An id like the one wished that no item has or had.
    fn free_guid(&self, wish: &str, rows: &HashMap<String, FileRow>) -> Result<Guid, DirStoreError> {
        for n in 0u32.. {
            let text = if n == 0 { wish.to_owned() } else { format!("{wish}-{n}") };
            let guid = match Guid::try_from(text.as_str()) {
                Ok(guid) => guid,
                Err(_) => {
                    let hash = digest(text.as_bytes());
                    Guid::unvalidated(format!(
                        "l{}",
                        hash.iter().map(|b| format!("{b:02x}")).collect::<String>()
                    ))
                }
            };
            if !rows.contains_key(guid.as_str()) && self.item(MAIL, &guid)?.is_none() {
                return Ok(guid);
            }
        }
        Ok(Guid::unvalidated(wish))
    }
}

/// A mail of the outbox without what it says to the sync server alone, if it says any: the copy that stays is the one that goes.
fn as_sent(message: &Bytes) -> Option<Bytes> {
    let sent = without_field(message);
    (sent.len() != message.len()).then_some(sent)
}

/// Which of the files with an item's name is it: the one where we left it, else the first.
fn choose(mut places: Vec<Place>, recorded: &Place) -> (Option<Place>, Vec<Place>) {
    if places.is_empty() {
        return (None, places);
    }
    let at = places.iter().position(|p| p == recorded);
    let at = at.or_else(|| places.iter().position(|p| p.directory == recorded.directory)).unwrap_or(0);
    (Some(places.remove(at)), places)
}

fn list_files(dir: &Path) -> Result<BTreeMap<String, ()>, DirStoreError> {
    let mut names = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(|e| at(dir, e))? {
        let entry = entry.map_err(|e| at(dir, e))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_file = entry.file_type().map_err(|e| at(dir, e))?.is_file();
        // Editors' copies are no items.
        if is_file && !name.starts_with(['.', '#']) && !name.ends_with('~') {
            names.insert(name.to_owned(), ());
        }
    }
    Ok(names)
}

fn to_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    for &b in text {
        if b == b'\n' {
            out.push(b'\r');
        }
        out.push(b);
    }
    out
}
