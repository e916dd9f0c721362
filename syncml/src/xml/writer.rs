//! XML, written element by element.

use super::chars::{Look, escaped, first_special, is_xml_name, is_xml_text};
use crate::codec::sink::{Out, Sink, namespace};
use crate::error::EncodeError;
use crate::model::{DevInf, Element, Encoding, Name, Page, Version};
use crate::tables::Tag;

/// Writes one document.
#[derive(Debug)]
pub(crate) struct XmlSink {
    out: Out,
    version: Version,
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
    depth: usize,
    fresh: Option<usize>,
}

impl XmlSink {
    pub(crate) fn new(version: Version, ceiling: usize) -> Self {
        let mut out = Out::new(ceiling);
        out.push(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        XmlSink { out, version, open: Vec::with_capacity(16), foreign: Vec::new(), fresh: None }
    }

    /// Octets of the whole document so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn set_ceiling(&mut self, ceiling: usize) {
        self.out.set_ceiling(ceiling);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { len: self.out.len(), depth: self.open.len(), fresh: self.fresh }
    }

    pub(crate) fn roll_back(&mut self, mark: &Mark) {
        self.out.truncate(mark.len);
        self.open.truncate(mark.depth);
        self.foreign.retain(|(depth, _)| *depth <= mark.depth);
        self.fresh = mark.fresh;
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.out.into_vec()
    }

    /// The namespace that the innermost open element has, if it is none of ours.
    fn foreign(&self) -> Option<&str> {
        self.foreign.last().filter(|(depth, _)| *depth == self.open.len()).map(|(_, uri)| &**uri)
    }

    /// Whether an element of this vocabulary needs no namespace here.
    #[inline]
    fn inherits(&self, page: Page) -> bool {
        self.open.last() == Some(&page) && (self.foreign.is_empty() || self.foreign().is_none())
    }

    /// Starts an element of the tables, whose start tag is `tag`.
    #[inline]
    fn start(&mut self, tag: &str, page: Page) {
        if self.inherits(page) {
            self.out.push(tag.as_bytes());
        } else {
            let uri = self.uri(page).unwrap_or_default();
            self.out.push(tag.strip_suffix('>').unwrap_or(tag).as_bytes());
            self.out.push(b" xmlns=\"");
            self.out.push(uri.as_bytes());
            self.out.push(b"\">");
        }
        self.open.push(page);
        self.fresh = Some(self.out.len());
    }

    /// Ends the innermost open element, whose end tag is this.
    fn end(&mut self, parts: &[&str]) {
        if !self.foreign.is_empty() {
            self.foreign.pop_if(|(depth, _)| *depth == self.open.len());
        }
        self.open.pop();
        if self.fresh == Some(self.out.len()) {
            // `<Meta>` with nothing in it becomes `<Meta/>`.
            self.out.truncate(self.out.len().saturating_sub(1));
            self.out.push(b"/>");
        } else {
            parts.iter().for_each(|part| self.out.push(part.as_bytes()));
        }
        self.fresh = None;
    }

    fn uri(&self, page: Page) -> Option<&'static str> {
        match (page, self.version) {
            (Page::SyncMl, Version::V1_0) => Some("SYNCML:SYNCML1.0"),
            (Page::SyncMl, Version::V1_1) => Some("SYNCML:SYNCML1.1"),
            (Page::SyncMl, Version::V1_2) => Some("SYNCML:SYNCML1.2"),
            (page, _) => namespace(page),
        }
    }

    fn escape(&mut self, text: &str, in_attribute: bool) {
        let mut from = 0;
        for (at, octet) in text.bytes().enumerate() {
            if let Some(stand_in) = escaped(octet, in_attribute) {
                self.out.push(text.as_bytes().get(from..at).unwrap_or_default());
                self.out.push(stand_in);
                from = at.saturating_add(1);
            }
        }
        self.out.push(text.as_bytes().get(from..).unwrap_or_default());
    }

    /// Octets as they are: plain, or as CDATA.
    fn data(&mut self, data: &[u8]) -> Result<(), EncodeError> {
        let look = Look::at(data);
        if look.is_suspect {
            let text = std::str::from_utf8(data).map_err(|_| cannot("octets that are not UTF-8"))?;
            if !is_xml_text(text) {
                return Err(cannot("control characters"));
            }
        }
        if !look.is_special {
            self.out.push(data);
            return Ok(());
        }
        self.out.push(b"<![CDATA[");
        let mut from = 0;
        for at in memchr::memchr_iter(b']', data) {
            let split = at.saturating_add(2);
            if at >= from && data.get(at..).is_some_and(|rest| rest.starts_with(b"]]>")) {
                self.out.push(data.get(from..split).unwrap_or_default());
                self.out.push(b"]]><![CDATA[");
                from = split;
            }
        }
        self.out.push(data.get(from..).unwrap_or_default());
        self.out.push(b"]]>");
        Ok(())
    }
}

