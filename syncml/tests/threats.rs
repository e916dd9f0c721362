#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! One test for each row W1-W8 and X1-X4 of `docs/threats.md`: the exact error, and honest traffic beside it.

use bytes::Bytes;
use syncml::{
    Command, Data, DecodeError, DecodeErrorKind, EncodeError, Encoding, Item, Limits, Message, Name, Page,
    Quirks, decode, encode,
};

/// WBXML 1.2, SyncML 1.2, UTF-8, no string table.
const HEAD: &[u8] = &[0x02, 0xA4, 0x01, 0x6A, 0x00];
/// `SyncML`, a whole `SyncHdr`, page 0.
const HDR: &[u8] = b"\x6D\x6C\x71\x031.2\0\x01\x72\x03SyncML/1.2\0\x01\x65\x031\0\x01\x5B\x031\0\x01\
    \x6E\x57\x03s\0\x01\x01\x67\x57\x03c\0\x01\x01\x01";

/// A message with these octets in its body.
fn wbxml(body: &[u8]) -> Bytes {
    Bytes::from([HEAD, HDR, b"\x6B", body, b"\x01\x01"].concat())
}

fn xml(body: &str) -> Bytes {
    Bytes::from(format!(
        "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto>\
         <SessionID>1</SessionID><MsgID>1</MsgID><Target><LocURI>s</LocURI></Target><Source><LocURI>c</LocURI></Source>\
         </SyncHdr><SyncBody>{body}</SyncBody></SyncML>"
    ))
}

/// The usual limits; those that take thousands of elements to reach are lower where each takes milliseconds.
fn limits() -> Limits {
    let mut limits = Limits::default();
    if cfg!(miri) {
        limits.tree_slack_bytes = 32 * 1024;
        limits.commands = 32;
    }
    limits
}

fn read(encoding: Encoding, message: &Bytes) -> Result<Message, DecodeError> {
    decode(encoding, message, &limits(), &Quirks::normal())
}

fn read_wbxml(body: &[u8]) -> Result<Message, DecodeError> {
    read(Encoding::Wbxml, &wbxml(body))
}

fn read_xml(body: &str) -> Result<Message, DecodeError> {
    read(Encoding::Xml, &xml(body))
}

fn malformed(result: Result<Message, DecodeError>, what: &str) -> DecodeError {
    let error = result.unwrap_err();
    assert!(
        matches!(&error.kind, DecodeErrorKind::Malformed(text) if text.contains(what)),
        "{error}, not {what}"
    );
    error
}

fn over(result: Result<Message, DecodeError>, field: &str) {
    let error = result.unwrap_err();
    assert!(
        matches!(&error.kind, DecodeErrorKind::Limit { what, .. } if *what == field),
        "{error}, not {field}"
    );
}

/// Honest traffic: the test's own frame works when nothing is wrong in it.
#[test]
fn honest_traffic_is_unharmed() {
    let alert = read_wbxml(b"\x46\x4B\x031\0\x01\x4F\x03200\0\x01\x01\x12").unwrap();
    assert_eq!(alert, read_xml("<Alert><CmdID>1</CmdID><Data>200</Data></Alert><Final/>").unwrap());
    assert!(alert.is_final);
}

#[test]
fn threat_w1_too_deep() {
    // Elements in an unknown element: nothing of the model stops them but the limit.
    for levels in if cfg!(miri) { [40, 80, 2_000] } else { [40, 40_000, 500_000] } {
        let mut body = vec![0x7F; levels];
        body.resize(levels * 2, 0x01);
        over(read_wbxml(&body), "depth");
        let xml_body = format!("{}{}", "<x>".repeat(levels / 2), "</x>".repeat(levels / 2));
        if xml_body.len() < 1_000_000 && levels / 2 > 32 {
            over(read_xml(&xml_body), "depth");
        }
    }
    // Whatever the limit is set to, it never passes the ceiling.
    let mut limits = Limits::default();
    limits.depth = usize::MAX;
    let mut body = vec![0x7F; 100_000];
    body.resize(200_000, 0x01);
    over(decode(Encoding::Wbxml, &wbxml(&body), &limits, &Quirks::normal()), "depth");
    // Thirty levels are fine, and are dropped and written without recursion on them.
    let mut body = vec![0x7F; 28];
    body.resize(56, 0x01);
    let deep = read_wbxml(&body).unwrap();
    assert_eq!(read(Encoding::Wbxml, &encode(Encoding::Wbxml, &deep).unwrap()).unwrap(), deep);
}

