//! What a server asks for: inside a session by Alerts 206 to 210, outside of one by Package #0.

use super::notes::{note, server_note};
use super::raw::{Raw, says};
use super::world::*;
use bytes::Bytes;
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::client::Plan;
use mailsync_proto::sync::client::notified::{self, Notification, NotifiedError};
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::server::notify::{Notice, NotifyError};
use mailsync_proto::sync::server::offer;
use mailsync_proto::sync::store::{Commit, Found, Read, Store, Value};
use mailsync_proto::sync::turn::{Reader, Step};
use std::collections::{BTreeSet, HashSet};
use syncml::session::OwnLogin;
use syncml::session::auth::Scheme;
use syncml::{Command, Encoding, Limits, Message, Quirks, Version};

fn ask(world: &World, device: &str, store: &str, mode: Mode) {
    let mut found = Found::default();
    let writes = loop {
        let mut reader = Reader::new(&found);
        match offer::ask(&mut reader, USER, device, store, mode) {
            Ok(writes) => break writes,
            Err(_) => {
                let reads = reader.missed();
                found.extend(world.server.store.read(&reads).unwrap());
            }
        }
    };
    world.server.store.commit(&Commit { session: None, writes }).unwrap();
}

fn decoded(encoding: Encoding, said: &Said) -> Message {
    syncml::decode(encoding, &said.body, &Limits::default(), &Quirks::default()).unwrap()
}

/// The Alert codes that one side said.
fn codes(world: &World, encoding: Encoding, by_client: bool) -> Vec<u16> {
    let log = world.log.borrow();
    let messages = log.iter().filter(|said| said.by_client == by_client).map(|said| decoded(encoding, said));
    let alerts = messages.flat_map(|message| message.commands).filter_map(|command| match command {
        Command::Alert(alert) => alert.code,
        _ => None,
    });
    alerts.map(|code| code.0).filter(|code| *code != 222).collect()
}

fn sessions(world: &World, encoding: Encoding) -> HashSet<Box<str>> {
    world.log.borrow().iter().map(|said| decoded(encoding, said).hdr.session_id).collect()
}

fn texts(items: &[(idmap::Guid, mailsync_proto::sync::store::ItemValue, Bytes)]) -> BTreeSet<Bytes> {
    items.iter().map(|(_, _, body)| body.clone()).collect()
}

/// Notes and memos are known to both sides; then the client syncs notes only.
fn two_stores(encoding: Encoding, version: Version) -> (World, Client) {
    let world = World::new();
    let mut client = Client::new("dev-1", encoding, version, 20_000, &["notes", "memos"]);
    for n in 0..4 {
        server_note(&world, &format!("s{n}"), &format!("note {n}"));
        world.plain("memos", &format!("s{n}"), &format!("memo {n}"));
    }
    world.sync(&client, None);
    client.plans.truncate(1);
    world.plain("memos", "s0", "memo 0, changed");
    client.plain("memos", "c", "memo of the client");
    note(&client, "c", "note of the client");
    world.log.borrow_mut().clear();
    (world, client)
}

// spec-test: session facts sections 2 and 3: 206 to 210 inside a session
// mission: M4
#[test]
fn what_was_asked_for_is_synced_in_the_same_session() {
    for (encoding, version) in
        [(Encoding::Xml, Version::V1_2), (Encoding::Wbxml, Version::V1_1), (Encoding::Wbxml, Version::V1_2)]
    {
        for mode in Mode::ALL.into_iter().filter(|mode| mode.server_code().is_some()) {
            let (world, client) = two_stores(encoding, version);
            ask(&world, "dev-1", "memos", mode);
            let events = world.sync(&client, None);
            let done: Vec<(&str, Mode)> = events
                .iter()
                .filter_map(|event| match event {
                    Event::Completed { store, mode, .. } => Some((&**store, *mode)),
                    _ => None,
                })
                .collect();
            assert_eq!(done, [("notes", Mode::TwoWay), ("memos", mode)], "{version:?}");
            assert!(events.contains(&Event::ServerAlerted { store: "memos".into(), mode }));
            let asked = mode.server_code().unwrap().0;
            assert_eq!(codes(&world, encoding, false), [200, asked, mode.code().0]);
            assert_eq!(codes(&world, encoding, true), [200, mode.code().0]);
            assert_eq!(sessions(&world, encoding).len(), 1);
            let (ours, theirs) = (client.items("memos"), world.items("memos"));
            match mode {
                Mode::TwoWay => assert_eq!((ours.len(), texts(&ours)), (5, texts(&theirs))),
                Mode::OneWayFromClient => assert_eq!((ours.len(), theirs.len()), (5, 5)),
                Mode::OneWayFromServer => assert_eq!((ours.len(), theirs.len()), (5, 4)),
                Mode::RefreshFromClient => assert_eq!((theirs.len(), texts(&ours)), (5, texts(&theirs))),
                _ => assert_eq!((ours.len(), texts(&ours)), (4, texts(&theirs))),
            }
            // It is done: nobody asks again.
            world.log.borrow_mut().clear();
            world.sync(&client, None);
            assert_eq!(codes(&world, encoding, false), [200]);
        }
    }
}

