//! What fails between real mail servers and the binaries, and what must hold all the same: nothing lost, nothing doubled but a
//! mail of which nobody knows whether it was taken.
//!
//! `MAILSYNC_FULL` kills the server in 200 runs, else in 10; `MAILSYNC_KILLS` says another number, `MAILSYNC_SEED` other dice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Bench, MailServers, Process, is, lacks, mail, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn letter(bench: &Bench, to: &str, subject: &str) {
    let file = bench.path("letter.eml");
    let text = format!("From: alice@lab.test\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHello\r\n");
    std::fs::write(&file, text).unwrap();
    bench.verb("phone", &["send", file.to_str().unwrap()]);
}

fn words(list: &[Value], subject: &str) -> String {
    let mail = list.iter().find(|mail| mail["subject"] == subject);
    mail.map(|mail| mail["send"]["words"].to_string()).unwrap_or_default()
}

/// Syncs until the phone is as wanted, for a long time.
fn until(bench: &Bench, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = Instant::now() + 180 * SECOND;
    loop {
        bench.sync("phone");
        let list = bench.list("phone");
        if wanted(&list) {
            return list;
        }
        assert!(Instant::now() < deadline, "{what}: {list:#?}");
        std::thread::sleep(SECOND / 5);
    }
}

// mission: M1
#[test]
fn a_submission_server_that_is_slow_or_down_or_drops_the_link_gets_each_mail_once() {
    let mut servers = MailServers::start();
    let bench = Bench::sending(&servers);
    // It takes five seconds for its answer, and is asked once. In place of an answer the link ends: it may have been taken.
    letter(&bench, "slow@away.example", "slow");
    letter(&bench, "drop@away.example", "dropped");
    let list = until(&bench, "both to end", |list| {
        is(list, "slow", "folder", "Sent") && words(list, "dropped").contains("never answered")
    });
    let outcome = |subject: &str| {
        list.iter().find(|mail| mail["subject"] == subject).unwrap()["send"]["outcome"].clone()
    };
    assert_eq!((outcome("slow"), outcome("dropped")), ("Sent".into(), "Unknown".into()), "{list:#?}");
    assert_eq!(servers.sink.mails().len(), 1, "the slow one, once");
    // Nobody answers: it waits, says why, and goes once when somebody does.
    servers.sink.stop();
    letter(&bench, "far@away.example", "waits");
    until(&bench, "the reason", |list| words(list, "waits").contains("refused"));
    assert!(is(&bench.list("phone"), "waits", "folder", "Outbox"));
    servers.sink.restart();
    until(&bench, "the mail to go", |list| is(list, "waits", "folder", "Sent"));
    assert_eq!(servers.sink.mails().len(), 2);
}

/// Passes links on to a server, and counts what comes from it.
struct Relay {
    address: String,
    octets: Arc<AtomicUsize>,
    /// Past it links are cut.
    limit: Arc<AtomicUsize>,
}

impl Relay {
    fn before(port: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (octets, limit) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let (count, most) = (Arc::clone(&octets), Arc::clone(&limit));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Nobody answers there: the link ends, too.
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (count, most) = (Arc::clone(&count), Arc::clone(&most));
                std::thread::spawn(move || pass(up, server, |_| true));
                let goes_on = move |more| count.fetch_add(more, Relaxed) + more <= most.load(Relaxed);
                std::thread::spawn(move || pass(down, client, goes_on));
            }
        });
        Relay { address, octets, limit }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn(usize) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !goes_on(read) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

// mission: M2, M12
// threat: L4
#[test]
fn an_imap_server_that_restarts_while_mail_is_fetched_costs_no_mail_and_doubles_none() {
    const MAILS: usize = 120;
    let mut servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let text =
        |n: usize| format!("{}{}", mail(&format!("mail {n}")), "All of it, line by line.\r\n".repeat(1_000));
    let mut alice = servers.imap("alice");
    for n in 0..MAILS {
        alice.append("INBOX", "", &text(n));
    }
    drop(alice);
    let relay = Relay::before(servers.port("imaps"));
    let imap = &relay.address;
    let args =
        ["account", "add", "ann", "alice", "--address", "alice@lab.test", "--login", "alice", "--imap", imap];
    let added = bench.daemon(&args, "lab-alice");
    assert_eq!(added.code, 0, "{}", added.stderr);
    relay.limit.store(400 << 10, Relaxed);
    bench.start();
    // Of more than 3 MB: all cannot have come before the last of them.
    for (kilobytes, next) in [(400, 1_000 << 10), (1_000, 2_000 << 10), (2_000, usize::MAX)] {
        wait_for("mail to be fetched", || relay.octets.load(Relaxed) > kilobytes << 10);
        servers.restart();
        relay.limit.store(next, Relaxed);
    }
    let list = until(&bench, "everything", |list| list.len() >= MAILS);
    let subjects: BTreeSet<&str> = list.iter().map(|mail| mail["subject"].as_str().unwrap()).collect();
    assert_eq!((list.len(), subjects.len()), (MAILS, MAILS), "each once");
    for n in [0, 60, MAILS - 1] {
        let shown = bench.verb("phone", &["show", &bench.luid("phone", &format!("mail {n}"))]).stdout;
        assert_eq!(shown, text(n), "and whole");
    }
    let log = bench.server.as_ref().unwrap().stderr();
    assert!(log.matches("again later").count() >= 3, "each restart was noticed: {log}");
}

