//! Accounts that a sync is for, and accounts that only their device keeps, through the binaries before Dovecot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Bench, Finished, MailServers, is, lacks, mail, run, wait_for};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// `mailsync account VERB` of a phone.
fn account(bench: &Bench, phone: &str, verb: &str, password: &str, more: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    command.args(["account", verb, "--server", &bench.url, "--user", "ann", "--dir"]);
    command.arg(bench.path(phone)).args(more);
    command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_ACCOUNT_PASSWORD", password);
    run(&mut command, 90 * SECOND)
}

fn sync(bench: &Bench, phone: &str, more: &[&str]) -> Finished {
    let dir = bench.path(phone);
    let args = ["sync", "--server", &bench.url, "--user", "ann", "--dir", dir.to_str().unwrap()];
    bench.mailsync(&[&args[..], more].concat())
}

/// Whether any file of a folder holds a text.
fn holds(dir: &Path, text: &str) -> bool {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, text),
        false => {
            let octets = std::fs::read(&path).unwrap_or_default();
            octets.windows(text.len()).any(|window| window == text.as_bytes())
        }
    })
}

// mission: M8c
#[test]
fn an_account_of_one_session_is_checked_each_time_and_stored_nowhere() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("before"));
    bench.start();
    let (imaps, sink) = (servers.address("imaps"), servers.sink.address.clone());
    let settings =
        ["work", "--per-session", "--address", "alice@lab.test", "--login", "alice", "--imap", &imaps];
    let settings = [&settings[..], &["--smtp", &sink, "--smtp-tls", "none"]].concat();
    let no = account(&bench, "phone", "add", "wrong-secret", &settings);
    assert!(no.code == 1 && no.stderr.contains("does not let the account in"), "{no:?}");
    assert_eq!(bench.daemon(&["account", "list"], "").stdout, "", "nothing is stored without a yes");
    let yes = account(&bench, "phone", "add", "lab-alice", &settings);
    assert_eq!(yes.code, 0, "{yes:?}");
    // The mail is there with the first sync: the server has looked before it answered.
    let done = sync(&bench, "phone", &[]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!lacks(&bench.list("phone"), "before"), "{:#?}", bench.list("phone"));
    assert!(!holds(&bench.path("data"), "lab-alice"), "not on the server's disk");
    assert!(!bench.server.as_ref().unwrap().stderr().contains("lab-alice"));
    // Marks and mail go through it as through any other.
    bench.verb("phone", &["flag", &bench.luid("phone", "before"), "+flagged"]);
    let file = bench.path("letter.eml");
    std::fs::write(&file, "From: alice@lab.test\r\nTo: x@away.example\r\nSubject: out\r\n\r\nHi\r\n")
        .unwrap();
    bench.verb("phone", &["send", file.to_str().unwrap()]);
    assert_eq!(sync(&bench, "phone", &[]).code, 0);
    // All of it went before the session was over, and with it the secret: nobody is logged in there, and nothing comes.
    let mut alice = servers.imap("alice");
    assert!(alice.marks("INBOX")["before"].contains("\\Flagged"), "the mark is at Dovecot");
    assert_eq!(servers.sink.mails().len(), 1, "and the mail at the sink");
    drop(alice);
    servers.deliver("alice", &mail("between"));
    std::thread::sleep(3 * SECOND);
    let who = servers.doveadm(&["who"]);
    assert!(!who.contains("alice"), "{who}");
    assert_eq!(sync(&bench, "other", &[]).code, 0);
    assert!(lacks(&bench.list("other"), "between") && !lacks(&bench.list("other"), "before"));
    // What another device does meanwhile waits for the secret, and goes with it.
    bench.verb("other", &["flag", &bench.luid("other", "before"), "+answered"]);
    assert_eq!(sync(&bench, "other", &[]).code, 0);
    std::thread::sleep(2 * SECOND);
    assert!(!servers.imap("alice").marks("INBOX")["before"].contains("\\Answered"));
    assert_eq!(sync(&bench, "phone", &[]).code, 0);
    assert!(!lacks(&bench.list("phone"), "between"), "{:#?}", bench.list("phone"));
    assert!(servers.imap("alice").marks("INBOX")["before"].contains("\\Answered"));

    // A server that begins anew knows the account and not its secret.
    bench.server.take().unwrap().kill();
    servers.deliver("alice", &mail("meanwhile"));
    bench.start();
    let dir = bench.path("phone");
    let key = dir.join("accounts/work");
    let kept = std::fs::read_to_string(&key).unwrap();
    assert!(kept.contains("lab-alice"), "its device keeps it");
    std::fs::rename(&key, bench.path("aside")).unwrap();
    let other = sync(&bench, "other", &[]);
    assert_eq!(other.code, 0, "{other:?}");
    std::thread::sleep(3 * SECOND);
    assert_eq!(sync(&bench, "other", &[]).code, 0);
    assert!(lacks(&bench.list("other"), "meanwhile"), "no mail flows without its device");
    assert!(!lacks(&bench.list("other"), "before"));
    // Another secret than the mail server's: it is said, and no mail flows.
    std::fs::write(&key, kept.replace("lab-alice", "changed")).unwrap();
    let no = sync(&bench, "phone", &[]);
    assert!(no.code == 1 && no.stderr.contains("account work: refused"), "{no:?}");
    assert!(lacks(&bench.list("phone"), "meanwhile"));
    std::fs::rename(bench.path("aside"), &key).unwrap();
    assert_eq!(sync(&bench, "phone", &[]).code, 0);
    assert!(!lacks(&bench.list("phone"), "meanwhile"), "{:#?}", bench.list("phone"));
    let check = bench.daemon(&["account", "list", "ann"], "");
    assert!(check.stdout.contains("alice@lab.test"), "{check:?}");
    assert_eq!(bench.daemon(&["key", "rotate"], "").code, 0, "there is nothing of it to seal anew");
    assert!(!holds(&bench.path("data"), "lab-alice"));
}

