//! One look at a mailbox: rows that changed become operations there, changes there become rows.
//!
//! What is done there and what it means here are one commit each; a process that dies between repeats what is still
//! missing. States of folders are kept last, so that a look that broke off is taken again.

use super::{Done, Error, Folders, Mailbox};
use crate::store::{Note, SqliteStore, queue_name};
use crate::turns::unix_now;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::account::Account;
use mailsync_proto::mail::headers::{Headers, message_id};
use mailsync_proto::mail::mailbox::{DATASTORE, KIND_FOLDER, changed_value, folder_value};
use mailsync_proto::mail::outbox::index_key;
use mailsync_proto::mail::{Folder, MailFields, Role, SendOutcome, SendState};
use mailsync_proto::mirror::folders::{self, FolderLink, FolderSeen, Plan, Root};
use mailsync_proto::mirror::mails::{self, Described, Key, Link};
use mailsync_proto::mirror::{Operation, outgoing};
use mailsync_proto::sync::store::{Item, Read, Store, StoreError, StoreKey, Value, Write};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Octets of new mails in one commit.
const BATCH_OCTETS: usize = 8 << 20;
/// New mails in one commit.
const BATCH: usize = 100;
/// Octets of a mail, at most: of a larger one the beginning. Not what the server said of its size, which some get wrong.
const WHOLE: u64 = 32 << 20;
/// Tries of an operation that the server refuses.
const TRIES: u32 = 5;
/// Seconds for which what was lost in a mass is kept aside.
// threat: S11
const KEEP: u64 = 30 * 86_400;
/// Runs of a commit whose rows changed under it.
const RUNS: usize = 8;

/// Why a look ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Mailbox(#[from] Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) arrived: usize,
    pub(super) changed: usize,
    pub(super) lost: usize,
    pub(super) operations: usize,
}

/// The mirror of one account.
pub(super) struct Mirror {
    pub(super) store: Arc<SqliteStore>,
    pub(super) account: i64,
    pub(super) user: String,
    pub(super) config: Account,
    /// Its folders are the user's main ones.
    pub(super) main: bool,
}

impl Mirror {
    /// Looks at everything once.
    pub(super) async fn look<M: Mailbox>(&self, mailbox: &mut M) -> Result<Tally, Trouble> {
        let mut tally = Tally::default();
        let mut listed = mailbox.folders().await?;
        self.queue_changes(&listed).await?;
        tally.operations = self.work(mailbox, &listed).await?;
        if tally.operations > 0 {
            listed = mailbox.folders().await?;
        }
        self.pull(mailbox, &listed, &mut tally).await?;
        Ok(tally)
    }

    fn key(&self) -> StoreKey {
        StoreKey { user: self.user.as_str().into(), datastore: DATASTORE.into() }
    }

