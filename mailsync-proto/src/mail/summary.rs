//! What a list shows of a mail.

use super::headers::Headers;
use super::mime;
use mail_parser::{HeaderName, MessageParser};

/// Sender, subject and date, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `Name <address>`, or what there is of it.
    pub from: String,
    /// The recipients in `To`, the same way.
    pub to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// Seconds since 1970.
    pub date: Option<u64>,
    /// The Message-ID without brackets.
    pub message_id: Option<String>,
}

impl Summary {
    /// Reads the header of a message; octets that are not UTF-8 are shown as replacement characters.
    pub fn of(message: &[u8]) -> Self {
        let headers = Headers::parse(message);
        let header = message.get(..headers.body).unwrap_or_default();
        let mut closed = header.to_vec();
        closed.extend_from_slice(b"\r\n\r\n");
        let parser = MessageParser::new()
            .header_address(HeaderName::From)
            .header_address(HeaderName::To)
            .header_text(HeaderName::Subject);
        let parsed = mime::guarded(|| parser.parse_headers(&closed));
        let parsed = parsed.as_ref();
        let people = |list: Option<&mail_parser::Address<'_>>| -> Vec<String> {
            list.map(|l| l.iter().map(person).collect()).unwrap_or_default()
        };
        Summary {
            from: people(parsed.and_then(|m| m.from())).into_iter().next().unwrap_or_default(),
            to: people(parsed.and_then(|m| m.to())),
            subject: clean(parsed.and_then(|m| m.subject()).unwrap_or_default()),
            date: super::outbox::date(&headers),
            message_id: headers
                .first("Message-ID")
                .and_then(|f| super::headers::message_id(&f.text()).map(Into::into)),
        }
    }
}

/// The text of a message for people: its plain text, or its HTML turned into text. Empty if it has none.
///
/// Of a message of more than 32 MiB what is in them; of one of more parts than we look at, nothing.
pub fn plain_text(message: &[u8]) -> String {
    let message = message.get(..message.len().min(32 * 1024 * 1024)).unwrap_or_default();
    let parts = mime::parts(message).unwrap_or_default();
    let texts = || parts.iter().filter(|part| part.is_text);
    let plain = texts().find(|part| &*part.media_type == "text/plain");
    let part = plain.or_else(|| texts().next());
    let text = part.and_then(|part| mime::text_of(message, part));
    text.map(|text| text.replace("\r\n", "\n")).unwrap_or_default()
}

fn person(address: &mail_parser::Addr<'_>) -> String {
    match (address.name(), address.address()) {
        (Some(name), Some(address)) => clean(&format!("{name} <{address}>")),
        (Some(one), None) | (None, Some(one)) => clean(one),
        (None, None) => String::new(),
    }
}

/// One line without control characters: what is shown on a terminal must not steer it.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoded() {
        let message = b"From: =?GB18030?B?xOO6ww==?= <a@b.example>\r\nTo: c@d, E <f@g>\r\n\
            Subject: =?utf-8?q?caf=C3=A9?=\r\nDate: Tue, 7 Aug 2007 02:00:00 +0200\r\nMessage-ID: <1@x>\r\n\r\nhi\r\n";
        let summary = Summary::of(message);
        assert_eq!(summary.from, "你好 <a@b.example>");
        assert_eq!(summary.to, ["c@d", "E <f@g>"]);
        assert_eq!(summary.subject, "café");
        assert_eq!(summary.date, Some(1_186_444_800));
        assert_eq!(summary.message_id.as_deref(), Some("1@x"));
        assert_eq!(plain_text(message), "hi\n");
    }

    #[test]
    fn nothing_is_a_summary_too() {
        assert_eq!(Summary::of(b""), Summary::default());
        assert_eq!(Summary::of(b"\xff\xfe\0"), Summary::default());
        assert_eq!(Summary::of(b"Subject: a\x1b[31mb\r\n\r\n").subject, "a [31mb");
    }
}
