//! Who reaches whom, on which way.

use crate::lab::{LIMIT, Lab, SECOND, Terminal};
use std::time::Instant;

/// The secrets that ana shares.
fn keys(lab: &Lab) -> String {
    let path = lab.path("keys");
    std::fs::write(&path, "ana secret-of-anas\nben secret-of-ben-and-ana\ncarl secret-of-carl-and-ana\n")
        .unwrap();
    let bens = lab.path("bens-keys");
    std::fs::write(&bens, "ana secret-of-ben-and-ana\n").unwrap();
    path.to_str().unwrap().to_owned()
}

/// Ana's three terminals, of which the laptop has a door, and ben's.
fn people(lab: &Lab) -> ([Terminal; 3], Terminal) {
    let keys = keys(lab);
    let door = ["--direct", "127.0.0.1:0", "--direct-keys", &keys];
    let anas =
        [lab.watch("ana", "desk", &[]), lab.watch("ana", "laptop", &door), lab.watch("ana", "phone", &[])];
    let ben = lab.watch("ben", "bens", &[]);
    lab.befriend("ana", "laptop", &["ben"]);
    // The laptop's own copy counts at its door; the server has it when another terminal has.
    let deadline = Instant::now() + LIMIT;
    while !lab.done("ana", "phone", &["group", "list"]).to_string().contains("friends") {
        assert!(Instant::now() < deadline);
        lab.sync("ana", "phone", &["--store", "groups:application/vnd.mailsync.group+xml"]);
        std::thread::sleep(SECOND);
    }
    (anas, ben)
}

// mission: T3, T4, T5
#[test]
fn t5_eight_combinations_of_senders_receivers_and_ways() {
    let lab = Lab::new("", &["ana", "ben"]);
    let (anas, _ben) = people(&lab);
    let door = anas[1].direct.clone();
    let (own_keys, bens_keys) = (lab.path("keys"), lab.path("bens-keys"));
    let mut combinations = 0;
    for (user, device, keys) in [("ana", "desk", &own_keys), ("ben", "bens", &bens_keys)] {
        for named in [false, true] {
            for direct in [false, true] {
                combinations += 1;
                let mut args = vec!["Call mother", "--in", "1h", "--for", "ana"];
                if named {
                    args.extend(["--client", "laptop"]);
                }
                if direct {
                    args.extend(["--direct", &door, "--direct-keys", keys.to_str().unwrap()]);
                }
                let uid = lab.add(user, device, &args);
                let receivers: &[&str] = if named { &["laptop"] } else { &["desk", "laptop", "phone"] };
                for receiver in receivers {
                    let held = lab.until("ana", receiver, &uid, |task| task["state"] == "waits");
                    assert_eq!((&held["from"], &held["for"]), (&user.into(), &"ana".into()), "{held}");
                }
                // Those who are not named get no copy, though all terminals have synced since.
                for other in ["desk", "phone"].iter().filter(|other| !receivers.contains(other)) {
                    let synced = lab.sync(
                        "ana",
                        other,
                        &[
                            "--store",
                            "reminders:application/vnd.mailsync.reminder+xml",
                            "--store",
                            "calendar",
                        ],
                    );
                    assert_eq!(synced.code, 0, "{synced:?}");
                    let held = lab.listed("ana", other, &uid);
                    assert_eq!(held, None, "{user} {named} {direct} {other}");
                }
                if user == "ben" && !direct {
                    let answer = lab.until("ben", "bens", &uid, |task| task["state"] == "waits");
                    assert_eq!(answer["for"], "ana");
                }
            }
        }
    }
    assert_eq!(combinations, 8);
}

// mission: T4, T7
#[test]
fn a_stranger_is_refused_with_an_answer_by_the_server_and_by_the_terminal_itself() {
    let mut lab = Lab::new("", &["ana", "ben", "carl"]);
    let (anas, _ben) = people(&lab);
    let carl = lab.watch("carl", "carls", &[]);
    let uid = lab.add("carl", "carls", &["Open me", "--in", "1h", "--for", "ana"]);
    let answer = lab.until("carl", "carls", &uid, |task| task["state"] != "asked");
    assert_eq!(answer["state"], "refused: sender is in none of the owner's groups");
    drop(carl);
    // A friend with another right.
    let uid = lab.add("ben", "bens", &["Meet", "--in", "1h", "--for", "ana", "--kind", "meeting"]);
    let answer = lab.until("ben", "bens", &uid, |task| task["state"] != "asked");
    assert_eq!(answer["state"], "refused: sender may not set Meeting");
    // To the door, without the server: known, but no friend; then unknown; then with another's words.
    lab.kill();
    let door = anas[1].direct.clone();
    let carls = lab.path("carls-keys");
    std::fs::write(&carls, "ana secret-of-carl-and-ana\n").unwrap();
    let args = ["task", "add", "Open me", "--in", "1h", "--for", "ana", "--direct", &door, "--direct-keys"];
    let refused = lab.verb("carl", "carls", &[&args[..], &[carls.to_str().unwrap()]].concat());
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("refused: sender is in none of the owner's groups"), "{refused:?}");
    anas[1].until("the refusal", |line| line["event"] == "task refused" && line["from"] == "carl");
    std::fs::write(&carls, "ana a-guess-of-mine\n").unwrap();
    let refused = lab.verb("carl", "carls", &[&args[..], &[carls.to_str().unwrap()]].concat());
    assert!(refused.stderr.contains("does not believe who we are"), "{refused:?}");
    // Who is allowed is taken meanwhile, and the server hears of it later.
    let bens = lab.path("bens-keys");
    let args =
        ["Call", "--in", "1h", "--for", "ana", "--direct", &door, "--direct-keys", bens.to_str().unwrap()];
    let uid = lab.add("ben", "bens", &args);
    lab.until("ana", "laptop", &uid, |task| task["state"] == "waits" && task["from"] == "ben");
    lab.start();
    lab.until("ana", "phone", &uid, |task| task["state"] == "waits" && task["from"] == "ben");
}

// mission: T4, T9
#[test]
fn t4_what_was_set_for_another_is_taken_back_and_clients_are_named() {
    let lab = Lab::new("", &["ana", "ben"]);
    let (anas, _ben) = people(&lab);
    let uid = lab.add("ben", "bens", &["Dinner", "--in", "1h", "--for", "ana"]);
    for device in ["desk", "laptop", "phone"] {
        lab.until("ana", device, &uid, |task| task["state"] == "waits");
    }
    // Not by whom it is for, as that is what `done` is for; nor what nobody has set.
    for (user, device, uid) in [("ana", "desk", &*uid), ("ben", "bens", "nothing-of-mine")] {
        let refused = lab.verb(user, device, &["task", "cancel", uid]);
        assert!(refused.code == 1 && refused.stderr.contains("not set for anybody from here"), "{refused:?}");
    }
    lab.done("ben", "bens", &["task", "cancel", &uid]);
    for device in ["desk", "laptop", "phone"] {
        let deadline = Instant::now() + LIMIT;
        while lab.listed("ana", device, &uid).is_some() {
            assert!(Instant::now() < deadline, "{device}: {}", lab.log());
            std::thread::sleep(SECOND / 3);
        }
    }
    assert_eq!(lab.listed("ben", "bens", &uid), None);
    drop(anas);
    // The clients that have said where notices reach them: a task may name them.
    lab.sync("ana", "desk", &["--store", "devices:application/vnd.mailsync.device+xml"]);
    let clients = lab.done("ana", "desk", &["task", "clients"]);
    assert_eq!(clients, serde_json::json!(["desk", "laptop", "phone"]));
}
