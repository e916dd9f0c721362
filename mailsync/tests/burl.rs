//! Forward and reply by number through CATENATE, URLAUTH and BURL: Dovecot has the mail, puts the new one together, and its
//! submission server fetches it from there. A tap before either counts what goes to and from `mailsyncd`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use mailsync_proto::mail::headers::Headers;
use peers::{Bench, MailServers, Tap, is, wait_for};
use serde_json::Value;

/// Octets of the attachment, about.
const LARGE: usize = 1_500_000;
/// Octets that may go either way over a link for a forward: logins, a few hundred of the mail itself, and a look at the
/// folders every second for as long as it takes.
const LITTLE: u64 = LARGE as u64 / 10;

/// A mail of a text in 8 bits and two attachments, a large and a small one.
fn rich(subject: &str) -> String {
    let line = format!("{subject:i<19}").repeat(4) + "\r\n";
    let picture = line.repeat(LARGE / line.len());
    format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@far.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_B\"\r\n\r\n\
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

fn field(message: &[u8], name: &str) -> String {
    Headers::parse(message).first(name).map(|field| field.text()).unwrap_or_default()
}

/// `mailsyncd` whose links to the mail server go through taps, and a phone with headers only.
struct Lab {
    servers: MailServers,
    bench: Bench,
    imap: Tap,
    smtp: Tap,
}

impl Lab {
    fn new(servers: MailServers, subjects: &[&str], more: &str) -> Lab {
        let (imap, smtp) = (Tap::start(&servers.address("imap")), Tap::start(&servers.address("submission")));
        let mut bench = Bench::new(&servers);
        let config = bench.path("config.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}{more}")).unwrap();
        let added = bench.daemon(
            &[
                ["account", "add", "ann", "alice", "--address", "alice@lab.test", "--login", "alice"]
                    .as_slice(),
                &[
                    "--imap",
                    &imap.address,
                    "--imap-tls",
                    "none",
                    "--smtp",
                    &smtp.address,
                    "--smtp-tls",
                    "none",
                ],
            ]
            .concat(),
            "lab-alice",
        );
        assert_eq!(added.code, 0, "{}", added.stderr);
        bench.start();
        for subject in subjects {
            servers.deliver("alice", &rich(subject));
        }
        bench.until("other", "everything", |list| list.len() == subjects.len());
        bench.sync_with("phone", &["--headers-only"]);
        Lab { servers, bench, imap, smtp }
    }

    /// A verb of the phone and the sync that takes it to the server; what came to the recipient.
    fn go(&self, verb: &str, subject: &str, more: &[&str]) -> Vec<u8> {
        let before = self.servers.sink.octets().len();
        self.hand_over(verb, subject, more);
        wait_for("mail at the sink", || self.servers.sink.octets().len() > before);
        self.servers.sink.octets().remove(before)
    }

    fn hand_over(&self, verb: &str, subject: &str, more: &[&str]) {
        let luid = self.bench.luid("phone", subject);
        let to: &[&str] = if verb == "forward" { &["--to", "far@away.example"] } else { &[] };
        self.bench.verb("phone", &[&[verb, &luid, "--without-download"], to, more].concat());
        self.imap.clear();
        self.smtp.clear();
        self.bench.sync_with("phone", &["--headers-only"]);
    }

    fn original(&self, subject: &str) -> String {
        self.bench.verb("other", &["show", &self.bench.luid("other", subject)]).stdout
    }

    /// The number of a part, for `--part`.
    fn part(&self, subject: &str, name: &str) -> String {
        let shown = self.bench.verb("other", &["show", "--json", &self.bench.luid("other", subject)]).stdout;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let part = shown["parts"].as_array().unwrap().iter().find(|part| part["name"] == name);
        part.unwrap_or_else(|| panic!("{shown}"))["number"].to_string()
    }

    /// Waits until the copy of a mail is in Sent at Dovecot, and the draft of it gone; gives the copy.
    fn settled(&self, message_id: &str) -> Vec<u8> {
        let mut alice = self.servers.imap("alice");
        let has = |mail: &Vec<u8>| field(mail, "Message-ID") == message_id;
        wait_for("the copy in Sent", || alice.octets("Sent").iter().any(has));
        wait_for("no draft", || alice.imap("SELECT Drafts").contains("* 0 EXISTS"));
        let mut copies: Vec<Vec<u8>> = alice.octets("Sent").into_iter().filter(has).collect();
        assert_eq!(copies.len(), 1, "one copy");
        copies.remove(0)
    }

    fn log(&self) -> String {
        self.bench.server.as_ref().unwrap().stderr()
    }
}

