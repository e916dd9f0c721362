//! Forwards: what is spliced into a draft, under any octets.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use mailsync_proto::mail::catenate::{Piece, plan};
use mailsync_proto::mail::cut::parts;
use mailsync_proto::mail::email::Email;
use mailsync_proto::mail::forward::{Kind, Refusal, Request, ext_of};
use mailsync_proto::mail::headers::Headers;
use mailsync_proto::mail::splice::splice;
use mailsync_proto::mail::transfer::from_base64;

/// A draft, one line `.`, and the mail that it is about.
pub const FORWARD: Target = Target {
    name: "forward",
    input: "a draft, a line with a dot, and the mail that it forwards",
    dictionary: Some("mail"),
    properties: &[
        Property {
            name: "whole",
            sentence: "the original, cut out of a forward of it, is what it was, octet for octet",
            check: whole,
        },
        Property {
            name: "parts",
            sentence: "each part that is listed goes along, alone in its forward, and no octet of its content is new \
                       unless it could not go through SMTP",
            check: each_part,
        },
        Property {
            name: "smtp",
            sentence: "what is spliced in has CRLF line ends only, no NUL, no line over 998 octets, and adds no field to \
                       the header but those of a thread",
            check: smtp,
        },
        Property {
            name: "composed",
            sentence: "what a mail server is to put together of the original and of our text is the forward, octet for octet",
            check: composed,
        },
        Property {
            name: "cost",
            sentence: "a forward costs no more memory than in proportion to both",
            check: cost,
        },
        Property {
            name: "asked",
            sentence: "a request that reads is written, and reads as the same again, in both spellings",
            check: asked,
        },
    ],
};

const DRAFT: &[u8] = b"From: a@b.example\r\nTo: c@d.example\r\n\r\n";

fn split(data: &[u8]) -> (Bytes, Bytes) {
    const DOT: &[u8] = b"\r\n.\r\n";
    match data.windows(DOT.len()).position(|window| window == DOT) {
        Some(at) => {
            let (draft, rest) = data.split_at(at + 2);
            (Bytes::copy_from_slice(draft), Bytes::copy_from_slice(&rest[3..]))
        }
        None => (Bytes::from_static(DRAFT), Bytes::copy_from_slice(data)),
    }
}

/// The last part of a mail that was spliced.
fn last(mail: &[u8]) -> Result<Vec<u8>, Broken> {
    let told = |what: &str| Broken(format!("{what}: {:?}", mail.escape_ascii().to_string()));
    let headers = Headers::parse(mail);
    let kind = headers.all("Content-Type").last().ok_or_else(|| told("no Content-Type"))?.text();
    let boundary = kind.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
    let mark = format!("\r\n--{}", boundary.ok_or_else(|| told("no boundary"))?);
    let inner = mail.strip_suffix(format!("{mark}--\r\n").as_bytes()).ok_or_else(|| told("not closed"))?;
    let at = inner.windows(mark.len()).rposition(|window| window == mark.as_bytes());
    Ok(inner[at.ok_or_else(|| told("no part"))? + mark.len() + 2..].to_vec())
}

fn content(part: &[u8]) -> Vec<u8> {
    let headers = Headers::parse(part);
    let body = &part[headers.body..];
    let coded = headers.first("Content-Transfer-Encoding").is_some_and(|field| field.text() == "base64");
    if coded { from_base64(body).unwrap_or_else(|| body.to_vec()) } else { body.to_vec() }
}

fn whole(data: &[u8]) -> Result<(), Broken> {
    let (draft, original) = split(data);
    let mut request = Request::new(Kind::Forward, "1");
    request.whole = true;
    let mail = match splice(&request, &draft, &original) {
        // A draft of more header fields than are looked at.
        Err(Refusal::Limit { .. }) => return Ok(()),
        spliced => spliced.map_err(|refusal| Broken(refusal.to_string()))?,
    };
    let came = content(&last(&mail)?);
    ensure!(came == original, "{original:?} came as {:?}", came.escape_ascii().to_string());
    Ok(())
}

