//! Dictionaries: the words of each format, made from the token tables.

use std::collections::BTreeSet;
use std::fmt::Write;

/// The table of elements as `syncml` has it, the single source of names and tokens.
const TABLES: &str = include_str!("../../syncml/src/tables.rs");

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The code page: 0 SyncML, 1 MetInf; DevInf is a document of its own, inline 2.
    pub page: u8,
    /// The tag token, bits 0 to 5.
    pub token: u8,
    /// The name in XML.
    pub name: &'static str,
}

/// The rows of the table.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut page = None;
    for line in TABLES.lines().map(str::trim) {
        page = match line {
            "SyncMl {" => Some(0),
            "MetInf {" => Some(1),
            "DevInf {" => Some(2),
            _ => page,
        };
        let Some(page) = page.filter(|_| !line.starts_with("//")) else { continue };
        for cell in line.split(", ") {
            let Some((_, right)) = cell.split_once(" = 0x") else { continue };
            let (Some(token), Some(name)) = (right.get(..2), right.split('"').nth(1)) else { continue };
            if let Ok(token) = u8::from_str_radix(token, 16) {
                rows.push(Row { page, token, name });
            }
        }
        if line == "impl Tag {" {
            break;
        }
    }
    rows
}

/// The words of a dictionary, by its name in `dict/`.
pub fn words(dictionary: &str) -> Vec<Vec<u8>> {
    match dictionary {
        "xml" => xml(),
        "wbxml" => wbxml(),
        "mail" => MAIL.iter().map(|word| word.as_bytes().to_vec()).collect(),
        "own" => OWN.iter().map(|word| word.as_bytes().to_vec()).collect(),
        "imap" => IMAP.iter().map(|word| word.as_bytes().to_vec()).collect(),
        _ => Vec::new(),
    }
}

/// The dictionaries there are.
pub const NAMES: [&str; 5] = ["xml", "wbxml", "mail", "own", "imap"];

/// The text of a dictionary file, in the format that libFuzzer and AFL read.
pub fn file(dictionary: &str) -> String {
    let mut text = String::from("# Made by `cargo run -p fuzz -- dict`; a test checks that it is current.\n");
    let mut seen = BTreeSet::new();
    for word in words(dictionary) {
        if !seen.insert(word.clone()) {
            continue;
        }
        text.push('"');
        for octet in word {
            match octet {
                b'"' | b'\\' => {
                    text.push('\\');
                    text.push(char::from(octet));
                }
                b' '..=b'~' => text.push(char::from(octet)),
                _ => {
                    let _ = write!(text, "\\x{octet:02X}");
                }
            }
        }
        text.push_str("\"\n");
    }
    text
}

