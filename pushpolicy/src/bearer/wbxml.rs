//! The little of WBXML that SI, SL and EMN need: one code page, a few elements, attributes.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::error::DecodeError;
use std::borrow::Cow;

const MAX_DEPTH: usize = 8;
const MAX_ELEMENTS: usize = 64;
const MAX_ATTRIBUTES: usize = 16;
/// Octets that strings may come to in one document, string table references included.
const MAX_TEXT: usize = 64 * 1024;

const END: u8 = 0x01;
const ENTITY: u8 = 0x02;
const STR_I: u8 = 0x03;
const STR_T: u8 = 0x83;
const OPAQUE: u8 = 0xC3;
const UTF_8: u32 = 0x6A;

/// What an attribute start or value token stands for.
pub(crate) struct Tokens {
    pub(crate) format: &'static str,
    /// Tag names.
    pub(crate) tags: &'static [(u8, &'static str)],
    /// Attribute starts: name and the beginning of the value.
    pub(crate) starts: &'static [(u8, &'static str, &'static str)],
    /// Attribute values.
    pub(crate) values: &'static [(u8, &'static str)],
}

/// An element, flat: its depth tells where it belongs.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: &'static str,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) enum Value {
    Text(String),
    Opaque(usize, Vec<u8>),
}

impl Element {
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| *n == name).and_then(|(_, v)| match v {
            Value::Text(t) => Some(t.as_str()),
            Value::Opaque(..) => None,
        })
    }

    pub(crate) fn date_of(
        &self,
        format: &'static str,
        name: &str,
    ) -> Result<Option<super::date::UtcTime>, DecodeError> {
        match self.attributes.iter().find(|(n, _)| *n == name) {
            Some((_, Value::Opaque(at, bytes))) => {
                super::date::UtcTime::from_bcd(format, *at, bytes).map(Some)
            }
            Some((_, Value::Text(t))) => {
                let bad = || DecodeError::malformed(format, 0, "date");
                super::date::UtcTime::parse(t).map(Some).ok_or_else(bad)
            }
            None => Ok(None),
        }
    }
}

/// Header of what we write: version 1.2, public id, UTF-8, no string table.
pub(crate) fn header(public_id: u8) -> Vec<u8> {
    vec![0x02, public_id, 0x6A, 0x00]
}

pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    if !text.is_empty() {
        out.push(STR_I);
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    }
}

pub(crate) fn write_date(out: &mut Vec<u8>, start: u8, date: super::date::UtcTime) {
    let bcd = date.to_bcd();
    out.extend_from_slice(&[start, OPAQUE, u8::try_from(bcd.len()).unwrap_or(7)]);
    out.extend_from_slice(&bcd);
}

impl Tokens {
    /// Writes attribute `name`, its value shortened by the longest start and by value tokens.
    pub(crate) fn write(&self, out: &mut Vec<u8>, name: &str, value: &str) {
        let fitting = self.starts.iter().filter(|(_, n, prefix)| *n == name && value.starts_with(prefix));
        let Some((token, _, prefix)) = fitting.max_by_key(|(_, _, prefix)| prefix.len()) else { return };
        out.push(*token);
        let mut rest = value.get(prefix.len()..).unwrap_or("");
        while !rest.is_empty() {
            let next = self.values.iter().filter_map(|(t, v)| Some((rest.find(v)?, *t, *v))).min();
            let Some((at, token, v)) = next else { break };
            write_string(out, rest.get(..at).unwrap_or(""));
            out.push(token);
            rest = rest.get(at.saturating_add(v.len())..).unwrap_or("");
        }
        write_string(out, rest);
    }

