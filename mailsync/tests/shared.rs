//! Two `mailsyncd` on one data folder take the messages of a session in turn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Finished, Process, run};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

struct Pair {
    dir: TempDir,
    servers: Vec<Process>,
    /// Of the proxy before both.
    url: String,
    /// Requests so far.
    requests: Arc<AtomicUsize>,
}

fn daemon(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
    command.arg("--data").arg(dir.join("data")).args(args).env("MAILSYNC_PASSWORD", "secret");
    command
}

fn start(dir: &Path) -> (Process, String) {
    let mut command = daemon(dir, &["--shared", "--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"]);
    let process = Process::start(&mut command);
    let url = process.wait_ready()["syncml"].clone();
    (process, url.strip_prefix("http://").unwrap().strip_suffix("/syncml").unwrap().to_owned())
}

impl Pair {
    fn new() -> Pair {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(&mut daemon(dir.path(), &["user", "add", "ann"]), 20 * SECOND).code, 0);
        let (servers, addresses): (Vec<_>, Vec<_>) = (0..2).map(|_| start(dir.path())).unzip();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/syncml", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let _ = forward(&mut stream.unwrap(), &addresses[number % addresses.len()]);
            }
        });
        Pair { dir, servers, url, requests }
    }

    fn sync(&self, folder: &str, args: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["sync", "--server", &self.url, "--user", "ann", "--store", "notes", "--dir"]);
        command.arg(self.dir.path().join(folder)).args(args).env("MAILSYNC_PASSWORD", "secret");
        run(&mut command, 120 * SECOND)
    }

    fn notes(&self, folder: &str) -> PathBuf {
        self.dir.path().join(folder).join("notes")
    }

    fn texts(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.notes(folder)).unwrap();
        let mut texts: Vec<String> =
            entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        texts.sort();
        texts
    }
}

/// One request and its answer; each has a connection of its own.
fn forward(client: &mut TcpStream, server: &str) -> std::io::Result<()> {
    client.set_read_timeout(Some(20 * SECOND))?;
    let mut request = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let count = client.read(&mut buffer)?;
        request.extend_from_slice(&buffer[..count]);
        if count == 0 || is_whole(&request) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let head = text.find("\r\n\r\n").unwrap_or(text.len());
    let end = request.iter().position(|&b| b == b'\n').unwrap_or(0) + 1;
    let mut server = TcpStream::connect(server)?;
    assert!(!text[..head].to_ascii_lowercase().contains("connection:"));
    server.write_all(&request[..end])?;
    server.write_all(b"Connection: close\r\n")?;
    server.write_all(&request[end..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)
}

fn is_whole(request: &[u8]) -> bool {
    let Some(head) = request.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    request.len() >= head + 4 + length
}

// mission: M4, M11
#[test]
fn two_servers_on_one_folder_take_alternate_messages() {
    let pair = Pair::new();
    let notes = pair.notes("one");
    std::fs::create_dir_all(&notes).unwrap();
    let big = "0123456789 ".repeat(2000);
    for n in 0..60 {
        std::fs::write(notes.join(format!("n{n}")), format!("note {n} {}", "x".repeat(200))).unwrap();
    }
    std::fs::write(notes.join("big"), big.trim()).unwrap();
    let small = ["--max-msg-size", "3000"];
    for wire in ["wbxml", "xml"] {
        let before = pair.requests.load(Ordering::SeqCst);
        let folder = format!("from-{wire}");
        if wire == "wbxml" {
            let up = pair.sync("one", &small);
            assert_eq!(up.code, 0, "{up:?}");
        }
        let down = pair.sync(&folder, &[&small[..], &["--wire", wire]].concat());
        assert_eq!(down.code, 0, "{down:?}");
        assert_eq!(pair.texts(&folder), pair.texts("one"));
        let messages = pair.requests.load(Ordering::SeqCst) - before;
        assert!(messages > 20, "both took part: {messages} messages");
    }
    // Each has served its half, and both say so.
    for server in &pair.servers {
        assert!(server.stderr().matches(" message ").count() > 10, "{}", server.stderr());
    }
    // A server that shares is none that has the folder for itself.
    let alone = run(&mut daemon(pair.dir.path(), &["--http", "127.0.0.1:0"]), 20 * SECOND);
    assert_eq!(alone.code, 1);
    assert!(alone.stderr.contains("in use by another process"), "{}", alone.stderr);
}

#[test]
fn when_the_leader_dies_another_sends_the_mail() {
    let mut pair = Pair::new();
    // The one that came first leads.
    pair.servers.remove(0).kill();
    let send = |text: &str| {
        let file = pair.dir.path().join("mail");
        std::fs::write(&file, format!("To: ann@localhost\r\nSubject: {text}\r\n\r\n{text}\r\n")).unwrap();
        let folder = pair.dir.path().join("mail-folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["send", "--dir"]).arg(folder).arg(file);
        let sent = run(&mut command, 20 * SECOND);
        assert_eq!(sent.code, 0, "{sent:?}");
    };
    let mail = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["sync", "--server", &pair.url, "--user", "ann", "--dir"]);
        command.arg(pair.dir.path().join("mail-folder")).args(args).env("MAILSYNC_PASSWORD", "secret");
        // The proxy's every other message finds nobody: the client tries again, at the other one.
        let synced = run(&mut command, 120 * SECOND);
        assert_eq!(synced.code, 0, "{synced:?}");
    };
    mail(&[]);
    send("hello");
    mail(&[]);
    let inbox = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command
            .args(["--json", "list", "--folder", "INBOX", "--dir"])
            .arg(pair.dir.path().join("mail-folder"));
        run(&mut command, 20 * SECOND).stdout
    };
    let mut tries = 0;
    while !inbox().contains("hello") {
        tries += 1;
        assert!(tries < 15, "nobody sent it: {}", inbox());
        std::thread::sleep(SECOND);
        mail(&[]);
    }
}
