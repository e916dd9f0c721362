//! Versions: newer and older, cancelled, gone, too early, too late.

use crate::world::*;

#[test]
fn threat_tasks_same_id_other_body_and_sequence_going_down() {
    let world = World::new();
    let mut server = server();
    let me = setter("anna", "phone");
    let mut task = task_for_anna(&me, 600);
    task.sequence = 3;
    assert_eq!(server.set(NOW, &me, &task, world.place()), Ok(true));
    assert_eq!(server.set(NOW, &me, &task, world.place()), Ok(false));
    let mut other = task.clone();
    other.summary = "Something else".into();
    let known = Err(TaskRefusal::OldSequence { known: 3 });
    assert_eq!(server.set(NOW, &me, &other, world.place()), known);
    other.sequence = 2;
    assert_eq!(server.set(NOW, &me, &other, world.place()), known);
    other.sequence = 4;
    assert_eq!(server.set(NOW, &me, &other, world.place()), Ok(true));
    // A friend cannot take over the name.
    let ben = setter("ben", "ben-phone");
    let mut stolen = task_for_anna(&ben, 60);
    stolen.sequence = 9;
    assert_eq!(server.set(NOW, &ben, &stolen, world.place()), Err(RightsRefusal::NotSetter.into()));
    assert_eq!(
        server.cancel(NOW, &user("ben"), &user("anna"), &uid("t1"), 9),
        Err(RightsRefusal::NotSetter.into())
    );
    // Nor block one that does not exist yet.
    assert_eq!(server.cancel(NOW, &user("ben"), &user("anna"), &uid("new"), 9), Err(TaskRefusal::Unknown));
}

#[test]
fn threat_tasks_resurrection_after_delete_or_execution() {
    let world = World::new();
    let mut server = server();
    let me = setter("anna", "phone");
    let task = task_for_anna(&me, 600);
    server.set(NOW, &me, &task, world.place()).unwrap();
    server.cancel(NOW, &me.user, &me.user, &task.uid, 1).unwrap();
    for sequence in 0..=1 {
        let again = Task { sequence, ..task.clone() };
        assert_eq!(server.set(NOW, &me, &again, world.place()), Err(TaskRefusal::Gone));
    }
    let newer = Task { sequence: 2, ..task.clone() };
    assert_eq!(server.set(NOW, &me, &newer, world.place()), Ok(true));
    // Executed: the same version does not come back with a client that slept.
    server.presence(at(560), &me.user, &client("phone"), true);
    server.handle_timeout(at(560), world.place());
    let occurrence = server.record(&me.user, &task.uid).unwrap().occurrence();
    let ack = Ack { occurrence, by: client("phone"), epoch: 1, at: at(600), kind: AckKind::Executed };
    assert_eq!(server.ack(at(600), &me.user, &client("phone"), ack, world.place()), Ok(true));
    assert!(server.is_empty());
    assert_eq!(server.set(at(700), &setter("anna", "laptop"), &newer, world.place()), Err(TaskRefusal::Gone));
    assert_eq!(server.gone(&me.user, &task.uid), Some((2, at(600))));
}

// invariant T14
#[test]
fn t14_no_fire_after_a_cancel_with_a_higher_sequence_in_any_order() {
    let world = World::new();
    let me = setter("anna", "phone");
    let task = task_for_anna(&me, 600);
    let occurrence = Occurrence { owner: me.user.clone(), uid: task.uid.clone(), sequence: 0, at: at(600) };
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut phone = terminal("phone");
        for step in order {
            match step {
                0 => drop(phone.deliver(NOW, task.clone(), world.place())),
                1 => phone.cancel(NOW, &task.uid, 1),
                _ => phone.fire(NOW, &occurrence, 1, at(700), world.place()),
            }
        }
        phone.handle_timeout(at(10_000), world.place());
        assert_eq!(shown(&mut phone), [], "{order:?}");
    }
}

#[test]
fn threat_tasks_due_in_the_past_and_in_the_year_2500() {
    let world = World::new();
    let mut server = server();
    let me = setter("anna", "phone");
    let mut task = task_for_anna(&me, -3_600);
    assert_eq!(server.set(NOW, &me, &task, world.place()), Ok(true)); // within a day: shown late
    task.uid = uid("t2");
    task.missed = Missed::Skip;
    assert_eq!(server.set(NOW, &me, &task, world.place()), Err(TaskRefusal::InThePast { due: at(-3_600) }));
    let due = UnixTime::from_secs(16_744_579_200); // 2500-08-12
    task.when = TaskWhen::Instant(due);
    assert_eq!(server.set(NOW, &me, &task, world.place()), Err(TaskRefusal::TooFar { due }));
    task.when = TaskWhen::Instant(UnixTime::from_nanos(i128::MAX));
    assert!(matches!(server.set(NOW, &me, &task, world.place()), Err(TaskRefusal::TooFar { .. })));
}
