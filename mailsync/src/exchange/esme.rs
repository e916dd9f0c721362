//! Binds to a centre, and again whenever the link is over.

use super::Exchange;
use super::config::{Smsc, link_of_smsc};
use super::link::{Link, Side};
use crate::mailbox::link::AnyStream;
use mailsync_proto::mail::account::{Server, Tls};
use smsbridge::smpp::drive::{self, Clock};
use smsbridge::smpp::session::{Reason, Reconnect, Session};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Keeps one link up until `stop`.
pub(super) async fn run(exchange: Arc<Exchange>, smsc: Smsc, mut stop: watch::Receiver<()>) {
    let credentials = match smsc.credentials() {
        Ok(credentials) => credentials,
        Err(error) => return tracing::error!(smsc = smsc.name, error, "cannot bind"),
    };
    let seed = crate::turns::moment()
        .map_or(1, |moment| u64::from_le_bytes(moment.entropy[..8].try_into().unwrap_or([1; 8])));
    let mut reconnect = Reconnect::new(seed);
    loop {
        let reason = match connect(&exchange, &smsc).await {
            Ok(stream) => {
                let clock = Clock::start();
                let session_config = smsc.peer.session(&smsc.system_id);
                let mut session = Session::esme(session_config, credentials.clone(), clock.now());
                let key = link_of_smsc(&smsc.name);
                let mut link =
                    Link::new(Arc::clone(&exchange), Side::Centre, key, &smsc.peer, clock, stop.clone());
                drive::run(stream, &mut session, clock, &mut link).await;
                if link.was_bound {
                    reconnect.bound();
                }
                link.ended.unwrap_or(Reason::LinkClosed)
            }
            Err(error) => {
                tracing::warn!(smsc = smsc.name, error, "cannot connect");
                Reason::LinkClosed
            }
        };
        if stop.has_changed().is_err() {
            return;
        }
        let delay = reconnect.delay(&reason);
        if let Reason::BindRefused(status) = reason {
            tracing::error!(smsc = smsc.name, ?status, again_in = ?delay, "bind refused: check the account");
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = stop.changed() => return,
        }
    }
}

async fn connect(exchange: &Exchange, smsc: &Smsc) -> Result<AnyStream, String> {
    if smsc.tls {
        let place = Server::parse(&smsc.address, Tls::Implicit)?;
        return exchange.trust.connect(&place).await.map_err(|error| error.to_string());
    }
    match tokio::time::timeout(CONNECT, TcpStream::connect(&smsc.address)).await {
        Ok(Ok(stream)) => {
            // Small PDUs that wait for others are slower, not fewer.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Ok(Err(error)) => Err(format!("{}: {error}", smsc.address)),
        Err(_) => Err(format!("{}: no connection in time", smsc.address)),
    }
}
