//! A UDP proxy with known delays each way, jitter, loss and duplicates: what lies between a client and its time server.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A way through the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Milliseconds to the server.
    pub(crate) up: u64,
    /// Milliseconds back.
    pub(crate) down: u64,
    /// Up to as many more, either way.
    pub(crate) jitter: u64,
    /// Of a thousand datagrams, how many are lost.
    pub(crate) loss: u64,
    /// Of a thousand datagrams, how many come twice.
    pub(crate) dup: u64,
}

/// A proxy for one client, until dropped.
pub(crate) struct DelayProxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl DelayProxy {
    /// A proxy before `server`; the same seed loses and doubles the same datagrams.
    pub(crate) fn start(server: SocketAddr, path: Path, seed: u64) -> DelayProxy {
        let near = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let far = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = near.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let client = Arc::new(Mutex::new(None));
        let up = Way {
            from: Arc::clone(&near),
            to: Arc::clone(&far),
            delay: path.up,
            path,
            dice: Dice(seed),
            stop: Arc::clone(&stop),
        };
        let down =
            Way { from: far, to: near, delay: path.down, path, dice: Dice(!seed), stop: Arc::clone(&stop) };
        let known = Arc::clone(&client);
        thread::spawn(move || {
            up.run(|sender| {
                *known.lock().unwrap() = Some(sender);
                Some(server)
            })
        });
        thread::spawn(move || down.run(|_| *client.lock().unwrap()));
        DelayProxy { address, stop }
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Way {
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    delay: u64,
    path: Path,
    dice: Dice,
    stop: Arc<AtomicBool>,
}

impl Way {
    /// Carries datagrams to whom `receiver` names for their sender.
    fn run(mut self, receiver: impl Fn(SocketAddr) -> Option<SocketAddr>) {
        let mut waiting: BTreeMap<(Instant, u64), (Vec<u8>, SocketAddr)> = BTreeMap::new();
        let mut number = 0;
        let mut buffer = [0; 2048];
        while !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            while let Some(entry) = waiting.first_entry().filter(|entry| entry.key().0 <= now) {
                let (octets, to) = entry.remove();
                let _ = self.to.send_to(&octets, to);
            }
            let next = waiting.keys().next().map(|(due, _)| due.saturating_duration_since(now));
            let wait =
                next.unwrap_or(Duration::MAX).clamp(Duration::from_micros(100), Duration::from_millis(200));
            self.from.set_read_timeout(Some(wait)).unwrap();
            let Ok((length, sender)) = self.from.recv_from(&mut buffer) else { continue };
            let Some(to) = receiver(sender) else { continue };
            let copies = if self.dice.below(1000) < self.path.dup { 2 } else { 1 };
            for _ in 0..copies {
                if self.dice.below(1000) < self.path.loss {
                    continue;
                }
                number += 1;
                let micros = self.delay * 1000 + self.dice.below(self.path.jitter * 1000 + 1);
                let due = Instant::now() + Duration::from_micros(micros);
                waiting.insert((due, number), (buffer[..length].to_vec(), to));
            }
        }
    }
}

/// Repeatable chance (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
