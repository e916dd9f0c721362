//! Mailboxes on real mail servers, through the binaries: Dovecot and Postfix behind `mailsyncd`, `mailsync` before it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Bench, MailServers, Process, is, lacks, mail, run, swaks, wait_for};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

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
    let uid =
        alice.imap("SEARCH SUBJECT five").lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    alice.imap(&format!("MOVE {uid} Projects"));
    alice.imap("SELECT Projects");
    let uid =
        alice.imap("SEARCH SUBJECT filed").lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
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
    assert_eq!(list[0]["send"]["outcome"], "Sent", "{list:#?}");
    wait_for("mail at the sink and at bob", || {
        servers.sink.mails().len() == 1 && servers.imap("bob").marks("INBOX").contains_key("out")
    });
    let (message, envelope) = servers.sink.mails().remove(0);
    assert!(message.contains("\r\n\r\n.dots\r\n..\r\n"), "{message}");
    assert!(!message.contains("Bcc") && !message.contains("hidden"), "{message}");
    assert!(envelope.contains("hidden@away.example") && envelope.contains("far@away.example"), "{envelope}");
    assert!(envelope.contains("\"from\": \"alice@lab.test\""), "{envelope}");
    let mut alice = servers.imap("alice");
    wait_for("the copy in Sent", || {
        alice.marks("Sent").get("out").is_some_and(|marks| marks.contains("\\Seen"))
    });
    // Nothing is added a second time.
    std::thread::sleep(3 * SECOND);
    bench.sync("phone");
    assert_eq!(bench.list("phone").len(), 1, "{:#?}", bench.list("phone"));
    assert!(alice.imap("SELECT Sent").contains("* 1 EXISTS"));
}

