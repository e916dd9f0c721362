//! `mailsync` through its binary: bad input and bad servers, and what users do with a folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Finished, Process, run};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const WBXML: &str = "application/vnd.syncml+wbxml";
const XML: &str = "application/vnd.syncml+xml";
const PASSWORD: &str = "secret";

/// A server with the users ann and bob, and folders of clients.
struct Bench {
    dir: TempDir,
    server: Process,
    url: String,
    smtp: String,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let daemon = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
            command.arg("--data").arg(dir.path().join("data")).args(args).env("MAILSYNC_PASSWORD", PASSWORD);
            command
        };
        for name in ["ann", "bob"] {
            assert_eq!(run(&mut daemon(&["user", "add", name]), 20 * SECOND).code, 0);
        }
        let server = Process::start(&mut daemon(&["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"]));
        let ready = server.wait_ready();
        Bench { url: ready["syncml"].clone(), smtp: ready["smtp"].clone(), dir, server }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A mail for ann or bob.
    fn mail(&self, to: &str, id: &str, text: &str) {
        let mut stream = TcpStream::connect(&self.smtp).unwrap();
        stream.set_read_timeout(Some(20 * SECOND)).unwrap();
        let talk = format!(
            "HELO x\r\nMAIL FROM:<bob@localhost>\r\nRCPT TO:<{to}@localhost>\r\nDATA\r\n\
             Message-ID: <{id}@x>\r\nFrom: bob@localhost\r\nTo: {to}@localhost\r\n\
             Subject: about {id}\r\n\r\n{text}\r\n.\r\nQUIT\r\n"
        );
        stream.write_all(talk.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains("Stored"), "{said}");
    }

    fn sync(&self, user: &str, folder: &str, args: &[&str]) -> Finished {
        sync(&self.url, user, &self.folder(folder), args)
    }

    /// A sync that must end well: its report.
    fn synced(&self, user: &str, folder: &str, args: &[&str]) -> Value {
        let finished = self.sync(user, folder, args);
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{finished:?}");
        let report = report(&finished);
        assert_eq!(report["result"], "ok", "{report}");
        report
    }

    fn verb(&self, folder: &str, args: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        run(command.args(["--json", args[0], "--dir"]).arg(self.folder(folder)).args(&args[1..]), 20 * SECOND)
    }

    /// A verb that must end well: its answer.
    fn done(&self, folder: &str, args: &[&str]) -> Value {
        let finished = self.verb(folder, args);
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{args:?}: {finished:?}");
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
    }

    fn list(&self, folder: &str) -> Vec<Value> {
        self.done(folder, &["list"]).as_array().unwrap().clone()
    }

    /// The listed mail with a subject.
    fn find(&self, folder: &str, subject: &str) -> Option<Value> {
        self.list(folder).into_iter().find(|mail| mail["subject"] == subject)
    }
}

fn sync_command(url: &str, user: &str, folder: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    command.args(["--json", "sync", "--server", url, "--user", user, "--dir"]).arg(folder).args(args);
    command.env("MAILSYNC_PASSWORD", PASSWORD);
    command
}

fn sync(url: &str, user: &str, folder: &std::path::Path, args: &[&str]) -> Finished {
    run(&mut sync_command(url, user, folder, args), 60 * SECOND)
}

fn report(finished: &Finished) -> Value {
    let line = finished.stdout.lines().last().unwrap_or_else(|| panic!("no report: {finished:?}"));
    serde_json::from_str(line).unwrap()
}

/// It failed, and said why in one line that has these words.
fn assert_fails(finished: &Finished, words: &[&str]) {
    assert_eq!((finished.code, finished.stderr.lines().count()), (1, 1), "{finished:?}");
    for word in words {
        assert!(finished.stderr.contains(word), "{word}: {finished:?}");
    }
    assert!(!finished.stderr.contains(PASSWORD), "{finished:?}");
}

/// A request's head and body.
type Request = (String, Vec<u8>);

/// A server of a few lines: what `answer` gives for the nth request, as it stands; requests are kept.
fn stand_in(
    answer: impl Fn(usize, &Request) -> Vec<u8> + Send + 'static,
) -> (String, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/syncml", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = read_request(&mut stream) else { continue };
            let number = kept.lock().unwrap().len();
            let answer = answer(number, &request);
            kept.lock().unwrap().push(request);
            // A client that has gone is the test's to notice.
            let _ = stream.write_all(&answer);
        }
    });
    (url, requests)
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut octets = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = octets.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&octets[..end]).into_owned();
            let length = head.to_lowercase();
            let length = length.split("content-length: ").nth(1)?.lines().next()?.parse::<usize>().ok()?;
            if octets.len() >= end + 4 + length {
                return Some((head, octets[end + 4..].to_vec()));
            }
        }
        let count @ 1.. = stream.read(&mut buffer).ok()? else { return None };
        octets.extend_from_slice(&buffer[..count]);
    }
}

