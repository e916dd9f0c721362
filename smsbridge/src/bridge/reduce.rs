//! Mail to short message: what is left of a mail when it must fit.

use crate::text::{Rules, Split, SplitError, split};
use mail_parser::{Message, MessageParser, MimeHeaders};
use std::panic::{AssertUnwindSafe, catch_unwind};
use unicode_segmentation::UnicodeSegmentation;

/// How a mail is reduced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReduceRules {
    /// Cut quoted replies.
    pub cut_quotes: bool,
    /// Cut from the signature on.
    pub cut_signature: bool,
    /// Show where links of HTML lead.
    pub links: bool,
    /// Name attachments in a last line.
    pub attachments: bool,
    /// Octets of a mail that are looked at; more is not converted.
    pub mail_octets: usize,
    /// Parts of a mail that are looked at.
    pub mime_parts: usize,
}

impl Default for ReduceRules {
    fn default() -> Self {
        ReduceRules {
            cut_quotes: true,
            cut_signature: true,
            links: true,
            attachments: true,
            mail_octets: 32 * 1024 * 1024,
            mime_parts: 1_000,
        }
    }
}

/// What is left of a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reduced {
    /// The sender's name, if the mail has one.
    pub name: Option<String>,
    /// The sender's address as the mail states it; its own claim.
    pub from: Option<String>,
    /// The subject, without repeated `Re:` and `Fwd:`.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// Attachments by name.
    pub attachments: Vec<String>,
    /// Message-ID, without angle brackets.
    pub message_id: Option<String>,
}

/// Reduces a mail to its text; `None` if it is no mail or passes the limits.
///
/// text/plain of an alternative, else HTML without its tags; format=flowed is joined (RFC 3676); quotes, signature,
/// invisible characters go; attachments are named.
pub fn reduce(mail: &[u8], rules: &ReduceRules) -> Option<Reduced> {
    if mail.len() > rules.mail_octets {
        return None;
    }
    let flat = flat(mail, rules.mime_parts)?;
    // A panic of the library costs this mail's conversion.
    let parsed = catch_unwind(AssertUnwindSafe(|| MessageParser::default().parse(&flat)));
    let message = parsed.ok().flatten()?;
    if message.parts.len() > rules.mime_parts {
        return None;
    }
    let sender = message.from().and_then(|from| from.first());
    let mut text = body(&message, rules);
    if rules.cut_signature {
        text = without_signature(&text);
    }
    if rules.cut_quotes {
        text = without_quotes(&text);
    }
    let mut text = tidy(&text);
    let attachments: Vec<String> =
        message.attachments().map(|part| line(part.attachment_name().unwrap_or("unnamed"))).collect();
    if rules.attachments && !attachments.is_empty() {
        let shown: Vec<&str> = attachments.iter().take(3).map(String::as_str).collect();
        let more = attachments.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        text.push_str(&format!("\n[{}{more}]", shown.join(", ")));
    }
    Some(Reduced {
        name: sender.and_then(|sender| sender.name()).map(line).filter(|name| !name.is_empty()),
        from: sender.and_then(|sender| sender.address()).map(line),
        subject: message.subject().map(short_subject).filter(|subject| !subject.is_empty()),
        text: text.trim().to_owned(),
        attachments,
        message_id: message.message_id().map(str::to_owned),
    })
}

/// Multiparts of a mail that are looked at: the library looks for the boundaries of each to the end of the mail.
const MULTIPARTS: usize = 100;

