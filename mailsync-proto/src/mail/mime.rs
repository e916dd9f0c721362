//! The parts of a message: where they are and what they are, found without reading what is in them.
//!
//! Ours, because the library's reader follows messages in messages, also inside base64, as deep as they go, and drops what
//! it made of them by recursion: 20,000 of them in a mail of 850 KB end the process with a stack overflow, which nothing can
//! catch. Here a message in a message is one part, and there is a stack of at most 32 boundaries. The library decodes single
//! header fields and single texts, behind [`guarded`].
// threats: L1, L2, M4
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::headers::{Field, Headers};
use core::ops::Range;
use mail_parser::{MessageParser, MimeHeaders};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Parts of a mail that are looked at.
// spec: threats, default limits
pub(super) const PARTS: usize = 1_000;
/// Multiparts in each other; a deeper one is a part like any other.
// spec: threats, default limits: MIME depth
const DEPTH: usize = 32;
/// Octets of a boundary; RFC 2046 §5.1.1 allows 70.
const BOUNDARY: usize = 255;
/// Octets of a `Content-*` field that are read.
const FIELD: usize = 16 * 1024;

/// One part of a message. Its number is its place in the list; the message itself is number 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Where its header is, the empty line behind it included.
    pub(super) head: Range<usize>,
    /// Where its content is, without the line end before the next boundary.
    pub(super) body: Range<usize>,
    pub(super) kind: Kind,
    /// `type/subtype` in lower case.
    pub(super) media_type: Box<str>,
    /// Its name as an attachment.
    pub(super) name: Box<str>,
    pub(super) coding: Coding,
    /// It is shown as the mail's text, or a part of it.
    pub(super) is_text: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It holds other parts.
    Several,
    /// It is a message of its own, or a part of one.
    Message,
    One,
}

/// Its `Content-Transfer-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    None,
    Base64,
    QuotedPrintable,
}

/// A multipart whose end has not come.
struct Open {
    number: usize,
    boundary: Vec<u8>,
    is_digest: bool,
}

/// The parts of a message in their order, at least one; none where there are more than [`PARTS`].
///
/// A boundary counts at the start of a line and alone on it. What follows the last boundary of a multipart that has no end
/// belongs to its last part; a multipart none of whose boundaries comes is a part like any other.
pub(super) fn parts(message: &[u8]) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut at = begin(message, 0, &mut parts, &mut open);
    while !open.is_empty() {
        let Some(start) = next_dashes(message, at) else { break };
        let end = line_end(message, start);
        at = end;
        let line = message.get(start..end).unwrap_or_default();
        let Some((level, is_last)) = delimits(line, &open) else { continue };
        // All that is open in there ends before the line end.
        let number = open.get(level).map_or(0, |open| open.number);
        close(message, &mut parts, number, start);
        open.truncate(if is_last { level } else { level.saturating_add(1) });
        if !is_last {
            if parts.len() >= PARTS {
                return None;
            }
            at = begin(message, end, &mut parts, &mut open);
        }
    }
    let several = |number: usize, parts: &[Part]| {
        let of = parts.get(number).map(|part| part.body.clone()).unwrap_or_default();
        parts.get(number.saturating_add(1)).is_some_and(|next| of.contains(&next.head.start))
    };
    for number in 0..parts.len() {
        let empty = !several(number, &parts);
        if let Some(part) = parts.get_mut(number).filter(|part| part.kind == Kind::Several && empty) {
            part.kind = Kind::One;
            part.is_text = true;
        }
    }
    Some(parts)
}

/// The part that begins here; where its content does.
fn begin(message: &[u8], at: usize, parts: &mut Vec<Part>, open: &mut Vec<Open>) -> usize {
    let rest = message.get(at..).unwrap_or_default();
    let mut headers = Headers::parse(rest);
    // A boundary with a colon in it looks like a field.
    let looks = |field: &Field<'_>| {
        let line = rest.get(field.range.clone()).unwrap_or_default();
        field.name.starts_with("--")
            && delimits(line.get(..line_end(line, 0)).unwrap_or_default(), open).is_some()
    };
    if let Some(cut) = headers.fields.iter().position(looks) {
        let start = headers.fields.get(cut).map_or(0, |field| field.range.start);
        headers.fields.truncate(cut);
        (headers.end, headers.body) = (start, start);
    }
    let in_digest = open.last().is_some_and(|open| open.is_digest);
    let is_root = parts.is_empty();
    let fields = Fields::of(&headers, in_digest);
    let body = at.saturating_add(headers.body).min(message.len());
    let number = parts.len();
    let main = fields.media_type.split('/').next().unwrap_or_default();
    let mut kind = match main {
        "multipart" => Kind::One,
        "message" => Kind::Message,
        _ => Kind::One,
    };
    if main == "multipart" && open.len() < DEPTH && !fields.boundary.is_empty() {
        kind = Kind::Several;
        let is_digest = &*fields.media_type == "multipart/digest";
        open.push(Open { number, boundary: fields.boundary, is_digest });
    }
    let shown = matches!(&*fields.media_type, "text/plain" | "text/html");
    parts.push(Part {
        head: at..body,
        body: body..message.len(),
        // The message itself is no message in a message.
        is_text: kind == Kind::One && (is_root || (shown && !fields.attached && fields.name.is_empty())),
        kind,
        media_type: fields.media_type,
        name: fields.name,
        coding: fields.coding,
    });
    body
}

