//! Mail parameters that the server keeps, through the binaries: whose value counts, and that nothing needs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Bench, MailServers, is, mail, run, wait_for};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);

fn settings(bench: &Bench, phone: &str, verb: &str, more: &[&str]) -> String {
    let there = ["--server", &bench.url, "--user", "ann"];
    let dir = bench.path(phone);
    let args = ["--json", "settings", verb, "--dir", dir.to_str().unwrap()];
    let done = bench.mailsync(&[&args[..], &there, more].concat());
    assert_eq!(done.code, 0, "{verb} {more:?}: {}", done.stderr);
    done.stdout
}

fn got(bench: &Bench, phone: &str, more: &[&str]) -> Value {
    serde_json::from_str(&settings(bench, phone, "get", more)).unwrap()
}

fn shown(bench: &Bench, phone: &str, subject: &str) -> String {
    bench.verb(phone, &["show", &bench.luid(phone, subject)]).stdout
}

// mission: M9
#[test]
fn what_is_stored_counts_by_rule_and_nothing_needs_it() {
    let servers = MailServers::start();
    let bench = Bench::sending(&servers);
    servers.deliver("alice", &mail("first"));
    // Nothing is stored anywhere: everything comes, and each parameter can be said as a command.
    bench.until("phone", "the first", |list| !list.is_empty());
    assert!(shown(&bench, "phone", "first").contains("Hello, this is first."));
    let told = got(&bench, "phone", &[]);
    assert_eq!(told["rule"], "client-wins");
    for (name, value) in
        [("headers-only", "false"), ("attachments", "true"), ("max-size", "-"), ("forward", "-")]
    {
        let parameter = &told["parameters"][name];
        assert_eq!((&parameter["value"], &parameter["from"]), (&value.into(), &"default".into()), "{told}");
    }
    bench.sync_with("bare", &["--headers-only"]);
    assert!(!shown(&bench, "bare", "first").contains("Hello"));

    // Stored by one device, for all of them: one that says nothing gets headers.
    settings(&bench, "phone", "set", &["headers-only=true", "forward=by-number"]);
    bench.sync("third");
    assert!(!shown(&bench, "third", "first").contains("Hello"));
    let told = got(&bench, "third", &["--no-attachments"]);
    assert_eq!(told["parameters"]["headers-only"]["value"], "false", "the command wins: {told}");
    assert_eq!(told["parameters"]["headers-only"]["from"], "client");
    assert_eq!(told["parameters"]["headers-only"]["overruled"], true);
    assert_eq!(told["parameters"]["forward"]["from"], "server");
    bench.sync_with("fourth", &["--no-attachments"]);
    assert!(shown(&bench, "fourth", "first").contains("Hello"), "the command wins");

    // The other rule; and the server says what it overruled.
    settings(&bench, "third", "set", &["rule=server-wins"]);
    bench.sync_with("fifth", &["--no-attachments"]);
    assert!(!shown(&bench, "fifth", "first").contains("Hello"), "the server wins");
    let log = bench.server.as_ref().unwrap().stderr();
    assert!(log.contains("headers-only is true, the server wins"), "{log}");

    // For one device only; the others keep what they have. What is taken back counts no longer.
    settings(&bench, "sixth", "set", &["--this-device", "headers-only=false"]);
    bench.sync("sixth");
    assert!(shown(&bench, "sixth", "first").contains("Hello"));
    assert_eq!(got(&bench, "fifth", &[])["parameters"]["headers-only"]["value"], "true");
    settings(&bench, "fifth", "set", &["headers-only=", "rule="]);
    let told = got(&bench, "third", &[]);
    assert_eq!(
        (&told["rule"], &told["parameters"]["headers-only"]["from"]),
        (&"client-wins".into(), &"default".into())
    );

    // Wrong words are refused and change nothing.
    let dir = bench.path("phone");
    let there = ["--dir", dir.to_str().unwrap(), "--server", &bench.url, "--user", "ann"];
    for (bad, words) in
        [("colour=red", "no setting"), ("days=soon", "no value of days"), ("days", "NAME=VALUE")]
    {
        let no = bench.mailsync(&[&["settings", "set"][..], &there, &[bad]].concat());
        assert!(no.code == 1 && no.stderr.contains(words), "{no:?}");
    }
    // How mail is forwarded was agreed: nothing is uploaded although all of it is here.
    bench.sync("phone");
    let luid = bench.luid("phone", "first");
    bench.verb("phone", &["forward", &luid, "--to", "far@away.example"]);
    let outbox = bench.mail("phone", "Fwd: first").unwrap();
    let new = bench.verb("phone", &["show", outbox["luid"].as_str().unwrap()]).stdout;
    assert!(new.starts_with("X-Sync-Forward: ") && !new.contains("Hello"), "{new}");
}