// mission: M1, M12
#[test]
fn postfix_delivers_to_us_by_lmtp_and_hears_of_each_recipient() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let add = ["user", "add", "bob", "--address", "bob@lab.test", "--address", "alice@lab.test"];
    assert_eq!(bench.daemon(&add, "").code, 0);
    let ready = bench.start_with(&["--lmtp", "127.0.0.1:0"]);
    let servers = servers.with_postfix_before(&ready["lmtp"]);
    let login = ["--tls", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "lab-alice"];
    let mail =
        ["--from", "alice@lab.test", "--to", "bob@lab.test,carol@lab.test", "--header", "Subject: round"];
    let sent = swaks(&servers.address("smtp"), &[&login[..], &mail].concat());
    assert_eq!(sent.code, 0, "{}", sent.stdout);
    let dir = bench.path("bob");
    let listed = || {
        let args = ["sync", "--server", &bench.url, "--user", "bob", "--dir", dir.to_str().unwrap()];
        let done = bench.mailsync(&args);
        assert_eq!(done.code, 0, "{}", done.stderr);
        bench.list("bob")
    };
    wait_for("the mail and the bounce", || listed().len() == 2);
    let texts: Vec<String> = listed()
        .iter()
        .map(|mail| bench.verb("bob", &["show", mail["luid"].as_str().unwrap()]).stdout)
        .collect();
    let text = |subject: &str| texts.iter().find(|text| text.contains(subject)).unwrap();
    let mail = text("Delivered-To: bob@lab.test");
    assert!(mail.contains(" with LMTP id ") && mail.contains("for <bob@lab.test>"), "{mail}");
    // Carol's own answer came back to Postfix, which tells the sender, whose mailbox is bob's.
    let bounce = text("Undelivered Mail");
    assert!(bounce.contains("<carol@lab.test>") && bounce.contains("No such user here"), "{bounce}");
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
        (
            "alice",
            "lab-alice",
            vec!["--imap", &imaps, "--smtp", &servers.sink.address, "--smtp-tls", "starttls"],
            "STARTTLS",
        ),
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
    for tls in [
        vec!["--imap", &imaps],
        vec!["--imap", &imap, "--imap-tls", "starttls"],
        vec!["--imap", &imap, "--imap-tls", "none"],
    ] {
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

// mission: M1
#[test]
fn what_the_mail_server_says_comes_back_in_its_own_words() {
    let servers = MailServers::start();
    let bench = Bench::sending(&servers);
    letter(&bench, "reject1@away.example", "refused");
    letter(&bench, "fine@away.example, reject2@away.example", "half");
    letter(&bench, "full@away.example", "full");
    letter(&bench, "defer@away.example", "deferred");
    let list = bench.until("phone", "outcomes", |list| {
        let outcome = |subject: &str, outcome: &str| {
            list.iter().any(|mail| mail["subject"] == subject && mail["send"]["outcome"] == outcome)
        };
        outcome("refused", "Failed")
            && outcome("half", "Partly")
            && outcome("full", "Failed")
            && words(list, "deferred").contains("451 4.2.0 greylisted")
    });
    assert!(words(&list, "refused").contains("550 5.1.1 no such user"), "{list:#?}");
    assert!(words(&list, "half").contains("reject2@away.example: 550 5.1.1"), "{list:#?}");
    assert!(words(&list, "full").contains("552 5.2.2 mailbox full"), "{list:#?}");
    assert!(is(&list, "refused", "folder", "Outbox") && is(&list, "half", "folder", "Sent"));
    assert_eq!(servers.sink.mails().len(), 1, "half of it, once");
    // A bounce for each of the three, here and at Dovecot.
    let bounces = |list: &[Value]| list.iter().filter(|mail| mail["folder"] == "Inbox").count();
    assert_eq!(bounces(&list), 3, "{list:#?}");
    let mut alice = servers.imap("alice");
    wait_for("bounces at Dovecot", || alice.imap("STATUS INBOX (MESSAGES)").contains("MESSAGES 3"));
    // It is tried again, and can be given up.
    let queue = bench.daemon(&["queue", "list"], "").stdout;
    let line = queue.lines().find(|line| line.starts_with("send\t")).unwrap_or_else(|| panic!("{queue}"));
    assert!(line.contains("greylisted"), "{queue}");
}

// mission: M1
#[test]
fn threat_s12_no_answer_after_data_is_at_most_one_duplicate_and_said() {
    let servers = MailServers::start();
    let bench = Bench::sending(&servers);
    letter(&bench, "dup@away.example", "doubtful");
    let list =
        bench.until("phone", "the end", |list| words(list, "doubtful").contains("never answered, for"));
    assert!(list.iter().any(|mail| mail["send"]["outcome"] == "Unknown"), "{list:#?}");
    std::thread::sleep(4 * SECOND);
    bench.sync("phone");
    let mails = servers.sink.mails();
    assert_eq!(mails.len(), 2, "handed over twice at most");
    let id = |message: &str| message.lines().find(|line| line.starts_with("Message-ID:")).unwrap().to_owned();
    assert_eq!(id(&mails[0].0), id(&mails[1].0));
    assert!(!bench.daemon(&["queue", "list"], "").stdout.contains("send\t"), "no third time");
}

#[test]
fn threat_s11_new_ids_for_everything_delete_nothing() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    for number in 0..30 {
        servers.deliver("alice", &mail(&format!("mail {number}")));
    }
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    let before = bench.until("phone", "everything", |list| list.len() == 30);
    servers.doveadm(&["mailbox", "update", "--uid-validity", "77", "-u", "alice", "INBOX"]);
    bench.verb("phone", &["flag", &bench.luid("phone", "mail 7"), "+flagged"]);
    let mut alice = servers.imap("alice");
    alice.imap("SELECT INBOX");
    alice.imap("STORE 3 +FLAGS (\\Seen)");
    servers.deliver("alice", &mail("new"));
    let after = bench.until("phone", "what is new", |list| {
        !lacks(list, "new") && list.iter().filter(|mail| mail["read"] == true).count() == 1
    });
    assert_eq!(after.len(), 31);
    for mail in &before {
        let same = after.iter().find(|other| other["subject"] == mail["subject"]).unwrap();
        assert_eq!(same["luid"], mail["luid"], "the same mail");
    }
    wait_for("the phone's mark", || alice.marks("INBOX")["mail 7"].contains("\\Flagged"));
}

