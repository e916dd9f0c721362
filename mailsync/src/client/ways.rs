//! Where a watcher listens, as the server is told of it.

use crate::bearers::{Listen, Place};
use serde_json::Value;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

/// What the server is told of where we listen.
#[derive(Default)]
pub(super) struct Ways {
    pub(super) listen: Vec<Place>,
    pub(super) routes: Vec<String>,
}

impl Ways {
    pub(super) fn add(
        &mut self,
        open: &Listen,
        reached_at: Option<Place>,
        server: &str,
        id: &str,
        ready: &mut Value,
    ) -> Result<(), String> {
        match open {
            Listen::At(place) => {
                let place = match reached_at {
                    Some(place) => place,
                    None => reachable(*place, server)?,
                };
                let name = if matches!(place, Place::Udp(_)) { "udp" } else { "http" };
                ready[name] = place.address().to_string().into();
                self.listen.push(place);
            }
            Listen::Sip(at) => {
                ready["sip"] = at.to_string().into();
                self.routes.push(format!("sip_message sip:mailsync@{at} cost=1"));
                self.routes.push(format!("phone_push sip:mailsync@{at} cost=9"));
            }
            Listen::Smpp(centre) => ready["smpp"] = centre.as_str().into(),
            Listen::Channel => {
                ready["channel"] = server.into();
                let id: String = id.chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect();
                self.routes.push(format!("channel {id}"));
            }
        }
        Ok(())
    }
}

/// Where the server reaches us: where we listen, or, if that is everywhere, the address by which we reach it.
fn reachable(place: Place, server: &str) -> Result<Place, String> {
    let at = place.address();
    if !at.ip().is_unspecified() {
        return Ok(place);
    }
    let host = server
        .split_once("://")
        .map_or(server, |(_, rest)| rest)
        .split(['/', '?'])
        .next()
        .unwrap_or_default();
    let named = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let failed = |error: std::io::Error| format!("{host}: {error}; say --reached-at");
    let to = named.to_socket_addrs().map_err(failed)?.find(|to| to.is_ipv4() || at.is_ipv6());
    let to = to.ok_or_else(|| format!("{host}: no address; say --reached-at"))?;
    let from: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket =
        UdpSocket::bind(from).and_then(|socket| socket.connect(to).map(|()| socket)).map_err(failed)?;
    let own = socket.local_addr().map_err(failed)?;
    Ok(place.at((own.ip(), at.port()).into()))
}
