//! The channel that a client holds open: notices come over it at once, through whatever stands between.
//!
//! The client opens a WebSocket at [`PATH`], logs in as `Basic` (over TLS or on this machine only), and names its device and
//! how often it will say that it is there. The newest channel of a device counts.

use super::engine::{Engine, Instruction, Sending, Sent};
use crate::daemon::serve::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Extension, FromRequestParts, Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mailsync_proto::sync::store::{Read, Store as _, Value};
use pushpolicy::sent::Delivery;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The path of the channel.
pub(crate) const PATH: &str = "/push";
/// Seconds between two signs of life, at least and at most; and without a word.
const BEAT: (u64, u64, u64) = (1, 3600, 240);
/// Notices that wait for one client.
const WAITING: usize = 16;
/// How long a client may take one notice.
const TAKE: Duration = Duration::from_secs(10);
/// Octets that a client may say at once.
const SAID: usize = 1 << 10;

type Job = (Bytes, oneshot::Sender<()>);

/// The channels that are open.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    serial: u64,
    channels: HashMap<(String, String), (u64, mpsc::Sender<Job>)>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a device holds one.
    pub(crate) fn has(&self, user: &str, device: &str) -> bool {
        self.lock().channels.contains_key(&(user.to_owned(), device.to_owned()))
    }

    /// A device opens one; an earlier one ends.
    fn enter(&self, user: &str, device: &str) -> (u64, mpsc::Receiver<Job>) {
        let (sender, jobs) = mpsc::channel(WAITING);
        let mut open = self.lock();
        open.serial += 1;
        let serial = open.serial;
        open.channels.insert((user.to_owned(), device.to_owned()), (serial, sender));
        (serial, jobs)
    }

    fn leave(&self, user: &str, device: &str, serial: u64) {
        let mut open = self.lock();
        let key = (user.to_owned(), device.to_owned());
        if open.channels.get(&key).is_some_and(|(newest, _)| *newest == serial) {
            open.channels.remove(&key);
        }
    }

    fn to(&self, user: &str, device: &str) -> Option<mpsc::Sender<Job>> {
        self.lock().channels.get(&(user.to_owned(), device.to_owned())).map(|(_, sender)| sender.clone())
    }
}

/// Sends over the channel that a device holds.
#[derive(Debug)]
pub(super) struct Channel(pub(super) Arc<Hub>);

impl Engine for Channel {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move {
            // A machine that was just woken opens its channel when it is up: it is told again then.
            let Some(channel) = self.0.to(&push.user, &push.device) else {
                return match push.wake {
                    Some(_) => Sent::new(Delivery::Unknown, "woken; no channel yet"),
                    None => Sent::unreachable("no channel is open"),
                };
            };
            let (done, taken) = oneshot::channel();
            if channel.try_send((push.package.clone(), done)).is_err() {
                return Sent::unreachable("the channel is full");
            }
            match timeout(TAKE, taken).await {
                Ok(Ok(())) => Sent::new(Delivery::Delivered, "taken"),
                _ => Sent::unreachable("the channel broke"),
            }
        })
    }
}