fn http(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Syncs with a server that answers everything alike.
fn sync_with(answer: Vec<u8>, args: &[&str]) -> Finished {
    let (url, _) = stand_in(move |_, _| answer.clone());
    let dir = tempfile::tempdir().unwrap();
    sync(&url, "ann", dir.path(), args)
}

/// Syncs in XML with the real server by way of a stand-in that may change its answers.
fn sync_through(bench: &Bench, change: impl Fn(usize, String) -> String + Send + 'static) -> Finished {
    sync_through_as(bench, PASSWORD, change)
}

fn sync_through_as(
    bench: &Bench,
    password: &str,
    change: impl Fn(usize, String) -> String + Send + 'static,
) -> Finished {
    let address = bench.url.strip_prefix("http://").unwrap().strip_suffix("/syncml").unwrap().to_owned();
    let (url, _) = stand_in(move |number, (head, body)| {
        let mut stream = TcpStream::connect(&address).unwrap();
        // The Host that the client asked stays: the server says RespURI by it.
        let head = format!("{head}\r\nConnection: close\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        http("200 OK", XML, change(number, body.to_owned()).as_bytes())
    });
    let dir = tempfile::tempdir().unwrap();
    let mut command = sync_command(&url, "ann", dir.path(), &["--wire", "xml"]);
    run(command.env("MAILSYNC_PASSWORD", password), 60 * SECOND)
}

#[test]
fn wrong_password_is_one_clear_line_and_a_new_challenge() {
    let bench = Bench::new();
    for auth in ["md5", "basic"] {
        let mut command =
            sync_command(&bench.url, "ann", &bench.folder("c"), &["--wire", "xml", "--auth", auth]);
        let finished = run(command.env("MAILSYNC_PASSWORD", "guess"), 60 * SECOND);
        assert_fails(&finished, &["login of ann refused", "401", "MAILSYNC_PASSWORD"]);
        let report = report(&finished);
        assert_eq!((&report["result"], &report["login"]), (&json!("failed"), &json!(401)));
        assert_eq!(report["stores"][0]["status"], 401);
    }
    // Whoever it is: the same words for a user who does not exist.
    assert_fails(&bench.sync("nobody", "n", &["--wire", "xml"]), &["login of nobody refused", "401"]);
    let nonces = [0, 1].map(|_| {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&answers);
        let keep = move |_, answer: String| {
            kept.lock().unwrap().push(answer.clone());
            answer
        };
        assert_fails(&sync_through_as(&bench, "guess", keep), &["login of ann refused"]);
        let answers = answers.lock().unwrap();
        assert_eq!(answers.len(), 2, "asked, tried once, and not again");
        // threats: S3: before a login a nonce is a hash of who asks and when, so the guess is challenged anew with it
        let nonces: Vec<String> = answers
            .iter()
            .map(|answer| {
                assert!(answer.contains("<Data>401</Data>") && answer.contains("<Chal>"), "{answer}");
                let (_, nonce) = answer.split_once("<NextNonce").unwrap();
                nonce.split(['>', '<']).nth(1).unwrap().to_owned()
            })
            .collect();
        nonces[1].clone()
    });
    assert!(nonces.iter().all(|nonce| nonce.len() == 24), "16 octets in base64: {nonces:?}");
    assert_ne!(nonces[0], nonces[1], "another device, another nonce");
    bench.synced("ann", "c", &[]);
}

#[test]
fn unknown_datastore_is_404_and_the_others_go_on() {
    let bench = Bench::new();
    bench.mail("ann", "one", "hello");
    let finished = bench.sync("ann", "c", &["--store", "nonsuch", "--store", "mail"]);
    assert_fails(&finished, &["nonsuch", "404"]);
    let report = report(&finished);
    assert_eq!(report["result"], "partial");
    assert_eq!((&report["stores"][0]["status"], &report["stores"][1]["status"]), (&json!(404), &json!(200)));
    assert!(bench.find("c", "about one").is_some());
    let alone = bench.sync("ann", "d", &["--store", "nonsuch"]);
    assert_fails(&alone, &["nonsuch", "404"]);
    assert_eq!(self::report(&alone)["result"], "failed");
}

#[test]
fn a_server_that_speaks_no_syncml_is_named() {
    let html = b"<html><body>Welcome</body></html>";
    assert_fails(&sync_with(http("200 OK", "text/html", html), &[]), &["text/html", WBXML, "address"]);
    assert_fails(&sync_with(http("404 Not Found", "text/html", html), &[]), &["404", "address"]);
    assert_fails(&sync_with(http("401 Unauthorized", "text/html", b""), &[]), &["401"]);
    assert_fails(&sync_with(http("302 Found", "text/html", b""), &[]), &["302"]);
    // The other encoding, and text.
    assert_fails(&sync_with(http("200 OK", XML, b"<SyncML/>"), &[]), &[XML]);
    assert_fails(&sync_with(http("200 OK", "text/plain", b"x"), &["--wire", "xml"]), &["text/plain"]);
    let bench = Bench::new();
    assert_fails(&sync(&format!("{}x", bench.url), "ann", &bench.folder("c"), &[]), &["404", "address"]);
}

#[test]
fn a_server_that_is_not_there_is_told_soon() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}/syncml", peers::free_port());
    let start = Instant::now();
    assert_fails(&sync(&url, "ann", dir.path(), &[]), &["refused", "2 tries", &url]);
    assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
    for no_url in ["nonsense", "http://", "ftp://127.0.0.1/"] {
        assert_fails(&sync(no_url, "ann", dir.path(), &[]), &[]);
    }
}

