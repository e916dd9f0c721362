//! Items that only the two ends can read.

use crate::world::*;
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::seal::{ItemKey, MEDIA_TYPE};
use syncml::{Encoding, Version};

const KEY: ItemKey = ItemKey::new([5; 32]);

/// A server and a phone with a key each.
fn pair(encoding: Encoding, server: Option<ItemKey>, client: Option<ItemKey>) -> (World, Client) {
    let world = World::new();
    world.server.store.set_item_key(USER, "phone", server);
    let mut phone = Client::new("phone", encoding, Version::V1_2, 3_000, &["notes", "mail"]);
    phone.config.item_key = client;
    (world, phone)
}

fn texts(items: Vec<(idmap::Guid, mailsync_proto::sync::store::ItemValue, bytes::Bytes)>) -> Vec<String> {
    let mut texts: Vec<_> =
        items.into_iter().map(|(_, _, body)| String::from_utf8(body.to_vec()).unwrap()).collect();
    texts.sort();
    texts
}

/// Whether a text stands in a message that travelled, as it is or in Base64.
fn shown(world: &World, word: &str) -> bool {
    use base64::Engine as _;
    let coded = (0..3).map(|cut| base64::engine::general_purpose::STANDARD.encode(&word[cut..cut + 9]));
    let words: Vec<String> = coded.chain([word.to_owned()]).collect();
    let log = world.log.borrow();
    log.iter().any(|said| {
        let text = String::from_utf8_lossy(&said.body);
        words.iter().any(|word| text.contains(word.as_str()))
    })
}

// mission: M10
#[test]
fn what_travels_is_not_what_is_kept() {
    for encoding in [Encoding::Wbxml, Encoding::Xml] {
        let (world, phone) = pair(encoding, Some(KEY), Some(KEY));
        let large = "confidential ".repeat(2_000);
        phone.plain("notes", "n1", "confidential: of the phone");
        phone.plain("notes", "n2", &large);
        world.plain("notes", "s1", "confidential: of the server");
        let _ = world.sync(&phone, None);
        let all = ["confidential: of the phone", "confidential: of the server", &large];
        let mut all: Vec<String> = all.into_iter().map(Into::into).collect();
        all.sort();
        assert_eq!(texts(world.items("notes")), all);
        assert_eq!(texts(phone.items("notes")), all);
        // Changes, both ways, and a slow sync that finds everything again.
        phone.plain("notes", "n1", "confidential: changed");
        world.plain("notes", "s1", "confidential: changed, too");
        let _ = world.sync(&phone, None);
        assert_eq!(texts(world.items("notes")), texts(phone.items("notes")));
        assert!(texts(phone.items("notes")).contains(&"confidential: changed".to_owned()));
        phone.store.forget_peer(&Client::peer("notes"));
        let _ = world.sync(&phone, None);
        assert_eq!(texts(world.items("notes")).len(), 3);
        assert_eq!(texts(phone.items("notes")).len(), 3);
        assert!(!shown(&world, "confidential"), "{encoding:?}");
        let is_sealed = |said: &Said| String::from_utf8_lossy(&said.body).contains(MEDIA_TYPE);
        assert!(world.log.borrow().iter().filter(|said| is_sealed(said)).count() > 4);
    }
}

// mission: M10
#[test]
fn who_has_a_key_sends_and_takes_nothing_in_clear() {
    let other = ItemKey::new([6; 32]);
    for (server, client) in [(None, Some(KEY)), (Some(KEY), None), (Some(other), Some(KEY))] {
        let (world, phone) = pair(Encoding::Xml, server.clone(), client.clone());
        phone.plain("notes", "n1", "confidential: of the phone");
        world.plain("notes", "s1", "confidential: of the server");
        let mut said = Vec::new();
        for _ in 0..2 {
            said.extend(world.sync(&phone, None));
        }
        assert_eq!(texts(world.items("notes")), ["confidential: of the server"], "{server:?} {client:?}");
        assert_eq!(texts(phone.items("notes")), ["confidential: of the phone"], "{server:?} {client:?}");
        if client.is_some() {
            assert!(!shown(&world, "confidential: of the phone"));
        }
        if server.is_some() {
            assert!(!shown(&world, "confidential: of the server"));
        }
        let events = said
            .iter()
            .chain(&*world.server_events.borrow())
            .map(|event| format!("{event:?}"))
            .collect::<Vec<_>>();
        assert!(events.iter().any(|event| event.contains("seal")), "{events:?}");
        // Both get the key: nothing was lost.
        world.server.store.set_item_key(USER, "phone", Some(KEY));
        let mut phone = phone;
        phone.config.item_key = Some(KEY);
        for _ in 0..3 {
            let _: Vec<Event> = world.sync(&phone, None);
        }
        assert_eq!(texts(world.items("notes")).len(), 2, "{server:?} {client:?}");
        assert_eq!(texts(phone.items("notes")), texts(world.items("notes")), "{server:?} {client:?}");
    }
}

#[test]
fn a_session_whose_key_is_taken_away_goes_on_with_nothing() {
    let (world, phone) = pair(Encoding::Wbxml, Some(KEY), Some(KEY));
    for n in 0..20 {
        world.plain("notes", &format!("s{n}"), &format!("confidential {n} {}", "x".repeat(500)));
    }
    let mut events = Vec::new();
    let (token, mut request) = phone.start(&world, &mut events).unwrap();
    for n in 0.. {
        if n == 2 {
            world.server.store.set_item_key(USER, "phone", None);
        }
        let next = phone.hop(&token);
        let Some(answer) = world.answer(&next.url, next.encoding, &request) else { break };
        assert!(!String::from_utf8_lossy(&answer).contains("confidential"), "message {n}");
        match phone.take(&world, &token, &next, &answer, &mut events) {
            Some(Some(next)) => request = next,
            _ => break,
        }
    }
    assert!(phone.items("notes").len() < 20);
}