// mission: M12
#[test]
fn a_mail_server_that_is_away_is_waited_for() {
    let mut servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("before"));
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    bench.until("phone", "the first", |list| !lacks(list, "before"));
    servers.stop();
    bench.verb("phone", &["flag", &bench.luid("phone", "before"), "+flagged"]);
    bench.sync("phone");
    wait_for("the trouble to be said", || {
        !bench.daemon(&["account", "list"], "").stdout.trim_end().ends_with("ok")
    });
    servers.restart();
    servers.deliver("alice", &mail("after"));
    bench.until("phone", "the second", |list| !lacks(list, "after"));
    let mut alice = servers.imap("alice");
    wait_for("the mark made meanwhile", || alice.marks("INBOX")["before"].contains("\\Flagged"));
    assert!(is(&bench.list("phone"), "before", "flagged", true), "not undone by the older state there");
}

// mission: M8d
#[test]
fn two_accounts_of_one_user_stay_apart() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("for alice"));
    servers.deliver("bob", &mail("for bob"));
    let sink = &servers.sink.address;
    for name in ["alice", "bob"] {
        let added = bench.account(&servers, name, &["--smtp", sink, "--smtp-tls", "none"]);
        assert_eq!(added.code, 0, "{}", added.stderr);
    }
    bench.start();
    let list = bench.until("phone", "both", |list| !lacks(list, "for alice") && !lacks(list, "for bob"));
    assert!(is(&list, "for alice", "folder", "Inbox"), "{list:#?}");
    let folder = list.iter().find(|mail| mail["subject"] == "for bob").unwrap()["folder"].clone();
    assert_ne!(folder, "Inbox", "below a folder of its own");
    bench.verb("phone", &["flag", &bench.luid("phone", "for bob"), "+flagged"]);
    bench.sync("phone");
    let mut bob = servers.imap("bob");
    wait_for("the mark at bob's", || bob.marks("INBOX")["for bob"].contains("\\Flagged"));
    // The address that a mail comes from says which account it goes through.
    let file = bench.path("letter.eml");
    std::fs::write(&file, "From: bob@lab.test\r\nTo: x@away.example\r\nSubject: as bob\r\n\r\n").unwrap();
    bench.verb("phone", &["send", file.to_str().unwrap()]);
    bench.sync("phone");
    wait_for("mail at the sink", || servers.sink.mails().len() == 1);
    assert!(servers.sink.mails()[0].1.contains("\"from\": \"bob@lab.test\""));
}

