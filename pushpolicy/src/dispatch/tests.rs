use super::*;
use crate::evidence::Reading;
use crate::stored::StoredPolicy;
use crate::terminal::{Route, TerminalKind};
use serde_json::json;

const PATIENCE: Patience =
    Patience { fresh_ms: 30_000, wait_ms: 2_000, down_ms: 60_000, keep_ms: 86_400_000 };

struct Bench {
    state: PushState,
    policy: StoredPolicy,
    terminals: Vec<Terminal>,
}

fn id(name: &str) -> TerminalId {
    TerminalId::new(name).unwrap()
}

impl Bench {
    fn new(policy: &serde_json::Value) -> Bench {
        let policy = Policy::from_json(policy.to_string().as_bytes()).unwrap();
        let terminal = |name: &str, kind, routes: &[&str]| {
            let mut terminal = Terminal::new(id(name), kind);
            terminal.routes = routes.iter().map(|route| route.parse::<Route>().unwrap()).collect();
            terminal
        };
        let terminals = vec![
            terminal("phone", TerminalKind::Phone, &["udp 127.0.0.1:1", "wap_push +861 power=any cost=9"]),
            terminal("laptop", TerminalKind::Laptop, &["channel laptop"]),
        ];
        Bench { state: PushState::default(), policy: StoredPolicy::initial(policy), terminals }
    }

    fn report(&mut self, at: u64, name: &str, seq: u32, reading: &serde_json::Value) -> Ingest {
        let json = json!({"terminal": name, "boot": 1, "seq": seq, "readings": [reading]}).to_string();
        self.state.hear(Millis(at), &id(name), json.as_bytes(), &Limits::default()).unwrap()
    }

    fn settle(&mut self, at: u64) -> Settled {
        let snapshot = self.state.snapshot(Millis(at), self.terminals.clone(), &Limits::default()).unwrap();
        let compiled = self.policy.policy.compile(&Limits::default()).unwrap();
        let world = World {
            now: Now::at(Millis(at)),
            policy: &self.policy.policy,
            compiled: &compiled,
            revision: self.policy.revision,
            snapshot: &snapshot,
            patience: &PATIENCE,
        };
        let facts = MailFacts::new("INBOX", "bob@example.org", "lunch", 9, ["text/plain"]);
        self.state.settle::<()>("m", &world, || Ok(facts)).unwrap()
    }

    fn say(&self, at: u64, name: &str) -> String {
        match self.state.say("m", 1, &id(name), Millis(at)) {
            Say::Push(target) => format!("push {}", target.bearer.as_str()),
            Say::Hint(hint) => format!("hint {:?}", hint.went_to),
            Say::Until(at) => format!("until {}", at.0),
            Say::Nothing => "nothing".into(),
        }
    }
}

fn in_use() -> serde_json::Value {
    json!({"version": 1, "default": {"push": {"select": ["in_use", "any"],
        "escalate": [{"after_s": 30, "select": ["any"]}]}}})
}