#[test]
fn threat_w1_commands_in_commands_in_commands() {
    let body = format!("{}{}", "<Atomic><CmdID>1</CmdID>".repeat(200), "</Atomic>".repeat(200));
    over(read_xml(&body), "depth");
}

#[test]
fn threat_w2_number_too_large() {
    for number in [&b"\x90\x80\x80\x80\x03"[..], b"\x80\x80\x80\x80\x80\x01", b"\xFF\xFF\xFF\xFF\x7F"] {
        let body = [b"\x45\x4B\xC3", number, b"1\x01\x01"].concat();
        malformed(read_wbxml(&body), "32 bits");
    }
    // In the header, too: public id, character set, string table.
    for at in 1..4_usize {
        let mut head = vec![0x02, 0x01, 0x6A, 0x00];
        head.splice(at..=at, [0x90, 0x80, 0x80, 0x80, 0x03]);
        malformed(read(Encoding::Wbxml, &Bytes::from([&head, HDR].concat())), "32 bits");
    }
}

#[test]
fn threat_w3_opaque_longer_than_input() {
    let error = malformed(read_wbxml(b"\x45\x4B\xC3\x87\xFF\xFF\xFF\x7F1\x01\x01"), "opaque longer");
    assert_eq!(error.path, "SyncBody/Add/CmdID");
    malformed(read_wbxml(b"\x45\x4B\xC3\x64"), "opaque longer");
}

#[test]
fn threat_w3_string_without_its_end() {
    let cut = [HEAD, HDR, b"\x6B\x45\x4B\x031"].concat();
    malformed(read(Encoding::Wbxml, &Bytes::from(cut)), "string without its NUL");
}

#[test]
fn threat_w3_string_table_longer_than_input() {
    let message = [&[0x02, 0xA4, 0x01, 0x6A, 0x87, 0xFF, 0xFF, 0xFF, 0x7F], HDR].concat();
    malformed(read(Encoding::Wbxml, &Bytes::from(message)), "string table longer");
}

#[test]
fn threat_w4_index_outside_the_string_table() {
    for index in [&b"\x00"[..], b"\x05", b"\x8F\xFF\xFF\xFF\x7F"] {
        let body = [b"\x45\x4B\x83", index, b"\x01\x01"].concat();
        malformed(read_wbxml(&body), "outside the string table");
    }
}

#[test]
fn threat_w4_string_table_makes_the_message_grow() {
    // 30 KB of table, referenced 10,000 times: 300 MB.
    let table = vec![b'x'; 30_000];
    let mut message = vec![0x02, 0xA4, 0x01, 0x6A, 0x81, 0xEA, 0x30];
    message.extend_from_slice(&table);
    message.extend_from_slice(HDR);
    message.extend_from_slice(b"\x6B\x45\x4B\x031\0\x01\x54\x4F");
    message.extend_from_slice(&b"\x83\x00".repeat(10_000));
    message.extend_from_slice(b"\x01\x01\x01\x01\x01");
    over(read(Encoding::Wbxml, &Bytes::from(message.clone())), "string_table_bytes");
    // Ten times is fine.
    let mut message = message[..7 + 30_000 + HDR.len()].to_vec();
    message.extend_from_slice(b"\x6B\x45\x4B\x031\0\x01\x54\x4F");
    message.extend_from_slice(&b"\x83\x00".repeat(10));
    message.extend_from_slice(b"\x01\x01\x01\x01\x01");
    let read = decode(Encoding::Wbxml, &Bytes::from(message), &Limits::default(), &Quirks::normal()).unwrap();
    let Command::Add(add) = &read.commands[0] else { panic!() };
    assert_eq!(add.items[0].data.as_ref().unwrap().as_bytes().unwrap().len(), 300_000);
}

#[test]
fn threat_w5_content_outside_any_element() {
    for body in [&b"\xC3\x011"[..], b"\x02\x41", b"\x00\x01", b"\x03a\0", b"\x83\x00", b"\x01"] {
        let message = Bytes::from([HEAD, body, HDR].concat());
        malformed(read(Encoding::Wbxml, &message), "outside any element");
    }
    // Without a root at all.
    malformed(read(Encoding::Wbxml, &Bytes::from_static(HEAD)), "cut off");
}