// mission: M8a, M8b
#[test]
fn a_phone_registers_its_account_and_is_told_yes_or_no() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("hello"));
    let record = bench.path("record");
    let args = ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--record", record.to_str().unwrap()];
    let server = Process::start(&mut bench.command(&args));
    bench.url = server.wait_ready()["syncml"].clone();
    bench.server = Some(server);
    let (url, dir) = (bench.url.clone(), bench.path("phone"));
    let there = ["--server", &url, "--user", "ann", "--dir", dir.to_str().unwrap()];
    let account = |verb: &str, password: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["account", verb]).args(there).args(more);
        command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_ACCOUNT_PASSWORD", password);
        run(&mut command, 90 * SECOND)
    };
    let (imaps, sink) = (servers.address("imaps"), servers.sink.address.clone());
    let settings = ["work", "--address", "alice@lab.test", "--login", "alice", "--imap", &imaps];
    let no = account("add", "wrong-secret", &settings);
    assert!(no.code == 1 && no.stderr.contains("does not let the account in"), "{no:?}");
    let no =
        account("add", "lab-alice", &[&settings[..5], &["--imap", "mail.elsewhere.example:993"]].concat());
    assert!(no.code == 1 && no.stderr.contains("may not be used"), "{no:?}");
    let no = account("add", "lab-alice", &[&settings[..5], &["--imap", "127.0.0.1:1"]].concat());
    assert!(no.code == 1 && no.stderr.contains("cannot be reached"), "{no:?}");
    assert_eq!(bench.daemon(&["account", "list"], "").stdout, "", "nothing is stored without a yes");
    let yes =
        account("add", "lab-alice", &[&settings[..], &["--smtp", &sink, "--smtp-tls", "none"]].concat());
    assert_eq!(yes.code, 0, "{yes:?}");
    bench.until("phone", "mail of the account", |list| !lacks(list, "hello"));
    let yes = account("login", "", &["work"]);
    assert_eq!(yes.code, 0, "{yes:?}");
    // Another device of the user sees the account and not its secret.
    let other = bench.path("other");
    let args = ["sync", "--server", &url, "--user", "ann", "--dir", other.to_str().unwrap()];
    let stores = ["--store", "accounts:application/vnd.mailsync.account+xml"];
    assert_eq!(bench.mailsync(&[&args[..], &stores].concat()).code, 0);
    let seen: Vec<_> =
        std::fs::read_dir(other.join("accounts")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(seen.len(), 1);
    let seen = std::fs::read_to_string(&seen[0]).unwrap();
    assert!(seen.contains("<Address>alice@lab.test</Address>") && !seen.contains("Secret"), "{seen}");
    // The secret is neither in the database nor in what was recorded nor in the log.
    let mut files = vec![bench.path("data"), record.clone()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let octets = std::fs::read(&path).unwrap();
        for secret in ["lab-alice", "wrong-secret"] {
            assert!(!octets.windows(secret.len()).any(|w| w == secret.as_bytes()), "{}", path.display());
        }
    }
    assert!(!bench.server.as_ref().unwrap().stderr().contains("lab-alice"));
    let gone = account("remove", "", &["work"]);
    assert_eq!(gone.code, 0, "{gone:?}");
    wait_for("the account to go", || bench.daemon(&["account", "list"], "").stdout.is_empty());
    // A mail password does not go over a network in the clear.
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    command.args(["account", "add", "--server", "http://far.example/syncml", "--user", "ann", "--dir"]);
    command.arg(&dir).args(settings).env("MAILSYNC_PASSWORD", "x").env("MAILSYNC_ACCOUNT_PASSWORD", "x");
    let no = run(&mut command, 10 * SECOND);
    assert!(no.code == 1 && no.stderr.contains("without TLS"), "{no:?}");
}

/// A mail of a text and two attachments.
fn with_attachments(subject: &str) -> String {
    let picture = "iVBORw0KGgo=\r\n".repeat(400);
    format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@far.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_B\"\r\n\r\n--=_B\r\nContent-Type: text/plain\r\n\r\n\
         The text.\r\n--=_B\r\nContent-Type: image/png; name=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"p.png\"\r\n\r\n{picture}--=_B\r\nContent-Type: application/pdf\r\n\
         Content-Disposition: attachment; filename=\"r.pdf\"\r\n\r\n%PDF-1.4 xyz\r\n--=_B--\r\n"
    )
}

