//! What a mail server is to do because of a row of ours.
//!
//! A host queues the id of every row that changed; when its turn comes, [`mail`] or [`folder`] says what there is to
//! do *then*. So a change that was taken back costs nothing, a crash repeats only what is still missing, and what the
//! server did meanwhile counts.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::folders::{FolderLink, FolderSeen};
use super::mails::{Link, RemoteId};
use super::marks::Marks;
use crate::mail::mailbox::{KIND_FOLDER, KIND_MAIL};
use crate::mail::{Folder, MailFields, Role, SendOutcome, SendState};
use crate::sync::store::Item;
use idmap::Guid;
use serde::{Deserialize, Serialize};

/// What deleting a mail means at the mail server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeleteRule {
    /// It goes into the trash folder; from there, and where there is none, it is gone for good.
    #[default]
    Trash,
    /// It is gone for good.
    Expunge,
    /// It stays there.
    Keep,
}

impl DeleteRule {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            DeleteRule::Trash => "trash",
            DeleteRule::Expunge => "expunge",
            DeleteRule::Keep => "keep",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [DeleteRule::Trash, DeleteRule::Expunge, DeleteRule::Keep]
            .into_iter()
            .find(|rule| rule.as_str() == word)
    }
}

/// One thing for a mail server to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set and take off marks.
    Mark {
        /// The folder's name there.
        folder: Box<str>,
        /// The mail.
        id: RemoteId,
        /// Set these.
        add: Marks,
        /// Take these off.
        remove: Marks,
    },
    /// Move a mail.
    Move {
        /// The folder's name there.
        folder: Box<str>,
        /// The mail.
        id: RemoteId,
        /// Where to; the name there.
        to: Box<str>,
        /// The same as our item.
        into: Guid,
    },
    /// Remove a mail for good.
    Expunge {
        /// The folder's name there.
        folder: Box<str>,
        /// The mail.
        id: RemoteId,
    },
    /// Add our mail.
    Append {
        /// The folder's name there.
        folder: Box<str>,
        /// The same as our item.
        into: Guid,
        /// With these marks.
        marks: Marks,
        /// When it came, seconds since 1970.
        received: Option<u64>,
    },
    /// Make a folder.
    MakeFolder {
        /// The folder it is to be in; none: at the top.
        parent: Option<Box<str>>,
        /// Its name for people.
        name: Box<str>,
    },
    /// Give a folder another name or place.
    RenameFolder {
        /// Its name there.
        path: Box<str>,
        /// The folder it is to be in; none: at the top.
        parent: Option<Box<str>>,
        /// Its new name for people.
        name: Box<str>,
    },
    /// Remove a folder.
    RemoveFolder {
        /// Its name there.
        path: Box<str>,
    },
}

impl Operation {
    /// In a word, for lists and logs.
    pub fn word(&self) -> &'static str {
        match self {
            Operation::Mark { .. } => "mark",
            Operation::Move { .. } => "move",
            Operation::Expunge { .. } => "expunge",
            Operation::Append { .. } => "append",
            Operation::MakeFolder { .. } => "make folder",
            Operation::RenameFolder { .. } => "rename folder",
            Operation::RemoveFolder { .. } => "remove folder",
        }
    }
}

/// What is to be done for a row of ours, mail or folder; `seen` is what the server lists now. `root` is the folder that
/// stands here for the account itself, if there is one: what is at the top there is in it here.
pub fn operations(
    item: &Item,
    link: Option<&Link>,
    (folders, seen): (&[FolderLink], &[FolderSeen]),
    root: Option<&Guid>,
    rule: DeleteRule,
) -> Vec<Operation> {
    if &*item.value.kind != KIND_FOLDER {
        return mail(item, link, folders, rule);
    }
    let link = folders.iter().find(|folder| folder.guid == item.guid);
    let there = link.and_then(|link| seen.iter().find(|folder| folder.path == link.path));
    let above = match there.map(|there| there.parent.as_ref()) {
        Some(Some(path)) => {
            folders.iter().find(|folder| folder.path == *path).map(|folder| &folder.guid).or(root)
        }
        Some(None) => root,
        None => None,
    };
    folder(item, link, there.map(|there| (&*there.name, above)), folders)
}

