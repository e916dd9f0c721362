//! Bad input and attacks on whole decisions; those on one part are tested beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use pushpolicy::{
    Bearer, Decision, Evidence, Ledger, Limits, MailFacts, Millis, Now, Order, Outcome, Pattern, Policy,
    Reading, Reason, Report, Route, RoutePower, Sensor, Snapshot, Standing, Terminal, TerminalId,
    TerminalKind, decide, decide_traced,
};

const NOW: Now = Now::at(Millis(10_000_000));

fn terminal(id: &str) -> Terminal {
    let mut t = Terminal::new(TerminalId::new(id).unwrap(), TerminalKind::Phone);
    t.routes = vec![Route::new(Bearer::WapPush, "+8613800138000").needs(RoutePower::Any)];
    t
}

fn snapshot(terminals: Vec<Terminal>) -> Snapshot {
    Snapshot::new(terminals, &Limits::default()).unwrap()
}

fn mail() -> MailFacts {
    MailFacts::new("INBOX", "a@b.example", "hello", 100, ["text/plain"])
}

fn decided(snapshot: &Snapshot) -> Decision {
    decide(&Policy::default().compile(&Limits::default()).unwrap(), snapshot, &mail(), NOW)
}

fn report(seq: u32, reading: Reading) -> Report {
    Report::new(TerminalId::new("stolen").unwrap(), Order { boot: 1, seq }, vec![reading])
}

#[test]
fn attack_a_replayed_in_use_report_pulls_no_mail_to_a_stolen_terminal() {
    let limits = Limits::default();
    let mut ledger = Ledger::new(0);
    let in_use = report(1, Reading::Input { age_ms: 0 });
    ledger.ingest(Millis(1_000_000), &in_use, &limits).unwrap();
    // Much later the same octets come again: refused, and what was said then has faded.
    ledger.ingest(NOW.at, &in_use, &limits).unwrap();
    let mut stolen = terminal("stolen");
    stolen.evidence = ledger.evidence().to_vec();
    let mut mine = terminal("zz-mine");
    mine.evidence = vec![Evidence::new(Order::default(), NOW.at, Reading::Input { age_ms: 60_000 })];
    let s = snapshot(vec![stolen.clone(), mine]);
    assert_eq!(decided(&s).first(), Some(1));
    // Revoked, it is not even a hint's target.
    stolen.standing = Standing::Unregistered;
    let s = snapshot(vec![stolen, terminal("zz-mine")]);
    assert!(decided(&s).hints().is_empty());
}

#[test]
fn attack_a_desktop_judged_active_for_ever_does_not_silence_the_phone() {
    let mut desktop = terminal("desktop");
    let mut stuck =
        Evidence::new(Order::default(), NOW.at, Reading::Presence { present: true, sensor: Sensor::Camera });
    stuck.since = Some(Millis(0));
    desktop.evidence = vec![stuck];
    let mut phone = terminal("phone");
    phone.evidence = vec![Evidence::new(Order::default(), NOW.at, Reading::Input { age_ms: 100_000 })];
    assert_eq!(decided(&snapshot(vec![desktop, phone])).first(), Some(1));
}

#[test]
fn bad_input_no_terminals_and_64_terminals() {
    let none = decided(&snapshot(Vec::new()));
    assert!(matches!(none.outcome(), Outcome::NoTarget { reason: Reason::NoTerminals, .. }));
    let all = decided(&snapshot((0..64).map(|i| terminal(&format!("t{i:02}"))).collect()));
    assert_eq!((all.targets().len(), all.hints().len()), (1, 63));
}

#[test]
fn bad_input_extreme_moments_and_sizes() {
    let mut t = terminal("t");
    t.evidence = vec![
        Evidence::new(
            Order { boot: u32::MAX, seq: u32::MAX },
            Millis(u64::MAX),
            Reading::Input { age_ms: u64::MAX },
        ),
        Evidence::new(Order::default(), Millis(0), Reading::Motion { age_ms: u64::MAX }),
    ];
    let s = snapshot(vec![t]);
    let policy = Policy::default().compile(&Limits::default()).unwrap();
    for at in [0, 1, u64::MAX] {
        let huge = MailFacts::new("", "", "", u64::MAX, Vec::<String>::new());
        assert_eq!(decide(&policy, &s, &huge, Now::at(Millis(at))).first(), Some(0));
    }
}

#[test]
fn attack_patterns_that_nearly_match_cost_no_more_than_their_length() {
    // Law L2: twice the input takes at most two and a half times as long; a matcher that backtracks never ends here.
    let text = "a".repeat(1_000);
    for pattern in ["*a*a*a*b".to_owned(), "*a".repeat(127) + "b", "*?".repeat(127) + "b", "a*".repeat(128)] {
        let expected = !pattern.ends_with('b');
        assert_eq!(Pattern::Glob(pattern.clone()).matches(&text), expected, "{pattern}");
    }
}

#[test]
fn attack_a_hint_carries_no_content() {
    let s = snapshot(vec![terminal("a"), terminal("b")]);
    let policy = Policy::default().compile(&Limits::default()).unwrap();
    let secret = MailFacts::new("INBOX", "secret-sender@b.example", "secret subject", 100, ["text/plain"]);
    let view = decide(&policy, &s, &secret, NOW).view(&policy, &s);
    assert!(!serde_json::to_string(&view).unwrap().contains("secret"));
    let (_, trace) = decide_traced(&policy, &s, &secret, NOW);
    let full = trace.view(&policy, &s, pushpolicy::trace::Detail::Full);
    assert!(!serde_json::to_string(&full).unwrap().contains("secret"));
}

#[test]
fn privacy_a_redacted_trace_keeps_the_reasons_and_no_measurements() {
    let mut t = terminal("a");
    t.evidence = vec![Evidence::new(
        Order { boot: 3, seq: 9 },
        Millis(9_990_000),
        Reading::Proximity { cm: 77, bound_cm: 0 },
    )];
    let s = snapshot(vec![t, terminal("b")]);
    let policy = Policy::default().compile(&Limits::default()).unwrap();
    let (_, trace) = decide_traced(&policy, &s, &mail(), NOW);
    let detail = pushpolicy::trace::Detail::Reasons;
    let redacted = serde_json::to_string(&trace.view(&policy, &s, detail)).unwrap();
    let full = serde_json::to_string(&trace.view(&policy, &s, Default::default())).unwrap();
    assert!(
        full.contains("\"observed\":77") && !redacted.contains("observed") && !redacted.contains("evidence")
    );
    assert_eq!(
        trace.view(&policy, &s, detail).verdicts,
        trace.view(&policy, &s, Default::default()).verdicts
    );
}

#[test]
fn bad_input_octets_that_are_no_documents() {
    for bytes in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"{\"version\":1}",
        b"\xff\xfe",
        b"{\"version\":-1}",
        b"{\"version\":1e99}",
    ] {
        assert!(Policy::from_json(bytes).is_err());
        assert!(Snapshot::from_json(bytes).is_err());
        assert!(Report::from_json(bytes, &Limits::default()).is_err());
    }
    let deep = [b"{\"version\":1,\"default\":".to_vec(), b"[".repeat(100_000)].concat();
    assert!(Policy::from_json(&deep).is_err());
}
