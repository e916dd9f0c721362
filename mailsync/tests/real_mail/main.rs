//! Mail as it really is, through Dovecot and both binaries: to a client under every fetch parameter, and forwarded by number.
//!
//! What Dovecot gives back of a mail is what counts as the mail: it keeps lines as it likes. All mails go together in each
//! session, so that the whole takes a dozen of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../peers/mod.rs"]
mod peers;

mod generate;
mod written;

use bytes::Bytes;
use generate::{CHARSETS, Made};
use mailsync_proto::mail::cut::{self, Wanted};
use mailsync_proto::mail::headers::Headers;
use mailsync_proto::mail::{summary, transfer};
use peers::{Bench, MailServers, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Mails from dice, in a short and in a full run; `MAILSYNC_MAILS` says another number, `MAILSYNC_SEED` another seed.
const GENERATED: [usize; 2] = [60, 200];

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn all() -> Vec<Made> {
    let seed = number("MAILSYNC_SEED", 1) as u64;
    let mut all = written::all();
    let generated = GENERATED[usize::from(std::env::var_os("MAILSYNC_FULL").is_some())];
    all.extend((0..number("MAILSYNC_MAILS", generated)).map(|n| generate::message(seed, n)));
    all
}

#[test]
fn there_are_more_than_two_hundred_and_they_differ() {
    let (all, again) = (all(), all());
    assert!(all.len() >= 200, "{}", all.len());
    assert!(all.iter().zip(&again).all(|(a, b)| a.octets == b.octets), "the same each time");
    let different: BTreeSet<&[u8]> = all.iter().map(|made| &made.octets[..]).collect();
    assert_eq!(different.len(), all.len());
    assert!(all.iter().filter(|made| !made.parts.is_empty()).count() > 50);
}

#[test]
fn every_charset_is_shown() {
    for (charset, octets, text) in CHARSETS {
        for coded in [true, false] {
            let mut mail = format!(
                "Subject: =?{charset}?B?{}?=\r\nContent-Type: text/plain; charset={charset}\r\n",
                generate::base64(octets)
            )
            .into_bytes();
            if coded {
                mail.extend_from_slice(
                    format!("Content-Transfer-Encoding: base64\r\n\r\n{}\r\n", generate::base64(octets))
                        .as_bytes(),
                );
            } else {
                mail.extend_from_slice(b"\r\n");
                mail.extend_from_slice(octets);
                mail.extend_from_slice(b"\r\n");
            }
            assert_eq!(summary::plain_text(&mail).trim(), *text, "{charset}, coded {coded}");
            assert_eq!(summary::Summary::of(&mail).subject, text.replace('\u{80}', " ").trim(), "{charset}");
        }
    }
}

/// The mails of a phone by their numbers, octet for octet.
fn kept(bench: &Bench, phone: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![bench.path(phone)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_mail = folder.ends_with("cur") || folder.ends_with("new");
            if path.is_dir() {
                folders.push(path);
            } else if is_mail {
                let name = path.file_name().unwrap().to_str().unwrap();
                let luid = name.split(':').next().unwrap().to_owned();
                assert!(found.insert(luid, std::fs::read(&path).unwrap()).is_none(), "twice: {path:?}");
            }
        }
    }
    found
}

fn sorted(mails: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut mails: Vec<Vec<u8>> = mails.into_iter().collect();
    mails.sort();
    mails
}

fn start(mail: &[u8]) -> String {
    String::from_utf8_lossy(&mail[..mail.len().min(300)]).escape_debug().to_string()
}

/// The servers, a server of ours with all of it, and what Dovecot gives back.
fn lab() -> (MailServers, Bench, Vec<Made>, Vec<Vec<u8>>) {
    let servers = MailServers::start();
    let mails = all();
    let mut alice = servers.imap("alice");
    for (at, made) in mails.iter().enumerate() {
        let date = if at % 4 == 3 { "01-Jan-2020 00:00:00 +0000" } else { "21-Nov-2026 10:00:00 +0000" };
        if made.octets.contains(&0) {
            // IMAP has no such literal: as a program that delivers by itself.
            servers.drop_file("alice", &format!("1795255200.{at}.test"), &made.octets);
        } else {
            alice.append_octets("INBOX", date, &made.octets);
        }
    }
    let theirs = alice.octets("INBOX");
    assert_eq!(theirs.len(), mails.len());
    let bench = Bench::sending(&servers);
    (servers, bench, mails, theirs)
}

