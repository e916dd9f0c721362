//! In use, on, several at once.

use super::*;

fn two() -> (T, T) {
    (t("laptop", "laptop"), t("phone", "phone"))
}

pub(super) fn in_use(c: &mut Cases) {
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

pub(super) fn on(c: &mut Cases) {
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

pub(super) fn several(c: &mut Cases) {
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
