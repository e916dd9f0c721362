//! One task an account: it connects, looks, waits until something happens on either side, and looks again.

use super::imap::{Credentials, Imap};
use super::lent::Lent;
use super::link::Trust;
use super::pop3::Pop3;
use super::reconcile::{Mirror, Suspects, Trouble};
use super::vault::{Vault, place};
use super::{Error, Mailbox};
use crate::store::{AccountRow, SqliteStore, queue_name};
use bytes::Bytes;
use mailsync_proto::mail::account::{Account, Protocol};
use serde::Deserialize;
use smsbridge::Secret;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// How often the list of accounts is looked at.
const ACCOUNTS: Duration = Duration::from_secs(2);
/// The first and the longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The shortest pause after a refused login: servers lock out who knocks too often.
const LOGIN_PAUSE: Duration = Duration::from_secs(30);

/// Mail servers: what the configuration says of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Certificates to trust besides the system's, PEM.
    pub ca: Option<PathBuf>,
    /// Seconds between two looks at folders that a server does not tell of by itself.
    pub poll_seconds: u64,
    /// Seconds until sending is tried again for the first time; it doubles up to an hour.
    pub retry_seconds: u64,
    /// Mail servers that users may register accounts at: names, `.example.org` for all below it, `*` for any.
    pub account_servers: Vec<String>,
    /// Minutes for which the secret of an account is known that its device gives for one session.
    pub session_account_minutes: u64,
    /// Forwards and answers by number are put together at mail servers that can do so, and fetched from there by
    /// submission servers (CATENATE, URLAUTH, BURL); else all octets go from here.
    pub burl: bool,
    /// Hours after which a mail that cannot be sent goes back to its sender.
    pub give_up_hours: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            ca: None,
            poll_seconds: 60,
            retry_seconds: 60,
            session_account_minutes: 10,
            burl: true,
            give_up_hours: 48,
            account_servers: Vec::new(),
        }
    }
}

/// What every account's task knows.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(super) store: Arc<SqliteStore>,
    pub(super) data: PathBuf,
    pub(crate) trust: Trust,
    pub(crate) config: Config,
    /// Counts commits that may have changed mail.
    changed: watch::Sender<u64>,
    pub(super) lent: Lent,
    /// The list of accounts is to be looked at now.
    pub(super) accounts_changed: Notify,
}

