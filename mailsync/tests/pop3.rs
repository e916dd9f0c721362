//! Accounts over POP3, through the binaries: Dovecot, and a server whose answers go wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Bench, Finished, MailServers, is, lacks, mail, wait_for};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn add(bench: &Bench, pop3: &str, more: &[&str]) -> Finished {
    let args =
        ["account", "add", "ann", "pop", "--address", "alice@lab.test", "--login", "alice", "--pop3", pop3];
    bench.daemon(&[&args[..], more].concat(), "lab-alice")
}

fn shown(bench: &Bench, subject: &str) -> String {
    bench.verb("phone", &["show", &bench.luid("phone", subject)]).stdout
}

// mission: M12
#[test]
fn mail_comes_from_dovecot_by_pop3_and_a_deletion_goes_back() {
    for (name, tls) in [("pop3s", "implicit"), ("pop3", "starttls"), ("pop3", "none")] {
        let servers = MailServers::start();
        let mut bench = Bench::new(&servers);
        let dots = mail("dots") + ".\r\n..a\r\n.b\r\n" + &"x".repeat(3_000) + "\r\n";
        for message in [&mail("one"), &mail("two"), &dots] {
            servers.deliver("alice", message);
        }
        let done = add(&bench, &servers.address(name), &["--pop3-tls", tls]);
        assert_eq!(done.code, 0, "{tls}: {}", done.stderr);
        bench.start();
        bench.until("phone", "everything", |list| list.len() == 3);
        assert!(shown(&bench, "dots").ends_with(&dots), "octet for octet");
        assert!(is(&bench.list("phone"), "one", "folder", "Inbox"));
        // What has no counterpart stays here.
        bench.verb("phone", &["flag", &bench.luid("phone", "one"), "+flagged", "+read"]);
        bench.verb("phone", &["move", &bench.luid("phone", "two"), "Trash"]);
        bench.sync("phone");
        servers.deliver("alice", &mail("three"));
        let list = bench.until("phone", "the next", |list| !lacks(list, "three"));
        assert!(is(&list, "one", "flagged", true) && is(&list, "two", "folder", "Trash"), "{list:#?}");
        let mut alice = servers.imap("alice");
        assert!(!alice.marks("INBOX")["one"].contains("\\Flagged"));
        assert!(alice.marks("INBOX").contains_key("two"), "moved here alone");
        // A deletion goes there; what another reader deletes stays here.
        bench.verb("phone", &["delete", &bench.luid("phone", "dots")]);
        bench.sync("phone");
        wait_for("the deletion at Dovecot", || !alice.marks("INBOX").contains_key("dots"));
        alice.imap("SELECT INBOX");
        let found = alice.imap("SEARCH SUBJECT one");
        let number = found.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
        alice.imap(&format!("STORE {number} +FLAGS (\\Deleted)"));
        alice.imap("EXPUNGE");
        servers.deliver("alice", &mail("four"));
        let list = bench.until("phone", "the last", |list| !lacks(list, "four"));
        assert_eq!(list.len(), 4, "{list:#?}");
        assert!(!lacks(&list, "one") && lacks(&list, "dots"), "{list:#?}");
    }
}

// mission: M12
#[test]
fn what_becomes_of_mail_at_the_server_is_the_accounts_rule() {
    for (rule, left) in [(&["--fetched", "remove"][..], vec![]), (&["--delete", "keep"], vec!["one", "two"])]
    {
        let servers = MailServers::start();
        let mut bench = Bench::new(&servers);
        servers.deliver("alice", &mail("one"));
        servers.deliver("alice", &mail("two"));
        assert_eq!(add(&bench, &servers.address("pop3s"), rule).code, 0);
        bench.start();
        bench.until("phone", "both", |list| list.len() == 2);
        bench.verb("phone", &["delete", &bench.luid("phone", "one")]);
        bench.sync("phone");
        servers.deliver("alice", &mail("three"));
        let list = bench.until("phone", "the next", |list| !lacks(list, "three"));
        assert!(
            !lacks(&list, "two") && (lacks(&list, "one") || is(&list, "one", "folder", "Trash")),
            "{list:#?}"
        );
        let mut alice = servers.imap("alice");
        let left: Vec<&str> = if left.is_empty() { left } else { [&left[..], &["three"]].concat() };
        wait_for("what is left at Dovecot", || {
            let mut there: Vec<String> = alice.marks("INBOX").into_keys().collect();
            there.sort();
            let mut left = left.clone();
            left.sort_unstable();
            there == left
        });
        std::thread::sleep(3 * SECOND);
        bench.sync("phone");
        assert_eq!(bench.list("phone").len(), list.len(), "nothing comes twice, nothing is lost");
    }
}