#[test]
fn the_same_datastore_again_in_another_way() {
    let (world, client) = two_stores(Encoding::Wbxml, Version::V1_2);
    ask(&world, "dev-1", "notes", Mode::RefreshFromServer);
    world.delete("notes", "s1");
    world.sync(&client, None);
    assert_eq!(codes(&world, Encoding::Wbxml, true), [200, 205]);
    assert_eq!(texts(&client.items("notes")), texts(&world.items("notes")));
    assert_eq!(world.items("notes").len(), 4, "the client's note went before");
}

#[test]
fn a_client_that_does_not_want_to_says_so_and_is_not_asked_again() {
    for (takes, known, code) in [(false, true, 406), (true, false, 404)] {
        let (world, mut client) = two_stores(Encoding::Xml, Version::V1_2);
        ask(&world, "dev-1", "memos", Mode::TwoWay);
        client.config.alerts = takes;
        if !known {
            client.config.stores.retain(|store| *store.name == *"notes");
        }
        for round in 0..2 {
            world.server_events.borrow_mut().clear();
            world.log.borrow_mut().clear();
            world.sync(&client, None);
            let refused = Event::StoreRefused { store: "memos".into(), code };
            let said = world.server_events.borrow().contains(&refused);
            let asked = codes(&world, Encoding::Xml, false).contains(&206);
            assert_eq!((said, asked), (round == 0, round == 0), "{code} {round}");
        }
        assert_eq!(texts(&client.items("notes")), texts(&world.items("notes")));
    }
}

#[test]
fn news_is_told_when_that_is_wanted_and_comes_to_an_end() {
    for offers in [false, true] {
        let (mut world, client) = two_stores(Encoding::Wbxml, Version::V1_2);
        world.server.config.offers_news = offers;
        world.sync(&client, None);
        let asked = if offers { vec![200, 206, 200] } else { vec![200] };
        assert_eq!(codes(&world, Encoding::Wbxml, false), asked);
        assert_eq!(texts(&client.items("memos")) == texts(&world.items("memos")), offers);
        world.log.borrow_mut().clear();
        world.sync(&client, None);
        assert_eq!(codes(&world, Encoding::Wbxml, false), [200]);
    }
}

#[test]
fn a_phone_that_has_never_heard_of_it_loses_nothing() {
    let world = World::new();
    server_note(&world, "s1", "one");
    ask(&world, "raw-1", "tasks", Mode::TwoWay);
    for (session, types) in
        [(1, "<SyncType>1</SyncType>"), (3, "<SyncType>1</SyncType><SyncType>7</SyncType>")]
    {
        let mut raw = Raw::new(&world, session);
        raw.say(&format!(
            "<Put><CmdID>9</CmdID><Meta><Type xmlns='syncml:metinf'>application/vnd.syncml-devinf+xml</Type></Meta>\
             <Item><Source><LocURI>./devinf12</LocURI></Source><Data><DevInf xmlns='syncml:devinf'>\
             <VerDTD>1.2</VerDTD><DevID>raw-1</DevID><DevTyp>phone</DevTyp><DataStore><SourceRef>notes</SourceRef>\
             <Rx-Pref><CTType>text/plain</CTType><VerCT>1.0</VerCT></Rx-Pref>\
             <Tx-Pref><CTType>text/plain</CTType><VerCT>1.0</VerCT></Tx-Pref><SyncCap>{types}</SyncCap></DataStore>\
             </DevInf></Data></Item></Put><Alert><CmdID>1</CmdID><Data>201</Data><Item><Target>\
             <LocURI>./notes</LocURI></Target><Source><LocURI>notes</LocURI></Source><Meta>\
             <Anchor xmlns='syncml:metinf'><Next>{session}</Next></Anchor></Meta></Item></Alert>"
        ));
        let answer = raw.sync("notes", "", "");
        let answer = raw.take("notes", &answer);
        let asked = says(&answer);
        assert_eq!(asked, if session == 1 { vec![] } else { vec!["Alert 206".to_owned()] });
        assert!(answer.is_final);
        let mut raw = Raw::new(&world, session + 1);
        let answer = raw.alert("notes", 200, &session.to_string(), &(session + 1).to_string(), "");
        assert_eq!(says(&answer), ["Alert 200"], "its sync point is stored");
    }
    // One that only answers the Alert is done with it.
    let mut raw = Raw::new(&world, 9);
    raw.alert("notes", 200, "4", "9", "");
    let answer = raw.sync("notes", "", "");
    let answer = raw.take("notes", &answer);
    assert_eq!(says(&answer), ["Alert 206"]);
    let last = raw.take("notes", &answer);
    assert!(last.is_final && says(&last).is_empty());
}

