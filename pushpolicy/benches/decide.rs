//! Deciding: 5 terminals and 20 rules, without and with a trace; 1,000 keyword or glob rules; 64 terminals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use pushpolicy::{CompiledPolicy, Limits, MailFacts, Millis, Now, Policy, Snapshot, decide, decide_traced};
use serde_json::{Value, json};
use std::hint::black_box;

const NOW: u64 = 100_000_000;

fn snapshot(n: usize) -> Snapshot {
    let kinds = ["phone", "laptop", "desktop", "tablet", "watch"];
    let terminals: Vec<Value> = (0..n)
        .map(|i| {
            let said = |seq: u64, age_s: u64, reading: Value| json!({"boot": 1, "seq": seq, "received_at": NOW - age_s * 1000, "reading": reading});
            json!({"id": format!("terminal-{i:02}"), "kind": kinds[i % 5],
                "routes": [{"bearer": "channel", "address": "192.0.2.1"}, {"bearer": "wap_push", "address": "+8613800138000", "power": "any", "cost": 5}],
                "evidence": [said(1, 30 * i as u64, json!({"input": {"age_ms": 1000}})), said(2, 20, json!({"presence": {"present": i % 2 == 0}})),
                    said(3, 60, json!({"power": "on"})), said(4, 60, json!({"place": if i % 2 == 0 { "home" } else { "office" }})),
                    said(5, 60, json!({"location": {"lat_udeg": 39_904_200 + i, "lon_udeg": 116_407_400, "radius_m": 30}})),
                    said(6, 900, json!({"attributes": {"colour": true, "html": true, "media": ["image/jpeg", "image/png", "image/gif"]}}))]})
        })
        .collect();
    Snapshot::from_json(json!({"version": 1, "terminals": terminals}).to_string().as_bytes()).unwrap()
}

fn policy(rules: Vec<Value>) -> CompiledPolicy {
    let policy = json!({"version": 1, "rules": rules, "default": {"push": {"select": ["in_use", "nearest", "any"],
        "escalate": [{"after_s": 30, "select": ["nearest", "any"]}]}}});
    Policy::from_json(policy.to_string().as_bytes()).unwrap().compile(&Limits::default()).unwrap()
}

/// None of the rules holds: the worst case.
fn twenty_rules() -> Vec<Value> {
    let hold = |i: usize, when: Value| json!({"id": format!("r{i:02}"), "when": when, "then": "hold"});
    (0..20)
        .map(|i| match i % 5 {
            0 => hold(i, json!([{"is": {"from": {"glob": format!("*@list-{i}.example.com")}}}])),
            1 => hold(i, json!([{"is": {"subject": {"keyword": format!("newsletter {i}")}}}])),
            2 => hold(i, json!([{"is": {"size_over": 10_000_000}}, {"not": ["has_picture"]}])),
            3 => hold(i, json!([{"is": {"local_time": {"from_minute": 1320, "to_minute": 420}}}])),
            _ => hold(
                i,
                json!([{"is": {"folder": {"is": format!("lists/{i}")}}}, {"is": {"importance": "low"}}]),
            ),
        })
        .collect()
}

fn mail() -> MailFacts {
    MailFacts::new(
        "INBOX",
        "Bob Example <bob.example@mail.example.org>",
        "Re: minutes of the meeting on Thursday, with the new figures",
        48_000,
        ["text/plain", "text/html", "image/jpeg"],
    )
}

fn words(i: usize) -> String {
    let parts = [
        "budget", "report", "thursday", "garden", "invoice", "meeting", "winter", "project", "update",
        "travel",
    ];
    format!("{} {} {i}", parts[i % 10], parts[i / 10 % 10])
}

fn benches(c: &mut Criterion) {
    let (five, mail) = (snapshot(5), mail());
    let now = Now::at(Millis(NOW));
    let p = policy(twenty_rules());
    c.bench_function("decide: 5 terminals, 20 rules, no trace", |b| {
        b.iter(|| decide(black_box(&p), black_box(&five), black_box(&mail), now));
    });
    c.bench_function("decide: 5 terminals, 20 rules, full trace", |b| {
        b.iter(|| decide_traced(black_box(&p), black_box(&five), black_box(&mail), now));
    });
    let full = snapshot(64);
    c.bench_function("decide: 64 terminals, 20 rules, no trace", |b| {
        b.iter(|| decide(black_box(&p), black_box(&full), black_box(&mail), now));
    });
    let rule = |i: usize, pattern: Value| json!({"id": format!("k{i:04}"), "when": [{"is": {"subject": pattern}}], "then": "hold"});
    let keywords = policy((0..1_000).map(|i| rule(i, json!({"keyword": words(i)}))).collect());
    c.bench_function("decide: 5 terminals, 1,000 keyword rules", |b| {
        b.iter(|| decide(black_box(&keywords), black_box(&five), black_box(&mail), now));
    });
    let globs = policy(
        (0..1_000).map(|i| rule(i, json!({"glob": format!("*{}*", words(i).replace(' ', "*"))}))).collect(),
    );
    c.bench_function("decide: 5 terminals, 1,000 glob rules", |b| {
        b.iter(|| decide(black_box(&globs), black_box(&five), black_box(&mail), now));
    });
    // Every pattern shares its only literal with the subject: none is filtered out, all are matched in full.
    let hostile = policy(
        (0..1_000).map(|i| rule(i, json!({"glob": format!("*meeting*{}x", "?".repeat(i % 40))}))).collect(),
    );
    c.bench_function("decide: 5 terminals, 1,000 glob rules that all nearly match", |b| {
        b.iter(|| decide(black_box(&hostile), black_box(&five), black_box(&mail), now));
    });
    c.bench_function("mail facts: fold and sort", |b| b.iter(super_mail));
}

fn super_mail() -> MailFacts {
    black_box(mail())
}

criterion_group!(group, benches);
criterion_main!(group);
