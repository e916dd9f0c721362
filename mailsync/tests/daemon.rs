//! `mailsyncd` through its binary: command line, bad input, mail in and out, its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use bytes::Bytes;
use idmap::Guid;
use mailsync::store::{Bodies, SqliteStore, database};
use mailsync_proto::mail::outbox::SendJob;
use mailsync_proto::mail::{MailFields, Role, SendOutcome};
use mailsync_proto::sync::store::*;
use peers::{Finished, Process, run};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const XML: &str = "application/vnd.syncml+xml";
const LOGIN: &str = "../syncml/tests/golden/from-syncevolution/01-slow-first.xml/001-req.xml";

/// A data folder and the commands on it.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        for name in ["ana", "bo"] {
            assert_eq!(bench.run(&["user", "add", name]).code, 0);
        }
        bench
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.data()).args(args).env("MAILSYNC_PASSWORD", "secret");
        command
    }

    fn run(&self, args: &[&str]) -> Finished {
        run(&mut self.command(args), 20 * SECOND)
    }

    fn start(&self, args: &[&str]) -> Running {
        let any = ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"];
        let process = Process::start(&mut self.command(&[&any[..], args].concat()));
        let ready = process.wait_ready();
        let http =
            ready["syncml"].strip_prefix("http://").unwrap().strip_suffix("/syncml").unwrap().to_owned();
        Running { process, http, smtp: ready["smtp"].clone() }
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(database(&self.data()), Bodies::Inside).unwrap()
    }
}

struct Running {
    process: Process,
    http: String,
    smtp: String,
}

impl Running {
    /// Sends octets, and gives all that comes until the server closes or is silent for a while.
    fn raw(&self, octets: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(2 * SECOND)).unwrap();
        stream.write_all(octets).unwrap();
        let mut out = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            out.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn request(&self, line: &str, headers: &str, body: &[u8]) -> String {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.http,
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn post(&self, content_type: &str, body: &[u8]) -> String {
        self.request("POST /syncml", &format!("Content-Type: {content_type}\r\n"), body)
    }

    /// An honest stranger: a client's first message is answered with a challenge.
    fn assert_serves(&self) {
        let answer = self.post(XML, &login());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("<Chal>") && answer.contains("<Data>401</Data>"), "{answer}");
    }

    /// A talk with the SMTP listener: each line, and the replies to all of them.
    fn smtp(&self, lines: &[&str]) -> String {
        let mut stream = TcpStream::connect(&self.smtp).unwrap();
        stream.set_read_timeout(Some(10 * SECOND)).unwrap();
        stream.write_all(format!("{}\r\nQUIT\r\n", lines.join("\r\n")).as_bytes()).unwrap();
        let mut out = String::new();
        stream.read_to_string(&mut out).unwrap();
        out
    }
}

fn login() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(LOGIN)).unwrap()
}

fn mail_of(user: &str) -> StoreKey {
    StoreKey { user: user.into(), datastore: "mail".into() }
}

fn one(store: &SqliteStore, read: Read) -> Value {
    store.read(std::slice::from_ref(&read)).unwrap().get(&read).cloned().unwrap()
}

