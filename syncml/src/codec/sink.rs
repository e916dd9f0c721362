//! Where the model is written to: XML, WBXML, or a tree of elements.

use crate::error::EncodeError;
use crate::model::{DevInf, Element, Name, Node, Page};
use crate::tables::Tag;

/// A writer of one spelling, element by element.
pub(crate) trait Sink {
    /// Starts an element of the tables.
    fn open(&mut self, tag: Tag);
    /// Ends the innermost open element, which is this.
    fn close(&mut self, tag: Tag);
    /// An element with control text.
    fn text(&mut self, tag: Tag, text: &str) -> Result<(), EncodeError>;
    /// An element with the octets of an item.
    fn octets(&mut self, tag: Tag, octets: &[u8]) -> Result<(), EncodeError>;
    /// A DevInf document, inside an open `Data`.
    fn devinf(&mut self, devinf: &DevInf) -> Result<(), EncodeError>;
    /// Starts an element that the tables need not know.
    fn open_element(&mut self, element: &Element) -> Result<(), EncodeError>;
    /// Ends the innermost open element, which is this.
    fn close_element(&mut self, element: &Element);
    /// Text inside an element kept as it came.
    fn raw_text(&mut self, text: &[u8]) -> Result<(), EncodeError>;

    /// An element without content.
    fn flag(&mut self, tag: Tag) {
        self.open(tag);
        self.close(tag);
    }

    /// An element with a number.
    fn number(&mut self, tag: Tag, number: u64) -> Result<(), EncodeError> {
        let mut digits = [0_u8; 20];
        self.text(tag, decimal(number, &mut digits))
    }

