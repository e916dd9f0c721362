//! The rows that follow a mail server: each kind of change in commits of its own.

use super::super::{Error, Mailbox};
use super::{Mirror, Trouble, put, read_item};
use crate::store::{Note, SqliteStore, queue_name};
use crate::turns::unix_now;
use idmap::Guid;
use mailsync_proto::mail::Role;
use mailsync_proto::mail::account::{Fetched, Protocol};
use mailsync_proto::mirror::folders::{self, FolderLink, FolderSeen, Plan};
use mailsync_proto::mirror::mails::{self, Described, Link};
use mailsync_proto::mirror::outgoing::DeleteRule;
use mailsync_proto::sync::store::{StoreError, Write};
use std::collections::HashSet;

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

fn queued(store: &SqliteStore, account: i64) -> Result<HashSet<String>, StoreError> {
    let jobs = store.jobs(Some(&queue_name(account)))?;
    Ok(jobs.into_iter().map(|job| job.id).collect())
}
