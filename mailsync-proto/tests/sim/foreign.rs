//! A server as others are: it says nothing of ours in its DevInf, refuses to go on with a session that broke, and then
//! keeps the items that came in it but forgets from whom it had them.
// quirk: SyncEvolution 2.0's server

use super::notes::{note, server_note};
use super::world::*;
use idmap::Record;
use mailsync_proto::sync::event::{ConflictRule, Event, Mode, WhySlow};
use mailsync_proto::sync::store::{Commit, PeerKey, Seen, Store, Write};
use std::collections::BTreeMap;
use syncml::{Encoding, Version};

fn peer() -> PeerKey {
    PeerKey { store: World::key("notes"), device: "dev-1".into() }
}

/// One session that breaks; afterwards the server has the items, and no memory of their ids.
fn broken(world: &World, client: &Client, at: u32, mishap: Mishap) -> Vec<Event> {
    let before: Vec<_> = world.server.store.entries(&peer());
    let events = world.try_once(client, Some((at, mishap)));
    let completed = events.iter().any(|event| matches!(event, Event::Completed { .. }));
    if !completed {
        let mut writes = Vec::new();
        for entry in world.server.store.entries(&peer()) {
            if !before.iter().any(|old| old.guid == entry.guid && old.luid() == entry.luid()) {
                let remove = Record::Remove { generation: entry.generation, guid: entry.guid.clone() };
                writes.push(Write::Map(peer(), remove, Seen::AsRecorded));
            }
        }
        world.server.store.commit(&Commit { session: None, writes }).unwrap();
        world.server.store.forget_sessions();
    }
    events
}

fn texts(
    items: &[(idmap::Guid, mailsync_proto::sync::store::ItemValue, bytes::Bytes)],
) -> BTreeMap<String, usize> {
    bodies(items).into_iter().map(|(body, n)| (String::from_utf8(body.to_vec()).unwrap(), n)).collect()
}

/// Notes on both sides after a first sync, then new ones; the session with those breaks.
fn play(encoding: Encoding, version: Version, at: u32, mishap: Mishap) -> (u32, bool) {
    let mut world = World::new();
    world.foreign = true;
    world.server.config.session.max_msg_size = 2_000;
    world.server.config.stores.iter_mut().for_each(|store| store.conflict = ConflictRule::ServerWins);
    let client = Client::new("dev-1", encoding, version, 2_000, &["notes"]);
    note(&client, "c", "first of the client");
    server_note(&world, "s", "first of the server");
    world.sync(&client, None);
    let mut expected = vec!["first of the client".to_owned(), "first of the server".to_owned()];
    for n in 0..12 {
        note(&client, &format!("c{n}"), &format!("client's {n} {}", "x".repeat(200)));
        server_note(&world, &format!("s{n}"), &format!("server's {n} {}", "y".repeat(200)));
        expected.push(format!("client's {n} {}", "x".repeat(200)));
        expected.push(format!("server's {n} {}", "y".repeat(200)));
    }
    let first = world.messages.get();
    broken(&world, &client, at, mishap);
    let messages = world.messages.get() - first;
    let mut events = Vec::new();
    for _ in 0..2 {
        events.extend(world.sync(&client, None));
    }
    let expected: BTreeMap<String, usize> = expected.into_iter().map(|text| (text, 1)).collect();
    assert_eq!(texts(&world.items("notes")), expected, "the server's, {mishap:?} at {at}");
    assert_eq!(texts(&client.items("notes")), expected, "the client's, {mishap:?} at {at}");
    let unsure = Event::Alerted { store: "notes".into(), mode: Mode::Slow, why_slow: Some(WhySlow::Unsure) };
    (messages, events.contains(&unsure))
}

// mission: M4
#[test]
fn nothing_doubles_after_a_session_with_a_strange_server_broke() {
    for (encoding, version) in
        [(Encoding::Wbxml, Version::V1_2), (Encoding::Xml, Version::V1_1), (Encoding::Wbxml, Version::V1_0)]
    {
        let (messages, unsure) = play(encoding, version, 10_000, Mishap::Cut);
        assert!(
            messages > 4 && !unsure,
            "{messages} {unsure}: a session that does not break needs nothing of it"
        );
        let mut slow = 0;
        for at in 1..=messages {
            for mishap in [Mishap::Cut, Mishap::Abandon] {
                slow += usize::from(play(encoding, version, at, mishap).1);
            }
        }
        assert!(slow > 3, "{slow}");
    }
}

#[test]
fn a_server_of_ours_is_not_asked_to_compare_everything() {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 2_000, &["notes"]);
    note(&client, "c", "first");
    world.sync(&client, None);
    for n in 0..12 {
        note(&client, &format!("c{n}"), &format!("client's {n} {}", "x".repeat(200)));
    }
    world.try_once(&client, Some((3, Mishap::Cut)));
    let events = world.sync(&client, None);
    assert!(
        events.iter().all(|event| !matches!(event, Event::Alerted { mode: Mode::Slow, .. })),
        "{events:?}"
    );
    assert_eq!(world.items("notes").len(), 13);
}
