//! A naive interpreter of policies, written from the documentation alone: JSON in, JSON out, no shared code with the
//! library, slow and obvious.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The expected decision in the shape of `vectors/README.md`.
pub fn decide(policy: &Value, snapshot: &Value, mail: &Value, now: &Value) -> Value {
    World::new(policy, snapshot, mail, now).decide()
}

type Id = String;

struct World<'a> {
    policy: &'a Value,
    mail: &'a Value,
    now: i128,
    local: Option<u64>,
    tuning: BTreeMap<&'static str, i128>,
    terminals: BTreeMap<Id, &'a Value>,
    reasons: BTreeMap<Id, String>,
    used_reference: bool,
}

fn n(v: &Value) -> i128 {
    v.as_u64().map(i128::from).or_else(|| v.as_i64().map(i128::from)).unwrap_or(0)
}

fn order(e: &Value) -> (i128, i128) {
    (n(&e["boot"]), n(&e["seq"]))
}

impl<'a> World<'a> {
    fn new(policy: &'a Value, snapshot: &'a Value, mail: &'a Value, now: &'a Value) -> World<'a> {
        let mut tuning = BTreeMap::from([
            ("input_half_life_ms", 120_000),
            ("presence_half_life_ms", 180_000),
            ("claim_half_life_ms", 120_000),
            ("in_use_score", 500),
            ("fresh_ms", 300_000),
            ("proximity_ms", 120_000),
            ("power_ms", 900_000),
            ("location_ms", 3_600_000),
            ("max_claim_ms", 1_800_000),
            ("apart_m", 2_000),
        ]);
        for (name, value) in &mut tuning {
            if let Some(set) = policy["tuning"].get(*name) {
                *value = n(set);
            }
        }
        let all = snapshot["terminals"].as_array().unwrap();
        World {
            policy,
            mail,
            now: n(&now["at"]),
            local: now.get("local").and_then(Value::as_u64),
            tuning,
            terminals: all.iter().map(|t| (t["id"].as_str().unwrap().to_owned(), t)).collect(),
            reasons: BTreeMap::new(),
            used_reference: false,
        }
    }

    fn decide(mut self) -> Value {
        let (rule, action) = self.rule();
        let push = match action.as_str() {
            Some("hold") => return self.nobody(rule, "rule_holds", json!("wait")),
            Some("mute") => return self.nobody(rule, "rule_mutes", json!("nothing")),
            _ => action["push"].clone(),
        };
        let ids: Vec<Id> = self.terminals.keys().cloned().collect();
        let mut eligible = BTreeSet::new();
        for id in &ids {
            match self.why_not_eligible(id, &push) {
                Some(reason) => drop(self.reasons.insert(id.clone(), reason.into())),
                None => drop(eligible.insert(id.clone())),
            }
        }
        let retry = self.policy["fallback"].get("retry_s").filter(|v| !v.is_null());
        let then = retry.map_or(json!("wait"), |s| json!({ "retry": s }));
        if eligible.is_empty() {
            let reason = if ids.is_empty() { "no_terminals" } else { "none_eligible" };
            return self.nobody(rule, reason, then);
        }
        let mut capable = BTreeSet::new();
        for id in &eligible {
            match self.why_not_capable(id, &push) {
                Some(reason) => drop(self.reasons.insert(id.clone(), reason.into())),
                None => drop(capable.insert(id.clone())),
            }
        }
        let notice = self.policy["fallback"].get("notice").and_then(Value::as_bool).unwrap_or(true);
        let (from, content) = if !capable.is_empty() {
            (capable, "full")
        } else if notice {
            (eligible.clone(), "notice")
        } else {
            return self.nobody(rule, "none_capable", then);
        };
        let picked = self.select(&push["select"], &push["count"], &from, &push, content == "full", true);
        for id in &from {
            self.reasons.entry(id.clone()).or_insert_with(|| "not_selected".into());
        }
        let Some(first) = picked.first().cloned() else { return self.nobody(rule, "none_selected", then) };
        for id in &picked {
            self.reasons.insert(id.clone(), "chosen".into());
        }
        let mut targets = vec![first.clone()];
        targets.extend(picked.iter().filter(|id| **id != first).cloned().collect::<BTreeSet<_>>());
        let hints: Vec<Id> = eligible
            .iter()
            .filter(|id| !picked.contains(id))
            .filter(|id| self.is_hinted(id, &first, push["hints"].as_str().unwrap_or("all")))
            .cloned()
            .collect();
        if push["hints"] == "nearer_or_in_use" {
            self.used_reference = true;
        }
        let mut left: BTreeSet<Id> = from.iter().filter(|id| !picked.contains(id)).cloned().collect();
        let mut steps = Vec::new();
        for step in push["escalate"].as_array().unwrap_or(&Vec::new()) {
            let next = self.select(&step["select"], &step["count"], &left, &push, content == "full", false);
            left.retain(|id| !next.contains(id));
            if !next.is_empty() {
                let sorted: BTreeSet<_> = next.into_iter().collect();
                steps.push(json!([step["after_s"], sorted]));
            }
        }
        let targets: Vec<Value> = targets.iter().map(|id| self.target(id, &push)).collect();
        self.answer(rule, json!({ "push": content }), targets, hints, steps)
    }

    fn nobody(mut self, rule: Option<String>, reason: &str, then: Value) -> Value {
        for id in self.terminals.keys() {
            self.reasons.entry(id.clone()).or_insert_with(|| reason.into());
        }
        self.answer(rule, json!({"no_target": {"reason": reason, "then": then}}), vec![], vec![], vec![])
    }

    fn answer(
        &self,
        rule: Option<String>,
        outcome: Value,
        targets: Vec<Value>,
        hints: Vec<Id>,
        steps: Vec<Value>,
    ) -> Value {
        let mut all = Map::new();
        all.insert("outcome".into(), outcome);
        if let Some(rule) = rule {
            all.insert("rule".into(), rule.into());
        }
        all.insert("targets".into(), targets.into());
        all.insert("hints".into(), json!(hints));
        all.insert("escalation".into(), steps.into());
        if let Some(reference) = self.reference().filter(|_| self.used_reference) {
            all.insert("reference".into(), reference.into());
        }
        all.insert("reasons".into(), json!(self.reasons));
        all.into()
    }

    // ---- rules ----

    fn rule(&self) -> (Option<String>, Value) {
        let mut rules: Vec<&Value> =
            self.policy["rules"].as_array().map_or(Vec::new(), |r| r.iter().collect());
        rules.sort_by_key(|r| (-r["priority"].as_i64().unwrap_or(0), r["id"].as_str().unwrap().to_owned()));
        for r in rules {
            let clauses = r["when"].as_array().cloned().unwrap_or_default();
            if clauses.iter().all(|c| self.clause(c)) {
                return (Some(r["id"].as_str().unwrap().into()), r["then"].clone());
            }
        }
        (None, self.policy["default"].clone())
    }

    fn clause(&self, clause: &Value) -> bool {
        let (kind, inner) = clause.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "is" => self.condition(inner),
            "any" => inner.as_array().unwrap().iter().any(|c| self.condition(c)),
            "not" => !inner.as_array().unwrap().iter().any(|c| self.condition(c)),
            other => panic!("clause {other}"),
        }
    }

    fn condition(&self, c: &Value) -> bool {
        let in_use = || self.terminals.keys().filter(|id| self.in_use(id));
        match c.as_str() {
            Some("has_picture") => return !self.pictures().is_empty(),
            Some("any_in_use") => return in_use().next().is_some(),
            Some(other) => panic!("condition {other}"),
            None => {}
        }
        let (kind, v) = c.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "folder" | "from" | "subject" => pattern(v, self.mail[kind].as_str().unwrap_or("")),
            "size_over" => n(&self.mail["size"]) > n(v),
            "importance" => self.mail.get("importance").unwrap_or(&json!("normal")) == v,
            "has_media" => self.media().iter().any(|m| covers(v.as_str().unwrap(), m)),
            "kind_in_use" => in_use().any(|id| self.terminals[id]["kind"] == *v),
            "user_at" => in_use().any(|id| self.place(id, true).as_deref() == v.as_str()),
            "local_time" => self.local.is_some_and(|t| in_window(v, t)),
            other => panic!("condition {other}"),
        }
    }

    // ---- evidence ----

    fn newest(&self, id: &str, kind: &str) -> Option<&'a Value> {
        let all = self.terminals[id]["evidence"].as_array()?;
        all.iter().filter(|e| e["reading"].get(kind).is_some()).max_by_key(|e| order(e))
    }

    fn heard(&self, id: &str) -> bool {
        !matches!(self.terminals[id]["standing"].as_str(), Some("blocked" | "unregistered"))
    }

    fn age(&self, at: i128) -> i128 {
        (self.now - at).max(0)
    }

    /// Newest denial of use: its order and when it came.
    fn denial(&self, id: &str) -> Option<((i128, i128), i128)> {
        let denies = |e: &&Value| {
            let r = &e["reading"];
            r["presence"]["present"] == false
                || r["screen"]["on"] == false
                || r["in_use"]["in_use"] == false
                || r["power"] == "off"
                || r["power"] == "sleep"
        };
        ["presence", "screen", "in_use", "power"]
            .iter()
            .filter_map(|k| self.newest(id, k))
            .filter(denies)
            .map(|e| (order(e), n(&e["received_at"])))
            .max()
    }

    fn counts(&self, id: &str, e: &Value) -> bool {
        self.denial(id).is_none_or(|(at, _)| order(e) >= at)
    }

    fn input_at(&self, id: &str) -> Option<i128> {
        self.newest(id, "input").map(|e| (n(&e["received_at"]) - n(&e["reading"]["input"]["age_ms"])).max(0))
    }

    fn stirred_at(&self, id: &str) -> Option<i128> {
        let motion = self
            .newest(id, "motion")
            .map(|e| (n(&e["received_at"]) - n(&e["reading"]["motion"]["age_ms"])).max(0));
        self.input_at(id).max(motion)
    }

    fn fresh_input(&self, id: &str) -> Option<i128> {
        let e = self.newest(id, "input")?;
        (n(&e["reading"]["input"]["age_ms"]) < 300_000 && self.counts(id, e))
            .then(|| self.input_at(id))
            .flatten()
    }

    fn presence(&self, id: &str) -> Option<(i128, i128)> {
        let e = self.newest(id, "presence").filter(|e| e["reading"]["presence"]["present"] == true)?;
        let at = n(&e["received_at"]);
        let since = e.get("since").filter(|s| !s.is_null()).map_or(at, n).min(at);
        self.counts(id, e).then_some((at, since))
    }

    fn claim(&self, id: &str) -> Option<(i128, i128)> {
        let e = self.newest(id, "in_use").filter(|e| e["reading"]["in_use"]["in_use"] == true)?;
        let confidence = e["reading"]["in_use"].get("confidence").map_or(1000, n);
        self.counts(id, e).then_some((n(&e["received_at"]), confidence))
    }

    fn stuck(&self, id: &str) -> bool {
        self.presence(id).is_some_and(|(_, since)| {
            let from = since.max(self.stirred_at(id).unwrap_or(since));
            self.age(from) > self.tuning["max_claim_ms"]
        })
    }

    /// Score by input or claim, and in all.
    fn scores(&self, id: &str) -> (i128, i128) {
        let faded =
            |weight: i128, at: Option<i128>, half: i128| at.map_or(0, |at| decay(weight, self.age(at), half));
        let (input, claim, presence) = (
            self.tuning["input_half_life_ms"],
            self.tuning["claim_half_life_ms"],
            self.tuning["presence_half_life_ms"],
        );
        let claimed = self.claim(id);
        let active = faded(1000, self.fresh_input(id), input)
            + faded(claimed.map_or(0, |c| c.1), claimed.map(|c| c.0), claim);
        let seen = self.presence(id).filter(|_| !self.stuck(id)).map(|p| p.0);
        let lit = self
            .newest(id, "screen")
            .filter(|e| e["reading"]["screen"]["on"] == true && self.counts(id, e))
            .map(|e| n(&e["received_at"]));
        let warm = self
            .newest(id, "body_temp")
            .filter(|e| {
                (2800..=4300).contains(&n(&e["reading"]["body_temp"]["centi_celsius"])) && self.counts(id, e)
            })
            .filter(|_| self.stirred_at(id).is_some_and(|at| self.age(at) <= self.tuning["fresh_ms"]))
            .map(|e| n(&e["received_at"]));
        let all =
            active + faded(800, seen, presence) + faded(200, warm, presence) + faded(100, lit, presence);
        (active, all.min(1000))
    }

    fn in_use(&self, id: &str) -> bool {
        if !self.heard(id) || self.scores(id).1 < self.tuning["in_use_score"] {
            return false;
        }
        self.scores(id).0 >= self.tuning["in_use_score"]
            || !self.terminals.keys().any(|other| self.doubts(other, id))
    }

    fn doubts(&self, other: &str, id: &str) -> bool {
        let (Some((claimed, _)), Some(input)) = (self.presence(id), self.input_at(other)) else {
            return false;
        };
        let (Some(p), Some(q)) = (self.newest(id, "location"), self.newest(other, "location")) else {
            return false;
        };
        let radius = |e: &Value| n(&e["reading"]["location"]["radius_m"]);
        other != id
            && self.heard(other)
            && input > self.stirred_at(id).unwrap_or(0)
            && input + self.tuning["fresh_ms"] >= claimed
            && n(&p["received_at"]) + self.tuning["location_ms"] >= claimed
            && n(&q["received_at"]) + self.tuning["location_ms"] >= input
            && metres(p, q) > self.tuning["apart_m"] + radius(p) + radius(q)
    }

    fn used_at(&self, id: &str) -> i128 {
        let seen = self.presence(id).filter(|_| !self.stuck(id)).map(|p| p.0);
        self.fresh_input(id).max(seen).max(self.claim(id).map(|c| c.0)).unwrap_or(0)
    }

    fn is_on(&self, id: &str) -> Option<bool> {
        let all = self.terminals[id]["evidence"].as_array().cloned().unwrap_or_default();
        let down = self.newest(id, "power").filter(|e| e["reading"]["power"] != "on").map(order);
        let alive = all
            .iter()
            .filter(|e| e["reading"].get("attributes").is_none())
            .filter(|e| self.newest(id, e["reading"].as_object().unwrap().keys().next().unwrap()) == Some(*e))
            .filter(|e| down.is_none_or(|d| order(e) > d))
            .map(|e| n(&e["received_at"]))
            .max();
        match alive {
            None if down.is_some() => Some(false),
            None => None,
            Some(at) => (self.age(at) <= self.tuning["power_ms"]).then_some(true),
        }
    }

    fn place(&self, id: &str, fresh: bool) -> Option<String> {
        let e = self.newest(id, "place")?;
        let ok = !fresh || self.age(n(&e["received_at"])) <= self.tuning["location_ms"];
        ok.then(|| e["reading"]["place"].as_str().unwrap().to_owned())
    }

    // ---- stages ----

    fn route(&self, id: &str, push: &Value) -> Option<&'a Value> {
        let asleep = self.is_on(id) == Some(false);
        let allowed = push["bearers"].as_array().cloned().unwrap_or_default();
        let bearers =
            ["channel", "udp", "http", "web_push", "sip_message", "wap_push", "pap", "mms", "phone_push"];
        let rank = |r: &&Value| {
            let bearer = bearers.iter().position(|b| r["bearer"] == **b).unwrap();
            let power = ["on", "any", "wake"]
                .iter()
                .position(|p| r.get("power").map_or("on", |p| p.as_str().unwrap()) == *p);
            (n(&r["cost"]), bearer, r["address"].as_str().unwrap().to_owned(), power)
        };
        self.terminals[id]["routes"]
            .as_array()?
            .iter()
            .filter(|r| r.get("up").and_then(Value::as_bool).unwrap_or(true))
            .filter(|r| allowed.is_empty() || allowed.contains(&r["bearer"]))
            .filter(|r| !asleep || r.get("power").is_some_and(|p| p != "on"))
            .min_by_key(rank)
    }

    fn target(&self, id: &str, push: &Value) -> Value {
        let route = self.route(id, push).unwrap();
        let wake = self.is_on(id) == Some(false) && route["power"] == "wake";
        json!({"terminal": id, "bearer": route["bearer"], "address": route["address"], "wake": wake})
    }

    fn why_not_eligible(&self, id: &str, push: &Value) -> Option<&'static str> {
        match &self.terminals[id]["standing"] {
            Value::String(s) if s == "unregistered" => return Some("not_registered"),
            Value::String(s) if s == "blocked" => return Some("not_allowed"),
            Value::Object(o) if o.contains_key("muted") => {
                let until = o["muted"].get("until").filter(|u| !u.is_null());
                if until.is_none_or(|u| self.now < n(u)) {
                    return Some("muted");
                }
            }
            _ => {}
        }
        self.route(id, push).is_none().then_some("unreachable")
    }

    fn attributes(&self, id: &str) -> Option<&'a Value> {
        let kinds = self.terminals[id]["evidence"].as_array()?;
        let alone = kinds.iter().all(|e| e["reading"].get("attributes").is_some());
        let beside = self.terminals.keys().any(|other| {
            other != id
                && self.heard(other)
                && self.terminals[other]["evidence"].as_array().is_some_and(|e| !e.is_empty())
        });
        self.newest(id, "attributes").filter(|_| !alone || beside).map(|e| &e["reading"]["attributes"])
    }

    fn media(&self) -> BTreeSet<String> {
        let parts = self.mail["parts"].as_array().cloned().unwrap_or_default();
        parts.iter().filter_map(|p| media_type(p.as_str().unwrap())).collect()
    }

    fn pictures(&self) -> BTreeSet<String> {
        let all: BTreeSet<String> = self.media().into_iter().filter(|m| m.starts_with("image/")).collect();
        if all.len() > 16 { BTreeSet::from(["image/*".to_owned()]) } else { all }
    }

    /// -1 no, 0 unknown, 1 yes.
    fn shows(&self, id: &str) -> i32 {
        self.pictures().iter().map(|p| shows(self.attributes(id), p)).min().unwrap_or(1)
    }

    fn meets(&self, id: &str, push: &Value) -> i32 {
        let a = self.attributes(id);
        let yes = |v: Option<bool>| v.map_or(0, |v| if v { 1 } else { -1 });
        let one = |r: &Value| match r.as_str() {
            Some(flag) => yes(a.and_then(|a| a[flag].as_bool())),
            None if r.get("media").is_some() => shows(a, &media_type(r["media"].as_str().unwrap()).unwrap()),
            None => yes(a
                .and_then(|a| a["screen_width_px"].as_u64())
                .map(|w| w >= r["screen_width"].as_u64().unwrap())),
        };
        push["require"].as_array().map_or(1, |all| all.iter().map(one).min().unwrap_or(1))
    }

    fn why_not_capable(&self, id: &str, push: &Value) -> Option<&'static str> {
        let max = self.attributes(id).and_then(|a| a["max_mail_bytes"].as_u64());
        if max.is_some_and(|max| self.mail["size"].as_u64().unwrap_or(0) > max) {
            return Some("too_large");
        }
        if self.shows(id) < 0 {
            return Some("cannot_show");
        }
        (self.meets(id, push) < 0).then_some("requirement_unmet")
    }

    /// Higher is better.
    fn quality(&self, id: &str, push: &Value, judged: bool) -> i32 {
        if !judged {
            return 0;
        }
        let says = |what: &str| self.attributes(id).is_some_and(|a| a[what] == true);
        let known = self.shows(id) == 1 && self.meets(id, push) == 1;
        let colour = !self.pictures().is_empty() && says("colour");
        let html = self.media().contains("text/html") && says("html");
        4 * i32::from(known) + 2 * i32::from(colour) + i32::from(html)
    }

    fn select(
        &mut self,
        select: &Value,
        count: &Value,
        from: &BTreeSet<Id>,
        push: &Value,
        judged: bool,
        main: bool,
    ) -> Vec<Id> {
        let wanted = match count {
            Value::Object(o) => n(&o["at_least"]) as usize,
            Value::String(s) if s == "all" => usize::MAX,
            _ => 1,
        };
        let mut picked: Vec<Id> = Vec::new();
        for selector in select.as_array().unwrap() {
            let again = selector == "nearest" && wanted != usize::MAX;
            let mut set = self.matching(selector, from, push, judged);
            let mut round = 0;
            while picked.len() < wanted {
                set.retain(|id| !picked.contains(id));
                if again && (round > 0 || !picked.is_empty()) {
                    let left = from.iter().filter(|id| !picked.contains(id)).cloned().collect();
                    set = self.matching(selector, &left, push, judged);
                }
                round += 1;
                let key = |id: &&Id| {
                    let cost = self.route(id, push).map_or(0, |r| n(&r["cost"]));
                    (
                        -self.quality(id, push, judged),
                        -self.input_at(id).filter(|_| self.heard(id)).unwrap_or(0),
                        cost,
                        (*id).clone(),
                    )
                };
                let Some(best) = set.iter().min_by_key(key).cloned() else { break };
                if main {
                    let (q, i, c, _) = key(&&best);
                    let lost: Vec<(Id, &str)> = set
                        .iter()
                        .filter(|id| **id != best)
                        .map(|id| {
                            let (q2, i2, c2, _) = key(&id);
                            let reason = if q2 != q {
                                "lost_capability"
                            } else if i2 != i {
                                "lost_recency"
                            } else if c2 != c {
                                "lost_cost"
                            } else {
                                "lost_id"
                            };
                            (id.clone(), reason)
                        })
                        .collect();
                    for (id, reason) in lost {
                        self.reasons.entry(id).or_insert_with(|| reason.into());
                    }
                }
                picked.push(best);
            }
            if picked.len() >= wanted || (wanted == usize::MAX && !picked.is_empty()) {
                break;
            }
        }
        picked
    }

    fn matching(
        &mut self,
        selector: &Value,
        from: &BTreeSet<Id>,
        push: &Value,
        judged: bool,
    ) -> BTreeSet<Id> {
        if selector == "nearest" {
            self.used_reference = true;
        }
        let this = &*self;
        let kind = |id: &str| &this.terminals[id]["kind"];
        let keep: Box<dyn Fn(&Id) -> bool + '_> = match selector.as_str() {
            Some("any") => Box::new(|_| true),
            Some("in_use") => Box::new(|id| this.in_use(id)),
            Some("capable") => Box::new(|id| judged && this.shows(id) == 1 && this.meets(id, push) == 1),
            Some("nearest") => {
                let least = from.iter().filter_map(|id| this.nearness(id)).min();
                Box::new(move |id| least.is_some() && this.nearness(id) == least)
            }
            Some(other) => panic!("selector {other}"),
            None if selector.get("on").is_some() => {
                Box::new(|id| this.is_on(id) == Some(true) && *kind(id) == selector["on"])
            }
            None if selector.get("kind").is_some() => Box::new(|id| *kind(id) == selector["kind"]),
            None if selector.get("at").is_some() => {
                Box::new(|id| this.place(id, true).as_deref() == selector["at"].as_str())
            }
            None => Box::new(|id| selector["terminal"] == **id),
        };
        from.iter().filter(|id| keep(id)).cloned().collect()
    }

    fn reference(&self) -> Option<Id> {
        let users = self.terminals.keys().filter(|id| self.in_use(id));
        users.min_by_key(|id| (-self.used_at(id), (*id).clone())).cloned()
    }

    fn nearness(&self, id: &str) -> Option<(i32, i128, i128)> {
        if let Some(e) = self.newest(id, "proximity")
            && self.age(n(&e["received_at"])) <= self.tuning["proximity_ms"]
        {
            let p = &e["reading"]["proximity"];
            return Some((0, n(&p["cm"]), n(&p["bound_cm"])));
        }
        let reference = self.reference()?;
        if reference == id {
            return Some((1, 0, 0));
        }
        if self.place(id, true).is_some() && self.place(id, true) == self.place(&reference, false) {
            return Some((2, 0, 0));
        }
        let here = self.newest(id, "location")?;
        let fresh = self.age(n(&here["received_at"])) <= self.tuning["location_ms"];
        let there = self.newest(&reference, "location").filter(|_| fresh)?;
        Some((3, metres(here, there), 0))
    }

    fn is_hinted(&self, id: &str, first: &str, scope: &str) -> bool {
        match scope {
            "all" => true,
            "none" => false,
            "in_use" => self.in_use(id),
            _ => {
                self.in_use(id)
                    || match (self.nearness(id), self.nearness(first)) {
                        (Some(a), Some(b)) => a < b,
                        (a, _) => a.is_some(),
                    }
            }
        }
    }
}