/// Ends what is open behind part `number`, before the boundary at `start`.
fn close(message: &[u8], parts: &mut [Part], number: usize, start: usize) {
    let before = message.get(..start).unwrap_or_default();
    let text = before.strip_suffix(b"\n").map(|text| text.strip_suffix(b"\r").unwrap_or(text));
    let end = text.map_or(start, <[u8]>::len);
    let whole = message.len();
    for part in parts.iter_mut().skip(number.saturating_add(1)).rev() {
        // Those before it that ended were ended with the ones in them.
        if part.body.end == whole {
            part.body.end = end.max(part.body.start);
        }
    }
}

/// The next line that starts with two dashes.
fn next_dashes(message: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < message.len() {
        if message.get(at..)?.starts_with(b"--") {
            return Some(at);
        }
        at = line_end(message, at);
    }
    None
}

fn line_end(message: &[u8], from: usize) -> usize {
    let rest = message.get(from..).unwrap_or_default();
    let end = rest.iter().position(|&octet| octet == b'\n');
    end.map_or(message.len(), |end| from.saturating_add(end).saturating_add(1))
}

/// Whose boundary a line is, the innermost first, and whether it is the last one of it.
// spec: RFC 2046 §5.1.1: only blanks may follow
fn delimits(line: &[u8], open: &[Open]) -> Option<(usize, bool)> {
    let text = line.strip_prefix(b"--")?;
    let (text, _) = text.split_at(text.trim_ascii_end().len());
    open.iter().enumerate().rev().find_map(|(level, open)| {
        let tail = text.strip_prefix(&open.boundary[..])?;
        match tail {
            b"" => Some((level, false)),
            b"--" => Some((level, true)),
            _ => None,
        }
    })
}

/// What the header of a part says.
struct Fields {
    media_type: Box<str>,
    boundary: Vec<u8>,
    name: Box<str>,
    coding: Coding,
    attached: bool,
}

impl Fields {
    fn of(headers: &Headers<'_>, in_digest: bool) -> Self {
        let raw = content_fields(headers);
        // spec: RFC 2046 §5.1.5
        let default = if in_digest { "message/rfc822" } else { "text/plain" };
        let mut fields = Fields {
            media_type: default.into(),
            boundary: Vec::new(),
            name: "".into(),
            coding: Coding::None,
            attached: false,
        };
        if raw.is_empty() {
            return fields;
        }
        let read = guarded(|| {
            let parsed = MessageParser::default().parse_headers(&raw)?;
            if let Some(kind) = parsed.content_type() {
                let other = if kind.ctype() == "text" { "plain" } else { "octet-stream" };
                let media_type = format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or(other));
                let boundary = kind.attribute("boundary").unwrap_or_default();
                return Some((Some((media_type, boundary.as_bytes().to_vec())), rest_of(&parsed)));
            }
            Some((None, rest_of(&parsed)))
        });
        let Some((kind, (name, coding, attached))) = read else { return fields };
        (fields.name, fields.coding, fields.attached) = (name, coding, attached);
        if let Some((media_type, boundary)) = kind {
            fields.media_type = media_type.to_lowercase().into();
            fields.boundary = boundary.trim_ascii_end().to_vec();
            if fields.boundary.len() > BOUNDARY {
                fields.boundary.clear();
            }
        }
        fields
    }
}

