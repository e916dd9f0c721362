//! The seeds of the corpora: golden files, sessions as they are played, and one for each row of the threats.

use crate::scene::scenes;
use crate::{dict, run};
use mailsync_proto::mail::mailbox::mail_value;
use mailsync_proto::mail::{Email, MailFields, Role};
use mailsync_proto::sync::store::{Read, Store, Value};
use std::io;
use std::path::{Path, PathBuf};
use syncml::Encoding;

/// Recordings whose messages become seeds: a first sync, changes on both sides, a bad login, 1.0, chunks.
const RECORDINGS: [&str; 5] = [
    "01-slow-first",
    "03-twoway-both-sides",
    "21-auth-bad-password",
    "30-slow-syncml1.0",
    "50-large-object-8k",
];

/// Writes every seed; files that other people added stay.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write() -> io::Result<()> {
    #[cfg(feature = "time")]
    crate::seeds_time::write(seed)?;
    std::fs::create_dir_all(run::folder().join("dict"))?;
    for name in dict::NAMES {
        std::fs::write(run::folder().join("dict").join(format!("{name}.dict")), dict::file(name))?;
    }
    golden()?;
    threats()?;
    sessions()?;
    operations()?;
    mail()?;
    filters()?;
    engines()?;
    #[cfg(feature = "push")]
    crate::push::seeds(seed)?;
    #[cfg(feature = "sms")]
    crate::sms_seeds::write()?;
    models()
}

pub(crate) fn seed(target: &str, name: &str, octets: &[u8]) -> io::Result<()> {
    let folder = run::folder().join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), octets)
}