#[test]
fn threat_w5_entity_that_is_no_character() {
    for entity in [&b"\x83\xB0\x00"[..], b"\xC4\x80\x00", b"\x8F\xFF\xFF\xFF\x7F"] {
        let body = [b"\x45\x4B\x02", entity, b"\x01\x01"].concat();
        malformed(read_wbxml(&body), "no character");
    }
    let body = b"\x45\x4B\x02\x37\x01\x01";
    assert_eq!(read_wbxml(body).unwrap().commands[0].cmd_id(), 7);
}

#[test]
fn threat_w6_unknown_page_and_token_survive() {
    // Token 0x3F of page 0 and 0x11 of page 9, with content, inside an Item.
    let body = b"\x45\x4B\x031\0\x01\x54\x7F\x03a\0\x01\x00\x09\x51\x00\x00\x0B\x01\x01\x01";
    let message = read_wbxml(body).unwrap();
    let Command::Add(add) = &message.commands[0] else { panic!() };
    let extra = add.items[0].extra.as_ref().unwrap();
    assert_eq!((extra[0].page, &extra[0].name), (Page::SyncMl, &Name::Token(0x3F)));
    assert_eq!((extra[1].page, &extra[1].name), (Page::Other(9), &Name::Token(0x11)));
    let again = encode(Encoding::Wbxml, &message).unwrap();
    assert_eq!(read(Encoding::Wbxml, &again).unwrap(), message);
    // XML has no name for them, and says so.
    assert!(matches!(encode(Encoding::Xml, &message), Err(EncodeError::Unrepresentable { .. })));
}

#[test]
fn threat_w6_page_state_is_per_document() {
    // Put with a DevInf that leaves on its page 0 while the message stands on page 1.
    let devinf = b"\x02\xA4\x03\x6A\x00\x4A\x65\x031.2\0\x01\x49\x03d\0\x01\x4B\x03phone\0\x01\x01";
    let body = [
        &b"\x5F\x4B\x031\0\x01\x54\x4F\x00\x01\xC3"[..],
        &[devinf.len() as u8],
        devinf,
        // Still page 1 of the message: 0x53 would be Type there, and page 0 must be switched to.
        b"\x01\x01\x01\x00\x00\x12",
    ]
    .concat();
    let message = read_wbxml(&body).unwrap();
    let Command::Put(put) = &message.commands[0] else { panic!() };
    let Some(Data::DevInf(devinf)) = &put.items[0].data else { panic!("{put:?}") };
    assert_eq!(&*devinf.dev_id, "d");
    assert!(message.is_final);
}

#[test]
fn threat_w7_character_sets() {
    let with = |charset: &[u8], text: &[u8]| {
        let body = [
            &b"\x6B\x45\x4B\x031\0\x01\x54\x67\x57\x03"[..],
            text,
            b"\0\x01\x01\x4F\x03",
            text,
            b"\0\x01\x01\x01\x01\x01",
        ]
        .concat();
        read(Encoding::Wbxml, &Bytes::from([&[0x02, 0xA4, 0x01], charset, &[0x00], HDR, &body].concat()))
    };
    // UTF-8 and US-ASCII as they are, Latin-1 into UTF-8.
    for (charset, text) in [(&b"\x6A"[..], "é".as_bytes()), (b"\x03", b"e"), (b"\x04", b"\xE9")] {
        let message = with(charset, text).unwrap();
        let Command::Add(add) = &message.commands[0] else { panic!() };
        let expected = if charset == b"\x03" { "e" } else { "é" };
        assert_eq!(&*add.items[0].source.as_ref().unwrap().loc_uri, expected);
        assert_eq!(add.items[0].data.as_ref().unwrap().as_bytes().unwrap(), expected.as_bytes());
    }
    // UCS-2, UTF-16, Shift-JIS: never guessed.
    for charset in [&b"\x87\x68"[..], b"\x87\x77", b"\x11"] {
        let error = with(charset, b"a").unwrap_err();
        assert!(matches!(error.kind, DecodeErrorKind::Unsupported(_)), "{error}");
    }
}

