//! The milestone: whole sessions, with one mishap at every message in turn, and both sides equal at the end.

use super::mail::{client_flag, equal, folders, message, server_flag, server_mail};
use super::world::*;
use mailsync_proto::mail::mailbox::mail_value;
use mailsync_proto::mail::{MailFields, Role};
use mailsync_proto::testkit::Snapshot;
use syncml::{Encoding, Version};

/// A world in which much is to be done, and both its stores.
struct Scene {
    encoding: Encoding,
    size: u32,
    /// Mails in both stores at the end.
    mails: usize,
    stores: (Snapshot, Snapshot),
}

impl Scene {
    fn client(&self) -> Client {
        Client::new("dev-1", self.encoding, Version::V1_2, self.size, &["mail"])
    }

    fn play(&self, mishap: Option<(u32, Mishap)>) -> u32 {
        let world = World::new();
        let client = self.client();
        world.clock.set(2_000_000);
        world.server.store.restore(&self.stores.0);
        client.store.restore(&self.stores.1);
        world.sync(&client, mishap);
        let messages = world.messages.get();
        equal(&world, &client, self.mails);
        // Nothing is left to be said, and nothing comes again.
        world.sync(&client, None);
        equal(&world, &client, self.mails);
        assert_eq!(world.server.store.spooled(), 0, "spools are done with");
        messages
    }

    /// Plays it with every mishap at every message.
    fn every_mishap(&self) {
        let messages = self.play(None);
        for at in 1..=messages {
            for mishap in MISHAPS {
                println!("{:?} at message {at} of {messages}, {:?}", mishap, self.encoding);
                self.play(Some((at, mishap)));
            }
        }
    }
}

/// 50 mails for a client that has none; one of them of `large` octets. The client has drafts of its own.
fn first_sync(encoding: Encoding, size: u32, large: usize) -> Scene {
    let world = World::new();
    let scene_client = Client::new("dev-1", encoding, Version::V1_2, size, &["mail"]);
    folders(&world, &scene_client);
    for n in 0..50 {
        let size = if n == 17 { large } else { 400 + n * 20 };
        server_mail(&world, &format!("guid-{n:02}"), &message(n, size));
    }
    for n in 50..53 {
        let draft = message(n, 600);
        let value = mail_value(Role::Drafts.guid(), &MailFields::default(), &draft);
        scene_client.put("mail", &format!("draft-{n}"), value, Some(&draft));
    }
    // What both have is paired, not doubled.
    let both = message(99, 700);
    let value = mail_value(Role::Sent.guid(), &MailFields::default(), &both);
    scene_client.put("mail", "sent-99", value.clone(), Some(&both));
    world.put("mail", "guid-99", value, Some(&both));
    let stores = (world.server.store.snapshot(), scene_client.store.snapshot());
    Scene { encoding, size, mails: 54, stores }
}

/// After a first sync: flags on both sides, a deletion on either, a large mail each way.
fn later_sync(encoding: Encoding, size: u32, large: usize) -> Scene {
    let first = first_sync(encoding, size, 900);
    let world = World::new();
    let client = first.client();
    world.server.store.restore(&first.stores.0);
    client.store.restore(&first.stores.1);
    world.sync(&client, None);
    let mail = |n: usize| message(n, if n == 17 { 900 } else { 400 + n * 20 });
    for n in 0..10 {
        client_flag(&client, &mail(n), |fields| fields.read = true);
        server_flag(&world, &mail(n + 5), |fields| fields.answered = true);
    }
    let luid = |n: usize| {
        let (guid, ..) = client.items("mail").into_iter().find(|(_, _, body)| *body == mail(n)).unwrap();
        guid
    };
    client.delete("mail", luid(20).as_str());
    client.delete("mail", luid(21).as_str());
    world.delete("mail", "guid-22");
    server_mail(&world, "guid-new", &message(70, large));
    let draft = message(71, large);
    let value = mail_value(Role::Drafts.guid(), &MailFields::default(), &draft);
    client.put("mail", "draft-new", value, Some(&draft));
    let stores = (world.server.store.snapshot(), client.store.snapshot());
    Scene { encoding, size, mails: 53, stores }
}

// mission: M2
// mission: M3
// mission: M7
#[test]
fn a_first_sync_with_a_five_megabyte_mail_survives_every_mishap_in_wbxml() {
    first_sync(Encoding::Wbxml, 1_000_000, 5_000_000).every_mishap();
}

#[test]
fn a_first_sync_with_a_five_megabyte_mail_survives_every_mishap_in_xml() {
    first_sync(Encoding::Xml, 1_000_000, 5_000_000).every_mishap();
}

#[test]
fn a_first_sync_in_small_messages_survives_every_mishap() {
    first_sync(Encoding::Wbxml, 6_000, 30_000).every_mishap();
}

#[test]
fn a_later_sync_survives_every_mishap_in_wbxml() {
    later_sync(Encoding::Wbxml, 6_000, 30_000).every_mishap();
}

#[test]
fn a_later_sync_survives_every_mishap_in_xml() {
    later_sync(Encoding::Xml, 8_000, 30_000).every_mishap();
}
