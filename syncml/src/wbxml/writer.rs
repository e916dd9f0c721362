//! WBXML, written element by element.

use super::primitive::{Doc, global, mb_len, mb_octets, public_id};
use crate::codec::sink::{Out, Sink, namespace};
use crate::codec::token::page_of_namespace;
use crate::error::EncodeError;
use crate::model::{DevInf, Element, Encoding, Name, Page, Version};
use crate::tables::Tag;
use std::collections::BTreeMap;

/// Writes one document: the body first, as names may still join the string table before it.
#[derive(Debug)]
pub(crate) struct WbxmlSink {
    /// The header as it was at the start, and the body.
    out: Out,
    /// Octets of that header.
    head: usize,
    doc: Doc,
    version: Version,
    /// The string table, which `LITERAL` points into.
    table: Vec<u8>,
    /// Where the table holds which name.
    names: BTreeMap<Box<str>, usize>,
    page: u8,
    /// Vocabularies of the open elements.
    open: Vec<Page>,
    /// Foreign namespaces of open elements, with their depths.
    foreign: Vec<(usize, Box<str>)>,
    /// Length right after the last start tag, while nothing followed.
    fresh: Option<usize>,
}

/// Where a writer stood.
#[derive(Debug)]
pub(crate) struct Mark {
    len: usize,
    table: usize,
    page: u8,
    depth: usize,
    fresh: Option<usize>,
}

impl WbxmlSink {
    pub(crate) fn new(doc: Doc, version: Version, ceiling: usize) -> Self {
        let mut table = Vec::new();
        // quirk: some SyncML 1.0 devices do not know the numeric id, WBXML facts §2.
        if version == Version::V1_0 {
            table.extend_from_slice(match doc {
                Doc::SyncMl => b"-//SYNCML//DTD SyncML 1.0//EN",
                Doc::DevInf => b"-//SYNCML//DTD DevInf 1.0//EN",
            });
        }
        let head = header(doc, version, &table);
        WbxmlSink {
            out: Out::after(&head, ceiling),
            head: head.len(),
            doc,
            version,
            table,
            names: BTreeMap::new(),
            page: 0,
            open: Vec::with_capacity(16),
            foreign: Vec::new(),
            fresh: None,
        }
    }

    /// Octets of the whole document so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len().saturating_sub(self.head).saturating_add(self.header_len())
    }

    pub(crate) fn set_ceiling(&mut self, ceiling: usize) {
        self.out.set_ceiling(ceiling);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            len: self.out.len(),
            table: self.table.len(),
            page: self.page,
            depth: self.open.len(),
            fresh: self.fresh,
        }
    }

    pub(crate) fn roll_back(&mut self, mark: &Mark) {
        self.out.truncate(mark.len);
        if self.table.len() > mark.table {
            self.table.truncate(mark.table);
            self.names.retain(|_, at| *at < mark.table);
        }
        self.page = mark.page;
        self.open.truncate(mark.depth);
        self.foreign.retain(|(depth, _)| *depth <= mark.depth);
        self.fresh = mark.fresh;
    }

    fn header_len(&self) -> usize {
        // Version octet, public id, character set octet, string table with its length.
        let fixed = 2_usize.saturating_add(public_id_octets(self.doc, self.version).1);
        fixed.saturating_add(mb_len(self.table.len())).saturating_add(self.table.len())
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        let mut head = header(self.doc, self.version, &self.table);
        let document = self.out.into_vec();
        if document.starts_with(&head) && self.head == head.len() {
            return document;
        }
        // Names have joined the table.
        head.extend_from_slice(document.get(self.head..).unwrap_or_default());
        head
    }

    fn number(&mut self, value: usize) {
        let (octets, len) = mb_octets(u32::try_from(value).unwrap_or(u32::MAX));
        self.out.push(octets.get(..len).unwrap_or_default());
    }

    /// The place of a name in the string table.
    fn literal(&mut self, name: &str) -> Result<usize, EncodeError> {
        if name.is_empty() || name.contains('\0') {
            return Err(cannot("a name that is empty or holds NUL"));
        }
        if let Some(at) = self.names.get(name) {
            return Ok(*at);
        }
        if self.table.last().is_some_and(|b| *b != 0) {
            self.table.push(0);
        }
        let at = self.table.len();
        self.table.extend_from_slice(name.as_bytes());
        self.table.push(0);
        self.names.insert(name.into(), at);
        Ok(at)
    }

    fn switch(&mut self, code: u8) {
        if self.page != code {
            self.out.push(&[global::SWITCH_PAGE, code]);
            self.page = code;
        }
    }

    fn token(&mut self, page: Page, code: u8, token: u8) {
        self.switch(code);
        self.out.byte(token | global::HAS_CONTENT);
        self.fresh = Some(self.out.len());
        self.open.push(page);
    }

    fn pop(&mut self) {
        if !self.foreign.is_empty() {
            self.foreign.pop_if(|(depth, _)| *depth == self.open.len());
        }
        self.open.pop();
    }

    /// The namespace that the innermost open element has, if it is none of ours.
    fn foreign(&self) -> Option<&str> {
        self.foreign.last().filter(|(depth, _)| *depth == self.open.len()).map(|(_, uri)| &**uri)
    }

    fn end(&mut self) {
        self.pop();
        if self.fresh == Some(self.out.len()) {
            self.out.patch_last(|tag| tag & !global::HAS_CONTENT);
        } else {
            self.out.byte(global::END);
        }
        self.fresh = None;
    }

    fn string(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if memchr::memchr(0, text.as_bytes()).is_some() {
            self.opaque(text.as_bytes());
        } else {
            self.out.byte(global::STR_I);
            self.out.push(text.as_bytes());
            self.out.byte(0);
        }
    }

    fn opaque(&mut self, octets: &[u8]) {
        self.out.byte(global::OPAQUE);
        self.number(octets.len());
        self.out.push(octets);
    }

    fn attribute(&mut self, name: &str, value: &str) -> Result<(), EncodeError> {
        match attribute_token(name) {
            Some(token) => self.out.byte(token),
            None => {
                let at = self.literal(name)?;
                self.out.byte(global::LITERAL);
                self.number(at);
            }
        }
        self.string(value);
        Ok(())
    }
}