#[test]
fn threat_w7_bad_octets_are_kept_in_data_and_refused_elsewhere() {
    let message = read_wbxml(b"\x45\x4B\x031\0\x01\x54\x4F\x03caf\xE9\0\x01\x01\x01").unwrap();
    let Command::Add(add) = &message.commands[0] else { panic!() };
    let data = add.items[0].data.as_ref().unwrap();
    assert_eq!(data.as_bytes().unwrap(), &b"caf\xE9"[..]);
    assert!(!data.is_text());
    let error = read_wbxml(b"\x45\x4B\x031\0\x01\x54\x67\x57\x03caf\xE9\0\x01\x01\x01\x01").unwrap_err();
    assert!(matches!(error.kind, DecodeErrorKind::Violation(_)), "{error}");
    assert_eq!(error.path, "SyncBody/Add/Item/Source/LocURI");
    // The same in XML.
    let bad = |text: &[u8]| {
        let (before, after) = ("<Add><CmdID>1</CmdID><Item><Data>", "</Data></Item></Add>");
        let whole = xml(&format!("{before}HERE{after}"));
        let at = whole.windows(4).position(|w| w == b"HERE").unwrap();
        Bytes::from([&whole[..at], text, &whole[at + 4..]].concat())
    };
    let message = read(Encoding::Xml, &bad(b"caf\xE9")).unwrap();
    let Command::Add(add) = &message.commands[0] else { panic!() };
    assert_eq!(add.items[0].data.as_ref().unwrap().as_bytes().unwrap(), &b"caf\xE9"[..]);
}

#[test]
fn threat_w8_legal_in_wbxml_but_not_in_xml() {
    for data in [&b"a\0b"[..], b"a\x01b", b"\x1F"] {
        let mut body = b"\x45\x4B\x031\0\x01\x54\x4F\xC3".to_vec();
        body.push(data.len() as u8);
        body.extend_from_slice(data);
        body.extend_from_slice(b"\x01\x01\x01");
        let message = read_wbxml(&body).unwrap();
        let error = encode(Encoding::Xml, &message).unwrap_err();
        assert!(matches!(error, EncodeError::Unrepresentable { encoding: Encoding::Xml, .. }), "{error}");
        assert_eq!(read(Encoding::Wbxml, &encode(Encoding::Wbxml, &message).unwrap()).unwrap(), message);
    }
    // In other text, too.
    let message = read_wbxml(b"\x45\x4B\x031\0\x01\x54\x67\x57\xC3\x03a\0b\x01\x01\x01\x01").unwrap();
    assert!(encode(Encoding::Xml, &message).is_err());
    assert_eq!(read(Encoding::Wbxml, &encode(Encoding::Wbxml, &message).unwrap()).unwrap(), message);
}

#[test]
fn threat_x1_internal_subset_and_entities() {
    let honest = xml("<Final/>");
    let with = |before: &str| Bytes::from([before.as_bytes(), &honest].concat());
    for bad in [
        "<!DOCTYPE SyncML [<!ENTITY a 'aaaa'>]>",
        "<!DOCTYPE SyncML SYSTEM 'file:///etc/passwd' [ ]>",
        "<!DOCTYPE SyncML [<!ENTITY % x SYSTEM 'http://127.0.0.1/'> %x;]>",
    ] {
        malformed(read(Encoding::Xml, &with(bad)), "internal subset");
    }
    // A bare public id fetches nothing and is fine.
    let bare = "<!DOCTYPE SyncML PUBLIC \"-//SYNCML//DTD SyncML 1.2//EN\" \"http://127.0.0.1:1/none.dtd\">";
    assert_eq!(read(Encoding::Xml, &with(bare)).unwrap(), read(Encoding::Xml, &honest).unwrap());
    // Five named entities and numeric ones, no others.
    let data = |text: &str| read_xml(&format!("<Add><CmdID>1</CmdID><Item><Data>{text}</Data></Item></Add>"));
    let message = data("&lt;&gt;&amp;&quot;&apos;&#233;&#xE9;").unwrap();
    let Command::Add(add) = &message.commands[0] else { panic!() };
    assert_eq!(add.items[0].data.as_ref().unwrap().as_bytes().unwrap(), "<>&\"'éé".as_bytes());
    for bad in ["&nbsp;", "&EQ;", "&#0;", "&#x1F;", "&#xD800;", "&#xFFFE;", "&#x110000;", "&#;", "&;"] {
        malformed(data(bad), "entity");
    }
    assert!(data("a & b").is_err());
}

