//! Where a request comes from, and under what address its sender reaches us.
//!
//! What a proxy adds (`X-Forwarded-For`, `-Proto`, `-Host`, `-Prefix`) is believed of the proxies that the configuration
//! names, and of nobody else: anybody can write these headers.

use crate::daemon::config::Network;
use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, HOST};
use std::net::{IpAddr, SocketAddr};

/// What this listener is, and who stands before it.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Door {
    /// Where it listens.
    pub(in crate::daemon) listen: SocketAddr,
    /// It speaks TLS itself.
    pub(in crate::daemon) tls: bool,
    /// Proxies of ours.
    pub(in crate::daemon) trusted: Vec<Network>,
    /// The address of the SyncML endpoint, where the configuration says it.
    pub(in crate::daemon) public_url: Option<String>,
}

impl Door {
    /// Whether a proxy of ours is at an address.
    pub(in crate::daemon) fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address.to_canonical()))
    }

    /// The path before our endpoints in the address that the configuration says.
    pub(super) fn public_prefix(&self) -> Option<&str> {
        let (_, rest) = self.public_url.as_deref()?.split_once("://")?;
        let path = rest.get(rest.find('/')?..)?.strip_suffix(super::PATH)?;
        prefix(path).filter(|path| !path.is_empty())
    }

    /// The address of an endpoint, for who asks nobody.
    pub(in crate::daemon) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.tls { "https" } else { "http" }, self.listen)
    }
}

/// A request's way to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Origin {
    /// Whose it is, as far as we know: behind a proxy of ours the client.
    pub(in crate::daemon) peer: IpAddr,
    /// It came over TLS from the client to us, or to a proxy of ours.
    pub(in crate::daemon) secure: bool,
    /// Who connected says that somebody else is behind, and is no proxy of ours.
    pub(in crate::daemon) hidden: bool,
    base: String,
}