fn public_id_octets(doc: Doc, version: Version) -> ([u8; 5], usize) {
    if version == Version::V1_0 { ([0; 5], 2) } else { mb_octets(public_id(doc, version)) }
}

/// What stands before the body.
fn header(doc: Doc, version: Version, table: &[u8]) -> Vec<u8> {
    let (id, id_len) = public_id_octets(doc, version);
    // WBXML 1.2.
    let mut head = vec![0x02];
    head.extend_from_slice(id.get(..id_len).unwrap_or_default());
    // UTF-8.
    head.push(0x6A);
    let (len, len_len) = mb_octets(u32::try_from(table.len()).unwrap_or(u32::MAX));
    head.extend_from_slice(len.get(..len_len).unwrap_or_default());
    head.extend_from_slice(table);
    head
}

/// The attribute start token that a name like `0x05` stands for: below 0x80 and no global token.
pub(crate) fn attribute_token(name: &str) -> Option<u8> {
    let digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
    let hex = name.strip_prefix("0x").filter(|hex| hex.len() == 2 && hex.bytes().all(digit))?;
    let token = u8::from_str_radix(hex, 16).ok()?;
    matches!(token, 0x05..=0x3F | 0x44..=0x7F).then_some(token)
}

/// How many octets of data fit in `room` more octets than an empty `Data` takes.
pub(crate) fn fitting(len: usize, room: usize) -> usize {
    // OPAQUE and END besides the length and the octets.
    let room = room.saturating_sub(2);
    let mut fits = room.saturating_sub(1).min(len);
    while fits > 0 && fits.saturating_add(mb_len(fits)) > room {
        fits = fits.saturating_sub(1);
    }
    fits
}

fn cannot(what: &'static str) -> EncodeError {
    EncodeError::Unrepresentable { encoding: Encoding::Wbxml, what }
}

impl Sink for WbxmlSink {
    fn open(&mut self, tag: Tag) {
        match self.doc.code(tag.page()) {
            Some(code) => self.token(tag.page(), code, tag.token()),
            // A DevInf document has no page for SyncML; the model puts nothing of it there.
            None => self.open.push(tag.page()),
        }
    }

    fn close(&mut self, _: Tag) {
        self.end();
    }

