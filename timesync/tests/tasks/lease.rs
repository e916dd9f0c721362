//! Leases, feedback, snoozes, restarts.

use crate::world::*;

// mission: T6
#[test]
fn lease_and_epoch_move_on_and_a_late_answer_still_counts() {
    let world = World::new();
    let mut server = server();
    let me = setter("anna", "phone");
    server.set(NOW, &me, &task_for_anna(&me, 600), world.place()).unwrap();
    server.presence(at(500), &me.user, &client("laptop"), true);
    server.presence(at(530), &me.user, &client("phone"), true);
    outputs(&mut server);
    assert_eq!(server.poll_timeout(), Some(at(540)));
    server.handle_timeout(at(540), world.place());
    assert_eq!(fired(&outputs(&mut server)), [("phone".to_owned(), 1)]); // heard last
    assert_eq!(server.poll_timeout(), Some(at(630)));
    server.handle_timeout(at(630), world.place());
    let out = outputs(&mut server);
    assert_eq!(fired(&out), [("laptop".to_owned(), 2)]);
    // The phone's answer comes now, from the old epoch: the person was reminded.
    let occurrence = server.record(&me.user, &uid("t1")).unwrap().occurrence();
    let ack = Ack {
        occurrence: occurrence.clone(),
        by: client("phone"),
        epoch: 1,
        at: at(601),
        kind: AckKind::Executed,
    };
    assert_eq!(server.ack(at(631), &me.user, &client("phone"), ack.clone(), world.place()), Ok(true));
    let out = outputs(&mut server);
    assert!(out.contains(&TaskOutput::Withdraw { to: client("laptop"), occurrence: occurrence.clone() }));
    assert_eq!(server.ack(at(632), &me.user, &client("phone"), ack.clone(), world.place()), Ok(false));
    assert_eq!(outputs(&mut server), []);
    // The laptop showed it as well: a duplicate, and it is said.
    let twin = Ack { by: client("laptop"), epoch: 2, ..ack };
    server.ack(at(633), &me.user, &client("laptop"), twin, world.place()).unwrap();
    assert_eq!(outputs(&mut server), [TaskOutput::Event(TaskEvent::Duplicate { occurrence, devices: 2 })]);
}

#[test]
fn threat_tasks_feedback_of_others_or_of_nothing() {
    let world = World::new();
    let mut server = server();
    let me = setter("anna", "phone");
    server.set(NOW, &me, &task_for_anna(&me, 600), world.place()).unwrap();
    let occurrence = server.record(&me.user, &uid("t1")).unwrap().occurrence();
    let ack = Ack { occurrence, by: client("phone"), epoch: 1, at: at(600), kind: AckKind::Executed };
    let mut send = |who: &str, device: &str, ack: Ack| {
        server.ack(at(600), &user(who), &client(device), ack, world.place())
    };
    let not_owner = Err(RightsRefusal::NotOwner.into());
    assert_eq!(send("ben", "ben-phone", ack.clone()), not_owner);
    assert_eq!(send("anna", "laptop", ack.clone()), not_owner);
    let ghost = Ack { by: client("ghost"), ..ack.clone() };
    assert_eq!(send("anna", "ghost", ghost), Err(TaskRefusal::Unknown));
    let mut nothing = ack.clone();
    nothing.occurrence.uid = uid("never-set");
    assert_eq!(send("anna", "phone", nothing), Err(TaskRefusal::Unknown));
    assert_eq!(send("anna", "phone", ack), Ok(true));
}

// mission: T6
#[test]
fn threat_tasks_a_word_on_a_moment_older_than_what_is_remembered_rings_nothing() {
    let world = World::new();
    let mut phone = terminal("phone");
    let me = setter("anna", "laptop");
    let task = task_for_anna(&me, 600);
    phone.deliver(NOW, task.clone(), world.place()).unwrap();
    let long_ago = NOW.before(phone.config().retention + std::time::Duration::from_secs(1));
    let occurrence =
        Occurrence { owner: me.user.clone(), uid: task.uid.clone(), sequence: task.sequence, at: long_ago };
    for hour in 0..3 {
        phone.fire(at(hour), &occurrence, 1, at(9_999), world.place());
        phone.handle_timeout(at(hour), world.place());
        assert_eq!(shown(&mut phone), [], "what is forgotten would ring at every repetition");
    }
    // Its own moment is as it was.
    phone.fire(at(500), &Occurrence { at: at(600), ..occurrence }, 1, at(630), world.place());
    phone.handle_timeout(at(600), world.place());
    assert_eq!(shown(&mut phone).len(), 1);
}

