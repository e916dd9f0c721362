//! Rules and conditions.

use super::*;

fn ruled(rules: Value) -> Value {
    json!({"version": 1, "rules": rules, "default": {"push": {"select": [{"kind": "phone"}, "any"]}}})
}

pub(super) fn rules(c: &mut Cases) {
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