// mission: M2, M6, M8b, M9
#[test]
fn with_no_setting_anywhere_every_feature_works_by_commands_alone() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    for subject in ["plain", "second", "third"] {
        servers.deliver("alice", &mail(subject));
    }
    let picture = "iVBORw0KGgo=\r\n".repeat(300);
    let rich = format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: rich\r\nMessage-ID: <rich@far.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_B\"\r\n\r\n--=_B\r\nContent-Type: text/plain\r\n\r\n\
         The text.\r\n--=_B\r\nContent-Type: image/png; name=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"p.png\"\r\n\r\n{picture}--=_B\r\nContent-Type: application/pdf\r\n\
         Content-Disposition: attachment; filename=\"r.pdf\"\r\n\r\n%PDF-1.4 xyz\r\n--=_B--\r\n"
    );
    servers.deliver("alice", &rich);
    bench.start();
    let url = bench.url.clone();
    let there = ["--server", &url, "--user", "ann"];
    let (imaps, sink) = (servers.address("imaps"), servers.sink.address.clone());
    // Accounts.
    let dir = bench.path("phone");
    let mut add = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    add.args(["account", "add"]).args(there).arg("--dir").arg(&dir);
    add.args(["work", "--address", "alice@lab.test", "--login", "alice", "--imap", &imaps]);
    add.args(["--smtp", &sink, "--smtp-tls", "none"]);
    let done =
        run(add.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_ACCOUNT_PASSWORD", "lab-alice"), LIMIT);
    assert_eq!(done.code, 0, "{done:?}");
    bench.until("phone", "everything", |list| list.len() == 4);
    bench.sync_with("phone", &["--account", "work"]);
    // Receive, with each parameter.
    for (phone, parameters, there, not_there) in [
        ("headers", &["--headers-only"][..], &["Subject: rich"][..], &["The text", "%PDF"][..]),
        ("text", &["--no-attachments"], &["The text"], &["iVBOR", "%PDF"]),
        ("types", &["--types", "application/pdf"], &["The text", "%PDF"], &["iVBOR"]),
        ("size", &["--max-size", "2500"], &["The text", "%PDF"], &["iVBOR"]),
    ] {
        bench.sync_with(phone, parameters);
        let got = shown(&bench, phone, "rich");
        assert!(there.iter().all(|part| got.contains(part)), "{phone}: {got}");
        assert!(not_there.iter().all(|part| !got.contains(part)), "{phone}: {got}");
    }
    bench.sync_with("window", &["--until", "2020-01-01"]);
    assert!(bench.list("window").is_empty());
    bench.sync_with("window", &["--since", "2020-01-01", "--mode", "one-way-from-server"]);
    assert_eq!(bench.list("window").len(), 4);
    // One attachment, and the rest.
    let luid = bench.luid("text", "rich");
    let number = bench.mail("text", "rich").unwrap()["left"]["attachments"][1]["number"].to_string();
    bench.verb("text", &[&["fetch"], &there[..], &[&luid, "--part", &number]].concat());
    assert!(
        shown(&bench, "text", "rich").contains("%PDF") && !shown(&bench, "text", "rich").contains("iVBOR")
    );
    bench.verb("text", &[&["fetch"], &there[..], &[&luid]].concat());
    assert!(shown(&bench, "text", "rich").ends_with(&rich));
    // State: everything, and alone.
    bench.verb("phone", &["flag", &bench.luid("phone", "second"), "+flagged", "+read"]);
    bench.sync_with("phone", &["--state-only"]);
    bench.verb("phone", &["move", &bench.luid("phone", "third"), "Trash"]);
    bench.sync_with("phone", &["--mode", "one-way-from-client"]);
    let list = bench.until("size", "state", |list| is(list, "second", "flagged", true));
    assert!(is(&list, "third", "folder", "Trash"), "{list:#?}");
    // Send; forward and reply in every way.
    let file = bench.path("letter.eml");
    std::fs::write(&file, "From: alice@lab.test\r\nTo: far@away.example\r\nSubject: letter\r\n\r\nHi\r\n")
        .unwrap();
    bench.verb("phone", &["send", file.to_str().unwrap()]);
    let luid = bench.luid("phone", "rich");
    let parts = bench.verb("phone", &["show", &luid, "--json"]).stdout;
    let parts: Value = serde_json::from_str(&parts).unwrap();
    let number = parts["parts"][1]["number"].to_string();
    for how in [
        &["--how", "upload"][..],
        &["--how", "by-number"],
        &["--how", "parts", "--part", &number],
        &["--without-download", "--text", "Please read."],
    ] {
        bench.verb("phone", &[&["forward", &luid, "--to", "far@away.example"], how].concat());
    }
    for how in [&["--how", "upload", "--text", "Yes."][..], &["--how", "by-number", "--text", "No."]] {
        bench.verb("phone", &[&["reply", &luid], how].concat());
    }
    bench.sync("phone");
    wait_for("seven mails at the sink", || servers.sink.mails().len() == 7);
    bench.until("phone", "the marks of the original", |list| {
        is(list, "rich", "forwarded", true) && is(list, "rich", "answered", true)
    });
    // Nothing was stored for it.
    let told = got(&bench, "phone", &[]);
    for (name, parameter) in told["parameters"].as_object().unwrap() {
        assert_eq!(parameter["from"], "default", "{name}: {told}");
    }
    assert!(
        std::fs::read_dir(dir.join("settings"))
            .unwrap()
            .flatten()
            .all(|entry| { entry.file_name().to_string_lossy().starts_with('.') })
    );
    // The server has said how it forwards; one that has not these ways is not asked for them.
    let ways = dir.join(".mailsync/forward-ways");
    assert_eq!(std::fs::read_to_string(&ways).unwrap(), "upload\nby-number\nparts\n");
    std::fs::write(&ways, "upload\nby-number\n").unwrap();
    let phone = ["--dir", dir.to_str().unwrap(), &luid, "--to", "far@away.example"];
    let no = bench.mailsync(&[&["forward"][..], &phone, &["--how", "parts", "--part", &number]].concat());
    assert!(no.code == 1 && no.stderr.contains("does not forward parts"), "{no:?}");
    std::fs::write(&ways, "").unwrap();
    let no = bench.mailsync(&[&["forward"][..], &phone, &["--without-download"]].concat());
    assert!(no.code == 1 && no.stderr.contains("does not forward by-number"), "{no:?}");
}

