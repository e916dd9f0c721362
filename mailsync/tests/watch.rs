//! Notices end to end: what happens to mail at Dovecot reaches the folder of a phone by `mailsync watch`, with no user action.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use bytes::Bytes;
use mailsync_proto::mail::event::{Kind, MailEvent};
use peers::{Finished, MailServers, Process, free_port, run, wait_for};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use syncml::san::ServerAlert;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
/// How long a notice may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(40);

/// A `mailsyncd` with the user ann, whose account is alice's at Dovecot.
struct Bench {
    servers: MailServers,
    dir: TempDir,
    url: String,
    server: Option<Process>,
}

impl Bench {
    fn new(notify: &str) -> Bench {
        let (servers, dir) = (MailServers::start(), tempfile::tempdir().unwrap());
        std::fs::write(dir.path().join("server.password"), "server's own\n").unwrap();
        let config = format!(
            "domain = \"lab.test\"\n[mail]\nca = \"{}\"\npoll_seconds = 60\nretry_seconds = 1\naccount_servers = [\"127.0.0.1\"]\n\
             [session]\nserver_name = \"srv\"\nserver_password_file = \"{}\"\n{notify}",
            servers.ca(),
            dir.path().join("server.password").display()
        );
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let mut bench = Bench { servers, dir, url: String::new(), server: None };
        assert_eq!(bench.daemon(&["user", "add", "ann"]).code, 0);
        let imap = bench.servers.address("imaps");
        let args = [
            "account",
            "add",
            "ann",
            "a",
            "--address",
            "alice@lab.test",
            "--login",
            "alice",
            "--imap",
            &imap,
        ];
        let added = bench.daemon(&args);
        assert_eq!(added.code, 0, "{}", added.stderr);
        bench.start();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.path("data")).arg("--config").arg(self.path("config.toml")).args(args);
        command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_ACCOUNT_PASSWORD", "lab-alice");
        command
    }

    fn daemon(&self, args: &[&str]) -> Finished {
        run(&mut self.command(args), 30 * SECOND)
    }

    /// Starts the server; when it has run before, at the same address.
    fn start(&mut self) {
        let address = self.url.strip_prefix("http://").and_then(|url| url.strip_suffix("/syncml"));
        let args = ["--http", address.unwrap_or("127.0.0.1:0"), "--smtp", "127.0.0.1:0"];
        let server = Process::start(&mut self.command(&args));
        self.url = server.wait_ready()["syncml"].clone();
        self.server = Some(server);
    }

    fn client(&self, phone: &str, verb: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args([
            "--json",
            verb,
            "--server",
            &self.url,
            "--user",
            "ann",
            "--device",
            phone,
            "--server-name",
            "srv",
        ]);
        command.arg("--dir").arg(self.path(phone)).args(more);
        command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_SERVER_PASSWORD", "server's own");
        command
    }

    fn watch(&self, phone: &str, more: &[&str]) -> Watch {
        let process = Process::start(&mut self.client(phone, "watch", more));
        let ready = process.wait_ready();
        let watch = Watch { process, ready };
        watch.until("the first sync", |line| line["event"] == "synced");
        watch
    }

    fn sync(&self, phone: &str) {
        let done = run(&mut self.client(phone, "sync", &[]), 60 * SECOND);
        assert_eq!(done.code, 0, "{done:?}");
    }

    /// Delivers at Dovecot; when that was, in milliseconds.
    fn deliver(&self, subject: &str) -> u64 {
        self.servers.deliver("alice", &mail(subject, "zed@far.example"));
        millis()
    }

    fn list(&self, phone: &str) -> Vec<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        let done = run(command.args(["--json", "list", "--dir"]).arg(self.path(phone)), 30 * SECOND);
        serde_json::from_str(&done.stdout).unwrap_or_default()
    }

    fn mail(&self, phone: &str, subject: &str) -> Option<Value> {
        self.list(phone).into_iter().find(|mail| mail["subject"] == subject)
    }

    fn luid(&self, phone: &str, subject: &str) -> String {
        self.mail(phone, subject).unwrap()["luid"].as_str().unwrap().to_owned()
    }

    /// Lets mail come to the server, and to a phone by hand.
    fn settled(&self, phone: &str, subjects: &[&str]) {
        subjects.iter().for_each(|subject| {
            self.deliver(subject);
        });
        let deadline = Instant::now() + LIMIT;
        while subjects.iter().any(|subject| self.mail(phone, subject).is_none()) {
            assert!(Instant::now() < deadline, "{:?}", self.list(phone));
            self.sync(phone);
        }
    }
}

