//! Who may set what for whom, on every path.

use crate::world::*;

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