// mission: M8a
#[test]
fn an_account_of_pop3_is_checked_before_it_is_stored() {
    let servers = MailServers::start();
    let bench = Bench::new(&servers);
    let pop3 = servers.address("pop3s");
    let wrong =
        ["account", "add", "ann", "pop", "--address", "alice@lab.test", "--login", "alice", "--pop3", &pop3];
    let no = bench.daemon(&wrong, "wrong");
    assert!(no.code == 1 && no.stderr.contains("pop3") && no.stderr.contains("login refused"), "{no:?}");
    let no = add(&bench, "127.0.0.1:1", &[]);
    assert!(no.code == 1 && no.stderr.contains("refused"), "{no:?}");
    let no = add(&bench, &servers.address("imap"), &["--pop3-tls", "none"]);
    assert!(no.code == 1 && no.stderr.contains("no answer of a POP3 server"), "{no:?}");
    assert_eq!(bench.daemon(&["account", "list"], "").stdout, "");
    for usage in [&["--imap", "127.0.0.1:1"][..], &["--fetched", "maybe"]] {
        assert_eq!(add(&bench, &pop3, usage).code, 2, "{usage:?}");
    }
}

/// What goes wrong with a mail of the scripted server.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// `-ERR` to `RETR` and `TOP`.
    Refused,
    /// The link ends in the middle of it.
    Drops,
    /// It has no unique-id.
    Nameless,
}

#[derive(Default)]
struct Drop {
    mails: BTreeMap<&'static str, (String, Fault)>,
    /// The whole of UIDL is refused.
    no_uidl: bool,
    /// This many logins are told that the maildrop is in use.
    in_use: u32,
    deleted: Vec<String>,
}

/// A POP3 server by script: without CAPA, as old ones are.
struct Scripted {
    address: String,
    drop: Arc<Mutex<Drop>>,
}

impl Scripted {
    fn start() -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let drop: Arc<Mutex<Drop>> = Arc::default();
        let shared = Arc::clone(&drop);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let drop = Arc::clone(&shared);
                std::thread::spawn(move || session(&client, &drop));
            }
        });
        Scripted { address, drop }
    }

    fn put(&self, unique: &'static str, message: &str, fault: Fault) {
        self.drop.lock().unwrap().mails.insert(unique, (message.to_owned(), fault));
    }
}

/// Serves one client. A link that breaks is the end of it, and of nothing else.
fn session(client: &TcpStream, drop: &Mutex<Drop>) -> Option<()> {
    let mut out = client;
    let mut say = move |text: String| out.write_all(format!("{text}\r\n").as_bytes()).ok();
    say("+OK ready".into())?;
    let mails: Vec<(&str, String, Fault)> = {
        let drop = drop.lock().unwrap();
        drop.mails.iter().map(|(unique, (text, fault))| (*unique, text.clone(), *fault)).collect()
    };
    let mut doomed = Vec::new();
    for line in BufReader::new(client).lines() {
        let line = line.ok()?;
        let mut words = line.split(' ');
        let verb = words.next()?;
        let mail = words.next().and_then(|n| mails.get(n.parse::<usize>().ok()?.checked_sub(1)?));
        match (verb, mail) {
            ("PASS", _) if drop.lock().unwrap().in_use > 0 => {
                drop.lock().unwrap().in_use -= 1;
                say("-ERR [IN-USE] the maildrop is locked".into())?;
            }
            ("USER" | "PASS", _) => say("+OK".into())?,
            ("UIDL", _) if drop.lock().unwrap().no_uidl => say("-ERR what".into())?,
            ("UIDL" | "LIST", _) => {
                say("+OK".into())?;
                for (n, (unique, text, fault)) in mails.iter().enumerate() {
                    match (verb, fault) {
                        ("LIST", _) => say(format!("{} {}", n + 1, text.len()))?,
                        (_, Fault::Nameless) => {}
                        _ => say(format!("{} {unique}", n + 1))?,
                    }
                }
                say(".".into())?;
            }
            ("RETR", Some((_, _, Fault::Refused))) => say("-ERR it is broken".into())?,
            ("RETR", Some((_, text, Fault::Drops))) => {
                say(format!("+OK\r\n{}", &text[..text.len() / 2]))?;
                return None;
            }
            ("RETR", Some((_, text, _))) => {
                let stuffed = text.replace("\r\n.", "\r\n..");
                say(format!("+OK\r\n{stuffed}."))?;
            }
            ("DELE", Some((unique, ..))) => {
                doomed.push((*unique).to_owned());
                say("+OK".into())?;
            }
            ("QUIT", _) => {
                let mut drop = drop.lock().unwrap();
                drop.mails.retain(|unique, _| !doomed.iter().any(|gone| gone == unique));
                drop.deleted.extend(doomed);
                return say("+OK".into());
            }
            _ => say("-ERR what".into())?,
        }
    }
    None
}

