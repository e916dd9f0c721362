//! XML, token by token, over raw markup.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::chars::{is_xml_char, is_xml_name};
use super::scan::{self, Markup, Scanner};
use crate::codec::token::{Attributes, Quick, Text, Token, Tokenize, Whole, is_blank, page_of_namespace};
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::model::{Element, Name, Page};
use crate::quirks::Quirks;
use crate::tables::Tag;
use std::borrow::Cow;
use std::sync::Arc;

/// Reads one document.
pub(crate) struct Tokenizer<'a> {
    scanner: Scanner<'a>,
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
    /// Octets that string tables may still give; XML has none.
    table_budget: usize,
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
            scanner: Scanner::new(input),
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
            table_budget: limits.string_table_bytes,
        })
    }

    #[inline]
    fn end(&mut self) {
        if self.declared.last().is_some_and(|d| d.depth == self.depth) {
            self.end_scope();
        }
        self.depth = self.depth.saturating_sub(1);
        self.root_done = self.depth == 0;
    }

    /// Forgets what the innermost element declared.
    fn end_scope(&mut self) {
        let mut changed = false;
        while self.declared.last().is_some_and(|d| d.depth == self.depth) {
            changed |= self.declared.pop().is_some_and(|d| d.prefix.is_empty());
        }
        if changed {
            self.default = self.lookup(b"").unwrap_or_else(|| self.outermost.clone());
        }
    }

    fn lookup(&self, prefix: &[u8]) -> Option<Namespace> {
        self.declared.iter().rev().find(|d| *d.prefix == *prefix).map(|d| d.namespace.clone())
    }

    fn start(&mut self, full: &'a [u8], attributes: &'a [u8]) -> Result<Token<'a>, Kind> {
        if self.root_done {
            return Err(malformed("second root"));
        }
        self.depth = self.depth.saturating_add(1);
        let attributes = match sole_namespace(attributes) {
            _ if attributes.is_empty() => None,
            Some(uri) if self.attributes > 0 && self.name_bytes >= b"xmlns".len() => {
                self.declare(&[], uri);
                None
            }
            _ => self.attributes(attributes)?,
        };
        // No element of the tables has a colon in its name.
        if let Namespace::Page(page) = self.default
            && let Some(tag) = Tag::by_name(page, full)
        {
            return Ok(Token::Known(tag, attributes));
        }
        self.other(full, attributes)
    }

    /// An element with a prefix, or one that the tables do not know.
    fn other(&self, full: &[u8], attributes: Attributes) -> Result<Token<'a>, Kind> {
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
    fn attributes(&mut self, tag: &'a [u8]) -> Result<Attributes, Kind> {
        let mut kept: Vec<(Box<str>, Box<str>)> = Vec::new();
        let mut keys: Vec<&[u8]> = Vec::new();
        let mut attributes = scan::Attributes(tag);
        while let Some((key, raw)) = attributes.next().map_err(malformed)? {
            if keys.len() >= self.attributes {
                let value = keys.len().saturating_add(1);
                return Err(Kind::Limit { what: "attributes", value, limit: self.attributes });
            }
            if key.len() > self.name_bytes {
                return Err(Kind::Limit { what: "name_bytes", value: key.len(), limit: self.name_bytes });
            }
            if keys.contains(&key) {
                return Err(malformed("second attribute of one name"));
            }
            keys.push(key);
            let value = unescaped(raw)?;
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

    fn declaration(&self, text: &[u8]) -> Result<(), Kind> {
        let mut attributes = scan::Attributes(text);
        while let Some((key, name)) = attributes.next().map_err(malformed)? {
            if key != b"encoding" {
                continue;
            }
            let known = name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"us-ascii");
            if known {
                break;
            }
            let name = String::from_utf8_lossy(name.get(..32).unwrap_or(name)).escape_debug().to_string();
            return Err(Kind::Unsupported(format!("character set {name}")));
        }
        if self.depth > 0 || self.root_done {
            return Err(malformed("declaration inside the document"));
        }
        Ok(())
    }
}