/// What arrived, without what the submission server put in front.
fn as_sent(arrived: &[u8]) -> &[u8] {
    let text = String::from_utf8_lossy(&arrived[..2_000.min(arrived.len())]).into_owned();
    let end =
        text.match_indices("\r\n").map(|(at, _)| at + 2).find(|at| !text[*at..].starts_with(['\t', ' ']));
    assert!(text.starts_with("Received: "), "{text}");
    &arrived[end.unwrap()..]
}

// mission: M6a, M6b, M6c
#[test]
fn forwarded_through_burl_nothing_of_the_attachment_goes_through_mailsyncd() {
    let lab = Lab::new(MailServers::start_submitting(), &["whole", "part", "asked"], "");
    let mut figures = Vec::new();
    let mut links = |what: &str| {
        let ((out, back), (smtp_out, smtp_in)) = (lab.imap.octets(), lab.smtp.octets());
        figures.push(format!("{what}: IMAP {out} out, {back} in; SMTP {smtp_out} out, {smtp_in} in"));
        for octets in [out, back, smtp_out, smtp_in] {
            assert!(octets < LITTLE, "{figures:#?}\n{}", lab.log());
        }
    };

    let whole = lab.original("whole");
    assert!(whole.len() > LARGE && whole.ends_with(&rich("whole")));
    let came = lab.go("forward", "whole", &["--text", "Please read: äöü"]);
    assert_eq!(field(&came, "Subject"), "Fwd: whole");
    let all = parts(&came);
    assert_eq!(all.len(), 2);
    assert!(body(&all[1]) == whole.as_bytes(), "octet for octet");
    assert_eq!((lab.smtp.count("BURL imap://alice@"), lab.smtp.count("DATA")), (1, 0), "{}", lab.log());
    // The copy in Sent is what went out, and was put together there as well.
    let copy = lab.settled(&field(&came, "Message-ID"));
    assert!(copy == as_sent(&came), "the copy in Sent is what came");
    assert_eq!(lab.imap.lines_with("CATENATE").len(), 2);
    links("whole");

    // One attachment and the text, which is in 8 bits.
    let theirs = parts(lab.original("part").as_bytes());
    let numbers = format!("{},1", lab.part("part", "p.png"));
    let came = lab.go("forward", "part", &["--part", &numbers]);
    assert!(parts(&came) == [theirs[1].clone(), theirs[0].clone()], "octet for octet");
    assert_eq!((lab.smtp.count("BURL"), lab.smtp.count("DATA")), (1, 0));
    assert_eq!(lab.smtp.lines_with(" BODY=8BITMIME").len(), 1);
    let said = lab.smtp.lines_with("MAIL FROM:<alice@lab.test> SIZE=");
    let size = format!("SIZE={} ", as_sent(&came).len());
    assert!(said.len() == 1 && said[0].contains(&size), "{said:?}, {size}");
    lab.settled(&field(&came, "Message-ID"));
    assert!(lab.imap.lines_with("SECTION=2.MIME").len() == 2, "{:?}", lab.imap.lines_with("URL"));
    links("in part");

    // An answer with the text of the mail quoted takes nothing from it that is worth it.
    let came = lab.go("reply", "asked", &["--text", "Yes."]);
    assert_eq!(field(&came, "In-Reply-To"), "<asked@far.example>");
    assert_eq!((lab.smtp.count("BURL"), lab.smtp.count("DATA")), (0, 1));
    // With a part of it, and a recipient whom the others do not see: he stays in the copy, and is not in what went.
    let (luid, part) = (lab.bench.luid("phone", "asked"), lab.part("asked", "p.png"));
    let draft = format!(
        "X-Sync-Forward: {luid} part/{part}\r\nFrom: alice@lab.test\r\nTo: far@away.example\r\n\
         Bcc: hidden@away.example\r\nMessage-ID: <blind@lab.test>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n"
    );
    std::fs::write(lab.bench.path("draft"), draft).unwrap();
    lab.bench.verb("phone", &["send", lab.bench.path("draft").to_str().unwrap()]);
    lab.imap.clear();
    lab.smtp.clear();
    lab.bench.sync_with("phone", &["--headers-only"]);
    wait_for("the mail", || lab.servers.sink.octets().len() == 4);
    let (came, envelope) = lab.servers.sink.mails().remove(3);
    assert!(envelope.contains("hidden@away.example") && !came.contains("hidden@"), "{envelope}");
    let copy = lab.settled(&field(came.as_bytes(), "Message-ID"));
    assert_eq!(field(&copy, "Bcc"), "hidden@away.example");
    let theirs = parts(lab.original("asked").as_bytes());
    assert!(parts(&copy) == [theirs[1].clone()] && parts(came.as_bytes()) == parts(&copy));
    assert_eq!((lab.smtp.count("BURL"), lab.smtp.count("DATA")), (1, 0));
    links("with a blind copy");

    // What a phone uploaded is compared with what is there: it goes no further either.
    let luid = lab.bench.luid("other", "part");
    lab.bench
        .verb("other", &["forward", &luid, "--to", "far@away.example", "--how", "upload", "--text", "See."]);
    lab.imap.clear();
    lab.smtp.clear();
    lab.bench.sync("other");
    wait_for("the mail", || lab.servers.sink.octets().len() == 5);
    let came = lab.servers.sink.octets().remove(4);
    assert!(body(&parts(&came)[1]) == lab.original("part").as_bytes(), "octet for octet");
    lab.settled(&field(&came, "Message-ID"));
    assert_eq!((lab.smtp.count("BURL"), lab.smtp.count("DATA")), (1, 0));
    links("after download");

    // Marked at Dovecot and on the other device, which gets each copy once, and no draft.
    let mut alice = lab.servers.imap("alice");
    wait_for("marks at Dovecot", || {
        let inbox = alice.marks("INBOX");
        ["whole", "part"].iter().all(|subject| inbox[*subject].contains("$Forwarded"))
    });
    let list = lab.bench.until("other", "all of it", |list| {
        list.len() == 8 && is(list, "whole", "forwarded", true) && is(list, "asked", "answered", true)
    });
    assert!(list.iter().all(|mail| mail["folder"] != "Drafts"), "{list:#?}");
    lab.bench.sync_with("phone", &["--headers-only"]);
    assert!(is(&lab.bench.list("phone"), "Fwd: whole", "folder", "Sent"));
    assert_eq!(lab.servers.sink.octets().len(), 5, "each of them once");
    figures.iter().for_each(|figure| eprintln!("{figure}"));
}

