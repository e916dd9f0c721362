//! What a device can hold: its DevInf, its memory, and the largest object it takes.

use super::mail::{client_change, folders, server_mail};
use super::raw::*;
use super::world::*;
use mailsync_proto::mail::mailbox::{KIND_MAIL, mail_value};
use mailsync_proto::mail::{Left, MailFields, Role};
use mailsync_proto::sync::store::{Commit, Device, Read, Store, Value, Write};
use syncml::{CtCap, CtType, DataStore, DsMem, Encoding, PropParam, Property, Version};

const EMAIL: &str = "application/vnd.omads-email+xml";

/// A mail of 400 octets of text and two attachments of 3,000.
fn rich(n: usize) -> String {
    let part = |kind: &str| {
        format!(
            "--B\r\nContent-Type: {kind}\r\nContent-Disposition: attachment; filename=x\r\n\r\n{}\r\n",
            "y".repeat(3_000)
        )
    };
    format!(
        "Message-ID: <rich{n}@x>\r\nSubject: rich {n}\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\n{}\r\n{}{}--B--\r\n",
        "x".repeat(400),
        part("image/png"),
        part("application/pdf")
    )
}

/// The server keeps what a device said of itself last: as if it had said this of its mail.
fn said(world: &World, device: &str, change: impl FnOnce(&mut DataStore)) {
    let read = Read::Device(USER.into(), device.into());
    let found = world.server.store.read(std::slice::from_ref(&read)).unwrap();
    let Some(Value::Device(Some(kept))) = found.get(&read) else { panic!("no device") };
    let (format, devinf) = kept.devinf.as_ref().unwrap().split_first().unwrap();
    let mut devinf: syncml::DevInf = postcard::from_bytes(devinf).unwrap();
    change(&mut devinf.data_stores[0]);
    let devinf = postcard::to_extend(&devinf, vec![*format]).unwrap();
    let write =
        Write::PutDevice(USER.into(), device.into(), Device { devinf: Some(devinf.into()), ..kept.clone() });
    world.server.store.commit(&Commit { session: None, writes: vec![write] }).unwrap();
}

/// As a device says how much of a message it takes.
fn item(store: &mut DataStore, max: Option<u64>, params: &[(&str, &[&str])]) {
    let mut property = Property::default();
    property.prop_name = "emailitem".into();
    property.max_size = max;
    for (name, values) in params {
        let mut param = PropParam::default();
        param.param_name = (*name).into();
        param.val_enum = values.iter().map(|value| (*value).into()).collect();
        property.params.push(param);
    }
    let mut cap = CtCap::default();
    cap.ct_type = CtType::new(EMAIL, "1.2");
    cap.properties = vec![property];
    store.ct_caps = vec![cap];
}

/// The one mail of a client, and what it was told is missing.
fn held(client: &Client) -> (String, Option<Left>) {
    let items = client.items("mail");
    let mails: Vec<_> = items.iter().filter(|(_, value, _)| &*value.kind == KIND_MAIL).collect();
    assert_eq!(mails.len(), 1);
    let fields = MailFields::from_fields(&mails[0].1.fields).unwrap();
    (String::from_utf8(mails[0].2.to_vec()).unwrap(), Left::of(&fields.ext))
}

/// A device that has synced once, with nothing there.
fn device(world: &World) -> Client {
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["mail"]);
    folders(world, &client);
    world.sync(&client, None);
    client
}

// spec-test: e-mail facts §10
// mission: M11
#[test]
fn what_a_device_says_it_takes_of_a_mail_is_what_it_gets() {
    type Change = fn(&mut DataStore);
    let cases: [(&str, Change, &[&str], usize); 8] = [
        ("nothing", |_| {}, &["xxx", "image/png\r\n", "yyy"], 0),
        ("no parameters", |store| item(store, None, &[]), &["xxx", "yyy"], 0),
        ("both", |store| item(store, None, &[("texttype", &[]), ("attachtype", &[])]), &["xxx", "yyy"], 0),
        ("text", |store| item(store, None, &[("texttype", &[])]), &["xxx", "image/png"], 2),
        ("types", |store| item(store, None, &[("attachtype", &["application/pdf"])]), &["xxx", "yyy"], 1),
        ("size", |store| item(store, Some(4_500), &[]), &["xxx", "yyy"], 1),
        ("headers only", |store| item(store, Some(0), &[]), &["Subject: rich"], 2),
        (
            "memory",
            |store| {
                let mem = DsMem { max_mem: Some(1_500), ..DsMem::default() };
                store.ds_mem = Some(mem);
            },
            &["xxx"],
            2,
        ),
    ];
    for (name, change, there, missing) in cases {
        let world = World::new();
        let client = device(&world);
        said(&world, "dev-1", change);
        server_mail(&world, "m1", rich(1).as_bytes());
        world.sync(&client, None);
        let (got, left) = held(&client);
        assert!(there.iter().all(|part| got.contains(part)), "{name}: {got}");
        let left = left.unwrap_or_default();
        assert_eq!(left.attachments.len(), missing, "{name}: {left:?}");
        assert_eq!(left.is_partial(), missing > 0, "{name}");
        if missing > 0 {
            assert_eq!(left.size, rich(1).len() as u64, "{name}: what there is at the server is said");
        }
        assert!(name != "headers only" || !got.contains("xxx"), "{got}");
        // Nothing more comes of it, and it stays one mail.
        world.sync(&client, None);
        assert_eq!(held(&client).0, got, "{name}");
        assert_eq!(world.items("mail").iter().filter(|(_, value, _)| &*value.kind == KIND_MAIL).count(), 1);
    }
}

