//! Slows down who guesses passwords, and locks nobody out. What a failure costs is decided in `syncml`.

use crate::turns::unix_now;
use mailsync_proto::sync::event::Event;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use syncml::StatusCode;
use syncml::session::Attempts;

/// Users and devices remembered; strangers choose their names, so there is an end.
const REMEMBERED: usize = 10_000;

/// Failed logins by user and device.
#[derive(Debug, Default)]
pub(super) struct Delays {
    failures: Mutex<Failures>,
}

/// By user and device.
type Failures = HashMap<(Box<str>, Box<str>), Attempts>;

impl Delays {
    /// How long the answer to a message with these events waits.
    pub(super) fn after(&self, events: &[Event]) -> Duration {
        self.after_at(events, unix_now())
    }

    fn after_at(&self, events: &[Event], now: u64) -> Duration {
        let mut delay = 0;
        for event in events {
            match event {
                Event::LoggedIn { user, device } => {
                    self.lock().remove(&(user.clone(), device.clone()));
                }
                Event::LoginRefused { user, device, code } => {
                    delay = delay.max(self.failed((user.clone(), device.clone()), StatusCode(*code), now));
                }
                _ => {}
            }
        }
        Duration::from_secs(delay)
    }

    /// Seconds.
    fn failed(&self, key: (Box<str>, Box<str>), code: StatusCode, now: u64) -> u64 {
        let mut failures = self.lock();
        if failures.len() >= REMEMBERED {
            failures.retain(|_, attempts| !attempts.is_forgotten(now));
        }
        if failures.len() >= REMEMBERED {
            failures.clear();
        }
        let attempts = failures.get(&key).copied().unwrap_or_default().failed(code, now);
        if attempts == Attempts::default() {
            return 0;
        }
        failures.insert(key, attempts);
        attempts.delay_s()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Failures> {
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
        let start = 1_000_000;
        let mut seconds = Vec::new();
        for _ in 0..14 {
            seconds.push(delays.after_at(&refused("a", 401), start).as_secs());
        }
        assert_eq!(seconds, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(delays.after_at(&refused("b", 401), start), Duration::ZERO, "others are not slowed");
        assert_eq!(delays.after_at(&refused("a", 401), start + 900), Duration::ZERO);
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
        let start = 1_000_000;
        for n in 0..REMEMBERED * 2 {
            delays.after_at(&refused(&n.to_string(), 401), start);
        }
        assert!(delays.lock().len() <= REMEMBERED);
    }
}
