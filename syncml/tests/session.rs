//! Sessions of the two sides against each other, message by message, without any engine above them.
#![cfg(all(feature = "client", feature = "server", feature = "xml", feature = "wbxml"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use syncml::session::auth::{Scheme, verifier};
use syncml::session::{
    Arrival, Ask, ClientConfig, ClientSession, Load, LoginCheck, LoginState, Opening, ServerConfig,
    ServerSession, SessionError,
};
use syncml::{Command, Encoding, Limits, Message, Quirks, StatusCode, Version, decode};

const URL: &str = "http://127.0.0.1:1/syncml";
const KEY: [u8; 32] = [5; 32];

fn config(encoding: Encoding, password: &str, scheme: Scheme) -> ClientConfig {
    ClientConfig {
        server_url: URL.into(),
        device: "dev".into(),
        user: "ann".into(),
        password: password.into(),
        scheme,
        version: Version::V1_2,
        encoding,
        max_msg_size: 10_000,
        max_obj_size: 1_000_000,
    }
}

fn read(encoding: Encoding, bytes: &Bytes) -> Message {
    decode(encoding, bytes, &Limits::default(), &Quirks::strict()).unwrap()
}

/// A server's answer to a first message: the statuses by command, and the session if there is one.
fn answer(
    message: &Message,
    encoding: Encoding,
    logins: u64,
) -> (Vec<(String, u16)>, Bytes, Option<ServerSession>) {
    let load = Load::default();
    let arrival = Arrival { encoding, message, digest: [1; 16], mac: None, now: 1_000, load };
    let Opening::Login(pending) = ServerSession::open(arrival) else { panic!("open") };
    let known = verifier("ann", "secret");
    let check = LoginCheck {
        verifier: (pending.user() == "ann").then_some(&*known),
        logins,
        nonce_key: &KEY,
        basic_allowed: false,
        password: None,
        sessions: 0,
        nonce: None,
        resp_uri: "http://127.0.0.1:1/syncml?s=token",
    };
    let mut ex = pending.check(&ServerConfig::default(), &check).unwrap();
    while let Some(ask) = ex.next_ask() {
        if let Ask::GetDevInf(slot) = ask {
            ex.answer(&slot, StatusCode::OK);
        }
    }
    let (session, bytes) = ex.finish(true).unwrap();
    let answer = read(encoding, &bytes);
    let statuses = answer
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Status(status) => Some((status.cmd.as_str().to_owned(), status.data.0)),
            _ => None,
        })
        .collect();
    (statuses, bytes, session)
}

/// A client's first message: it asks for the server's device information.
fn first(config: &ClientConfig) -> (ClientSession, Bytes) {
    let mut ex = ClientSession::new(config, "7", None).start(config).unwrap();
    ex.get_devinf().unwrap();
    ex.finish(true).unwrap()
}

// spec-test: session facts section 10, flow
#[test]
fn threat_s3_a_stale_nonce_costs_one_round_trip_and_is_used_once() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let config = config(encoding, "secret", Scheme::Md5);
        let (client, request) = first(&config);
        let (statuses, challenge, session) = answer(&read(encoding, &request), encoding, 0);
        assert_eq!(statuses, [("SyncHdr".into(), 401), ("Get".into(), 401)]);
        assert!(session.is_none(), "nothing is kept of a stranger");
        let challenge = read(encoding, &challenge);
        let mut again = client.receive(&config, &challenge, None).unwrap();
        assert_eq!(again.login(), LoginState::Again);
        again.get_devinf().unwrap();
        let (client, request) = again.finish(true).unwrap();
        let (statuses, welcome, session) = answer(&read(encoding, &request), encoding, 0);
        assert_eq!(statuses, [("SyncHdr".into(), 212), ("Get".into(), 200)]);
        assert!(session.is_some());
        let welcome = read(encoding, &welcome);
        assert!(welcome.hdr.resp_uri.is_some());
        let ex = client.receive(&config, &welcome, None).unwrap();
        assert_eq!(ex.login(), LoginState::In);
        assert_eq!(ex.next_nonce().unwrap().len(), 16);
        // The same credentials once more, after the login was counted: worthless.
        let (statuses, ..) = answer(&read(encoding, &request), encoding, 1);
        assert_eq!(statuses[0], ("SyncHdr".into(), 401));
    }
}

#[test]
fn a_wrong_password_is_refused_for_good_after_one_retry() {
    let config = config(Encoding::Wbxml, "wrong", Scheme::Md5);
    let (client, request) = first(&config);
    let (_, challenge, _) = answer(&read(Encoding::Wbxml, &request), Encoding::Wbxml, 0);
    let challenge = read(Encoding::Wbxml, &challenge);
    let (client, request) = client.receive(&config, &challenge, None).unwrap().finish(true).unwrap();
    let (_, refusal, _) = answer(&read(Encoding::Wbxml, &request), Encoding::Wbxml, 0);
    let refusal = read(Encoding::Wbxml, &refusal);
    let ex = client.receive(&config, &refusal, None).unwrap();
    assert_eq!(ex.login(), LoginState::Refused(401));
}

