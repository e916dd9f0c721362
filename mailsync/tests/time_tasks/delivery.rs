//! The moment comes: who shows it, when, how often; with terminals and servers that die.

use crate::lab::{LIMIT, Lab, SECOND, millis};
use crate::peers::wait_for;

const QUICK: &str = "lead_seconds = 4\nlease_seconds = 3\nfresh_seconds = 60\ngrace_seconds = 60";

// mission: T3, T6
#[test]
fn t6_one_of_three_shows_it_on_time_reports_and_the_others_are_silent() {
    let lab = Lab::new(QUICK, &["ana"]);
    let names = ["desk", "laptop", "phone"];
    let marks = names.map(|name| lab.path(&format!("{name}-rang")));
    let terminals: Vec<_> = names
        .iter()
        .zip(&marks)
        .map(|(name, mark)| {
            let hook = format!(
                "cat \"$MAILSYNC_TASK_AUDIO\" \"$MAILSYNC_TASK_PICTURE\" > {0}.new && mv {0}.new {0}",
                mark.display()
            );
            lab.watch("ana", name, &["--hook", &hook])
        })
        .collect();
    let (sound, picture) = (lab.path("ring.wav"), lab.path("face.png"));
    std::fs::write(&sound, "ring").unwrap();
    std::fs::write(&picture, "face").unwrap();
    let due = millis() + 14_000;
    let uid = lab.add(
        "ana",
        "desk",
        &[
            "Wake up",
            "--in",
            "14s",
            "--sound",
            sound.to_str().unwrap(),
            "--picture",
            picture.to_str().unwrap(),
        ],
    );
    for name in names {
        lab.until("ana", name, &uid, |task| task["state"] == "waits");
    }
    wait_for("its moment", || millis() > due + 1_000);
    let shown: Vec<usize> = terminals.iter().map(|one| one.shown(&uid, 2 * SECOND)).collect();
    assert_eq!(shown.iter().sum::<usize>(), 1, "{shown:?}\n{}", lab.log());
    wait_for("the hook", || {
        marks.iter().any(|mark| std::fs::read_to_string(mark).is_ok_and(|t| t == "ringface"))
    });
    // It is reported, and the server is done with it.
    wait_for("the report", || lab.log().contains("Executed"));
    let shown: Vec<usize> = terminals.iter().map(|one| one.shown(&uid, 3 * SECOND)).collect();
    assert_eq!(shown.iter().sum::<usize>(), 1, "{shown:?}");
}

// mission: T6
#[test]
fn t6_a_terminal_that_dies_with_the_lease_hands_it_to_the_next() {
    let lab = Lab::new(QUICK, &["ana"]);
    let laptop = lab.watch("ana", "laptop", &["--task-grace", "60"]);
    let phone = lab.watch("ana", "phone", &["--task-grace", "60"]);
    let due = millis() + 16_000;
    let uid = lab.add("ana", "laptop", &["Medicine", "--in", "16s"]);
    for name in ["laptop", "phone"] {
        lab.until("ana", name, &uid, |task| task["state"] == "waits");
    }
    // Whoever it was given to: this one is gone. It was heard last, so that it is likely the one.
    let synced = lab.sync("ana", "phone", &["--store", "reminders:application/vnd.mailsync.reminder+xml"]);
    assert_eq!(synced.code, 0, "{synced:?}");
    phone.process.kill();
    let line = laptop.shows(&uid);
    assert_eq!(line["alone"], false, "{line}");
    let late = millis() - due;
    // due + lead + lease + jitter, and what a busy machine takes for two sessions
    assert!((-200..4_000 + 3_000 + 8_000).contains(&late), "{late} ms late");
    assert_eq!(laptop.shown(&uid, 4 * SECOND), 1);
}

// mission: T6
#[test]
fn a_server_that_is_killed_goes_on_where_it_was() {
    let mut lab = Lab::new(QUICK, &["ana"]);
    let phone = lab.watch("ana", "phone", &["--task-grace", "60"]);
    let uid = lab.add("ana", "phone", &["Tea", "--in", "20s"]);
    let weekly =
        lab.add("ana", "phone", &["Bins", "--at", "2031-01-06T07:00", "--rule", "FREQ=WEEKLY;BYDAY=MO"]);
    wait_for("the server to have both", || {
        let copies = std::fs::read_dir(lab.path("phone").join("reminders")).map_or(0, Iterator::count);
        copies >= 2
    });
    lab.kill();
    lab.start();
    let line = phone.shows(&uid);
    assert_eq!(line["alone"], false, "{line}\n{}", lab.log());
    lab.until("ana", "phone", &weekly, |task| task["state"] == "waits");
    // After the feedback, another crash, and nothing comes twice.
    wait_for("the report", || lab.log().contains("Executed"));
    lab.kill();
    lab.start();
    assert_eq!(phone.shown(&uid, 8 * SECOND), 1);
}

