//! Where a client hears notifications: a bounded queue of what came, whatever it is.

use super::web_push::Keys;
use super::{Place, calls, channel, phone, sip};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use pushpolicy::bearer::{multipart, notification};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Notifications that wait to be looked at; more are dropped: a server says again what nobody heeded.
const WAITING: usize = 16;
/// Octets of a notification that comes, at most.
pub(super) const OCTETS: usize = 8 << 10;
/// How long a caller may take.
const CALL: Duration = Duration::from_secs(10);

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Octets that may be a notification.
    Package(Bytes),
    /// A call that rang, as a signal.
    Call,
    /// A calendar entry in short messages: the number that it is from, as the centre says, and the octets.
    Entry(String, Bytes),
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// For datagrams or callbacks.
    At(Place),
    /// As a SIP terminal.
    Sip(SocketAddr),
    /// As a phone at a short message centre.
    Smpp(String),
    /// On a channel that we hold to the server.
    Channel,
}

impl Listen {
    /// Reads `udp:ADDRESS:PORT`, `http:ADDRESS:PORT`, `sip:ADDRESS:PORT`, `smpp:HOST:PORT` or `channel`.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "channel" {
            return Ok(Listen::Channel);
        }
        match text.split_once(':') {
            Some(("sip", at)) => {
                at.parse().map(Listen::Sip).map_err(|_| format!("{text:?}: say sip:ADDRESS:PORT"))
            }
            Some(("smpp", at)) if at.contains(':') => Ok(Listen::Smpp(at.to_owned())),
            _ => Place::parse(text)
                .map(Listen::At)
                .map_err(|error| format!("{error}, sip:ADDRESS:PORT, smpp:HOST:PORT or channel")),
        }
    }
}

/// How to log in where we listen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logins {
    /// The channel: where, as whom, how often we say that we are there.
    pub(crate) channel: Option<channel::Login>,
    /// The centre: our account and its password.
    pub(crate) phone: Option<(String, String)>,
    /// Web Push: what bodies are decrypted with.
    pub(crate) web: Option<Arc<Keys>>,
}

/// What was heard.
pub(crate) struct Listener {
    heard: Receiver<Heard>,
    sender: SyncSender<Heard>,
}

impl Listener {
    /// Hears nothing yet.
    pub(crate) fn new() -> Listener {
        let (sender, heard) = sync_channel(WAITING);
        Listener { heard, sender }
    }

    /// The next that comes; none when none came in time.
    pub(crate) fn next(&self, limit: Duration) -> Option<Heard> {
        self.heard.recv_timeout(limit).ok()
    }

    /// Listens here too; where that is.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn open(&self, listen: &Listen, logins: &Logins) -> Result<Listen, String> {
        let sender = self.sender.clone();
        Ok(match listen {
            Listen::At(place) => Listen::At(open(*place, sender, logins.web.clone())?),
            Listen::Sip(at) => Listen::Sip(sip::open(*at, sender)?),
            Listen::Smpp(centre) => {
                let account = logins.phone.clone().ok_or("smpp: --sms-account is missing")?;
                phone::open(centre.clone(), account, sender)?;
                listen.clone()
            }
            Listen::Channel => {
                let login = logins.channel.clone().ok_or("channel: no login")?;
                channel::open(login, sender)?;
                Listen::Channel
            }
        })
    }
}

fn open(place: Place, sender: SyncSender<Heard>, keys: Option<Arc<Keys>>) -> Result<Place, String> {
    let failed = |error: std::io::Error| format!("{place}: {error}");
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
            let runtime = runtime()?;
            let answer = move |request| {
                let (sender, keys) = (sender.clone(), keys.clone());
                async move { take(request, &sender, keys.as_deref()).await }
            };
            std::thread::spawn(move || runtime.block_on(calls::serve(listener, CALL, answer)));
            address
        }
    };
    Ok(place.at(address))
}

/// A runtime for one listener.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

