//! Reference time from real chronyd servers: honest, wrong by a known error, drifting, behind bad networks.
//!
//! The truth is known: the machine's own clock is what honest servers serve, so the offset that is found must be
//! zero, or the server's known error, within the bound that is reported with it. Always.
//!
//! mission: T1
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Chrony, DelayProxy, Dice, Finished, Path, Process, run};
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const BILLION: i64 = 1_000_000_000;

fn mailsyncd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mailsyncd"))
}

fn ask(servers: &[SocketAddr], wait: u32) -> Finished {
    let mut command = mailsyncd();
    command.args(["--json", "time", "--wait", &wait.to_string()]);
    for server in servers {
        command.args(["--server", &server.to_string()]);
    }
    run(&mut command, 60 * SECOND)
}

fn number(answer: &serde_json::Value, field: &str) -> i64 {
    answer[field].as_i64().unwrap_or_else(|| panic!("{field} in {answer}"))
}

/// The reported interval; what the machine's own clock was slewed by meanwhile is the least of it.
#[track_caller]
fn assert_truth(finished: &Finished, truth: i64) -> serde_json::Value {
    assert_eq!(finished.code, 0, "{finished:?}");
    let answer: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let (offset, bound) = (number(&answer, "offset_ns"), number(&answer, "bound_ns"));
    assert!((offset - truth).abs() <= bound, "off by {} ns, bound {bound} ns: {answer}", offset - truth);
    answer
}

#[test]
fn honest_servers_give_the_time_to_the_millisecond() {
    let dir = tempfile::tempdir().unwrap();
    let servers = [Chrony::honest(dir.path()), Chrony::honest(dir.path()), Chrony::honest(dir.path())];
    let answer = assert_truth(&ask(&servers.each_ref().map(|server| server.address), 3), 0);
    assert_eq!(number(&answer, "agree"), 3, "{answer}");
    assert!(number(&answer, "bound_ns") < BILLION / 100, "{answer}");
}

#[test]
fn a_lone_server_is_measured_however_wrong_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for (faketime, error) in [("+5s", 5), ("-3600s", -3600)] {
        let server = Chrony::wrong(dir.path(), faketime);
        let answer = assert_truth(&ask(&[server.address], 2), error * BILLION);
        assert!(number(&answer, "bound_ns") < BILLION / 10, "{answer}");
    }
}

#[test]
fn wrong_servers_are_named_and_do_not_move_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let honest = [Chrony::honest(dir.path()), Chrony::honest(dir.path()), Chrony::honest(dir.path())];
    let fast = Chrony::wrong(dir.path(), "+5s");
    let slow = Chrony::wrong(dir.path(), "-3600s");
    let [a, b, c] = honest.each_ref().map(|server| server.address);
    let answer = assert_truth(&ask(&[a, fast.address, b, slow.address, c], 4), 0);
    let wrong: Vec<&str> =
        answer["wrong"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(wrong, [fast.address.to_string(), slow.address.to_string()], "{answer}");
}

#[test]
fn servers_of_which_none_agrees_or_none_answers_give_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let fast = Chrony::wrong(dir.path(), "+5s");
    let slow = Chrony::wrong(dir.path(), "-3600s");
    let honest = Chrony::honest(dir.path());
    let finished = ask(&[fast.address, slow.address, honest.address], 3);
    assert_eq!(finished.code, 1, "three times, three opinions: {finished:?}");
    let gone = honest.address;
    honest.stop();
    let finished = ask(&[gone], 2);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains(&gone.to_string()), "{finished:?}");
}

#[test]
fn asymmetry_is_inside_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let server = Chrony::honest(dir.path());
    let path = Path { up: 120, down: 10, jitter: 0, loss: 0, dup: 0 };
    let proxy = DelayProxy::start(server.address, path, 1);
    let answer = assert_truth(&ask(&[proxy.address], 3), 0);
    // (up - down) / 2 is what no client can see; half the round trip is what it must admit.
    let (offset, bound) = (number(&answer, "offset_ns"), number(&answer, "bound_ns"));
    assert!((50_000_000..80_000_000).contains(&offset.abs()), "{answer}");
    assert!((65_000_000..120_000_000).contains(&bound), "{answer}");
}

/// The clocks that all runs share.
struct Clocks {
    honest: Vec<Chrony>,
    wrong: Vec<Chrony>,
}

