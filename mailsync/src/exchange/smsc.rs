//! Takes SMS clients.

use super::Exchange;
use super::config::{Account, Peer, password};
use super::link::{Link, Side};
use crate::mailbox::link::AnyStream;
use crate::secret;
use crate::tls::Identity;
use smsbridge::smpp::CommandStatus;
use smsbridge::smpp::drive::{self, Clock};
use smsbridge::smpp::pdu::Bind;
use smsbridge::smpp::session::Session;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Links at a time.
const LINKS: usize = 1_000;
/// Links of one address that are not bound yet, or failed, before it has to wait.
const FREE: u32 = 5;
/// How long a failed bind counts.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Addresses remembered.
const REMEMBERED: usize = 10_000;

/// Accepts clients until `stop`, then unbinds all of them; with an identity, over TLS.
pub(super) async fn accept(
    exchange: Arc<Exchange>,
    listener: TcpListener,
    identity: Option<Arc<Identity>>,
    mut stop: watch::Receiver<()>,
) {
    let mut links = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = links.join_next() => continue,
            _ = stop.changed() => break,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if links.len() >= LINKS {
            tracing::warn!(%peer, "too many smpp links");
            continue;
        }
        let _ = stream.set_nodelay(true);
        let (exchange, identity, stop) = (Arc::clone(&exchange), identity.clone(), stop.clone());
        links.spawn(async move {
            let stream: AnyStream = match identity {
                None => Box::new(stream),
                Some(identity) => match identity.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(error) => return tracing::info!(%peer, error, "smpp: no TLS"),
                },
            };
            let clock = Clock::start();
            let name: String = exchange.host.chars().take(15).collect();
            let config = Peer::default();
            let mut session = Session::smsc(config.session(&name), clock.now());
            let side = Side::Client(peer.ip().to_canonical(), None);
            let mut link = Link::new(exchange, side, String::new(), &config, clock, stop);
            drive::run(stream, &mut session, clock, &mut link).await;
        });
    }
    drop(listener);
    let all = async { while links.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(5), all).await.is_err() {
        tracing::warn!("smpp links were cut");
    }
}

impl Exchange {
    /// Whose bind it is, or the status that refuses it: one for a wrong account and a wrong password.
    pub(super) async fn check_bind(
        &self,
        address: IpAddr,
        bind: &Bind,
    ) -> Result<Arc<Account>, CommandStatus> {
        let account =
            self.config.account.iter().find(|account| account.system_id.as_bytes() == &bind.system_id[..]);
        let kept = account.and_then(|account| {
            password(&account.password_file).map_err(|error| tracing::error!(error, "no password")).ok()
        });
        // Looked at in any case, so that time does not tell which accounts there are.
        let kept = kept.unwrap_or_else(|| self.nobodys.clone());
        let given = bind.password.expose().to_vec();
        // threats: C1: few at once, for each takes 19 MiB
        let turn = self.hashing.acquire().await;
        let right = tokio::task::spawn_blocking(move || secret::is(&given, &kept)).await.unwrap_or(false);
        drop(turn);
        let account = account.filter(|account| {
            right && (account.from.is_empty() || account.from.iter().any(|network| network.contains(address)))
        });
        let Some(account) = account else {
            tokio::time::sleep(self.bind_failed(address)).await;
            return Err(CommandStatus::RBINDFAIL);
        };
        let mut policy = self.policy();
        policy.failed.remove(&address);
        let binds = policy.binds.entry(account.system_id.clone()).or_insert(0);
        if *binds >= account.binds {
            return Err(CommandStatus::RALYBND);
        }
        *binds += 1;
        Ok(Arc::new(account.clone()))
    }

    /// A client's link is over.
    pub(super) fn unbound(&self, system_id: &str) {
        if let Some(binds) = self.policy().binds.get_mut(system_id) {
            *binds = binds.saturating_sub(1);
        }
    }

    /// How long the answer to a failed bind waits: guessing gets slower, and locks nobody out.
    fn bind_failed(&self, address: IpAddr) -> Duration {
        let mut policy = self.policy();
        let now = Instant::now();
        if policy.failed.len() >= REMEMBERED {
            policy.failed.retain(|_, (_, last)| now.duration_since(*last) < WINDOW);
        }
        if policy.failed.len() >= REMEMBERED {
            policy.failed.clear();
        }
        let (count, last) = policy.failed.entry(address).or_insert((0, now));
        if now.duration_since(*last) >= WINDOW {
            *count = 0;
        }
        *count = count.saturating_add(1);
        *last = now;
        match count.checked_sub(FREE) {
            None | Some(0) => Duration::ZERO,
            // Below the bind timer, so that there is an answer.
            Some(over) => Duration::from_secs(1u64.checked_shl(over - 1).unwrap_or(8).min(8)),
        }
    }
}