fn decay(weight: i128, age: i128, half: i128) -> i128 {
    let mut whole = weight;
    let mut rest = age;
    while rest >= half {
        whole /= 2;
        rest -= half;
        if whole == 0 {
            return 0;
        }
    }
    whole - whole * rest / (2 * half)
}

fn metres(a: &Value, b: &Value) -> i128 {
    let point = |e: &Value| {
        let l = &e["reading"]["location"];
        let (lat, lon) =
            ((n(&l["lat_udeg"]) as f64 / 1e6).to_radians(), (n(&l["lon_udeg"]) as f64 / 1e6).to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let (p, q) = (point(a), point(b));
    let squared: f64 = p.iter().zip(q).map(|(a, b)| (a - b) * (a - b)).sum();
    (squared.sqrt() * 6_371_009.0) as i128
}

fn media_type(text: &str) -> Option<String> {
    let bare = text.split(';').next()?.trim().to_lowercase();
    let (top, sub) = bare.split_once('/')?;
    let ok = |s: &str| {
        !s.is_empty() && s.chars().all(|c| c.is_ascii_graphic() && !"/()<>@,;:\\\"[]?=%'`{|}~".contains(c))
    };
    (ok(top) && ok(sub) && bare.len() <= 127).then_some(bare)
}

fn covers(range: &str, t: &str) -> bool {
    let range = range.to_lowercase();
    range == t || range == "*/*" || (range.ends_with("/*") && t.starts_with(range.trim_end_matches('*')))
}

fn shows(attributes: Option<&Value>, picture: &str) -> i32 {
    let Some(media) = attributes.and_then(|a| a["media"].as_array()) else { return 0 };
    let ranges: Vec<&str> = media.iter().map(|m| m.as_str().unwrap()).collect();
    if ranges.iter().any(|r| covers(r, picture)) {
        return 1;
    }
    let top = picture.split('/').next().unwrap();
    let some = ranges.iter().any(|r| r.to_lowercase().starts_with(&format!("{top}/")));
    if picture.ends_with("/*") && some { 0 } else { -1 }
}

fn in_window(w: &Value, minute_of_week: u64) -> bool {
    // Every minute of the week that the window covers, one by one.
    let (from, to) = (w["from_minute"].as_u64().unwrap(), w["to_minute"].as_u64().unwrap());
    let length = if from < to { to - from } else { to + 1440 - from };
    (0..7u64)
        .filter(|d| w["days"].as_array().is_none_or(|days| days.is_empty() || days.contains(&json!(d))))
        .any(|d| (0..length).any(|m| (d * 1440 + from + m) % 10_080 == minute_of_week))
}

/// Patterns by dynamic programming over characters.
fn pattern(p: &Value, field: &str) -> bool {
    let (kind, text) = p.as_object().unwrap().iter().next().unwrap();
    let (text, field) = (text.as_str().unwrap().to_lowercase(), field.to_lowercase());
    match kind.as_str() {
        "is" => text == field,
        "keyword" => field.contains(&text),
        _ => {
            let (g, f): (Vec<char>, Vec<char>) = (text.chars().collect(), field.chars().collect());
            let mut can = vec![false; f.len() + 1];
            can[0] = true;
            for c in g {
                let mut next = vec![false; f.len() + 1];
                for i in 0..=f.len() {
                    next[i] = match c {
                        '*' => can[i] || (i > 0 && next[i - 1]),
                        '?' => i > 0 && can[i - 1],
                        c => i > 0 && can[i - 1] && f[i - 1] == c,
                    };
                }
                can = next;
            }
            can[f.len()]
        }
    }
}