// mission: M8c
#[test]
fn the_time_of_a_session_ends() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    let config = std::fs::read_to_string(bench.path("config.toml")).unwrap();
    std::fs::write(bench.path("config.toml"), config + "session_account_minutes = 0\n").unwrap();
    bench.start();
    let imaps = servers.address("imaps");
    let settings =
        ["work", "--per-session", "--address", "alice@lab.test", "--login", "alice", "--imap", &imaps];
    assert_eq!(account(&bench, "phone", "add", "lab-alice", &settings).code, 0, "checked");
    servers.deliver("alice", &mail("late"));
    std::thread::sleep(3 * SECOND);
    assert_eq!(sync(&bench, "phone", &[]).code, 0);
    std::thread::sleep(3 * SECOND);
    assert_eq!(sync(&bench, "other", &[]).code, 0);
    assert!(lacks(&bench.list("other"), "late"), "its secret is forgotten");
}

// mission: M8b, M8d
#[test]
fn a_sync_names_the_accounts_that_it_is_for() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    servers.deliver("alice", &mail("for alice"));
    servers.deliver("bob", &mail("for bob"));
    bench.start();
    let imaps = servers.address("imaps");
    for name in ["alice", "bob"] {
        let address = format!("{name}@lab.test");
        let settings = [name, "--address", &address, "--login", name, "--imap", &imaps];
        let done = account(&bench, "phone", "add", &format!("lab-{name}"), &settings);
        assert_eq!(done.code, 0, "{done:?}");
    }
    // Only for one of them, then for the other; nothing leaves, and nothing is lost.
    wait_for("the first look at both", || {
        assert_eq!(sync(&bench, "other", &[]).code, 0);
        bench.list("other").len() == 2
    });
    for (name, comes, not) in [("alice", "for alice", Some("for bob")), ("bob", "for bob", None)] {
        let done = sync(&bench, "phone", &["--account", name]);
        assert_eq!(done.code, 0, "{done:?}");
        let list = bench.list("phone");
        assert!(!lacks(&list, comes) && not.is_none_or(|not| lacks(&list, not)), "{name}: {list:#?}");
    }
    assert_eq!(bench.list("phone").len(), 2);
    servers.deliver("alice", &mail("new for alice"));
    servers.deliver("bob", &mail("new for bob"));
    let mut inbox = servers.imap("bob");
    inbox.imap("SELECT INBOX");
    inbox.imap("STORE 1 +FLAGS (\\Flagged)");
    wait_for("all of it at the server", || {
        assert_eq!(sync(&bench, "other", &[]).code, 0);
        let list = bench.list("other");
        list.len() == 4 && is(&list, "for bob", "flagged", true)
    });
    let done = sync(&bench, "phone", &["--account", "alice"]);
    assert_eq!(done.code, 0, "{done:?}");
    let list = bench.list("phone");
    assert!(!lacks(&list, "new for alice") && lacks(&list, "new for bob"), "{list:#?}");
    assert!(is(&list, "for bob", "flagged", false), "it waits: {list:#?}");
    let done = sync(&bench, "phone", &["--account", "alice,bob", "--state-only"]);
    assert_eq!(done.code, 0, "{done:?}");
    let list = bench.list("phone");
    assert!(is(&list, "for bob", "flagged", true) && lacks(&list, "new for bob"), "{list:#?}");
    let done = sync(&bench, "phone", &[]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(bench.list("phone").len(), 4, "{:#?}", bench.list("phone"));
    // Each account's folders are its own: no mail server is told of those of the other one.
    for name in ["alice", "bob"] {
        let folders = servers.imap(name).imap("LIST \"\" \"*\"");
        let mut folders: Vec<&str> = folders
            .lines()
            .filter(|line| line.starts_with("* LIST"))
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        folders.sort_unstable();
        assert_eq!(folders, ["Drafts", "INBOX", "Sent", "Trash"], "{name}");
    }
    let log = bench.server.as_ref().unwrap().stderr();
    assert!(!log.contains("mailbox: refused"), "{log}");
    // One that there is not, and one that the mail server does not let in any more.
    let no = sync(&bench, "phone", &["--account", "carol"]);
    assert!(no.code == 1 && no.stderr.contains("account carol"), "{no:?}");
    let key = bench.path("phone").join("accounts/bob");
    let kept = std::fs::read_to_string(&key).unwrap();
    std::fs::write(&key, kept.replace("lab-bob", "changed")).unwrap();
    let no = sync(&bench, "phone", &["--account", "bob"]);
    assert!(no.code == 1 && no.stderr.contains("account bob: refused"), "{no:?}");
    std::fs::write(&key, kept).unwrap();
    assert_eq!(sync(&bench, "phone", &["--account", "alice"]).code, 0);
    assert!(is(&bench.list("phone"), "for alice", "folder", "Inbox"));
    for bad in [&["--account", "a&OR;b"][..], &["--account", "alice", "--mode", "refresh-from-server"]] {
        assert_eq!(sync(&bench, "phone", bad).code, 1, "{bad:?}");
    }
}
