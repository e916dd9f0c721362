//! The life of a datastore of notes.

use super::world::*;
use mailsync_proto::plain::plain_value;
use mailsync_proto::sync::event::{Counts, Event, Mode, WhySlow};
use mailsync_proto::sync::store::{PeerKey, Read, Store, Value};
use syncml::{Encoding, Version};

pub fn note(client: &Client, id: &str, text: &str) {
    client.put("notes", id, plain_value("text/plain", text.as_bytes()), Some(text.as_bytes()));
}

pub fn server_note(world: &World, id: &str, text: &str) {
    world.put("notes", id, plain_value("text/plain", text.as_bytes()), Some(text.as_bytes()));
}

pub fn equal(world: &World, client: &Client) {
    let (server, ours) = (bodies(&world.items("notes")), bodies(&client.items("notes")));
    let begins = |body: &bytes::Bytes| String::from_utf8_lossy(&body[..body.len().min(24)]).into_owned();
    for (body, count) in &server {
        assert_eq!(ours.get(body), Some(count), "of the client's {:?}, {} octets", begins(body), body.len());
    }
    for (body, count) in &ours {
        assert_eq!(
            server.get(body),
            Some(count),
            "of the server's {:?}, {} octets",
            begins(body),
            body.len()
        );
    }
}

