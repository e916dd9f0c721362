//! Reports, policies, decisions and bearers of pushes, under any octets.

use crate::{Broken, Property, Target, ensure};
use pushpolicy::bearer::mm7::{FromCentre, Post, SubmitReq};
use pushpolicy::bearer::pap::Answer;
use pushpolicy::bearer::sip::Message;
use pushpolicy::bearer::wap::{Push, Udh};
use pushpolicy::bearer::{emn, notification, si, sl};
use pushpolicy::dispatch::{PushState, Say, World};
use pushpolicy::{
    Ingest, Limits, MailFacts, Millis, Now, Outcome, Patience, Policy, Record, Report, Snapshot,
    StoredPolicy, Terminal, TerminalId, TerminalKind, decide, decide_traced,
};
use serde::Deserialize;

/// Octets as a report of a terminal.
pub const REPORT: Target = Target {
    name: "report",
    input: "a report of a terminal (JSON)",
    dictionary: None,
    properties: &[
        Property {
            name: "read-or-refused",
            sentence: "any octets are a report, or are refused; what was read is written and read as the same",
            check: report,
        },
        Property {
            name: "once",
            sentence: "a report that was taken changes nothing when it comes again, whenever that is",
            check: once,
        },
        Property {
            name: "cost",
            sentence: "reading takes at no moment more memory than 64 times the input and 64 KiB",
            check: |data| cost(data, || drop(Report::from_json(data, &Limits::default()))),
        },
    ],
};

/// Octets as a policy, or as a stored one.
pub const POLICY: Target = Target {
    name: "policy",
    input: "a policy, or a stored one (JSON)",
    dictionary: None,
    properties: &[
        Property {
            name: "read-or-refused",
            sentence: "any octets are a policy that compiles, or are refused; what was read is written and read as the same",
            check: policy,
        },
        Property {
            name: "follows",
            sentence: "of two writers that saw the same revision only the first is followed",
            check: follows,
        },
        Property {
            name: "cost",
            sentence: "reading takes at no moment more memory than 64 times the input and 1 MiB",
            check: |data| cost(data, || drop(Policy::from_json(data))),
        },
    ],
};

/// A policy, the terminals, a mail and a moment.
pub const DECIDE: Target = Target {
    name: "decide",
    input: "a case: a policy, a snapshot, a mail, a moment (JSON, as the conformance vectors)",
    dictionary: None,
    properties: &[
        Property {
            name: "total",
            sentence: "every case that reads is decided: there is a target, or a reason why not; nobody is target and hinted",
            check: total,
        },
        Property {
            name: "traced",
            sentence: "the decision with a trace is the one without, and its record makes it again, octet for octet",
            check: traced,
        },
        Property {
            name: "plans",
            sentence: "a mail that was decided on is pushed to who was chosen, and to nobody once somebody has seen it",
            check: plans,
        },
    ],
};

/// Octets of a bearer.
pub const BEARER: Target = Target {
    name: "bearer",
    input: "what a bearer carries: a WSP push, SI, SL, EMN, a user data header, SIP, an answer of PAP or MM7",
    dictionary: None,
    properties: &[
        Property {
            name: "read-or-refused",
            sentence: "any octets are read or refused by every format; a push that was read is written and read as the same",
            check: bearer,
        },
        Property {
            name: "cost",
            sentence: "reading takes at no moment more memory than 64 times the input and 1 MiB",
            check: |data| cost(data, || drop(bearer(data))),
        },
    ],
};

#[derive(Deserialize)]
struct Case {
    policy: Policy,
    snapshot: Snapshot,
    mail: MailFacts,
    now: Now,
}

fn broken(error: impl std::fmt::Display) -> Broken {
    Broken(error.to_string())
}

fn cost(data: &[u8], work: impl FnOnce()) -> Result<(), Broken> {
    let used = allocation_counter::measure(work);
    let most = (data.len() as u64).saturating_mul(64).saturating_add(1 << 20);
    ensure!(used.bytes_max <= most, "{} octets of memory for {} of input", used.bytes_max, data.len());
    Ok(())
}

fn report(data: &[u8]) -> Result<(), Broken> {
    let Ok(report) = Report::from_json(data, &Limits::default()) else { return Ok(()) };
    let json = serde_json::to_vec(&report).map_err(broken)?;
    // Escapes may make it longer than what is taken.
    if json.len() <= Limits::default().report_bytes {
        let again = Report::from_json(&json, &Limits::default()).map_err(broken)?;
        ensure!(again == report, "{report:?} came back as {again:?}");
    }
    Ok(())
}

