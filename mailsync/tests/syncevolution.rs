//! SyncEvolution's client, which nobody here wrote, against `mailsyncd`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use mailsync::store::{Bodies, SqliteStore, database};
use mailsync_proto::sync::store::*;
use peers::{Auth, Client, Mode, Process, Sync, SyncEvolution, Wire, run, texts};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// `mailsyncd` with a user `test`, and what lies in that user's notes.
struct Server {
    dir: TempDir,
    process: Option<Process>,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut server = Server { dir: tempfile::tempdir().unwrap(), process: None, url: String::new() };
        let added = run(server.command().args(["user", "add", "test"]), Duration::from_secs(20));
        assert_eq!(added.code, 0, "{added:?}");
        server.run();
        server
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.data()).env("MAILSYNC_PASSWORD", "test");
        command
    }

    fn run(&mut self) {
        let args = ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"];
        let process = Process::start(self.command().args(args));
        self.url = process.wait_ready()["syncml"].clone();
        self.process = Some(process);
    }

    fn stop(mut self) {
        assert_eq!(self.process.take().unwrap().stop().code(), Some(0));
    }

    fn client(&self, name: &str) -> Client {
        SyncEvolution::client(self.dir.path().join(name))
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(database(&self.data()), Bodies::Inside).unwrap()
    }

    /// All live notes, sorted.
    fn texts(&self) -> Vec<String> {
        let store = self.store();
        let notes = StoreKey { user: "test".into(), datastore: "notes".into() };
        let peer = PeerKey { store: notes.clone(), device: "nobody".into() };
        let changes = Changes { peer, generation: 0, since: 0, upto: u64::MAX };
        let rows = Read::Rows(changes, Cursor::default(), u32::MAX);
        let found = store.read(std::slice::from_ref(&rows)).unwrap();
        let Some(Value::Rows(rows)) = found.get(&rows) else { panic!() };
        let text = |row: &Row| {
            let read = Read::Body(notes.clone(), row.item.guid.clone());
            let found = store.read(std::slice::from_ref(&read)).unwrap();
            let Some(Value::Body(Some(body))) = found.get(&read) else { panic!() };
            String::from_utf8(body.to_vec()).unwrap().trim_end().to_owned()
        };
        let mut texts: Vec<String> = rows.iter().map(text).collect();
        texts.sort();
        texts
    }
}

/// Slow, then two-way with an add, an edit and a delete on each side, then nothing, then slow again. What changes on
/// the server comes from a second device.
// mission: M3, M7
fn notes(wire: Wire, version: Option<&str>, max_msg_size: Option<u32>) {
    let mut server = Server::start();
    let (client, other) = (server.client("one"), server.client("two"));
    let both = |server: &Server, expected: &[&str]| {
        assert_eq!(texts(&client.items("note")), expected);
        assert_eq!(server.texts(), expected);
    };
    let stores = ["note=./notes:text/plain"];
    let with = |url| Sync { wire, version, max_msg_size, stores: &stores, ..Sync::with(url) };
    let slow = |sync| Sync { mode: Mode::Slow, ..sync };
    let two = |sync| Sync { device: "lab-dev-2", ..sync };
    let url = server.url.clone();
    client.put("note", "a", "<&> 你好\n");
    client.put("note", "b", "client b\n");
    other.put("note", "c", "other c\n");
    other.put("note", "d", "other d\n");
    other.sync(&slow(two(with(&url)))).assert_ok();
    let report = client.sync(&slow(with(&url)));
    assert_eq!(report.assert_ok().changes("note"), Some(([2, 0, 0, 0], [2, 0, 0, 0])), "{}", report.text);
    both(&server, &["<&> 你好", "client b", "other c", "other d"]);

    client.put("note", "a", "edited at the client\n");
    client.put("note", "e", "client e\n");
    client.delete("note", "b");
    other.put("note", "c", "edited at the other\n");
    other.put("note", "f", "other f\n");
    other.delete("note", "d");
    let report = other.sync(&two(with(&url)));
    assert_eq!(report.assert_ok().changes("note"), Some(([2, 0, 0, 0], [1, 1, 1, 0])), "{}", report.text);
    let report = client.sync(&with(&url));
    assert_eq!(report.assert_ok().changes("note"), Some(([1, 1, 1, 0], [1, 1, 1, 0])), "{}", report.text);
    let all = ["client e", "edited at the client", "edited at the other", "other f"];
    both(&server, &all);

    // What the server remembers outlives it.
    server.process.take().unwrap().kill();
    server.run();
    let url = server.url.clone();
    let report = client.sync(&with(&url));
    assert_eq!(report.assert_ok().changes("note"), Some(([0; 4], [0; 4])), "{}", report.text);
    // A slow sync finds each item's like.
    let report = client.sync(&slow(with(&url)));
    let at_client = report.assert_ok().changes("note").map(|(at_client, _)| at_client);
    assert_eq!(at_client, Some([0; 4]), "{}", report.text);
    both(&server, &all);
    other.sync(&two(with(&url))).assert_ok();
    assert_eq!(texts(&other.items("note")), all);
    server.stop();
}

#[test]
fn notes_in_wbxml() {
    notes(Wire::Wbxml, None, None);
}

#[test]
fn notes_in_xml() {
    notes(Wire::Xml, None, None);
}

#[test]
fn notes_in_version_1_1_in_small_messages() {
    notes(Wire::Wbxml, Some("1.1"), Some(5000));
}

#[test]
fn wrong_password_and_unknown_datastore_are_explained() {
    let server = Server::start();
    let client = server.client("one");
    client.put("note", "a", "kept\n");
    let good = Sync { mode: Mode::Slow, stores: &["note=./notes:text/plain"], ..Sync::with(&server.url) };
    for auth in [Auth::Md5, Auth::Basic] {
        let report = client.sync(&Sync { password: "wrong", auth, ..good });
        assert_ne!(report.code, 0);
        assert!(report.text.contains("status 401"), "{}", report.text);
    }
    let report = client.sync(&Sync { stores: &["note=./nowhere:text/plain"], ..good });
    assert_ne!(report.code, 0);
    assert!(report.text.contains("not found"), "{}", report.text);
    assert!(server.texts().is_empty());
    client.sync(&Sync { auth: Auth::Basic, ..good }).assert_ok();
    assert_eq!(server.texts(), ["kept"]);
    server.stop();
}
