//! One look at a mailbox: rows that changed become operations there, changes there become rows.
//!
//! What is done there and what it means here are one commit each; a process that dies between repeats what is still
//! missing. States of folders are kept last, so that a look that broke off is taken again.

mod arrive;
mod pull;
mod push;
mod rows;
mod suspects;
#[cfg(test)]
mod tests;

use self::pull::Missed;
pub(super) use self::suspects::Suspects;
use super::{Error, Mailbox};
use crate::store::{Note, SqliteStore};
use idmap::Guid;
use mailsync_proto::mail::account::Account;
use mailsync_proto::mail::mailbox::DATASTORE;
use mailsync_proto::mirror::folders::root_guid;
use mailsync_proto::sync::store::{Item, ItemValue, Read, Store, StoreError, StoreKey, Value, Write};
use std::sync::{Arc, Mutex};

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
    /// Messages are put together there where that is possible.
    pub(super) composes: bool,
    /// What ends links; it outlives this one.
    pub(super) suspects: Arc<Mutex<Suspects>>,
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
        if !self.pull(mailbox, &listed, Missed::MayBeElsewhere, &mut tally).await? {
            listed = mailbox.folders().await?;
            self.pull(mailbox, &listed, Missed::IsGone, &mut tally).await?;
        }
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

    fn name(&self) -> String {
        account_name(&self.user, self.account)
    }

    /// The folder that stands for the account, where its folders are below one of their own.
    fn root(&self) -> Option<Guid> {
        (!self.main).then(|| root_guid(&self.name()))
    }
}

/// By what the ids of an account's rows are made.
fn account_name(user: &str, account: i64) -> String {
    format!("{user} {account}")
}

fn put(key: &StoreKey, item: &Item, value: ItemValue) -> Write {
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
