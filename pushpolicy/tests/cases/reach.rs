//! Routes, power, standing.

use super::*;

pub(super) fn reach(c: &mut Cases) {
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
    c.add("P6", "equal routes: the one that needs no waking", any(), vec![t("d", "desktop").power(60, "sleep").via(json!([{"bearer": "udp", "address": "1", "power": "wake"}, {"bearer": "udp", "address": "1", "power": "any"}]))],
          text(), pushed("d/udp@1", "", "d=chosen"));
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
