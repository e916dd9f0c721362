//! Explains a decision: `cargo run -p pushpolicy --example explain [POLICY SNAPSHOT MAIL NOW_MS]`, all JSON files.

#![allow(clippy::disallowed_methods, missing_docs)]

use pushpolicy::trace::{Detail, Language};
use pushpolicy::{Limits, MailFacts, Millis, Now, Policy, Snapshot, counterfactual, decide_traced};
use std::error::Error;

const POLICY: &str = r#"{"version":1,"default":{"push":{"select":["nearest","any"],"escalate":[{"after_s":30,"select":["in_use","any"]}]}}}"#;
const SNAPSHOT: &str = r#"{"version":1,"terminals":[
  {"id":"mono","kind":"phone","routes":[{"bearer":"wap_push","address":"+8613800138001","power":"any"}],"evidence":[
    {"boot":1,"seq":1,"received_at":9990000,"reading":{"proximity":{"cm":40}}},
    {"boot":1,"seq":2,"received_at":9990000,"reading":{"attributes":{"colour":false,"media":[]}}}]},
  {"id":"phone","kind":"phone","routes":[{"bearer":"wap_push","address":"+8613800138000","power":"any"}],"evidence":[
    {"boot":7,"seq":3,"received_at":9995000,"reading":{"input":{"age_ms":500}}},
    {"boot":7,"seq":4,"received_at":9995000,"reading":{"attributes":{"colour":true,"media":["image/*"]}}}]}]}"#;
const MAIL: &str = r#"{"folder":"INBOX","from":"eve@example.org","subject":"Holiday","size":90000,"parts":["text/plain","image/jpeg"]}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let (policy, snapshot, mail, now) = match files.as_slice() {
        [policy, snapshot, mail, now] => {
            (std::fs::read(policy)?, std::fs::read(snapshot)?, std::fs::read(mail)?, Millis(now.parse()?))
        }
        _ => (POLICY.into(), SNAPSHOT.into(), MAIL.into(), Millis(10_000_000)),
    };
    let (policy, snapshot) = (Policy::from_json(&policy)?, Snapshot::from_json(&snapshot)?);
    let (mail, now): (MailFacts, Now) = (serde_json::from_slice(&mail)?, Now::at(now));
    let compiled = policy.compile(&Limits::default())?;
    compiled.findings().iter().for_each(|finding| println!("lint: {finding}"));

    let (decision, trace) = decide_traced(&compiled, &snapshot, &mail, now);
    println!("{}", serde_json::to_string_pretty(&decision.view(&compiled, &snapshot))?);
    print!("{}", trace.text(&compiled, &snapshot, Language::English, Detail::Full));
    for t in snapshot.terminals() {
        if let Some(why) = trace.why_not(&snapshot, &t.id, Language::English) {
            let change = counterfactual(&policy, &snapshot, &mail, now, &t.id)?;
            println!("{}: {why}; it would with {}", t.id, serde_json::to_string(&change)?);
        }
    }
    Ok(())
}
