#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! What the fact sheets say of headers, texts and codes, written down a second time: a wrong number in the crate's
//! tables round-trips, but not against these.

use bytes::Bytes;
use syncml::{
    AlertCode, Command, DecodeError, DevInf, Encoding, Item, Limits, Message, Quirks, Source, StatusCode,
    SyncHdr, Target, Version, decode, encode, names,
};

/// `SyncML`, a whole `SyncHdr`, `SyncBody`; page 0.
const TOP: &[u8] = b"\x6D\x6C\x71\x031.2\0\x01\x72\x03SyncML/1.2\0\x01\x65\x031\0\x01\x5B\x031\0\x01\
    \x6E\x57\x03s\0\x01\x01\x67\x57\x03c\0\x01\x01\x01\x6B";
/// WBXML 1.2, SyncML 1.2, UTF-8, no string table.
const HEAD: &[u8] = b"\x02\xA4\x01\x6A\x00";

fn read(head: &[u8], body: &[u8]) -> Result<Message, DecodeError> {
    let message = Bytes::from([head, TOP, body, b"\x01\x01"].concat());
    decode(Encoding::Wbxml, &message, &Limits::default(), &Quirks::strict())
}

fn header(version: Version) -> SyncHdr {
    SyncHdr::new(version, "1", 1, Target::new("s"), Source::new("c"))
}

/// The `LocURI` of the only item of an `Alert` with these octets in it.
fn loc_uri(head: &[u8], text: &[u8]) -> String {
    let alert = [&b"\x46\x4B\x031\0\x01\x54\x67\x57"[..], text, b"\x01\x01\x01\x01"].concat();
    let message = read(head, &alert).unwrap();
    let [Command::Alert(alert)] = &message.commands[..] else { panic!("{message:?}") };
    alert.items[0].source.as_ref().unwrap().loc_uri.to_string()
}

// spec-test: WBXML facts §1, §2
#[test]
fn every_header_that_names_syncml_is_taken() {
    let text = |id: &[u8]| [&b"\x02\x00\x00\x6A"[..], &[id.len() as u8], id].concat();
    let heads = [
        b"\x01\xA4\x01\x6A\x00".to_vec(),
        b"\x02\x9F\x51\x6A\x00".to_vec(),
        b"\x03\x9F\x53\x6A\x00".to_vec(),
        // Unknown: what it is shows in the document.
        b"\x02\x01\x6A\x00".to_vec(),
        b"\x02\x01\x00\x00".to_vec(),
        text(b"-//SYNCML//DTD SyncML 1.0//EN\0"),
        text(b"-//SYNCML//DTD SyncML 1.2//EN\0"),
        text(b"-//OMA//DTD SYNCML 1.2//EN\0"),
    ];
    let expected = read(HEAD, b"\x12").unwrap();
    for head in heads {
        assert_eq!(read(&head, b"\x12").unwrap(), expected, "{}", head.escape_ascii());
    }
    let error = read(b"\x04\xA4\x01\x6A\x00", b"\x12").unwrap_err();
    assert!(error.to_string().contains("version octet 0x04"), "{error}");
}

