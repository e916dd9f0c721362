//! Mailboxes on real mail servers, through the binaries: Dovecot and Postfix behind `mailsyncd`, `mailsync` before it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Finished, MailServers, Process, run, wait_for};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// A `mailsyncd` with the user ann.
struct Bench {
    dir: TempDir,
    url: String,
    server: Option<Process>,
}

impl Bench {
    fn new(servers: &MailServers) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "domain = \"lab.test\"\n[mail]\nca = \"{}\"\npoll_seconds = 1\nretry_seconds = 1\n",
            servers.ca()
        );
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let bench = Bench { dir, url: String::new(), server: None };
        assert_eq!(bench.daemon(&["user", "add", "ann"], "").code, 0);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.path("data")).arg("--config").arg(self.path("config.toml")).args(args);
        command.env("MAILSYNC_PASSWORD", "secret");
        command
    }

    fn daemon(&self, args: &[&str], account_password: &str) -> Finished {
        run(self.command(args).env("MAILSYNC_ACCOUNT_PASSWORD", account_password), 30 * SECOND)
    }

    /// The account of a user of the lab, checked and stored.
    fn account(&self, servers: &MailServers, name: &str, more: &[&str]) -> Finished {
        let (imap, address) = (servers.address("imaps"), format!("{name}@lab.test"));
        let args = ["account", "add", "ann", name, "--address", &address, "--login", name, "--imap", &imap];
        self.daemon(&[&args[..], more].concat(), &format!("lab-{name}"))
    }

    fn start(&mut self) {
        let args = ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"];
        let server = Process::start(&mut self.command(&args));
        self.url = server.wait_ready()["syncml"].clone();
        self.server = Some(server);
    }

    fn mailsync(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        run(command.args(args).env("MAILSYNC_PASSWORD", "secret"), 120 * SECOND)
    }

    fn verb(&self, phone: &str, args: &[&str]) -> Finished {
        let dir = self.path(phone);
        let done = self.mailsync(&[&args[..1], &["--dir", dir.to_str().unwrap()], &args[1..]].concat());
        assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
        done
    }

    fn sync(&self, phone: &str) {
        let dir = self.path(phone);
        let args = ["sync", "--server", &self.url, "--user", "ann", "--dir", dir.to_str().unwrap()];
        let done = self.mailsync(&args);
        assert_eq!(done.code, 0, "{}\n{}", done.stderr, self.server.as_ref().map(Process::stderr).unwrap_or_default());
    }

    fn list(&self, phone: &str) -> Vec<Value> {
        let dir = self.path(phone);
        let done = self.mailsync(&["--json", "list", "--dir", dir.to_str().unwrap()]);
        serde_json::from_str(&done.stdout).unwrap()
    }

    fn mail(&self, phone: &str, subject: &str) -> Option<Value> {
        self.list(phone).into_iter().find(|mail| mail["subject"] == subject)
    }

    fn luid(&self, phone: &str, subject: &str) -> String {
        let mail = self.mail(phone, subject).unwrap_or_else(|| panic!("{subject}: {:#?}", self.list(phone)));
        mail["luid"].as_str().unwrap().to_owned()
    }

    /// Syncs until the phone is as wanted.
    fn until(&self, phone: &str, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = std::time::Instant::now() + 30 * SECOND;
        loop {
            self.sync(phone);
            let list = self.list(phone);
            if wanted(&list) {
                return list;
            }
            assert!(std::time::Instant::now() < deadline, "{what}: {list:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn until_mail(&self, phone: &str, subject: &str) -> Value {
        let list = self.until(phone, subject, |list| list.iter().any(|mail| mail["subject"] == subject));
        list.into_iter().find(|mail| mail["subject"] == subject).unwrap()
    }
}

fn mail(subject: &str) -> String {
    format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{}@far.example>\r\n\
         Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nHello, this is {subject}.\r\n",
        subject.replace(' ', "-")
    )
}

fn is(list: &[Value], subject: &str, name: &str, value: impl Into<Value>) -> bool {
    let value = value.into();
    list.iter().any(|mail| mail["subject"] == subject && mail[name] == value)
}

fn lacks(list: &[Value], subject: &str) -> bool {
    list.iter().all(|mail| mail["subject"] != subject)
}