// mission: T3
#[test]
fn without_a_server_what_a_terminal_holds_rings_alone_and_once() {
    let mut lab = Lab::new(QUICK, &["ana"]);
    let phone = lab.watch("ana", "phone", &["--task-grace", "2"]);
    lab.kill();
    let uid = lab.add("ana", "phone", &["Keys", "--in", "3s", "--text", "and the bag\u{7}"]);
    let line = phone.shows(&uid);
    assert_eq!((&line["alone"], &line["text"]), (&true.into(), &"and the bag".into()), "{line}");
    phone.process.kill();
    // Started anew, and still without a server.
    let later = lab.add("ana", "phone", &["Oven", "--in", "4s"]);
    let phone = lab.open("ana", "phone", &["--task-grace", "1"]);
    phone.shows(&later);
    assert_eq!(phone.shown(&uid, 2 * SECOND), 0, "what was shown before is not shown again");
    // The server comes back and hears of it all.
    lab.start();
    wait_for("the reports", || lab.log().matches("Executed").count() >= 1);
}

// mission: T3
#[test]
fn put_off_and_done() {
    let lab = Lab::new(QUICK, &["ana"]);
    let phone = lab.watch("ana", "phone", &["--task-grace", "2"]);
    let laptop = lab.watch("ana", "laptop", &["--task-grace", "60"]);
    let uid = lab.add("ana", "phone", &["Stretch", "--in", "2s", "--client", "phone"]);
    phone.shows(&uid);
    lab.done("ana", "phone", &["task", "snooze", &uid, "--for", "5s"]);
    let again = phone.shows(&uid);
    assert!(again["late_ms"].as_i64().unwrap() < 5_000, "{again}");
    assert_eq!(laptop.shown(&uid, SECOND), 0);
    let other = lab.add("ana", "laptop", &["Bread", "--in", "12s", "--kind", "shopping"]);
    lab.until("ana", "phone", &other, |task| task["state"] == "waits");
    lab.done("ana", "laptop", &["task", "done", &other]);
    let deadline = std::time::Instant::now() + LIMIT;
    while lab.listed("ana", "phone", &other).is_some() {
        assert!(std::time::Instant::now() < deadline, "{}", lab.log());
        std::thread::sleep(SECOND / 3);
    }
    assert_eq!((phone.shown(&other, 12 * SECOND), laptop.shown(&other, SECOND)), (0, 0));
    let refused = lab.verb("ana", "phone", &["task", "snooze", "nothing", "--for", "5s"]);
    assert_eq!(refused.code, 1, "{refused:?}");
}

// mission: T4, P6
#[test]
fn t4_a_terminal_with_an_open_channel_is_there_and_is_woken_over_it() {
    // Nobody counts as there for more than a second after a session.
    let quick = "lead_seconds = 4\nlease_seconds = 3\nfresh_seconds = 1\ngrace_seconds = 60";
    let lab = Lab::new(quick, &["ana"]);
    // No datagram, no callback: the channel is all that there is.
    let phone = lab.watch("ana", "phone", &["--listen", "channel", "--beat", "1", "--task-grace", "600"]);
    wait_for("the channel", || lab.log().contains("channel open"));
    // Set by a terminal that then is gone.
    lab.sync(
        "ana",
        "desk",
        &["--store", "calendar", "--store", "reminders:application/vnd.mailsync.reminder+xml"],
    );
    let due = millis() + 12_000;
    let uid = lab.add("ana", "desk", &["Tea", "--in", "12s"]);
    assert_eq!(lab.sync("ana", "desk", &["--store", "calendar"]).code, 0);
    lab.until("ana", "phone", &uid, |task| task["state"] == "waits");
    let shown = phone.shows(&uid);
    assert_eq!(shown["alone"], false, "the server told it to: {shown}");
    assert!(millis() < due + 10_000, "{} ms late", millis() - due);
    let log = lab.log();
    assert!(log.contains("notification sent") && log.contains("by=\"channel\""), "{log}");
    // It alone was asked, before its moment: nobody else was there.
    assert!(!log.contains("client: ClientId(\"desk\")"), "{log}");
}
