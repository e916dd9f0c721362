//! Both our binaries against SyncEvolution, which nobody here wrote: every scenario, version and encoding.
//!
//! A run takes each scenario once with each peer, in a version and an encoding that `MAILSYNC_SEED` chooses; with
//! `MAILSYNC_FULL` set it takes all of them and writes `docs/interop.md`. `MAILSYNC_INTEROP=peer,scenario` plays the
//! rows whose text has all of these words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../peers/mod.rs"]
mod peers;

mod lab;
mod scenarios;

use lab::{Lab, Peer};
use peers::Wire;
use scenarios::Scenario;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One thing to play.
#[derive(Clone, Copy, Debug)]
struct Row {
    peer: Peer,
    version: &'static str,
    wire: Wire,
    scenario: Scenario,
}

/// How it went.
struct Played {
    row: Row,
    took: Duration,
    error: Option<String>,
}

const VERSIONS: [&str; 3] = ["1.0", "1.1", "1.2"];
const WIRES: [Wire; 2] = [Wire::Wbxml, Wire::Xml];
/// Pairs at work at a time: SyncEvolution mostly waits.
const PAIRS: usize = 3;

impl Row {
    fn all() -> Vec<Row> {
        let mut rows = Vec::new();
        for peer in [Peer::Client, Peer::Server] {
            for version in VERSIONS {
                for wire in WIRES {
                    let goes = |scenario: &Scenario| match scenario {
                        // 1.0 has no chunks: what is larger than a message does not go.
                        Scenario::LargeObjects => version != "1.0",
                        // SyncEvolution's server has no way to ask for more inside a session.
                        Scenario::ServerAlerted => peer == Peer::Client,
                        _ => true,
                    };
                    let scenarios = Scenario::ALL.into_iter().filter(goes);
                    rows.extend(scenarios.map(|scenario| Row { peer, version, wire, scenario }));
                }
            }
        }
        rows
    }

    fn text(&self) -> String {
        format!("{} | {} | {:?} | {}", self.peer.name(), self.version, self.wire, self.scenario.name())
    }

    /// Those that share a pair of programs.
    fn pair(&self) -> (Peer, &'static str, bool) {
        (self.peer, self.version, self.wire == Wire::Xml)
    }
}

/// A part of all: each scenario with each peer, the rest by the seed.
fn part(rows: Vec<Row>, seed: u64) -> Vec<Row> {
    let hash = |row: &Row| {
        let text = format!("{seed}{}", row.text());
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let mut chosen: Vec<Row> = Vec::new();
    let mut ranked = rows;
    ranked.sort_by_key(hash);
    for row in ranked {
        if !chosen.iter().any(|c| c.peer == row.peer && c.scenario == row.scenario) {
            chosen.push(row);
        }
    }
    chosen
}

fn chosen() -> Vec<Row> {
    let all = Row::all();
    if let Ok(words) = std::env::var("MAILSYNC_INTEROP") {
        let has = |row: &Row| {
            words.split(',').all(|word| format!("{:?} {}", row.scenario, row.text()).contains(word))
        };
        return all.into_iter().filter(has).collect();
    }
    if full() {
        return all;
    }
    let seed = std::env::var("MAILSYNC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("MAILSYNC_SEED={seed}");
    part(all, seed)
}

fn full() -> bool {
    std::env::var_os("MAILSYNC_FULL").is_some()
}

/// Plays rows that share a pair; after one that failed, the pair is a new one.
fn play(rows: &[Row]) -> Vec<Played> {
    let mut lab: Option<Lab> = None;
    let mut done = Vec::new();
    for row in rows {
        let start = Instant::now();
        let run = || {
            let lab = lab.get_or_insert_with(|| Lab::new(row.peer, row.version, row.wire));
            row.scenario.play(lab);
        };
        let error = catch_unwind(AssertUnwindSafe(run)).err().map(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into())).unwrap_or_default()
        });
        if error.is_some() {
            lab = None;
        }
        let took = start.elapsed();
        println!(
            "{} {:>5.1} s  {}",
            if error.is_some() { "FAIL" } else { "ok  " },
            took.as_secs_f32(),
            row.text()
        );
        done.push(Played { row: *row, took, error });
    }
    done
}

// mission: M3, M4, M7, M10, M11
#[test]
fn peers_agree_in_every_scenario() {
    let mut rows = chosen();
    assert!(!rows.is_empty(), "no row is called that");
    rows.sort_by_key(|row| (row.pair(), row.scenario));
    let queue: Mutex<Vec<&[Row]>> = Mutex::new(rows.chunk_by(|a, b| a.pair() == b.pair()).collect());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PAIRS {
            scope.spawn(|| {
                loop {
                    let Some(next) = queue.lock().unwrap().pop() else { break };
                    let played = play(next);
                    done.lock().unwrap().extend(played);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    assert_eq!(done.len(), rows.len());
    done.sort_by_key(|played| (played.row.pair(), played.row.scenario));
    if full() && std::env::var_os("MAILSYNC_INTEROP").is_none() {
        write_table(&done);
    }
    let failed: Vec<String> = done
        .iter()
        .filter_map(|played| Some(format!("{}: {}", played.row.text(), played.error.as_ref()?)))
        .collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), rows.len(), failed.join("\n\n"));
}

#[test]
fn a_part_has_every_scenario_with_every_peer() {
    for seed in 0..5 {
        // One is played with the client only.
        assert_eq!(part(Row::all(), seed).len(), 2 * Scenario::ALL.len() - 1);
    }
}

fn write_table(done: &[Played]) {
    let mut text = String::from(
        "# Interoperability\n\nWritten by `./test --full` (`mailsync/tests/interop/`): what was played with software that nobody here wrote, \
         both\nstores compared after each. `ok` is what the scenario says; anything else fails the test.\n\n\
         | peer | version | encoding | scenario | result | seconds | date |\n|---|---|---|---|---|---|---|\n",
    );
    let today = date(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400);
    for Played { row, took, error } in done {
        let result = if error.is_some() { "**failed**" } else { "ok" };
        let wire = if row.wire == Wire::Xml { "XML" } else { "WBXML" };
        let (peer, version, scenario) = (row.peer.name(), row.version, row.scenario.name());
        let seconds = took.as_secs_f32();
        writeln!(text, "| {peer} | {version} | {wire} | {scenario} | {result} | {seconds:.0} | {today} |")
            .unwrap();
    }
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/interop.md"), text).unwrap();
}

/// The date of a day since 1970.
fn date(days: u64) -> String {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[test]
fn dates() {
    assert_eq!(date(0), "1970-01-01");
    assert_eq!(date(20_514), "2026-03-02");
    assert_eq!(date(11_016), "2000-02-29");
}
