//! Rows of the list of threats that are of whole sessions.

use super::notes::{equal, note, server_note};
use super::raw::*;
use super::world::*;
use bytes::Bytes;
use mailsync_proto::sync::event::Event;
use syncml::{Encoding, Version};

// threat: S7
#[test]
fn threat_s7_number_of_changes_is_only_said_on() {
    for (session, said) in [(1, "0"), (2, "1"), (3, "4294967295")] {
        let world = World::new();
        server_note(&world, "s", "of the server");
        let mut raw = Raw::new(&world, session);
        raw.alert("notes", 201, "", "1", "");
        let hint = format!("<NumberOfChanges>{said}</NumberOfChanges>");
        let answer = raw.sync("notes", &hint, &(add(2, "a", "one") + &add(3, "b", "two")));
        assert_eq!(codes(&answer), [(1, 200), (2, 201), (3, 201)], "{said}");
        raw.take("notes", &answer);
        assert_eq!(world.items("notes").len(), 3, "{said}");
        let events = world.server_events.borrow();
        let announced = events.iter().find_map(|event| match event {
            Event::Announced { changes, .. } => Some(*changes),
            _ => None,
        });
        assert_eq!(announced, said.parse().ok());
    }
}

// threat: S9
#[test]
fn threat_s9_next_counts_only_after_a_whole_session_and_to_the_octet() {
    let world = World::new();
    server_note(&world, "s", "one");
    let mut raw = Raw::new(&world, 1);
    raw.alert("notes", 201, "", "20070101T000000Z", "");
    let answer = raw.sync("notes", "", "");
    raw.take("notes", &answer);
    // This one breaks before the statuses of what the server sent.
    server_note(&world, "s2", "two");
    let mut raw = Raw::new(&world, 2);
    let answer = raw.alert("notes", 200, "20070101T000000Z", "20070102T000000Z", "");
    assert_eq!((codes(&answer), says(&answer)), (vec![(1, 200)], vec!["Alert 200".to_owned()]));
    assert_eq!(says(&raw.sync("notes", "", "")), ["Add s2"]);
    for (session, last) in [
        (3, "20070102T000000Z"),
        (4, "20070101T000000z"),
        (5, "20070101T000000Z "),
        (6, "2007-01-01T00:00:00Z"),
        (7, "0"),
        (8, ""),
    ] {
        let mut raw = Raw::new(&world, session);
        let answer = raw.alert("notes", 200, last, "n", "");
        assert_eq!(codes(&answer), [(1, 508)], "{last:?}");
        assert_eq!(says(&answer), ["Alert 201"], "{last:?}");
    }
    let mut raw = Raw::new(&world, 9);
    let answer = raw.alert("notes", 200, "20070101T000000Z", "n", "");
    assert_eq!(codes(&answer), [(1, 200)], "the honest one is where it was");
    let answer = raw.sync("notes", "", "");
    assert_eq!(says(&answer), ["Add s2"]);
}

/// A client in the middle of a session: its token, and the request that waits.
fn waiting(world: &World) -> (Client, Box<str>, Bytes) {
    let client = Client::new("dev-1", Encoding::Xml, Version::V1_2, 20_000, &["notes"]);
    note(&client, "a", "text number one");
    let mut events = Vec::new();
    let (token, mut request) = client.start(world, &mut events).unwrap();
    while !request.windows(6).any(|part| part == b"<Sync>") {
        let hop = client.hop(&token);
        let answer = world.answer(&hop.url, hop.encoding, &request).unwrap();
        request = client.take(world, &token, &hop, &answer, &mut events).unwrap().unwrap();
    }
    (client, token, request)
}

// threat: L8
#[test]
fn threat_l8_the_same_message_again_gets_the_same_answer_and_another_of_its_number_none() {
    let world = World::new();
    let (client, token, request) = waiting(&world);
    let hop = client.hop(&token);
    let first = world.try_answer(&hop.url, hop.encoding, &request).unwrap();
    for _ in 0..3 {
        assert_eq!(world.try_answer(&hop.url, hop.encoding, &request).as_ref(), Some(&first));
    }
    let text = String::from_utf8(request.to_vec()).unwrap();
    let other = Bytes::from(text.replace("number one", "number two"));
    assert_ne!(other, request);
    assert_eq!(world.try_answer(&hop.url, hop.encoding, &other), None, "other octets under the same MsgID");
    assert_eq!(world.items("notes").len(), 1);
    assert_eq!(world.items("notes")[0].2, "text number one");
}

// threat: L4
#[test]
fn threat_l4_a_bad_message_costs_one_message() {
    let world = World::new();
    let (client, token, mut request) = waiting(&world);
    let hop = client.hop(&token);
    let text = String::from_utf8(request.to_vec()).unwrap();
    for bad in [
        "nonsense".to_owned(),
        text.replace("</SyncML>", ""),
        text.replace("<MsgID>3</MsgID>", "<MsgID>1</MsgID>").replace("<MsgID>2</MsgID>", "<MsgID>1</MsgID>"),
        text.replace("<SessionID>", "<SessionID>9"),
        text.replace("dev-1", "dev-2"),
    ] {
        assert_ne!(bad, text);
        assert_eq!(world.try_answer(&hop.url, hop.encoding, &Bytes::from(bad.clone())), None, "{bad}");
    }
    assert!(world.items("notes").is_empty(), "nothing of them was applied");
    let mut events = Vec::new();
    loop {
        let hop = client.hop(&token);
        let answer = world.answer(&hop.url, hop.encoding, &request).unwrap();
        match client.take(&world, &token, &hop, &answer, &mut events).unwrap() {
            Some(next) => request = next,
            None => break,
        }
    }
    equal(&world, &client);
    assert_eq!(world.items("notes").len(), 1);
}

// threat: L6
#[test]
fn threat_l6_what_is_too_large_stays_with_its_sender_and_is_named() {
    let mut world = World::new();
    world.server.config.session.max_obj_size = 1_000;
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    note(&client, "large", &"x".repeat(1_001));
    note(&client, "fits", &"x".repeat(1_000));
    let events = world.sync(&client, None);
    let named = events.iter().any(|event| match event {
        Event::Skipped { guid, reason, .. } => guid.as_str() == "large" && reason.contains("1000"),
        _ => false,
    });
    assert!(named, "{events:?}");
    assert_eq!((client.items("notes").len(), world.items("notes").len()), (2, 1));
    // One that does not heed the limit is told so, and what came with it is taken.
    let mut raw = Raw::new(&world, 1);
    raw.alert("notes", 201, "", "1", "");
    let answer = raw.sync("notes", "", &(add(2, "l", &"y".repeat(1_001)) + &add(3, "s", "small")));
    assert_eq!(codes(&answer), [(1, 200), (2, 416), (3, 201)]);
}