// mission: M2a-f, M9
#[test]
fn mail_in_part_and_the_rest_later_by_commands_alone() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let whole = with_attachments("rich");
    servers.deliver("alice", &whole);
    let mut old = servers.imap("alice");
    let text = mail("old");
    old.imap(&format!("APPEND INBOX () \"01-Jan-2020 00:00:00 +0000\" {{{}+}}\r\n{text}", text.len()));
    assert_eq!(bench.account(&servers, "alice", &[]).code, 0);
    bench.start();
    bench.until("other", "everything", |list| list.len() == 2);
    let stored = bench.verb("other", &["show", &bench.luid("other", "rich")]).stdout;
    assert!(stored.ends_with(&whole), "octet for octet below what delivery adds");
    let shown = |phone: &str| bench.verb(phone, &["show", &bench.luid(phone, "rich")]).stdout;
    for (phone, parameters, there, not_there) in [
        ("headers", &["--headers-only"][..], &["Subject: rich"][..], &["The text", "iVBOR", "%PDF"][..]),
        ("text", &["--no-attachments"], &["The text", "p.png"], &["iVBOR", "%PDF"]),
        ("types", &["--types", "application/pdf"], &["The text", "%PDF"], &["iVBOR"]),
        ("size", &["--max-size", "3000"], &["The text", "%PDF"], &["iVBOR"]),
    ] {
        bench.sync_with(phone, &[parameters, &["--since", "2026-01-01"]].concat());
        let list = bench.list(phone);
        assert!(lacks(&list, "old"), "before the window: {list:#?}");
        let got = shown(phone);
        assert!(there.iter().all(|part| got.contains(part)), "{phone}: {got}");
        assert!(not_there.iter().all(|part| !got.contains(part)), "{phone}: {got}");
        let left = &bench.mail(phone, "rich").unwrap()["left"];
        assert_eq!(left["size"], stored.len(), "{left}");
        let named: Vec<&str> = left["attachments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["name"].as_str().unwrap())
            .collect();
        let expected: &[&str] = if not_there.contains(&"%PDF") { &["p.png", "r.pdf"] } else { &["p.png"] };
        assert_eq!(named, expected, "{phone}");
        // The same again brings nothing, and marks go both ways all the same.
        bench.verb(phone, &["flag", &bench.luid(phone, "rich"), "+flagged"]);
        bench.sync_with(phone, &[parameters, &["--since", "2026-01-01"]].concat());
        assert_eq!(shown(phone), got);
    }
    assert!(is(
        &bench.until("other", "the mark", |list| is(list, "rich", "flagged", true)),
        "rich",
        "flagged",
        true
    ));
    // One attachment, then all of it.
    let number = bench.mail("text", "rich").unwrap()["left"]["attachments"][1]["number"].to_string();
    let luid = bench.luid("text", "rich");
    let there = ["--server", &bench.url, "--user", "ann"];
    bench.verb("text", &[&["fetch"], &there[..], &[&luid, "--part", &number]].concat());
    assert!(shown("text").contains("%PDF") && !shown("text").contains("iVBOR"));
    for phone in ["headers", "text"] {
        let luid = bench.luid(phone, "rich");
        bench.verb(phone, &[&["fetch"], &there[..], &[&luid]].concat());
        assert_eq!(shown(phone), stored, "{phone}");
        assert_eq!(bench.mail(phone, "rich").unwrap()["left"], Value::Null, "{phone}");
    }
    // What was fetched stays, and so does what was not.
    bench.sync_with("headers", &["--headers-only", "--since", "2026-01-01"]);
    assert_eq!(shown("headers"), stored);
    // A slow sync of a phone that has a part makes no second mail.
    bench.sync_with("size", &["--max-size", "3000", "--since", "2026-01-01", "--mode", "slow"]);
    assert_eq!(bench.list("size").len(), 1);
    bench.sync("other");
    assert_eq!(bench.list("other").len(), 2);
    assert_eq!(bench.verb("other", &["show", &bench.luid("other", "rich")]).stdout, stored, "still whole");
}

// mission: M1
#[test]
fn a_server_that_keeps_what_is_sent_gets_no_second_copy() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let sink = &servers.sink.address;
    let more = ["--smtp", sink, "--smtp-tls", "none", "--server-keeps-sent"];
    assert_eq!(bench.account(&servers, "alice", &more).code, 0);
    bench.start();
    bench.sync("phone");
    letter(&bench, "far@away.example", "kept");
    bench.until("phone", "sent", |list| is(list, "kept", "folder", "Sent"));
    let luid = bench.luid("phone", "kept");
    let (sent, _) = servers.sink.mails().remove(0);
    let mut alice = servers.imap("alice");
    std::thread::sleep(3 * SECOND);
    assert!(alice.marks("Sent").is_empty(), "none is added");
    alice.append("Sent", "\\Seen \\Flagged", &sent);
    bench.until("phone", "the server's copy", |list| is(list, "kept", "flagged", true));
    assert_eq!(bench.list("phone").len(), 1, "{:#?}", bench.list("phone"));
    assert_eq!(bench.luid("phone", "kept"), luid, "the same mail");
}
