//! Where a client hears notifications: octets in a bounded queue, whatever they are.

use super::{Place, calls};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Notifications that wait to be looked at; more are dropped: a server says again what nobody heeded.
const WAITING: usize = 16;
/// Octets of a notification that comes, at most.
const OCTETS: usize = 8 << 10;
/// How long a caller may take.
const CALL: Duration = Duration::from_secs(10);

/// What was heard.
pub(crate) struct Listener {
    /// Where it listens.
    pub(crate) place: Place,
    heard: Receiver<Bytes>,
}

impl Listener {
    /// The next that comes; none when none came in time, or none will.
    pub(crate) fn next(&self, limit: Duration) -> Option<Bytes> {
        match self.heard.recv_timeout(limit) {
            Ok(octets) => Some(octets),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                // The listener died: nothing is to be heard, and time passes all the same.
                std::thread::sleep(limit);
                None
            }
        }
    }
}

/// Listens.
///
/// # Errors
/// In words.
pub(crate) fn open(place: Place) -> Result<Listener, String> {
    let failed = |error: std::io::Error| format!("{place}: {error}");
    let (sender, heard) = sync_channel(WAITING);
    let address = match place {
        Place::Udp(at) => {
            let socket = UdpSocket::bind(at).map_err(failed)?;
            let address = socket.local_addr().map_err(failed)?;
            std::thread::spawn(move || datagrams(&socket, &sender));
            address
        }
        Place::Http(at) => {
            let listener = TcpListener::bind(at).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            let answer = move |request| {
                let sender = sender.clone();
                async move { take(request, &sender).await }
            };
            std::thread::spawn(move || runtime.block_on(calls::serve(listener, CALL, answer)));
            address
        }
    };
    Ok(Listener { place: place.at(address), heard })
}

fn datagrams(socket: &UdpSocket, sender: &SyncSender<Bytes>) {
    let mut buffer = vec![0; OCTETS];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => {
                let octets = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                let _ = sender.try_send(octets);
            }
            // Somebody whom we never wrote to cannot be reached, and so on: none of it ends the listening.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

async fn take(request: Request<Incoming>, sender: &SyncSender<Bytes>) -> Response<Empty<Bytes>> {
    let status = if request.method() != Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        match Limited::new(request.into_body(), OCTETS).collect().await {
            Ok(body) => match sender.try_send(body.to_bytes()) {
                Ok(()) => StatusCode::ACCEPTED,
                Err(_) => StatusCode::SERVICE_UNAVAILABLE,
            },
            Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearers::send;

    #[test]
    fn what_is_sent_is_heard_and_what_is_too_much_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for text in ["udp:127.0.0.1:0", "http:127.0.0.1:0"] {
            let listener = open(Place::parse(text).unwrap()).unwrap();
            runtime.block_on(send(listener.place, Bytes::from_static(b"come"))).unwrap();
            assert_eq!(listener.next(Duration::from_secs(20)).as_deref(), Some(&b"come"[..]), "{text}");
            assert_eq!(listener.next(Duration::from_millis(10)), None);
        }
        let listener = open(Place::parse("http:127.0.0.1:0").unwrap()).unwrap();
        let sent = runtime.block_on(send(listener.place, vec![0; OCTETS + 1].into()));
        assert!(sent.is_err(), "{sent:?}");
        assert_eq!(listener.next(Duration::from_millis(10)), None);
    }
}
