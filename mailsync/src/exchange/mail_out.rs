//! The worker of mail: to users here, to the relay; and of mails that became short messages.

use super::Exchange;
use super::config::{RelayTls, password};
use super::message::{MAIL_QUEUE, MailJob, SMS_QUEUE, SmsJob, Source, from_bytes};
use crate::store::Job;
use crate::turns::{self, Failure};
use mailsync_proto::mail::account::{Server, Tls};
use mailsync_proto::mail::deliver::{Arrival, DeliverError, deliver};
use mailsync_proto::sync::store::Write;
use smsbridge::Secret;
use smsbridge::smtp::client::{self, Event, Submission, Verdict};
use smsbridge::smtp::drive::{Clock, Delivered, End, deliver as drive};
use smsbridge::smtp::{ForwardPath, MailFrom, Recipient, ReversePath};
use std::sync::Arc;
use std::time::Duration;

/// How often the queues are looked at, whatever is said of them.
const POLL: Duration = Duration::from_secs(1);
/// Jobs taken at a time.
const BATCH: u32 = 64;
/// Seconds after which a mail is given up: two days.
const GIVE_UP: u64 = 2 * 86_400;

/// Works until it is dropped.
pub(super) async fn work(exchange: Arc<Exchange>) {
    loop {
        // Whoever rang the bell did so before the commit: behind this one, the rows are there.
        let _ = exchange.journal.run(|_| Ok(())).await;
        let done = match round(&exchange).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(error, "exchange: mail");
                0
            }
        };
        if done < BATCH as usize {
            let _ = tokio::time::timeout(POLL, exchange.mail.notified()).await;
        }
    }
}

/// One look at both queues; says how many jobs there were.
async fn round(exchange: &Arc<Exchange>) -> Result<usize, String> {
    let shared = Arc::clone(exchange);
    let looked = tokio::task::spawn_blocking(move || {
        let now = i64::try_from(turns::unix_now()).unwrap_or(i64::MAX);
        let sms = shared.store.jobs_due(Some(SMS_QUEUE), now, BATCH)?;
        Ok::<_, mailsync_proto::sync::store::StoreError>((
            sms,
            shared.store.jobs_due(Some(MAIL_QUEUE), now, BATCH)?,
        ))
    });
    let (sms, mail) = looked.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let count = sms.len() + mail.len();
    if !sms.is_empty() {
        let shared = Arc::clone(exchange);
        let queued = exchange.journal.run(move |tables| {
            for job in &sms {
                if let Some(made) = from_bytes::<SmsJob>(&job.content) {
                    shared.push(tables, &Source::Mail(made.source), &made.link, &made.bodies)?;
                }
                tables.dequeue(SMS_QUEUE, &job.id)?;
            }
            Ok(())
        });
        queued.await.map_err(|error| error.to_string())?;
    }
    let mut relayed = Vec::new();
    for job in mail {
        let Some(mail) = from_bytes::<MailJob>(&job.content) else {
            tracing::error!(id = job.id, "mail of an unknown form waits");
            postpone(exchange, &job, "unknown form").await;
            continue;
        };
        let (shared, to) = (Arc::clone(exchange), mail.to.clone());
        let user = tokio::task::spawn_blocking(move || shared.store.user_of(&to)).await;
        match user.map_err(|error| error.to_string())?.map_err(|error| error.to_string())? {
            Some(user) => local(exchange, job, mail, user).await,
            None => relayed.push((job, mail)),
        }
    }
    if !relayed.is_empty() {
        relay(exchange, relayed).await;
    }
    Ok(count)
}

