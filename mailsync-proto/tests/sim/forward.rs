//! Forward and reply by number, as a client that is not ours asks for them: by an extension of an item, and by a command.

use super::mail::{message, server_mail};
use super::raw::*;
use super::world::*;
use bytes::Bytes;
use idmap::{Entry, Guid, Luid, Record, State, Wire};
use mailsync_proto::mail::forward::About;
use mailsync_proto::mail::headers::Headers;
use mailsync_proto::mail::mailbox::{mail_value, provision};
use mailsync_proto::mail::outbox::{Outcome, SendJob, settle};
use mailsync_proto::mail::{MailFields, Role};
use mailsync_proto::sync::store::{Commit, Found, ItemValue, PeerKey, Seen, Store, StoreKey, Write};
use mailsync_proto::sync::turn::Reader;
use mailsync_proto::testkit::conformance::Fixture;
use syncml::{Command, Message};

const TYPE: &str = "application/vnd.omads-email+xml";

/// A world with two mails, both on the device `raw-1` as `m-a` and `m-b`; anchors `1`.
fn world() -> World {
    let world = World::new();
    // The drafts are dated an hour ago: a date from a bad clock would be replaced, and the mail sent back.
    world.clock.set(1_186_448_400);
    let writes = provision(&World::key("mail"));
    world.server.store.commit(&Commit { session: None, writes }).unwrap();
    server_mail(&world, "a", &message(1, 3_000));
    server_mail(&world, "b", &message(2, 200));
    let mut raw = Raw::new(&world, 1);
    raw.alert("mail", 201, "", "1", "");
    let answer = raw.sync("mail", "", "");
    raw.take("mail", &answer);
    world
}

fn email(ext: &str, draft: &str) -> String {
    let escaped = draft.replace('&', "&amp;").replace('<', "&lt;").replace("\r\n", "&#13;\n");
    format!("<![CDATA[<Email><emailitem>{escaped}</emailitem>{ext}</Email>]]>")
}

fn ext(name: &str, values: &[&str]) -> String {
    let values: String = values.iter().map(|value| format!("<XVal>{value}</XVal>")).collect();
    format!("<Ext><XNam>{name}</XNam>{values}</Ext>")
}

fn draft(id: &str) -> String {
    format!(
        "From: ann@sim.test\r\nTo: cyd@c.example\r\nMessage-ID: <{id}@sim.test>\r\nDate: Tue, 7 Aug 2007 02:00:00 +0200\r\n\r\nSee below.\r\n"
    )
}

fn into_outbox(id: u32, luid: &str, data: &str) -> String {
    format!(
        "<Add><CmdID>{id}</CmdID><Meta><Type xmlns='syncml:metinf'>{TYPE}</Type></Meta><Item><Source><LocURI>{luid}</LocURI></Source>\
         <SourceParent><LocURI>m-folder-outbox</LocURI></SourceParent><Data>{data}</Data></Item></Add>"
    )
}

fn exec(id: u32, command: &str, data: &str) -> String {
    format!(
        "<Exec><CmdID>{id}</CmdID><Item><Target><LocURI>./mail/command/{command}</LocURI></Target>\
         <Meta><Type xmlns='syncml:metinf'>{TYPE}</Type></Meta><Data>{data}</Data></Item></Exec>"
    )
}

/// What is to be sent, with its job.
fn queued(world: &World) -> Vec<(SendJob, Bytes)> {
    let items = world.items("mail");
    let body = |guid: &Guid| items.iter().find(|(of, ..)| of == guid).map(|(_, _, body)| body.clone());
    let jobs = world.server.store.queue("send").into_iter();
    jobs.map(|(_, content)| SendJob::from_bytes(&content).unwrap())
        .map(|job| (job.clone(), body(&job.guid).unwrap()))
        .collect()
}

fn holds(message: &[u8], octets: &[u8]) -> bool {
    message.windows(octets.len()).any(|window| window == octets)
}

fn fields(world: &World, id: &str) -> MailFields {
    let items = world.items("mail");
    let (_, value, _) = items.iter().find(|(guid, ..)| guid.as_str() == id).unwrap();
    MailFields::from_fields(&value.fields).unwrap()
}

