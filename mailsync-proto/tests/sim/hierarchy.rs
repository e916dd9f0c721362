//! Containers in each other: parents go first and are deleted last.

use super::mail::{folders, message};
use super::world::*;
use idmap::Guid;
use mailsync_proto::mail::mailbox::{folder_value, mail_value};
use mailsync_proto::mail::{Folder, MailFields, Role};
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::store::ItemValue;
use std::collections::{BTreeMap, BTreeSet};
use syncml::{Encoding, Version};

fn folder(name: &str, parent: Option<&str>) -> ItemValue {
    folder_value(&Folder::new(name, None), parent.map(Guid::unvalidated))
}

/// The path of every folder that nobody has by nature.
fn paths(items: &[(Guid, ItemValue, bytes::Bytes)]) -> BTreeSet<String> {
    let folders: BTreeMap<&Guid, (String, Option<&Guid>)> = items
        .iter()
        .filter(|(guid, value, _)| value.rank == 0 && Role::of(guid).is_none())
        .map(|(guid, value, _)| {
            let name = Folder::from_fields(&value.fields).unwrap().name.to_string();
            (guid, (name, value.parent.as_ref()))
        })
        .collect();
    let path = |guid: &Guid| {
        let (mut path, mut at) = (String::new(), Some(guid));
        while let Some((name, parent)) = at.and_then(|guid| folders.get(guid)) {
            path = format!("/{name}{path}");
            at = *parent;
        }
        path
    };
    folders.keys().map(|guid| path(guid)).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

// spec-test: session facts section 4, Hierarchy
#[test]
fn parents_go_before_children_in_whatever_order_they_were_made() {
    for size in [1_200, 20_000] {
        let world = World::new();
        let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, size, &["mail"]);
        folders(&world, &client);
        // The innermost is the oldest.
        world.put("mail", "c", folder("c", Some("b")), Some(b""));
        world.put("mail", "b", folder("b", Some("a")), Some(b""));
        world.put("mail", "a", folder("a", None), Some(b""));
        client.put("mail", "z", folder("z", Some("y")), Some(b""));
        client.put("mail", "y", folder("y", Some("x")), Some(b""));
        client.put("mail", "x", folder("x", None), Some(b""));
        let mail = message(1, 300);
        world.put(
            "mail",
            "m",
            mail_value(Guid::unvalidated("c"), &MailFields::default(), &mail),
            Some(&mail),
        );
        world.sync(&client, None);
        let all = set(&["/a", "/a/b", "/a/b/c", "/x", "/x/y", "/x/y/z"]);
        assert_eq!(paths(&world.items("mail")), all);
        assert_eq!(paths(&client.items("mail")), all);
        world.sync(&client, None);
        assert_eq!(paths(&client.items("mail")), all, "nothing comes twice");
    }
}

#[test]
fn a_container_is_deleted_with_what_is_in_it() {
    for by_server in [true, false] {
        let world = World::new();
        let client = Client::new("dev-1", Encoding::Xml, Version::V1_2, 2_000, &["mail"]);
        folders(&world, &client);
        world.put("mail", "a", folder("a", None), Some(b""));
        world.put("mail", "b", folder("b", Some("a")), Some(b""));
        for n in 0..12 {
            let mail = message(n, 300);
            let value = mail_value(Guid::unvalidated("b"), &MailFields::default(), &mail);
            world.put("mail", &format!("m{n}"), value, Some(&mail));
        }
        world.sync(&client, None);
        assert_eq!(client.items("mail").len(), world.items("mail").len());
        let ids: Vec<String> = client
            .items("mail")
            .iter()
            .map(|(guid, ..)| guid.to_string())
            .filter(|id| !id.starts_with("folder-"))
            .collect();
        assert_eq!(ids.len(), 14);
        for id in &ids {
            if by_server { world.delete("mail", id) } else { client.delete("mail", id) }
        }
        world.sync(&client, None);
        for items in [world.items("mail"), client.items("mail")] {
            assert!(items.iter().all(|(guid, ..)| Role::of(guid).is_some()), "{by_server}: {}", items.len());
        }
    }
}

// spec-test: session facts section 4: 427
#[test]
fn a_container_with_something_in_it_stays() {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["mail"]);
    folders(&world, &client);
    world.put("mail", "a", folder("a", None), Some(b""));
    world.sync(&client, None);
    let mail = message(1, 300);
    world.put("mail", "m", mail_value(Guid::unvalidated("a"), &MailFields::default(), &mail), Some(&mail));
    client.delete("mail", "a");
    let events = world.sync(&client, None);
    assert!(events.iter().any(|event| matches!(event, Event::Refused { code: 427, .. })), "{events:?}");
    assert_eq!(paths(&world.items("mail")), set(&["/a"]));
    // When it is empty, it goes.
    world.delete("mail", "m");
    world.sync(&client, None);
    world.sync(&client, None);
    assert!(paths(&world.items("mail")).is_empty());
}
