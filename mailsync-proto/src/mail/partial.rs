//! Mails that a device wants only in part: the header, the text, so many octets.
//!
//! What was left out is told in the extensions that Funambol's clients read; a mail that has one of them is not whole,
//! and replaces nothing.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::headers::Headers;
use bytes::Bytes;
use mail_parser::{MessageParser, PartType};
use syncml::{Ext, Property};

// spec: e-mail facts §2, vendor Ext
/// Octets of the whole mail.
const SIZE: &str = "x-funambol-size";
/// Octets that were left out.
const BODY: &str = "x-funambol-body";
/// Attachments that were left out.
const ATTACHMENTS: &str = "x-funambol-attach-n";
/// All of these names, and one for each attachment.
const PREFIXES: [&str; 3] = [SIZE, BODY, "x-funambol-attach"];

/// What of a message a device wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    text: bool,
    attachments: bool,
    /// Octets of the message, the header aside which always goes.
    max: Option<u64>,
}

impl Wanted {
    /// Reads the properties of a field filter.
    // spec: e-mail facts §7: emailitem alone is the header, texttype the text too, attachtype the attachments
    pub(super) fn of(fields: &[Property]) -> Self {
        let item = fields.iter().find(|field| field.prop_name.eq_ignore_ascii_case("emailitem"));
        let has = |name: &str| {
            item.is_some_and(|item| item.params.iter().any(|p| p.param_name.eq_ignore_ascii_case(name)))
        };
        let attachments = has("attachtype");
        Wanted { text: attachments || has("texttype"), attachments, max: item.and_then(|item| item.max_size) }
    }

    /// The part of a message, and what is said of the rest.
    pub(super) fn cut(self, message: &Bytes) -> (Bytes, Vec<Ext>) {
        let header = Headers::parse(message).body;
        let mut left_out = 0;
        let mut part = match (self.text, self.attachments) {
            (false, _) => closed_header(message, header),
            (true, true) => message.clone(),
            (true, false) => match text_only(message, header) {
                Some((part, attachments)) => {
                    left_out = attachments;
                    part
                }
                None => message.clone(),
            },
        };
        if let Some(max) = self.max.and_then(|max| usize::try_from(max).ok()).filter(|max| *max < part.len())
        {
            let header = Headers::parse(&part).body;
            let lines = part.get(..max).and_then(|head| head.iter().rposition(|octet| *octet == b'\n'));
            let end = lines.map_or(0, |at| at.saturating_add(1)).max(header).min(part.len());
            part = part.slice(..end);
        }
        let mut ext = vec![number(SIZE, message.len())];
        if part.len() < message.len() {
            ext.push(number(BODY, message.len().saturating_sub(part.len())));
        }
        if left_out > 0 {
            ext.push(number(ATTACHMENTS, left_out));
        }
        (part, ext)
    }
}

/// Whether an extension tells of a mail in part: it belongs to one copy of it, not to the mail.
pub(super) fn is_ours(name: &str) -> bool {
    PREFIXES
        .iter()
        .any(|prefix| name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix)))
}

/// Whether extensions say that a mail is not whole.
pub(super) fn is_partial(ext: &[Ext]) -> bool {
    ext.iter().any(|ext| is_ours(&ext.xnam) && !ext.xnam.eq_ignore_ascii_case(SIZE))
}

fn number(name: &str, value: usize) -> Ext {
    Ext { xnam: name.into(), xval: vec![value.to_string().into()] }
}

fn closed_header(message: &Bytes, end: usize) -> Bytes {
    message.slice(..end.min(message.len()))
}

