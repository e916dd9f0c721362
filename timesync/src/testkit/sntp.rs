//! An SNTP client and its servers in a simulated world, with the truth beside them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::instant::UnixTime;
use crate::select::SourceId;
use crate::sntp::{Client, Config, Event, Input, Output, Server, ServerStatus};
use crate::testkit::{Path, SimClock, SimNetwork};

/// A world of one client and several servers.
///
/// ```
/// use core::time::Duration;
/// use timesync::testkit::{Path, SimClock, SntpSim};
/// use timesync::{SourceId, UnixTime};
/// let mut sim = SntpSim::new(UnixTime::from_secs(1_795_000_000), SimClock::new(-40_000_000_000, 12_000), [1; 32]);
/// let path = Path::fixed(Duration::from_millis(20));
/// sim.server(SourceId(1), SimClock::new(0, 0), path, Path { delay: Duration::from_millis(80), ..path });
/// let report = sim.run(Duration::from_secs(3600));
/// assert!(report.synchronised > 0 && report.broken_bounds.is_empty());
/// ```
#[derive(Debug)]
pub struct SntpSim {
    epoch: UnixTime,
    client_clock: SimClock,
    servers: Vec<(SourceId, SimClock, Path, Path)>,
    network: SimNetwork,
    seed: [u8; 32],
    /// Changes the client's configuration before the run.
    pub adjust: fn(&mut Config),
    /// What the servers say about themselves.
    pub status: ServerStatus,
}

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SntpReport {
    /// Requests sent.
    pub sent: u64,
    /// Samples measured.
    pub measured: u64,
    /// Times the servers agreed.
    pub synchronised: u64,
    /// How often the reading was compared with the truth.
    pub checked: u64,
    /// (True time, error, radius) wherever the error was over the radius, nanoseconds.
    pub broken_bounds: Vec<(Duration, i64, u64)>,
    /// Smallest radius reported, nanoseconds; `u64::MAX` when there was none.
    pub best_radius: u64,
    /// Largest error of a reading, nanoseconds.
    pub worst_error: u64,
    /// Servers named as falsetickers at the end.
    pub falsetickers: Vec<SourceId>,
}

enum Arrival {
    AtServer(usize, [u8; 48]),
    AtClient(usize, [u8; 48]),
}

impl SntpSim {
    /// A world whose true time starts at `epoch`.
    #[must_use]
    pub fn new(epoch: UnixTime, client_clock: SimClock, seed: [u8; 32]) -> Self {
        SntpSim {
            epoch,
            client_clock,
            servers: Vec::new(),
            network: SimNetwork::new(seed),
            seed,
            adjust: |_| {},
            status: ServerStatus::primary(),
        }
    }

    /// Adds a server with its clock and the paths to it and back.
    pub fn server(&mut self, id: SourceId, clock: SimClock, up: Path, down: Path) {
        self.servers.push((id, clock, up, down));
    }

    /// Runs until true time `horizon`, comparing every reading with the truth.
    pub fn run(&mut self, horizon: Duration) -> SntpReport {
        let mut report = SntpReport { best_radius: u64::MAX, ..SntpReport::default() };
        let mut config = Config::new(
            self.servers.iter().map(|(id, ..)| *id).collect(),
            self.epoch.plus(-86_400_000_000_000),
        );
        (self.adjust)(&mut config);
        let wall = self.client_clock.read(self.epoch, Duration::ZERO);
        let mut client = Client::new(config, self.seed, Duration::ZERO, wall);
        let mut wire: BTreeMap<(Duration, u64), Arrival> = BTreeMap::new();
        let mut serial = 0_u64;
        let mut at = Duration::ZERO;
        while at <= horizon {
            let mono = self.client_clock.monotonic(at);
            while wire.first_key_value().is_some_and(|((when, _), _)| *when <= at) {
                let Some(((when, _), arrival)) = wire.pop_first() else { break };
                match arrival {
                    Arrival::AtServer(index, bytes) => {
                        let Some((_, clock, _, down)) = self.servers.get(index) else { continue };
                        let shown = clock.read(self.epoch, when);
                        let reply = Server::default().reply(&bytes, shown, shown, &self.status);
                        let down = *down;
                        for delay in self.network.send(&down) {
                            if let Some(reply) = reply {
                                serial += 1;
                                wire.insert(
                                    (when.saturating_add(delay), serial),
                                    Arrival::AtClient(index, reply),
                                );
                            }
                        }
                    }
                    Arrival::AtClient(index, bytes) => {
                        let Some((from, ..)) = self.servers.get(index) else { continue };
                        client.handle_input(mono, Input::Datagram { from: *from, bytes: &bytes });
                    }
                }
            }
            client.handle_timeout(mono);
            while let Some(output) = client.poll_output() {
                match output {
                    Output::Transmit { to, bytes } => {
                        report.sent += 1;
                        let Some(index) = self.servers.iter().position(|(id, ..)| *id == to) else {
                            continue;
                        };
                        let Some((.., up, _)) = self.servers.get(index) else { continue };
                        let up = *up;
                        for delay in self.network.send(&up) {
                            serial += 1;
                            wire.insert((at.saturating_add(delay), serial), Arrival::AtServer(index, bytes));
                        }
                    }
                    Output::Event(event) => note(&mut report, event),
                }
            }
            self.check(&client, at, mono, &mut report);
            at = self.next(&client, &wire, at);
        }
        report
    }

    fn check(&self, client: &Client, at: Duration, mono: Duration, report: &mut SntpReport) {
        let Some(reading) = client.reading(mono) else { return };
        let error = reading.time.since(self.epoch.after(at));
        report.checked += 1;
        report.best_radius = report.best_radius.min(reading.radius);
        report.worst_error = report.worst_error.max(error.unsigned_abs());
        if error.unsigned_abs() > reading.radius {
            report.broken_bounds.push((at, error, reading.radius));
        }
    }

    /// The next true moment at which something happens: a datagram arrives, or the client's timer runs out.
    fn next(&self, client: &Client, wire: &BTreeMap<(Duration, u64), Arrival>, at: Duration) -> Duration {
        let arrival = wire.first_key_value().map_or(Duration::MAX, |((when, _), _)| *when);
        let timer = client.poll_timeout().map_or(Duration::MAX, |deadline| {
            let wait = deadline.saturating_sub(self.client_clock.monotonic(at));
            // The client's clock may run slow: come back until its timer has run out.
            at.saturating_add(wait).max(at.saturating_add(Duration::from_micros(1)))
        });
        arrival.min(timer)
    }
}

fn note(report: &mut SntpReport, event: Event) {
    match event {
        Event::Measured { .. } => report.measured += 1,
        Event::Synchronised(selection) => {
            report.synchronised += 1;
            report.falsetickers = selection.falsetickers;
        }
        _ => {}
    }
}
