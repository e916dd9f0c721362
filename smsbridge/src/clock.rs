//! Time for a session that is driven by tokio.

use std::time::Duration;
use tokio::time::Instant;

/// Counts time for a session; one for each session.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Clock(Instant::now())
    }

    /// Time since the start, for a session's `now`.
    pub fn now(&self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn at(&self, time: Duration) -> Instant {
        self.0 + time
    }
}
