//! Our codec against rusmpp 0.4, both ways: what one writes, the other reads and writes back equal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rusmpp::Command;
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::{Encode, Length};
use smsbridge::smpp::{Body, DecodeErrorKind, Pdu, Quirks};

/// What rusmpp writes, with the `command_length` that its codec puts in front.
fn theirs_to_wire(command: &Command) -> Bytes {
    let mut body = vec![0; command.length()];
    let size = command.encode(&mut body);
    assert_eq!(size, body.len());
    let length = u32::try_from(size + 4).unwrap();
    [&length.to_be_bytes()[..], &body].concat().into()
}

fn wire_to_theirs(wire: &[u8]) -> Option<Command> {
    let mut octets = BytesMut::from(&wire[4..]);
    let (command, size) = Command::decode(&mut octets, wire.len() - 4).ok()?;
    (size == wire.len() - 4).then_some(command)
}

/// Raw and typed, a PDU comes back as it was.
fn check_ours(wire: &Bytes, damaged: bool) -> Body {
    let pdu = Pdu::from_frame(wire.clone()).expect("framed");
    assert_eq!(pdu.encode(), wire, "untouched PDU");
    let mut quirks = Quirks::lenient();
    quirks.max_tlvs = usize::MAX;
    let body = pdu.decode(&quirks).unwrap_or_else(|error| panic!("{error}: {}", wire.escape_ascii()));
    let mut again = BytesMut::new();
    body.encode_into(pdu.command_status, pdu.sequence_number, &mut again);
    // The stump of a TLV at the end of a damaged PDU is in its raw octets only.
    let stump = wire.len().checked_sub(again.len()).unwrap();
    assert!(stump < 4 && again[4..] == wire[4..again.len()], "typed PDU {body:?}");
    assert!(stump == 0 || damaged, "{stump} octets lost of {body:?}");
    body
}

mod ours {
    use super::*;
    use smsbridge::smpp::pdu::*;
    use smsbridge::smpp::{
        CString, DataCoding, EsmClass, Npi, RegisteredDelivery, SequenceNumber, Tag, Time, Tlvs, Ton,
    };

    fn c_string<const MAX: usize>() -> impl Strategy<Value = CString<MAX>> {
        let text = prop::collection::vec(1u8..=0x7E, 0..MAX);
        text.prop_map(|octets| Bytes::from(octets).try_into().unwrap())
    }

    fn time() -> impl Strategy<Value = Time> {
        prop_oneof![
            Just(Time::default()),
            (0u32..8_000_000).prop_map(|seconds| Time::relative(seconds).unwrap())
        ]
    }