fn rest_of(parsed: &mail_parser::Message<'_>) -> (Box<str>, Coding, bool) {
    let Some(part) = parsed.parts.first() else { return ("".into(), Coding::None, false) };
    let coding = match part.content_transfer_encoding().map(str::trim).unwrap_or_default() {
        coding if coding.eq_ignore_ascii_case("base64") => Coding::Base64,
        coding if coding.eq_ignore_ascii_case("quoted-printable") => Coding::QuotedPrintable,
        _ => Coding::None,
    };
    let attached = part.content_disposition().is_some_and(|kind| kind.is_attachment());
    (part.attachment_name().unwrap_or_default().into(), coding, attached)
}

/// The fields of a header that say what the content is, the first of each, closed. Empty where there are none.
fn content_fields(headers: &Headers<'_>) -> Vec<u8> {
    let mut raw = Vec::new();
    for name in ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition"] {
        if let Some(field) = headers.first(name) {
            raw.extend_from_slice(name.as_bytes());
            raw.push(b':');
            raw.extend_from_slice(field.value.get(..field.value.len().min(FIELD)).unwrap_or_default());
            if raw.last() != Some(&b'\n') {
                raw.extend_from_slice(b"\r\n");
            }
        }
    }
    if !raw.is_empty() {
        raw.extend_from_slice(b"\r\n");
    }
    raw
}

/// The text of a part, decoded and in UTF-8; HTML becomes plain text. None of what is no text.
pub(super) fn text_of(message: &[u8], part: &Part) -> Option<String> {
    if part.kind != Kind::One || !part.media_type.starts_with("text/") {
        return None;
    }
    // The library sees this part alone, of which it is known to be a text: nothing in it is a message or a multipart.
    let mut alone = content_fields(&Headers::parse(message.get(part.head.clone())?));
    if alone.is_empty() {
        alone.extend_from_slice(b"Content-Type: text/plain\r\n\r\n");
    }
    alone.extend_from_slice(message.get(part.body.clone())?);
    guarded(|| Some(MessageParser::default().parse(&alone)?.body_text(0)?.into_owned()))
}

