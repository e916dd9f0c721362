//! Tasks from client to client in mails and in short messages.

use crate::lab::{LIMIT, Lab, SECOND, Terminal};
use crate::peers::{Centre, MailServers, wait_for};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Instant;

/// The secrets: ana's of ben and carl, ben's and carl's of ana.
fn keys(lab: &Lab) -> [PathBuf; 3] {
    let anas = "ben secret-of-ben-and-ana\ncarl secret-of-carl-and-ana\n";
    let texts = [anas, "ana secret-of-ben-and-ana\n", "ana secret-of-carl-and-ana\n"];
    let paths = ["anas-keys", "bens-keys", "carls-keys"].map(|name| lab.path(name));
    paths.iter().zip(texts).for_each(|(path, text)| std::fs::write(path, text).unwrap());
    paths
}

/// A task of a device, when it is in this state there.
fn stands(lab: &Lab, user: &str, device: &str, uid: &str, state: &str) -> Value {
    lab.until(user, device, uid, |task| task["state"] == state)
}

fn said(terminal: &Terminal, event: &str, uid: &str) -> Value {
    terminal.until(event, |line| line["event"] == event && line["uid"] == uid)
}

/// Entries with this id in the calendar of a device.
fn entries(lab: &Lab, device: &str, uid: &str) -> usize {
    let files = std::fs::read_dir(lab.path(device).join("calendar")).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.filter(|text| text.contains(uid)).count()
}

// mission: T4, T5
#[test]
fn t4_by_mail_through_postfix_and_dovecot_taken_refused_changed_and_taken_back() {
    let servers = MailServers::start().with_postfix();
    let mail = format!(
        "[mail]\nca = \"{}\"\npoll_seconds = 1\nretry_seconds = 1\naccount_servers = [\"127.0.0.1\"]\n",
        servers.ca()
    );
    let mut lab = Lab::before("domain = \"lab.test\"", &mail, &["ana", "ben", "carl"]);
    lab.kill();
    for (user, name) in [("ana", "alice"), ("ben", "bob"), ("carl", "carol")] {
        lab.account(&servers, user, name);
    }
    lab.start();
    let keys = keys(&lab);
    let keys = keys.each_ref().map(|path| path.to_str().unwrap());
    let door = |keys| ["--store", "mail", "--direct-keys", keys];
    let (desk, phone) = (lab.watch("ana", "desk", &door(keys[0])), lab.watch("ana", "phone", &door(keys[0])));
    lab.befriend("ana", "desk", &["ben"]);
    let deadline = Instant::now() + LIMIT;
    while !lab.done("ana", "phone", &["group", "list"]).to_string().contains("friends") {
        assert!(Instant::now() < deadline, "{}", lab.log());
        lab.sync("ana", "phone", &["--store", "groups:application/vnd.mailsync.group+xml"]);
        std::thread::sleep(SECOND);
    }
    let bens = lab.watch("ben", "bens", &door(keys[1]));
    let carls = lab.watch("carl", "carls", &door(keys[2]));
    let ask = |user: &str, device: &str, more: &[&str]| {
        let from = if user == "ben" { "bob@lab.test" } else { "carol@lab.test" };
        let args = ["--in", "1h", "--for", "ana", "--by", "mail", "--to", "alice@lab.test", "--from", from];
        let uid = lab.add(user, device, &[&args[..], more].concat());
        assert_eq!(lab.sync(user, device, &["--store", "mail"]).code, 0);
        uid
    };

    // A friend's, with a sound: both terminals take it, the calendar has it once, and one answer comes.
    let ring = lab.path("ring.wav");
    std::fs::write(&ring, [7; 50_000]).unwrap();
    let sound = ["Dinner, Ana", "--sound", ring.to_str().unwrap(), "--direct-keys", keys[1]];
    let uid = ask("ben", "bens", &sound);
    for (device, terminal) in [("desk", &desk), ("phone", &phone)] {
        let taken = said(terminal, "task taken", &uid);
        assert_eq!(
            (&taken["by"], &taken["with"], &taken["from"]),
            (&"mail".into(), &"bob@lab.test".into(), &"ben".into())
        );
        let held = stands(&lab, "ana", device, &uid, "waits");
        assert_eq!((&held["from"], &held["summary"]), (&"ben".into(), &"Dinner, Ana".into()));
    }
    assert_eq!(said(&bens, "task answered", &uid)["state"], "waits");
    stands(&lab, "ben", "bens", &uid, "waits");
    // Any calendar program knows what it is.
    let mut alice = servers.imap("alice");
    alice.imap("SELECT INBOX");
    let raw = alice.imap("FETCH 1 BODY[]");
    assert!(raw.contains("Content-Type: text/calendar; method=REQUEST; charset=utf-8"), "{raw}");
    assert!(raw.contains("From: bob@lab.test") && raw.contains("multipart/alternative"), "{raw}");

    // Who is in no group is refused by the terminal, with an answer.
    let refused = ask("carl", "carls", &["Open me", "--direct-keys", keys[2]]);
    let why = "refused: sender is in none of the owner's groups";
    assert_eq!(said(&carls, "task answered", &refused)["state"], why);
    stands(&lab, "carl", "carls", &refused, why);
    assert_eq!(entries(&lab, "desk", &refused) + entries(&lab, "phone", &refused), 0);

    // Who proves nothing waits for a person, who takes one and refuses the other.
    let strange = ["Yes, please", "No, thanks"].map(|words| ask("ben", "bens", &[words]));
    for uid in &strange {
        let waits = stands(&lab, "ana", "desk", uid, "asks");
        assert_eq!((&waits["by"], &waits["with"]), (&"mail".into(), &"bob@lab.test".into()), "{waits}");
        assert_eq!(entries(&lab, "desk", uid), 0);
    }
    lab.done("ana", "desk", &["task", "accept", &strange[0]]);
    lab.done("ana", "desk", &["task", "refuse", &strange[1], "--why", "busy"]);
    let kept = stands(&lab, "ana", "desk", &strange[0], "waits");
    assert_eq!((&kept["from"], &kept["text"]), (&"ana".into(), &"From bob@lab.test".into()), "{kept}");
    assert_eq!(lab.listed("ana", "desk", &strange[1]), None);
    lab.sync("ana", "desk", &["--store", "mail"]);
    stands(&lab, "ben", "bens", &strange[0], "waits (not proved)");
    stands(&lab, "ben", "bens", &strange[1], "refused: busy (not proved)");
    assert_eq!(lab.verb("ana", "desk", &["task", "accept", &strange[1]]).code, 1, "it is over");

    // Taken back.
    lab.done("ben", "bens", &["task", "cancel", &uid, "--direct-keys", keys[1]]);
    assert_eq!(lab.sync("ben", "bens", &["--store", "mail"]).code, 0);
    wait_for("it to be gone", || entries(&lab, "desk", &uid) + entries(&lab, "phone", &uid) == 0);
    wait_for("nobody to wait for it", || lab.listed("ana", "phone", &uid).is_none());
    assert_eq!(lab.listed("ben", "bens", &uid), None);
    // One answer each went out, though there are two terminals.
    let marks = servers.imap("bob").marks("INBOX");
    assert_eq!(marks.keys().filter(|subject| subject.contains("Dinner")).count(), 1, "{marks:?}");
    assert!(servers.imap("bob").imap("SELECT INBOX").contains("* 3 EXISTS"), "{marks:?}");
}

