#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]
//! Package #0 in both forms. The vectors are equal to what the Synthesis engine writes (golden/examples/README.md).

use bytes::Bytes;
use proptest::prelude::*;
use syncml::san::{
    AlertKey, AlertMemory, AlertedSync, Digest, Dropped, Notice, ServerAlert, UiMode, WantedSync, check,
    check_message, content_type_name,
};
use syncml::{AlertCode, Encoding, Limits, Quirks, Version, decode, encode};

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

fn key() -> AlertKey {
    AlertKey::new("srv", "secret", b"Nonce")
}

#[test]
fn golden_mail_by_server_in_the_background() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/examples/07-san-1.2.bin");
    let octets = Bytes::from(std::fs::read(path).unwrap());
    let alert = ServerAlert::decode(&octets).unwrap();
    let mut expected = ServerAlert::new("srv", 0x0102);
    expected.ui_mode = UiMode::Background;
    expected.syncs = vec![AlertedSync::new(AlertCode::TWO_WAY_BY_SERVER, 0x0306, "mail")];
    assert_eq!(alert, expected);
    assert_eq!(content_type_name(0x0306), Some("application/vnd.omads-email+xml"));
    assert_eq!(alert.encode(Some(&key())).unwrap(), octets);
    assert_eq!(check(&octets, &key()), Digest::Right);
}

#[test]
fn golden_sync_all() {
    let octets = hex("a37c03cb8c916d2b9df4a5fad0c20a62 0308 000000 0001 03 737276 00");
    let alert = ServerAlert::decode(&octets).unwrap();
    assert_eq!(alert, ServerAlert::new("srv", 1));
    assert_eq!(alert.encode(Some(&key())).unwrap(), octets);
    assert_eq!(check(&octets, &key()), Digest::Right);
}

#[test]
fn threat_n1_a_digest_that_is_not_right() {
    let octets = ServerAlert::new("srv", 1).encode(Some(&key())).unwrap();
    for other in [
        AlertKey::new("srv", "Secret", b"Nonce"),
        AlertKey::new("srv", "secret", b""),
        AlertKey::new("other", "secret", b"Nonce"),
    ] {
        assert_eq!(check(&octets, &other), Digest::Wrong);
    }
    for at in 0..octets.len() {
        let mut damaged = octets.to_vec();
        damaged[at] ^= 1;
        assert_eq!(check(&damaged, &key()), Digest::Wrong, "octet {at}");
    }
    assert_eq!(check(&ServerAlert::new("srv", 1).encode(None).unwrap(), &key()), Digest::Absent);
    assert_eq!(check(b"short", &key()), Digest::Wrong);
    assert!(!format!("{:?}", key()).contains("secret"));
}

#[test]
fn a_cut_alert_is_refused() {
    let octets = hex("b96ba047c627e735e23f48ac55d70601 0318 000000 0102 03 737276 10 60 000306 04 6d61696c");
    for cut in 0..octets.len() {
        assert!(ServerAlert::decode(&octets.slice(..cut)).is_err(), "{cut}");
    }
    // Lengths over 127 are lengths (a signed octet breaks them in Buteo).
    let mut long = ServerAlert::new(&"s".repeat(200), 1);
    long.syncs = vec![AlertedSync::new(AlertCode::REFRESH_FROM_SERVER_BY_SERVER, 0, &"u".repeat(255))];
    assert_eq!(ServerAlert::decode(&long.encode(None).unwrap()).unwrap(), long);
    long.syncs[0].server_uri = "u".repeat(256).into();
    assert!(long.encode(None).is_err());
}

#[test]
fn the_message_form_of_1_1() {
    let mut alert = ServerAlert::new("http://s/x", 77);
    alert.version = 11;
    alert.syncs = vec![
        AlertedSync::new(AlertCode::TWO_WAY_BY_SERVER, 0x0306, "mail"),
        AlertedSync::new(AlertCode::TWO_WAY_BY_SERVER, 0x03, "notes"),
        AlertedSync::new(AlertCode::REFRESH_FROM_SERVER_BY_SERVER, 0x07, "card"),
    ];
    let message = alert.to_message(Version::V1_1, "/", &[]);
    assert_eq!(message.commands.len(), 2);
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let octets = encode(encoding, &message).unwrap();
        let read = decode(encoding, &octets, &Limits::default(), &Quirks::normal()).unwrap();
        assert_eq!(ServerAlert::from_message(&read).unwrap(), alert);
    }
    // Any other message is no alert.
    let mut other = message.clone();
    other.commands.push(syncml::Command::Alert(syncml::Alert::new(9, AlertCode::TWO_WAY).into()));
    assert_eq!(ServerAlert::from_message(&other), None);
    other.commands.clear();
    assert_eq!(ServerAlert::from_message(&other), None);
}

