//! Our octets before an independent judge: tshark's dissectors of WSP, WBXML, UDH and Wake-on-LAN.
//!
//! Runs where `MAILSYNC_PEERS=1` is set; `tests/tshark.sh` installs the judge.
#![cfg(feature = "bearer")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use pushpolicy::bearer::date::UtcTime;
use pushpolicy::bearer::emn::EmailNotification;
use pushpolicy::bearer::si::{self, ServiceIndication};
use pushpolicy::bearer::sip::{Message, Route};
use pushpolicy::bearer::sl::{self, ServiceLoading};
use pushpolicy::bearer::wap::{ContentType, Ports, Push, Udh, segments};
use pushpolicy::bearer::wol::{MacAddress, Password, magic_packet, parse};
use std::process::Command;

/// A server alert of DS 1.2 for `srv`, `./mail`; 37 octets.
const SAN: &str = "b96ba047c627e735e23f48ac55d7060103180000000102037372761060000306046d61696c";

fn unhex(s: &str) -> Vec<u8> {
    (0..s.len() / 2).map(|i| u8::from_str_radix(&s[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// One raw IPv4 packet each: UDP, or TCP for SMPP.
fn packet(protocol: u8, port: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let source: u16 = if port == 2948 { 9200 } else { 40_000 };
    let mut transport = [source.to_be_bytes(), port.to_be_bytes()].concat();
    if protocol == 17 {
        transport.extend((payload.len() as u16 + 8).to_be_bytes());
        transport.extend([0, 0]);
    } else {
        transport.extend(sequence.to_be_bytes());
        transport.extend([0, 0, 0, 1, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
    }
    let total = 20 + transport.len() + payload.len();
    let mut ip = vec![0x45, 0];
    ip.extend((total as u16).to_be_bytes());
    ip.extend([0, 1, 0, 0, 64, protocol, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    [ip, transport, payload.to_vec()].concat()
}

/// What tshark makes of the packets, as one text; `None` where the judge was not asked for.
fn judged(packets: &[Vec<u8>], options: &[&str]) -> Option<String> {
    if std::env::var("MAILSYNC_PEERS").as_deref() != Ok("1") {
        return None;
    }
    let mut pcap = [
        &0xA1B2_C3D4u32.to_le_bytes()[..],
        &[2, 0, 4, 0],
        &[0; 8],
        &65_535u32.to_le_bytes(),
        &101u32.to_le_bytes(),
    ]
    .concat();
    for p in packets {
        let length = (p.len() as u32).to_le_bytes();
        pcap.extend([&[0; 8][..], &length, &length, p].concat());
    }
    let name = format!("pushpolicy-{}-{:p}.pcap", std::process::id(), packets.as_ptr());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, pcap).unwrap();
    let output = Command::new("tshark").args(["-r", file.to_str().unwrap(), "-V"]).args(options).output();
    std::fs::remove_file(&file).unwrap();
    let output = output.expect("tshark is missing: run pushpolicy/tests/tshark.sh as root");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Read back by ourselves first: that much is checked without the judge.
fn udp(push: &Push) -> Vec<Vec<u8>> {
    let octets = push.encode().unwrap();
    assert_eq!(Push::decode(&octets).unwrap(), *push);
    vec![packet(17, 2948, 0, &octets)]
}

fn expect(text: &Option<String>, parts: &[&str]) {
    let Some(text) = text else { return };
    assert!(!text.contains("Malformed"), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

fn indication() -> ServiceIndication {
    let mut si = ServiceIndication::new("http://www.lab.test/mail", "New mail");
    si.id = Some("m1@lab".into());
    si.created = UtcTime::parse("2026-11-22T03:12:00Z");
    si.expires = UtcTime::parse("2026-11-23T00:00:00Z");
    si.action = si::Action::High;
    si
}

// mission: M4c P6
#[test]
fn a_server_alert_is_a_connectionless_push_for_push_syncml() {
    let push = Push::new(3, ContentType::DS_ALERT, unhex(SAN));
    expect(
        &judged(&udp(&push), &[]),
        &["Wireless Session Protocol", "Push (0x06)", "Headers Length: 3", "x-wap-application:push.syncml"],
    );
}

// mission: M4c
#[test]
fn an_indication_is_read_in_full() {
    let push = Push::new(4, ContentType::SI, indication().encode().unwrap());
    let text = judged(&udp(&push), &[]);
    expect(
        &text,
        &[
            "application/vnd.wap.sic",
            "x-wap-application:wml.ua",
            "http://www.",
            "lab.test/mail",
            "signal-high",
            "m1@lab",
            "New mail",
            "created=",
        ],
    );
}

// mission: M4c
#[test]
fn a_loading_is_read_in_full() {
    let mut loading = ServiceLoading::new("https://lab.test/inbox");
    loading.action = sl::Action::ExecuteHigh;
    let push = Push::new(5, ContentType::SL, loading.encode().unwrap());
    expect(
        &judged(&udp(&push), &[]),
        &["application/vnd.wap.slc", "https://", "lab.test/inbox", "execute-high"],
    );
}

// mission: M4c
#[test]
fn an_email_notification_is_read_under_the_plain_wbxml_type() {
    // quirk: tshark 4.0 knows no number for EMN; it dissects the document as application/vnd.wap.wbxml
    let mut emn = EmailNotification::new("mailat:alice@lab.com");
    emn.timestamp = UtcTime::parse("2026-11-22T03:12:00Z");
    let push = Push::new(6, ContentType::Number(0x29), emn.encode().unwrap());
    expect(&judged(&udp(&push), &[]), &["EMN", "mailat:", "alice@lab", ".com", "timestamp="]);
}

// mission: M4c
#[test]
fn segments_are_reassembled_from_smpp_and_read() {
    let mut si = indication();
    si.text = "New mail ".repeat(24);
    let pdu = Push::new(7, ContentType::SI, si.encode().unwrap()).encode().unwrap();
    let parts = segments(Ports::WAP_PUSH, 0x2A, &pdu).unwrap();
    assert_eq!(parts.len(), 3);
    let joined: Vec<u8> =
        parts.iter().flat_map(|p| Udh::split(&p.short_message()).unwrap().1.to_vec()).collect();
    assert_eq!(ServiceIndication::decode(&Push::decode(&joined).unwrap().body).unwrap(), si);
    let mut sequence = 1;
    let packets: Vec<_> = parts
        .iter()
        .zip(1u32..)
        .map(|(part, n)| {
            let message = part.short_message();
            // submit_sm: service type, source, destination, esm_class UDHI, data_coding 8 bit.
            let mut body = b"\0\x01\x01mailsync\0\x01\x018613800138000\0\x40\0\0\0\0\0\0\x04\0".to_vec();
            body.push(message.len() as u8);
            body.extend(message);
            let head = [body.len() as u32 + 16, 4, 0, n].map(u32::to_be_bytes).concat();
            let pdu = [head, body].concat();
            let p = packet(6, 2775, sequence, &pdu);
            sequence += pdu.len() as u32;
            p
        })
        .collect();
    let options = ["-d", "tcp.port==2775,smpp", "-o", "gsm_sms_ud.port_number_udh_means_wsp:TRUE"];
    let text = judged(&packets, &options);
    expect(
        &text,
        &[
            "Submit_sm",
            "(2948)",
            "(9200)",
            "Message identifier: 42",
            "Message parts: 3",
            "signal-high",
            "New mail New mail",
        ],
    );
}

// mission: P6
#[test]
fn a_magic_packet_wakes_the_right_machine() {
    let magic =
        magic_packet(MacAddress([0, 0x11, 0x22, 0x33, 0x44, 0x55]), Password::Six([1, 2, 3, 4, 5, 6]));
    assert_eq!(parse(&magic).unwrap().0, MacAddress([0, 0x11, 0x22, 0x33, 0x44, 0x55]));
    let text = judged(&[packet(17, 9, 0, &magic)], &[]);
    expect(&text, &["Wake On LAN", "00:11:22:33:44:55", "Password: 01:02:03:04:05:06"]);
}

// mission: M4c P6
#[test]
fn sip_requests_are_read() {
    let route = Route::new(
        "sip:alice@lab.test",
        "sip:mailsync@lab.test",
        "127.0.0.1:9200",
        "b1",
        "t1",
        "c1@lab.test",
    );
    let message = route
        .message("application/vnd.syncml.ds.notification", &unhex(SAN), 60, Some("push.syncml"))
        .unwrap();
    let packets: Vec<_> = [message, route.invite(30).unwrap(), route.cancel(true).unwrap()]
        .iter()
        .map(|m| {
            assert_eq!(Message::decode(&m.to_bytes()).unwrap(), *m);
            packet(17, 5060, 0, &m.to_bytes())
        })
        .collect();
    expect(
        &judged(&packets, &[]),
        &[
            "Request-Line: MESSAGE",
            "Request-Line: INVITE",
            "Request-Line: CANCEL",
            "branch=z9hG4bKb1",
            "Content-Length: 37",
            "Sequence Number: 1",
        ],
    );
}