/// State, places and deletions, both ways, on a server with or without extensions.
fn both_ways(servers: &MailServers) {
    let mut bench = Bench::new(servers);
    let mut alice = servers.imap("alice");
    alice.imap("CREATE Projects");
    alice.imap("CREATE \"Projects/2026 &AOQ-\"");
    for subject in ["one", "two", "three", "four", "five"] {
        servers.deliver("alice", &mail(subject));
    }
    alice.append("Projects", "\\Seen \\Flagged", &mail("filed"));
    alice.append("\"Projects/2026 &AOQ-\"", "$Forwarded", &mail("deep"));
    let added = bench.account(servers, "alice", &[]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    bench.start();
    let list = bench.until("phone", "everything", |list| list.len() == 7);
    for (subject, folder) in [("one", "Inbox"), ("filed", "Projects")] {
        assert!(is(&list, subject, "folder", folder), "{list:#?}");
    }
    assert!(is(&list, "filed", "flagged", true) && is(&list, "filed", "read", true));
    assert!(is(&list, "deep", "forwarded", true));
    let deep = bench.mail("phone", "deep").unwrap()["folder"].as_str().unwrap().to_owned();
    assert!(deep.contains("2026 ä"), "{deep}");
    let shown = bench.verb("phone", &["show", &bench.luid("phone", "filed")]).stdout;
    assert_eq!(shown, mail("filed"), "octet for octet");

    // The phone changes; the server follows.
    for (subject, marks) in [("one", "+read"), ("two", "+flagged")] {
        bench.verb("phone", &["flag", &bench.luid("phone", subject), marks]);
    }
    bench.verb("phone", &["flag", &bench.luid("phone", "filed"), "-flagged"]);
    bench.verb("phone", &["move", &bench.luid("phone", "three"), "Projects"]);
    bench.verb("phone", &["delete", &bench.luid("phone", "four")]);
    bench.sync("phone");
    wait_for("the phone's changes at Dovecot", || {
        let inbox = alice.marks("INBOX");
        let projects = alice.marks("Projects");
        inbox.get("one").is_some_and(|marks| marks.contains("\\Seen"))
            && inbox.get("two").is_some_and(|marks| marks.contains("\\Flagged"))
            && !inbox.contains_key("three")
            && !inbox.contains_key("four")
            && projects.contains_key("three")
            && projects.get("filed").is_some_and(|marks| marks == "\\Seen")
            && alice.marks("Trash").contains_key("four")
    });

    // Another mail reader changes; the phone follows. The moved mail stays the same one.
    let five = bench.luid("phone", "five");
    alice.imap("SELECT INBOX");
    alice.imap("STORE 1 +FLAGS (\\Answered)");
    let uid = alice.imap("SEARCH SUBJECT five").lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    alice.imap(&format!("COPY {uid} Projects"));
    alice.imap(&format!("STORE {uid} +FLAGS (\\Deleted)"));
    alice.imap("EXPUNGE");
    alice.imap("SELECT Projects");
    let uid = alice.imap("SEARCH SUBJECT filed").lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    alice.imap(&format!("STORE {uid} +FLAGS (\\Deleted)"));
    alice.imap("EXPUNGE");
    bench.until("phone", "the other reader's changes", |list| {
        is(list, "one", "answered", true)
            && is(list, "one", "read", true)
            && is(list, "five", "folder", "Projects")
            && lacks(list, "filed")
            && is(list, "four", "folder", "Trash")
    });
    assert_eq!(bench.luid("phone", "five"), five, "moved, not new");
    assert!(bench.list("phone").len() == 6, "{:#?}", bench.list("phone"));
}

// mission: M5a, M5b, M5c, M12
#[test]
fn dovecot_both_ways() {
    both_ways(&MailServers::start());
}

// mission: M12
#[test]
fn a_plain_server_without_extensions_both_ways() {
    both_ways(&MailServers::start_poor());
}

// mission: M1
#[test]
fn sent_through_postfix_with_its_outcome_and_a_copy() {
    let servers = MailServers::start().with_postfix();
    let mut bench = Bench::new(&servers);
    let smtp = servers.address("smtp");
    let added = bench.account(&servers, "alice", &["--smtp", &smtp, "--smtp-tls", "starttls"]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    bench.start();
    let file = bench.path("mail.eml");
    let text = "From: alice@lab.test\r\nTo: bob@lab.test, far@away.example\r\nBcc: hidden@away.example\r\nSubject: out\r\n\r\n.dots\r\n..\r\n";
    std::fs::write(&file, text).unwrap();
    bench.sync("phone");
    bench.verb("phone", &["send", file.to_str().unwrap()]);
    let list = bench.until("phone", "sent", |list| is(list, "out", "folder", "Sent"));
    assert!(is(&list, "out", "send", Value::from("sent")) || list.iter().any(|m| m["send"]["outcome"] == "sent"), "{list:#?}");
    wait_for("mail at the sink and at bob", || {
        servers.sink.mails().len() == 1 && servers.imap("bob").marks("INBOX").contains_key("out")
    });
    let (message, envelope) = servers.sink.mails().remove(0);
    assert!(message.contains("\r\n\r\n.dots\r\n..\r\n"), "{message}");
    assert!(!message.contains("Bcc") && !message.contains("hidden"), "{message}");
    assert!(envelope.contains("hidden@away.example") && envelope.contains("far@away.example"), "{envelope}");
    assert!(envelope.contains("\"from\": \"alice@lab.test\""), "{envelope}");
    let mut alice = servers.imap("alice");
    wait_for("the copy in Sent", || alice.marks("Sent").get("out").is_some_and(|marks| marks.contains("\\Seen")));
    // Nothing is added a second time.
    std::thread::sleep(3 * SECOND);
    bench.sync("phone");
    assert_eq!(bench.list("phone").len(), 1, "{:#?}", bench.list("phone"));
    assert!(alice.imap("SELECT Sent").contains("* 1 EXISTS"));
}

// mission: M8a, M10
#[test]
fn an_account_is_checked_at_its_servers_before_it_is_stored() {
    let servers = MailServers::start();
    let bench = Bench::new(&servers);
    let (imaps, imap) = (servers.address("imaps"), servers.address("imap"));
    let add = |login: &str, password: &str, more: &[&str]| {
        let args = ["account", "add", "ann", "a", "--address", "alice@lab.test", "--login", login];
        bench.daemon(&[&args[..], more].concat(), password)
    };
    for (login, password, more, words) in [
        ("alice", "wrong", vec!["--imap", &imaps], "login refused"),
        ("nobody", "lab-alice", vec!["--imap", &imaps], "login refused"),
        ("alice", "lab-alice", vec!["--imap", "127.0.0.1:1"], "refused"),
        ("alice", "lab-alice", vec!["--imap", "[::1]:0"], "HOST:PORT"),
        ("alice", "lab-alice", vec!["--imap", &imaps, "--smtp", &servers.sink.address, "--smtp-tls", "starttls"], "STARTTLS"),
    ] {
        let done = add(login, password, &more);
        assert_eq!(done.code, 1, "{words}: {done:?}");
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    // threat M3: a certificate that nobody vouches for.
    std::fs::write(bench.path("config.toml"), "[mail]\npoll_seconds = 1\n").unwrap();
    let done = add("alice", "lab-alice", &["--imap", &imaps]);
    assert!(done.code == 1 && done.stderr.contains("certificate"), "{}", done.stderr);
    assert_eq!(bench.daemon(&["account", "list"], "").stdout, "");
    let config = format!("[mail]\nca = \"{}\"\n", servers.ca());
    std::fs::write(bench.path("config.toml"), config).unwrap();
    for tls in [vec!["--imap", &imaps], vec!["--imap", &imap, "--imap-tls", "starttls"], vec!["--imap", &imap, "--imap-tls", "none"]] {
        let done = add("alice", "lab-alice", &tls);
        assert_eq!(done.code, 0, "{tls:?}: {}", done.stderr);
    }
    assert!(bench.daemon(&["account", "list"], "").stdout.contains("alice@lab.test"));
    // Rotating the key changes nothing for the account.
    let before = std::fs::read(bench.path("data/secrets.key")).unwrap();
    assert_eq!(bench.daemon(&["key", "rotate"], "").code, 0);
    assert_ne!(std::fs::read(bench.path("data/secrets.key")).unwrap(), before);
    let checked = bench.daemon(&["account", "check", "ann", "a"], "");
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let mut at_rest = Vec::new();
    for entry in std::fs::read_dir(bench.path("data")).unwrap() {
        at_rest.extend(std::fs::read(entry.unwrap().path()).unwrap_or_default());
    }
    assert!(!at_rest.windows(9).any(|w| w == b"lab-alice"), "the secret is not on the disk");
    assert_eq!(bench.daemon(&["account", "remove", "ann", "a"], "").code, 0);
    assert_eq!(bench.daemon(&["account", "remove", "ann", "a"], "").code, 1);
}