/// The mail with every message in it as one file; none if there are more types than parts that are looked at.
///
/// The library's reader follows messages in messages, also inside base64, as deep as they go, and drops what it made of them
/// by recursion: 20,000 of them in a mail of 850 KB end the process. So only types that cannot be messages are left to it.
// threats: L1, L2, M4
fn flat(mail: &[u8], parts: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(mail.len());
    let (mut types, mut multiparts) = (0, 0);
    let mut lines = mail.split_inclusive(|&octet| octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        // As the library reads it: blanks in a field's name count for nothing.
        let colon = line.iter().position(|&octet| octet == b':').unwrap_or(0);
        let (name, _) = line.split_at(colon);
        let letters = name.iter().filter(|octet| !octet.is_ascii_whitespace()).map(u8::to_ascii_lowercase);
        if !letters.eq(b"content-type".iter().copied()) {
            out.extend_from_slice(line);
            continue;
        }
        types += 1;
        let mut field = line.to_vec();
        while let Some(more) = lines.next_if(|next| matches!(next.first(), Some(b' ' | b'\t'))) {
            field.extend_from_slice(more);
        }
        let value =
            String::from_utf8_lossy(field.get(colon + 1..).unwrap_or_default()).trim().to_ascii_lowercase();
        let (main, rest) = value.split_once('/').unwrap_or((&value, ""));
        let sub: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-.+".contains(*c)).collect();
        multiparts += usize::from(main == "multipart");
        let is_plain = matches!(main, "text" | "image" | "audio" | "video" | "application")
            || (main == "multipart" && sub != "digest" && !sub.is_empty());
        if is_plain {
            out.extend_from_slice(&field);
        } else {
            out.extend_from_slice(b"Content-Type: application/octet-stream\r\n");
        }
        if types > parts || multiparts > MULTIPARTS {
            return None;
        }
    }
    Some(out)
}

/// Splits a text into at most `rules.max_parts`; true if its end had to go, which `...` then shows.
///
/// # Errors
/// [`SplitError`] if not even the mark fits.
pub fn fit(text: &str, rules: &Rules) -> Result<(Split, bool), SplitError> {
    // no more graphemes than septets of all parts can ever fit; the rest of a long text is not even looked at
    let most = rules.max_parts.min(255) * 160;
    let ends: Vec<usize> = text.grapheme_indices(true).take(most + 1).map(|(at, _)| at).collect();
    if ends.len() <= most || rules.reference == crate::text::Reference::Payload {
        match split(text, rules) {
            Ok(whole) => return Ok((whole, false)),
            Err(SplitError::TooManyParts { .. }) => {}
        }
    }
    let shortened = |count: usize| {
        let end = ends.get(count).copied().unwrap_or(0);
        split(&format!("{}...", text.get(..end).unwrap_or_default().trim_end()), rules)
    };
    let (mut fits, mut fails) = (0, ends.len());
    while fails - fits > 1 {
        let middle = (fits + fails) / 2;
        if shortened(middle).is_ok() { fits = middle } else { fails = middle }
    }
    shortened(fits).map(|split| (split, true))
}

fn body(message: &Message<'_>, rules: &ReduceRules) -> String {
    let mut out = String::new();
    for &id in &message.text_body {
        let Some(part) = message.part(id) else { continue };
        let Some(contents) = part.text_contents() else { continue };
        if part.is_text_html() {
            out.push_str(&mail_parser::decoders::html::html_to_text(&prepare_html(contents, rules.links)));
        } else {
            let attribute =
                |name: &str| part.content_type().and_then(|kind| kind.attribute(name)).unwrap_or_default();
            if attribute("format").eq_ignore_ascii_case("flowed") {
                out.push_str(&unflow(contents, attribute("delsp").eq_ignore_ascii_case("yes")));
            } else {
                out.push_str(contents);
            }
        }
        out.push('\n');
    }
    out
}

