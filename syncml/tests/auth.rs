//! Logins of both sides at each other: every scheme, every refusal, nonces used once.
#![cfg(all(feature = "client", feature = "server", feature = "xml", feature = "wbxml"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peer;

use bytes::Bytes;
use peer::{CRED, KEY, Peer, answers, codes, item, statuses, sync};
use syncml::session::auth::{Scheme, body_digest, credentials, verifier};
use syncml::session::{
    Arrival, Ask, ClientConfig, ClientExchange, ClientSession, Load, LoginCheck, LoginState, Opening,
    OwnLogin, ServerCheck, ServerConfig, ServerExchange, ServerSession,
};
use syncml::{Encoding, Limits, Message, Quirks, StatusCode, Version, decode};

fn take(ex: &mut ServerExchange<'_>, ask: Ask<'_>) {
    if let Ask::Sync { slot, .. } | Ask::Change { slot, .. } | Ask::Alert { slot, .. } = ask {
        ex.answer(&slot, StatusCode::OK);
    }
}

fn cred(kind: &str, format: &str, data: &str) -> String {
    format!(
        "<Cred><Meta><Format xmlns='syncml:metinf'>{format}</Format><Type xmlns='syncml:metinf'>{kind}</Type></Meta>\
         <Data>{data}</Data></Cred>"
    )
}

fn header(message: &Message) -> u16 {
    statuses(message).find(|status| status.cmd_ref == 0).unwrap().data.0
}

fn nonce(message: &Message) -> Option<Bytes> {
    let status = statuses(message).find(|status| status.cmd_ref == 0).unwrap();
    status.chal.as_ref()?.meta.next_nonce.clone()
}

fn md5(nonce: &[u8]) -> String {
    let cred = credentials(Scheme::Md5, "ann", "secret", nonce).unwrap();
    self::cred("syncml:auth-md5", "b64", std::str::from_utf8(&cred.data).unwrap())
}

// spec-test: session facts section 10, rules
#[test]
fn credentials_of_a_wrong_form_have_a_status_each() {
    let basic = "syncml:auth-basic";
    for (head, status) in [
        (String::new(), 407),
        (cred("syncml:auth-kerberos", "b64", "eA=="), 406),
        (cred("syncml:auth-MAC", "b64", "eA=="), 406),
        (cred(basic, "xml", "eA=="), 415),
        (cred(basic, "b64", ""), 400),
        (cred(basic, "b64", "***"), 401),
        (cred(basic, "b64", "YW5uOndyb25n"), 401),
        (md5(b"stale"), 401),
        (md5(b""), 401),
        (cred("SYNCML:AUTH-BASIC", "", "YW5uOnNlY3JldA=="), 212),
        (CRED.to_owned(), 212),
    ] {
        let mut peer = Peer::stranger(Version::V1_2);
        let answer = peer.say_with(&head, &sync(&item("Add", 2, "a")), take);
        assert_eq!(header(&answer), status, "{head}");
        if status == 212 {
            assert_eq!(answers(&answer), [200, 200]);
        } else {
            assert_eq!(
                (answers(&answer), peer.heard.len()),
                (vec![status, status], 0),
                "nothing is executed"
            );
            assert!(peer.session.is_none(), "nothing is kept");
            assert_eq!(nonce(&answer).unwrap().len(), 16, "and it may try again");
        }
    }
}

#[test]
fn a_digest_without_a_user_name_is_refused() {
    let mut peer = Peer::stranger(Version::V1_2);
    let (mut message, _) = peer.message(&md5(b"x"), "");
    message.hdr.source.loc_name = None;
    assert_eq!(server_status(&message, &ServerConfig::default(), None, 0), 415);
}

/// The header status with which a message is met.
fn server_status(message: &Message, config: &ServerConfig, password: Option<&str>, logins: u64) -> u16 {
    let arrival = Arrival {
        encoding: Encoding::Xml,
        message,
        digest: [0; 16],
        mac: None,
        now: 1_000,
        load: Load::default(),
    };
    let Opening::Login(pending) = ServerSession::open(arrival) else { panic!() };
    let known = verifier("ann", "secret");
    let check = LoginCheck { password, logins, ..peer::check(&known) };
    let ex = pending.check(config, &check).unwrap();
    let (_, bytes) = ex.finish(true).unwrap();
    header(&peer::read(&bytes))
}

