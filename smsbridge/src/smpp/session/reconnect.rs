//! When to try again after a link is over.

use super::Reason;
use crate::smpp::CommandStatus;
use std::time::Duration;

/// Delays between attempts to bind: they double, with jitter from a seed, so that a thousand clients of a centre that
/// comes back do not all come at once.
///
/// A refused account or password waits long from the start: hammering locks accounts. "Already bound" is a centre
/// that has not noticed yet that our last link broke; that takes minutes.
#[derive(Clone, Debug)]
pub struct Reconnect {
    attempts: u32,
    random: u64,
}

impl Reconnect {
    /// With a seed of the host's, other for each client.
    pub fn new(seed: u64) -> Self {
        Reconnect { attempts: 0, random: seed | 1 }
    }

    /// The bind stands: the next failure begins at the shortest delay.
    pub fn bound(&mut self) {
        self.attempts = 0;
    }

    /// How long to wait after a link that ended for this reason.
    pub fn delay(&mut self, reason: &Reason) -> Duration {
        let (first, most) = match reason {
            Reason::Unbound => (1, 30),
            Reason::BindRefused(CommandStatus::RALYBND) => (15, 120),
            Reason::BindRefused(
                CommandStatus::RBINDFAIL | CommandStatus::RINVPASWD | CommandStatus::RINVSYSID,
            ) => (60, 1_800),
            Reason::BindRefused(_) => (10, 300),
            _ => (1, 60),
        };
        let doubled = Duration::from_secs(first) * 2u32.pow(self.attempts.min(10));
        self.attempts = self.attempts.saturating_add(1);
        let delay = doubled.min(Duration::from_secs(most));
        // three quarters to five quarters
        delay * 3 / 4 + delay.mul_f64(self.fraction() / 2.0)
    }

    /// 0 to 1; xorshift, which is good enough to spread clients.
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let top = u32::try_from(self.random >> 32).unwrap_or(0);
        f64::from(top) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_bounded() {
        let mut reconnect = Reconnect::new(42);
        let seconds: Vec<f64> = (0..40).map(|_| reconnect.delay(&Reason::LinkClosed).as_secs_f64()).collect();
        assert!((0.75..=1.25).contains(&seconds[0]));
        assert!((1.5..=2.5).contains(&seconds[1]));
        assert!(seconds.iter().all(|&delay| delay <= 75.0));
        assert!(seconds[39] >= 45.0);
        reconnect.bound();
        assert!(reconnect.delay(&Reason::LinkClosed) < Duration::from_secs(2));
        reconnect.bound();
        let refused = Reason::BindRefused(CommandStatus::RINVPASWD);
        assert!(reconnect.delay(&refused) >= Duration::from_secs(45));
    }

    #[test]
    fn seeds_differ() {
        let delay = |seed| Reconnect::new(seed).delay(&Reason::Silent);
        assert_ne!(delay(0x1234_5678_9ABC), delay(0xFEDC_BA98_7654));
        assert_eq!(delay(7), delay(7));
    }
}