/// Line breaks for blocks, and link targets behind their words, before the tags go.
fn prepare_html(html: &str, links: bool) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    let mut target: Option<String> = None;
    while let Some(open) = rest.find('<') {
        let (text, tagged) = rest.split_at(open);
        out.push_str(text);
        let end = tagged.find('>').map_or(tagged.len(), |at| at + 1);
        let (tag, after) = tagged.split_at(end);
        let lower = tag.to_ascii_lowercase();
        let name: String =
            lower.trim_start_matches(['<', '/']).chars().take_while(char::is_ascii_alphanumeric).collect();
        if lower.starts_with("</") && name == "a" {
            if let Some(target) = target.take() {
                out.push_str(&format!(" ({target})"));
            }
        } else if links && name == "a" {
            target = href(tag).filter(|href| href.starts_with("http"));
        }
        out.push_str(tag);
        let block =
            ["div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "table"];
        if lower.starts_with("</") && block.contains(&name.as_str()) {
            out.push_str("<br>");
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn href(tag: &str) -> Option<String> {
    let at = tag.to_ascii_lowercase().find("href")?;
    let value = tag.get(at + 4..)?.trim_start().strip_prefix('=')?.trim_start();
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value.get(1..)?.split(quote).next()?,
        _ => value.split([' ', '>']).next()?,
    };
    Some(value.replace(['<', '>'], ""))
}

/// spec: RFC 3676 §4
fn unflow(text: &str, delete_space: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let quoted = line.starts_with('>');
        let bare = if quoted { line } else { line.strip_prefix(' ').unwrap_or(line) };
        let flows = bare.ends_with(' ') && bare != "-- " && !quoted;
        out.push_str(if flows && delete_space { bare.trim_end_matches(' ') } else { bare });
        if !flows {
            out.push('\n');
        }
    }
    out
}

fn without_signature(text: &str) -> String {
    let mut kept = Vec::new();
    for line in text.lines() {
        // spec: RFC 3676 §4.3
        if line == "-- " || line == "-- \r" {
            break;
        }
        kept.push(line);
    }
    kept.join("\n")
}

fn without_quotes(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut dropped = false;
    for line in text.lines() {
        let start = line.trim_start();
        if start.starts_with("-----") && start.to_ascii_lowercase().contains("original message") {
            break;
        }
        if start.starts_with('>') {
            if !dropped {
                // the line that introduces a quote goes with it
                while kept.last().is_some_and(|line| line.trim().is_empty()) {
                    kept.pop();
                }
                if kept.last().is_some_and(|line| line.trim_end().ends_with([':', '\u{FF1A}'])) {
                    kept.pop();
                }
            }
            dropped = true;
            continue;
        }
        dropped = false;
        kept.push(line);
    }
    kept.join("\n")
}

/// Control and invisible characters out, white space and empty lines at most one in a row; bidi marks and joiners,
/// which change what is read, stay.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let line = self::line(line);
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out.trim().to_owned()
}

