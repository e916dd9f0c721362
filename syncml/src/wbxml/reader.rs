//! WBXML, token by token.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::primitive::{BadNumber, Doc, doc_of_number, doc_of_text, global, mb_u_int32, nul_terminated};
use crate::codec::token::{Attributes, Quick, Text, Token, Tokenize, Whole};
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::model::{Element, Name, Page};
use crate::quirks::Quirks;
use crate::tables::{ByToken, Tag};
use std::borrow::Cow;
use std::sync::Arc;

/// Reads one document.
#[derive(Debug)]
pub(crate) struct Tokenizer<'a> {
    input: &'a [u8],
    at: usize,
    token_at: usize,
    table: &'a [u8],
    latin1: bool,
    doc: Doc,
    /// What the code page stands for, and its elements by token.
    vocabulary: Page,
    tags: &'static ByToken,
    /// Vocabularies of the open elements.
    open: Vec<Page>,
    /// Foreign namespaces of open elements, with their depths.
    foreign: Vec<(usize, Arc<str>)>,
    pending_end: bool,
    root_done: bool,
    name_bytes: usize,
    attributes: usize,
    /// Octets that string tables may still give, over all documents of the message.
    table_budget: usize,
    quirks: Quirks,
}

/// The fields before the body.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    /// The numeric public id; 0 if it is in words.
    pub(crate) public_id: u32,
    /// The public id in words.
    pub(crate) public_text: Option<&'a [u8]>,
    pub(crate) charset: u32,
    pub(crate) table: &'a [u8],
    /// Where the body starts.
    pub(crate) len: usize,
}

type Kind = DecodeErrorKind;

fn malformed(what: &str) -> Kind {
    Kind::Malformed(what.into())
}

/// Reads the header; on failure also tells where.
pub(crate) fn header(input: &[u8]) -> Result<Header<'_>, (Kind, usize)> {
    let mut at = 0_usize;
    let version = *input.first().ok_or((malformed("empty"), 0))?;
    // spec: WBXML facts §1: emit 1.2, accept 1.1 to 1.3.
    if !(0x01..=0x03).contains(&version) {
        return Err((Kind::Unsupported(format!("WBXML version octet 0x{version:02X}")), 0));
    }
    at = at.saturating_add(1);
    let number = |at: &mut usize| {
        let (value, len) = number_at(input, *at).map_err(|kind| (kind, *at))?;
        *at = at.saturating_add(len);
        Ok(value)
    };
    let public_id = number(&mut at)?;
    let public_index = if public_id == 0 { Some(number(&mut at)?) } else { None };
    let charset = number(&mut at)?;
    let table_at = at;
    let table_len = number(&mut at)? as usize;
    let end = at.checked_add(table_len).ok_or((malformed("string table"), table_at))?;
    let table = input.get(at..end).ok_or((malformed("string table longer than the document"), table_at))?;
    let public_text = match public_index {
        Some(index) => {
            Some(table_text(table, index).ok_or((malformed("public id outside the string table"), 1))?)
        }
        None => None,
    };
    Ok(Header { public_id, public_text, charset, table, len: end })
}

impl Header<'_> {
    /// What the public id names.
    pub(crate) fn doc(&self) -> Option<Doc> {
        match self.public_text {
            Some(text) => doc_of_text(text),
            None => doc_of_number(self.public_id),
        }
    }
}

/// Whether the octets start like a DevInf document.
pub(crate) fn is_devinf(input: &[u8]) -> bool {
    let Ok(header) = header(input) else { return false };
    let root = input.get(header.len).map(|b| b & 0x3F);
    header.doc() == Some(Doc::DevInf)
        && (root == Some(Tag::DevInf.token()) || root == Some(Tag::Property.token()))
}

fn number_at(input: &[u8], at: usize) -> Result<(u32, usize), Kind> {
    mb_u_int32(input.get(at..).unwrap_or_default()).map_err(|bad| match bad {
        BadNumber::TooLarge => malformed("number of more than 32 bits"),
        BadNumber::Truncated => malformed("number cut off"),
    })
}

/// Text of a string table; the last needs no NUL.
fn table_text(table: &[u8], index: u32) -> Option<&[u8]> {
    let rest = table.get(usize::try_from(index).ok()?..)?;
    if rest.is_empty() {
        return None;
    }
    // quirk: Sony Ericsson, the table ends without NUL, WBXML facts §2.
    Some(nul_terminated(rest).unwrap_or(rest))
}

