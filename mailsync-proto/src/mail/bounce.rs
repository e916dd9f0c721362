//! The mail that tells a sender which recipients were refused.

use super::headers::Headers;
use super::outbox::{Refused, SendJob, is_address, printable};
use super::time;
use bytes::Bytes;

/// What a bounce is made of.
#[derive(Clone, Copy, Debug)]
pub struct Bounce<'a> {
    /// What was to be sent.
    pub job: &'a SendJob,
    /// Who refused it, at least one.
    pub refused: &'a [Refused],
    /// The message.
    pub original: &'a [u8],
    /// Our domain.
    pub domain: &'a str,
    /// Now, seconds since 1970.
    pub now: u64,
}

/// Writes a delivery status notification.
///
/// # Shape
/// `multipart/report` of a text for people, `message/delivery-status`, and the header of the original. It has an
/// empty return path and `Auto-Submitted`, so that nothing answers it.
// spec: RFC 3464; threats: M6
pub fn write(bounce: &Bounce<'_>) -> Bytes {
    let domain = if is_address(&format!("x@{}", bounce.domain)) { bounce.domain } else { "mailsync.invalid" };
    let headers = Headers::parse(bounce.original);
    let subject = headers.first("Subject").map(|f| f.text()).unwrap_or_default();
    let subject: String = subject.chars().filter(char::is_ascii).take(200).collect();
    let to = bounce.job.sender.as_deref().filter(|s| is_address(s)).unwrap_or(&bounce.job.user);
    let id = format!(
        "{}.{}",
        bounce.now,
        bounce.job.guid.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    );
    let mut original =
        String::from_utf8_lossy(bounce.original.get(..headers.end.min(64 * 1024)).unwrap_or_default())
            .replace("\r\n", "\n");
    original.retain(|c| c == '\n' || c == '\t' || !c.is_control());
    let original = original.replace('\n', "\r\n");
    // A boundary that the original does not hold.
    let mut boundary = format!("report-{id}");
    while original.contains(&boundary) {
        boundary.push('x');
    }
    let mut out = format!(
        "Return-Path: <>\r\nFrom: Mail delivery <mailer-daemon@{domain}>\r\nTo: {}\r\nDate: {}\r\n\
         Message-ID: <{id}.bounce@{domain}>\r\nIn-Reply-To: <{}>\r\nReferences: <{}>\r\n\
         Subject: Not delivered: {subject}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n",
        printable(to),
        time::to_rfc5322(bounce.now),
        bounce.job.message_id,
        bounce.job.message_id,
    );
    let part = |out: &mut String, content_type: &str| {
        out.push_str(&format!(
            "--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        ));
    };
    part(&mut out, "text/plain; charset=utf-8");
    out.push_str("Your mail was not delivered to:\r\n\r\n");
    for refused in bounce.refused {
        let recipient = if refused.recipient.is_empty() { "(nobody)" } else { &refused.recipient };
        out.push_str(&format!("  {}\r\n    {}\r\n", printable(recipient), printable(&refused.words)));
    }
    out.push_str("\r\n");
    part(&mut out, "message/delivery-status");
    out.push_str(&format!("Reporting-MTA: dns; {domain}\r\n"));
    for refused in bounce.refused {
        let recipient: String = printable(&refused.recipient).chars().filter(char::is_ascii).collect();
        let words: String = printable(&refused.words).chars().filter(char::is_ascii).collect();
        out.push_str(&format!(
            "\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {}\r\nDiagnostic-Code: smtp; {words}\r\n",
            status(&words)
        ));
    }
    out.push_str("\r\n");
    part(&mut out, "text/rfc822-headers; charset=utf-8");
    out.push_str(&original);
    out.push_str(&format!("\r\n--{boundary}--\r\n"));
    out.into()
}

/// The enhanced status code in a server's words, `5.0.0` if it gave none.
fn status(words: &str) -> &str {
    let is_code = |word: &&str| {
        let mut parts = word.split('.');
        matches!(parts.next(), Some("4" | "5"))
            && parts.clone().count() == 2
            && parts.all(|p| !p.is_empty() && p.len() <= 3 && p.bytes().all(|b| b.is_ascii_digit()))
    };
    words.split_ascii_whitespace().find(is_code).unwrap_or("5.0.0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use idmap::Guid;

    #[test]
    fn names_everyone_and_cannot_be_injected() {
        let original = b"Subject: hi\r\nFrom: ann@a.example\r\nX: report-7.g-1\r\n\r\nbody";
        let job = SendJob::new("ann", &Guid::unvalidated("g-1"), original, "a.example", 7).unwrap();
        let refused = [
            Refused { recipient: "bob@b.example".into(), words: "550 5.1.1 no\r\nBcc: x such user".into() },
            Refused { recipient: "c@d.example\r\nSubject: y".into(), words: "no".into() },
        ];
        let bounce = Bounce { job: &job, refused: &refused, original, domain: "a.example", now: 7 };
        let text = String::from_utf8(write(&bounce).to_vec()).unwrap();
        let message = mail_parser::MessageParser::default().parse(text.as_bytes()).unwrap();
        assert_eq!(message.subject(), Some("Not delivered: hi"));
        assert_eq!(message.parts.len(), 4);
        assert!(text.contains("bob@b.example\r\n    550 5.1.1 no  Bcc: x such user\r\n"), "{text}");
        assert!(text.contains("Status: 5.1.1\r\n"));
        assert!(text.contains("Status: 5.0.0\r\n"));
        assert!(text.lines().all(|l| !l.starts_with("Bcc:") && l != "Subject: y"));
        assert!(text.contains("boundary=\"report-7.g-1x\""));
    }
}
