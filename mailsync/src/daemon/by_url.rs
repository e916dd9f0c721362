//! Mail that goes out by URL: put together at the account's mail server before it is handed over.
// mission: M6

use super::serve::State;
use crate::mailbox::Error;
use crate::mailbox::imap::{Composed, Credentials, Wanted, compose, sweep};
use crate::mailbox::stored::{self, Composition};
use bytes::Bytes;
use mailsync_proto::mail::account::{Account, Protocol};
use mailsync_proto::mail::outbox::SendJob;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the mail server may take: the submission server waits meanwhile, and goes after some minutes.
const WITHIN: Duration = Duration::from_secs(30);

/// How the account's mail server can put a message together, if it is to.
pub(super) async fn composition(
    state: &Arc<State>,
    job: &SendJob,
    account: i64,
    settings: &Account,
    wire: &Bytes,
) -> Result<Option<Composition>, String> {
    if !state.mailboxes.config.burl || settings.protocol != Protocol::Imap || job.about.is_none() {
        return Ok(None);
    }
    let (shared, job, wire) = (Arc::clone(state), job.clone(), wire.clone());
    let found = tokio::task::spawn_blocking(move || {
        stored::composition(&shared.store, &job.user, account, job.about.as_ref(), &wire)
    });
    match found.await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Has the message put together; none where that is not to be had, for whatever reason: then all of it goes from here.
pub(super) async fn composed(
    state: &State,
    (account, login): (&Account, &Credentials),
    servers: &[String],
    composition: Composition,
    (message, message_id): (&Bytes, &str),
) -> Option<Composed> {
    let wanted = Arc::new(Wanted {
        trust: state.mailboxes.trust.clone(),
        account: account.clone(),
        login: login.clone(),
        servers: servers.to_vec(),
        composition,
        message: message.clone(),
        message_id: message_id.into(),
    });
    let error = match timeout(WITHIN, compose(Arc::clone(&wanted))).await {
        Ok(Ok(composed)) => return Some(composed),
        Ok(Err(error)) => error,
        Err(_) => Error::Link("the mail server takes too long".into()),
    };
    tracing::info!(%error, "outbox: not composed at the mail server, all of it goes");
    if matches!(error, Error::Link(_)) {
        // It may be there, unknown to us.
        tokio::spawn(async move { sweep(&wanted).await });
    }
    None
}
