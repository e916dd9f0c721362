//! `mailsync demo` through its binary: it ends well, and its figures fit together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Process, run};
use serde_json::Value;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

fn demo(temp: &std::path::Path, args: &[&str]) -> peers::Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    run(command.args(["demo", "--json"]).args(args).env("TMPDIR", temp), Duration::from_secs(600))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

// mission: M1, M2, M3, M5a, M5b, M5c, M7, M13
#[test]
fn the_main_job_end_to_end() {
    let temp = tempfile::tempdir().unwrap();
    let finished = demo(temp.path(), &[]);
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(finished.stderr, "");
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "its folder is gone");
    let figures: Value = serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(figures["ok"], true);

    let first = &figures["first_sync"];
    assert!(number(&first["mails"]) >= 10);
    for wire in ["wbxml", "xml"] {
        let sync = &first[wire];
        // The mails came, and the five folders went.
        assert_eq!(number(&sync["items"]), number(&first["mails"]) + 5, "{sync}");
        // Messages of at most 20,000 octets, most of them full.
        let each = number(&sync["bytes"]) / number(&sync["messages"]);
        assert!((15_000..22_000).contains(&each), "{sync}");
    }
    assert!(number(&first["wbxml"]["bytes"]) < number(&first["xml"]["bytes"]));
    assert!(number(&first["wbxml"]["messages"]) <= number(&first["xml"]["messages"]));

    let steps = figures["steps"].as_array().unwrap();
    let step =
        |name: &str| steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(steps.len(), 10);
    // One mail each: lost or doubled ones would show.
    for (killed, messages) in [("server killed", 250), ("both killed", 100)] {
        assert_eq!(number(&step(killed)["items"]), 1);
        assert!(number(&step(killed)["messages"]) >= messages);
    }
    assert!(number(&step("server killed")["bytes_wbxml"]) > 5_000_000);
    // The second of the two syncs went on where the first was cut.
    let rest = number(&step("both killed")["bytes_wbxml"]);
    assert!((1_000_000..5_000_000).contains(&rest), "{rest}");
    assert_eq!(number(&step("read and flag")["items"]), 2);
    assert_eq!(number(&step("marks come back")["items"]), 4);
    assert!(number(&step("marks come back")["bytes_xml"]) > 0);
    let sum: u64 = steps.iter().map(|step| number(&step["bytes_wbxml"]) + number(&step["bytes_xml"])).sum();
    assert!(number(&figures["bytes_on_the_wire"]) > sum, "HTTP takes something, too");
    // Every comparison was of all mails: eleven times at least of the 5 MB one.
    assert!(number(&figures["octets_compared"]) > 11 * 5_000_000);
    assert_eq!(number(&figures["mails"]), number(&first["mails"]), "two went, two came");
    for name in ["step", "messages", "items", "WBXML octets", "XML octets", "seconds"] {
        assert!(finished.stdout.contains(name), "the table for people has {name}");
    }
}

#[test]
fn a_folder_that_is_used_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "x").unwrap();
    let finished = demo(dir.path(), &["--dir", dir.path().to_str().unwrap()]);
    assert_eq!((finished.code, finished.stderr.lines().count()), (1, 1), "{finished:?}");
    assert!(finished.stderr.contains("not empty"), "{finished:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_demo_that_cannot_work_says_so() {
    let finished = demo(std::path::Path::new("/nonexistent"), &[]);
    assert_eq!((finished.code, finished.stderr.lines().count()), (1, 1), "{finished:?}");
    assert!(finished.stderr.contains("/nonexistent"), "{finished:?}");
}

#[test]
fn the_server_ends_with_a_demo_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    let mut demo = Process::start(command.args(["demo", "--dir"]).arg(dir.path().join("demo")));
    let limit = Duration::from_secs(60);
    let server = loop {
        let line = demo.line(limit).unwrap_or_else(|| panic!("no word of the server: {}", demo.stderr()));
        if let Some((_, rest)) = line.split_once("speaks SyncML on ") {
            break rest.split(' ').next().unwrap().to_owned();
        }
    };
    assert!(TcpStream::connect(&server).is_ok());
    // The demo alone, not its process group.
    let kill = Command::new("/bin/sh").args(["-c", &format!("kill -s KILL {}", demo.id())]).status().unwrap();
    assert!(kill.success());
    assert_eq!(demo.wait(limit).unwrap().code(), None);
    let end = Instant::now() + limit;
    while TcpStream::connect(&server).is_ok() {
        assert!(Instant::now() < end, "the server still runs");
        std::thread::sleep(Duration::from_millis(50));
    }
}
