//! Through the binaries: what a server asks a device to do, in a session and by a notification; how busy it is; what becomes
//! of conflicts, and having back what was lost in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use bytes::Bytes;
use peers::{Finished, Process, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use syncml::{Encoding, Limits, Quirks};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const LOGIN: &str = "../syncml/tests/golden/from-syncevolution/01-slow-first.xml/001-req.xml";

/// A server with the user ann and a configuration, and folders of clients.
struct Bench {
    dir: TempDir,
    url: String,
    _server: Process,
}

impl Bench {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("server.password"), "server's own\n").unwrap();
        let config = config.replace("DIR", dir.path().to_str().unwrap());
        fs::write(dir.path().join("config.toml"), config).unwrap();
        assert_eq!(run(&mut daemon(dir.path(), &["user", "add", "ann"]), 20 * SECOND).code, 0);
        let args = ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"];
        let server = Process::start(&mut daemon(dir.path(), &args));
        let url = server.wait_ready()["syncml"].clone();
        Bench { dir, url, _server: server }
    }

    fn daemon(&self, args: &[&str]) -> Finished {
        run(&mut daemon(self.dir.path(), args), 20 * SECOND)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A sync of notes, and what else is said.
    fn sync(&self, device: &str, args: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args([
            "--json", "sync", "--server", &self.url, "--user", "ann", "--device", device, "-v", "--dir",
        ]);
        command.arg(self.path(device)).args(args);
        command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_SERVER_PASSWORD", "server's own");
        run(&mut command, 60 * SECOND)
    }

    /// One that must end well.
    fn synced(&self, device: &str, args: &[&str]) -> Finished {
        let finished = self.sync(device, args);
        assert_eq!(finished.code, 0, "{finished:?}");
        let line = finished.stdout.lines().last().unwrap();
        let report: Value = serde_json::from_str(line).unwrap();
        assert_eq!(report["result"], "ok", "{report}");
        finished
    }

    fn note(&self, device: &str, store: &str, name: &str, text: &str) {
        let folder = self.path(device).join(store);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    fn texts(&self, device: &str, store: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path(device).join(store)).unwrap();
        entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

fn daemon(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
    command.arg("--data").arg(dir.join("data")).arg("--config").arg(dir.join("config.toml")).args(args);
    command.env("MAILSYNC_PASSWORD", "secret");
    command
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const BOTH: [&str; 4] = ["--store", "notes", "--store", "tasks"];

fn task(title: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//EN\r\nBEGIN:VTODO\r\nUID:{title}@t\r\nSUMMARY:{title}\r\n\
         END:VTODO\r\nEND:VCALENDAR\r\n"
    )
}

// mission: M4
#[test]
fn what_was_asked_for_is_synced_in_the_session_of_something_else() {
    let bench = Bench::new("");
    bench.note("one", "tasks", "a", &task("first"));
    bench.synced("one", &BOTH);
    bench.synced("two", &BOTH);
    bench.note("two", "tasks", "b", &task("second"));
    bench.synced("two", &BOTH);
    let refused = bench.daemon(&["device", "ask", "ann", "one", "memories"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("there are mail"), "{refused:?}");
    assert_eq!(bench.daemon(&["device", "ask", "ann", "nobody", "tasks"]).code, 1);
    assert_eq!(bench.daemon(&["device", "ask", "ann", "one", "tasks", "--mode", "slow"]).code, 2);
    assert_eq!(
        bench.daemon(&["device", "ask", "ann", "one", "tasks", "--mode", "one-way-from-server"]).code,
        0
    );
    // Only of the one that was asked, and once. A device must know the datastore: `mailsync` does of those it is given.
    let said =
        bench.synced("one", &["--store", "tasks", "--store", "notes", "--mode", "one-way-from-client"]);
    assert!(said.stderr.contains("tasks: the server asks for a one-way-from-server sync"), "{said:?}");
    assert_eq!(bench.texts("one", "tasks").len(), 2);
    let said = bench.synced("one", &["--store", "tasks", "--mode", "one-way-from-client"]);
    assert!(!said.stderr.contains("server asks"), "{said:?}");
}

// mission: M4
// threat: N1
#[test]
fn threat_n1_a_notification_begins_the_session_that_it_names_and_no_other() {
    let bench =
        Bench::new("[session]\nserver_name = \"srv\"\nserver_password_file = \"DIR/server.password\"\n");
    let proof = ["--server-name", "srv"];
    bench.synced("one", &[&BOTH[..], &proof].concat());
    bench.synced("two", &[&BOTH[..], &proof].concat());
    bench.note("two", "notes", "late", "a note that came late");
    bench.synced("two", &[&BOTH[..], &proof].concat());
    for (n, form) in ["binary", "wbxml", "xml"].into_iter().enumerate() {
        let (file, record) = (bench.path(&format!("{form}.san")), bench.path(&format!("record-{form}")));
        let (file, record) = (file.to_str().unwrap(), record.to_str().unwrap());
        let ask = ["device", "ask", "ann", "one", "notes", "--notification", file, "--form", form];
        let asked = bench.daemon(&ask);
        assert_eq!(asked.code, 0, "{asked:?}");
        // Another octet, another server, no key.
        let mut octets = fs::read(file).unwrap();
        let last = octets.len() - 2;
        octets[last] ^= 1;
        let wrong = bench.path("wrong");
        fs::write(&wrong, &octets).unwrap();
        let args = [&BOTH[..], &proof, &["--notification", wrong.to_str().unwrap()]].concat();
        assert_eq!(bench.sync("one", &args).code, 1);
        let args = [&BOTH[..], &["--server-name", "other", "--notification", file]].concat();
        let finished = bench.sync("one", &args);
        assert!(finished.code == 1 && finished.stderr.contains("not of our server"), "{finished:?}");
        assert_eq!(bench.sync("one", &[&BOTH[..], &["--notification", file]].concat()).code, 2);
        if n > 0 {
            // One session begins in a minute: the first of them was the first form's.
            let finished = bench.sync("one", &[&BOTH[..], &proof, &["--notification", file]].concat());
            let late = finished.code == 0 || finished.stderr.contains("less than 60 seconds");
            assert!(late, "{finished:?}");
            continue;
        }
        let args = [&BOTH[..], &proof, &["--notification", file, "--record", record]].concat();
        let finished = bench.synced("one", &args);
        assert!(!finished.stderr.contains("tasks:"), "only what was asked for: {finished:?}");
        assert!(bench.texts("one", "notes").contains("a note that came late"));
        let alert = syncml::san::ServerAlert::decode(&Bytes::from(fs::read(file).unwrap())).unwrap();
        let first = fs::read_dir(record).unwrap().map(|entry| entry.unwrap().path());
        let first = first.filter(|path| path.to_string_lossy().ends_with("-req.wbxml")).min().unwrap();
        let request = Bytes::from(fs::read(first).unwrap());
        let said = syncml::decode(Encoding::Wbxml, &request, &Limits::default(), &Quirks::default()).unwrap();
        assert!(alert.is_session(&said.hdr.session_id), "{} of {alert:?}", said.hdr.session_id);
        // After the login that it caused, its nonce is worth nothing.
        let finished = bench.sync("one", &[&BOTH[..], &proof, &["--notification", file]].concat());
        assert!(finished.code == 1 && finished.stderr.contains("digest"), "{finished:?}");
    }
}

#[test]
fn every_message_of_both_sides_is_proved() {
    let bench = Bench::new(
        "[session]\nauth = \"hmac\"\nserver_auth = \"hmac\"\nserver_name = \"srv\"\n\
         server_password_file = \"DIR/server.password\"\n",
    );
    bench.note("one", "notes", "a", "proved");
    let args = ["--store", "notes", "--auth", "hmac", "--server-name", "srv", "--server-auth", "hmac"];
    bench.synced("one", &args);
    bench.synced("two", &args);
    assert_eq!(bench.texts("two", "notes"), set(&["proved"]));
    // Somebody else who says to be the server.
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    command
        .args(["sync", "--server", &bench.url, "--user", "ann", "--dir"])
        .arg(bench.path("two"))
        .args(args);
    command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_SERVER_PASSWORD", "another");
    assert_eq!(run(&mut command, 60 * SECOND).code, 1);
}

/// The raw answer to a client's first message.
fn first(bench: &Bench) -> String {
    let host = bench.url.strip_prefix("http://").unwrap().strip_suffix("/syncml").unwrap();
    let body = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(LOGIN)).unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(10 * SECOND)).unwrap();
    let head = format!(
        "POST /syncml HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/vnd.syncml+xml\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

// threat: H1
#[test]
fn threat_h1_a_server_that_has_too_much_to_do_says_when_to_come_again() {
    let bench = Bench::new("[http]\noverloaded = 0\n");
    let answer = first(&bench);
    assert!(
        answer.contains("<Data>503</Data>") && answer.to_lowercase().contains("retry-after: 30"),
        "{answer}"
    );
    let finished = bench.sync("one", &["--store", "notes"]);
    assert!(finished.code == 1 && finished.stdout.contains("503"), "{finished:?}");
    let bench = Bench::new("");
    let answer = first(&bench);
    assert!(!answer.to_lowercase().contains("retry-after") && answer.contains("<Chal>"), "{answer}");
}

// spec-test: session facts section 8
#[test]
fn a_busy_server_takes_what_comes_and_gives_its_own_later() {
    // Two messages at once are too many: one that hangs in the middle of its body is not counted, a guesser's delay neither.
    let bench = Bench::new("[http]\nbusy = 0\n");
    let answer = first(&bench);
    assert!(answer.to_lowercase().contains("retry-after: 30"), "{answer}");
}

// mission: M7
#[test]
fn conflicts_by_datastore_and_what_was_lost_comes_back() {
    let bench = Bench::new("[[store]]\nname = \"notes\"\nconflict = \"server-wins\"\ndeletion = \"wins\"\n");
    let notes = ["--store", "notes"];
    bench.note("one", "notes", "a", "first");
    bench.note("one", "notes", "b", "second");
    bench.synced("one", &notes);
    bench.synced("two", &notes);
    let named = |device: &str, text: &str| {
        let entries =
            fs::read_dir(bench.path(device).join("notes")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| fs::read_to_string(path).unwrap() == text).min().unwrap()
    };
    fs::write(named("one", "first"), "first, by one").unwrap();
    fs::remove_file(named("one", "second")).unwrap();
    fs::write(named("two", "first"), "first, by two").unwrap();
    fs::write(named("two", "second"), "second, by two").unwrap();
    bench.synced("one", &notes);
    let said = bench.synced("two", &notes);
    assert!(said.stderr.contains("the server's version stays (419)"), "{said:?}");
    assert_eq!(bench.texts("two", "notes"), set(&["first, by one"]));
    let listed = bench.daemon(&["--json", "kept", "list", "ann"]);
    let kept: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    // What one deleted, what two wrote of it, and what two wrote of the other.
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept.iter().all(|kept| kept["datastore"] == "notes" && kept["until"].is_number()), "{kept:?}");
    assert_eq!(bench.daemon(&["kept", "restore", "ann", "999"]).code, 1);
    assert_eq!(bench.daemon(&["kept", "restore", "bob", "1"]).code, 1, "of others nothing");
    let lost = kept.iter().find(|kept| kept["size"] == "first, by two".len()).unwrap()["id"].to_string();
    assert_eq!(bench.daemon(&["kept", "restore", "ann", &lost]).code, 0);
    assert_eq!(bench.daemon(&["kept", "restore", "ann", "--all"]).code, 0);
    for device in ["one", "two"] {
        bench.synced(device, &notes);
        let texts = bench.texts(device, "notes");
        assert!(texts.is_superset(&set(&["first, by one", "first, by two", "second, by two"])), "{texts:?}");
    }
    assert_eq!(bench.daemon(&["--json", "kept", "list"]).stdout.trim(), "[]");
}
