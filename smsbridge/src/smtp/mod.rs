//! SMTP and LMTP, both ends, sans-IO.
//!
//! [`server::Session`] receives mail, [`client::Session`] sends it; `drive` (feature `tokio`) runs either over a
//! stream. Command lines and EHLO answers are parsed by `smtp-proto`; framing, addresses, the end of data and the
//! order of things are ours, because that is where mail gets smuggled.
//!
//! # What is safe by construction
//!
//! - Only CR LF `.` CR LF ends a message. A bare CR, a bare LF or a NUL in it refuses the message after its real end.
//! - What the server hands over equals what was submitted: dot-unstuffing is byte exact, nothing is normalised.
//! - The client sends a message only if it is CRLF lines without NUL, and stuffs its dots.
//! - Octets pipelined past STARTTLS are thrown away (server) or end the session (client).
//! - 250 to a message is sent only when the host says that it is stored.

mod address;
pub mod client;
mod command;
mod data;
#[cfg(feature = "tokio")]
pub mod drive;
mod envelope;
mod error;
mod limits;
mod reply;
pub mod server;

pub use address::{ForwardPath, Mailbox, ReversePath};
pub use envelope::{BodyType, Envelope, MailFrom, Notify, Recipient, Return};
pub use error::Error;
pub use limits::{Limits, Timeouts};
pub use reply::{EnhancedCode, Reply};

use bytes::Bytes;

/// What a session wants done, in order; `E` is the session's own event type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output<E> {
    /// Octets for the peer.
    Transmit(Bytes),
    /// Something for the host.
    Event(E),
    /// Start TLS on the link now (everything queued before it is sent first), then call `tls_started`.
    StartTls,
    /// Send what is queued, then close the link. Nothing follows.
    Close,
}

/// Which of the two protocols is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP with extensions.
    #[default]
    Smtp,
    /// LMTP (RFC 2033): LHLO, and one reply for each recipient after the message.
    Lmtp,
}