    /// Reads a document of this kind, whose public id must be one of `public_ids`; 0 means that a table says it.
    pub(crate) fn read(&self, public_ids: &[u32], wire: &[u8]) -> Result<Vec<Element>, DecodeError> {
        let mut r = Reader { format: self.format, wire, at: 0, table: &[], text: 0 };
        let version = r.octet()?;
        if !(1..=3).contains(&version) {
            return Err(DecodeError::unsupported(self.format, 0, format!("WBXML version {version:#04x}")));
        }
        let public_id = r.number()?;
        if !public_ids.contains(&public_id) {
            return Err(DecodeError::unsupported(self.format, 1, format!("public id {public_id:#x}")));
        }
        let at = r.at;
        let charset = r.number()?;
        // threat: W7 (US-ASCII is UTF-8; nothing else is guessed)
        if charset != UTF_8 && charset != 3 {
            return Err(DecodeError::unsupported(self.format, at, format!("charset {charset}")));
        }
        let length = r.number()? as usize;
        r.table = r.take(length)?;
        self.elements(&mut r)
    }

    fn elements(&self, r: &mut Reader<'_>) -> Result<Vec<Element>, DecodeError> {
        let mut elements: Vec<Element> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        loop {
            let at = r.at;
            let token = r.octet()?;
            match token {
                END => {
                    if open.pop().is_none() {
                        return Err(DecodeError::malformed(self.format, at, "end without an element"));
                    }
                }
                ENTITY | STR_I | STR_T | OPAQUE => {
                    let text = match token {
                        OPAQUE => Cow::Owned(String::from_utf8_lossy(r.opaque()?).into_owned()),
                        _ => r.string(token)?,
                    };
                    match open.last().and_then(|i| elements.get_mut(*i)) {
                        Some(e) => e.text.push_str(&text),
                        None => {
                            return Err(DecodeError::malformed(self.format, at, "text without an element"));
                        }
                    }
                }
                0x05..=0x3F | 0x45..=0x7F | 0x85..=0xBF | 0xC5..=0xFF => {
                    if elements.len() >= MAX_ELEMENTS {
                        let (n, max) = (MAX_ELEMENTS.saturating_add(1), MAX_ELEMENTS);
                        return Err(DecodeError::limit(self.format, at, "elements", n, max));
                    }
                    if open.len() >= MAX_DEPTH {
                        return Err(DecodeError::limit(
                            self.format,
                            at,
                            "depth",
                            MAX_DEPTH.saturating_add(1),
                            MAX_DEPTH,
                        ));
                    }
                    let known = self.tags.iter().find(|(t, _)| *t == token & 0x3F).map_or("", |(_, n)| *n);
                    let attributes = if token & 0x80 != 0 { self.attributes(r)? } else { Vec::new() };
                    if token & 0x40 != 0 {
                        open.push(elements.len());
                    }
                    elements.push(Element { name: known, attributes, text: String::new() });
                }
                other => {
                    return Err(DecodeError::unsupported(self.format, at, format!("token {other:#04x}")));
                }
            }
            if open.is_empty() {
                break;
            }
        }
        if r.at < r.wire.len() {
            return Err(DecodeError::malformed(self.format, r.at, "octets after the document"));
        }
        Ok(elements)
    }

    fn attributes(&self, r: &mut Reader<'_>) -> Result<Vec<(&'static str, Value)>, DecodeError> {
        let mut all: Vec<(&'static str, Value)> = Vec::new();
        loop {
            let at = r.at;
            let token = r.octet()?;
            let part: Cow<'_, str> = match token {
                END => return Ok(all),
                ENTITY | STR_I | STR_T => r.string(token)?,
                OPAQUE => {
                    let bytes = r.opaque()?.to_vec();
                    match all.last_mut() {
                        Some((_, v)) => *v = Value::Opaque(at, bytes),
                        None => {
                            return Err(DecodeError::malformed(
                                self.format,
                                at,
                                "value without an attribute",
                            ));
                        }
                    }
                    continue;
                }
                0x85..=0xBF => match self.values.iter().find(|(t, _)| *t == token) {
                    Some((_, v)) => Cow::Borrowed(*v),
                    None => {
                        return Err(DecodeError::unsupported(
                            self.format,
                            at,
                            format!("value token {token:#04x}"),
                        ));
                    }
                },
                0x05..=0x3F => {
                    if all.len() >= MAX_ATTRIBUTES {
                        let (n, max) = (MAX_ATTRIBUTES.saturating_add(1), MAX_ATTRIBUTES);
                        return Err(DecodeError::limit(self.format, at, "attributes", n, max));
                    }
                    // An attribute that is not known is kept without a name, so that its value has a home.
                    let start = self.starts.iter().find(|(t, ..)| *t == token);
                    let (name, prefix) = start.map_or(("", ""), |(_, n, p)| (*n, *p));
                    if !name.is_empty() && all.iter().any(|(n, _)| *n == name) {
                        return Err(DecodeError::violation(self.format, at, format!("{name} twice")));
                    }
                    all.push((name, Value::Text(prefix.to_owned())));
                    continue;
                }
                other => {
                    return Err(DecodeError::unsupported(self.format, at, format!("token {other:#04x}")));
                }
            };
            match all.last_mut() {
                Some((_, Value::Text(t))) => t.push_str(&part),
                Some((_, Value::Opaque(..))) => {
                    return Err(DecodeError::malformed(self.format, at, "text after opaque data"));
                }
                None => return Err(DecodeError::malformed(self.format, at, "value without an attribute")),
            }
        }
    }
}

