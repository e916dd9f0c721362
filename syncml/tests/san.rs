#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]
//! Package #0 in both forms. The vectors are equal to what the Synthesis engine writes (golden/examples/README.md).

use bytes::Bytes;
use proptest::prelude::*;
use syncml::san::{AlertKey, AlertedSync, Digest, ServerAlert, UiMode, check, content_type_name};
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
    other.commands.push(syncml::Command::Alert(syncml::Alert::new(9, AlertCode::TWO_WAY)));
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
