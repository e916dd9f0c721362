//! A server that has much to do.

use super::notes::{equal, note, server_note};
use super::world::*;
use mailsync_proto::sync::event::Event;
use syncml::session::Load;
use syncml::{Encoding, Version};

// spec-test: session facts section 8: 101, and Alert 221
#[test]
fn a_busy_server_takes_changes_at_once_and_gives_its_own_when_it_can() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for (from, to) in [(1, 3), (2, 4), (2, 6), (3, 5)] {
            let world = World::new();
            let client = Client::new("dev-1", encoding, Version::V1_2, 20_000, &["notes"]);
            note(&client, "c", "client's");
            server_note(&world, "s", "server's");
            world.busy.set((from, to, Load { busy: true, ..Load::default() }));
            let events = world.sync(&client, None);
            let waits = events.iter().filter(|event| **event == Event::Busy).count();
            assert!(waits > 0, "{from}..{to}: the host is told to wait");
            assert!(events.iter().any(|event| matches!(event, Event::Completed { .. })), "{events:?}");
            equal(&world, &client);
            assert_eq!(world.items("notes").len(), 2);
        }
    }
}

// threat: H1
#[test]
fn threat_h1_an_overloaded_server_takes_nothing_and_half_of_nothing() {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    note(&client, "c", "client's");
    for load in [Load { overloaded: true, ..Load::default() }, Load { strangers: 1_001, ..Load::default() }] {
        world.busy.set((0, 1_000, load));
        let events = world.try_once(&client, None);
        let refused = events.iter().any(|event| matches!(event, Event::LoginRefused { code: 503, .. }));
        assert!(refused, "{events:?}");
        assert!(world.items("notes").is_empty() && world.server.store.sessions().is_empty());
    }
    world.busy.set((0, 0, Load::default()));
    world.sync(&client, None);
    equal(&world, &client);
}
