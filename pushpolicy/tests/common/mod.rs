//! Shared by the tests: the naive interpreter, and the library's answer in the shape of the vectors.

#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod naive;

use pushpolicy::{Limits, MailFacts, Now, Policy, Snapshot, decide, decide_traced};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the compiled evaluator answers, in the shape of `vectors/README.md`.
pub fn compiled(policy: &Value, snapshot: &Value, mail: &Value, now: &Value) -> Value {
    let policy =
        Policy::from_json(policy.to_string().as_bytes()).unwrap().compile(&Limits::default()).unwrap();
    let snapshot = Snapshot::from_json(snapshot.to_string().as_bytes()).unwrap();
    let mail: MailFacts = serde_json::from_value(mail.clone()).unwrap();
    let now: Now = serde_json::from_value(now.clone()).unwrap();
    let (decision, trace) = decide_traced(&policy, &snapshot, &mail, now);
    assert_eq!(decision, decide(&policy, &snapshot, &mail, now), "with and without a trace");
    let view = decision.view(&policy, &snapshot);
    let reasons: BTreeMap<&str, &str> = snapshot
        .terminals()
        .iter()
        .zip(0u8..)
        .map(|(t, i)| (t.id.as_str(), trace.verdict(i).unwrap().1.as_str()))
        .collect();
    let targets: Vec<Value> = view
        .targets
        .iter()
        .map(|t| json!({"terminal": t.terminal, "bearer": t.bearer, "address": t.address, "wake": t.wake}))
        .collect();
    let steps: Vec<Value> = view
        .escalation
        .iter()
        .map(|(after, to)| json!([after, to.iter().map(|t| t.terminal.as_str()).collect::<Vec<_>>()]))
        .collect();
    let mut answer = json!({
        "outcome": view.outcome,
        "targets": targets,
        "hints": view.hints.iter().map(|h| h.terminal.as_str()).collect::<Vec<_>>(),
        "escalation": steps,
        "reasons": reasons,
    });
    if let Some(rule) = view.rule {
        answer["rule"] = json!(rule);
    }
    if let Some(reference) = view.reference {
        answer["reference"] = json!(reference);
    }
    answer
}
