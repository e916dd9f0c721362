//! Forward and reply through the binaries: Dovecot has the mail, a sink is the mail server of the recipient.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use mailsync_proto::mail::headers::Headers;
use peers::{Bench, MailServers, is, mail, wait_for};
use serde_json::Value;

/// Octets that a forward by number may add to what a phone sends in a sync.
const BOUND: u64 = 900;

/// A mail of a text in 8 bits and two attachments, 90 KB of it.
fn rich(subject: &str) -> String {
    let picture =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E\r\n"
            .repeat(1_000);
    format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@far.example>\r\n\
         References: <root@far.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_B\"\r\n\r\n\
         --=_B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Grüße,\r\n.dots\r\n--=_B\r\nContent-Type: image/png; name=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"p.png\"\r\n\r\n{picture}--=_B\r\nContent-Type: application/pdf\r\n\
         Content-Disposition: attachment; filename=\"r.pdf\"\r\n\r\n%PDF-1.4 xyz\r\n--=_B--\r\n"
    )
}

/// The parts of a message between its own boundaries, octet for octet.
fn parts(message: &[u8]) -> Vec<Vec<u8>> {
    let headers = Headers::parse(message);
    let kind = headers.first("Content-Type").unwrap().text();
    let boundary = kind.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let body = String::from_utf8(message[headers.body - 2..].to_vec()).unwrap();
    let mut parts: Vec<Vec<u8>> =
        body.split(&format!("\r\n--{boundary}")).map(|part| part.as_bytes().to_vec()).collect();
    assert_eq!(parts.pop().unwrap(), b"--\r\n");
    parts.remove(0);
    parts.into_iter().map(|part| part[2..].to_vec()).collect()
}

fn body(part: &[u8]) -> &[u8] {
    &part[Headers::parse(part).body..]
}

/// What a phone sends in a sync, octets.
fn sync_out(bench: &Bench, phone: &str, more: &[&str]) -> u64 {
    let dir = bench.path(phone);
    let args = ["--json", "sync", "--server", &bench.url, "--user", "ann", "--dir", dir.to_str().unwrap()];
    let done = bench.mailsync(&[&args[..], more].concat());
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    let report: Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
    report["bytes_out"].as_u64().unwrap()
}

/// The next mail at the sink.
fn arrived(servers: &MailServers, before: usize) -> Vec<u8> {
    wait_for("mail at the sink", || servers.sink.octets().len() > before);
    servers.sink.octets().remove(before)
}

fn field(message: &[u8], name: &str) -> String {
    Headers::parse(message).first(name).map(|field| field.text()).unwrap_or_default()
}