/// Whether the mail server keeps a copy of this mail by itself, if it does so of what was sent: then none is added.
pub fn is_kept_there(item: &Item, into: &Guid, folders: &[FolderLink]) -> bool {
    let sent = folders.iter().any(|folder| folder.guid == *into && folder.role == Some(Role::Sent));
    let fields = MailFields::from_fields(&item.value.fields).unwrap_or_default();
    let went = |send: SendState| matches!(send.outcome, SendOutcome::Sent | SendOutcome::Partly);
    sent && fields.send.is_some_and(went)
}

/// What is to be done for a mail; nothing when both sides are the same.
// mission: M5b
pub fn mail(item: &Item, link: Option<&Link>, folders: &[FolderLink], rule: DeleteRule) -> Vec<Operation> {
    let place = |guid: &Guid| folders.iter().find(|folder| folder.guid == *guid);
    let there = link.and_then(|link| Some((link, link.id?, place(&link.folder)?)));
    if item.deleted {
        let Some((_, id, folder)) = there.filter(|_| rule != DeleteRule::Keep) else { return Vec::new() };
        let trash = folders.iter().find(|folder| folder.role == Some(Role::Trash));
        return vec![match trash {
            Some(trash) if rule == DeleteRule::Trash && trash.guid != folder.guid => Operation::Move {
                folder: folder.path.clone(),
                id,
                to: trash.path.clone(),
                into: trash.guid.clone(),
            },
            _ => Operation::Expunge { folder: folder.path.clone(), id },
        }];
    }
    if &*item.value.kind != KIND_MAIL {
        return Vec::new();
    }
    let Some(target) = item.value.parent.as_ref().and_then(place) else { return Vec::new() };
    let Ok(fields) = MailFields::from_fields(&item.value.fields) else { return Vec::new() };
    let marks = Marks::of(&fields);
    let append = || Operation::Append {
        folder: target.path.clone(),
        into: target.guid.clone(),
        marks,
        received: fields.received,
    };
    let Some(link) = link else { return vec![append()] };
    // Known to be on its way; when it has been seen there its turn comes again.
    let Some((_, id, folder)) = there else { return Vec::new() };
    if item.body_rev > link.body_rev {
        // Mail servers change no text. The old one goes first: what breaks off between is still here.
        return vec![Operation::Expunge { folder: folder.path.clone(), id }, append()];
    }
    let mut operations = Vec::new();
    let (add, remove) = link.marks.difference(marks);
    if add != Marks::NONE || remove != Marks::NONE {
        operations.push(Operation::Mark { folder: folder.path.clone(), id, add, remove });
    }
    if folder.guid != target.guid {
        operations.push(Operation::Move {
            folder: folder.path.clone(),
            id,
            to: target.path.clone(),
            into: target.guid.clone(),
        });
    }
    operations
}

