//! Links that come in: accepted, counted, ended in order.

use super::serve::{GRACE, State};
use super::{http, smtp_in};
use crate::tls::Identity;
use axum::Router;
use axum::extract::{ConnectInfo, Extension};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use smsbridge::smtp::Protocol;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

// spec: threats, default limits
const HEADER_TIME: Duration = Duration::from_secs(10);
const HEADER_BYTES: usize = 16 << 10;

pub(super) async fn http(
    state: Arc<State>,
    listener: TcpListener,
    identity: Option<Arc<Identity>>,
    per_address: usize,
    mut stop: watch::Receiver<()>,
) {
    let router = http::router(Arc::clone(&state));
    let mut connections = JoinSet::new();
    let open: Arc<Mutex<HashMap<IpAddr, usize>>> = Arc::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.changed() => break,
        };
        let Some((stream, peer)) = accepted_or_wait(accepted).await else { continue };
        // Behind a proxy of ours are many.
        let most = if state.door.is_proxy(peer.ip()) { usize::MAX } else { per_address };
        let Some(place) = Place::take(&open, peer.ip(), most) else {
            tracing::warn!(%peer, "too many connections from this address");
            continue;
        };
        let (router, stop, identity) = (router.clone(), stop.clone(), identity.clone());
        connections.spawn(async move {
            let _place = place;
            match identity {
                None => serve_http(TokioIo::new(stream), router, stop, peer).await,
                Some(identity) => match identity.accept(stream).await {
                    Ok(stream) => serve_http(TokioIo::new(stream), router, stop, peer).await,
                    Err(error) => tracing::debug!(%peer, error, "no TLS"),
                },
            }
        });
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("http connections were cut");
    }
}

async fn serve_http<I>(io: I, router: Router, mut stop: watch::Receiver<()>, peer: SocketAddr)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router.layer(Extension(ConnectInfo(peer))));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(io, service)
        // The channel of notices.
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "http connection ended");
    }
}

pub(super) async fn mail(
    state: Arc<State>,
    protocol: Protocol,
    listener: TcpListener,
    most: usize,
    mut stop: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.changed() => break,
        };
        let Some((stream, peer)) = accepted_or_wait(accepted).await else { continue };
        if connections.len() >= most {
            tracing::warn!(%peer, ?protocol, "too many connections");
            continue;
        }
        connections.spawn(smtp_in::connection(Arc::clone(&state), protocol, stream, peer));
    }
    // Who is idle is cut: a message that was answered is stored, one that was not is sent again.
    connections.abort_all();
}

/// An accepted connection; after an error, nothing, and not at once.
async fn accepted_or_wait<S>(accepted: io::Result<(S, SocketAddr)>) -> Option<(S, SocketAddr)> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "cannot accept");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// A connection counted for its address, until dropped.
struct Place {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Place {
    fn take(open: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr, most: usize) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { open: Arc::clone(open), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
