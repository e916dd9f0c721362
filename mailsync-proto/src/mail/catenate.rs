//! What of a message a mail server has already: by that it composes the message itself, and nobody has to bring it there.
//!
//! A forward by number is made of a few lines of its own and of octets that are in the mailbox. [`plan`] finds those octets in the
//! finished message, by comparing: nothing needs to be known of how it was made, and a message whose parts were written anew
//! has no plan. A host has the mail server put it together (IMAP CATENATE) and checks what came of it by [`Plan::probes`].
//!
//! ```
//! use mailsync_proto::mail::catenate::{Piece, Section, plan};
//! let original = format!("Subject: x\r\n\r\n{}", "A line of sixty octets or so, to be forwarded.\r\n".repeat(200));
//! let message = format!("Content-Type: message/rfc822\r\n\r\n{original}");
//! let plan = plan(message.as_bytes(), original.as_bytes()).unwrap();
//! assert_eq!(plan.pieces[0], Piece::Text(0..32));
//! assert_eq!(plan.pieces[1], Piece::Stored(Section::Whole, 32..message.len()));
//! ```
// mission: M6
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::mime::{self, Kind, Part};
use core::ops::Range;
use std::collections::HashMap;

/// Octets of a stored piece, at least: a reference costs some hundred itself.
const PIECE: usize = 512;
/// Octets that need not be brought, at least, for the way by the mail server to be the shorter one.
pub const WORTH: usize = 4 * 1024;
/// Octets that are compared in one place.
const PROBE: usize = 64;
/// Places that are compared, at most.
const PROBES: usize = 16;

/// How a message is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// What it consists of, in order and without a gap.
    pub pieces: Vec<Piece>,
}

/// A stretch of a message; the range says where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Octets that only we have.
    Text(Range<usize>),
    /// Octets that are in the original.
    Stored(Section, Range<usize>),
}

/// Which octets of the original. Parts are numbered level by level, `2.1` being the first part of the second one.
// spec: RFC 3501 §6.4.5
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// All of it.
    Whole,
    /// The header of a part, the empty line behind it included.
    Header(Box<str>),
    /// The content of a part as it is encoded.
    Content(Box<str>),
}

impl Section {
    /// Where its octets are in the original, as we number the parts; none where there is no such part.
    pub fn of(&self, original: &[u8]) -> Option<Range<usize>> {
        let (Section::Header(number) | Section::Content(number)) = self else {
            return Some(0..original.len());
        };
        let parts = mime::parts(original)?;
        let at = numbers(&parts).iter().position(|known| known.as_ref() == Some(number))?;
        let part = parts.get(at)?;
        Some(if matches!(self, Section::Header(_)) { part.head.clone() } else { part.body.clone() })
    }
}

/// Finds what of a message is in the original; none where that is less than [`WORTH`].
pub fn plan(message: &[u8], original: &[u8]) -> Option<Plan> {
    let (new, old) = (mime::parts(message)?, mime::parts(original)?);
    // Keyed by the octets: looking one up costs its length, whatever else is in there.
    let mut known: HashMap<&[u8], Found> = HashMap::new();
    for (part, number) in old.iter().zip(numbers(&old)) {
        let Some(number) = number.filter(|_| part.kind != Kind::Several) else { continue };
        let slice = |range: Range<usize>| original.get(range).unwrap_or_default();
        if part.head.start > 0 && slice(part.head.clone()).ends_with(b"\r\n\r\n") {
            let whole = slice(part.head.start..part.body.end);
            known.entry(whole).or_insert_with(|| Found::Part(number.clone(), part.head.len()));
        }
        known.entry(slice(part.body.clone())).or_insert(Found::Content(number));
    }
    known.insert(original, Found::Whole);
    let mut pieces = Vec::new();
    let (mut at, mut stored) = (0, 0usize);
    for part in new.iter().filter(|part| part.kind != Kind::Several) {
        let with_head = part.head.start..part.body.end;
        let look = |range: &Range<usize>| known.get(message.get(range.clone())?);
        let (found, range) = match (look(&with_head), look(&part.body)) {
            (Some(found), _) => (found, with_head),
            (None, Some(found)) => (found, part.body.clone()),
            (None, None) => continue,
        };
        if range.len() < PIECE || range.start < at {
            continue;
        }
        text(&mut pieces, at..range.start);
        (at, stored) = (range.end, stored.saturating_add(range.len()));
        match found {
            Found::Whole => pieces.push(Piece::Stored(Section::Whole, range)),
            Found::Content(number) => pieces.push(Piece::Stored(Section::Content(number.clone()), range)),
            Found::Part(number, head) => {
                let body = range.start.saturating_add(*head);
                pieces.push(Piece::Stored(Section::Header(number.clone()), range.start..body));
                pieces.push(Piece::Stored(Section::Content(number.clone()), body..range.end));
            }
        }
    }
    text(&mut pieces, at..message.len());
    (stored >= WORTH).then_some(Plan { pieces })
}

