//! A sync that is cut at any message goes on where it stopped: nothing twice, nothing lost, nothing said again that
//! was answered.

use super::notes::{equal, note, server_note};
use super::world::*;
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::event::{Event, WhySlow};
use std::collections::{HashMap, HashSet};
use syncml::{Command, CommandName, Encoding, Limits, Quirks, Version};

const SIZE: u32 = 1_500;
const LARGE: usize = 9_000;
/// Of each side, besides the large one.
const NOTES: usize = 30;
const ALL: usize = 2 * NOTES + 2;

/// Everything of one side of a message: item commands, and statuses.
struct Heard {
    session: String,
    msg_id: u32,
    items: Vec<(u32, CommandName, String, usize, bool)>,
    statuses: Vec<(u32, u32, u16)>,
}

fn heard(encoding: Encoding, said: &Said) -> Heard {
    let message = syncml::decode(encoding, &said.body, &Limits::default(), &Quirks::default()).unwrap();
    let (mut items, mut statuses) = (Vec::new(), Vec::new());
    for command in &message.commands {
        match command {
            Command::Status(status) => {
                statuses.push((status.msg_ref.unwrap_or_default(), status.cmd_ref, status.data.0));
            }
            Command::Sync(sync) => {
                for command in &sync.commands {
                    let (Command::Add(change) | Command::Replace(change) | Command::Delete(change)) = command
                    else {
                        continue;
                    };
                    for item in &change.items {
                        let source = item.source.as_ref().map(|source| source.loc_uri.to_string());
                        let target = item.target.as_ref().map(|target| target.loc_uri.to_string());
                        let id = source.or(target).unwrap_or_default();
                        let octets =
                            item.data.as_ref().and_then(|data| data.as_bytes()).map_or(0, |d| d.len());
                        items.push((change.cmd_id, command.name(), id, octets, item.more_data));
                    }
                }
            }
            _ => {}
        }
    }
    Heard { session: message.hdr.session_id.to_string(), msg_id: message.hdr.msg_id, items, statuses }
}

/// What both sides said.
#[derive(Debug, Default)]
struct Tally {
    commands: usize,
    octets: usize,
    /// The end of a large object went, nobody said whether it came: all of it goes again.
    unsure: usize,
}

/// Nobody says again what was answered; gives how much was said.
fn nothing_again(world: &World, encoding: Encoding) -> Tally {
    let mut sent: HashMap<(bool, String, u32, u32), (String, bool)> = HashMap::new();
    let mut answered: HashSet<(bool, String)> = HashSet::new();
    let mut tally = Tally::default();
    let mut octets: HashMap<(bool, String), usize> = HashMap::new();
    let mut ended: HashSet<(bool, String)> = HashSet::new();
    let mut unsure: HashSet<(bool, String)> = HashSet::new();
    for said in world.log.borrow().iter() {
        let heard = heard(encoding, said);
        for (cmd_id, cmd, id, size, more) in heard.items {
            let who = if said.by_client { "client" } else { "server" };
            assert!(
                !answered.contains(&(said.by_client, id.clone())),
                "the {who} says {cmd:?} of {id} again in session {} message {}",
                heard.session,
                heard.msg_id
            );
            if id.contains("large") {
                let key = (said.by_client, id.clone());
                if ended.contains(&key) {
                    unsure.insert(key.clone());
                }
                if !more {
                    ended.insert(key);
                }
            }
            tally.commands += 1;
            tally.octets += size;
            *octets.entry((said.by_client, id.clone())).or_default() += size;
            sent.insert((said.by_client, heard.session.clone(), heard.msg_id, cmd_id), (id, more));
        }
        if said.taken {
            for (msg_ref, cmd_ref, code) in heard.statuses {
                let key = (!said.by_client, heard.session.clone(), msg_ref, cmd_ref);
                if let Some((id, false)) = sent.get(&key)
                    && (200..300).contains(&code)
                    && code != 213
                {
                    answered.insert((!said.by_client, id.clone()));
                }
            }
        }
    }
    for ((by_client, id), octets) in octets {
        let twice = if unsure.contains(&(by_client, id.clone())) { 2 } else { 1 };
        let most = if id.contains("large") { twice * LARGE + 2 * SIZE as usize } else { 3 * SIZE as usize };
        assert!(octets <= most, "{octets} octets of {id}, by the client: {by_client}");
    }
    tally.unsure = unsure.len();
    tally
}

