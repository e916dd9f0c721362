//! All kinds of sync, both sides.

use super::notes::{equal, note, server_note};
use super::world::*;
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::event::{Event, WhySlow};
use std::collections::BTreeSet;
use syncml::{AlertCode, Encoding, Version};

fn with_mode(client: &mut Client, mode: Mode) {
    client.plans.iter_mut().for_each(|plan| plan.mode = mode);
}

fn texts(
    items: Vec<(idmap::Guid, mailsync_proto::sync::store::ItemValue, bytes::Bytes)>,
) -> BTreeSet<String> {
    items.into_iter().map(|(_, _, body)| String::from_utf8(body.to_vec()).unwrap()).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Both sides have `both` and then change it: each edits one, adds one, deletes one.
fn changed_on_both(encoding: Encoding) -> (World, Client) {
    let world = World::new();
    let client = Client::new("dev-1", encoding, Version::V1_2, 20_000, &["notes"]);
    for n in 0..6 {
        server_note(&world, &format!("s{n}"), &format!("both {n}"));
    }
    world.sync(&client, None);
    note(&client, "s0", "client edit");
    client.delete("notes", "s1");
    note(&client, "c", "client new");
    server_note(&world, "s2", "server edit");
    world.delete("notes", "s3");
    server_note(&world, "s", "server new");
    (world, client)
}

const CLIENT: [&str; 6] = ["client edit", "both 2", "both 3", "both 4", "both 5", "client new"];
const SERVER: [&str; 6] = ["both 0", "both 1", "server edit", "both 4", "both 5", "server new"];
const MERGED: [&str; 6] = ["client edit", "server edit", "both 4", "both 5", "client new", "server new"];

fn completed(events: &[Event]) -> Mode {
    let modes = events.iter().find_map(|event| match event {
        Event::Completed { mode, .. } => Some(*mode),
        _ => None,
    });
    modes.unwrap_or_else(|| panic!("not completed: {events:?}"))
}

// mission: M3
#[test]
fn one_way_from_the_client_writes_nothing_back_and_keeps_the_rest_for_later() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let (world, mut client) = changed_on_both(encoding);
        with_mode(&mut client, Mode::OneWayFromClient);
        assert_eq!(completed(&world.sync(&client, None)), Mode::OneWayFromClient);
        assert_eq!(texts(client.items("notes")), set(&CLIENT));
        assert_eq!(texts(world.items("notes")), set(&MERGED));
        // A second one has nothing to do, and the server's changes still wait.
        world.sync(&client, None);
        assert_eq!(texts(client.items("notes")), set(&CLIENT));
        with_mode(&mut client, Mode::TwoWay);
        assert_eq!(completed(&world.sync(&client, None)), Mode::TwoWay);
        equal(&world, &client);
        assert_eq!(texts(client.items("notes")), set(&MERGED));
    }
}

// mission: M3
#[test]
fn one_way_from_the_server_writes_nothing_back_and_keeps_the_rest_for_later() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let (world, mut client) = changed_on_both(encoding);
        with_mode(&mut client, Mode::OneWayFromServer);
        assert_eq!(completed(&world.sync(&client, None)), Mode::OneWayFromServer);
        assert_eq!(texts(world.items("notes")), set(&SERVER));
        assert_eq!(texts(client.items("notes")), set(&MERGED));
        world.sync(&client, None);
        assert_eq!(texts(world.items("notes")), set(&SERVER));
        with_mode(&mut client, Mode::TwoWay);
        world.sync(&client, None);
        equal(&world, &client);
        assert_eq!(texts(world.items("notes")), set(&MERGED));
    }
}

#[test]
fn one_way_from_the_server_leaves_what_the_client_changed_for_later() {
    let world = World::new();
    let mut client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    for n in 0..3 {
        server_note(&world, &format!("s{n}"), &format!("note {n}"));
    }
    world.sync(&client, None);
    // Edit against edit, edit against deletion, deletion against edit.
    note(&client, "s0", "client's");
    server_note(&world, "s0", "server's");
    note(&client, "s1", "client's too");
    world.delete("notes", "s1");
    client.delete("notes", "s2");
    server_note(&world, "s2", "server's too");
    with_mode(&mut client, Mode::OneWayFromServer);
    world.sync(&client, None);
    assert_eq!(texts(client.items("notes")), set(&["client's", "client's too"]));
    with_mode(&mut client, Mode::TwoWay);
    world.sync(&client, None);
    equal(&world, &client);
    assert_eq!(texts(client.items("notes")), set(&["client's", "server's", "client's too", "server's too"]));
}

