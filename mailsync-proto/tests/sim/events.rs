//! What happened to mail: who is concerned by it, and how it is told inside a session.

use super::mail::{folders, message, server_flag, server_mail};
use super::world::*;
use mailsync_proto::mail::MailCollection;
use mailsync_proto::mail::event::{Kind, MailEvent};
use mailsync_proto::mail::mailbox::provision;
use mailsync_proto::mail::news::{Known, MailNews, News, news};
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::store::{Commit, Found, Store};
use mailsync_proto::sync::turn::Reader;
use mailsync_proto::testkit::conformance::Fixture;
use std::sync::Arc;
use syncml::{Encoding, Version};

fn told(world: &World, device: &str, since: u64) -> Option<News> {
    let mut found = Found::default();
    loop {
        let mut reader = Reader::new(&found);
        match news(&mut reader, USER, device, (since, world.clock.get(), true)) {
            Ok(news) => return news,
            Err(_) => {
                let reads = reader.missed();
                found.extend(world.server.store.read(&reads).unwrap());
            }
        }
    }
}

fn phone(device: &str, encoding: Encoding, takes_events: bool) -> Client {
    let mut client = Client::new(device, encoding, Version::V1_2, 20_000, &["mail", "notes"]);
    if takes_events {
        let mail = client.config.stores.iter_mut().find(|store| *store.name == *"mail").unwrap();
        mail.collection = Arc::new(MailCollection::new("sim.test").with_events());
    }
    client
}

fn of(events: &[MailNews], kind: Kind) -> Vec<&MailNews> {
    events.iter().filter(|event| event.kind == kind).collect()
}

// mission: M4a, M4e
#[test]
fn only_who_holds_a_mail_is_told_of_its_changes() {
    let world = World::new();
    let (one, two) = (phone("one", Encoding::Wbxml, true), phone("two", Encoding::Wbxml, true));
    folders(&world, &one);
    two.store.commit(&Commit { session: None, writes: provision(&Client::key("mail")) }).unwrap();
    assert_eq!(told(&world, "one", 0), None, "it has never synced mail");
    for n in 0..3 {
        server_mail(&world, &format!("m{n}"), &message(n, 50));
    }
    world.sync(&one, None);
    assert_eq!(told(&world, "one", 0).unwrap().events, []);
    server_mail(&world, "m3", &message(3, 50));
    world.sync(&two, None);
    server_flag(&world, &message(0, 50), |fields| fields.read = true);
    world.delete("mail", "m1");
    world.delete("mail", "m3");
    server_mail(&world, "m4", &message(4, 50));
    // What is filed among sent mail is no arrival.
    let mut fields = mailsync_proto::mail::MailFields::default();
    fields.received = Some(5);
    let value =
        mailsync_proto::mail::mailbox::mail_value(mailsync_proto::mail::Role::Sent.guid(), &fields, b"x");
    world.put("mail", "m5", value, Some(b"x"));

    let first = told(&world, "one", 0).unwrap();
    let second = told(&world, "two", 0).unwrap();
    assert_eq!((first.events.len(), second.events.len()), (3, 4), "{first:?} {second:?}");
    let changed = of(&first.events, Kind::Changed)[0];
    assert!(matches!(&changed.id, Known::Luid(_)) && changed.folder == "Inbox", "{changed:?}");
    let arrived = of(&second.events, Kind::Arrived)[0];
    assert_eq!((&arrived.id, &*arrived.from), (&Known::Temp("m4".into()), "bob@sim.test"));
    assert!(arrived.subject.starts_with("mail 4"), "{arrived:?}");
    // Of the mail that came and went while it was away, the first never hears.
    assert_eq!((of(&first.events, Kind::Deleted).len(), of(&second.events, Kind::Deleted).len()), (1, 2));
    // What was told is not told again; a session takes all of it back.
    assert_eq!(told(&world, "one", first.upto).unwrap().events, []);
    world.sync(&one, None);
    assert_eq!(told(&world, "one", 0).unwrap().events, []);
    assert_eq!(told(&world, "two", 0).unwrap().events.len(), 4);
    world.server.store.set_device(USER, "two", None, true);
    assert_eq!(told(&world, "two", 0), None, "it may not log in");
}

// threat: N2
#[test]
fn threat_n2_a_flood_is_one_notice_with_a_count() {
    let world = World::new();
    let one = phone("one", Encoding::Wbxml, true);
    folders(&world, &one);
    world.sync(&one, None);
    for n in 0..2_100 {
        server_mail(&world, &format!("m{n}"), &message(n, 50));
    }
    let News { events, upto, .. } = told(&world, "one", 0).unwrap();
    assert_eq!(events.len(), 2_048);
    let event = MailEvent::fold(&events, None);
    assert_eq!((event.happened.len(), event.happened[0].count, event.happened[0].temps.len()), (1, 2_048, 0));
    assert!(event.to_xml().len() < 200);
    // The rest is beyond, not lost.
    assert_eq!(told(&world, "one", upto).unwrap().events.len(), 2_100 - 2_048);
    let two = MailEvent::fold(&events[..2], None);
    assert_eq!(two.happened[0].temps.len(), 2);
    assert_eq!(MailEvent::fold(&events[..2], Some(1)).happened[0].temps.len(), 0, "its ids will be others");
}

// mission: M4b, M4e
#[test]
fn in_a_session_the_alert_carries_the_event_to_who_offered_to_take_it() {
    for (encoding, takes, offers) in [
        (Encoding::Wbxml, true, false),
        (Encoding::Xml, true, true),
        (Encoding::Wbxml, false, true),
        (Encoding::Wbxml, false, false),
    ] {
        let mut world = World::new();
        world.server.config.offers_news = offers;
        let mut client = phone("one", encoding, takes);
        folders(&world, &client);
        server_mail(&world, "m0", &message(0, 50));
        world.sync(&client, None);
        let luid = client.items("mail").into_iter().find(|(_, value, _)| value.rank > 0).unwrap().0;
        client.plans.retain(|plan| *plan.name == *"notes");
        server_flag(&world, &message(0, 50), |fields| fields.flagged = true);
        server_mail(&world, "m1", &message(1, 50));
        let events = world.sync(&client, None);
        let noticed: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Noticed { store, data, .. } => Some((&**store, MailEvent::parse(data).unwrap())),
                _ => None,
            })
            .collect();
        let asked = Event::ServerAlerted { store: "mail".into(), mode: Mode::TwoWay };
        assert_eq!(
            (noticed.len(), events.contains(&asked)),
            (usize::from(takes), takes || offers),
            "{events:?}"
        );
        for (store, event) in noticed {
            assert_eq!((store, event.happened.len()), ("mail", 2), "{event:?}");
            let arrived = event.happened.iter().find(|one| one.kind == Kind::Arrived).unwrap();
            let changed = event.happened.iter().find(|one| one.kind == Kind::Changed).unwrap();
            assert_eq!((&*arrived.folder, &*arrived.temps[0]), ("Inbox", "m1"));
            assert_eq!(&*changed.luids[0], luid.as_str());
        }
        let mails = client.items("mail").iter().filter(|(_, value, _)| value.rank > 0).count();
        assert_eq!(mails, if takes || offers { 2 } else { 1 });
    }
}
