//! Registration, and other names to log in by.

use crate::lab::{LIMIT, Lab};
use crate::peers::{Finished, run};
use serde_json::Value;

fn register(lab: &Lab, args: &[&str]) -> Finished {
    let mut command = lab.mailsync();
    run(command.args(["register", "--server", lab.url()]).args(args), LIMIT)
}

fn sync(lab: &Lab, folder: &str, user: &str, password: &str, more: &[&str]) -> Finished {
    let mut command = lab.mailsync();
    command.env("MAILSYNC_PASSWORD", password);
    command.args([
        "sync",
        "--store",
        "notes:text/plain",
        "--server",
        lab.url(),
        "--user",
        user,
        "--device",
        folder,
    ]);
    run(command.arg("--dir").arg(lab.path(folder)).args(more), LIMIT)
}

// mission: T9
#[test]
fn t9_a_client_registers_itself_where_the_operator_allows_it() {
    let lab = Lab::new("", &["ana"]);
    let refused = register(&lab, &["--user", "dora"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("404"), "{refused:?}");

    let lab = Lab::new("[register]\nopen = true\nper_hour = 4", &["ana"]);
    let imei = "490154203237518";
    let given = register(&lab, &["--user", "dora", "--alias", imei, "--alias", "+8613800138000"]);
    assert_eq!(given.code, 0, "{given:?}");
    let given: Value = serde_json::from_str(&given.stdout).unwrap();
    let password = given["password"].as_str().unwrap();
    assert_eq!((given["user"].as_str(), password.len()), (Some("dora"), 16), "{given}");
    // By name, by IMEI, by number, it is the same user; in both ways of logging in.
    std::fs::create_dir_all(lab.path("one").join("notes")).unwrap();
    std::fs::write(lab.path("one").join("notes").join("n1"), "milk").unwrap();
    let done = sync(&lab, "one", "dora", password, &[]);
    assert_eq!(done.code, 0, "{done:?}");
    for (folder, name, auth) in
        [("two", imei, "md5"), ("three", "+8613800138000", "basic"), ("four", imei, "basic")]
    {
        let done = sync(&lab, folder, name, password, &["--auth", auth]);
        assert_eq!(done.code, 0, "{name} {auth}: {done:?}");
        let notes = std::fs::read_dir(lab.path(folder).join("notes")).unwrap().count();
        assert_eq!(notes, 1, "{name} {auth}");
        let wrong = sync(&lab, folder, name, "wrong", &["--auth", auth]);
        assert_eq!(wrong.code, 1, "{wrong:?}");
    }
    // What is taken, what is no name, and too many in an hour.
    for (args, words) in [
        (&["--user", "dora"][..], "409"),
        (&["--user", "emil", "--alias", imei], "409"),
        (&["--user", "a:b"], "400"),
    ] {
        let refused = register(&lab, args);
        assert!(refused.code == 1 && refused.stderr.contains(words), "{args:?}: {refused:?}");
    }
    assert!(register(&lab, &[]).stderr.contains("429"));
    // Nothing is left of who was refused.
    let users = lab.daemon(&["user", "list"]);
    assert!(!users.stdout.contains("emil"), "{users:?}");
}

// mission: T9
#[test]
fn t9_a_number_logs_in_where_each_message_is_proved() {
    let lab = Lab::before("", "auth = \"hmac\"\n", &["ana"]);
    let number = "+8613800138000";
    assert_eq!(lab.daemon(&["user", "alias", "ana", number]).code, 0);
    for (folder, name) in [("phone", number), ("desk", "ana"), ("phone", number)] {
        let done = sync(&lab, folder, name, "secret", &["--auth", "hmac"]);
        assert_eq!(done.code, 0, "{name}: {done:?}");
        let wrong = sync(&lab, folder, name, "wrong", &["--auth", "hmac"]);
        assert_eq!(wrong.code, 1, "{name}: {wrong:?}");
    }
}

// mission: T9
#[test]
fn t9_the_operator_gives_and_takes_other_names() {
    let lab = Lab::new("", &["ana", "ben"]);
    let number = "+8613800138000";
    assert_eq!(sync(&lab, "phone", number, "secret", &[]).code, 1);
    assert_eq!(lab.daemon(&["user", "alias", "ana", number]).code, 0);
    assert_eq!(sync(&lab, "phone", number, "secret", &[]).code, 0);
    assert_ne!(lab.daemon(&["user", "alias", "ben", number]).code, 0, "one name, one person");
    assert_ne!(lab.daemon(&["user", "alias", "ana", "ben"]).code, 0, "a name is no number");
    assert_eq!(lab.daemon(&["user", "alias", "ana", number, "--remove"]).code, 0);
    assert_eq!(sync(&lab, "phone", number, "secret", &[]).code, 1);
}
