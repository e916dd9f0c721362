//! New mail and replies, as text.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::headers::{Headers, message_id};
use super::outbox::is_address;
use super::summary;
use super::{time, transfer};
use bytes::Bytes;

/// A mail to be written.
///
/// # Shape
/// Becomes `From, To?, Cc?, Bcc?, Subject, Date, Message-ID, In-Reply-To?, References?` and a `text/plain` body in
/// UTF-8, quoted-printable where it is not plain ASCII.
/// # Errors
/// [`ComposeError`] for an address that cannot stand in a header, or none at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The writer's address.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// To whom as well.
    pub cc: Vec<String>,
    /// To whom without the others knowing.
    pub bcc: Vec<String>,
    /// What it is about.
    pub subject: String,
    /// The text.
    pub text: String,
    /// Message-ID of the mail it answers, without brackets.
    pub in_reply_to: Option<String>,
    /// Message-IDs of the thread, oldest first, without brackets.
    pub references: Vec<String>,
}

/// Why a mail was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// An address that is none.
    #[error("{0:?} is not a mail address")]
    Address(String),
    /// Nobody to send it to.
    #[error("no recipient")]
    NoRecipient,
}

impl Draft {
    /// The answer to a message: to whom it asks answers to go, about the same, its text quoted below `text`.
    ///
    /// # Errors
    /// [`ComposeError::NoRecipient`] when the message names no address to answer to.
    pub fn reply(original: &[u8], from: &str, text: &str) -> Result<Self, ComposeError> {
        let mut draft = Draft::answer(original, from, text)?;
        draft.text = format!("{}\n\n{}", text.trim_end(), quoted(original, usize::MAX));
        Ok(draft)
    }

    /// The answer to a message of which the header suffices: as [`Draft::reply`], nothing quoted.
    ///
    /// # Errors
    /// As [`Draft::reply`].
    pub fn answer(original: &[u8], from: &str, text: &str) -> Result<Self, ComposeError> {
        let headers = Headers::parse(original);
        let to = answer_to(&headers);
        if to.is_empty() {
            return Err(ComposeError::NoRecipient);
        }
        let (subject, (in_reply_to, references)) = (answer_subject("Re: ", original), thread(&headers));
        let text = text.into();
        Ok(Draft { from: from.into(), to, subject, text, in_reply_to, references, ..Draft::default() })
    }

    /// A mail that forwards a message, without the message itself: about the same, in the same thread.
    pub fn forward(original: &[u8], from: &str, to: Vec<String>, text: &str) -> Self {
        let (_, references) = thread(&Headers::parse(original));
        let subject = answer_subject("Fwd: ", original);
        Draft { from: from.into(), to, subject, text: text.into(), references, ..Draft::default() }
    }

    /// Writes it. `unique` makes the Message-ID (letters and digits), `now` the date, seconds since 1970.
    pub fn to_message(&self, unique: &str, now: u64) -> Result<Bytes, ComposeError> {
        let unique: String = unique.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        let mut out = self.head(&format!("{now}.{unique}"), now)?;
        self.part(&mut out);
        Ok(out.into())
    }

