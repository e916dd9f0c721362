//! Calendar entries between people in mails: a text for the eyes beside a `text/calendar` part, and, between friends of ours, a
//! proof of who sent it.
// spec: RFC 6047 §2.4, §3
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::compose::{ComposeError, Draft, answer_to};
use super::headers::Headers;
use super::mime::{self, Coding};
use super::outbox::{addresses, is_address};
use super::{summary, transfer};
use crate::tasks::direct;
use bytes::Bytes;

/// The field that carries the proof of the calendar part, in hex.
pub const PROOF: &str = "X-Mailsync-Proof";
/// Octets of a mail that is looked at: a request of the largest size in base64, and a text.
pub const MOST: usize = 1 << 20;

/// A calendar entry in a mail.
///
/// # Shape
/// `multipart/alternative`: `text/plain`, then `text/calendar; method=M` in base64, octet for octet what was proved.
/// # Spec
/// RFC 6047 §2.4
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Who sends it, as its header says: proved by nothing.
    pub from: String,
    /// To whom it came, the first address.
    pub to: Option<String>,
    /// Its Message-ID without brackets.
    pub message_id: Option<String>,
    /// The calendar.
    pub calendar: String,
    /// The proof of the calendar; none: whoever sent it shares no secret with us.
    pub proof: Option<String>,
}

impl Invitation {
    /// Finds the first calendar part of a message that asks or answers something. None: there is none, or it is no text.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        let holds = |name: &[u8]| message.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
        if message.len() > MOST || !holds(b"text/calendar") {
            return None;
        }
        let parts = mime::parts(message)?;
        let part =
            parts.iter().find(|part| part.kind == mime::Kind::One && &*part.media_type == "text/calendar")?;
        let raw = message.get(part.body.clone())?;
        let octets = match part.coding {
            Coding::Base64 => transfer::from_base64(raw)?,
            Coding::QuotedPrintable => transfer::from_quoted_printable(raw),
            Coding::None => raw.to_vec(),
        };
        let calendar = String::from_utf8(octets).ok()?;
        let headers = Headers::parse(message);
        let from = answer_to(&headers).into_iter().next()?;
        let to = addresses(&headers, "To").into_iter().find(|address| is_address(address)).map(String::from);
        let proof = headers.first(PROOF).map(super::headers::Field::text);
        let message_id = summary::Summary::of(message).message_id;
        Some(Invitation { from, to, message_id, calendar, proof })
    }
}

/// Writes a calendar entry as a mail. `id` is its Message-ID before the `@`: where several terminals of a person write the
/// same answer, it is the same, and goes once.
///
/// # Errors
/// [`ComposeError`] for an address that is none.
pub fn write(
    draft: &Draft,
    (method, calendar): (&str, &str),
    secret: Option<&str>,
    id: &str,
    now: u64,
) -> Result<Bytes, ComposeError> {
    let id: String =
        id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).take(80).collect();
    let mut out = draft.head(&id, now)?;
    if let Some(secret) = secret {
        out.push_str(&format!("{PROOF}: {}\r\n", direct::prove(secret, calendar)));
    }
    let method: String = method.chars().filter(char::is_ascii_alphabetic).collect();
    let mut boundary = format!("=_{id}");
    while draft.text.contains(&boundary) {
        boundary.push('_');
    }
    out.push_str(&format!(
        "Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"
    ));
    draft.part(&mut out);
    out.push_str(&format!(
        "--{boundary}\r\nContent-Type: text/calendar; method={method}; charset=utf-8\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}--{boundary}--\r\n",
        transfer::to_base64_lines(calendar.as_bytes())
    ));
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            from: "ben@lab.test".into(),
            to: vec!["ana@lab.test".into()],
            subject: "Grüße".into(),
            text: "--=_t1\n--=_t1--\nBen asks".into(),
            ..Draft::default()
        }
    }

    const CALENDAR: &str = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Ü\r\nEND:VCALENDAR\r\n";

    // mission: T4
    #[test]
    fn there_and_back_with_its_proof() {
        let mail = write(&draft(), ("REQUEST", CALENDAR), Some("a secret"), "t2", 1_795_334_400).unwrap();
        let read = Invitation::read(&mail).unwrap();
        assert_eq!((&*read.from, read.to.as_deref()), ("ben@lab.test", Some("ana@lab.test")));
        assert_eq!((read.message_id.as_deref(), &*read.calendar), (Some("t2@lab.test"), CALENDAR));
        assert_eq!(read.proof.as_deref(), Some(&*direct::prove("a secret", CALENDAR)));
        assert!(mail.split(|octet| *octet == b'\n').all(|line| line.len() <= 101), "{mail:?}");
        let parsed = mail_parser::MessageParser::default().parse(&mail[..]).unwrap();
        assert_eq!(parsed.subject(), Some("Grüße"));
        assert!(parsed.body_text(0).unwrap().contains("Ben asks"));
        let plain = write(&draft(), ("REQUEST", CALENDAR), None, "t2", 0).unwrap();
        assert_eq!(Invitation::read(&plain).unwrap().proof, None);
    }

    #[test]
    fn as_other_programs_write_them() {
        let mail = |kind: &str, coding: &str, body: &str| {
            format!(
                "From: Ben <ben@a.example>\r\nReply-To: desk@a.example\r\nContent-Type: {kind}; method=REQUEST\r\n\
                 Content-Transfer-Encoding: {coding}\r\n\r\n{body}"
            )
        };
        let quoted = CALENDAR.replace('Ü', "=C3=9C");
        for mail in
            [mail("TEXT/Calendar", "8bit", CALENDAR), mail("text/calendar", "quoted-printable", &quoted)]
        {
            let read = Invitation::read(mail.as_bytes()).unwrap();
            assert_eq!((&*read.calendar, &*read.from), (CALENDAR, "desk@a.example"));
        }
        assert_eq!(Invitation::read(mail("text/plain", "7bit", "text/calendar").as_bytes()), None);
        assert_eq!(Invitation::read(mail("text/calendar", "base64", "?").as_bytes()), None);
        assert_eq!(
            Invitation::read(mail("text/calendar", "8bit", CALENDAR).replace('@', "#").as_bytes()),
            None
        );
    }

    // threats: M2, L2
    #[test]
    fn threat_m2_neither_fields_nor_parts_are_added() {
        let mut bad = draft();
        bad.to = vec!["ana@lab.test\r\nBcc: x@y".into()];
        assert!(matches!(write(&bad, ("REQUEST", ""), None, "t", 0), Err(ComposeError::Address(_))));
        let mail = write(&draft(), ("RE\r\nX: y", CALENDAR), None, "t1\r\nBcc: x@y", 0).unwrap();
        let headers = Headers::parse(&mail);
        assert!(headers.first("Bcc").is_none() && headers.first("X").is_none());
        // Words that look like the boundary end no part.
        let mail = write(&draft(), ("REQUEST", CALENDAR), None, "t1", 0).unwrap();
        assert_eq!(Invitation::read(&mail).unwrap().calendar, CALENDAR);
        assert_eq!(Invitation::read(&vec![b'x'; MOST + 1]), None);
    }
}