/// A session of the device with these changes, after the one with the anchor `last`.
fn two_way(world: &World, last: u32, session: u32, commands: &str) -> Message {
    let mut raw = Raw::new(world, session);
    let answer = raw.alert("mail", 200, &last.to_string(), &session.to_string(), "");
    assert!(says(&answer).contains(&"Alert 200".into()), "{:?} {:?}", codes(&answer), says(&answer));
    let answer = raw.sync("mail", "", commands);
    raw.take("mail", &answer);
    answer
}

// mission: M6b
#[test]
fn an_item_in_the_outbox_names_the_mail_it_forwards() {
    let world = world();
    let data = email(&ext("x-mailsync-forward", &["m-a", "whole"]), &draft("n1"));
    let answer = two_way(&world, 1, 2, &into_outbox(2, "o1", &data));
    assert_eq!(codes(&answer)[..2], [(1, 200), (2, 201)]);
    let (job, body) = queued(&world).remove(0);
    assert_eq!(job.about.as_ref().map(|about| about.guid.as_str()), Some("a"));
    assert!(holds(&body, &message(1, 3_000)) && holds(&body, b"See below."));
    assert!(!holds(&job.wire_copy(&body), b"x-mailsync"), "it is not the recipient's to know");
    // Sent: that one is marked, and only that one.
    let mut found = Found::default();
    let outcome = Outcome { taken: vec!["cyd@c.example".into()], ..Outcome::default() };
    let writes = loop {
        let mut reader = Reader::new(&found);
        match settle(&mut reader, &job, &outcome, "sim.test", 77) {
            Ok(writes) => break writes,
            Err(_) => found.extend(world.server.store.read(&reader.missed()).unwrap()),
        }
    };
    world.server.store.commit(&Commit { session: None, writes }).unwrap();
    assert!(fields(&world, "a").forwarded && !fields(&world, "a").answered);
    assert!(!fields(&world, "b").forwarded);
    // The device is told of its own mail's new place without the mail itself.
    let answer = two_way(&world, 2, 3, "");
    let sizes: Vec<usize> = flat(&answer)
        .into_iter()
        .filter_map(|command| match command {
            Command::Replace(change) => {
                change.items[0].data.as_ref().and_then(|data| Some(data.as_bytes()?.len()))
            }
            _ => None,
        })
        .collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size < 600), "{sizes:?}");
}

// mission: M6b
#[test]
fn a_command_answers_and_a_repeated_one_sends_nothing_twice() {
    let world = world();
    let data = email(
        &ext("x-mailsync-reply", &["m-b", "text"]),
        "From: ann@sim.test\r\nMessage-ID: <n2@sim.test>\r\n\r\nYes.\r\n",
    );
    // In a session in which the mail is synced; the command stands beside the changes.
    let run = |last: u32, session: u32| -> [Message; 2] {
        let mut raw = Raw::new(&world, session);
        raw.alert("mail", 200, &last.to_string(), &session.to_string(), "");
        let sync = "<Sync><CmdID>1</CmdID><Target><LocURI>./mail</LocURI></Target><Source><LocURI>mail</LocURI></Source></Sync>";
        let answer = raw.say(&(sync.to_owned() + &exec(2, "reply", &data)));
        // What the command made goes in a second walk.
        let more = raw.take("mail", &answer);
        raw.take("mail", &more);
        [answer, more]
    };
    let [answer, more] = run(1, 2);
    assert_eq!(codes(&answer)[..2], [(1, 200), (2, 202)], "{answer:?}");
    let (job, body) = queued(&world).remove(0);
    assert_eq!(job.recipients[..], ["bob@sim.test".into()], "whom the device does not know");
    let headers = Headers::parse(&body);
    assert_eq!(headers.first("In-Reply-To").unwrap().text(), "<m2@sim.test>");
    assert!(holds(&body, b"Yes.\r\n\r\nbob@sim.test wrote:\r\n> All work"), "{}", body.escape_ascii());
    let about = About::of(&fields(&world, job.guid.as_str()).ext).unwrap();
    assert_eq!(about.guid.as_str(), "b");
    let [again, rest] = run(2, 3);
    assert_eq!(codes(&again)[..2], [(1, 200), (2, 202)]);
    assert_eq!(queued(&world).len(), 1);
    // The device gets it as any mail, once.
    let last = two_way(&world, 3, 4, "");
    let mut adds = [&answer, &more, &again, &rest, &last].map(says).concat();
    adds.retain(|said| said.starts_with("Add"));
    assert_eq!(adds, [format!("Add {}", job.guid)]);
}