/// What is to be done for a folder. `was` is how the server has it: its name for people and the folder it is in.
pub fn folder(
    item: &Item,
    link: Option<&FolderLink>,
    was: Option<(&str, Option<&Guid>)>,
    folders: &[FolderLink],
) -> Vec<Operation> {
    if Role::of(&item.guid).is_some() {
        return Vec::new();
    }
    if item.deleted {
        let gone = link.map(|link| Operation::RemoveFolder { path: link.path.clone() });
        return gone.into_iter().collect();
    }
    if &*item.value.kind != KIND_FOLDER {
        return Vec::new();
    }
    let Ok(state) = Folder::from_fields(&item.value.fields) else { return Vec::new() };
    let above = item.value.parent.as_ref();
    let parent = above.and_then(|guid| folders.iter().find(|folder| folder.guid == *guid));
    let parent = parent.map(|folder| folder.path.clone());
    match (link, was) {
        (None, _) => vec![Operation::MakeFolder { parent, name: state.name.clone() }],
        (Some(link), Some((name, inside))) if name != &*state.name || inside != above => {
            vec![Operation::RenameFolder { path: link.path.clone(), parent, name: state.name.clone() }]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::mailbox::{folder_value, mail_value};
    use crate::mirror::mails::Key;

    fn folders() -> Vec<FolderLink> {
        [Role::Inbox, Role::Sent, Role::Trash]
            .into_iter()
            .map(|role| FolderLink {
                guid: role.guid(),
                path: role.name().to_uppercase().into(),
                role: Some(role),
                identity: None,
                state: "".into(),
            })
            .collect()
    }

    fn item(role: Role, fields: &MailFields) -> Item {
        let value = mail_value(role.guid(), fields, b"Subject: x\r\n\r\n");
        Item { guid: Guid::unvalidated("g"), rev: 4, body_rev: 2, deleted: false, value, size: 9 }
    }

    fn link(role: Role, marks: Marks) -> Link {
        let key = Key { strong: [0; 16], weak: [0; 16] };
        Link { guid: Guid::unvalidated("g"), folder: role.guid(), id: Some(7), marks, key, body_rev: 2 }
    }

    // mission: M5b
    #[test]
    fn marks_and_moves_are_what_differs_now() {
        let read = MailFields { read: true, ..MailFields::default() };
        let run = |item: &Item, link: &Link| mail(item, Some(link), &folders(), DeleteRule::Trash);
        assert_eq!(run(&item(Role::Inbox, &read), &link(Role::Inbox, Marks::READ)), []);
        let both = run(&item(Role::Trash, &read), &link(Role::Inbox, Marks::FLAGGED));
        let mark =
            Operation::Mark { folder: "INBOX".into(), id: 7, add: Marks::READ, remove: Marks::FLAGGED };
        let into = Role::Trash.guid();
        let moved = Operation::Move { folder: "INBOX".into(), id: 7, to: "TRASH".into(), into };
        assert_eq!(both, [mark, moved]);
        let waiting = Link { id: None, ..link(Role::Inbox, Marks::NONE) };
        assert_eq!(run(&item(Role::Trash, &read), &waiting), [], "not before it has been seen");
        let outbox = item(Role::Outbox, &read);
        assert_eq!(mail(&outbox, None, &folders(), DeleteRule::Trash), [], "what is sent is not filed");
    }

    #[test]
    fn the_delete_rule() {
        let mut gone = item(Role::Inbox, &MailFields::default());
        gone.deleted = true;
        let run = |role, rule| mail(&gone, Some(&link(role, Marks::NONE)), &folders(), rule)[0].word();
        assert_eq!(run(Role::Inbox, DeleteRule::Trash), "move");
        assert_eq!(run(Role::Inbox, DeleteRule::Expunge), "expunge");
        assert_eq!(run(Role::Trash, DeleteRule::Trash), "expunge");
        assert_eq!(mail(&gone, Some(&link(Role::Inbox, Marks::NONE)), &folders(), DeleteRule::Keep), []);
        assert_eq!(mail(&gone, None, &folders(), DeleteRule::Trash), []);
    }

    #[test]
    fn a_mail_that_is_only_here_is_added_and_a_new_text_replaces() {
        let sent = item(Role::Sent, &MailFields { read: true, ..MailFields::default() });
        let run = |link: Option<&Link>| mail(&sent, link, &folders(), DeleteRule::Trash);
        let words = |operations: Vec<Operation>| operations.iter().map(Operation::word).collect::<Vec<_>>();
        assert_eq!(words(run(None)), ["append"]);
        let old = Link { body_rev: 1, ..link(Role::Sent, Marks::READ) };
        assert_eq!(words(run(Some(&old))), ["expunge", "append"]);
    }

    #[test]
    fn folders_made_renamed_removed() {
        let named = |name: &str, deleted| Item {
            guid: Guid::unvalidated("f1"),
            rev: 1,
            body_rev: 1,
            deleted,
            value: folder_value(&Folder::new(name, None), Some(Role::Inbox.guid())),
            size: 0,
        };
        let known = FolderLink {
            guid: Guid::unvalidated("f1"),
            path: "INBOX/a".into(),
            role: None,
            identity: None,
            state: "".into(),
        };
        let inbox = Role::Inbox.guid();
        let was = Some(("a", Some(&inbox)));
        let made = folder(&named("a", false), None, None, &folders());
        assert_eq!(made, [Operation::MakeFolder { parent: Some("INBOX".into()), name: "a".into() }]);
        assert_eq!(folder(&named("a", false), Some(&known), was, &folders()), []);
        assert_eq!(folder(&named("b", false), Some(&known), was, &folders())[0].word(), "rename folder");
        assert_eq!(folder(&named("a", true), Some(&known), was, &folders())[0].word(), "remove folder");
        let everyone = Item { guid: Role::Sent.guid(), ..named("x", true) };
        assert_eq!(folder(&everyone, Some(&known), was, &folders()), []);
    }
}
