//! IP push: a datagram, an HTTP callback; and the magic packet that wakes a machine for it.

use super::engine::{Engine, Instruction, Sending, Sent};
use crate::bearers::{self, Place};
use pushpolicy::bearer::wap::{ContentType, Push};
use pushpolicy::bearer::wol::{MacAddress, Password, magic_packet};
use pushpolicy::sent::Delivery;
use std::net::SocketAddr;
use std::time::Duration;

/// Where connectionless WSP push is heard; anywhere else the notification comes as it is.
const WAP_PUSH: u16 = 2948;
/// Magic packets, and how far apart: nobody answers one.
const WAKES: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(100);

/// A datagram.
#[derive(Debug)]
pub(super) struct Udp;

impl Engine for Udp {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move {
            let Ok(to) = push.address.parse::<SocketAddr>() else {
                return Sent::refused("no address");
            };
            let package = if to.port() == WAP_PUSH {
                match Push::new(1, ContentType::DS_ALERT, push.package.to_vec()).encode() {
                    Ok(pdu) => pdu.into(),
                    Err(error) => return Sent::refused(error),
                }
            } else {
                push.package.clone()
            };
            match bearers::send(Place::Udp(to), package).await {
                // Nobody says whether it came.
                Ok(()) => Sent::new(Delivery::Unknown, "sent"),
                Err(words) => Sent::unreachable(words),
            }
        })
    }
}

/// A POST.
#[derive(Debug)]
pub(super) struct Http;

impl Engine for Http {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move {
            let Ok(to) = push.address.parse::<SocketAddr>() else {
                return Sent::refused("no address");
            };
            match bearers::send(Place::Http(to), push.package.clone()).await {
                Ok(()) => Sent::new(Delivery::Delivered, "taken"),
                Err(words) if words == "HTTP 404" || words == "HTTP 410" => Sent::new(Delivery::Gone, words),
                Err(words) => Sent::unreachable(words),
            }
        })
    }
}

/// Where magic packets for a machine go: `MAC HOST:PORT`, the host being an address.
pub(crate) fn parse_wake(text: &str) -> Result<(MacAddress, SocketAddr), String> {
    let bad = || format!("{text:?}: say MAC ADDRESS:PORT, as in \"02:00:00:00:00:01 192.0.2.255:9\"");
    let (mac, at) = text.split_once(' ').ok_or_else(bad)?;
    Ok((mac.parse().map_err(|_| bad())?, at.parse().map_err(|_| bad())?))
}

/// Sends magic packets.
// mission: P6
pub(super) async fn wake(text: &str) -> Result<(), String> {
    let (mac, to) = parse_wake(text)?;
    let packet = magic_packet(mac, Password::None);
    let from: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let failed = |error: std::io::Error| format!("{to}: {error}");
    let socket = tokio::net::UdpSocket::bind(from).await.map_err(failed)?;
    socket.set_broadcast(true).map_err(failed)?;
    for _ in 0..WAKES {
        socket.send_to(&packet, to).await.map_err(failed)?;
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(())
}