/// A `mailsync watch`.
struct Watch {
    process: Process,
    ready: std::collections::BTreeMap<String, String>,
}

impl Watch {
    /// The next line that is wanted; those before it are left out.
    fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.process.line(left);
            let line = line.unwrap_or_else(|| panic!("{what}: nothing came; {}", self.process.stderr()));
            let line: Value = serde_json::from_str(&line).unwrap();
            if wanted(&line) {
                return line;
            }
        }
    }

    /// What the next notice says, and when the sync after it ended.
    fn notice(&self) -> (Value, u64) {
        let notice = self.until("a notice", |line| line["event"] == "notice");
        let synced = self.until("its sync", |line| line["event"] == "synced");
        assert_eq!(synced["result"], "ok", "{synced}");
        (notice["happened"].clone(), synced["at_ms"].as_u64().unwrap())
    }

    /// No notice comes for a while.
    fn is_silent(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while let Some(line) = self.process.line(deadline.saturating_duration_since(Instant::now())) {
            assert!(!line.contains("\"notice\""), "{line}");
        }
    }
}

fn mail(subject: &str, from: &str) -> String {
    format!(
        "From: Zed <{from}>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{}@far.example>\r\n\
         Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nHello, this is {subject}.\r\n",
        subject.replace(' ', "-")
    )
}

fn millis() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// All that happens at Dovecot reaches the phone, over one bearer.
fn all_of_it_by(bearer: &str) {
    let bench = Bench::new("");
    let mut alice = bench.servers.imap("alice");
    bench.settled("phone", &["old"]);
    let hooked = bench.path("hooked");
    let hook = format!("printf '%s\\n' \"$MAILSYNC_EVENT\" >> {}", hooked.display());
    let watch = bench.watch("phone", &["--listen", &format!("{bearer}:127.0.0.1:0"), "--hook", &hook]);
    assert!(watch.ready.contains_key(bearer), "{:?}", watch.ready);

    let delivered = bench.deliver("new");
    let (happened, synced) = watch.notice();
    println!("{bearer}: from delivery to the Maildir: {} ms", synced.saturating_sub(delivered));
    assert_eq!(
        (&happened[0]["kind"], &happened[0]["folder"]),
        (&"arrived".into(), &"Inbox".into()),
        "{happened}"
    );
    assert_eq!(
        (happened[0]["count"].clone(), happened[0]["luids"].clone()),
        (1.into(), Value::Array(vec![]))
    );
    let mail = bench.mail("phone", "new").unwrap();
    assert_eq!(happened[0]["temps"][0], mail["luid"], "the id under which it was offered");

    let luid = bench.luid("phone", "old");
    alice.imap("SELECT INBOX");
    let uid = alice.imap("SEARCH SUBJECT old").lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let at = millis();
    alice.imap(&format!("STORE {uid} +FLAGS (\\Flagged)"));
    let (happened, synced) = watch.notice();
    println!("{bearer}: from a flag to the Maildir: {} ms", synced.saturating_sub(at));
    assert_eq!(
        (&happened[0]["kind"], &happened[0]["luids"][0]),
        (&"changed".into(), &luid.clone().into()),
        "{happened}"
    );
    assert_eq!(bench.mail("phone", "old").unwrap()["flagged"], true);

    let at = millis();
    alice.imap(&format!("STORE {uid} +FLAGS (\\Deleted)"));
    alice.imap("EXPUNGE");
    // The mark of a deletion may be seen before the mail is gone.
    let (mut happened, mut synced) = watch.notice();
    while happened[0]["kind"] != "deleted" {
        (happened, synced) = watch.notice();
    }
    println!("{bearer}: from a deletion to the Maildir: {} ms", synced.saturating_sub(at));
    assert_eq!(happened[0]["luids"][0], Value::from(luid), "{happened}");
    assert!(bench.mail("phone", "old").is_none());
    wait_for("the hook", || std::fs::read_to_string(&hooked).is_ok_and(|text| text.lines().count() >= 3));
    let first: Value =
        serde_json::from_str(std::fs::read_to_string(&hooked).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(first[0]["kind"], "arrived");
}

// mission: M4, M4a, M4c, M4d, M4e
#[test]
fn what_happens_at_dovecot_reaches_the_phone_by_udp() {
    all_of_it_by("udp");
}

// mission: M4c, M4d, M4e
#[test]
fn what_happens_at_dovecot_reaches_the_phone_by_http() {
    all_of_it_by("http");
}

// mission: M4b, M4e
#[test]
fn a_session_that_is_open_is_told_in_it() {
    let bench = Bench::new("");
    bench.settled("phone", &["old"]);
    bench.deliver("new");
    // Both mails are at the server; the phone asks only to send, and hears that there is more.
    wait_for("the server to have it", || {
        bench.server.as_ref().unwrap().stderr().matches("arrived: 1").count() >= 2
    });
    let more = ["--mode", "one-way-from-client", "-v"];
    let done = run(&mut bench.client("phone", "sync", &more), 60 * SECOND);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("mail: the server asks for a two-way sync"), "{done:?}");
    assert!(done.stderr.contains("mail: arrived: 1 in Inbox"), "{done:?}");
    assert!(bench.mail("phone", "new").is_some());
}

