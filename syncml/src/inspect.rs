//! A document shown to people: a tree with names for codes, its JSON form, and WBXML token by token.
//!
//! The inspector reads tokens, not messages, so it shows whatever there is up to a fault, then the fault.
//!
//! ```
//! use bytes::Bytes;
//! let alert = Bytes::from_static(b"<SyncML><SyncBody><Alert><Data>201</Data></Alert>");
//! let tree = syncml::inspect::tree(&alert);
//! assert!(tree.contains("Data: 201 (slow sync)"));
//! assert!(tree.ends_with("error: xml: malformed: cut off at byte 49 (SyncBody)\n"));
//! ```

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::codec::token::{Text, Token, Tokens};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::model::{AlertCode, Element, Encoding, Name, Page, StatusCode};
use crate::reader::{Document, tokenize};
use crate::san::{self, ServerAlert};
use crate::tables::Tag;
use crate::{Limits, Quirks, names};
use bytes::Bytes;
use std::fmt::Write as _;

#[cfg(feature = "wbxml")]
pub use crate::wbxml::annotate::tokens;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A SyncML or DevInf document.
    Document(Encoding),
    /// A server's request for a session, in binary.
    ServerAlert,
}

impl Kind {
    /// What the octets look like: XML by its `<`, WBXML by a public id we know, else Package #0.
    pub fn guess(octets: &[u8]) -> Kind {
        let text = octets.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(octets).trim_ascii_start();
        if text.first() == Some(&b'<') {
            return Kind::Document(Encoding::Xml);
        }
        #[cfg(feature = "wbxml")]
        if let Ok(header) = crate::wbxml::reader::header(octets) {
            let root = octets.get(header.len).map(|octet| octet & 0x3F);
            let known_root = root == Some(Tag::SyncMl.token()) || root == Some(Tag::DevInf.token());
            if header.doc().is_some() || (known_root && matches!(header.charset, 3 | 4 | 106)) {
                return Kind::Document(Encoding::Wbxml);
            }
        }
        match ServerAlert::decode(&Bytes::copy_from_slice(octets)) {
            Ok(_) => Kind::ServerAlert,
            Err(_) => Kind::Document(Encoding::Wbxml),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Document(Encoding::Xml) => "xml",
            Kind::Document(Encoding::Wbxml) => "wbxml",
            Kind::ServerAlert => "package 0",
        }
    }
}

/// One element of a document that was inspected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Octets from the start of the document.
    pub offset: usize,
    /// How many elements it is inside of.
    pub depth: usize,
    /// Its name.
    pub name: String,
    /// Its text.
    pub value: Option<Bytes>,
    /// What its text means.
    pub note: Option<String>,
}

/// A document as it was read, up to its end or to the fault in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// What it is.
    pub kind: Kind,
    /// Its octets.
    pub len: usize,
    /// Its elements, in order.
    pub entries: Vec<Entry>,
    /// What stopped the reading.
    pub error: Option<DecodeError>,
}

/// Reads whatever it can of a document of any kind.
pub fn inspect(octets: &Bytes) -> Inspection {
    inspect_as(Kind::guess(octets), octets)
}

/// Reads whatever it can of a document of this kind.
pub fn inspect_as(kind: Kind, octets: &Bytes) -> Inspection {
    let mut inspection = Inspection { kind, len: octets.len(), entries: Vec::new(), error: None };
    match kind {
        Kind::Document(encoding) => walk(encoding, octets, &mut inspection),
        Kind::ServerAlert => walk_alert(octets, &mut inspection),
    }
    inspection
}

/// A document as a readable tree: offset, element, text, and what codes mean.
pub fn tree(octets: &Bytes) -> String {
    inspect(octets).to_string()
}

/// A document as JSON: `kind`, `octets`, `elements` (each `name`, `offset`, and `text` or `base64`, `note`,
/// `elements`), `error`.
pub fn json(octets: &Bytes) -> String {
    inspect(octets).to_json()
}

/// Nested elements that the inspector still shows.
const DEPTH: usize = Limits::DEPTH_CEILING;
/// Octets of text on one line.
const SHOWN: usize = 300;

/// An open element and what its text may mean.
struct Open {
    name: String,
    tag: Option<Tag>,
    entry: usize,
    text: Vec<u8>,
    has_text: bool,
}