    async fn db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SqliteStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }

    /// Commits what `build` makes of the rows as they are; again when they change meanwhile.
    async fn commit(
        &self,
        build: impl Fn(&SqliteStore) -> Result<(Vec<Write>, Vec<Note>), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let account = self.account;
        self.db(move |store| {
            for _ in 1..RUNS {
                let (writes, notes) = build(store)?;
                if writes.is_empty() && notes.is_empty() {
                    return Ok(());
                }
                match store.mirror(account, writes, &notes) {
                    Err(StoreError::Stale(why)) => tracing::debug!(why, "mailbox: stale, running again"),
                    done => return done,
                }
            }
            let (writes, notes) = build(store)?;
            store.mirror(account, writes, &notes)
        })
        .await
    }

    /// Looks which changed rows have something to be done at the server, and queues them.
    async fn queue_changes(&self, listed: &Folders) -> Result<(), StoreError> {
        let (account, user, rule) = (self.account, self.user.clone(), self.config.delete);
        let seen = listed.seen.clone();
        let done = self.db(move |store| {
            let since = store.accounts(Some(&user))?.into_iter().find(|row| row.id == account);
            let Some(since) = since.map(|row| row.pushed_rev) else { return Ok(()) };
            let (items, head) = store.mail_changes(&user, since)?;
            if head == since {
                return Ok(());
            }
            let folders = store.remote_folders(account)?;
            if folders.is_empty() {
                // Before the first look nothing is known of what is there.
                return Ok(());
            }
            let mut notes = Vec::new();
            for item in items {
                let link = store.remote_mail(account, &item.guid)?;
                if !to_do(&item, link.as_ref(), &folders, &seen, rule).is_empty() {
                    notes.push(Note::Queue(item.guid));
                }
            }
            notes.push(Note::Pushed(head));
            store.mirror(account, Vec::new(), &notes)
        });
        done.await
    }

    /// Does what is queued; says how many operations were done.
    async fn work<M: Mailbox>(&self, mailbox: &mut M, listed: &Folders) -> Result<usize, Trouble> {
        let queue = queue_name(self.account);
        let mut done = 0;
        loop {
            let (name, now) = (queue.clone(), i64::try_from(unix_now()).unwrap_or(i64::MAX));
            let jobs = self.db(move |store| store.jobs_due(Some(&name), now, 100)).await?;
            if jobs.is_empty() {
                return Ok(done);
            }
            for job in jobs {
                let guid = Guid::unvalidated(job.id.as_str());
                match self.one(mailbox, listed, &guid, job.attempts).await {
                    Ok(count) => {
                        done += count;
                        let (name, id) = (queue.clone(), job.id.clone());
                        self.db(move |store| store.drop_job(&name, &id)).await?;
                    }
                    Err(Trouble::Mailbox(Error::Refused(words))) => {
                        tracing::warn!(account = self.account, %guid, words, "mailbox: refused");
                        self.refused(&queue, &guid, job.attempts, words).await?;
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
        }
    }

    /// What one row needs now.
    async fn one<M: Mailbox>(
        &self,
        mailbox: &mut M,
        listed: &Folders,
        guid: &Guid,
        attempts: u32,
    ) -> Result<usize, Trouble> {
        let (account, key, wanted) = (self.account, self.key(), guid.clone());
        let found = self.db(move |store| {
            let folders = store.remote_folders(account)?;
            Ok((read_item(store, &key, &wanted)?, store.remote_mail(account, &wanted)?, folders))
        });
        let (Some(item), mut link, folders) = found.await? else { return Ok(0) };
        let operations = to_do(&item, link.as_ref(), &folders, &listed.seen, self.config.delete);
        let count = operations.len();
        for operation in operations {
            let message = match &operation {
                Operation::Append { .. } => Some(self.body(guid).await?),
                _ => None,
            };
            let done = match (&operation, &message) {
                // The server's own copy is on its way: it is known by its Message-ID when it is seen.
                (Operation::Append { into, .. }, Some(_)) if self.is_kept_there(&item, into, &folders) => {
                    Done::default()
                }
                (Operation::Append { folder, .. }, Some(message)) => {
                    self.append(mailbox, &operation, folder, guid, message, attempts).await?
                }
                _ => mailbox.perform(&operation, None).await?,
            };
            tracing::debug!(account = self.account, %guid, operation = operation.word(), "mailbox: done");
            let notes = after(&operation, &done, &item, &mut link, &folders, message.as_ref());
            self.commit(move |_| Ok((Vec::new(), notes.clone()))).await?;
        }
        Ok(count)
    }

    /// Whether the mail server keeps a copy of this mail by itself.
    fn is_kept_there(&self, item: &Item, into: &Guid, folders: &[FolderLink]) -> bool {
        let sent = folders.iter().any(|folder| folder.guid == *into && folder.role == Some(Role::Sent));
        let fields = MailFields::from_fields(&item.value.fields).unwrap_or_default();
        let went = |send: SendState| matches!(send.outcome, SendOutcome::Sent | SendOutcome::Partly);
        self.config.server_keeps_sent && sent && fields.send.is_some_and(went)
    }

    /// Adds a mail; where an earlier try may have done it already, looks first.
    async fn append<M: Mailbox>(
        &self,
        mailbox: &mut M,
        operation: &Operation,
        folder: &str,
        guid: &Guid,
        message: &Bytes,
        attempts: u32,
    ) -> Result<Done, Trouble> {
        if attempts > 0 {
            let headers = Headers::parse(message);
            let id = headers.first("Message-ID").map(|field| field.text());
            if let Some(id) = id.as_deref().and_then(message_id)
                && let Some(found) = mailbox.find(folder, id).await?
            {
                return Ok(Done { id: Some(found), path: None });
            }
        }
        // Counted before it is done: whoever comes after a crash looks first.
        let (queue, id) = (queue_name(self.account), guid.to_string());
        self.db(move |store| store.postpone(&queue, &id, 0, "being added")).await?;
        Ok(mailbox.perform(operation, Some(message)).await?)
    }

    async fn body(&self, guid: &Guid) -> Result<Bytes, StoreError> {
        let read = Read::Body(self.key(), guid.clone());
        let found = self.db(move |store| {
            let found = store.read(std::slice::from_ref(&read))?;
            Ok(match found.get(&read) {
                Some(Value::Body(Some(body))) => body.clone(),
                _ => Bytes::new(),
            })
        });
        found.await
    }

    /// The server refuses: again later, and in the end the row is as it is there.
    async fn refused(
        &self,
        queue: &str,
        guid: &Guid,
        attempts: u32,
        words: String,
    ) -> Result<(), StoreError> {
        let (queue, id) = (queue.to_owned(), guid.to_string());
        if attempts.saturating_add(1) < TRIES {
            let wait = 2u64.saturating_pow(attempts.min(10));
            let due = i64::try_from(unix_now().saturating_add(wait)).unwrap_or(i64::MAX);
            return self.db(move |store| store.postpone(&queue, &id, due, &words)).await.map(|_| ());
        }
        tracing::error!(account = self.account, %guid, words, "mailbox: given up, the row is as it is there");
        let (account, key, guid) = (self.account, self.key(), guid.clone());
        self.commit(move |store| {
            let mut writes = vec![Write::Dequeue(queue.as_str().into(), id.as_str().into())];
            let item = read_item(store, &key, &guid)?.filter(|item| !item.deleted);
            if let (Some(item), Some(link)) = (item, store.remote_mail(account, &guid)?)
                && let Ok(mut fields) = MailFields::from_fields(&item.value.fields)
            {
                link.marks.put(&mut fields);
                let value = changed_value(&item.value, Some(link.folder), &fields);
                writes.push(put(&key, &item, value));
            }
            Ok((writes, Vec::new()))
        })
        .await
    }

    /// Takes over what changed there.
    async fn pull<M: Mailbox>(
        &self,
        mailbox: &mut M,
        listed: &Folders,
        tally: &mut Tally,
    ) -> Result<(), Trouble> {
        let account = self.account;
        let known = self.db(move |store| store.remote_folders(account)).await?;
        let root = if self.main { Root::Main } else { Root::Below(&self.config.name) };
        let mut plan = folders::plan(&self.name(), root, &known, &listed.seen);
        if listed.torn {
            plan.gone.clear();
        }
        self.put_folders(&plan, known).await?;
        let mut states = Vec::new();
        let mut new: Vec<Described> = Vec::new();
        let mut gone: Vec<Link> = Vec::new();
        let mut kept_aside = HashSet::new();
        let mut renumbered = HashSet::new();
        for (folder, seen) in &plan.folders {
            if seen.state.is_some() && seen.state.as_ref() == Some(&folder.state) {
                continue;
            }
            let guid = folder.guid.clone();
            let links = self.db(move |store| store.remote_mails(account, &guid)).await?;
            let looked = match mailbox.look(folder, &links).await {
                Ok(looked) => looked,
                // One folder that cannot be opened costs itself.
                Err(Error::Refused(words)) => {
                    tracing::warn!(account, folder = %folder.path.escape_debug(), words, "mailbox: folder refused");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let difference = mails::compare(&links, &looked.listing);
            if mails::is_mass_loss(difference.gone.len(), links.len()) {
                kept_aside.insert(folder.guid.clone());
            }
            if difference.renumbered {
                tracing::warn!(account, folder = %folder.path.escape_debug(), "mailbox: all ids are new");
                renumbered.insert(folder.guid.clone());
            }
            tally.changed += difference.marked.len();
            self.remark(difference.marked).await?;
            let ids: Vec<_> = difference.new.iter().map(|mail| (mail.id, mail.marks)).collect();
            if !ids.is_empty() {
                new.extend(mailbox.describe(folder, &ids).await?);
            }
            gone.extend(difference.gone);
            states.push(FolderLink {
                identity: Some(looked.identity),
                state: looked.state,
                ..folder.clone()
            });
        }
        for folder in &plan.gone {
            let guid = folder.guid.clone();
            let links = self.db(move |store| store.remote_mails(account, &guid)).await?;
            kept_aside.insert(folder.guid.clone());
            gone.extend(links);
        }
        let left = self.left_meanwhile(mailbox, &plan, &states, &new, &gone).await?;
        gone.extend(left);
        let unbound = self.db(move |store| store.remote_unbound(account)).await?;
        let matched = mails::matched(new, gone, &unbound);
        tally.changed += matched.same.len();
        self.rebind(matched.same).await?;
        tally.arrived = self.arrive(mailbox, &plan, &states, matched.arrived).await?;
        tally.lost = matched.lost.len();
        self.lose(matched.lost, kept_aside, renumbered).await?;
        self.drop_folders(plan.gone).await?;
        let notes: Vec<Note> = states.into_iter().map(Note::Folder).collect();
        self.commit(move |_| Ok((Vec::new(), notes.clone()))).await?;
        Ok(())
    }

    /// Mails that another reader moved while we looked: seen where they went, and not yet missed where they were.
    async fn left_meanwhile<M: Mailbox>(
        &self,
        mailbox: &mut M,
        plan: &Plan,
        states: &[FolderLink],
        new: &[Described],
        gone: &[Link],
    ) -> Result<Vec<Link>, Trouble> {
        let mut left = Vec::new();
        if new.is_empty() {
            return Ok(left);
        }
        let account = self.account;
        let known = self.db(move |store| store.remote_all(account)).await?;
        let missed: HashSet<&Guid> = gone.iter().map(|link| &link.guid).collect();
        let wanted: HashMap<[u8; 16], &Guid> =
            new.iter().map(|mail| (mail.key.strong, &mail.folder)).collect();
        let elsewhere = |link: &&Link| {
            link.id.is_some()
                && !missed.contains(&link.guid)
                && wanted.get(&link.key.strong).is_some_and(|folder| **folder != link.folder)
        };
        let suspects: HashSet<&Guid> = known.iter().filter(elsewhere).map(|link| &link.folder).collect();
        for (folder, _) in plan.folders.iter().filter(|(folder, _)| suspects.contains(&folder.guid)) {
            let folder = states.iter().find(|state| state.guid == folder.guid).unwrap_or(folder);
            let links: Vec<Link> = known.iter().filter(|link| link.folder == folder.guid).cloned().collect();
            let looked = mailbox.look(folder, &links).await?;
            let difference = mails::compare(&links, &looked.listing);
            if !difference.renumbered {
                left.extend(difference.gone.into_iter().filter(|link| !missed.contains(&link.guid)));
            }
        }
        Ok(left)
    }

    fn name(&self) -> String {
        format!("{} {}", self.user, self.account)
    }

    /// Folders that are new or have another name.
    async fn put_folders(&self, plan: &Plan, known: Vec<FolderLink>) -> Result<(), StoreError> {
        let (account, key, values) = (self.account, self.key(), plan.values.clone());
        let links: Vec<FolderLink> = plan.folders.iter().map(|(link, _)| link.clone()).collect();
        self.commit(move |store| {
            let waiting = queued(store, account)?;
            let mut writes = Vec::new();
            for (guid, value) in values.iter().filter(|(guid, _)| !waiting.contains(guid.as_str())) {
                match read_item(store, &key, guid)? {
                    Some(item) if !item.deleted => {
                        let old = Folder::from_fields(&item.value.fields).unwrap_or_default();
                        let new = Folder::from_fields(&value.fields).unwrap_or_default();
                        if old.name != new.name || item.value.parent != value.parent {
                            let mut folder = old;
                            folder.name = new.name;
                            writes.push(put(&key, &item, folder_value(&folder, value.parent.clone())));
                        }
                    }
                    gone => writes.push(Write::PutItem {
                        store: key.clone(),
                        guid: guid.clone(),
                        expect: gone.map(|item| item.rev),
                        value: value.clone(),
                        body: None,
                    }),
                }
            }
            let differs = |link: &&FolderLink| {
                known
                    .iter()
                    .all(|old| old.guid != link.guid || old.path != link.path || old.role != link.role)
            };
            let notes = links.iter().filter(differs).cloned().map(Note::Folder).collect();
            Ok((writes, notes))
        })
        .await
    }

    /// Marks that are others there.
    async fn remark(&self, marked: Vec<(Link, mailsync_proto::mirror::Marks)>) -> Result<(), StoreError> {
        for some in marked.chunks(500) {
            let (key, some) = (self.key(), some.to_vec());
            self.commit(move |store| {
                let (mut writes, mut notes) = (Vec::new(), Vec::new());
                for (link, marks) in &some {
                    if let Some(item) = read_item(store, &key, &link.guid)?.filter(|item| !item.deleted)
                        && let Some(value) = mails::restated(&item, link, *marks, &link.folder, unix_now())
                    {
                        writes.push(put(&key, &item, value));
                    }
                    notes.push(Note::Mail(Link { marks: *marks, ..link.clone() }));
                }
                Ok((writes, notes))
            })
            .await?;
        }
        Ok(())
    }

    /// Mails of ours under another id, perhaps in another folder.
    async fn rebind(&self, same: Vec<(Link, Described)>) -> Result<(), StoreError> {
        for some in same.chunks(500) {
            let (key, some) = (self.key(), some.to_vec());
            self.commit(move |store| {
                let (mut writes, mut notes) = (Vec::new(), Vec::new());
                for (link, mail) in &some {
                    if let Some(item) = read_item(store, &key, &link.guid)?.filter(|item| !item.deleted)
                        && let Some(value) =
                            mails::restated(&item, link, mail.marks, &mail.folder, unix_now())
                    {
                        writes.push(put(&key, &item, value));
                    }
                    notes.push(Note::Mail(Link {
                        folder: mail.folder.clone(),
                        id: Some(mail.id),
                        marks: mail.marks,
                        key: mail.key,
                        ..link.clone()
                    }));
                    // What waited for its id may have something to be done.
                    notes.push(Note::Queue(link.guid.clone()));
                }
                Ok((writes, notes))
            })
            .await?;
        }
        Ok(())
    }

    /// New mails: fetched one by one, committed in batches.
    async fn arrive<M: Mailbox>(
        &self,
        mailbox: &mut M,
        plan: &Plan,
        states: &[FolderLink],
        arrived: Vec<Described>,
    ) -> Result<usize, Trouble> {
        let paths: HashMap<&Guid, &str> =
            plan.folders.iter().map(|(link, _)| (&link.guid, &*link.path)).collect();
        let mut count = 0;
        let mut batch: Vec<(Described, Bytes)> = Vec::new();
        let mut octets = 0;
        for mail in arrived {
            let Some(path) = paths.get(&mail.folder) else { continue };
            let Some(message) = mailbox.fetch(path, mail.id, WHOLE).await? else {
                tracing::warn!(account = self.account, id = mail.id, "mailbox: a mail cannot be read");
                continue;
            };
            octets += message.len();
            count += 1;
            batch.push((mail, message));
            if octets >= BATCH_OCTETS || batch.len() >= BATCH {
                self.store_arrived(std::mem::take(&mut batch), states).await?;
                octets = 0;
            }
        }
        self.store_arrived(batch, states).await?;
        Ok(count)
    }

    async fn store_arrived(
        &self,
        batch: Vec<(Described, Bytes)>,
        states: &[FolderLink],
    ) -> Result<(), StoreError> {
        let (key, name, user) = (self.key(), self.name(), self.user.clone());
        let identities: HashMap<Guid, Box<str>> = states
            .iter()
            .map(|folder| (folder.guid.clone(), folder.identity.clone().unwrap_or_default()))
            .collect();
        self.commit(move |store| {
            let (mut writes, mut notes) = (Vec::new(), Vec::new());
            let mut indexed = HashSet::new();
            for (mail, message) in &batch {
                let identity = identities.get(&mail.folder).map_or("", |identity| identity);
                let guid = mails::arrived_guid(&name, &mail.folder, identity, mail.id);
                let mut write = mails::arrived(&key, guid.clone(), mail, message.clone(), unix_now());
                if let (Some(item), Write::PutItem { expect, .. }) =
                    (read_item(store, &key, &guid)?, &mut write)
                {
                    *expect = Some(item.rev);
                }
                writes.push(write);
                let headers = Headers::parse(message);
                let id = headers.first("Message-ID").map(|field| field.text());
                if let Some(index) = id.as_deref().and_then(message_id).map(index_key)
                    && indexed.insert(index.clone())
                    && !happened(store, &user, &index)?
                {
                    writes.push(Write::Once(user.as_str().into(), index, guid.clone()));
                }
                notes.push(Note::NewText(Link {
                    guid,
                    folder: mail.folder.clone(),
                    id: Some(mail.id),
                    marks: mail.marks,
                    key: mail.key,
                    body_rev: 0,
                }));
            }
            Ok((writes, notes))
        })
        .await
    }

    /// Mails that are no longer there.
    // threat: S11
    async fn lose(
        &self,
        lost: Vec<Link>,
        kept_aside: HashSet<Guid>,
        renumbered: HashSet<Guid>,
    ) -> Result<(), StoreError> {
        for some in lost.chunks(500) {
            let (key, some) = (self.key(), some.to_vec());
            let (kept_aside, renumbered) = (kept_aside.clone(), renumbered.clone());
            self.commit(move |store| {
                let (mut writes, mut notes) = (Vec::new(), Vec::new());
                for link in &some {
                    if renumbered.contains(&link.folder) {
                        // It waits here until it is seen there again.
                        notes.push(Note::Mail(Link { id: None, ..link.clone() }));
                        continue;
                    }
                    if let Some(item) = read_item(store, &key, &link.guid)?.filter(|item| !item.deleted) {
                        if kept_aside.contains(&link.folder) {
                            let until = Some(unix_now().saturating_add(KEEP));
                            writes.push(Write::Keep { store: key.clone(), guid: item.guid.clone(), until });
                        }
                        writes.push(Write::DeleteItem {
                            store: key.clone(),
                            guid: item.guid,
                            expect: item.rev,
                        });
                    }
                    notes.push(Note::NoMail(link.guid.clone()));
                }
                Ok((writes, notes))
            })
            .await?;
        }
        Ok(())
    }

    async fn drop_folders(&self, gone: Vec<FolderLink>) -> Result<(), StoreError> {
        let key = self.key();
        self.commit(move |store| {
            let (mut writes, mut notes) = (Vec::new(), Vec::new());
            for folder in &gone {
                let item = read_item(store, &key, &folder.guid)?.filter(|item| !item.deleted);
                if let Some(item) = item.filter(|_| folder.role.is_none()) {
                    writes.push(Write::DeleteItem { store: key.clone(), guid: item.guid, expect: item.rev });
                }
                notes.push(Note::NoFolder(folder.guid.clone()));
            }
            Ok((writes, notes))
        })
        .await
    }
}

/// What a row needs at the server.
fn to_do(
    item: &Item,
    link: Option<&Link>,
    folders: &[FolderLink],
    seen: &[FolderSeen],
    rule: mailsync_proto::mirror::DeleteRule,
) -> Vec<Operation> {
    if &*item.value.kind != KIND_FOLDER {
        return outgoing::mail(item, link, folders, rule);
    }
    let link = folders.iter().find(|folder| folder.guid == item.guid);
    let there = link.and_then(|link| seen.iter().find(|folder| folder.path == link.path));
    let above = there.and_then(|there| there.parent.as_ref());
    let above =
        above.and_then(|path| folders.iter().find(|folder| folder.path == *path)).map(|folder| &folder.guid);
    outgoing::folder(item, link, there.map(|there| (&*there.name, above)), folders)
}

/// What an operation that was done means for what we know.
fn after(
    operation: &Operation,
    done: &Done,
    item: &Item,
    link: &mut Option<Link>,
    folders: &[FolderLink],
    message: Option<&Bytes>,
) -> Vec<Note> {
    let known = folders.iter().find(|folder| folder.guid == item.guid);
    match operation {
        Operation::Mark { add, remove, .. } => {
            let Some(link) = link else { return Vec::new() };
            link.marks = link.marks.with(*add).without(*remove);
            vec![Note::Mail(link.clone())]
        }
        // In the trash it is another mail: it comes from there as a new one.
        Operation::Move { .. } | Operation::Expunge { .. } if item.deleted => {
            vec![Note::NoMail(item.guid.clone())]
        }
        Operation::Move { into, .. } => {
            let Some(link) = link else { return Vec::new() };
            (link.folder, link.id) = (into.clone(), done.id);
            vec![Note::Mail(link.clone())]
        }
        Operation::Expunge { .. } => {
            *link = None;
            vec![Note::NoMail(item.guid.clone())]
        }
        Operation::Append { into, marks, received, .. } => {
            let message = message.map(|message| &message[..]).unwrap_or_default();
            let new = Link {
                guid: item.guid.clone(),
                folder: into.clone(),
                id: done.id,
                marks: *marks,
                key: Key::of(message, message.len() as u64, *received),
                body_rev: item.body_rev,
            };
            *link = Some(new.clone());
            vec![Note::Mail(new)]
        }
        Operation::MakeFolder { .. } | Operation::RenameFolder { .. } => {
            let Some(path) = done.path.clone() else { return Vec::new() };
            let fresh = FolderLink {
                guid: item.guid.clone(),
                path: path.clone(),
                role: None,
                identity: None,
                state: "".into(),
            };
            vec![Note::Folder(known.map_or(fresh, |known| FolderLink { path, ..known.clone() }))]
        }
        Operation::RemoveFolder { .. } => vec![Note::NoFolder(item.guid.clone())],
    }
}

fn put(key: &StoreKey, item: &Item, value: mailsync_proto::sync::store::ItemValue) -> Write {
    Write::PutItem { store: key.clone(), guid: item.guid.clone(), expect: Some(item.rev), value, body: None }
}

fn read_item(store: &SqliteStore, key: &StoreKey, guid: &Guid) -> Result<Option<Item>, StoreError> {
    let read = Read::Item(key.clone(), guid.clone());
    let found = store.read(std::slice::from_ref(&read))?;
    Ok(match found.get(&read) {
        Some(Value::Item(item)) => item.clone(),
        _ => None,
    })
}

fn happened(store: &SqliteStore, user: &str, key: &str) -> Result<bool, StoreError> {
    let read = Read::Once(user.into(), key.into());
    let found = store.read(std::slice::from_ref(&read))?;
    Ok(matches!(found.get(&read), Some(Value::Once(Some(_)))))
}

fn queued(store: &SqliteStore, account: i64) -> Result<HashSet<String>, StoreError> {
    let jobs = store.jobs(Some(&queue_name(account)))?;
    Ok(jobs.into_iter().map(|job| job.id).collect())
}
