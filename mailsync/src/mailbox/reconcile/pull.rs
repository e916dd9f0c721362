//! What changed there: folders and mails are compared, and rows follow.

use super::super::{Error, Folders, Mailbox};
use super::{Mirror, Tally, Trouble};
use crate::store::Note;
use idmap::Guid;
use mailsync_proto::mirror::folders::{self, FolderLink, Plan, Root};
use mailsync_proto::mirror::mails::{self, Described, Link};
use std::collections::{HashMap, HashSet};

/// Whether a mail that is missed where it was, and not seen elsewhere, is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// It may be in a folder that was listed before it went there: it stays, and its folder is compared once more.
    MayBeElsewhere,
    /// The folders were listed after it was missed.
    IsGone,
}

impl Mirror {
    /// Takes over what changed there; false if something was missed that may be elsewhere.
    pub(super) async fn pull<M: Mailbox>(
        &self,
        mailbox: &mut M,
        listed: &Folders,
        missed: Missed,
        tally: &mut Tally,
    ) -> Result<bool, Trouble> {
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
            new.extend(self.describe(mailbox, folder, &difference.new).await?);
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
        let mut matched = mails::matched(new, gone, &unbound);
        let (same, put_away) = self.put_away(&plan, matched.same).await?;
        matched.same = same;
        matched.arrived.extend(put_away);
        tally.changed += matched.same.len();
        self.rebind(matched.same).await?;
        tally.arrived += self.arrive(mailbox, &plan, &states, matched.arrived).await?;
        let settled = missed == Missed::IsGone || matched.lost.is_empty();
        if settled {
            tally.lost = matched.lost.len();
            self.lose(matched.lost, kept_aside, renumbered).await?;
            self.drop_folders(plan.gone).await?;
        } else {
            let open: HashSet<Guid> = matched.lost.into_iter().map(|link| link.folder).collect();
            states.retain(|state| !open.contains(&state.guid));
        }
        let notes: Vec<Note> = states.into_iter().map(Note::Folder).collect();
        self.commit(move |_| Ok((Vec::new(), notes.clone()))).await?;
        self.discard_fetched(mailbox, &plan.folders).await?;
        Ok(settled)
    }

    /// Mails that another reader moved while we looked: seen where they went, and not yet missed where they were.
    pub(super) async fn left_meanwhile<M: Mailbox>(
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
}
