//! The folders every user has, and the keys by which mail of two stores finds its like.

use super::flags::MailFields;
use super::folder::{self, Folder};
use super::headers::{Headers, message_id};
use super::since::Since;
use crate::sync::collection::match_key;
use crate::sync::store::{Item, ItemValue, MatchKey, StoreKey, Write};
use idmap::Guid;
use sha2::Digest;

/// The datastore's name.
pub const DATASTORE: &str = "mail";
/// `ItemValue::kind` of a folder.
pub const KIND_FOLDER: &str = folder::MEDIA_TYPE;
/// `ItemValue::kind` of a mail: its body is the message itself.
pub const KIND_MAIL: &str = "message/rfc822";
/// `ItemValue::rank` of a folder.
pub const RANK_FOLDER: u8 = 0;
/// `ItemValue::rank` of a mail.
pub const RANK_MAIL: u8 = 1;

/// A folder that every user has, once. Its id is the same for every user, on servers and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Mail that came.
    Inbox,
    /// Mail that is to be sent.
    Outbox,
    /// Mail that was sent.
    Sent,
    /// Mail that is being written.
    Drafts,
    /// Mail that was thrown away.
    Trash,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 5] = [Role::Inbox, Role::Outbox, Role::Sent, Role::Drafts, Role::Trash];

    /// The id as text.
    pub fn id(self) -> &'static str {
        match self {
            Role::Inbox => "folder-inbox",
            Role::Outbox => "folder-outbox",
            Role::Sent => "folder-sent",
            Role::Drafts => "folder-drafts",
            Role::Trash => "folder-trash",
        }
    }

    /// The id.
    pub fn guid(self) -> Guid {
        Guid::unvalidated(self.id())
    }

    /// Which folder has this id.
    pub fn of(guid: &Guid) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.id() == guid.as_str())
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Role::Inbox => "Inbox",
            Role::Outbox => "Outbox",
            Role::Sent => "Sent",
            Role::Drafts => "Drafts",
            Role::Trash => "Trash",
        }
    }

    /// `role` in the folder object.
    pub fn wire(self) -> &'static str {
        match self {
            Role::Inbox => "inbox",
            Role::Outbox => "outbox",
            Role::Sent => "sent",
            Role::Drafts => "drafts",
            Role::Trash => "deleted",
        }
    }

    /// Reads `role`, whatever its case, with the words that others use.
    pub fn parse(word: &str) -> Option<Role> {
        let word = word.trim().to_ascii_lowercase();
        Some(match word.as_str() {
            "inbox" => Role::Inbox,
            "outbox" => Role::Outbox,
            "sent" => Role::Sent,
            "drafts" | "draft" => Role::Drafts,
            "deleted" | "trash" => Role::Trash,
            _ => return None,
        })
    }

    /// What a folder object is by its role, or else by its name.
    pub fn of_folder(folder: &Folder) -> Option<Role> {
        match folder.role.as_deref() {
            Some(role) => Role::parse(role),
            // quirk: Nokia, e-mail facts §3: named `Remote Inbox` and so on, without a role.
            None => folder.name.trim().strip_prefix("Remote ").and_then(Role::parse),
        }
    }

    /// The item.
    pub fn value(self) -> ItemValue {
        folder_value(&Folder::new(self.name(), Some(self.wire())), None)
    }
}

/// What a new user's mail datastore holds: the five folders.
pub fn provision(store: &StoreKey) -> Vec<Write> {
    Role::ALL
        .into_iter()
        .map(|role| Write::PutItem {
            store: store.clone(),
            guid: role.guid(),
            expect: None,
            value: role.value(),
            body: None,
        })
        .collect()
}

/// The item of a folder.
pub fn folder_value(folder: &Folder, parent: Option<Guid>) -> ItemValue {
    let mut match_keys = Vec::new();
    if let Some(role) = Role::of_folder(folder) {
        match_keys.push(match_key(&[b"folder role", role.wire().as_bytes()]));
    }
    let above = parent.as_ref().map_or("", Guid::as_str);
    let name = folder.name.to_lowercase();
    match_keys.push(match_key(&[b"folder name", above.as_bytes(), name.as_bytes()]));
    ItemValue { rank: RANK_FOLDER, parent, kind: KIND_FOLDER.into(), fields: folder.to_fields(), match_keys }
}

/// The item of a mail.
pub fn mail_value(parent: Guid, fields: &MailFields, message: &[u8]) -> ItemValue {
    ItemValue {
        rank: RANK_MAIL,
        kind: KIND_MAIL.into(),
        fields: fields.to_fields(),
        match_keys: mail_keys(Some(&parent), message),
        parent: Some(parent),
    }
}

/// The item of a mail that is now in another folder or another state; what of it changed is kept with it.
pub fn changed_value(item: &Item, parent: Option<Guid>, fields: &MailFields) -> ItemValue {
    ItemValue {
        match_keys: moved_keys(parent.as_ref(), &item.value.match_keys),
        fields: fields.to_fields_since(&Since::after(item, parent.as_ref(), fields)),
        parent,
        ..item.value.clone()
    }
}

