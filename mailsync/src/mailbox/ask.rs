//! Answers questions about accounts: whether the mail servers let them in.

use super::Error;
use super::account_cli::log_in;
use super::vault::{Vault, place};
use super::watch::Watcher;
use bytes::Bytes;
use mailsync_proto::mail::account::Account;
use mailsync_proto::mail::accounts::{Check, DATASTORE};
use mailsync_proto::sync::store::{Question, Value};
use smsbridge::Secret;
use std::time::Duration;
use syncml::StatusCode;

/// How long a check may take: the client waits for its answer.
const LIMIT: Duration = Duration::from_secs(60);

impl Watcher {
    /// The answer to what a collection asks. Takes as long as the mail servers do; not to be called by a task.
    // mission: M8a
    pub(crate) fn answer(&self, who: &str, question: &Question) -> Value {
        let check = Check::from_bytes(&question.0).filter(|_| who == DATASTORE);
        let Some(check) = check else { return Value::no_answer() };
        let (user, account) = (check.user.clone(), check.guid.clone());
        Value::Answer(self.checked(check).map_err(|(code, words)| {
            tracing::warn!(%user, %account, words, "account refused");
            (code.0, words.into())
        }))
    }

    fn checked(&self, check: Check) -> Result<Bytes, (StatusCode, String)> {
        let own = |words: String| (StatusCode::COMMAND_FAILED, words);
        let mut account = Account::parse(&Bytes::from(check.account))
            .map_err(|error| (error.status(), error.to_string()))?;
        for server in [Some(&account.imap), account.smtp.as_ref()].into_iter().flatten() {
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