// mission: P2, P3
#[test]
fn asked_decided_told_escalated_and_taken_back() {
    let mut bench = Bench::new(&in_use());
    assert_eq!(bench.say(0, "phone"), "until 1000", "not looked at yet");
    bench.state.known = 1;
    assert_eq!(bench.say(0, "phone"), "nothing", "came before anybody decided");
    bench.state.arrived(Millis(1_000), "m");
    let settled = bench.settle(1_000);
    assert_eq!((settled.ask, settled.next), (vec![id("laptop"), id("phone")], Some(Millis(3_000))));
    assert_eq!(bench.say(1_000, "phone"), "until 3000");
    // One answers, the other does not: what is known counts when the time is over.
    bench.report(1_500, "laptop", 1, &json!({"input": {"age_ms": 10}}));
    assert_eq!(bench.settle(1_600).next, Some(Millis(3_000)));
    let settled = bench.settle(3_000);
    let record = settled.record.unwrap();
    assert_eq!(record.decision.targets[0].terminal.as_str(), "laptop");
    assert_eq!(record.replay().unwrap(), *record);
    assert_eq!(settled.next, Some(Millis(33_000)));
    assert_eq!(
        (bench.say(3_000, "laptop"), bench.say(3_000, "phone")),
        ("push channel".into(), "hint [\"laptop\"]".into())
    );
    bench.state.hinted("m", &id("phone"));
    assert_eq!(bench.say(3_001, "phone"), "until 33000");
    assert_eq!(bench.say(33_000, "phone"), "push udp");
    // Kept as JSON, it goes on as it was.
    let json = serde_json::to_vec(&bench.state).unwrap();
    assert_eq!(serde_json::from_slice::<PushState>(&json).unwrap(), bench.state);
    assert_eq!(bench.state.open().collect::<Vec<_>>(), ["m"]);
    bench.state.over("m");
    assert_eq!(
        (bench.say(33_001, "laptop"), bench.say(33_001, "phone")),
        ("nothing".into(), "nothing".into())
    );
    assert_eq!(bench.state.open().count(), 0);
    bench.state.forget(Millis(90_000_000), &bench.terminals.clone(), &PATIENCE);
    assert_eq!(bench.state.plans.len(), 0);
}

#[test]
fn when_all_have_answered_nothing_is_waited_for() {
    let mut bench = Bench::new(&in_use());
    bench.state.arrived(Millis(0), "m");
    assert_eq!(bench.settle(0).ask.len(), 2);
    bench.report(100, "phone", 1, &json!({"screen": {"on": false}}));
    bench.report(200, "laptop", 1, &json!({"screen": {"on": false}}));
    assert!(bench.settle(201).record.is_some());
    // Who has just reported is not asked at all.
    bench.state.arrived(Millis(300), "n");
    let mut other = bench;
    other.state.over("m");
    other.state.plans.remove("m");
    other.state.arrived(Millis(300), "m");
    assert!(other.settle(300).record.is_some());
}

// mission: P6
#[test]
fn a_route_that_fails_is_left_for_another_and_used_again_when_the_terminal_is_heard() {
    let mut bench =
        Bench::new(&json!({"version": 1, "default": {"push": {"select": [{"kind": "phone"}, "any"]}}}));
    bench.state.arrived(Millis(0), "m");
    bench.settle(0);
    bench.settle(2_000);
    assert_eq!(bench.say(2_000, "phone"), "push udp");
    let route = (Bearer::Udp, "127.0.0.1:1");
    assert!(!bench.state.sent(Millis(2_100), &id("phone"), route, Delivery::Delivered, &PATIENCE));
    assert!(bench.state.sent(Millis(2_100), &id("phone"), route, Delivery::Unreachable, &PATIENCE));
    assert_eq!(bench.state.decided, 1);
    assert!(bench.settle(2_200).record.is_some(), "decided again");
    assert_eq!(bench.state.decided, 2);
    assert_eq!(bench.say(2_200, "phone"), "push wap_push");
    let sms = (Bearer::WapPush, "+861");
    bench.state.sent(Millis(2_300), &id("phone"), sms, Delivery::Refused, &PATIENCE);
    bench.settle(2_400);
    assert_eq!(bench.say(2_400, "laptop"), "push channel", "never dropped silently");
    bench.report(2_500, "phone", 1, &json!({"power": "on"}));
    let snapshot = bench.state.snapshot(Millis(2_500), bench.terminals.clone(), &Limits::default()).unwrap();
    assert!(snapshot.terminals().iter().all(|terminal| terminal.routes.iter().all(|route| route.up)));
}

#[test]
fn without_a_target_it_is_decided_again_when_somebody_reports() {
    let mut bench = Bench::new(&json!({"version": 1, "default": {"push": {"select": ["in_use"]}}}));
    bench.state.arrived(Millis(0), "m");
    bench.settle(0);
    assert!(bench.settle(2_000).record.is_some());
    assert_eq!(bench.settle(2_001).record, None);
    bench.report(2_100, "phone", 1, &json!({"input": {"age_ms": 1}}));
    assert!(bench.settle(2_200).record.is_some());
    assert_eq!(bench.say(2_200, "phone"), "push udp");
}

