//! Mailboxes on other servers, mirrored into the rows that are synced.
//!
//! | module | what |
//! |---|---|
//! | [`Mailbox`] | what a driver can do; [`imap`] and [`pop3`] are two |
//! | `reconcile` | one look at a mailbox: changes there become rows, changed rows become operations there |
//! | `watch` | one task an account: connect, look, wait, back off |
//! | [`account_cli`], `ask` | accounts, checked before they are stored; [`vault`] keeps their secrets |
//! | [`stored`] | what of a message is in a mailbox already, so that it can be put together there |
//! | `lent`, `session` | secrets that a device gives for one session, and its end |
//! | [`link`] | TCP and TLS out |
//!
//! What to do is decided in `mailsync_proto::mirror`; the embedded mailbox is the mirror itself and needs no driver.

pub mod account_cli;
mod ask;
pub mod imap;
mod lent;
pub mod link;
pub mod pop3;
mod reconcile;
mod session;
pub mod stored;
pub mod vault;
mod watch;

pub use watch::Config;
pub(crate) use watch::Watcher;

use bytes::Bytes;
pub use mailsync_proto::mirror::Done;
use mailsync_proto::mirror::folders::{FolderLink, FolderSeen};
use mailsync_proto::mirror::mails::{Described, Link, Listing, RemoteId};
use mailsync_proto::mirror::{Marks, Operation};
use std::future::Future;
use std::time::Duration;
use stored::Composition;

/// Why a mailbox does not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be reached, or the link broke: again later, over a new one.
    #[error("{0}")]
    Link(String),
    /// It refuses the login, in its own words.
    #[error("login refused: {0}")]
    Login(String),
    /// It refuses this, in its own words; the link is fine.
    #[error("{0}")]
    Refused(String),
    /// The link is not safe enough to go on.
    #[error("not safe: {0}")]
    Unsafe(String),
}

/// The folders of a mailbox.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// As the server lists them.
    pub seen: Vec<FolderSeen>,
    /// Part of what the server said could not be read: what is missing may be there.
    pub torn: bool,
}

/// What a folder holds.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The mails.
    pub listing: Listing,
    /// As [`FolderSeen::identity`].
    pub identity: Box<str>,
    /// To be given back at the next look.
    pub state: Box<str>,
}

/// Why [`Mailbox::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something happened there.
    There,
    /// The caller's signal, or the time is over.
    Here,
}

/// A mailbox on another server, over one link.
///
/// Folders and mails go by the server's own ids. No method decides anything: what a listing means and what is to be
/// done is `mailsync_proto::mirror`'s. After [`Error::Link`] the link is over.
pub trait Mailbox: Send {
    /// Its folders, each with a state that changes with its content where the server has one.
    fn folders(&mut self) -> impl Future<Output = Result<Folders, Error>> + Send;
    /// What a folder holds, or what changed in it since [`FolderLink::state`].
    fn look(
        &mut self,
        folder: &FolderLink,
        known: &[Link],
    ) -> impl Future<Output = Result<Looked, Error>> + Send;
    /// Describes new mails of a folder, all by one command where that can be; those that cannot be described are left out.
    fn describe(
        &mut self,
        folder: &FolderLink,
        mails: &[(RemoteId, Marks)],
    ) -> impl Future<Output = Result<Vec<Described>, Error>> + Send;
    /// The texts of mails of a folder by one command. Left out, to be asked for alone, is what is gone, cannot be read, or has
    /// more than so many octets; all of them where there is no such command.
    fn fetch_some(
        &mut self,
        path: &str,
        ids: &[RemoteId],
        most: u64,
    ) -> impl Future<Output = Result<Vec<(RemoteId, Bytes)>, Error>> + Send {
        let _ = (path, ids, most);
        async { Ok(Vec::new()) }
    }
    /// The text of a mail, at most so many octets of it; none if it is gone or cannot be read.
    fn fetch(
        &mut self,
        path: &str,
        id: RemoteId,
        most: u64,
    ) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;
    /// The id of a mail with this Message-ID in a folder.
    fn find(
        &mut self,
        path: &str,
        message_id: &str,
    ) -> impl Future<Output = Result<Option<RemoteId>, Error>> + Send;
    /// Does an operation; `message` is the text for one that adds a mail.
    fn perform(
        &mut self,
        operation: &Operation,
        message: Option<&Bytes>,
    ) -> impl Future<Output = Result<Done, Error>> + Send;
    /// Does an operation that adds a mail by having it put together there of what is there; none where the mailbox does
    /// not do that, and nothing was added.
    fn compose(
        &mut self,
        operation: &Operation,
        message: &Bytes,
        composition: &Composition,
    ) -> impl Future<Output = Result<Option<Done>, Error>> + Send {
        let _ = (operation, message, composition);
        async { Ok(None) }
    }
    /// Deletes mails of a maildrop that are here: where that is the account's rule.
    fn discard(&mut self, ids: &[RemoteId]) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = ids;
        async { Err(Error::Refused("this mailbox is no maildrop".into())) }
    }
    /// Waits until something happens, `wake` ends, or the time is over.
    fn wait(
        &mut self,
        limit: Duration,
        wake: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Result<Woken, Error>> + Send;
}