#[test]
fn threat_s3_the_digest_of_1_0_is_taken_only_where_it_is_allowed() {
    let mut lab = ServerConfig::default();
    lab.md5_of_1_0 = true;
    for (version, config, password, expected) in [
        (Version::V1_0, &lab, Some("secret"), 212),
        (Version::V1_0, &lab, None, 401),
        (Version::V1_0, &ServerConfig::default(), Some("secret"), 401),
        (Version::V1_1, &lab, Some("secret"), 401),
        (Version::V1_2, &lab, Some("secret"), 401),
    ] {
        let mut peer = Peer::stranger(version);
        let given = nonce(&peer.say_with("", "", take)).unwrap();
        let old = credentials(Scheme::Md5Of1_0, "ann", "secret", &given).unwrap();
        let head = cred("syncml:auth-md5", "b64", std::str::from_utf8(&old.data).unwrap());
        let (message, _) = peer.message(&head, "");
        assert_eq!(server_status(&message, config, password, 0), expected, "{version:?}");
        // The newer digest is taken in every version.
        let (message, _) = peer.message(&md5(&given), "");
        assert_eq!(server_status(&message, config, password, 0), 212, "{version:?}");
    }
}

// spec-test: threats S1
#[test]
fn threat_s1_who_ignores_resp_uri_shows_credentials_in_every_message() {
    let mut peer = Peer::stranger(Version::V1_2);
    peer.ignores_resp_uri = true;
    peer.last = false;
    let given = nonce(&peer.say_with("", "", take)).unwrap();
    let answer = peer.say_with(&md5(&given), "", take);
    assert_eq!(header(&answer), 212);
    // Without credentials the message is a stranger's; the session stays.
    let before = peer.session.clone();
    let answer = peer.say_with("", &sync(&item("Add", 2, "a")), take);
    assert_eq!((header(&answer), answers(&answer)), (407, vec![407, 407]));
    assert_eq!(peer.session, before);
    let given = nonce(&answer).unwrap();
    // With wrong ones, too.
    let answer = peer.say_with(&md5(b"wrong"), &sync(&item("Add", 2, "a")), take);
    assert_eq!((header(&answer), &peer.session), (401, &before));
    let answer = peer.say_with(&md5(&given), &sync(&item("Add", 2, "a")), take);
    assert_eq!((header(&answer), answers(&answer)), (200, vec![200, 200]), "good for this message");
    assert_eq!(peer.heard, ["Sync ./notes", "Add a"]);
    let next = nonce(&answer).unwrap();
    // Each nonce is good once.
    let answer = peer.say_with(&md5(&given), "", take);
    assert_eq!(header(&answer), 401);
    let answer = peer.say_with(&md5(&next), &sync(&item("Add", 3, "b")), take);
    assert_eq!((header(&answer), answers(&answer)), (200, vec![200, 200]));
    // A session id and device that are known are not enough: another user's are refused.
    let foreign = cred("syncml:auth-basic", "b64", "Ym86c2VjcmV0");
    assert_eq!(header(&peer.say_with(&foreign, "", take)), 401);
    let answer = peer.say_with(CRED, "", take);
    assert_eq!((header(&answer), peer.heard.len()), (200, 0));
}

#[test]
fn commands_with_credentials_of_their_own_are_executed_only_with_good_ones() {
    let mut peer = Peer::new(Version::V1_2);
    let with = |cred: &str| sync(&item("Add", 2, "a")).replace("<Target>", &format!("{cred}<Target>"));
    let alert = |cred: &str| {
        format!(
            "<Alert><CmdID>1</CmdID>{cred}<Data>200</Data><Item><Target><LocURI>./notes</LocURI></Target>\
             <Source><LocURI>notes</LocURI></Source></Item></Alert>"
        )
    };
    let bad = cred("syncml:auth-basic", "b64", "YW5uOndyb25n");
    assert_eq!(answers(&peer.say(&(alert(CRED) + &with(CRED)), take)), [200, 200, 200]);
    assert_eq!(answers(&peer.say(&(alert(&bad) + &with(&bad)), take)), [401, 401, 401]);
    assert!(peer.heard.is_empty());
    let odd = cred("syncml:auth-other", "b64", "eA==");
    assert_eq!(answers(&peer.say(&(alert(&odd) + &alert(&md5(b"x"))), take)), [406, 401]);
    // On one change only.
    let inner = item("Add", 2, "a")
        + &item("Add", 3, "b").replace("<CmdID>3</CmdID>", &format!("<CmdID>3</CmdID>{bad}"));
    assert_eq!(answers(&peer.say(&sync(&inner), take)), [200, 200, 401]);
    assert_eq!(peer.heard, ["Sync ./notes", "Add a"]);
}

