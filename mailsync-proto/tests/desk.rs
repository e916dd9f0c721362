//! The server's desk over a made-up store: entries in, words and feedback, a crash at any point.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::tasks::Reminder;
use mailsync_proto::tasks::desk::{Change, Desk, Effects, ItemChange, Said, StateKey};
use std::collections::BTreeMap;
use std::time::Duration;
use timesync::UnixTime;
use timesync::task::ical::{self, itip::Answer};
use timesync::task::{
    Ack, AckKind, ClientId, Setter, Task, TaskConfig, TaskEvent, TaskUid, TaskWhen, UserId,
};
use timesync::zones::{Home, ZoneName, Zones};

const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);

fn at(seconds: u64) -> UnixTime {
    NOW.after(Duration::from_secs(seconds))
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

/// A desk and what is stored of it: all that a crash leaves.
struct World {
    desk: Desk,
    states: BTreeMap<StateKey, Vec<u8>>,
    items: BTreeMap<(UserId, Box<str>, Guid), Bytes>,
    /// Who was to be woken, what was answered, what was said since the last look.
    last: Effects,
}

impl World {
    fn new() -> World {
        let (states, items) = (BTreeMap::new(), BTreeMap::new());
        let mut world = World { desk: desk(), states, items, last: Effects::default() };
        world.begin(NOW);
        world
    }

    /// From the store, as after a crash.
    fn begin(&mut self, now: UnixTime) {
        self.desk = desk();
        for (key, value) in &self.states {
            self.desk.restore(now, key, value).unwrap();
        }
        for name in ["phone", "tablet"] {
            self.desk.client(&user("ana"), &client(name));
        }
        let group = "<Group><Name>f</Name><Level>3</Level><Kind>alarm</Kind><Member>ben</Member></Group>";
        self.desk.groups(&user("ana"), [&Bytes::from_static(group.as_bytes())]);
        for ((owner, datastore, guid), body) in self.items.clone() {
            self.desk
                .take(now, &Change { owner: &owner, datastore: &datastore, guid: &guid, body: Some(&body) });
        }
        self.settle();
    }

    fn settle(&mut self) {
        let effects = self.desk.effects();
        for change in &effects.states {
            match &change.value {
                Some(value) => self.states.insert(change.key.clone(), value.clone()),
                None => self.states.remove(&change.key),
            };
        }
        for change in &effects.items {
            match change {
                ItemChange::Put { place, body, .. } => self.items.insert(place.clone(), body.clone()),
                ItemChange::Delete(place) => self.items.remove(place),
            };
        }
        self.last = effects;
    }

    fn put(&mut self, now: UnixTime, datastore: &str, guid: &str, text: &str) {
        let (owner, guid, body) = (user("ana"), Guid::unvalidated(guid), Bytes::from(text.to_owned()));
        self.items.insert((owner.clone(), datastore.into(), guid.clone()), body.clone());
        self.desk.take(now, &Change { owner: &owner, datastore, guid: &guid, body: Some(&body) });
        self.settle();
    }

    fn tick(&mut self, now: UnixTime) {
        self.desk.tick(now);
        self.settle();
    }

    fn seen(&mut self, now: UnixTime, name: &str) {
        self.desk.presence(now, &user("ana"), &client(name));
        self.settle();
    }

    fn reminders(&self) -> Vec<Reminder> {
        let mine = self.items.iter().filter(|((_, datastore, _), _)| &**datastore == "reminders");
        mine.map(|(_, body)| Reminder::parse(body, &user("ana")).unwrap()).collect()
    }

    /// Who was given the task last, with which epoch.
    fn holder(&self) -> Option<(String, u32)> {
        self.reminders().into_iter().find_map(|reminder| match reminder {
            Reminder::Word { holder: Some(lease), .. } => {
                Some((lease.client.as_str().to_owned(), lease.epoch))
            }
            _ => None,
        })
    }

    fn feedback(&mut self, now: UnixTime, due: u64, by: &str) {
        let copy = self.reminders().into_iter().find(|one| matches!(one, Reminder::Copy { .. })).unwrap();
        let occurrence = timesync::task::Occurrence {
            owner: user("ana"),
            uid: copy.uid().clone(),
            sequence: 0,
            at: at(due),
        };
        let ack = Ack { occurrence, by: client(by), epoch: 1, at: now, kind: AckKind::Executed };
        let object = Reminder::Feedback(ack);
        let text = String::from_utf8(object.to_xml().to_vec()).unwrap();
        self.put(now, "reminders", object.guid().as_str(), &text);
    }
}

fn desk() -> Desk {
    Desk::new(TaskConfig::default(), Home::new(Zones::bundled(), &ZoneName::new("UTC").unwrap()).unwrap())
}

fn task(setter: &str, due: u64) -> Task {
    let setter = Setter { user: user(setter), client: client("desk") };
    let mut task = Task::alarm(TaskUid::new("t1").unwrap(), setter, "Wake up", TaskWhen::Instant(at(due)));
    task.owner = user("ana");
    task
}

// mission: T6
#[test]
fn a_crash_before_every_step_changes_nothing_but_the_epoch() {
    for crash in [false, true] {
        let mut world = World::new();
        let begin = |world: &mut World, now| {
            if crash {
                world.begin(now);
            }
        };
        world.put(NOW, "calendar", "e1", &ical::write(&task("ana", 600)));
        assert_eq!(world.reminders().len(), 1);
        begin(&mut world, at(100));
        world.seen(at(530), "tablet");
        world.seen(at(535), "phone");
        world.tick(at(540));
        assert_eq!(world.holder().unwrap().0, "phone");
        begin(&mut world, at(545));
        // Who is there is not kept: after a crash they are called.
        if crash {
            world.tick(at(546));
            assert_eq!(world.last.call.len(), 2);
            world.seen(at(547), "tablet");
            world.tick(at(548));
            assert_eq!(world.holder(), Some(("tablet".into(), 2)));
        }
        world.feedback(at(601), 600, "phone");
        assert_eq!(world.desk.waiting(), 0);
        begin(&mut world, at(610));
        // The same feedback again, and the entry that is still there: nothing comes back.
        world.feedback(at(611), 600, "phone");
        world.tick(at(700));
        assert_eq!((world.desk.waiting(), world.holder()), (0, None));
        // A day later the copy goes, too.
        world.tick(at(90_000));
        assert_eq!(world.reminders().len(), 0);
        begin(&mut world, at(90_001));
        assert_eq!((world.desk.waiting(), world.reminders().len()), (0, 0));
    }
}

// mission: T3, T7
#[test]
fn edits_are_the_next_version_whoever_makes_them_and_the_setter_stays() {
    let mut world = World::new();
    let own = ical::write(&task("ben", 600));
    world.put(NOW, "calendar", "e1", &own);
    assert_eq!(world.last.answers[0].answer, Answer::Accepted);
    // A program that drops what it does not know, and raises no SEQUENCE.
    let plain: String = own
        .replace("Wake up", "Later")
        .lines()
        .filter(|line| !line.starts_with("X-TIMESYNC"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    world.put(at(1), "calendar", "e1", &plain);
    let Some(Reminder::Copy { calendar, .. }) = world.reminders().into_iter().next() else { panic!() };
    assert!(calendar.contains("SEQUENCE:1") && calendar.contains("X-TIMESYNC-SETTER:ben"), "{calendar}");
    // Without its alarm it is a thing in the calendar, and no task.
    world.put(at(2), "calendar", "e1", &plain.replace("VALARM", "VNOTE"));
    assert_eq!((world.desk.waiting(), world.reminders().len()), (0, 0));
}

// mission: T7
#[test]
fn threat_tasks_an_upload_of_a_strangers_task_does_not_stay() {
    let mut world = World::new();
    world.put(NOW, "calendar", "e1", &ical::write(&task("mallory", 600)));
    assert_eq!(world.desk.waiting(), 0);
    assert!(world.items.is_empty(), "{:?}", world.items);
    assert!(matches!(world.last.answers[0].answer, Answer::Declined(_)));
    assert!(matches!(world.last.said[0], Said::Refused { .. }));
}

#[test]
fn threat_tasks_feedback_of_an_unknown_terminal_or_of_nothing_is_heard_and_without_effect() {
    let mut world = World::new();
    world.put(NOW, "calendar", "e1", &ical::write(&task("ana", 600)));
    world.feedback(at(1), 600, "ghost");
    assert!(matches!(world.last.said[0], Said::Refused { .. }), "{:?}", world.last.said);
    world.feedback(at(2), 5_000, "phone");
    assert_eq!(world.desk.waiting(), 1, "another moment of it is not this one");
    assert_eq!(world.reminders().len(), 1, "feedback does not stay");
    assert!(world.last.said.iter().all(|said| !matches!(said, Said::Event(TaskEvent::LeaseExpired { .. }))));
}
