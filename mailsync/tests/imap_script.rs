//! An IMAP server by script in front of the binaries: one that is full, slow, or breaks over single mails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Bench, MailServers, is, lacks, mail, wait_for};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// What goes wrong with a mail.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// It does not come, and the command is answered NO.
    Refused,
    /// The response that holds it cannot be read.
    Garbled,
    /// The link ends in the middle of it.
    Drops,
    /// It says that it is short.
    Lies,
}

#[derive(Default)]
struct State {
    mails: BTreeMap<u32, (String, Fault)>,
    next: u32,
    /// What was added to other folders.
    added: Vec<(String, String)>,
    /// APPEND is answered with this.
    full: Option<&'static str>,
    /// Octets are sent this many at a time, with a pause.
    trickle: Option<(usize, Duration)>,
    /// Commands that fetch texts.
    fetches: Vec<String>,
    logins: usize,
}

/// An IMAP4rev1 server with a single extension.
struct Scripted {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Scripted {
    fn start() -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State { next: 1, ..State::default() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || session(&client, &state));
            }
        });
        Scripted { address, state }
    }

    fn put(&self, text: &str, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        let id = state.next;
        state.next += 1;
        state.mails.insert(id, (text.to_owned(), fault));
    }

    fn account(&self, bench: &Bench, more: &[&str]) {
        let args = ["account", "add", "ann", "a", "--address", "alice@lab.test", "--login", "alice"];
        let imap = ["--imap", &self.address, "--imap-tls", "none"];
        let added = bench.daemon(&[&args[..], &imap, more].concat(), "any");
        assert_eq!(added.code, 0, "{}", added.stderr);
    }
}

fn say(client: &TcpStream, state: &Mutex<State>, text: &str) -> Option<()> {
    let trickle = state.lock().unwrap().trickle;
    let mut out = client;
    match trickle {
        None => out.write_all(text.as_bytes()).ok(),
        Some((octets, pause)) => {
            for some in text.as_bytes().chunks(octets) {
                out.write_all(some).ok()?;
                std::thread::sleep(pause);
            }
            Some(())
        }
    }
}

/// Whether a set (`1:*`, `3,7:9`) has an id.
fn has(set: &str, id: u32) -> bool {
    set.split(',').any(|part| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        first.parse().unwrap_or(0) <= id && id <= last.parse().unwrap_or(u32::MAX)
    })
}

/// Serves one client. A link that breaks is the end of it, and of nothing else.
fn session(client: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let say = |text: String| say(client, state, &text);
    say("* OK [CAPABILITY IMAP4rev1 UIDPLUS] ready\r\n".into())?;
    let mut reader = BufReader::new(client);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let (tag, command) = line.trim_end().split_once(' ')?;
        let words: Vec<&str> = command.split(' ').collect();
        let mut end = "OK done".to_owned();
        match (words.first().copied()?, words.get(1).copied()) {
            ("LOGIN", _) => {
                state.lock().unwrap().logins += 1;
                end = "OK [CAPABILITY IMAP4rev1 UIDPLUS] in".into();
            }
            ("CAPABILITY", _) => say("* CAPABILITY IMAP4rev1 UIDPLUS\r\n".into())?,
            ("LIST", _) => {
                say(
                    "* LIST () \"/\" INBOX\r\n* LIST (\\Sent) \"/\" Sent\r\n* LIST () \"/\" Trash\r\n".into()
                )?;
            }
            ("STATUS", Some(name)) => {
                let name = name.trim_matches('"');
                let (next, count) = numbers(state, name);
                say(format!("* STATUS {name} (MESSAGES {count} UIDNEXT {next} UIDVALIDITY 1)\r\n"))?;
            }
            ("SELECT", Some(name)) => {
                let (next, count) = numbers(state, name.trim_matches('"'));
                say(format!("* {count} EXISTS\r\n* OK [UIDVALIDITY 1] it\r\n* OK [UIDNEXT {next}] it\r\n"))?;
            }
            ("UID", Some("FETCH")) => end = fetch(client, state, command, words.get(2).copied()?)?,
            ("UID", Some("SEARCH")) => say("* SEARCH\r\n".into())?,
            ("APPEND", Some(name)) => {
                let size: usize = command.rsplit_once('{')?.1.strip_suffix('}')?.parse().ok()?;
                let full = state.lock().unwrap().full;
                match full {
                    Some(words) => end = format!("NO {words}"),
                    None => {
                        say("+ go on\r\n".into())?;
                        let mut text = vec![0; size + 2];
                        reader.read_exact(&mut text).ok()?;
                        let text = String::from_utf8(text).ok()?;
                        let mut state = state.lock().unwrap();
                        state.added.push((name.trim_matches('"').to_owned(), text.trim_end().to_owned()));
                        end = format!("OK [APPENDUID 1 {}] added", state.added.len());
                    }
                }
            }
            ("LOGOUT", _) => {
                say(format!("* BYE bye\r\n{tag} OK bye\r\n"))?;
                return None;
            }
            _ => {}
        }
        say(format!("{tag} {end}\r\n"))?;
    }
}

