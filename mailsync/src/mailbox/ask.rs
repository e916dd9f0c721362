//! Answers questions about accounts: whether the mail servers let them in.

use super::Error;
use super::account_cli::log_in;
use super::lent::Owner;
use super::vault::{Vault, place};
use super::watch::Watcher;
use crate::store::AccountRow;
use bytes::Bytes;
use mailsync_proto::mail::account::Account;
use mailsync_proto::mail::accounts::{Check, DATASTORE, FOLDERS, folders_asked};
use mailsync_proto::sync::store::{Question, Value};
use smsbridge::Secret;
use std::cell::RefCell;
use std::time::{Duration, Instant};
use syncml::StatusCode;

/// How long a check may take: the client waits for its answer.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the first look at a mailbox is waited for; what it brings later comes with the next sync.
const LOOK: Duration = Duration::from_secs(20);

impl Watcher {
    /// The answer to what a collection asks. Takes as long as the mail servers do; not to be called by a task.
    // mission: M8a
    ///
    /// `lent` gets the accounts whose secret came for a while: after the turn is committed, see [`Watcher::settle`].
    pub(crate) fn answer(&self, who: &str, question: &Question, lent: &RefCell<Vec<Owner>>) -> Value {
        if who == FOLDERS {
            return Value::Answer(self.folders(question).map_err(|words| (500, words.into())));
        }
        let check = Check::from_bytes(&question.0).filter(|_| who == DATASTORE);
        let Some(check) = check else { return Value::no_answer() };
        let (user, account) = (check.user.clone(), check.guid.clone());
        Value::Answer(self.checked(check, lent).map_err(|(code, words)| {
            tracing::warn!(%user, %account, words, "account refused");
            (code.0, words.into())
        }))
    }

    /// The folders of an account, by the id or the address of it.
    // mission: M8b
    fn folders(&self, question: &Question) -> Result<Bytes, String> {
        let (user, wanted) = folders_asked(question).ok_or("no question about an account")?;
        let rows = self.store.accounts(Some(&user)).map_err(|error| error.to_string())?;
        let is = |row: &AccountRow| {
            row.luid == wanted
                || Account::parse(&row.config)
                    .is_ok_and(|account| account.address.eq_ignore_ascii_case(&wanted))
        };
        let Some(row) = rows.into_iter().find(is) else { return Ok(Bytes::new()) };
        let folders = self.store.remote_folders(row.id).map_err(|error| error.to_string())?;
        let ids: Vec<&str> = folders.iter().map(|folder| folder.guid.as_str()).collect();
        Ok(ids.join("\n").into())
    }

    /// Waits until the mailboxes of these accounts have been looked at, or cannot be: then their mail is here. Not to be
    /// called by a task.
    pub(crate) fn settle(&self, lent: &[Owner]) {
        if lent.is_empty() {
            return;
        }
        self.accounts_changed.notify_one();
        let deadline = Instant::now() + LOOK;
        while self.lent.awaits(lent) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn checked(&self, check: Check, lent: &RefCell<Vec<Owner>>) -> Result<Bytes, (StatusCode, String)> {
        let own = |words: String| (StatusCode::COMMAND_FAILED, words);
        let mut account = Account::parse(&Bytes::from(check.account))
            .map_err(|error| (error.status(), error.to_string()))?;
        for server in [Some(&account.inbound), account.smtp.as_ref()].into_iter().flatten() {
            if !self.allows(&server.host) {
                let words =
                    format!("{}: the operator does not let users register accounts there", server.host);
                return Err((StatusCode::FORBIDDEN, words));
            }
        }
        let vault = Vault::open(&self.data).map_err(own)?;
        let place = place(&check.user, &check.guid);
        let secret = match (account.secret.take(), check.sealed) {
            (Some(secret), _) => Secret::new(secret.0.into_string()),
            (None, Some(sealed)) => vault.open_sealed(&place, &sealed).map_err(own)?,
            (None, None) => return Err((StatusCode::INCOMPLETE, "an account without its secret".into())),
        };
        let handle = tokio::runtime::Handle::current();
        let checked = handle
            .block_on(async { tokio::time::timeout(LIMIT, log_in(&self.trust, &account, &secret)).await });
        match checked {
            // mission: M8c: nothing of it is stored.
            Ok(Ok(())) if account.per_session => {
                let owner: Owner = (check.user.into(), check.guid.into());
                let time = Duration::from_secs(self.config.session_account_minutes.saturating_mul(60));
                self.lent.lend(owner.clone(), secret, time);
                lent.borrow_mut().push(owner);
                Ok(Bytes::new())
            }
            Ok(Ok(())) => vault.seal(&place, secret.expose()).map(Bytes::from).map_err(own),
            Ok(Err((Error::Login(_) | Error::Unsafe(_), words))) => Err((StatusCode::FORBIDDEN, words)),
            Ok(Err((_, words))) => Err((StatusCode::UNAVAILABLE, words)),
            Err(_) => Err((StatusCode::UNAVAILABLE, "the mail servers do not answer".into())),
        }
    }

    /// Whether users may register accounts at this server.
    fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.config.account_servers.iter().any(|known| {
            let known = known.to_ascii_lowercase();
            known == "*" || known == host || (known.starts_with('.') && host.ends_with(&known))
        })
    }
}
