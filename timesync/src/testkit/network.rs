//! A network whose every delay is known.

use alloc::vec::Vec;
use core::time::Duration;

use crate::rng::ChaCha;

/// One direction of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Least delay.
    pub delay: Duration,
    /// Up to this much more, at random.
    pub jitter: Duration,
    /// Datagrams lost, per million.
    pub loss: u32,
    /// Datagrams doubled, per million.
    pub duplicate: u32,
}

impl Path {
    /// A path that always takes this long.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Path { delay, jitter: Duration::ZERO, loss: 0, duplicate: 0 }
    }
}

/// Draws the fate of datagrams from a seed.
#[derive(Clone, Debug)]
pub struct SimNetwork {
    rng: ChaCha,
}

impl SimNetwork {
    /// A network whose luck follows from `seed`.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        SimNetwork { rng: ChaCha::new(seed) }
    }

    /// The delays after which copies of one datagram arrive; empty when it is lost.
    pub fn send(&mut self, path: &Path) -> Vec<Duration> {
        let copies = if self.chance(path.duplicate) { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let extra = self.rng.below(u64::try_from(path.jitter.as_nanos()).unwrap_or(u64::MAX));
            if !self.chance(path.loss) {
                arrivals.push(path.delay.saturating_add(Duration::from_nanos(extra)));
            }
        }
        arrivals
    }

    /// True `per_million` times in a million.
    pub fn chance(&mut self, per_million: u32) -> bool {
        self.rng.below(1_000_000) < u64::from(per_million)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.rng.below(limit)
    }
}