fn numbers(state: &Mutex<State>, folder: &str) -> (u32, usize) {
    let state = state.lock().unwrap();
    match folder {
        "INBOX" => (state.next, state.mails.len()),
        "Sent" => (u32::try_from(state.added.len()).unwrap() + 1, state.added.len()),
        _ => (1, 0),
    }
}

/// Answers a FETCH; gives the words of its end.
fn fetch(client: &TcpStream, state: &Mutex<State>, command: &str, set: &str) -> Option<String> {
    let text = command.contains("BODY.PEEK[]");
    let asked: Vec<(u32, String, Fault)> = {
        let mut state = state.lock().unwrap();
        if text {
            state.fetches.push(command.to_owned());
        }
        let asked = state.mails.iter().filter(|(id, _)| has(set, **id));
        asked.map(|(id, (text, fault))| (*id, text.clone(), *fault)).collect()
    };
    let most: usize =
        command.rsplit_once("<0.").and_then(|(_, rest)| rest.split('>').next()?.parse().ok()).unwrap_or(0);
    let mut end = "OK done";
    for (id, message, fault) in asked {
        let size = if fault == Fault::Lies { 10 } else { message.len() };
        let head = format!("* {id} FETCH (UID {id} FLAGS ()");
        let response = if text {
            let body = &message[..message.len().min(most)];
            match fault {
                Fault::Refused => {
                    end = "NO [SERVERBUG] I cannot read it";
                    continue;
                }
                Fault::Garbled => format!("{head} BODY[]<0> \"no end\r\n"),
                Fault::Drops => {
                    let half = &body[..body.len() / 2];
                    say(client, state, &format!("{head} BODY[]<0> {{{}}}\r\n{half}", body.len()))?;
                    client.shutdown(std::net::Shutdown::Both).ok()?;
                    return None;
                }
                Fault::None | Fault::Lies => format!("{head} BODY[]<0> {{{}}}\r\n{body})\r\n", body.len()),
            }
        } else if command.contains("HEADER") {
            let header = message.split("\r\n\r\n").next().unwrap_or_default().to_owned() + "\r\n\r\n";
            let date = "22-Nov-2026 10:00:00 +0000";
            format!(
                "{head} INTERNALDATE \"{date}\" RFC822.SIZE {size} BODY[HEADER.FIELDS (SUBJECT)]<0> {{{}}}\r\n{header})\r\n",
                header.len()
            )
        } else {
            format!("{head})\r\n")
        };
        say(client, state, &response)?;
    }
    Some(end.to_owned())
}

// mission: M12
// threat: M2
#[test]
fn threat_m2_one_mail_of_a_batch_costs_itself() {
    const MAILS: usize = 300;
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let server = Scripted::start();
    let long = mail("lies") + &"All of it, line by line.\r\n".repeat(100_000);
    for n in 0..MAILS {
        server.put(&mail(&format!("mail {n}")), Fault::None);
        match n {
            50 => server.put(&mail("refused"), Fault::Refused),
            60 => server.put(&mail("garbled"), Fault::Garbled),
            70 => server.put(&long, Fault::Lies),
            _ => {}
        }
    }
    server.account(&bench, &[]);
    bench.start();
    let list = bench.until("phone", "all that can come", |list| list.len() > MAILS);
    assert_eq!(list.len(), MAILS + 1);
    assert!(lacks(&list, "refused") && lacks(&list, "garbled"), "{list:#?}");
    let shown = bench.verb("phone", &["show", &bench.luid("phone", "lies")]).stdout;
    assert!(shown == long, "longer than it said, and whole: {} of {}", shown.len(), long.len());
    let fetches = server.state.lock().unwrap().fetches.clone();
    let first: Vec<&String> = fetches.iter().filter(|command| command.contains(':')).collect();
    assert!(first.len() >= 4 && fetches.len() < 40, "in batches: {fetches:#?}");
    // Mended, they come.
    for (_, fault) in server.state.lock().unwrap().mails.values_mut() {
        *fault = Fault::None;
    }
    bench.until("phone", "the rest", |list| list.len() == MAILS + 3);
}