/// The keys of a mail: first the strong one (its folder too), then the weak one.
///
/// Both hold the Message-ID, the size and a hash of the body, without carriage returns and blanks at its end:
/// some devices lose those. Header fields that delivery or a device adds change nothing. Without a Message-ID,
/// sender, date and subject stand for it.
// threats: S10
pub fn mail_keys(parent: Option<&Guid>, message: &[u8]) -> Vec<MatchKey> {
    with_folder(parent, &[weak_key(message)])
}

/// The keys of a mail that is now in another folder.
pub fn moved_keys(parent: Option<&Guid>, keys: &[MatchKey]) -> Vec<MatchKey> {
    with_folder(parent, keys.get(1..).unwrap_or_default())
}

/// The keys of a mail that is stored in another form than a device has it in.
pub fn both_keys(parent: Option<&Guid>, stored: &[u8], other: &[u8]) -> Vec<MatchKey> {
    let (a, b) = (weak_key(stored), weak_key(other));
    if a == b { with_folder(parent, &[a]) } else { with_folder(parent, &[a, b]) }
}

/// The keys of a mail that is stored in yet another form than those it is known by.
pub(super) fn completed_keys(parent: Option<&Guid>, stored: &[u8], known: &[MatchKey]) -> Vec<MatchKey> {
    let own = weak_key(stored);
    let others = known.get(1..).unwrap_or_default().iter().copied().filter(|key| *key != own);
    with_folder(parent, &core::iter::once(own).chain(others).collect::<Vec<_>>())
}

fn with_folder(parent: Option<&Guid>, weak: &[MatchKey]) -> Vec<MatchKey> {
    let parent = parent.map_or("", Guid::as_str);
    let strong = weak.first().map(|key| match_key(&[b"mail in", parent.as_bytes(), &key.0]));
    strong.into_iter().chain(weak.iter().copied()).collect()
}

fn weak_key(message: &[u8]) -> MatchKey {
    let headers = Headers::parse(message);
    let text = |name: &str| headers.first(name).map(|f| f.text()).unwrap_or_default();
    let id = text("Message-ID");
    let id = match message_id(&id) {
        Some(id) => id.to_owned(),
        None => [text("From"), text("Date"), text("Subject")].join("\n"),
    };
    let body = message.get(headers.body..).unwrap_or_default().trim_ascii_end();
    let mut size = 0u64;
    let mut hash = sha2::Sha256::new();
    for piece in body.split(|&b| b == b'\r') {
        hash.update(piece);
        size = size.saturating_add(piece.len() as u64);
    }
    match_key(&[b"mail", id.as_bytes(), &size.to_be_bytes(), &hash.finalize()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"Message-ID: <a@b>\r\nSubject: x\r\n\r\nbody\r\nline\r\n";

    #[test]
    fn threat_s10_keys_survive_what_devices_do() {
        let inbox = Role::Inbox.guid();
        let keys = mail_keys(Some(&inbox), MAIL);
        assert_eq!(keys.len(), 2);
        for same in [
            &b"Received: z\r\nMessage-ID: <a@b>\r\nSubject: x\r\n\r\nbody\r\nline\r\n"[..],
            b"Message-ID: <a@b>\nSubject: x\n\nbody\nline",
        ] {
            assert_eq!(mail_keys(Some(&inbox), same), keys);
        }
        for other in
            [&b"Message-ID: <a@c>\r\n\r\nbody\r\nline\r\n"[..], b"Message-ID: <a@b>\r\n\r\nbody\r\nlines\r\n"]
        {
            assert!(mail_keys(Some(&inbox), other).iter().all(|k| !keys.contains(k)));
        }
        let sent = mail_keys(Some(&Role::Sent.guid()), MAIL);
        assert_ne!(sent[0], keys[0]);
        assert_eq!(sent[1], keys[1]);
        assert_eq!(moved_keys(Some(&Role::Sent.guid()), &keys), sent);
    }

    #[test]
    fn folders_by_role_then_name() {
        let german = folder_value(&Folder::new("Posteingang", Some("INBOX")), None);
        assert_eq!(german.match_keys[0], Role::Inbox.value().match_keys[0]);
        let nokia = folder_value(&Folder::new("Remote Sent", None), None);
        assert_eq!(nokia.match_keys[0], Role::Sent.value().match_keys[0]);
        let own = folder_value(&Folder::new("Projects", None), None);
        assert_eq!(own.match_keys, folder_value(&Folder::new("projects", None), None).match_keys);
        assert_eq!(own.match_keys.len(), 1);
    }

    #[test]
    fn a_new_user_gets_five_folders() {
        let store = StoreKey { user: "ann".into(), datastore: DATASTORE.into() };
        let writes = provision(&store);
        assert_eq!(writes.len(), 5);
        for (write, role) in writes.iter().zip(Role::ALL) {
            let Write::PutItem { guid, expect: None, value, body: None, .. } = write else {
                panic!("{write:?}")
            };
            assert_eq!(Role::of(guid), Some(role));
            let folder = Folder::from_fields(&value.fields).unwrap();
            assert_eq!(Role::of_folder(&folder), Some(role));
        }
    }
}