#[test]
fn nothing_is_lost_or_doubled_whatever_happens_to_its_messages() {
    let play = |mishap| {
        let (world, client) = two_stores(Encoding::Wbxml, Version::V1_2);
        ask(&world, "dev-1", "memos", Mode::TwoWay);
        let first = world.messages.get();
        world.sync(&client, mishap);
        world.sync(&client, None);
        for store in ["notes", "memos"] {
            let (ours, theirs) = (client.items(store), world.items(store));
            assert_eq!((ours.len(), theirs.len()), (5, 5), "{store} {mishap:?}");
            assert_eq!(texts(&ours), texts(&theirs), "{store} {mishap:?}");
        }
        world.messages.get() - first
    };
    let messages = play(None);
    for at in 1..=messages {
        for mishap in MISHAPS {
            play(Some((at, mishap)));
        }
    }
}

/// A client and a server that know each other, and have met once.
fn friends(encoding: Encoding, version: Version) -> (World, Client) {
    let own = Some(OwnLogin { name: "srv".into(), password: "server's".into(), scheme: Scheme::Md5 });
    let (mut world, mut client) = two_stores(encoding, version);
    world.server.config.session.own.clone_from(&own);
    client.config.server_login = own;
    client.plans = ["notes", "memos"].map(|n| Plan::new(n, &format!("./{n}"), Mode::TwoWay)).to_vec();
    world.sync(&client, None);
    world.log.borrow_mut().clear();
    (world, client)
}

fn device(world: &World) -> mailsync_proto::sync::store::Device {
    let read = Read::Device(USER.into(), "dev-1".into());
    match world.server.store.read(std::slice::from_ref(&read)).unwrap().get(&read) {
        Some(Value::Device(Some(device))) => device.clone(),
        other => panic!("{other:?}"),
    }
}

fn notice(world: &World, session: u16, syncs: &[(&str, Mode)]) -> Notice {
    Notice::new(&world.server.config, &device(world), session, syncs).unwrap()
}

/// The first message of the session that a notification causes.
fn begin(world: &World, client: &Client, octets: &Bytes) -> Result<(Box<str>, Bytes), NotifiedError> {
    let notification = Notification::read(octets, None)?;
    let at = world.moment();
    let mut found = Found::default();
    loop {
        match notified::start(&client.config, at, &notification, &client.plans, &found)? {
            Step::Need(reads) => found.extend(client.store.read(&reads).unwrap()),
            Step::Done(turn) => {
                let commit = Commit { session: turn.session.clone(), writes: turn.writes.clone() };
                client.store.commit(&commit).unwrap();
                return Ok((turn.session.unwrap().token, turn.message));
            }
            Step::Again(_) => panic!("again"),
        }
    }
}

// spec-test: session facts section 12: both forms, and the session has the id that was named
#[test]
fn a_notification_begins_the_session_that_it_names() {
    for (encoding, version) in
        [(Encoding::Wbxml, Version::V1_2), (Encoding::Xml, Version::V1_1), (Encoding::Wbxml, Version::V1_0)]
    {
        let (world, client) = friends(encoding, version);
        world.plain("memos", "late", "a memo that came late");
        let notice = notice(&world, 0x0A1B, &[("memos", Mode::OneWayFromServer)]);
        let octets = match version {
            Version::V1_2 => notice.binary().unwrap(),
            version => notice.message(version, encoding, "dev-1").unwrap(),
        };
        let (token, mut request) = begin(&world, &client, &octets).unwrap();
        let first = syncml::decode(encoding, &request, &Limits::default(), &Quirks::default()).unwrap();
        assert_eq!(&*first.hdr.session_id, "2587", "as the notification says it");
        let mut events = Vec::new();
        loop {
            let hop = client.hop(&token);
            let answer = world.answer(&hop.url, hop.encoding, &request).unwrap();
            match client.take(&world, &token, &hop, &answer, &mut events) {
                Some(Some(next)) => request = next,
                Some(None) => break,
                None => panic!("died"),
            }
        }
        let done: Vec<&Event> = events.iter().filter(|e| matches!(e, Event::Completed { .. })).collect();
        assert!(
            matches!(done[..], [Event::Completed { store, mode: Mode::OneWayFromServer, .. }] if **store == *"memos"),
            "{events:?}"
        );
        assert!(texts(&client.items("memos")).contains(&Bytes::from_static(b"a memo that came late")));
    }
}

