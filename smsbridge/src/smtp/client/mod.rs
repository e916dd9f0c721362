//! The sending end: hands mail to a submission server, a relay or an LMTP server.
//!
//! After [`Event::Ready`] the host calls [`Session::send`], gets [`Event::Sent`] with one verdict for each recipient,
//! and may send again on the same link or [`Session::quit`]. [`Event::Failed`] ends the session.
//!
//! # When the outcome is unknown
//!
//! If the link breaks after the end mark of the message was given out and before the server answered, the server may
//! have the message or not: the verdict is [`Verdict::Unknown`]. Whoever sends again risks a duplicate.
//!
//! # By URL
//!
//! A [`Submission`] may name a URL of the same message ([`Submission::url`]). Where the server offers BURL it is told to
//! fetch that; `BURL ... LAST` stands for the whole transfer, so a link that breaks after it leaves the outcome unknown. Any
//! refusal of it says that the server has no message: then the octets go, in the same session.

mod config;
mod outcome;
mod read;
mod session;
mod submission;

pub use config::{Auth, Config, Tls};
pub use outcome::{Capabilities, Failure, Outcome, Verdict};
pub use session::Session;
pub use submission::Submission;

/// What a client session wants done.
pub type Output = super::Output<Event>;

/// Something that the host should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Greeted, encrypted and logged in as configured; mail can be sent.
    Ready(Capabilities),
    /// A message is done with.
    Sent(Outcome),
    /// The session is over; a message under way was reported by [`Event::Sent`] before.
    Failed(Failure),
}
