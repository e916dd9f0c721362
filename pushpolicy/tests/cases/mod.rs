//! The conformance vectors, written by hand: each says what must come out, and nothing here computes it.

#![allow(dead_code)] // each test binary uses its part

mod attributes;
mod nearest;
mod outcome;
mod presence;
mod reach;
mod rules;
mod worlds;

use serde_json::{Value, json};

/// Milliseconds at which every case is decided, unless it says otherwise.
pub const NOW: u64 = 100_000_000;

/// A terminal: reachable by a free channel while it is on, unless routes are given.
pub struct T {
    json: Value,
    seq: u64,
}

pub fn t(id: &str, kind: &str) -> T {
    T {
        json: json!({"id": id, "kind": kind, "routes": [{"bearer": "channel", "address": id}], "evidence": []}),
        seq: 0,
    }
}

impl T {
    /// Only these routes.
    pub fn via(mut self, routes: Value) -> T {
        self.json["routes"] = routes;
        self
    }
    pub fn standing(mut self, standing: Value) -> T {
        self.json["standing"] = standing;
        self
    }
    /// A report received `age_s` seconds ago; the later in the source, the newer.
    pub fn said(mut self, age_s: u64, reading: Value) -> T {
        self.seq += 1;
        let e = json!({"boot": 1, "seq": self.seq, "received_at": NOW - age_s * 1000, "reading": reading});
        self.json["evidence"].as_array_mut().unwrap().push(e);
        self
    }
    /// The last report has been the same since `age_s` seconds ago.
    pub fn since(mut self, age_s: u64) -> T {
        let last = self.json["evidence"].as_array_mut().unwrap().last_mut().unwrap();
        last["since"] = json!(NOW - age_s * 1000);
        self
    }
    /// The next report comes after `seq` and `boot`.
    pub fn order(mut self, boot: u64, seq: u64) -> T {
        let last = self.json["evidence"].as_array_mut().unwrap().last_mut().unwrap();
        last["boot"] = json!(boot);
        last["seq"] = json!(seq);
        self
    }
    pub fn input(self, age_s: u64) -> T {
        self.said(age_s, json!({"input": {"age_ms": 0}}))
    }
    pub fn present(self, age_s: u64) -> T {
        self.said(age_s, json!({"presence": {"present": true, "sensor": "infrared"}}))
    }
    pub fn nobody(self, age_s: u64) -> T {
        self.said(age_s, json!({"presence": {"present": false}}))
    }
    pub fn power(self, age_s: u64, state: &str) -> T {
        self.said(age_s, json!({ "power": state }))
    }
    pub fn place(self, age_s: u64, place: &str) -> T {
        self.said(age_s, json!({ "place": place }))
    }
    pub fn at(self, age_s: u64, lat_udeg: i64, lon_udeg: i64) -> T {
        self.said(age_s, json!({"location": {"lat_udeg": lat_udeg, "lon_udeg": lon_udeg, "radius_m": 20}}))
    }
    pub fn near(self, age_s: u64, cm: u64) -> T {
        self.said(age_s, json!({"proximity": {"cm": cm}}))
    }
    pub fn shows(self, attributes: Value) -> T {
        self.said(600, json!({ "attributes": attributes }))
    }
}

pub struct Case {
    pub name: String,
    pub missions: Vec<&'static str>,
    pub policy: Value,
    pub terminals: Vec<Value>,
    pub mail: Value,
    pub now: Value,
    pub expect: Value,
}

impl Case {
    pub fn json(&self) -> Value {
        json!({"name": self.name, "missions": self.missions, "policy": self.policy,
               "snapshot": {"version": 1, "terminals": self.terminals}, "mail": self.mail, "now": self.now,
               "expect": self.expect})
    }
}

/// A policy without rules.
pub fn select(select: Value) -> Value {
    push(json!({ "select": select }))
}

pub fn push(push: Value) -> Value {
    json!({"version": 1, "default": {"push": push}})
}

pub fn text() -> Value {
    json!({"folder": "INBOX", "from": "bob@example.org", "subject": "Lunch?", "size": 2000, "parts": ["text/plain"]})
}

pub fn picture() -> Value {
    json!({"folder": "INBOX", "from": "eve@example.org", "subject": "Holiday", "size": 90_000,
           "parts": ["text/plain", "IMAGE/JPEG; name=\"beach.jpg\""]})
}

fn can() -> Value {
    json!({"colour": true, "media": ["image/*"]})
}

fn cannot() -> Value {
    json!({"colour": false, "media": []})
}

/// `"phone"`, `"phone/wap_push@+86138"`, `"desktop/udp@192.0.2.9!wake"`; channel at its id by default.
fn target(s: &str) -> Value {
    let (s, wake) = s.strip_suffix("!wake").map_or((s, false), |s| (s, true));
    let (id, rest) = s.split_once('/').unwrap_or((s, ""));
    let (bearer, address) = rest.split_once('@').unwrap_or(("channel", id));
    json!({"terminal": id, "bearer": bearer, "address": address, "wake": wake})
}

/// `"phone=chosen laptop=not_selected"`.
fn reasons(s: &str) -> Value {
    s.split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .collect::<std::collections::BTreeMap<_, _>>()
        .into_iter()
        .map(|(k, v)| (k.to_owned(), json!(v)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn words(s: &str) -> Vec<&str> {
    s.split_whitespace().collect()
}

fn pushed(to: &str, hints: &str, why: &str) -> Value {
    let targets: Vec<Value> = words(to).into_iter().map(target).collect();
    json!({"outcome": {"push": "full"}, "targets": targets, "hints": words(hints), "escalation": [], "reasons": reasons(why)})
}

fn nobody(reason: &str, then: Value, why: &str) -> Value {
    json!({"outcome": {"no_target": {"reason": reason, "then": then}}, "targets": [], "hints": [], "escalation": [],
           "reasons": reasons(why)})
}

fn with(mut v: Value, key: &str, value: Value) -> Value {
    v[key] = value;
    v
}

struct Cases(Vec<Case>);

impl Cases {
    fn add(
        &mut self,
        mission: &'static str,
        name: &str,
        policy: Value,
        terminals: Vec<T>,
        mail: Value,
        expect: Value,
    ) {
        self.0.push(Case {
            name: name.into(),
            missions: mission.split(' ').collect(),
            policy,
            terminals: terminals.into_iter().map(|t| t.json).collect(),
            mail,
            now: json!({ "at": NOW }),
            expect,
        });
    }
    fn at_local(&mut self, minute_of_week: u64) {
        self.0.last_mut().unwrap().now["local"] = json!(minute_of_week);
    }
}

/// All cases.
pub fn all() -> Vec<Case> {
    let mut c = Cases(Vec::new());
    presence::in_use(&mut c);
    presence::on(&mut c);
    presence::several(&mut c);
    nearest::nearest(&mut c);
    attributes::attributes(&mut c);
    attributes::attributes_alone(&mut c);
    reach::reach(&mut c);
    rules::rules(&mut c);
    outcome::fallback(&mut c);
    outcome::hints_and_escalation(&mut c);
    outcome::doubts(&mut c);
    worlds::four_terminals(&mut c);
    worlds::odd_input(&mut c);
    c.0
}
