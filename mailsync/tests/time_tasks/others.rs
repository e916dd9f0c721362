//! Time tasks in the hands of a program that nobody here wrote.

use crate::lab::Lab;
use crate::peers::{Mode, Sync, SyncEvolution};

/// The text of the one item.
fn only(items: &std::collections::BTreeMap<String, Vec<u8>>) -> (String, String) {
    assert_eq!(items.len(), 1, "{items:?}");
    let (name, body) = items.iter().next().unwrap();
    (name.clone(), String::from_utf8(body.clone()).unwrap())
}

// mission: T3
#[test]
fn syncevolution_sees_edits_and_completes_a_time_task() {
    let lab = Lab::new("lead_seconds = 4\nlease_seconds = 3\nfresh_seconds = 60", &["ana"]);
    let phone = lab.watch("ana", "phone", &["--task-grace", "60"]);
    let uid = lab.add("ana", "phone", &["Bread", "--in", "1h", "--kind", "shopping"]);
    lab.until("ana", "phone", &uid, |task| task["state"] == "waits");
    let client = SyncEvolution::client(lab.path("syncevolution"));
    let stores = ["todo=./tasks:text/calendar"];
    let with = |mode| {
        let url = lab.url();
        Sync { stores: &stores, user: "ana", password: "secret", mode, ..Sync::with(url) }
    };
    // The phone's own sync may still be under way.
    let deadline = std::time::Instant::now() + crate::lab::LIMIT;
    client.sync(&with(Mode::Slow)).assert_ok();
    while client.items("todo").is_empty() {
        assert!(std::time::Instant::now() < deadline);
        client.sync(&with(Mode::TwoWay)).assert_ok();
    }
    let (name, text) = only(&client.items("todo"));
    assert!(text.contains("SUMMARY:Bread"), "{text}");
    // Edited there, it is the next version here.
    client.put("todo", &name, text.replace("SUMMARY:Bread", "SUMMARY:Rye bread"));
    client.sync(&with(Mode::TwoWay)).assert_ok();
    let edited = lab.until("ana", "phone", &uid, |task| task["summary"] == "Rye bread");
    assert_eq!((edited["sequence"].as_u64(), edited["state"].as_str()), (Some(1), Some("waits")), "{edited}");
    // Completed there, nobody is reminded here.
    let (name, text) = only(&client.items("todo"));
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("STATUS"))
        .map(|line| match line.trim_end() {
            "END:VTODO" => "STATUS:COMPLETED\r\nPERCENT-COMPLETE:100\r\nEND:VTODO\r\n".to_owned(),
            line => format!("{line}\r\n"),
        })
        .collect();
    client.put("todo", &name, text);
    client.sync(&with(Mode::TwoWay)).assert_ok();
    let deadline = std::time::Instant::now() + crate::lab::LIMIT;
    while lab.listed("ana", "phone", &uid).is_some() {
        assert!(std::time::Instant::now() < deadline, "{}", lab.log());
        std::thread::sleep(crate::lab::SECOND / 3);
    }
    drop(phone);
}
