//! XML as a tree, to compare documents and not their spelling.

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) namespace: String,
    /// Without prefix.
    pub(crate) name: String,
    /// Its own text to the octet, `octets` and hex where no XML can have it; of an element with children without white space at its ends.
    pub(crate) text: String,
    pub(crate) children: Vec<Node>,
}

/// The root element of a document.
pub(crate) fn parse(xml: &[u8]) -> Result<Node, String> {
    let told = |error: quick_xml::Error| error.to_string();
    let mut reader = NsReader::from_reader(xml);
    let (mut open, mut root): (Vec<(Node, Vec<u8>)>, Option<Node>) = (Vec::new(), None);
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(told)?;
        let ended = match event {
            Event::Start(start) => {
                open.push((node(&namespace, start.local_name().as_ref()), Vec::new()));
                None
            }
            Event::Empty(start) => Some((node(&namespace, start.local_name().as_ref()), Vec::new())),
            Event::End(_) => open.pop(),
            Event::Eof if open.is_empty() => return root.ok_or_else(|| "no element".into()),
            Event::Eof => return Err("ends inside an element".into()),
            Event::Text(text) => {
                add(&mut open, &text)?;
                None
            }
            Event::CData(text) => {
                add(&mut open, &text)?;
                None
            }
            Event::GeneralRef(name) => {
                let text = match name.resolve_char_ref().map_err(told)? {
                    Some(char) => char.to_string(),
                    None => {
                        let name = name.decode().map_err(|error| error.to_string())?;
                        resolve_predefined_entity(&name).ok_or(format!("entity {name}"))?.to_owned()
                    }
                };
                add(&mut open, text.as_bytes())?;
                None
            }
            _ => None,
        };
        let Some((mut node, text)) = ended else { continue };
        node.text = match String::from_utf8(text) {
            Ok(text) if text.bytes().any(raw) => hex(text.as_bytes()),
            Ok(text) if node.children.is_empty() => text,
            Ok(text) => text.trim().to_owned(),
            Err(error) => hex(&error.into_bytes()),
        };
        match open.last_mut() {
            Some((parent, _)) => parent.children.push(node),
            None if root.is_some() => return Err("a second root".into()),
            None => root = Some(node),
        }
    }
}

fn node(namespace: &ResolveResult<'_>, name: &[u8]) -> Node {
    let namespace = match namespace {
        ResolveResult::Bound(namespace) => String::from_utf8_lossy(namespace.0).into_owned(),
        _ => String::new(),
    };
    Node { namespace, name: String::from_utf8_lossy(name).into_owned(), ..Node::default() }
}

fn add(open: &mut [(Node, Vec<u8>)], text: &[u8]) -> Result<(), String> {
    match open.last_mut() {
        Some((_, all)) => all.extend_from_slice(text),
        None if text.trim_ascii().is_empty() => {}
        None => return Err(format!("text outside of the root: {:?}", String::from_utf8_lossy(text))),
    }
    Ok(())
}

/// An octet that no XML can have.
fn raw(octet: u8) -> bool {
    octet < b' ' && !matches!(octet, b'\t' | b'\n' | b'\r')
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::from("octets "), |text, octet| text + &format!("{octet:02x}"))
}

impl Node {
    /// Runs over the elements, parents first; whether any was changed.
    pub(crate) fn change(&mut self, edit: &mut dyn FnMut(&mut Node) -> bool) -> bool {
        let mut changed = edit(self);
        for child in &mut self.children {
            changed |= child.change(edit);
        }
        changed
    }

    /// A row for each element: where it is, and its text.
    fn rows(&self, path: &str, rows: &mut Vec<(String, String)>) {
        let path = format!("{path}/{{{}}}{}", self.namespace, self.name);
        rows.push((path, self.text.clone()));
        let own = rows[rows.len() - 1].0.clone();
        for child in &self.children {
            child.rows(&own, rows);
        }
    }

    /// How many rows differ, one by one.
    pub(crate) fn differences(&self, other: &Node) -> usize {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        self.rows("", &mut ours);
        other.rows("", &mut theirs);
        let common = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        common + ours.len().abs_diff(theirs.len())
    }

    /// The first difference in words.
    pub(crate) fn difference(&self, other: &Node) -> Option<String> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        self.rows("", &mut ours);
        other.rows("", &mut theirs);
        let at = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at))?;
        Some(format!("ours {:?}, theirs {:?}", ours.get(at), theirs.get(at)))
    }
}
