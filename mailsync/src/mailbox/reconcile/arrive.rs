//! New mails: described and fetched many by one command, committed together. One that cannot be read, or over which a link
//! ends, costs itself.

use super::super::Mailbox;
use super::suspects::Suspects;
use super::{Mirror, Trouble, read_item};
use crate::store::{Note, SqliteStore};
use crate::turns::unix_now;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::account::Protocol;
use mailsync_proto::mail::headers::{Headers, message_id};
use mailsync_proto::mail::outbox::index_key;
use mailsync_proto::mirror::Marks;
use mailsync_proto::mirror::folders::{FolderLink, Plan};
use mailsync_proto::mirror::mails::{self, Described, Link, RemoteId, SeenMail};
use mailsync_proto::sync::store::{Read, Store, StoreError, Value, Write};
use std::collections::{HashMap, HashSet};
use std::sync::MutexGuard;

/// Mails described by one command.
const DESCRIBED: usize = 200;
/// Mails fetched by one command, and in one commit.
const BATCH: usize = 100;
/// Octets of them, by what the server says of their sizes.
const BATCH_OCTETS: u64 = 4 << 20;
/// Octets of a mail that is fetched with others.
const SMALL: u64 = 1 << 20;
/// Octets of new mails in one commit.
const COMMIT_OCTETS: usize = 8 << 20;
/// Octets of a mail, at most: of a larger one the beginning. Not what the server said of its size, which some get wrong.
const WHOLE: u64 = 32 << 20;

impl Mirror {
    /// Describes new mails of a folder; those that cannot be described are left out.
    pub(super) async fn describe<M: Mailbox>(
        &self,
        mailbox: &mut M,
        folder: &FolderLink,
        new: &[SeenMail],
    ) -> Result<Vec<Described>, Trouble> {
        let new: Vec<(RemoteId, Marks)> = new.iter().map(|mail| (mail.id, mail.marks)).collect();
        let (together, alone) = self.suspects().parted(&folder.guid, new, |(id, _)| *id);
        let mut described = Vec::with_capacity(together.len());
        let mut alone = alone;
        for some in together.chunks(DESCRIBED) {
            self.suspects().begin(&folder.guid, some.iter().map(|(id, _)| *id));
            let found = mailbox.describe(folder, some).await?;
            self.suspects().end();
            let known: HashSet<RemoteId> = found.iter().map(|mail| mail.id).collect();
            described.extend(found);
            alone.extend(some.iter().filter(|(id, _)| !known.contains(id)));
        }
        for one in alone {
            self.suspects().begin(&folder.guid, [one.0]);
            let found = mailbox.describe(folder, &[one]).await?;
            self.suspects().end();
            if found.is_empty() {
                tracing::warn!(account = self.account, id = one.0, "mailbox: a mail cannot be described");
            }
            described.extend(found);
        }
        Ok(described)
    }

    /// New mails: fetched in batches, each committed before the next is asked for.
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
        let batches = batches(arrived, &self.suspects());
        for batch in batches {
            let Some(first) = batch.first() else { continue };
            let Some(path) = paths.get(&first.folder) else { continue };
            let folder = first.folder.clone();
            let ids: Vec<RemoteId> = batch.iter().map(|mail| mail.id).collect();
            let mut texts: HashMap<RemoteId, Bytes> = HashMap::new();
            if ids.len() > 1 {
                self.suspects().begin(&folder, ids.iter().copied());
                texts.extend(mailbox.fetch_some(path, &ids, SMALL).await?);
                self.suspects().end();
            }
            let (mut whole, mut octets) = (Vec::new(), 0);
            for mail in batch {
                let text = match texts.remove(&mail.id) {
                    Some(text) => Some(text),
                    None => {
                        self.suspects().begin(&folder, [mail.id]);
                        let text = mailbox.fetch(path, mail.id, WHOLE).await?;
                        self.suspects().end();
                        text
                    }
                };
                let Some(text) = text else {
                    tracing::warn!(account = self.account, id = mail.id, "mailbox: a mail cannot be read");
                    continue;
                };
                self.suspects().came(&folder, mail.id);
                octets += text.len();
                count += 1;
                whole.push((mail, text));
                if octets >= COMMIT_OCTETS {
                    self.store_arrived(std::mem::take(&mut whole), states).await?;
                    octets = 0;
                }
            }
            self.store_arrived(whole, states).await?;
        }
        Ok(count)
    }

    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        // Nothing panics while it is held; what it counts would still be right.
        self.suspects.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
}

/// Mails to be fetched by one command each time: of one folder, small ones together, suspects and large ones alone.
fn batches(arrived: Vec<Described>, suspects: &Suspects) -> Vec<Vec<Described>> {
    let mut batches: Vec<Vec<Described>> = Vec::new();
    let (mut octets, mut open) = (0u64, false);
    for mail in arrived {
        if suspects.is_given_up(&mail.folder, mail.id) {
            continue;
        }
        let alone = mail.size > SMALL || suspects.is_suspect(&mail.folder, mail.id);
        octets = octets.saturating_add(mail.size);
        match batches.last_mut() {
            Some(batch)
                if open
                    && !alone
                    && batch.len() < BATCH
                    && octets <= BATCH_OCTETS
                    && batch.first().is_some_and(|first| first.folder == mail.folder) =>
            {
                batch.push(mail);
            }
            _ => {
                octets = mail.size;
                batches.push(vec![mail]);
            }
        }
        open = !alone;
    }
    batches
}

fn happened(store: &SqliteStore, user: &str, key: &str) -> Result<bool, StoreError> {
    let read = Read::Once(user.into(), key.into());
    let found = store.read(std::slice::from_ref(&read))?;
    Ok(matches!(found.get(&read), Some(Value::Once(Some(_)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailsync_proto::mirror::Key;

    #[test]
    fn what_is_fetched_together() {
        let mut suspects = Suspects::default();
        let folder = |n: u8| Guid::unvalidated(format!("f{n}"));
        let mail = |n: u8, id: RemoteId, size: u64| Described {
            folder: folder(n),
            id,
            marks: Marks::NONE,
            key: Key { strong: [0; 16], weak: [0; 16] },
            size,
            received: None,
        };
        let sizes = |arrived: Vec<Described>, suspects: &Suspects| -> Vec<Vec<RemoteId>> {
            let batches = batches(arrived, suspects);
            batches.iter().map(|batch| batch.iter().map(|mail| mail.id).collect()).collect()
        };
        let many = (1..=250).map(|id| mail(1, id, 10)).collect();
        assert_eq!(sizes(many, &suspects).iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
        let octets = (1..=6).map(|id| mail(1, id, SMALL)).collect();
        assert_eq!(sizes(octets, &suspects), [vec![1, 2, 3, 4], vec![5, 6]]);
        suspects.begin(&folder(1), [4]);
        suspects.link_ended();
        let mixed = vec![
            mail(1, 1, 1),
            mail(1, 2, 1),
            mail(1, 3, SMALL + 1),
            mail(1, 4, 1),
            mail(1, 5, 1),
            mail(2, 6, u64::MAX),
            mail(2, 7, 1),
            mail(2, 8, 1),
        ];
        assert_eq!(sizes(mixed, &suspects), [vec![1, 2], vec![3], vec![4], vec![5], vec![6], vec![7, 8]]);
    }
}