impl Origin {
    pub(in crate::daemon) fn of(door: &Door, peer: SocketAddr, headers: &HeaderMap) -> Self {
        let peer = peer.ip().to_canonical();
        let proxied = door.is_proxy(peer);
        let forwards = headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for");
        // With several proxies in a row each adds a line; the last one is of the one that connected.
        let said = |name: &str| {
            let last = headers.get_all(name).iter().next_back()?.to_str().ok()?;
            last.rsplit(',').next().map(str::trim).filter(|_| proxied)
        };
        let secure =
            door.tls || said("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = said("x-forwarded-host").and_then(host).or_else(|| asked.and_then(host));
        let prefix = said("x-forwarded-prefix").and_then(prefix).unwrap_or_default();
        let base = match &door.public_url {
            Some(url) => url.strip_suffix(super::PATH).unwrap_or(url).to_owned(),
            None => {
                let host = host.map_or_else(|| door.listen.to_string(), str::to_owned);
                format!("{}://{host}{prefix}", if secure { "https" } else { "http" })
            }
        };
        let client = if proxied { client(door, headers) } else { None };
        Origin { peer: client.unwrap_or(peer), secure, hidden: forwards && client.is_none(), base }
    }

    /// The address under which the sender reaches an endpoint of ours.
    pub(in crate::daemon) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// The last address that no proxy of ours has.
fn client(door: &Door, headers: &HeaderMap) -> Option<IpAddr> {
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or_default()).collect();
    let mut found = None;
    for word in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // What stands before nonsense is nobody's word.
        let address = address(word.trim())?;
        found = Some(address);
        if !door.is_proxy(address) {
            break;
        }
    }
    found
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(word: &str) -> Option<IpAddr> {
    let alone = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
    let with_port = || word.parse::<SocketAddr>().ok().map(|address| address.ip());
    alone.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

/// A host that may stand in a URL.
fn host(host: &str) -> Option<&str> {
    let good = |octet: u8| octet.is_ascii_alphanumeric() || b".-:[]_".contains(&octet);
    (!host.is_empty() && host.len() <= 128 && host.bytes().all(good)).then_some(host)
}

/// A path that may stand in a URL, without its last slash.
fn prefix(path: &str) -> Option<&str> {
    let good = |octet: u8| octet.is_ascii_alphanumeric() || b"/.-_~".contains(&octet);
    let fits = path.starts_with('/') && !path.starts_with("//") && path.len() <= 128;
    (fits && path.bytes().all(good)).then(|| path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn door(trusted: &[&str]) -> Door {
        let trusted = trusted.iter().map(|network| Network::try_from((*network).to_owned()).unwrap());
        Door {
            listen: "127.0.0.1:8080".parse().unwrap(),
            tls: false,
            trusted: trusted.collect(),
            public_url: None,
        }
    }

    fn of(door: &Door, peer: &str, headers: &[(&str, &str)]) -> Origin {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Origin::of(door, format!("{peer}:4000").parse().unwrap(), &map)
    }

    const ALL: [(&str, &str); 5] = [
        ("host", "127.0.0.1:8080"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "sync.example.org"),
        ("x-forwarded-prefix", "/sync/"),
    ];

    #[test]
    fn a_proxy_of_ours_is_believed() {
        let origin = of(&door(&["10.0.0.0/8"]), "10.0.0.1", &ALL);
        assert_eq!((origin.peer, origin.secure), ("203.0.113.9".parse().unwrap(), true));
        assert_eq!(origin.url("/syncml"), "https://sync.example.org/sync/syncml");
        assert!(!origin.hidden);
        let told = Door { public_url: Some("https://a.example/x/syncml".into()), ..door(&[]) };
        assert_eq!(of(&told, "10.0.0.1", &ALL).url("/dm"), "https://a.example/x/dm");
        assert_eq!(told.public_prefix(), Some("/x"));
        for whole in ["https://a.example/syncml", "https://a.example", "https://a.example/x/other"] {
            let told = Door { public_url: Some(whole.into()), ..door(&[]) };
            assert_eq!(told.public_prefix(), None, "{whole}");
        }
    }

    // spec: threats S4
    #[test]
    fn threat_s4_nobody_else_is() {
        for peer in ["203.0.113.1", "127.0.0.1"] {
            let origin = of(&door(&["10.0.0.0/8"]), peer, &ALL);
            assert_eq!((origin.peer, origin.secure), (peer.parse().unwrap(), false));
            assert_eq!(origin.url("/syncml"), "http://127.0.0.1:8080/syncml");
            assert!(origin.hidden, "who forwards for somebody is not the client");
        }
        assert!(!of(&door(&[]), "127.0.0.1", &ALL[..1]).hidden);
    }

    #[test]
    fn what_a_client_wrote_before_the_proxy_did_does_not_count() {
        let ours = door(&["10.0.0.0/8"]);
        for (line, client) in [
            ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
            ("127.0.0.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
            ("127.0.0.1,[2001:db8::1]:443", "2001:db8::1"),
            ("203.0.113.9:81", "203.0.113.9"),
            ("10.0.0.3, 10.0.0.4", "10.0.0.3"),
        ] {
            let origin = of(&ours, "10.0.0.1", &[("x-forwarded-for", line)]);
            assert_eq!(origin.peer, client.parse::<IpAddr>().unwrap(), "{line}");
        }
        let lines = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(of(&ours, "10.0.0.1", &lines).peer, "203.0.113.9".parse::<IpAddr>().unwrap());
        for nonsense in ["", "unknown", "127.0.0.1, x", "1.2.3", "999.1.1.1"] {
            let origin = of(&ours, "10.0.0.1", &[("x-forwarded-for", nonsense)]);
            assert!(origin.hidden, "{nonsense:?}");
            assert_eq!(origin.peer, "10.0.0.1".parse::<IpAddr>().unwrap(), "{nonsense:?}");
        }
    }

    #[test]
    fn what_cannot_stand_in_a_url_is_left_out() {
        for (host, prefix) in [("a b", "sync"), ("a/b", "//evil.example"), ("x@y", "/a?b"), ("", "/a%2e")] {
            let headers = [("host", "h.example"), ("x-forwarded-host", host), ("x-forwarded-prefix", prefix)];
            let origin = of(&door(&["127.0.0.1"]), "127.0.0.1", &headers);
            assert_eq!(origin.url("/syncml"), "http://h.example/syncml", "{host:?} {prefix:?}");
        }
    }
}