#[test]
fn a_server_that_is_away_for_a_moment_is_waited_for() {
    let garbage = http("200 OK", WBXML, b"garbage");
    let answers = [b"".to_vec(), http("503 Service Unavailable", "text/plain", b"busy\n"), {
        // Cut in the middle of the body.
        let whole = http("200 OK", WBXML, &[0; 500]);
        whole[..whole.len() - 200].to_vec()
    }];
    let (url, requests) = stand_in(move |number, _| answers.get(number).unwrap_or(&garbage).clone());
    let dir = tempfile::tempdir().unwrap();
    assert_fails(&sync(&url, "ann", dir.path(), &[]), &["wbxml"]);
    let requests = requests.lock().unwrap();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|(_, body)| *body == requests[0].1), "the very same message again");
}

#[test]
fn garbage_and_truncated_answers_are_named_with_their_place() {
    assert_fails(&sync_with(http("200 OK", WBXML, b"\xFF\xFF\xFF\xFF"), &[]), &["wbxml", "byte"]);
    assert_fails(&sync_with(http("200 OK", WBXML, b""), &[]), &["wbxml"]);
    let html = b"<html><body>Welcome</body></html>";
    assert_fails(&sync_with(http("200 OK", XML, html), &["--wire", "xml"]), &["xml", "byte"]);
    let bench = Bench::new();
    let half = |_, answer: String| answer[..answer.len() / 2].to_owned();
    assert_fails(&sync_through(&bench, half), &["xml", "byte"]);
    // In the middle of a session, too; and the server goes on.
    let later =
        |number, answer: String| if number < 2 { answer } else { answer[..answer.len() - 9].to_owned() };
    assert_fails(&sync_through(&bench, later), &["xml", "byte"]);
    bench.synced("ann", "c", &[]);
}

#[test]
fn an_answer_over_the_limit_is_refused() {
    let long = vec![b' '; 3 << 20];
    assert_fails(&sync_with(http("200 OK", WBXML, &long), &["--max-msg-size", "20000"]), &["octets"]);
}

// threats: S2
#[test]
fn threat_s2_resp_uri_to_another_host_is_refused() {
    let bench = Bench::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let address = other.local_addr().unwrap();
    let elsewhere = move |_, answer: String| {
        // The challenge has none.
        let Some((before, rest)) = answer.split_once("<RespURI>") else { return answer };
        let (_, after) = rest.split_once("</RespURI>").unwrap();
        format!("{before}<RespURI>http://{address}/syncml?s=1</RespURI>{after}")
    };
    assert_fails(&sync_through(&bench, elsewhere), &["RespURI"]);
    let asked = other.accept();
    assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody was asked there");
}

#[test]
fn no_password_without_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = sync_command("http://127.0.0.1:1/", "ann", dir.path(), &[]);
    assert_fails(&run(command.env_remove("MAILSYNC_PASSWORD"), 20 * SECOND), &["MAILSYNC_PASSWORD"]);
}

