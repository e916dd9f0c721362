//! The worker that sends what users put into their outboxes.
//!
//! Mail for local users is delivered. Mail for others goes out through the submission server of one of the sender's
//! accounts; a sender without an account is told that nothing relays.

use super::serve::State;
use super::submit::Submitted;
use crate::exchange::{MailIn, Way};
use crate::store::{AccountRow, Job};
use crate::turns::{self, Failure};
use mailsync_proto::mail::deliver::{Arrival, DeliverError, deliver};
use mailsync_proto::mail::mailbox::DATASTORE;
use mailsync_proto::mail::outbox::{QUEUE, Refused, SendJob, settle};
use mailsync_proto::sync::store::{Read, Store, StoreKey, Value};
use smsbridge::smtp::{ForwardPath, Mailbox, Recipient};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often the queue is looked at, whatever is said of it.
const POLL: Duration = Duration::from_secs(5);
/// Jobs taken at a time.
const BATCH: u32 = 64;
/// Jobs worked on at a time.
const PARALLEL: usize = 16;
/// Seconds until a job that failed is tried again.
const RETRY: u64 = 60;

/// Works until it is dropped.
pub(super) async fn work(state: Arc<State>) {
    let mut under_way: HashSet<String> = HashSet::new();
    let mut tasks: JoinSet<String> = JoinSet::new();
    loop {
        let shared = Arc::clone(&state);
        match tokio::task::spawn_blocking(move || due(&shared)).await {
            Ok(Ok(jobs)) => {
                let jobs = jobs.into_iter().filter(|job| !under_way.contains(&job.id));
                let free = PARALLEL.saturating_sub(under_way.len());
                for job in jobs.take(free).collect::<Vec<_>>() {
                    under_way.insert(job.id.clone());
                    let state = Arc::clone(&state);
                    tasks.spawn(async move {
                        one(&state, &job).await;
                        job.id
                    });
                }
            }
            Ok(Err(failure)) => tracing::error!(%failure, "outbox"),
            Err(error) => tracing::error!(%error, "outbox worker died"),
        }
        // Elapsed, called, or a job is done: look again.
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = state.work.notified() => {}
            Some(done) = tasks.join_next() => match done {
                Ok(id) => {
                    under_way.remove(&id);
                }
                Err(error) => {
                    tracing::error!(%error, "outbox: a job died");
                    // Which one is not known: those that run still are taken again, and find what they wrote down.
                    tasks.abort_all();
                    while tasks.join_next().await.is_some() {}
                    under_way.clear();
                    tokio::time::sleep(POLL).await;
                }
            },
        }
    }
}

/// The jobs that are due.
fn due(state: &State) -> Result<Vec<Job>, Failure> {
    if !state.lead.is_ours() {
        return Ok(Vec::new());
    }
    let now = i64::try_from(turns::unix_now()).unwrap_or(i64::MAX);
    Ok(state.store.jobs_due(Some(QUEUE), now, BATCH)?)
}

/// One job, to its end or its next try.
async fn one(state: &Arc<State>, row: &Job) {
    let words = match SendJob::from_bytes(&row.content) {
        Ok(job) => match attempt(state, row, job).await {
            Ok(()) => return,
            Err(words) => words,
        },
        Err(words) => words,
    };
    tracing::error!(id = ?row.id, words, "outbox: job waits");
    let (shared, row) = (Arc::clone(state), row.clone());
    let later = i64::try_from(turns::unix_now().saturating_add(RETRY)).unwrap_or(i64::MAX);
    let put_off =
        tokio::task::spawn_blocking(move || shared.store.postpone(&row.queue, &row.id, later, &words));
    if let Ok(Err(error)) = put_off.await {
        tracing::error!(%error, "outbox: job cannot be put off");
    }
}