    fn tlvs() -> impl Strategy<Value = Tlvs> {
        let one = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|value| (Tag::MESSAGE_PAYLOAD, value)),
            any::<[u8; 2]>().prop_map(|value| (Tag::USER_MESSAGE_REFERENCE, value.to_vec())),
            any::<[u8; 4]>().prop_map(|value| (Tag::QOS_TIME_TO_LIVE, value.to_vec())),
            (0u8..=9).prop_map(|value| (Tag::MESSAGE_STATE, vec![value])),
            (0x1400u16..0x3FFF, prop::collection::vec(any::<u8>(), 0..9))
                .prop_map(|(tag, value)| (Tag(tag), value)),
        ];
        prop::collection::vec(one, 0..6).prop_map(|list| {
            let mut tlvs = Tlvs::default();
            list.iter().for_each(|(tag, value)| tlvs.push(*tag, value).unwrap());
            tlvs
        })
    }

    prop_compose! {
        fn submit_sm()(
            service_type in c_string::<6>(),
            source_addr in c_string::<21>(),
            destination_addr in c_string::<21>(),
            octets in any::<[u8; 8]>(),
            times in (time(), time()),
            text in prop::collection::vec(any::<u8>(), 0..=254),
            tlvs in tlvs(),
        ) -> SubmitSm {
            let mut body = SubmitSm::default();
            body.service_type = service_type;
            (body.source_addr_ton, body.source_addr_npi) = (Ton(octets[0] % 7), Npi::ISDN);
            (body.dest_addr_ton, body.dest_addr_npi) = (Ton::INTERNATIONAL, Npi(octets[1]));
            (body.source_addr, body.destination_addr) = (source_addr, destination_addr);
            (body.esm_class, body.protocol_id, body.priority_flag) = (EsmClass(octets[2]), octets[3], octets[4] % 5);
            (body.schedule_delivery_time, body.validity_period) = times;
            body.registered_delivery = RegisteredDelivery(octets[5] & 0x1F);
            (body.data_coding, body.sm_default_msg_id) = (DataCoding(octets[6]), octets[7]);
            body.short_message = Bytes::from(text).try_into().unwrap();
            body.tlvs = tlvs;
            body
        }
    }

    fn body() -> impl Strategy<Value = Body> {
        let id = || c_string::<65>();
        prop_oneof![
            submit_sm().prop_map(Body::SubmitSm),
            submit_sm().prop_map(|from| {
                let mut to = DeliverSm::default();
                (to.source_addr, to.destination_addr) = (from.source_addr, from.destination_addr);
                (to.short_message, to.tlvs) = (from.short_message, from.tlvs);
                to.esm_class = EsmClass::RECEIPT;
                Body::DeliverSm(to)
            }),
            submit_sm().prop_map(|from| {
                let mut to = SubmitMulti::default();
                to.dest_addresses.push(Destination::List(from.source_addr.clone())).unwrap();
                let (ton, npi) = (Ton::INTERNATIONAL, Npi::ISDN);
                to.dest_addresses
                    .push(Destination::Sme { ton, npi, address: from.destination_addr })
                    .unwrap();
                (to.short_message, to.tlvs) = (from.short_message, from.tlvs);
                Body::SubmitMulti(to)
            }),
            (id(), tlvs()).prop_map(|(message_id, _)| {
                let mut to = MessageResp::default();
                to.message_id = message_id;
                Body::SubmitSmResp(to)
            }),
            (id(), c_string::<21>()).prop_map(|(message_id, source_addr)| {
                let mut to = QuerySm::default();
                (to.message_id, to.source_addr) = (message_id, source_addr);
                Body::QuerySm(to)
            }),
            (id(), time()).prop_map(|(message_id, final_date)| {
                let mut to = QuerySmResp::default();
                (to.message_id, to.final_date) = (message_id, final_date);
                Body::QuerySmResp(to)
            }),
            (id(), c_string::<21>()).prop_map(|(message_id, address)| {
                let mut to = CancelSm::default();
                (to.message_id, to.destination_addr) = (message_id, address);
                Body::CancelSm(to)
            }),
            (id(), submit_sm()).prop_map(|(message_id, from)| {
                let mut to = ReplaceSm::default();
                (to.message_id, to.short_message) = (message_id, from.short_message);
                (to.validity_period, to.registered_delivery) =
                    (from.validity_period, from.registered_delivery);
                Body::ReplaceSm(to)
            }),
            // rusmpp stops at 21 octets here, the standard at 65
            (c_string::<21>(), tlvs()).prop_map(|(address, tlvs)| {
                let mut to = DataSm::default();
                (to.destination_addr, to.tlvs) = (Bytes::copy_from_slice(&address).try_into().unwrap(), tlvs);
                Body::DataSm(to)
            }),
            (c_string::<16>(), c_string::<9>(), c_string::<41>()).prop_map(|(system_id, password, range)| {
                let mut to = Bind::default();
                (to.system_id, to.password, to.address_range) = (system_id, password.into(), range);
                Body::BindTransceiver(to)
            }),
            c_string::<65>().prop_map(|address| {
                let mut to = AlertNotification::default();
                to.esme_addr = address;
                Body::AlertNotification(to)
            }),
            (id(), c_string::<21>()).prop_map(|(message_id, source_addr)| {
                let mut to = BroadcastSm::default();
                (to.message_id, to.source_addr) = (message_id, source_addr);
                Body::BroadcastSm(to)
            }),
            Just(Body::Unbind),
            Just(Body::EnquireLinkResp),
            Just(Body::GenericNack),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_we_write_rusmpp_reads_and_writes_back(body in body(), sequence in 1u32..0x8000_0000) {
            let wire = Pdu::new(SequenceNumber(sequence), &body).encode();
            prop_assert_eq!(check_ours(&wire, false), body);
            let command = wire_to_theirs(&wire).expect("rusmpp reads it");
            prop_assert_eq!(command.sequence_number(), sequence);
            prop_assert_eq!(theirs_to_wire(&command), wire);
        }

        /// Damaged PDUs: whatever rusmpp still reads to the last octet, so do we, and it comes back equal.
        #[test]
        fn what_rusmpp_writes_we_read_and_write_back(
            body in body(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut wire = Pdu::new(SequenceNumber(1), &body).encode().to_vec();
            if wire.len() > 16 {
                for (place, octet) in damage {
                    let octets = &mut wire[16..];
                    let place = place.index(octets.len());
                    octets[place] = octet;
                }
            }
            let Some(command) = wire_to_theirs(&wire) else { return Ok(()) };
            let again = theirs_to_wire(&command);
            // rusmpp takes the size of a known TLV from its tag and overlooks its length octets
            let ours = Pdu::from_frame(again.clone()).unwrap().decode(&Quirks::lenient());
            let tlv_lengths_lie = matches!(
                ours.map_err(|error| error.kind),
                Err(DecodeErrorKind::TlvPastEnd | DecodeErrorKind::Leftover)
            );
            if !tlv_lengths_lie {
                check_ours(&again, true);
            }
        }
    }
}

/// The same submit_sm read field by field by both.
#[test]
fn fields_agree() {
    let wire = {
        use smsbridge::smpp::pdu::SubmitSm;
        use smsbridge::smpp::{DataCoding, EsmClass, SequenceNumber, Ton};
        let mut body = SubmitSm::default();
        body.source_addr = "10086".try_into().unwrap();
        body.dest_addr_ton = Ton::INTERNATIONAL;
        body.destination_addr = "8613800138000".try_into().unwrap();
        body.esm_class = EsmClass::UDHI;
        body.data_coding = DataCoding::UCS2;
        body.short_message = "hi".try_into().unwrap();
        Pdu::new(SequenceNumber(1), &Body::SubmitSm(body)).encode()
    };
    let command = wire_to_theirs(&wire).unwrap();
    let Some(rusmpp::Pdu::SubmitSm(submit)) = command.pdu() else { panic!("{command:?}") };
    assert_eq!(submit.source_addr.as_str(), "10086");
    assert_eq!(submit.dest_addr_ton, rusmpp::values::Ton::International);
    assert_eq!(submit.destination_addr.as_str(), "8613800138000");
    assert_eq!(submit.data_coding, rusmpp::values::DataCoding::Ucs2);
    assert_eq!(submit.short_message().to_str(), Ok("hi"));
}