struct Reader<'a> {
    format: &'static str,
    wire: &'a [u8],
    at: usize,
    table: &'a [u8],
    text: usize,
}

impl<'a> Reader<'a> {
    fn octet(&mut self) -> Result<u8, DecodeError> {
        let octet = self.wire.get(self.at).copied().ok_or(DecodeError::incomplete(self.format, self.at))?;
        self.at = self.at.saturating_add(1);
        Ok(octet)
    }

    // threat: W2
    fn number(&mut self) -> Result<u32, DecodeError> {
        let start = self.at;
        let mut n: u32 = 0;
        for _ in 0..5 {
            let octet = self.octet()?;
            if n >> 25 != 0 {
                break;
            }
            n = n << 7 | u32::from(octet & 0x7F);
            if octet < 0x80 {
                return Ok(n);
            }
        }
        Err(DecodeError::malformed(self.format, start, "mb_u_int32 over 32 bits"))
    }

    // threat: W3
    fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let start = self.at;
        let end = start.checked_add(n).ok_or(DecodeError::incomplete(self.format, start))?;
        let slice = self.wire.get(start..end).ok_or(DecodeError::incomplete(self.format, start))?;
        self.at = end;
        Ok(slice)
    }

    fn opaque(&mut self) -> Result<&'a [u8], DecodeError> {
        let n = self.number()? as usize;
        let at = self.at;
        self.count(n, at)?;
        self.take(n)
    }

    fn string(&mut self, token: u8) -> Result<Cow<'a, str>, DecodeError> {
        let at = self.at;
        match token {
            ENTITY => {
                let n = self.number()?;
                let c = char::from_u32(n).filter(|c| !c.is_control());
                let c = c.ok_or_else(|| DecodeError::malformed(self.format, at, "entity"))?;
                Ok(Cow::Owned(c.to_string()))
            }
            // threat: W4 (index and terminator inside the table; what is reached is counted)
            STR_T => {
                let index = self.number()? as usize;
                let rest = self
                    .table
                    .get(index..)
                    .ok_or_else(|| DecodeError::malformed(self.format, at, "string table index"))?;
                self.terminated(at, rest)
            }
            _ => {
                let rest = self.wire.get(self.at..).unwrap_or_default();
                let text = self.terminated(at, rest)?;
                self.at = self.at.saturating_add(text.len()).saturating_add(1);
                Ok(text)
            }
        }
    }

    fn terminated(&mut self, at: usize, rest: &'a [u8]) -> Result<Cow<'a, str>, DecodeError> {
        let n = rest.iter().position(|b| *b == 0).ok_or(DecodeError::incomplete(self.format, at))?;
        self.count(n, at)?;
        let text = std::str::from_utf8(rest.get(..n).unwrap_or_default());
        text.map(Cow::Borrowed).map_err(|_| DecodeError::malformed(self.format, at, "text is not UTF-8"))
    }

    fn count(&mut self, n: usize, at: usize) -> Result<(), DecodeError> {
        self.text = self.text.saturating_add(n);
        if self.text > MAX_TEXT {
            return Err(DecodeError::limit(self.format, at, "octets of text", self.text, MAX_TEXT));
        }
        Ok(())
    }
}