#[test]
fn threat_x2_many_attributes_and_namespaces() {
    let many = |count: usize| {
        let attributes: String = (0..count).map(|n| format!(" a{n}='v'")).collect();
        read_xml(&format!("<x{attributes}/>"))
    };
    assert!(many(16).is_ok());
    over(many(17), "attributes");
    let very_many = if cfg!(miri) { 40 } else { 20_000 };
    over(many(very_many), "attributes");
    let namespaces: String = (0..very_many).map(|n| format!(" xmlns:n{n}='urn:{n}'")).collect();
    over(read_xml(&format!("<x{namespaces}/>")), "attributes");
    over(read_xml(&format!("<{}/>", "n".repeat(129))), "name_bytes");
    // The same attribute twice is no XML.
    assert!(read_xml("<x a='1' a='2'/>").is_err());
}

#[test]
fn threat_x3_character_sets() {
    let honest = xml("<Final/>");
    let with = |before: &[u8]| read(Encoding::Xml, &Bytes::from([before, &honest].concat()));
    let expected = read(Encoding::Xml, &honest).unwrap();
    for good in [
        &b""[..],
        b"\xEF\xBB\xBF",
        b"<?xml version='1.0' encoding='utf-8'?>",
        b"<?xml version='1.0'?>",
        b" \r\n",
    ] {
        assert_eq!(with(good).unwrap(), expected, "{}", good.escape_ascii());
    }
    for bad in [
        &b"<?xml version='1.0' encoding='ISO-8859-1'?>"[..],
        b"<?xml version='1.0' encoding='UTF-16'?>",
        b"\xFF\xFE",
        b"\xFE\xFF",
    ] {
        let error = with(bad).unwrap_err();
        assert!(matches!(error.kind, DecodeErrorKind::Unsupported(_)), "{error}");
    }
    // Bad octets outside Data.
    let name = "<Alert><CmdID>1</CmdID><Correlator>HERE</Correlator></Alert>";
    let whole = xml(name);
    let at = whole.windows(4).position(|w| w == b"HERE").unwrap();
    let bad = Bytes::from([&whole[..at], b"\xFF", &whole[at + 4..]].concat());
    assert!(matches!(read(Encoding::Xml, &bad).unwrap_err().kind, DecodeErrorKind::Violation(_)));
}

#[test]
fn threat_x4_not_closed_trailing_or_twice() {
    let twice = [
        ("<Alert><CmdID>1</CmdID><CmdID>2</CmdID></Alert>", "second CmdID", "SyncBody/Alert"),
        (
            "<Add><CmdID>1</CmdID><Item><Source><LocURI>a</LocURI><LocURI>b</LocURI></Source></Item></Add>",
            "second LocURI",
            "SyncBody/Add/Item/Source",
        ),
        ("<Final/><Final/>", "second Final", "SyncBody"),
        (
            "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>Add</Cmd><Data>200</Data><Data>500</Data></Status>",
            "second Data",
            "SyncBody/Status",
        ),
    ];
    for (body, what, path) in twice {
        let error = read_xml(body).unwrap_err();
        assert!(matches!(&error.kind, DecodeErrorKind::Violation(text) if text == what), "{error}");
        assert_eq!(error.path, path);
    }
    let twice =
        [(&b"\x46\x4B\x031\0\x01\x4B\x032\0\x01\x01"[..], "second CmdID"), (b"\x12\x12", "second Final")];
    for (body, what) in twice {
        let error = read_wbxml(body).unwrap_err();
        assert!(matches!(&error.kind, DecodeErrorKind::Violation(text) if text == what), "{error}");
    }
    // Trailing octets; white space is none in XML.
    let (x, w) = (xml("<Final/>"), wbxml(b"\x12"));
    let append = |message: &Bytes, more: &[u8]| Bytes::from([message, more].concat());
    malformed(read(Encoding::Xml, &append(&x, b"more")), "outside the root");
    malformed(read(Encoding::Xml, &append(&x, b"<SyncML/>")), "second root");
    assert!(read(Encoding::Xml, &append(&x, b" \r\n<!-- end -->")).is_ok());
    malformed(read(Encoding::Wbxml, &append(&w, b"\0")), "after the end");
    malformed(read(Encoding::Wbxml, &append(&w, HDR)), "after the end");
    // Not closed, or closed by another.
    let step = if cfg!(miri) { 31 } else { 1 };
    for cut in (1..x.len()).step_by(step) {
        assert!(read(Encoding::Xml, &x.slice(..cut)).is_err(), "{cut}");
    }
    for cut in (0..w.len()).step_by(step) {
        assert!(read(Encoding::Wbxml, &w.slice(..cut)).is_err(), "{cut}");
    }
    assert!(read_xml("<Alert><CmdID>1</Alert></CmdID>").is_err());
    // A second header, a second body, a second root element of another name.
    let doubled =
        String::from_utf8(x.to_vec()).unwrap().replace("<SyncBody>", "<SyncBody></SyncBody><SyncBody>");
    assert_eq!(
        read(Encoding::Xml, &Bytes::from(doubled)).unwrap_err().kind,
        DecodeErrorKind::Violation("second SyncBody".into())
    );
}

