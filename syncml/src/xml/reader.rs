//! XML, token by token, over quick-xml's raw events.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::chars::{is_xml_char, is_xml_name};
use crate::codec::token::{Attributes, Text, Token, is_blank, page_of_namespace};
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::model::{Element, Name, Page};
use crate::quirks::Quirks;
use crate::tables::Tag;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use std::borrow::Cow;
use std::sync::Arc;

/// Reads one document.
pub(crate) struct Tokenizer<'a> {
    reader: quick_xml::Reader<&'a [u8]>,
    offset: usize,
    depth: usize,
    declared: Vec<Declared>,
    /// What elements without prefix belong to.
    default: Namespace,
    outermost: Namespace,
    pending_end: bool,
    root_done: bool,
    name_bytes: usize,
    attributes: usize,
    trailing_bytes: bool,
}

#[derive(Clone, Debug)]
enum Namespace {
    Page(Page),
    /// Any other; empty where `xmlns=""` says so.
    Foreign(Arc<str>),
}

/// One `xmlns` or `xmlns:prefix`, in force while its element is open.
#[derive(Debug)]
struct Declared {
    depth: usize,
    prefix: Box<[u8]>,
    namespace: Namespace,
}

type Kind = DecodeErrorKind;

fn malformed(what: impl Into<String>) -> Kind {
    Kind::Malformed(what.into())
}

fn position(octets: u64) -> usize {
    usize::try_from(octets).unwrap_or(usize::MAX)
}