// mission: M11
// threat: M4, L6
#[test]
fn a_mail_too_large_for_the_device_comes_as_its_header_and_stays_at_the_server() {
    let world = World::new();
    let mut client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["mail"]);
    client.config.session.max_obj_size = 2_000;
    folders(&world, &client);
    server_mail(&world, "m1", rich(1).as_bytes());
    world.sync(&client, None);
    let (got, left) = held(&client);
    assert!(
        got.contains("\r\nMessage-ID: <rich1@x>\r\n")
            && got.contains("[open on the server]")
            && !got.contains("xxx"),
        "{got}"
    );
    let left = left.unwrap();
    assert_eq!((left.size, left.attachments.len()), (rich(1).len() as u64, 2));
    // Another one, which takes it, gets all of it.
    let other = Client::new("dev-2", Encoding::Wbxml, Version::V1_2, 20_000, &["mail"]);
    world.sync(&other, None);
    assert_eq!(held(&other), (rich(1), None));
}

/// The text of the server's one mail.
fn kept(world: &World) -> String {
    let items = world.items("mail");
    let mails: Vec<_> = items.iter().filter(|(_, value, _)| &*value.kind == KIND_MAIL).collect();
    assert_eq!(mails.len(), 1);
    String::from_utf8(mails[0].2.to_vec()).unwrap()
}

// spec-test: e-mail facts §8
// mission: M11
// threat: M4, S10
#[test]
fn threat_m4_what_does_not_fit_is_said_in_words_and_never_takes_the_place_of_the_mail() {
    for (form, role) in [EMAIL, "message/rfc822"]
        .into_iter()
        .flat_map(|form| [Role::Inbox, Role::Drafts].map(|role| (form, role)))
    {
        let world = World::new();
        let mut client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["mail"]);
        client.config.session.max_obj_size = 2_000;
        folders(&world, &client);
        world.sync(&client, None);
        said(&world, "dev-1", |store| {
            (store.rx_pref, store.rx) = (Some(CtType::new(form, "1.0")), Vec::new())
        });
        let whole = rich(1).replace("image/png\r\n", "image/png; name=\"photo.png\"\r\n");
        let value = mail_value(role.guid(), &MailFields::default(), whole.as_bytes());
        world.put("mail", "m1", value, Some(whole.as_bytes()));
        world.sync(&client, None);
        let (got, left) = held(&client);
        for words in [
            "Subject: rich 1\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "\r\n\r\n[open on the server]\r\n",
            "It has 6.",
            "- x (image/png), 3.0 KB\r\n",
            "- x (application/pdf), 3.0 KB\r\n",
        ] {
            assert!(got.contains(words), "{form}, {words:?}: {got}");
        }
        assert!(!got.contains("xxx") && !got.contains("multipart"), "{form}: {got}");
        assert_eq!(left.is_some(), form == EMAIL, "{form}");
        // Marked, edited, moved, and added again in a slow sync, as a device does that knows nothing of it.
        client_change(&client, got.as_bytes(), |fields| fields.read = true, None);
        world.sync(&client, None);
        assert_eq!(kept(&world), whole, "{form}");
        let fields = |world: &World| {
            let items = world.items("mail");
            let (_, value, _) = items.iter().find(|(_, value, _)| &*value.kind == KIND_MAIL).unwrap();
            (value.parent.clone(), MailFields::from_fields(&value.fields).unwrap().read)
        };
        assert_eq!(fields(&world), (Some(role.guid()), true), "{form}");
        let id = client.items("mail").into_iter().find(|(_, value, _)| &*value.kind == KIND_MAIL).unwrap().0;
        let edited = got.clone() + "Mine.\r\n";
        let value = mail_value(role.guid(), &MailFields::default(), edited.as_bytes());
        client.put("mail", id.as_str(), value, Some(edited.as_bytes()));
        world.sync(&client, None);
        assert_eq!(kept(&world), whole, "{form}: what was written under it is not the mail");
        client_change(&client, edited.as_bytes(), |_| {}, Some(Role::Trash));
        world.sync(&client, None);
        assert_eq!((kept(&world), fields(&world).0), (whole.clone(), Some(Role::Trash.guid())), "{form}");
        client.store.forget_peer(&Client::peer("mail"));
        world.sync(&client, None);
        assert_eq!(kept(&world), whole, "{form}: one mail, and whole");
        assert_eq!(held(&client).0.lines().next(), got.lines().next(), "{form}: one there, too");
    }
}

// spec-test: session facts section 4: Sync/Meta/Mem
// mission: M11
#[test]
fn a_mail_that_memory_has_no_room_for_comes_as_its_header() {
    let world = World::new();
    let client = Client::new("dev-0", Encoding::Xml, Version::V1_2, 20_000, &["mail"]);
    folders(&world, &client);
    for n in 0..3 {
        server_mail(&world, &format!("m{n}"), rich(n).as_bytes());
    }
    let mut raw = Raw::new(&world, 1);
    raw.alert("mail", 201, "", "1", "");
    let room = "<Meta><Mem xmlns='syncml:metinf'><FreeMem>10000</FreeMem><FreeID>99</FreeID></Mem></Meta>";
    let answer = raw.sync("mail", room, "");
    let adds = flat(&answer).into_iter().filter(|command| matches!(command, syncml::Command::Add(_)));
    let adds: Vec<String> = adds.map(|command| format!("{command:?}")).collect();
    let of = |n: usize| adds.iter().find(|add| add.contains(&format!("rich{n}@x"))).expect("each is there");
    let missing: Vec<bool> = (0..3).map(|n| of(n).contains("x-funambol-attach-n")).collect();
    assert_eq!(missing, [false, true, true], "one whole, then headers: {:?}", says(&answer));
}
