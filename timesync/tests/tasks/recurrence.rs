//! Recurrence on civil time.

use crate::world::*;

fn expand(rule: &str, first: (i16, i8, i8, i8, i8), zone: &str, count: usize) -> Vec<String> {
    let world = World::new();
    let zone = ZoneName::new(zone).unwrap();
    let (year, month, day, hour, minute) = first;
    let first =
        Appointment::new(date(year, month, day).at(hour, minute, 0, 0), AppointedZone::Named(zone.clone()));
    let rule = Rule::parse(rule).unwrap();
    let tz = world.zones.zone(&zone).unwrap();
    let (mut after, mut out) = (None, Vec::new());
    while out.len() < count {
        let Some(time) = rule.next(&first, after, world.place()).unwrap() else { break };
        let (civil, offset) = timesync::civil::shown_at(time, &tz).unwrap();
        out.push(format!("{civil}{:+}", offset / 3600));
        after = Some(time);
    }
    out
}

// mission: T3
#[test]
fn recurrence_by_table() {
    let day = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    // A daily 02:30 over the gap of Berlin: once, an hour later; over the fold: once.
    assert_eq!(
        expand("FREQ=DAILY", (2026, 3, 28, 2, 30), "Europe/Berlin", 3),
        day(&["2026-03-28T02:30:00+1", "2026-03-29T03:30:00+2", "2026-03-30T02:30:00+2"])
    );
    assert_eq!(
        expand("FREQ=DAILY", (2026, 10, 24, 2, 30), "Europe/Berlin", 3),
        day(&["2026-10-24T02:30:00+2", "2026-10-25T02:30:00+2", "2026-10-26T02:30:00+1"])
    );
    assert_eq!(
        expand("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;COUNT=5", (2026, 11, 23, 8, 0), "UTC", 9),
        day(&[
            "2026-11-23T08:00:00+0",
            "2026-11-25T08:00:00+0",
            "2026-12-07T08:00:00+0",
            "2026-12-09T08:00:00+0",
            "2026-12-21T08:00:00+0"
        ])
    );
    // spec-test: RFC 5545 §3.8.5.3: WKST changes the answer
    assert_eq!(
        expand(
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
            (1997, 8, 5, 9, 0),
            "America/New_York",
            9
        ),
        day(&[
            "1997-08-05T09:00:00-4",
            "1997-08-10T09:00:00-4",
            "1997-08-19T09:00:00-4",
            "1997-08-24T09:00:00-4"
        ])
    );
    assert_eq!(
        expand(
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
            (1997, 8, 5, 9, 0),
            "America/New_York",
            9
        ),
        day(&[
            "1997-08-05T09:00:00-4",
            "1997-08-17T09:00:00-4",
            "1997-08-19T09:00:00-4",
            "1997-08-31T09:00:00-4"
        ])
    );
    // spec-test: RFC 5545 §3.8.5.3: last Friday, 31st, Friday the 13th, 29 February
    assert_eq!(
        expand("FREQ=MONTHLY;BYDAY=-1FR", (2026, 11, 27, 9, 0), "UTC", 3),
        day(&["2026-11-27T09:00:00+0", "2026-12-25T09:00:00+0", "2027-01-29T09:00:00+0"])
    );
    assert_eq!(
        expand("FREQ=MONTHLY", (2027, 1, 31, 9, 0), "UTC", 3),
        day(&["2027-01-31T09:00:00+0", "2027-03-31T09:00:00+0", "2027-05-31T09:00:00+0"])
    );
    assert_eq!(
        expand("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", (2026, 11, 13, 9, 0), "UTC", 3),
        day(&["2026-11-13T09:00:00+0", "2027-08-13T09:00:00+0", "2028-10-13T09:00:00+0"])
    );
    assert_eq!(
        expand("FREQ=YEARLY", (2028, 2, 29, 9, 0), "UTC", 2),
        day(&["2028-02-29T09:00:00+0", "2032-02-29T09:00:00+0"])
    );
    assert_eq!(
        expand("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;UNTIL=20280401", (2026, 3, 29, 1, 0), "UTC", 9),
        day(&["2026-03-29T01:00:00+0", "2027-03-28T01:00:00+0", "2028-03-26T01:00:00+0"])
    );
    assert_eq!(expand("FREQ=DAILY;UNTIL=20261123T080000Z", (2026, 11, 22, 8, 0), "UTC", 9).len(), 2);
    assert_eq!(
        expand("FREQ=MONTHLY;BYMONTHDAY=-1", (2027, 2, 28, 9, 0), "UTC", 2)[1],
        "2027-03-31T09:00:00+0"
    );
}