impl Watcher {
    /// Opens what is needed.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn new(store: Arc<SqliteStore>, data: PathBuf, config: Config) -> Result<Self, String> {
        let trust = Trust::new(config.ca.as_deref())?;
        let changed = watch::Sender::new(0);
        let (lent, accounts_changed) = (Lent::default(), Notify::new());
        Ok(Watcher { store, data, trust, config, changed, lent, accounts_changed })
    }

    /// Rows may have changed: tasks look at them.
    pub(crate) fn stir(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells when rows may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What is stored of an account, its secret opened.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn open(&self, row: &AccountRow) -> Result<(Account, Credentials), String> {
        let account = Account::parse(&row.config).map_err(|error| error.to_string())?;
        if account.per_session {
            let secret = self.lent.secret(&row.user, &row.luid).ok_or("it waits for its device to log in")?;
            let credentials = credentials(&account, secret);
            return Ok((account, credentials));
        }
        let sealed = row.secret.as_ref().ok_or("the account has no secret")?;
        let secret = Vault::open(&self.data)?.open_sealed(&place(&row.user, &row.luid), sealed)?;
        let credentials = credentials(&account, secret);
        Ok((account, credentials))
    }

    /// Whether an account can do nothing before its device logs in.
    pub(crate) fn waits(&self, row: &AccountRow) -> bool {
        let per_session = Account::parse(&row.config).is_ok_and(|account| account.per_session);
        per_session && self.lent.secret(&row.user, &row.luid).is_none()
    }

    /// Watches all accounts until dropped; `leads` says whether this process does so.
    pub(crate) async fn run(self: Arc<Self>, leads: impl Fn() -> bool + Send) {
        let mut seen = u64::MAX;
        let mut tasks: HashMap<(i64, Bytes, Option<Vec<u8>>), Task> = HashMap::new();
        loop {
            let (store, watcher) = (Arc::clone(&self.store), Arc::clone(&self));
            let rows = tokio::task::spawn_blocking(move || {
                watcher.end_sessions();
                let now = store.accounts_rev()?;
                if now != seen {
                    store.take_over_accounts()?;
                }
                Ok::<_, mailsync_proto::sync::store::StoreError>((store.accounts(None)?, now))
            });
            let rows = match rows.await.map(|rows| {
                rows.map(|(rows, now)| {
                    seen = now;
                    rows
                })
            }) {
                Ok(Ok(rows)) if leads() => rows,
                Ok(Ok(_)) => Vec::new(),
                failed => {
                    tracing::error!(?failed, "mailbox: accounts cannot be read");
                    tokio::time::sleep(ACCOUNTS).await;
                    continue;
                }
            };
            let key = |row: &AccountRow| (row.id, row.config.clone(), row.secret.clone());
            let wanted: HashMap<_, _> =
                rows.iter().filter(|row| !self.waits(row)).map(|row| (key(row), row)).collect();
            // One that has ended, by whatever fault, begins again.
            tasks.retain(|key, task| wanted.contains_key(key) && !task.0.is_finished());
            for (key, row) in wanted {
                let main =
                    rows.iter().find(|other| other.user == row.user).is_some_and(|first| first.id == row.id);
                tasks.entry(key).or_insert_with(|| {
                    let (watcher, row) = (Arc::clone(&self), row.clone());
                    Task(tokio::spawn(async move { watcher.account(row, main).await }))
                });
            }
            tokio::select! {
                () = tokio::time::sleep(ACCOUNTS) => {}
                () = self.accounts_changed.notified() => {}
            }
        }
    }

    /// Keeps one account until dropped.
    async fn account(self: Arc<Self>, row: AccountRow, main: bool) {
        let mut pause = PAUSE.0;
        let suspects = Arc::new(Mutex::new(Suspects::default()));
        loop {
            let ended = self.session(&row, main, &suspects, &mut pause).await;
            suspects.lock().unwrap_or_else(PoisonError::into_inner).link_ended();
            let words = match &ended {
                Ok(()) => "the link ended".to_owned(),
                Err(trouble) => trouble.to_string(),
            };
            tracing::warn!(account = row.id, user = row.user, words, ?pause, "mailbox: again later");
            let (store, id) = (Arc::clone(&self.store), row.id);
            let _ = tokio::task::spawn_blocking(move || store.set_trouble(id, Some(&words))).await;
            self.lent.looked(&row.user, &row.luid);
            if matches!(ended, Err(Trouble::Mailbox(Error::Login(_) | Error::Unsafe(_)))) {
                pause = pause.max(LOGIN_PAUSE);
            }
            tokio::time::sleep(jitter(pause)).await;
            pause = pause.saturating_mul(2).min(PAUSE.1);
        }
    }

    async fn session(
        &self,
        row: &AccountRow,
        main: bool,
        suspects: &Arc<Mutex<Suspects>>,
        pause: &mut Duration,
    ) -> Result<(), Trouble> {
        let (config, credentials) = self.open(row).map_err(Error::Unsafe)?;
        let (inbound, protocol) = (config.inbound.clone(), config.protocol);
        let (store, suspects) = (Arc::clone(&self.store), Arc::clone(suspects));
        let (account, user, composes) = (row.id, row.user.clone(), self.config.burl);
        let mirror = Mirror { store, account, user, config, main, composes, suspects };
        match protocol {
            Protocol::Imap => {
                let imap = Imap::open(&self.trust, &inbound, &credentials).await?;
                self.keep(imap, mirror, row, pause).await
            }
            Protocol::Pop3 => {
                let pop3 = Pop3::open(&self.trust, &inbound, &credentials).await?;
                self.keep(pop3, mirror, row, pause).await
            }
        }
    }

    /// Keeps the rows of an account and its mailbox the same until the link ends.
    async fn keep<M: Mailbox>(
        &self,
        mut mailbox: M,
        mirror: Mirror,
        row: &AccountRow,
        pause: &mut Duration,
    ) -> Result<(), Trouble> {
        let mut changed = self.changed.subscribe();
        let poll = Duration::from_secs(self.config.poll_seconds.max(1));
        loop {
            changed.mark_unchanged();
            let tally = mirror.look(&mut mailbox).await?;
            if tally != super::reconcile::Tally::default() {
                tracing::info!(account = row.id, user = row.user, ?tally, "mailbox: looked");
                self.stir();
                changed.mark_unchanged();
            }
            *pause = PAUSE.0;
            let (store, id) = (Arc::clone(&self.store), row.id);
            let waits = move || {
                let jobs = store.jobs(Some(&queue_name(id)))?;
                let words = jobs.into_iter().find_map(|job| job.error);
                store.set_trouble(id, words.map(|words| format!("not all is done there: {words}")).as_deref())
            };
            let _ = tokio::task::spawn_blocking(waits).await;
            self.lent.looked(&row.user, &row.luid);
            mailbox.wait(poll, self.rows_changed(&mut changed, row)).await?;
        }
    }

    /// Ends when rows of the user's mail changed that have not been looked at.
    async fn rows_changed(&self, changed: &mut watch::Receiver<u64>, row: &AccountRow) {
        loop {
            let (store, user, id) = (Arc::clone(&self.store), row.user.clone(), row.id);
            let fresh = tokio::task::spawn_blocking(move || {
                let rev = store.mail_rev(&user)?;
                let rows = store.accounts(Some(&user))?;
                Ok::<_, mailsync_proto::sync::store::StoreError>(
                    rows.iter().any(|row| row.id == id && row.pushed_rev < rev),
                )
            });
            if matches!(fresh.await, Ok(Ok(true))) || changed.changed().await.is_err() {
                return;
            }
        }
    }
}

/// How to log in to an account's servers.
pub(crate) fn credentials(account: &Account, secret: Secret<String>) -> Credentials {
    if account.token {
        Credentials::Token(account.login.to_string(), secret)
    } else {
        Credentials::Password(account.login.to_string(), secret)
    }
}

/// A task that ends when dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Between half and all of it, so that many do not come at once.
fn jitter(pause: Duration) -> Duration {
    let mut octet = [0; 1];
    let _ = getrandom::fill(&mut octet);
    pause.mul_f64(0.5 + f64::from(octet[0]) / 512.0)
}
