//! Any operations in any order.

use crate::world::*;

#[derive(Clone, Debug)]
enum Op {
    Set { who: u8, uid: u8, sequence: u32, due: i64, kind: bool },
    Cancel { who: u8, uid: u8, sequence: u32 },
    Ack { who: u8, device: u8, uid: u8, sequence: u32, due: i64, snooze: bool },
    Presence { device: u8, online: bool },
    Time { step: i64 },
    Groups { friend: bool },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..3_u8, 0..4_u8, 0..4_u32, 0..20_i64, any::<bool>())
            .prop_map(|(who, uid, sequence, due, kind)| Op::Set { who, uid, sequence, due: due * 50, kind }),
        (0..3_u8, 0..4_u8, 0..4_u32).prop_map(|(who, uid, sequence)| Op::Cancel { who, uid, sequence }),
        (0..3_u8, 0..3_u8, 0..4_u8, 0..4_u32, 0..20_i64, any::<bool>()).prop_map(
            |(who, device, uid, sequence, due, snooze)| Op::Ack {
                who,
                device,
                uid,
                sequence,
                due: due * 50,
                snooze
            }
        ),
        (0..3_u8, any::<bool>()).prop_map(|(device, online)| Op::Presence { device, online }),
        (0..200_i64).prop_map(|step| Op::Time { step }),
        any::<bool>().prop_map(|friend| Op::Groups { friend }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    // invariants T14, T16, mission: T6, T7
    #[test]
    fn t16_any_operations_give_no_stranger_an_effect_and_no_cancelled_task_a_lease(
        ops in proptest::collection::vec(op(), 0..80),
    ) {
        let world = World::new();
        let mut server = server();
        let who = |n: u8| ["anna", "ben", "carl"][usize::from(n)];
        let device = |n: u8| ["phone", "laptop", "ghost"][usize::from(n)];
        let (mut now, mut friend) = (NOW, true);
        let mut cancelled: std::collections::BTreeMap<TaskUid, u32> = Default::default();
        for op in ops {
            match op {
                Op::Set { who: w, uid: u, sequence, due, kind } => {
                    let from = setter(who(w), "dev");
                    let mut task = task_for_anna(&from, due);
                    task.uid = uid(&format!("t{u}"));
                    task.sequence = sequence;
                    task.kind = if kind { Kind::Alarm } else { Kind::Meeting };
                    let taken = server.set(now, &from, &task, world.place());
                    let allowed = w == 0 || (w == 1 && friend && kind);
                    prop_assert!(allowed || taken.is_err(), "{from:?} {taken:?}");
                    if taken == Ok(true) {
                        prop_assert!(cancelled.get(&task.uid).is_none_or(|gone| *gone < sequence));
                    }
                }
                Op::Cancel { who: w, uid: u, sequence } => {
                    let uid = uid(&format!("t{u}"));
                    if server.cancel(now, &user(who(w)), &user("anna"), &uid, sequence).is_ok() {
                        prop_assert!(w != 2);
                        let gone = cancelled.entry(uid).or_insert(sequence);
                        *gone = (*gone).max(sequence);
                    }
                }
                Op::Ack { who: w, device: d, uid: u, sequence, due, snooze } => {
                    let occurrence = Occurrence { owner: user("anna"), uid: uid(&format!("t{u}")), sequence, at: at(due) };
                    let kind = if snooze { AckKind::Snoozed(now.plus(100 * SECOND)) } else { AckKind::Executed };
                    let ack = Ack { occurrence, by: client(device(d)), epoch: 1, at: now, kind };
                    let taken = server.ack(now, &user(who(w)), &client(device(d)), ack, world.place());
                    prop_assert!(taken.is_err() || (w == 0 && d < 2));
                }
                Op::Presence { device: d, online } => {
                    server.presence(now, &user("anna"), &client(device(d)), online);
                }
                Op::Time { step } => {
                    now = now.plus(step * SECOND);
                    server.handle_timeout(now, world.place());
                    prop_assert!(server.poll_timeout().is_none_or(|at| at > now));
                }
                Op::Groups { friend: f } => {
                    friend = f;
                    server.set_groups(family(if f { &["ben"] } else { &[] }, &[Kind::Alarm]));
                }
            }
            for output in outputs(&mut server) {
                if let TaskOutput::Fire { to, occurrence, .. } = output {
                    prop_assert!(cancelled.get(&occurrence.uid).is_none_or(|gone| *gone < occurrence.sequence));
                    prop_assert!(!server.acks().is_executed(&occurrence), "shown already: {occurrence:?}");
                    prop_assert!(to == client("phone") || to == client("laptop"));
                }
            }
        }
    }

    // invariant T14
    #[test]
    fn t14_acknowledgements_commute_and_are_idempotent(
        picks in proptest::collection::vec((0..3_i64, 0..3_u8, 0..3_u32, any::<bool>()), 0..30), cut in 0_usize..30,
    ) {
        let acks: Vec<Ack> = picks
            .iter()
            .map(|(due, device, epoch, snooze)| Ack {
                occurrence: Occurrence { owner: user("anna"), uid: uid("t"), sequence: 0, at: at(*due) },
                by: client(&format!("d{device}")),
                epoch: *epoch,
                at: at(*due + 1),
                kind: if *snooze { AckKind::Snoozed(at(99)) } else { AckKind::Executed },
            })
            .collect();
        let set = |acks: &[Ack]| {
            let mut set = AckSet::new();
            for ack in acks {
                set.add(ack.clone());
            }
            set
        };
        let all = set(&acks);
        let (left, right) = acks.split_at(cut.min(acks.len()));
        let mut one = set(left);
        one.merge(&set(right));
        let mut other = set(right);
        other.merge(&set(left));
        other.merge(&all);
        let backwards: Vec<Ack> = acks.iter().rev().cloned().collect();
        prop_assert_eq!(&one, &all);
        prop_assert_eq!(&other, &all);
        prop_assert_eq!(set(&backwards), all);
    }

    #[test]
    fn any_calendar_is_answered_and_what_is_read_can_be_written(text in "((BEGIN|END|UID|DTSTART|DUE|RRULE|SUMMARY|ATTACH|X-TIMESYNC-MISSED)[;:][ -~]{0,20}\r?\n ?){0,12}") {
        let me = setter("anna", "phone");
        let whole = format!("BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:1\nDUE:20261201T000000Z\n{text}END:VTODO\nEND:VCALENDAR\n");
        for text in [&text, &whole] {
            if let Ok(task) = ical::read(text, &me.user, &me) {
                prop_assert_eq!(ical::read(&ical::write(&task), &me.user, &me), Ok(task));
            }
        }
    }
}