// mission: M3
#[test]
fn a_refresh_makes_one_side_exactly_as_the_other() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for mode in [Mode::RefreshFromClient, Mode::RefreshFromServer] {
            for forgotten in [false, true] {
                let (world, mut client) = changed_on_both(encoding);
                if forgotten {
                    client.store.forget_peer(&Client::peer("notes"));
                }
                with_mode(&mut client, mode);
                assert_eq!(completed(&world.sync(&client, None)), mode);
                let expected = if mode == Mode::RefreshFromClient { &CLIENT } else { &SERVER };
                assert_eq!(texts(client.items("notes")), set(expected), "{mode:?} {forgotten}");
                assert_eq!(texts(world.items("notes")), set(expected), "{mode:?} {forgotten}");
                equal(&world, &client);
                // It is a sync point as any other.
                note(&client, "later", "later");
                with_mode(&mut client, Mode::TwoWay);
                assert_eq!(completed(&world.sync(&client, None)), Mode::TwoWay);
                equal(&world, &client);
                assert_eq!(world.items("notes").len(), 7);
            }
        }
    }
}

#[test]
fn a_refresh_is_exact_whatever_happens_to_its_messages() {
    for mode in
        [Mode::RefreshFromClient, Mode::RefreshFromServer, Mode::OneWayFromClient, Mode::OneWayFromServer]
    {
        let play = |mishap| {
            let (world, mut client) = changed_on_both(Encoding::Wbxml);
            for n in 0..20 {
                note(&client, &format!("more-{n}"), &format!("more of the client {n}"));
                server_note(&world, &format!("more-s{n}"), &format!("more of the server {n}"));
            }
            client.config.session.max_msg_size = 1_500;
            with_mode(&mut client, mode);
            let first = world.messages.get();
            world.sync(&client, mishap);
            let messages = world.messages.get() - first;
            let (ours, theirs) = (texts(client.items("notes")), texts(world.items("notes")));
            match mode {
                Mode::RefreshFromClient => assert_eq!((ours.len(), &ours), (26, &theirs)),
                Mode::RefreshFromServer => assert_eq!((theirs.len(), &ours), (26, &theirs)),
                Mode::OneWayFromClient => assert_eq!((ours.len(), theirs.len()), (26, 46)),
                _ => assert_eq!((ours.len(), theirs.len()), (46, 26)),
            }
            with_mode(&mut client, Mode::TwoWay);
            world.sync(&client, None);
            equal(&world, &client);
            assert_eq!(world.items("notes").len(), if mode.name().starts_with("refresh") { 26 } else { 46 });
            messages
        };
        let messages = play(None);
        for at in 1..=messages {
            for mishap in MISHAPS {
                play(Some((at, mishap)));
            }
        }
    }
}

#[test]
fn a_first_sync_that_only_receives_sends_nothing_and_doubles_nothing() {
    let world = World::new();
    let mut client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    server_note(&world, "s1", "on the server");
    server_note(&world, "s2", "on both");
    note(&client, "c1", "on the client");
    note(&client, "c2", "on both");
    with_mode(&mut client, Mode::OneWayFromServer);
    world.sync(&client, None);
    assert_eq!(texts(world.items("notes")), set(&["on the server", "on both"]));
    assert_eq!(client.items("notes").len(), 3);
    assert_eq!(texts(client.items("notes")), set(&["on the server", "on both", "on the client"]));
    with_mode(&mut client, Mode::TwoWay);
    assert_eq!(completed(&world.sync(&client, None)), Mode::TwoWay);
    equal(&world, &client);
    assert_eq!(world.items("notes").len(), 3);
}

#[test]
fn a_first_sync_that_only_sends_takes_nothing() {
    let world = World::new();
    let mut client = Client::new("dev-1", Encoding::Xml, Version::V1_2, 20_000, &["notes"]);
    server_note(&world, "s1", "on the server");
    server_note(&world, "s2", "on both");
    note(&client, "c1", "on the client");
    note(&client, "c2", "on both");
    with_mode(&mut client, Mode::OneWayFromClient);
    world.sync(&client, None);
    assert_eq!(texts(client.items("notes")), set(&["on the client", "on both"]));
    assert_eq!(texts(world.items("notes")), set(&["on the server", "on both", "on the client"]));
    with_mode(&mut client, Mode::TwoWay);
    assert_eq!(completed(&world.sync(&client, None)), Mode::TwoWay);
    equal(&world, &client);
    assert_eq!(world.items("notes").len(), 3);
}