fn walk(encoding: Encoding, octets: &Bytes, inspection: &mut Inspection) {
    let table = octets.len().saturating_mul(4).saturating_add(1024 * 1024);
    let limits = Limits { message_bytes: usize::MAX, string_table_bytes: table, ..Limits::default() };
    let quirks = Quirks::lenient();
    let mut open: Vec<Open> = Vec::new();
    // A document inside `Data` is read where it stands; it holds no `Data` itself.
    let mut documents: Vec<(Tokens<'_>, usize)> = Vec::new();
    match tokenize(Document::SyncMl, encoding, octets, &limits, &quirks) {
        Ok(tokens) => documents.push((tokens, 0)),
        Err((kind, offset)) => {
            inspection.error = Some(DecodeError { encoding, kind, offset, path: String::new() });
        }
    }
    while let Some((tokens, base)) = documents.last_mut() {
        let token = tokens.next();
        let offset = base.saturating_add(tokens.offset());
        let start = match token {
            Ok(Token::Known(tag, _)) => Some((tag.name().to_owned(), Some(tag))),
            Ok(Token::Unknown(element)) => Some((shown_name(&element), None)),
            Ok(Token::Text(text)) => {
                let inner =
                    if documents.len() == 1 { inner(&open, &text, octets, encoding, &limits) } else { None };
                match inner {
                    Some(inner) => documents.push(inner),
                    None => {
                        if let Some(open) = open.last_mut() {
                            open.text.extend_from_slice(&text.bytes);
                            open.has_text = true;
                        }
                    }
                }
                None
            }
            Ok(Token::End) => {
                if let Some(closed) = open.pop() {
                    close(closed, &open, inspection);
                }
                None
            }
            Ok(Token::Eof) => {
                documents.pop();
                None
            }
            Err(kind) => {
                inspection.error = Some(DecodeError { encoding, kind, offset, path: path(&open) });
                break;
            }
        };
        let Some((name, tag)) = start else { continue };
        if open.len() >= DEPTH {
            let kind =
                DecodeErrorKind::Limit { what: "depth", value: open.len().saturating_add(1), limit: DEPTH };
            inspection.error = Some(DecodeError { encoding, kind, offset, path: String::new() });
            break;
        }
        let entry = inspection.entries.len();
        inspection.entries.push(Entry {
            offset,
            depth: open.len(),
            name: name.clone(),
            value: None,
            note: None,
        });
        open.push(Open { name, tag, entry, text: Vec::new(), has_text: false });
    }
    // What was open at a fault still shows its text.
    while let Some(closed) = open.pop() {
        close(closed, &open, inspection);
    }
}

/// A DevInf document that is the text of a `Data`.
fn inner<'a>(
    open: &[Open],
    text: &Text<'a>,
    octets: &'a Bytes,
    encoding: Encoding,
    limits: &Limits,
) -> Option<(Tokens<'a>, usize)> {
    let is_data = open.last().is_some_and(|open| open.tag == Some(Tag::Data) && !open.has_text);
    let std::borrow::Cow::Borrowed(bytes) = text.bytes else { return None };
    let quirks = Quirks::lenient();
    let inner = crate::codec::build::finish::devinf_spelling(encoding, bytes, &quirks).filter(|_| is_data)?;
    let base = (bytes.as_ptr() as usize).saturating_sub(octets.as_ptr() as usize);
    tokenize(Document::DevInf, inner, bytes, limits, &quirks).ok().map(|tokens| (tokens, base))
}

fn close(closed: Open, outer: &[Open], inspection: &mut Inspection) {
    let has_children = inspection.entries.len() > closed.entry.saturating_add(1);
    let Some(entry) = inspection.entries.get_mut(closed.entry) else { return };
    let is_layout = crate::codec::token::is_blank(&closed.text);
    let text = String::from_utf8_lossy(&closed.text);
    let parent = outer.last().and_then(|open| open.tag);
    entry.note = closed.tag.and_then(|tag| meaning(tag, parent, &text));
    if closed.has_text && !(is_layout && has_children) {
        entry.value = Some(closed.text.into());
    }
}

fn path(open: &[Open]) -> String {
    open.iter().skip(1).map(|open| open.name.as_str()).collect::<Vec<_>>().join("/")
}

fn shown_name(element: &Element) -> String {
    match (&element.name, element.page) {
        (Name::Text(name), _) => name.chars().take(128).collect::<String>().escape_debug().to_string(),
        (Name::Token(token), Page::Other(page)) => format!("token-0x{token:02X}-page-{page}"),
        (Name::Token(token), page) => format!("token-0x{token:02X}-{page:?}"),
    }
}

/// What the text of an element means, where it is a code.
fn meaning(tag: Tag, parent: Option<Tag>, text: &str) -> Option<String> {
    let text = text.trim();
    match (tag, parent) {
        (Tag::Data, Some(Tag::Alert)) => AlertCode(text.parse().ok()?).text().map(Into::into),
        (Tag::Data, Some(Tag::Status)) => StatusCode(text.parse().ok()?).text().map(Into::into),
        (Tag::SyncType, _) => names::sync_type(text.parse().ok()?).map(Into::into),
        (Tag::NextNonce, _) => {
            let octets = crate::codec::slot::from_base64(text.as_bytes())?;
            Some(format!("nonce {}", octets.escape_ascii()))
        }
        _ => None,
    }
}

