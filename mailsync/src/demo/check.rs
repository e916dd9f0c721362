//! What the demo verifies: folders of clients and the server's own store, octet for octet.

use super::mails::{Mail, excerpt};
use super::smtp::as_delivered;
use crate::client::{Listed, Maildir};
use crate::store::{Bodies, SqliteStore, database};
use bytes::Bytes;
use mailsync_proto::mail::{MailFields, Role};
use mailsync_proto::sync::store::{Changes, Cursor, PeerKey, Read, Store, StoreKey, Value};
use std::path::Path;

/// A mail as a client or the server has it.
pub(super) struct Held {
    /// Its id there.
    pub(super) id: String,
    /// The folder's name.
    pub(super) folder: String,
    /// Read, answered, flagged.
    pub(super) marks: (bool, bool, bool),
    /// The subject as it is listed; the server lists none.
    pub(super) subject: Option<String>,
    octets: Bytes,
}

/// All that a client's folder holds.
pub(super) fn client_mails(dir: &Path) -> Result<Vec<Held>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let maildir = Maildir::open(dir, "").map_err(|error| words(&error))?;
    let listed = maildir.list(None).map_err(|error| words(&error))?;
    let held = |mail: Listed| {
        let octets = maildir.show(&mail.luid).map_err(|error| words(&error))?;
        Ok(Held {
            id: mail.luid,
            folder: mail.folder,
            marks: (mail.read, mail.answered, mail.flagged),
            subject: Some(mail.summary.subject),
            octets,
        })
    };
    listed.into_iter().map(held).collect()
}

/// All that the server's store holds for a user.
pub(super) fn server_mails(data: &Path, user: &str) -> Result<Vec<Held>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let store = SqliteStore::open(database(data), Bodies::Inside).map_err(|error| words(&error))?;
    let one = |read: Read| -> Result<Value, String> {
        let found = store.read(std::slice::from_ref(&read)).map_err(|error| words(&error))?;
        found.get(&read).cloned().ok_or_else(|| "the store gave no answer".into())
    };
    let key = StoreKey { user: user.into(), datastore: "mail".into() };
    let peer = PeerKey { store: key.clone(), device: "demo".into() };
    let changes = Changes { peer, generation: 0, since: 0, upto: u64::MAX };
    let Value::Rows(rows) = one(Read::Rows(changes, Cursor::default(), u32::MAX))? else {
        return Err("the store gave another answer".into());
    };
    let mut held = Vec::new();
    for item in rows.into_iter().map(|row| row.item) {
        let Some(folder) = item.value.parent.as_ref().and_then(Role::of) else { continue };
        let Value::Body(Some(octets)) = one(Read::Body(key.clone(), item.guid.clone()))? else { continue };
        let fields = MailFields::from_fields(&item.value.fields).map_err(|error| words(&error))?;
        held.push(Held {
            id: item.guid.to_string(),
            folder: folder.name().into(),
            marks: (fields.read, fields.answered, fields.flagged),
            subject: None,
            octets,
        });
    }
    Ok(held)
}

/// The inbox holds these mails, each once, nothing else, and each as it was submitted. Gives the octets compared.
pub(super) fn inbox(held: &[Held], mails: &[Mail], to: &str) -> Result<usize, String> {
    let inbox: Vec<&Held> = held.iter().filter(|mail| mail.folder == Role::Inbox.name()).collect();
    if inbox.len() != mails.len() {
        return Err(format!("the inbox holds {} mails, not {}", inbox.len(), mails.len()));
    }
    let mut octets = 0;
    for mail in mails {
        let found = find(held, &mail.id)?;
        let body = found.below_trace(mail.from, to).map_err(|error| format!("{}: {error}", mail.what))?;
        let expected = as_delivered(&mail.octets);
        if body != expected {
            let at = body.iter().zip(&expected).take_while(|(a, b)| a == b).count();
            return Err(format!(
                "{}: {} octets, submitted {}; from octet {at} on {:?}, submitted {:?}",
                mail.what,
                body.len(),
                expected.len(),
                excerpt(body, at),
                excerpt(&expected, at)
            ));
        }
        if found.subject.as_deref().is_some_and(|subject| subject != mail.subject) {
            return Err(format!("{}: listed as {:?}, not {:?}", mail.what, found.subject, mail.subject));
        }
        octets += body.len();
    }
    Ok(octets)
}