// mission: T3, T6
#[test]
fn a_recurring_task_goes_from_occurrence_to_occurrence() {
    let world = World::new();
    let mut server = server();
    let me = setter("anna", "phone");
    let mut task = task_for_anna(&me, 0);
    task.when = TaskWhen::Civil(Appointment::new(date(2026, 11, 22).at(9, 0, 0, 0), AppointedZone::Fixed(0)));
    task.rule = Some(Rule::parse("FREQ=DAILY;COUNT=3").unwrap());
    server.set(NOW, &me, &task, world.place()).unwrap();
    let mut phone = terminal("phone");
    phone.deliver(NOW, task, world.place()).unwrap();
    let mut days = Vec::new();
    let mut now = NOW;
    while now < at(6 * 86_400) {
        now = now.plus(20 * SECOND);
        server.presence(now, &me.user, &client("phone"), true);
        server.handle_timeout(now, world.place());
        for output in outputs(&mut server) {
            if let TaskOutput::Fire { occurrence, epoch, lease_until, .. } = output {
                phone.fire(now, &occurrence, epoch, lease_until, world.place());
            }
        }
        phone.handle_timeout(now, world.place());
        days.extend(shown(&mut phone).iter().map(|(at, late)| (at.since(NOW) / SECOND, *late)));
        for ack in phone.outbox().to_vec() {
            server.ack(now, &me.user, &client("phone"), ack.clone(), world.place()).unwrap();
            phone.confirmed(&ack);
        }
    }
    assert_eq!(days, [(3_600, 0), (90_000, 0), (176_400, 0)]);
    assert!(server.is_empty());
    assert_eq!(server.acks().len(), 3);
}

#[test]
fn after_a_week_off_only_the_latest_missed_moment_is_shown_or_as_many_as_asked_for() {
    let world = World::new();
    let me = setter("anna", "phone");
    for (missed, expected) in
        [(Missed::FireOnce, 1), (Missed::FireAll(3), 3), (Missed::default(), 1), (Missed::Skip, 0)]
    {
        let mut server = server();
        let mut task = task_for_anna(&me, 0);
        task.when =
            TaskWhen::Civil(Appointment::new(date(2026, 11, 22).at(9, 0, 0, 0), AppointedZone::Fixed(0)));
        task.rule = Some(Rule::every(1, Frequency::Daily));
        task.missed = missed;
        server.set(NOW, &me, &task, world.place()).unwrap();
        // The first is executed, then the server is off for a week.
        let occurrence = server.record(&me.user, &task.uid).unwrap().occurrence();
        let ack = Ack { occurrence, by: client("phone"), epoch: 0, at: at(3_600), kind: AckKind::Executed };
        server.ack(at(7 * 86_400), &me.user, &client("phone"), ack, world.place()).unwrap();
        outputs(&mut server);
        let mut shown = 0;
        for round in 0..6 {
            let now = at(7 * 86_400 + round * 10);
            server.presence(now, &me.user, &client("phone"), true);
            server.handle_timeout(now, world.place());
            for output in outputs(&mut server) {
                if let TaskOutput::Fire { occurrence, epoch, .. } = output {
                    shown += 1;
                    let ack =
                        Ack { occurrence, by: client("phone"), epoch, at: now, kind: AckKind::Executed };
                    server.ack(now, &me.user, &client("phone"), ack, world.place()).unwrap();
                }
            }
        }
        assert_eq!(shown, expected, "{missed:?}");
    }
}

proptest! {
    // Each case walks up to 400 years of days.
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn rules_survive_their_text(
        interval in 1_u16..50, frequency in 0..4_usize, month in proptest::collection::vec(1_u8..=12, 0..3),
        days in proptest::collection::vec((1_i8..=31, any::<bool>()), 0..3), count in 0_u32..50,
    ) {
        let frequency = [Frequency::Daily, Frequency::Weekly, Frequency::Monthly, Frequency::Yearly][frequency];
        let mut rule = Rule::every(interval, frequency);
        rule.by_month = month;
        rule.by_month_day = days.iter().map(|(day, back)| if *back { -day } else { *day }).collect();
        rule.ends = if count == 0 { Ends::Never } else { Ends::Count(count) };
        prop_assert_eq!(Rule::parse(&rule.text()), Ok(rule.clone()));
        // Occurrences rise and stay within the rule's count.
        let world = World::new();
        let first = Appointment::new(date(2026, 1, 31).at(8, 0, 0, 0), AppointedZone::Fixed(0));
        let (mut after, mut seen) = (None, 0);
        while seen < 60 {
            match rule.next(&first, after, world.place()) {
                Ok(Some(time)) => {
                    prop_assert!(after.is_none_or(|after| time > after));
                    after = Some(time);
                    seen += 1;
                }
                Ok(None) => break,
                Err(refusal) => {
                    prop_assert_eq!(refusal, TaskRefusal::Recur(RecurRefusal::OutOfFuel));
                    break;
                }
            }
        }
        prop_assert!(count == 0 || seen <= count);
    }
}
