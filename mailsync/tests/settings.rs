//! Mail parameters that the server keeps, through the binaries: whose value counts, and that nothing needs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Bench, MailServers, mail};
use serde_json::Value;

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