fn once(data: &[u8]) -> Result<(), Broken> {
    let Ok(report) = Report::from_json(data, &Limits::default()) else { return Ok(()) };
    let mut state = PushState::default();
    let mut hear = |at: u64| state.hear(Millis(at), &report.terminal, data, &Limits::default());
    let Ok(Ingest::Taken) = hear(7) else { return Ok(()) };
    let again = hear(u64::MAX).map_err(broken)?;
    ensure!(matches!(again, Ingest::Stale { .. }), "taken twice: {again:?}");
    let terminal = Terminal::new(report.terminal.clone(), TerminalKind::Phone);
    let snapshot = |state: &PushState| state.snapshot(Millis(9), vec![terminal.clone()], &Limits::default());
    let known = snapshot(&state).map_err(broken)?;
    let kept: PushState =
        serde_json::from_slice(&serde_json::to_vec(&state).map_err(broken)?).map_err(broken)?;
    ensure!(snapshot(&kept).map_err(broken)? == known, "what is kept is something else");
    Ok(())
}

fn policy(data: &[u8]) -> Result<(), Broken> {
    let Ok(policy) = Policy::from_json(data) else { return Ok(()) };
    let compiled = policy.compile(&Limits::default()).is_ok();
    let json = serde_json::to_vec(&policy).map_err(broken)?;
    let again = Policy::from_json(&json).map_err(broken)?;
    ensure!(again == policy, "it came back as something else");
    ensure!(again.compile(&Limits::default()).is_ok() == compiled, "it compiles no more, or now");
    Ok(())
}

fn follows(data: &[u8]) -> Result<(), Broken> {
    let limits = Limits::default();
    let Ok(first) = StoredPolicy::accept(None, data, Millis(1), &limits) else { return Ok(()) };
    let kept = serde_json::to_vec(&first).map_err(broken)?;
    ensure!(first.revision == 1, "revision {} follows none", first.revision);
    ensure!(
        StoredPolicy::accept(Some(&kept), data, Millis(2), &limits).is_err(),
        "the second was followed, too"
    );
    Ok(())
}

fn case(data: &[u8]) -> Option<Case> {
    serde_json::from_slice(data).ok()
}

fn total(data: &[u8]) -> Result<(), Broken> {
    let Some(Case { policy, snapshot, mail, now }) = case(data) else { return Ok(()) };
    let Ok(compiled) = policy.compile(&Limits::default()) else { return Ok(()) };
    let decision = decide(&compiled, &snapshot, &mail, now);
    let pushed = matches!(decision.outcome(), Outcome::Push(_));
    ensure!(pushed != decision.targets().is_empty(), "{decision:?}");
    let hinted = decision.hints().iter().any(|one| decision.targets().contains(one));
    ensure!(!hinted, "target and hinted: {decision:?}");
    for one in decision.targets().iter().chain(decision.hints().iter()) {
        ensure!(
            decision.route(&snapshot, one).is_some_and(|(route, _)| route.up),
            "no way to {one}: {decision:?}"
        );
    }
    Ok(())
}

fn traced(data: &[u8]) -> Result<(), Broken> {
    let Some(Case { policy, snapshot, mail, now }) = case(data) else { return Ok(()) };
    let Ok(compiled) = policy.compile(&Limits::default()) else { return Ok(()) };
    let plain = decide(&compiled, &snapshot, &mail, now);
    let (decision, trace) = decide_traced(&compiled, &snapshot, &mail, now);
    ensure!(plain == decision && *trace.decision() == decision, "{plain:?} with a trace is {decision:?}");
    let record = Record::make(3, policy, snapshot, mail, now).map_err(broken)?;
    let json = record.to_json().map_err(broken)?;
    let again = Record::from_json(&json).map_err(broken)?.replay().map_err(broken)?;
    ensure!(again.to_json().map_err(broken)? == json, "the record makes something else");
    Ok(())
}

fn plans(data: &[u8]) -> Result<(), Broken> {
    let Some(Case { policy, snapshot, mail, now }) = case(data) else { return Ok(()) };
    let Ok(compiled) = policy.compile(&Limits::default()) else { return Ok(()) };
    let mut patience = Patience::default();
    patience.wait_ms = 0;
    let mut state = PushState::default();
    state.arrived(now.at, "m");
    let world = World {
        now,
        policy: &policy,
        compiled: &compiled,
        revision: 1,
        snapshot: &snapshot,
        patience: &patience,
    };
    let settled = state.settle::<()>("m", &world, || Ok(mail)).map_err(|()| Broken("no facts".into()))?;
    let record = settled.record.ok_or(Broken("nothing was decided".into()))?;
    let ids: Vec<TerminalId> = snapshot.terminals().iter().map(|terminal| terminal.id.clone()).collect();
    for id in &ids {
        let chosen = record.decision.targets.iter().any(|target| target.terminal == *id);
        let pushed = matches!(state.say("m", 1, id, now.at), Say::Push(_));
        // A step of the escalation may be due at once, at the end of all time any.
        let due = |after: u32| now.at.plus(u64::from(after).saturating_mul(1_000)) == now.at;
        let next = record.decision.escalation.iter().any(|(after, _)| due(*after));
        ensure!(pushed == chosen || next, "{id}: chosen {chosen}, pushed {pushed}");
    }
    state.over("m");
    for id in &ids {
        ensure!(state.say("m", 1, id, now.at) == Say::Nothing, "{id} is told of what is over");
    }
    Ok(())
}

