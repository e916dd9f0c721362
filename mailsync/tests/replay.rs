//! What SyncEvolution's client said to SyncEvolution's server, said to ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Process, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// Recordings that follow each other on one pair of stores.
const CHAINS: [&[&str]; 8] = [
    &[
        "01-slow-first",
        "02-twoway-nothing",
        "03-twoway-both-sides",
        "04-twoway-conflict",
        "05-twoway-delete-vs-edit",
        "06-oneway-from-local",
        "07-oneway-from-remote",
        "08-refresh-from-remote-alert",
        "10-refresh-from-local",
        "12-slow-again",
        "13-client-forgot-state",
    ],
    &["14-server-forgot-508"],
    &["20-auth-basic", "21-auth-bad-password", "22-auth-basic-bad"],
    &["23-no-such-datastore"],
    &["30-slow-syncml1.0"],
    &["31-slow-syncml1.1"],
    &["40-slow-card-cal-note"],
    &["50-large-object-8k", "51-maxobj-reject"],
];

/// Where we answer otherwise on purpose: recording, command, recorded, answered.
const OURS: [(&str, &str, u64, u64); 1] = [
    // The client deletes what the server has changed: the item comes back in both, and we say why.
    ("05-twoway-delete-vs-edit", "Delete", 200, 419),
];

type Stores = BTreeMap<String, BTreeMap<String, String>>;

/// `mailsyncd` with a user, and a second client that brings it into the state before a recording.
struct Bench {
    dir: TempDir,
    _server: Process,
    url: String,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../syncml/tests/golden/from-syncevolution").join(name)
}

fn state(dir: &Path, file: &str) -> Stores {
    serde_json::from_str(&fs::read_to_string(dir.join(file)).unwrap()).unwrap()
}

/// Our name of a datastore of the recordings.
fn ours(store: &str) -> &'static str {
    match store {
        "note" => "notes",
        "card" => "contacts",
        "cal" => "calendar",
        other => panic!("{other}"),
    }
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let daemon = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
            command.arg("--data").arg(dir.path().join("data")).args(args).env("MAILSYNC_PASSWORD", "test");
            command
        };
        assert_eq!(run(&mut daemon(&["user", "add", "test", "--keep-password"]), 20 * SECOND).code, 0);
        let server =
            Process::start(&mut daemon(&["--lab", "--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"]));
        let url = server.wait_ready()["syncml"].clone();
        Bench { dir, _server: server, url }
    }

    fn second(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["sync", "--server", &self.url, "--user", "test", "--device", "second"]);
        for store in ["notes", "contacts", "calendar"] {
            command.args(["--store", store]);
        }
        command.arg("--dir").arg(self.dir.path().join("second")).env("MAILSYNC_PASSWORD", "test");
        let synced = run(&mut command, 60 * SECOND);
        assert_eq!(synced.code, 0, "{synced:?}");
    }

    /// The server holds what the recorded one held: what changed there between two recordings is changed here.
    fn prepare(&self, before: &Stores, after_last: &Stores) {
        self.second();
        for store in ["note", "card", "cal"] {
            let none = BTreeMap::new();
            let (now, last) = (before.get(store).unwrap_or(&none), after_last.get(store).unwrap_or(&none));
            let folder = self.dir.path().join("second").join(ours(store));
            let file = |text: &str| {
                fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
                    fs::read_to_string(path)
                        .is_ok_and(|found| found.replace("\r\n", "\n").trim_end() == text.trim_end())
                })
            };
            for (name, text) in now {
                match last.get(name) {
                    Some(old) if old == text => {}
                    Some(old) => match file(old) {
                        Some(path) => fs::write(path, text).unwrap(),
                        None => panic!("{name}: {old:?} is not at our server"),
                    },
                    None => fs::write(folder.join(format!("new-{name}")), text).unwrap(),
                }
            }
            for (name, old) in last.iter().filter(|(name, _)| !now.contains_key(*name)) {
                fs::remove_file(file(old).unwrap_or_else(|| panic!("{name}: {old:?}"))).unwrap();
            }
        }
        self.second();
    }

    fn replay(&self, recording: &Path) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["--json", "replay"]).arg(recording).args(["--server", &self.url, "--user", "test"]);
        let finished = run(command.env("MAILSYNC_PASSWORD", "test"), 60 * SECOND);
        assert!(finished.stderr.is_empty(), "{}: {finished:?}", recording.display());
        serde_json::from_str(&finished.stdout).unwrap()
    }
}

// mission: M3, M11
#[test]
fn every_capture_gets_statuses_of_the_same_class() {
    let mut wrong = Vec::new();
    for encoding in ["xml", "wbxml"] {
        for chain in CHAINS {
            let bench = Bench::new();
            let mut after = Stores::new();
            for name in chain {
                let recording = golden(&format!("{name}.{encoding}"));
                bench.prepare(&state(&recording, "before-server.json"), &after);
                after = state(&recording, "after-server.json");
                let result = bench.replay(&recording);
                assert!(result["compared"].as_u64().unwrap() >= 3, "{name}: {result}");
                let meant = |difference: &Value| {
                    OURS.iter().any(|(recording, command, recorded, answered)| {
                        recording == name
                            && difference["command"] == *command
                            && difference["recorded"] == *recorded
                            && difference["answered"] == *answered
                    })
                };
                let differences = result["differences"].as_array().unwrap();
                wrong.extend(
                    differences.iter().filter(|d| !meant(d)).map(|d| format!("{name}.{encoding}: {d}")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