/// Registers a place of the test's own for a device, and syncs it.
fn register(bench: &Bench, phone: &str, place: &str) {
    let folder = bench.path(phone).join("devices");
    std::fs::create_dir_all(&folder).unwrap();
    let object = format!(
        "<Device><Version>1.0</Version><DevID>{phone}</DevID><Notify><Listen>{place}</Listen></Notify></Device>"
    );
    std::fs::write(folder.join("this-device"), object).unwrap();
    let stores = ["--store", "mail", "--store", "devices:application/vnd.mailsync.device+xml"];
    let done = run(&mut bench.client(phone, "sync", &stores), 60 * SECOND);
    assert_eq!(done.code, 0, "{done:?}");
}

/// A notification, and the event in it.
fn event_of(octets: &[u8]) -> (ServerAlert, MailEvent) {
    let alert = ServerAlert::decode(&Bytes::copy_from_slice(octets)).unwrap();
    let event = MailEvent::parse(&alert.vendor).unwrap();
    (alert, event)
}

// mission: M4e, M7
#[test]
fn of_two_devices_only_the_one_that_holds_a_mail_is_told_of_its_changes() {
    let bench = Bench::new("");
    bench.settled("phone", &["old"]);
    // The other device hears, and does not come.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    register(&bench, "other", &format!("udp:{}", socket.local_addr().unwrap()));
    let watch = bench.watch("phone", &[]);
    let mut datagram = [0; 2048];
    let mut heard = || {
        let length = socket.recv(&mut datagram).unwrap();
        event_of(&datagram[..length]).1.happened
    };
    bench.deliver("new");
    let (happened, _) = watch.notice();
    assert_eq!(happened[0]["kind"], "arrived");
    let luid = bench.luid("phone", "new");
    let first = heard();
    assert_eq!(
        (first.len(), first[0].kind.clone(), first[0].temps.len()),
        (1, Kind::Arrived, 1),
        "{first:?}"
    );

    let mut alice = bench.servers.imap("alice");
    alice.imap("SELECT INBOX");
    let uid = alice.imap("SEARCH SUBJECT new").lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    alice.imap(&format!("STORE {uid} +FLAGS (\\Flagged)"));
    let (happened, _) = watch.notice();
    assert_eq!((&happened[0]["kind"], &happened[0]["luids"][0]), (&"changed".into(), &luid.into()));
    // To the other it is the mail that arrived, however often it is said.
    for _ in 0..2 {
        let again = heard();
        assert_eq!((again.len(), again[0].kind.clone(), again[0].count), (1, Kind::Arrived, 1), "{again:?}");
    }
    alice.imap(&format!("STORE {uid} +FLAGS (\\Deleted)"));
    alice.imap("EXPUNGE");
    watch.until("the deletion", |line| line["happened"][0]["kind"] == "deleted");
    // Gone before it came: no news at all, also not that which was under way.
    bench.deliver("last");
    loop {
        let told = heard();
        assert!(told.iter().all(|one| one.kind == Kind::Arrived), "{told:?}");
        if bench.mail("phone", "last").is_some() {
            assert_eq!(told[0].count, 1, "{told:?}");
            break;
        }
    }
}

// threat: N1
#[test]
fn threat_n1_a_forged_or_replayed_notification_does_nothing() {
    let bench = Bench::new("");
    bench.settled("phone", &["old"]);
    let watch = bench.watch("phone", &[]);
    let to = watch.ready["udp"].clone();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |octets: &[u8]| socket.send_to(octets, &*to).unwrap();
    let file = bench.path("package0");
    let asked =
        bench.daemon(&["device", "ask", "ann", "phone", "mail", "--notification", file.to_str().unwrap()]);
    assert_eq!(asked.code, 0, "{asked:?}");
    let good = std::fs::read(&file).unwrap();
    let dropped = |why: &str| {
        let line = watch.until("it is dropped", |line| line["event"] != "hook");
        assert!(line["event"] == "dropped" && line["why"].as_str().unwrap().contains(why), "{why}: {line}");
    };
    send(b"come at once");
    dropped("no notification");
    let mut forged = good.clone();
    forged[0] ^= 1;
    send(&forged);
    dropped("digest is wrong");
    forged[..16].fill(0);
    send(&forged);
    dropped("no digest");
    // Somebody who knows the server's name, and not its password.
    let mut theirs = ServerAlert::decode(&Bytes::copy_from_slice(&good)).unwrap();
    theirs.session_id ^= 1;
    let key = syncml::san::AlertKey::new("srv", "guessed", b"");
    send(&theirs.encode(Some(&key)).unwrap());
    dropped("digest is wrong");
    // Honest traffic beside it is unharmed, once.
    send(&good);
    watch.notice();
    send(&good);
    dropped("digest is wrong");
    bench.deliver("new");
    watch.notice();
    assert!(bench.mail("phone", "new").is_some());
}

