//! Objects much larger than a message, at every `MaxMsgSize` of both sides.

use super::notes::{equal, note, server_note};
use super::world::*;
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::seal::ItemKey;
use mailsync_proto::sync::store::{Read, Store as _, Value};
use syncml::{Encoding, Version};

/// 40 kB of lines in which every octet that a spelling must watch occurs.
fn long(seed: usize, octets: usize) -> String {
    let mut text = String::new();
    while text.len() < octets {
        let n = text.len() + seed;
        text.push_str(&format!("line {n} <&> ]]> \u{e9}\u{20ac}\u{1f600} \"quoted\" and so on\r\n"));
    }
    text
}

/// Small sizes one by one nearly, larger ones in steps.
fn sizes() -> impl Iterator<Item = u32> {
    (1_024..1_104).step_by(8).chain((1_104..1_600).step_by(62)).chain((1_600..=4_000).step_by(400))
}

fn one(encoding: Encoding, version: Version, size: u32) {
    with_names(encoding, version, size, "dev-1", "");
}

/// A sync in which the device is named so, and the server's URL is longer by so much.
fn with_names(encoding: Encoding, version: Version, size: u32, device: &str, url_tail: &str) {
    let mut world = World::new();
    world.server.config.session.max_msg_size = size;
    let mut client = Client::new(device, encoding, version, size, &["notes"]);
    client.config.session.server_url = format!("{URL}{url_tail}").into();
    // Two in a row, and a small one between large ones, both ways.
    note(&client, "c1", &long(1, 40_000));
    note(&client, "c2", &long(2, 3_000));
    note(&client, "c3", "small");
    server_note(&world, "s1", &long(3, 40_000));
    server_note(&world, "s2", &long(4, 3_000));
    server_note(&world, "s3", "small, too");
    let events = world.sync(&client, None);
    let what = format!("{encoding:?} {version:?} {size}");
    assert!(events.iter().any(|event| matches!(event, Event::Completed { .. })), "{what}: {events:?}");
    equal(&world, &client);
    assert_eq!(world.items("notes").len(), 6, "{what}");
    let (request, answer) = world.largest.get();
    assert!(request <= size as usize && answer <= size as usize, "{what}: {request} {answer}");
    let chunks = world.messages.get();
    // A second sync finds nothing to do, also in messages that hold next to nothing.
    world.sync(&client, None);
    assert!(world.messages.get() - chunks < 20, "{what}: {} messages", world.messages.get() - chunks);
    equal(&world, &client);
}

// mission: M4
#[test]
fn large_objects_go_both_ways_in_small_xml_messages() {
    for size in sizes() {
        one(Encoding::Xml, Version::V1_2, size);
    }
}

#[test]
fn large_objects_go_both_ways_in_small_wbxml_messages() {
    for size in sizes() {
        one(Encoding::Wbxml, Version::V1_2, size);
    }
}

#[test]
fn the_same_in_1_1() {
    for size in [1_024, 1_500] {
        one(Encoding::Xml, Version::V1_1, size);
        one(Encoding::Wbxml, Version::V1_1, size);
    }
}

#[test]
fn long_names_still_leave_room() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        with_names(encoding, Version::V1_2, 1_024, &"d".repeat(40), &format!("?{}", "u".repeat(60)));
    }
}

/// What must fit into the smallest message: by what a client knows that the server is one of ours, and that it seals. Without it the
/// client takes a server that it does not know, and compares everything after a sync that broke.
#[test]
fn by_the_smallest_messages_two_of_ours_know_each_other() {
    for encoding in [Encoding::Wbxml, Encoding::Xml] {
        for size in (1_024..1_400).step_by(31).chain([3_000, 150_000]) {
            for key in [None, Some(ItemKey::new([3; 32]))] {
                let world = World::new();
                world.server.store.set_item_key(USER, "phone", key.clone());
                let stores = ["mail", "notes", "memos", "tasks"];
                let mut phone = Client::new("phone", encoding, Version::V1_2, size, &stores);
                phone.config.item_key.clone_from(&key);
                phone.plain("notes", "n1", "hello");
                let _ = world.sync(&phone, None);
                let read = Read::Device("".into(), SERVER.into());
                let found = phone.store.read(std::slice::from_ref(&read)).unwrap();
                let Some(Value::Device(Some(kept))) = found.get(&read) else { panic!("{encoding:?} {size}") };
                let flags = kept.devinf.as_ref().and_then(|kept| kept.last().copied()).unwrap();
                assert_eq!(flags, if key.is_some() { 3 } else { 1 }, "{encoding:?} {size} {key:?}");
                assert_eq!(world.items("notes").len(), 1);
            }
        }
    }
}

// mission: M7
#[test]
fn ids_of_many_new_items_are_all_told_in_the_session_that_brought_them() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let mut world = World::new();
        world.server.config.session.max_msg_size = 150_000;
        let client = Client::new("dev-1", encoding, Version::V1_2, 150_000, &["notes"]);
        for n in 0..3_500 {
            server_note(&world, &format!("s{n:04}"), "as it was");
        }
        world.sync(&client, None);
        equal(&world, &client);
        let before = world.messages.get();
        world.sync(&client, None);
        assert_eq!(world.messages.get() - before, 3, "{encoding:?}: nothing is left to say");
    }
}
