//! WBXML shown token by token: offset, octets, meaning.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::primitive::{BadNumber, Doc, global, mb_u_int32, nul_terminated};
use super::reader::{Header, header, is_devinf};
use crate::names;
use crate::tables::Tag;
use std::fmt::Write as _;

/// Annotates a WBXML document, one token a line; a document inside an opaque follows where it stands.
///
/// What is wrong ends the listing with a line `error: ...`.
pub fn tokens(octets: &[u8]) -> String {
    let mut listing = String::new();
    // What remains of outer documents while an inner one is listed.
    let mut documents = vec![Lister::default()];
    let mut starting = true;
    while let Some(lister) = documents.last_mut() {
        if starting {
            if let Err(error) = lister.start(octets, &mut listing) {
                let _ = writeln!(listing, "error: {error} at byte {}", lister.base);
                return listing;
            }
            starting = false;
        }
        match lister.step(octets, &mut listing) {
            Ok(Step::More) => {}
            Ok(Step::Ended) => {
                documents.pop();
            }
            Ok(Step::Inner { base, len }) => {
                let depth = lister.depth.saturating_add(1);
                documents.push(Lister {
                    base,
                    end: Some(base.saturating_add(len)),
                    depth,
                    ..Lister::default()
                });
                starting = true;
            }
            Err(error) => {
                let _ = writeln!(listing, "error: {error} at byte {}", lister.at);
                return listing;
            }
        }
    }
    listing
}

enum Step {
    More,
    Ended,
    /// A document lies here.
    Inner {
        base: usize,
        len: usize,
    },
}

/// One document being listed.
#[derive(Default)]
struct Lister {
    base: usize,
    end: Option<usize>,
    at: usize,
    page: u8,
    doc: Option<Doc>,
    table: std::ops::Range<usize>,
    /// Indentation of the whole document.
    depth: usize,
    open: Vec<String>,
    in_attributes: bool,
    /// A start tag has been listed.
    rooted: bool,
}

type Result<T> = std::result::Result<T, String>;

