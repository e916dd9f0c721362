//! Slows down who guesses passwords, and locks nobody out.

use mailsync_proto::sync::event::Event;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

// spec: threats, default limits
/// Failures that cost nothing.
const FREE: u32 = 5;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The longest delay.
const MOST: Duration = Duration::from_secs(60);
/// Users and devices remembered; strangers choose their names, so there is an end.
const REMEMBERED: usize = 10_000;

/// Failed logins by user and device.
#[derive(Debug, Default)]
pub(super) struct Delays {
    failures: Mutex<HashMap<(Box<str>, Box<str>), (u32, Instant)>>,
}

impl Delays {
    /// How long the answer to a message with these events waits.
    pub(super) fn after(&self, events: &[Event]) -> Duration {
        self.after_at(events, Instant::now())
    }

    fn after_at(&self, events: &[Event], now: Instant) -> Duration {
        let mut delay = Duration::ZERO;
        for event in events {
            match event {
                Event::LoggedIn { user, device } => {
                    self.lock().remove(&(user.clone(), device.clone()));
                }
                // 407 is a client that has not been asked yet.
                Event::LoginRefused { user, device, code } if *code != 407 => {
                    delay = delay.max(self.failed((user.clone(), device.clone()), now));
                }
                _ => {}
            }
        }
        delay
    }

    fn failed(&self, key: (Box<str>, Box<str>), now: Instant) -> Duration {
        let mut failures = self.lock();
        if failures.len() >= REMEMBERED {
            failures.retain(|_, (_, last)| now.duration_since(*last) < WINDOW);
        }
        if failures.len() >= REMEMBERED {
            failures.clear();
        }
        let (count, last) = failures.entry(key).or_insert((0, now));
        if now.duration_since(*last) >= WINDOW {
            *count = 0;
        }
        *count = count.saturating_add(1);
        *last = now;
        match count.checked_sub(FREE) {
            None | Some(0) => Duration::ZERO,
            Some(over) => Duration::from_secs(1u64.checked_shl(over - 1).unwrap_or(u64::MAX)).min(MOST),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Box<str>, Box<str>), (u32, Instant)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(user: &str, code: u16) -> Vec<Event> {
        vec![Event::LoginRefused { user: user.into(), device: "d".into(), code }]
    }

    #[test]
    fn guesses_get_slower_and_time_or_a_login_forgives() {
        let delays = Delays::default();
        let start = Instant::now();
        let mut seconds = Vec::new();
        for _ in 0..14 {
            seconds.push(delays.after_at(&refused("a", 401), start).as_secs());
        }
        assert_eq!(seconds, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(delays.after_at(&refused("b", 401), start), Duration::ZERO, "others are not slowed");
        assert_eq!(delays.after_at(&refused("a", 401), start + WINDOW), Duration::ZERO);
        for _ in 0..9 {
            delays.after_at(&refused("c", 401), start);
        }
        delays.after_at(&[Event::LoggedIn { user: "c".into(), device: "d".into() }], start);
        assert_eq!(delays.after_at(&refused("c", 401), start), Duration::ZERO);
        for _ in 0..20 {
            assert_eq!(
                delays.after_at(&refused("e", 407), start),
                Duration::ZERO,
                "a first question is no guess"
            );
        }
    }

    #[test]
    fn strangers_do_not_fill_memory() {
        let delays = Delays::default();
        let start = Instant::now();
        for n in 0..REMEMBERED * 2 {
            delays.after_at(&refused(&n.to_string(), 401), start);
        }
        assert!(delays.lock().len() <= REMEMBERED);
    }
}
