//! The rows that follow a mail server: each kind of change in commits of its own.

use super::super::{Error, Mailbox};
use super::{Mirror, Trouble, put, read_item};
use crate::store::{Note, SqliteStore, queue_name};
use crate::turns::unix_now;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::Role;
use mailsync_proto::mail::account::{Fetched, Protocol};
use mailsync_proto::mail::headers::{Headers, message_id};
use mailsync_proto::mail::outbox::index_key;
use mailsync_proto::mirror::folders::{self, FolderLink, FolderSeen, Plan};
use mailsync_proto::mirror::mails::{self, Described, Link};
use mailsync_proto::mirror::outgoing::DeleteRule;
use mailsync_proto::sync::store::{Read, Store, StoreError, Value, Write};
use std::collections::{HashMap, HashSet};

/// Octets of new mails in one commit.
const BATCH_OCTETS: usize = 8 << 20;
/// New mails in one commit.
const BATCH: usize = 100;
/// Octets of a mail, at most: of a larger one the beginning. Not what the server said of its size, which some get wrong.
const WHOLE: u64 = 32 << 20;
/// Seconds for which what was lost in a mass is kept aside.
// threat: S11
const KEEP: u64 = 30 * 86_400;

impl Mirror {
    /// Folders that are new or have another name.
    pub(super) async fn put_folders(&self, plan: &Plan, known: Vec<FolderLink>) -> Result<(), StoreError> {
        let (account, key, values) = (self.account, self.key(), plan.values.clone());
        let links: Vec<FolderLink> = plan.folders.iter().map(|(link, _)| link.clone()).collect();
        self.commit(move |store| {
            let waiting = queued(store, account)?;
            let mut writes = Vec::new();
            for (guid, value) in values.iter().filter(|(guid, _)| !waiting.contains(guid.as_str())) {
                match read_item(store, &key, guid)? {
                    Some(item) if !item.deleted => {
                        writes.extend(folders::restated(&item, value).map(|value| put(&key, &item, value)));
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
    pub(super) async fn remark(
        &self,
        marked: Vec<(Link, mailsync_proto::mirror::Marks)>,
    ) -> Result<(), StoreError> {
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
    pub(super) async fn rebind(&self, same: Vec<(Link, Described)>) -> Result<(), StoreError> {
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

    /// Mails that were deleted here and are in the trash there since: that was to be done, and who did it died before he
    /// wrote it down. Each comes from there as a new mail, as after any deletion; bound to it the row would be deleted once
    /// more, and from the trash that is for good.
    pub(super) async fn put_away(
        &self,
        plan: &Plan,
        same: Vec<(Link, Described)>,
    ) -> Result<(Vec<(Link, Described)>, Vec<Described>), StoreError> {
        let trash = plan.folders.iter().map(|(folder, _)| folder).find(|f| f.role == Some(Role::Trash));
        let trash =
            trash.filter(|_| self.config.delete == DeleteRule::Trash).map(|folder| folder.guid.clone());
        let went = |(link, mail): &(Link, Described)| {
            Some(&mail.folder) == trash.as_ref() && link.folder != mail.folder
        };
        let (moved, mut same): (Vec<_>, Vec<_>) = same.into_iter().partition(went);
        if moved.is_empty() {
            return Ok((same, Vec::new()));
        }
        let (key, mut guids) =
            (self.key(), moved.iter().map(|(link, _)| link.guid.clone()).collect::<Vec<_>>());
        let deleted: HashSet<Guid> = self
            .db(move |store| {
                let mut deleted = HashSet::new();
                for guid in guids.drain(..) {
                    if read_item(store, &key, &guid)?.is_none_or(|item| item.deleted) {
                        deleted.insert(guid);
                    }
                }
                Ok(deleted)
            })
            .await?;
        let (done, rest): (Vec<_>, Vec<_>) =
            moved.into_iter().partition(|(link, _)| deleted.contains(&link.guid));
        same.extend(rest);
        let notes: Vec<Note> = done.iter().map(|(link, _)| Note::NoMail(link.guid.clone())).collect();
        self.commit(move |_| Ok((Vec::new(), notes.clone()))).await?;
        Ok((same, done.into_iter().map(|(_, mail)| mail).collect()))
    }

    /// New mails: fetched one by one, committed in batches.
    pub(super) async fn arrive<M: Mailbox>(
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

    pub(super) async fn store_arrived(
        &self,
        batch: Vec<(Described, Bytes)>,
        states: &[FolderLink],
    ) -> Result<(), StoreError> {
        let (key, name, user) = (self.key(), self.name(), self.user.clone());
        let maildrop = self.config.protocol == Protocol::Pop3;
        let identities: HashMap<Guid, Box<str>> = states
            .iter()
            .map(|folder| (folder.guid.clone(), folder.identity.clone().unwrap_or_default()))
            .collect();
        self.commit(move |store| {
            let (mut writes, mut notes) = (Vec::new(), Vec::new());
            let mut indexed = HashSet::new();
            for (mail, message) in &batch {
                let identity = identities.get(&mail.folder).map_or("", |identity| identity);
                let mut guid = mails::arrived_guid(&name, &mail.folder, identity, mail.id);
                let mut write = mails::arrived(&key, guid.clone(), mail, message.clone(), unix_now());
                if let (Some(item), Write::PutItem { expect, value, .. }) =
                    (read_item(store, &key, &guid)?, &mut write)
                {
                    *expect = Some(item.rev);
                    if maildrop && item.value.match_keys.get(1) == value.match_keys.get(1) {
                        // It was away for a while: what it is and where is known here better than there.
                        let (folder, id) = (mail.folder.clone(), Some(mail.id));
                        let (marks, key, body_rev) = (mail.marks, mail.key, item.body_rev);
                        notes.push(Note::Mail(Link { guid: guid.clone(), folder, id, marks, key, body_rev }));
                        notes.extend(item.deleted.then_some(Note::Queue(guid)));
                        continue;
                    }
                    if maildrop {
                        // Another mail under an id that was given before.
                        let identity = format!("{identity} {}", unix_now());
                        guid = mails::arrived_guid(&name, &mail.folder, &identity, mail.id);
                        write = mails::arrived(&key, guid.clone(), mail, message.clone(), unix_now());
                    }
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
    pub(super) async fn lose(
        &self,
        lost: Vec<Link>,
        kept_aside: HashSet<Guid>,
        renumbered: HashSet<Guid>,
    ) -> Result<(), StoreError> {
        // A maildrop is a place on the way: what has gone from it is known there no more, and stays here.
        let stays = self.config.protocol == Protocol::Pop3;
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
                    let item = read_item(store, &key, &link.guid)?.filter(|item| !item.deleted && !stays);
                    if let Some(item) = item {
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

    /// Deletes on the server what is here, where the account says so: once the rows are committed.
    pub(super) async fn discard_fetched<M: Mailbox>(
        &self,
        mailbox: &mut M,
        folders: &[(FolderLink, FolderSeen)],
    ) -> Result<(), Trouble> {
        if self.config.fetched != Fetched::Remove {
            return Ok(());
        }
        let account = self.account;
        for (folder, _) in folders {
            let guid = folder.guid.clone();
            let links = self.db(move |store| store.remote_mails(account, &guid)).await?;
            let ids: Vec<_> = links.iter().filter_map(|link| link.id).collect();
            if ids.is_empty() {
                continue;
            }
            match mailbox.discard(&ids).await {
                Ok(()) => {}
                Err(Error::Refused(words)) => {
                    tracing::warn!(account, words, "mailbox: what is here stays there");
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let notes: Vec<Note> = links.into_iter().map(|link| Note::NoMail(link.guid)).collect();
            self.commit(move |_| Ok((Vec::new(), notes.clone()))).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_folders(&self, gone: Vec<FolderLink>) -> Result<(), StoreError> {
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

fn happened(store: &SqliteStore, user: &str, key: &str) -> Result<bool, StoreError> {
    let read = Read::Once(user.into(), key.into());
    let found = store.read(std::slice::from_ref(&read))?;
    Ok(matches!(found.get(&read), Some(Value::Once(Some(_)))))
}

fn queued(store: &SqliteStore, account: i64) -> Result<HashSet<String>, StoreError> {
    let jobs = store.jobs(Some(&queue_name(account)))?;
    Ok(jobs.into_iter().map(|job| job.id).collect())
}
