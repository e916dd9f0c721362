//! Mail that comes in over SMTP, for local users.

use super::serve::State;
use crate::turns::{self, Failure};
use bytes::Bytes;
use mailsync_proto::mail::deliver::{Arrival, DeliverError, deliver};
use mailsync_proto::sync::store::{StoreError, Write};
use smsbridge::smtp::drive::{Clock, End, Host, serve};
use smsbridge::smtp::{EnhancedCode, Envelope, ForwardPath, MailFrom, Recipient, Reply, ReversePath, server};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Serves one connection until it ends.
pub(super) async fn connection(state: Arc<State>, stream: TcpStream, peer: SocketAddr) {
    let clock = Clock::start();
    let config = server::Config::new(state.domain.clone());
    let mut session = server::Session::new(config, clock.now());
    let mut host = Local { state, peer };
    match serve(stream, &mut session, clock, &mut host).await {
        Ok(End::Closed) => {}
        Ok(_) => tracing::error!(%peer, "smtp: STARTTLS was not offered"),
        Err(error) => tracing::debug!(%peer, %error, "smtp connection ended"),
    }
}

/// Judges for one connection.
struct Local {
    state: Arc<State>,
    peer: SocketAddr,
}

impl Host for Local {
    async fn mail(&mut self, _: &MailFrom) -> Result<(), Reply> {
        Ok(())
    }

    async fn rcpt(&mut self, to: &Recipient) -> Result<(), Reply> {
        let (state, address) = (Arc::clone(&self.state), to.address.clone());
        match blocking(move || state.user_of(&address).map_err(Failure::Store)).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Reply::new(550, EnhancedCode(5, 1, 1), "No such user here")),
            Err(failure) => Err(trouble(&failure)),
        }
    }

    async fn message(&mut self, envelope: Envelope, body: Bytes) -> Vec<Reply> {
        let (state, peer) = (Arc::clone(&self.state), self.peer);
        let reply = match blocking(move || store(&state, peer, &envelope, &body)).await {
            Ok(queue_id) => Reply::new(250, EnhancedCode(2, 0, 0), format!("Stored as {queue_id}")),
            Err(Refused::Loop(words)) => Reply::new(554, EnhancedCode(5, 4, 6), words),
            Err(Refused::Failure(failure)) => trouble(&failure),
        };
        vec![reply]
    }

    async fn auth(&mut self, _: server::Credentials) -> Option<bool> {
        Some(false)
    }
}

/// Why a message was not stored.
enum Refused {
    Loop(String),
    Failure(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Refused::Failure(failure)
    }
}

/// Stores a message for all its recipients in one commit; says under which id.
fn store(state: &State, peer: SocketAddr, envelope: &Envelope, body: &[u8]) -> Result<String, Refused> {
    let queue_id = queue_id()?;
    let sender =
        envelope.from.address.mailbox().map(|mailbox| mailbox.as_str().to_owned()).unwrap_or_default();
    let mut users: BTreeMap<String, String> = BTreeMap::new();
    for to in &envelope.recipients {
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
    let protocol = match (envelope.extended, envelope.tls) {
        (true, true) => "ESMTPS",
        (true, false) => "ESMTP",
        _ => "SMTP",
    };
    let now = turns::unix_now();
    turns::effect(&state.store, |reader| {
        let mut writes: Vec<Write> = Vec::new();
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
    let null = matches!(envelope.from.address, ReversePath::Null);
    tracing::info!(%peer, queue_id, users = users.len(), octets = body.len(), report = null, "mail stored");
    Ok(queue_id)
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
