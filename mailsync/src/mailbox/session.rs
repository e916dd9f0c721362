//! Sessions of devices that lend the secrets of their accounts: what is lent ends with the session.
//!
//! What the device sent in it goes to the mail servers first: the last answer waits for that, for some seconds.
// mission: M8c

use super::lent::Owner;
use super::watch::Watcher;
use crate::store::{SqliteStore, queue_name};
use crate::turns::unix_now;
use mailsync_proto::mail::accounts::DATASTORE;
use mailsync_proto::mail::outbox::{QUEUE, SendJob};
use mailsync_proto::sync::server::{Held, held};
use mailsync_proto::sync::store::{Read, Store, StoreError, Value};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long the mail servers have for what a session left.
const DRAIN: Duration = Duration::from_secs(20);

impl Watcher {
    /// Whether any secret is lent, or would be with these.
    pub(crate) fn minds(&self, lent: &[Owner]) -> bool {
        !lent.is_empty() || !self.lent.is_empty()
    }

    /// Nothing is committed of the message that brought these.
    pub(crate) fn forget(&self, lent: &[Owner]) {
        self.lent.end(lent);
    }

    /// A message of a session was committed, its value is this; `lent` came with it. At the end of the session waits until what
    /// is to be done at the mail servers is done, or cannot be, and forgets what was lent for it. Not to be called by a task.
    pub(crate) fn heard(&self, token: &str, value: &[u8], lent: &[Owner], work: &Notify) {
        let Some(session) = held(value) else { return };
        self.lent.bind(lent, &session.device);
        let time = Duration::from_secs(self.config.session_account_minutes.saturating_mul(60));
        self.lent.heard(&session.user, &session.device, token, time);
        if !lent.is_empty() {
            // What waited for the secret is tried while it is here.
            for (queue, id) in self.queued(lent, |_| true).unwrap_or_default() {
                if let Err(error) = self.store.retry(&queue, &id) {
                    tracing::error!(%error, "mailbox: a job cannot be called up");
                }
            }
            work.notify_one();
        }
        if !session.over {
            return;
        }
        if only_logs_in(&session) {
            return self.lent.waits(token);
        }
        let owners = self.lent.of_session(token);
        if owners.is_empty() {
            return;
        }
        self.stir();
        work.notify_one();
        let begun = Instant::now();
        while matches!(self.is_drained(&owners), Ok(false)) {
            if begun.elapsed() > DRAIN {
                tracing::warn!(user = %session.user, "mailbox: not all went before the session was over, it waits for the next");
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        tracing::debug!(took = ?begun.elapsed(), "mailbox: what was lent is given back");
        self.lent.end(&owners);
        self.accounts_changed.notify_one();
    }

    /// Forgets what was lent for sessions that ended elsewhere: in another process, by a new login, by their time.
    pub(super) fn end_sessions(&self) {
        for token in self.lent.sessions() {
            let read = Read::Session(token.clone());
            let Ok(found) = self.store.read(std::slice::from_ref(&read)) else { continue };
            let row = match found.get(&read) {
                Some(Value::Session(row)) => row.as_ref(),
                _ => None,
            };
            match row.and_then(|row| held(&row.value)) {
                Some(session) if !session.over => {}
                Some(session) if only_logs_in(&session) => self.lent.waits(&token),
                // The one that is being answered now ends it by itself, once its mail has gone.
                Some(session) if session.answered.saturating_add(DRAIN.as_secs() + 5) > unix_now() => {}
                _ => self.lent.end(&self.lent.of_session(&token)),
            }
        }
    }

    /// Whether nothing is due at the mail servers of these accounts, or one of them has trouble.
    fn is_drained(&self, owners: &[Owner]) -> Result<bool, StoreError> {
        let now = i64::try_from(unix_now()).unwrap_or(i64::MAX);
        if !self.queued(owners, |due| due <= now)?.is_empty() {
            return Ok(false);
        }
        for (user, luid) in owners {
            let head = self.store.mail_rev(user)?;
            let rows = self.store.accounts(Some(user))?;
            let behind = |row: &&crate::store::AccountRow| row.luid == *luid && row.pushed_rev < head;
            if rows.iter().find(behind).is_some_and(|row| row.trouble.is_none()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Jobs of these accounts, and mail of their users that is to be sent.
    fn queued(
        &self,
        owners: &[Owner],
        wanted: impl Fn(i64) -> bool,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = Vec::new();
        for (user, luid) in owners {
            let rows = self.store.accounts(Some(user))?;
            for row in rows.iter().filter(|row| row.luid == *luid) {
                found.extend(jobs(&self.store, &queue_name(row.id), &wanted, |_| true)?);
            }
            let its = |content: &[u8]| SendJob::from_bytes(content).is_ok_and(|job| *job.user == **user);
            found.extend(jobs(&self.store, QUEUE, &wanted, its)?);
        }
        Ok(found)
    }
}

fn jobs(
    store: &SqliteStore,
    queue: &str,
    wanted: impl Fn(i64) -> bool,
    its: impl Fn(&[u8]) -> bool,
) -> Result<Vec<(String, String)>, StoreError> {
    let jobs = store.jobs(Some(queue))?.into_iter();
    Ok(jobs.filter(|job| wanted(job.due) && its(&job.content)).map(|job| (job.queue, job.id)).collect())
}

/// A session for the accounts alone; the mail comes in the next one.
fn only_logs_in(session: &Held) -> bool {
    session.stores.iter().all(|store| **store == *DATASTORE)
}