    /// The header as far as the MIME fields. `id` is the Message-ID before its `@`.
    pub(super) fn head(&self, id: &str, now: u64) -> Result<String, ComposeError> {
        if self.to.is_empty() && self.cc.is_empty() && self.bcc.is_empty() {
            return Err(ComposeError::NoRecipient);
        }
        let all = [&self.to, &self.cc, &self.bcc].into_iter().flatten();
        // threats: M2
        if let Some(bad) = core::iter::once(&self.from).chain(all).find(|a| !is_address(a)) {
            return Err(ComposeError::Address(bad.clone()));
        }
        let mut out = String::with_capacity(self.text.len().saturating_add(512));
        let list = |out: &mut String, name: &str, list: &[String]| {
            if !list.is_empty() {
                out.push_str(&format!("{name}: {}\r\n", list.join(",\r\n ")));
            }
        };
        out.push_str(&format!("From: {}\r\n", self.from));
        list(&mut out, "To", &self.to);
        list(&mut out, "Cc", &self.cc);
        list(&mut out, "Bcc", &self.bcc);
        out.push_str(&format!("Subject: {}\r\n", encoded(&self.subject)));
        out.push_str(&format!("Date: {}\r\n", time::to_rfc5322(now)));
        let domain = self.from.rsplit_once('@').map_or("mailsync.invalid", |(_, d)| d);
        out.push_str(&format!("Message-ID: <{id}@{domain}>\r\n"));
        if let Some(id) = self.in_reply_to.as_deref().and_then(message_id) {
            out.push_str(&format!("In-Reply-To: <{id}>\r\n"));
        }
        let ids: Vec<String> =
            self.references.iter().filter_map(|r| message_id(r)).map(|id| format!("<{id}>")).collect();
        if !ids.is_empty() {
            out.push_str(&format!("References: {}\r\n", ids.join("\r\n ")));
        }
        out.push_str("MIME-Version: 1.0\r\n");
        Ok(out)
    }

    /// The text as a part, with its header.
    pub(super) fn part(&self, out: &mut String) {
        let plain = self.text.is_ascii()
            && self.text.lines().all(|l| l.len() <= 78)
            && self.text.bytes().all(|b| b >= b' ' || matches!(b, b'\n' | b'\t'));
        let coding = if plain { "7bit" } else { "quoted-printable" };
        out.push_str(&format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {coding}\r\n\r\n"
        ));
        if plain {
            out.push_str(&self.text.replace('\n', "\r\n"));
        } else {
            out.push_str(&transfer::to_quoted_printable(&self.text));
        }
        if !out.ends_with("\r\n") {
            out.push_str("\r\n");
        }
    }
}

/// To whom a message asks answers to go.
pub(super) fn answer_to(headers: &Headers<'_>) -> Vec<String> {
    let to = ["Reply-To", "From"]
        .into_iter()
        .map(|name| super::outbox::addresses(headers, name))
        .find(|list| list.iter().any(|a| is_address(a)))
        .unwrap_or_default();
    to.into_iter().filter(|a| is_address(a)).map(String::from).collect()
}