impl<'a> Tokenizer<'a> {
    /// Starts a document. `default` is the vocabulary of elements without a namespace.
    pub(crate) fn new(
        input: &'a [u8],
        default: Page,
        limits: &Limits,
        quirks: &Quirks,
    ) -> Result<Self, (Kind, usize)> {
        // spec: threats X3.
        if input.starts_with(&[0xFE, 0xFF])
            || input.starts_with(&[0xFF, 0xFE])
            || input.starts_with(&[0, b'<'])
        {
            return Err((Kind::Unsupported("UTF-16".into()), 0));
        }
        let default =
            if quirks.missing_namespace { Namespace::Page(default) } else { Namespace::Foreign("".into()) };
        Ok(Tokenizer {
            reader: quick_xml::Reader::from_reader(input),
            offset: 0,
            depth: 0,
            declared: Vec::new(),
            outermost: default.clone(),
            default,
            pending_end: false,
            root_done: false,
            name_bytes: limits.name_bytes,
            attributes: limits.attributes,
            trailing_bytes: quirks.trailing_bytes,
        })
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn next(&mut self) -> Result<Token<'a>, Kind> {
        if self.pending_end {
            self.pending_end = false;
            return Ok(self.end());
        }
        loop {
            self.offset = position(self.reader.buffer_position());
            if self.root_done && self.trailing_bytes {
                return Ok(Token::Eof);
            }
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    self.offset = position(self.reader.error_position());
                    return Err(malformed(error.to_string()));
                }
            };
            match event {
                Event::Start(start) => return self.start(&start),
                Event::Empty(start) => {
                    self.pending_end = true;
                    return self.start(&start);
                }
                Event::End(_) => return Ok(self.end()),
                Event::Text(text) => {
                    if let Some(token) = self.text(text.into_inner())? {
                        return Ok(token);
                    }
                }
                Event::CData(text) => {
                    if self.depth == 0 {
                        return Err(malformed("text outside the root"));
                    }
                    return Ok(Token::Text(Text { bytes: text.into_inner(), opaque: false }));
                }
                Event::GeneralRef(reference) => {
                    let text = Cow::Owned(resolve(&reference)?);
                    if let Some(token) = self.text(text)? {
                        return Ok(token);
                    }
                }
                Event::Decl(decl) => self.declaration(&decl)?,
                // spec: threats X1.
                Event::DocType(text) => {
                    if text.contains(&b'[') {
                        return Err(malformed("document type with an internal subset"));
                    }
                    if self.depth > 0 || self.root_done {
                        return Err(malformed("document type inside the document"));
                    }
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof if self.root_done => return Ok(Token::Eof),
                Event::Eof => return Err(malformed("cut off")),
            }
        }
    }

    fn text(&self, bytes: Cow<'a, [u8]>) -> Result<Option<Token<'a>>, Kind> {
        if self.depth > 0 {
            return Ok(Some(Token::Text(Text { bytes, opaque: false })));
        }
        let bom = self.offset == 0 && *bytes == *b"\xEF\xBB\xBF";
        if is_blank(&bytes) || bom { Ok(None) } else { Err(malformed("text outside the root")) }
    }

    fn end(&mut self) -> Token<'a> {
        let mut changed = false;
        while self.declared.last().is_some_and(|d| d.depth == self.depth) {
            changed |= self.declared.pop().is_some_and(|d| d.prefix.is_empty());
        }
        if changed {
            self.default = self.lookup(b"").unwrap_or_else(|| self.outermost.clone());
        }
        self.depth = self.depth.saturating_sub(1);
        self.root_done = self.depth == 0;
        Token::End
    }

    fn lookup(&self, prefix: &[u8]) -> Option<Namespace> {
        self.declared.iter().rev().find(|d| *d.prefix == *prefix).map(|d| d.namespace.clone())
    }

    fn start(&mut self, start: &BytesStart<'a>) -> Result<Token<'a>, Kind> {
        if self.root_done {
            return Err(malformed("second root"));
        }
        self.depth = self.depth.saturating_add(1);
        let attributes = if start.attributes_raw().is_empty() { None } else { self.attributes(start)? };
        let full = start.name();
        let full = full.as_ref();
        if full.len() > self.name_bytes {
            return Err(Kind::Limit { what: "name_bytes", value: full.len(), limit: self.name_bytes });
        }
        let (prefix, local) = match full.iter().position(|b| *b == b':') {
            Some(at) => {
                (full.get(..at).unwrap_or_default(), full.get(at.saturating_add(1)..).unwrap_or_default())
            }
            None => (&[][..], full),
        };
        let (namespace, local) = if prefix.is_empty() {
            (Cow::Borrowed(&self.default), full)
        } else {
            match self.lookup(prefix) {
                Some(namespace) => (Cow::Owned(namespace), local),
                // A prefix that nobody declared stays part of the name.
                None => (Cow::Borrowed(&self.default), full),
            }
        };
        let (page, foreign) = match &*namespace {
            Namespace::Page(page) => (*page, None),
            Namespace::Foreign(uri) => (Page::SyncMl, Some(uri)),
        };
        if foreign.is_none()
            && let Some(tag) = Tag::by_name(page, local)
        {
            return Ok(Token::Known(tag, attributes));
        }
        let name = std::str::from_utf8(local).ok().filter(|name| is_xml_name(name));
        let name = name.ok_or_else(|| malformed("tag that is no name"))?;
        Ok(Token::Unknown(Box::new(Element {
            page,
            namespace: foreign.map(|uri| (**uri).into()),
            name: Name::Text(name.into()),
            attributes: attributes.map(|all| *all).unwrap_or_default(),
            children: Vec::new(),
        })))
    }

    /// Takes in `xmlns`, returns the rest. A prefix of a kept attribute is declared beside it.
    fn attributes(&mut self, start: &BytesStart<'a>) -> Result<Attributes, Kind> {
        let mut kept: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
            if count >= self.attributes {
                let value = count.saturating_add(1);
                return Err(Kind::Limit { what: "attributes", value, limit: self.attributes });
            }
            let key = attribute.key.as_ref();
            if key.len() > self.name_bytes {
                return Err(Kind::Limit { what: "name_bytes", value: key.len(), limit: self.name_bytes });
            }
            let value = std::str::from_utf8(&attribute.value)
                .map_err(|_| malformed("attribute that is not UTF-8"))
                .and_then(|raw| {
                    quick_xml::escape::unescape(raw).map_err(|error| malformed(error.to_string()))
                })?;
            if key == b"xmlns" {
                self.declare(&[], &value);
            } else {
                if let Some(prefix) = key.strip_prefix(b"xmlns:") {
                    self.declare(prefix, &value);
                }
                let key = std::str::from_utf8(key).ok().filter(|key| is_xml_name(key));
                let key = key.ok_or_else(|| malformed("attribute that is no name"))?;
                kept.push((key.into(), (*value).into()));
            }
        }
        Ok((!kept.is_empty()).then(|| Box::new(kept)))
    }

    fn declare(&mut self, prefix: &[u8], uri: &str) {
        let namespace = match page_of_namespace(uri) {
            Some(page) => Namespace::Page(page),
            None => Namespace::Foreign(uri.into()),
        };
        if prefix.is_empty() {
            self.default = namespace.clone();
        }
        self.declared.push(Declared { depth: self.depth, prefix: prefix.into(), namespace });
    }

    fn declaration(&self, decl: &BytesDecl<'a>) -> Result<(), Kind> {
        let known =
            |name: &[u8]| name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"us-ascii");
        match decl.encoding() {
            Some(Ok(name)) if !known(&name) => Err(Kind::Unsupported(format!(
                "character set {}",
                String::from_utf8_lossy(&name).escape_debug()
            ))),
            Some(Err(error)) => Err(malformed(error.to_string())),
            _ if self.depth > 0 || self.root_done => Err(malformed("declaration inside the document")),
            _ => Ok(()),
        }
    }
}

/// spec: threats X1: the five named entities and numeric ones.
fn resolve(reference: &BytesRef<'_>) -> Result<Vec<u8>, Kind> {
    let c = match reference.resolve_char_ref() {
        Ok(Some(c)) => Some(c).filter(|c| is_xml_char(*c)),
        Ok(None) => match &**reference {
            b"amp" => Some('&'),
            b"lt" => Some('<'),
            b"gt" => Some('>'),
            b"quot" => Some('"'),
            b"apos" => Some('\''),
            _ => None,
        },
        Err(_) => None,
    };
    c.map(|c| c.to_string().into_bytes()).ok_or_else(|| {
        let name =
            String::from_utf8_lossy(reference.get(..32).unwrap_or(reference)).escape_debug().to_string();
        malformed(format!("entity &{name};"))
    })
}

/// Whether the text looks like a DevInf document.
pub(crate) fn is_devinf(text: &[u8]) -> bool {
    let head = text.get(..512).unwrap_or(text);
    let trimmed = head.trim_ascii_start();
    let starts = |with: &[u8]| trimmed.starts_with(with);
    starts(b"<DevInf") || (starts(b"<?xml") && head.windows(7).any(|w| w == b"<DevInf"))
}
