//! Tasks as iCalendar, there and back, and what is none.

use crate::world::*;

// mission: T3
#[test]
fn tasks_as_calendars_there_and_back() {
    let me = setter("anna", "phone");
    let berlin = AppointedZone::Named(ZoneName::new("Europe/Berlin").unwrap());
    let mut task = task_for_anna(&me, 600);
    task.sequence = 7;
    task.summary = "Milk, eggs; \"bread\" \\ and\nmore \u{1f600} ".repeat(5);
    task.text = "Zeile 1\nZeile 2".into();
    task.extras = vec![
        Extra {
            kind: ExtraKind::Audio,
            media_type: "audio/midi".into(),
            data: ExtraData::Inline((0..=255).collect()),
        },
        Extra {
            kind: ExtraKind::Picture,
            media_type: "image/png".into(),
            data: ExtraData::Reference("https://example.com/a.png".into()),
        },
        Extra {
            kind: ExtraKind::Animation,
            media_type: "image/gif".into(),
            data: ExtraData::Inline(vec![1]),
        },
        Extra { kind: ExtraKind::Text, media_type: "text/plain".into(), data: ExtraData::Inline(vec![1, 2]) },
    ];
    let civil = |zone: &AppointedZone, policy| {
        let mut appointment = Appointment::new(date(2026, 12, 1).at(3, 0, 0, 0), zone.clone());
        appointment.policy = policy;
        TaskWhen::Civil(appointment)
    };
    for (kind, when, rule, targets, missed) in [
        (Kind::Alarm, TaskWhen::Instant(at(600)), None, Targets::All, Missed::Skip),
        (
            Kind::Shopping,
            civil(&berlin, Policy::Compatible),
            None,
            Targets::Clients(vec![client("laptop"), client("phone")]),
            Missed::FireOnce,
        ),
        (
            Kind::Meeting,
            civil(&AppointedZone::Fixed(-16_200), Policy::Later),
            Some("FREQ=MONTHLY;INTERVAL=2;COUNT=9;BYDAY=-1FR,2MO;WKST=SU"),
            Targets::All,
            Missed::FireAll(4),
        ),
        (
            Kind::Schedule,
            civil(&AppointedZone::Floating, Policy::Reject),
            Some("FREQ=YEARLY;UNTIL=20301231T000000Z;BYMONTH=1,12;BYMONTHDAY=-1,15"),
            Targets::All,
            Missed::default(),
        ),
    ] {
        let task = Task {
            kind,
            when,
            rule: rule.map(|text| Rule::parse(text).unwrap()),
            targets,
            missed,
            ..task.clone()
        };
        let text = ical::write(&task);
        assert!(text.split("\r\n").all(|line| line.len() <= 75));
        assert_eq!(ical::read(&text, &task.owner, &task.setter), Ok(task), "{text}");
    }
}

#[test]
fn calendars_of_others_are_understood() {
    let me = setter("anna", "phone");
    let text = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:STANDARD\nDTSTART:19701025T030000\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:abc@example.com\nDTSTAMP:20261101T000000Z\nDTSTART;TZID=\"Europe/Berlin\":20261201T\n 090000\nDTEND;TZID=Europe/Berlin:20261201T100000\nSUMMARY;LANGUAGE=de:Besprechung\\, kurz\nATTENDEE;CN=\"B: C\":mailto:b@example.com\nBEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT15M\nDESCRIPTION:x\nUID:other\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n";
    let task = ical::read(text, &me.user, &me).unwrap();
    assert_eq!(
        (task.uid.as_str(), task.summary.as_str(), task.kind),
        ("abc@example.com", "Besprechung, kurz", Kind::Meeting)
    );
    assert!(matches!(&task.when, TaskWhen::Civil(a) if a.civil == date(2026, 12, 1).at(9, 0, 0, 0)));
    let todo = "BEGIN:VCALENDAR\r\nBEGIN:VTODO\r\nUID:1\r\nDUE;VALUE=DATE:20261201\r\nSUMMARY:Milk\r\nEND:VTODO\r\nEND:VCALENDAR\r\n";
    let task = ical::read(todo, &me.user, &me).unwrap();
    assert_eq!(task.kind, Kind::Shopping);
}

#[test]
fn threat_tasks_calendars_that_lie_about_owner_and_setter() {
    let me = setter("anna", "phone");
    let evil = setter("mallory", "m");
    let mut text = ical::write(&task_for_anna(&me, 600));
    text = text.replace("X-TIMESYNC-OWNER:anna", "X-TIMESYNC-OWNER:victim");
    let task = ical::read(&text, &user("anna"), &evil).unwrap();
    // Who sent it is what the session says.
    assert_eq!((task.owner, task.setter), (user("anna"), evil));
}