fn alert() -> impl Strategy<Value = ServerAlert> {
    let sync = (206_u16..=210, 0_u32..0x100_0000, "[a-z./]{0,40}");
    let syncs = proptest::collection::vec(sync, 0..16);
    let vendor = proptest::collection::vec(any::<u8>(), 0..20);
    (0_u16..0x400, any::<bool>(), any::<u16>(), "[a-zé]{0,60}", syncs, vendor).prop_map(
        |(version, by_server, session_id, server_id, syncs, vendor)| {
            let mut alert = ServerAlert::new(&server_id, session_id);
            alert.version = version;
            alert.by_server = by_server;
            alert.syncs = syncs
                .into_iter()
                .map(|(code, kind, uri)| AlertedSync::new(AlertCode(code), kind, &uri))
                .collect();
            alert.vendor = vendor.into();
            alert
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    #[test]
    fn an_alert_is_read_as_it_was_written(alert in alert()) {
        let octets = alert.encode(Some(&key())).unwrap();
        prop_assert_eq!(&ServerAlert::decode(&octets).unwrap(), &alert);
        prop_assert_eq!(check(&octets, &key()), Digest::Right);
    }

    #[test]
    fn noise_never_breaks_the_reader(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(alert) = ServerAlert::decode(&octets.clone().into()) {
            let again = alert.encode(None).unwrap();
            prop_assert_eq!(ServerAlert::decode(&again).unwrap(), alert);
        }
    }
}

fn all_modes() -> ServerAlert {
    let mut alert = ServerAlert::new("srv", 0xAB);
    alert.ui_mode = UiMode::Informative;
    alert.syncs = (206..=210).map(|code| AlertedSync::new(AlertCode(code), 0x07, "./contacts")).collect();
    alert
}

// spec-test: session facts section 12
#[test]
fn a_client_begins_what_a_server_asks_for_in_either_form() {
    let octets = all_modes().encode(Some(&key())).unwrap();
    let wanted = AlertMemory::default().take(Notice::Binary(&octets), "srv", &key(), 1_000).unwrap();
    assert_eq!((&*wanted.session_id, wanted.ui_mode), ("AB", UiMode::Informative));
    let modes: Vec<u16> = wanted.syncs.iter().map(|sync| sync.mode.0).collect();
    assert_eq!(modes, [200, 202, 203, 204, 205]);
    let first = WantedSync {
        mode: AlertCode::TWO_WAY,
        server_uri: "./contacts".into(),
        content_type: Some("text/x-vCard".into()),
    };
    assert_eq!(wanted.syncs[0], first);
    for (version, encoding) in [(Version::V1_1, Encoding::Wbxml), (Version::V1_0, Encoding::Xml)] {
        let message = all_modes().to_signed_message(version, "/", &[], &key());
        let read =
            decode(encoding, &encode(encoding, &message).unwrap(), &Limits::default(), &Quirks::strict());
        let read = read.unwrap();
        assert_eq!(check_message(&read, &key()), Digest::Right);
        let by_message = AlertMemory::default().take(Notice::Message(&read), "srv", &key(), 1_000).unwrap();
        assert_eq!((&*by_message.session_id, &by_message.syncs), ("171", &wanted.syncs));
    }
    // Everything, where no datastore is named.
    let all = ServerAlert::new("srv", 1).encode(Some(&key())).unwrap();
    assert!(AlertMemory::default().take(Notice::Binary(&all), "srv", &key(), 1).unwrap().syncs.is_empty());
}

#[test]
fn an_alert_with_an_empty_nonce_is_checked_with_an_empty_nonce() {
    let bare = AlertKey::new("srv", "secret", b"");
    let octets = ServerAlert::new("srv", 1).encode(Some(&bare)).unwrap();
    assert_eq!((check(&octets, &bare), check(&octets, &key())), (Digest::Right, Digest::Wrong));
    let message = all_modes().to_signed_message(Version::V1_1, "/", &[], &bare);
    assert_eq!(
        (check_message(&message, &bare), check_message(&message, &key())),
        (Digest::Right, Digest::Wrong)
    );
}

#[test]
fn threat_n1_alerts_that_set_nothing_off_are_counted() {
    let mut memory = AlertMemory::default();
    let alert = |id: u16| ServerAlert::new("srv", id).encode(Some(&key())).unwrap();
    let mut take =
        |octets: &Bytes, now: u64| memory.take(Notice::Binary(octets), "srv", &key(), now).map(|_| ());
    assert_eq!(
        take(&ServerAlert::new("srv", 1).encode(None).unwrap(), 1_000),
        Err(Dropped::Digest),
        "all zero"
    );
    let other = AlertKey::new("srv", "wrong", b"Nonce");
    assert_eq!(take(&ServerAlert::new("srv", 1).encode(Some(&other)).unwrap(), 1_000), Err(Dropped::Digest));
    let of_other = AlertKey::new("else", "secret", b"Nonce");
    let octets = ServerAlert::new("else", 1).encode(Some(&of_other)).unwrap();
    assert_eq!(take(&octets, 1_000), Err(Dropped::OtherServer));
    assert_eq!(take(&Bytes::from_static(b"nonsense that is long enough"), 1_000), Err(Dropped::NotAnAlert));
    // Good ones beside them do, once each, and one in a minute.
    assert_eq!(take(&alert(1), 1_000), Ok(()));
    assert_eq!(take(&alert(1), 2_000), Err(Dropped::Seen));
    assert_eq!(take(&alert(2), 1_059), Err(Dropped::TooSoon));
    assert_eq!(take(&alert(2), 1_060), Ok(()));
    for n in 0..500_u16 {
        assert_eq!(take(&alert(3 + n), 2_000 + 60 * u64::from(n)), Ok(()));
    }
    assert_eq!(take(&alert(502), 90_000), Err(Dropped::Seen));
    assert_eq!(memory.dropped, 7);
    // Messages without credentials, with basic ones, and what is no alert at all.
    let mut memory = AlertMemory::default();
    let mut message = all_modes().to_message(Version::V1_1, "/", &[]);
    let mut take = |message: &syncml::Message| {
        memory.take(Notice::Message(message), "srv", &key(), 1).map(|_| ()).unwrap_err()
    };
    assert_eq!(take(&message), Dropped::Digest);
    let mut cred = syncml::Cred::default();
    cred.data = Bytes::from_static(b"c3J2Ondyb25n");
    message.hdr.cred = Some(Box::new(cred));
    assert_eq!(take(&message), Dropped::Digest);
    message.commands.push(syncml::Command::Alert(Box::new(syncml::Alert::new(9, AlertCode::TWO_WAY))));
    assert_eq!(take(&message), Dropped::NotAnAlert);
    // "srv:secret" in basic.
    message.commands.pop();
    message.hdr.cred.as_mut().unwrap().data = Bytes::from_static(b"c3J2OnNlY3JldA==");
    assert_eq!(check_message(&message, &key()), Digest::Right);
}

#[test]
fn a_session_id_is_known_in_hex_and_in_decimal() {
    let alert = ServerAlert::new("srv", 0x102);
    for text in ["258", "102", "0102"] {
        assert!(alert.is_session(text), "{text}");
    }
    for text in ["", "103", "+258", "-1", "99999", "x"] {
        assert!(!alert.is_session(text), "{text}");
    }
    let mut message = alert.to_message(Version::V1_1, "/", &[]);
    message
        .commands
        .push(syncml::Command::Alert(Box::new(syncml::Alert::new(1, AlertCode::TWO_WAY_BY_SERVER))));
    message.hdr.session_id = "AB".into();
    assert_eq!(ServerAlert::from_message(&message).unwrap().session_id, 0xAB);
    message.hdr.session_id = "Funambol-1234567890".into();
    assert_eq!(ServerAlert::from_message(&message), None, "no number, but a client takes it as it is");
    message.hdr.cred = all_modes().to_signed_message(Version::V1_1, "/", &[], &key()).hdr.cred;
    let wanted = AlertMemory::default().take(Notice::Message(&message), "srv", &key(), 1).unwrap();
    assert_eq!(&*wanted.session_id, "Funambol-1234567890");
}
