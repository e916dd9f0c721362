//! Sessions are values: whole sessions of two small engines, stored and restored at random messages, give the same
//! octets as sessions that were not. What is lost, repeated, reordered or truncated changes nothing.
#![cfg(all(feature = "client", feature = "server", feature = "xml", feature = "wbxml"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::VecDeque;
use syncml::session::auth::{Scheme, verifier};
use syncml::session::{
    Arrival, Ask, ClientConfig, ClientSession, Exchange, Full, Load, LoginCheck, LoginState, ObjectHead,
    ObjectProgress, Opening, Package, Payload, ServerConfig, ServerExchange, ServerSession, SessionError,
    payload, wire_form,
};
use syncml::{
    Alert, AlertCode, Anchor, Command, CommandName, Encoding, Item, Limits, Message, Meta, Quirks, Source,
    StatusCode, Target, Version, decode,
};

/// One end: what it sends and what it got.
#[derive(Clone, Debug, Default, PartialEq)]
struct End {
    queue: VecDeque<(String, Bytes)>,
    out: Bytes,
    spool: Vec<u8>,
    got: Vec<(String, Bytes)>,
    answered: Vec<(Vec<u8>, u16)>,
    alerted: bool,
}

impl End {
    fn new(prefix: &str, sizes: &[usize]) -> Self {
        let item = |(n, size): (usize, &usize)| {
            // Text, and octets that XML cannot carry.
            let octets: Vec<u8> =
                (0..*size).map(|at| if n % 3 == 2 { at as u8 } else { b'a' + (at % 26) as u8 }).collect();
            (format!("{prefix}{n}"), Bytes::from(octets))
        };
        End { queue: sizes.iter().enumerate().map(item).collect(), ..End::default() }
    }

