//! The little of XML that PAP and MM7 need: a small tree, by local names, nothing fetched, nothing expanded.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::error::DecodeError;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

const MAX_BYTES: usize = 256 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_ELEMENTS: usize = 2_048;
const MAX_ATTRIBUTES: usize = 16;

/// An element. Children are places in [`Document::elements`].
#[derive(Debug, Default)]
pub(crate) struct Element {
    /// Local name.
    pub(crate) name: String,
    /// Namespace that its `xmlns` states, if it does.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) children: Vec<usize>,
    pub(crate) offset: usize,
}

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) elements: Vec<Element>,
}

/// What may stand before the root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doctype {
    /// Nothing.
    Refused,
    /// A bare one; PAP 2 has a processing instruction in it, nothing else is let in.
    Bare,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| local(n) == name).map(|(_, v)| v.as_str())
    }
}

impl Document {
    pub(crate) fn root(&self) -> Option<&Element> {
        self.elements.first()
    }

    pub(crate) fn children<'d>(&'d self, of: &'d Element) -> impl Iterator<Item = &'d Element> {
        of.children.iter().filter_map(|i| self.elements.get(*i))
    }

    pub(crate) fn child<'d>(&'d self, of: &'d Element, name: &str) -> Option<&'d Element> {
        self.children(of).find(|e| e.name == name)
    }

    /// Text of the element of that name, wherever it is.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.elements.iter().find(|e| e.name == name).map(|e| e.text.trim())
    }
}

pub(crate) fn read(format: &'static str, xml: &[u8], doctype: Doctype) -> Result<Document, DecodeError> {
    if xml.len() > MAX_BYTES {
        return Err(DecodeError::limit(format, 0, "octets of XML", xml.len(), MAX_BYTES));
    }
    let text =
        std::str::from_utf8(xml).map_err(|e| DecodeError::malformed(format, e.valid_up_to(), "not UTF-8"))?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut closed = false;
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = reader.read_event().map_err(|e| DecodeError::malformed(format, at, e.to_string()))?;
        let text = match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                if closed {
                    return Err(DecodeError::malformed(format, at, "a second root"));
                }
                if elements.len() >= MAX_ELEMENTS {
                    return Err(DecodeError::limit(format, at, "elements", elements.len(), MAX_ELEMENTS));
                }
                if open.len() >= MAX_DEPTH {
                    return Err(DecodeError::limit(format, at, "depth", open.len(), MAX_DEPTH));
                }
                let place = elements.len();
                elements.push(element(format, at, tag)?);
                if let Some(parent) = open.last().and_then(|i| elements.get_mut(*i)) {
                    parent.children.push(place);
                }
                if matches!(event, Event::Start(_)) {
                    open.push(place)
                } else {
                    closed = open.is_empty()
                }
                continue;
            }
            Event::End(_) => {
                open.pop();
                closed = open.is_empty();
                continue;
            }
            Event::Text(t) => decoded(format, at, t)?.to_owned(),
            Event::CData(t) => decoded(format, at, t)?.to_owned(),
            Event::GeneralRef(r) => entity(decoded(format, at, r)?)
                .ok_or_else(|| DecodeError::malformed(format, at, "entity"))?
                .to_string(),
            Event::DocType(d) => {
                check_doctype(format, at, decoded(format, at, d)?, doctype)?;
                continue;
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
            Event::Eof => break,
        };
        match open.last().and_then(|i| elements.get_mut(*i)) {
            Some(e) => e.text.push_str(&text),
            None if text.trim().is_empty() => {}
            None => return Err(DecodeError::malformed(format, at, "text outside the root")),
        }
    }
    if !closed {
        return Err(DecodeError::incomplete(format, xml.len()));
    }
    Ok(Document { elements })
}

// threat: X1 (an internal subset is refused, but for a processing instruction: quirk: PAP 2.0, 2.1)
fn check_doctype(format: &'static str, at: usize, text: &str, allowed: Doctype) -> Result<(), DecodeError> {
    let inner = text.split_once('[').map_or("", |(_, inner)| inner);
    let harmless = inner.split('<').skip(1).all(|declaration| declaration.starts_with('?'));
    if allowed == Doctype::Refused || !harmless || inner.contains('%') {
        return Err(DecodeError::violation(format, at, "document type declaration"));
    }
    Ok(())
}