/// How many octets of `data`, cut between characters, fit in `room` more octets than an empty `<Data/>` takes.
pub(crate) fn fitting(data: &[u8], room: usize) -> Result<usize, EncodeError> {
    let text = std::str::from_utf8(data).map_err(|_| cannot("octets that are not UTF-8"))?;
    // `<Data/>` becomes `<Data></Data>`.
    let room = room.saturating_sub("></Data>".len().saturating_sub("/>".len()));
    let plain = first_special(data).unwrap_or(data.len()).min(room);
    let mut left = room.saturating_sub("<![CDATA[]]>".len());
    let mut cdata = 0_usize;
    let mut rest = data;
    // Up to the next `]]>` each octet takes one; the split in it takes 12 more.
    while left > 0 && !rest.is_empty() {
        let split = rest.windows(3).position(|w| w == b"]]>").map(|at| at.saturating_add(2));
        let run = split.unwrap_or(rest.len());
        let take = run.min(left);
        cdata = cdata.saturating_add(take);
        left = left.saturating_sub(take);
        if take < run || split.is_none() {
            break;
        }
        // The `>` after the split must fit too, or the split is for nothing.
        left = left.saturating_sub("]]><![CDATA[".len());
        rest = rest.get(take..).unwrap_or_default();
    }
    let mut len = plain.max(cdata);
    while !text.is_char_boundary(len) {
        len = len.saturating_sub(1);
    }
    Ok(len)
}

fn cannot(what: &'static str) -> EncodeError {
    EncodeError::Unrepresentable { encoding: Encoding::Xml, what }
}

impl Sink for XmlSink {
    fn open(&mut self, tag: Tag) {
        let entry = tag.entry();
        self.start(entry.tags.0, entry.page);
    }

    fn close(&mut self, tag: Tag) {
        self.end(&[tag.entry().tags.1]);
    }

    fn text(&mut self, tag: Tag, text: &str) -> Result<(), EncodeError> {
        let look = Look::at(text.as_bytes());
        if look.is_suspect && !is_xml_text(text) {
            return Err(cannot("control characters"));
        }
        let entry = tag.entry();
        if !look.is_special && !text.is_empty() && self.inherits(entry.page) {
            self.out.push_three(entry.tags.0.as_bytes(), text.as_bytes(), entry.tags.1.as_bytes());
            self.fresh = None;
            return Ok(());
        }
        self.open(tag);
        if look.is_special {
            self.escape(text, false);
        } else {
            self.out.push(text.as_bytes());
        }
        self.close(tag);
        Ok(())
    }

    fn octets(&mut self, tag: Tag, octets: &[u8]) -> Result<(), EncodeError> {
        self.open(tag);
        self.data(octets)?;
        self.close(tag);
        Ok(())
    }

    fn devinf(&mut self, devinf: &DevInf) -> Result<(), EncodeError> {
        crate::codec::content::emit(devinf, Tag::DevInf, self)
    }

    fn open_element(&mut self, element: &Element) -> Result<(), EncodeError> {
        let name = match &element.name {
            Name::Text(name) if is_xml_name(name) => name,
            Name::Text(_) => return Err(cannot("a tag that is no name")),
            Name::Token(_) => return Err(cannot("a token without a name")),
        };
        let foreign = element.namespace.as_deref();
        let inherited = self.open.last() == Some(&element.page) && self.foreign() == foreign;
        self.out.byte(b'<');
        self.out.push(name.as_bytes());
        if !inherited {
            let uri = foreign.or(self.uri(element.page)).ok_or(cannot("a code page"))?;
            self.out.push(b" xmlns=\"");
            self.escape(uri, true);
            self.out.byte(b'"');
        }
        self.open.push(element.page);
        if let Some(uri) = foreign {
            self.foreign.push((self.open.len(), uri.into()));
        }
        for (key, value) in &element.attributes {
            if !is_xml_name(key) {
                return Err(cannot("an attribute that is no name"));
            }
            if !is_xml_text(value) {
                return Err(cannot("control characters"));
            }
            self.out.byte(b' ');
            self.out.push(key.as_bytes());
            self.out.push(b"=\"");
            self.escape(value, true);
            self.out.byte(b'"');
        }
        self.out.byte(b'>');
        self.fresh = Some(self.out.len());
        Ok(())
    }

    fn close_element(&mut self, element: &Element) {
        match &element.name {
            Name::Text(name) => self.end(&["</", name, ">"]),
            Name::Token(_) => {}
        }
    }

    fn raw_text(&mut self, text: &[u8]) -> Result<(), EncodeError> {
        self.data(text)
    }
}