const SERVER: &str = "http://127.0.0.1:1/syncml";

/// Two sides that prove who they are, however they are told to; messages and transport headers go between them.
struct Pair {
    client: ClientConfig,
    server: ServerConfig,
    /// What the client knows of the server.
    expected: Option<(&'static str, Scheme)>,
    /// Logins that each side has counted, and the nonce that the server keeps for its own.
    logins: (u64, u64),
    kept: Option<Vec<u8>>,
    nonce: Option<Vec<u8>>,
    /// What happened: header statuses of the two sides.
    log: Vec<(u16, Option<u16>)>,
    /// Changes every octet of the header of the client's message so numbered.
    spoil: Option<u32>,
}

impl Pair {
    fn new(encoding: Encoding, scheme: Scheme) -> Self {
        let client = ClientConfig {
            server_url: SERVER.into(),
            device: "dev".into(),
            user: "ann".into(),
            password: "secret".into(),
            scheme,
            version: Version::V1_2,
            encoding,
            max_msg_size: 10_000,
            max_obj_size: 1_000_000,
        };
        let server = ServerConfig::default();
        Pair {
            client,
            server,
            expected: None,
            logins: (0, 0),
            kept: None,
            nonce: None,
            log: Vec::new(),
            spoil: None,
        }
    }

    fn read(&self, bytes: &Bytes) -> Message {
        decode(self.client.encoding, bytes, &Limits::default(), &Quirks::strict()).unwrap()
    }

    /// Four messages each way, or until someone refuses; gives the client's last state.
    fn run(&mut self) -> (LoginState, Option<LoginState>) {
        self.log.clear();
        let started =
            ClientSession::new(&self.client, "7", self.nonce.as_deref()).start(&self.client).unwrap();
        let (mut client, mut request) = hello(started);
        let mut session: Option<ServerSession> = None;
        for round in 1..=6 {
            let header = client
                .mac(&self.client, &request)
                .map(|mac| if self.spoil == Some(round) { mac.replace("mac=", "mac=A") } else { mac });
            let (answer, answer_mac) = self.serve(&mut session, &request, header.as_deref());
            let message = self.read(&answer);
            let code = statuses(&message).find(|s| s.cmd_ref == 0).unwrap().data.0;
            let stored = ClientSession::from_bytes(&client.to_bytes().unwrap()).unwrap();
            assert_eq!(stored, client);
            let known = self.expected.map(|(password, scheme)| (verifier("srv", password), scheme));
            let check = known.as_ref().map(|(verifier, scheme)| ServerCheck {
                name: "srv",
                verifier,
                scheme: *scheme,
                nonce_key: &[8; 32],
                logins: self.logins.1,
                now: 1_000,
                digest: body_digest(&answer),
                mac: answer_mac.as_deref(),
            });
            let mut ex = client.receive(&self.client, &message, check.as_ref()).unwrap();
            while ex.next_ask().is_some() {}
            self.logins.1 += u64::from(ex.nonce_used);
            let state = (ex.login(), ex.server_login());
            self.nonce = ex.next_nonce().map(<[u8]>::to_vec).or(self.nonce.take());
            let done =
                matches!(state.0, LoginState::Refused(_)) || matches!(state.1, Some(LoginState::Refused(_)));
            if done || round == 6 {
                self.log.push((code, None));
                return state;
            }
            (client, request) = match state {
                (LoginState::Again, _) => hello(ex),
                _ => ex.finish(false).unwrap(),
            };
            let sent = self.read(&request);
            let own = statuses(&sent).find(|s| s.cmd_ref == 0).unwrap().data.0;
            self.log.push((code, Some(own)));
        }
        panic!("no end")
    }