#[test]
fn threat_s4_a_password_in_the_clear_is_neither_taken_nor_given() {
    // Taken: basic over a connection where it is not allowed is answered with a digest challenge.
    let basic = config(Encoding::Xml, "secret", Scheme::Basic);
    let (client, request) = first(&basic);
    let (statuses, challenge, _) = answer(&read(Encoding::Xml, &request), Encoding::Xml, 0);
    assert_eq!(statuses[0].1, 401);
    let mut challenge = read(Encoding::Xml, &challenge);
    assert_eq!(client.clone().receive(&basic, &challenge, None).unwrap().login(), LoginState::Again);
    // Given: a digest client that is asked for the password itself stops.
    for command in &mut challenge.commands {
        if let Command::Status(status) = command
            && let Some(chal) = &mut status.chal
        {
            chal.meta.type_ = Some("syncml:auth-basic".into());
        }
    }
    let digest = config(Encoding::Xml, "secret", Scheme::Md5);
    let (client, _) = first(&digest);
    assert_eq!(client.receive(&digest, &challenge, None).unwrap().login(), LoginState::Refused(401));
}

#[test]
fn unknown_versions_are_refused_as_a_whole() {
    let config = config(Encoding::Xml, "secret", Scheme::Md5);
    let (_, request) = first(&config);
    for (dtd, proto, status) in [("1.2", "DM/1.2", 513), ("2.0", "SyncML/2.0", 505)] {
        let mut message = read(Encoding::Xml, &request);
        message.hdr.ver_dtd = dtd.into();
        message.hdr.ver_proto = proto.into();
        let (statuses, _, session) = answer(&message, Encoding::Xml, 0);
        assert_eq!(statuses, [("SyncHdr".into(), status), ("Get".into(), status)]);
        assert!(session.is_none());
    }
}

#[test]
fn threat_s2_a_resp_uri_of_another_server_is_not_followed() {
    let config = config(Encoding::Xml, "secret", Scheme::Md5);
    let (client, request) = first(&config);
    let (_, challenge, _) = answer(&read(Encoding::Xml, &request), Encoding::Xml, 0);
    let mut challenge = read(Encoding::Xml, &challenge);
    challenge.hdr.resp_uri = Some("http://elsewhere.test/syncml".into());
    assert!(matches!(client.receive(&config, &challenge, None), Err(SessionError::ForeignRespUri { .. })));
}

#[test]
fn a_stored_session_is_read_again_and_a_newer_one_refused() {
    let config = config(Encoding::Wbxml, "secret", Scheme::Md5);
    let (client, _) = first(&config);
    let stored = client.to_bytes().unwrap();
    assert!(stored.len() < 300, "{} octets", stored.len());
    assert!(!stored.windows(6).any(|w| w == b"secret"), "no password in it");
    assert_eq!(ClientSession::from_bytes(&stored).unwrap(), client);
    let mut newer = stored.to_vec();
    newer[0] = 3;
    assert_eq!(ClientSession::from_bytes(&newer), Err(SessionError::NewerFormat(3)));
    for cut in 0..stored.len() {
        assert!(ClientSession::from_bytes(&stored[..cut]).is_err(), "cut at {cut}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    let words = text.split_ascii_whitespace();
    words
        .flat_map(|word| {
            (0..word.len()).step_by(2).map(|at| u8::from_str_radix(&word[at..at + 2], 16).unwrap())
        })
        .collect()
}

#[test]
fn golden_session_values_of_every_format_stay_readable() {
    // origin: ClientSession::to_bytes of this crate, formats 1 and 2
    let config = config(Encoding::Wbxml, "secret", Scheme::Md5);
    let now = first(&config).0;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let hex: String = now.to_bytes().unwrap().iter().map(|b| format!("{b:02x}")).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/session/client-v2.hex");
        return std::fs::write(path, hex + "\n").unwrap();
    }
    for golden in [include_str!("golden/session/client-v1.hex"), include_str!("golden/session/client-v2.hex")]
    {
        let session = ClientSession::from_bytes(&hex(golden)).unwrap();
        assert_eq!((session.url(), session.encoding()), (URL, Encoding::Wbxml));
        assert_eq!(session.login(), LoginState::Asked);
        assert_eq!(session, now, "and it is what this version has");
    }
    assert_eq!(now.to_bytes().unwrap(), hex(include_str!("golden/session/client-v2.hex")), "and writes");
}