impl<'a> Tokenizer<'a> {
    /// Reads the header of a document. `default` is what it is if its public id does not tell.
    pub(crate) fn new(
        input: &'a [u8],
        default: Doc,
        limits: &Limits,
        quirks: &Quirks,
    ) -> Result<Self, (Kind, usize)> {
        let head = header(input)?;
        // spec: threats W7; MIBenum 106 UTF-8, 3 US-ASCII, 4 ISO-8859-1; 0 and 1 are unknown: UTF-8.
        let latin1 = match head.charset {
            106 | 3 | 0 => false,
            4 => true,
            other => return Err((Kind::Unsupported(format!("character set {other}")), 0)),
        };
        let unterminated = head.table.last().is_some_and(|b| *b != 0);
        if unterminated && !quirks.string_table_without_nul {
            return Err((malformed("string table without its last NUL"), 0));
        }
        let doc = head.doc().unwrap_or(default);
        Ok(Tokenizer {
            input,
            at: head.len,
            token_at: head.len,
            table: head.table,
            latin1,
            doc,
            vocabulary: doc.page(0),
            tags: Tag::all_by_token(doc.page(0)),
            open: Vec::with_capacity(16),
            foreign: Vec::new(),
            pending_end: false,
            root_done: false,
            name_bytes: limits.name_bytes,
            attributes: limits.attributes,
            table_budget: limits.string_table_bytes,
            quirks: quirks.clone(),
        })
    }

    #[inline]
    fn switch(&mut self, code: u8) {
        self.vocabulary = self.doc.page(code);
        self.tags = Tag::all_by_token(self.vocabulary);
    }

    #[inline]
    fn end(&mut self) {
        if !self.foreign.is_empty() {
            self.foreign.pop_if(|(depth, _)| *depth == self.open.len());
        }
        self.open.pop();
        self.root_done = self.open.is_empty();
    }

