//! What terminals can show; attributes alone.

use super::*;

pub(super) fn attributes(c: &mut Cases) {
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

pub(super) fn attributes_alone(c: &mut Cases) {
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
