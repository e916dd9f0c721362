//! What an operation that was done means for what we know.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::folders::FolderLink;
use super::mails::{Key, Link, RemoteId};
use super::outgoing::Operation;
use crate::sync::store::Item;
use bytes::Bytes;
use idmap::Guid;

/// What an operation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The id that the mail has now, if the server says it.
    pub id: Option<RemoteId>,
    /// The name of the folder that was made or renamed.
    pub path: Option<Box<str>>,
}

/// What is known of the mail server now; a host keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    /// A folder, by its item.
    Folder(FolderLink),
    /// A folder is known no more, nor are its mails.
    NoFolder(Guid),
    /// A mail, by its item.
    Mail(Link),
    /// A mail is known no more.
    NoMail(Guid),
}

/// What is known after an operation for `item`; `link` is brought up to date with it, `message` is what was added.
pub fn learned(
    operation: &Operation,
    done: &Done,
    item: &Item,
    link: &mut Option<Link>,
    folders: &[FolderLink],
    message: Option<&Bytes>,
) -> Option<Learned> {
    let known = folders.iter().find(|folder| folder.guid == item.guid);
    match operation {
        Operation::Mark { add, remove, .. } => {
            let link = link.as_mut()?;
            link.marks = link.marks.with(*add).without(*remove);
            Some(Learned::Mail(link.clone()))
        }
        // In the trash it is another mail: it comes from there as a new one.
        Operation::Move { .. } | Operation::Expunge { .. } if item.deleted => {
            Some(Learned::NoMail(item.guid.clone()))
        }
        Operation::Move { into, .. } => {
            let link = link.as_mut()?;
            (link.folder, link.id) = (into.clone(), done.id);
            Some(Learned::Mail(link.clone()))
        }
        Operation::Expunge { .. } => {
            *link = None;
            Some(Learned::NoMail(item.guid.clone()))
        }
        Operation::Append { into, marks, received, .. } => {
            let message = message.map(|message| &message[..]).unwrap_or_default();
            let new = Link {
                guid: item.guid.clone(),
                folder: into.clone(),
                id: done.id,
                marks: *marks,
                key: Key::of(message, message.len() as u64, *received),
                body_rev: item.body_rev,
            };
            *link = Some(new.clone());
            Some(Learned::Mail(new))
        }
        Operation::MakeFolder { .. } | Operation::RenameFolder { .. } => {
            let path = done.path.clone()?;
            let fresh = FolderLink {
                guid: item.guid.clone(),
                path: path.clone(),
                role: None,
                identity: None,
                state: "".into(),
            };
            Some(Learned::Folder(known.map_or(fresh, |known| FolderLink { path, ..known.clone() })))
        }
        Operation::RemoveFolder { .. } => Some(Learned::NoFolder(item.guid.clone())),
    }
}