// mission: M4a
#[test]
fn quiet_hours_and_rules_silence_a_device() {
    let bench = Bench::new("");
    bench.settled("phone", &["old"]);
    let mut alice = bench.servers.imap("alice");
    alice.imap("CREATE Lists");
    let rules = bench.path("rules.json");
    std::fs::write(&rules, r#"{"rules":[{"id":"wrong","folder":{"globb":"x"},"then":"no"}]}"#).unwrap();
    let with_rules = ["--rules", rules.to_str().unwrap()];
    let refused = run(&mut bench.client("phone", "watch", &with_rules), 30 * SECOND);
    assert!(refused.code == 1 && refused.stderr.contains("rules.json"), "{refused:?}");
    let text = r#"{"rules":[{"id":"lists","folder":{"glob":"lists*"},"then":"no"},
        {"id":"boss","sender":{"keyword":"boss@"},"then":"urgent"},
        {"id":"huge","min_size":4000,"then":"no"}],
        "quiet":[{"from_minute":0,"to_minute":1440}]}"#;
    std::fs::write(&rules, text).unwrap();
    let watch = bench.watch("phone", &with_rules);
    bench.deliver("in quiet hours");
    alice.append("Lists", "", &mail("to the list", "boss@far.example"));
    wait_for("the server to have both", || {
        let log = bench.server.as_ref().unwrap().stderr();
        log.matches("arrived: 1").count() + 2 * log.matches("arrived: 2").count() >= 3
    });
    watch.is_silent(3 * SECOND);
    bench.servers.deliver("alice", &mail("urgent", "boss@far.example"));
    let (happened, _) = watch.notice();
    assert_eq!((happened.as_array().unwrap().len(), &happened[0]["count"]), (1, &1.into()), "{happened}");
    // What was not worth waking it is there all the same.
    for subject in ["urgent", "in quiet hours", "to the list"] {
        assert!(bench.mail("phone", subject).is_some(), "{subject}");
    }
}

// mission: M4c
#[test]
fn what_was_recorded_is_told_although_the_server_was_killed_before_it_went() {
    let mut bench = Bench::new("");
    let port = free_port();
    register(&bench, "phone", &format!("http:127.0.0.1:{port}"));
    bench.settled("phone", &["old"]);
    bench.deliver("new");
    // It is recorded, and nobody takes it.
    wait_for("a try in vain", || bench.server.as_ref().unwrap().stderr().contains("notification not sent"));
    bench.server.take().unwrap().kill();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    bench.start();
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let request = read_post(&mut stream);
    stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    drop(stream);
    let (head, body) = request;
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/vnd.syncml.ds.notification"), "{head}");
    let (alert, event) = event_of(&body);
    assert_eq!((&*alert.server_id, event.happened[0].kind.clone()), ("srv", Kind::Arrived));
    // It is what it says to be: the session that it asks for begins, and brings the mail.
    let file = bench.path("package0");
    std::fs::write(&file, &body).unwrap();
    let done =
        run(&mut bench.client("phone", "sync", &["--notification", file.to_str().unwrap()]), 60 * SECOND);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(bench.mail("phone", "new").is_some());
    // The session has taken it back: nothing goes again.
    listener.set_nonblocking(true).unwrap();
    std::thread::sleep(12 * SECOND);
    assert!(listener.accept().is_err(), "told again after the session");
}

/// Head and body of a request.
fn read_post(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut octets = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let end = octets.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&octets[..end]).into_owned();
            let length = head.to_lowercase();
            let length = length.split("content-length:").nth(1).unwrap().lines().next().unwrap();
            let body = octets[end + 4..].to_vec();
            if body.len() >= length.trim().parse::<usize>().unwrap() {
                return (head + "\r\n", body);
            }
        }
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the request ends early");
        octets.extend_from_slice(&buffer[..read]);
    }
}
