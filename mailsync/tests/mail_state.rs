//! State alone, and state that others change meanwhile, through the binaries before Dovecot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Bench, MailServers, is, lacks, mail, wait_for};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One session of a phone, and its report.
fn report(bench: &Bench, phone: &str, url: &str, more: &[&str]) -> (i32, Value) {
    let dir = bench.path(phone);
    let args = ["--json", "sync", "--server", url, "--user", "ann", "--dir", dir.to_str().unwrap()];
    let done = bench.mailsync(&[&args[..], more].concat());
    (done.code, serde_json::from_str(done.stdout.lines().last().unwrap_or("null")).unwrap_or_default())
}

/// Marks a mail of the inbox there, as another mail reader.
fn mark(servers: &MailServers, subject: &str, flags: &str) {
    let mut alice = servers.imap("alice");
    alice.imap("SELECT INBOX");
    let found = alice.imap(&format!("SEARCH SUBJECT \"{subject}\""));
    let number = found.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    alice.imap(&format!("STORE {number} {flags}"));
}

// mission: M5a-c
#[test]
fn the_state_alone_both_ways_and_each_way() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let large =
        |subject: &str| mail(subject).replace("Hello", &"Lorem ipsum dolor sit amet.\r\n".repeat(800));
    for subject in ["one", "two", "three", "four", "five", "six"] {
        servers.deliver("alice", &large(subject));
    }
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    let url = bench.url.clone();
    // Never synced: there is nothing to go on from, and nothing comes by that.
    let (code, said) = report(&bench, "new", &url, &["--state-only"]);
    assert_eq!((code, &said["stores"][0]["status"]), (1, &508.into()), "{said}");
    assert!(bench.list("new").is_empty());
    bench.until("phone", "everything", |list| list.len() == 6);
    bench.until("other", "everything", |list| list.len() == 6);

    let mut alice = servers.imap("alice");
    for (mode, subject, there, new, up, down) in [
        ("one-way-from-client", "one", "two", "fresh a", true, false),
        ("one-way-from-server", "two", "one", "fresh b", false, true),
        ("two-way", "three", "four", "fresh c", true, true),
    ] {
        servers.deliver("alice", &large(new));
        mark(&servers, there, "+FLAGS (\\Answered $Forwarded)");
        bench.until("other", "the server's news", |list| {
            is(list, there, "answered", true) && !lacks(list, new)
        });
        bench.verb("phone", &["flag", &bench.luid("phone", subject), "+flagged", "+read"]);
        let (code, said) = report(&bench, "phone", &url, &["--state-only", "--mode", mode]);
        assert_eq!(code, 0, "{said}");
        let octets = said["bytes_in"].as_u64().unwrap() + said["bytes_out"].as_u64().unwrap();
        assert!(octets < 10_000, "{mode}: {octets} octets with mails of 20,000: {said}");
        let store = &said["stores"][0];
        assert_eq!((&store["received"]["added"], &store["sent"]["added"]), (&0.into(), &0.into()), "{said}");
        assert_eq!(store["received"]["replaced"].as_u64().unwrap() > 0, down, "{mode}: {said}");
        assert_eq!(store["sent"]["replaced"].as_u64().unwrap() > 0, up, "{mode}: {said}");
        let list = bench.list("phone");
        assert!(lacks(&list, new), "{mode}: nothing new: {list:#?}");
        assert_eq!(is(&list, there, "answered", true) && is(&list, there, "forwarded", true), down, "{mode}");
        if up {
            wait_for("the phone's marks at Dovecot", || {
                let marks = alice.marks("INBOX")[subject].clone();
                marks.contains("\\Flagged") && marks.contains("\\Seen")
            });
        } else {
            assert!(!alice.marks("INBOX")[subject].contains("\\Flagged"), "{mode}: it waits");
        }
    }
    // Moved and deleted are states, too.
    bench.verb("phone", &["move", &bench.luid("phone", "five"), "Trash"]);
    bench.verb("phone", &["delete", &bench.luid("phone", "six")]);
    let (code, said) = report(&bench, "phone", &url, &["--state-only"]);
    assert_eq!(code, 0, "{said}");
    wait_for("five and six in the trash of Dovecot", || {
        let trash = alice.marks("Trash");
        trash.contains_key("five") && trash.contains_key("six")
    });
    // What was new waited, and comes with a whole sync; what went does not go again.
    let (code, said) = report(&bench, "phone", &url, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said["stores"][0]["why_slow"], Value::Null, "{said}");
    let list = bench.until("phone", "the new ones", |list| list.len() == 9);
    for subject in ["fresh a", "fresh b", "fresh c"] {
        let shown = bench.verb("phone", &["show", &bench.luid("phone", subject)]).stdout;
        assert!(shown.ends_with(&large(subject)), "{list:#?}");
    }
    wait_for("all marks at Dovecot", || alice.marks("INBOX")["two"].contains("\\Flagged"));
    // What it cannot do it says.
    for bad in [&["--state-only", "--mode", "slow"][..], &["--state-only", "--version", "1.1"]] {
        assert_eq!(report(&bench, "phone", &url, bad).0, 1, "{bad:?}");
    }
    assert_eq!(report(&bench, "phone", &url, &["--state-only", "--headers-only"]).0, 2);
}