#[test]
fn threat_l2_a_small_message_never_takes_much_memory() {
    let part = if cfg!(miri) { 200 } else { 1 };
    // One octet each: items without anything in them.
    let mut body = b"\x45\x4B\x031\0\x01".to_vec();
    body.extend(std::iter::repeat_n(0x14, 900_000 / part));
    body.push(0x01);
    over(read_wbxml(&body), "tree_slack_bytes");
    // Unknown elements, DevInf entries, nodes of markup.
    over(read_wbxml(&vec![0x3F; 900_000 / part]), "tree_slack_bytes");
    let markup = "<a/>".repeat(200_000 / part);
    over(
        read_xml(&format!("<Add><CmdID>1</CmdID><Item><Data>{markup}</Data></Item></Add>")),
        "tree_slack_bytes",
    );
    let entries = "<CTType/>".repeat(100_000 / part);
    over(
        read_xml(&format!(
            "<Put><CmdID>1</CmdID><Item><Data><DevInf xmlns='syncml:devinf'><CTCap>{entries}</CTCap></DevInf></Data></Item></Put>"
        )),
        "tree_slack_bytes",
    );
    // 3,000 items of one command are honest.
    let mut body = b"\x50\x4B\x031\0\x01".to_vec();
    body.extend(b"\x54\x67\x57\x0312\0\x01\x01\x01".repeat(3_000 / part));
    body.push(0x01);
    let message = read_wbxml(&body).unwrap();
    let Command::Delete(delete) = &message.commands[0] else { panic!() };
    assert_eq!(delete.items.len(), 3_000 / part);
    assert_ne!(delete.items[0], Item::default());
}

#[test]
fn threat_limits_of_texts_and_commands() {
    let long = |tag: &str, len: usize| {
        let text = "u".repeat(len);
        let whole = String::from_utf8(xml("<Final/>").to_vec()).unwrap();
        let changed = match tag {
            "SessionID" => whole.replace("<SessionID>1<", &format!("<SessionID>{text}<")),
            _ => whole.replace("<LocURI>s<", &format!("<LocURI>{text}<")),
        };
        read(Encoding::Xml, &Bytes::from(changed))
    };
    assert!(long("SessionID", 64).is_ok());
    over(long("SessionID", 65), "session_id_bytes");
    assert!(long("LocURI", 255).is_ok());
    over(long("LocURI", 256), "header_uri_bytes");
    let item = |len: usize| {
        read_xml(&format!(
            "<Delete><CmdID>1</CmdID><Item><Target><LocURI>{}</LocURI></Target></Item></Delete>",
            "u".repeat(len)
        ))
    };
    assert!(item(1_024).is_ok());
    over(item(1_025), "loc_uri_bytes");
    assert!(read_xml(&"<Alert><CmdID>1</CmdID></Alert>".repeat(limits().commands)).is_ok());
    over(read_xml(&"<Alert><CmdID>1</CmdID></Alert>".repeat(limits().commands + 1)), "commands");
    over(read(Encoding::Xml, &Bytes::from(vec![b' '; 1024 * 1024 + 1])), "message_bytes");
}
