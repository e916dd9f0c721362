//! Limits of content, numbers and rules.

use crate::world::*;

#[test]
fn threat_tasks_content_over_every_limit() {
    let limits = TaskLimits::default();
    let me = setter("anna", "phone");
    let good = task_for_anna(&me, 600);
    assert_eq!(limits.check(&good), Ok(()));
    let extra = |kind, media_type: &str, size| Extra {
        kind,
        media_type: media_type.into(),
        data: ExtraData::Inline(vec![7; size]),
    };
    let too_large = |what, value, limit| Err(TaskRefusal::TooLarge { what, value, limit });
    let with = |change: &dyn Fn(&mut Task)| {
        let mut task = good.clone();
        change(&mut task);
        limits.check(&task)
    };
    assert_eq!(with(&|t| t.summary = "x".repeat(1025)), too_large("summary", 1025, 1024));
    assert_eq!(with(&|t| t.text = "x".repeat(8193)), too_large("text", 8193, 8192));
    assert_eq!(
        with(&|t| t.extras = vec![extra(ExtraKind::Audio, "audio/midi", 1); 5]),
        too_large("extras", 5, 4)
    );
    let large = extra(ExtraKind::Audio, "audio/midi", 262_145);
    assert_eq!(with(&|t| t.extras = vec![large.clone()]), too_large("extra octets", 262_145, 262_144));
    assert_eq!(with(&|t| t.targets = Targets::Clients(vec![client("a"); 33])), too_large("targets", 33, 32));
    assert_eq!(with(&|t| t.targets = Targets::Clients(vec![])), Err(TaskRefusal::NoTarget));
    // A silent ring tone, a picture that can run, a task inside a task.
    for (kind, media_type, size) in [
        (ExtraKind::Audio, "audio/midi", 0),
        (ExtraKind::Picture, "image/svg+xml", 10),
        (ExtraKind::Text, "text/html", 10),
        (ExtraKind::Text, "text/calendar", 10),
        (ExtraKind::Animation, "application/x-shockwave-flash", 10),
        (ExtraKind::Audio, "image/png", 10),
    ] {
        let bad = extra(kind, media_type, size);
        assert_eq!(with(&|t| t.extras = vec![bad.clone()]), Err(TaskRefusal::BadExtra { kind, size }));
    }
    for name in ["", "a\nb", &"x".repeat(256)] {
        assert_eq!(UserId::new(name), Err(TaskRefusal::BadName { len: name.len() }));
    }
}

#[test]
fn threat_tasks_floods_are_bounded_per_friend_and_per_owner() {
    let world = World::new();
    let mut config = TaskConfig::default();
    (config.limits.per_friend, config.limits.per_owner) = (2, 3);
    let mut server = TaskServer::new(config);
    server.register(&user("anna"), &client("phone"));
    server.set_groups(family(&["ben"], &[Kind::Alarm]));
    let ben = setter("ben", "ben-phone");
    let me = setter("anna", "phone");
    let mut set = |from: &Setter, name: &str| {
        let task = Task { uid: uid(name), ..task_for_anna(from, 600) };
        server.set(NOW, from, &task, world.place())
    };
    assert_eq!((set(&ben, "1"), set(&ben, "2")), (Ok(true), Ok(true)));
    assert_eq!(set(&ben, "3"), Err(TaskRefusal::Full { limit: 2 }));
    assert_eq!(set(&me, "4"), Ok(true));
    assert_eq!(set(&me, "5"), Err(TaskRefusal::Full { limit: 3 }));
}

#[test]
fn threat_tasks_rules_that_would_flood() {
    for (text, refusal) in [
        ("FREQ=SECONDLY", RecurRefusal::TooOften),
        ("FREQ=MINUTELY;INTERVAL=1", RecurRefusal::TooOften),
        ("FREQ=DAILY;COUNT=1000000000", RecurRefusal::TooMany { count: 1_000_000_000 }),
        ("FREQ=DAILY;COUNT=0", RecurRefusal::TooMany { count: 0 }),
        ("FREQ=DAILY;COUNT=99999999999999999999", RecurRefusal::Syntax),
        ("FREQ=DAILY;INTERVAL=0", RecurRefusal::Syntax),
        ("FREQ=DAILY;BYHOUR=1,2,3", RecurRefusal::Unsupported),
        ("FREQ=MONTHLY;BYSETPOS=-1;BYDAY=FR", RecurRefusal::Unsupported),
        ("FREQ=YEARLY;BYDAY=20MO", RecurRefusal::Syntax),
        ("FREQ=WEEKLY;BYDAY=1MO", RecurRefusal::Unsupported),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", RecurRefusal::Syntax),
        ("FREQ=DAILY;FREQ=DAILY", RecurRefusal::Syntax),
        ("INTERVAL=2", RecurRefusal::Syntax),
        ("", RecurRefusal::Syntax),
    ] {
        assert_eq!(Rule::parse(text), Err(refusal), "{text}");
    }
    assert_eq!(
        Rule::parse(&format!("FREQ=DAILY;BYMONTHDAY={}", "1,".repeat(4000))),
        Err(RecurRefusal::Syntax)
    );
    // 30 February: refused after a search of 400 years, not looked for for ever.
    let world = World::new();
    for frequency in ["DAILY", "MONTHLY", "YEARLY"] {
        let rule = Rule::parse(&format!("FREQ={frequency};BYMONTH=2;BYMONTHDAY=30")).unwrap();
        let first = Appointment::new(date(2026, 2, 1).at(8, 0, 0, 0), AppointedZone::Fixed(0));
        let found = rule.next(&first, None, world.place());
        assert_eq!(found, Err(TaskRefusal::Recur(RecurRefusal::OutOfFuel)), "{frequency}");
    }
}
