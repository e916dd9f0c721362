//! The part of a send job that goes out through an account, and when it is tried again.

use super::by_url;
use super::serve::State;
use crate::relay::{Link, Sent};
use crate::store::{AccountRow, Job};
use crate::turns::{self, Failure, unix_now};
use bytes::Bytes;
use mailsync_proto::mail::account::Account;
use mailsync_proto::mail::mailbox::DATASTORE;
use mailsync_proto::mail::outbox::{DOUBTS, Outcome, QUEUE, Refused, SendJob, waiting};
use mailsync_proto::sync::store::{Read, Store, StoreKey, Value};
use smsbridge::smtp::client::Verdict;
use std::sync::Arc;

/// The longest pause between two tries, seconds.
const LONGEST: u64 = 3600;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Submitted {
    /// Each recipient is taken, refused, or in doubt for good.
    Over,
    /// It is tried again later; the item says so.
    Waits,
}

/// The account through which a user's mail goes: the one whose address sends it, else the first that can send.
pub(super) fn account_of(state: &State, job: &SendJob) -> Result<Option<AccountRow>, String> {
    let rows = state.store.accounts(Some(&job.user)).map_err(|error| error.to_string())?;
    let mut first = None;
    for row in rows {
        let account = Account::parse(&row.config).map_err(|error| error.to_string())?;
        if account.smtp.is_none() {
            continue;
        }
        if job.sender.as_ref().is_some_and(|sender| sender.eq_ignore_ascii_case(&account.address)) {
            return Ok(Some(row));
        }
        first = first.or(Some(row));
    }
    Ok(first)
}

/// Hands a mail to the submission server, for the recipients of whom nothing is known yet.
///
/// # Errors
/// In words, when our own store does not do it; nothing is then lost.
// threats: S12
pub(super) async fn submit(
    state: &Arc<State>,
    row: &Job,
    job: &mut SendJob,
    account: &AccountRow,
    recipients: &[Box<str>],
) -> Result<Submitted, String> {
    let open: Vec<Box<str>> = recipients.iter().filter(|to| job.progress.is_open(to)).cloned().collect();
    if open.is_empty() || job.progress.doubts >= DOUBTS {
        return Ok(Submitted::Over);
    }
    let body = body(state, job).await?;
    if job.refusal(&body).is_some() {
        return Ok(Submitted::Over);
    }
    if state.mailboxes.waits(account) {
        return put_off(state, row, job, &open, "the account waits for its device to log in").await;
    }
    let (settings, credentials) = state.mailboxes.open(account)?;
    let Some(place) = &settings.smtp else { return Err("the account sends nothing".into()) };
    let wire = job.wire_copy(&body);
    let composition = by_url::composition(state, job, account.id, &settings, &wire).await?;
    let (trust, burl) = (&state.mailboxes.trust, composition.is_some());
    let link = match Link::open(trust, place, &credentials, &state.domain, burl).await {
        Ok(link) => link,
        Err(error) => return put_off(state, row, job, &open, &error.to_string()).await,
    };
    let composed = match (composition, &link.capabilities.burl) {
        (Some(composition), Some(servers)) => {
            let (to, message) = ((&settings, &credentials), (&wire, &*job.message_id));
            by_url::composed(state, to, servers, composition, message).await
        }
        _ => None,
    };
    let doubts = job.progress.doubts;
    job.progress.doubts = doubts.saturating_add(1);
    // Whoever comes after a crash finds that it may have gone.
    let kept = keep(state, job).await;
    let sent = match kept {
        Ok(()) => {
            let url = composed.as_ref().map(|composed| composed.url.clone());
            Ok(link.send(&settings.address, &open, &wire, url).await)
        }
        Err(words) => Err(words),
    };
    if let Some(composed) = composed {
        // Whatever became of it. The outcome does not wait for this.
        tokio::spawn(composed.remove());
    }
    let outcome = match sent? {
        Sent::Impossible(words) => {
            job.progress.doubts = doubts;
            job.progress.refused.extend(open.into_iter().map(|to| (to, words.as_str().into())));
            return Ok(Submitted::Over);
        }
        Sent::Verdicts(outcome) => outcome,
    };
    if burl {
        tracing::info!(id = ?row.id, by_url = outcome.by_url, "outbox: handed over");
    }
    let mut later = Vec::new();
    let mut words = String::new();
    let mut in_doubt = false;
    for (to, (_, verdict)) in open.into_iter().zip(outcome.recipients) {
        match verdict {
            Verdict::Accepted(_) => job.progress.taken.push(to),
            Verdict::Refused(reply) => job.progress.refused.push((to, reply.to_string().into())),
            Verdict::Deferred(reply) => {
                words = reply.to_string();
                later.push(to);
            }
            Verdict::NotSent(failure) => {
                words = failure.to_string();
                later.push(to);
            }
            Verdict::Unknown(failure) => {
                words = failure.to_string();
                in_doubt = true;
                later.push(to);
            }
            other => {
                words = format!("{other:?}");
                in_doubt = true;
                later.push(to);
            }
        }
    }
    if !in_doubt {
        job.progress.doubts = doubts;
    }
    if later.is_empty() || job.progress.doubts >= DOUBTS {
        return Ok(Submitted::Over);
    }
    put_off(state, row, job, &later, &words).await
}