#[test]
fn threat_tasks_calendars_that_are_broken_or_endless() {
    let me = setter("anna", "phone");
    let read = |text: &str| ical::read(text, &me.user, &me);
    let line = |number, problem| Err(IcalRefusal::Line { number, problem });
    let event = |body: &str| format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{body}\nEND:VEVENT\nEND:VCALENDAR\n");
    assert_eq!(read(""), Err(IcalRefusal::NoTask));
    assert_eq!(read("UID:1\n"), line(1, Problem::Syntax));
    assert_eq!(read(" folded\n"), line(1, Problem::Syntax));
    assert_eq!(read("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n"), Err(IcalRefusal::Unclosed));
    assert_eq!(read("BEGIN:VCALENDAR\nEND:VEVENT\n"), line(2, Problem::Syntax));
    assert_eq!(read(&"BEGIN:A\n".repeat(9)), line(9, Problem::TooDeep));
    assert_eq!(read(&event("UID:1")), Err(IcalRefusal::NoMoment));
    assert_eq!(read(&event("DTSTART:20261201T000000Z")), Err(IcalRefusal::NoUid));
    assert_eq!(read(&event("DTSTART:20261301T000000Z")), line(3, Problem::Moment));
    assert_eq!(read(&event("DTSTART;TZID=../../etc/passwd:20261201T000000")), line(3, Problem::Zone));
    assert_eq!(read(&event("RRULE:FREQ=SECONDLY")), line(3, Problem::Rule(RecurRefusal::TooOften)));
    assert_eq!(read(&event("ATTACH;ENCODING=BASE64:abc")), line(3, Problem::Base64));
    assert_eq!(read(&event("ATTACH;ENCODING=BASE64:ab!=")), line(3, Problem::Base64));
    assert_eq!(read(&event("no colon here")), line(3, Problem::Syntax));
    assert_eq!(read(&event("SUMMARY;X=\"unclosed:text")), line(3, Problem::Syntax));
    assert_eq!(
        read(&event("UID:1\nEND:VEVENT\nBEGIN:VEVENT\nUID:2")),
        Ok(()).and(Err(IcalRefusal::NoMoment))
    );
    assert_eq!(
        read(&event(&format!("UID:{}", "x".repeat(300)))),
        line(3, Problem::Task(TaskRefusal::BadName { len: 300 }))
    );
    assert_eq!(read(&"x".repeat((1 << 20) + 1)), Err(IcalRefusal::TooLarge));
    assert_eq!(read(&"A:\n".repeat(20_001)), Err(IcalRefusal::TooLarge));
    assert_eq!(read(&event(&"ATTACH:a\n".repeat(65))), line(67, Problem::TooMany));
}

fn entry(body: &str) -> ical::Entry {
    let me = setter("anna", "phone");
    let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:u\n{body}END:VEVENT\nEND:VCALENDAR\n");
    ical::read_entry(&text, &me.user, &me).unwrap()
}

// mission: T3
#[test]
fn alarms_of_others_ring_when_they_say() {
    let world = World::new();
    let first = |entry: &ical::Entry| entry.task.next(None, world.place()).unwrap().map(UnixTime::as_secs);
    let start = "DTSTART:20261201T080000Z\nDTEND:20261201T090000Z\n";
    let eight = 1_796_112_000;
    for (alarm, at) in [
        ("TRIGGER:-PT15M\n", eight - 900),
        ("TRIGGER;RELATED=END:PT0S\n", eight + 3_600),
        ("TRIGGER;VALUE=DATE-TIME:20261130T200000Z\n", eight - 43_200),
        ("ACTION:AUDIO\n", eight),
    ] {
        let found = entry(&format!("{start}BEGIN:VALARM\n{alarm}END:VALARM\n"));
        assert!(found.alarmed && !found.closed);
        assert_eq!(first(&found), Some(at), "{alarm}");
        // And as our own, written and read again.
        let again = ical::read(&ical::write(&found.task), &found.task.owner, &found.task.setter);
        assert_eq!(again, Ok(found.task));
    }
    assert!(!entry(start).alarmed);
    for over in
        ["STATUS:CANCELLED\n", "STATUS:COMPLETED\n", "PERCENT-COMPLETE:100\n", "COMPLETED:20261130T000000Z\n"]
    {
        assert!(entry(&format!("{start}{over}")).closed, "{over}");
    }
    let seen =
        entry(&format!("{start}BEGIN:VALARM\nTRIGGER:PT0S\nACKNOWLEDGED:20261201T080001Z\nEND:VALARM\n"));
    assert_eq!(seen.acknowledged.map(UnixTime::as_secs), Some(eight + 1));
    // As phones of the nineties write it.
    let old = entry(&format!("{start}DALARM:20261201T074500Z;;;Hurry\n"));
    assert_eq!((old.alarmed, first(&old)), (true, Some(eight - 900)));
    // Monday's alarm may ring on Sunday.
    let weekly = entry(
        "DTSTART;TZID=Europe/Berlin:20261207T000500\nRRULE:FREQ=WEEKLY;BYDAY=MO\nBEGIN:VALARM\nTRIGGER:-PT10M\nEND:VALARM\n",
    );
    let one = weekly.task.next(None, world.place()).unwrap();
    let two = weekly.task.next(one, world.place()).unwrap();
    assert_eq!(one.map(UnixTime::as_secs), Some(1_796_597_700));
    assert_eq!(two.unwrap().since(one.unwrap()), 7 * 86_400 * SECOND);
    let me = setter("anna", "phone");
    let bad = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:u\nDTSTART:20261201T080000Z\nBEGIN:VALARM\nTRIGGER:soon\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n";
    assert_eq!(
        ical::read_entry(bad, &me.user, &me),
        Err(IcalRefusal::Line { number: 6, problem: Problem::Moment })
    );
}
