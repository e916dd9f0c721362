//! Tasks on a terminal whose clock is wrong and stays so.

use crate::lab::{Lab, millis};

// mission: T8
#[test]
fn t8_on_a_clock_of_its_own_it_rings_at_the_true_moment_and_a_moment_set_there_is_corrected_once() {
    let lab = Lab::new("lead_seconds = 4\nlease_seconds = 3\nfresh_seconds = 60", &["ana"]);
    let dm = lab.url().replace("/syncml", "/dm");
    let wrong = ["--clock-offset", "600", "--zone", "UTC"];
    let time = |verb: &str| {
        let args = [&["time", verb, "--server", &dm][..], &wrong].concat();
        lab.done("ana", "phone", &args)
    };
    let measured = time("status");
    let off = measured["deviation_ns"].as_i64().unwrap();
    assert!((off - 600_000_000_000).abs() < 5_000_000_000, "{measured}");
    assert_eq!(measured["asked"], true, "{measured}");
    assert_eq!(time("refuse")["custom"], true);
    let phone = lab.watch("ana", "phone", &[&wrong[..], &["--task-grace", "60"]].concat());
    // Its person reads the wrong clock: ten minutes and a few seconds from now by the true one.
    let due = millis() / 1_000 + 12;
    let shown = civil_of(due + 600);
    let uid = lab.add("ana", "phone", &[&["Tea", "--at", &shown][..], &wrong].concat());
    let listed = lab.listed_with("ana", "phone", &uid, &wrong).unwrap();
    assert!((listed["due_ms"].as_i64().unwrap() - due * 1_000).abs() < 2_000, "{listed} {due}");
    let line = phone.shows(&uid);
    let late = millis() - due * 1_000;
    assert!((-2_000..6_000).contains(&late), "{late} ms late: {line}");
}

/// Seconds since 1970 as a civil time in UTC.
fn civil_of(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400);
    let rest = seconds.rem_euclid(86_400);
    // Civil from days, after the well-known reckoning in eras of 400 years.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", rest / 3_600, rest % 3_600 / 60, rest % 60)
}