fn datagrams(socket: &UdpSocket, sender: &SyncSender<Heard>) {
    let mut buffer = vec![0; OCTETS];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => {
                let octets = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                let _ = sender.try_send(Heard::Package(bare(octets)));
            }
            // Somebody whom we never wrote to cannot be reached, and so on: none of it ends the listening.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The notification of a WAP push; what is none, as it is.
pub(super) fn bare(octets: Bytes) -> Bytes {
    notification(&octets).map_or(octets, Bytes::from)
}

async fn take(
    request: Request<Incoming>,
    sender: &SyncSender<Heard>,
    keys: Option<&Keys>,
) -> Response<Empty<Bytes>> {
    let coded = request.headers().get(hyper::header::CONTENT_ENCODING);
    let keys = keys.filter(|_| coded.is_some_and(|coding| coding == "aes128gcm"));
    let kind = request.headers().get(hyper::header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let status = if request.method() != Method::POST {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        match Limited::new(request.into_body(), OCTETS).collect().await {
            Ok(body) => {
                let body = part(&kind, body.to_bytes());
                // What our keys do not open is looked at as it is: it is said why it is dropped.
                let body = keys.and_then(|keys| keys.decrypt(&body)).unwrap_or(body);
                match sender.try_send(Heard::Package(body)) {
                    Ok(()) => StatusCode::ACCEPTED,
                    Err(_) => StatusCode::SERVICE_UNAVAILABLE,
                }
            }
            Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

/// Of a multimedia message the part that is a notification; anything else as it is.
fn part(kind: &str, body: Bytes) -> Bytes {
    let boundary = Some(kind).filter(|kind| kind.to_ascii_lowercase().starts_with("multipart/"));
    let boundary = boundary.and_then(|kind| multipart::parameter(kind, "boundary"));
    let parts = boundary.and_then(|boundary| multipart::decode(&boundary, &body).ok());
    let own = parts.into_iter().flatten().find(|part| {
        part.header("Content-Type").is_some_and(|kind| kind.starts_with(syncml::san::MIME_TYPE))
    });
    own.map_or_else(|| bare(body), |part| part.body.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearers::send;
    use pushpolicy::bearer::wap::{ContentType, Push};

    fn opened(text: &str) -> (Listener, Place) {
        let listener = Listener::new();
        let at = listener.open(&Listen::parse(text).unwrap(), &Logins::default()).unwrap();
        let Listen::At(place) = at else { panic!("{at:?}") };
        (listener, place)
    }

    #[test]
    fn what_is_sent_is_heard_and_what_is_too_much_is_not() {
        let runtime = runtime().unwrap();
        let come = Heard::Package(Bytes::from_static(b"come"));
        let wrapped = Push::new(9, ContentType::DS_ALERT, b"come".to_vec()).encode().unwrap();
        for text in ["udp:127.0.0.1:0", "http:127.0.0.1:0"] {
            let (listener, place) = opened(text);
            for octets in [Bytes::from_static(b"come"), wrapped.clone().into()] {
                runtime.block_on(send(place, octets)).unwrap();
                assert_eq!(listener.next(Duration::from_secs(20)).as_ref(), Some(&come), "{text}");
            }
            assert_eq!(listener.next(Duration::from_millis(10)), None);
        }
        let (listener, place) = opened("http:127.0.0.1:0");
        let sent = runtime.block_on(send(place, vec![0; OCTETS + 1].into()));
        assert!(sent.is_err(), "{sent:?}");
        assert_eq!(listener.next(Duration::from_millis(10)), None);
    }

    #[test]
    fn where_to_listen_is_said_in_few_ways() {
        for good in
            ["udp:127.0.0.1:1", "http:127.0.0.1:1", "sip:127.0.0.1:5060", "smpp:smsc.test:2775", "channel"]
        {
            assert!(Listen::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "sip:host", "smpp:", "smpp:host", "channels", "tcp:127.0.0.1:1"] {
            assert!(Listen::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn of_a_multimedia_message_the_notification_is_taken() {
        let body = "--b\r\nContent-Type: text/xml\r\n\r\n<x/>\r\n--b\r\nContent-Type: application/vnd.syncml.ds.notification\r\n\r\ncome\r\n--b--\r\n";
        assert_eq!(&*part("multipart/related; boundary=b", Bytes::from(body)), b"come");
        assert_eq!(&*part("multipart/related; boundary=c", Bytes::from_static(b"?")), b"?");
    }
}
