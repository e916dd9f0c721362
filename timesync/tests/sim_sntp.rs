//! Truth tests in a simulated world: the reported bound always holds the truth.
#![cfg(feature = "testkit")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write;
use std::time::Duration;

use timesync::testkit::{Path, SimClock, SimNetwork, SntpReport, SntpSim};
use timesync::{SourceId, UnixTime};

const EPOCH: UnixTime = UnixTime::from_secs(1_795_334_400);
const DAY: Duration = Duration::from_secs(86_400);

fn seed(run: u64) -> [u8; 32] {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&run.to_le_bytes());
    seed
}

/// A client of up to 12 ppm, five servers, at most two of them wrong by seconds, hours or growing.
fn run(number: u64, horizon: Duration) -> (SntpReport, Vec<SourceId>) {
    let mut luck = SimNetwork::new(seed(number ^ 0xffff));
    let mut signed =
        |limit: u64| i64::try_from(luck.below(2 * limit + 1)).unwrap() - i64::try_from(limit).unwrap();
    let clock = SimClock::new(signed(10_000_000_000_000), signed(8_000)).wander(
        seed(number + 1),
        4_000,
        Duration::from_secs(600),
        horizon,
    );
    let mut sim = SntpSim::new(EPOCH, clock, seed(number));
    let mut liars = Vec::new();
    for index in 0..5_u32 {
        let id = SourceId(index + 1);
        let server = match (index, number % 4) {
            (1, 1 | 3) => SimClock::new(5_000_000_000, 0),
            (2, 2 | 3) => SimClock::new(-3_600_000_000_000, 0),
            (2, 1) => SimClock::new(0, 100_000_000), // drifts 10 %
            _ => SimClock::new(0, 0),
        };
        if server != SimClock::new(0, 0) {
            liars.push(id);
        }
        let path = |base: u64| Path {
            delay: Duration::from_micros(base),
            jitter: Duration::from_micros(base),
            loss: 80_000,
            duplicate: 50_000,
        };
        let (up, down) = (signed(100_000).unsigned_abs() + 500, signed(100_000).unsigned_abs() + 500);
        sim.server(id, server, path(up), path(down));
    }
    (sim.run(horizon), liars)
}

// mission: T1
#[test]
fn the_bound_holds_in_200_seeded_runs() {
    let mut checked = 0;
    for number in 0..200 {
        let (report, liars) = run(number, DAY / 4);
        assert_eq!(report.broken_bounds, [], "run {number}");
        assert!(report.synchronised > 20, "run {number}: {report:?}");
        for liar in &liars {
            assert!(report.falsetickers.contains(liar), "run {number}: {liar:?} not named, {report:?}");
        }
        checked += report.checked;
    }
    assert!(checked > 100_000, "{checked}");
}

#[test]
fn same_seed_same_world() {
    assert_eq!(run(7, DAY / 10), run(7, DAY / 10));
}

#[test]
fn three_liars_of_five_are_beyond_any_promise_and_the_test_kit_notices() {
    let mut sim = SntpSim::new(EPOCH, SimClock::new(0, 0), seed(1));
    let path = Path::fixed(Duration::from_millis(10));
    for index in 1..=5 {
        let lie = if index <= 3 { 5_000_000_000 } else { 0 };
        sim.server(SourceId(index), SimClock::new(lie, 0), path, path);
    }
    assert!(!sim.run(Duration::from_secs(60)).broken_bounds.is_empty());
}

/// Loss by delay, one hour each: what a host can expect.
#[test]
fn loss_by_delay_grid() {
    let mut table = String::from("loss% delay_ms | sent measured best_radius_us worst_error_us broken\n");
    for loss in [0_u32, 10, 30, 60, 90] {
        for delay in [5_u64, 50, 500] {
            let mut sim =
                SntpSim::new(EPOCH, SimClock::new(-3_000_000_000, 10_000), seed(u64::from(loss) + delay));
            let half = |part: u64| Path {
                delay: Duration::from_millis(delay * part / 4),
                jitter: Duration::from_millis(delay / 4),
                loss: loss * 10_000,
                duplicate: 20_000,
            };
            sim.server(SourceId(1), SimClock::new(0, 0), half(1), half(3));
            let report = sim.run(Duration::from_secs(3600));
            writeln!(
                table,
                "{loss:5} {delay:8} | {:4} {:8} {:14} {:14} {:6}",
                report.sent,
                report.measured,
                report.best_radius / 1_000,
                report.worst_error / 1_000,
                report.broken_bounds.len()
            )
            .unwrap();
            assert_eq!(report.broken_bounds, []);
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sntp_grid.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    assert_eq!(table, std::fs::read_to_string(path).unwrap());
}
