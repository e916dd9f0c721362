//! The server's reference time: from NTP servers, else from the system's clock.

use super::config::{Config, NOT_BEFORE};
use crate::turns;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use timesync::drive::{Driver, Settings, system_time};
use timesync::sntp::{Event, Known};
use timesync::{Correction, Interval, Reading, SourceId, Thresholds, UnixTime, VirtualClock, advise};

/// Wait before a name that did not resolve is tried again.
const RESOLVE_AGAIN: Duration = Duration::from_secs(30);

/// The time, for everybody in the process.
#[derive(Debug)]
pub struct Reference {
    /// How far the system's clock may be off, nanoseconds; none when it is not the reference.
    system: Option<u64>,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    known: Option<(Known, tokio::time::Instant)>,
    /// Runs evenly, whatever happens to the system's clock.
    clock: VirtualClock,
}

impl Reference {
    /// The reference of a configuration; [`follow`](Self::follow) feeds it.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let bound = config.system_bound_ms.saturating_mul(1_000_000);
        let clock = VirtualClock::new(Duration::ZERO, system_time());
        Reference {
            system: config.servers.is_empty().then_some(bound),
            start: Instant::now(),
            state: Mutex::new(State { known: None, clock }),
        }
    }

    /// The time and how far it may be off. While the servers say nothing, nothing is known.
    #[must_use]
    pub fn reading(&self) -> Reading {
        match (self.system, self.state().known) {
            (Some(radius), _) => Reading { time: system_time(), radius },
            (None, Some((known, origin))) => known.reading(origin.elapsed()),
            (None, None) => Reading { time: system_time(), radius: u64::MAX },
        }
    }

    /// The best time there is, on a clock that runs on while the system's is set.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        match self.system {
            Some(_) => system_time(),
            None => self.state().clock.read(self.start.elapsed()),
        }
    }

    /// Asks the servers for ever.
    pub async fn follow(&self, config: &Config) {
        if config.servers.is_empty() {
            return;
        }
        loop {
            let error = match open(config).await {
                Ok(mut driver) => loop {
                    match driver.next().await {
                        Ok(event) => self.take(config, &driver, &event),
                        Err(error) => break error,
                    }
                },
                Err(error) => error,
            };
            tracing::warn!(%error, "reference time: servers cannot be asked, trying again");
            tokio::time::sleep(RESOLVE_AGAIN).await;
        }
    }

    fn take(&self, config: &Config, driver: &Driver, event: &Event) {
        log(config, event);
        if let (Event::Synchronised(_), Some((known, origin))) = (event, driver.known()) {
            let mut state = self.state();
            let first = state.known.replace((known, origin)).is_none();
            let mono = self.start.elapsed();
            let offset = known.offset_of(origin.elapsed(), state.clock.read(mono));
            let correction = match advise(offset, &Thresholds::default()) {
                // The first word of the servers is taken however far off the system's clock is.
                _ if first => Correction::Step { by: offset.mid() },
                correction => correction,
            };
            if let Correction::Refuse(refusal) = correction {
                tracing::error!(%refusal, "reference time: the clock of the tasks is not corrected");
            }
            state.clock.apply(mono, correction);
            let system = driver.system_offset().unwrap_or(Interval::UNKNOWN);
            let (offset_ns, bound_ns) = (system.mid(), system.radius());
            tracing::info!(offset_ns, bound_ns, "reference time: system clock measured");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A driver for the servers of a configuration, their names looked up.
pub(super) async fn open(config: &Config) -> io::Result<Driver> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for server in &config.servers {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{server}: {error}"));
        let address = tokio::net::lookup_host(server).await.map_err(named)?.next();
        addresses.push(address.ok_or_else(|| named(io::Error::other("no address")))?);
    }
    let seed = turns::moment().map_err(io::Error::other)?.entropy;
    let mut settings = Settings::new(&addresses, NOT_BEFORE, seed);
    config.apply(&mut settings.config);
    Driver::bind(settings).await
}

/// What a server is called in the configuration.
pub(super) fn name(config: &Config, id: SourceId) -> &str {
    config.servers.get(id.0 as usize).map_or("?", String::as_str)
}

fn log(config: &Config, event: &Event) {
    match event {
        Event::Synchronised(selection) if !selection.falsetickers.is_empty() => {
            let wrong: Vec<&str> = selection.falsetickers.iter().map(|id| name(config, *id)).collect();
            tracing::warn!(?wrong, "reference time: servers that are wrong");
        }
        Event::NotSynchronised(refusal) => tracing::warn!(%refusal, "reference time: servers do not agree"),
        Event::KissOfDeath { from, code } => {
            tracing::warn!(server = name(config, *from), ?code, "reference time: told to ask less");
        }
        Event::Contradiction(contradiction) => {
            tracing::warn!(?contradiction, "reference time: two statements exclude each other");
        }
        Event::TimedOut { from } => {
            tracing::debug!(server = name(config, *from), "reference time: no answer");
        }
        Event::Refused { from, refusal } => {
            tracing::info!(server = name(config, *from), %refusal, "reference time: datagram refused");
        }
        Event::NoSample { from, refusal } => {
            tracing::info!(server = name(config, *from), %refusal, "reference time: answer not used");
        }
        _ => {}
    }
}
