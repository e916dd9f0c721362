//! The channel that a client holds to the server, and opens again whenever it is over.

use super::listen::{Heard, OCTETS, bare, runtime};
use crate::mailbox::link::{AnyStream, Trust};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use mailsync_proto::mail::account::{Server, Tls};
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// The first and the longest pause until it is opened again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a server may take to open it.
const OPEN: Duration = Duration::from_secs(20);

/// Where, and as whom.
#[derive(Clone)]
pub(crate) struct Login {
    /// The server's URL.
    pub(crate) server: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) device: String,
    /// Certificates to trust besides the system's.
    pub(crate) ca: Option<PathBuf>,
    /// Seconds between two signs of life.
    pub(crate) beat: u64,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({} at {}, redacted)", self.user, self.server)
    }
}

/// Holds it from now on.
pub(super) fn open(login: Login, sender: SyncSender<Heard>) -> Result<(), String> {
    let place = Place::of(&login)?;
    let runtime = runtime()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let mut pause = AGAIN.0;
            loop {
                let error = match hold(&login, &place, &sender, &mut pause).await {
                    Ok(()) => "the server closed it".to_owned(),
                    Err(error) => error,
                };
                eprintln!("mailsync: channel: {error}; again in {} s", pause.as_secs());
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(AGAIN.1);
            }
        });
    });
    Ok(())
}

/// Where the channel is.
struct Place {
    url: String,
    host: String,
    port: u16,
    trust: Option<Trust>,
}

impl Place {
    fn of(login: &Login) -> Result<Place, String> {
        let url = reqwest::Url::parse(&login.server).map_err(|error| format!("{}: {error}", login.server))?;
        let host = url.host_str().ok_or_else(|| format!("{}: no host", login.server))?.to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let secure = url.scheme() == "https";
        // The password goes over TLS, or stays on this machine.
        if !secure && !matches!(&*host, "127.0.0.1" | "localhost" | "[::1]") {
            return Err(format!(
                "{}: a channel over plain HTTP stays on this machine; use https",
                login.server
            ));
        }
        let trust = if secure { Some(Trust::new(login.ca.as_deref())?) } else { None };
        let device: String = login.device.bytes().map(|octet| format!("%{octet:02X}")).collect();
        let scheme = if secure { "wss" } else { "ws" };
        let beat = login.beat;
        // Beside the SyncML endpoint, whatever stands before it.
        let path = url.join("push").map_err(|error| format!("{}: {error}", login.server))?;
        let url = format!("{scheme}://{host}:{port}{}?device={device}&beat={beat}", path.path());
        Ok(Place { url, host, port, trust })
    }
}

async fn hold(
    login: &Login,
    place: &Place,
    sender: &SyncSender<Heard>,
    pause: &mut Duration,
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}:{}: {error}", place.host, place.port);
    let opening = async {
        let stream: AnyStream = match &place.trust {
            Some(trust) => {
                let at = Server::parse(&format!("{}:{}", place.host, place.port), Tls::Implicit)?;
                trust.connect(&at).await.map_err(|error| error.to_string())?
            }
            None => Box::new(
                TcpStream::connect((place.host.as_str(), place.port))
                    .await
                    .map_err(|error| failed(&error))?,
            ),
        };
        let mut request = place.url.as_str().into_client_request().map_err(|error| failed(&error))?;
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", login.user, login.password)));
        let mut basic = HeaderValue::from_str(&basic).map_err(|error| failed(&error))?;
        basic.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, basic);
        let config = WebSocketConfig::default().max_message_size(Some(OCTETS)).max_frame_size(Some(OCTETS));
        let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        opened.map(|(socket, _)| socket).map_err(|error| failed(&error))
    };
    let mut socket =
        tokio::time::timeout(OPEN, opening).await.map_err(|_| failed(&"not opened in time"))??;
    *pause = AGAIN.0;
    let mut beat = tokio::time::interval(Duration::from_secs(login.beat));
    // The server answers each sign of life: two without an answer are the end.
    let mut unanswered = 0;
    loop {
        tokio::select! {
            said = socket.next() => match said {
                None => return Ok(()),
                Some(Err(error)) => return Err(failed(&error)),
                Some(Ok(Message::Binary(octets))) => {
                    unanswered = 0;
                    let _ = sender.try_send(Heard::Package(bare(octets)));
                }
                Some(Ok(Message::Close(_))) => return Ok(()),
                Some(Ok(_)) => unanswered = 0,
            },
            _ = beat.tick() => {
                if unanswered >= 2 {
                    return Err(failed(&"it says nothing any more"));
                }
                unanswered += 1;
                socket.send(Message::Ping(Bytes::new())).await.map_err(|error| failed(&error))?;
            }
        }
    }
}