// mission: M8
#[test]
fn a_password_that_is_wrong_one_day_is_said_and_loses_nothing() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("before"));
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    until(&bench, "the first", |list| !lacks(list, "before"));
    servers.set_password("alice", "another");
    wait_for("the trouble to be said", || {
        bench.daemon(&["account", "list"], "").stdout.contains("login refused")
    });
    // The phone goes on with what there is, and changes it.
    servers.deliver("alice", &mail("meanwhile"));
    bench.verb("phone", &["flag", &bench.luid("phone", "before"), "+flagged"]);
    bench.sync("phone");
    assert!(is(&bench.list("phone"), "before", "flagged", true) && lacks(&bench.list("phone"), "meanwhile"));
    // Registered anew with the right one.
    let imap = servers.address("imaps");
    let args = [
        "account",
        "add",
        "ann",
        "alice",
        "--address",
        "alice@lab.test",
        "--login",
        "alice",
        "--imap",
        &imap,
    ];
    let added = bench.daemon(&args, "another");
    assert_eq!(added.code, 0, "{}", added.stderr);
    let list = until(&bench, "what came meanwhile", |list| !lacks(list, "meanwhile"));
    assert_eq!(list.len(), 2, "{list:#?}");
    assert!(is(&list, "before", "flagged", true), "not undone");
    assert!(bench.daemon(&["account", "list"], "").stdout.trim_end().ends_with("ok"));
    let mut raw = servers.raw("alice", "another");
    wait_for("the mark at Dovecot", || raw.marks("INBOX")["before"].contains("\\Flagged"));
}

// mission: M5b
// threat: S11
#[test]
fn a_mail_that_is_in_the_trash_already_is_not_deleted_from_there() {
    let mut servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("unwanted"));
    servers.deliver("alice", &mail("other"));
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    until(&bench, "both", |list| list.len() == 2);
    servers.stop();
    bench.verb("phone", &["delete", &bench.luid("phone", "unwanted")]);
    bench.sync("phone");
    // Long enough that nobody knocks right away when it is back.
    std::thread::sleep(4 * SECOND);
    servers.restart();
    // As if the server had moved it and died before it knew: the mail is where it was to go.
    let mut alice = servers.imap("alice");
    alice.imap("SELECT INBOX");
    let found = alice.imap("SEARCH SUBJECT unwanted");
    if let Some(place) = found.lines().next().unwrap().strip_prefix("* SEARCH ") {
        alice.imap(&format!("MOVE {place} Trash"));
    }
    let list = until(&bench, "the trash", |list| is(list, "unwanted", "folder", "Trash"));
    assert_eq!(list.len(), 2, "{list:#?}");
    std::thread::sleep(4 * SECOND);
    bench.sync("phone");
    assert!(alice.marks("Trash").contains_key("unwanted"), "it is not gone for good");
    assert!(is(&bench.list("phone"), "unwanted", "folder", "Trash"));
}

/// Numbers that look random and are the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What the phone knows of itself against what the server knows of it: each mail once, under one number, on both sides.
fn maps_are_bijective(bench: &Bench) {
    let database = rusqlite::Connection::open(bench.path("data/mailsync.db")).unwrap();
    let query = "SELECT m.luid, m.guid FROM map m JOIN peer p ON p.id = m.peer AND p.generation = m.generation \
        JOIN datastore d ON d.id = p.store JOIN item i ON i.store = p.store AND i.guid = m.guid \
        WHERE d.name = 'mail' AND i.deleted = 0 AND i.kind = 'message/rfc822'";
    let mut statement = database.prepare(query).unwrap();
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?)));
    let rows: Vec<(Option<String>, String)> = rows.unwrap().map(Result::unwrap).collect();
    let luids: BTreeSet<&str> = rows.iter().map(|(luid, _)| luid.as_deref().expect("bound")).collect();
    let guids: BTreeSet<&str> = rows.iter().map(|(_, guid)| &**guid).collect();
    assert_eq!((luids.len(), guids.len()), (rows.len(), rows.len()), "one to one");
    let list = bench.list("phone");
    let here: BTreeSet<&str> = list.iter().map(|mail| mail["luid"].as_str().unwrap()).collect();
    assert_eq!(here, luids, "what the phone has is what the server has numbers for");
    let live = "SELECT count(*) FROM item i JOIN datastore d ON d.id = i.store \
        WHERE d.name = 'mail' AND i.deleted = 0 AND i.kind = 'message/rfc822'";
    let live: i64 = database.query_row(live, [], |row| row.get(0)).unwrap();
    assert_eq!(live, i64::try_from(rows.len()).unwrap(), "and that is all there is");
}

