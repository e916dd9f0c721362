//! How much there is to do: messages in work or waiting for their turn, counted.

use super::config::Http;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use syncml::session::Load;

/// Counts messages from when they are read until they are answered.
#[derive(Debug)]
pub(super) struct Gauge {
    all: AtomicU32,
    strangers: AtomicU32,
    /// More than these, and what changed here comes later.
    busy: u32,
    /// More than these, and nothing is taken.
    overloaded: u32,
}

/// A message that is counted, until dropped.
#[derive(Debug)]
pub(super) struct Entered {
    gauge: Arc<Gauge>,
    stranger: bool,
}

impl Gauge {
    pub(super) fn new(http: &Http) -> Arc<Self> {
        let (all, strangers) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Gauge { all, strangers, busy: http.busy, overloaded: http.overloaded })
    }

    /// Another message; a stranger's names no session.
    pub(super) fn enter(self: &Arc<Self>, stranger: bool) -> Entered {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.strangers.fetch_add(u32::from(stranger), Ordering::Relaxed);
        Entered { gauge: Arc::clone(self), stranger }
    }
}

impl Entered {
    /// What the engine is told.
    // spec: session facts section 8
    pub(super) fn load(&self) -> Load {
        let all = self.gauge.all.load(Ordering::Relaxed);
        Load {
            strangers: self.gauge.strangers.load(Ordering::Relaxed),
            overloaded: all > self.gauge.overloaded,
            busy: all > self.gauge.busy,
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.gauge.all.fetch_sub(1, Ordering::Relaxed);
        self.gauge.strangers.fetch_sub(u32::from(self.stranger), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_work_is_counted_and_forgotten() {
        let gauge = Gauge::new(&Http { busy: 2, overloaded: 3, ..Http::default() });
        let first = gauge.enter(true);
        let _second = gauge.enter(false);
        assert_eq!(first.load(), Load { strangers: 1, ..Load::default() });
        let third = gauge.enter(false);
        assert_eq!(third.load(), Load { strangers: 1, busy: true, overloaded: false });
        let fourth = gauge.enter(true);
        assert_eq!(fourth.load(), Load { strangers: 2, busy: true, overloaded: true });
        drop((first, fourth));
        assert_eq!(third.load(), Load::default());
    }
}