// mission: M12
// threat: M2
#[test]
fn threat_m2_a_mail_over_which_the_link_ends_keeps_no_other_away() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let server = Scripted::start();
    for n in 0..10 {
        server.put(&mail(&format!("mail {n}")), if n == 4 { Fault::Drops } else { Fault::None });
    }
    server.account(&bench, &[]);
    bench.start();
    let list = bench.until("phone", "the others", |list| list.len() == 9);
    assert!(lacks(&list, "mail 4"), "{list:#?}");
    let fetches = server.state.lock().unwrap().fetches.clone();
    let alone = fetches.iter().filter(|command| command.starts_with("UID FETCH 5 ")).count();
    assert_eq!(alone, 2, "asked for with the others, then twice alone: {fetches:#?}");
    // What comes later comes at once.
    server.put(&mail("later"), Fault::None);
    bench.until("phone", "the later one", |list| !lacks(list, "later"));
}

// mission: M12
#[test]
fn a_full_mailbox_is_said_in_its_own_words_and_keeps_nothing_else_away() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let server = Scripted::start();
    server.put(&mail("before"), Fault::None);
    server.account(&bench, &["--smtp", &servers.sink.address, "--smtp-tls", "none"]);
    server.state.lock().unwrap().full = Some("[OVERQUOTA] your mailbox is full, sorry");
    bench.start();
    bench.until("phone", "the first", |list| !lacks(list, "before"));
    let file = bench.path("letter.eml");
    let text = "From: alice@lab.test\r\nTo: far@away.example\r\nSubject: letter\r\n\r\nHello\r\n";
    std::fs::write(&file, text).unwrap();
    bench.verb("phone", &["send", file.to_str().unwrap()]);
    // It goes out, once; only its copy has no place there.
    bench.until("phone", "the letter to go", |list| is(list, "letter", "folder", "Sent"));
    wait_for("its words", || {
        bench.daemon(&["account", "list"], "").stdout.contains("[OVERQUOTA] your mailbox is full, sorry")
    });
    assert!(bench.daemon(&["queue", "list"], "").stdout.contains("[OVERQUOTA]"));
    server.put(&mail("meanwhile"), Fault::None);
    bench.until("phone", "what came meanwhile", |list| !lacks(list, "meanwhile"));
    // Longer than a change is tried that the server refuses: a mail is not given up.
    std::thread::sleep(12 * SECOND);
    assert!(bench.daemon(&["queue", "list"], "").stdout.contains("[OVERQUOTA]"), "it waits");
    assert!(is(&bench.list("phone"), "letter", "folder", "Sent"));
    server.state.lock().unwrap().full = None;
    let deadline = Instant::now() + 60 * SECOND;
    while server.state.lock().unwrap().added.is_empty() {
        assert!(Instant::now() < deadline, "{}", bench.daemon(&["queue", "list"], "").stdout);
        std::thread::sleep(SECOND / 4);
    }
    std::thread::sleep(3 * SECOND);
    let added = server.state.lock().unwrap().added.clone();
    assert_eq!((added.len(), &*added[0].0), (1, "Sent"), "{added:?}");
    assert!(added[0].1.contains("Subject: letter"), "{added:?}");
    assert_eq!(servers.sink.mails().len(), 1, "sent once");
    wait_for("that all is well", || bench.daemon(&["account", "list"], "").stdout.trim_end().ends_with("ok"));
    assert_eq!(bench.list("phone").len(), 3, "nothing doubled");
}

// mission: M12
#[test]
fn a_server_that_trickles_holds_nobody_up_and_its_mail_comes_whole() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("quick"));
    let server = Scripted::start();
    let text = mail("slow") + &"All of it, line by line.\r\n".repeat(600);
    server.put(&text, Fault::None);
    server.account(&bench, &[]);
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    // About two thousand octets a second: the mail takes eight.
    server.state.lock().unwrap().trickle = Some((100, SECOND / 20));
    bench.start();
    let begun = Instant::now();
    bench.until("phone", "the other account's mail", |list| !lacks(list, "quick"));
    assert!(lacks(&bench.list("phone"), "slow"), "after {:?}", begun.elapsed());
    let before = Instant::now();
    bench.sync("phone");
    assert!(before.elapsed() < 4 * SECOND, "a sync waits for no mail server: {:?}", before.elapsed());
    let list = bench.until("phone", "the slow one", |list| !lacks(list, "slow"));
    assert_eq!(list.len(), 2, "{list:#?}");
    let shown = bench.verb("phone", &["show", &bench.luid("phone", "slow")]).stdout;
    assert!(shown == text, "{} octets of {}", shown.len(), text.len());
    assert_eq!(server.state.lock().unwrap().logins, 2, "the check and one link");
}
