//! Fall-back, hints, escalation, doubts.

use super::*;

pub(super) fn fallback(c: &mut Cases) {
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

pub(super) fn hints_and_escalation(c: &mut Cases) {
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

pub(super) fn doubts(c: &mut Cases) {
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