fn small_world() -> World {
    let mut world = World::new();
    world.server.config.session.max_msg_size = SIZE;
    world
}

/// Notes of both sides, a large one of each, in messages so small that it takes long.
fn scene(encoding: Encoding, mode: Mode) -> (World, Client) {
    let world = small_world();
    let mut client = Client::new("dev-1", encoding, Version::V1_2, SIZE, &["notes"]);
    for n in 0..NOTES {
        note(&client, &format!("c{n:02}"), &format!("client {n} {}", "x".repeat(250)));
        server_note(&world, &format!("s{n:02}"), &format!("server {n} {}", "y".repeat(250)));
    }
    let large = |who: &str| {
        let lines: String = (0..).map(|n| format!("{who} {n} <&> \u{e9}\n")).take(LARGE / 18).collect();
        lines.chars().take(LARGE - 1_500).collect::<String>()
    };
    note(&client, "c05-large", &large("client"));
    server_note(&world, "s05-large", &large("server"));
    client.plans[0].mode = mode;
    (world, client)
}

fn play(encoding: Encoding, mode: Mode, mishap: Option<(u32, Mishap)>) -> (u32, Tally) {
    let (world, mut client) = scene(encoding, mode);
    let events = world.sync(&client, mishap);
    let messages = world.messages.get();
    let tally = nothing_again(&world, encoding);
    let count = if mode == Mode::Slow || mode == Mode::TwoWay { ALL } else { ALL / 2 };
    equal(&world, &client);
    assert_eq!(world.items("notes").len(), count);
    assert!(events.iter().any(|event| matches!(event, Event::Completed { .. })));
    assert_eq!(world.server.store.spooled() + client.store.spooled(), 0, "spools are done with");
    // Nothing is left to be said.
    client.plans[0].mode = Mode::TwoWay;
    world.log.borrow_mut().clear();
    world.sync(&client, None);
    assert_eq!(nothing_again(&world, encoding).commands, 0);
    equal(&world, &client);
    (messages, tally)
}

const CUTS: [Mishap; 4] = [Mishap::Cut, Mishap::Abandon, Mishap::Suspend, Mishap::ServerSuspends];

fn every_cut(encoding: Encoding, mode: Mode, least: u32) {
    let (messages, whole) = play(encoding, mode, None);
    assert!(messages >= least, "{messages} messages");
    for at in 1..=messages {
        for cut in CUTS {
            println!("{cut:?} at message {at} of {messages}, {encoding:?}, {mode:?}");
            let (_, tally) = play(encoding, mode, Some((at, cut)));
            // What was on its way, both ways, and no more.
            assert!(
                tally.octets <= whole.octets + 4 * SIZE as usize + tally.unsure * LARGE,
                "{} octets of data instead of {}",
                tally.octets,
                whole.octets
            );
        }
    }
}

// mission: M3
// spec-test: session facts section 7
#[test]
fn a_first_sync_goes_on_where_it_was_cut_in_xml() {
    every_cut(Encoding::Xml, Mode::TwoWay, 50);
}

#[test]
fn a_first_sync_goes_on_where_it_was_cut_in_wbxml() {
    every_cut(Encoding::Wbxml, Mode::TwoWay, 30);
}

#[test]
fn a_refresh_goes_on_where_it_was_cut() {
    for mode in [Mode::RefreshFromClient, Mode::RefreshFromServer] {
        every_cut(Encoding::Wbxml, mode, 15);
    }
}

