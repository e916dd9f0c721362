//! Which terminal a mail goes to, through the real binaries: reports, policies, decisions, hints, escalation, waking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use bytes::Bytes;
use mailsync_proto::mail::event::{Happened, Kind, MailEvent};
use peers::{PushBench, wait_for};
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use syncml::san::ServerAlert;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(40);
/// No pushes are waited for longer than this when there should be none.
const SILENCE: Duration = Duration::from_secs(3);

/// A terminal that hears datagrams, and does nothing.
struct Ear(UdpSocket);

impl Ear {
    fn new() -> Ear {
        Ear(UdpSocket::bind("127.0.0.1:0").unwrap())
    }

    fn place(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn datagram(&self, limit: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(limit.max(Duration::from_millis(1)))).unwrap();
        let mut buffer = [0; 2048];
        let length = self.0.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    }

    /// The next of this kind; what else comes before it is left out.
    fn hears(&self, kind: &Kind) -> Happened {
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let octets = self.datagram(left).unwrap_or_else(|| panic!("no {kind:?} came"));
            if let Some(one) = happened(&octets).into_iter().find(|one| one.kind == *kind) {
                return one;
            }
        }
    }

    /// Of what comes in a while, nothing is of this kind.
    fn hears_no(&self, kind: &Kind, limit: Duration) {
        let until = Instant::now() + limit;
        while let Some(octets) = self.datagram(until.saturating_duration_since(Instant::now())) {
            let heard = happened(&octets);
            assert!(heard.iter().all(|one| one.kind != *kind), "{heard:?}");
        }
    }

    fn drain(&self) {
        while self.datagram(Duration::from_millis(1)).is_some() {}
    }
}

fn happened(octets: &[u8]) -> Vec<Happened> {
    let alert = ServerAlert::decode(&Bytes::copy_from_slice(octets)).unwrap();
    MailEvent::parse(&alert.vendor).map(|event| event.happened).unwrap_or_default()
}

