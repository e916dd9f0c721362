//! Friend groups: equal on both sides, changed by their owner, never by a client that knows no levels.

use crate::lab::{Lab, SECOND};
use crate::peers::wait_for;

const GROUPS: &str = "groups:application/vnd.mailsync.group+xml";

// mission: T7
#[test]
fn groups_are_equal_everywhere_and_a_client_without_levels_changes_none() {
    let lab = Lab::new("", &["ana"]);
    lab.befriend("ana", "phone", &["ben", "carl"]);
    for device in ["phone", "old"] {
        let synced = lab.sync("ana", device, &["--store", GROUPS]);
        assert_eq!(synced.code, 0, "{synced:?}");
    }
    let groups = |device: &str| lab.done("ana", device, &["group", "list"]);
    assert_eq!(groups("phone"), groups("old"));
    // A client that knows names and members only writes what it knows: carl out, mallory in.
    let folder = lab.path("old").join("groups");
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "<Group><Name>friends</Name><Member>ben</Member><Member>mallory</Member></Group>")
        .unwrap();
    for device in ["old", "phone", "old"] {
        let synced = lab.sync("ana", device, &["--store", GROUPS]);
        assert_eq!(synced.code, 0, "{synced:?}");
    }
    let now = groups("phone");
    assert_eq!(now, groups("old"), "equal on both sides");
    let group = &now.as_array().unwrap()[0];
    assert_eq!((group["level"].as_u64(), &group["may"]), (Some(5), &serde_json::json!(["alarm"])), "{now}");
    assert_eq!(group["members"], serde_json::json!(["ben"]), "who comes in unseen gains no right");
    // Another client of the owner's that knows levels may.
    lab.done("ana", "old", &["group", "set", "friends", "--add", "mallory", "--level", "2"]);
    for device in ["old", "phone"] {
        lab.sync("ana", device, &["--store", GROUPS]);
    }
    assert_eq!(groups("phone").as_array().unwrap()[0]["members"], serde_json::json!(["ben", "mallory"]));
    // Nobody is their own friend; there is no level 12.
    assert_eq!(lab.verb("ana", "old", &["group", "set", "friends", "--add", "ana"]).code, 1);
    assert_eq!(lab.verb("ana", "old", &["group", "set", "friends", "--level", "12"]).code, 2);
    std::fs::write(&file, "<Group><Name>friends</Name><Level>99</Level></Group>").unwrap();
    lab.sync("ana", "old", &["--store", GROUPS]);
    assert_eq!(groups("phone").as_array().unwrap()[0]["level"], 2);
}

// mission: T7
#[test]
fn t16_who_is_dropped_before_the_moment_is_refused_at_the_moment() {
    let lab = Lab::new("lead_seconds = 4\nlease_seconds = 3\nfresh_seconds = 60", &["ana", "ben"]);
    let phone = lab.watch("ana", "phone", &["--task-grace", "60"]);
    let _ben = lab.watch("ben", "bens", &[]);
    lab.befriend("ana", "phone", &["ben"]);
    wait_for("the server to know the group", || {
        lab.sync("ana", "other", &["--store", GROUPS]);
        lab.done("ana", "other", &["group", "list"]).to_string().contains("ben")
    });
    let uid = lab.add("ben", "bens", &["Boo", "--in", "18s", "--for", "ana"]);
    lab.until("ana", "phone", &uid, |task| task["state"] == "waits");
    lab.until("ben", "bens", &uid, |task| task["state"] == "waits");
    lab.done("ana", "phone", &["group", "set", "friends", "--remove", "ben"]);
    let answer = lab.until("ben", "bens", &uid, |task| task["state"] != "waits");
    assert_eq!(answer["state"], "refused: sender is in none of the owner's groups");
    assert_eq!(phone.shown(&uid, 8 * SECOND), 0);
}