/// Files of a folder with one of these endings.
fn files(folder: &Path, endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if path.is_file() && endings.contains(&ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn golden() -> io::Result<()> {
    let golden = run::folder().join("../syncml/tests/golden");
    for path in files(&golden.join("examples"), &["xml", "wbxml"])? {
        message(&path, "example")?;
    }
    for recording in RECORDINGS {
        for encoding in ["wbxml", "xml"] {
            let folder = golden.join("from-syncevolution").join(format!("{recording}.{encoding}"));
            for path in files(&folder, &[encoding])?.into_iter().take(8) {
                message(&path, recording)?;
            }
        }
    }
    Ok(())
}

/// One message for every target that reads messages; its DevInf for the target that reads those.
fn message(path: &Path, from: &str) -> io::Result<()> {
    let octets = std::fs::read(path)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = format!("{from}-{name}");
    seed(if name.ends_with(".xml") { "xml" } else { "wbxml" }, &name, &octets)?;
    if name.ends_with(".xml") && octets.len() < 4_000 {
        seed("scan", &name, &octets)?;
    }
    if octets.len() < 4_000 || from == "01-slow-first" {
        seed("convert", &name, &octets)?;
    }
    // The text between the first <DevInf and its end; in WBXML the document starts after its OPAQUE.
    let find = |needle: &[u8]| octets.windows(needle.len()).position(|part| part == needle);
    if let (Some(start), Some(end)) = (find(b"<DevInf"), find(b"</DevInf>")) {
        seed("devinf", &name, octets.get(start..end + 9).unwrap_or_default())?;
    } else if let Some(start) = octets.windows(2).skip(8).position(|part| part == [0x6A, 0x00]) {
        let start = (start + 8).saturating_sub(3);
        seed("devinf", &name, octets.get(start..).unwrap_or_default())?;
    }
    Ok(())
}

/// WBXML 1.2, SyncML 1.2, UTF-8, no string table; a whole header.
const HEAD: &[u8] =
    b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x031.2\0\x01\x72\x03SyncML/1.2\0\x01\x65\x031\0\x01\x5B\x031\0\x01\
    \x6E\x57\x03s\0\x01\x01\x67\x57\x03c\0\x01\x01\x01\x6B";

fn threats() -> io::Result<()> {
    let wbxml = |body: &[u8]| [HEAD, body, b"\x01\x01"].concat();
    let seeds: [(&str, Vec<u8>); 12] = [
        ("w1-too-deep", wbxml(&[vec![0x7F; 400], vec![0x01; 400]].concat())),
        ("w2-number-too-long", wbxml(b"\x46\x4B\x02\x90\x80\x80\x80\x03\x01\x01")),
        ("w3-opaque-longer-than-input", wbxml(b"\x5F\x54\x4F\xC3\x8F\xFF\xFF\xFF\x7Fa\x01\x01\x01")),
        ("w3-string-without-end", [HEAD, b"\x46\x4B\x03abc"].concat()),
        ("w4-string-table-bad-index", wbxml(b"\x46\x4B\x83\x8F\xFF\xFF\xFF\x7F\x01\x01")),
        (
            "w4-string-table-again-and-again",
            [b"\x02\xA4\x01\x6A\x42", &[b'a'; 65][..], b"\0\x6D\x6C", &b"\x83\0".repeat(900)].concat(),
        ),
        ("w5-opaque-without-element", b"\x02\xA4\x01\x6A\x00\xC3\x01a".to_vec()),
        ("w5-entity-surrogate", wbxml(b"\x46\x4B\x02\x83\xB0\x00\x01\x01")),
        ("w6-unknown-page", wbxml(b"\x00\x17\x45\x031\0\x01\x00\x00\x12")),
        ("w6-unknown-token", wbxml(b"\x7E\x4B\x031\0\x01\x01\x3D\x12")),
        (
            "w7-charset-latin-1",
            b"\x02\xA4\x01\x04\x00\x6D\x6C\x71\x031.2\0\x01\x65\x03\xE4\0\x01\x01\x01".to_vec(),
        ),
        ("w8-nul-in-data", wbxml(b"\x45\x4B\x031\0\x01\x54\x4F\xC3\x03a\0b\x01\x01\x01")),
    ];
    for (name, octets) in &seeds {
        for target in ["wbxml", "convert"] {
            seed(target, &format!("threat-{name}"), octets)?;
        }
    }
    let xml = |body: &str| {
        format!(
            "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto>\
             <SessionID>1</SessionID><MsgID>1</MsgID><Target><LocURI>s</LocURI></Target><Source><LocURI>c</LocURI>\
             </Source></SyncHdr><SyncBody>{body}</SyncBody></SyncML>"
        )
    };
    let seeds: [(&str, String); 8] = [
        ("x1-doctype", format!("<!DOCTYPE SyncML PUBLIC '-//SYNCML//DTD SyncML 1.2//EN' ''>{}", xml(""))),
        ("x1-internal-subset", format!("<!DOCTYPE SyncML [<!ENTITY a 'b'>]>{}", xml("<Final/>"))),
        ("x1-unknown-entity", xml("<Alert><CmdID>1</CmdID><Data>&a;</Data></Alert>")),
        (
            "x2-many-attributes",
            xml(&format!("<x {}/>", (0..40).map(|n| format!("a{n}='' ")).collect::<String>())),
        ),
        ("x3-other-encoding", format!("<?xml version='1.0' encoding='UTF-16'?>{}", xml(""))),
        ("x4-trailing", format!("{}<a/>", xml("<Final/>"))),
        ("x4-second-single", xml("<Alert><CmdID>1</CmdID><CmdID>2</CmdID></Alert>")),
        ("w1-too-deep", xml(&format!("{}{}", "<x>".repeat(300), "</x>".repeat(300)))),
    ];
    for (name, text) in &seeds {
        for target in ["xml", "convert", "scan"] {
            seed(target, &format!("threat-{name}.xml"), text.as_bytes())?;
        }
    }
    seed("xml", "threat-x3-byte-order-mark.xml", format!("\u{FEFF}{}", xml("<Final/>")).as_bytes())?;
    seed("scan", "threat-x3-byte-order-mark.xml", format!("\u{FEFF}{}", xml("<Final/>")).as_bytes())?;
    markup()
}

/// Markup that no message has, and markup that is none.
fn markup() -> io::Result<()> {
    let seeds = [
        (
            "prolog",
            "<?xml version='1.0'?><!DOCTYPE a><?p?><!--c--><a b='>' c=\"'\"><![CDATA[]]]]>&amp;&#65; x</a >",
        ),
        ("empty-elements", "<a/><a /><a b=''/><a b='/'/>< a/><></>"),
        ("wrong-ends", "<a><b></a></b></a\n></ a>"),
        ("cut-off", "<a b='1' c"),
        ("not-markup", "<!ELEMENT a><!a><!--><?>&a<b>&;&&"),
        ("cut-comment", "<!-- - -- "),
        ("cut-cdata", "<a><![CDATA[ ]] >"),
    ];
    seeds.into_iter().try_for_each(|(name, text)| seed("scan", name, text.as_bytes()))
}

fn sessions() -> io::Result<()> {
    for (n, scene) in scenes().iter().enumerate() {
        let spelling = if scene.encoding == Encoding::Xml { "xml" } else { "wbxml" };
        let name = format!("scene-{n:02}-{spelling}-{}", scene.stage);
        seed("server_body", &name, &scene.waiting.request)?;
        seed("client_body", &name, &scene.answer)?;
        let (world, device) = scene.play();
        let token = scene.url.split_once("?s=").map(|(_, token)| token);
        for (side, store, token) in
            [("server", &world.store, token), ("client", &device.store, Some(&*scene.waiting.token))]
        {
            let Some(token) = token else { continue };
            let read = Read::Session(token.into());
            let found = store.read(std::slice::from_ref(&read)).map_err(io::Error::other)?;
            if let Some(Value::Session(Some(row))) = found.get(&read) {
                seed("session_value", &format!("{name}-{side}"), &row.value)?;
            }
        }
    }
    seed("session_value", "newer", &[2, 0, 0])?;
    seed("session_value", "empty", &[])
}

fn operations() -> io::Result<()> {
    // Settings, then (what, on what, how): see `operations::operations`.
    let seeds: [(&str, &[u8]); 8] = [
        ("nothing", &[0, 0]),
        ("notes-both-sides", &[0, 20, 0, 9, 1, 0x80, 9, 2, 8, 0, 40, 0, 0, 5, 0x80, 0, 6]),
        ("mail-in-chunks", &[1, 0, 4, 1, 250, 0x85, 2, 250, 8, 1, 3, 8, 2, 5]),
        ("flags-both-sides", &[0, 40, 4, 1, 9, 8, 0, 50, 7, 0, 0, 0x85, 0, 1, 8, 3, 2]),
        ("delete-against-edit", &[2, 9, 0, 9, 1, 8, 0, 40, 3, 0, 0, 0x80, 0, 7, 8, 4, 1]),
        ("server-dies", &[3, 9, 0, 9, 1, 4, 3, 60, 8, 3, 2, 9, 4, 3, 9, 4, 4]),
        ("client-dies", &[1, 9, 0x80, 9, 1, 4, 3, 60, 8, 5, 2, 9, 6, 3, 9, 7, 4]),
        ("forgets", &[0, 9, 0, 9, 1, 8, 0, 40, 10, 0, 0, 0x80, 9, 3, 8, 1, 2, 10, 0, 0]),
    ];
    seeds.into_iter().try_for_each(|(name, octets)| seed("operations", name, octets))
}

fn engines() -> io::Result<()> {
    let anchors: [(&str, &[u8]); 6] = [
        ("first", b"\x00\0one"),
        ("known", b"\x0c=\0two"),
        ("the-one-before", b"\x12-\0three"),
        ("unknown", b"\x0cx\0two"),
        ("slow", b"\x0dx\0"),
        ("one-way", b"\x0e=\0<&> \xc3\xa9"),
    ];
    for (name, octets) in anchors {
        seed("anchors", name, octets)?;
    }
    let maps: [(&str, &[u8]); 4] = [
        ("offered-and-mapped", &[0, 1, 0, 1, 2, 0, 5, 0, 2, 0, 5, 0]),
        ("threat-s6-luid-twice", &[3, 1, 1, 1, 3, 2, 1, 1, 0, 3, 0, 1, 2, 0, 1, 0, 2, 1, 2, 0]),
        ("short-ids", &[0, 1, 0, 1, 0, 2, 0, 1, 5, 1, 0, 0, 0, 3, 0, 1, 2, 0, 4, 0, 6, 3, 0, 0]),
        ("generations", &[3, 1, 1, 1, 7, 0, 0, 0, 3, 1, 2, 1, 7, 0, 0, 1, 4, 1, 0, 8, 5, 1, 0, 0]),
    ];
    for (name, octets) in maps {
        seed("idmap", name, octets)?;
    }
    let notes: [(&str, &[u8]); 4] = [
        ("both-sides", &[0, 0, 1, 1, 2, 6, 0, 2, 0, 4, 1, 6, 0]),
        ("edit-against-edit", &[1, 0, 1, 6, 0, 2, 0, 4, 0, 6, 0]),
        ("delete-against-edit", &[2, 0, 1, 1, 1, 6, 0, 3, 0, 4, 0, 5, 1, 2, 1, 6, 0]),
        ("large", &[0, 0, 251, 1, 252, 6, 0, 2, 253, 6, 0, 5, 0, 6, 0]),
    ];
    for (name, octets) in notes {
        seed("naive", name, octets)?;
    }
    for (name, length) in [("short", 40_usize), ("longer", 400)] {
        let octets: Vec<u8> = (0..length).map(|n| (n * n * 31 + n * 7 + length) as u8).collect();
        seed("sessions_model", name, &octets)?;
    }
    Ok(())
}

fn filters() -> io::Result<()> {
    let seeds = [
        ("time", "modified&GE;20070808T000000Z"),
        ("since", "SINCE&EQ;20070808T000000Z&AND;BEFORE&EQ;20070908T000000Z"),
        ("funambol", "&LUID&iEQ;41"),
        ("groups", "(FROM&iCON;bob&OR;TO&CON;a%20b)&AND;size&LT;9&AND;x&NE;&NULL;"),
        ("synthesis", "/dr(-7,0)/li(2000)/na/fi(SUBJECT&CON;x)"),
        ("nokia", "MINDT=20070808T000000Z&MAXDT=20070908T000000Z"),
    ];
    seeds.into_iter().try_for_each(|(name, text)| seed("filter", name, text.as_bytes()))
}

fn mail() -> io::Result<()> {
    let golden = run::folder().join("../mailsync-proto/tests/golden");
    for path in files(&golden, &["xml"])? {
        let octets = std::fs::read(&path)?;
        seed("email", path.file_name().and_then(|name| name.to_str()).unwrap_or_default(), &octets)?;
    }
    let mixed = b"From: =?GB18030?B?xOO6ww==?= <a@b.example>\r\nTo: c@d.example, E <f@g.example>\r\n\
        Bcc: h@i.example\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nDate: Tue, 7 Aug 2007 02:00:00 +0200\r\n\
        Message-ID: <1@a.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: text/plain; charset=gb18030\r\n\r\n\xC4\xE3\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: inner\r\n\r\n.\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        iVBORw0KGgo=\r\n--b--\r\n";
    seed("email", "mail-mixed", mixed)?;
    seed("email", "mail-no-header", b"\r\nbody only\r\n")?;
    seed("email", "mail-bare-line-ends", b"To: a@b.example\nSubject: x\r\n\nfrom\rhere\0")?;
    seed("email", "mail-octets", b"To: a@b.example\r\n\r\n]]> \x00\x01\xFF\xFE <&>\r\n")?;
    let nested: String =
        (0..60).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    seed("email", "threat-m4-deep-mime", nested.as_bytes())?;
    let about = |draft: &str, original: &[u8]| [draft.as_bytes(), b"\r\n.\r\n", original].concat();
    let draft = "From: a@b.example\r\nTo: c@d.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nSee below.";
    seed("forward", "mixed", &about(draft, mixed))?;
    seed("forward", "no-text", &about("From: a@b.example\r\n\r\n", mixed))?;
    seed("forward", "bare-line-ends", &about(draft, b"Subject: x\n\na\rb\0\n"))?;
    seed("forward", "threat-m4-deep-mime", &about(draft, nested.as_bytes()))?;
    for (name, says) in
        [("header", 0u8), ("text", 1), ("whole", 3), ("types", 7), ("size", 11), ("text-size", 9)]
    {
        seed("cut", name, &[&[says, 60][..], mixed].concat())?;
    }
    let prefix = b"Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\nContent-Type: multipart/mixed; boundary=abc\r\n\r\n\
        --abc\r\n\r\none\r\n--abc--\r\n--ab \r\nContent-Type: image/png\r\n\r\ntwo\r\n--ab--\r\n";
    seed("cut", "boundary-that-begins-another", &[&[1, 0][..], prefix].concat())?;
    let digest =
        b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: a\r\n\r\nb\r\n--d\r\n";
    seed("cut", "digest-without-end", &[&[1, 0][..], digest].concat())?;
    seed("cut", "threat-m4-deep-mime", &[&[1, 0][..], nested.as_bytes()].concat())?;
    // Messages in messages, in base64: the library's reader follows them as deep as they go.
    let inner = "Content-Type: message/rfc822\r\n\r\n".repeat(100);
    let coded = mailsync_proto::mail::transfer::to_base64(inner.as_bytes());
    let coded =
        format!("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{coded}\r\n");
    seed("cut", "threat-m4-messages-in-base64", &[&[1, 0][..], coded.as_bytes()].concat())?;
    seed("email", "threat-m4-messages-in-base64", coded.as_bytes())?;
    for name in ["account", "settings", "device", "event"] {
        seed("own", name, &std::fs::read(golden.join(format!("{name}.xml")))?)?;
    }
    for (at, line) in dict::words("imap").iter().enumerate() {
        seed("imap", &format!("line-{at:02}"), line)?;
    }
    seed("imap", "session", &dict::words("imap")[..19].concat())?;
    seed("imap", "threat-m5-literal", b"* 1 FETCH (BODY[] {4294967295}\r\nabc")?;
    seed("imap", "threat-m5-many-literals", "{400}\r\n".repeat(60).as_bytes())?;
    seed("forward", "field", b"X-Sync-Forward: 7 whole text part/2 part/3\r\n\r\n")?;
    seed(
        "forward",
        "object",
        b"<Email><Ext><XNam>x-mailsync-reply</XNam><XVal>7</XVal><XVal>text</XVal></Ext></Email>",
    )?;
    let mut email = Email::default();
    email.item = Some(bytes::Bytes::from_static(mixed));
    email.read = Some(true);
    seed("email", "object-whole", &email.to_xml())?;
    seed("email", "stored-fields", &MailFields::default().to_fields())?;
    seed("email", "stored-value", &mail_value(Role::Inbox.guid(), &MailFields::default(), mixed).fields)
}

/// Octets for `Arbitrary`: any will do.
fn models() -> io::Result<()> {
    let golden = run::folder().join("../syncml/tests/golden/examples");
    for path in files(&golden, &["bin"])? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let octets = std::fs::read(&path)?;
        seed("san", &name, &octets)?;
        // A cut one, and one whose text runs past the end.
        seed("san", &format!("threat-w3-cut-{name}"), octets.get(..octets.len() / 2).unwrap_or_default())?;
        let mut long = octets;
        if let Some(len) = long.get_mut(23) {
            *len = 0xFF;
        }
        seed("san", &format!("threat-w3-text-past-the-end-{name}"), &long)?;
    }
    let text = "\u{7}0 < 1 & ]]> é漢😀\r\n".repeat(150);
    seed("split", "text", text.as_bytes())?;
    seed("split", "octets-no-xml-carries", &[0, 1, 0xFF, b'<', 0x1B].repeat(400))?;
    let mut dice = crate::mutate::Dice::new(2_026);
    for (n, len) in [0, 40, 200, 600, 1_500, 3_000].into_iter().enumerate() {
        let octets: Vec<u8> = (0..len).map(|_| dice.roll().to_be_bytes()[0]).collect();
        for target in ["cross", "xml_model", "wbxml_model"] {
            seed(target, &format!("octets-{n}"), &octets)?;
        }
        seed("split", &format!("octets-{n}"), &octets)?;
        seed("san", &format!("octets-{n}"), octets.get(..octets.len().min(600)).unwrap_or_default())?;
    }
    Ok(())
}