fn walk_alert(octets: &Bytes, inspection: &mut Inspection) {
    let alert = match ServerAlert::decode(octets) {
        Ok(alert) => alert,
        Err((kind, offset)) => {
            let path = "package 0".to_owned();
            inspection.error = Some(DecodeError { encoding: Encoding::Wbxml, kind, offset, path });
            return;
        }
    };
    let mut add = |offset: usize, depth: usize, name: &str, value: String, note: Option<String>| {
        let value = Some(Bytes::from(value));
        inspection.entries.push(Entry { offset, depth, name: name.into(), value, note });
    };
    let digest: String = octets.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    add(0, 0, "digest", digest, octets.iter().take(16).all(|o| *o == 0).then(|| "not authenticated".into()));
    add(
        16,
        0,
        "version",
        alert.version.to_string(),
        Some(format!("DS {}.{}", alert.version / 10, alert.version % 10)),
    );
    add(17, 0, "ui-mode", format!("{:?}", alert.ui_mode), None);
    add(17, 0, "initiator", if alert.by_server { "server" } else { "user" }.into(), None);
    add(21, 0, "session-id", alert.session_id.to_string(), Some(format!("0x{:04X}", alert.session_id)));
    add(24, 0, "server-id", alert.server_id.to_string(), None);
    let mut at = alert.server_id.len().saturating_add(24);
    let every = alert.syncs.is_empty().then(|| "every datastore".into());
    add(at, 0, "num-syncs", alert.syncs.len().to_string(), every);
    at = at.saturating_add(1);
    for sync in &alert.syncs {
        add(at, 0, "sync", sync.code.0.to_string(), sync.code.text().map(Into::into));
        let name = san::content_type_name(sync.content_type).map(Into::into);
        add(at.saturating_add(1), 1, "content-type", format!("0x{:06X}", sync.content_type), name);
        add(at.saturating_add(5), 1, "server-uri", sync.server_uri.to_string(), None);
        at = at.saturating_add(5).saturating_add(sync.server_uri.len());
    }
    if !alert.vendor.is_empty() {
        add(at, 0, "vendor", alert.vendor.escape_ascii().to_string(), None);
    }
}

impl std::fmt::Display for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}, {} octets", self.kind.name(), self.len)?;
        for entry in &self.entries {
            write!(
                f,
                "{:>6}  {:indent$}{}",
                entry.offset,
                "",
                entry.name,
                indent = entry.depth.saturating_mul(2)
            )?;
            if let Some(value) = &entry.value {
                write!(f, ": {}", shown(value))?;
            }
            if let Some(note) = &entry.note {
                write!(f, " ({note})")?;
            }
            writeln!(f)?;
        }
        match &self.error {
            Some(error) => writeln!(f, "error: {error}"),
            None => Ok(()),
        }
    }
}

/// Text on one line, cut where it is long; other octets as hex.
fn shown(value: &[u8]) -> String {
    let cut = value.len() > SHOWN;
    let head = value.get(..SHOWN.min(value.len())).unwrap_or_default();
    let rest = if cut { format!("... ({} octets)", value.len()) } else { String::new() };
    let text = match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => {
            head.get(..error.valid_up_to()).and_then(|head| std::str::from_utf8(head).ok())
        }
        Err(_) => None,
    };
    match text {
        Some(text) => {
            format!("{}{rest}", text.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\""))
        }
        None => format!("{}{rest}", head.escape_ascii()),
    }
}

impl Inspection {
    /// The inspection as JSON.
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        let _ =
            write!(json, "{{\"kind\":{},\"octets\":{},\"elements\":[", quoted(self.kind.name()), self.len);
        let mut depth = 0_usize;
        let mut first = true;
        for entry in &self.entries {
            // Close what this entry is not inside of.
            while depth > entry.depth {
                json.push_str("]}");
                depth = depth.saturating_sub(1);
                first = false;
            }
            if !first {
                json.push(',');
            }
            json.push_str(&entry_json(entry));
            json.push_str(",\"elements\":[");
            depth = entry.depth.saturating_add(1);
            first = true;
        }
        for _ in 0..depth {
            json.push_str("]}");
        }
        let error = self.error.as_ref().map_or("null".into(), |error| {
            format!(
                "{{\"message\":{},\"offset\":{},\"path\":{}}}",
                quoted(&error.to_string()),
                error.offset,
                quoted(&error.path)
            )
        });
        let _ = write!(json, "],\"error\":{error}}}");
        json
    }
}

fn entry_json(entry: &Entry) -> String {
    let mut json = format!("{{\"name\":{},\"offset\":{}", quoted(&entry.name), entry.offset);
    if let Some(value) = &entry.value {
        let _ = match std::str::from_utf8(value) {
            Ok(text) => write!(json, ",\"text\":{}", quoted(text)),
            Err(_) => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(value);
                write!(json, ",\"base64\":{}", quoted(&text))
            }
        };
    }
    if let Some(note) = &entry.note {
        let _ = write!(json, ",\"note\":{}", quoted(note));
    }
    json
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}