fn xml() -> Vec<Vec<u8>> {
    const OTHERS: [&str; 34] = [
        "<![CDATA[",
        "]]>",
        "]]&gt;",
        "<!--",
        "-->",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<!DOCTYPE SyncML [",
        "<!DOCTYPE SyncML PUBLIC \"-//SYNCML//DTD SyncML 1.2//EN\" \"\">",
        "&amp;",
        "&lt;",
        "&gt;",
        "&quot;",
        "&apos;",
        "&#13;",
        "&#x10FFFF;",
        "&#0;",
        "&unknown;",
        " xmlns=\"SYNCML:SYNCML1.0\"",
        " xmlns=\"SYNCML:SYNCML1.1\"",
        " xmlns=\"SYNCML:SYNCML1.2\"",
        " xmlns=\"syncml:metinf\"",
        " xmlns=\"syncml:devinf\"",
        " xmlns=\"\"",
        " xmlns:s=\"SYNCML:SYNCML1.2\"",
        "<s:Add>",
        "</s:Add>",
        "<Unknown a=\"b\">",
        "</Unknown>",
        "b64",
        "text/plain",
        "application/vnd.omads-email+xml",
        "application/vnd.syncml-devinf+xml",
        "syncml:auth-md5",
        "\u{FEFF}",
    ];
    let mut words: Vec<Vec<u8>> = OTHERS.iter().map(|word| word.as_bytes().to_vec()).collect();
    for Row { name, .. } in rows() {
        words.extend(
            [format!("<{name}>"), format!("</{name}>"), format!("<{name}/>")].map(String::into_bytes),
        );
    }
    words
}

fn wbxml() -> Vec<Vec<u8>> {
    // Heads, page switches, strings, opaques, entities, literals, extensions, numbers that are too long.
    const OTHERS: [&[u8]; 34] = [
        b"\x02\xA4\x01\x6A\x00",
        b"\x02\x9F\x53\x6A\x00",
        b"\x02\xA4\x03\x6A\x00",
        b"\x01\x01\x6A\x00",
        b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.1//EN",
        b"\x02\xA4\x04\x6A\x00",
        b"\x00\x00",
        b"\x00\x01",
        b"\x00\x02",
        b"\x00\x7F",
        b"\x01",
        b"\x02\x26",
        b"\x02\x80\x00",
        b"\x03",
        b"\x03a\x00",
        b"\x04\x00",
        b"\x40",
        b"\x44\x00",
        b"\x80\x00",
        b"\x83\x00",
        b"\x83\x05",
        b"\x84\x00",
        b"\xC0",
        b"\xC3\x00",
        b"\xC3\x05hello",
        b"\xC3\x8F\xFF\xFF\xFF\x7F",
        b"\x8F\xFF\xFF\xFF\x7F",
        b"\x90\x80\x80\x80\x03",
        b"1.2\0",
        b"SyncML/1.2\0",
        b"text/plain",
        b"b64\0",
        b"application/vnd.omads-email+xml\0",
        b"application/vnd.syncml-devinf+wbxml\0",
    ];
    let mut words: Vec<Vec<u8>> = OTHERS.iter().map(|word| word.to_vec()).collect();
    for Row { page, token, .. } in rows() {
        let content = token | 0x40;
        words.extend([vec![token], vec![content], vec![0, page, token], vec![0, page, content]]);
    }
    words
}

const OWN: [&str; 24] = [
    "<Account>",
    "</Account>",
    "<Version>1.0</Version>",
    "<Address>a@b.example</Address>",
    "<Login>",
    "</Login>",
    "<Secret>s3cret-s3cret</Secret>",
    "<Imap>",
    "<Smtp>",
    "<Host>mail.b.example</Host>",
    "<Port>993</Port>",
    "<Tls>starttls</Tls>",
    "<Settings>",
    "</Settings>",
    "<HeadersOnly>true</HeadersOnly>",
    "<MaxSize>2000</MaxSize>",
    "<Types>image/*</Types>",
    "<Device>",
    "</Device>",
    "<Listen>udp:127.0.0.1:2948</Listen>",
    "<Event>",
    "<Happened>",
    "<Unknown a=\"b\">c</Unknown>",
    "&#65533;",
];

const IMAP: [&str; 30] = [
    "* OK [CAPABILITY IMAP4rev1 CONDSTORE] hi\r\n",
    "* CAPABILITY IMAP4rev1 IDLE\r\n",
    "* LIST (\\Noselect \\Sent) \"/\" INBOX\r\n",
    "* LIST () NIL {5}\r\nINBOX\r\n",
    "* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 1 HIGHESTMODSEQ 7)\r\n",
    "* 3 FETCH (UID 3 FLAGS (\\Seen $Forwarded) MODSEQ (7))\r\n",
    "* 3 FETCH (UID 3 BODY[] {4}\r\nabcd)\r\n",
    "* 3 FETCH (INTERNALDATE \" 2-Nov-2026 10:00:00 +0100\" RFC822.SIZE 44)\r\n",
    "BODY[HEADER.FIELDS (SUBJECT)] {3}\r\n\r\n\r",
    "* VANISHED (EARLIER) 1:3,7,9:*\r\n",
    "* SEARCH 1 2 3\r\n",
    "* 3 EXISTS\r\n",
    "* 3 EXPUNGE\r\n",
    "* BYE\r\n",
    "* PREAUTH in\r\n",
    "+ go on\r\n",
    "a1 OK [APPENDUID 1 2] done\r\n",
    "a1 NO [TRYCREATE] no\r\n",
    "a1 BAD\r\n",
    "{4294967295}\r\n",
    "{99999999999999999999}\r\n",
    "{500+}\r\n",
    "{0}\r\n",
    "((((((((",
    "))))",
    "\"\\\"",
    "NIL",
    "&AOQ-",
    "&-",
    "\r\n",
];

const MAIL: [&str; 46] = [
    "<Email>",
    "</Email>",
    "<Folder>",
    "</Folder>",
    "<name>",
    "</name>",
    "<role>inbox</role>",
    "<read>true</read>",
    "<read>false</read>",
    "<replied>",
    "</replied>",
    "<received>20070807T000000Z</received>",
    "<created>",
    "</created>",
    "<emailitem>",
    "<emailitem enc=\"base64\">",
    "<emailitem enc=\"quoted-printable\">",
    "</emailitem>",
    "<Ext><XNam>x-mailsync-send</XNam><XVal>",
    "</XVal></Ext>",
    "<![CDATA[",
    "]]>",
    "]]&gt;",
    "&#13;&#10;",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\r\n ",
    "From: \"a\" <a@b.example>\r\n",
    "To: ",
    "Cc: undisclosed-recipients:;\r\n",
    "Bcc: c@d.example\r\n",
    "Date: Tue, 7 Aug 2007 02:00:00 +0200\r\n",
    "Message-ID: <1@a.example>\r\n",
    "References: ",
    "Subject: =?GB18030?B?xOO6ww==?=\r\n",
    "Subject: =?utf-8?q?caf=C3=A9?=\r\n",
    "MIME-Version: 1.0\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: text/html; charset=utf-16\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "--b\r\n",
    "--b--\r\n",
    "X-Sync-Read: true\r\n",
];