/// Syncs until a phone has so many mails.
fn filled(bench: &Bench, phone: &str, more: &[&str], count: usize) -> BTreeMap<String, Vec<u8>> {
    let until = Instant::now() + Duration::from_secs(180);
    loop {
        bench.sync_with(phone, more);
        let kept = kept(bench, phone);
        if kept.len() == count {
            return kept;
        }
        let log = bench.server.as_ref().unwrap().stderr();
        assert!(Instant::now() < until, "{phone} has {} of {count}\n{log}", kept.len());
        std::thread::sleep(Duration::from_millis(500));
    }
}

// mission: M2a-d, M6b, M6c
// threats: L1, L4, M4
#[test]
fn real_mail_goes_under_every_parameter_and_is_forwarded_octet_for_octet() {
    let (servers, bench, mails, theirs) = lab();
    let whole = filled(&bench, "whole", &[], mails.len());
    let theirs = sorted(theirs);
    for (ours, theirs) in sorted(whole.values().cloned()).iter().zip(&theirs) {
        assert!(ours == theirs, "not as Dovecot has it:\n{}\n{}", start(ours), start(theirs));
    }
    under_every_parameter(&bench, &whole);
    forwarded(&servers, &bench, &mails, &whole);
    // Nothing of it has brought anything down, also not for a moment.
    let log = bench.server.as_ref().unwrap().stderr();
    assert!(!log.contains("panicked") && !log.contains("again later"), "{log}");
    assert!(bench.daemon(&["account", "list"], "").stdout.trim_end().ends_with("ok"));
}

fn under_every_parameter(bench: &Bench, whole: &BTreeMap<String, Vec<u8>>) {
    let (mut text, mut types, mut size) = (Wanted::HEADER, Wanted::WHOLE, Wanted::WHOLE);
    text.text = true;
    types.types = vec!["image/*".into(), "application/pdf".into()];
    size.max = Some(2_000);
    let mut all = text.clone();
    all.max = Some(700);
    let since = ["--since", "2026-01-01"];
    let recent = whole.len() - whole.len() / 4;
    for (phone, parameters, wanted, count) in [
        ("xml", &["--wire", "xml"][..], Wanted::WHOLE, whole.len()),
        ("small", &["--max-msg-size", "4096"], Wanted::WHOLE, whole.len()),
        ("headers", &["--headers-only"], Wanted::HEADER, whole.len()),
        ("text", &["--no-attachments"], text, whole.len()),
        ("types", &["--types", "image/*,application/pdf"], types, whole.len()),
        ("size", &["--max-size", "2000"], size, whole.len()),
        ("window", &since, Wanted::WHOLE, recent),
        ("all", &["--no-attachments", "--max-size", "700", "--wire", "xml", since[0], since[1]], all, recent),
    ] {
        let kept = if phone == "window" || phone == "all" {
            // A quarter is older; those that were put there as files are as old as the file.
            bench.sync_with(phone, parameters);
            let kept = self::kept(bench, phone);
            assert!(kept.len().abs_diff(count) <= 2, "{phone}: {} of {count}", kept.len());
            kept
        } else {
            filled(bench, phone, parameters, count)
        };
        let list: BTreeMap<String, Value> = bench
            .list(phone)
            .into_iter()
            .map(|mail| (mail["luid"].as_str().unwrap().to_owned(), mail))
            .collect();
        for (luid, got) in &kept {
            let original = Bytes::from(whole[luid].clone());
            let expected = cut::cut(&original, &wanted);
            let said = start(&original);
            assert!(*got == expected.message, "{phone} {luid}: {}\n{}", start(got), start(&expected.message));
            let left = &list[luid]["left"];
            if got.len() == original.len() {
                assert_eq!(*left, Value::Null, "{phone}: {said}");
                continue;
            }
            // What is missing is said, to the octet.
            let octets = |value: &Value| value.as_u64().unwrap();
            let parts = left["attachments"].as_array().unwrap();
            let named: u64 = parts.iter().map(|part| octets(&part["size"])).sum();
            assert_eq!(octets(&left["size"]), original.len() as u64, "{phone}: {said}");
            if parts.len() < 100 && phone != "headers" {
                let sum = got.len() as u64 + octets(&left["text"]) + named;
                assert_eq!(sum, original.len() as u64, "{phone}: {left} {said}");
            }
            let header = Headers::parse(&original).body;
            assert_eq!(got[..header], original[..header], "{phone}: {said}");
            match phone {
                "headers" => assert_eq!(got.len(), header, "{said}"),
                "size" => assert!(got.len() <= 2_000.max(header), "{said}"),
                "all" => assert!(got.len() <= 700.max(header), "{said}"),
                _ => {}
            }
        }
    }
}

