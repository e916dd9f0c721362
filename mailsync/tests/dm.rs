//! Appointed operations and clocks through the two binaries; whole days are lived through in made-up time.
//!
//! mission: D1, D2, D3
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Finished, Process, faketime, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A server and a terminal in a time of their own.
struct Bench {
    dir: tempfile::TempDir,
    /// What is added to the machine's time, seconds.
    shift: i64,
    server: Option<Process>,
    url: String,
}

impl Bench {
    /// `now` is seconds since 1970; `zone` the server's.
    fn new(now: i64, zone: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let machine = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut bench = Bench { dir, shift: now - machine.cast_signed(), server: None, url: String::new() };
        std::fs::write(bench.path("config.toml"), format!("[time]\nzone = \"{zone}\"\n")).unwrap();
        assert_eq!(bench.daemon(&["user", "add", "ana"]).code, 0);
        let mut command = bench.mailsyncd(&["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"]);
        let server = Process::start(&mut command);
        bench.url = server.wait_ready()["syncml"].replace("/syncml", "/dm");
        bench.server = Some(server);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn in_time(&self, command: &mut Command) {
        command.env("MAILSYNC_PASSWORD", "secret");
        faketime(command, &format!("{:+}s", self.shift));
    }

    fn mailsyncd(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--config").arg(self.path("config.toml")).arg("--data").arg(self.path("data")).args(args);
        self.in_time(&mut command);
        command
    }

    fn daemon(&self, args: &[&str]) -> Finished {
        run(&mut self.mailsyncd(args), 60 * SECOND)
    }

    fn json(&self, args: &[&str]) -> Value {
        let finished = self.daemon(&[&["--json"], args].concat());
        assert_eq!(finished.code, 0, "{finished:?}");
        serde_json::from_str(&finished.stdout).unwrap()
    }

    fn appoint(&self, at: &str, more: &[&str]) -> u64 {
        let args = ["operation", "add", "ana", "phone", "--at", at, "--tell", "flash it"];
        self.json(&[&args[..], more].concat())["id"].as_u64().unwrap()
    }

    fn state(&self, id: u64) -> Value {
        let list = self.json(&["operation", "list"]);
        list.as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone()
    }

    fn client(&self, verb: &[&str], more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.arg("--json").args(verb).arg("--dir").arg(self.path("phone")).args(more);
        if !more.contains(&"--user") {
            command.args(["--user", "ana"]);
        }
        command.args(["--server", &self.url, "--device", "phone"]);
        self.in_time(&mut command);
        command
    }

    /// The terminal: its hook writes down when it ran, in the time of all of them.
    fn dm_run(&self, more: &[&str]) -> Process {
        let log = self.path("ran");
        let hook =
            format!("echo \"$(date -u +%s.%N) $MAILSYNC_OPERATION $MAILSYNC_DATA\" >> {}", log.display());
        Process::start(&mut self.client(&["dm", "run"], &[&["--once", "--hook", &hook], more].concat()))
    }

    fn ran(&self) -> Vec<(f64, String)> {
        let text = std::fs::read_to_string(self.path("ran")).unwrap_or_default();
        let line = |line: &str| {
            let (at, rest) = line.split_once(' ').unwrap();
            (at.parse().unwrap(), rest.to_owned())
        };
        text.lines().map(line).collect()
    }

    fn time(&self, verb: &str, more: &[&str]) -> Value {
        let finished = run(&mut self.client(&["time", verb], more), 60 * SECOND);
        assert_eq!(finished.code, 0, "{finished:?}");
        serde_json::from_str(&finished.stdout).unwrap()
    }

    /// Appointed at a local time, `started` must be when it ran: once, and no more than two seconds late.
    #[track_caller]
    fn whole(&self, at: &str, more: &[&str], client: &[&str], started: i64) {
        let id = self.appoint(at, more);
        let mut process = self.dm_run(client);
        assert!(process.wait(90 * SECOND).is_some_and(|status| status.success()), "{}", process.stderr());
        let ran = self.ran();
        assert_eq!(ran.len(), 1, "{ran:?}");
        let late = ran[0].0 - started as f64;
        assert!((-0.02..60.0).contains(&late), "{late} s late: {ran:?}");
        assert_eq!(ran[0].1, format!("{id} flash it"));
        let state = self.state(id);
        assert_eq!(
            (state["state"].as_str(), state["code"].as_u64()),
            (Some("done 200"), Some(200)),
            "{state}"
        );
    }
}

/// 2026-03-29 01:00:00 UTC: Berlin's clocks go from 02:00 to 03:00.
const BERLIN_FORWARD: i64 = 1_774_746_000;
/// 2026-10-25 01:00:00 UTC: and back from 03:00 to 02:00.
const BERLIN_BACK: i64 = 1_792_890_000;

// mission: T9
#[test]
fn t9_a_terminal_logs_in_by_its_number_and_its_operations_are_its_users() {
    let bench = Bench::new(BERLIN_FORWARD, "Europe/Berlin");
    let number = "+8613800138000";
    assert_eq!(bench.daemon(&["user", "alias", "ana", number]).code, 0);
    bench.whole("2026-03-29T03:00:12", &[], &["--user", number], BERLIN_FORWARD + 12);
    // A number that stands for nobody opens nothing.
    let refused = run(&mut bench.client(&["time", "status"], &["--user", "+8613800138001"]), 60 * SECOND);
    assert_eq!(refused.code, 1, "{refused:?}");
}

#[test]
fn the_terminals_zone_changes_its_offset_between_appointment_and_start() {
    let bench = Bench::new(BERLIN_FORWARD - 12, "Europe/Moscow");
    // 04:00:08 in Moscow; by the difference as it was before, the terminal would wait for 02:00:08, which never comes.
    bench.whole("2026-03-29T04:00:08", &[], &["--zone", "Europe/Berlin"], BERLIN_FORWARD + 8);
}

#[test]
fn the_servers_zone_changes_its_offset_between_appointment_and_start() {
    let bench = Bench::new(BERLIN_FORWARD - 12, "Europe/Berlin");
    bench.whole("2026-03-29T03:00:08", &[], &["--zone", "Asia/Tokyo"], BERLIN_FORWARD + 8);
}

#[test]
fn a_wrong_terminal_clock_starts_at_the_true_moment() {
    let bench = Bench::new(BERLIN_BACK - 40_000, "Asia/Kathmandu");
    let wanted = BERLIN_BACK - 40_000 + 14;
    // Kathmandu is 5:45 ahead.
    let local = "2026-10-24T19:38:34";
    bench.whole(local, &[], &["--zone", "America/New_York", "--clock-offset", "-5000"], wanted);
    let clocks = bench.json(&["clock"]);
    let (deviation, bound) =
        (clocks[0]["deviation_ns"].as_i64().unwrap(), clocks[0]["bound_ns"].as_i64().unwrap());
    assert!((deviation + 5_000_000_000_000).abs() <= bound, "{clocks}");
    assert_eq!(clocks[0]["zone_s"], -4 * 3600, "{clocks}");
}

#[test]
fn a_restart_of_the_terminal_neither_loses_nor_repeats_it() {
    let bench = Bench::new(BERLIN_BACK, "UTC");
    // Heard of, and off before its moment.
    let id = bench.appoint("2026-10-25T01:00:25", &[]);
    let first = bench.dm_run(&["--zone", "UTC"]);
    let deadline = Instant::now() + 20 * SECOND;
    while bench.state(id)["state"] != "accepted" {
        assert!(Instant::now() < deadline, "{}", first.stderr());
        std::thread::sleep(Duration::from_millis(100));
    }
    first.kill();
    let mut second = bench.dm_run(&["--zone", "UTC"]);
    assert!(second.wait(90 * SECOND).is_some_and(|status| status.success()), "{}", second.stderr());
    // And once more: it has run.
    let mut third = bench.dm_run(&["--zone", "UTC"]);
    assert!(third.wait(60 * SECOND).is_some_and(|status| status.success()), "{}", third.stderr());
    let ran = bench.ran();
    assert_eq!(ran.len(), 1, "{ran:?}");
    assert!(ran[0].0 >= (BERLIN_BACK + 25) as f64, "{ran:?}");
    assert_eq!(bench.state(id)["state"], "done 200");
}

// mission: T1, T2
#[test]
fn a_clock_is_measured_at_login_and_set_or_kept_as_the_user_says() {
    let bench = Bench::new(BERLIN_BACK, "UTC");
    let wrong = ["--zone", "Asia/Tokyo", "--clock-offset", "600"];
    let status = bench.time("status", &wrong);
    let (deviation, bound) = (status["deviation_ns"].as_i64().unwrap(), status["bound_ns"].as_i64().unwrap());
    assert!((deviation - 600_000_000_000).abs() <= bound, "{status}");
    assert_eq!((&status["asked"], &status["custom"]), (&true.into(), &false.into()), "{status}");
    // Refused: the server keeps the deviation, and does not ask again.
    let status = bench.time("refuse", &wrong);
    assert_eq!((&status["asked"], &status["custom"]), (&false.into(), &true.into()), "{status}");
    let clocks = bench.json(&["clock"]);
    assert_eq!(clocks[0]["custom"], true, "{clocks}");
    assert!(clocks[0]["deviation_ns"].as_i64().unwrap() > 599_000_000_000, "{clocks}");
    // Another client of the same user accepts: set, and confirmed by a second measurement.
    let other = |verb: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["--json", "time", verb, "--dir"]).arg(bench.path("tablet")).args(wrong);
        command.args(["--server", &bench.url, "--user", "ana", "--device", "tablet"]);
        bench.in_time(&mut command);
        let finished = run(&mut command, 60 * SECOND);
        assert_eq!(finished.code, 0, "{finished:?}");
        serde_json::from_str::<Value>(&finished.stdout).unwrap()
    };
    assert_eq!(other("status")["asked"], true);
    let status = other("accept");
    assert!((status["adjusted_ns"].as_i64().unwrap() + 600_000_000_000).abs() < 1_000_000_000, "{status}");
    let clocks = bench.json(&["clock"]);
    let tablet = clocks.as_array().unwrap().iter().find(|one| one["device"] == "tablet").unwrap();
    assert_eq!(tablet["custom"], false, "{clocks}");
    assert!(tablet["deviation_ns"].as_i64().unwrap().abs() < 1_000_000_000, "{clocks}");
    // Nobody else's clock was touched by it.
    let phone = clocks.as_array().unwrap().iter().find(|one| one["device"] == "phone").unwrap();
    assert_eq!(phone["custom"], true, "{clocks}");
}

#[test]
fn a_wrong_password_and_a_server_that_is_none_are_named() {
    let bench = Bench::new(BERLIN_BACK, "UTC");
    let mut command = bench.client(&["time", "status"], &[]);
    command.env("MAILSYNC_PASSWORD", "wrong");
    let finished = run(&mut command, 60 * SECOND);
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("login refused"), "{finished:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    command.args(["dm", "run", "--once", "--hook", "true", "--user", "ana", "--server"]);
    command.arg(bench.url.replace("/dm", "/syncml")).arg("--dir").arg(bench.path("new"));
    bench.in_time(&mut command);
    let finished = run(&mut command, 60 * SECOND);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(!Path::new(&bench.path("ran")).exists());
}