/// Into a synced mailbox; delivery and the end of the job are one commit.
async fn local(exchange: &Arc<Exchange>, job: Job, mail: MailJob, user: String) {
    let (shared, id) = (Arc::clone(exchange), job.id.clone());
    let work = move || {
        turns::effect::<(), Failure>(&shared.store, |reader| {
            let arrival = Arrival {
                sender: mail.from.as_deref().unwrap_or_default(),
                recipient: &mail.to,
                helo: &shared.host,
                peer: "",
                by: &shared.host,
                protocol: "SMS",
                queue_id: &id,
            };
            match deliver(reader, &user, &mail.mail, &arrival, turns::unix_now()) {
                Ok(mut writes) => {
                    writes.push(Write::Dequeue(MAIL_QUEUE.into(), id.as_str().into()));
                    Ok(Ok(((), writes)))
                }
                Err(DeliverError::Missing(missing)) => Ok(Err(missing)),
                Err(DeliverError::Loop { .. }) => {
                    Ok(Ok(((), vec![Write::Dequeue(MAIL_QUEUE.into(), id.as_str().into())])))
                }
            }
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => tracing::info!(id = job.id, "mail delivered"),
        Ok(Err(failure)) => postpone(exchange, &job, &failure.to_string()).await,
        Err(error) => postpone(exchange, &job, &error.to_string()).await,
    }
}

/// To the relay, all over one link.
async fn relay(exchange: &Arc<Exchange>, jobs: Vec<(Job, MailJob)>) {
    let Some(address) = exchange.config.relay.clone() else {
        for (job, mail) in jobs {
            fail(exchange, &job, &mail, "this server sends no mail to others").await;
        }
        return;
    };
    let (place, config) = match how(exchange, &address) {
        Ok(how) => how,
        Err(error) => return wait_all(exchange, &jobs, &error).await,
    };
    let stream = match exchange.trust.connect(&place).await {
        Ok(stream) => stream,
        Err(error) => return wait_all(exchange, &jobs, &error.to_string()).await,
    };
    let clock = Clock::start();
    let mut session = client::Session::new(config, clock.now());
    let mut stream = Some(stream);
    let mut jobs = jobs.into_iter();
    let mut under_way: Option<(Job, MailJob)> = None;
    while let Some(link) = stream.take() {
        let event = match drive(link, &mut session, clock).await {
            Ok(Delivered::Event(link, event)) => {
                stream = Some(link);
                event
            }
            Ok(Delivered::End(End::StartTls(link))) => {
                match exchange.trust.encrypt(&place, link).await {
                    Ok(link) => stream = session.tls_started(clock.now()).is_ok().then_some(link),
                    Err(error) => tracing::warn!(%error, "mail waits"),
                }
                continue;
            }
            _ => break,
        };
        match event {
            Event::Sent(outcome) => {
                if let Some((job, mail)) = under_way.take() {
                    let verdict = outcome.recipients.into_iter().next().map(|(_, verdict)| verdict);
                    settle(exchange, &job, &mail, verdict).await;
                }
            }
            Event::Failed(failure) => {
                tracing::warn!(%failure, relay = address, "mail waits");
                break;
            }
            _ => {}
        }
        if !session.is_ready() {
            continue;
        }
        match next(exchange, &mut jobs, &mut session, clock).await {
            Some(sent) => under_way = Some(sent),
            None if session.quit(clock.now()).is_err() => break,
            None => {}
        }
    }
    let rest: Vec<_> = under_way.into_iter().chain(jobs).collect();
    wait_all(exchange, &rest, "the relay ended the session").await;
}

/// Where the relay is, and how it is spoken to.
fn how(exchange: &Exchange, address: &str) -> Result<(Server, client::Config), String> {
    let sms = &exchange.config;
    let (tls, wanted) = match sms.relay_tls {
        RelayTls::None => (Tls::None, client::Tls::Never),
        RelayTls::Starttls => (Tls::Starttls, client::Tls::Required),
        RelayTls::Implicit => (Tls::Implicit, client::Tls::Implicit),
    };
    let mut config = client::Config::new(exchange.host.clone());
    config.tls = wanted;
    // Not encrypted means this machine: anything else is refused when connecting.
    config.auth_in_clear = tls == Tls::None;
    if let (Some(user), Some(file)) = (&sms.relay_user, &sms.relay_password_file) {
        config.auth =
            Some(client::Auth::Password { user: user.clone(), password: Secret::new(password(file)?) });
    }
    Ok((Server::parse(address, tls)?, config))
}

/// Gives the session its next mail; what cannot go to this server at all fails.
async fn next(
    exchange: &Arc<Exchange>,
    jobs: &mut std::vec::IntoIter<(Job, MailJob)>,
    session: &mut client::Session,
    clock: Clock,
) -> Option<(Job, MailJob)> {
    for (job, mail) in jobs {
        let from = match mail.from.as_deref().map(str::parse) {
            None => ReversePath::Null,
            Some(Ok(mailbox)) => ReversePath::Mailbox(mailbox),
            Some(Err(_)) => {
                fail(exchange, &job, &mail, "no address of a sender").await;
                continue;
            }
        };
        let Ok(to) = mail.to.parse() else {
            fail(exchange, &job, &mail, "no address").await;
            continue;
        };
        let recipient = Recipient::new(ForwardPath::Mailbox(to));
        let submission = Submission::new(MailFrom::new(from), vec![recipient], mail.mail.clone().into());
        match session.send(clock.now(), submission) {
            Ok(()) => return Some((job, mail)),
            Err(error) => fail(exchange, &job, &mail, &error.to_string()).await,
        }
    }
    None
}

async fn settle(exchange: &Arc<Exchange>, job: &Job, mail: &MailJob, verdict: Option<Verdict>) {
    match verdict {
        Some(Verdict::Accepted(_)) => {
            tracing::info!(id = job.id, "mail relayed");
            let id = job.id.clone();
            let _ = exchange.journal.run(move |tables| tables.dequeue(MAIL_QUEUE, &id)).await;
        }
        Some(Verdict::Refused(reply)) => fail(exchange, job, mail, &reply.to_string()).await,
        // Not known whether the relay has it: again, with the same Message-ID.
        Some(other) => again(exchange, job, mail, &format!("{other:?}")).await,
        None => again(exchange, job, mail, "no verdict").await,
    }
}

async fn wait_all(exchange: &Arc<Exchange>, jobs: &[(Job, MailJob)], words: &str) {
    for (job, mail) in jobs {
        again(exchange, job, mail, words).await;
    }
}

async fn again(exchange: &Arc<Exchange>, job: &Job, mail: &MailJob, words: &str) {
    if turns::unix_now() >= mail.added.saturating_add(GIVE_UP) {
        return fail(exchange, job, mail, words).await;
    }
    tracing::warn!(id = job.id, words, "mail waits");
    postpone(exchange, job, words).await;
}

async fn postpone(exchange: &Arc<Exchange>, job: &Job, words: &str) {
    let (shared, job, words) = (Arc::clone(exchange), job.clone(), words.to_owned());
    let pause = 5i64 << job.attempts.min(8);
    let due = i64::try_from(turns::unix_now()).unwrap_or(i64::MAX).saturating_add(pause);
    let done =
        tokio::task::spawn_blocking(move || shared.store.postpone(&job.queue, &job.id, due, &words)).await;
    if !matches!(done, Ok(Ok(_))) {
        tracing::error!("exchange: a job cannot be postponed");
    }
}

/// A mail is given up; the phone that wrote it is told. A report is dropped: its null sender wants no answer.
async fn fail(exchange: &Arc<Exchange>, job: &Job, mail: &MailJob, words: &str) {
    tracing::warn!(id = job.id, words, "mail given up");
    let (shared, id) = (Arc::clone(exchange), job.id.clone());
    let (tell, to, words) = (mail.tell.clone(), mail.to.clone(), words.to_owned());
    let bounce = mail.from.clone().filter(|_| mail.tell.is_none());
    let header = smsbridge::bridge::header_of(&mail.mail).to_vec();
    let done = exchange
        .journal
        .run(move |tables| {
            tables.dequeue(MAIL_QUEUE, &id)?;
            if let Some((phone, ours)) = tell {
                return shared.tell_plain(
                    tables,
                    &phone,
                    &ours,
                    &format!("Mail to {to} not delivered: {words}"),
                );
            }
            match bounce {
                Some(from) => shared.bounce(tables, &from, &to, &words, header),
                None => Ok(()),
            }
        })
        .await;
    if let Err(error) = done {
        tracing::error!(%error, "exchange: a mail cannot be given up");
    }
}