fn element(format: &'static str, at: usize, tag: &BytesStart<'_>) -> Result<Element, DecodeError> {
    let name = decoded(format, at, tag.local_name().into_inner())?.to_owned();
    let mut attributes: Vec<(String, String)> = Vec::new();
    for a in tag.attributes() {
        let a = a.map_err(|e| DecodeError::malformed(format, at, e.to_string()))?;
        if attributes.len() >= MAX_ATTRIBUTES {
            return Err(DecodeError::limit(format, at, "attributes", attributes.len(), MAX_ATTRIBUTES));
        }
        let value = unescape(decoded(format, at, &a.value)?);
        let value = value.ok_or_else(|| DecodeError::malformed(format, at, "entity in an attribute"))?;
        attributes.push((decoded(format, at, a.key.as_ref())?.to_owned(), value));
    }
    Ok(Element { name, attributes, offset: at, ..Element::default() })
}

fn decoded<'b>(format: &'static str, at: usize, bytes: &'b [u8]) -> Result<&'b str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::malformed(format, at, "not UTF-8"))
}

/// The name without its prefix.
pub(crate) fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn entity(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix('#')? {
            n if n.starts_with('x') => number(n.trim_start_matches('x'), 16),
            n => number(n, 10),
        },
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';')?;
        out.push(entity(name)?);
        out.push_str(rest);
    }
    Some(out)
}

/// Writes text so that it is read as itself; characters that XML cannot carry are dropped by the caller's checks.
pub(crate) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// ` name="value"`.
pub(crate) fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value);
    out.push('"');
}

/// `<name>text</name>`.
pub(crate) fn simple(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    escape(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(xml: &str) -> Result<Document, DecodeError> {
        read("xml", xml.as_bytes(), Doctype::Bare)
    }

    #[test]
    fn text_attributes_and_entities() {
        let d =
            bare("<?xml version=\"1.0\"?><x:a n='1&amp;2'><b>&lt;<![CDATA[&]]>&#65;</b><b/></x:a>").unwrap();
        let root = d.root().unwrap();
        assert_eq!((root.name.as_str(), root.attribute("n")), ("a", Some("1&2")));
        assert_eq!(d.text("b"), Some("<&A"));
        assert_eq!(d.children(root).count(), 2);
    }

    #[test]
    fn threat_x1_internal_subsets_and_entities() {
        let doctype = "<!DOCTYPE pap PUBLIC \"-//OMA//DTD PAP 2.1//EN\" \"http://x/pap_2.1.dtd\"";
        assert!(bare(&format!("{doctype}><pap/>")).is_ok());
        assert!(bare(&format!("{doctype} [<?wap-pap-ver supported-versions=\"2.0\"?>]><pap/>")).is_ok());
        for bad in [
            format!("{doctype} [<!ENTITY a \"b\">]><pap/>"),
            format!("{doctype} [%x;]><pap/>"),
            "<pap>&a;</pap>".to_owned(),
            "<pap a=\"&a;\"/>".to_owned(),
        ] {
            assert!(bare(&bad).is_err(), "{bad}");
        }
        assert!(read("xml", b"<!DOCTYPE a><a/>", Doctype::Refused).is_err());
    }

    #[test]
    fn threat_x4_l1_unclosed_second_root_too_deep() {
        for bad in ["<a>", "<a></b>", "<a/><b/>", "<a/>x", "x", "", "<a", "<a b='1' b='2'/>"] {
            assert!(bare(bad).is_err(), "{bad}");
        }
        assert!(matches!(
            bare(&"<a>".repeat(100_000)).unwrap_err().kind,
            super::super::DecodeErrorKind::Limit { .. }
        ));
        assert!(bare(&format!("<a>{}</a>", "<b/>".repeat(3_000))).is_err());
    }
}