    /// Elements and texts kept as they came, without recursion.
    fn nodes(&mut self, nodes: &[Node]) -> Result<(), EncodeError> {
        let mut open: Vec<(&Element, std::slice::Iter<'_, Node>)> = Vec::new();
        let mut rest = nodes.iter();
        loop {
            match rest.next() {
                Some(Node::Text(text)) => self.raw_text(text)?,
                Some(Node::Element(element)) => {
                    self.open_element(element)?;
                    open.push((element, std::mem::replace(&mut rest, element.children.iter())));
                }
                None => match open.pop() {
                    Some((element, outer)) => {
                        self.close_element(element);
                        rest = outer;
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    /// One element kept as it came.
    fn element(&mut self, element: &Element) -> Result<(), EncodeError> {
        self.open_element(element)?;
        self.nodes(&element.children)?;
        self.close_element(element);
        Ok(())
    }
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut from = digits.len();
    for cell in digits.iter_mut().rev() {
        *cell = b'0' + (number % 10) as u8;
        number /= 10;
        from = from.saturating_sub(1);
        if number == 0 {
            break;
        }
    }
    digits.get(from..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("0")
}

/// Builds a tree: what a typed structure becomes when the typed form cannot hold what was read.
#[derive(Default)]
pub(crate) struct Tree {
    open: Vec<Element>,
    pub(crate) done: Vec<Node>,
}

impl Tree {
    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => self.done.push(node),
        }
    }

    fn end(&mut self) {
        if let Some(element) = self.open.pop() {
            self.add(Node::Element(element));
        }
    }
}

/// An element of the tables as a tree node.
pub(crate) fn known_element(tag: Tag) -> Element {
    Element {
        page: tag.page(),
        namespace: None,
        name: Name::Text(tag.name().into()),
        attributes: Vec::new(),
        children: Vec::new(),
    }
}

impl Sink for Tree {
    fn open(&mut self, tag: Tag) {
        self.open.push(known_element(tag));
    }

    fn close(&mut self, _: Tag) {
        self.end();
    }

    fn text(&mut self, tag: Tag, text: &str) -> Result<(), EncodeError> {
        self.octets(tag, text.as_bytes())
    }

    fn octets(&mut self, tag: Tag, octets: &[u8]) -> Result<(), EncodeError> {
        self.open(tag);
        self.raw_text(octets)?;
        self.end();
        Ok(())
    }

    fn devinf(&mut self, devinf: &DevInf) -> Result<(), EncodeError> {
        super::content::emit(devinf, Tag::DevInf, self)
    }

    fn open_element(&mut self, element: &Element) -> Result<(), EncodeError> {
        self.open.push(Element { children: Vec::new(), ..element.clone() });
        Ok(())
    }

    fn close_element(&mut self, _: &Element) {
        self.end();
    }

    fn raw_text(&mut self, text: &[u8]) -> Result<(), EncodeError> {
        if !text.is_empty() {
            self.add(Node::Text(bytes::Bytes::copy_from_slice(text)));
        }
        Ok(())
    }
}

/// The namespace of a vocabulary; SyncML's depends on the version and is the writer's.
pub(crate) fn namespace(page: Page) -> Option<&'static str> {
    match page {
        Page::MetInf => Some("syncml:metinf"),
        Page::DevInf => Some("syncml:devinf"),
        Page::SyncMl | Page::Other(_) => None,
    }
}

/// Octets from which on a piece decides how much room is made.
const LARGE: usize = 4096;

/// Octets written so far, with a ceiling: what lies above it is counted, not stored.
#[derive(Debug, Default)]
pub(crate) struct Out {
    buf: Vec<u8>,
    ceiling: usize,
    over: usize,
}

impl Out {
    pub(crate) fn new(ceiling: usize) -> Self {
        Out { buf: Vec::with_capacity(ceiling.min(512)), ceiling, over: 0 }
    }

    /// `head` is there from the start, whatever the ceiling.
    #[cfg(feature = "wbxml")]
    pub(crate) fn after(head: &[u8], ceiling: usize) -> Self {
        let mut out = Out::new(ceiling);
        out.buf.extend_from_slice(head);
        out
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.has_room(bytes.len()) {
            if bytes.len() > LARGE {
                // What ends a message fits behind a large object, which then need not move again.
                self.buf.reserve(bytes.len().saturating_add(LARGE));
            }
            self.buf.extend_from_slice(bytes);
        } else {
            self.over = self.over.saturating_add(bytes.len());
        }
    }

    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        if self.has_room(1) {
            self.buf.push(byte);
        } else {
            self.over = self.over.saturating_add(1);
        }
    }

    /// All three or none.
    #[inline]
    #[cfg(feature = "xml")]
    pub(crate) fn push_three(&mut self, a: &[u8], b: &[u8], c: &[u8]) {
        let len = a.len().saturating_add(b.len()).saturating_add(c.len());
        if self.has_room(len) {
            self.buf.reserve(len);
            self.buf.extend_from_slice(a);
            self.buf.extend_from_slice(b);
            self.buf.extend_from_slice(c);
        } else {
            self.over = self.over.saturating_add(len);
        }
    }

    #[inline]
    fn has_room(&self, octets: usize) -> bool {
        self.over == 0 && self.ceiling.saturating_sub(self.buf.len()) >= octets
    }

    /// Octets written, those above the ceiling included.
    pub(crate) fn len(&self) -> usize {
        self.buf.len().saturating_add(self.over)
    }

    /// Forgets everything from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len >= self.buf.len() {
            self.over = len.saturating_sub(self.buf.len());
        } else {
            self.buf.truncate(len);
            self.over = 0;
        }
    }

    /// Changes the last octet, if it was stored.
    #[cfg(feature = "wbxml")]
    pub(crate) fn patch_last(&mut self, change: impl FnOnce(u8) -> u8) {
        if self.over == 0
            && let Some(last) = self.buf.last_mut()
        {
            *last = change(*last);
        }
    }

    pub(crate) fn set_ceiling(&mut self, ceiling: usize) {
        self.ceiling = ceiling;
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.buf
    }
}
