//! Logins through both engines: proofs of every message, servers that prove themselves, clients that ignore
//! `RespURI`, commands that are all or nothing.

use super::notes::{equal, note, server_note};
use super::world::*;
use bytes::Bytes;
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::store::{Read, Store, Value};
use syncml::session::OwnLogin;
use syncml::session::auth::Scheme;
use syncml::{Command, Encoding, Limits, Message, Quirks, Version};

fn completed(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Completed { .. }))
}

fn own(scheme: Scheme) -> Option<OwnLogin> {
    Some(OwnLogin { name: "srv".into(), password: "server's".into(), scheme })
}

/// A world with a note on each side, and a client that proves itself so.
fn pair(encoding: Encoding, scheme: Scheme) -> (World, Client) {
    let world = World::new();
    let mut client = Client::new("dev-1", encoding, Version::V1_2, 2_000, &["notes"]);
    client.config.session.scheme = scheme;
    for n in 0..20 {
        note(&client, &format!("c{n}"), &format!("client's {n}"));
        server_note(&world, &format!("s{n}"), &format!("server's {n}"));
    }
    (world, client)
}

// spec-test: session facts section 10
#[test]
fn every_scheme_in_both_directions() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for mine in [Scheme::Basic, Scheme::Md5, Scheme::Mac] {
            for servers in [None, own(Scheme::Md5), own(Scheme::Mac)] {
                let what = format!("{encoding:?} {mine:?} {servers:?}");
                let (mut world, mut client) = pair(encoding, mine);
                world.server.config.session.own.clone_from(&servers);
                client.config.server_login = servers;
                for round in 0..2 {
                    assert!(completed(&world.sync(&client, None)), "{what} {round}");
                    equal(&world, &client);
                }
            }
        }
    }
}

#[test]
fn a_server_that_is_not_the_one_gets_nothing() {
    let (mut world, mut client) = pair(Encoding::Wbxml, Scheme::Md5);
    world.server.config.session.own = own(Scheme::Md5);
    client.config.server_login =
        Some(OwnLogin { name: "srv".into(), password: "another".into(), scheme: Scheme::Md5 });
    let events = world.sync(&client, None);
    assert!(events.iter().any(|event| matches!(event, Event::ServerRefused { code: 401, .. })), "{events:?}");
    assert!(!completed(&events));
    assert_eq!(
        (world.items("notes").len(), client.items("notes").len()),
        (20, 20),
        "nothing went either way"
    );
}

/// A client that types its messages, and posts all of them to the first URL.
struct Typist {
    msg: u32,
}

impl Typist {
    fn say(&mut self, world: &World, cred: &str, body: &str) -> (u16, Vec<u16>) {
        self.msg += 1;
        let text = format!(
            "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto>\
             <SessionID>9</SessionID><MsgID>{}</MsgID><Target><LocURI>{URL}</LocURI></Target>\
             <Source><LocURI>typist</LocURI><LocName>{USER}</LocName></Source>{cred}\
             <Meta><MaxMsgSize xmlns='syncml:metinf'>10000</MaxMsgSize></Meta></SyncHdr>\
             <SyncBody>{body}</SyncBody></SyncML>",
            self.msg
        );
        let answer = world.answer(URL, Encoding::Xml, &Bytes::from(text)).unwrap();
        let message: Message =
            syncml::decode(Encoding::Xml, &answer, &Limits::default(), &Quirks::default()).unwrap();
        let mut codes = message.commands.iter().filter_map(|command| match command {
            Command::Status(status) => Some(status.data.0),
            _ => None,
        });
        (codes.next().unwrap(), codes.collect())
    }
}

fn basic(password: &str) -> String {
    let cred = syncml::session::auth::credentials(Scheme::Basic, USER, password, b"").unwrap();
    let data = String::from_utf8(cred.data.to_vec()).unwrap();
    format!(
        "<Cred><Meta><Type xmlns='syncml:metinf'>syncml:auth-basic</Type></Meta><Data>{data}</Data></Cred>"
    )
}

const ALERT: &str = "<Alert><CmdID>1</CmdID><Data>201</Data><Item><Target><LocURI>./notes</LocURI></Target>\
    <Source><LocURI>notes</LocURI></Source><Meta><Anchor xmlns='syncml:metinf'><Next>1</Next></Anchor></Meta></Item>\
    </Alert>";