// mission: M12
#[test]
fn threat_m2_a_broken_message_costs_that_message() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let server = Scripted::start();
    server.drop.lock().unwrap().no_uidl = true;
    let no = add(&bench, &server.address, &["--pop3-tls", "none"]);
    assert!(no.code == 1 && no.stderr.contains("UIDL"), "{no:?}");
    let no = add(&bench, &server.address, &["--pop3-tls", "starttls"]);
    assert!(no.code == 1 && no.stderr.contains("no STLS"), "{no:?}");
    server.drop.lock().unwrap().no_uidl = false;
    let huge = mail("huge") + &"y".repeat(3 << 20) + "\r\n";
    for (unique, message, fault) in [
        ("a", mail("first"), Fault::None),
        ("b", mail("refused"), Fault::Refused),
        ("c", mail("drops"), Fault::Drops),
        ("d", mail("nameless"), Fault::Nameless),
        ("e", huge.clone(), Fault::None),
        ("f", mail("last"), Fault::None),
    ] {
        server.put(unique, &message, fault);
    }
    assert_eq!(add(&bench, &server.address, &["--pop3-tls", "none"]).code, 0);
    server.drop.lock().unwrap().in_use = 2;
    bench.start();
    let list = bench.until("phone", "all that can come", |list| list.len() == 3);
    assert!(!lacks(&list, "first") && !lacks(&list, "huge") && !lacks(&list, "last"), "{list:#?}");
    assert!(shown(&bench, "huge") == huge, "a line of three million octets");
    // Mended, it comes.
    server.put("b", &mail("refused"), Fault::None);
    server.put("c", &mail("drops"), Fault::None);
    server.put("d", &mail("nameless"), Fault::None);
    bench.until("phone", "the rest", |list| list.len() == 6);
    // The server gives a unique-id to another mail: that is new, and the one that had it stays here.
    server.put("a", &(mail("second") + "longer\r\n"), Fault::None);
    let list = bench.until("phone", "the other mail", |list| !lacks(list, "second"));
    assert!(!lacks(&list, "first") && list.len() == 7, "{list:#?}");
    // Deleting the one that is gone there deletes nothing there, and deleting the other deletes that.
    bench.verb("phone", &["delete", &bench.luid("phone", "first")]);
    bench.sync("phone");
    bench.verb("phone", &["delete", &bench.luid("phone", "last")]);
    bench.sync("phone");
    wait_for("the deletion", || !server.drop.lock().unwrap().deleted.is_empty());
    std::thread::sleep(2 * SECOND);
    assert_eq!(server.drop.lock().unwrap().deleted, ["f"]);
}

// mission: M12; threat: S11
#[test]
fn threat_s11_an_emptied_maildrop_and_one_with_other_ids_delete_and_double_nothing() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let server = Scripted::start();
    let names: [&'static str; 5] = ["a", "b", "c", "d", "e"];
    for unique in names {
        server.put(unique, &mail(&format!("mail {unique}")), Fault::None);
    }
    assert_eq!(add(&bench, &server.address, &["--pop3-tls", "none"]).code, 0);
    bench.start();
    bench.until("phone", "everything", |list| list.len() == 5);
    bench.verb("phone", &["flag", &bench.luid("phone", "mail b"), "+flagged"]);
    bench.verb("phone", &["delete", &bench.luid("phone", "mail c")]);
    bench.sync("phone");
    wait_for("the deletion", || server.drop.lock().unwrap().deleted == ["c"]);
    let again = std::mem::take(&mut server.drop.lock().unwrap().mails);
    std::thread::sleep(3 * SECOND);
    bench.sync("phone");
    assert_eq!(bench.list("phone").len(), 4, "what is gone there stays here");
    server.drop.lock().unwrap().mails = again;
    server.put("f", &mail("mail f"), Fault::None);
    let list = bench.until("phone", "the new one", |list| !lacks(list, "mail f"));
    assert_eq!(list.len(), 5, "{list:#?}");
    assert!(is(&list, "mail b", "flagged", true), "it is as it was: {list:#?}");
}