#[test]
fn wrong_usage_is_2() {
    let usage = |args: &[&str]| {
        run(
            Command::new(env!("CARGO_BIN_EXE_mailsync")).args(args).env("MAILSYNC_PASSWORD", "x"),
            20 * SECOND,
        )
    };
    let whole = ["sync", "--server", "http://127.0.0.1:1/", "--user", "ann", "--dir", "d"];
    for wrong in [
        &["--wire", "json"][..],
        &["--auth", "none"],
        &["--version", "3.0"],
        &["--max-msg-size", "10"],
        &["--mode", "sideways"],
        &["--store", "../x"],
        &["--password", "x"],
        &["--headers-only", "--no-attachments"],
        &["--since", "yesterday"],
    ] {
        assert_eq!(usage(&[&whole[..], wrong].concat()).code, 2, "{wrong:?}");
    }
    for wrong in
        [&[][..], &["dance"], &["sync"], &["list"], &["show", "--dir", "d"], &["flag", "--dir", "d", "x"]]
    {
        assert_eq!(usage(wrong).code, 2, "{wrong:?}");
    }
    assert_eq!(usage(&["--help"]).code, 0);
    assert_eq!(usage(&["--version"]).code, 0);
    // Right usage, but nothing there.
    let nothing = usage(&["list", "--dir", "/nonexistent"]);
    assert_fails(&nothing, &["mailsync sync"]);
}

