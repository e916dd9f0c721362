//! Properties of decisions over random worlds: the invariants P1 to P12 of the design, by number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod common;

use proptest::prelude::*;
use pushpolicy::{
    Handled, Limits, MailFacts, Millis, Now, Policy, Progress, Reason, Record, Snapshot, TerminalId, decide,
    decide_traced,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NOW: u64 = 100_000_000;

fn reading() -> impl Strategy<Value = Value> {
    let media =
        prop::sample::subsequence(vec!["image/*", "image/jpeg", "image/gif", "*/*", "text/html"], 0..3);
    let attributes =
        (any::<Option<bool>>(), any::<Option<bool>>(), prop::option::of(media), prop::option::of(1u64..4000))
            .prop_map(|(colour, html, media, max)| {
                let mut a = json!({});
                if let Some(v) = colour {
                    a["colour"] = json!(v);
                }
                if let Some(v) = html {
                    a["html"] = json!(v);
                }
                if let Some(v) = media {
                    a["media"] = json!(v);
                }
                if let Some(v) = max {
                    a["max_mail_bytes"] = json!(v);
                }
                json!({ "attributes": a })
            });
    // A grid whose points are equal or far apart, so that one metre of rounding decides nothing.
    let location = (0i64..3, 0i64..3).prop_map(
        |(a, b)| json!({"location": {"lat_udeg": a * 300_000, "lon_udeg": b * 700_000, "radius_m": 20}}),
    );
    prop_oneof![
        3 => (0u64..500_000).prop_map(|ms| json!({"input": {"age_ms": ms}})),
        3 => any::<bool>().prop_map(|p| json!({"presence": {"present": p}})),
        1 => (2000i32..5000).prop_map(|c| json!({"body_temp": {"centi_celsius": c}})),
        1 => (0u64..400_000).prop_map(|ms| json!({"motion": {"age_ms": ms}})),
        1 => any::<bool>().prop_map(|on| json!({"screen": {"on": on}})),
        2 => prop::sample::select(vec!["on", "sleep", "off"]).prop_map(|p| json!({ "power": p })),
        2 => prop::sample::select(vec!["home", "office"]).prop_map(|p| json!({ "place": p })),
        2 => location,
        2 => (0u32..4, 0u32..2).prop_map(|(cm, b)| json!({"proximity": {"cm": cm * 100, "bound_cm": b}})),
        3 => attributes,
        1 => (any::<bool>(), 0u16..=1000).prop_map(|(u, c)| json!({"in_use": {"in_use": u, "confidence": c}})),
    ]
}

fn evidence() -> impl Strategy<Value = Vec<Value>> {
    let one =
        (1u32..3, prop_oneof![0u64..200, 0u64..5_000], prop::option::weighted(0.2, 0u64..4_000), reading());
    prop::collection::vec(one, 0..6).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(seq, (boot, age_s, since, reading))| {
                let mut e =
                    json!({"boot": boot, "seq": seq, "received_at": NOW - age_s * 1000, "reading": reading});
                if let Some(s) = since {
                    e["since"] = json!(NOW - s * 1000);
                }
                e
            })
            .collect()
    })
}

fn route() -> impl Strategy<Value = Value> {
    let bearer = prop::sample::select(vec!["channel", "udp", "wap_push", "sip_message", "mms"]);
    let power = prop::sample::select(vec!["on", "any", "wake"]);
    (bearer, power, prop::bool::weighted(0.9), 0u16..3)
        .prop_map(|(b, p, up, cost)| json!({"bearer": b, "address": b, "power": p, "up": up, "cost": cost}))
}

fn terminal(id: usize) -> impl Strategy<Value = Value> {
    let standing = prop_oneof![
        8 => Just(json!("active")),
        1 => Just(json!("blocked")),
        1 => Just(json!("unregistered")),
        1 => Just(json!({"muted": {}})),
        1 => (NOW - 5..NOW + 5).prop_map(|u| json!({"muted": {"until": u}})),
    ];
    let kind = prop::sample::select(vec!["phone", "laptop", "desktop"]);
    (kind, standing, prop::collection::vec(route(), 0..4), evidence()).prop_map(move |(kind, standing, routes, evidence)| {
        json!({"id": format!("t{id}"), "kind": kind, "standing": standing, "routes": routes, "evidence": evidence})
    })
}

