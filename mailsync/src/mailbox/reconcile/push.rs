//! What was changed here and is to be done there: the queue of operations.

use super::super::stored::{Composition, composition};
use super::super::{Error, Folders, Mailbox};
use super::{Mirror, Trouble, account_name, put, read_item};
use crate::store::{Note, SqliteStore, queue_name};
use crate::turns::unix_now;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::MailFields;
use mailsync_proto::mail::forward::About;
use mailsync_proto::mail::headers::{Headers, message_id};
use mailsync_proto::mail::mailbox::{KIND_FOLDER, KIND_MAIL};
use mailsync_proto::mirror::learned::{Done, learned};
use mailsync_proto::mirror::{Operation, folders, mails, outgoing};
use mailsync_proto::sync::store::{Item, Read, Store, StoreError, StoreKey, Value, Write};

/// Folders in each other, at most.
const DEPTH: usize = 64;
/// Tries of an operation that the server refuses.
const TRIES: u32 = 5;

impl Mirror {
    /// Looks which changed rows have something to be done at the server, and queues them.
    pub(super) async fn queue_changes(&self, listed: &Folders) -> Result<(), StoreError> {
        let (account, user, rule) = (self.account, self.user.clone(), self.config.delete);
        let (ours, root) = (Ours::of(self), self.root());
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
                let operations =
                    outgoing::operations(&item, link.as_ref(), (&folders, &seen), root.as_ref(), rule);
                if !operations.is_empty() && ours.has(store, &item)? {
                    notes.push(Note::Queue(item.guid));
                }
            }
            notes.push(Note::Pushed(head));
            store.mirror(account, Vec::new(), &notes)
        });
        done.await
    }

    /// Does what is queued; says how many operations were done.
    pub(super) async fn work<M: Mailbox>(&self, mailbox: &mut M, listed: &Folders) -> Result<usize, Trouble> {
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
    pub(super) async fn one<M: Mailbox>(
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
        let root = self.root();
        let operations = outgoing::operations(
            &item,
            link.as_ref(),
            (&folders, &listed.seen),
            root.as_ref(),
            self.config.delete,
        );
        let count = operations.len();
        for operation in operations {
            let message = match &operation {
                Operation::Append { .. } => Some(self.body(guid).await?),
                _ => None,
            };
            let done = match (&operation, &message) {
                // The server's own copy is on its way: it is known by its Message-ID when it is seen.
                (Operation::Append { into, .. }, Some(_))
                    if self.config.server_keeps_sent && outgoing::is_kept_there(&item, into, &folders) =>
                {
                    Done::default()
                }
                (Operation::Append { folder, .. }, Some(message)) => {
                    self.append(mailbox, &operation, (folder, message), &item, attempts).await?
                }
                _ => mailbox.perform(&operation, None).await?,
            };
            tracing::debug!(account = self.account, %guid, operation = operation.word(), "mailbox: done");
            let learned = learned(&operation, &done, &item, &mut link, &folders, message.as_ref());
            let notes: Vec<Note> = learned.map(Note::from).into_iter().collect();
            self.commit(move |_| Ok((Vec::new(), notes.clone()))).await?;
        }
        Ok(count)
    }

    /// Adds a mail; where an earlier try may have done it already, looks first.
    pub(super) async fn append<M: Mailbox>(
        &self,
        mailbox: &mut M,
        operation: &Operation,
        (folder, message): (&str, &Bytes),
        item: &Item,
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
        let (queue, id) = (queue_name(self.account), item.guid.to_string());
        self.db(move |store| store.postpone(&queue, &id, 0, "being added")).await?;
        if let Some(composition) = self.composition(item, message).await?
            && let Some(done) = mailbox.compose(operation, message, &composition).await?
        {
            return Ok(done);
        }
        Ok(mailbox.perform(operation, Some(message)).await?)
    }

    /// Of what the server can put a mail together that forwards or answers another one.
    async fn composition(&self, item: &Item, message: &Bytes) -> Result<Option<Composition>, StoreError> {
        let fields = MailFields::from_fields(&item.value.fields).unwrap_or_default();
        let Some(about) = About::of(&fields.ext).filter(|_| self.composes) else { return Ok(None) };
        let (account, user, message) = (self.account, self.user.clone(), message.clone());
        self.db(move |store| composition(store, &user, account, Some(&about), &message)).await
    }

    pub(super) async fn body(&self, guid: &Guid) -> Result<Bytes, StoreError> {
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

    /// The server refuses: again later, and in the end the row is as it is there. A mail that is not there at all waits as long
    /// as it takes.
    pub(super) async fn refused(
        &self,
        queue: &str,
        guid: &Guid,
        attempts: u32,
        words: String,
    ) -> Result<(), StoreError> {
        let (queue, id) = (queue.to_owned(), guid.to_string());
        let (account, key, wanted) = (self.account, self.key(), guid.clone());
        let only_here = self.db(move |store| {
            let mail = read_item(store, &key, &wanted)?
                .is_some_and(|item| !item.deleted && &*item.value.kind == KIND_MAIL);
            Ok(mail && store.remote_mail(account, &wanted)?.is_none())
        });
        // A mailbox that is full takes it when it is full no more; there is nothing there to go back to.
        if attempts.saturating_add(1) < TRIES || only_here.await? {
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
                && let Some(value) = mails::as_there(&item, &link)
            {
                writes.push(put(&key, &item, value));
            }
            Ok((writes, Vec::new()))
        })
        .await
    }
}

/// Which folders are this account's, and not another one's of the same user.
struct Ours {
    account: i64,
    user: String,
    main: bool,
    key: StoreKey,
}

impl Ours {
    fn of(mirror: &Mirror) -> Self {
        Ours { account: mirror.account, user: mirror.user.clone(), main: mirror.main, key: mirror.key() }
    }

    /// Whether what is to be done for a row is this account's to do. Of a mail its links say it; a folder is whose it is in.
    // mission: M8d
    fn has(&self, store: &SqliteStore, item: &Item) -> Result<bool, StoreError> {
        if &*item.value.kind != KIND_FOLDER {
            return Ok(true);
        }
        let accounts = store.accounts(Some(&self.user))?;
        let root_of = |guid: &Guid| {
            accounts.iter().find(|row| folders::root_guid(&account_name(&row.user, row.id)) == *guid)
        };
        if root_of(&item.guid).is_some() {
            // It stands for the account and is no folder there.
            return Ok(false);
        }
        let (mut at, mut above) = (item.guid.clone(), item.value.parent.clone());
        for _ in 0..DEPTH {
            if let Some(row) = root_of(&at) {
                return Ok(row.id == self.account);
            }
            if let Some(owner) = store.folder_owner(&self.user, &at)? {
                return Ok(owner == self.account);
            }
            let Some(guid) = above else { return Ok(self.main) };
            above = read_item(store, &self.key, &guid)?.and_then(|item| item.value.parent);
            at = guid;
        }
        Ok(false)
    }
}