/// What is known of the recipients that went out through an account.
pub(super) fn outcome(job: &SendJob, recipients: Option<&[Box<str>]>) -> Outcome {
    let mut outcome = Outcome { taken: job.progress.taken.clone(), ..Outcome::default() };
    let refused = job.progress.refused.iter();
    outcome.refused = refused
        .map(|(recipient, words)| Refused { recipient: recipient.clone(), words: words.clone() })
        .collect();
    let open: Vec<&str> =
        recipients.unwrap_or_default().iter().map(|to| &**to).filter(|to| job.progress.is_open(to)).collect();
    if !open.is_empty() {
        let words = format!("the mail server had all of it and never answered, for {}", open.join(", "));
        outcome.unknown = Some(words.into());
    }
    outcome
}

/// Tries again later, or never when it is too old.
async fn put_off(
    state: &Arc<State>,
    row: &Job,
    job: &mut SendJob,
    open: &[Box<str>],
    words: &str,
) -> Result<Submitted, String> {
    let config = &state.mailboxes.config;
    let now = unix_now();
    if job.progress.doubts == 0
        && now.saturating_sub(job.queued_at) >= config.give_up_hours.saturating_mul(3600)
    {
        let words: Box<str> = format!("given up after {} hours: {words}", config.give_up_hours).into();
        job.progress.refused.extend(open.iter().map(|to| (to.clone(), words.clone())));
        return Ok(Submitted::Over);
    }
    tracing::warn!(id = ?row.id, words, doubts = job.progress.doubts, "mail waits");
    keep(state, job).await?;
    let pause = config.retry_seconds.saturating_mul(1 << row.attempts.min(10)).min(LONGEST);
    let due = i64::try_from(now.saturating_add(pause)).unwrap_or(i64::MAX);
    let (shared, job, row, words) = (Arc::clone(state), job.clone(), row.clone(), words.to_owned());
    blocking(move || {
        let told = turns::effect::<(), Failure>(&shared.store, |reader| {
            Ok(waiting(reader, &job, &words, now).map(|writes| ((), writes)))
        });
        told.map_err(|failure| failure.to_string())?;
        shared.store.postpone(&row.queue, &row.id, due, &words).map_err(|error| error.to_string())
    })
    .await?;
    Ok(Submitted::Waits)
}

/// Writes down what has been done.
async fn keep(state: &Arc<State>, job: &SendJob) -> Result<(), String> {
    let (shared, job) = (Arc::clone(state), job.clone());
    blocking(move || {
        let id = SendJob::id(&job.user, &job.guid);
        shared.store.change_job(QUEUE, &id, &job.to_bytes()).map_err(|error| error.to_string())
    })
    .await
    .and_then(|there| if there { Ok(()) } else { Err("taken back while it was being sent".into()) })
}

async fn body(state: &Arc<State>, job: &SendJob) -> Result<Bytes, String> {
    let store = StoreKey { user: job.user.clone(), datastore: DATASTORE.into() };
    let read = Read::Body(store, job.guid.clone());
    let shared = Arc::clone(state);
    blocking(move || {
        let found = shared.store.read(std::slice::from_ref(&read)).map_err(|error| error.to_string())?;
        Ok(match found.get(&read) {
            Some(Value::Body(Some(body))) => body.clone(),
            _ => Bytes::new(),
        })
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}