fn terminals() -> impl Strategy<Value = Vec<Value>> {
    (0usize..6).prop_flat_map(|n| (0..n).map(terminal).collect::<Vec<_>>())
}

fn selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(json!("in_use")),
        3 => Just(json!("nearest")),
        2 => Just(json!("any")),
        1 => Just(json!("capable")),
        1 => Just(json!({"on": "laptop"})),
        1 => Just(json!({"kind": "phone"})),
        1 => Just(json!({"at": "home"})),
        1 => Just(json!({"terminal": "t1"})),
    ]
}

fn push() -> impl Strategy<Value = Value> {
    let count =
        prop_oneof![3 => Just(json!("one")), 1 => Just(json!({"at_least": 2})), 1 => Just(json!("all"))];
    let hints = prop::sample::select(vec!["all", "nearer_or_in_use", "in_use", "none"]);
    let require =
        prop::sample::subsequence(vec![json!("colour"), json!("html"), json!({"media": "image/gif"})], 0..2);
    let bearers = prop::option::weighted(0.2, Just(json!(["channel", "wap_push"])));
    let steps = prop::collection::vec(prop::collection::vec(selector(), 1..3), 0..3);
    (prop::collection::vec(selector(), 1..4), count, hints, require, bearers, steps).prop_map(
        |(select, count, hints, require, bearers, steps)| {
            let mut p = json!({"select": select, "count": count, "hints": hints, "require": require});
            if let Some(b) = bearers {
                p["bearers"] = b;
            }
            let steps: Vec<Value> = steps
                .into_iter()
                .enumerate()
                .map(|(i, s)| json!({"after_s": 30 * (i + 1), "select": s}))
                .collect();
            p["escalate"] = json!(steps);
            p
        },
    )
}

fn condition() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("has_picture")),
        Just(json!("any_in_use")),
        Just(json!({"kind_in_use": "phone"})),
        Just(json!({"user_at": "home"})),
        Just(json!({"importance": "high"})),
        (0u64..4_000).prop_map(|n| json!({"size_over": n})),
        "[ab*?]{0,6}".prop_map(|g| json!({"subject": {"glob": g}})),
        "[ab]{1,4}".prop_map(|k| json!({"subject": {"keyword": k}})),
        "[ab]{0,3}".prop_map(|k| json!({"from": {"is": k}})),
        (0u16..1440, 0u16..=1440)
            .prop_map(|(f, t)| json!({"local_time": {"days": [2], "from_minute": f, "to_minute": t}})),
    ]
}

fn policy() -> impl Strategy<Value = Value> {
    let clause = prop_oneof![
        condition().prop_map(|c| json!({ "is": c })),
        prop::collection::vec(condition(), 1..3).prop_map(|c| json!({ "any": c })),
        prop::collection::vec(condition(), 0..3).prop_map(|c| json!({ "not": c })),
    ];
    let then = prop_oneof![6 => push().prop_map(|p| json!({ "push": p })), 1 => Just(json!("hold")), 1 => Just(json!("mute"))];
    let rules = prop::collection::vec((0i32..2, prop::collection::vec(clause, 0..3), then), 0..4);
    (rules, push(), any::<bool>(), any::<Option<u8>>()).prop_map(|(rules, push, notice, retry)| {
        let rules: Vec<Value> = rules
            .into_iter()
            .enumerate()
            .map(|(i, (priority, when, then))| json!({"id": format!("r{i}"), "priority": priority, "when": when, "then": then}))
            .collect();
        let mut p = json!({"version": 1, "rules": rules, "default": {"push": push}, "fallback": {"notice": notice}});
        if let Some(s) = retry {
            p["fallback"]["retry_s"] = json!(s);
        }
        p
    })
}