/// Every mail is forwarded as a whole by a phone that has its header only, then one part of each of which parts are known.
fn forwarded(servers: &MailServers, bench: &Bench, mails: &[Made], whole: &BTreeMap<String, Vec<u8>>) {
    let mut expected: BTreeMap<String, Expected> = BTreeMap::new();
    let forward = |luid: &str, to: &str, more: &[&str]| {
        let to = format!("{to}@away.example");
        let args = ["forward", luid, "--without-download", "--from", "alice@lab.test", "--to", &to];
        bench.verb("headers", &[&args[..], more].concat());
    };
    for (at, (luid, original)) in whole.iter().enumerate() {
        let to = format!("whole{at}");
        forward(luid, &to, &[]);
        expected.insert(to, Expected::Message(original.clone()));
        let Some(made) = mails.iter().find(|made| made.octets == *original) else { continue };
        let Some((part, octets)) = made.parts.get(at % made.parts.len().max(1)) else { continue };
        let to = format!("part{at}");
        forward(luid, &to, &["--part", &part.to_string()]);
        expected.insert(to, Expected::Part(made.name.clone(), octets.clone()));
    }
    let parts = expected.values().filter(|expected| matches!(expected, Expected::Part(..))).count();
    assert!(parts > 50, "{parts}");
    let waiting = || bench.list("headers").iter().filter(|mail| mail["folder"] == "Outbox").count();
    // One message of a session copies so much and no more; the rest goes in the next one.
    wait_for("all to be taken", || {
        bench.sync_with("headers", &["--headers-only"]);
        waiting() == 0
    });
    wait_for("all at the sink", || servers.sink.octets().len() >= expected.len());
    let came = servers.sink.octets();
    assert_eq!(came.len(), expected.len());
    let envelopes: Vec<String> = servers.sink.mails().into_iter().map(|(_, envelope)| envelope).collect();
    for (message, envelope) in came.iter().zip(&envelopes) {
        let to = envelope.split("@away.example").next().unwrap().rsplit('"').next().unwrap();
        let wanted = expected.remove(to).unwrap_or_else(|| panic!("{to} twice, or never sent"));
        let pieces = pieces(message);
        assert_eq!(pieces.len(), 1, "{to}: {}", start(message));
        let piece = pieces[0];
        match wanted {
            Expected::Part(name, part) => {
                assert!(piece == part, "{to} {name}: {}\n{}", start(piece), start(&part));
            }
            Expected::Message(original) => {
                let body = &piece[Headers::parse(piece).body..];
                // What SMTP cannot carry as it is goes in base64, as a file.
                let is_coded = piece.starts_with(b"Content-Type: application/octet-stream");
                let octets = if is_coded { transfer::from_base64(body).unwrap() } else { body.to_vec() };
                assert!(octets == original, "{to}: {}\n{}", start(&octets), start(&original));
            }
        }
    }
    assert!(expected.is_empty());
    eprintln!("{} mails, {parts} parts of them: forwarded octet for octet", whole.len());
}

enum Expected {
    Message(Vec<u8>),
    Part(String, Vec<u8>),
}

/// The parts of a message between its own boundaries.
fn pieces(message: &[u8]) -> Vec<&[u8]> {
    let headers = Headers::parse(message);
    let kind = headers.first("Content-Type").unwrap().text();
    let boundary = kind.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let line = format!("\r\n--{boundary}");
    let find = |from: usize| {
        message[from..].windows(line.len()).position(|w| w == line.as_bytes()).map(|at| from + at)
    };
    let mut pieces = Vec::new();
    let mut at = find(headers.body - 2).unwrap();
    while let Some(next) = find(at + line.len()) {
        pieces.push(&message[at + line.len() + 2..next]);
        at = next;
    }
    assert_eq!(&message[at + line.len()..], b"--\r\n");
    pieces
}
