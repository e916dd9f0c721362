//! What peers, phones and mail programs have really sent, one test each; the rest of the list is beside the code that it
//! is about.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "bridge")]

use bytes::Bytes;
use smsbridge::bridge::{
    Book, ConvertError, ConvertRules, Flag, FlagRules, Incoming, LoopRisk, Msisdn, Party, PeerText, Receipt,
    ReduceRules, mail_flag, mail_to_sms, may_convert, reduce,
};
use smsbridge::smpp::pdu::{DeliverSm, SubmitSm};
use smsbridge::smpp::session::{BindMode, Config, Credentials, Event, Output, Reason, Session};
use smsbridge::smpp::{
    Body, CommandStatus, DataCoding, EsmClass, MessageState, Pdu, Quirks, RegisteredDelivery, SequenceNumber,
    Tag,
};
use smsbridge::text::{Added, Assembler, Limits};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

fn deliver(esm: u8, coding: u8, text: &[u8]) -> DeliverSm {
    let mut deliver = DeliverSm::default();
    (deliver.esm_class, deliver.data_coding) = (EsmClass(esm), DataCoding(coding));
    deliver.short_message = Bytes::copy_from_slice(text).try_into().unwrap();
    deliver
}

fn text_of(esm: u8, coding: u8, text: &[u8]) -> String {
    let incoming = Incoming::of_deliver(&deliver(esm, coding, text), PeerText::default());
    incoming.decode(&incoming.octets)
}

fn reduced(mail: &[u8]) -> String {
    reduce(mail, &ReduceRules::default()).unwrap().text
}

fn convert(mail: &[u8]) -> Result<Vec<SubmitSm>, ConvertError> {
    let phone = Party::Phone(Msisdn::parse("+8613800138000").unwrap());
    let source = Party::ShortCode("10086".into());
    let sender = "ann@example.org".parse().unwrap();
    let rules = ConvertRules::default();
    mail_to_sms(mail, &sender, &source, &phone, RegisteredDelivery::NONE, &rules).map(|(submits, _)| submits)
}

// --- texts ---

#[test]
fn threat_p1_udhl_longer_than_the_message_is_text() {
    assert_eq!(text_of(0x40, 0, b"\x50hi"), "Phi");
    assert_eq!(text_of(0x40, 0, b"\x7f"), "à");
}

#[test]
fn threat_p3_a_reference_used_again_with_another_text() {
    let mut parts = Assembler::new(Limits::default());
    let mut add = |text: &[u8]| {
        let deliver = deliver(0x40, 0, text);
        let incoming = Incoming::of_deliver(&deliver, PeerText::default());
        let (key, part) = incoming.part(1, "a", "b", deliver.data_coding).unwrap();
        parts.add(NOW, key, part).unwrap()
    };
    assert_eq!(add(b"\x05\x00\x03\x07\x02\x01old"), Added::Waiting);
    assert_eq!(add(b"\x05\x00\x03\x07\x02\x01old"), Added::Duplicate);
    assert_eq!(add(b"\x05\x00\x03\x07\x02\x01new"), Added::Waiting);
    let Added::Complete(whole) = add(b"\x05\x00\x03\x07\x02\x02 text") else { panic!() };
    let joined: Vec<u8> = whole.parts.iter().flatten().flatten().copied().collect();
    assert_eq!(joined, b"new text");
    let first = parts.poll_expired().unwrap();
    assert!(!first.is_complete(), "what came of the old one is not lost");
}

#[test]
fn threat_p1_payload_and_short_message_are_never_joined() {
    let mut submit = SubmitSm::default();
    submit.short_message = "short".try_into().unwrap();
    submit.tlvs.push(Tag::MESSAGE_PAYLOAD, b"payload").unwrap();
    let pdu = Pdu::new(SequenceNumber(1), &Body::SubmitSm(submit));
    assert_eq!(pdu.decode(&Quirks::normal()).unwrap_err().status, CommandStatus::RINVMSGLEN);
    let Body::SubmitSm(read) = pdu.decode(&Quirks::lenient()).unwrap() else { panic!() };
    assert_eq!(read.text(), "payload");
}