// mission: M9
#[test]
fn an_account_has_settings_of_its_own() {
    let servers = MailServers::start();
    let mut bench = Bench::new(&servers);
    for name in ["alice", "bob"] {
        servers.deliver(name, &mail(&format!("for {name}")));
        assert_eq!(bench.account(&servers, name, &[]).code, 0);
    }
    bench.start();
    bench.until("phone", "both", |list| list.len() == 2);
    settings(&bench, "phone", "set", &["--of-account", "Bob@lab.test", "headers-only=true"]);
    bench.sync("second");
    assert!(shown(&bench, "second", "for alice").contains("Hello"));
    assert!(!shown(&bench, "second", "for bob").contains("Hello"), "of bob's the header");
    let dir = bench.path("second");
    let get = |more: &[&str]| {
        let there = ["--server", &bench.url, "--user", "ann", "--dir", dir.to_str().unwrap()];
        let done = bench.mailsync(&[&["--json", "settings", "get"][..], &there, more].concat());
        let told: Value = serde_json::from_str(&done.stdout).unwrap();
        told["parameters"]["headers-only"].clone()
    };
    assert_eq!((&get(&[])["value"], &get(&[])["from"]), (&"false".into(), &"default".into()));
    let own = get(&["--of-account", "bob@lab.test"]);
    assert_eq!((&own["value"], &own["from"]), (&"true".into(), &"server".into()));
    // The same rule as for all mail: a command wins, unless the server's values are to.
    bench.sync_with("third", &["--no-attachments"]);
    assert!(shown(&bench, "third", "for bob").contains("Hello"));
    settings(&bench, "phone", "set", &["rule=server-wins"]);
    bench.sync_with("fourth", &["--no-attachments"]);
    assert!(!shown(&bench, "fourth", "for bob").contains("Hello"));
    assert!(shown(&bench, "fourth", "for alice").contains("Hello"));
    let no = ["settings", "set", "--server", &bench.url, "--user", "ann", "--dir", dir.to_str().unwrap()];
    let no = bench.mailsync(&[&no[..], &["--of-account", "bob@lab.test", "forward=by-number"]].concat());
    assert!(no.code == 1 && no.stderr.contains("of all mail"), "{no:?}");
}
