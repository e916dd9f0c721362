//! Mail by filters: which mails, and what of them.

use super::mail::{client_flag, client_move, equal, folders, message, seen, server_flag, server_mail};
use super::raw::*;
use super::world::*;
use bytes::Bytes;
use mailsync_proto::mail::mailbox::mail_value;
use mailsync_proto::mail::{MailFields, Role};
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::event::Event;
use syncml::{Command, Data, Encoding, Field, Filter, Item, Meta, PropParam, Property, Record, Version};

const EMAIL: &str = "application/vnd.omads-email+xml";

/// Four mails that differ in every respect.
fn mailbox() -> World {
    let world = World::new();
    let client = Client::new("dev-1", Encoding::Xml, Version::V1_2, 20_000, &["mail"]);
    folders(&world, &client);
    let days = [1_186_444_800, 1_186_531_200, 1_186_617_600, 1_186_704_000];
    for (n, received) in days.into_iter().enumerate() {
        let mut fields = MailFields::default();
        (fields.received, fields.read, fields.flagged) = (Some(received), n % 2 == 0, n == 3);
        let kind = if n == 2 { "text/html" } else { "text/plain" };
        let text = format!(
            "From: {} <p{n}@x.example>\r\nTo: ann@sim.test\r\nMessage-ID: <f{n}@x>\r\nSubject: offer {n}\r\n\
             Content-Type: {kind}\r\n\r\n{}\r\n",
            ["Ann", "Bob", "Cyd", "Dan"][n],
            "x".repeat(n * 1_000)
        );
        let value = mail_value(Role::Inbox.guid(), &fields, text.as_bytes());
        world.put("mail", &format!("m{n}"), value, Some(text.as_bytes()));
    }
    world
}

fn record(expression: &str, kind: &str) -> String {
    format!(
        "<Filter><Meta><Type xmlns='syncml:metinf'>{EMAIL}</Type></Meta><Record><Item><Meta>\
         <Type xmlns='syncml:metinf'>syncml:filtertype-cgi</Type></Meta><Data>{expression}</Data></Item></Record>\
         {kind}</Filter>"
    )
}

fn said(answer: &syncml::Message) -> (Vec<String>, usize) {
    let all = says(answer);
    let (folders, mails): (Vec<String>, Vec<String>) = all.into_iter().partition(|s| s.contains("folder-"));
    (mails, folders.len())
}

