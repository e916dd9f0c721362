//! A network that loses, repeats, reorders and truncates, between processes that take turns: nothing of an engine
//! lives anywhere but in its store, so each message may be another process's.

use super::model::Dice;
use super::notes::{equal, note, server_note};
use super::world::*;
use bytes::Bytes;
use mailsync_proto::sync::event::Event;
use mailsync_proto::testkit::MemoryStore;
use syncml::{Encoding, Version};

fn scene(encoding: Encoding, dice: &mut Dice) -> (World, Client) {
    let mut world = World::new();
    world.server.config.session.max_msg_size = 2_000;
    let client = Client::new("dev-1", encoding, Version::V1_2, 2_000, &["notes"]);
    for n in 0..25 {
        note(&client, &format!("c{n}"), &format!("client {n} {}", "x".repeat(dice.roll(300) as usize)));
        server_note(&world, &format!("s{n}"), &format!("server {n} {}", "y".repeat(dice.roll(300) as usize)));
    }
    note(&client, "c-large", &"large <&> \u{e9} ".repeat(400));
    server_note(&world, "s-large", &"also large ]]> ".repeat(400));
    (world, client)
}

/// One session over a bad network, each message by processes of their own. True when it came to its end.
fn session(world: &mut World, client: &mut Client, dice: &mut Dice, badness: u64) -> bool {
    let mut old: Vec<(String, Encoding, Bytes)> = Vec::new();
    let mut events = Vec::new();
    let Some((token, mut request)) = client.start(world, &mut events) else { return false };
    for _ in 0..600 {
        // Another process on the same rows.
        world.server.store = MemoryStore::from_snapshot(&world.server.store.snapshot());
        client.store = MemoryStore::from_snapshot(&client.store.snapshot());
        let hop = client.hop(&token);
        let bad = dice.roll(100) < badness;
        let kind = dice.roll(7);
        if bad && kind == 0 {
            continue;
        }
        if bad && kind == 1 {
            // Part of it arrives.
            let cut = request.slice(..dice.roll(request.len() as u64) as usize);
            assert!(world.try_answer(&hop.url, hop.encoding, &cut).is_none(), "half a message is none");
            continue;
        }
        if bad && kind == 2 && !old.is_empty() {
            // An old one arrives late: it changes nothing.
            let (url, encoding, body) = old[dice.roll(old.len() as u64) as usize].clone();
            let before = world.items("notes").len();
            let _ = world.try_answer(&url, encoding, &body);
            assert!(world.items("notes").len() >= before);
        }
        let answer = world.try_answer(&hop.url, hop.encoding, &request);
        if bad && kind == 3 {
            let again = world.try_answer(&hop.url, hop.encoding, &request);
            assert!(answer.is_none() || !hop.url.contains("?s=") || answer == again, "the same answer");
        }
        old.push((hop.url.clone(), hop.encoding, request.clone()));
        let Some(answer) = answer else { return false };
        if bad && kind == 4 {
            continue;
        }
        if bad && kind == 5 {
            let cut = answer.slice(..dice.roll(answer.len() as u64) as usize);
            assert!(mailsync_proto::sync::client::decode(&client.config, hop.encoding, &cut).is_err());
            continue;
        }
        if bad && kind == 6 {
            // The client gives up, and begins again later.
            return false;
        }
        match client.take(world, &token, &hop, &answer, &mut events) {
            Some(Some(next)) => request = next,
            _ => return events.iter().any(|event| matches!(event, Event::Completed { .. })),
        }
    }
    panic!("no end")
}

// mission: M7
// threat: L8
#[test]
fn a_bad_network_and_many_processes_corrupt_nothing() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let encoding = if seed % 2 == 0 { Encoding::Xml } else { Encoding::Wbxml };
        let (mut world, mut client) = scene(encoding, &mut dice);
        let mut tries = 0;
        let badness = dice.roll(40);
        while !session(&mut world, &mut client, &mut dice, badness) {
            tries += 1;
            assert!(tries < 200, "seed {seed}: no end");
        }
        equal(&world, &client);
        assert_eq!(world.items("notes").len(), 52, "seed {seed}");
        // And on from there.
        note(&client, "c1", "changed by the client");
        world.plain("notes", "s1", "changed by the server");
        while !session(&mut world, &mut client, &mut dice, badness) {
            tries += 1;
            assert!(tries < 200, "seed {seed}: no end");
        }
        equal(&world, &client);
        assert_eq!(world.items("notes").len(), 52, "seed {seed}");
    }
}

/// Two processes that took turns said the same as one.
#[test]
fn taking_turns_changes_no_octet() {
    let play = |apart: bool| {
        let (mut world, mut client) = scene(Encoding::Wbxml, &mut Dice::new(7));
        let mut said = Vec::new();
        let (token, mut request) = client.start(&world, &mut Vec::new()).unwrap();
        loop {
            if apart {
                world.server.store = MemoryStore::from_snapshot(&world.server.store.snapshot());
                client.store = MemoryStore::from_snapshot(&client.store.snapshot());
            }
            let hop = client.hop(&token);
            let answer = world.answer(&hop.url, hop.encoding, &request).unwrap();
            said.extend([request, answer.clone()]);
            match client.take(&world, &token, &hop, &answer, &mut Vec::new()).unwrap() {
                Some(next) => request = next,
                None => return said,
            }
        }
    };
    let (one, two) = (play(false), play(true));
    assert!(one.len() > 20, "{} messages", one.len());
    assert!(one == two);
}
