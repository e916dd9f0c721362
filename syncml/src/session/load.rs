//! How much a server takes: sessions at once, their life, and who guesses passwords. Decided from counts that the
//! host supplies.

use crate::model::StatusCode;
use serde::{Deserialize, Serialize};

/// What a server's sessions may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLimits {
    /// Sessions of one user at once; a device has one, and a new login ends it.
    pub per_user: u32,
    /// Messages at once of which the sender is not known.
    pub strangers: u32,
    /// Seconds without a message after which a session is over.
    pub idle_s: u64,
    /// Seconds after which it is over in any case.
    pub life_s: u64,
}

impl Default for SessionLimits {
    // spec: threats, default limits
    fn default() -> Self {
        SessionLimits { per_user: 16, strangers: 1_000, idle_s: 600, life_s: 24 * 3_600 }
    }
}

/// What the host knows of its load when a message comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages in work of which the sender is not known.
    pub strangers: u32,
    /// No more work is taken: every message is answered with 503, nothing of it is executed.
    pub overloaded: bool,
    /// What a message changes is taken, but our own changes come later: 101, and the client asks again with
    /// Alert 221.
    pub busy: bool,
}

#[cfg(feature = "server")]
impl SessionLimits {
    /// With what a message is refused before anybody looks at who sent it.
    pub(crate) fn turned_away(&self, load: &Load) -> Option<StatusCode> {
        (load.overloaded || load.strangers > self.strangers).then_some(StatusCode::UNAVAILABLE)
    }

    /// With what a login is refused although it is good; `sessions` are those of the user's other devices.
    pub(crate) fn one_too_many(&self, sessions: u32) -> Option<StatusCode> {
        (sessions >= self.per_user).then_some(StatusCode::RETRY_LATER)
    }

    /// Whether a session is over. A time of 0 is not known.
    pub(crate) fn is_over(&self, began: u64, heard: u64, now: u64) -> bool {
        let past = |since: u64, limit: u64| since > 0 && now.saturating_sub(since) > limit;
        past(began, self.life_s) || past(heard, self.idle_s)
    }
}

// spec: threats, default limits
/// Failures that cost nothing.
const FREE: u32 = 5;
/// Seconds for which a failure counts.
const WINDOW: u64 = 15 * 60;
/// The longest delay, seconds.
const LONGEST: u64 = 60;

/// Failed logins of one user and device: guessing is slowed, nobody is locked out.
///
/// The host keeps one for each, in memory or in its store, and delays an answer by [`Attempts::delay_s`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    failures: u32,
    /// Seconds since 1970.
    last: u64,
}

impl Attempts {
    /// Another one failed, with this status. 407 is a client that was not asked yet: no guess.
    #[must_use]
    pub fn failed(self, code: StatusCode, now: u64) -> Self {
        if code == StatusCode::MISSING_CREDENTIALS {
            return self;
        }
        let failures = if self.is_forgotten(now) { 0 } else { self.failures };
        Attempts { failures: failures.saturating_add(1), last: now }
    }

    /// Seconds by which the answer to the last one waits.
    pub fn delay_s(self) -> u64 {
        match self.failures.checked_sub(FREE) {
            None | Some(0) => 0,
            Some(over) => 1_u64.checked_shl(over.saturating_sub(1)).unwrap_or(LONGEST).min(LONGEST),
        }
    }

    /// Whether it need not be kept any more.
    pub fn is_forgotten(self, now: u64) -> bool {
        self.failures == 0 || now.saturating_sub(self.last) >= WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_get_slower_and_time_forgives() {
        let mut attempts = Attempts::default();
        let mut seconds = Vec::new();
        for n in 0..14 {
            attempts = attempts.failed(StatusCode::INVALID_CREDENTIALS, 1_000 + n);
            seconds.push(attempts.delay_s());
        }
        assert_eq!(seconds, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        for _ in 0..200 {
            attempts = attempts.failed(StatusCode::INVALID_CREDENTIALS, 1_100);
        }
        assert_eq!(attempts.delay_s(), 60);
        assert_eq!(attempts.failed(StatusCode::MISSING_CREDENTIALS, 1_100), attempts, "no guess");
        assert!(!attempts.is_forgotten(1_100 + WINDOW - 1) && attempts.is_forgotten(1_100 + WINDOW));
        assert_eq!(attempts.failed(StatusCode::INVALID_CREDENTIALS, 1_100 + WINDOW).delay_s(), 0);
        assert!(Attempts::default().is_forgotten(0));
    }

    #[test]
    fn limits() {
        let limits = SessionLimits::default();
        let strangers = |strangers| Load { strangers, ..Load::default() };
        assert_eq!(limits.turned_away(&strangers(1_000)), None);
        assert_eq!(limits.turned_away(&strangers(1_001)), Some(StatusCode::UNAVAILABLE));
        assert_eq!(limits.one_too_many(15), None);
        assert_eq!(limits.one_too_many(16), Some(StatusCode::RETRY_LATER));
        assert!(!limits.is_over(1, 1, 601) && limits.is_over(1, 1, 602));
        assert!(!limits.is_over(1, 86_000, 86_401) && limits.is_over(1, 86_000, 86_402));
        assert!(!limits.is_over(0, 0, u64::MAX), "a value of the first format has no times");
    }
}
