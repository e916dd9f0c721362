//! Mail through both engines: folders, flags, the outbox.

use super::world::*;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::mailbox::{changed_value, mail_value, provision};
use mailsync_proto::mail::{MailFields, Role};
use mailsync_proto::sync::store::{Commit, ItemValue, Store};
use std::collections::BTreeMap;
use syncml::{Encoding, Version};

/// A mail with a subject; `size` octets of text.
pub fn message(n: usize, size: usize) -> Vec<u8> {
    let mut text = format!(
        "From: bob@sim.test\r\nTo: ann@sim.test\r\nMessage-ID: <m{n}@sim.test>\r\n\
         Date: Thu, 1 Oct 2026 10:00:{:02} +0000\r\nSubject: mail {n} <&> ]]>\r\n\r\n",
        n % 60
    );
    while text.len() < size {
        text += "All work & no play <makes> Jack a dull boy. \u{e9}\u{4e2d}\r\n";
    }
    text.into_bytes()
}

/// Folders on both sides.
pub fn folders(world: &World, client: &Client) {
    for (store, key) in [(&world.server.store, World::key("mail")), (&client.store, Client::key("mail"))] {
        store.commit(&Commit { session: None, writes: provision(&key) }).unwrap();
    }
}

pub fn server_mail(world: &World, id: &str, message: &[u8]) {
    let mut fields = MailFields::default();
    fields.received = Some(5);
    world.put("mail", id, mail_value(Role::Inbox.guid(), &fields, message), Some(message));
}

/// What a user sees of the mail of one side: by message, its folder and whether it is read and answered.
pub fn seen(items: &[(Guid, ItemValue, Bytes)]) -> BTreeMap<Vec<u8>, Vec<(String, bool, bool)>> {
    let mut seen: BTreeMap<Vec<u8>, Vec<_>> = BTreeMap::new();
    for (_, value, body) in items.iter().filter(|(_, value, _)| value.rank > 0) {
        let fields = MailFields::from_fields(&value.fields).unwrap();
        let parent = value.parent.as_ref().map(ToString::to_string).unwrap_or_default();
        seen.entry(body.to_vec()).or_default().push((parent, fields.read, fields.answered));
    }
    seen.values_mut().for_each(|copies| copies.sort());
    seen
}

pub fn equal(world: &World, client: &Client, mails: usize) {
    let (server, ours) = (seen(&world.items("mail")), seen(&client.items("mail")));
    let summary = |side: &BTreeMap<Vec<u8>, Vec<(String, bool, bool)>>| {
        side.iter().map(|(body, copies)| (body.len(), copies.clone())).collect::<Vec<_>>()
    };
    assert_eq!(summary(&server), summary(&ours));
    assert!(server == ours, "bodies differ");
    assert_eq!(server.values().map(Vec::len).sum::<usize>(), mails);
}

/// Changes the flags of a mail of one side.
fn flag(
    items: &[(Guid, ItemValue, Bytes)],
    message: &[u8],
    change: impl Fn(&mut MailFields),
) -> (Guid, ItemValue) {
    let (guid, value, _) = items.iter().find(|(_, _, body)| body == message).unwrap();
    let mut fields = MailFields::from_fields(&value.fields).unwrap();
    change(&mut fields);
    (guid.clone(), changed_value(value, value.parent.clone(), &fields))
}

pub fn client_flag(client: &Client, message: &[u8], change: impl Fn(&mut MailFields)) {
    let (guid, value) = flag(&client.items("mail"), message, change);
    client.put("mail", guid.as_str(), value, None);
}

/// Puts a mail of the client into another folder.
pub fn client_move(client: &Client, message: &[u8], to: Role) {
    let (guid, value) = flag(&client.items("mail"), message, |_| {});
    let fields = MailFields::from_fields(&value.fields).unwrap();
    client.put("mail", guid.as_str(), changed_value(&value, Some(to.guid()), &fields), None);
}

pub fn server_flag(world: &World, message: &[u8], change: impl Fn(&mut MailFields)) {
    let (guid, value) = flag(&world.items("mail"), message, change);
    world.put("mail", guid.as_str(), value, None);
}

// mission: M2
// mission: M5a
// mission: M5b
// mission: M5c
#[test]
fn mail_travels_and_its_state_both_ways() {
    for (encoding, version) in [(Encoding::Xml, Version::V1_2), (Encoding::Wbxml, Version::V1_1)] {
        let world = World::new();
        let client = Client::new("dev-1", encoding, version, 20_000, &["mail"]);
        folders(&world, &client);
        let mails: Vec<Vec<u8>> = (0..6).map(|n| message(n, 300 + n * 9_000)).collect();
        for (n, mail) in mails.iter().enumerate() {
            server_mail(&world, &format!("guid-{n}"), mail);
        }
        world.sync(&client, None);
        equal(&world, &client, 6);
        client_flag(&client, &mails[0], |fields| fields.read = true);
        server_flag(&world, &mails[1], |fields| fields.read = true);
        // The same mail on both sides: both changes stay.
        client_flag(&client, &mails[5], |fields| fields.read = true);
        server_flag(&world, &mails[5], |fields| fields.answered = true);
        world.largest.set((0, 0));
        world.sync(&client, None);
        equal(&world, &client, 6);
        let state = seen(&world.items("mail"));
        assert_eq!(state[&mails[5]], [("folder-inbox".to_owned(), true, true)]);
        assert!(state[&mails[0]][0].1);
        let (request, answer) = world.largest.get();
        assert!(request < 3_000 && answer < 3_000, "flags travel without the mail: {request} {answer}");
    }
}

// mission: M1
// threat: S12
#[test]
fn threat_s12_a_mail_in_the_outbox_is_queued_once_even_if_a_slow_sync_adds_it_again() {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["mail"]);
    folders(&world, &client);
    world.sync(&client, None);
    let mail = message(1, 500);
    let value = mail_value(Role::Outbox.guid(), &MailFields::default(), &mail);
    client.put("mail", "out-1", value, Some(&mail));
    world.sync(&client, None);
    let queued = mailsync_proto::testkit::conformance::Fixture::queue(&world.server.store, "send");
    assert_eq!(queued.len(), 1);
    client.store.forget_peer(&Client::peer("mail"));
    world.sync(&client, None);
    let queued = mailsync_proto::testkit::conformance::Fixture::queue(&world.server.store, "send");
    assert_eq!(queued.len(), 1);
    assert_eq!(world.items("mail").iter().filter(|(_, value, _)| value.rank > 0).count(), 1);
}

#[test]
fn a_client_adds_no_mail_to_the_inbox() {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Xml, Version::V1_2, 20_000, &["mail"]);
    folders(&world, &client);
    let forged = message(9, 400);
    client.put("mail", "x", mail_value(Role::Inbox.guid(), &MailFields::default(), &forged), Some(&forged));
    world.sync(&client, None);
    assert!(!seen(&world.items("mail")).contains_key(&forged));
}
