//! The worker that sends what users put into their outboxes.
//!
//! Mail for local users is delivered. Mail for others is refused, in words that the sender sees: nothing relays yet.

use super::serve::State;
use crate::exchange::{MailIn, Way};
use crate::store::Job;
use crate::turns::{self, Failure};
use mailsync_proto::mail::deliver::{Arrival, DeliverError, deliver};
use mailsync_proto::mail::mailbox::DATASTORE;
use mailsync_proto::mail::outbox::{Outcome, QUEUE, Refused, SendJob, settle};
use mailsync_proto::sync::store::{Read, Store, StoreKey, Value};
use smsbridge::smtp::{ForwardPath, Mailbox, Recipient};
use std::sync::Arc;
use std::time::Duration;

/// How often the queue is looked at, whatever is said of it.
const POLL: Duration = Duration::from_secs(5);
/// Jobs taken at a time.
const BATCH: u32 = 16;
/// Seconds until a job that failed is tried again.
const RETRY: u64 = 60;

/// Works until it is dropped.
pub(super) async fn work(state: Arc<State>) {
    loop {
        let shared = Arc::clone(&state);
        match tokio::task::spawn_blocking(move || run(&shared)).await {
            // As many as were asked for: there may be more.
            Ok(Ok(done)) if done == BATCH as usize => continue,
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => tracing::error!(%failure, "outbox"),
            Err(error) => tracing::error!(%error, "outbox worker died"),
        }
        // Elapsed or called: look again.
        let _ = tokio::time::timeout(POLL, state.work.notified()).await;
    }
}

/// Does the jobs that are due; says how many there were.
fn run(state: &State) -> Result<usize, Failure> {
    if !state.lead.is_ours() {
        return Ok(0);
    }
    let now = turns::unix_now();
    let due = i64::try_from(now).unwrap_or(i64::MAX);
    let jobs = state.store.jobs_due(Some(QUEUE), due, BATCH)?;
    for job in &jobs {
        if let Err(words) = send(state, job, now) {
            tracing::error!(id = ?job.id, words, "outbox: job waits");
            let later = i64::try_from(now.saturating_add(RETRY)).unwrap_or(i64::MAX);
            state.store.postpone(&job.queue, &job.id, later, &words)?;
        }
    }
    Ok(jobs.len())
}

/// One job: its deliveries and its end are one commit.
fn send(state: &State, job: &Job, now: u64) -> Result<(), String> {
    let job = SendJob::from_bytes(&job.content)?;
    let words = |failure: Failure| failure.to_string();
    let sender = sender(state, &job).map_err(words)?;
    let mut local = Vec::new();
    let mut refused = Vec::new();
    let exchanged = exchanged(state, &job, &sender)?;
    for recipient in &job.recipients {
        if let Some(way) = exchanged.iter().find(|(to, _)| to == recipient) {
            if let Way::Refused(reply) = &way.1 {
                refused.push(Refused { recipient: recipient.clone(), words: reply.to_string().into() });
            }
            continue;
        }
        match state.store.user_of(recipient).map_err(|error| error.to_string())? {
            Some(user) => local.push((user, recipient)),
            None => refused.push(Refused { recipient: recipient.clone(), words: no_relay(state, recipient) }),
        }
    }
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
                let mut outcome = Outcome { refused: refused.clone(), ..Outcome::default() };
                let mut writes = Vec::new();
                for (recipient, way) in &exchanged {
                    if let Way::Taken(more) = way {
                        outcome.taken.push(recipient.clone());
                        writes.extend(more.iter().cloned());
                    }
                }
                let mut missing = None;
                let mut served = std::collections::HashSet::new();
                for (user, recipient) in &local {
                    outcome.taken.push((*recipient).clone());
                    // Two addresses of one user are one delivery.
                    if !served.insert(user) {
                        continue;
                    }
                    let arrival = Arrival {
                        sender: &sender,
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
                            outcome.refused.push(Refused { recipient: (*recipient).clone(), words });
                        }
                    }
                }
                if let Some(missing) = missing {
                    return Ok(Err(missing));
                }
                (outcome, writes)
            }
        };
        Ok::<_, Failure>(settle(reader, &job, &outcome, &state.domain, now).map(|more| {
            writes.extend(more);
            (outcome, writes)
        }))
    })
    .map_err(words)?;
    if let Some(exchange) = state.exchange.as_ref().filter(|_| !exchanged.is_empty()) {
        exchange.work_stored();
    }
    let (taken, refused) = (outcome.taken.len(), outcome.refused.len());
    tracing::info!(user = ?job.user, taken, refused, "mail sent");
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