// mission: M6a, M6b, M6c
#[test]
fn forwarded_without_download_whole_and_in_part_octet_for_octet() {
    let servers = MailServers::start();
    let bench = Bench::sending(&servers);
    for subject in ["whole", "worded", "part", "two", "answered"] {
        servers.deliver("alice", &rich(subject));
    }
    // One device has everything, the phone headers only.
    bench.until("other", "everything", |list| list.len() == 5);
    let headers = ["--headers-only"];
    bench.sync_with("phone", &headers);
    let original = |subject: &str| bench.verb("other", &["show", &bench.luid("other", subject)]).stdout;
    let luid = |subject: &str| bench.luid("phone", subject);
    let mut figures = Vec::new();
    let mut sent = 0;
    let mut go = |verb: &str, subject: &str, more: &[&str]| -> Vec<u8> {
        let idle = sync_out(&bench, "phone", &headers);
        let luid = luid(subject);
        let to: &[&str] = if verb == "forward" { &["--to", "far@away.example"] } else { &[] };
        bench.verb("phone", &[&[verb, &luid, "--without-download"], to, more].concat());
        let out = sync_out(&bench, "phone", &headers);
        let more = out.saturating_sub(idle);
        figures.push(format!("{verb} {subject}: {out} octets out, {more} more than an idle sync ({idle})"));
        assert!(more < BOUND, "{figures:#?}");
        sent += 1;
        arrived(&servers, sent - 1)
    };

    let whole = original("whole");
    assert!(whole.len() > 90_000 && whole.ends_with(&rich("whole")));
    let came = go("forward", "whole", &[]);
    assert_eq!(field(&came, "Subject"), "Fwd: whole");
    assert_eq!(field(&came, "References"), "<root@far.example> <whole@far.example>");
    assert_eq!(field(&came, "In-Reply-To"), "", "it answers nothing");
    let all = parts(&came);
    assert_eq!(all.len(), 1);
    assert_eq!(body(&all[0]), whole.as_bytes(), "octet for octet");

    let came = go("forward", "worded", &["--text", "Please read: äöü"]);
    let all = parts(&came);
    assert_eq!(all.len(), 2);
    assert!(String::from_utf8_lossy(&all[0]).contains("Please read: =C3=A4"));
    assert_eq!(body(&all[1]), original("worded").as_bytes());

    // One attachment, then two parts and a word.
    let shown = bench.verb("other", &["show", "--json", &bench.luid("other", "part")]).stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let number = |name: &str| {
        let part = shown["parts"].as_array().unwrap().iter().find(|part| part["name"] == name);
        part.unwrap_or_else(|| panic!("{shown}"))["number"].to_string()
    };
    let (text, picture, report) = ("1".to_owned(), number("p.png"), number("r.pdf"));
    let theirs = parts(original("part").as_bytes());
    let came = go("forward", "part", &["--part", &picture]);
    assert_eq!(parts(&came), [theirs[1].clone()]);
    let came = go("forward", "two", &["--part", &format!("{report},{text}"), "--text", "Both."]);
    let all = parts(&came);
    assert_eq!(all.len(), 3);
    assert!(body(&all[0]).starts_with(b"Both."));
    assert_eq!(all[1..], [theirs[2].clone(), theirs[0].clone()]);

    // An answer: the phone has no text of it to quote.
    let came = go("reply", "answered", &["--text", "Yes."]);
    let text = String::from_utf8_lossy(&came).into_owned();
    assert!(
        text.contains("Yes.\r\n\r\nZed <zed@far.example> wrote:\r\n> Gr=C3=BC=C3=9Fe,\r\n> .dots\r\n"),
        "{text}"
    );
    assert_eq!(field(&came, "In-Reply-To"), "<answered@far.example>");
    assert_eq!(field(&came, "To"), "zed@far.example");
    assert_eq!(field(&came, "References"), "<root@far.example> <answered@far.example>");

    // Marked at Dovecot, and on the other device.
    let mut alice = servers.imap("alice");
    let forwarded = ["whole", "worded", "part", "two"];
    wait_for("marks at Dovecot", || {
        let inbox = alice.marks("INBOX");
        forwarded.iter().all(|subject| inbox[*subject].contains("$Forwarded"))
            && inbox["answered"].contains("\\Answered")
            && !inbox["answered"].contains("$Forwarded")
            && !inbox["whole"].contains("\\Answered")
    });
    let list = bench.until("other", "marks", |list| {
        forwarded.iter().all(|subject| is(list, subject, "forwarded", true))
            && is(list, "answered", "answered", true)
    });
    assert!(is(&list, "answered", "forwarded", false) && is(&list, "whole", "answered", false));
    // The phone has its own mail in Sent, and has loaded nothing of the original for it.
    bench.sync_with("phone", &headers);
    assert!(is(&bench.list("phone"), "Fwd: whole", "folder", "Sent"));
    let there = bench.mail("phone", "Fwd: whole").unwrap();
    assert!(there["size"].as_u64().unwrap() < 1_000, "{there}");
    // The copy at Dovecot is what went out.
    let copy = bench.mail("other", "Fwd: whole").unwrap();
    assert!(copy["size"].as_u64().unwrap() > 90_000, "{copy}");
    // Named again by a slow sync, nothing goes twice.
    bench.sync_with("phone", &["--headers-only", "--mode", "slow"]);
    bench.sync_with("phone", &headers);
    assert_eq!(bench.list("phone").len(), 10, "{:#?}", bench.list("phone"));
    bench.sync("other");
    assert_eq!(bench.list("other").len(), 10);
    assert_eq!(servers.sink.octets().len(), 5);
    figures.iter().for_each(|figure| eprintln!("{figure}"));
}

// mission: M6a
#[test]
fn forwarded_after_download_the_number_goes_along() {
    let servers = MailServers::start();
    let bench = Bench::sending(&servers);
    servers.deliver("alice", &rich("rich"));
    servers.deliver("alice", &mail("asked"));
    bench.until("phone", "both", |list| list.len() == 2);
    bench.until("other", "both", |list| list.len() == 2);
    let original = bench.verb("phone", &["show", &bench.luid("phone", "rich")]).stdout;
    let luid = bench.luid("phone", "rich");
    bench.verb("phone", &["forward", &luid, "--to", "far@away.example", "--how", "upload", "--text", "See."]);
    let out = sync_out(&bench, "phone", &[]);
    assert!(out > 90_000, "all of it went up: {out}");
    let came = arrived(&servers, 0);
    let all = parts(&came);
    assert_eq!(body(&all[1]), original.as_bytes());
    assert_eq!(field(&came, "X-Sync-Forward"), "", "what we say to the server is not for the recipient");
    bench.verb("phone", &["reply", &bench.luid("phone", "asked"), "--text", "Yes."]);
    bench.sync("phone");
    let came = arrived(&servers, 1);
    assert_eq!(field(&came, "In-Reply-To"), "<asked@far.example>");
    assert_eq!(field(&came, "X-Sync-Reply"), "");
    let mut alice = servers.imap("alice");
    wait_for("marks at Dovecot", || {
        let inbox = alice.marks("INBOX");
        inbox["rich"].contains("$Forwarded") && inbox["asked"].contains("\\Answered")
    });
    bench.until("other", "marks", |list| {
        is(list, "rich", "forwarded", true) && is(list, "asked", "answered", true)
    });
    // What is here in part only cannot be uploaded, and says what can be done.
    bench.sync_with("poor", &["--headers-only"]);
    let luid = bench.luid("poor", "rich");
    let dir = bench.path("poor");
    let args = ["forward", "--dir", dir.to_str().unwrap(), &luid, "--to", "x@y.example", "--how", "upload"];
    let no = bench.mailsync(&args);
    assert!(no.code == 1 && no.stderr.contains("--without-download"), "{no:?}");
}
