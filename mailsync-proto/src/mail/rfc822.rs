//! `message/rfc822`: the bare message, its state in `X-Sync-*` header fields, for simple clients.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::email::Email;
use super::forward;
use super::headers::Headers;
use super::mailbox::Role;
use super::time;
use bytes::Bytes;

/// The media type that we write.
pub const MEDIA_TYPE: &str = "message/rfc822";
/// `VerCT`.
pub const VERSION: &str = "1.0";
/// Every name the type goes by: e-mail facts §1.
pub const MEDIA_TYPES: [&str; 5] =
    [MEDIA_TYPE, "message/x-rfc822", "message/rfc2822", "text/message", "text/x-message"];

const FOLDER: &str = "X-Sync-Parent-Folder";
const READ: &str = "X-Sync-Message-Read";
const MODIFIED: &str = "X-Sync-Lastmodified";
const LIMIT: &str = "X-Sync-Message-Limit";

/// A message as such a client sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Simple {
    /// Message and state.
    pub email: Email,
    /// The folder it names.
    pub folder: Option<Role>,
    /// The message was cut: it must not replace a whole one.
    pub partial: bool,
}

/// Writes a message with its state; `limit` is to how many octets it was cut, 0 for the header alone, if it was.
///
/// # Shape
/// `X-Sync-Parent-Folder?`, `X-Sync-Message-Read`, `X-Sync-Lastmodified?`, `X-Sync-Message-Limit` (-1: whole), then the
/// message as it is. The last of them marks where ours end, so the message comes back octet for octet.
// spec: e-mail facts §8
pub fn write(message: &[u8], email: &Email, folder: Option<Role>, limit: Option<u64>) -> Bytes {
    let mut out = Vec::with_capacity(message.len().saturating_add(160));
    let mut field = |name: &str, value: &str| {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    };
    if let Some(role) = folder {
        // `deleted` is no word of this form.
        field(FOLDER, if role == Role::Trash { "trash" } else { role.wire() });
    }
    field(READ, if email.read == Some(true) { "true" } else { "false" });
    if let Some(modified) = email.modified {
        field(MODIFIED, &time::to_basic(modified));
    }
    field(LIMIT, &limit.map_or("-1".to_owned(), |limit| limit.to_string()));
    out.extend_from_slice(message);
    out.into()
}

/// Reads a message with its state.
///
/// The `X-Sync-*` fields are taken out: only the leading ones where they are in the order of [`write()`], else wherever
/// they are.
pub fn read(data: &Bytes) -> Simple {
    let headers = Headers::parse(data);
    let (ours, message): (Vec<_>, Bytes) = match own_block(&headers) {
        Some(count) => {
            let ours: Vec<_> = headers.fields.iter().take(count).collect();
            // The last one's first line only: a message may start with a blank.
            let start = ours.last().map_or(0, |f| f.range.start);
            let line = data.get(start..).unwrap_or_default().iter().position(|&b| b == b'\n');
            let end = line.map_or(data.len(), |n| start.saturating_add(n).saturating_add(1));
            (ours, data.slice(end..))
        }
        None => {
            let found: Vec<_> = headers.fields.iter().filter(|f| is_ours(f.name)).collect();
            if found.is_empty() {
                (found, data.clone())
            } else {
                let mut out = Vec::with_capacity(data.len());
                let mut from = 0usize;
                for field in &found {
                    out.extend_from_slice(data.get(from..field.range.start).unwrap_or_default());
                    from = field.range.end;
                }
                out.extend_from_slice(data.get(from..).unwrap_or_default());
                (found, out.into())
            }
        }
    };
    let text = |name: &str| ours.iter().find(|f| f.name.eq_ignore_ascii_case(name)).map(|f| f.text());
    Simple {
        email: Email {
            read: text(READ).map(|v| v.eq_ignore_ascii_case("true")),
            modified: text(MODIFIED).and_then(|v| time::from_basic(&v)),
            item: Some(message),
            ext: forward::ext_of(data).into_iter().collect(),
            ..Email::default()
        },
        folder: text(FOLDER).and_then(|v| Role::parse(&v)),
        partial: text(LIMIT).is_some_and(|v| v.split_ascii_whitespace().next() != Some("-1")),
    }
}

/// How many leading fields [`write`] has put there.
fn own_block(headers: &Headers<'_>) -> Option<usize> {
    let mut expected = [(FOLDER, false), (READ, true), (MODIFIED, false), (LIMIT, true)].into_iter();
    for (n, field) in headers.fields.iter().enumerate() {
        loop {
            let (name, needed) = expected.next()?;
            if field.name == name {
                break;
            }
            if needed {
                return None;
            }
        }
        if field.name == LIMIT {
            return Some(n.saturating_add(1));
        }
    }
    None
}

fn is_ours(name: &str) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("X-Sync-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_comes_back_whatever_the_message_is() {
        let mut email = Email { read: Some(true), modified: Some(1_186_444_800), ..Email::default() };
        for message in [
            &b"Subject: x\r\n\r\nb"[..],
            b"",
            b"\r\n",
            b"no header",
            b" 5 fold\r\n",
            b"X-Sync-Message-Read: false\r\nX-Sync-Message-Limit: 5\r\n\r\n",
        ] {
            email.item = Some(Bytes::copy_from_slice(message));
            for (limit, partial) in [(None, false), (Some(0), true), (Some(17), true)] {
                let wire = write(message, &email, Some(Role::Sent), limit);
                let back = read(&wire);
                assert_eq!(back, Simple { email: email.clone(), folder: Some(Role::Sent), partial });
            }
        }
    }

    #[test]
    fn theirs_anywhere_in_the_header() {
        let data = Bytes::from_static(
            b"Subject: x\r\nx-sync-parent-folder: OUTBOX\r\nTo: y\r\nX-Sync-Message-Limit: 0\r\n\r\nX-Sync-Message-Read: true\r\n",
        );
        let back = read(&data);
        assert_eq!(back.folder, Some(Role::Outbox));
        assert!(back.partial);
        assert_eq!(back.email.read, None);
        assert_eq!(
            back.email.item.as_deref(),
            Some(&b"Subject: x\r\nTo: y\r\n\r\nX-Sync-Message-Read: true\r\n"[..])
        );
    }
}