fn line(text: &str) -> String {
    let visible = |c: &char| {
        !matches!(c, '\u{200B}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}') && (!c.is_control() || *c == '\t')
    };
    let kept: String = text.chars().filter(visible).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `Re: Re: Fwd: x` is `Re: x`.
fn short_subject(subject: &str) -> String {
    let clean = line(subject);
    let mut rest = clean.as_str();
    let mut first = None;
    loop {
        let prefix = ["re:", "fwd:", "fw:", "aw:", "wg:", "sv:", "回复:", "回复：", "转发:", "转发："]
            .into_iter()
            .find_map(|prefix| rest.get(..prefix.len()).filter(|head| head.to_lowercase() == prefix));
        let Some(prefix) = prefix else { break };
        first = first.or(Some(prefix));
        rest = rest.get(prefix.len()..).unwrap_or_default().trim_start();
    }
    first.map_or_else(|| rest.to_owned(), |first| format!("{first} {rest}").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mail: &str) -> String {
        reduce(mail.as_bytes(), &ReduceRules::default()).unwrap().text
    }

    fn plain(body: &str) -> String {
        text(&format!("From: Ann <ann@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}"))
    }

    // threats: L1, L2, M4
    #[test]
    fn threat_m4_messages_in_messages_end_no_process() {
        let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(50_000);
        let spread = "Con tent-Type:\r\n mes(x)sage/(y)rfc822\r\n\r\n".repeat(50_000);
        let digests: String = (0..50_000)
            .map(|n| format!("Content-Type: multipart/digest; boundary=b{n}\r\n\r\n--b{n}\r\n\r\n"))
            .collect();
        let few = "Content-Type: message/rfc822\r\n\r\n".repeat(900);
        for mail in [nested, spread, digests] {
            assert_eq!(reduce(mail.as_bytes(), &ReduceRules::default()), None);
        }
        assert!(reduce(few.as_bytes(), &ReduceRules::default()).is_some());
        // A message that is attached is named, and its text is not the mail's.
        let mail = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\nContent-Type: message/rfc822\r\n\
            Content-Disposition: attachment; filename=a.eml\r\n\r\nSubject: x\r\n\r\ninner\r\n--b--\r\n";
        assert_eq!(text(mail), "see below\n[a.eml]");
    }

    // mission: S2
    #[test]
    fn alternatives_and_html() {
        let mail = "From: =?utf-8?B?5byg5LiJ?= <zhang@example.org>\r\nSubject: Re: Fwd: RE: Lunch\r\nMessage-ID: <m@x>\r\n\
            MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/plain\r\n\r\nplain words\r\n\
            --b\r\nContent-Type: text/html\r\n\r\n<p>html words</p>\r\n--b--\r\n";
        let reduced = reduce(mail.as_bytes(), &ReduceRules::default()).unwrap();
        assert_eq!((reduced.text.as_str(), reduced.subject.as_deref()), ("plain words", Some("Re: Lunch")));
        assert_eq!(
            (reduced.name.as_deref(), reduced.from.as_deref()),
            (Some("张三"), Some("zhang@example.org"))
        );
        let html = "Content-Type: text/html; charset=utf-8\r\n\r\n<html><head><style>p{x}</style></head><body>\
            <script>evil()</script><div>One &amp; two</div><ul><li>a</li><li>b</li></ul>\
            <a href=\"https://x.example/y\">here</a><p>end&hellip;</p></body></html>\r\n";
        assert_eq!(text(html), "One & two\na\nb\n\nhere (https://x.example/y)end…");
    }

    #[test]
    fn charsets() {
        let gb = [
            &b"Content-Type: text/plain; charset=gb18030\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"[..],
            &[0xC4, 0xE3, 0xBA, 0xC3],
        ]
        .concat();
        assert_eq!(reduce(&gb, &ReduceRules::default()).unwrap().text, "你好");
        let qp = "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n";
        assert_eq!(text(qp), "Grüße");
    }

    #[test]
    fn quotes_and_signatures_go() {
        for (body, left) in [
            ("yes\r\n\r\nOn Monday Bob wrote:\r\n> lunch?\r\n> today\r\n", "yes"),
            ("> lunch?\r\nyes\r\n> where?\r\nhere\r\n", "yes\nhere"),
            ("yes\r\n-----Original Message-----\r\nFrom: Bob\r\n", "yes"),
            ("yes\r\n-- \r\nAnn\r\nTel. 1\r\n", "yes"),
            ("a -- b\r\n--\r\nc\r\n", "a -- b\n--\nc"),
            ("a\u{200B}b\u{FEFF}  c\r\n\r\n\r\n\r\nd\u{7}\r\n", "ab c\n\nd"),
            ("", ""),
        ] {
            assert_eq!(plain(body), left, "{body:?}");
        }
        let flowed = "Content-Type: text/plain; format=flowed; delsp=no\r\n\r\nlong \r\nline\r\nnext\r\n  indented\r\n";
        assert_eq!(text(flowed), "long line\nnext\nindented");
    }

    #[test]
    fn attachments_are_named() {
        let mail = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/plain\r\n\r\nsee\r\n\
            --b\r\nContent-Type: image/png; name=\"a.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n\
            --b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\njunk!!\r\n--b--\r\n";
        let reduced = reduce(mail.as_bytes(), &ReduceRules::default()).unwrap();
        assert_eq!(reduced.text, "see\n[a.png, winmail.dat]");
    }

    #[test]
    fn long_mails_are_cut_with_a_mark() {
        let rules = Rules { max_parts: 4, ..Rules::default() };
        let (whole, cut) = fit(&"a".repeat(612), &rules).unwrap();
        assert_eq!((whole.parts.len(), cut), (4, false));
        for character in ["a", "中", "👨‍👩‍👧", "€"] {
            let (split, cut) = fit(&character.repeat(100_000), &rules).unwrap();
            let joined: String = split.parts.iter().map(|part| part.text.as_str()).collect();
            assert!(cut && joined.ends_with(&format!("{character}...")));
            assert_eq!(split.parts.len(), 4, "{character}");
        }
        assert_eq!(
            fit(&"a".repeat(700), &rules).unwrap().0.parts.iter().map(|part| part.text.len()).sum::<usize>(),
            612
        );
    }

    #[test]
    fn threat_m4_hostile_mime_ends() {
        let rules = ReduceRules::default();
        let mut nested = String::from("MIME-Version: 1.0\r\n");
        for level in 0..10_000 {
            nested
                .push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
        }
        nested.push_str("Content-Type: text/plain\r\n\r\nhi\r\n");
        // far too many parts: refused, or read; never a crash
        let reduced = reduce(nested.as_bytes(), &rules);
        assert!(reduced.is_none_or(|reduced| reduced.text.len() < nested.len()));
        assert!(reduce(&vec![b'x'; rules.mail_octets + 1], &rules).is_none());
        for odd in [
            "",
            "\r\n",
            "Content-Type: text/html\r\n\r\n<",
            "Content-Type: text/html\r\n\r\n<a href=",
            "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x",
        ] {
            let _ = reduce(odd.as_bytes(), &rules);
        }
    }
}
