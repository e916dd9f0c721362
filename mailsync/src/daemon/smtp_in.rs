//! Mail that comes in over SMTP or LMTP, for local users.

use super::serve::State;
use crate::exchange::{MailIn, Way};
use crate::turns::{self, Failure};
use bytes::Bytes;
use mailsync_proto::mail::deliver::{Arrival, DeliverError, deliver};
use mailsync_proto::sync::store::{StoreError, Write};
use smsbridge::smtp::drive::{Clock, End, Host, serve};
use smsbridge::smtp::{
    EnhancedCode, Envelope, ForwardPath, MailFrom, Protocol, Recipient, Reply, ReversePath, server,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use syncml::session::auth;
use tokio::net::TcpStream;

/// Serves one connection until it ends.
pub(super) async fn connection(state: Arc<State>, protocol: Protocol, stream: TcpStream, peer: SocketAddr) {
    let clock = Clock::start();
    let mut config = server::Config::new(state.domain.clone());
    config.protocol = protocol;
    if state.exchange.is_some() {
        // Users log in to send short messages, and want to hear what became of them.
        config.auth = server::AuthPolicy::Offered;
        config.auth_in_clear = state.plain_allowed(peer.ip());
        config.dsn = true;
    }
    let mut session = server::Session::new(config, clock.now());
    let mut host = Local { state, protocol, peer, user: None };
    match serve(stream, &mut session, clock, &mut host).await {
        Ok(End::Closed) => {}
        Ok(_) => tracing::error!(%peer, "smtp: STARTTLS was not offered"),
        Err(error) => tracing::debug!(%peer, %error, "smtp connection ended"),
    }
}

/// Judges for one connection.
struct Local {
    state: Arc<State>,
    protocol: Protocol,
    peer: SocketAddr,
    /// Who logged in.
    user: Option<String>,
}

impl Host for Local {
    async fn mail(&mut self, _: &MailFrom) -> Result<(), Reply> {
        Ok(())
    }

    async fn rcpt(&mut self, to: &Recipient) -> Result<(), Reply> {
        let (state, address) = (Arc::clone(&self.state), to.address.clone());
        match blocking(move || taken(&state, &address).map_err(Failure::Store)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Reply::new(550, EnhancedCode(5, 1, 1), "No such user here")),
            Err(failure) => Err(trouble(&failure)),
        }
    }

    async fn message(&mut self, envelope: Envelope, body: Bytes) -> Vec<Reply> {
        let (state, peer, user) = (Arc::clone(&self.state), self.peer, self.user.clone());
        // LMTP has a reply for each recipient, SMTP one for all.
        let protocol = self.protocol;
        let replies = if protocol == Protocol::Lmtp { envelope.recipients.len() } else { 1 };
        let done = blocking(move || store(&state, protocol, peer, user.as_deref(), &envelope, &body)).await;
        let reply = match done {
            Ok(Stored { queue_id, refused }) => {
                let taken = Reply::new(250, EnhancedCode(2, 0, 0), format!("Stored as {queue_id}"));
                let replies = refused.into_iter().map(|reply| reply.unwrap_or_else(|| taken.clone()));
                return match protocol {
                    Protocol::Lmtp => replies.collect(),
                    Protocol::Smtp => vec![taken],
                };
            }
            Err(Refused::Loop(words)) => Reply::new(554, EnhancedCode(5, 4, 6), words),
            Err(Refused::Exchange(reply)) => reply,
            Err(Refused::Failure(failure)) => trouble(&failure),
        };
        vec![reply; replies]
    }

    async fn auth(&mut self, credentials: server::Credentials) -> Option<bool> {
        let (state, user) = (Arc::clone(&self.state), credentials.user.clone());
        let verifier = auth::verifier(&user, credentials.password.expose());
        let found = user.clone();
        let right =
            blocking(move || state.store.is_verifier(&found, &verifier).map_err(Failure::Store)).await;
        match right {
            Ok(right) => {
                self.user = right.then_some(user);
                Some(right)
            }
            Err(_) => None,
        }
    }
}

/// Why a message was not stored.
enum Refused {
    Loop(String),
    /// No recipient is taken.
    Exchange(Reply),
    Failure(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Refused::Failure(failure)
    }
}

/// Whether mail for this address is taken.
fn taken(state: &State, address: &ForwardPath) -> Result<bool, StoreError> {
    if state.user_of(address)?.is_some() {
        return Ok(true);
    }
    match (&state.exchange, address.mailbox()) {
        (Some(exchange), Some(mailbox)) => exchange.takes(mailbox),
        _ => Ok(false),
    }
}

/// What the exchange makes of a mail.
struct Exchanged {
    /// Who gets it as ordinary mail.
    local: Vec<Recipient>,
    /// What goes into the commit.
    writes: Vec<Write>,
    /// For each recipient, why it does not get the mail.
    refused: Vec<Option<Reply>>,
}

/// A mail that was stored.
struct Stored {
    queue_id: String,
    /// For each recipient, why it was not stored for that one.
    refused: Vec<Option<Reply>>,
}