/// What is done before a request goes on: the request's number, and what.
type Meanwhile = (usize, Box<dyn FnOnce() + Send>);

/// Passes requests on, one a connection, and does something before one of them.
struct Between {
    url: String,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

impl Between {
    fn before(server: &str) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/syncml", listener.local_addr().unwrap());
        let meanwhile: Arc<Mutex<Option<Meanwhile>>> = Arc::default();
        let (server, shared) = (server.to_owned(), Arc::clone(&meanwhile));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let Some((head, body)) = request(&client) else { continue };
                let waiting = shared.lock().unwrap().take();
                let now = match waiting {
                    Some((left, what)) if left > 1 => {
                        *shared.lock().unwrap() = Some((left - 1, what));
                        None
                    }
                    other => other.map(|(_, what)| what),
                };
                if let Some(what) = now {
                    what();
                }
                let mut far = TcpStream::connect(&server).unwrap();
                far.write_all(head.as_bytes()).unwrap();
                far.write_all(&body).unwrap();
                let mut answer = Vec::new();
                far.read_to_end(&mut answer).unwrap();
                let _ = client.write_all(&answer);
            }
        });
        Between { url, meanwhile }
    }
}

/// A request, made the last one of its connection.
fn request(client: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some((head + "Connection: close\r\n\r\n", body))
}

// mission: M5a-c
#[test]
fn another_reader_changes_state_at_any_point_of_a_sync() {
    let servers = Arc::new(MailServers::start());
    let mut bench = Bench::new(&servers);
    for n in 0..5 {
        for what in ["both", "theirs", "same"] {
            servers.deliver("alice", &mail(&format!("{what} {n}")));
        }
    }
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    bench.until("other", "everything", |list| list.len() == 15);
    let bench = Arc::new(bench);
    let server = bench.url.strip_prefix("http://").unwrap().strip_suffix("/syncml").unwrap().to_owned();
    let between = Between::before(&server);
    let sync = || {
        let (code, said) = report(&bench, "phone", &between.url, &[]);
        assert_eq!((code, &said["result"]), (0, &"ok".into()), "{said}");
        said
    };
    sync();
    // How many requests a session takes that sends two marks.
    bench.verb("phone", &["flag", &bench.luid("phone", "both 0"), "+flagged"]);
    let points = usize::try_from(sync()["messages"].as_u64().unwrap()).unwrap();
    assert!((2..5).contains(&points), "{points}");
    for n in 1..=points {
        let name = move |what: &str| format!("{what} {n}");
        // Pending on the phone; then, in its session, another reader marks the same mails and a third one.
        bench.verb("phone", &["flag", &bench.luid("phone", &name("both")), "+flagged"]);
        bench.verb("phone", &["flag", &bench.luid("phone", &name("same")), "+read"]);
        let (shared, mailbox) = (Arc::clone(&bench), Arc::clone(&servers));
        let what = move || {
            mark(&mailbox, &name("both"), "+FLAGS (\\Answered)");
            mark(&mailbox, &name("theirs"), "+FLAGS (\\Flagged)");
            mark(&mailbox, &name("same"), "+FLAGS (\\Seen)");
            // It is in the rows before the session goes on.
            shared.until("other", "the other reader's marks", |list| {
                is(list, &name("both"), "answered", true) && is(list, &name("theirs"), "flagged", true)
            });
        };
        *between.meanwhile.lock().unwrap() = Some((n, Box::new(what)));
        let said = sync();
        assert_eq!(said["stores"][0]["why_slow"], Value::Null, "{said}");
        assert!(between.meanwhile.lock().unwrap().is_none(), "it was done in the session");
        sync();
        let list = bench.list("phone");
        assert!(is(&list, &name("both"), "answered", true) && is(&list, &name("theirs"), "flagged", true));
        assert!(is(&list, &name("both"), "flagged", true), "the phone's mark stays: {list:#?}");
        assert!(is(&list, &name("same"), "read", true), "{list:#?}");
        assert_eq!(list.len(), 15);
        let mut alice = servers.imap("alice");
        wait_for("both marks at Dovecot", || {
            let marks = alice.marks("INBOX");
            marks[&name("both")] == "\\Answered \\Flagged"
                && marks[&name("theirs")] == "\\Flagged"
                && marks[&name("same")] == "\\Seen"
        });
    }
}