// spec-test: session facts section 6; e-mail facts §7
// mission: M3
#[test]
fn mails_by_date_size_state_sender_and_type() {
    let world = mailbox();
    for (n, (expression, wanted)) in [
        ("modified&amp;iGE;20070809T000000Z", vec!["Add m2", "Add m3"]),
        ("SINCE&amp;EQ;20070808T000000Z&amp;AND;BEFORE&amp;EQ;20070809T000000Z", vec!["Add m1"]),
        ("received&amp;LT;20070808T000000Z", vec!["Add m0"]),
        ("size&amp;GT;1500", vec!["Add m2", "Add m3"]),
        ("read&amp;EQ;false&amp;AND;size&amp;LE;2000", vec!["Add m1"]),
        ("flagged&amp;EQ;true&amp;OR;FROM&amp;iCON;ann", vec!["Add m0", "Add m3"]),
        ("FROM&amp;CON;p2@x.example", vec!["Add m2"]),
        (
            "SUBJECT&amp;CON;offer&amp;AND;TO&amp;EQ;ann@sim.test",
            vec!["Add m0", "Add m1", "Add m2", "Add m3"],
        ),
        ("TYPE&amp;NE;text/html&amp;AND;read&amp;EQ;true", vec!["Add m0"]),
        ("CC&amp;NE;&amp;NULL;", vec![]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = Raw::new(&world, n as u32 + 1);
        raw.alert("mail", 201, "", "1", &record(expression, ""));
        let answer = raw.sync("mail", "", "");
        let (mails, containers) = said(&answer);
        assert_eq!(mails, wanted, "{expression}");
        assert_eq!(containers, 5, "folders are there whatever is filtered: {expression}");
    }
    for (bad, code) in [("body&amp;CON;x", 422), ("size&amp;NEAR;1", 422)] {
        let mut raw = Raw::new(&world, 50);
        assert_eq!(codes(&raw.alert("mail", 201, "", "1", &record(bad, ""))), [(1, code)], "{bad}");
    }
}

#[test]
fn what_falls_out_leaves_the_device_only_and_its_folder_stays() {
    let world = mailbox();
    let unread = record("read&amp;EQ;false", "");
    let mut raw = Raw::new(&world, 1);
    raw.alert("mail", 201, "", "1", &unread);
    let answer = raw.sync("mail", "", "");
    assert_eq!(said(&answer), (vec!["Add m1".to_owned(), "Add m3".to_owned()], 5));
    raw.take("mail", &answer);
    let whole = world.items("mail").into_iter().find(|(guid, ..)| guid.as_str() == "m1").unwrap().2;
    server_flag(&world, &whole, |fields| fields.read = true);
    let mut raw = Raw::new(&world, 2);
    raw.alert("mail", 200, "1", "2", &unread);
    let answer = raw.sync("mail", "", "");
    assert_eq!(says(&answer), ["SftDel m-m1"]);
    raw.take("mail", &answer);
    assert_eq!(world.items("mail").len(), 9, "nothing is gone here");
    // One mail, wanted now, whatever the set is.
    let mut raw = Raw::new(&world, 3);
    let one = record("&amp;LUID;&amp;EQ;m-m3", "<FilterType>INCLUSIVE</FilterType>");
    raw.alert("mail", 200, "2", "3", &one);
    assert_eq!(says(&raw.sync("mail", "", "")), ["Replace m-m3"]);
}

// spec-test: session facts section 4, FieldLevel
#[test]
fn single_fields_are_named_so_to_a_device_that_takes_them() {
    for (takes, mark) in [("<FieldLevel/>", true), ("", false)] {
        let world = mailbox();
        let mut raw = Raw::new(&world, 1);
        raw.say(&format!(
            "<Put><CmdID>9</CmdID><Meta><Type xmlns='syncml:metinf'>application/vnd.syncml-devinf+xml</Type></Meta>\
             <Item><Source><LocURI>./devinf12</LocURI></Source><Data><DevInf xmlns='syncml:devinf'><VerDTD>1.2</VerDTD>\
             <DevID>raw-1</DevID><DevTyp>phone</DevTyp><DataStore><SourceRef>mail</SourceRef>\
             <Rx-Pref><CTType>{EMAIL}</CTType><VerCT>1.2</VerCT></Rx-Pref>\
             <Rx><CTType>application/vnd.omads-folder+xml</CTType><VerCT>1.2</VerCT></Rx>\
             <Tx-Pref><CTType>{EMAIL}</CTType><VerCT>1.2</VerCT></Tx-Pref>\
             <CTCap><CTType>{EMAIL}</CTType><VerCT>1.2</VerCT>{takes}</CTCap>\
             <SyncCap><SyncType>1</SyncType></SyncCap></DataStore></DevInf></Data></Item></Put>\
             <Alert><CmdID>1</CmdID><Data>201</Data><Item><Target><LocURI>./mail</LocURI></Target>\
             <Source><LocURI>mail</LocURI></Source><Meta><Anchor xmlns='syncml:metinf'><Next>1</Next></Anchor></Meta>\
             </Item></Alert>"
        ));
        let answer = raw.sync("mail", "", "");
        raw.take("mail", &answer);
        let whole = world.items("mail").into_iter().find(|(guid, ..)| guid.as_str() == "m1").unwrap().2;
        server_flag(&world, &whole, |fields| fields.flagged = true);
        let mut raw = Raw::new(&world, 2);
        raw.alert("mail", 200, "1", "2", "");
        let answer = raw.sync("mail", "", "");
        let change = flat(&answer).into_iter().find_map(|command| match command {
            Command::Replace(change) => Some(&change.items[0]),
            _ => None,
        });
        let item = change.unwrap();
        assert_eq!(item.meta.as_ref().is_some_and(|meta| meta.field_level), mark);
        let text = item.data.as_ref().and_then(Data::as_bytes).unwrap();
        assert!(!text.windows(9).any(|part| part == b"emailitem"), "the state alone");
    }
}

// spec-test: session facts section 4: FieldLevel only where it is announced
#[test]
fn a_note_of_single_fields_is_refused_and_keeps_what_it_has() {
    let world = World::new();
    let mut raw = Raw::new(&world, 1);
    raw.alert("notes", 201, "", "1", "");
    let answer = raw.sync("notes", "", &add(2, "c1", "all of it"));
    raw.take("notes", &answer);
    let mut raw = Raw::new(&world, 2);
    raw.alert("notes", 200, "1", "2", "");
    let half =
        change("Replace", 2, "c1", "a part").replace("<Meta>", "<Meta><FieldLevel xmlns='syncml:metinf'/>");
    assert_eq!(codes(&raw.sync("notes", "", &half)), [(1, 200), (2, 406)]);
    assert_eq!(world.items("notes")[0].2, "all of it");
}

fn field(params: &[&str], max: Option<u64>) -> Filter {
    let mut property = Property::default();
    property.prop_name = "emailitem".into();
    property.max_size = max;
    for name in params {
        let mut param = PropParam::default();
        param.param_name = (*name).into();
        property.params.push(param);
    }
    fields(vec![property])
}

fn fields(properties: Vec<Property>) -> Filter {
    let mut filter = Filter::default();
    let mut meta = Meta::default();
    meta.type_ = Some(EMAIL.into());
    filter.meta = Some(Box::new(meta));
    let mut item = Item::default();
    let mut meta = Meta::default();
    meta.type_ = Some("application/vnd.syncml-devinf+xml".into());
    item.meta = Some(Box::new(meta));
    item.data = Some(Data::Properties(properties));
    filter.field = Some(Field { item });
    filter
}

fn bodies_of(client: &Client) -> Vec<Bytes> {
    let mails = client.items("mail").into_iter().filter(|(_, value, _)| value.rank > 0);
    mails.map(|(_, _, body)| body).collect()
}

// mission: M3
// threat: S10
#[test]
fn threat_s10_headers_only_and_a_slow_sync_doubles_and_loses_nothing() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let world = World::new();
        let mut client = Client::new("dev-1", encoding, Version::V1_2, 20_000, &["mail"]);
        folders(&world, &client);
        let mails: Vec<Vec<u8>> = (0..3).map(|n| message(n, 2_000)).collect();
        for (n, mail) in mails.iter().enumerate() {
            server_mail(&world, &format!("guid-{n}"), mail);
        }
        client.plans[0].filter = Some(Box::new(field(&[], None)));
        world.sync(&client, None);
        let held = bodies_of(&client);
        assert_eq!(held.len(), 3);
        assert!(held.iter().all(|body| body.len() < 300 && body.ends_with(b"\r\n\r\n")), "headers");
        // State travels, and the part that is here replaces nothing.
        client_flag(&client, &held[0], |fields| fields.read = true);
        world.sync(&client, None);
        let state = |world: &World| {
            let mut all: Vec<(Bytes, bool)> = world
                .items("mail")
                .into_iter()
                .filter(|(_, value, _)| value.rank > 0)
                .map(|(_, value, body)| (body, MailFields::from_fields(&value.fields).unwrap().read))
                .collect();
            all.sort();
            all
        };
        let after = state(&world);
        assert_eq!(after.iter().filter(|(_, read)| *read).count(), 1);
        assert!(mails.iter().all(|mail| after.iter().any(|(body, _)| body == mail)), "as they were");
        client.store.forget_peer(&Client::peer("mail"));
        world.sync(&client, None);
        assert_eq!((state(&world), bodies_of(&client).len()), (after.clone(), 3));
        world.sync(&client, None);
        assert_eq!((state(&world), bodies_of(&client).len()), (after, 3));
        // All of one mail.
        let luid = client.items("mail").into_iter().find(|(_, value, _)| value.rank > 0).unwrap().0;
        let mut all = field(&["texttype", "attachtype"], None);
        let mut item = Item::default();
        let mut meta = Meta::default();
        meta.type_ = Some("syncml:filtertype-cgi".into());
        item.meta = Some(Box::new(meta));
        item.data = Some(Data::Bytes(format!("&LUID;&EQ;{luid}").into()));
        all.record = Some(Record { item });
        all.filter_type = Some("INCLUSIVE".into());
        client.plans[0].filter = Some(Box::new(all));
        world.sync(&client, None);
        let whole: Vec<Bytes> = bodies_of(&client).into_iter().filter(|body| body.len() > 1_000).collect();
        assert_eq!(whole.len(), 1);
        assert!(mails.contains(&whole[0].to_vec()), "octet for octet");
    }
}