fn mail() -> impl Strategy<Value = Value> {
    let part =
        prop::sample::select(vec!["text/plain", "text/html", "IMAGE/jpeg", "image/gif", "image/*", "x"]);
    ("[abAB]{0,8}", "[ab]{0,3}", 0u64..5_000, prop::collection::vec(part, 0..4), any::<bool>()).prop_map(
        |(subject, from, size, parts, high)| {
            json!({"subject": subject, "from": from, "size": size, "parts": parts, "importance": if high { "high" } else { "low" }})
        },
    )
}

fn now() -> impl Strategy<Value = Value> {
    prop::option::of(0u16..10_080)
        .prop_map(|local| local.map_or(json!({ "at": NOW }), |l| json!({"at": NOW, "local": l})))
}

struct World {
    policy: Policy,
    snapshot: Snapshot,
    mail: MailFacts,
}

fn snapshot(terminals: &[Value]) -> Snapshot {
    Snapshot::from_json(json!({"version": 1, "terminals": terminals}).to_string().as_bytes()).unwrap()
}

fn world(policy: &Value, terminals: &[Value], mail: &Value) -> World {
    World {
        policy: Policy::from_json(policy.to_string().as_bytes()).unwrap(),
        snapshot: snapshot(terminals),
        mail: serde_json::from_value(mail.clone()).unwrap(),
    }
}

fn at(ms: u64) -> Now {
    Now::at(Millis(ms))
}

fn names(w: &World, set: pushpolicy::TerminalSet) -> BTreeSet<TerminalId> {
    set.iter().map(|i| w.snapshot.terminals()[usize::from(i)].id.clone()).collect()
}

fn in_use_policy() -> Value {
    json!({"version": 1, "default": {"push": {"select": ["in_use", "any"]}}})
}