#[test]
fn odd_ucs2_lone_surrogates_and_marks() {
    for (octets, text) in [
        (&b"\x00a\x00"[..], "a\u{FFFD}"),
        (b"\xd8\x3d\x00a", "\u{FFFD}a"),
        (b"\xdc\x4d", "\u{FFFD}"),
        (b"\xfe\xff\x00a", "a"),
        (b"\xd8\x3d\xdc\x4d", "👍"),
        (b"", ""),
    ] {
        assert_eq!(text_of(0, 8, octets), text, "{octets:?}");
    }
}

#[test]
fn escape_at_the_end_and_twice() {
    assert_eq!(text_of(0, 0, b"hi\x1b"), "hi");
    assert_eq!(text_of(0, 0, b"\x1be\x1b"), "€");
    assert!(text_of(0, 0, b"\x1b\x1bx").ends_with('x'));
}

#[test]
fn the_at_sign_is_octet_zero_first_and_last() {
    assert_eq!(text_of(0, 0, b"\x00hi\x00"), "@hi@");
}

// --- receipts ---

fn receipt(text: &str) -> Option<Receipt> {
    Receipt::read(&deliver(4, 0, text.as_bytes()), text)
}

#[test]
fn receipts_without_an_id_and_with_two() {
    assert_eq!(receipt("stat:DELIVRD err:000"), None);
    assert_eq!(receipt("id:1 id:2 stat:DELIVRD text:id:3").unwrap().message_id, "1");
    assert_eq!(receipt("ID:1 STAT:undeliv Err:5").unwrap().state, Some(MessageState::UNDELIVERABLE));
}

#[test]
fn a_receipt_with_a_64_bit_id_in_the_other_radix() {
    let mut book = Book::new(Duration::from_secs(60), 10);
    book.expect(NOW, 7, 1);
    assert_eq!(book.taken(NOW, 1, 7, "ffffffffffffffff"), None);
    let done = book.receipt(NOW, 1, receipt("id:18446744073709551615 stat:DELIVRD").unwrap());
    assert_eq!(done.unwrap().message, 7);
}

#[test]
fn a_receipt_whose_text_is_cut_inside_a_character() {
    let cut = "id:9 stat:DELIVRD text:👍".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let text = text_of(4, 8, &cut[..cut.len() - 1]);
    assert_eq!(receipt(&text).unwrap().message_id, "9");
}

#[test]
fn receipts_before_the_response_for_nothing_and_again() {
    let mut book = Book::new(Duration::from_secs(60), 10);
    book.expect(NOW, 7, 2);
    assert_eq!(book.receipt(NOW, 1, receipt("id:a stat:DELIVRD").unwrap()), None, "held");
    assert_eq!(book.receipt(NOW, 1, receipt("id:zzz stat:DELIVRD").unwrap()), None, "unknown");
    assert_eq!(book.taken(NOW, 1, 7, "a"), None);
    assert_eq!(book.taken(NOW, 1, 7, "b"), None);
    assert_eq!(book.receipt(NOW, 1, receipt("id:a stat:DELIVRD").unwrap()), None, "replayed: counts once");
    assert_eq!(book.receipt(NOW, 2, receipt("id:b stat:DELIVRD").unwrap()), None, "of another link");
    assert!(book.receipt(NOW, 1, receipt("id:b stat:DELIVRD").unwrap()).is_some());
}

// --- links ---