/// What octets of the original are.
enum Found {
    Whole,
    /// A part with its header, and how long that is.
    Part(Box<str>, usize),
    Content(Box<str>),
}

fn text(pieces: &mut Vec<Piece>, range: Range<usize>) {
    if !range.is_empty() {
        pieces.push(Piece::Text(range));
    }
}

impl Plan {
    /// Where to look whether the mail server put the right octets there; the size of the whole is to be compared as well.
    ///
    /// Our numbering of the parts of a broken mail may be another one than the mail server's.
    // threats: L1, M4
    pub fn probes(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let contents = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Stored(Section::Whole | Section::Content(_), range) => Some(range),
            _ => None,
        });
        contents.take(PROBES).map(|range| {
            let start = range.start.saturating_add(range.len().saturating_sub(PROBE) / 2);
            start..start.saturating_add(PROBE).min(range.end)
        })
    }
}

/// The number of each part; none of a multipart at the top, which has none.
fn numbers(parts: &[Part]) -> Vec<Option<Box<str>>> {
    let mut numbers = Vec::with_capacity(parts.len());
    // Multiparts that are open: where each ends, its number with a dot, and how many parts it has had.
    let mut open: Vec<(usize, String, u32)> = Vec::new();
    for part in parts {
        while open.last().is_some_and(|(end, ..)| part.head.start >= *end) && open.len() > 1 {
            open.pop();
        }
        let number = open.last_mut().map(|(_, above, count)| {
            *count = count.saturating_add(1);
            format!("{above}{count}")
        });
        if part.kind == Kind::Several {
            let above = number.as_ref().map_or(String::new(), |number| format!("{number}."));
            open.push((part.body.end, above, 0));
            numbers.push(number.map(String::into_boxed_str));
        } else {
            // A message without parts is its own first one.
            numbers.push(Some(number.unwrap_or_else(|| "1".to_owned()).into()));
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::forward::{Kind as Way, Request};
    use crate::mail::splice::splice;
    use bytes::Bytes;

    fn multi(boundary: &str, parts: &[&str]) -> String {
        let parts: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
        format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n{parts}--{boundary}--\r\n")
    }

    fn file(name: &str, octets: usize) -> String {
        let line = format!("{name:-<70}\r\n");
        format!("Content-Type: image/png; name={name}\r\n\r\n{}end", line.repeat(octets / 72))
    }

    fn original() -> String {
        let inner = multi("B-2", &["\r\none", &file("a", 6_000), &file("b", 6_000)]);
        let message = format!("Content-Type: message/rfc822\r\n\r\n{}", multi("B-3", &[&file("c", 9_000)]));
        let mail = multi("B", &["\r\nhello", &inner, &file("d", 200), &message, &file("e", 7_000)]);
        format!("From: ann@a.example\r\nMessage-ID: <1@a>\r\nMIME-Version: 1.0\r\n{mail}")
    }

    /// What a mail server does.
    fn composed(plan: &Plan, message: &[u8], original: &[u8]) -> Vec<u8> {
        let octets = |piece: &Piece| match piece {
            Piece::Text(range) => message[range.clone()].to_vec(),
            Piece::Stored(section, _) => original[section.of(original).unwrap()].to_vec(),
        };
        plan.pieces.iter().flat_map(octets).collect()
    }

    fn forward(request: &Request, original: &str) -> Bytes {
        let draft = "From: bob@b.example\r\nTo: cyd@c.example\r\n\r\nSee below.\r\n".into();
        splice(request, &draft, &Bytes::copy_from_slice(original.as_bytes())).unwrap()
    }

    #[test]
    fn parts_are_numbered_level_by_level() {
        let parts = mime::parts(original().as_bytes()).unwrap().len();
        let numbers = numbers(&mime::parts(original().as_bytes()).unwrap());
        let shown: Vec<&str> = numbers.iter().map(|n| n.as_deref().unwrap_or("-")).collect();
        assert_eq!(shown, ["-", "1", "2", "2.1", "2.2", "2.3", "3", "4", "5"]);
        assert_eq!(parts, shown.len());
        let single = super::numbers(&mime::parts(b"Subject: x\r\n\r\nhi").unwrap());
        assert_eq!(single, [Some("1".into())]);
    }

    // mission: M6b, M6c
    #[test]
    fn what_was_spliced_in_is_found_whole_and_in_part() {
        let original = original();
        let mut request = Request::new(Way::Forward, "7");
        request.whole = true;
        let message = forward(&request, &original);
        let whole = plan(&message, original.as_bytes()).unwrap();
        let [Piece::Text(before), Piece::Stored(Section::Whole, _), Piece::Text(after)] = &whole.pieces[..]
        else {
            panic!("{whole:?}");
        };
        assert!(before.len() + after.len() < 900, "{whole:?}");
        assert_eq!(composed(&whole, &message, original.as_bytes()), message);

        let mut request = Request::new(Way::Forward, "7");
        // b, d (too small to be worth a reference), the message, a
        request.parts = vec![5, 6, 7, 4];
        let message = forward(&request, &original);
        let parts = plan(&message, original.as_bytes()).unwrap();
        let stored: Vec<String> = parts
            .pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Text(_) => None,
                Piece::Stored(Section::Whole, _) => Some("whole".into()),
                Piece::Stored(Section::Header(number), _) => Some(format!("{number}.MIME")),
                Piece::Stored(Section::Content(number), _) => Some(number.to_string()),
            })
            .collect();
        assert_eq!(stored, ["2.3.MIME", "2.3", "4.MIME", "4", "2.2.MIME", "2.2"]);
        assert_eq!(composed(&parts, &message, original.as_bytes()), message);
        for probe in whole.probes().chain(parts.probes()) {
            assert_eq!(probe.len(), PROBE);
        }
        assert_eq!(parts.probes().count(), 3);
    }

    #[test]
    fn what_is_not_there_or_not_worth_it_has_no_plan() {
        let original = original();
        let mut request = Request::new(Way::Forward, "7");
        request.parts = vec![6];
        assert_eq!(plan(&forward(&request, &original), original.as_bytes()), None, "some 200 octets");
        request.parts = vec![4];
        let message = forward(&request, &original);
        assert!(plan(&message, original.as_bytes()).is_some());
        // One octet is another one: what the phone uploaded is not what is there.
        let changed = original.replacen("a---", "a--+", 100);
        assert_eq!(plan(&message, changed.as_bytes()), None);
        assert_eq!(plan(b"", b""), None);
        assert_eq!(plan(original.as_bytes(), b""), None);
    }

    // threats: L1
    #[test]
    fn threat_l1_many_equal_parts_are_looked_up_and_not_searched() {
        let parts: Vec<String> = (0..900).map(|n| file(&format!("{:0>40}", n % 7), 2_000)).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let original = multi("B", &parts);
        let message = multi("C", &parts);
        let plan = plan(message.as_bytes(), original.as_bytes()).unwrap();
        assert_eq!(composed(&plan, message.as_bytes(), original.as_bytes()), message.as_bytes());
        assert_eq!(plan.probes().count(), PROBES);
    }
}