fn sync(commands: &str) -> String {
    format!(
        "<Sync><CmdID>9</CmdID><Target><LocURI>./notes</LocURI></Target><Source><LocURI>notes</LocURI></Source>\
         {commands}</Sync>"
    )
}

fn add(id: u32, luid: &str) -> String {
    format!(
        "<Add><CmdID>{id}</CmdID><Item><Source><LocURI>{luid}</LocURI></Source>\
         <Meta><Type xmlns='syncml:metinf'>text/plain</Type></Meta><Data>note {luid}</Data></Item></Add>"
    )
}

#[test]
fn threat_s1_a_client_that_ignores_resp_uri_syncs_with_credentials_in_every_message() {
    let (world, mut typist) = (World::new(), Typist { msg: 0 });
    let good = basic(PASSWORD);
    assert_eq!(typist.say(&world, &good, &(ALERT.to_owned() + "<Final/>")), (212, vec![200]));
    assert_eq!(world.server.store.sessions().len(), 1);
    let one = typist.say(&world, &good, &sync(&add(2, "a")));
    assert_eq!(one, (200, vec![200, 201]), "it goes on with the same session");
    assert_eq!(typist.say(&world, "", &sync(&add(2, "b"))), (407, vec![407, 407]));
    assert_eq!(typist.say(&world, &basic("guess"), &sync(&add(2, "b"))), (401, vec![401, 401]));
    assert_eq!(world.items("notes").len(), 1);
    assert_eq!(typist.say(&world, &good, &(sync(&add(2, "c")) + "<Final/>")), (200, vec![200, 201]));
    assert_eq!(world.server.store.sessions().len(), 1, "one session all the while");
    assert_eq!(world.items("notes").len(), 2);
}

#[test]
fn a_user_has_sixteen_sessions_at_most() {
    let world = World::new();
    let limit = world.server.config.session.limits.per_user;
    for n in 0..=limit {
        let body = Bytes::from(format!(
            "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto>\
             <SessionID>9</SessionID><MsgID>1</MsgID><Target><LocURI>{URL}</LocURI></Target>\
             <Source><LocURI>dev-{n}</LocURI><LocName>{USER}</LocName></Source>{}</SyncHdr>\
             <SyncBody>{ALERT}</SyncBody></SyncML>",
            basic(PASSWORD)
        ));
        world.answer(URL, Encoding::Xml, &body).unwrap();
    }
    assert_eq!(world.server.store.sessions().len(), limit as usize);
    // A device that has one begins anew all the same.
    let mut typist = Typist { msg: 0 };
    assert_eq!(typist.say(&world, &basic(PASSWORD), ALERT).0, 417);
    let read = Read::Login { user: USER.into(), device: "dev-0".into() };
    let found = world.server.store.read(std::slice::from_ref(&read)).unwrap();
    let Some(Value::Login(Some(login))) = found.get(&read) else { panic!() };
    assert_eq!(login.sessions, limit - 1);
}

#[test]
fn an_atomic_of_which_one_part_fails_leaves_nothing() {
    let (world, mut typist) = (World::new(), Typist { msg: 0 });
    let good = basic(PASSWORD);
    typist.say(&world, &good, &(ALERT.to_owned() + "<Final/>"));
    let bad = add(4, "bad").replace("text/plain", "image/png");
    let atomic = |id: u32, parts: &str| format!("<Atomic><CmdID>{id}</CmdID>{parts}</Atomic>");
    let both = add(1, "before") + &atomic(2, &(add(3, "a") + &bad + &add(5, "c"))) + &add(6, "after");
    let (_, codes) = typist.say(&world, &good, &sync(&both));
    assert_eq!(codes, [200, 201, 507, 216, 415, 215, 201]);
    let texts = |world: &World| -> Vec<String> {
        let items = world.items("notes");
        let mut texts: Vec<String> =
            items.iter().map(|(_, _, body)| String::from_utf8(body.to_vec()).unwrap()).collect();
        texts.sort();
        texts
    };
    assert_eq!(texts(&world), ["note after", "note before"]);
    // The same ids again, all good: nothing of the first attempt is in the way.
    let (_, codes) = typist.say(&world, &good, &sync(&atomic(2, &(add(3, "a") + &add(5, "c")))));
    assert_eq!(codes, [200, 200, 201, 201]);
    assert_eq!(texts(&world), ["note a", "note after", "note before", "note c"]);
}