/// A later sync in which much changed goes on, too.
#[test]
fn a_two_way_sync_goes_on_where_it_was_cut() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let (world, client) = scene(encoding, Mode::TwoWay);
        let empty = (world.server.store.snapshot(), client.store.snapshot());
        drop((world, client));
        let play = |mishap| {
            let world = small_world();
            let client = Client::new("dev-1", encoding, Version::V1_2, SIZE, &["notes"]);
            world.sync(&client, None);
            let (from_server, from_client) =
                (mailsync_proto::testkit::MemoryStore::from_snapshot(&empty.0), &empty.1);
            for (item, body) in from_server.items(&World::key("notes")) {
                world.put("notes", item.guid.as_str(), item.value, body.as_deref());
            }
            let from_client = mailsync_proto::testkit::MemoryStore::from_snapshot(from_client);
            for (item, body) in from_client.items(&Client::key("notes")) {
                client.put("notes", item.guid.as_str(), item.value, body.as_deref());
            }
            world.log.borrow_mut().clear();
            let first = world.messages.get();
            world.sync(&client, mishap);
            nothing_again(&world, encoding);
            equal(&world, &client);
            assert_eq!(world.items("notes").len(), ALL);
            assert_eq!(world.server.store.spooled() + client.store.spooled(), 0);
            world.messages.get() - first
        };
        let messages = play(None);
        for at in 1..=messages {
            for cut in CUTS {
                println!("{cut:?} at message {at} of {messages}, {encoding:?}");
                play(Some((at, cut)));
            }
        }
    }
}

#[test]
fn a_sync_that_is_cut_again_and_again_still_ends() {
    for cut in CUTS {
        let (world, client) = scene(Encoding::Wbxml, Mode::TwoWay);
        let mut tries = 0;
        let done = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Completed { .. }));
        // Cut after every eighth message, over and over.
        loop {
            tries += 1;
            assert!(tries < 30, "no end");
            let events = world.try_once(&client, Some((8, cut)));
            if done(&events) {
                break;
            }
        }
        assert!(tries > 4, "{tries}");
        nothing_again(&world, Encoding::Wbxml);
        equal(&world, &client);
        assert_eq!(world.items("notes").len(), ALL);
    }
}

// spec-test: session facts section 7: 508 and Alert 201 when nothing is left
#[test]
fn where_the_server_has_nothing_left_it_is_slow_and_nothing_is_doubled() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for at in [2, 5, 10, 20, 28] {
            let (world, client) = scene(encoding, Mode::TwoWay);
            world.try_once(&client, Some((at, Mishap::Abandon)));
            world.server.store.forget_sessions();
            let events = world.sync(&client, None);
            let slow = |event: &Event| match event {
                Event::Alerted { mode: Mode::Slow, why_slow, .. } => Some(*why_slow),
                _ => None,
            };
            let why = events.iter().find_map(slow);
            let expected = if at < 3 { WhySlow::First } else { WhySlow::NothingLeft };
            assert_eq!(why, Some(Some(expected)), "{events:?}");
            equal(&world, &client);
            assert_eq!(world.items("notes").len(), ALL);
        }
    }
}

#[test]
fn where_the_client_has_nothing_left_it_is_slow_and_nothing_is_doubled() {
    for at in [2, 5, 10, 20, 28] {
        let (world, client) = scene(Encoding::Wbxml, Mode::TwoWay);
        world.try_once(&client, Some((at, Mishap::Abandon)));
        client.store.forget_sessions();
        world.sync(&client, None);
        equal(&world, &client);
        assert_eq!(world.items("notes").len(), ALL);
    }
}

#[test]
fn below_1_2_it_begins_anew_and_nothing_is_doubled() {
    let (world, mut client) = scene(Encoding::Wbxml, Mode::TwoWay);
    client.config.session.version = Version::V1_1;
    world.try_once(&client, Some((20, Mishap::Abandon)));
    let events = world.sync(&client, None);
    assert!(!events.iter().any(|event| matches!(event, Event::Resumed { .. })));
    equal(&world, &client);
    assert_eq!(world.items("notes").len(), ALL);
}