// mission: T6
#[test]
fn snooze_is_shown_again_by_whoever_put_it_off() {
    let world = World::new();
    let mut server = server();
    let me = setter("anna", "phone");
    let task = task_for_anna(&me, 600);
    server.set(NOW, &me, &task, world.place()).unwrap();
    let mut phone = terminal("phone");
    phone.deliver(NOW, task, world.place()).unwrap();
    server.presence(at(530), &me.user, &client("laptop"), true);
    server.presence(at(539), &me.user, &client("phone"), true);
    server.handle_timeout(at(540), world.place());
    let fire = outputs(&mut server).into_iter().find_map(|o| match o {
        TaskOutput::Fire { occurrence, epoch, lease_until, .. } => Some((occurrence, epoch, lease_until)),
        _ => None,
    });
    let (occurrence, epoch, until) = fire.unwrap();
    phone.fire(at(540), &occurrence, epoch, until, world.place());
    assert_eq!(phone.poll_timeout(at(540)), Some(at(600)));
    phone.handle_timeout(at(600), world.place());
    assert_eq!(shown(&mut phone), [(at(600), 0)]);
    assert!(phone.snooze(at(605), &occurrence, at(900)));
    let [ack] = phone.outbox() else { panic!("{:?}", phone.outbox()) };
    let ack = ack.clone();
    server.ack(at(606), &me.user, &client("phone"), ack.clone(), world.place()).unwrap();
    phone.confirmed(&ack);
    assert_eq!(phone.outbox(), []);
    // The server waits for the new moment too, and asks the same phone.
    assert_eq!(server.poll_timeout(), Some(at(840)));
    server.presence(at(835), &me.user, &client("phone"), true);
    server.presence(at(839), &me.user, &client("laptop"), true);
    outputs(&mut server);
    server.handle_timeout(at(840), world.place());
    assert_eq!(fired(&outputs(&mut server)), [("phone".to_owned(), 1)]);
    phone.handle_timeout(at(900), world.place());
    assert_eq!(shown(&mut phone), [(at(900), 0)]);
    let again = phone.outbox()[0].clone();
    server.ack(at(901), &me.user, &client("phone"), again, world.place()).unwrap();
    assert!(server.is_empty());
}

// invariant T15
#[test]
fn t15_a_terminal_clock_set_back_or_forward_shows_nothing_twice() {
    let world = World::new();
    for jump in [-86_400_i64 * 400, -3_600, -1, 3_600, 86_400 * 40] {
        let me = setter("anna", "phone");
        let mut phone = terminal("phone");
        phone.deliver(NOW, task_for_anna(&me, 60), world.place()).unwrap();
        phone.handle_timeout(at(200), world.place());
        assert_eq!(shown(&mut phone).len(), 1);
        // Through storage, as after a restart.
        #[cfg(feature = "serde")]
        {
            phone = serde_json::from_str(&serde_json::to_string(&phone).unwrap()).unwrap();
        }
        for step in 0..50 {
            phone.handle_timeout(at(200 + jump + step * 30), world.place());
        }
        phone.deliver(at(200 + jump), task_for_anna(&me, 60), world.place()).ok();
        phone.handle_timeout(at(100_000), world.place());
        assert_eq!(shown(&mut phone), [], "{jump}");
    }
}

#[test]
fn a_server_restarted_from_its_records_goes_on() {
    let world = World::new();
    let mut first = server();
    let me = setter("anna", "phone");
    first.set(NOW, &me, &task_for_anna(&me, 600), world.place()).unwrap();
    first.presence(at(539), &me.user, &client("phone"), true);
    first.handle_timeout(at(540), world.place());
    let plan = first.record(&me.user, &uid("t1")).unwrap().clone();
    #[cfg(feature = "serde")]
    let plan: Plan = {
        let stored = postcard::to_allocvec(&plan).unwrap();
        postcard::from_bytes(&stored).unwrap()
    };
    let mut second = server();
    second.restore(plan);
    second.presence(at(545), &me.user, &client("phone"), true);
    second.handle_timeout(at(550), world.place());
    // A higher epoch: what the first server handed out is void.
    assert_eq!(fired(&outputs(&mut second)), [("phone".to_owned(), 2)]);
}