fn state_alone() -> Filter {
    let named = |name: &&str| {
        let mut property = Property::default();
        property.prop_name = (*name).into();
        property
    };
    fields(mailsync_proto::mail::flags::STATE.iter().map(named).collect())
}

// mission: M5a-c
#[test]
fn the_state_alone_travels_each_way_and_both_and_what_is_new_waits() {
    for (mode, up, down) in [
        (Mode::TwoWay, true, true),
        (Mode::OneWayFromClient, true, false),
        (Mode::OneWayFromServer, false, true),
    ] {
        let world = World::new();
        let mut client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["mail"]);
        folders(&world, &client);
        let mails: Vec<Vec<u8>> = (0..5).map(|n| message(n, 8_000)).collect();
        for (n, mail) in mails.iter().enumerate() {
            server_mail(&world, &format!("guid-{n}"), mail);
        }
        world.sync(&client, None);
        equal(&world, &client, 5);
        client_flag(&client, &mails[0], |fields| (fields.read, fields.flagged) = (true, true));
        server_flag(&world, &mails[1], |fields| (fields.answered, fields.forwarded) = (true, true));
        client_move(&client, &mails[2], Role::Trash);
        world.delete("mail", "guid-3");
        server_mail(&world, "guid-new", &message(7, 8_000));
        let draft = message(8, 8_000);
        client.put(
            "mail",
            "draft",
            mail_value(Role::Drafts.guid(), &MailFields::default(), &draft),
            Some(&draft),
        );
        client.plans[0].filter = Some(Box::new(state_alone()));
        client.plans[0].mode = mode;
        for _ in 0..2 {
            world.largest.set((0, 0));
            world.sync(&client, None);
            let (there, here) = (seen(&world.items("mail")), seen(&client.items("mail")));
            assert_eq!(there[&mails[0]][0].1, up, "{mode:?}");
            assert_eq!(there[&mails[2]][0].0 == "folder-trash", up, "{mode:?}: moved");
            assert_eq!(here[&mails[1]][0].2, down, "{mode:?}");
            assert_eq!(here.contains_key(&mails[3]), !down, "{mode:?}: deleted");
            assert!(!here.contains_key(&message(7, 8_000)) && !there.contains_key(&draft), "{mode:?}");
            let (request, answer) = world.largest.get();
            assert!(request < 3_000 && answer < 3_000, "{mode:?}: no message travels: {request} {answer}");
        }
        // What was new meanwhile comes with the next whole sync, and what went does not go again.
        client.plans[0].filter = None;
        client.plans[0].mode = Mode::TwoWay;
        let events = world.sync(&client, None);
        equal(&world, &client, 6);
        let sent = events.iter().filter(|event| matches!(event, Event::Sent { .. })).count();
        assert_eq!(sent, if up { 1 } else { 3 }, "{mode:?}: {events:?}");
    }
}

// mission: M5
#[test]
fn by_state_alone_nothing_is_compared() {
    let world = World::new();
    let mut client = Client::new("dev-1", Encoding::Xml, Version::V1_2, 20_000, &["mail"]);
    folders(&world, &client);
    server_mail(&world, "guid-0", &message(0, 300));
    client.plans[0].filter = Some(Box::new(state_alone()));
    let refused =
        |events: &[Event]| events.iter().any(|event| matches!(event, Event::StoreRefused { code: 508, .. }));
    // Never synced, and synced and forgotten.
    assert!(refused(&world.sync(&client, None)));
    assert_eq!(client.items("mail").iter().filter(|(_, value, _)| value.rank > 0).count(), 0);
    client.plans[0].filter = None;
    world.sync(&client, None);
    equal(&world, &client, 1);
    client.store.forget_peer(&Client::peer("mail"));
    client.plans[0].filter = Some(Box::new(state_alone()));
    assert!(refused(&world.sync(&client, None)));
    client.plans[0].filter = None;
    world.sync(&client, None);
    equal(&world, &client, 1);
}