fn completed(events: &[Event]) -> (Mode, Counts, Counts) {
    let found = events.iter().find_map(|event| match event {
        Event::Completed { mode, received, sent, .. } => Some((*mode, *received, *sent)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("not completed: {events:?}"))
}

fn counts(added: u32, replaced: u32, deleted: u32) -> Counts {
    Counts { added, replaced, deleted }
}

// mission: M3
// mission: M7
#[test]
fn a_store_of_notes_lives() {
    for (encoding, version) in [
        (Encoding::Xml, Version::V1_2),
        (Encoding::Wbxml, Version::V1_2),
        (Encoding::Wbxml, Version::V1_1),
        (Encoding::Xml, Version::V1_1),
    ] {
        let world = World::new();
        let client = Client::new("dev-1", encoding, version, 20_000, &["notes"]);
        for n in 1..=3 {
            note(&client, &format!("c{n}"), &format!("client note {n}\nsecond line"));
        }
        server_note(&world, "s1", "server note 1");
        server_note(&world, "s2", "server note 2 \u{fc}\u{20ac}");
        server_note(&world, "same", "same on both\n");
        note(&client, "same", "same on both");
        let events = world.sync(&client, None);
        let slow = Event::Alerted { store: "notes".into(), mode: Mode::Slow, why_slow: Some(WhySlow::First) };
        assert!(events.contains(&slow), "{events:?}");
        assert_eq!(completed(&events), (Mode::Slow, counts(2, 0, 0), counts(0, 4, 0)).fix());
        assert_eq!(world.items("notes").len(), 6);
        assert_eq!(client.items("notes").len(), 6);

        let before = world.messages.get();
        let events = world.sync(&client, None);
        assert_eq!(completed(&events), (Mode::TwoWay, counts(0, 0, 0), counts(0, 0, 0)));
        assert_eq!(world.messages.get() - before, 3, "no challenge, no second walk");

        note(&client, "c1", "client note 1 changed");
        note(&client, "c4", "added on the client");
        client.delete("notes", "c2");
        server_note(&world, "s1", "server note 1 changed");
        server_note(&world, "s9", "added on the server");
        world.delete("notes", "s2");
        let events = world.sync(&client, None);
        assert_eq!(completed(&events), (Mode::TwoWay, counts(1, 1, 1), counts(1, 1, 1)));
        let same_ignoring_end = |items: Vec<_>| {
            let mut texts: Vec<String> = bodies(&items)
                .into_keys()
                .map(|body| String::from_utf8(body.to_vec()).unwrap().trim_end().to_owned())
                .collect();
            texts.sort();
            texts
        };
        assert_eq!(same_ignoring_end(world.items("notes")), same_ignoring_end(client.items("notes")));
        assert_eq!(world.items("notes").len(), 6);
    }
}

trait Fix {
    fn fix(self) -> Self;
}

impl Fix for (Mode, Counts, Counts) {
    /// A first sync sends everything as `Add`.
    fn fix(mut self) -> Self {
        self.2 = counts(self.2.added + self.2.replaced, 0, 0);
        self
    }
}

#[test]
fn both_sides_edit_and_both_versions_stay() {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    server_note(&world, "n", "first");
    world.sync(&client, None);
    let id = client.items("notes")[0].0.clone();
    note(&client, id.as_str(), "client's");
    server_note(&world, "n", "server's");
    let events = world.sync(&client, None);
    equal(&world, &client);
    assert_eq!(world.items("notes").len(), 2);
    world.sync(&client, None);
    equal(&world, &client);
    assert!(events.iter().any(|event| matches!(event, Event::Announced { changes: 1, .. })), "{events:?}");
}

#[test]
fn a_change_beats_a_deletion() {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Xml, Version::V1_2, 20_000, &["notes"]);
    server_note(&world, "a", "one");
    server_note(&world, "b", "two");
    world.sync(&client, None);
    client.delete("notes", "a");
    server_note(&world, "a", "one changed");
    world.delete("notes", "b");
    note(&client, "b", "two changed");
    world.sync(&client, None);
    equal(&world, &client);
    assert_eq!(world.items("notes").len(), 2);
}

// mission: M3
#[test]
fn lost_anchors_on_either_side_mean_a_slow_sync_without_doubles() {
    for forgetful_server in [true, false] {
        let world = World::new();
        let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
        for n in 0..20 {
            server_note(&world, &format!("s{n}"), &format!("server {n}"));
            note(&client, &format!("c{n}"), &format!("client {n}"));
        }
        world.sync(&client, None);
        if forgetful_server {
            let peer = PeerKey { store: World::key("notes"), device: "dev-1".into() };
            world.server.store.forget_peer(&peer);
        } else {
            client.store.forget_peer(&Client::peer("notes"));
        }
        note(&client, "new", "after the loss");
        let events = world.sync(&client, None);
        let why = if forgetful_server { WhySlow::ClientAnchor } else { WhySlow::First };
        assert!(
            events.iter().any(|e| matches!(e, Event::Alerted { why_slow: Some(w), .. } if *w == why)),
            "{events:?}"
        );
        equal(&world, &client);
        assert_eq!(world.items("notes").len(), 41);
    }
}

// mission: M7
#[test]
fn two_devices_and_their_own_ids() {
    let world = World::new();
    let one = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    let two = Client::new("dev-2", Encoding::Xml, Version::V1_1, 8_000, &["notes"]);
    note(&one, "7", "from one");
    note(&two, "7", "from two");
    for client in [&one, &two, &one, &two] {
        world.sync(client, None);
    }
    equal(&world, &one);
    equal(&world, &two);
    assert_eq!(world.items("notes").len(), 2);
    let peer = |device: &str| PeerKey { store: World::key("notes"), device: device.into() };
    let of = |device: &str| {
        let read = Read::ByLuid(peer(device), generation(&world, device), idmap::Luid::unvalidated("7"));
        let found = world.server.store.read(std::slice::from_ref(&read)).unwrap();
        match found.get(&read) {
            Some(Value::Entry(Some(entry))) => entry.guid.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(of("dev-1"), of("dev-2"), "the same LUID of two devices is two mails");
}

fn generation(world: &World, device: &str) -> u32 {
    let peer = PeerKey { store: World::key("notes"), device: device.into() };
    world.server.store.entries(&peer).first().unwrap().generation
}

#[test]
fn small_messages() {
    for (encoding, size) in [(Encoding::Xml, 2_000), (Encoding::Wbxml, 1_024), (Encoding::Xml, 4_000)] {
        let world = World::new();
        let client = Client::new("dev-1", encoding, Version::V1_2, size, &["notes"]);
        for n in 0..30 {
            server_note(&world, &format!("s{n}"), &format!("server {n} {}", "y".repeat(100)));
            note(&client, &format!("c{n}"), &format!("client {n} {}", "x".repeat(100)));
        }
        server_note(&world, "big", &"big <&> \u{e9} ".repeat(1000));
        note(&client, "large", &"large ]]> \u{e9} ".repeat(1000));
        world.sync(&client, None);
        equal(&world, &client);
        assert_eq!(world.items("notes").len(), 62);
        let (_, answer) = world.largest.get();
        assert!(answer <= size as usize, "{answer} octets to a client that takes {size}");
    }
}

// mission: M11
#[test]
fn what_a_device_cannot_hold_is_not_offered_to_it() {
    let world = World::new();
    let mut client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    client.config.session.max_obj_size = 1_000;
    server_note(&world, "small", "fits");
    server_note(&world, "large", &"too large ".repeat(500));
    world.sync(&client, None);
    let held: Vec<String> = bodies(&client.items("notes"))
        .into_keys()
        .map(|body| String::from_utf8(body.to_vec()).unwrap())
        .collect();
    assert_eq!(held, ["fits"]);
    // It stays put at the server, and another device gets it.
    let other = Client::new("dev-2", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    world.sync(&other, None);
    equal(&world, &other);
}

// mission: M11
#[test]
fn a_device_with_short_ids_gets_temporary_ones_and_maps_them() {
    use mailsync_proto::sync::store::{Device, Write};
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    for n in 0..5 {
        server_note(&world, &format!("a-guid-that-is-far-too-long-{n}"), &format!("note {n}"));
    }
    // quirk: Nokia advertises MaxGUIDSize 8; the server keeps what a device said last
    world.sync(&client, None);
    let read = Read::Device(USER.into(), "dev-1".into());
    let found = world.server.store.read(std::slice::from_ref(&read)).unwrap();
    let Some(Value::Device(Some(device))) = found.get(&read) else { panic!("no device") };
    let (format, devinf) = device.devinf.as_ref().unwrap().split_first().unwrap();
    let mut devinf: syncml::DevInf = postcard::from_bytes(devinf).unwrap();
    devinf.data_stores[0].max_guid_size = Some(8);
    let devinf = postcard::to_extend(&devinf, vec![*format]).unwrap();
    let device = Device { devinf: Some(devinf.into()), ..device.clone() };
    let write = Write::PutDevice(USER.into(), "dev-1".into(), device);
    let commit = mailsync_proto::sync::store::Commit { session: None, writes: vec![write] };
    world.server.store.commit(&commit).unwrap();
    server_note(&world, "another-guid-that-is-far-too-long", "one more");
    world.sync(&client, None);
    equal(&world, &client);
    let peer = PeerKey { store: World::key("notes"), device: "dev-1".into() };
    let entry =
        world.server.store.entries(&peer).into_iter().find(|e| e.guid.as_str().starts_with("another"));
    let entry = entry.unwrap();
    assert!(entry.wire_id().len() <= 8, "offered as {}", entry.wire_id());
    assert!(entry.luid().is_some(), "and mapped");
    // A change comes under the LUID.
    server_note(&world, "another-guid-that-is-far-too-long", "one more, changed");
    world.sync(&client, None);
    equal(&world, &client);
}
