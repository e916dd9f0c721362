//! A pull reader over one small XML document, and the few lines that write one.
//!
//! Text is given raw: no line end is touched, and octets that are not UTF-8 pass.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::error::{ObjectError, ObjectErrorKind};
use bytes::Bytes;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

const DEPTH: usize = 32;
const ATTRIBUTES: usize = 16;
const NAME_BYTES: usize = 128;

/// Reads one document, child by child.
pub(crate) struct Pull<'a> {
    reader: Reader<&'a [u8]>,
    source: &'a Bytes,
    path: Vec<String>,
    root_closed: bool,
}

/// An element whose start tag was just read.
pub(crate) struct Child {
    /// Its name without a prefix.
    pub(crate) name: String,
    /// Its attributes other than namespaces.
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
    start: usize,
}

impl<'a> Pull<'a> {
    /// Opens a document whose root has this name, whatever its case.
    pub(crate) fn open(source: &'a Bytes, root: &str) -> Result<Self, ObjectError> {
        let mut reader = Reader::from_reader(source.as_ref());
        reader.config_mut().expand_empty_elements = true;
        let mut pull = Pull { reader, source, path: Vec::new(), root_closed: false };
        loop {
            let start = pull.at();
            match pull.event()? {
                Event::Start(tag) => {
                    let child = pull.start(&tag, start)?;
                    if !child.name.eq_ignore_ascii_case(root) {
                        return Err(pull.malformed(&format!("root is {:?}, not {root}", child.name)));
                    }
                    return Ok(pull);
                }
                Event::Decl(decl) => {
                    // threats: X3
                    if let Some(Ok(encoding)) = decl.encoding()
                        && !encoding.eq_ignore_ascii_case(b"utf-8")
                        && !encoding.eq_ignore_ascii_case(b"us-ascii")
                    {
                        let name = String::from_utf8_lossy(&encoding).into_owned();
                        return Err(pull.error(ObjectErrorKind::Unsupported(
                            format!("encoding {:?}", name.chars().take(40).collect::<String>()).into(),
                        )));
                    }
                }
                Event::DocType(text) => {
                    // threats: X1
                    if text.contains(&b'[') {
                        return Err(pull.malformed("a DTD subset"));
                    }
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if blank(&text) => {}
                Event::Eof => return Err(pull.malformed("no root element")),
                _ => return Err(pull.malformed("text before the root element")),
            }
        }
    }

    /// The next child of the innermost open element; none when that element ends.
    pub(crate) fn child(&mut self) -> Result<Option<Child>, ObjectError> {
        loop {
            let start = self.at();
            match self.event()? {
                Event::Start(tag) => return self.start(&tag, start).map(Some),
                Event::End(_) => {
                    self.end();
                    return Ok(None);
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if blank(&text) => {}
                Event::Eof => return Err(self.malformed("the document ends inside an element")),
                _ => return Err(self.malformed("text between elements")),
            }
        }
    }

    /// The text of the innermost open element, up to its end: a slice of the source where it is one piece.
    pub(crate) fn text(&mut self) -> Result<Bytes, ObjectError> {
        let mut first: Option<Bytes> = None;
        let mut joined: Vec<u8> = Vec::new();
        let mut put = |source: &Bytes, piece: &[u8], slice: bool| {
            if piece.is_empty() {
                return;
            }
            if first.is_none() && joined.is_empty() && slice {
                first = Some(source.slice_ref(piece));
                return;
            }
            if let Some(before) = first.take() {
                joined.extend_from_slice(&before);
            }
            joined.extend_from_slice(piece);
        };
        loop {
            match self.event()? {
                Event::Text(text) => match text.into_inner() {
                    std::borrow::Cow::Borrowed(piece) => put(self.source, piece, true),
                    std::borrow::Cow::Owned(piece) => put(self.source, &piece, false),
                },
                Event::CData(text) => match text.into_inner() {
                    std::borrow::Cow::Borrowed(piece) => put(self.source, piece, true),
                    std::borrow::Cow::Owned(piece) => put(self.source, &piece, false),
                },
                Event::GeneralRef(reference) => {
                    let c = match reference.resolve_char_ref() {
                        Ok(Some(c)) => c,
                        Ok(None) => match reference.as_ref() {
                            b"lt" => '<',
                            b"gt" => '>',
                            b"amp" => '&',
                            b"quot" => '"',
                            b"apos" => '\'',
                            _ => return Err(self.malformed("an entity that is not defined")),
                        },
                        Err(_) => return Err(self.malformed("a character reference out of range")),
                    };
                    put(self.source, c.encode_utf8(&mut [0; 4]).as_bytes(), false);
                }
                Event::End(_) => {
                    self.end();
                    return Ok(first.unwrap_or_else(|| Bytes::from(joined)));
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => return Err(self.malformed("the document ends inside an element")),
                _ => return Err(self.malformed("an element inside text")),
            }
        }
    }

    /// The text of the innermost open element as small UTF-8 text, blanks around it removed.
    pub(crate) fn word(&mut self) -> Result<Box<str>, ObjectError> {
        let text = self.text()?;
        match core::str::from_utf8(&text) {
            // What a reference may bring that XML cannot carry is written as it is read here.
            Ok(text) => Ok(carriable(text.trim_matches([' ', '\t', '\r', '\n'])).into()),
            Err(_) => Err(self.malformed("text that is not UTF-8")),
        }
    }

    /// Passes over an element and gives it back as it was written.
    pub(crate) fn survivor(&mut self, child: &Child) -> Result<Box<str>, ObjectError> {
        let mut open = 1usize;
        while open > 0 {
            let start = self.at();
            match self.event()? {
                Event::Start(tag) => {
                    self.start(&tag, start)?;
                    open = open.saturating_add(1);
                }
                Event::End(_) => {
                    self.end();
                    open = open.saturating_sub(1);
                }
                Event::Eof => return Err(self.malformed("the document ends inside an element")),
                _ => {}
            }
        }
        let raw = self.source.get(child.start..self.at()).unwrap_or_default();
        match core::str::from_utf8(raw) {
            Ok(raw) => Ok(raw.into()),
            Err(_) => Err(self.malformed("an unknown element that is not UTF-8")),
        }
    }

    /// After the root's end: nothing but blanks and comments may follow.
    pub(crate) fn finish(mut self) -> Result<(), ObjectError> {
        loop {
            match self.event()? {
                Event::Eof if self.root_closed => return Ok(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if blank(&text) => {}
                _ => return Err(self.malformed("something after the document")),
            }
        }
    }

    /// Reads `Version`; a later major one than `known` is refused.
    pub(crate) fn version(&mut self, known: &str, of: &str) -> Result<(), ObjectError> {
        let version = self.word()?;
        if version.split('.').next() == known.split('.').next() {
            return Ok(());
        }
        let what = format!("version {} of {of}", version.chars().take(20).collect::<String>());
        Err(self.error(ObjectErrorKind::Unsupported(what.into())))
    }

    /// An error here.
    pub(crate) fn malformed(&self, what: &str) -> ObjectError {
        self.error(ObjectErrorKind::Malformed(what.into()))
    }

    /// An error here.
    pub(crate) fn error(&self, kind: ObjectErrorKind) -> ObjectError {
        ObjectError { kind, offset: self.at(), path: self.path.join("/").into() }
    }

    fn at(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn event(&mut self) -> Result<Event<'a>, ObjectError> {
        self.reader.read_event().map_err(|e| {
            let text: String = e.to_string().chars().take(160).collect();
            self.malformed(&text)
        })
    }

    fn start(&mut self, tag: &BytesStart<'_>, start: usize) -> Result<Child, ObjectError> {
        let limit = |what, value, limit| ObjectErrorKind::Limit { what, value, limit };
        if self.path.len() >= DEPTH {
            return Err(self.error(limit("depth", self.path.len().saturating_add(1), DEPTH)));
        }
        let local = tag.local_name();
        if local.as_ref().len() > NAME_BYTES {
            return Err(self.error(limit("octets of a name", local.as_ref().len(), NAME_BYTES)));
        }
        let Ok(name) = core::str::from_utf8(local.as_ref()) else {
            return Err(self.malformed("a name that is not UTF-8"));
        };
        let mut attributes = Vec::new();
        for (n, attribute) in tag.attributes().with_checks(false).enumerate() {
            if n >= ATTRIBUTES {
                return Err(self.error(limit("attributes", n.saturating_add(1), ATTRIBUTES)));
            }
            let Ok(attribute) = attribute else {
                return Err(self.malformed("a bad attribute"));
            };
            let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            if key.len() > NAME_BYTES {
                return Err(self.error(limit("octets of a name", key.len(), NAME_BYTES)));
            }
            if key != "xmlns" && !key.starts_with("xmlns:") {
                attributes.push((key, attribute.value.into_owned()));
            }
        }
        self.path.push(name.to_owned());
        Ok(Child { name: name.to_owned(), attributes, start })
    }

    fn end(&mut self) {
        self.path.pop();
        if self.path.is_empty() {
            self.root_closed = true;
        }
    }
}

fn blank(text: &[u8]) -> bool {
    // A byte order mark before the document counts as blank.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    text.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Appends text with markup characters escaped; every other octet goes as it is.
pub(crate) fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for &b in text {
        match b {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            _ => out.push(b),
        }
    }
}

/// Appends `<name>text</name>`.
pub(crate) fn element(out: &mut Vec<u8>, name: &str, text: &str) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    escape(out, carriable(text).as_bytes());
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}

/// Whether XML can carry a character.
// spec: XML 1.0 §2.2
pub(crate) fn is_xml_char(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        c => c >= ' ',
    }
}

/// Small text without the characters that XML cannot carry.
fn carriable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.chars().all(is_xml_char) {
        text.into()
    } else {
        text.chars().map(|c| if is_xml_char(c) { c } else { '\u{FFFD}' }).collect::<String>().into()
    }
}
