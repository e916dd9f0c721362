//! A thin UDP loop around the SNTP engines: sockets and a clock, no decisions.
//!
//! ```no_run
//! use timesync::drive::{Driver, Settings};
//! use timesync::sntp::Event;
//! use timesync::UnixTime;
//! # async fn run() -> std::io::Result<()> {
//! let servers = ["192.0.2.1:123".parse().unwrap(), "192.0.2.2:123".parse().unwrap()];
//! let settings = Settings::new(&servers, UnixTime::from_secs(1_795_000_000), [0; 32]); // a real seed, please
//! let mut driver = Driver::bind(settings).await?;
//! loop {
//!     if let Event::Synchronised(_) = driver.next().await? {
//!         println!("{:?}", driver.reading());
//!     }
//! }
//! # }
//! ```

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::instant::{Interval, Reading, UnixTime};
use crate::request::MAX_DATAGRAM;
use crate::select::SourceId;
use crate::sntp::{Client, Config, Event, Input, Known, Output, Server, ServerStatus};

/// Whom to ask, and with what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engine's configuration; server `n` of the list is `SourceId(n)`.
    pub config: Config,
    /// Addresses of the servers, in the order of the configuration.
    pub addresses: Vec<SocketAddr>,
    /// 32 octets of real entropy.
    pub seed: [u8; 32],
}

impl Settings {
    /// Default configuration for these servers; `not_before` is the build date.
    #[must_use]
    pub fn new(addresses: &[SocketAddr], not_before: UnixTime, seed: [u8; 32]) -> Self {
        let servers = (0..addresses.len()).filter_map(|n| u32::try_from(n).ok()).map(SourceId).collect();
        Settings { config: Config::new(servers, not_before), addresses: addresses.to_vec(), seed }
    }
}

/// A client engine with its sockets: one connected socket per server, so that the system drops datagrams from
/// any other address.
#[derive(Debug)]
pub struct Driver {
    engine: Client,
    sockets: Vec<UdpSocket>,
    start: Instant,
}

impl Driver {
    /// Opens the sockets; the first requests go out with the first [`next`](Self::next).
    ///
    /// # Errors
    /// Those of binding and connecting.
    pub async fn bind(settings: Settings) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(settings.addresses.len());
        for address in &settings.addresses {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            sockets.push(socket);
        }
        let engine = Client::new(settings.config, settings.seed, Duration::ZERO, system_time());
        Ok(Driver { engine, sockets, start: Instant::now() })
    }

    /// Runs until something happened. Safe to cancel: nothing is lost but time.
    ///
    /// # Errors
    /// Those of the sockets, except "nobody listens there", which is a lost datagram like any other.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            while let Some(output) = self.engine.poll_output() {
                match output {
                    Output::Event(event) => return Ok(event),
                    Output::Transmit { to, bytes } => {
                        if let Some(socket) = self.sockets.get(to.0 as usize) {
                            ignore_unreachable(socket.send(&bytes).await)?;
                        }
                    }
                }
            }
            let Some(deadline) = self.engine.poll_timeout() else { return core::future::pending().await };
            let deadline = self.start + deadline;
            tokio::select! {
                received = receive(&self.sockets) => {
                    let (from, bytes) = received?;
                    let now = self.start.elapsed();
                    self.engine.handle_input(now, Input::Datagram { from, bytes: &bytes });
                }
                () = tokio::time::sleep_until(deadline) => {
                    self.engine.handle_timeout(self.start.elapsed());
                }
            }
        }
    }

    /// The time now, or `None` while nothing is known.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        self.engine.reading(self.start.elapsed())
    }

    /// True time minus the system's clock.
    #[must_use]
    pub fn system_offset(&self) -> Option<Interval> {
        // The wall is read between two looks at the monotonic clock; the reading is of the second.
        let before = self.start.elapsed();
        let wall = system_time();
        let after = self.start.elapsed();
        let offset = self.engine.offset_of(after, wall)?;
        let gap = u64::try_from(after.saturating_sub(before).as_nanos()).unwrap_or(u64::MAX);
        Some(offset.widen(gap))
    }

    /// What is known now, as a value that needs no driver any more, and the origin of its monotonic clock.
    #[must_use]
    pub fn known(&self) -> Option<(Known, Instant)> {
        Some((self.engine.known()?, self.start))
    }

    /// The engine, for everything it can tell.
    #[must_use]
    pub const fn engine(&self) -> &Client {
        &self.engine
    }
}

/// The next datagram of any socket.
async fn receive(sockets: &[UdpSocket]) -> io::Result<(SourceId, Vec<u8>)> {
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    core::future::poll_fn(|context| {
        for (number, socket) in sockets.iter().enumerate() {
            let mut read = tokio::io::ReadBuf::new(&mut buffer);
            match socket.poll_recv(context, &mut read) {
                core::task::Poll::Ready(Ok(())) => {
                    let from = SourceId(u32::try_from(number).unwrap_or(u32::MAX));
                    return core::task::Poll::Ready(Ok((from, read.filled().to_vec())));
                }
                core::task::Poll::Ready(Err(error)) if !is_unreachable(&error) => {
                    return core::task::Poll::Ready(Err(error));
                }
                core::task::Poll::Ready(Err(_)) => context.waker().wake_by_ref(),
                core::task::Poll::Pending => {}
            }
        }
        core::task::Poll::Pending
    })
    .await
}

/// Answers requests on a socket for ever, with the system's clock. `status` is asked for each reply.
///
/// # Errors
/// Those of the socket.
pub async fn serve(
    socket: &UdpSocket,
    mut status: impl FnMut() -> (ServerStatus, Reading),
) -> io::Result<()> {
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Err(error) if is_unreachable(&error) => continue,
            other => other?,
        };
        let (_, received) = status();
        let datagram = buffer.get(..length).unwrap_or_default();
        let (mut said, transmit) = status();
        said.root_dispersion = said.root_dispersion.saturating_add(transmit.radius);
        if let Some(reply) = Server::default().reply(datagram, received.time, transmit.time, &said) {
            ignore_unreachable(socket.send_to(&reply, from).await)?;
        }
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

fn ignore_unreachable(sent: io::Result<usize>) -> io::Result<()> {
    match sent {
        Err(error) if !is_unreachable(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The system's idea of UTC.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this module is the host's side: it owns socket and clock")]
pub fn system_time() -> UnixTime {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => UnixTime::EPOCH.after(since),
        Err(before) => UnixTime::EPOCH.before(before.duration()),
    }
}