    /// The server's answer and its transport header.
    fn serve(
        &mut self,
        session: &mut Option<ServerSession>,
        request: &Bytes,
        mac: Option<&str>,
    ) -> (Bytes, Option<String>) {
        let message = self.read(request);
        let arrival = Arrival {
            encoding: self.client.encoding,
            message: &message,
            digest: ServerSession::request_digest(request),
            mac,
            now: 1_000,
            load: Load::default(),
        };
        let known = verifier("ann", "secret");
        let check = LoginCheck {
            logins: self.logins.0,
            nonce_key: &KEY,
            basic_allowed: false,
            resp_uri: "http://127.0.0.1:1/syncml?s=token",
            nonce: self.kept.as_deref(),
            ..peer::check(&known)
        };
        let mut ex = match session.clone() {
            Some(session) => session.receive(&self.server, arrival, Some(&check)).unwrap(),
            None => {
                let Opening::Login(pending) = ServerSession::open(arrival) else { panic!() };
                pending.check(&self.server, &check).unwrap()
            }
        };
        while let Some(ask) = ex.next_ask() {
            if let Ask::GetDevInf(slot) = ask {
                ex.answer(&slot, StatusCode::OK);
            }
        }
        self.logins.0 += u64::from(ex.nonce_used);
        self.kept = ex.own_nonce().map(<[u8]>::to_vec).or(self.kept.take());
        let (value, answer) = ex.finish(false).unwrap();
        if value.is_some() {
            *session = value;
        }
        let mac = session.as_ref().and_then(|session| session.mac(&self.server, &answer));
        (answer, mac)
    }
}

fn hello(mut ex: ClientExchange<'_>) -> (ClientSession, Bytes) {
    ex.get_devinf().unwrap();
    ex.finish(true).unwrap()
}

fn own(scheme: Scheme, password: &str) -> Option<OwnLogin> {
    Some(OwnLogin { name: "srv".into(), password: password.into(), scheme })
}

// spec-test: session facts section 10, auth-MAC
#[test]
fn a_client_proves_every_message_by_the_transports_header() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let mut pair = Pair::new(encoding, Scheme::Mac);
        assert_eq!(pair.run().0, LoginState::EachMessage);
        let codes: Vec<u16> = pair.log.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [401, 200, 200, 200, 200, 200], "a challenge, then each message by itself");
        assert_eq!(pair.logins.0, 5, "with a nonce each");
        // The next session has a nonce already.
        assert_eq!(pair.run().0, LoginState::EachMessage);
        assert_eq!(pair.log[0].0, 200);
        // A message of which the header does not fit is not executed; here all of it can go again, once.
        pair.spoil = Some(3);
        assert_eq!(pair.run().0, LoginState::EachMessage);
        let codes: Vec<u16> = pair.log.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [200, 200, 401, 200, 200, 200]);
    }
}

#[test]
fn a_server_that_wants_mac_takes_nothing_weaker() {
    for scheme in [Scheme::Md5, Scheme::Basic] {
        let mut pair = Pair::new(Encoding::Wbxml, scheme);
        pair.server.scheme = Scheme::Mac;
        assert_eq!(pair.run().0, LoginState::EachMessage, "the client answers the challenge with MAC");
        assert_eq!(pair.log[0].0, 401);
    }
    let mut pair = Pair::new(Encoding::Wbxml, Scheme::Mac);
    pair.client.password = "wrong".into();
    assert_eq!(pair.run().0, LoginState::Refused(401));
    assert_eq!(pair.log.len(), 2, "one more try, no more");
}

#[test]
fn threat_s4_a_client_falls_back_to_nothing_weaker() {
    // A server that would take basic over TLS, and asks for it: a client of digests stops.
    for scheme in [Scheme::Md5, Scheme::Mac] {
        let mut pair = Pair::new(Encoding::Xml, scheme);
        pair.client.password = "wrong".into();
        let (client, request) =
            hello(ClientSession::new(&pair.client, "7", None).start(&pair.client).unwrap());
        let (answer, _) = pair.serve(&mut None, &request, client.mac(&pair.client, &request).as_deref());
        for weaker in [Scheme::Basic, Scheme::Md5] {
            let mut message = pair.read(&answer);
            for command in &mut message.commands {
                if let syncml::Command::Status(status) = command
                    && let Some(chal) = &mut status.chal
                {
                    chal.meta.type_ = Some(weaker.as_str().into());
                }
            }
            let state = client.clone().receive(&pair.client, &message, None).unwrap().login();
            let expected = if scheme == weaker { LoginState::Again } else { LoginState::Refused(401) };
            assert_eq!(state, expected, "{scheme:?} {weaker:?}");
        }
    }
}