/// The one mail with a Message-ID.
pub(super) fn find<'a>(held: &'a [Held], id: &str) -> Result<&'a Held, String> {
    let line = format!("Message-ID: <{id}>");
    match held.iter().filter(|mail| mail.header().any(|l| l == line)).collect::<Vec<_>>()[..] {
        [one] => Ok(one),
        ref other => Err(format!("{} mails with Message-ID <{id}>, not 1", other.len())),
    }
}

/// The mails that answer one, in a folder.
pub(super) fn answers<'a>(held: &'a [Held], id: &str, folder: Role) -> Vec<&'a Held> {
    let line = format!("In-Reply-To: <{id}>");
    held.iter().filter(|mail| mail.folder == folder.name() && mail.header().any(|l| l == line)).collect()
}

/// Folder, marks and digest of a mail.
pub(super) type Shape = (String, (bool, bool, bool), String);

/// The shape of each mail, in an order that does not depend on ids.
pub(super) fn shape(held: &[Held]) -> Vec<Shape> {
    let digest = |mail: &Held| mailsync_proto::sync::collection::match_key(&[&mail.octets]).0;
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let mut shape: Vec<_> =
        held.iter().map(|mail| (mail.folder.clone(), mail.marks, hex(&digest(mail)))).collect();
    shape.sort();
    shape
}

impl Held {
    /// The lines of the header, as text.
    fn header(&self) -> impl Iterator<Item = String> {
        let lines = self.octets.split(|octet| *octet == b'\n');
        let lines = lines.map(|line| String::from_utf8_lossy(line).trim_end_matches('\r').to_owned());
        lines.take_while(|line| !line.is_empty())
    }

    /// Whether the text is somewhere in it.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.octets.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// The message without the three trace fields that delivery put on top; they must be there, and right.
    // spec: RFC 5321 §4.4
    fn below_trace(&self, from: &str, to: &str) -> Result<&[u8], String> {
        let start = format!("Return-Path: <{from}>\r\nDelivered-To: {to}\r\nReceived: from ");
        let rest =
            self.octets.strip_prefix(start.as_bytes()).ok_or("the trace fields are not as they should be")?;
        let mut at = 0;
        loop {
            let line = rest.get(at..).and_then(|tail| tail.iter().position(|octet| *octet == b'\n'));
            at += line.ok_or("the trace fields do not end")? + 1;
            // A line that starts with a tab continues the field.
            if rest.get(at) != Some(&b'\t') {
                return Ok(rest.get(at..).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "Return-Path: <bob@localhost>\r\nDelivered-To: ann@localhost\r\n\
        Received: from x\r\n\tby y\r\n\tfor <ann@localhost>; now\r\n";

    fn held(octets: &[u8]) -> Held {
        Held {
            id: "1".into(),
            folder: Role::Inbox.name().into(),
            marks: (false, false, false),
            subject: None,
            octets: Bytes::copy_from_slice(octets),
        }
    }

    fn delivered(mail: &Mail) -> Held {
        held(&[TRACE.as_bytes(), &as_delivered(&mail.octets)].concat())
    }

    fn from_bob() -> Mail {
        let mail = super::super::mails::all().into_iter().find(|mail| mail.from.starts_with("bob@"));
        mail.expect("bob writes one")
    }

    #[test]
    fn what_is_lost_doubled_or_changed_is_seen() {
        let mails = [from_bob()];
        let to = "ann@localhost";
        assert_eq!(inbox(&[delivered(&mails[0])], &mails, to), Ok(mails[0].octets.len()));
        assert!(inbox(&[], &mails, to).is_err());
        assert!(inbox(&[delivered(&mails[0]), delivered(&mails[0])], &mails, to).is_err());
        assert!(inbox(&[delivered(&mails[0])], &mails, "bob@localhost").is_err());
        let whole = delivered(&mails[0]).octets;
        for (name, other) in [
            ("a last octet that is gone", whole[..whole.len() - 1].to_vec()),
            ("an octet more", [&whole[..], b"x"].concat()),
            ("another octet", {
                let mut other = whole.to_vec();
                let at = other.len() - 3;
                other[at] ^= 1;
                other
            }),
            ("no trace", mails[0].octets.clone()),
            ("a trace field more", [b"X-Spam: no\r\n", &whole[..]].concat()),
        ] {
            assert!(inbox(&[held(&other)], &mails, to).is_err(), "{name}");
        }
        let mut listed = delivered(&mails[0]);
        listed.subject = Some("=?UTF-8?Q?not_decoded?=".into());
        assert!(inbox(&[listed], &mails, to).is_err());
    }
}