/// Runs the library's reader; nothing where it panics. What it is given are single header fields and single texts, so this
/// costs the value that was asked for: a mail without a subject, or without its text.
// threats: L1, L4
pub(super) fn guarded<T>(read: impl FnOnce() -> Option<T>) -> Option<T> {
    // What the closure has touched is its own.
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::transfer::{to_base64, to_base64_lines};

    /// Kind, type and content of each part.
    fn shown(message: &str) -> Vec<(Kind, String, &str)> {
        let of = |part: &Part| (part.kind, part.media_type.to_string(), &message[part.body.clone()]);
        parts(message.as_bytes()).unwrap().iter().map(of).collect()
    }

    fn contents(message: &str) -> Vec<&str> {
        shown(message).into_iter().map(|(_, _, content)| content).collect()
    }

    fn multi(boundary: &str, parts: &[&str]) -> String {
        let parts: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
        format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n{parts}--{boundary}--\r\n")
    }

    #[test]
    fn parts_and_their_places() {
        let inner = multi("B-2", &["\r\none", "Content-Type: image/png\r\n\r\ntwo\r\n"]);
        let mail = multi(
            "B",
            &[&inner, "\r\nthree", "", "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nfour"],
        );
        assert_eq!(contents(&mail)[2..], ["one", "two\r\n", "three", "", "Subject: x\r\n\r\nfour"]);
        let kinds: Vec<Kind> = shown(&mail).iter().map(|part| part.0).collect();
        use Kind::{Message, One, Several};
        assert_eq!(kinds, [Several, Several, One, One, One, One, Message]);
        let lf = mail.replace("\r\n", "\n");
        assert_eq!(contents(&lf)[2..], ["one", "two\n", "three", "", "Subject: x\n\nfour"]);
        assert_eq!(contents("Subject: x\r\n\r\nbody"), ["body"]);
        assert_eq!(contents(""), [""]);
    }

    #[test]
    fn odd_boundaries() {
        // One that another begins with, in either order; a line that only begins with one; blanks behind it.
        for (outer, inner) in [("ab", "abc"), ("abc", "ab"), ("a:b", "a")] {
            let mail = multi(outer, &[&multi(inner, &["\r\none", "\r\ntwo"]), "\r\nthree"]);
            assert_eq!(contents(&mail)[2..], ["one", "two", "three"], "{outer} {inner}");
        }
        let mail = multi("ab", &["\r\none\r\n--abx\r\n-- ab\r\n--ab-\r\nx--ab", "\r\ntwo"])
            .replace("--ab\r\n\r\ntwo", "--ab \t\r\n\r\ntwo");
        assert_eq!(contents(&mail)[1..], ["one\r\n--abx\r\n-- ab\r\n--ab-\r\nx--ab", "two"]);
        // None at all, no end, an end that only the outer one has.
        let head = "Content-Type: multipart/mixed; boundary=B\r\n\r\n";
        assert_eq!(shown(&format!("{head}text"))[0].0, Kind::One);
        assert_eq!(contents(&format!("{head}--B\r\n\r\none\r\n"))[1..], ["one\r\n"]);
        let inner = "Content-Type: multipart/mixed; boundary=C\r\n\r\n--C\r\n\r\none\r\n";
        assert_eq!(
            contents(&format!("{head}--B\r\n{inner}--B\r\n\r\ntwo\r\n--B--\r\n"))[2..],
            ["one", "two"]
        );
        // After the end there is nothing more of it.
        assert_eq!(contents(&format!("{head}--B\r\n\r\none\r\n--B--\r\n--B\r\n\r\nno\r\n"))[1..], ["one"]);
        // An empty header right before the next boundary, which has a colon.
        let mail =
            "Content-Type: multipart/mixed; boundary=\"a:b\"\r\n\r\n--a:b\r\n--a:b\r\nX: y\r\n--a:b--\r\n";
        assert_eq!(contents(mail)[1..], ["", ""]);
    }

    #[test]
    fn names_and_kinds() {
        let mail = multi(
            "B",
            &[
                "\r\ntext",
                "Content-Type: text/plain; name*=utf-8''gr%C3%BC%C3%9Fe.txt\r\n\r\nx",
                "Content-Type: TEXT/HTML\r\nContent-Disposition: attachment; filename=\"=?utf-8?q?=C3=A4?=\"\r\n\r\nx",
                "Content-Type: nonsense\r\nContent-Transfer-Encoding: BASE64\r\n\r\nx",
                "Content-Type: multipart/digest; boundary=D\r\n\r\n--D\r\n\r\nSubject: one\r\n--D--",
            ],
        );
        let parts = parts(mail.as_bytes()).unwrap();
        let texts: Vec<bool> = parts.iter().map(|part| part.is_text).collect();
        assert_eq!(texts, [false, true, false, false, false, false, false]);
        let names: Vec<&str> = parts.iter().map(|part| &*part.name).collect();
        assert_eq!(names[2..4], ["grüße.txt", "ä"]);
        assert_eq!((parts[4].coding, &*parts[4].media_type), (Coding::Base64, "nonsense/octet-stream"));
        assert_eq!((parts[6].kind, &*parts[6].media_type), (Kind::Message, "message/rfc822"));
    }

    // threats: L1, L2, M4
    #[test]
    fn threat_m4_messages_in_messages_end_no_process() {
        let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(50_000) + "x";
        let digests: String = (0..50_000)
            .map(|n| format!("Content-Type: multipart/digest; boundary=b{n}\r\n\r\n--b{n}\r\n\r\n"))
            .collect();
        let coded = |text: &str| {
            format!(
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
                to_base64_lines(text.as_bytes())
            )
        };
        let twice = coded(&coded(&nested));
        let mixed: String = (0..50_000)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
            .collect();
        for mail in
            [nested.clone(), coded(&nested), coded(&digests), twice, digests, mixed, to_base64(&[0; 99])]
        {
            let message = bytes::Bytes::from(mail);
            let found = parts(&message).unwrap();
            assert!(found.len() <= DEPTH + 1, "{}", found.len());
            let _ = crate::mail::summary::plain_text(&message);
            let _ = crate::mail::cut::cut(&message, &crate::mail::Wanted::HEADER);
        }
    }

    // threats: L2
    #[test]
    fn threat_l2_many_parts_and_boundaries_that_never_come() {
        let many = "--B\r\n\r\n".repeat(2_000);
        let mail = format!("Content-Type: multipart/mixed; boundary=B\r\n\r\n{many}");
        assert_eq!(parts(mail.as_bytes()), None);
        let lost = "--B\r\nContent-Type: multipart/mixed; boundary=never\r\n\r\n".repeat(900);
        let mail =
            format!("Content-Type: multipart/mixed; boundary=B\r\n\r\n{lost}{}", "x\r\n".repeat(300_000));
        assert_eq!(parts(mail.as_bytes()).unwrap().len(), 901);
    }

    #[test]
    fn a_reader_that_panics_costs_what_it_was_to_read() {
        assert_eq!(guarded(|| Some(1)), Some(1));
        assert_eq!(guarded(|| -> Option<u8> { panic!("as the library may") }), None);
    }
}