// mission: T4, T5
#[test]
fn t4_by_short_message_through_a_centre_taken_refused_and_asked() {
    let centre = Centre::start(&[("FORWARD", "1"), ("PHONES", "anas=49111,bens=49222,carls=49333")]);
    let lab = Lab::new("", &["ana", "ben", "carl"]);
    let keys = keys(&lab);
    let keys = keys.each_ref().map(|path| path.to_str().unwrap());
    let at = format!("smpp:{}", centre.address);
    let phone = |user, account, number, keys| {
        let args =
            ["--listen", &at, "--listen", "udp:127.0.0.1:0", "--sms-account", account, "--number", number];
        lab.watch(user, account, &[&args[..], &["--direct-keys", keys]].concat())
    };
    let anas = phone("ana", "anas", "+49111", keys[0]);
    lab.befriend("ana", "anas", &["ben"]);
    let desk = lab.watch("ana", "desk", &[]);
    let bens = phone("ben", "bens", "+49222", keys[1]);
    let carls = phone("carl", "carls", "+49333", keys[2]);
    let ask = |user: &str, account: &str, number: &str, more: &[&str]| {
        let args = ["--in", "1h", "--for", "ana", "--by", "sms", "--to", "+49111", "--from", number];
        let link = ["--sms-server", &centre.address, "--sms-account", account];
        lab.verb(user, account, &[&["task", "add"], more, &args[..], &link[..]].concat())
    };
    let asked = |user: &str, account: &str, number: &str, more: &[&str]| {
        let done = ask(user, account, number, more);
        assert_eq!(done.code, 0, "{done:?}");
        let said: Value = serde_json::from_str(&done.stdout).unwrap();
        said["uid"].as_str().unwrap().to_owned()
    };

    let uid = asked("ben", "bens", "+49222", &["Ring Ben \u{fc}ber", "--direct-keys", keys[1]]);
    let taken = said(&anas, "task taken", &uid);
    assert_eq!((&taken["by"], &taken["with"]), (&"sms".into(), &"+49222".into()), "{taken}");
    assert_eq!(said(&bens, "task answered", &uid)["state"], "waits");
    stands(&lab, "ben", "bens", &uid, "waits");
    // It is uploaded, and the other terminal has it.
    let held = stands(&lab, "ana", "desk", &uid, "waits");
    assert_eq!((&held["from"], &held["summary"]), (&"ben".into(), &"Ring Ben \u{fc}ber".into()));
    // To the port of calendar entries, in several parts.
    let parts: Vec<Value> = std::iter::from_fn(|| centre.poll("submit", SECOND)).collect();
    let first = parts.iter().filter(|part| part["to"] == "49111").count();
    assert!((3..=10).contains(&first), "{first} parts");
    assert!(parts.iter().all(|part| part["udh"].as_str().unwrap().contains("23f523f5")), "{parts:?}");

    let refused = asked("carl", "carls", "+49333", &["Open me", "--direct-keys", keys[2]]);
    let why = "refused: sender is in none of the owner's groups";
    assert_eq!(said(&carls, "task answered", &refused)["state"], why);

    let strange = asked("ben", "bens", "+49222", &["By any phone"]);
    said(&anas, "task asked", &strange);
    assert_eq!(stands(&lab, "ana", "anas", &strange, "asks")["with"], "+49222");
    lab.done("ana", "anas", &["task", "accept", &strange]);
    assert_eq!(said(&bens, "task answered", &strange)["state"], "waits (not proved)");

    // What does not fit says so, and goes nowhere.
    let long = "x".repeat(1_300);
    let refused = ask("ben", "bens", "+49222", &["Long", "--text", &long, "--direct-keys", keys[1]]);
    assert!(refused.code == 1 && refused.stderr.contains("short messages carry 1280"), "{refused:?}");
    drop(desk);
}