async fn attempt(state: &Arc<State>, row: &Job, mut job: SendJob) -> Result<(), String> {
    let (shared, classified) = (Arc::clone(state), job.clone());
    let ways = blocking(move || sort(&shared, &classified)).await?;
    if let Some((account, recipients)) = &ways.remote {
        match super::submit::submit(state, row, &mut job, account, recipients).await? {
            Submitted::Over => {}
            Submitted::Waits => return Ok(()),
        }
    }
    let shared = Arc::clone(state);
    blocking(move || finish(&shared, &job, &ways, turns::unix_now())).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Which recipient is reached how.
struct Ways {
    sender: String,
    exchanged: Vec<(Box<str>, Way)>,
    local: Vec<(String, Box<str>)>,
    remote: Option<(AccountRow, Vec<Box<str>>)>,
    refused: Vec<Refused>,
}

fn sort(state: &State, job: &SendJob) -> Result<Ways, String> {
    let account = super::submit::account_of(state, job)?;
    let sender = sender(state, job).map_err(|failure| failure.to_string())?;
    let exchanged = exchanged(state, job, &sender)?;
    let mut ways = Ways { sender, exchanged, local: Vec::new(), remote: None, refused: Vec::new() };
    let mut remote = Vec::new();
    for recipient in &job.recipients {
        if let Some(way) = ways.exchanged.iter().find(|(to, _)| to == recipient) {
            if let Way::Refused(reply) = &way.1 {
                ways.refused.push(Refused { recipient: recipient.clone(), words: reply.to_string().into() });
            }
            continue;
        }
        match state.store.user_of(recipient).map_err(|error| error.to_string())? {
            Some(user) => ways.local.push((user, recipient.clone())),
            None if account.is_some() => remote.push(recipient.clone()),
            None => {
                ways.refused.push(Refused { recipient: recipient.clone(), words: no_relay(state, recipient) })
            }
        }
    }
    ways.remote = account.filter(|_| !remote.is_empty()).map(|account| (account, remote));
    Ok(ways)
}

/// The local deliveries of a job and its end are one commit.
fn finish(state: &State, job: &SendJob, ways: &Ways, now: u64) -> Result<(), String> {
    let queue_id = format!("out-{}", job.message_id);
    let store = StoreKey { user: job.user.clone(), datastore: DATASTORE.into() };
    let outcome = turns::effect(&state.store, |reader| {
        let body = match reader.read(Read::Body(store.clone(), job.guid.clone())) {
            Ok(Value::Body(body)) => body.clone().unwrap_or_default(),
            Ok(_) => Default::default(),
            Err(missing) => return Ok(Err(missing)),
        };
        let (outcome, mut writes) = match job.refusal(&body) {
            Some(outcome) => (outcome, Vec::new()),
            None => {
                let wire = job.wire_copy(&body);
                let mut outcome = super::submit::outcome(job, ways.remote.as_ref().map(|(_, to)| &to[..]));
                outcome.refused.extend(ways.refused.iter().cloned());
                let mut writes = Vec::new();
                for (recipient, way) in &ways.exchanged {
                    if let Way::Taken(more) = way {
                        outcome.taken.push(recipient.clone());
                        writes.extend(more.iter().cloned());
                    }
                }
                let mut missing = None;
                let mut served = HashSet::new();
                for (user, recipient) in &ways.local {
                    outcome.taken.push(recipient.clone());
                    // Two addresses of one user are one delivery.
                    if !served.insert(user) {
                        continue;
                    }
                    let arrival = Arrival {
                        sender: &ways.sender,
                        recipient,
                        helo: &state.domain,
                        peer: "",
                        by: &state.domain,
                        protocol: "local",
                        queue_id: &queue_id,
                    };
                    match deliver(reader, user, &wire, &arrival, now) {
                        Ok(more) => writes.extend(more),
                        Err(DeliverError::Missing(what)) => missing = Some(what),
                        Err(error @ DeliverError::Loop { .. }) => {
                            outcome.taken.pop();
                            let words = format!("554 5.4.6 {error}").into();
                            outcome.refused.push(Refused { recipient: recipient.clone(), words });
                        }
                    }
                }
                if let Some(missing) = missing {
                    return Ok(Err(missing));
                }
                (outcome, writes)
            }
        };
        Ok::<_, Failure>(settle(reader, job, &outcome, &state.domain, now).map(|more| {
            writes.extend(more);
            (outcome, writes)
        }))
    })
    .map_err(|failure: Failure| failure.to_string())?;
    if let Some(exchange) = state.exchange.as_ref().filter(|_| !ways.exchanged.is_empty()) {
        exchange.work_stored();
    }
    state.mailboxes.stir();
    let (taken, refused, unknown) = (outcome.taken.len(), outcome.refused.len(), outcome.unknown.is_some());
    tracing::info!(user = ?job.user, taken, refused, unknown, "mail sent");
    Ok(())
}

/// The recipients that the exchange takes or refuses. A user who puts a mail into the outbox has logged in.
// mission: S6
fn exchanged(state: &State, job: &SendJob, sender: &str) -> Result<Vec<(Box<str>, Way)>, String> {
    let Some(exchange) = &state.exchange else { return Ok(Vec::new()) };
    let store = StoreKey { user: job.user.clone(), datastore: DATASTORE.into() };
    let read = Read::Body(store, job.guid.clone());
    let found = state.store.read(std::slice::from_ref(&read)).map_err(|error| error.to_string())?;
    let body = match found.get(&read) {
        Some(Value::Body(Some(body))) => job.wire_copy(body),
        _ => return Ok(Vec::new()),
    };
    let sender: Option<Mailbox> = sender.parse().ok();
    let mail =
        MailIn { sender: sender.as_ref(), user: Some(&job.user), peer: None, body: &body, envid: None };
    let mut ways = Vec::new();
    for recipient in &job.recipients {
        let Ok(mailbox) = recipient.parse::<Mailbox>() else { continue };
        if !exchange.concerns(&body, &mailbox) {
            continue;
        }
        let local = state.store.user_of(recipient).map_err(|error| error.to_string())?.is_some();
        let to = Recipient::new(ForwardPath::Mailbox(mailbox));
        match exchange.way(&mail, &to, local).map_err(|error| error.to_string())? {
            Way::Local => {}
            way => ways.push((recipient.clone(), way)),
        }
    }
    Ok(ways)
}

/// The address in the envelope: the one in the message if it is the user's, else the user's first.
fn sender(state: &State, job: &SendJob) -> Result<String, Failure> {
    if let Some(claim) = &job.sender
        && state.store.user_of(claim)?.as_deref() == Some(&*job.user)
    {
        return Ok(claim.to_string());
    }
    let users = state.store.users()?;
    let own = users.into_iter().find(|user| *user.name == *job.user);
    Ok(own.and_then(|user| user.addresses.into_iter().next()).unwrap_or_default())
}

fn no_relay(state: &State, recipient: &str) -> Box<str> {
    let domain = recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
    if domain.eq_ignore_ascii_case(&state.domain) {
        "550 5.1.1 No such user here".into()
    } else {
        format!("550 5.7.1 This server delivers to its own users only, not to {domain}").into()
    }
}