impl<'a> Tokenize<'a> for Tokenizer<'a> {
    #[inline]
    fn quick(&mut self) -> Quick {
        let Namespace::Page(page) = self.default else { return Quick::Other };
        if self.pending_end || self.depth == 0 {
            return Quick::Other;
        }
        self.offset = self.scanner.offset();
        // No element of the tables has a colon in its name.
        if let Some(tag) = self.scanner.plain_start(|name| Tag::by_name(page, name)) {
            self.depth = self.depth.saturating_add(1);
            return Quick::Start(tag);
        }
        if self.scanner.plain_end() {
            self.end();
            return Quick::End;
        }
        Quick::Other
    }

    fn next(&mut self) -> Result<Token<'a>, Kind> {
        if self.pending_end {
            self.pending_end = false;
            self.end();
            return Ok(Token::End);
        }
        loop {
            self.offset = self.scanner.offset();
            if self.root_done && self.trailing_bytes {
                return Ok(Token::Eof);
            }
            match self.scanner.next().map_err(malformed)? {
                Markup::Start { name, attributes, is_empty } => {
                    self.pending_end = is_empty;
                    return self.start(name, attributes);
                }
                Markup::End => {
                    self.end();
                    return Ok(Token::End);
                }
                Markup::Text(text) if self.depth > 0 => return Ok(token(Cow::Borrowed(text))),
                Markup::Text(text) => {
                    if !is_blank(text) {
                        return Err(malformed("text outside the root"));
                    }
                }
                Markup::CData(_) | Markup::Reference(_) if self.depth == 0 => {
                    return Err(malformed("text outside the root"));
                }
                Markup::CData(text) => return Ok(token(Cow::Borrowed(text))),
                Markup::Reference(name) => {
                    let mut octets = [0; 4];
                    return Ok(token(Cow::Owned(
                        resolve(name)?.encode_utf8(&mut octets).as_bytes().to_vec(),
                    )));
                }
                Markup::Declaration(text) => self.declaration(text)?,
                // spec: threats X1; one with an internal subset is refused by the scanner.
                Markup::DocType if self.depth > 0 || self.root_done => {
                    return Err(malformed("document type inside the document"));
                }
                Markup::DocType | Markup::Aside => {}
                Markup::Eof if self.root_done => return Ok(Token::Eof),
                Markup::Eof => return Err(malformed("cut off")),
            }
        }
    }

    #[inline]
    fn whole_text(&mut self) -> Option<Whole<'a>> {
        if self.pending_end {
            return None;
        }
        let (text, end_at) = self.scanner.whole_text()?;
        self.offset = end_at;
        self.end();
        Some(Whole { bytes: text, opaque: false })
    }

    fn table_budget(&mut self) -> &mut usize {
        &mut self.table_budget
    }

    fn offset(&self) -> usize {
        self.offset
    }
}

fn token(bytes: Cow<'_, [u8]>) -> Token<'_> {
    Token::Text(Text { bytes, opaque: false })
}

/// The namespace, where a tag has just ` xmlns="..."` after its name.
fn sole_namespace(attributes: &[u8]) -> Option<&str> {
    let (quote, rest) = attributes.strip_prefix(b" xmlns=")?.split_first()?;
    let (last, uri) = rest.split_last()?;
    let is_quote = matches!(quote, b'"' | b'\'') && last == quote;
    let is_plain = is_quote && memchr::memchr2(*quote, b'&', uri).is_none();
    std::str::from_utf8(uri).ok().filter(|_| is_plain)
}

/// What stands between `&` and `;`. spec: threats X1: the five named entities and numeric ones.
fn resolve(name: &[u8]) -> Result<char, Kind> {
    let number = |digits: &[u8], radix| {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).filter(|c| is_xml_char(*c))
    };
    let c = match name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        [b'#', b'x', digits @ ..] => number(digits, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => None,
    };
    c.ok_or_else(|| {
        let name = String::from_utf8_lossy(name.get(..32).unwrap_or(name)).escape_debug().to_string();
        malformed(format!("entity &{name};"))
    })
}

/// The text of an attribute.
fn unescaped(raw: &[u8]) -> Result<Cow<'_, str>, Kind> {
    let raw = std::str::from_utf8(raw).map_err(|_| malformed("attribute that is not UTF-8"))?;
    let Some((mut text, mut rest)) = raw.split_once('&').map(|(text, rest)| (text.to_owned(), rest)) else {
        return Ok(Cow::Borrowed(raw));
    };
    loop {
        let (name, after) = rest.split_once(';').ok_or_else(|| malformed("reference without its `;`"))?;
        text.push(resolve(name.as_bytes())?);
        match after.split_once('&') {
            Some((plain, next)) => {
                text.push_str(plain);
                rest = next;
            }
            None => {
                text.push_str(after);
                return Ok(Cow::Owned(text));
            }
        }
    }
}

/// Whether the text looks like a DevInf document.
pub(crate) fn is_devinf(text: &[u8]) -> bool {
    let head = text.get(..512).unwrap_or(text);
    let trimmed = head.trim_ascii_start();
    let starts = |with: &[u8]| trimmed.starts_with(with);
    starts(b"<DevInf") || (starts(b"<?xml") && head.windows(7).any(|w| w == b"<DevInf"))
}