proptest! {
    #[test]
    fn p1_order_of_terminals_rules_routes_and_evidence_means_nothing(
        policy in policy(), terminals in terminals(), mail in mail(), now in now()
    ) {
        let before = common::compiled(&policy, &json!({"version": 1, "terminals": terminals}), &mail, &now);
        let (mut policy, mut terminals) = (policy, terminals);
        policy["rules"].as_array_mut().unwrap().reverse();
        terminals.reverse();
        for t in &mut terminals {
            t["routes"].as_array_mut().unwrap().reverse();
            t["evidence"].as_array_mut().unwrap().reverse();
        }
        let after = common::compiled(&policy, &json!({"version": 1, "terminals": terminals}), &mail, &now);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn p2_targets_pass_every_filter_and_others_have_one_reason(policy in policy(), terminals in terminals(), mail in mail()) {
        let w = world(&policy, &terminals, &mail);
        let compiled = w.policy.compile(&Limits::default()).unwrap();
        let (decision, trace) = decide_traced(&compiled, &w.snapshot, &w.mail, at(NOW));
        let hard = [Reason::NotRegistered, Reason::NotAllowed, Reason::Muted, Reason::Unreachable];
        let soft = [Reason::CannotShow, Reason::TooLarge, Reason::RequirementUnmet];
        let full = matches!(decision.outcome(), pushpolicy::Outcome::Push(pushpolicy::Content::Full));
        for i in 0..u8::try_from(terminals.len()).unwrap() {
            let (_, reason) = trace.verdict(i).unwrap();
            prop_assert_eq!(reason == Reason::Chosen, decision.targets().contains(i));
            if decision.targets().contains(i) {
                prop_assert!(trace.why_not(&w.snapshot, &w.snapshot.terminals()[usize::from(i)].id, Default::default()).is_none());
                prop_assert!(decision.route(&w.snapshot, i).is_some());
                if full {
                    let met: Vec<_> = trace.entries().iter().filter(|e| e.terminal == Some(i)).map(|e| e.reason).collect();
                    prop_assert!(!met.iter().any(|r| hard.contains(r) || soft.contains(r)), "{:?}", met);
                }
            }
            if decision.hints().contains(i) {
                prop_assert!(!hard.contains(&reason) && !decision.targets().contains(i));
            }
        }
    }

    #[test]
    fn p3_a_fresh_capable_terminal_in_use_gets_it(terminals in terminals(), mail in mail()) {
        let w = world(&in_use_policy(), &terminals, &mail);
        let compiled = w.policy.compile(&Limits::default()).unwrap();
        let (decision, trace) = decide_traced(&compiled, &w.snapshot, &w.mail, at(NOW));
        let last_about_use = |i: u8| {
            let about = [Reason::InUse, Reason::NotInUse, Reason::UseUnknown, Reason::SensorStuck, Reason::SensorDoubted];
            trace.entries().iter().rev().find(|e| e.terminal == Some(i) && about.contains(&e.reason)).map(|e| e.reason)
        };
        let capable: BTreeSet<u8> = trace.entries().iter()
            .filter(|e| matches!(e.reason, Reason::Capable | Reason::CapabilityUnknown)).filter_map(|e| e.terminal).collect();
        let candidates: Vec<u8> = capable.into_iter().filter(|i| last_about_use(*i) == Some(Reason::InUse)).collect();
        if !candidates.is_empty() {
            prop_assert!(candidates.contains(&decision.first().unwrap()));
            prop_assert_eq!(decision.targets().len(), 1);
        }
    }

    #[test]
    fn p4_who_is_neither_chosen_nor_told_nor_asked_does_not_matter(policy in policy(), terminals in terminals(), mail in mail()) {
        let w = world(&policy, &terminals, &mail);
        let compiled = w.policy.compile(&Limits::default()).unwrap();
        let decision = decide(&compiled, &w.snapshot, &w.mail, at(NOW));
        // A hint that the policy narrows away is one that was weighed: only those out of the running are removed.
        let (_, trace) = decide_traced(&compiled, &w.snapshot, &w.mail, at(NOW));
        for i in 0..u8::try_from(terminals.len()).unwrap() {
            let step = decision.escalation().any(|s| s.targets.contains(i));
            if decision.targets().contains(i) || decision.hints().contains(i) || decision.witnesses().contains(i) || step {
                continue;
            }
            let id = w.snapshot.terminals()[usize::from(i)].id.clone();
            let rest: Vec<Value> = terminals.iter().filter(|t| t["id"] != id.as_str()).cloned().collect();
            let without = world(&policy, &rest, &mail);
            let after = decide(&compiled, &without.snapshot, &without.mail, at(NOW));
            if !matches!(decision.outcome(), pushpolicy::Outcome::NoTarget { .. }) {
                prop_assert_eq!(names(&w, decision.targets()), names(&without, after.targets()),
                    "without {:?} ({:?})", id, trace.verdict(i));
            }
        }
    }

    #[test]
    fn p5_improving_the_chosen_keeps_it_chosen(push in push(), terminals in terminals(), mail in mail(), how in 0usize..4) {
        let policy = json!({"version": 1, "default": {"push": push}});
        let w = world(&policy, &terminals, &mail);
        let compiled = w.policy.compile(&Limits::default()).unwrap();
        let decision = decide(&compiled, &w.snapshot, &w.mail, at(NOW));
        let Some(first) = decision.first() else { return Ok(()) };
        let id = w.snapshot.terminals()[usize::from(first)].id.clone();
        // Attributes alone count only beside another report (mission: P1), so a terminal's first report other than
        // attributes changes what may be known of others and of itself. That is no improvement of it alone.
        if !w.snapshot.terminals()[usize::from(first)].evidence.iter().any(|e| e.reading.kind() != "attributes") {
            return Ok(());
        }
        let mut better = terminals.clone();
        let t = better.iter_mut().find(|t| t["id"] == id.as_str()).unwrap();
        let report = |reading: Value| json!({"boot": 99, "seq": 0, "received_at": NOW, "reading": reading});
        match how {
            0 => t["evidence"].as_array_mut().unwrap().push(report(json!({"input": {"age_ms": 0}}))),
            1 => t["evidence"].as_array_mut().unwrap().push(report(json!({"proximity": {"cm": 0}}))),
            2 => t["routes"].as_array_mut().unwrap().iter_mut().for_each(|r| r["cost"] = json!(0)),
            _ => t["evidence"].as_array_mut().unwrap().push(report(json!({"attributes":
                {"colour": true, "html": true, "media": ["*/*"], "screen_width_px": 9999}}))),
        }
        let after = world(&policy, &better, &mail);
        let decision = decide(&compiled, &after.snapshot, &after.mail, at(NOW));
        prop_assert!(names(&after, decision.targets()).contains(&id), "{how}");
    }

    #[test]
    fn p6_older_reports_change_nothing_and_replays_are_idempotent(
        orders in prop::collection::vec((0u32..3, 0u32..6, any::<bool>()), 1..20)
    ) {
        use pushpolicy::{Ingest, Ledger, Order, Reading, Report, Sensor};
        let mut ledger = Ledger::new(0);
        let mut last = None;
        for (i, (boot, seq, present)) in orders.into_iter().enumerate() {
            let now = Millis(40_000 * i as u64);
            let order = Order { boot, seq };
            let report = Report::new(TerminalId::new("t").unwrap(), order, vec![Reading::Presence { present, sensor: Sensor::Infrared }]);
            let before = ledger.clone();
            let got = ledger.ingest(now, &report, &Limits::default()).unwrap();
            if last.is_some_and(|l| order <= l) {
                prop_assert_eq!(got, Ingest::Stale { last: last.unwrap() });
                prop_assert_eq!(&ledger, &before);
            } else {
                prop_assert_eq!(got, Ingest::Taken);
                last = Some(order);
                let taken = ledger.clone();
                prop_assert_eq!(ledger.ingest(now, &report, &Limits::default()).unwrap(), Ingest::Stale { last: order });
                prop_assert_eq!(&ledger, &taken);
            }
        }
    }

    #[test]
    fn p7_without_reports_use_only_fades(terminals in terminals(), steps in prop::collection::vec(0u64..400_000, 1..12)) {
        let w = world(&in_use_policy(), &terminals, &json!({}));
        let compiled = w.policy.compile(&Limits::default()).unwrap();
        let mut in_use: Option<BTreeSet<u8>> = None;
        let mut now = NOW;
        for step in steps {
            now += step;
            let (_, trace) = decide_traced(&compiled, &w.snapshot, &w.mail, at(now));
            let doubted: BTreeSet<u8> =
                trace.entries().iter().filter(|e| e.reason == Reason::SensorDoubted).filter_map(|e| e.terminal).collect();
            let is: BTreeSet<u8> = trace.entries().iter().filter(|e| e.reason == Reason::InUse)
                .filter_map(|e| e.terminal).filter(|i| !doubted.contains(i)).collect();
            if let Some(was) = &in_use {
                prop_assert!(is.is_subset(was), "{is:?} after {was:?}");
            }
            in_use = Some(is);
        }
        let (_, trace) = decide_traced(&compiled, &w.snapshot, &w.mail, at(now + 90_000_000));
        prop_assert!(trace.entries().iter().all(|e| !matches!(e.reason, Reason::InUse | Reason::NotInUse)));
    }

    #[test]
    fn p8_there_is_always_a_target_or_a_reason(policy in policy(), terminals in terminals(), mail in mail(), now in any::<u64>()) {
        let w = world(&policy, &terminals, &mail);
        let compiled = w.policy.compile(&Limits::default()).unwrap();
        let decision = decide(&compiled, &w.snapshot, &w.mail, at(now));
        match decision.outcome() {
            pushpolicy::Outcome::Push(_) => prop_assert!(!decision.targets().is_empty()),
            pushpolicy::Outcome::NoTarget { reason, .. } => {
                prop_assert!(decision.targets().is_empty() && decision.hints().is_empty());
                prop_assert!((700..800).contains(&reason.code()));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn p9_a_record_replays_byte_for_byte(policy in policy(), terminals in terminals(), mail in mail()) {
        let w = world(&policy, &terminals, &mail);
        let record = Record::make(7, w.policy, w.snapshot, w.mail, at(NOW)).unwrap();
        let bytes = record.to_json().unwrap();
        let read = Record::from_json(&bytes).unwrap();
        prop_assert_eq!(read.replay().unwrap().to_json().unwrap(), bytes);
    }

    #[test]
    fn p10_joins_commute_associate_and_are_idempotent(parts in prop::collection::vec((0u8..8, 0u8..8, 0u8..8, 0u8..16), 3)) {
        let set = |bits: u8| (0..3).filter(|i| bits >> i & 1 == 1).map(|i| TerminalId::new(format!("t{i}")).unwrap()).collect();
        let all: Vec<Handled> = parts.iter().map(|(p, h, on, flags)| {
            let mut x = Handled::new();
            (x.pushed, x.hinted, x.handled_on) = (set(*p), set(*h), set(*on));
            (x.seen, x.answered, x.forwarded, x.deleted) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0, flags & 8 > 0);
            x
        }).collect();
        let (a, b, c) = (&all[0], &all[1], &all[2]);
        prop_assert_eq!(a.join(b), b.join(a));
        prop_assert_eq!(a.join(b).join(c), a.join(&b.join(c)));
        prop_assert_eq!(&a.join(a), a);
        prop_assert!(a.join(b).progress() >= a.progress().max(b.progress()));
        let after = a.join(b);
        for hint in a.cancel_hints(&after) {
            prop_assert!(!after.handled_on.contains(&hint.terminal) && hint.because >= Progress::Seen);
        }
    }

    #[test]
    fn p11_a_picture_passes_the_nearest_incapable_by_and_hints_there(mut others in terminals(), hints in prop::sample::select(vec!["all", "nearer_or_in_use"])) {
        others.retain(|t| !["t0", "t1"].contains(&t["id"].as_str().unwrap()));
        let routes = json!([{"bearer": "channel", "address": "c", "power": "any"}]);
        let report = |reading: Value| json!({"boot": 9, "seq": 9, "received_at": NOW, "reading": reading});
        others.push(json!({"id": "t0", "kind": "phone", "routes": routes,
            "evidence": [report(json!({"proximity": {"cm": 0}})), report(json!({"attributes": {"media": []}}))]}));
        others.push(json!({"id": "t1", "kind": "tablet", "routes": routes,
            "evidence": [report(json!({"input": {"age_ms": 0}})), report(json!({"attributes": {"colour": true, "media": ["image/*"]}}))]}));
        let policy = json!({"version": 1, "default": {"push": {"select": ["nearest", "any"], "hints": hints, "require": [{"media": "image/jpeg"}]}}});
        let w = world(&policy, &others, &json!({"parts": ["image/jpeg"]}));
        let compiled = w.policy.compile(&Limits::default()).unwrap();
        let decision = decide(&compiled, &w.snapshot, &w.mail, at(NOW));
        let nearest = TerminalId::new("t0").unwrap();
        prop_assert!(!names(&w, decision.targets()).contains(&nearest));
        prop_assert!(!decision.targets().is_empty());
        let first_is_as_near = w.snapshot.terminals()[usize::from(decision.first().unwrap())].evidence.iter()
            .any(|e| matches!(e.reading, pushpolicy::Reading::Proximity { cm: 0, bound_cm: 0 }));
        prop_assert!(names(&w, decision.hints()).contains(&nearest) || first_is_as_near);
    }

    #[test]
    fn p12_the_compiled_policy_equals_the_naive_interpreter(
        policy in policy(), terminals in terminals(), mail in mail(), now in now()
    ) {
        let snapshot = json!({"version": 1, "terminals": terminals});
        prop_assert_eq!(
            common::compiled(&policy, &snapshot, &mail, &now),
            common::naive::decide(&policy, &snapshot, &mail, &now)
        );
    }
}