// spec-test: WBXML facts §2
#[test]
fn public_ids_and_namespaces_written() {
    for (version, head, namespace) in [
        (Version::V1_0, &b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.0//EN\x6D"[..], "SYNCML:SYNCML1.0"),
        (Version::V1_1, b"\x02\x9F\x53\x6A\x00\x6D", "SYNCML:SYNCML1.1"),
        (Version::V1_2, b"\x02\xA4\x01\x6A\x00\x6D", "SYNCML:SYNCML1.2"),
    ] {
        let message = Message::new(header(version));
        assert!(encode(Encoding::Wbxml, &message).unwrap().starts_with(head), "{version:?}");
        let xml = encode(Encoding::Xml, &message).unwrap();
        let xml = std::str::from_utf8(&xml).unwrap();
        assert!(xml.contains(&format!("<SyncML xmlns=\"{namespace}\"><SyncHdr>")), "{xml}");
        // spec: facts §1: case does not count, and the version is that of `VerDTD`.
        for other in [namespace.to_lowercase(), "SYNCML:SYNCML1.1".to_owned()] {
            let xml = Bytes::from(xml.replace(namespace, &other));
            let read = decode(Encoding::Xml, &xml, &Limits::default(), &Quirks::strict());
            assert_eq!(read.as_ref(), Ok(&message), "{other}");
        }
    }
}

// spec-test: WBXML facts §2, §7
#[test]
fn devinf_documents_have_ids_of_their_own() {
    for (version, head) in [
        (Version::V1_0, &b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD DevInf 1.0//EN\x4A"[..]),
        (Version::V1_1, b"\x02\x9F\x54\x6A\x00\x4A"),
        (Version::V1_2, b"\x02\xA4\x03\x6A\x00\x4A"),
    ] {
        let mut put = syncml::Put::default();
        put.cmd_id = 1;
        put.items.push(Item::default());
        put.items[0].data = Some(syncml::Data::DevInf(Box::new(DevInf::new(version, "IMEI:1", "phone"))));
        let mut message = Message::new(header(version));
        message.commands.push(Command::Put(put.into()));
        let wbxml = encode(Encoding::Wbxml, &message).unwrap();
        let at = wbxml.windows(head.len()).position(|window| window == head);
        let at = at.unwrap_or_else(|| panic!("{version:?}: {}", wbxml.escape_ascii()));
        let mut quirks = Quirks::strict();
        quirks.incomplete_info = true;
        quirks.string_table_without_nul = true;
        let read = |wbxml: &[u8]| {
            decode(Encoding::Wbxml, &Bytes::copy_from_slice(wbxml), &Limits::default(), &quirks)
        };
        assert_eq!(read(&wbxml).unwrap(), message);
        if version == Version::V1_2 {
            // quirk: some libraries swapped the ids of MetInf and DevInf, WBXML facts §2.
            let mut swapped = wbxml.to_vec();
            swapped[at + 2] = 0x02;
            assert_eq!(read(&swapped).unwrap(), message);
        }
    }
    for id in ["-//SYNCML//DTD DevInf 1.2//EN", "-//OMA//DTD SYNCML-DEVINF 1.2//EN"] {
        let inner = [
            &b"\x02\x00\x00\x6A"[..],
            &[id.len() as u8 + 1],
            id.as_bytes(),
            b"\0",
            b"\x4A\x65\x031.2\0\x01\x49\x03i\0\x01\x4B\x03phone\0\x01\x01",
        ]
        .concat();
        let data = [&b"\x4F\xC3"[..], &[inner.len() as u8], &inner, b"\x01"].concat();
        let put = [&b"\x5F\x4B\x031\0\x01\x54"[..], &data, b"\x01\x01"].concat();
        let mut quirks = Quirks::strict();
        quirks.incomplete_info = true;
        let message = Bytes::from([HEAD, TOP, &put, b"\x01\x01"].concat());
        let message = decode(Encoding::Wbxml, &message, &Limits::default(), &quirks).unwrap();
        assert!(format!("{message:?}").contains("DevInf(DevInf"), "{id}: {message:?}");
    }
}

// spec-test: WBXML facts §4, §6
#[test]
fn text_comes_in_any_form_and_in_pieces() {
    let table = b"\x02\xA4\x01\x6A\x0Aone\0./two\0";
    for (text, expected) in [
        (&b"\x03./x\0"[..], "./x"),
        // STR_T, also into the middle of a string.
        (b"\x83\x00", "one"),
        (b"\x83\x04", "./two"),
        (b"\x83\x06", "two"),
        (b"\x02\x81\x60", "à"),
        (b"\x02\x83\xF4\x00", "\u{FA00}"),
        (b"\x03a\0\x83\x06\x02\x26\x03b\0", "atwo&b"),
        (b"\x03\0", ""),
        (b"", ""),
    ] {
        assert_eq!(loc_uri(table, text), expected, "{}", text.escape_ascii());
    }
}

// spec-test: WBXML facts §5: SWITCH_PAGE holds until the next one, across borders of elements.
#[test]
fn pages_switch_before_or_after_the_end_of_meta() {
    let before = b"\x46\x4B\x031\0\x01\x54\x5A\x00\x01\x53\x03t\0\x01\x00\x00\x01\x4F\x03x\0\x01\x01\x01";
    let after = b"\x46\x4B\x031\0\x01\x54\x5A\x00\x01\x53\x03t\0\x01\x01\x00\x00\x4F\x03x\0\x01\x01\x01";
    let message = read(HEAD, before).unwrap();
    let [Command::Alert(alert)] = &message.commands[..] else { panic!("{message:?}") };
    assert_eq!(alert.items[0].meta.as_ref().unwrap().type_.as_deref(), Some("t"));
    assert_eq!(read(HEAD, after).unwrap(), message);
}

// spec-test: WBXML facts §8.6
#[test]
fn tags_by_name_though_they_have_a_token() {
    let table = b"\x02\xA4\x01\x6A\x0DLocURI\0Alert\0";
    let named = read(table, b"\x44\x07\x4B\x031\0\x01\x54\x67\x44\x00\x03u\0\x01\x01\x01\x01").unwrap();
    assert_eq!(named, read(HEAD, b"\x46\x4B\x031\0\x01\x54\x67\x57\x03u\0\x01\x01\x01\x01").unwrap());
}

// spec-test: WBXML facts §6
#[test]
fn an_opaque_nonce_is_raw_unless_its_format_says_base64() {
    let nonce = |format: &[u8], text: &[u8]| {
        let chal = [&b"\x49\x5A\x00\x01"[..], format, b"\x50", text, b"\x01\x01\x00\x00\x01"].concat();
        let status = [
            &b"\x69\x4B\x031\0\x01\x5C\x031\0\x01\x4C\x030\0\x01\x4A\x03SyncHdr\0\x01"[..],
            &chal,
            b"\x4F\x03407\0\x01\x01",
        ];
        let message = read(HEAD, &status.concat()).unwrap();
        let [Command::Status(status)] = &message.commands[..] else { panic!("{message:?}") };
        status.chal.as_ref().unwrap().meta.next_nonce.clone().unwrap()
    };
    let b64 = b"\x47\x03b64\0\x01";
    assert_eq!(nonce(b64, b"\x03QUJD\0"), "ABC");
    assert_eq!(nonce(b"", b"\x03QUJD\0"), "ABC");
    assert_eq!(nonce(b64, b"\xC3\x04QUJD"), "ABC");
    assert_eq!(nonce(b"", b"\xC3\x04QUJD"), "QUJD");
    assert_eq!(nonce(b"\x47\x03bin\0\x01", b"\xC3\x02\x00\xFF"), &b"\x00\xFF"[..]);
}

// spec-test: session facts §2, §9
#[test]
fn every_code_has_a_name() {
    let alerts = (200..=210).chain(221..=225).chain(1100..=1104).chain(1222..=1226).chain([100, 1200, 1201]);
    for code in alerts {
        let shown = AlertCode(code).to_string();
        assert!(shown.len() > 5 && shown.starts_with(&format!("{code} ")), "{shown}");
    }
    let statuses = (200..=216).chain(300..=305).chain(400..=428).chain(500..=514).chain([101, 516, 517]);
    for code in statuses {
        let shown = StatusCode(code).to_string();
        assert!(shown.len() > 5 && shown.starts_with(&format!("{code} ")), "{shown}");
    }
    for (shown, expected) in [
        (AlertCode(201).to_string(), "201 slow sync"),
        (AlertCode(211).to_string(), "211"),
        (AlertCode(1226).to_string(), "1226 DM generic alert"),
        (StatusCode(508).to_string(), "508 refresh required"),
        (StatusCode(513).to_string(), "513 protocol version not supported"),
        (StatusCode(217).to_string(), "217"),
    ] {
        assert_eq!(shown, expected);
    }
    assert!((1..=7).all(|kind| names::sync_type(kind).is_some()) && names::sync_type(8).is_none());
    for id in [0x0FD1, 0x0FD2, 0x0FD3, 0x0FD4, 0x1201, 0x1202, 0x1203] {
        assert!(names::public_id(id).is_some_and(|name| name.contains("1.")), "{id:X}");
    }
    assert_eq!(
        [3, 4, 106, 1015].map(names::charset),
        [Some("US-ASCII"), Some("ISO-8859-1"), Some("UTF-8"), Some("UTF-16"),]
    );
}