#[test]
fn a_server_proves_itself_to_the_client() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for scheme in [Scheme::Md5, Scheme::Mac] {
            let mut pair = Pair::new(encoding, Scheme::Md5);
            pair.server.own = own(scheme, "server's");
            pair.expected = Some(("server's", scheme));
            let (mine, servers) = pair.run();
            assert_eq!(mine, LoginState::In);
            let each = scheme == Scheme::Mac;
            let last = if each { Some(LoginState::EachMessage) } else { None };
            assert_eq!(servers, last, "{:?}", pair.log);
            let of_server: Vec<Option<u16>> = pair.log.iter().map(|(_, code)| *code).collect();
            let good = Some(if each { 200 } else { 212 });
            // First the client's login, then a stale nonce of the server's, then good.
            assert_eq!(of_server[..3], [Some(200), Some(401), good], "{:?}", pair.log);
            // The second time both have a nonce.
            let (mine, _) = pair.run();
            assert_eq!(mine, LoginState::In);
            // The last nonce for a MAC came too late for any message: it costs a round trip again.
            let first = if each { Some(401) } else { good };
            assert_eq!(pair.log[..2], [(212, first), (200, Some(200))], "{:?}", pair.log);
        }
    }
}

#[test]
fn a_server_that_cannot_prove_itself_is_not_believed() {
    // Another password, none at all, and a weaker scheme.
    for own in [own(Scheme::Md5, "other"), None, own(Scheme::Basic, "server's")] {
        let mut pair = Pair::new(Encoding::Wbxml, Scheme::Md5);
        let missing = own.is_none();
        let basic = own.as_ref().is_some_and(|own| own.scheme == Scheme::Basic);
        pair.server.own = own;
        pair.expected = Some(("server's", Scheme::Md5));
        let (_, servers) = pair.run();
        if basic {
            // Challenged for a digest, it gives one.
            assert_eq!(servers, None, "{:?}", pair.log);
        } else {
            assert_eq!(servers, Some(LoginState::Refused(if missing { 407 } else { 401 })), "{:?}", pair.log);
        }
    }
}

#[test]
fn nothing_of_an_unproved_server_is_executed() {
    let mut pair = Pair::new(Encoding::Xml, Scheme::Md5);
    pair.nonce = None;
    let mut session = None;
    let (client, request) = hello(ClientSession::new(&pair.client, "7", None).start(&pair.client).unwrap());
    let (answer, _) = pair.serve(&mut session, &request, None);
    let (client, request) = hello(client.receive(&pair.client, &pair.read(&answer), None).unwrap());
    let (answer, _) = pair.serve(&mut session, &request, None);
    let mut message = pair.read(&answer);
    message.commands.push(syncml::Command::Alert(Box::new(syncml::Alert::new(9, syncml::AlertCode::SLOW))));
    let known = verifier("srv", "server's");
    let check = ServerCheck {
        name: "srv",
        verifier: &known,
        scheme: Scheme::Md5,
        nonce_key: &[8; 32],
        logins: 0,
        now: 1,
        digest: [0; 16],
        mac: None,
    };
    let mut ex = client.receive(&pair.client, &message, Some(&check)).unwrap();
    assert_eq!(ex.server_login(), Some(LoginState::Again));
    assert!(ex.next_ask().is_none());
    assert!(ex.get_devinf().is_err(), "and nothing of ours goes");
    let (_, bytes) = ex.finish(true).unwrap();
    let sent = pair.read(&bytes);
    let codes = codes(&sent);
    assert_eq!(codes[0], ("SyncHdr".to_owned(), 407));
    assert_eq!(codes.last().unwrap(), &("Alert".to_owned(), 407));
    assert!(codes.iter().all(|(_, code)| *code == 407), "{codes:?}");
}
