//! Mail through both engines: folders, flags, the outbox.

use super::world::*;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::mailbox::{changed_value, mail_value, provision};
use mailsync_proto::mail::{MailFields, Role};
use mailsync_proto::sync::store::{Commit, Item, ItemValue, Store};
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

/// A mail of one side as it is after a change.
fn changed(
    items: &[(Item, Option<Bytes>)],
    message: &[u8],
    change: impl Fn(&mut MailFields),
    to: Option<Role>,
) -> (Guid, ItemValue) {
    let is = |(item, body): &&(Item, Option<Bytes>)| {
        !item.deleted && body.as_deref().is_some_and(|body| body == message)
    };
    let (item, _) = items.iter().find(is).unwrap();
    let mut fields = MailFields::from_fields(&item.value.fields).unwrap();
    change(&mut fields);
    let parent = to.map(Role::guid).or_else(|| item.value.parent.clone());
    (item.guid.clone(), changed_value(item, parent, &fields))
}

pub fn client_change(client: &Client, message: &[u8], change: impl Fn(&mut MailFields), to: Option<Role>) {
    let (guid, value) = changed(&client.store.items(&Client::key("mail")), message, change, to);
    client.put("mail", guid.as_str(), value, None);
}

fn server_change(world: &World, message: &[u8], change: impl Fn(&mut MailFields), to: Option<Role>) {
    let (guid, value) = changed(&world.server.store.items(&World::key("mail")), message, change, to);
    world.put("mail", guid.as_str(), value, None);
}

pub fn client_flag(client: &Client, message: &[u8], change: impl Fn(&mut MailFields)) {
    client_change(client, message, change, None);
}

/// Puts a mail of the client into another folder.
pub fn client_move(client: &Client, message: &[u8], to: Role) {
    client_change(client, message, |_| {}, Some(to));
}

pub fn server_flag(world: &World, message: &[u8], change: impl Fn(&mut MailFields)) {
    server_change(world, message, change, None);
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

/// What either side may do to a mail meanwhile: a mark set or taken off, a place.
type Deed = (Option<bool>, Option<bool>, Option<Role>);

const DEEDS: [Deed; 7] = [
    (None, None, None),
    (Some(true), None, None),
    (None, Some(false), None),
    (None, None, Some(Role::Trash)),
    (Some(true), Some(false), None),
    (None, Some(false), Some(Role::Trash)),
    (Some(true), Some(false), Some(Role::Drafts)),
];

fn apply((read, flagged, _): Deed, fields: &mut MailFields) {
    fields.read = read.unwrap_or(fields.read);
    fields.flagged = flagged.unwrap_or(fields.flagged);
}

// mission: M5b, M5c
#[test]
fn what_either_side_did_to_a_mail_meanwhile_stays() {
    for (slow, wire) in [(false, Encoding::Wbxml), (false, Encoding::Xml), (true, Encoding::Wbxml)] {
        let world = World::new();
        let client = Client::new("dev-1", wire, Version::V1_2, 20_000, &["mail"]);
        let other = Client::new("dev-2", wire, Version::V1_2, 20_000, &["mail"]);
        folders(&world, &client);
        other.store.commit(&Commit { session: None, writes: provision(&Client::key("mail")) }).unwrap();
        let pairs: Vec<(Deed, Deed)> =
            DEEDS.iter().flat_map(|here| DEEDS.iter().map(move |there| (*here, *there))).collect();
        let mails: Vec<Vec<u8>> = (0..pairs.len()).map(|n| message(n, 300)).collect();
        for (n, mail) in mails.iter().enumerate() {
            let mut fields = MailFields::default();
            (fields.received, fields.flagged) = (Some(5), true);
            world.put(
                "mail",
                &format!("guid-{n}"),
                mail_value(Role::Inbox.guid(), &fields, mail),
                Some(mail),
            );
        }
        for client in [&client, &other] {
            world.sync(client, None);
            equal(&world, client, pairs.len());
        }
        for ((here, there), mail) in pairs.iter().zip(&mails) {
            if *here != DEEDS[0] {
                client_change(&client, mail, |fields| apply(*here, fields), here.2);
            }
            if *there != DEEDS[0] {
                server_change(&world, mail, |fields| apply(*there, fields), there.2);
            }
        }
        if slow {
            client.store.forget_peer(&Client::peer("mail"));
        }
        for client in [&client, &other, &client] {
            world.sync(client, None);
            equal(&world, client, pairs.len());
        }
        for ((here, there), mail) in pairs.iter().zip(&mails) {
            let items = world.items("mail");
            let (_, value, _) = items.iter().find(|(_, _, body)| body == mail).unwrap();
            let fields = MailFields::from_fields(&value.fields).unwrap();
            let place = value.parent.as_ref().and_then(Role::of).unwrap();
            let marks = (fields.read, fields.flagged);
            let read = here.0.is_some() || there.0.is_some();
            if slow {
                // Nobody knows what either side had: the server's place, and every mark that either has.
                let (ours, theirs) = (there.1.is_none(), here.1.is_none());
                assert_eq!(
                    (place, marks),
                    (there.2.unwrap_or(Role::Inbox), (read, ours || theirs)),
                    "{here:?} {there:?}"
                );
                continue;
            }
            let flagged = here.1.is_none() && there.1.is_none();
            // Where both moved it, the server's place is.
            let wanted = there.2.or(here.2).unwrap_or(Role::Inbox);
            assert_eq!((place, marks), (wanted, (read, flagged)), "phone {here:?}, server {there:?}");
        }
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