fn outputs(session: &mut Session) -> (Vec<u8>, Vec<Event>) {
    let (mut wire, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = session.poll_output() {
        match output {
            Output::Transmit(octets) => wire.extend_from_slice(&octets),
            Output::Event(event) => events.push(event),
            _ => {}
        }
    }
    (wire, events)
}

fn reason(events: &[Event]) -> Option<&Reason> {
    events.iter().find_map(|event| match event {
        Event::Closed { reason, .. } => Some(reason),
        _ => None,
    })
}

fn bound() -> (Session, Vec<u8>) {
    let credentials =
        Credentials::new(BindMode::Transceiver, "esme".try_into().unwrap(), "secret".try_into().unwrap());
    let mut esme = Session::esme(Config::default(), credentials, NOW);
    let mut smsc = Session::smsc(Config::default(), NOW);
    let (bind, _) = outputs(&mut esme);
    smsc.handle_input(NOW, &bind);
    outputs(&mut smsc);
    smsc.accept_bind(NOW).unwrap();
    outputs(&mut smsc);
    (smsc, bind)
}

#[test]
fn threat_p2_a_header_octet_by_octet_is_ended_by_the_bind_timer() {
    let mut smsc = Session::smsc(Config::default(), NOW);
    let octets = [0, 0, 0, 200, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut now = NOW;
    for octet in octets {
        now += Duration::from_secs(1);
        smsc.handle_input(now, &[octet]);
        smsc.handle_timeout(now);
        if smsc.is_closed() {
            break;
        }
    }
    assert_eq!(now, Duration::from_secs(10));
    assert_eq!(reason(&outputs(&mut smsc).1), Some(&Reason::BindTimeout));
}

#[test]
fn threat_p2_a_half_open_link_is_found_silent() {
    let (mut smsc, _) = bound();
    let mut now = NOW;
    while let Some(at) = smsc.poll_timeout() {
        now = now.max(at);
        smsc.handle_timeout(now);
        if let Some(reason) = reason(&outputs(&mut smsc).1) {
            assert_eq!(reason, &Reason::Silent);
        }
    }
    assert!(now <= Duration::from_secs(90), "{now:?}");
}

#[test]
fn threat_p1_a_link_that_ends_inside_a_pdu() {
    let (mut smsc, _) = bound();
    let wire = Pdu::new(SequenceNumber(2), &Body::SubmitSm(SubmitSm::default())).encode();
    smsc.handle_input(NOW, &wire[..wire.len() - 1]);
    assert!(outputs(&mut smsc).1.is_empty(), "half a message is none");
    smsc.handle_eof(NOW);
    assert_eq!(reason(&outputs(&mut smsc).1), Some(&Reason::LinkClosed));
    assert!(smsc.is_closed() && smsc.poll_timeout().is_none());
}

#[test]
fn threat_p2_a_storm_of_unbinds_is_answered_once() {
    let (mut smsc, _) = bound();
    let storm: Vec<u8> =
        (2..1_002).flat_map(|n| Pdu::new(SequenceNumber(n), &Body::Unbind).encode().to_vec()).collect();
    smsc.handle_input(NOW, &storm);
    let (wire, events) = outputs(&mut smsc);
    assert_eq!(wire, Pdu::new(SequenceNumber(2), &Body::UnbindResp).encode());
    assert_eq!(reason(&events), Some(&Reason::Unbound));
}

#[test]
fn odd_sequence_numbers_are_answered_with_themselves() {
    let (mut smsc, _) = bound();
    for sequence in [0, 0xFFFF_FFFF, 0x8000_0000, 0x7FFF_FFFF] {
        smsc.handle_input(NOW, &Pdu::new(SequenceNumber(sequence), &Body::EnquireLink).encode());
        let answer = Pdu::new(SequenceNumber(sequence), &Body::EnquireLinkResp).encode();
        assert_eq!(outputs(&mut smsc).0, answer);
    }
}

// --- mails ---

#[test]
fn threat_m4_no_end_boundary() {
    let mail = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhi";
    // what is cut off there is named like an attachment, as its end is unknown
    assert_eq!(reduced(mail), "[unnamed]");
    let honest = [&mail[..], b"\r\n--x--\r\n"].concat();
    assert_eq!(reduced(&honest), "hi");
}

#[test]
fn threat_m4_base64_junk_and_a_lie_about_the_charset() {
    let junk = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!not base64!!\r\n";
    let text = reduced(junk);
    assert!(text.len() <= 30 && !text.chars().any(char::is_control), "{text:?}");
    let lie = "Content-Type: text/plain; charset=us-ascii\r\n\r\n你好\r\n";
    let text = reduced(lie.as_bytes());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

#[test]
fn headers_of_8_bits_and_words_cut_inside_a_character() {
    let raw = "Subject: Grüße 你\r\nContent-Type: text/plain\r\n\r\nx\r\n";
    let submits = convert(raw.as_bytes()).unwrap();
    assert_eq!(submits.len(), 1);
    let cut = b"Subject: =?utf-8?B?5L0=?= =?utf-8?B?oA==?=\r\nContent-Type: text/plain\r\n\r\nx\r\n";
    assert_eq!(convert(cut).unwrap().len(), 1);
}

#[test]
fn flags_that_are_none() {
    let rules = FlagRules::default();
    for (mail, flag) in [
        (&b"SMS-Convert: 1\r\nSMS-Convert: 0\r\n\r\n"[..], Flag::Other),
        (b"A: b\r\n\r\nSMS-Convert: 1\r\n", Flag::Absent),
        (b"Content-Type: message/rfc822\r\n\r\nSMS-Convert: 1\r\n\r\n", Flag::Absent),
        (b"SMS-Convert: 01\r\n\r\n", Flag::Other),
        (b"SMS-Convert: +1\r\n\r\n", Flag::Other),
        ("SMS-Convert: １\r\n\r\n".as_bytes(), Flag::Other),
        (b"SMS-Convert:\r\n\t 1 \r\n\r\n", Flag::Convert),
    ] {
        assert_eq!(mail_flag(mail, &rules), flag, "{}", String::from_utf8_lossy(mail));
    }
}

#[test]
fn an_empty_mail_is_refused_and_a_huge_one_is_cut() {
    assert_eq!(convert(b"Content-Type: text/plain\r\n\r\n"), Err(ConvertError::Empty));
    let huge = [&b"Content-Type: text/plain\r\n\r\n"[..], &vec![b'a'; 30_000_000]].concat();
    assert_eq!(convert(&huge).unwrap().len(), 4);
    let beyond = [&b"Content-Type: text/plain\r\n\r\n"[..], &vec![b'a'; 34_000_000]].concat();
    assert_eq!(convert(&beyond), Err(ConvertError::Unreadable));
}

#[test]
fn winmail_dat_is_named_and_no_more() {
    let mail = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee\r\n\
        --b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\neJ8+Ig\r\n--b--\r\n";
    assert_eq!(reduced(mail), "see\n[winmail.dat]");
}

#[test]
fn threat_m6_a_null_sender_is_not_converted() {
    assert_eq!(may_convert(None, b"Subject: x\r\n\r\n", ("SMS-Bridge", "x")), Err(LoopRisk::NullSender));
}

#[test]
fn a_thousand_recipients_are_a_hundred() {
    use smsbridge::smtp::{Output, server};
    let mut session = server::Session::new(server::Config::new("mx.example"), NOW);
    session.handle_input(NOW, b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n");
    let mut taken = 0;
    for n in 0..=1_000 {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Event(server::Event::Mail(_)) => session.accept_mail(NOW).unwrap(),
                Output::Event(server::Event::Rcpt(_)) => {
                    taken += 1;
                    session.accept_rcpt(NOW).unwrap();
                }
                _ => {}
            }
        }
        session.handle_input(NOW, format!("RCPT TO:<u{n}@mx.example>\r\n").as_bytes());
    }
    assert_eq!(taken, 100);
}
