//! Whole worlds, and odd input.

use super::*;

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

pub(super) fn four_terminals(c: &mut Cases) {
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

pub(super) fn odd_input(c: &mut Cases) {
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
