//! The harness of the interop tests: its guards leave nothing behind, and SyncEvolution works with itself through it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use peers::{Auth, Mode, Process, Sync, SyncEvolution, Wire, flat_json, free_port, run, texts};

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// Whether a process is there and not merely waiting to be reaped by whoever adopted it.
fn lives(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

fn dies(pid: &str) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !lives(pid)
    })
}

#[test]
fn ready_line_is_one_flat_object() {
    let fields = flat_json(r#"{"ready":true, "syncml":"http:\/\/127.0.0.1:1\/s","port":8080}"#).unwrap();
    assert_eq!(fields["ready"], "true");
    assert_eq!(fields["syncml"], "http://127.0.0.1:1/s");
    assert_eq!(fields["port"], "8080");
    assert!(flat_json("{}").unwrap().is_empty());
    for bad in [
        "",
        "{",
        "ready",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{"a":"x}"#,
        r#"{"a":{"b":1}}"#,
        r#"{"a":"b" "c":1}"#,
    ] {
        assert_eq!(flat_json(bad), None, "{bad}");
    }
}

#[test]
fn free_ports_can_be_bound() {
    let port = free_port();
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert_ne!(free_port(), port, "not given twice");
}

#[test]
fn dropping_a_process_kills_its_children() {
    let process = Process::start(&mut shell("sleep 600 & echo $!; wait"));
    let grandchild = process.line(Duration::from_secs(10)).unwrap();
    assert!(lives(&grandchild));
    drop(process);
    assert!(dies(&grandchild));
}

#[test]
fn stop_is_orderly_and_kill_is_not() {
    let script = "trap 'echo bye >&2; exit 7' TERM; echo '{\"ready\":true}'; while :; do sleep 0.05; done";
    let process = Process::start(&mut shell(script));
    assert_eq!(process.wait_ready()["ready"], "true");
    assert_eq!(process.stop().code(), Some(7));
    let process = Process::start(&mut shell(script));
    process.wait_ready();
    let pid = process.id().to_string();
    process.kill();
    assert!(!lives(&pid));
}

#[test]
fn a_process_that_writes_much_is_not_blocked() {
    let mut process =
        Process::start(&mut shell("head -c 1000000 /dev/zero >&2; echo done; yes | head -c 1000000; exit 3"));
    assert_eq!(process.line(Duration::from_secs(10)).as_deref(), Some("done"));
    assert_eq!(process.wait(Duration::from_secs(10)).unwrap().code(), Some(3));
    assert!(!process.is_running());
}

#[test]
#[should_panic(expected = "did not get ready")]
fn a_program_that_fails_to_start_is_reported_with_its_words() {
    Process::start(&mut shell("echo no >&2; exit 1")).wait_ready();
}

#[test]
#[should_panic(expected = "did not end within")]
fn a_command_that_hangs_is_ended() {
    run(&mut shell("sleep 600"), Duration::from_millis(300));
}

/// Slow, then two-way with an add, an edit and a delete on each side, in the given encoding.
fn with_itself(wire: Wire) {
    let dir = tempfile::tempdir().unwrap();
    let server = SyncEvolution::server(dir.path().join("server"), &["note"]);
    let client = SyncEvolution::client(dir.path().join("client"));
    let both = |expected: &[&str]| {
        assert_eq!(texts(&client.items("note")), expected);
        assert_eq!(texts(&server.items("note")), expected);
    };
    client.put("note", "a", "<&> 你好\n");
    client.put("note", "b", "client b\n");
    server.put("note", "c", "server c\n");
    server.put("note", "d", "server d\n");
    let recording = dir.path().join("recording");
    server.record(Some(&recording));
    let report = client.sync(&Sync { mode: Mode::Slow, wire, ..Sync::with(&server.url) });
    assert_eq!(report.assert_ok().changes("note"), Some(([2, 0, 0, 0], [2, 0, 0, 0])), "{}", report.text);
    server.record(None);
    both(&["<&> 你好", "client b", "server c", "server d"]);
    let extension = if wire == Wire::Xml { "xml" } else { "wbxml" };
    assert!(recording.join("001-req").with_extension(extension).exists());

    client.put("note", "a", "edited at the client\n");
    client.put("note", "e", "client e\n");
    client.delete("note", "b");
    server.put("note", "c", "edited at the server\n");
    server.put("note", "f", "server f\n");
    server.delete("note", "d");
    let report = client.sync(&Sync { wire, ..Sync::with(&server.url) });
    assert_eq!(report.assert_ok().changes("note"), Some(([1, 1, 1, 0], [1, 1, 1, 0])), "{}", report.text);
    both(&["client e", "edited at the client", "edited at the server", "server f"]);

    let report = client.sync(&Sync { wire, ..Sync::with(&server.url) });
    assert_eq!(report.assert_ok().changes("note"), Some(([0; 4], [0; 4])), "{}", report.text);
    server.stop();
}

#[test]
fn syncevolution_with_itself_in_xml() {
    with_itself(Wire::Xml);
}

#[test]
fn syncevolution_with_itself_in_wbxml() {
    with_itself(Wire::Wbxml);
}

#[test]
fn a_failed_sync_is_seen_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let server = SyncEvolution::server(dir.path().join("server"), &["note"]);
    let client = SyncEvolution::client(dir.path().join("client"));
    client.put("note", "a", "kept here\n");
    let slow = Sync { mode: Mode::Slow, ..Sync::with(&server.url) };
    let report = client.sync(&Sync { password: "wrong", auth: Auth::Basic, ..slow });
    assert_ne!(report.code, 0);
    assert!(report.text.contains("status 401"), "{}", report.text);
    let report = client.sync(&Sync { stores: &["note=nowhere:text/plain"], ..slow });
    assert_ne!(report.code, 0);
    assert!(report.text.contains("not found"), "{}", report.text);
    assert!(server.items("note").is_empty());
    client.sync(&Sync { version: Some("1.1"), max_msg_size: Some(8000), ..slow }).assert_ok();
    assert_eq!(texts(&server.items("note")), ["kept here"]);
}

/// Every process that has `text` in its environment, so started by this test however deep.
fn started_with(text: &str) -> BTreeSet<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let names = processes.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| {
            let environment =
                std::fs::read(Path::new("/proc").join(name).join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(text)
        })
        .collect()
}

#[test]
fn a_dropped_server_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("server");
    let server = SyncEvolution::server(&root, &["note"]);
    let home = format!("HOME={}", root.canonicalize().unwrap().display());
    let running = started_with(&home);
    assert!(running.len() >= 3, "session bus, front end, daemon: {running:?}");
    drop(server);
    assert!(running.iter().all(|pid| dies(pid)), "{running:?} of which live: {:?}", started_with(&home));
}