    fn hear(&mut self, ex: &mut Exchange<'_>) {
        while let Some(ask) = ex.next_ask() {
            match ask {
                Ask::Alert { slot, anchor, .. } => ex.answer_alert(&slot, StatusCode::OK, anchor),
                Ask::Sync { slot, .. } => ex.answer(&slot, StatusCode::OK),
                Ask::Change { slot, received } => {
                    let wire = match received.payload {
                        Payload::None => Bytes::new(),
                        Payload::Whole(data) => data,
                        Payload::Spooled { offset, tail } => {
                            assert_eq!(offset, self.spool.len() as u64);
                            [&std::mem::take(&mut self.spool)[..], &tail].concat().into()
                        }
                    };
                    let data = payload(received.format.as_deref(), wire).unwrap();
                    self.got.push((received.source.unwrap().into(), data));
                    ex.answer(&slot, StatusCode::ITEM_ADDED);
                }
                Ask::Chunk { offset, data } => {
                    self.spool.truncate(offset as usize);
                    self.spool.extend_from_slice(&data);
                }
                Ask::Answered { tag, code, .. } => self.answered.push((tag, code.0)),
                Ask::Header { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn alert(&mut self, ex: &mut Exchange<'_>) -> bool {
        if !self.alerted {
            let anchor = Anchor { last: None, next: "1".into() };
            let mut item = Item::default();
            item.target = Some(Target::new("./notes"));
            item.source = Some(Source::new("./notes"));
            let mut meta = Meta::default();
            meta.anchor = Some(Box::new(anchor));
            item.meta = Some(Box::new(meta));
            let mut alert = Alert::new(0, AlertCode::SLOW);
            alert.items.push(item);
            self.alerted = ex.send(Command::Alert(Box::new(alert)), b"alert".to_vec()).is_ok();
        }
        self.alerted
    }

    /// Sends what fits; true when nothing is left.
    fn send(&mut self, ex: &mut Exchange<'_>) -> bool {
        let mut open = false;
        if let Some((_, at, len)) = ex.outgoing() {
            if ex.open_sync("./notes", "./notes", None).is_err() {
                return false;
            }
            let piece = self.out.slice(at as usize..(at + len) as usize);
            if ex.continue_object(&piece) != Ok(ObjectProgress::Done) {
                return false;
            }
            open = true;
        }
        while let Some((id, data)) = self.queue.front().cloned() {
            if !open && ex.open_sync("./notes", "./notes", None).is_err() {
                return false;
            }
            open = true;
            let (wire, base64) = wire_form(ex.encoding(), &data);
            let head = ObjectHead {
                source: Some(id.as_str().into()),
                media_type: "text/plain".into(),
                base64,
                ..ObjectHead::default()
            };
            match ex.send_object(CommandName::Add, head, &wire, ("./notes", "./notes"), id.into_bytes()) {
                Ok(ObjectProgress::Whole) => {}
                Ok(_) => self.out = wire,
                Err(Full) => return false,
            }
            self.queue.pop_front();
            if ex.outgoing().is_some() {
                return false;
            }
        }
        ex.close_sync();
        true
    }
}

#[derive(Clone, Debug)]
struct Script {
    encoding: Encoding,
    version: Version,
    client_max: u32,
    server_max: u32,
    client: Vec<usize>,
    server: Vec<usize>,
    scheme: Scheme,
}

fn script() -> impl Strategy<Value = Script> {
    let size = || prop_oneof![0..200_usize, 200..6_000_usize];
    let max = || prop_oneof![1_024..1_600_u32, 1_600..20_000_u32];
    (
        prop_oneof![Just(Encoding::Xml), Just(Encoding::Wbxml)],
        prop_oneof![Just(Version::V1_1), Just(Version::V1_2)],
        max(),
        max(),
        prop::collection::vec(size(), 0..5),
        prop::collection::vec(size(), 0..5),
        prop_oneof![Just(Scheme::Md5), Just(Scheme::Mac)],
    )
        .prop_map(|(encoding, version, client_max, server_max, client, server, scheme)| Script {
            encoding,
            version,
            client_max,
            server_max,
            client,
            server,
            scheme,
        })
}

/// What went over the wire, and what both ends have at the end.
#[derive(Debug, PartialEq)]
struct Outcome {
    wire: Vec<Bytes>,
    client: End,
    server: End,
}

const KEY: [u8; 32] = [5; 32];

struct Server {
    config: ServerConfig,
    session: Option<ServerSession>,
    end: End,
    logins: u64,
}

impl Server {
    /// Answers a message; `mischief` says what else happens around it.
    fn answer(
        &mut self,
        encoding: Encoding,
        request: &Bytes,
        mac: Option<&str>,
    ) -> Result<Bytes, SessionError> {
        let message = read(encoding, request);
        let digest = ServerSession::request_digest(request);
        let arrival = Arrival { encoding, message: &message, digest, mac, now: 1_000, load: Load::default() };
        let known = verifier("ann", "secret");
        let login = LoginCheck {
            verifier: Some(&known),
            password: None,
            logins: self.logins,
            nonce_key: &KEY,
            basic_allowed: false,
            resp_uri: "http://s/x?s=token",
            sessions: 0,
            nonce: None,
        };
        let mut ex: Box<ServerExchange<'_>> = match self.session.clone() {
            Some(session) => Box::new(session.receive(&self.config, arrival, Some(&login))?),
            None => {
                let Opening::Login(pending) = ServerSession::open(arrival) else { panic!() };
                Box::new(pending.check(&self.config, &login)?)
            }
        };
        let nonce_used = ex.nonce_used;
        let mut end = self.end.clone();
        let last = if ex.is_open() {
            end.hear(&mut ex);
            match ex.package() {
                Package::Alerts => end.alert(&mut ex),
                Package::Changes if ex.peer_final() => end.send(&mut ex),
                Package::Changes => false,
                Package::Maps | Package::Over => true,
            }
        } else {
            while ex.next_ask().is_some() {}
            true
        };
        let (session, answer) = ex.finish(last)?;
        self.end = end;
        self.logins += u64::from(nonce_used);
        self.session = session.or(self.session.take());
        Ok(answer)
    }
}

fn read(encoding: Encoding, bytes: &Bytes) -> Message {
    decode(encoding, bytes, &Limits::default(), &Quirks::strict()).unwrap()
}

/// Runs a whole session; values are stored and restored after each message of which `cuts` has the bit.
fn run(script: &Script, cuts: u64, mischief: bool) -> Outcome {
    let config = ClientConfig {
        server_url: "http://s/x".into(),
        device: "dev".into(),
        user: "ann".into(),
        password: "secret".into(),
        scheme: script.scheme,
        version: script.version,
        encoding: script.encoding,
        max_msg_size: script.client_max,
        max_obj_size: 1_000_000,
    };
    let mut server_config = ServerConfig::default();
    server_config.max_msg_size = script.server_max;
    let end = End::new("s", &script.server);
    let mut server = Server { config: server_config, session: None, end, logins: 0 };
    let mut end = End::new("c", &script.client);
    let mut ex = ClientSession::new(&config, "7", None).start(&config).unwrap();
    assert!(end.alert(&mut ex));
    let (mut client, mut request) = ex.finish(true).unwrap();
    let (mut wire, mut before) = (Vec::new(), Vec::new());
    for n in 0..3_000_u32 {
        let cut = |side: u32| cuts.rotate_right(n * 2 + side) & 1 == 1;
        let mac = client.mac(&config, &request);
        if mischief {
            vex(&mut server, script.encoding, &request, &before, mac.as_deref());
        }
        let answer = server.answer(script.encoding, &request, mac.as_deref()).unwrap();
        if mischief && let Some(session) = &server.session {
            let digest = ServerSession::request_digest(&request);
            let same = session.is_repeat(&digest);
            assert!(same || before.is_empty(), "the same again is known");
        }
        if cut(0)
            && let Some(session) = &server.session
        {
            server.session = Some(ServerSession::from_bytes(&session.to_bytes().unwrap()).unwrap());
        }
        wire.extend([request.clone(), answer.clone()]);
        before.push(request);
        let message = read(script.encoding, &answer);
        let mut ex = client.receive(&config, &message, None).unwrap();
        let last = if ex.login() == LoginState::Again {
            end.alerted = false;
            end.alert(&mut ex)
        } else {
            end.hear(&mut ex);
            if ex.is_over() {
                return Outcome { wire, client: end, server: server.end };
            }
            match ex.package() {
                Package::Alerts => end.alerted,
                Package::Changes => end.send(&mut ex),
                Package::Maps => ex.peer_final(),
                Package::Over => false,
            }
        };
        (client, request) = ex.finish(last).unwrap();
        if cut(1) {
            client = ClientSession::from_bytes(&client.to_bytes().unwrap()).unwrap();
        }
    }
    panic!("no end")
}

/// Earlier messages again, and this one in pieces: nothing of the server changes.
fn vex(server: &mut Server, encoding: Encoding, request: &Bytes, before: &[Bytes], mac: Option<&str>) {
    let value = server.session.clone();
    let end = server.end.clone();
    let logins = server.logins;
    if value.is_some() {
        for old in before.iter().rev().skip(1).take(3) {
            let refused = server.answer(encoding, old, mac);
            assert!(matches!(refused, Err(SessionError::OutOfOrder { .. })), "{refused:?}");
        }
    }
    for part in 1..8 {
        let cut = request.slice(..request.len() * part / 8);
        assert!(decode(encoding, &cut, &Limits::default(), &Quirks::default()).is_err());
    }
    assert_eq!((&server.session, &server.end, server.logins), (&value, &end, logins));
}

fn check(script: &Script, outcome: &Outcome) {
    let want = |prefix: &str, sizes: &[usize]| Vec::from(End::new(prefix, sizes).queue);
    assert_eq!(outcome.server.got, want("c", &script.client));
    assert_eq!(outcome.client.got, want("s", &script.server));
    // Each command of ours was answered once.
    for (end, sizes) in [(&outcome.client, &script.client), (&outcome.server, &script.server)] {
        let items = end.answered.iter().filter(|(tag, _)| tag != b"alert");
        assert_eq!(items.filter(|(_, code)| *code == 201).count(), sizes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // mission: M10
    #[test]
    fn a_session_restored_at_any_message_goes_on_byte_for_byte(script in script(), cuts in any::<u64>()) {
        let straight = run(&script, 0, false);
        check(&script, &straight);
        prop_assert_eq!(&run(&script, cuts, false), &straight);
        prop_assert_eq!(&run(&script, u64::MAX, false), &straight);
    }

    #[test]
    fn repeated_reordered_and_truncated_requests_corrupt_nothing(script in script()) {
        let straight = run(&script, 0, false);
        prop_assert_eq!(&run(&script, 0, true), &straight);
    }
}
