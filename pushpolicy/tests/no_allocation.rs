//! A decision without a trace allocates nothing; with one, a handful, however many entries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod cases;

use pushpolicy::{Limits, MailFacts, Now, Policy, Snapshot, decide, decide_traced};

#[test]
fn no_case_of_the_vectors_allocates() {
    for case in cases::all() {
        let policy = Policy::from_json(case.policy.to_string().as_bytes())
            .unwrap()
            .compile(&Limits::default())
            .unwrap();
        let snapshot = serde_json::json!({"version": 1, "terminals": case.terminals}).to_string();
        let snapshot = Snapshot::from_json(snapshot.as_bytes()).unwrap();
        let mail: MailFacts = serde_json::from_value(case.mail.clone()).unwrap();
        let now: Now = serde_json::from_value(case.now.clone()).unwrap();
        let mut decision = None;
        let counted = allocation_counter::measure(|| decision = Some(decide(&policy, &snapshot, &mail, now)));
        assert_eq!(counted.count_total, 0, "{}", case.name);
        let mut traced = None;
        let counted =
            allocation_counter::measure(|| traced = Some(decide_traced(&policy, &snapshot, &mail, now)));
        assert!(
            (1..=6).contains(&counted.count_total),
            "{}: {} with a trace",
            case.name,
            counted.count_total
        );
        assert_eq!(traced.unwrap().0, decision.unwrap());
    }
}
