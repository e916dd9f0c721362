//! Mail as items of a datastore: the objects on the wire, the folders, sending and delivery.
//!
//! # Map
//! | module | what |
//! |---|---|
//! | [`email`], [`folder`] | `application/vnd.omads-email+xml`, `application/vnd.omads-folder+xml` |
//! | [`rfc822`] | `message/rfc822` with `X-Sync-*` fields, for simple clients |
//! | [`flags`], `since` | the state that is stored beside a mail; when its parts changed, by which two sides are merged |
//! | [`mailbox`] | the folders every user has, and by what mail of two stores finds its like |
//! | [`collection`] | [`MailCollection`]: all of it as a [`Collection`](crate::sync::collection::Collection) |
//! | [`account`], [`accounts`] | accounts at mail servers: the object, and the datastore that has them checked |
//! | [`cut`] | a mail in part, and what is said of the rest |
//! | [`news`], [`event`], [`device`] | what happened that a device does not know yet; how it is told; where devices listen |
//! | [`notice`] | which form of an event a bearer carries; what is under way to a device |
//! | [`stub`] | what a device gets of a mail that does not fit it |
//! | [`outbox`], [`bounce`], [`deliver`] | send jobs and what becomes of them; mail that comes in |
//! | [`cut`], `search` | mails that a device wants only in part; what filters find them by |
//! | [`compose`], [`summary`] | new mail and replies; what a list shows |
//! | [`forward`], [`splice`] | forward and reply by number: what is asked for, and the new mail made of both |
//! | [`invitation`] | calendar entries between people |
//! | [`policy`] | which of a user's devices gets what mail: the datastore, not the meaning |
//! | [`catenate`] | what of a message a mail server has already, and composes itself |
//! | [`params`], [`settings`] | what a device asks for and what is stored for it: which counts; the datastore of the latter |
//! | [`headers`], `mime`, [`transfer`], [`time`] | header fields, parts, base64 and quoted-printable, dates |

pub mod account;
pub mod accounts;
pub mod bounce;
pub mod catenate;
pub mod collection;
pub mod compose;
pub mod cut;
pub mod deliver;
pub mod device;
pub mod email;
pub mod error;
pub mod event;
pub mod flags;
pub mod folder;
pub mod forward;
pub mod headers;
pub mod invitation;
pub mod mailbox;
mod mime;
pub mod news;
pub mod notice;
pub mod outbox;
pub mod params;
pub mod policy;
pub mod rfc822;
mod search;
pub mod settings;
mod since;
pub mod splice;
pub mod stub;
pub mod summary;
pub mod time;
pub mod transfer;
pub(crate) mod xml;

pub use account::Account;
pub use accounts::AccountCollection;
pub use collection::MailCollection;
pub use cut::{Left, Wanted};
pub use email::Email;
pub use error::{ObjectError, ObjectErrorKind};
pub use flags::{MailFields, SendOutcome, SendState};
pub use folder::Folder;
pub use mailbox::Role;
pub use settings::SettingsCollection;