// mission: M1, M5b, M7
#[test]
fn threat_s12_killed_at_any_point_nothing_is_lost_and_doubled_only_what_is_in_doubt() {
    let full = std::env::var_os("MAILSYNC_FULL").is_some();
    let runs = number("MAILSYNC_KILLS").unwrap_or(if full { 200 } else { 10 });
    let seed = number("MAILSYNC_SEED").unwrap_or(7);
    let servers = MailServers::start();
    let mut bench = Bench::sending(&servers);
    let mut alice = servers.imap("alice");
    alice.imap("CREATE Projects");
    for run in 0..runs {
        for what in ["flag", "delete", "move"] {
            alice.append("INBOX", "", &mail(&format!("{what} {run}")));
        }
    }
    let list = until(&bench, "everything", |list| list.len() as u64 == runs * 3);
    let luids: BTreeMap<String, String> = list
        .iter()
        .map(|mail| (mail["subject"].as_str().unwrap().to_owned(), mail["luid"].as_str().unwrap().to_owned()))
        .collect();
    let (mut broken, mut after) = (0, 0);
    for run in 0..runs {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(run));
        dice.below(2);
        letter(&bench, "far@away.example", &format!("letter {run}"));
        bench.verb("phone", &["flag", &luids[&format!("flag {run}")], "+flagged"]);
        bench.verb("phone", &["delete", &luids[&format!("delete {run}")]]);
        bench.verb("phone", &["move", &luids[&format!("move {run}")], "Projects"]);
        let dir = bench.path("phone");
        let mut sync = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        sync.args(["sync", "--server", &bench.url, "--user", "ann", "--dir", dir.to_str().unwrap()]);
        let mut sync = Process::start(sync.env("MAILSYNC_PASSWORD", "secret"));
        // In the session, or in what it began: the mail is sent, changes go to Dovecot.
        if dice.below(3) == 0 {
            sync.wait(60 * SECOND).expect("the client ends");
            std::thread::sleep(Duration::from_millis(dice.below(300)));
            after += 1;
        } else {
            std::thread::sleep(Duration::from_millis(dice.below(900)));
        }
        bench.server.take().unwrap().kill();
        // It fails, or was done already; in both cases it ends.
        let ended = sync.wait(60 * SECOND).expect("the client ends when its server is gone");
        broken += u64::from(!ended.success());
        bench.start();
    }
    let list = until(&bench, "all letters sent", |list| {
        (0..runs).all(|run| is(list, &format!("letter {run}"), "folder", "Sent"))
            && list.iter().all(|mail| mail["folder"] != "Outbox")
    });
    let sent = servers.sink.mails();
    let mut doubled = 0;
    for run in 0..runs {
        let subject = format!("letter {run}");
        let line = format!("Subject: {subject}\r\n");
        let count = sent.iter().filter(|(message, _)| message.contains(&line)).count();
        let in_doubt = words(&list, &subject).contains("never answered");
        assert!(count == 1 || (count == 2 && in_doubt), "{subject} came {count} times, in doubt: {in_doubt}");
        doubled += count - 1;
        assert_eq!(list.iter().filter(|mail| mail["subject"] == *subject).count(), 1, "{subject}");
    }
    // At Dovecot, too: each change once. It ends a link that says nothing for half an hour.
    let mut alice = servers.imap("alice");
    let deadline = Instant::now() + 60 * SECOND;
    loop {
        let (inbox, projects) = (alice.marks("INBOX"), alice.marks("Projects"));
        let flagged =
            |run| inbox.get(&format!("flag {run}")).is_some_and(|marks| marks.contains("\\Flagged"));
        let gone = |run| !inbox.contains_key(&format!("delete {run}"));
        let moved = |run| {
            projects.contains_key(&format!("move {run}")) && !inbox.contains_key(&format!("move {run}"))
        };
        if (0..runs).all(|run| flagged(run) && gone(run) && moved(run)) {
            break;
        }
        assert!(Instant::now() < deadline, "{inbox:#?}\n{projects:#?}\n{:#?}", bench.list("phone"));
        std::thread::sleep(SECOND / 2);
    }
    for folder in ["INBOX", "Projects", "Trash", "Sent"] {
        let said = alice.imap(&format!("STATUS {folder} (MESSAGES)"));
        assert!(said.contains(&format!("MESSAGES {runs})")), "one each: {said}");
    }
    // Four a run: the letter in Sent, one in the inbox, one in Projects, one in Trash.
    until(&bench, "the same on the phone", |list| list.len() as u64 == runs * 4);
    bench.sync("phone");
    maps_are_bijective(&bench);
    eprintln!(
        "seed {seed}: {runs} runs, {broken} sessions cut, {after} killed after theirs; {} mails sent, {doubled} of them twice",
        sent.len()
    );
}
