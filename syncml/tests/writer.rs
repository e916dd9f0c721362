#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! The sized writer: what it says fits, fits; what it refuses leaves no trace; what it cuts joins again.

use bytes::Bytes;
use proptest::prelude::*;
use syncml::{
    Alert, AlertCode, Change, Command, CommandName, Data, EncodeError, Encoding, Item, Limits, Message, Meta,
    Quirks, Source, Status, StatusCode, Sync, SyncHdr, Target, Version, Writer, decode, encode,
};

const BOTH: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];

fn hdr() -> SyncHdr {
    let mut meta = Meta::default();
    meta.max_msg_size = Some(5_000);
    let mut hdr = SyncHdr::new(Version::V1_2, "1", 1, Target::new("http://s/x"), Source::new("IMEI:1"));
    hdr.meta = Some(Box::new(meta));
    hdr
}

fn status(cmd_id: u32) -> Command {
    Command::Status(Status::new(cmd_id, 1, cmd_id, CommandName::Replace, StatusCode::OK).into())
}

fn add(cmd_id: u32, data: &[u8]) -> Command {
    let mut item = Item::default();
    item.source = Some(Source::new("7"));
    item.data = Some(Data::Bytes(Bytes::copy_from_slice(data)));
    let mut change = Change::default();
    change.cmd_id = cmd_id;
    change.items = vec![item];
    Command::Add(change.into())
}

fn sync() -> Sync {
    let mut sync = Sync::default();
    sync.cmd_id = 1;
    sync.target = Some(Target::new("./mail"));
    sync.source = Some(Source::new("mail"));
    sync.number_of_changes = Some(3);
    sync
}

fn read(encoding: Encoding, bytes: &Bytes) -> Message {
    decode(encoding, bytes, &Limits::default(), &Quirks::strict()).unwrap()
}

#[test]
fn what_is_written_in_steps_equals_the_whole() {
    for encoding in BOTH {
        let mut whole = Message::new(hdr());
        let mut inner = sync();
        inner.commands = vec![add(2, b"a < b"), status(3)];
        whole.commands = vec![
            status(1),
            Command::Sync(inner.into()),
            Command::Alert(Alert::new(9, AlertCode::NEXT_MESSAGE).into()),
        ];
        whole.is_final = true;

        let mut writer = Writer::new(encoding, Version::V1_2, 10_000);
        writer.header(&whole.hdr).unwrap();
        assert!(writer.is_empty());
        writer.command(&whole.commands[0]).unwrap();
        writer.open_sync(&sync()).unwrap();
        writer.command(&add(2, b"a < b")).unwrap();
        writer.command(&status(3)).unwrap();
        writer.close_sync();
        writer.command(&whole.commands[2]).unwrap();
        assert!(!writer.is_empty());
        let stepped = writer.finish(true);
        assert_eq!(stepped, encode(encoding, &whole).unwrap());
        assert_eq!(read(encoding, &stepped), whole);
    }
}

#[test]
fn a_message_is_filled_to_its_limit_and_never_past_it() {
    for encoding in BOTH {
        for limit in (300..700).step_by(if cfg!(miri) { 97 } else { 1 }) {
            let mut writer = Writer::new(encoding, Version::V1_2, limit);
            if let Err(error) = writer.header(&hdr()) {
                assert!(matches!(error, EncodeError::Full { .. }), "{error}");
                continue;
            }
            let mut written = 0;
            let refused = loop {
                let left = writer.left();
                match writer.command(&status(written + 1)) {
                    Ok(()) => written += 1,
                    Err(EncodeError::Full { needed, left: said }) => {
                        assert_eq!(said, left);
                        assert_eq!(writer.left(), left, "a refused command left a trace");
                        break needed;
                    }
                    Err(other) => panic!("{other}"),
                }
            };
            let predicted = writer.len_if_finished();
            let message = writer.finish(true);
            assert!(message.len() <= limit, "{} > {limit}", message.len());
            assert!(message.len() <= predicted && predicted <= limit);
            assert!(message.len() + refused + 2 > limit, "{} + {refused} fits in {limit}", message.len());
            let back = read(encoding, &message);
            assert_eq!(back.commands.len(), written as usize);
            assert!(back.is_final);
        }
    }
}

#[test]
fn misuse_is_refused() {
    for encoding in BOTH {
        let mut writer = Writer::new(encoding, Version::V1_2, 10_000);
        assert!(matches!(writer.command(&status(1)), Err(EncodeError::Misuse(_))));
        writer.header(&hdr()).unwrap();
        assert!(matches!(writer.header(&hdr()), Err(EncodeError::Misuse(_))));
        writer.open_sync(&sync()).unwrap();
        assert!(matches!(writer.open_sync(&sync()), Err(EncodeError::Misuse(_))));
        assert!(matches!(writer.chunk(&status(1), false), Err(EncodeError::Misuse(_))));
        writer.close_sync();
        writer.close_sync();
        assert_eq!(read(encoding, &writer.finish(false)).commands.len(), 1);
    }
}

