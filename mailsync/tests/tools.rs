//! What operators and testers have: probe, dry run, recordings, and the log of a session.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Finished, Process, run};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    dir: TempDir,
    server: Process,
    url: String,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let daemon = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
            command.arg("--data").arg(dir.path().join("data")).args(args).env("MAILSYNC_PASSWORD", "secret");
            command
        };
        assert_eq!(run(&mut daemon(&["user", "add", "ann"]), 20 * SECOND).code, 0);
        let server = Process::start(&mut daemon(&["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"]));
        let url = server.wait_ready()["syncml"].clone();
        Bench { dir, server, url }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, args: &[&str], password: &str) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(args).args(["--server", &self.url, "--user", "ann"]).env("MAILSYNC_PASSWORD", password);
        run(&mut command, 60 * SECOND)
    }

    fn sync(&self, args: &[&str]) -> Finished {
        let dir = self.path("ann");
        let basic = ["--json", "sync", "--store", "notes", "-v", "--dir", dir.to_str().unwrap()];
        self.run(&[&basic[..], args].concat(), "secret")
    }

    fn note(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path("ann/notes")).unwrap();
        fs::write(self.path("ann/notes").join(name), text).unwrap();
    }
}

fn json(finished: &Finished) -> Value {
    let line = finished.stdout.lines().last().unwrap_or_else(|| panic!("{finished:?}"));
    serde_json::from_str(line).unwrap()
}

// mission: M11
#[test]
fn probe_says_what_a_server_offers() {
    let bench = Bench::new();
    let found = bench.run(&["--json", "probe"], "secret");
    assert_eq!(found.code, 0, "{found:?}");
    let found = json(&found);
    let asked = found["asked"].as_array().unwrap();
    assert_eq!(asked.len(), 6);
    for row in asked.iter().filter(|row| row["version"] != "1.0") {
        assert_eq!((&row["speaks"], &row["auth"]), (&true.into(), &"syncml:auth-md5".into()), "{row}");
    }
    let stores: Vec<&str> =
        found["stores"].as_array().unwrap().iter().map(|store| store["store"].as_str().unwrap()).collect();
    for store in ["./contacts", "./calendar", "./tasks", "./notes", "./mail"] {
        assert!(stores.contains(&store), "{stores:?}");
    }
    let wrong = bench.run(&["--json", "probe"], "wrong");
    assert_eq!(json(&wrong)["stores"], Value::Array(Vec::new()), "strangers learn nothing: {wrong:?}");
    let nobody = run(
        Command::new(env!("CARGO_BIN_EXE_mailsync")).args(["probe", "--server", "http://127.0.0.1:9/syncml"]),
        60 * SECOND,
    );
    assert_eq!((nobody.code, nobody.stderr.lines().count()), (1, 1), "{nobody:?}");
}

#[test]
fn a_dry_run_changes_nothing_on_either_side() {
    let bench = Bench::new();
    bench.note("a", "one");
    bench.note("b", "two");
    for _ in 0..2 {
        let dry = bench.sync(&["--dry-run"]);
        assert_eq!(dry.code, 0, "{dry:?}");
        let store = &json(&dry)["stores"][0];
        assert_eq!((&store["would_send"], &store["mode"]), (&2.into(), &"slow".into()), "{store}");
        assert!(dry.stderr.contains("because it is the first sync"), "{}", dry.stderr);
    }
    let real = bench.sync(&[]);
    assert_eq!(json(&real)["stores"][0]["sent"]["added"], 2, "{real:?}");
    bench.note("a", "one, edited");
    let dry = bench.sync(&["--dry-run"]);
    let store = &json(&dry)["stores"][0];
    assert_eq!((&store["would_send"], &store["mode"]), (&1.into(), &"two-way".into()), "{store}");
    let real = bench.sync(&[]);
    assert_eq!(json(&real)["stores"][0]["sent"]["replaced"], 1, "{real:?}");
}

#[test]
fn a_recording_of_a_client_holds_no_secrets_and_can_be_replayed() {
    let bench = Bench::new();
    bench.note("a", "a note to be recorded");
    let record = bench.path("record");
    for wire in ["xml", "wbxml"] {
        let recorded = record.join(wire);
        let synced = bench.sync(&["--wire", wire, "--mode", "slow", "--record", recorded.to_str().unwrap()]);
        assert_eq!(synced.code, 0, "{synced:?}");
        let files: Vec<PathBuf> =
            fs::read_dir(&recorded).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.iter().any(|path| path.ends_with(format!("001-req.{wire}"))), "{files:?}");
        let all: Vec<u8> = files.iter().flat_map(|path| fs::read(path).unwrap()).collect();
        let has = |word: &[u8]| all.windows(word.len()).any(|window| window == word);
        assert!(has(b"a note to be recorded") && has(b"xxxxxxxx"));
        assert!(!has(b"secret") && !has(b"YW5uOnNlY3JldA"), "the password, and in base64");
        let replayed = bench.run(&["--json", "replay", recorded.to_str().unwrap()], "secret");
        assert_eq!(replayed.code, 0, "{replayed:?}");
        assert!(json(&replayed)["compared"].as_u64().unwrap() > 4, "{replayed:?}");
    }
    let nothing = bench.run(&["replay", bench.path("ann").to_str().unwrap()], "secret");
    assert_eq!((nothing.code, nothing.stderr.lines().count()), (1, 1), "{nothing:?}");
}

// mission: M11
#[test]
fn the_log_has_a_line_for_each_message() {
    let bench = Bench::new();
    bench.note("a", "one");
    let synced = bench.sync(&["--device", "phone-1"]);
    let messages = json(&synced)["messages"].as_u64().unwrap();
    let log = bench.server.stderr();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(" message ")).collect();
    assert_eq!(lines.len() as u64, messages, "{log}");
    for line in &lines {
        for part in
            ["user=\"ann\"", "device=\"phone-1\"", "msg=", "octets_in=", "octets_out=", "http=200", "ms="]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    let changes = lines.iter().find(|line| line.contains("package=\"3\"")).unwrap();
    assert!(changes.contains("Add") && changes.contains("201"), "{changes}");
}