// threats: S5, M2
#[test]
fn threat_s5_only_the_devices_own_numbers_of_the_users_own_mail() {
    let world = world();
    // A mail of somebody else, which his device calls `x-1`.
    let key = StoreKey { user: "eve".into(), datastore: "mail".into() };
    let secret = b"From: z@z.example\r\nMessage-ID: <s@z>\r\n\r\nsecret\r\n";
    let value: ItemValue = mail_value(Role::Inbox.guid(), &MailFields::default(), secret);
    let guid = Guid::unvalidated("secret");
    let entry = Entry {
        generation: 0,
        guid: guid.clone(),
        state: State::Bound { luid: Luid::try_from("x-1").unwrap(), wire: Wire::Guid },
        seen_rev: 1,
        form: 0,
    };
    for device in ["raw-1", "eves"] {
        let peer = PeerKey { store: key.clone(), device: device.into() };
        let writes = vec![Write::Map(peer, Record::Put(entry.clone()), Seen::AsRecorded)];
        world.server.store.commit(&Commit { session: None, writes }).unwrap();
    }
    let put =
        Write::PutItem { store: key, guid, expect: None, value, body: Some(Bytes::from_static(secret)) };
    world.server.store.commit(&Commit { session: None, writes: vec![put] }).unwrap();
    let takes = |values: &[&str]| email(&ext("x-mailsync-forward", values), &draft("n"));
    let bad = [
        (takes(&["x-1", "whole"]), 404),
        (takes(&["secret", "whole"]), 404),
        // Our own ids are no numbers of the device, nor those of another one.
        (takes(&["a", "whole"]), 404),
        (takes(&["m-folder-inbox", "whole"]), 405),
        (takes(&["m-a", "part/7"]), 405),
        (takes(&["m-a", "all"]), 400),
        (takes(&[]), 400),
        (
            email(&(ext("x-mailsync-forward", &["m-a"]) + &ext("x-mailsync-reply", &["m-b"])), &draft("n")),
            400,
        ),
    ];
    let commands: String =
        bad.iter().zip(2u32..).map(|((data, _), id)| into_outbox(id, &format!("o{id}"), data)).collect();
    let answer = two_way(&world, 1, 2, &commands);
    let expected: Vec<u16> = bad.iter().map(|(_, code)| *code).collect();
    let got: Vec<u16> = codes(&answer).into_iter().skip(1).take(bad.len()).map(|(_, code)| code).collect();
    assert_eq!(got, expected);
    let commands = ["reply", "fly"].map(|command| exec(2, command, &takes(&["m-a", "whole"])));
    let mut raw = Raw::new(&world, 3);
    assert_eq!(codes(&raw.say(&commands[0]))[..1], [(2, 400)], "it forwards and does not answer");
    assert_eq!(codes(&raw.say(&commands[1]))[..1], [(2, 406)]);
    assert!(queued(&world).is_empty());
    // Honest traffic beside it is unharmed.
    let answer = two_way(&world, 2, 4, &into_outbox(2, "o9", &takes(&["m-a", "whole"])));
    assert_eq!(codes(&answer)[1], (2, 201));
}

// threats: M4, L2
#[test]
fn threat_m4_small_commands_do_not_make_many_large_mails_be_read() {
    let world = world();
    server_mail(&world, "large", &message(3, 20 << 20));
    // The device has it.
    let peer = PeerKey { store: World::key("mail"), device: "raw-1".into() };
    let entry = Entry {
        guid: Guid::unvalidated("large"),
        state: State::Bound { luid: Luid::try_from("m-large").unwrap(), wire: Wire::Guid },
        seen_rev: 1_000,
        ..world.server.store.entries(&peer).remove(0)
    };
    let writes = vec![Write::Map(peer, Record::Put(entry), Seen::AsRecorded)];
    world.server.store.commit(&Commit { session: None, writes }).unwrap();
    let one = |id: u32| {
        let data = email(&ext("x-mailsync-forward", &["m-large", "whole"]), &draft(&format!("n{id}")));
        into_outbox(id, &format!("o{id}"), &data)
    };
    let answer = two_way(&world, 1, 2, &(2..12).map(one).collect::<String>());
    let codes: Vec<u16> = codes(&answer).into_iter().skip(1).take(10).map(|(_, code)| code).collect();
    assert_eq!(codes, [201, 201, 201, 417, 417, 417, 417, 417, 417, 417]);
    assert_eq!(queued(&world).len(), 3);
}