#[test]
fn a_second_sync_of_a_folder_is_refused_while_one_runs() {
    let bench = Bench::new();
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = Mutex::new(receiver);
    let (url, requests) = stand_in(move |_, _| {
        // Until the test drops the sender.
        let _ = receiver.lock().unwrap().recv();
        http("200 OK", WBXML, b"garbage")
    });
    let folder = bench.folder("c");
    let mut first = Process::start(&mut sync_command(&url, "ann", &folder, &[]));
    let end = Instant::now() + 20 * SECOND;
    while !folder.join(".mailsync/state.db").exists() {
        assert!(Instant::now() < end && first.is_running(), "{}", first.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_fails(&bench.sync("ann", "c", &[]), &["in use", &first.id().to_string()]);
    assert!(bench.list("c").is_empty(), "reading goes on");
    drop(sender);
    assert_eq!(first.wait(20 * SECOND).unwrap().code(), Some(1));
    assert_eq!(requests.lock().unwrap().len(), 1);
    bench.synced("ann", "c", &[]);
}

#[test]
fn a_folder_belongs_to_the_user_who_synced_it_first() {
    let bench = Bench::new();
    bench.synced("ann", "mine", &[]);
    assert_fails(&bench.sync("bob", "mine", &[]), &["belongs to user ann", "another one"]);
    bench.synced("ann", "mine", &[]);
}

// mission: M13
#[test]
fn one_users_mail_and_folders_do_not_show_to_another() {
    let bench = Bench::new();
    bench.mail("bob", "private", "for bob");
    bench.mail("ann", "open", "for ann");
    bench.synced("bob", "b", &[]);
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(bench.folder("b").join(".Plans").join(part)).unwrap();
    }
    let luid = bench.find("b", "about private").unwrap()["luid"].as_str().unwrap().to_owned();
    bench.done("b", &["move", &luid, "Plans"]);
    bench.synced("bob", "b", &[]);
    bench.synced("bob", "b2", &[]);
    assert_eq!(bench.find("b2", "about private").unwrap()["folder"], "Plans", "it is at the server");
    bench.synced("ann", "a", &[]);
    let ann = bench.list("a");
    assert_eq!(ann.len(), 1, "{ann:?}");
    assert_eq!(ann[0]["subject"], "about open");
    assert!(!bench.folder("a").join(".Plans").exists());
    assert_fails(&bench.verb("a", &["show", &luid]), &["no mail"]);
    assert_fails(&bench.verb("a", &["list", "--folder", "Plans"]), &["no folder", "Inbox"]);
}

// mission: M1, M5a, M5b, M13
#[test]
fn verbs_act_at_once_and_at_the_server_with_the_next_sync() {
    let bench = Bench::new();
    for id in ["one", "two", "three"] {
        bench.mail("ann", id, &format!("text of {id}"));
    }
    bench.synced("ann", "c", &[]);
    assert_eq!(bench.list("c").len(), 3);
    let luid =
        |id: &str| bench.find("c", &format!("about {id}")).unwrap()["luid"].as_str().unwrap().to_owned();
    let (one, two, three) = (luid("one"), luid("two"), luid("three"));

    let shown = bench.done("c", &["show", &one]);
    assert_eq!((&shown["text"], &shown["read"]), (&json!("text of one\n"), &json!(false)));
    assert_eq!((&shown["subject"], &shown["from"]), (&json!("about one"), &json!("bob@localhost")));
    let mut raw = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    let raw = run(raw.args(["show", "--dir"]).arg(bench.folder("c")).arg(&one), 20 * SECOND);
    assert!(raw.stdout.starts_with("Return-Path: <bob@localhost>\r\n"), "{raw:?}");
    assert!(raw.stdout.ends_with("Subject: about one\r\n\r\ntext of one\r\n"), "{raw:?}");

    assert_eq!(bench.done("c", &["flag", &one, "+read", "+flagged"]), json!({"ok": true, "luid": one}));
    assert_eq!(bench.done("c", &["move", &two, "Trash"])["luid"], json!(two));
    assert_eq!(bench.done("c", &["delete", &three])["ok"], true);
    let answer = bench.done("c", &["reply", &one, "--text", "an answer"])["luid"].clone();
    let letter = bench.folder("letter");
    std::fs::write(&letter, "From: ann@localhost\nTo: bob@localhost\nSubject: a letter\n\nDear Bob\n")
        .unwrap();
    assert_eq!(bench.done("c", &["send", letter.to_str().unwrap()])["ok"], true);
    assert_eq!(bench.done("c", &["list", "--folder", "outbox"]).as_array().unwrap().len(), 2);
    assert_eq!(bench.find("c", "about one").unwrap()["answered"], true);
    assert!(bench.list("c").iter().any(|mail| mail["luid"] == answer && mail["folder"] == "Outbox"));

    let report = bench.synced("ann", "c", &[]);
    assert_eq!(report["stores"][0]["sent"], json!({"added": 2, "replaced": 2, "deleted": 1}), "{report}");
    bench.synced("ann", "second", &[]);
    let marks = bench.find("second", "about one").unwrap();
    assert_eq!(
        (&marks["read"], &marks["flagged"], &marks["answered"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!(bench.find("second", "about two").unwrap()["folder"], "Trash");
    assert!(bench.find("second", "about three").is_none());
    let end = Instant::now() + 20 * SECOND;
    while !["Re: about one", "a letter"].iter().all(|subject| {
        bench.synced("bob", "b", &[]);
        bench.find("b", subject).is_some()
    }) {
        assert!(Instant::now() < end, "bob's mail did not come: {:?}", bench.list("b"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(bench.list("b").len(), 2);
    bench.synced("ann", "c", &[]);
    assert!(bench.done("c", &["list", "--folder", "outbox"]).as_array().unwrap().is_empty());
    assert_eq!(bench.done("c", &["list", "--folder", "sent"]).as_array().unwrap().len(), 2);

    for (wrong, words) in [
        (&["show", "nothing"][..], "no mail"),
        (&["flag", &one, "+green"], "no flag"),
        (&["flag", &one, "read"], "no flag"),
        (&["move", &one, "Nowhere"], "no folder"),
        (&["delete", "nothing"], "no mail"),
        (&["reply", "nothing", "--text", "x"], "no mail"),
        (&["send", "/nonexistent"], "/nonexistent"),
    ] {
        assert_fails(&bench.verb("c", wrong), &[words]);
    }
}

// mission: M3, M10
#[test]
fn every_way_to_say_it_brings_the_same() {
    let bench = Bench::new();
    bench.mail("ann", "short", "hello");
    bench.mail("ann", "long", &"0123456789 0123456789\r\n".repeat(1000));
    let mut shown = Vec::new();
    for (number, way) in [
        &["--version", "1.1"][..],
        &["--auth", "basic"],
        &["--wire", "xml"],
        &["--max-msg-size", "1024"],
        &["--max-msg-size", "2048", "--wire", "xml"],
        &["--version", "1.1", "--wire", "xml", "--auth", "basic"],
    ]
    .iter()
    .enumerate()
    {
        let folder = format!("c{number}");
        let first = bench.synced("ann", &folder, way);
        assert_eq!(
            (&first["stores"][0]["received"]["added"], &first["stores"][0]["mode"]),
            (&json!(2), &json!("slow"))
        );
        let again = bench.synced("ann", &folder, way);
        assert_eq!(again["stores"][0]["mode"], "two-way", "{way:?}: {again}");
        assert_eq!(again["stores"][0]["received"], json!({"added": 0, "replaced": 0, "deleted": 0}));
        let luid = bench.find(&folder, "about long").unwrap()["luid"].as_str().unwrap().to_owned();
        shown.push(bench.done(&folder, &["show", &luid])["text"].clone());
        if way.contains(&"1024") {
            assert!(first["messages"].as_u64().unwrap() > 22, "22,000 octets in messages of 1,024: {first}");
        }
    }
    assert!(shown[0].as_str().unwrap().len() >= 22_000);
    assert!(shown.iter().all(|text| *text == shown[0]));
    assert_eq!(bench.server.stop().code(), Some(0));
}