/// The mails in a folder, with their bodies.
fn mails(store: &SqliteStore, user: &str, role: Role) -> Vec<(Item, Bytes)> {
    let key = mail_of(user);
    let peer = PeerKey { store: key.clone(), device: "test".into() };
    let changes = Changes { peer, generation: 0, since: 0, upto: u64::MAX };
    let Value::Rows(rows) = one(store, Read::Rows(changes, Cursor::default(), u32::MAX)) else { panic!() };
    let of_role = rows.into_iter().map(|row| row.item).filter(|item| item.value.parent == Some(role.guid()));
    of_role
        .map(|item| match one(store, Read::Body(key.clone(), item.guid.clone())) {
            Value::Body(body) => (item, body.unwrap()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + 20 * SECOND;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// mission: M13
#[test]
fn users_and_devices_from_the_command_line() {
    let bench = Bench::new();
    let again = bench.run(&["user", "add", "ana"]);
    assert_eq!((again.code, again.stderr.lines().count()), (1, 1), "{again:?}");
    assert_eq!(
        bench.run(&["user", "add", "li", "--address", "li@a.example", "--address", "LI@b.example"]).code,
        0
    );
    let list = bench.run(&["user", "list", "--json"]);
    let users: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(users[0], serde_json::json!({"name": "ana", "addresses": ["ana@localhost"]}));
    assert_eq!(users[2]["addresses"], serde_json::json!(["li@a.example", "LI@b.example"]));
    for bad in [
        ["user", "add", "a b"],
        ["user", "add", "a:b"],
        ["user", "remove", "nobody"],
        ["user", "password", "nobody"],
    ] {
        let finished = bench.run(&bad);
        assert_eq!((finished.code, finished.stderr.lines().count()), (1, 1), "{bad:?}: {finished:?}");
    }
    assert_eq!(bench.run(&["user", "add", "x", "--address", "no-address"]).code, 1);

    assert_eq!(bench.run(&["device", "add", "ana", "IMEI:1"]).code, 0);
    assert_eq!(bench.run(&["device", "add", "nobody", "IMEI:1"]).code, 1);
    assert_eq!(bench.run(&["device", "revoke", "ana", "IMEI:2"]).code, 0);
    let list = bench.run(&["device", "list", "ana"]);
    assert_eq!(list.stdout, "ana\tIMEI:1\tallowed\town password\nana\tIMEI:2\trevoked\tuser's password\n");
    assert_eq!(bench.run(&["user", "remove", "li"]).code, 0);
    assert_eq!(bench.run(&["doctor"]).code, 0);

    let mut silent = bench.command(&["user", "add", "zoe"]);
    let finished = run(silent.env_remove("MAILSYNC_PASSWORD"), 20 * SECOND);
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("MAILSYNC_PASSWORD"), "{finished:?}");
}

#[test]
fn wrong_usage_is_2_and_a_bad_configuration_1() {
    let bench = Bench::new();
    for usage in [
        &["dance"][..],
        &["--bind", "smpp"],
        &["user"],
        &["--http", "127.0.0.1:0", "user", "list"],
        &["--lab", "doctor"],
    ] {
        assert_eq!(bench.run(usage).code, 2, "{usage:?}");
    }
    let file = bench.dir.path().join("bad.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "[http]\nlisten = \"127.0.0.1:0\"\nport = 80\n").unwrap();
    for args in [&["check-config", path][..], &["--config", path]] {
        let finished = bench.run(args);
        assert_eq!(finished.code, 1, "{finished:?}");
        assert!(finished.stderr.contains("port") && finished.stderr.contains("bad.toml"), "{finished:?}");
    }
    let default = bench.run(&["check-config", "--print-default"]);
    std::fs::write(&file, default.stdout).unwrap();
    assert_eq!(bench.run(&["check-config", path]).code, 0);
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let bench = Bench::new();
    let server = bench.start(&[]);
    let second = bench.run(&["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"]);
    assert_eq!((second.code, second.stdout.as_str()), (1, ""));
    let last = second.stderr.lines().last().unwrap();
    assert!(last.contains("in use") && last.contains(&server.process.id().to_string()), "{second:?}");
    assert_eq!(bench.run(&["user", "add", "late"]).code, 0, "commands work beside the server");
    server.assert_serves();
    assert_eq!(server.process.stop().code(), Some(0));
    assert_eq!(bench.start(&[]).process.stop().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn the_data_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    assert_eq!(std::fs::metadata(bench.data()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn bad_requests_get_their_http_status_and_harm_nobody() {
    let bench = Bench::new();
    let server = bench.start(&[]);
    let status = |answer: String| answer.split(' ').nth(1).unwrap_or_default().to_owned() + " " + &answer;
    let assert_status =
        |answer: String, code: &str| assert!(status(answer.clone()).starts_with(code), "{code}: {answer}");
    assert_status(server.request("GET /syncml", "", b""), "200");
    assert_status(server.request("PUT /syncml", "", b"x"), "405");
    assert_status(server.request("POST /other", "", b"x"), "404");
    assert_status(server.post("text/plain", &login()), "415");
    assert_status(server.request("POST /syncml", "", &login()), "415");
    let deflated = format!("Content-Type: {XML}\r\nContent-Encoding: deflate\r\n");
    assert_status(server.request("POST /syncml", &deflated, &login()), "415");
    assert_status(server.post(XML, b"this is no SyncML"), "400");
    assert_status(server.post(XML, b"<html><body>hello</body></html>"), "400");
    assert_status(server.post(XML, b""), "400");
    let whole = login();
    assert_status(server.post(XML, &whole[..whole.len() / 2]), "400");
    assert_status(server.post("application/vnd.syncml+wbxml", &whole), "400");
    let token = format!("Content-Type: {XML}\r\n");
    assert_status(server.request("POST /syncml?s=0123456789abcdef", &token, &whole), "404");
    server.assert_serves();
    assert_eq!(server.process.stop().code(), Some(0));
}

#[test]
fn threat_h1_sizes_and_framing() {
    let bench = Bench::new();
    let server = bench.start(&[]);
    let head = |more: &str| {
        format!("POST /syncml HTTP/1.1\r\nHost: {}\r\nContent-Type: {XML}\r\n{more}\r\n", server.http)
    };
    // Declared too long: refused before any of it comes.
    let answer = server.raw(head("Content-Length: 99999999999\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Chunked too long: refused where the limit is passed.
    let mut chunked = head("Transfer-Encoding: chunked\r\n").into_bytes();
    for _ in 0..33 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b' '; 4096]);
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = server.raw(&chunked);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Two ways to say where a body ends, and a request hidden behind one of them.
    let hidden = "0\r\n\r\nGET /syncml HTTP/1.1\r\nHost: x\r\n\r\n";
    for both in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let answer = server.raw(format!("{}{hidden}", head(both)).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    let answer = server.raw(head(&format!("X-Long: {}\r\n", "x".repeat(20_000))).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    server.assert_serves();
}

// mission: M7 (mail for the right user), threats L5
#[test]
fn mail_is_delivered_to_local_users_and_survives_a_kill() {
    let bench = Bench::new();
    let server = bench.start(&[]);
    let text = "Message-ID: <1@x>\r\nSubject: =?UTF-8?B?5L2g5aW9?=\r\n\r\n..dot\r\nline\r\n";
    let said = server.smtp(&[
        "EHLO client.example",
        "MAIL FROM:<out@x.example>",
        "RCPT TO:<ana@localhost>",
        "RCPT TO:<nobody@localhost>",
        "RCPT TO:<postmaster>",
        "RCPT TO:<BO@LOCALHOST>",
        "DATA",
        &text.replace("\r\n..", "\r\n..."),
        ".",
    ]);
    assert!(said.contains("550 5.1.1 "), "{said}");
    assert!(said.contains("250 2.0.0 Stored"), "{said}");
    server.process.kill();
    let store = bench.store();
    for user in ["ana", "bo"] {
        let found = mails(&store, user, Role::Inbox);
        assert_eq!(found.len(), 1, "{user}");
        let stored = String::from_utf8(found[0].1.to_vec()).unwrap();
        let start = format!(
            "Return-Path: <out@x.example>\r\nDelivered-To: {user}@localhost\r\nReceived: from client.example"
        );
        assert!(stored.to_lowercase().starts_with(&start.to_lowercase()), "{stored}");
        assert!(stored.ends_with(&format!("\r\n{text}\r\n")), "{stored:?}");
    }
    bench.start(&[]).assert_serves();
}

/// Puts a mail into ana's outbox, as a sync does.
fn queue_mail(bench: &Bench, id: &str, text: &str) {
    let store = bench.store();
    let body = Bytes::from(text.to_owned());
    let guid = Guid::try_from(id).unwrap();
    let value = ItemValue {
        rank: 1,
        parent: Some(Role::Outbox.guid()),
        kind: "message/rfc822".into(),
        fields: MailFields::default().to_fields(),
        match_keys: vec![],
    };
    let job = SendJob::new("ana", &guid, &body, "localhost", 1_800_000_000).unwrap();
    let mut writes =
        vec![Write::PutItem { store: mail_of("ana"), guid, expect: None, value, body: Some(body) }];
    writes.extend(job.enqueue());
    store.commit(&Commit { session: None, writes }).unwrap();
}

// mission: M1
#[test]
fn outbox_mail_reaches_local_users_once_and_others_are_refused() {
    let bench = Bench::new();
    let server = bench.start(&[]);
    let header =
        "Message-ID: <out1@phone>\r\nDate: Sun, 22 Nov 2026 04:00:00 +0000\r\nFrom: Ana <ana@localhost>\r\n";
    queue_mail(
        &bench,
        "m1",
        &format!("{header}To: bo@localhost, far@elsewhere.example\r\nBcc: BO@localhost\r\n\r\nhi\r\n"),
    );
    let store = bench.store();
    let got = eventually("mail for bo", || mails(&store, "bo", Role::Inbox).pop());
    let text = String::from_utf8(got.1.to_vec()).unwrap();
    assert!(text.contains("Return-Path: <ana@localhost>") && text.ends_with("\r\n\r\nhi\r\n"), "{text}");
    assert!(!text.contains("Bcc"), "{text}");
    let (sent, _) = eventually("the sent mail", || mails(&store, "ana", Role::Sent).pop());
    let state = MailFields::from_fields(&sent.value.fields).unwrap().send.unwrap();
    assert_eq!(state.outcome, SendOutcome::Partly);
    assert!(state.words.iter().any(|words| words.contains("elsewhere.example")), "{:?}", state.words);
    let bounce = mails(&store, "ana", Role::Inbox).pop().expect("a bounce");
    assert!(String::from_utf8_lossy(&bounce.1).contains("far@elsewhere.example"));
    assert!(mails(&store, "ana", Role::Outbox).is_empty());
    assert!(store.jobs(None).unwrap().is_empty());
    assert_eq!(mails(&store, "bo", Role::Inbox).len(), 1);

    queue_mail(
        &bench,
        "m2",
        &header.replace("out1", "out2").replace("\r\nFrom", "\r\nTo: nobody@localhost\r\nFrom").add_body(),
    );
    let (kept, _) = eventually("the refused mail", || {
        mails(&store, "ana", Role::Outbox)
            .pop()
            .filter(|(item, _)| MailFields::from_fields(&item.value.fields).unwrap().send.is_some())
    });
    assert_eq!(
        MailFields::from_fields(&kept.value.fields).unwrap().send.unwrap().outcome,
        SendOutcome::Failed
    );
    assert_eq!(server.process.stop().code(), Some(0));
}

trait AddBody {
    fn add_body(self) -> String;
}

impl AddBody for String {
    fn add_body(self) -> String {
        self + "\r\nx\r\n"
    }
}

#[test]
fn jobs_are_listed_retried_and_dropped() {
    let bench = Bench::new();
    let bad = Write::Enqueue("send".into(), "ana\nbroken".into(), Bytes::from_static(b"\xffnot a job"));
    bench.store().commit(&Commit { session: None, writes: vec![bad] }).unwrap();
    let server = bench.start(&[]);
    let listed = eventually("a try", || {
        let list = bench.run(&["queue", "list", "--json"]);
        let jobs: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
        (jobs[0]["attempts"] == 1).then_some(jobs)
    });
    assert!(listed[0]["error"].as_str().unwrap().contains("version 255"), "{listed}");
    assert_eq!(bench.run(&["doctor"]).code, 1);
    assert_eq!(bench.run(&["queue", "retry", "send", "ana\\nbroken"]).code, 0);
    eventually("another try", || bench.run(&["queue", "list"]).stdout.contains("2 tries").then_some(()));
    assert_eq!(bench.run(&["queue", "drop", "send", "ana\\nbroken"]).code, 0);
    assert_eq!(bench.run(&["queue", "drop", "send", "ana\\nbroken"]).code, 1);
    assert_eq!(bench.run(&["queue", "list"]).stdout, "");
    server.assert_serves();
}

#[test]
fn a_recording_holds_every_body_and_no_secret() {
    let bench = Bench::new();
    let dir = bench.dir.path().join("record");
    let server = bench.start(&["--record", dir.to_str().unwrap()]);
    server.assert_serves();
    server.post(XML, b"nonsense");
    let text = String::from_utf8(login()).unwrap();
    let cred =
        text.split("<Cred>").nth(1).and_then(|cred| cred.split("<Data>").nth(1)?.split("</Data>").next());
    let cred = cred.expect("the capture logs in");
    let recorded = std::fs::read_to_string(dir.join("lab-dev-1-5/001-req.xml")).unwrap();
    assert_eq!(recorded, text.replace(cred, &"x".repeat(cred.len())));
    assert!(std::fs::read_to_string(dir.join("lab-dev-1-5/001-resp.xml")).unwrap().contains("<Chal>"));
    assert!(std::fs::read_to_string(dir.join("undecoded/001-resp.hdr")).unwrap().starts_with("HTTP 400\n"));
}

#[test]
fn logs_can_be_json() {
    let bench = Bench::new();
    let server = bench.start(&["--log-format", "json"]);
    server.assert_serves();
    let log = eventually("a log line", || {
        Some(server.process.stderr()).filter(|log| log.contains("login refused"))
    });
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(line["timestamp"].is_string());
    }
}