// mission: T4, T7
#[test]
fn threat_tasks_mails_and_short_messages_that_lie_about_their_sender() {
    let centre = Centre::start(&[("FORWARD", "1"), ("PHONES", "anas=49111")]);
    let lab = Lab::new("", &["ana", "ben"]);
    let keys = keys(&lab);
    let at = format!("smpp:{}", centre.address);
    let args =
        ["--listen", &at, "--sms-account", "anas", "--number", "+49111", "--store", "mail", "--direct-keys"];
    let anas = lab.watch("ana", "anas", &[&args[..], &[keys[0].to_str().unwrap()]].concat());
    lab.befriend("ana", "anas", &["ben"]);
    let entry = |uid: &str, more: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:20991224T180000Z\r\n\
             SUMMARY:Forged\r\nX-TIMESYNC-OWNER:ana\r\nX-TIMESYNC-SETTER:ben\r\nX-TIMESYNC-SETTER-CLIENT:bens\r\n{more}\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let send = |octets: &[u8]| {
        // One part at a time: header with ports 9205, concatenated.
        let parts: Vec<&[u8]> = octets.chunks(128).collect();
        for (n, part) in parts.iter().enumerate() {
            let header = [11, 5, 4, 0x23, 0xF5, 0x23, 0xF5, 0, 3, 9, parts.len() as u8, n as u8 + 1];
            centre.deliver(&serde_json::json!({
                "source_addr": "49222", "destination_addr": "49111", "esm_class": 64, "data_coding": 4,
                "hex": hex(&[&header[..], *part].concat()),
            }));
        }
    };
    // In ben's name from ben's number, with a proof that is none: a person must take it; nothing is set.
    send(format!("{}X-MAILSYNC-PROOF:{}\r\n", entry("f1", ""), "0".repeat(64)).as_bytes());
    said(&anas, "task asked", "f1");
    assert_eq!(entries(&lab, "anas", "f1"), 0);
    // What nobody can read.
    for bad in [&b"BEGIN:VCALENDAR\r\n"[..], b"\xff\xfe", &[b'x'; 1_281]] {
        send(bad);
        anas.until("a refusal", |line| line["event"] == "task refused" && line["by"] == "sms");
    }
    // A mail in ben's name, with somebody else's answer in it, and one that takes back what ben never set.
    lab.done("ana", "anas", &["task", "add", "Mine", "--in", "2h"]);
    let mine = lab.done("ana", "anas", &["task", "list"]);
    let mine = mine.as_array().unwrap().iter().find(|task| task["summary"] == "Mine").unwrap()["uid"].clone();
    let cancel = entry(mine.as_str().unwrap(), "").replace("REQUEST", "CANCEL");
    let reply = entry("f1", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:x@y.example\r\n").replace("REQUEST", "REPLY");
    for (n, calendar) in
        [cancel, reply, entry("f2", "ATTACH;FMTTYPE=image/png:http://evil.example/x\r\n")].iter().enumerate()
    {
        let mail = format!(
            "From: ben@lab.test\r\nTo: ana@lab.test\r\nSubject: x\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n{calendar}"
        );
        let place = lab.path("anas").join("new").join(format!("forged{n}"));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, mail).unwrap();
    }
    lab.done("ana", "anas", &["task", "add", "So that it syncs", "--in", "2h"]);
    said(&anas, "task asked", "f2");
    assert_eq!(entries(&lab, "anas", mine.as_str().unwrap()), 1, "it is still there");
    assert_eq!(entries(&lab, "anas", "f2"), 0);
    lab.done("ana", "anas", &["task", "accept", "f2"]);
    let taken = stands(&lab, "ana", "anas", "f2", "waits");
    assert_eq!((&taken["from"], &taken["text"]), (&"ana".into(), &"From ben@lab.test".into()));
    let files = std::fs::read_dir(lab.path("anas").join("calendar")).unwrap().flatten();
    let texts: String = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
    assert!(!texts.contains("evil.example"), "{texts}");
}