/// The subject of what is about a message.
pub(super) fn answer_subject(prefix: &str, original: &[u8]) -> String {
    let shown = summary::Summary::of(original);
    let has = |prefix: &str| {
        shown.subject.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if has(prefix.trim_end()) { shown.subject } else { format!("{prefix}{}", shown.subject) }
}

/// The Message-ID of a message, and those of the thread that an answer to it belongs to, without brackets.
// spec: RFC 5322 §3.6.4
pub(super) fn thread(headers: &Headers<'_>) -> (Option<String>, Vec<String>) {
    let ids = |name: &str| -> Vec<String> {
        let value = headers.first(name).map(|f| f.text()).unwrap_or_default();
        let ids = value.split('<').skip(1);
        ids.filter_map(|part| message_id(&format!("<{part}")).map(Into::into)).collect()
    };
    let own = ids("Message-ID").into_iter().next();
    let mut references = ids("References");
    if references.is_empty() {
        references = ids("In-Reply-To").into_iter().take(1).collect();
    }
    references.extend(own.clone());
    if references.len() > 20 {
        // The first and the last ones hold a thread together.
        let tail = references.split_off(references.len().saturating_sub(19));
        references.truncate(1);
        references.extend(tail);
    }
    (own, references)
}

/// Who wrote a message and its text, quoted; about `limit` octets of it.
pub(super) fn quoted(original: &[u8], limit: usize) -> String {
    let text = summary::plain_text(original);
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let more = if end < text.len() { "> [...]\n" } else { "" };
    let text = text.get(..end).unwrap_or_default().trim_end();
    let lines: String = text.lines().map(|l| format!("> {l}\n").replace("> >", ">>")).collect();
    format!("{} wrote:\n{lines}{more}", summary::Summary::of(original).from)
}

/// A header text: as it is where that is safe, else as encoded words of at most 75 octets.
// spec: RFC 2047 §2
pub(super) fn encoded(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_ascii() && text.len() <= 900 && !text.contains("=?") {
        return text.trim().to_owned();
    }
    let mut words = Vec::new();
    let mut part = String::new();
    for c in text.trim().chars() {
        if part.len().saturating_add(c.len_utf8()) > 42 {
            words.push(core::mem::take(&mut part));
        }
        part.push(c);
    }
    words.push(part);
    let words: Vec<String> =
        words.iter().map(|w| format!("=?UTF-8?B?{}?=", transfer::to_base64(w.as_bytes()))).collect();
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            from: "ann@a.example".into(),
            to: vec!["bob@b.example".into()],
            subject: "Grüße und 你好 ".repeat(6),
            text: "Hallo Böb,\n\nbis bald\n".into(),
            ..Draft::default()
        }
    }

    #[test]
    fn comes_back_through_a_parser() {
        let bytes = draft().to_message("u1", 1_186_444_800).unwrap();
        let message = mail_parser::MessageParser::default().parse(&bytes[..]).unwrap();
        assert_eq!(message.subject(), Some(draft().subject.trim()));
        assert_eq!(message.body_text(0).as_deref(), Some("Hallo Böb,\r\n\r\nbis bald\r\n"));
        assert_eq!(message.message_id(), Some("1186444800.u1@a.example"));
        assert!(bytes.split(|&b| b == b'\n').all(|l| l.len() <= 78));
        assert_eq!(
            bytes.iter().filter(|b| **b == b'\n').count(),
            bytes.windows(2).filter(|w| w == b"\r\n").count()
        );
    }

    #[test]
    fn threat_m2_header_fields_cannot_be_added() {
        let mut bad = draft();
        bad.subject = "x\r\nBcc: evil@e.example".into();
        bad.in_reply_to = Some("a@b>\r\nX: y".into());
        let bytes = bad.to_message("u\r\n1", 0).unwrap();
        let headers = Headers::parse(&bytes);
        assert!(headers.first("Bcc").is_none());
        assert!(headers.first("X").is_none());
        bad.to = vec!["bob@b.example\r\nX: y".into()];
        assert!(matches!(bad.to_message("u", 0), Err(ComposeError::Address(_))));
        assert_eq!(
            Draft { from: "a@b".into(), ..Draft::default() }.to_message("u", 0),
            Err(ComposeError::NoRecipient)
        );
    }

    #[test]
    fn a_reply_threads_and_quotes() {
        let original =
            b"From: Ann <ann@a.example>\r\nReply-To: list@l.example\r\nSubject: =?UTF-8?Q?caf=C3=A9?=\r\n\
            Message-ID: <3@a>\r\nReferences: <1@a>\r\n <2@a>\r\n\r\none\r\n> two\r\n";
        let reply = Draft::reply(original, "bob@b.example", "yes").unwrap();
        assert_eq!(reply.to, ["list@l.example"]);
        assert_eq!(reply.subject, "Re: café");
        assert_eq!(reply.in_reply_to.as_deref(), Some("3@a"));
        assert_eq!(reply.references, ["1@a", "2@a", "3@a"]);
        assert_eq!(reply.text, "yes\n\nAnn <ann@a.example> wrote:\n> one\n>> two\n");
        let again = Draft::reply(&reply.to_message("u", 0).unwrap(), "list@l.example", "").unwrap();
        assert_eq!(again.subject, "Re: café");
        assert_eq!(Draft::reply(b"Subject: x\r\n\r\n", "b@b", ""), Err(ComposeError::NoRecipient));
    }
}