    fn text(&mut self, tag: Tag, text: &str) -> Result<(), EncodeError> {
        let octets = text.as_bytes();
        match self.doc.code(tag.page()) {
            Some(code) if !octets.is_empty() && memchr::memchr(0, octets).is_none() => {
                self.switch(code);
                self.out.push(&[tag.token() | global::HAS_CONTENT, global::STR_I]);
                self.out.push(octets);
                self.out.push(&[0, global::END]);
                self.fresh = None;
            }
            _ => {
                self.open(tag);
                self.string(text);
                self.end();
            }
        }
        Ok(())
    }

    fn octets(&mut self, tag: Tag, octets: &[u8]) -> Result<(), EncodeError> {
        self.open(tag);
        if !octets.is_empty() {
            self.opaque(octets);
        }
        self.end();
        Ok(())
    }

    fn devinf(&mut self, devinf: &DevInf) -> Result<(), EncodeError> {
        let version = Version::from_ver_dtd(&devinf.ver_dtd).unwrap_or(self.version);
        let mut inner = WbxmlSink::new(Doc::DevInf, version, usize::MAX);
        crate::codec::content::emit(devinf, Tag::DevInf, &mut inner)?;
        self.opaque(&inner.into_vec());
        Ok(())
    }

    fn open_element(&mut self, element: &Element) -> Result<(), EncodeError> {
        let code = self.doc.code(element.page);
        let foreign = element.namespace.as_deref();
        let token = match &element.name {
            Name::Token(token) => {
                // spec: threats W6: an unknown token re-encodes equal.
                let code =
                    code.filter(|_| foreign.is_none()).ok_or(cannot("a token outside its document"))?;
                Some((code, *token & 0x3F))
            }
            Name::Text(name) if foreign.is_none() => Tag::by_name(element.page, name.as_bytes())
                // `Size` and `MaxSize` of DevInf share a token; only the one it is read as goes as token.
                .filter(|tag| Tag::by_token(element.page, tag.token()) == Some(*tag))
                .and_then(|tag| Some((code?, tag.token()))),
            Name::Text(_) => None,
        };
        let with_attributes = |yes: bool| if yes { global::HAS_ATTRIBUTES } else { 0 };
        let content = if element.children.is_empty() { 0 } else { global::HAS_CONTENT };
        match (token, &element.name) {
            (Some((code, token)), _) => {
                self.switch(code);
                self.out.byte(token | content | with_attributes(!element.attributes.is_empty()));
                self.open.push(element.page);
            }
            (None, Name::Text(name)) => {
                let outer = self.open.last().copied().unwrap_or(self.doc.page(0));
                let declares = outer != element.page || self.foreign() != foreign;
                let attributes = declares || !element.attributes.is_empty();
                let at = self.literal(name)?;
                self.out.byte(global::LITERAL | content | with_attributes(attributes));
                self.number(at);
                if declares {
                    let uri = match (foreign, element.page) {
                        (Some(uri), _) if page_of_namespace(uri).is_some() => {
                            return Err(cannot("one of our namespaces as another"));
                        }
                        (Some(uri), _) => uri,
                        (None, Page::SyncMl) => "SYNCML:SYNCML1.2",
                        (None, page) => namespace(page).ok_or(cannot("a name on an unknown code page"))?,
                    };
                    self.attribute("xmlns", uri)?;
                    if element.attributes.is_empty() {
                        self.out.byte(global::END);
                    }
                }
                self.open.push(element.page);
                if let Some(uri) = foreign {
                    self.foreign.push((self.open.len(), uri.into()));
                }
            }
            (None, Name::Token(_)) => return Err(cannot("a token outside its document")),
        }
        for (name, value) in &element.attributes {
            self.attribute(name, value)?;
        }
        if !element.attributes.is_empty() {
            self.out.byte(global::END);
        }
        self.fresh = None;
        Ok(())
    }

    fn close_element(&mut self, element: &Element) {
        self.pop();
        if !element.children.is_empty() {
            self.out.byte(global::END);
        }
        self.fresh = None;
    }

    fn raw_text(&mut self, text: &[u8]) -> Result<(), EncodeError> {
        match std::str::from_utf8(text) {
            Ok(text) => self.string(text),
            Err(_) => self.opaque(text),
        }
        Ok(())
    }
}