// mission: M6c
#[test]
fn parts_in_parts_and_a_mail_without_any_are_numbered_as_dovecot_does() {
    let lab = Lab::new(MailServers::start_submitting(), &["rich"], "");
    let head = |subject: &str| {
        format!(
            "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@far.example>\r\n"
        )
    };
    let text = |word: &str| format!("{word:=<70}\r\n").repeat(100);
    let inner = format!(
        "Subject: inside\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\n{}\r\n--i--\r\n",
        text("inside")
    );
    let nested = format!(
        "{}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_B\"\r\n\r\npreamble\r\n--=_B\r\n\r\nshort\r\n\
         --=_B\r\nContent-Type: multipart/alternative; boundary=\"=_A\"\r\n\r\n--=_A\r\n\r\n{}\r\n--=_A\r\n\
         Content-Type: text/html; name=h.html\r\n\r\n{}\r\n--=_A--\r\nepilogue\r\n--=_B\r\n\
         Content-Type: message/rfc822; name=m.eml\r\n\r\n{inner}\r\n--=_B\r\n\
         Content-Type: text/csv; name=l.csv\r\n\r\n{}\r\n--=_B--\r\n",
        head("nested"),
        text("plain"),
        text("html"),
        text("last"),
    );
    lab.servers.deliver("alice", &nested);
    lab.servers.deliver("alice", &format!("{}\r\n{}", head("single"), text("single")));
    lab.bench.until("other", "everything", |list| list.len() == 3);
    lab.bench.sync_with("phone", &["--headers-only"]);

    let numbers = ["h.html", "m.eml", "l.csv"].map(|name| lab.part("nested", name)).join(",");
    let came = lab.go("forward", "nested", &["--part", &numbers]);
    let all = parts(&came);
    assert_eq!(all.len(), 3);
    for (part, there) in all.iter().zip([text("html"), inner, text("last")]) {
        assert_eq!(body(part), there.as_bytes());
    }
    assert_eq!((lab.smtp.count("BURL"), lab.smtp.count("DATA")), (1, 0), "{}", lab.log());
    lab.settled(&field(&came, "Message-ID"));
    let sections = |lab: &Lab| -> Vec<String> {
        let lines = lab.imap.lines_with("URL \"/INBOX").join(" ");
        lines.split("SECTION=").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    // Once for the draft, once for the copy in Sent.
    let once = ["2.2.MIME", "2.2", "3.MIME", "3", "4.MIME", "4"];
    assert_eq!(sections(&lab), [once, once].concat());

    let came = lab.go("forward", "single", &["--part", "0", "--text", "See."]);
    assert_eq!(body(&parts(&came)[1]), text("single").as_bytes());
    assert_eq!((lab.smtp.count("BURL"), lab.smtp.count("DATA")), (1, 0), "{}", lab.log());
    lab.settled(&field(&came, "Message-ID"));
    assert_eq!(sections(&lab), ["1", "1"]);
}

/// Delivered once, whole, by its octets; the original is marked, nothing is left in Drafts.
fn fell_back(lab: &Lab, subject: &str, refusals: usize) {
    let came = lab.go("forward", subject, &[]);
    assert!(body(&parts(&came)[0]) == lab.original(subject).as_bytes(), "octet for octet");
    assert_eq!((lab.smtp.count("BURL"), lab.smtp.count("DATA")), (refusals, 1), "{}", lab.log());
    let copy = lab.settled(&field(&came, "Message-ID"));
    assert!(copy == as_sent(&came));
    let mut alice = lab.servers.imap("alice");
    wait_for("the mark", || alice.marks("INBOX")[subject].contains("$Forwarded"));
    lab.bench.until("other", "sent", |list| is(list, &format!("Fwd: {subject}"), "folder", "Sent"));
}

// mission: M6b
#[test]
fn a_refusal_on_the_way_and_the_octets_go_once() {
    let lab = Lab::new(MailServers::start_submitting(), &["url", "key", "section", "again"], "");
    // The submission server refuses a URL that was not authorized.
    lab.smtp.edit(|line| Some(line.replace(":internal:", ":internal:00")));
    fell_back(&lab, "url", 1);
    assert_eq!(lab.smtp.count("RSET"), 1);
    // The mail server does not authorize for somebody else.
    lab.imap.edit(|line| Some(line.replace("GENURLAUTH \"imap://alice@", "GENURLAUTH \"imap://bob@")));
    fell_back(&lab, "key", 0);
    assert_eq!(lab.imap.lines_with("GENURLAUTH").len(), 1);
    // It does not know what it is to put in; neither for Sent.
    lab.imap.edit(|line| Some(line.replace("URL \"/INBOX", "URL \"/OUTBOX")));
    fell_back(&lab, "section", 0);
    // What it puts together is another mail.
    lab.imap.edit(|line| Some(line.replace("URL \"/INBOX;UIDVALIDITY=", "URL \"/INBOX;X=")));
    fell_back(&lab, "again", 0);
    assert_eq!(lab.servers.sink.octets().len(), 4, "each of them once");
}

// mission: M6b; threats: M4
#[test]
fn what_was_put_together_is_checked_before_it_is_sent() {
    let lab = Lab::new(MailServers::start_submitting(), &["first", "other"], "");
    // Both are of one size: only their octets tell them apart.
    lab.imap.edit(|line| Some(line.replace("/;UID=1\"", "/;UID=2\"")));
    let before = lab.original("first");
    assert_eq!(before.len(), lab.original("other").len());
    fell_back(&lab, "first", 0);
    assert!(lab.imap.lines_with("CATENATE").len() == 2 && lab.log().contains("put something else together"));
}

// threats: S12
#[test]
fn threat_s12_an_unanswered_burl_goes_once_more_under_the_same_message_id() {
    let lab = Lab::new(MailServers::start_submitting(), &["lost"], "");
    // The answer to BURL is lost, the first time.
    lab.smtp.edit(|line| (!line.starts_with("BURL")).then(|| line.to_owned()));
    lab.hand_over("forward", "lost", &[]);
    wait_for("the first one", || lab.servers.sink.octets().len() == 1);
    lab.smtp.edit(|line| Some(line.to_owned()));
    wait_for("the second one", || lab.servers.sink.octets().len() == 2);
    let came = lab.servers.sink.octets();
    assert_eq!(field(&came[0], "Message-ID"), field(&came[1], "Message-ID"));
    assert_eq!((lab.smtp.count("BURL"), lab.smtp.count("DATA")), (2, 0), "{}", lab.log());
    let copy = lab.settled(&field(&came[0], "Message-ID"));
    assert!(copy == as_sent(&came[1]));
    lab.bench.until("other", "sent", |list| is(list, "Fwd: lost", "folder", "Sent"));
    assert_eq!(lab.servers.sink.octets().len(), 2, "at most one duplicate");
}

// mission: M6b
#[test]
fn what_a_killed_server_left_is_removed_by_the_next_try() {
    let mut lab = Lab::new(MailServers::start_submitting(), &["killed"], "");
    // It stands before BURL, until it is killed.
    lab.smtp.edit(|line| {
        if line.starts_with("MAIL") {
            std::thread::sleep(std::time::Duration::from_secs(8));
        }
        Some(line.to_owned())
    });
    lab.hand_over("forward", "killed", &[]);
    wait_for("MAIL", || lab.smtp.count("MAIL") == 1);
    let mut alice = lab.servers.imap("alice");
    let draft = alice.imap("SELECT Drafts");
    assert!(draft.contains("* 1 EXISTS"), "{draft}");
    lab.bench.server.take().unwrap().kill();
    lab.smtp.edit(|line| Some(line.to_owned()));
    lab.bench.start();
    wait_for("the mail", || lab.servers.sink.octets().len() == 1);
    let came = lab.servers.sink.octets().remove(0);
    assert!(body(&parts(&came)[0]) == lab.original("killed").as_bytes());
    lab.settled(&field(&came, "Message-ID"));
    let list = lab.bench.until("other", "sent", |list| is(list, "Fwd: killed", "folder", "Sent"));
    assert_eq!(list.len(), 2, "the draft is no mail of anybody's: {list:#?}");
    assert_eq!(lab.servers.sink.octets().len(), 1);
}

// mission: M6b
#[test]
fn without_capabilities_and_switched_off_all_octets_go() {
    // The submission server has BURL; IMAP has nothing.
    let lab = Lab::new(MailServers::start_poor_submitting(), &["poor"], "");
    fell_back(&lab, "poor", 0);
    assert_eq!(lab.imap.lines_with("CATENATE").len(), 0);
    drop(lab);
    // Both could; the operator does not want it.
    let lab = Lab::new(MailServers::start_submitting(), &["off"], "burl = false\n");
    fell_back(&lab, "off", 0);
    assert_eq!(lab.imap.lines_with("CATENATE").len(), 0);
}