/// One seeded run: up to seven servers, fewer than half of them wrong, each behind a network of its own.
fn seeded(clocks: &Clocks, seed: u64) -> (Finished, usize) {
    let mut dice = Dice(seed);
    let count = 1 + dice.below(7) as usize;
    let wrong = dice.below((count as u64 - 1) / 2 + 1) as usize;
    let mut proxies = Vec::new();
    for place in 0..count {
        let pool = if place < wrong { &clocks.wrong } else { &clocks.honest };
        let server = pool[dice.below(pool.len() as u64) as usize].address;
        let path = Path {
            up: dice.below(200),
            down: dice.below(200),
            jitter: dice.below(40),
            loss: dice.below(200),
            dup: dice.below(200),
        };
        proxies.push(DelayProxy::start(server, path, dice.below(u64::MAX)));
    }
    // In any order.
    for place in (1..proxies.len()).rev() {
        proxies.swap(place, dice.below(place as u64 + 1) as usize);
    }
    let addresses: Vec<SocketAddr> = proxies.iter().map(|proxy| proxy.address).collect();
    (ask(&addresses, 8), wrong)
}

#[test]
fn the_truth_is_inside_the_bound_in_every_seeded_run() {
    let full = std::env::var_os("MAILSYNC_FULL").is_some();
    let (runs, at_once) = if full { (200, 20) } else { (24, 12) };
    let dir = tempfile::tempdir().unwrap();
    let clocks = Clocks {
        honest: (0..3).map(|_| Chrony::honest(dir.path())).collect(),
        wrong: ["+5s", "-3600s", "+0 x1.001"].map(|error| Chrony::wrong(dir.path(), error)).into(),
    };
    let mut answered = 0;
    for first in (0..runs).step_by(at_once) {
        let seeds: Vec<u64> = (first..(first + at_once).min(runs)).map(|seed| seed as u64).collect();
        let clocks = &clocks;
        let finished: Vec<(u64, (Finished, usize))> = thread::scope(|scope| {
            let started: Vec<_> =
                seeds.iter().map(|seed| (*seed, scope.spawn(move || seeded(clocks, *seed)))).collect();
            started.into_iter().map(|(seed, run)| (seed, run.join().unwrap())).collect()
        });
        for (seed, (finished, wrong)) in finished {
            // Too much was lost to say anything: that is an answer, too, but not a rule.
            if finished.code == 1 {
                assert!(finished.stderr.contains("do not agree"), "seed {seed}: {finished:?}");
                continue;
            }
            answered += 1;
            let answer: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
            let (offset, bound) = (number(&answer, "offset_ns"), number(&answer, "bound_ns"));
            assert!(offset.abs() <= bound, "seed {seed}, {wrong} wrong: {answer}");
            // While a server is silent, a wrong one can only be hedged against: the bound spans both.
            let all = answer["silent"].as_array().unwrap().is_empty();
            assert!(!all || bound < BILLION, "seed {seed}: {answer}");
        }
    }
    assert!(answered * 10 >= runs * 9, "{answered} of {runs} runs gave a time");
}

#[test]
fn the_running_server_follows_its_reference_and_names_who_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let honest = [Chrony::honest(dir.path()), Chrony::honest(dir.path())];
    let wrong = Chrony::wrong(dir.path(), "-3600s");
    let config = dir.path().join("config.toml");
    let servers =
        [honest[0].address, wrong.address, honest[1].address].map(|address| format!("\"{address}\""));
    std::fs::write(&config, format!("[time]\nservers = [{}]\nagree = 2\n", servers.join(", "))).unwrap();
    let mut command = mailsyncd();
    command.args(["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--log-format", "json"]);
    command.arg("--config").arg(&config).arg("--data").arg(dir.path().join("data"));
    let process = Process::start(&mut command);
    process.wait_ready();
    let deadline = Instant::now() + 20 * SECOND;
    let measured = |log: &str| {
        log.lines()
            .any(|line| line.contains("servers that are wrong") && line.contains(&wrong.address.to_string()))
            && log.contains("system clock measured")
    };
    while !measured(&process.stderr()) {
        assert!(Instant::now() < deadline, "{}", process.stderr());
        thread::sleep(Duration::from_millis(100));
    }
    let log = process.stderr();
    let last = log.lines().rfind(|line| line.contains("system clock measured")).unwrap();
    let line: serde_json::Value = serde_json::from_str(last).unwrap();
    let (offset, bound) = (number(&line["fields"], "offset_ns"), number(&line["fields"], "bound_ns"));
    assert!(offset.abs() <= bound, "{line}");
    assert_eq!(process.stop().code(), Some(0));
}