fn each_part(data: &[u8]) -> Result<(), Broken> {
    let (_, original) = split(data);
    for part in parts(&original).into_iter().take(20) {
        let mut request = Request::new(Kind::Forward, "1");
        request.parts = vec![part.number];
        let draft = Bytes::from_static(DRAFT);
        let mail = splice(&request, &draft, &original).map_err(|refusal| Broken(refusal.to_string()))?;
        let came = last(&mail)?;
        let body = &came[Headers::parse(&came).body..];
        let there = |octets: &[u8]| octets.is_empty() || original.windows(octets.len()).any(|w| w == octets);
        let coded = came.windows(34).any(|w| w == b"Content-Transfer-Encoding: base64\r");
        ensure!(there(body) || coded, "part {} came as {:?}", part.number, came.escape_ascii().to_string());
    }
    Ok(())
}

fn smtp(data: &[u8]) -> Result<(), Broken> {
    let (_, original) = split(data);
    let draft = Bytes::from_static(DRAFT);
    for (whole, text) in [(true, false), (true, true), (false, true)] {
        let mut request = Request::new(Kind::Reply, "1");
        (request.whole, request.text) = (whole, text);
        let mail = splice(&request, &draft, &original).map_err(|refusal| Broken(refusal.to_string()))?;
        let mut before = 0;
        for &octet in &mail {
            ensure!((octet == b'\n') == (before == b'\r') && octet != 0, "{mail:?}");
            before = octet;
        }
        ensure!(mail.split(|&octet| octet == b'\n').all(|line| line.len() <= 999), "a long line: {mail:?}");
        let known = ["From", "To", "Subject", "In-Reply-To", "References", "MIME-Version"];
        let headers = Headers::parse(&mail);
        let ours = |name: &str| known.contains(&name) || name.starts_with("Content-");
        ensure!(headers.fields.iter().all(|field| ours(field.name)), "{:?}", headers.fields);
        ensure!(headers.is_closed(), "an open header: {mail:?}");
    }
    Ok(())
}

fn composed(data: &[u8]) -> Result<(), Broken> {
    let (draft, small) = split(data);
    // Nothing small is put together there: the content of the first parts grows, as the input says where they are.
    let line = b"as long as a line of an attachment often is\r\n".repeat(100);
    let mut original = Vec::new();
    let mut rest = &small[..];
    for _ in 0..8 {
        let Some(at) = rest.windows(4).position(|four| four == b"\r\n\r\n") else { break };
        let (before, after) = rest.split_at(at + 4);
        original.extend_from_slice(before);
        original.extend_from_slice(&line);
        rest = after;
    }
    original.extend_from_slice(rest);
    let original = Bytes::from(original);
    let mut request = Request::new(Kind::Forward, "1");
    request.whole = data.len().is_multiple_of(2);
    request.parts = parts(&original).iter().map(|part| part.number).take(20).collect();
    let Ok(mail) = splice(&request, &draft, &original) else { return Ok(()) };
    let Some(plan) = plan(&mail, &original) else { return Ok(()) };
    let mut made = Vec::new();
    for piece in &plan.pieces {
        match piece {
            Piece::Text(range) => made.extend_from_slice(&mail[range.clone()]),
            Piece::Stored(section, _) => {
                let range =
                    section.of(&original).ok_or_else(|| Broken(format!("{section:?} is not there")))?;
                made.extend_from_slice(&original[range]);
            }
        }
    }
    ensure!(made == mail, "{:?} makes {:?}", plan, made.escape_ascii().to_string());
    Ok(())
}

fn cost(data: &[u8]) -> Result<(), Broken> {
    let (draft, original) = split(data);
    let mut request = Request::new(Kind::Forward, "1");
    (request.whole, request.parts) = (true, vec![1]);
    let input = data.len() as u64;
    let used = allocation_counter::measure(|| drop(splice(&request, &draft, &original)));
    ensure!(used.bytes_max <= 24 * input + (1 << 20), "{} octets for {input}", used.bytes_max);
    Ok(())
}

fn asked(data: &[u8]) -> Result<(), Broken> {
    let email = Email::parse(&Bytes::copy_from_slice(data)).unwrap_or_default();
    for ext in ext_of(data).into_iter().chain(email.ext) {
        let Ok(Some(request)) = Request::of(&[ext]) else { continue };
        let again = Request::of(&[request.to_ext()]);
        ensure!(again == Ok(Some(request.clone())), "{request:?} came back as {again:?}");
        let again = Request::of_message(&request.before(b"\r\n"));
        ensure!(again == Ok(Some(request.clone())), "{request:?} came back as {again:?}");
    }
    Ok(())
}
