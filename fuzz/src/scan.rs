//! The XML scanner of `syncml` against quick-xml 0.41.

#[path = "../../syncml/src/xml/scan.rs"]
mod scanner;

use crate::{Broken, Property, Target, ensure};
use quick_xml::events::{BytesStart, Event};
use scanner::{Attributes, Markup, Scanner};

/// Octets as a document.
pub const SCAN: Target = Target {
    name: "scan",
    input: "an XML document, or what somebody takes for one",
    dictionary: Some("xml"),
    properties: &[
        Property {
            name: "as-quick-xml",
            sentence: "the scanner gives the pieces that quick-xml 0.41 gives, and refuses what that refuses, after as \
                       many pieces",
            check: pieces,
        },
        Property {
            name: "attributes",
            sentence: "the attributes of every tag are those that quick-xml reads, up to the first fault",
            check: attributes,
        },
        Property {
            name: "short-way",
            sentence: "plain tags, and the text with its end tag, that the short ways take are what the long way gives, \
                       and end at the same octet",
            check: short_way,
        },
        Property {
            name: "forward",
            sentence: "every piece begins where the last one ended and takes at least an octet, and after an error \
                       the same error comes again from the same place",
            check: forward,
        },
    ],
};

/// What both read, in words of one kind: its sort, and up to two parts.
type Piece<'a> = (&'static str, std::borrow::Cow<'a, [u8]>, std::borrow::Cow<'a, [u8]>);

fn ours<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Piece<'a>>, String> {
    loop {
        let (sort, a, b): (_, &[u8], &[u8]) = match scanner.next()? {
            Markup::Start { name, attributes, is_empty: false } => ("start", name, attributes),
            Markup::Start { name, attributes, is_empty: true } => ("empty", name, attributes),
            Markup::End => ("end", b"", b""),
            Markup::Text(text) => ("text", text, b""),
            Markup::CData(text) => ("cdata", text, b""),
            Markup::Reference(name) => ("reference", name, b""),
            Markup::Declaration(text) => ("declaration", text, b""),
            Markup::DocType => ("doctype", b"", b""),
            Markup::Aside => continue,
            Markup::Eof => return Ok(None),
        };
        return Ok(Some((sort, a.into(), b.into())));
    }
}

fn theirs(reader: &mut quick_xml::Reader<&[u8]>) -> Result<Option<Piece<'static>>, String> {
    loop {
        let own = |octets: &[u8]| octets.to_vec().into();
        return Ok(Some(match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(tag) => ("start", own(tag.name().as_ref()), own(tag.attributes_raw())),
            Event::Empty(tag) => ("empty", own(tag.name().as_ref()), own(tag.attributes_raw())),
            Event::End(_) => ("end", own(b""), own(b"")),
            Event::Text(text) => ("text", own(&text), own(b"")),
            Event::CData(text) => ("cdata", own(&text), own(b"")),
            Event::GeneralRef(name) => ("reference", own(&name), own(b"")),
            Event::Decl(decl) => ("declaration", own(decl.get(3..).unwrap_or_default()), own(b"")),
            // Ours takes none: threats X1.
            Event::DocType(text) if text.contains(&b'[') => return Err("an internal subset".into()),
            Event::DocType(_) => ("doctype", own(b""), own(b"")),
            Event::Comment(_) | Event::PI(_) => continue,
            Event::Eof => return Ok(None),
        }));
    }
}

fn pieces(data: &[u8]) -> Result<(), Broken> {
    let (mut scanner, mut reader) = (Scanner::new(data), quick_xml::Reader::from_reader(data));
    loop {
        let at = scanner.offset();
        match (ours(&mut scanner), theirs(&mut reader)) {
            (Ok(None), Ok(None)) | (Err(_), Err(_)) => return Ok(()),
            (Ok(ours), Ok(theirs)) if ours == theirs => {}
            (ours, theirs) => return Err(Broken(format!("at {at}: ours {ours:?}, quick-xml's {theirs:?}"))),
        }
    }
}

fn attributes(data: &[u8]) -> Result<(), Broken> {
    let mut scanner = Scanner::new(data);
    while let Ok(piece) = scanner.next() {
        let Markup::Start { attributes, .. } = piece else {
            if piece == Markup::Eof {
                break;
            }
            continue;
        };
        // Theirs wants text and a name before it.
        let Ok(text) = std::str::from_utf8(attributes) else { continue };
        let tag = format!("a{text}");
        let tag = BytesStart::from_content(tag, 1);
        let mut theirs = tag.attributes();
        let mut theirs = theirs.with_checks(false).map(|read| read.map_err(|_| ()));
        let mut ours = Attributes(attributes);
        loop {
            match (ours.next(), theirs.next()) {
                (Ok(None), None) | (Err(_), Some(Err(()))) => break,
                (Ok(Some((key, value))), Some(Ok(their)))
                    if key == their.key.as_ref() && value == &*their.value => {}
                (ours, theirs) => {
                    return Err(Broken(format!("of {attributes:?}: ours {ours:?}, quick-xml's {theirs:?}")));
                }
            }
        }
    }
    Ok(())
}

/// The length of a name as the tables have them.
fn plain(name: &[u8]) -> Option<usize> {
    name.iter().all(|octet| octet.is_ascii_alphabetic() || *octet == b'-').then_some(name.len())
}

fn short_way(data: &[u8]) -> Result<(), Broken> {
    let (mut short, mut long) = (Scanner::new(data), Scanner::new(data));
    loop {
        if let Some((text, end_at)) = short.whole_text() {
            let mut read: &[u8] = &[];
            if long.offset() != end_at {
                match long.next() {
                    Ok(Markup::Text(text) | Markup::CData(text)) => read = text,
                    other => {
                        return Err(Broken(format!(
                            "{text:?} is taken the short way, the long way {other:?}"
                        )));
                    }
                }
            }
            ensure!(text == read && long.offset() == end_at, "{text:?} to {end_at}, the long way {read:?}");
            let end = long.next();
            ensure!(end == Ok(Markup::End), "the short way took an end that is {end:?}");
        } else if let Some(length) = short.plain_start(plain) {
            let start = long.next();
            let same = matches!(start, Ok(Markup::Start { name, attributes: b"", is_empty: false }) if name.len() == length);
            ensure!(same, "the short way took a start of {length} octets that is {start:?}");
        } else if short.plain_end() {
            let end = long.next();
            ensure!(end == Ok(Markup::End), "the short way took an end that is {end:?}");
        } else {
            let (one, other) = (short.next(), long.next());
            ensure!(one == other, "after the short way {one:?}, after the long way {other:?}");
            if matches!(one, Ok(Markup::Eof) | Err(_)) {
                return Ok(());
            }
        }
        ensure!(short.offset() == long.offset(), "at {}, the long way {}", short.offset(), long.offset());
    }
}

fn forward(data: &[u8]) -> Result<(), Broken> {
    let mut scanner = Scanner::new(data);
    loop {
        let at = scanner.offset();
        match scanner.next() {
            Ok(Markup::Eof) => {
                ensure!(at == data.len(), "the end at {at} of {}", data.len());
                return Ok(());
            }
            Ok(piece) => ensure!(scanner.offset() > at, "{piece:?} at {at} takes nothing"),
            Err(error) => {
                ensure!(scanner.offset() == at, "an error at {at} moved to {}", scanner.offset());
                ensure!(scanner.next() == Err(error.clone()), "{error} comes only once");
                return Ok(());
            }
        }
        ensure!(scanner.offset() <= data.len(), "{} of {} octets", scanner.offset(), data.len());
    }
}