fn bearer(data: &[u8]) -> Result<(), Broken> {
    if let Ok(push) = Push::decode(data)
        && let Ok(written) = push.encode()
    {
        let again = Push::decode(&written).map_err(broken)?;
        ensure!(again == push, "{push:?} came back as {again:?}");
        let carries = notification(&written);
        ensure!(carries.is_none_or(|octets| octets == push.body), "another notification than the body");
    }
    if let Ok(one) = si::ServiceIndication::decode(data)
        && let Ok(written) = one.encode()
    {
        ensure!(
            si::ServiceIndication::decode(&written).map_err(broken)? == one,
            "another indication: {one:?}"
        );
    }
    if let Ok(message) = Message::decode(data) {
        let written = message.to_bytes();
        ensure!(Message::decode(&written).map_err(broken)? == message, "another message: {message:?}");
    }
    let _ = Message::frame(data);
    let _ = (sl::ServiceLoading::decode(data), emn::EmailNotification::decode(data), Udh::split(data));
    let _ = (Answer::decode(data), FromCentre::decode(data));
    let post = Post::new(
        "multipart/related; boundary=b; start=\"<r>\"; type=\"text/xml\"",
        Some("\"\"".into()),
        data,
    );
    let _ = SubmitReq::decode(&post);
    Ok(())
}

/// Writes the seeds: the conformance vectors, a report, policies, and one of each format of a bearer.
///
/// # Errors
/// When a file cannot be read or written.
pub fn seeds(seed: impl Fn(&str, &str, &[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    let vectors = crate::run::folder().join("../pushpolicy/vectors/decide.json");
    let cases: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(vectors)?)?;
    for (number, case) in cases.iter().enumerate().step_by(9) {
        let mut input = serde_json::Map::new();
        for part in ["policy", "snapshot", "mail", "now"] {
            input.insert(part.into(), case[part].clone());
        }
        seed("decide", &format!("vector-{number:03}"), &serde_json::to_vec(&input)?)?;
        seed("policy", &format!("vector-{number:03}"), &serde_json::to_vec(&case["policy"])?)?;
    }
    let stored =
        serde_json::json!({"revision": 1, "writer": "phone", "written_at": 0, "policy": cases[0]["policy"]});
    seed("policy", "stored", &serde_json::to_vec(&stored)?)?;
    seed("policy", "newer", br#"{"version":9,"default":{"beam":{}}}"#)?;
    let stars = format!(
        r#"{{"version":1,"rules":[{{"id":"a","when":[{{"is":{{"subject":{{"glob":"{}b"}}}}}}],"then":"mute"}}],"default":"hold"}}"#,
        "*a".repeat(100)
    );
    seed("policy", "attack-many-stars", stars.as_bytes())?;
    let all = r#"{"terminal":"phone","boot":2,"seq":7,"readings":[{"input":{"age_ms":900}},{"presence":{"present":true,"sensor":"infrared"}},
        {"body_temp":{"centi_celsius":3310}},{"place":"office"},{"location":{"lat_udeg":39904200,"lon_udeg":116407400,"radius_m":30}},
        {"proximity":{"cm":60}},{"power":"on"},{"attributes":{"colour":true,"media":["image/*"]}},{"in_use":{"in_use":true}}]}"#;
    seed("report", "all", all.as_bytes())?;
    for (name, reading) in [
        ("bad-latitude", r#"{"location":{"lat_udeg":91000000,"lon_udeg":0,"radius_m":1}}"#),
        ("bad-temperature", r#"{"body_temp":{"centi_celsius":-30000}}"#),
        ("bad-confidence", r#"{"in_use":{"in_use":true,"confidence":1001}}"#),
        ("old-input", r#"{"input":{"age_ms":18446744073709551615}}"#),
    ] {
        let json = format!(r#"{{"terminal":"t","boot":4294967295,"seq":4294967295,"readings":[{reading}]}}"#);
        seed("report", name, json.as_bytes())?;
    }
    let alert = pushpolicy::bearer::wap::ContentType::DS_ALERT;
    let push = Push::new(1, alert, b"0123456789abcdef\x03\x08".to_vec()).encode().unwrap_or_default();
    seed("bearer", "push", &push)?;
    let si = si::ServiceIndication::new("https://mail.example.com/", "New mail").encode().unwrap_or_default();
    seed("bearer", "si", &si)?;
    let emn = emn::EmailNotification::new("mailat:alice@lab.com").encode().unwrap_or_default();
    seed("bearer", "emn", &emn)?;
    seed("bearer", "sip", b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n")?;
    seed("bearer", "udh", b"\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x07\x02\x01data")?;
    let pap = r#"<?xml version="1.0"?><pap><push-response push-id="a" reply-time="2026-11-22T00:00:00Z"><response-result code="1001" desc="ok"/></push-response></pap>"#;
    seed("bearer", "pap", pap.as_bytes())
}