// threat: N1
#[test]
fn threat_n1_a_notification_that_is_not_of_our_server_or_came_before_begins_nothing() {
    let (world, client) = friends(Encoding::Wbxml, Version::V1_2);
    let all = notice(&world, 7, &[]);
    let good = all.binary().unwrap();
    let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut octets = good.to_vec();
        change(&mut octets);
        begin(&world, &client, &octets.into()).unwrap_err()
    };
    assert_eq!(wrong(&|octets| octets[0] ^= 1), NotifiedError::WrongDigest);
    assert_eq!(wrong(&|octets| octets[22] ^= 1), NotifiedError::WrongDigest, "another session id");
    assert_eq!(wrong(&|octets| octets[..16].fill(0)), NotifiedError::NoDigest);
    assert_eq!(wrong(&|octets| octets[24] = b'x'), NotifiedError::OtherServer("xrv".into()));
    assert!(matches!(wrong(&|octets| octets.truncate(20)), NotifiedError::Unreadable(_)));
    let unsigned = Bytes::from(
        "<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>7</SessionID><MsgID>1</MsgID>\
         <Target><LocURI>/</LocURI></Target><Source><LocURI>srv</LocURI></Source></SyncHdr><SyncBody><Alert>\
         <CmdID>1</CmdID><Data>206</Data><Item><Source><LocURI>./notes</LocURI></Source></Item></Alert><Final/>\
         </SyncBody></SyncML>",
    );
    assert_eq!(begin(&world, &client, &unsigned).unwrap_err(), NotifiedError::NoDigest);
    let mut stranger = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 20_000, &["notes"]);
    assert_eq!(begin(&world, &stranger, &good).unwrap_err(), NotifiedError::NoLogin);
    stranger.config.server_login.clone_from(&client.config.server_login);
    assert_eq!(begin(&world, &stranger, &good).unwrap_err(), NotifiedError::WrongDigest, "another nonce");
    let of_none = notice(&world, 7, &[("tasks", Mode::TwoWay)]).binary().unwrap();
    assert_eq!(begin(&world, &client, &of_none).unwrap_err(), NotifiedError::NothingOfOurs);
    // Honest traffic beside it is unharmed, once.
    world.clock.set(world.clock.get() / 60 * 60 + 60);
    assert!(begin(&world, &client, &good).is_ok());
    assert_eq!(begin(&world, &client, &good).unwrap_err(), NotifiedError::Replayed("7".into()));
    let another = notice(&world, 8, &[]).binary().unwrap();
    assert_eq!(begin(&world, &client, &another).unwrap_err(), NotifiedError::TooSoon(1, 60));
    world.clock.set(world.clock.get() + 60);
    assert!(begin(&world, &client, &another).is_ok());
    // After the next login all of them are worth nothing.
    world.sync(&client, None);
    world.clock.set(world.clock.get() + 60);
    for old in [&good, &another] {
        assert_eq!(begin(&world, &client, old).unwrap_err(), NotifiedError::WrongDigest);
    }
}

#[test]
fn what_no_notification_can_say() {
    let (mut world, _client) = friends(Encoding::Wbxml, Version::V1_2);
    let new = |world: &World, syncs: &[(&str, Mode)]| {
        Notice::new(&world.server.config, &device(world), 1, syncs).map(|_| ()).unwrap_err()
    };
    assert_eq!(new(&world, &[("nothing", Mode::TwoWay)]), NotifyError::UnknownStore("nothing".into()));
    assert_eq!(new(&world, &[("notes", Mode::Slow)]), NotifyError::Mode("slow"));
    world.server.config.session.own = None;
    assert_eq!(new(&world, &[]), NotifyError::NoLogin);
}
