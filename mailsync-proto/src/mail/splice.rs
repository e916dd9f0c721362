//! A new mail made of a draft and of the mail that it forwards or answers, octet for octet.
//!
//! Nothing of the original is written anew: what goes along is copied as it stands between two boundaries, so the
//! recipient's copy of each part is the original's. Only what SMTP could not carry that way (a bare line end, a NUL, a line
//! of more than 998 octets) goes as base64 of the same octets.
// mission: M6; threats: M1, M2, M4
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::compose::{answer_subject, answer_to, encoded, quoted, thread};
use super::forward::{Kind, OCTETS, Refusal, Request};
use super::headers::Headers;
use super::mime::{self, Coding, Kind as PartKind, Part};
use super::outbox::push_field;
use super::{summary, transfer};
use bytes::Bytes;
use sha2::Digest;

/// Octets of quoted text, about.
const QUOTED: usize = 64 * 1024;
/// Octets of a line.
// spec: RFC 5322 §2.1.1
const LINE: usize = 998;

/// Header fields of a draft, and their octets.
const FIELDS: usize = 900;
const HEADER: usize = 200 * 1024;

/// One part of the new mail.
struct Piece<'a> {
    /// Its header, closed; nothing where the octets have their own.
    head: Vec<u8>,
    octets: &'a [u8],
    /// What stands for the octets where they cannot go as they are.
    coded: Option<Vec<u8>>,
}

impl Piece<'_> {
    fn octets(&self) -> &[u8] {
        self.coded.as_deref().unwrap_or(self.octets)
    }
}

