//! The UDP loop over real sockets on loopback: honest, wrong, silent and rude servers.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::time::Duration;

use timesync::drive::{Driver, Settings, serve, system_time};
use timesync::sntp::{Event, ServerStatus};
use timesync::{KissCode, Reading, SourceId, UnixTime};
use tokio::net::UdpSocket;

const BUILT: UnixTime = UnixTime::from_secs(1_790_000_000);

/// A server of our own that is wrong by `error` nanoseconds.
async fn server(error: i64) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        serve(&socket, || (ServerStatus::primary(), Reading::exact(system_time().plus(error)))).await
    });
    address
}

async fn until(driver: &mut Driver, mut done: impl FnMut(&Event) -> bool) -> Event {
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let event = driver.next().await.unwrap();
            if done(&event) {
                return event;
            }
        }
    })
    .await
    .unwrap()
}

// mission: T1
#[tokio::test]
async fn three_servers_one_of_them_wrong_by_an_hour() {
    let addresses = [server(0).await, server(-3_600_000_000_000).await, server(0).await];
    let mut driver = Driver::bind(Settings::new(&addresses, BUILT, [1; 32])).await.unwrap();
    let three = |e: &Event| matches!(e, Event::Synchronised(s) if s.truechimers.len() == 2 && s.falsetickers == [SourceId(1)]);
    until(&mut driver, three).await;
    let offset = driver.system_offset().unwrap();
    assert!(offset.contains(0), "{offset:?}");
    assert!(offset.radius() < 1_000_000_000);
    let reading = driver.reading().unwrap();
    assert!(system_time().since(reading.time).unsigned_abs() < 1_000_000_000 + reading.radius);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_lost_datagram() {
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut settings = Settings::new(&[closed, server(0).await], BUILT, [2; 32]);
    settings.config.timeout = Duration::from_millis(300);
    let mut driver = Driver::bind(settings).await.unwrap();
    until(&mut driver, |e| matches!(e, Event::TimedOut { from: SourceId(0) })).await;
    assert!(driver.system_offset().unwrap().contains(0));
}

#[tokio::test]
async fn a_server_that_says_deny_is_left_alone() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 100];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let kiss = timesync::sntp::Server::default().kiss(&buffer[..length], KissCode::DENY).unwrap();
        socket.send_to(&kiss, from).await.unwrap();
        // Garbage of every kind after it changes nothing.
        for length in [0, 1, 47, 48, 100] {
            socket.send_to(&buffer[..length], from).await.unwrap();
        }
    });
    let mut driver = Driver::bind(Settings::new(&[address], BUILT, [3; 32])).await.unwrap();
    until(&mut driver, |e| matches!(e, Event::KissOfDeath { code: KissCode::DENY, .. })).await;
    let more = tokio::time::timeout(Duration::from_millis(300), driver.next()).await;
    assert!(more.is_err() || matches!(more, Ok(Ok(Event::Refused { .. }))), "{more:?}");
    assert!(driver.reading().is_none());
}
