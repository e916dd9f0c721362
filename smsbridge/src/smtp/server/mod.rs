//! The receiving end: takes mail from SMTP or LMTP clients.
//!
//! # The host's decisions
//!
//! | event | answered by |
//! |---|---|
//! | [`Event::Mail`] | [`Session::accept_mail`], [`Session::reject_mail`] |
//! | [`Event::Rcpt`] | [`Session::accept_rcpt`], [`Session::reject_rcpt`] |
//! | [`Event::Message`] | [`Session::accept_message`], [`Session::reject_message`], [`Session::answer_message`] |
//! | [`Event::Auth`] | [`Session::accept_auth`], [`Session::reject_auth`] |
//! | [`Output::StartTls`](super::Output::StartTls) | [`Session::tls_started`] |
//!
//! Until then the session takes no further command; input that came already is kept. A host stops reading while
//! [`Session::wants_input`] is false, so that at most one read is kept.

mod auth;
mod config;
mod session;
mod verbs;

pub use auth::{Credentials, Mechanism};
pub use config::{AuthPolicy, Config};
pub use session::Session;

use super::{Envelope, MailFrom, Recipient};
use bytes::Bytes;

/// What a server session wants done.
pub type Output = super::Output<Event>;

/// Something that the host decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client wants to send mail from here.
    Mail(MailFrom),
    /// It names a recipient.
    Rcpt(Recipient),
    /// A whole message. Accept it only once it is stored: the client forgets it then.
    Message {
        /// Who sends what to whom.
        envelope: Box<Envelope>,
        /// The message as submitted, in CRLF lines.
        body: Bytes,
    },
    /// A client logs in.
    Auth(Credentials),
}