/// Opens a channel.
pub(crate) async fn handle(
    Shared(state): Shared<Arc<State>>,
    Extension(ConnectInfo(peer)): Extension<ConnectInfo<SocketAddr>>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let refused = |status: StatusCode, reason: &str| {
        tracing::info!(%peer, status = status.as_u16(), reason, "channel refused");
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"mailsync\"")];
        (status, challenge, format!("{reason}\n")).into_response()
    };
    if !state.may_log_in(peer, &parts.headers) {
        return refused(StatusCode::FORBIDDEN, "a password goes over TLS only");
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let asked = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let Some(device) = asked("device").and_then(unescape) else {
        return refused(StatusCode::BAD_REQUEST, "no device");
    };
    let beat = asked("beat").and_then(|beat| beat.parse().ok()).unwrap_or(BEAT.2).clamp(BEAT.0, BEAT.1);
    let login = parts.headers.get(header::AUTHORIZATION).and_then(|value| basic(value.to_str().ok()?));
    let Some((user, password)) = login else {
        return refused(StatusCode::UNAUTHORIZED, "no login");
    };
    let key = (user.clone(), device.clone());
    let shared = Arc::clone(&state);
    let let_in = tokio::task::spawn_blocking(move || may_enter(&shared, &key.0, &key.1, &password)).await;
    if !matches!(let_in, Ok(true)) {
        // threat: S4 (guessing costs time)
        tokio::time::sleep(Duration::from_secs(1)).await;
        return refused(StatusCode::UNAUTHORIZED, "wrong login");
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade.max_message_size(SAID),
        Err(rejection) => return rejection.into_response(),
    };
    upgrade.on_upgrade(move |socket| async move {
        let (serial, jobs) = state.push.hub.enter(&user, &device);
        tracing::info!(user, device, %peer, "channel open");
        state.push.touch(&user);
        let reason = hold(socket, jobs, Duration::from_secs(beat)).await;
        state.push.hub.leave(&user, &device, serial);
        tracing::info!(user, device, reason, "channel closed");
    })
}

/// Whether a device may log in so.
fn may_enter(state: &State, user: &str, device: &str, password: &str) -> bool {
    let read = Read::Login { user: user.into(), device: device.into() };
    let Ok(found) = state.store.read(std::slice::from_ref(&read)) else { return false };
    let Some(Value::Login(Some(login))) = found.get(&read) else { return false };
    // What is compared are digests: the time that it takes says nothing of the password.
    !login.revoked && syncml::session::auth::verifier(user, password) == *login.verifier
}

/// Carries notices until the client is gone; why it ended.
async fn hold(mut socket: WebSocket, mut jobs: mpsc::Receiver<Job>, beat: Duration) -> &'static str {
    let silence = beat.mul_f64(2.5);
    let mut until = tokio::time::Instant::now() + silence;
    loop {
        tokio::select! {
            job = jobs.recv() => {
                let Some((package, done)) = job else {
                    return "a newer channel of the device";
                };
                if !matches!(timeout(TAKE, socket.send(Message::Binary(package))).await, Ok(Ok(()))) {
                    return "it does not take a notice";
                }
                let _ = done.send(());
            }
            said = socket.recv() => match said {
                // Pings are answered by the library.
                Some(Ok(Message::Close(_))) | None => return "it left",
                Some(Ok(_)) => until = tokio::time::Instant::now() + silence,
                Some(Err(_)) => return "the link broke",
            },
            () = tokio::time::sleep_until(until) => return "it has said nothing for long",
        }
    }
}

fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, token) = value.split_once(' ')?;
    let octets = STANDARD.decode(token.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(octets).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Undoes the escapes of a query.
fn unescape(text: &str) -> Option<String> {
    let (mut octets, mut rest) = (Vec::new(), text.bytes());
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            octet => octet,
        });
    }
    String::from_utf8(octets).ok().filter(|text| !text.is_empty() && text.len() <= 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_and_ids_are_read() {
        assert_eq!(basic("Basic YW5uOmE6Yg=="), Some(("ann".into(), "a:b".into())));
        assert_eq!(basic("Bearer YW5uOmE="), None);
        assert_eq!(basic("Basic ???"), None);
        assert_eq!(unescape("IMEI%3A1").as_deref(), Some("IMEI:1"));
        for bad in ["", "%", "%4", "%zz", "%ff"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_newest_channel_of_a_device_counts() {
        let hub = Hub::default();
        let (first, mut jobs) = hub.enter("ann", "phone");
        let (second, _kept) = hub.enter("ann", "phone");
        assert!(jobs.try_recv().is_err_and(|error| error == mpsc::error::TryRecvError::Disconnected));
        hub.leave("ann", "phone", first);
        assert!(hub.has("ann", "phone"));
        hub.leave("ann", "phone", second);
        assert!(!hub.has("ann", "phone"));
    }
}