/// Asks the exchange for each recipient; without one all are ordinary.
fn exchange(
    state: &State,
    protocol: Protocol,
    peer: SocketAddr,
    user: Option<&str>,
    envelope: &Envelope,
    body: &[u8],
) -> Result<Exchanged, Refused> {
    let refused = vec![None; envelope.recipients.len()];
    let mut done = Exchanged { local: envelope.recipients.clone(), writes: Vec::new(), refused };
    let Some(exchange) = &state.exchange else { return Ok(done) };
    let sender = envelope.from.address.mailbox();
    let envid = envelope.from.envid.as_deref();
    let mail = MailIn { sender, user, peer: Some(peer.ip()), body, envid };
    let mut refused = Vec::new();
    for (to, why) in std::mem::take(&mut done.local).into_iter().zip(&mut done.refused) {
        let local = state.user_of(&to.address).map_err(Failure::Store)?.is_some();
        match exchange.way(&mail, &to, local).map_err(Failure::Store)? {
            Way::Local => done.local.push(to),
            Way::Taken(writes) => done.writes.extend(writes),
            Way::Refused(reply) => {
                *why = Some(reply.clone());
                refused.push((to, reply));
            }
        }
    }
    match refused.first() {
        // In LMTP each hears its own.
        _ if protocol == Protocol::Lmtp => {}
        // One reply is for all recipients: who is left out although others are not is told by mail.
        Some((_, reply)) if refused.len() == envelope.recipients.len() => {
            return Err(Refused::Exchange(reply.clone()));
        }
        Some(_) => done.writes.extend(exchange.refusal_report(&mail, &refused)),
        None => {}
    }
    Ok(done)
}

/// Stores a message for all its recipients in one commit; says under which id.
fn store(
    state: &State,
    protocol: Protocol,
    peer: SocketAddr,
    user: Option<&str>,
    envelope: &Envelope,
    body: &[u8],
) -> Result<Stored, Refused> {
    let queue_id = queue_id()?;
    let exchanged = exchange(state, protocol, peer, user, envelope, body)?;
    let sender =
        envelope.from.address.mailbox().map(|mailbox| mailbox.as_str().to_owned()).unwrap_or_default();
    let mut users: BTreeMap<String, String> = BTreeMap::new();
    for to in &exchanged.local {
        // Two addresses of one user are one delivery. A user who was removed meanwhile gets none.
        if let Some(user) = state.user_of(&to.address).map_err(Failure::Store)? {
            let address = match &to.address {
                ForwardPath::Mailbox(mailbox) => mailbox.as_str().to_owned(),
                ForwardPath::Postmaster => format!("postmaster@{}", state.domain),
            };
            users.entry(user).or_insert(address);
        }
    }
    let peer_ip = peer.ip().to_string();
    // spec: RFC 3848
    let protocol = match (protocol, envelope.extended, envelope.tls) {
        (Protocol::Lmtp, _, true) => "LMTPS",
        (Protocol::Lmtp, _, false) => "LMTP",
        (Protocol::Smtp, true, true) => "ESMTPS",
        (Protocol::Smtp, true, false) => "ESMTP",
        (Protocol::Smtp, false, _) => "SMTP",
    };
    let now = turns::unix_now();
    turns::effect(&state.store, |reader| {
        let mut writes: Vec<Write> = exchanged.writes.clone();
        let mut missing = None;
        for (user, recipient) in &users {
            let arrival = Arrival {
                sender: &sender,
                recipient,
                helo: &envelope.helo,
                peer: &peer_ip,
                by: &state.domain,
                protocol,
                queue_id: &queue_id,
            };
            match deliver(reader, user, body, &arrival, now) {
                Ok(more) => writes.extend(more),
                Err(DeliverError::Missing(what)) => missing = Some(what),
                Err(error @ DeliverError::Loop { .. }) => return Err(Refused::Loop(error.to_string())),
            }
        }
        Ok(missing.map_or(Ok(((), writes)), Err))
    })?;
    if let Some(exchange) = state.exchange.as_ref().filter(|_| !exchanged.writes.is_empty()) {
        exchange.work_stored();
    }
    state.mailboxes.stir();
    let null = matches!(envelope.from.address, ReversePath::Null);
    tracing::info!(%peer, queue_id, users = users.len(), octets = body.len(), report = null, "mail stored");
    Ok(Stored { queue_id, refused: exchanged.refused })
}

/// 16 hexadecimal digits that were not given before.
pub(super) fn queue_id() -> Result<String, Failure> {
    let entropy = turns::moment()?.entropy;
    Ok(entropy.iter().take(8).map(|octet| format!("{octet:02x}")).collect())
}

fn trouble(failure: &Failure) -> Reply {
    tracing::error!(%failure, "smtp: cannot store");
    match failure {
        Failure::Store(StoreError::Full(_)) => {
            Reply::new(452, EnhancedCode(4, 3, 1), "Storage is full, try again later")
        }
        _ => Reply::new(451, EnhancedCode(4, 3, 0), "Storage trouble, try again later"),
    }
}

async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Failure> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::Store(StoreError::Failed(error.to_string())).into()))
}
