//! What a device gets of a mail that does not fit it: the fields that people read, and a text that says what is left on the
//! server. It is a whole message, so every mail program shows it.
//!
//! Its first field names the mail that it stands for. A device that gives it back, as another state of the mail or in a slow
//! sync, has changed nothing of the text.
// mission: M11
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::cut::{Left, LeftPart};
use super::headers::Headers;
use bytes::Bytes;
use idmap::Guid;

/// The field that names the mail.
pub const FIELD: &str = "X-Mailsync-At-Server";
/// The words by which a text says that there is more.
pub const WORDS: &str = "open on the server";
/// What is kept of the header.
const KEPT: [&str; 13] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Date",
    "Subject",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Importance",
    "X-Priority",
    "List-Id",
];
/// Octets of one field of it; a longer one stays at the server.
const FIELD_OCTETS: usize = 1_000;
/// What was left out is named up to here.
const NAMED: usize = 20;

/// The message that stands for `message` at a device: the item `guid`, of which `left` says what is missing.
///
/// # Shape
/// [`FIELD`], fields of the original, a `text/plain` body in UTF-8 with CRLF.
pub fn write(message: &[u8], guid: &Guid, left: &Left) -> Bytes {
    let mut out = format!("{FIELD}: {guid}\r\n").into_bytes();
    for field in &Headers::parse(message).fields {
        let whole = message.get(field.range.clone()).unwrap_or_default();
        let known = KEPT.iter().any(|name| name.eq_ignore_ascii_case(field.name));
        if known && whole.len() <= FIELD_OCTETS && whole.ends_with(b"\n") {
            out.extend_from_slice(whole);
        }
    }
    let text = text(left);
    let bits = if text.is_ascii() { "7bit" } else { "8bit" };
    let mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding";
    out.extend_from_slice(format!("{mime}: {bits}\r\n\r\n{text}").as_bytes());
    out.into()
}

/// The item that a message stands for, if it is one of these.
pub fn of(message: &[u8]) -> Option<Guid> {
    let line = message.strip_prefix(FIELD.as_bytes())?.strip_prefix(b":")?;
    let end = line.iter().position(|&octet| octet == b'\n')?;
    let guid = core::str::from_utf8(line.get(..end)?).ok()?;
    Guid::try_from(guid.trim()).ok()
}

fn text(left: &Left) -> String {
    let mut text = format!(
        "[{WORDS}]\r\nThis device cannot take the whole mail. It has {} and is kept on the server.\r\n\r\n\
         Not here:\r\n",
        octets(left.size)
    );
    if left.body > 0 {
        text.push_str(&format!("- the text, {}\r\n", octets(left.body)));
    }
    for part in left.attachments.iter().take(NAMED) {
        text.push_str(&format!("- {}, {}\r\n", name(part), octets(part.size)));
    }
    let more = left.attachments.len().saturating_sub(NAMED);
    if more > 0 {
        text.push_str(&format!("- and {more} more\r\n"));
    }
    text
}

fn name(part: &LeftPart) -> String {
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(80).collect::<String>();
    match &*clean(&part.name) {
        "" => clean(&part.media_type),
        name => format!("{name} ({})", clean(&part.media_type)),
    }
}

/// As people say it.
fn octets(count: u64) -> String {
    let tenth = |unit: u64| {
        let tenths = count.saturating_mul(10).checked_div(unit).unwrap_or(0);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match count {
        0..1_000 => format!("{count} bytes"),
        1_000..1_000_000 => format!("{} KB", tenth(1_000)),
        _ => format!("{} MB", tenth(1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::cut::{Wanted, cut};

    fn rich() -> Bytes {
        let part = |name: &str| {
            format!(
                "--B\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{}\r\n",
                "y".repeat(1_234_567)
            )
        };
        format!(
            "Received: from x\r\n\tby y\r\nSubject: the\r\n long one\r\nTo: {}\r\nFrom: a@b.example\r\n\
             Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nHello\r\n{}{}--B--\r\n",
            "x".repeat(2_000),
            part("one.png"),
            part("two.png")
        )
        .into()
    }

    // mission: M11
    #[test]
    fn words_that_a_person_understands() {
        let whole = rich();
        let guid = Guid::unvalidated("m1");
        let message = write(&whole, &guid, &cut(&whole, &Wanted::HEADER).left);
        let text = core::str::from_utf8(&message).unwrap();
        let expected = "X-Mailsync-At-Server: m1\r\nSubject: the\r\n long one\r\nFrom: a@b.example\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
             [open on the server]\r\n";
        assert!(text.starts_with(expected), "{text}");
        for line in ["It has 2.4 MB", "- the text, ", "- one.png (image/png), 1.2 MB\r\n", "- two.png"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(of(&message), Some(guid));
        assert_eq!(of(&whole), None);
        for odd in ["", "X-Mailsync-At-Server", "X-Mailsync-At-Server: m1", "X-Mailsync-At-Server: \r\n"] {
            assert_eq!(of(odd.as_bytes()), None, "{odd:?}");
        }
    }

    // threat: M4
    #[test]
    fn threat_m4_names_are_cut_and_counted() {
        let part = |number| LeftPart {
            number,
            name: format!("\u{e9}\r\n{}", "n".repeat(500)).into(),
            size: u64::MAX,
            media_type: "a/b\r\nX: y".into(),
        };
        let left = Left { size: u64::MAX, body: 0, attachments: (0..90).map(part).collect() };
        let message = write(b"no header", &Guid::unvalidated("m1"), &left);
        let text = core::str::from_utf8(&message).unwrap();
        assert!(text.contains("8bit\r\n\r\n") && text.ends_with("- and 70 more\r\n"), "{text}");
        assert!(message.len() < 4_000 && text.lines().all(|line| line.len() < 200), "{text}");
        assert!(!text.contains("\r\nX: y") && !text.contains("the text"));
    }
}
