//! The conformance vectors, written by hand: each says what must come out, and nothing here computes it.

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
    in_use(&mut c);
    on(&mut c);
    several(&mut c);
    nearest(&mut c);
    attributes(&mut c);
    attributes_alone(&mut c);
    reach(&mut c);
    rules(&mut c);
    fallback(&mut c);
    hints_and_escalation(&mut c);
    doubts(&mut c);
    four_terminals(&mut c);
    odd_input(&mut c);
    c.0
}

fn two() -> (T, T) {
    (t("laptop", "laptop"), t("phone", "phone"))
}

fn in_use(c: &mut Cases) {
    let by_use = || select(json!(["in_use", "any"]));
    let (l, p) = two();
    c.add(
        "P1 P3 P4",
        "in use by input",
        by_use(),
        vec![l, p.input(5)],
        text(),
        pushed("phone", "laptop", "phone=chosen laptop=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1 P3",
        "in use by infrared presence",
        by_use(),
        vec![l.present(5), p],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1 P3",
        "in use as the terminal itself concluded",
        by_use(),
        vec![l.said(5, json!({"in_use": {"in_use": true, "confidence": 900}})), p],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "a weak conclusion of its own is not enough",
        select(json!(["in_use"])),
        vec![l.said(5, json!({"in_use": {"in_use": true, "confidence": 400}})), p],
        text(),
        nobody("none_selected", json!("wait"), "laptop=not_selected phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P3 P4",
        "both in use: most recent input, and exactly one",
        by_use(),
        vec![l.input(40), p.input(5)],
        text(),
        pushed("phone", "laptop", "phone=chosen laptop=lost_recency"),
    );
    let (l, p) = two();
    c.add(
        "P3",
        "input beats a sensor by recency of input",
        by_use(),
        vec![l.present(1), p.input(60)],
        text(),
        pushed("phone", "laptop", "phone=chosen laptop=lost_recency"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "warmth alone proves nothing",
        select(json!(["in_use"])),
        vec![l, p.said(5, json!({"body_temp": {"centi_celsius": 3400}}))],
        text(),
        nobody("none_selected", json!("wait"), "laptop=not_selected phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "warmth beside old input adds to a sensor",
        select(json!(["in_use", "any"])),
        vec![
            l,
            p.input(200)
                .said(200, json!({"presence": {"present": true}}))
                .said(5, json!({"body_temp": {"centi_celsius": 3400}})),
        ],
        text(),
        pushed("phone", "laptop", "phone=chosen laptop=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "a fevered 44 degrees is no body",
        select(json!(["in_use"])),
        vec![
            l,
            p.said(200, json!({"input": {"age_ms": 0}}))
                .said(5, json!({"body_temp": {"centi_celsius": 4400}})),
        ],
        text(),
        nobody("none_selected", json!("wait"), "laptop=not_selected phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "a later denial cancels earlier input",
        select(json!(["in_use", {"kind": "laptop"}])),
        vec![l, p.input(10).nobody(2)],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "input after a denial counts",
        by_use(),
        vec![l, p.nobody(10).input(2)],
        text(),
        pushed("phone", "laptop", "phone=chosen laptop=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "a dark screen denies use",
        select(json!(["in_use", {"kind": "laptop"}])),
        vec![l, p.input(10).said(2, json!({"screen": {"on": false}}))],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "input just two minutes old is still use",
        by_use(),
        vec![l, p.input(120)],
        text(),
        pushed("phone", "laptop", "phone=chosen laptop=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "input older than that is unknown",
        select(json!(["in_use", {"kind": "laptop"}])),
        vec![l, p.input(121)],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "the age inside the report counts too",
        select(json!(["in_use", {"kind": "laptop"}])),
        vec![l, p.said(5, json!({"input": {"age_ms": 117_000}}))],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "presence fades after a little over two minutes",
        select(json!(["in_use", {"kind": "laptop"}])),
        vec![l, p.present(140)],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "of one kind only the newest report counts: seq",
        by_use(),
        vec![l, p.nobody(5).order(1, 7).present(9).order(1, 8)],
        text(),
        pushed("phone", "laptop", "phone=chosen laptop=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "a later boot comes after any seq",
        select(json!(["in_use", {"kind": "laptop"}])),
        vec![l, p.present(5).order(1, 900).nobody(5).order(2, 0)],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P1",
        "nothing reported: any, by id",
        by_use(),
        vec![l, p],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=lost_id"),
    );
}

fn on(c: &mut Cases) {
    let laptop_first = || select(json!([{"on": "laptop"}, {"kind": "phone"}]));
    let (l, p) = two();
    c.add(
        "P3",
        "laptop if on: it is on",
        laptop_first(),
        vec![l.power(60, "on"), p.input(1)],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P3",
        "laptop if on: it is off",
        laptop_first(),
        vec![l.power(60, "off"), p],
        text(),
        pushed("phone", "", "laptop=unreachable phone=chosen"),
    );
    let (l, p) = two();
    c.add(
        "P3",
        "laptop if on: it sleeps",
        laptop_first(),
        vec![l.power(60, "sleep"), p],
        text(),
        pushed("phone", "", "laptop=unreachable phone=chosen"),
    );
    let (l, p) = two();
    c.add(
        "P3",
        "laptop if on: nobody knows",
        laptop_first(),
        vec![l, p],
        text(),
        pushed("phone", "laptop", "laptop=not_selected phone=chosen"),
    );
    let (l, p) = two();
    c.add(
        "P3",
        "laptop if on: any report of the last quarter of an hour says so",
        laptop_first(),
        vec![l.place(890, "home"), p],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P3",
        "laptop if on: last heard too long ago",
        laptop_first(),
        vec![l.power(901, "on"), p],
        text(),
        pushed("phone", "laptop", "laptop=not_selected phone=chosen"),
    );
    let (l, p) = two();
    c.add(
        "P3",
        "laptop if on: heard again after it was off",
        laptop_first(),
        vec![l.power(60, "off").place(5, "home"), p],
        text(),
        pushed("laptop", "phone", "laptop=chosen phone=not_selected"),
    );
    let (l, p) = two();
    c.add(
        "P3",
        "laptop if on: attributes alone do not say that it is on",
        laptop_first(),
        vec![l.shows(can()), p],
        text(),
        pushed("phone", "laptop", "laptop=not_selected phone=chosen"),
    );
    c.add(
        "P3",
        "desktop if on, else laptop if on",
        select(json!([{"on": "desktop"}, {"on": "laptop"}, "any"])),
        vec![t("d", "desktop").power(9, "off"), t("l", "laptop").power(9, "on"), t("p", "phone").input(1)],
        text(),
        pushed("l", "p", "d=unreachable l=chosen p=not_selected"),
    );
    c.add(
        "P3",
        "desktop if on: it is",
        select(json!([{"on": "desktop"}, {"on": "laptop"}, "any"])),
        vec![t("d", "desktop").power(9, "on"), t("l", "laptop").power(9, "on"), t("p", "phone").input(1)],
        text(),
        pushed("d", "l p", "d=chosen l=not_selected p=not_selected"),
    );
    c.add(
        "P3",
        "two laptops on: most recent input",
        select(json!([{"on": "laptop"}])),
        vec![t("a", "laptop").input(400), t("b", "laptop").input(300)],
        text(),
        pushed("b", "a", "a=lost_recency b=chosen"),
    );
}

fn several(c: &mut Cases) {
    let at_least_2 = || push(json!({"select": ["in_use", "any"], "count": {"at_least": 2}}));
    let three = || vec![t("a", "phone").input(60), t("b", "laptop"), t("c", "desktop").input(5)];
    c.add(
        "P3",
        "two at once: both in use",
        at_least_2(),
        three(),
        text(),
        pushed("c a", "b", "a=chosen b=not_selected c=chosen"),
    );
    c.add(
        "P3",
        "two at once: one in use, filled from the next selector",
        at_least_2(),
        vec![t("a", "phone"), t("b", "laptop"), t("c", "desktop").input(5)],
        text(),
        pushed("c a", "b", "a=chosen b=lost_id c=chosen"),
    );
    c.add(
        "P3",
        "two at once: only one left",
        at_least_2(),
        vec![t("a", "phone").standing(json!("blocked")), t("c", "desktop").input(5)],
        text(),
        pushed("c", "", "a=not_allowed c=chosen"),
    );
    c.add(
        "P3",
        "three at once",
        push(json!({"select": ["any"], "count": {"at_least": 3}})),
        three(),
        text(),
        pushed("c a b", "", "a=chosen b=chosen c=chosen"),
    );
    c.add(
        "P3",
        "all at once",
        push(json!({"select": ["any"], "count": "all"})),
        three(),
        text(),
        pushed("c a b", "", "a=chosen b=chosen c=chosen"),
    );
    c.add(
        "P3",
        "all that are in use",
        push(json!({"select": ["in_use"], "count": "all"})),
        three(),
        text(),
        pushed("c a", "b", "a=chosen b=not_selected c=chosen"),
    );
    c.add(
        "P3",
        "all: an empty selector does not stop it",
        push(json!({"select": [{"kind": "watch"}, "any"], "count": "all"})),
        three(),
        text(),
        pushed("c a b", "", "a=chosen b=chosen c=chosen"),
    );
    c.add(
        "P3",
        "two at once by kind, in the order of the selectors",
        push(json!({"select": [{"kind": "desktop"}, {"kind": "laptop"}], "count": {"at_least": 2}})),
        three(),
        text(),
        pushed("c b", "a", "a=not_selected b=chosen c=chosen"),
    );
    c.add(
        "P3",
        "the two nearest",
        push(json!({"select": ["nearest"], "count": {"at_least": 2}})),
        vec![t("a", "phone").near(5, 300), t("b", "laptop").near(5, 100), t("c", "desktop").near(5, 200)],
        text(),
        pushed("b c", "a", "a=not_selected b=chosen c=chosen"),
    );
}

fn nearest(c: &mut Cases) {
    let near = || select(json!(["nearest", "any"]));
    let user = |v: Value, who: &str| with(v, "reference", json!(who));
    c.add(
        "P1 P3 P4",
        "nearest by sensed distance",
        near(),
        vec![t("a", "phone").near(5, 300), t("b", "laptop").near(5, 60)],
        text(),
        pushed("b", "a", "a=not_selected b=chosen"),
    );
    c.add(
        "P3",
        "sensed distance beats use",
        near(),
        vec![t("a", "phone").input(1), t("b", "laptop").near(5, 60)],
        text(),
        user(pushed("b", "a", "a=not_selected b=chosen"), "a"),
    );
    c.add(
        "P3",
        "equal distance: the surer one",
        near(),
        vec![
            t("a", "phone").said(5, json!({"proximity": {"cm": 60, "bound_cm": 50}})),
            t("b", "laptop").said(5, json!({"proximity": {"cm": 60, "bound_cm": 5}})),
        ],
        text(),
        pushed("b", "a", "a=not_selected b=chosen"),
    );
    c.add(
        "P3",
        "a distance sensed two minutes ago counts",
        near(),
        vec![t("a", "phone"), t("b", "laptop").near(120, 60)],
        text(),
        pushed("b", "a", "a=not_selected b=chosen"),
    );
    c.add(
        "P3",
        "an older one does not: nearest unknown, next selector",
        near(),
        vec![t("a", "phone"), t("b", "laptop").near(121, 60)],
        text(),
        pushed("a", "b", "a=chosen b=lost_id"),
    );
    c.add(
        "P3",
        "nearest unknown: nothing is known at all",
        select(json!(["nearest", {"kind": "laptop"}])),
        vec![t("a", "phone"), t("b", "laptop")],
        text(),
        pushed("b", "a", "a=not_selected b=chosen"),
    );
    c.add(
        "P3",
        "nearest unknown and no other selector",
        select(json!(["nearest"])),
        vec![t("a", "phone")],
        text(),
        nobody("none_selected", json!("wait"), "a=not_selected"),
    );
    c.add(
        "P3 P4",
        "nearest without distance: the one in use",
        near(),
        vec![t("a", "phone").place(5, "home"), t("b", "laptop").place(5, "home").input(5)],
        text(),
        user(pushed("b", "a", "a=not_selected b=chosen"), "b"),
    );
    c.add(
        "P1 P3",
        "nearness without coordinates: at the place of the one in use",
        near(),
        vec![
            t("a", "phone").place(60, "home"),
            t("b", "laptop").place(60, "office"),
            t("c", "desktop").place(60, "office").input(5).standing(json!({"muted": {}})),
        ],
        text(),
        user(pushed("b", "a", "a=not_selected b=chosen c=muted"), "c"),
    );
    c.add(
        "P3",
        "two at that place: tie break",
        near(),
        vec![
            t("a", "phone").place(60, "office"),
            t("b", "laptop").place(60, "office").input(900),
            t("c", "desktop").place(60, "office").input(5).standing(json!({"muted": {}})),
        ],
        text(),
        user(pushed("b", "a", "a=lost_recency b=chosen c=muted"), "c"),
    );
    c.add(
        "P1 P3",
        "by coordinates: closest to the one in use",
        near(),
        vec![
            t("a", "phone").at(60, 39_904_200, 116_407_400),
            t("b", "laptop").at(60, 39_990_000, 116_300_000),
            t("c", "desktop").at(60, 39_991_000, 116_301_000).input(5).standing(json!({"muted": {}})),
        ],
        text(),
        user(pushed("b", "a", "a=not_selected b=chosen c=muted"), "c"),
    );
    c.add(
        "P3",
        "over the date line",
        near(),
        vec![
            t("a", "phone").at(60, 0, 179_900_000),
            t("b", "laptop").at(60, 0, -179_990_000),
            t("c", "desktop").at(60, 0, 179_999_000).input(5).standing(json!({"muted": {}})),
        ],
        text(),
        user(pushed("b", "a", "a=not_selected b=chosen c=muted"), "c"),
    );
    c.add(
        "P3",
        "a label beats coordinates",
        near(),
        vec![
            t("a", "phone").at(60, 39_904_200, 116_407_400),
            t("b", "laptop").place(60, "lab"),
            t("c", "desktop")
                .at(60, 39_904_200, 116_407_400)
                .place(60, "lab")
                .input(5)
                .standing(json!({"muted": {}})),
        ],
        text(),
        user(pushed("b", "a", "a=not_selected b=chosen c=muted"), "c"),
    );
    c.add(
        "P3",
        "a place an hour old is forgotten",
        near(),
        vec![
            t("a", "phone"),
            t("b", "laptop").place(3_601, "office"),
            t("c", "desktop").place(60, "office").input(5).standing(json!({"muted": {}})),
        ],
        text(),
        user(pushed("a", "b", "a=chosen b=lost_id c=muted"), "c"),
    );
    c.add(
        "P2 P3",
        "the last known place of the one in use serves, however old",
        near(),
        vec![
            t("a", "phone"),
            t("b", "laptop").place(60, "office"),
            t("c", "desktop").place(9_000, "office").input(5).standing(json!({"muted": {}})),
        ],
        text(),
        user(pushed("b", "a", "a=not_selected b=chosen c=muted"), "c"),
    );
    c.add(
        "P3",
        "two in use: the freshest says where the user is",
        near(),
        vec![
            t("a", "phone").place(60, "home"),
            t("b", "laptop").place(60, "office"),
            t("y", "desktop").place(60, "home").input(90).standing(json!({"muted": {}})),
            t("z", "desktop").place(60, "office").input(5).standing(json!({"muted": {}})),
        ],
        text(),
        user(pushed("b", "a", "a=not_selected b=chosen y=muted z=muted"), "z"),
    );
    c.add(
        "P3",
        "a revoked terminal does not say where the user is",
        near(),
        vec![
            t("a", "phone").place(60, "home"),
            t("b", "laptop").place(60, "office"),
            t("c", "desktop").place(60, "office").input(5).standing(json!("unregistered")),
        ],
        text(),
        pushed("a", "b", "a=chosen b=lost_id c=not_registered"),
    );
    c.add(
        "P3 P4",
        "at a place",
        select(json!([{"at": "office"}, "any"])),
        vec![t("a", "phone").place(60, "home"), t("b", "laptop").place(60, "office")],
        text(),
        pushed("b", "a", "a=not_selected b=chosen"),
    );
    c.add(
        "P3",
        "at a place where nothing is",
        select(json!([{"at": "moon"}, "any"])),
        vec![t("a", "phone").place(60, "home")],
        text(),
        pushed("a", "", "a=chosen"),
    );
}

fn attributes(c: &mut Cases) {
    let any = || select(json!(["any"]));
    c.add(
        "P3",
        "a picture goes to the one that shows it, hints to the others",
        any(),
        vec![t("mono", "phone").input(5).shows(cannot()), t("z", "laptop").place(60, "x").shows(can())],
        picture(),
        pushed("z", "mono", "mono=cannot_show z=chosen"),
    );
    c.add(
        "P3",
        "picture and nearest incapable: the capable one gets it, the nearest a hint",
        push(json!({"select": ["nearest", "any"], "hints": "nearer_or_in_use"})),
        vec![t("mono", "phone").near(5, 20).shows(cannot()), t("z", "laptop").place(60, "x").shows(can())],
        picture(),
        pushed("z", "mono", "mono=cannot_show z=chosen"),
    );
    c.add(
        "P3",
        "text goes to the nearest, colour or not",
        select(json!(["nearest", "any"])),
        vec![t("mono", "phone").near(5, 20).shows(cannot()), t("z", "laptop").place(60, "x").shows(can())],
        text(),
        pushed("mono", "z", "mono=chosen z=not_selected"),
    );
    c.add(
        "P1",
        "not known to show it: stays, ranked lower",
        any(),
        vec![t("a", "phone").input(5), t("z", "laptop").place(60, "x").shows(can())],
        picture(),
        pushed("z", "a", "a=lost_capability z=chosen"),
    );
    c.add(
        "P3",
        "by attribute: only those known to show it",
        select(json!(["capable", "any"])),
        vec![t("a", "phone").input(5), t("z", "laptop").place(60, "x").shows(can())],
        picture(),
        pushed("z", "a", "a=not_selected z=chosen"),
    );
    c.add(
        "P3",
        "by attribute: nobody known, so any",
        select(json!(["capable", "any"])),
        vec![t("a", "phone").input(5), t("z", "laptop").place(60, "x")],
        picture(),
        pushed("a", "z", "a=chosen z=lost_recency"),
    );
    c.add(
        "P3",
        "in use but incapable: not selected even by use",
        select(json!(["in_use", "any"])),
        vec![t("a", "phone").input(5).shows(cannot()), t("z", "laptop").place(60, "x")],
        picture(),
        pushed("z", "a", "a=cannot_show z=chosen"),
    );
    c.add(
        "P1",
        "colour is better for pictures",
        any(),
        vec![
            t("a", "phone").place(60, "x").shows(json!({"colour": false, "media": ["image/*"]})),
            t("z", "laptop").place(60, "x").shows(can()),
        ],
        picture(),
        pushed("z", "a", "a=lost_capability z=chosen"),
    );
    c.add(
        "P1",
        "html is better for html",
        any(),
        vec![
            t("a", "phone").place(60, "x").shows(json!({"html": false})),
            t("z", "laptop").place(60, "x").shows(json!({"html": true})),
        ],
        with(text(), "parts", json!(["text/plain", "text/html"])),
        pushed("z", "a", "a=lost_capability z=chosen"),
    );
    c.add(
        "P1",
        "too large for it",
        any(),
        vec![t("a", "phone").input(5).shows(json!({"max_mail_bytes": 1999})), t("z", "laptop")],
        text(),
        pushed("z", "a", "a=too_large z=chosen"),
    );
    c.add(
        "P1",
        "exactly as large as it takes",
        any(),
        vec![t("a", "phone").input(5).shows(json!({"max_mail_bytes": 2000})), t("z", "laptop")],
        text(),
        pushed("a", "z", "a=chosen z=lost_recency"),
    );
    c.add(
        "P1",
        "two picture types: it must show both",
        any(),
        vec![
            t("a", "phone").input(5).shows(json!({"media": ["image/jpeg"]})),
            t("z", "laptop").place(60, "x").shows(json!({"media": ["image/jpeg", "image/png"]})),
        ],
        with(picture(), "parts", json!(["image/jpeg", "image/png"])),
        pushed("z", "a", "a=cannot_show z=chosen"),
    );
    c.add(
        "P1",
        "a part that says image/*: one that shows some is not known to show it",
        any(),
        vec![
            t("a", "phone").input(5).shows(json!({"media": ["image/gif"]})),
            t("m", "phone").input(5).shows(cannot()),
            t("z", "laptop").place(60, "x").shows(json!({"media": ["image/*"]})),
        ],
        with(picture(), "parts", json!(["image/*"])),
        pushed("z", "a m", "a=lost_capability m=cannot_show z=chosen"),
    );
    c.add(
        "P1",
        "shows everything",
        any(),
        vec![
            t("a", "phone").input(5).shows(cannot()),
            t("z", "laptop").place(60, "x").shows(json!({"media": ["*/*"]})),
        ],
        picture(),
        pushed("z", "a", "a=cannot_show z=chosen"),
    );
    let require = |r: Value| push(json!({"select": ["any"], "require": r}));
    c.add(
        "P3",
        "the policy requires colour",
        require(json!(["colour"])),
        vec![t("a", "phone").input(5).shows(cannot()), t("z", "laptop").place(60, "x").shows(can())],
        text(),
        pushed("z", "a", "a=requirement_unmet z=chosen"),
    );
    c.add(
        "P3",
        "the policy requires a wide screen",
        require(json!([{"screen_width": 800}])),
        vec![
            t("a", "phone").input(5).shows(json!({"screen_width_px": 799})),
            t("z", "laptop").place(60, "x").shows(json!({"screen_width_px": 800})),
        ],
        text(),
        pushed("z", "a", "a=requirement_unmet z=chosen"),
    );
    c.add(
        "P3",
        "the policy requires a type",
        require(json!([{"media": "application/pdf"}, "html"])),
        vec![
            t("a", "phone").input(5).shows(json!({"media": ["image/*"], "html": true})),
            t("z", "laptop").place(60, "x").shows(json!({"media": ["application/pdf"]})),
        ],
        text(),
        pushed("z", "a", "a=requirement_unmet z=chosen"),
    );
    c.add(
        "P1",
        "empty attributes say nothing",
        any(),
        vec![t("a", "phone").input(5).shows(json!({})), t("z", "laptop").place(60, "x")],
        picture(),
        pushed("a", "z", "a=chosen z=lost_recency"),
    );
    c.add(
        "P1",
        "attributes do not grow old",
        any(),
        vec![
            t("a", "phone").input(5),
            t("z", "laptop").place(60, "x").said(90_000, json!({"attributes": can()})),
        ],
        picture(),
        pushed("z", "a", "a=lost_capability z=chosen"),
    );
}

fn attributes_alone(c: &mut Cases) {
    let capable = || select(json!(["capable", "any"]));
    c.add(
        "P1",
        "attributes only, from one terminal: they do not count",
        capable(),
        vec![t("a", "phone"), t("z", "laptop").shows(can())],
        picture(),
        pushed("a", "z", "a=chosen z=lost_id"),
    );
    c.add(
        "P1",
        "attributes only, from one terminal that cannot: they do not count either",
        capable(),
        vec![t("a", "phone").shows(cannot()), t("z", "laptop")],
        picture(),
        pushed("a", "z", "a=chosen z=lost_id"),
    );
    c.add(
        "P1",
        "attributes only, from two terminals: they count",
        capable(),
        vec![t("a", "phone").shows(cannot()), t("z", "laptop").shows(can())],
        picture(),
        pushed("z", "a", "a=cannot_show z=chosen"),
    );
    c.add(
        "P1",
        "attributes only, beside another terminal's place",
        capable(),
        vec![t("a", "phone").place(60, "home"), t("z", "laptop").shows(can())],
        picture(),
        pushed("z", "a", "a=not_selected z=chosen"),
    );
    c.add(
        "P1",
        "attributes beside the same terminal's own input count",
        capable(),
        vec![t("a", "phone"), t("z", "laptop").input(5).shows(can())],
        picture(),
        pushed("z", "a", "a=not_selected z=chosen"),
    );
    c.add(
        "P1",
        "the other report comes from a revoked terminal: it is not heard",
        capable(),
        vec![
            t("a", "phone").input(5).standing(json!("unregistered")),
            t("b", "phone"),
            t("z", "laptop").shows(can()),
        ],
        picture(),
        pushed("b", "z", "a=not_registered b=chosen z=lost_id"),
    );
    c.add(
        "P1",
        "the other report comes from a muted terminal: it is heard",
        capable(),
        vec![
            t("a", "phone").place(5, "home").standing(json!({"muted": {}})),
            t("b", "phone"),
            t("z", "laptop").shows(can()),
        ],
        picture(),
        pushed("z", "b", "a=muted b=not_selected z=chosen"),
    );
    c.add(
        "P1",
        "a single terminal with attributes only gets the mail",
        capable(),
        vec![t("z", "laptop").shows(cannot())],
        picture(),
        pushed("z", "", "z=chosen"),
    );
}

fn reach(c: &mut Cases) {
    let any = || select(json!(["any"]));
    let phone = || t("p", "phone");
    c.add(
        "P4 P6",
        "by WAP push, to its number",
        any(),
        vec![phone().via(json!([{"bearer": "wap_push", "address": "+8613800138000", "power": "any"}]))],
        text(),
        pushed("p/wap_push@+8613800138000", "", "p=chosen"),
    );
    c.add(
        "P6",
        "by phone push",
        any(),
        vec![phone().via(json!([{"bearer": "phone_push", "address": "sip:p@lab.test"}]))],
        text(),
        pushed("p/phone_push@sip:p@lab.test", "", "p=chosen"),
    );
    c.add("P6", "cheapest route", any(),
          vec![phone().via(json!([{"bearer": "wap_push", "address": "+861", "cost": 10}, {"bearer": "udp", "address": "192.0.2.1", "cost": 1}]))],
          text(), pushed("p/udp@192.0.2.1", "", "p=chosen"));
    c.add("P6", "equal cost: the order of bearers", any(),
          vec![phone().via(json!([{"bearer": "mms", "address": "+861"}, {"bearer": "sip_message", "address": "sip:p@x"}, {"bearer": "http", "address": "https://x"}]))],
          text(), pushed("p/http@https://x", "", "p=chosen"));
    c.add("P6", "a broken route is passed over", any(),
          vec![phone().via(json!([{"bearer": "channel", "address": "c", "up": false}, {"bearer": "pap", "address": "+861", "cost": 9}]))],
          text(), pushed("p/pap@+861", "", "p=chosen"));
    c.add(
        "P6",
        "no route",
        any(),
        vec![phone().via(json!([]))],
        text(),
        nobody("none_eligible", json!("wait"), "p=unreachable"),
    );
    c.add("P6", "off, but its own radio card is on", any(),
          vec![t("l", "laptop").power(60, "off").via(json!([{"bearer": "channel", "address": "c"}, {"bearer": "wap_push", "address": "+862", "power": "any", "cost": 5}]))],
          text(), pushed("l/wap_push@+862", "", "l=chosen"));
    c.add(
        "P6",
        "asleep: woken by a magic packet, then by IP push",
        any(),
        vec![
            t("d", "desktop")
                .power(60, "sleep")
                .via(json!([{"bearer": "udp", "address": "192.0.2.9", "power": "wake"}])),
        ],
        text(),
        pushed("d/udp@192.0.2.9!wake", "", "d=chosen"),
    );
    c.add(
        "P6",
        "awake: the same route needs no packet",
        any(),
        vec![
            t("d", "desktop")
                .power(60, "on")
                .via(json!([{"bearer": "udp", "address": "192.0.2.9", "power": "wake"}])),
        ],
        text(),
        pushed("d/udp@192.0.2.9", "", "d=chosen"),
    );
    c.add(
        "P6",
        "off long ago is still off",
        any(),
        vec![t("d", "desktop").power(90_000, "off")],
        text(),
        nobody("none_eligible", json!("wait"), "d=unreachable"),
    );
    c.add("P6", "the push allows only some bearers", push(json!({"select": ["any"], "bearers": ["sip_message"]})),
          vec![phone(), t("q", "phone").via(json!([{"bearer": "channel", "address": "c"}, {"bearer": "sip_message", "address": "sip:q@x", "cost": 7}]))],
          text(), pushed("q/sip_message@sip:q@x", "", "p=unreachable q=chosen"));
    c.add(
        "P6",
        "cheaper to reach, all else equal",
        any(),
        vec![
            t("a", "phone").via(json!([{"bearer": "udp", "address": "1", "cost": 4}])),
            t("b", "phone").via(json!([{"bearer": "udp", "address": "2", "cost": 3}])),
        ],
        text(),
        pushed("b/udp@2", "a", "a=lost_cost b=chosen"),
    );
    c.add(
        "P3",
        "unregistered",
        any(),
        vec![phone().standing(json!("unregistered")).input(1)],
        text(),
        nobody("none_eligible", json!("wait"), "p=not_registered"),
    );
    c.add(
        "P3",
        "blocked",
        any(),
        vec![phone().standing(json!("blocked")), t("z", "phone")],
        text(),
        pushed("z", "", "p=not_allowed z=chosen"),
    );
    c.add(
        "P3",
        "muted until further notice",
        any(),
        vec![phone().standing(json!({"muted": {}})), t("z", "phone")],
        text(),
        pushed("z", "", "p=muted z=chosen"),
    );
    c.add(
        "P3",
        "muted until later",
        any(),
        vec![phone().standing(json!({"muted": {"until": NOW + 1}})), t("z", "phone")],
        text(),
        pushed("z", "", "p=muted z=chosen"),
    );
    c.add(
        "P3",
        "muted until now: it is over",
        any(),
        vec![phone().standing(json!({"muted": {"until": NOW}})), t("z", "phone")],
        text(),
        pushed("p", "z", "p=chosen z=lost_id"),
    );
}

fn ruled(rules: Value) -> Value {
    json!({"version": 1, "rules": rules, "default": {"push": {"select": [{"kind": "phone"}, "any"]}}})
}

fn rules(c: &mut Cases) {
    let world = || vec![t("l", "laptop"), t("p", "phone")];
    let to_laptop = || json!({"push": {"select": [{"kind": "laptop"}]}});
    let hit = |id: &str| with(pushed("l", "p", "l=chosen p=not_selected"), "rule", json!(id));
    let miss = || pushed("p", "l", "l=not_selected p=chosen");
    let mut one = |name: &str, condition: Value, mail: Value, holds: bool| {
        let rules = json!([{"id": "r", "when": [{"is": condition}], "then": to_laptop()}]);
        c.add("P3", name, ruled(rules), world(), mail, if holds { hit("r") } else { miss() });
    };
    one("rule: sender by glob", json!({"from": {"glob": "*@example.org"}}), text(), true);
    one("rule: sender by glob, not this one", json!({"from": {"glob": "*@example.com"}}), text(), false);
    one("rule: subject by keyword, any case", json!({"subject": {"keyword": "LUNCH"}}), text(), true);
    one("rule: subject is", json!({"subject": {"is": "lunch?"}}), text(), true);
    one(
        "rule: a question mark in a glob is one character",
        json!({"subject": {"glob": "lun?h?"}}),
        text(),
        true,
    );
    one("rule: a glob matches the whole field", json!({"subject": {"glob": "lunch"}}), text(), false);
    one("rule: folder", json!({"folder": {"is": "inbox"}}), text(), true);
    one("rule: has a picture", json!("has_picture"), picture(), true);
    one("rule: has no picture", json!("has_picture"), text(), false);
    one("rule: has a type", json!({"has_media": "text/*"}), picture(), true);
    one("rule: larger than", json!({"size_over": 1999}), text(), true);
    one("rule: not larger than", json!({"size_over": 2000}), text(), false);
    one("rule: importance", json!({"importance": "high"}), with(text(), "importance", json!("high")), true);
    one("rule: importance not said is normal", json!({"importance": "normal"}), text(), true);
    one(
        "rule: time of day without a wall clock never holds",
        json!({"local_time": {"from_minute": 0, "to_minute": 1440}}),
        text(),
        false,
    );
    let night = json!([{"id": "night", "when": [{"is": {"local_time": {"days": [4], "from_minute": 1320, "to_minute": 420}}}], "then": to_laptop()}]);
    c.add(
        "P3",
        "rule: Friday night reaches into Saturday",
        ruled(night.clone()),
        world(),
        text(),
        hit("night"),
    );
    c.at_local(5 * 1440 + 419);
    c.add("P3", "rule: Saturday morning at seven is over", ruled(night), world(), text(), miss());
    c.at_local(5 * 1440 + 420);
    let all = json!([{"id": "r", "when": [{"is": "has_picture"}, {"not": [{"from": {"keyword": "eve"}}]}], "then": to_laptop()}]);
    c.add("P3", "rule: all clauses must hold", ruled(all), world(), picture(), miss());
    let any = json!([{"id": "r", "when": [{"any": ["has_picture", {"from": {"keyword": "bob"}}]}], "then": to_laptop()}]);
    c.add("P3", "rule: any of them", ruled(any), world(), text(), hit("r"));
    let order = json!([{"id": "a", "then": {"push": {"select": [{"kind": "phone"}]}}}, {"id": "z", "priority": 5, "then": to_laptop()}]);
    c.add("P3", "rule: higher priority first", ruled(order), world(), text(), hit("z"));
    let order = json!([{"id": "b", "then": {"push": {"select": [{"kind": "phone"}]}}}, {"id": "a", "then": to_laptop()}]);
    c.add(
        "P3",
        "rule: equal priority by id, not by place in the file",
        ruled(order),
        world(),
        text(),
        hit("a"),
    );
    let kind = |k: &str| json!([{"id": "r", "when": [{"is": {"kind_in_use": k}}], "then": to_laptop()}]);
    c.add(
        "P3",
        "rule: a phone is in use",
        ruled(kind("phone")),
        vec![t("l", "laptop"), t("p", "phone").input(5)],
        text(),
        hit("r"),
    );
    c.add(
        "P3",
        "rule: no desktop is in use",
        ruled(kind("desktop")),
        vec![t("l", "laptop"), t("p", "phone").input(5)],
        text(),
        miss(),
    );
    let at = json!([{"id": "r", "when": [{"is": {"user_at": "office"}}], "then": to_laptop()}]);
    c.add(
        "P3",
        "rule: the user is at the office",
        ruled(at.clone()),
        vec![t("l", "laptop"), t("p", "phone").place(9, "office").input(5)],
        text(),
        hit("r"),
    );
    c.add(
        "P3",
        "rule: a phone lies at the office unused",
        ruled(at),
        vec![t("l", "laptop"), t("p", "phone").place(9, "office")],
        text(),
        miss(),
    );
    let idle = json!([{"id": "r", "when": [{"not": ["any_in_use"]}], "then": to_laptop()}]);
    c.add("P3", "rule: nobody is in use", ruled(idle), world(), text(), hit("r"));
    let stop = |then: &str| json!([{"id": "r", "then": then}]);
    c.add(
        "P3",
        "rule: hold",
        ruled(stop("hold")),
        world(),
        text(),
        with(nobody("rule_holds", json!("wait"), "l=rule_holds p=rule_holds"), "rule", json!("r")),
    );
    c.add(
        "P3",
        "rule: mute",
        ruled(stop("mute")),
        world(),
        text(),
        with(nobody("rule_mutes", json!("nothing"), "l=rule_mutes p=rule_mutes"), "rule", json!("r")),
    );
    let gone = json!([{"id": "r", "then": {"push": {"select": [{"terminal": "sold"}, {"terminal": "l"}]}}}]);
    c.add(
        "P3",
        "rule: names a terminal that is gone, then one that is there",
        ruled(gone),
        world(),
        text(),
        hit("r"),
    );
}

fn fallback(c: &mut Cases) {
    let any = |fallback: Value| with(select(json!(["any"])), "fallback", fallback);
    let incapable =
        || vec![t("a", "phone").place(60, "x").shows(cannot()), t("z", "phone").input(5).shows(cannot())];
    let notice = |v: Value| with(v, "outcome", json!({"push": "notice"}));
    c.add(
        "P3",
        "nobody can show it: headers alone",
        any(json!({})),
        incapable(),
        picture(),
        notice(pushed("z", "a", "a=cannot_show z=chosen")),
    );
    c.add(
        "P3",
        "nobody can show it and the policy wants no bare notice",
        any(json!({"notice": false})),
        incapable(),
        picture(),
        nobody("none_capable", json!("wait"), "a=cannot_show z=cannot_show"),
    );
    c.add(
        "P3",
        "the same, asked again later",
        any(json!({"notice": false, "retry_s": 60})),
        incapable(),
        picture(),
        nobody("none_capable", json!({"retry": 60}), "a=cannot_show z=cannot_show"),
    );
    c.add(
        "P3",
        "nobody reachable, asked again later",
        any(json!({"retry_s": 300})),
        vec![t("a", "phone").via(json!([]))],
        text(),
        nobody("none_eligible", json!({"retry": 300}), "a=unreachable"),
    );
    c.add(
        "P3",
        "no terminal at all",
        any(json!({})),
        vec![],
        text(),
        nobody("no_terminals", json!("wait"), ""),
    );
    c.add(
        "P3",
        "the largest mail there can be",
        any(json!({})),
        vec![t("a", "phone").input(5).shows(json!({"max_mail_bytes": 1_000_000}))],
        with(text(), "size", json!(u64::MAX)),
        notice(pushed("a", "", "a=chosen")),
    );
    c.add(
        "P3",
        "headers alone by the same selectors",
        with(select(json!([{"kind": "watch"}, {"kind": "tablet"}])), "fallback", json!({})),
        incapable(),
        picture(),
        nobody("none_selected", json!("wait"), "a=cannot_show z=cannot_show"),
    );
}

fn hints_and_escalation(c: &mut Cases) {
    let scope = |s: &str| push(json!({"select": [{"kind": "laptop"}], "hints": s}));
    let world = || {
        vec![
            t("far", "phone").near(5, 900),
            t("l", "laptop").near(5, 300),
            t("near", "phone").near(5, 50),
            t("used", "desktop").input(5),
        ]
    };
    let why = "far=not_selected l=chosen near=not_selected used=not_selected";
    c.add("P3", "hints to all others", scope("all"), world(), text(), pushed("l", "far near used", why));
    c.add(
        "P3",
        "hints to those nearer or in use",
        scope("nearer_or_in_use"),
        world(),
        text(),
        with(pushed("l", "near used", why), "reference", json!("used")),
    );
    c.add("P3", "hints to those in use", scope("in_use"), world(), text(), pushed("l", "used", why));
    c.add("P3", "no hints", scope("none"), world(), text(), pushed("l", "", why));
    c.add(
        "P3",
        "no hint to a muted one, nor to one out of reach",
        select(json!([{"kind": "laptop"}])),
        vec![
            t("l", "laptop"),
            t("m", "phone").standing(json!({"muted": {}})),
            t("u", "phone").via(json!([])),
        ],
        text(),
        pushed("l", "", "l=chosen m=muted u=unreachable"),
    );
    let steps = |steps: Value| push(json!({"select": ["in_use", "any"], "escalate": steps}));
    let world = || vec![t("d", "desktop"), t("l", "laptop").power(5, "on"), t("p", "phone").input(5)];
    let base = || pushed("p", "d l", "d=not_selected l=not_selected p=chosen");
    c.add(
        "P3",
        "escalation: the next after 30 s",
        steps(json!([{"after_s": 30, "select": [{"on": "laptop"}, "any"]}])),
        world(),
        text(),
        with(base(), "escalation", json!([[30, ["l"]]])),
    );
    c.add("P3", "escalation: step by step, nobody twice",
          steps(json!([{"after_s": 30, "select": [{"on": "laptop"}]}, {"after_s": 60, "select": ["any"]}, {"after_s": 90, "select": ["any"]}])),
          world(), text(), with(base(), "escalation", json!([[30, ["l"]], [60, ["d"]]])));
    c.add(
        "P3",
        "escalation: all the rest at once",
        steps(json!([{"after_s": 30, "select": ["any"], "count": "all"}])),
        world(),
        text(),
        with(base(), "escalation", json!([[30, ["d", "l"]]])),
    );
    c.add("P3", "escalation: a step that picks nobody is left out",
          steps(json!([{"after_s": 30, "select": [{"kind": "watch"}]}, {"after_s": 60, "select": [{"kind": "desktop"}]}])), world(), text(),
          with(base(), "escalation", json!([[60, ["d"]]])));
}

fn doubts(c: &mut Cases) {
    let by_use = || select(json!(["in_use", "any"]));
    c.add(
        "P1",
        "a sensor stuck at present for an hour is not believed",
        by_use(),
        vec![t("a", "phone"), t("z", "laptop").present(5).since(3_600)],
        text(),
        pushed("a", "z", "a=chosen z=lost_id"),
    );
    c.add(
        "P1",
        "the same with motion in between is believed",
        by_use(),
        vec![
            t("a", "phone"),
            t("z", "laptop").said(60, json!({"motion": {"age_ms": 0}})).present(5).since(3_600),
        ],
        text(),
        pushed("z", "a", "a=not_selected z=chosen"),
    );
    c.add(
        "P1",
        "two far apart, both in use: the sensor alone is doubted",
        by_use(),
        vec![
            t("a", "laptop").at(60, 31_230_400, 121_473_700).present(5),
            t("z", "phone").at(60, 39_904_200, 116_407_400).input(5),
        ],
        text(),
        pushed("z", "a", "a=not_selected z=chosen"),
    );
    c.add(
        "P1",
        "the same place: both believed",
        by_use(),
        vec![
            t("a", "laptop").at(60, 39_904_200, 116_407_400).present(5),
            t("z", "phone").at(60, 39_904_200, 116_407_400).input(5),
        ],
        text(),
        pushed("z", "a", "a=lost_recency z=chosen"),
    );
    c.add(
        "P1",
        "doubted and alone: nobody is in use",
        select(json!(["in_use"])),
        vec![
            t("a", "laptop").at(60, 31_230_400, 121_473_700).present(5),
            t("z", "phone").at(60, 39_904_200, 116_407_400).input(130),
        ],
        text(),
        nobody("none_selected", json!("wait"), "a=not_selected z=not_selected"),
    );
    c.add(
        "P1",
        "a revoked terminal far away casts no doubt",
        by_use(),
        vec![
            t("a", "laptop").at(60, 31_230_400, 121_473_700).present(5),
            t("z", "phone").at(60, 39_904_200, 116_407_400).input(5).standing(json!("unregistered")),
        ],
        text(),
        pushed("a", "", "a=chosen z=not_registered"),
    );
}

/// Phone in use, laptop on, desktop off but wakeable, black-and-white phone nearest.
fn four() -> Vec<T> {
    vec![
        t("desktop", "desktop")
            .power(7_200, "off")
            .via(json!([{"bearer": "udp", "address": "192.0.2.9", "power": "wake"}])),
        t("laptop", "laptop").power(60, "on").shows(can()),
        t("mono", "phone")
            .via(json!([{"bearer": "wap_push", "address": "+8613800138001", "power": "any"}]))
            .near(10, 40)
            .shows(cannot()),
        t("phone", "phone")
            .via(json!([{"bearer": "wap_push", "address": "+8613800138000", "power": "any"}]))
            .input(5)
            .shows(can()),
    ]
}

fn four_terminals(c: &mut Cases) {
    let (phone, mono, desktop) =
        ("phone/wap_push@+8613800138000", "mono/wap_push@+8613800138001", "desktop/udp@192.0.2.9!wake");
    c.add(
        "P3 P4",
        "four terminals: in use",
        select(json!(["in_use"])),
        four(),
        text(),
        pushed(
            phone,
            "desktop laptop mono",
            "desktop=not_selected laptop=not_selected mono=not_selected phone=chosen",
        ),
    );
    c.add(
        "P3",
        "four terminals: laptop if on",
        select(json!([{"on": "laptop"}])),
        four(),
        text(),
        pushed(
            "laptop",
            "desktop mono phone",
            "desktop=not_selected laptop=chosen mono=not_selected phone=not_selected",
        ),
    );
    c.add(
        "P3",
        "four terminals: desktop if on",
        select(json!([{"on": "desktop"}, "in_use"])),
        four(),
        text(),
        pushed(
            phone,
            "desktop laptop mono",
            "desktop=not_selected laptop=not_selected mono=not_selected phone=chosen",
        ),
    );
    c.add(
        "P3 P6",
        "four terminals: the desktop, woken",
        select(json!([{"kind": "desktop"}])),
        four(),
        text(),
        pushed(
            desktop,
            "laptop mono phone",
            "desktop=chosen laptop=not_selected mono=not_selected phone=not_selected",
        ),
    );
    c.add(
        "P3",
        "four terminals: two at once",
        push(json!({"select": ["in_use", {"on": "laptop"}], "count": {"at_least": 2}})),
        four(),
        text(),
        pushed(
            &format!("{phone} laptop"),
            "desktop mono",
            "desktop=not_selected laptop=chosen mono=not_selected phone=chosen",
        ),
    );
    c.add(
        "P3 P4",
        "four terminals: nearest, text",
        select(json!(["nearest"])),
        four(),
        text(),
        with(
            pushed(
                mono,
                "desktop laptop phone",
                "desktop=not_selected laptop=not_selected mono=chosen phone=not_selected",
            ),
            "reference",
            json!("phone"),
        ),
    );
    c.add(
        "P3",
        "four terminals: nearest, picture",
        select(json!(["nearest"])),
        four(),
        picture(),
        with(
            pushed(
                phone,
                "desktop laptop mono",
                "desktop=not_selected laptop=not_selected mono=cannot_show phone=chosen",
            ),
            "reference",
            json!("phone"),
        ),
    );
    c.add(
        "P3",
        "four terminals: by attribute, picture",
        select(json!(["capable"])),
        four(),
        picture(),
        pushed(
            phone,
            "desktop laptop mono",
            "desktop=not_selected laptop=lost_recency mono=cannot_show phone=chosen",
        ),
    );
    c.add("P3 P6", "four terminals: the chosen one stays silent",
          push(json!({"select": ["in_use"], "escalate": [{"after_s": 30, "select": [{"on": "laptop"}]}, {"after_s": 120, "select": ["any"], "count": "all"}]})),
          four(), text(),
          with(pushed(phone, "desktop laptop mono", "desktop=not_selected laptop=not_selected mono=not_selected phone=chosen"),
               "escalation", json!([[30, ["laptop"]], [120, ["desktop", "mono"]]])));
}

fn odd_input(c: &mut Cases) {
    let any = || select(json!(["any"]));
    c.add(
        "P1",
        "no parts at all",
        any(),
        vec![t("a", "phone")],
        with(text(), "parts", json!([])),
        pushed("a", "", "a=chosen"),
    );
    let many: Vec<String> = (0..40).map(|i| format!("image/x-{i}")).collect();
    c.add(
        "P1",
        "forty picture types: only image/* is known to show them",
        any(),
        vec![
            t("a", "phone").input(5).shows(json!({"media": many.clone()})),
            t("z", "phone").place(60, "x").shows(can()),
        ],
        with(picture(), "parts", json!(many)),
        pushed("z", "a", "a=lost_capability z=chosen"),
    );
    c.add(
        "P1",
        "types that are none ask nothing",
        any(),
        vec![t("a", "phone").input(5).shows(cannot())],
        with(text(), "parts", json!(["image", "/", "", "image/", "application/x-unknown"])),
        pushed("a", "", "a=chosen"),
    );
    c.add(
        "P1",
        "a clock 30 years ahead: received after now is fresh, no more",
        select(json!(["in_use", "any"])),
        vec![
            t("a", "phone"),
            T {
                json: with(
                    t("z", "phone").json,
                    "evidence",
                    json!([{"boot": 1, "seq": 1,
               "received_at": NOW + 946_080_000_000u64, "reading": {"input": {"age_ms": 0}}}]),
                ),
                seq: 1,
            },
        ],
        text(),
        pushed("z", "a", "a=not_selected z=chosen"),
    );
    c.add(
        "P1",
        "input ages ago",
        select(json!(["in_use", "any"])),
        vec![t("a", "phone"), t("z", "phone").said(5, json!({"input": {"age_ms": u64::MAX}}))],
        text(),
        pushed("a", "z", "a=chosen z=lost_id"),
    );
    c.add(
        "P1",
        "terminals and evidence in any order",
        select(json!(["in_use", "any"])),
        vec![t("z", "phone").input(5), t("a", "phone").nobody(5)],
        text(),
        pushed("z", "a", "a=not_selected z=chosen"),
    );
    let tuned = |tuning: Value| with(select(json!(["in_use", "any"])), "tuning", tuning);
    c.add(
        "P1",
        "tuned: input fades in ten seconds, yet it is the most recent",
        tuned(json!({"input_half_life_ms": 10_000})),
        vec![t("a", "phone"), t("z", "phone").input(11)],
        text(),
        pushed("z", "a", "a=lost_recency z=chosen"),
    );
    c.add(
        "P1",
        "tuned: a weak conclusion is enough",
        tuned(json!({"in_use_score": 300})),
        vec![
            t("a", "phone"),
            t("z", "phone").said(5, json!({"in_use": {"in_use": true, "confidence": 400}})),
        ],
        text(),
        pushed("z", "a", "a=not_selected z=chosen"),
    );
}
