//! A TCP proxy before the server: it counts octets, and can cut the line at a chosen one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The way from the clients to the server. It stays when the server is restarted.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    octets: AtomicU64,
    trap: Mutex<Option<Trap>>,
    /// While set, connections are refused: the server is away.
    cut: AtomicBool,
}

struct Trap {
    /// Octets that still pass from the server.
    left: u64,
    moment: Moment,
    fire: Sender<()>,
}

/// When exactly a line is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// In the middle of an answer: the client has a part of it.
    InAnAnswer,
    /// When the next request has just reached the server: it works on it.
    AfterARequest,
}

impl Proxy {
    /// Opens the way to a server.
    pub(super) fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server,
            octets: AtomicU64::new(0),
            trap: Mutex::new(None),
            cut: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        // Ends with the process; there is one proxy in it.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.connect(client));
            }
        });
        Ok(Proxy { address, shared })
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All octets so far, both directions, with HTTP's own.
    pub(super) fn octets(&self) -> u64 {
        self.shared.octets.load(Ordering::SeqCst)
    }

    /// Cuts the line once `octets` more came from the server; the receiver hears of it.
    pub(super) fn cut_after(&self, octets: u64, moment: Moment) -> Receiver<()> {
        let (fire, fired) = channel();
        *self.shared.trap.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Trap { left: octets, moment, fire });
        fired
    }

    /// The server is back.
    pub(super) fn mend(&self) {
        self.shared.cut.store(false, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Shared {
    fn connect(self: Arc<Self>, client: TcpStream) {
        if self.cut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect_timeout(&self.server, Duration::from_secs(5)) else { return };
        // Without this, small messages wait for acknowledgements.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { return };
        let back = Arc::clone(&self);
        thread::spawn(move || back.pump(server2, client2, Direction::ToClient));
        self.pump(client, server, Direction::ToServer);
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, direction: Direction) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let Some(octets) = buffer.get(..count) else { break };
            let pass = self.passes(octets.len(), direction);
            let Some(passing) = octets.get(..pass.octets) else { break };
            if to.write_all(passing).is_err() {
                break;
            }
            self.octets.fetch_add(passing.len() as u64, Ordering::SeqCst);
            if let Some(fire) = pass.then_cut {
                self.cut.store(true, Ordering::SeqCst);
                let _ = fire.send(());
                break;
            }
        }
        // The other direction ends with this one. A socket that is closed already needs no closing.
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    fn passes(&self, count: usize, direction: Direction) -> Pass {
        let all = Pass { octets: count, then_cut: None };
        let mut guard = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(trap) = guard.as_mut() else { return all };
        let left = usize::try_from(trap.left).unwrap_or(usize::MAX);
        let cut = match (direction, trap.moment) {
            (Direction::ToServer, Moment::AfterARequest) if left == 0 => Some(count),
            (Direction::ToClient, Moment::InAnAnswer) if left < count => Some(left),
            _ => None,
        };
        if let Some(octets) = cut {
            return Pass { octets, then_cut: guard.take().map(|trap| trap.fire) };
        }
        if direction == Direction::ToClient {
            trap.left = trap.left.saturating_sub(count as u64);
        }
        all
    }
}

struct Pass {
    octets: usize,
    then_cut: Option<Sender<()>>,
}