    fn start(&mut self, octet: u8) -> Result<Token<'a>, Kind> {
        let literal = octet & 0x3F == global::LITERAL;
        let page = self.vocabulary;
        let text = if literal {
            let index = self.number()?;
            Some(self.name(index)?)
        } else {
            None
        };
        let (attributes, declared) =
            if octet & global::HAS_ATTRIBUTES != 0 { self.attributes()? } else { (None, None) };
        self.pending_end = octet & global::HAS_CONTENT == 0;
        let Some(text) = text else {
            // A token says its vocabulary by its page, whatever `xmlns` says.
            self.open.push(page);
            return Ok(match Tag::by_token(page, octet) {
                Some(tag) => Token::Known(tag, attributes),
                None => unknown(page, None, Name::Token(octet & 0x3F), attributes),
            });
        };
        let (page, namespace) = match declared {
            Some(uri) => scope_of(&uri),
            None => self.inherited(),
        };
        let known = if namespace.is_none() { Tag::by_name(page, text.as_bytes()) } else { None };
        let token = match known {
            Some(tag) => Token::Known(tag, attributes),
            None => unknown(page, namespace.as_deref(), Name::Text(text.into()), attributes),
        };
        self.open.push(page);
        if let Some(uri) = namespace {
            self.foreign.push((self.open.len(), uri));
        }
        Ok(token)
    }

    /// What a literal child of the innermost open element belongs to.
    fn inherited(&self) -> (Page, Option<Arc<str>>) {
        let page = self.open.last().copied().unwrap_or(self.doc.page(0));
        let foreign = self.foreign.last().filter(|(depth, _)| *depth == self.open.len());
        (page, foreign.map(|(_, uri)| uri.clone()))
    }

    /// Attributes up to their END: those that are not `xmlns`, and `xmlns`.
    fn attributes(&mut self) -> Result<(Attributes, Option<Box<str>>), Kind> {
        let mut all: Vec<(Box<str>, Box<str>)> = Vec::new();
        let mut current: Option<(Box<str>, Vec<u8>)> = None;
        let mut declared = None;
        let mut count = 0_usize;
        loop {
            let octet = self.octet().ok_or_else(|| malformed("attributes cut off"))?;
            let starts = octet == global::END || (octet < 0x80 && !is_content(octet));
            if starts && let Some((name, value)) = current.take() {
                let value = String::from_utf8(value).map_err(|_| malformed("attribute that is not UTF-8"))?;
                if &*name == "xmlns" {
                    declared = Some(value.into());
                } else if all.iter().any(|(other, _)| *other == name) {
                    return Err(malformed("second attribute of one name"));
                } else {
                    all.push((name, value.into()));
                }
            }
            match octet {
                global::END => {
                    return Ok(((!all.is_empty()).then(|| Box::new(all)), declared));
                }
                _ if starts => {
                    count = count.saturating_add(1);
                    limit("attributes", count, self.attributes)?;
                    let name = if octet == global::LITERAL {
                        let index = self.number()?;
                        self.attribute_name(index)?.into()
                    } else {
                        format!("0x{octet:02X}").into()
                    };
                    current = Some((name, Vec::new()));
                }
                global::STR_I => {
                    let text = self.inline()?;
                    append(&mut current, &self.decoded(text));
                }
                global::STR_T => {
                    let index = self.number()?;
                    let text = self.table_text(index)?;
                    append(&mut current, &self.decoded(text));
                }
                global::OPAQUE => {
                    let len = self.number()? as usize;
                    let bytes = self.take(len).ok_or_else(|| malformed("opaque longer than the document"))?;
                    append(&mut current, bytes);
                }
                global::ENTITY => {
                    let c = self.scalar()?;
                    append(&mut current, c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                other => return Err(Kind::Unsupported(format!("attribute token 0x{other:02X}"))),
            }
        }
    }

    fn attribute_name(&mut self, index: u32) -> Result<&'a str, Kind> {
        // quirk: Nokia, `xmlns` as a literal without any string table, WBXML facts §8.2.
        if index == 0 && self.table.is_empty() && self.quirks.nameless_xmlns {
            return Ok("xmlns");
        }
        let name = self.name(index)?;
        // How attribute tokens are named in the model.
        if super::writer::attribute_token(name).is_some() {
            return Err(malformed("attribute named like a token"));
        }
        Ok(name)
    }

    fn name(&mut self, index: u32) -> Result<&'a str, Kind> {
        let name = self.table_text(index)?;
        limit("name_bytes", name.len(), self.name_bytes)?;
        if name.is_empty() {
            return Err(malformed("empty name"));
        }
        std::str::from_utf8(name).map_err(|_| malformed("name that is not UTF-8"))
    }

    fn table_text(&mut self, index: u32) -> Result<&'a [u8], Kind> {
        let text =
            table_text(self.table, index).ok_or_else(|| malformed("index outside the string table"))?;
        self.table_budget = self.table_budget.checked_sub(text.len()).ok_or(Kind::Limit {
            what: "string_table_bytes",
            value: text.len(),
            limit: self.table_budget,
        })?;
        Ok(text)
    }

    fn entity(&mut self) -> Result<Token<'a>, Kind> {
        let c = self.scalar()?;
        Ok(Token::Text(Text { bytes: Cow::Owned(c.to_string().into_bytes()), opaque: false }))
    }

    fn scalar(&mut self) -> Result<char, Kind> {
        char::from_u32(self.number()?).ok_or_else(|| malformed("entity that is no character"))
    }

    /// Eats an extension token; SyncML gives them no meaning.
    fn extension(&mut self, octet: u8) -> Result<(), Kind> {
        if !self.quirks.extension_tokens {
            return Err(Kind::Unsupported(format!("extension token 0x{octet:02X}")));
        }
        match octet {
            global::EXT_I_0..=global::EXT_I_2 => {
                self.inline()?;
            }
            global::EXT_T_0..=global::EXT_T_2 => {
                self.number()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn decoded(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.latin1 && !text.is_ascii() {
            let text: String = text.iter().map(|b| char::from(*b)).collect();
            Cow::Owned(text.into_bytes())
        } else {
            Cow::Borrowed(text)
        }
    }

    fn inline(&mut self) -> Result<&'a [u8], Kind> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let text = nul_terminated(rest).ok_or_else(|| malformed("string without its NUL"))?;
        self.at = self.at.saturating_add(text.len()).saturating_add(1);
        Ok(text)
    }

    fn number(&mut self) -> Result<u32, Kind> {
        let (value, len) = number_at(self.input, self.at)?;
        self.at = self.at.saturating_add(len);
        Ok(value)
    }

    fn octet(&mut self) -> Option<u8> {
        let octet = *self.input.get(self.at)?;
        self.at = self.at.saturating_add(1);
        Some(octet)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let bytes = self.input.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }
}

impl<'a> Tokenize<'a> for Tokenizer<'a> {
    #[inline]
    fn quick(&mut self) -> Quick {
        if self.pending_end || self.open.is_empty() {
            return Quick::Other;
        }
        loop {
            let Some(octet) = self.input.get(self.at) else { return Quick::Other };
            let quick = match self.tags.get(usize::from(octet & 0x3F)).copied().flatten() {
                Some(tag) if octet & global::HAS_ATTRIBUTES == 0 => {
                    self.pending_end = octet & global::HAS_CONTENT == 0;
                    self.open.push(self.vocabulary);
                    Quick::Start(tag)
                }
                None if *octet == global::END => {
                    self.end();
                    Quick::End
                }
                None if *octet == global::SWITCH_PAGE => {
                    let Some(code) = self.input.get(self.at.saturating_add(1)) else { return Quick::Other };
                    self.switch(*code);
                    self.at = self.at.saturating_add(2);
                    continue;
                }
                _ => return Quick::Other,
            };
            self.token_at = self.at;
            self.at = self.at.saturating_add(1);
            return quick;
        }
    }

    fn next(&mut self) -> Result<Token<'a>, Kind> {
        if self.pending_end {
            self.pending_end = false;
            self.end();
            return Ok(Token::End);
        }
        loop {
            self.token_at = self.at;
            let Some(octet) = self.octet() else {
                return if self.root_done { Ok(Token::Eof) } else { Err(malformed("cut off")) };
            };
            if self.root_done && octet != global::PI {
                // quirk: trailing octets, WBXML facts §8.5.
                return if self.quirks.trailing_bytes {
                    Ok(Token::Eof)
                } else {
                    Err(malformed("octets after the end"))
                };
            }
            if !is_global(octet) {
                return self.start(octet);
            }
            // spec: threats W5.
            if is_content(octet) && self.open.is_empty() {
                return Err(malformed("content outside any element"));
            }
            match octet {
                global::SWITCH_PAGE => {
                    let code = self.octet().ok_or_else(|| malformed("cut off"))?;
                    self.switch(code);
                }
                global::END => {
                    self.end();
                    return Ok(Token::End);
                }
                global::ENTITY => return self.entity(),
                global::STR_I => {
                    let text = self.inline()?;
                    return Ok(Token::Text(Text { bytes: self.decoded(text), opaque: false }));
                }
                global::STR_T => {
                    let index = self.number()?;
                    let text = self.table_text(index)?;
                    return Ok(Token::Text(Text { bytes: self.decoded(text), opaque: false }));
                }
                global::OPAQUE => {
                    let len = self.number()? as usize;
                    let bytes = self.take(len).ok_or_else(|| malformed("opaque longer than the document"))?;
                    return Ok(Token::Text(Text { bytes: Cow::Borrowed(bytes), opaque: true }));
                }
                global::PI => {
                    self.attributes()?;
                }
                _ if is_extension(octet) => self.extension(octet)?,
                _ => return self.start(octet),
            }
        }
    }

    #[inline]
    fn whole_text(&mut self) -> Option<Whole<'a>> {
        if self.pending_end || self.latin1 {
            return None;
        }
        let (kind, rest) = self.input.get(self.at..)?.split_first()?;
        let (bytes, opaque, from) = match *kind {
            global::STR_I => (nul_terminated(rest)?, false, 1_usize),
            global::OPAQUE => {
                let (len, len_len) = mb_u_int32(rest).ok()?;
                let rest = rest.get(len_len..)?;
                (rest.get(..usize::try_from(len).ok()?)?, true, len_len.saturating_add(1))
            }
            _ => return None,
        };
        // A NUL ends the text.
        let end =
            self.at.saturating_add(from).saturating_add(bytes.len()).saturating_add(usize::from(!opaque));
        if *self.input.get(end)? != global::END {
            return None;
        }
        self.token_at = end;
        self.at = end.saturating_add(1);
        self.end();
        Some(Whole { bytes, opaque })
    }

    fn table_budget(&mut self) -> &mut usize {
        &mut self.table_budget
    }

    fn offset(&self) -> usize {
        self.token_at
    }
}