/// The user's four terminals: a phone in use, a laptop that is on, a desktop that is off and can be woken, and a
/// black-and-white phone at hand.
struct Four {
    bench: PushBench,
    ears: [(&'static str, Ear); 4],
    magic: Ear,
}

impl Four {
    fn new(patience: &str) -> Four {
        let bench = PushBench::new(&format!(
            "[push.patience]\n{patience}\n[notify.pace]\ngather_ms = 100\npause_ms = 2000\nlongest_ms = 4000\n"
        ));
        let ears = ["phone", "laptop", "desktop", "mono"].map(|name| (name, Ear::new()));
        let four = Four { bench, ears, magic: Ear::new() };
        for (name, _) in &four.ears {
            four.bench.sync(name, &[]);
        }
        four.report();
        four
    }

    fn ear(&self, name: &str) -> &Ear {
        &self.ears.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// All of them say how they are.
    fn report(&self) {
        let at = |name: &str| format!("udp {}", self.ear(name).place());
        let wake = format!("02:00:00:00:00:07 {}", self.magic.place());
        let desktop = format!("{} power=wake", at("desktop"));
        let pictures = ["--media", "image/*", "--colour", "yes"];
        let say = |name: &str, more: &[&str]| {
            let reported = self.bench.report(name, more);
            assert_eq!(reported.code, 0, "{reported:?}");
        };
        say(
            "phone",
            &[&["--kind", "phone", "--in-use", "yes", "--route", &at("phone")], &pictures[..]].concat(),
        );
        say(
            "laptop",
            &[&["--kind", "laptop", "--power", "on", "--route", &at("laptop")], &pictures[..]].concat(),
        );
        say(
            "desktop",
            &[&["--kind", "desktop", "--power", "off", "--wake", &wake, "--route", &desktop], &pictures[..]]
                .concat(),
        );
        let mono =
            ["--kind", "phone", "--near", "30", "--colour", "no", "--media", "", "--route", &at("mono")];
        say("mono", &mono);
    }

    fn policy(&self, policy: &Value) {
        self.bench.policy(policy);
    }

    /// All fetch what there is, and what was said before is forgotten.
    fn settle(&self) {
        for (name, ear) in &self.ears {
            self.bench.sync(name, &[]);
            ear.drain();
        }
        self.magic.drain();
    }

    /// Of a new mail the targets hear that it came, the others where it went.
    fn goes(&self, what: &str, mail: &str, targets: &[&str], hinted: &[&str]) {
        self.settle();
        self.report();
        self.bench.servers.deliver("alice", mail);
        for name in targets {
            let one = self.ear(name).hears(&Kind::Arrived);
            assert_eq!(one.count, 1, "{what}: {name}");
        }
        for name in hinted {
            let one = self.ear(name).hears(&Kind::Hint);
            let to: Vec<&str> = one.to.iter().map(|to| &**to).collect();
            let mut wanted = targets.to_vec();
            wanted.sort_unstable();
            assert_eq!(to, wanted, "{what}: hint to {name}");
        }
        for (name, ear) in &self.ears {
            if !targets.contains(name) {
                ear.hears_no(&Kind::Arrived, Duration::from_millis(300));
            }
            if !hinted.contains(name) {
                ear.hears_no(&Kind::Hint, Duration::from_millis(300));
            }
        }
        println!("{what}: {targets:?}, hints to {hinted:?}");
    }
}

fn mail(subject: &str) -> String {
    format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{}@far.example>\r\n\
         Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nHello, this is {subject}.\r\n",
        subject.replace(' ', "-")
    )
}

fn picture(subject: &str) -> String {
    format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{}@far.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee\r\n\
         --b\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n\r\n/9j/4AAQ\r\n--b--\r\n",
        subject.replace(' ', "-")
    )
}

fn push(select: &Value) -> Value {
    json!({"version": 1, "default": {"push": {"select": select}}})
}

// mission: P1, P3, P4, P6
#[test]
fn each_policy_finds_its_terminals_among_four() {
    let four = Four::new("wait_ms = 0");
    four.policy(&push(&json!(["in_use", "any"])));
    four.goes("in use", &mail("one"), &["phone"], &["laptop", "desktop", "mono"]);
    four.policy(&push(&json!([{"on": "laptop"}, "any"])));
    four.goes("laptop if on", &mail("two"), &["laptop"], &["phone", "desktop", "mono"]);
    four.policy(&push(&json!([{"on": "desktop"}, {"on": "laptop"}])));
    four.goes("desktop if on, else laptop", &mail("three"), &["laptop"], &["phone", "desktop", "mono"]);
    four.policy(&push(&json!(["nearest", "any"])));
    four.goes("nearest", &mail("four"), &["mono"], &["phone", "laptop", "desktop"]);
    // The nearest cannot show it.
    four.goes("picture, nearest", &picture("five"), &["phone"], &["laptop", "desktop", "mono"]);
    let two = json!({"version": 1, "default": {"push": {"select": ["in_use", "nearest", "any"], "count": {"at_least": 2}}}});
    four.policy(&two);
    four.goes("at least two", &mail("six"), &["phone", "mono"], &["laptop", "desktop"]);
    let quiet =
        json!({"version": 1, "default": {"push": {"select": [{"terminal": "mono"}], "hints": "none"}}});
    four.policy(&quiet);
    four.goes("by name, no hints", &mail("seven"), &["mono"], &[]);
    let ruled = json!({"version": 1, "rules": [{"id": "lists", "when": [{"is": {"subject": {"keyword": "list"}}}], "then": "mute"}],
        "default": {"push": {"select": ["any"], "count": "all"}}});
    four.policy(&ruled);
    four.goes("muted by a rule", &mail("list eight"), &[], &[]);
    // Waking is the last: a desktop that was told is as if on.
    four.policy(&push(&json!([{"kind": "desktop"}, "any"])));
    four.goes("asleep, woken", &mail("nine"), &["desktop"], &["phone", "laptop", "mono"]);
    let packet = four.magic.datagram(LIMIT).unwrap();
    assert_eq!((packet.len(), &packet[..6], &packet[6..12]), (102, &[0xFF; 6][..], &[2, 0, 0, 0, 0, 7][..]));
}

// mission: P3, M4c
#[test]
fn when_the_chosen_one_stays_silent_the_next_hears_of_it_and_reading_ends_all() {
    let four = Four::new("wait_ms = 0");
    let policy = json!({"version": 1, "default": {"push": {"select": ["in_use"], "hints": "none",
        "escalate": [{"after_s": 3, "select": [{"kind": "laptop"}]}, {"after_s": 60, "select": [{"terminal": "mono"}]}]}}});
    four.policy(&policy);
    four.settle();
    four.report();
    four.bench.servers.deliver("alice", &mail("urgent"));
    let first = Instant::now();
    four.ear("phone").hears(&Kind::Arrived);
    four.ear("laptop").hears_no(&Kind::Arrived, SECOND);
    // It is said again to the phone, and after three seconds to the laptop.
    four.ear("phone").hears(&Kind::Arrived);
    four.ear("laptop").hears(&Kind::Arrived);
    assert!(first.elapsed() >= 2 * SECOND, "{:?}", first.elapsed());
    four.ear("mono").hears_no(&Kind::Arrived, Duration::from_millis(300));
    // mission: P8
    four.bench.sync("laptop", &[]);
    let luid = four.bench.luid("laptop", "urgent");
    four.bench.flag("laptop", &luid, "+read");
    four.bench.sync("laptop", &[]);
    four.ear("phone").drain();
    four.ear("phone").hears_no(&Kind::Arrived, 6 * SECOND);
    four.bench.sync("phone", &[]);
    assert_eq!(four.bench.mail("phone", "urgent").unwrap()["read"], true, "read on one is read on all");
}

// mission: P2
#[test]
fn the_server_asks_for_reports_when_mail_arrives_and_waits_only_so_long() {
    let four = Four::new("wait_ms = 4000\nfresh_ms = 1");
    four.policy(&push(&json!(["in_use", {"on": "laptop"}])));
    four.settle();
    four.report();
    std::thread::sleep(2 * SECOND);
    four.bench.servers.deliver("alice", &mail("asked"));
    // All that are not off are asked; the laptop answers that it is in use now, the phone that it is not.
    for name in ["phone", "laptop", "mono"] {
        four.ear(name).hears(&Kind::Report);
    }
    four.ear("desktop").hears_no(&Kind::Report, Duration::from_millis(100));
    let said = four.bench.report("laptop", &["--in-use", "yes", "--kind", "laptop"]);
    assert_eq!(said.code, 0, "{said:?}");
    let arrived = four.ear("laptop").hears(&Kind::Arrived);
    assert_eq!(arrived.count, 1);
    let explained = four.bench.daemon(&["--json", "push", "explain", "ann", "asked"]);
    let record: Value = serde_json::from_str(&explained.stdout).unwrap();
    assert_eq!(record["decision"]["targets"][0]["terminal"], "laptop", "{record}");
}

// mission: P2
#[test]
fn a_watcher_reports_by_itself_and_when_it_is_asked() {
    let bench = PushBench::new("[push.patience]\nwait_ms = 8000\nfresh_ms = 1\n");
    bench.sync("phone", &[]);
    let root = bench.machine("phone");
    let sensing = ["--report-every", "2", "--at-network", "192.0.2.1=office", "--root", &root];
    let watch = bench.watch("phone", &sensing);
    watch.until("a report of its own", |line| line["event"] == "reported");
    let shown = bench.show("phone");
    let report = &shown[0]["report"]["readings"];
    assert!(report.to_string().contains(r#""place":"office""#), "{shown}");
    assert!(report.to_string().contains(r#""input":{"age_ms":"#), "{shown}");
    assert_eq!(shown[0]["kind"], "laptop", "it has a battery: {shown}");
    drop(watch);
    let watch = bench.watch("phone", &["--root", &root]);
    bench.policy(&json!({"version": 1, "default": "hold"}));
    std::thread::sleep(2 * SECOND);
    bench.servers.deliver("alice", &mail("held"));
    watch.until("a report that was asked for", |line| line["event"] == "reported");
    std::thread::sleep(SECOND);
    assert!(bench.mail("phone", "held").is_none(), "it was asked for a report only");
    bench.policy(&push(&json!(["any"])));
    bench.servers.deliver("alice", &mail("new"));
    watch.notice();
    assert!(bench.mail("phone", "new").is_some() && bench.mail("phone", "held").is_some());
}

// mission: P5
#[test]
fn a_policy_is_set_from_any_terminal_and_at_the_server_and_the_later_of_two_loses() {
    let bench = PushBench::new("");
    for name in ["phone", "laptop"] {
        bench.sync(name, &[]);
    }
    let [to_phone, to_any] = [json!([{"kind": "phone"}, "any"]), json!(["any"])].map(|select| push(&select));
    let set = |device: &str, policy: &Value, more: &[&str]| {
        let file = bench.path("policy.json");
        std::fs::write(&file, policy.to_string()).unwrap();
        bench.client_run(device, &["policy", "set"], &[&[file.to_str().unwrap()], more].concat())
    };
    let first = set("phone", &to_phone, &[]);
    assert_eq!(first.code, 0, "{first:?}");
    // Both had seen revision 1; the server is faster.
    let file = bench.path("policy.json");
    let at_server = bench.daemon(&["policy", "set", "ann", file.to_str().unwrap(), "--revision", "1"]);
    assert_eq!(at_server.code, 0, "{at_server:?}");
    let late = set("laptop", &to_any, &["--revision", "1"]);
    assert!(late.code == 1 && late.stderr.contains("somebody else has set one"), "{late:?}");
    let stale = bench.daemon(&["policy", "set", "ann", file.to_str().unwrap(), "--revision", "1"]);
    assert!(stale.code == 1 && stale.stderr.contains("revision 2 by \"mailsyncd\" is in force"), "{stale:?}");
    let seen = bench.client_run("laptop", &["policy", "get"], &[]);
    let seen: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!((&seen["revision"], &seen["writer"]), (&json!(2), &json!("mailsyncd")), "{seen}");
    assert_eq!(set("laptop", &to_any, &[]).code, 0);
    let shown = bench.daemon(&["policy", "show", "ann"]);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&shown["revision"], &shown["writer"]), (&json!(3), &json!("laptop")), "{shown}");
    // What is no policy changes nothing, from either side.
    let bad = set("phone", &json!({"version": 1, "default": "teleport"}), &[]);
    assert!(bad.code == 1 && bad.stderr.contains("unknown variant"), "{bad:?}");
    std::fs::write(&file, json!({"version": 1, "default": {"push": {"select": ["in_use"]}}}).to_string())
        .unwrap();
    let odd = bench.daemon(&["policy", "check", file.to_str().unwrap()]);
    assert!(odd.code == 0 && odd.stdout.contains("may select nobody"), "{odd:?}");
}

// mission: P3
#[test]
fn a_decision_is_explained_live_and_from_files() {
    let four = Four::new("wait_ms = 0");
    four.policy(&push(&json!(["nearest", "any"])));
    four.goes("picture, nearest", &picture("a picture"), &["phone"], &["laptop", "desktop", "mono"]);
    let bench = &four.bench;
    let live = bench.daemon(&["push", "explain", "ann", "a picture", "--why-not", "mono"]);
    assert_eq!(live.code, 0, "{live:?}");
    for part in
        ["to phone by udp at 127.0.0.1:", "hint to mono by udp", "mono: ", "it would go there after: "]
    {
        assert!(live.stdout.contains(part), "{part}: {}", live.stdout);
    }
    let as_json = bench.daemon(&["--json", "push", "explain", "ann", "a picture"]);
    let record: Value = serde_json::from_str(&as_json.stdout).unwrap();
    let mono =
        record["trace"]["verdicts"].as_array().unwrap().iter().find(|one| one["terminal"] == "mono").unwrap();
    assert_eq!(mono["reason"], "cannot_show", "{record}");
    let chinese = bench.daemon(&["push", "explain", "ann", "a picture", "--language", "zh"]);
    assert!(!chinese.stdout.is_ascii());
    let unknown = bench.daemon(&["push", "explain", "ann", "no such mail"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("no mail"), "{unknown:?}");
    let now = bench.daemon(&["push", "explain", "ann", "a picture", "--now"]);
    assert_eq!(now.code, 0, "{now:?}");
    // The same from files, without a server: the decision is the same.
    let snapshot = bench.daemon(&["push", "snapshot", "ann"]);
    std::fs::write(bench.path("snapshot.json"), &snapshot.stdout).unwrap();
    std::fs::write(bench.path("mail.eml"), picture("a picture")).unwrap();
    let file = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let (policy, snapshot, mail) = (file("policy.json"), file("snapshot.json"), file("mail.eml"));
    let offline =
        bench.offline(&["push", "explain", "--policy", &policy, "--snapshot", &snapshot, "--mail", &mail]);
    assert!(offline.code == 0 && offline.stdout.contains("to phone by udp"), "{offline:?}");
    let facts = file("facts.json");
    std::fs::write(&facts, json!({"subject": "plain", "parts": ["text/plain"]}).to_string()).unwrap();
    let args = ["--json", "push", "explain", "--policy", &policy, "--snapshot", &snapshot, "--mail", &facts];
    let plain = bench.offline(&args);
    let record: Value = serde_json::from_str(&plain.stdout).unwrap();
    assert_eq!(record["decision"]["targets"][0]["terminal"], "mono", "{record}");
    std::fs::write(&facts, "{\"subject\": 7}").unwrap();
    let bad = bench.offline(&args);
    assert!(bad.code == 1 && bad.stderr.contains("facts.json"), "{bad:?}");
}

// mission: P1
#[test]
fn attack_a_revoked_terminal_is_not_pushed_to_and_not_heard() {
    let four = Four::new("wait_ms = 0");
    four.policy(&push(&json!(["in_use", {"terminal": "mono"}])));
    four.goes("in use", &mail("one"), &["phone"], &["laptop", "desktop", "mono"]);
    four.settle();
    four.report();
    assert_eq!(four.bench.daemon(&["device", "revoke", "ann", "phone"]).code, 0);
    four.bench.servers.deliver("alice", &mail("two"));
    four.ear("mono").hears(&Kind::Arrived);
    four.ear("phone").hears_no(&Kind::Arrived, SILENCE);
    assert_ne!(four.bench.report("phone", &["--in-use", "yes"]).code, 0, "it may not log in");
}

// threat: N2
#[test]
fn threat_n2_a_mail_flood_gives_few_notices() {
    let four = Four::new("wait_ms = 0");
    four.policy(&push(&json!([{"terminal": "laptop"}])));
    four.settle();
    for n in 0..30 {
        four.bench.servers.deliver("alice", &mail(&format!("flood {n}")));
    }
    wait_for("the server to have them", || {
        four.bench
            .explained("flood 29")
            .is_some_and(|record| record["decision"]["targets"][0]["terminal"] == "laptop")
    });
    std::thread::sleep(2 * SECOND);
    let ear = four.ear("laptop");
    let (mut notices, mut most) = (0, 0);
    while let Some(octets) = ear.datagram(Duration::from_millis(200)) {
        notices += 1;
        most = most.max(happened(&octets).iter().map(|one| one.count).sum());
    }
    assert!(notices <= 12, "{notices} notices of 30 mails");
    assert!(most >= 10, "many are told in one: {most}");
}