/// Puts into a draft what the request takes of the original.
///
/// # Shape
/// `multipart/mixed` of the draft's text (if there is any), the original as `message/rfc822`, then its parts. The draft's
/// header stays; a recipient (of an answer), a subject, `In-Reply-To` and `References` are added where it has none. Of a
/// request that takes nothing only the header is completed.
/// # Errors
/// [`Refusal::NotThat`] for a part that is not there, [`Refusal::Limit`] over [`OCTETS`].
///
/// ```
/// use mailsync_proto::mail::forward::{Kind, Request};
/// use mailsync_proto::mail::splice::splice;
/// let original = "From: ann@a.example\r\nMessage-ID: <1@a>\r\nSubject: tea\r\n\r\nAt five?\r\n".into();
/// let draft = "From: bob@b.example\r\nTo: cyd@c.example\r\n\r\nSee below.\r\n".into();
/// let mut request = Request::new(Kind::Forward, "17");
/// request.whole = true;
/// let mail = splice(&request, &draft, &original).unwrap();
/// let mail = std::str::from_utf8(&mail).unwrap();
/// assert!(mail.contains("\r\nSubject: Fwd: tea\r\nReferences: <1@a>\r\n"));
/// assert!(mail.contains("\r\n\r\nFrom: ann@a.example\r\nMessage-ID: <1@a>\r\nSubject: tea\r\n\r\nAt five?\r\n\r\n--"));
/// ```
pub fn splice(request: &Request, draft: &Bytes, original: &Bytes) -> Result<Bytes, Refusal> {
    let headers = Headers::parse(draft);
    // What comes after is seen by those only who look at as many fields.
    if headers.fields.len() > FIELDS || headers.end > HEADER {
        let value = headers.fields.len() as u64;
        return Err(Refusal::Limit { what: "header fields of the draft", value, limit: FIELDS as u64 });
    }
    let body = draft.get(headers.body..).unwrap_or_default();
    let takes_any = request.takes_any();
    let mut out = Vec::with_capacity(draft.len().saturating_add(1024));
    for field in &headers.fields {
        let ours = starts(field.name, "X-Sync-");
        let mime = starts(field.name, "Content-") || field.name.eq_ignore_ascii_case("MIME-Version");
        let replaced = ours || (mime && takes_any);
        if !replaced {
            push_field(&mut out, draft.get(field.range.clone()).unwrap_or_default());
        }
    }
    complete(&mut out, request.kind, &headers, original);
    if !takes_any {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        return checked(out);
    }
    let mut pieces = Vec::new();
    let quote = request.text.then(|| quoted(original, QUOTED));
    pieces.extend(own_text(&headers, draft, body, quote.as_deref()));
    let text_only = !request.whole && request.parts.is_empty();
    if request.whole {
        pieces.push(attached(original));
    }
    pieces.extend(chosen(&request.parts, original)?);
    // threats: M4: before anything of it is copied
    let sum = pieces.iter().fold(0usize, |sum, piece| {
        sum.saturating_add(piece.head.len()).saturating_add(piece.octets().len()).saturating_add(80)
    });
    limit(sum.saturating_add(out.len()))?;
    out.extend_from_slice(b"MIME-Version: 1.0\r\n");
    if let (true, [piece]) = (text_only, &pieces[..]) {
        out.extend_from_slice(&piece.head);
        out.extend_from_slice(piece.octets());
        return checked(out);
    }
    let boundary = boundary(draft, &pieces);
    out.extend_from_slice(
        format!("Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n").as_bytes(),
    );
    // spec: RFC 2045 §6.4
    if pieces.iter().any(|piece| !piece.octets().is_ascii()) {
        out.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n");
    }
    for piece in &pieces {
        out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
        out.extend_from_slice(&piece.head);
        out.extend_from_slice(piece.octets());
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    checked(out)
}

fn checked(out: Vec<u8>) -> Result<Bytes, Refusal> {
    limit(out.len())?;
    Ok(out.into())
}

fn limit(octets: usize) -> Result<(), Refusal> {
    let value = octets as u64;
    if value > OCTETS {
        return Err(Refusal::Limit { what: "octets of the mail", value, limit: OCTETS });
    }
    Ok(())
}

/// The fields that an answer or a forward has and the draft has not.
// threats: M2: every value is checked or encoded
fn complete(out: &mut Vec<u8>, kind: Kind, draft: &Headers<'_>, original: &[u8]) {
    let lacks = |name: &str| draft.first(name).is_none_or(|field| field.value.trim_ascii().is_empty());
    let headers = Headers::parse(original);
    let mut field = |name: &str, value: &str| {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    };
    if kind == Kind::Reply && ["To", "Cc", "Bcc"].into_iter().all(lacks) {
        let to = answer_to(&headers);
        if !to.is_empty() {
            field("To", &to.join(",\r\n "));
        }
    }
    if lacks("Subject") {
        let prefix = if kind == Kind::Reply { "Re: " } else { "Fwd: " };
        field("Subject", &encoded(&answer_subject(prefix, original)));
    }
    let (own, references) = thread(&headers);
    if let Some(own) = own.filter(|_| kind == Kind::Reply && lacks("In-Reply-To")) {
        field("In-Reply-To", &format!("<{own}>"));
    }
    if lacks("References") && !references.is_empty() {
        let references: Vec<String> = references.iter().map(|id| format!("<{id}>")).collect();
        field("References", &references.join("\r\n "));
    }
}

/// What the draft itself says, with the quoted text below it.
fn own_text<'a>(
    headers: &Headers<'_>,
    draft: &'a [u8],
    body: &'a [u8],
    quote: Option<&str>,
) -> Vec<Piece<'a>> {
    let blank = body.trim_ascii().is_empty();
    let content_type = headers.first("Content-Type").map(|field| field.text()).unwrap_or_default();
    let is_plain = content_type.is_empty() || starts(&content_type, "text/plain");
    let written = |text: &str| {
        let head =
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n";
        let coded = Some(transfer::to_quoted_printable(text).into_bytes());
        Piece { head: head.to_vec(), octets: &[], coded }
    };
    match quote {
        Some(quote) if blank => return vec![written(quote)],
        Some(quote) if is_plain => {
            let text = summary::plain_text(draft);
            return vec![written(&format!("{}\n\n{quote}", text.trim_end()))];
        }
        _ => {}
    }
    let mut pieces = Vec::new();
    if !blank {
        let mut head = Vec::new();
        for field in headers.fields.iter().filter(|field| starts(field.name, "Content-")) {
            push_field(&mut head, draft.get(field.range.clone()).unwrap_or_default());
        }
        head.extend_from_slice(b"\r\n");
        pieces.push(Piece { head, octets: body, coded: None });
    }
    pieces.extend(quote.map(written));
    pieces
}

/// The original as an attached message.
fn attached(original: &[u8]) -> Piece<'_> {
    let mut head = b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n".to_vec();
    if !is_mail_text(original) {
        return as_file(original, original);
    }
    if !original.is_ascii() {
        head.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Piece { head, octets: original, coded: None }
}

