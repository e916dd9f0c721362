//! Nearest, as defined.

use super::*;

pub(super) fn nearest(c: &mut Cases) {
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