// mission: M5a, M5c
#[test]
fn the_servers_older_state_undoes_no_pending_change() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("one"));
    servers.deliver("alice", &mail("two"));
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    let url = bench.url.clone();
    bench.until("phone", "both", |list| list.len() == 2);
    bench.until("other", "both", |list| list.len() == 2);
    bench.verb("phone", &["flag", &bench.luid("phone", "one"), "+read"]);
    bench.verb("phone", &["move", &bench.luid("phone", "two"), "Trash"]);
    mark(&servers, "one", "+FLAGS (\\Flagged)");
    bench.until("other", "the server's mark", |list| is(list, "one", "flagged", true));
    // The server's state is older than the phone's: it says that the one is not read, and where the other was.
    for more in [&["--mode", "one-way-from-server"][..], &["--mode", "one-way-from-server", "--state-only"]] {
        let (_, said) = report(&bench, "phone", &url, more);
        assert_eq!(said["stores"][0]["status"], 200, "{said}");
        let list = bench.list("phone");
        assert!(is(&list, "one", "read", true) && is(&list, "two", "folder", "Trash"), "{list:#?}");
    }
    let list = bench.until("phone", "both sides' marks", |list| is(list, "one", "flagged", true));
    assert!(is(&list, "one", "read", true) && is(&list, "two", "folder", "Trash"), "{list:#?}");
    let mut alice = servers.imap("alice");
    wait_for("both at Dovecot", || {
        alice.marks("INBOX").get("one").is_some_and(|marks| marks == "\\Flagged \\Seen")
            && alice.marks("Trash").contains_key("two")
    });
}

// mission: M5b
#[test]
fn what_deleting_means_is_the_accounts_rule() {
    for (rule, in_inbox, in_trash) in
        [("trash", false, true), ("expunge", false, false), ("keep", true, false)]
    {
        let servers = MailServers::start();
        let mut bench = Bench::new(&servers);
        servers.deliver("alice", &mail("to delete"));
        servers.deliver("alice", &mail("to stay"));
        assert_eq!(bench.account(&servers, "alice", &["--delete", rule]).code, 0);
        bench.start();
        bench.until("phone", "both", |list| list.len() == 2);
        bench.until("other", "both", |list| list.len() == 2);
        bench.verb("phone", &["delete", &bench.luid("phone", "to delete")]);
        bench.sync("phone");
        bench.until("other", "the deletion", |list| {
            list.iter().all(|mail| mail["subject"] != "to delete" || mail["folder"] == "Trash")
        });
        // Whatever is to happen there has happened when the next change has.
        bench.verb("phone", &["flag", &bench.luid("phone", "to stay"), "+flagged"]);
        bench.sync("phone");
        let mut alice = servers.imap("alice");
        wait_for("the next change at Dovecot", || alice.marks("INBOX")["to stay"].contains("\\Flagged"));
        assert_eq!(alice.marks("INBOX").contains_key("to delete"), in_inbox, "{rule}");
        assert_eq!(alice.marks("Trash").contains_key("to delete"), in_trash, "{rule}");
        let list = bench.until("phone", "the end", |list| is(list, "to stay", "flagged", true));
        assert_eq!(is(&list, "to delete", "folder", "Trash"), in_trash, "{rule}: {list:#?}");
        assert!(!is(&list, "to delete", "folder", "Inbox"), "{rule}: it does not come back: {list:#?}");
    }
}

// mission: M5b, M5c
#[test]
fn the_place_from_one_side_and_the_mark_from_the_other_both_stay() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    for subject in ["one", "two", "three"] {
        servers.deliver("alice", &mail(subject));
    }
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    mark(&servers, "three", "+FLAGS (\\Flagged)");
    bench.until("phone", "all", |list| list.len() == 3 && is(list, "three", "flagged", true));
    bench.until("other", "all", |list| list.len() == 3);
    // There a mark, a move, a mark taken off; here the move, the mark, the other mark and a move.
    mark(&servers, "one", "+FLAGS (\\Flagged)");
    mark(&servers, "three", "-FLAGS (\\Flagged)");
    let mut alice = servers.imap("alice");
    alice.imap("SELECT INBOX");
    let found = alice.imap("SEARCH SUBJECT two");
    let number = found.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    alice.imap(&format!("MOVE {number} Trash"));
    bench.until("other", "the server's changes", |list| {
        is(list, "one", "flagged", true)
            && is(list, "two", "folder", "Trash")
            && is(list, "three", "flagged", false)
    });
    bench.verb("phone", &["move", &bench.luid("phone", "one"), "Trash"]);
    bench.verb("phone", &["flag", &bench.luid("phone", "two"), "+flagged"]);
    bench.verb("phone", &["flag", &bench.luid("phone", "three"), "+read"]);
    bench.verb("phone", &["move", &bench.luid("phone", "three"), "Trash"]);
    for phone in ["phone", "other", "phone"] {
        bench.sync(phone);
        let list = bench.list(phone);
        for (subject, flagged) in [("one", true), ("two", true), ("three", false)] {
            assert!(is(&list, subject, "folder", "Trash"), "{phone}: {list:#?}");
            assert!(is(&list, subject, "flagged", flagged), "{phone}: {list:#?}");
        }
        assert!(is(&list, "three", "read", true) && list.len() == 3, "{phone}: {list:#?}");
    }
    wait_for("the same at Dovecot", || {
        let trash = alice.marks("Trash");
        let has = |subject: &str, marks: &str| trash.get(subject).is_some_and(|found| found == marks);
        has("one", "\\Flagged") && has("two", "\\Flagged") && has("three", "\\Seen")
    });
}