impl Lister {
    fn input<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        octets.get(..self.end.unwrap_or(octets.len())).unwrap_or(octets)
    }

    /// Lists the header.
    fn start(&mut self, octets: &[u8], listing: &mut String) -> Result<()> {
        let input = self.input(octets).get(self.base..).unwrap_or_default();
        let head: Header<'_> = header(input).map_err(|(kind, _)| kind.to_string())?;
        let id = match head.public_text {
            Some(text) => format!("public id {}", text.escape_ascii()),
            None => {
                let name = names::public_id(head.public_id).unwrap_or("not known");
                format!("public id 0x{:04X} {name}", head.public_id)
            }
        };
        let charset = names::charset(head.charset).unwrap_or("not known");
        let version = input.first().copied().unwrap_or_default();
        let (major, minor) = ((version >> 4).saturating_add(1), version & 0x0F);
        let what = format!("WBXML {major}.{minor}, {id}, {charset}, string table of {}", head.table.len());
        let len = head.len.saturating_sub(head.table.len());
        self.line(listing, self.base, input.get(..len).unwrap_or_default(), &what);
        self.at = self.base.saturating_add(head.len);
        self.table = self.at.saturating_sub(head.table.len())..self.at;
        if !head.table.is_empty() {
            let what = format!("string table \"{}\"", head.table.escape_ascii());
            self.line(listing, self.table.start, head.table, &what);
        }
        self.doc = Some(head.doc().unwrap_or(if self.depth == 0 { Doc::SyncMl } else { Doc::DevInf }));
        Ok(())
    }

    /// Lists one token.
    fn step(&mut self, octets: &[u8], listing: &mut String) -> Result<Step> {
        let input = self.input(octets);
        let from = self.at;
        let Some(octet) = input.get(from).copied() else {
            return if self.open.is_empty() && self.rooted { Ok(Step::Ended) } else { Err("cut off".into()) };
        };
        self.at = from.saturating_add(1);
        let mut inner = None;
        let mut opened = None;
        let what = match octet {
            global::SWITCH_PAGE => {
                let page = self.octet(input)?;
                if !self.in_attributes {
                    self.page = page;
                }
                format!("SWITCH_PAGE {page}")
            }
            global::END if self.in_attributes => {
                self.in_attributes = false;
                "END of attributes".into()
            }
            global::END => match self.open.pop() {
                Some(name) => format!("END {name}"),
                None => return Err("END without an open element".into()),
            },
            global::ENTITY => format!("ENTITY U+{:04X}", self.number(input)?),
            global::STR_I => {
                let rest = input.get(self.at..).unwrap_or_default();
                let text = nul_terminated(rest).ok_or("string without its NUL")?;
                self.at = self.at.saturating_add(text.len()).saturating_add(1);
                format!("STR_I \"{}\"", String::from_utf8_lossy(text).escape_debug())
            }
            global::STR_T => {
                let index = self.number(input)?;
                format!("STR_T {index} \"{}\"", self.table_text(input, index)?)
            }
            global::OPAQUE => {
                let len = self.number(input)? as usize;
                let start = self.at;
                let end = start.checked_add(len).filter(|end| *end <= input.len());
                let end = end.ok_or_else(|| format!("opaque of {len} octets, longer than the document"))?;
                let bytes = input.get(start..end).unwrap_or_default();
                self.at = end;
                if is_devinf(bytes) && self.depth == 0 {
                    inner = Some((start, len));
                    format!("OPAQUE {len}: a DevInf document")
                } else {
                    format!("OPAQUE {len} \"{}\"", bytes.escape_ascii())
                }
            }
            _ if self.in_attributes => match octet {
                global::LITERAL => {
                    let index = self.number(input)?;
                    format!(
                        "attribute LITERAL {index} \"{}\"",
                        self.table_text(input, index).unwrap_or_default()
                    )
                }
                _ => format!("attribute token 0x{octet:02X}"),
            },
            global::PI => {
                self.in_attributes = true;
                "PI".into()
            }
            global::EXT_I_0..=global::EXT_I_2 => {
                let rest = input.get(self.at..).unwrap_or_default();
                let text = nul_terminated(rest).ok_or("string without its NUL")?;
                self.at = self.at.saturating_add(text.len()).saturating_add(1);
                format!("EXT_I \"{}\"", text.escape_ascii())
            }
            global::EXT_T_0..=global::EXT_T_2 => format!("EXT_T {}", self.number(input)?),
            global::EXT_0..=global::EXT_2 => "EXT".into(),
            _ => {
                let name = self.name(input, octet)?;
                let attributes = octet & global::HAS_ATTRIBUTES != 0;
                self.in_attributes = attributes;
                self.rooted = true;
                if octet & global::HAS_CONTENT != 0 {
                    opened = Some(name.clone());
                    format!("<{name}>{}", if attributes { " with attributes" } else { "" })
                } else {
                    format!("<{name}/>{}", if attributes { " with attributes" } else { "" })
                }
            }
        };
        let shown_to = inner.map_or(self.at, |(start, _)| start);
        self.line(listing, from, input.get(from..shown_to).unwrap_or_default(), &what);
        self.open.extend(opened);
        if self.open.len() > crate::Limits::DEPTH_CEILING {
            return Err("too deep".into());
        }
        Ok(inner.map_or(Step::More, |(base, len)| Step::Inner { base, len }))
    }

    fn name(&mut self, input: &[u8], octet: u8) -> Result<String> {
        if octet & 0x3F == global::LITERAL {
            let index = self.number(input)?;
            return Ok(format!("LITERAL {index} {}", self.table_text(input, index)?));
        }
        let page = self.doc.unwrap_or(Doc::SyncMl).page(self.page);
        Ok(Tag::by_token(page, octet).map_or_else(
            || format!("token 0x{:02X} of page {}", octet & 0x3F, self.page),
            |tag| tag.name().into(),
        ))
    }

    fn table_text(&self, input: &[u8], index: u32) -> Result<String> {
        let table = input.get(self.table.clone()).unwrap_or_default();
        let rest = table.get(index as usize..).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or("index outside the string table")?;
        let text = rest.split(|octet| *octet == 0).next().unwrap_or_default();
        Ok(text.iter().take(128).copied().collect::<Vec<u8>>().escape_ascii().to_string())
    }

    fn number(&mut self, input: &[u8]) -> Result<u32> {
        let rest = input.get(self.at..).unwrap_or_default();
        match mb_u_int32(rest) {
            Ok((value, len)) => {
                self.at = self.at.saturating_add(len);
                Ok(value)
            }
            Err(BadNumber::TooLarge) => Err("number of more than 32 bits".into()),
            Err(BadNumber::Truncated) => Err("number cut off".into()),
        }
    }

    fn octet(&mut self, input: &[u8]) -> Result<u8> {
        let octet = input.get(self.at).copied().ok_or("cut off")?;
        self.at = self.at.saturating_add(1);
        Ok(octet)
    }

    fn line(&self, listing: &mut String, offset: usize, octets: &[u8], what: &str) {
        let mut hex: String = octets.iter().take(8).map(|octet| format!("{octet:02X} ")).collect();
        if octets.len() > 8 {
            hex.push_str("..");
        }
        let indent = self.depth.saturating_add(self.open.len()).saturating_mul(2);
        let _ = writeln!(listing, "{offset:>6}  {hex:<26}  {:indent$}{what}", "");
    }
}