fn append(current: &mut Option<(Box<str>, Vec<u8>)>, bytes: &[u8]) {
    if let Some((_, value)) = current {
        value.extend_from_slice(bytes);
    }
}

fn unknown<'a>(page: Page, namespace: Option<&str>, name: Name, attributes: Attributes) -> Token<'a> {
    Token::Unknown(Box::new(Element {
        page,
        namespace: namespace.map(Into::into),
        name,
        attributes: attributes.map(|all| *all).unwrap_or_default(),
        children: Vec::new(),
    }))
}

fn scope_of(uri: &str) -> (Page, Option<Arc<str>>) {
    match crate::codec::token::page_of_namespace(uri) {
        Some(page) => (page, None),
        None => (Page::SyncMl, Some(uri.into())),
    }
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<(), Kind> {
    if value > limit { Err(Kind::Limit { what, value, limit }) } else { Ok(()) }
}

fn is_extension(octet: u8) -> bool {
    matches!(
        octet,
        global::EXT_I_0..=global::EXT_I_2 | global::EXT_T_0..=global::EXT_T_2 | global::EXT_0..=global::EXT_2
    )
}

/// Tokens that are no start tag, literals apart.
fn is_global(octet: u8) -> bool {
    octet & 0x3F < global::LITERAL
}

/// Global tokens that stand inside an element.
fn is_content(octet: u8) -> bool {
    matches!(
        octet,
        global::SWITCH_PAGE | global::END | global::ENTITY | global::STR_I | global::STR_T | global::OPAQUE
    ) || is_extension(octet)
}