#[test]
fn without_a_target_it_is_decided_again_when_a_channel_opens() {
    let mut bench =
        Bench::new(&json!({"version": 1, "default": {"push": {"select": ["any"], "bearers": ["channel"]}}}));
    bench.terminals[1].routes[0].up = false;
    bench.state.arrived(Millis(0), "m");
    bench.settle(0);
    assert!(bench.settle(2_000).record.is_some());
    assert_eq!(bench.settle(2_001).record, None);
    bench.terminals[1].routes[0].up = true;
    assert!(bench.settle(2_002).record.is_some());
    assert_eq!(bench.say(2_002, "laptop"), "push channel");
}

#[test]
fn a_muted_mail_is_nobodys() {
    let mut bench = Bench::new(&json!({"version": 1, "default": "mute"}));
    bench.state.arrived(Millis(0), "m");
    bench.settle(0);
    bench.settle(2_000);
    assert_eq!((bench.say(2_000, "phone"), bench.settle(9_000).record), ("nothing".into(), None));
}

#[test]
fn attack_a_replayed_or_foreign_report_changes_nothing() {
    let mut bench = Bench::new(&in_use());
    assert_eq!(bench.report(0, "phone", 5, &json!({"input": {"age_ms": 1}})), Ingest::Taken);
    let before = bench.state.clone();
    assert!(matches!(
        bench.report(9_000, "phone", 5, &json!({"input": {"age_ms": 1}})),
        Ingest::Stale { .. }
    ));
    let foreign = json!({"terminal": "laptop", "boot": 9, "seq": 9, "readings": []}).to_string();
    let error =
        bench.state.hear(Millis(1), &id("phone"), foreign.as_bytes(), &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("terminal"), "{error}");
    assert!(bench.state.hear(Millis(1), &id("phone"), b"{", &Limits::default()).is_err());
    assert_eq!(bench.state, before);
    assert_eq!(bench.state.last(&id("phone")).map(|order| order.seq), Some(5));
    // A terminal that is registered no more is forgotten with all it said.
    bench.state.forget(Millis(1), &[], &PATIENCE);
    assert_eq!(bench.state.last(&id("phone")), None);
}

#[test]
fn attack_a_flood_of_mails_and_terminals_stays_bounded() {
    let mut bench = Bench::new(&in_use());
    for n in 0..2 * PLANS as u64 {
        bench.state.arrived(Millis(n), &format!("m{n}"));
    }
    bench.state.forget(Millis(9_999), &bench.terminals.clone(), &PATIENCE);
    assert_eq!(bench.state.plans.len(), PLANS);
    assert!(bench.state.plans.contains_key(&format!("m{}", 2 * PLANS - 1)), "the oldest go");
    for n in 0..Limits::MAX_TERMINALS {
        bench.report(0, &format!("t{n}"), 1, &json!({"screen": {"on": true}}));
    }
    let json = br#"{"terminal":"one-more","boot":1,"seq":1,"readings":[]}"#;
    assert!(bench.state.hear(Millis(0), &id("one-more"), json, &Limits::default()).is_err());
    // threat: N2
    assert_eq!((0..70).filter(|_| bench.state.spend(Millis(5), 1).is_ok()).count(), 60);
}

#[test]
fn presence_is_not_asked_of_who_is_off() {
    let mut bench = Bench::new(&in_use());
    bench.report(0, "laptop", 1, &json!({"power": "off"}));
    bench.state.arrived(Millis(100_000), "m");
    assert_eq!(bench.settle(100_000).ask, [id("phone")]);
    let readings = [Reading::Power(crate::PowerState::Off)];
    let snapshot = bench.state.snapshot(Millis(1), bench.terminals.clone(), &Limits::default()).unwrap();
    assert_eq!(snapshot.terminals()[0].evidence[0].reading, readings[0]);
}
