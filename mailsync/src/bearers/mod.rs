//! The ways on which a notification (Package #0) goes to a device: the sockets, and nothing else.
//!
//! A place is text in the device's own object (`udp:HOST:PORT`, `http:HOST:PORT`); its host is an address and never a name, so
//! that what was checked is what is reached.

pub(crate) mod calls;
pub(crate) mod channel;
mod listen;
mod phone;
mod sip;
pub(crate) mod web_push;

pub(crate) use listen::{Heard, Listen, Listener, Logins};

use bytes::Bytes;
use pushpolicy::Bearer;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use syncml::san;

/// How long a callback may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a device listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A datagram with the notification.
    Udp(SocketAddr),
    /// A POST of the notification, to the root.
    Http(SocketAddr),
}

impl Place {
    /// Reads `udp:HOST:PORT` or `http:HOST:PORT`.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?}: say udp:ADDRESS:PORT or http:ADDRESS:PORT");
        let (scheme, at) = text.split_once(':').ok_or_else(bad)?;
        let at: SocketAddr = at.trim_start_matches('/').trim_end_matches('/').parse().map_err(|_| bad())?;
        match scheme {
            "udp" => Ok(Place::Udp(at)),
            "http" => Ok(Place::Http(at)),
            _ => Err(bad()),
        }
    }

    /// What carries it.
    pub(crate) fn bearer(self) -> Bearer {
        match self {
            Place::Udp(_) => Bearer::Udp,
            Place::Http(_) => Bearer::Http,
        }
    }

    /// The address, as a push instruction names it.
    pub(crate) fn target(self) -> String {
        self.address().to_string()
    }

    /// The address.
    pub(crate) fn address(self) -> SocketAddr {
        match self {
            Place::Udp(at) | Place::Http(at) => at,
        }
    }

    /// The same way to another address.
    pub(crate) fn at(self, address: SocketAddr) -> Self {
        match self {
            Place::Udp(_) => Place::Udp(address),
            Place::Http(_) => Place::Http(address),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Udp(at) => write!(f, "udp:{at}"),
            Place::Http(at) => write!(f, "http:{at}"),
        }
    }
}

/// Sends a notification.
///
/// # Errors
/// In words. That it went does not say that it came: only a session does.
pub(crate) async fn send(place: Place, package: Bytes) -> Result<(), String> {
    match place {
        Place::Udp(to) => {
            let from: SocketAddr = if to.is_ipv4() {
                (Ipv4Addr::UNSPECIFIED, 0).into()
            } else {
                (Ipv6Addr::UNSPECIFIED, 0).into()
            };
            let socket = tokio::net::UdpSocket::bind(from).await.map_err(text)?;
            socket.send_to(&package, to).await.map(|_| ()).map_err(text)
        }
        Place::Http(to) => {
            let client = reqwest::Client::builder()
                .timeout(PATIENCE)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(text)?;
            let request = client
                .post(format!("http://{to}/"))
                .header(reqwest::header::CONTENT_TYPE, san::MIME_TYPE)
                .body(package);
            let answer = request.send().await.map_err(text)?;
            let status = answer.status();
            if status.is_success() { Ok(()) } else { Err(format!("HTTP {}", status.as_u16())) }
        }
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_addresses_and_never_names() {
        for good in ["udp:127.0.0.1:4000", "http:[::1]:80"] {
            assert_eq!(Place::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(Place::parse("http://127.0.0.1:1/").unwrap(), Place::parse("http:127.0.0.1:1").unwrap());
        for bad in [
            "",
            "udp:",
            "udp:host:1",
            "tcp:127.0.0.1:1",
            "http:127.0.0.1",
            "http:127.0.0.1:1/x",
            "udp:1.2.3.4:99999",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