/// A message that cannot go as one.
// spec: RFC 2046 §5.2.1: message/rfc822 has no base64
fn as_file<'a>(octets: &'a [u8], message: &[u8]) -> Piece<'a> {
    let mut head = b"Content-Type: application/octet-stream; name=\"original.eml\"\r\n\
        Content-Disposition: attachment; filename=\"original.eml\"\r\n"
        .to_vec();
    head.extend_from_slice(BASE64);
    Piece { head, octets, coded: Some(transfer::to_base64_lines(message).into_bytes()) }
}

const BASE64: &[u8] = b"Content-Transfer-Encoding: base64\r\n\r\n";

/// The chosen parts as they stand in the original.
fn chosen<'a>(numbers: &[u32], original: &'a [u8]) -> Result<Vec<Piece<'a>>, Refusal> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let limit = mime::PARTS as u64;
    let many = || Refusal::Limit { what: "parts of the original", value: limit.saturating_add(1), limit };
    let parts = mime::parts(original).ok_or_else(many)?;
    let mut pieces = Vec::new();
    for number in numbers {
        let part = usize::try_from(*number).ok().and_then(|at| parts.get(at));
        let part = part.ok_or_else(|| Refusal::NotThat(format!("the mail has no part {number}")))?;
        if part.kind == PartKind::Several {
            return Err(Refusal::NotThat(format!("part {number} is several parts; name those in it")));
        }
        pieces.push(one(*number, part, original));
    }
    Ok(pieces)
}

fn one<'a>(number: u32, part: &Part, original: &'a [u8]) -> Piece<'a> {
    let (head_at, body_at, end) = (part.head.start, part.body.start, part.body.end);
    let slice = |from: usize| original.get(from..end).unwrap_or_default();
    let headers = Headers::parse(slice(head_at));
    let is_message = part.kind == PartKind::Message;
    if number != 0 && is_mail_text(slice(head_at)) {
        return Piece { head: Vec::new(), octets: slice(head_at), coded: None };
    }
    let mut head = Vec::new();
    let plain = is_mail_text(slice(body_at));
    for field in headers.fields.iter().filter(|field| starts(field.name, "Content-")) {
        let raw = slice(head_at).get(field.range.clone()).unwrap_or_default();
        let coding = field.name.eq_ignore_ascii_case("Content-Transfer-Encoding");
        if raw.len() <= LINE && (plain || !coding) {
            push_field(&mut head, raw);
        }
    }
    if plain {
        head.extend_from_slice(b"\r\n");
        return Piece { head, octets: slice(body_at), coded: None };
    }
    let octets = slice(body_at);
    let decoded = match part.coding {
        Coding::Base64 => transfer::from_base64(octets).unwrap_or_else(|| octets.to_vec()),
        Coding::QuotedPrintable => transfer::from_quoted_printable(octets),
        Coding::None => octets.to_vec(),
    };
    if is_message {
        return as_file(octets, &decoded);
    }
    head.extend_from_slice(BASE64);
    Piece { head, octets, coded: Some(transfer::to_base64_lines(&decoded).into_bytes()) }
}

/// Whether SMTP carries it without touching an octet: lines of at most 998, each with CRLF, no NUL.
// spec: RFC 5321 §2.3.8; threats: M1
fn is_mail_text(octets: &[u8]) -> bool {
    let mut lines = octets.split(|&octet| octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        // What follows the last line end is a line of its own.
        let text = match (lines.peek(), line.strip_suffix(b"\r")) {
            (Some(_), None) => return false,
            (Some(_), Some(text)) => text,
            (None, _) => line,
        };
        if text.len() > LINE || text.iter().any(|octet| matches!(octet, b'\r' | 0)) {
            return false;
        }
    }
    true
}

/// A boundary that is in none of the pieces. It depends on all of them, so nobody can have put it there.
// threats: M2
fn boundary(draft: &[u8], pieces: &[Piece<'_>]) -> String {
    let mut hash = sha2::Sha256::new();
    hash.update(draft);
    pieces.iter().for_each(|piece| hash.update(piece.octets()));
    let digest = hash.finalize();
    let name: String = digest.iter().take(15).map(|octet| format!("{octet:02x}")).collect();
    let mut boundary = format!("=_{name}");
    let is_in = |text: &[u8], boundary: &str| text.windows(boundary.len()).any(|w| w == boundary.as_bytes());
    while boundary.len() < 60 && pieces.iter().any(|piece| is_in(piece.octets(), &boundary)) {
        boundary.push('x');
    }
    boundary
}

fn starts(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}
