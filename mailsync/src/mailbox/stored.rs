//! What of a message is in a mailbox on another server already, as our rows know it.

use super::Error;
use crate::store::SqliteStore;
use bytes::Bytes;
use mailsync_proto::mail::Role;
use mailsync_proto::mail::catenate::{Plan, plan};
use mailsync_proto::mail::forward::About;
use mailsync_proto::mail::mailbox::DATASTORE;
use mailsync_proto::mirror::mails::RemoteId;
use mailsync_proto::sync::store::{Read, Store, StoreError, StoreKey, Value};

/// A mail on another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder's name there.
    pub path: Box<str>,
    /// What says that ids of the folder are still the same: UIDVALIDITY.
    pub identity: Box<str>,
    /// The mail.
    pub id: RemoteId,
}

/// A message that a mail server can put together.
#[derive(Clone, Debug)]
pub struct Composition {
    /// Of what.
    pub plan: Plan,
    /// The mail there that the plan takes octets from.
    pub original: Place,
    /// The folder for drafts there, if it has one.
    pub drafts: Option<Box<str>>,
}

/// How the mail server of an account can put `message` together of the mail that it is about; none where it is about
/// none, where that one is not there, or where it is not worth it.
// mission: M6
pub(crate) fn composition(
    store: &SqliteStore,
    user: &str,
    account: i64,
    about: Option<&About>,
    message: &Bytes,
) -> Result<Option<Composition>, StoreError> {
    let Some(about) = about else { return Ok(None) };
    let Some(link) = store.remote_mail(account, &about.guid)? else { return Ok(None) };
    let folders = store.remote_folders(account)?;
    let folder = folders.iter().find(|folder| folder.guid == link.folder);
    let Some((id, folder)) = link.id.zip(folder) else { return Ok(None) };
    let Some(identity) = folder.identity.clone() else { return Ok(None) };
    let key = StoreKey { user: user.into(), datastore: DATASTORE.into() };
    let read = Read::Body(key, about.guid.clone());
    let found = store.read(std::slice::from_ref(&read))?;
    let Some(Value::Body(Some(original))) = found.get(&read) else { return Ok(None) };
    let drafts = folders.iter().find(|folder| folder.role == Some(Role::Drafts));
    let drafts = drafts.map(|folder| folder.path.clone());
    let original_at = Place { path: folder.path.clone(), identity, id };
    Ok(plan(message, original).map(|plan| Composition { plan, original: original_at, drafts }))
}

/// Why nothing was put together there.
pub(crate) fn not_there(what: &str) -> Error {
    Error::Refused(format!("the mail server {what}"))
}
