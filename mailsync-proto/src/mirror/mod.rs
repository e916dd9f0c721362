//! The mirror of a mailbox that is on another server: what its rows become, and what is to be done over there.
//!
//! Pure. A host brings what the mail server says ([`FolderSeen`], [`Listing`]) and what it knows of it ([`FolderLink`],
//! [`Link`]); it gets writes for the rows and [`Operation`]s for the server. Nothing here knows IMAP: ids and states
//! are opaque words, so a driver for JMAP fits as well.
//!
//! # Map
//! | module | what |
//! |---|---|
//! | [`marks`] | read, answered, ...: three-way, so that a change of ours is not undone by the server's older state |
//! | [`folders`] | which folder is which: by special use, then by name; renamed, new and gone ones |
//! | [`mails`] | what of a folder is new, changed, gone; what was moved; what a new mail becomes |
//! | [`outgoing`] | what the server is to do because of a row |
//! | [`learned`] | what is known once it is done |

pub mod folders;
pub mod learned;
pub mod mails;
pub mod marks;
pub mod outgoing;

pub use folders::{FolderLink, FolderSeen};
pub use learned::{Done, Learned};
pub use mails::{Key, Link, Listing, SeenMail};
pub use marks::Marks;
pub use outgoing::{DeleteRule, Operation};