#[test]
fn what_xml_cannot_carry_is_refused_and_leaves_no_trace() {
    let mut writer = Writer::new(Encoding::Xml, Version::V1_2, 10_000);
    writer.header(&hdr()).unwrap();
    let left = writer.left();
    for data in [&b"a\0b"[..], b"\xFF", "\u{FFFF}".as_bytes(), b"\x1B"] {
        let refused = writer.command(&add(1, data));
        assert!(
            matches!(refused, Err(EncodeError::Unrepresentable { encoding: Encoding::Xml, .. })),
            "{data:?}"
        );
        assert_eq!(writer.left(), left);
        assert!(!syncml::xml_can_carry(data));
    }
    // WBXML carries the same octets.
    let mut writer = Writer::new(Encoding::Wbxml, Version::V1_2, 10_000);
    writer.header(&hdr()).unwrap();
    writer.command(&add(1, b"a\0b\xFF")).unwrap();
    let back = read(Encoding::Wbxml, &writer.finish(true));
    let Command::Add(change) = &back.commands[0] else { panic!("{back:?}") };
    assert_eq!(change.items[0].data, Some(Data::Bytes(Bytes::from_static(b"a\0b\xFF"))));
}

/// Sends an object in as many messages as it takes, as a session does.
fn send(encoding: Encoding, object: &Bytes, limit: usize) -> Vec<Bytes> {
    let mut messages = Vec::new();
    let mut sent = 0;
    loop {
        let mut writer = Writer::new(encoding, Version::V1_2, limit);
        writer.header(&hdr()).unwrap();
        writer.open_sync(&sync()).unwrap();
        let rest = object.slice(sent..);
        let written = writer.chunk(&add(2, &rest), false).unwrap();
        assert!(written > 0 || rest.is_empty());
        sent += written;
        let message = writer.finish(sent == object.len());
        assert!(message.len() <= limit, "{} > {limit}", message.len());
        messages.push(message);
        if sent == object.len() {
            return messages;
        }
    }
}

fn receive(encoding: Encoding, messages: &[Bytes]) -> Vec<u8> {
    let mut object = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let message = read(encoding, message);
        let Command::Sync(sync) = &message.commands[0] else { panic!("{message:?}") };
        let Command::Add(change) = &sync.commands[0] else { panic!("{message:?}") };
        let item = &change.items[0];
        assert_eq!(item.more_data, at + 1 < messages.len());
        object.extend_from_slice(item.data.as_ref().unwrap().as_bytes().unwrap());
    }
    object
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[ -~]{0,40}",
        2 => "[é漢😀\r\n\t]{1,20}",
        2 => Just("]]>".to_owned()),
        1 => Just("]]]]>>".to_owned()),
        1 => "[<&>\\]]{1,10}",
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 300 }))]

    #[test]
    fn a_cut_object_joins_again(text in text(), limit in 1_000_usize..2_000) {
        let object = Bytes::from(text);
        for encoding in BOTH {
            let messages = send(encoding, &object, limit);
            prop_assert_eq!(receive(encoding, &messages), object.to_vec());
        }
    }

    #[test]
    fn octets_are_cut_anywhere_in_wbxml(
        object in proptest::collection::vec(any::<u8>(), 0..4_000), limit in 400_usize..2_000,
    ) {
        let object = Bytes::from(object);
        let messages = send(Encoding::Wbxml, &object, limit);
        prop_assert_eq!(receive(Encoding::Wbxml, &messages), object.to_vec());
    }

    /// A cut fills the message: fewer than 20 octets stay free.
    #[test]
    fn a_cut_wastes_nothing(limit in 700_usize..2_000) {
        let object = Bytes::from(vec![b'x'; 5_000]);
        for encoding in BOTH {
            let messages = send(encoding, &object, limit);
            prop_assert!(messages[0].len() + 20 > limit, "{} of {}", messages[0].len(), limit);
        }
    }
}

#[test]
fn a_chunk_that_is_not_worth_it_is_refused() {
    for encoding in BOTH {
        let object = vec![b'x'; 1_000];
        for limit in 300..900 {
            let mut writer = Writer::new(encoding, Version::V1_2, limit);
            if writer.header(&hdr()).is_err() || writer.open_sync(&sync()).is_err() {
                continue;
            }
            let left = writer.left();
            match writer.chunk(&add(2, &object), false) {
                Ok(octets) => assert!(octets >= 64 && octets < object.len()),
                Err(EncodeError::Full { needed, left: said }) => {
                    assert_eq!(said, left);
                    assert!(needed > left, "{needed} {left}");
                    assert_eq!(writer.left(), left);
                }
                Err(other) => panic!("{other}"),
            }
            assert!(writer.finish(false).len() <= limit);
        }
    }
}

/// A host hands over as many octets as could fit, wherever that cuts a character.
#[test]
fn a_slice_that_ends_inside_a_character_is_cut_before_it() {
    let object = Bytes::from("é漢😀".repeat(40));
    for end in 60..object.len() {
        let mut writer = Writer::new(Encoding::Xml, Version::V1_2, 5_000);
        writer.header(&hdr()).unwrap();
        let written = writer.chunk(&add(2, &object[..end]), true).unwrap();
        assert!(written <= end && end - written < 4, "{written} of {end}");
        assert!(std::str::from_utf8(&object[..written]).is_ok());
        let message = read(Encoding::Xml, &writer.finish(false));
        let Command::Add(change) = &message.commands[0] else { panic!() };
        assert!(change.items[0].more_data);
    }
}