// spec-test: session facts section 3: 202 and 204 need anchors, else 508 and a slow sync; 202 refuses that
#[test]
fn without_anchors_one_way_is_slow_or_not_at_all() {
    for mode in [Mode::OneWayFromClient, Mode::OneWayFromServer] {
        let (world, mut client) = changed_on_both(Encoding::Wbxml);
        let peer =
            mailsync_proto::sync::store::PeerKey { store: World::key("notes"), device: "dev-1".into() };
        world.server.store.forget_peer(&peer);
        with_mode(&mut client, mode);
        let events = world.sync(&client, None);
        let slow = |why| Event::Alerted { store: "notes".into(), mode: Mode::Slow, why_slow: Some(why) };
        if mode == Mode::OneWayFromClient {
            let refused = Event::StoreRefused { store: "notes".into(), code: 403 };
            assert!(events.contains(&refused), "{events:?}");
            assert_eq!(texts(client.items("notes")), set(&CLIENT), "nobody wrote to it");
            assert_eq!(texts(world.items("notes")), set(&SERVER));
        } else {
            assert!(events.contains(&slow(WhySlow::ServerAsked)), "{events:?}");
            assert_eq!(texts(world.items("notes")), set(&SERVER), "nothing was sent");
        }
        with_mode(&mut client, Mode::TwoWay);
        world.sync(&client, None);
        equal(&world, &client);
    }
}

#[test]
fn several_datastores_each_in_its_mode() {
    let world = World::new();
    let mut client = Client::new("dev-1", Encoding::Xml, Version::V1_2, 4_000, &["notes", "memos", "tasks"]);
    for store in ["notes", "memos", "tasks"] {
        for n in 0..10 {
            world.plain(store, &format!("s{n}"), &format!("{store} {n} of the server"));
            client.plain(store, &format!("c{n}"), &format!("{store} {n} of the client"));
        }
    }
    let modes = [Mode::TwoWay, Mode::RefreshFromClient, Mode::RefreshFromServer];
    for (plan, mode) in client.plans.iter_mut().zip(modes) {
        plan.mode = mode;
    }
    let events = world.sync(&client, None);
    let done = events.iter().filter(|event| matches!(event, Event::Completed { .. })).count();
    assert_eq!(done, 3, "{events:?}");
    let count = |store| (client.items(store).len(), world.items(store).len());
    assert_eq!([count("notes"), count("memos"), count("tasks")], [(20, 20), (10, 10), (10, 10)]);
    assert!(texts(world.items("memos")).iter().all(|text| text.ends_with("client")));
    assert!(texts(client.items("tasks")).iter().all(|text| text.ends_with("server")));
}

// spec-test: session facts sections 2 and 3: 206->200, 207->202, 208->203, 209->204, 210->205
#[test]
fn what_a_server_alerts_is_done_in_the_mode_it_stands_for() {
    for code in 206..=210 {
        let (world, mut client) = changed_on_both(Encoding::Wbxml);
        let mode = Mode::of_server_code(AlertCode(code)).unwrap();
        with_mode(&mut client, mode);
        assert_eq!(completed(&world.sync(&client, None)), mode);
        let expected = match mode {
            Mode::TwoWay => (&MERGED, &MERGED),
            Mode::OneWayFromClient => (&CLIENT, &MERGED),
            Mode::RefreshFromClient => (&CLIENT, &CLIENT),
            Mode::OneWayFromServer => (&MERGED, &SERVER),
            _ => (&SERVER, &SERVER),
        };
        assert_eq!(texts(client.items("notes")), set(expected.0), "{code}");
        assert_eq!(texts(world.items("notes")), set(expected.1), "{code}");
    }
}

#[test]
fn identical_notes_pair_one_to_one() {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 100_000, &["notes"]);
    for n in 0..700 {
        note(&client, &format!("c{n}"), "the same");
        server_note(&world, &format!("s{n}"), "the same");
    }
    note(&client, "one-more", "the same");
    world.sync(&client, None);
    assert_eq!((world.items("notes").len(), client.items("notes").len()), (701, 701));
    client.store.forget_peer(&Client::peer("notes"));
    world.sync(&client, None);
    assert_eq!((world.items("notes").len(), client.items("notes").len()), (701, 701));
}