/// A message of several parts as one of its text alone, and how many attachments it had.
fn text_only(message: &Bytes, header: usize) -> Option<(Bytes, usize)> {
    let parsed = MessageParser::default().parse(&message[..])?;
    if !matches!(parsed.parts.first()?.body, PartType::Multipart(_)) {
        return None;
    }
    let part = parsed.parts.get(usize::try_from(*parsed.text_body.first()?).ok()?)?;
    let at = |offset: u32| usize::try_from(offset).ok();
    let head = message.get(at(part.offset_header)?..at(part.offset_body)?)?;
    let body = message.get(at(part.offset_body)?..at(part.offset_end)?)?;
    let mut out = Vec::with_capacity(header.saturating_add(head.len()).saturating_add(body.len()));
    for field in Headers::parse(message).fields {
        // The text's own fields stand in their place.
        if !field.name.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("content-")) {
            out.extend_from_slice(message.get(field.range)?);
        }
    }
    for field in Headers::parse(head).fields {
        if field.name.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("content-")) {
            out.extend_from_slice(head.get(field.range)?);
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    Some((out.into(), parsed.attachment_count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncml::PropParam;

    const MAIL: &[u8] = b"From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\
        Subject: s\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\nworld\r\n--x\r\n\
        Content-Type: image/gif\r\nContent-Disposition: attachment; filename=a.gif\r\n\r\nGIF89a\r\n--x--\r\n";

    fn wanted(params: &[&str], max: Option<u64>) -> Wanted {
        let mut property = Property::default();
        property.prop_name = "emailitem".into();
        property.max_size = max;
        property.params = params
            .iter()
            .map(|name| {
                let mut param = PropParam::default();
                param.param_name = (*name).into();
                param
            })
            .collect();
        Wanted::of(&[property])
    }

    fn cut(params: &[&str], max: Option<u64>) -> (String, Vec<String>) {
        let (part, ext) = wanted(params, max).cut(&Bytes::from_static(MAIL));
        let ext = ext.iter().map(|ext| format!("{}={}", ext.xnam, ext.xval.join(",")));
        (String::from_utf8(part.to_vec()).unwrap(), ext.collect())
    }

    // spec-test: e-mail facts §7
    #[test]
    fn header_text_all() {
        let header = std::str::from_utf8(MAIL).unwrap().split_inclusive("\r\n\r\n").next().unwrap();
        let (part, ext) = cut(&[], None);
        assert_eq!(part, header);
        let missing = MAIL.len() - header.len();
        assert_eq!(ext, [format!("x-funambol-size={}", MAIL.len()), format!("x-funambol-body={missing}")]);
        let (part, ext) = cut(&["texttype"], None);
        let text = "From: a@b\r\nMIME-Version: 1.0\r\nSubject: s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\nworld";
        assert_eq!(part.trim_end(), text);
        assert_eq!(ext[2], "x-funambol-attach-n=1");
        let (part, ext) = cut(&["texttype", "attachtype"], None);
        assert_eq!((part.as_bytes(), ext.len()), (MAIL, 1), "whole, and nothing is left out");
        assert_eq!(Wanted::of(&[]).cut(&Bytes::from_static(MAIL)).0.len(), header.len());
    }

    #[test]
    fn so_many_octets_end_with_a_line_and_never_in_the_header() {
        let (part, ext) = cut(&["texttype"], Some(105));
        assert!(part.ends_with("hello\r\n"), "{part}");
        assert!(is_partial(&[Ext { xnam: ext[1].split('=').next().unwrap().into(), xval: vec![] }]));
        let (part, _) = cut(&["attachtype"], Some(3));
        assert!(part.ends_with("Subject: s\r\n\r\n"), "{part}");
        let (whole, ext) = cut(&["attachtype"], Some(100_000));
        assert_eq!((whole.as_bytes(), ext.len()), (MAIL, 1));
        let one = Bytes::from_static(b"Subject: x\r\n\r\nbody\r\n");
        assert_eq!(wanted(&["texttype"], None).cut(&one).0, one);
        for broken in [&b""[..], b"Content-Type: multipart/mixed; boundary=x\r\n\r\n", b"\r\n\r\n\xff"] {
            let broken = Bytes::copy_from_slice(broken);
            assert!(wanted(&["texttype"], Some(1)).cut(&broken).0.len() <= broken.len());
        }
    }
}
