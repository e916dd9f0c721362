//! Sessions: who is asked what next, and what has been answered.
//!
//! # Contract
//! A session is a small serialisable value ([`ServerSession`], [`ClientSession`]); nothing of it lives anywhere
//! else, so any process can answer the next message. [`Exchange`] is one message being answered:
//!
//! 1. `receive` takes the value and a decoded message and gives an [`Exchange`];
//! 2. [`Exchange::next_ask`] names, one by one, what the caller must decide ([`Ask`]); statuses, chunks, Alert
//!    222 and 223 and commands we do not know are dealt with inside;
//! 3. [`Exchange::answer`] gives each its status;
//! 4. [`Exchange::send`] and [`Exchange::send_object`] add commands of our own while they fit;
//! 5. `finish` gives the new value and the octets of the answer.
//!
//! Nothing here waits, stores or draws random numbers: the same value, message and decisions give the same octets.
//!
//! # Spec
//! SyncML Sync Protocol 1.1, OMA DS Protocol 1.2.

mod answer;
mod ask;
mod atomic;
pub mod auth;
mod chunk;
mod exchange;
mod incoming;
mod link;
pub mod load;
#[cfg(feature = "server")]
mod login;
pub mod mac;
mod nonces;
mod object;
mod outgoing;
mod owed;
mod proof;
pub mod suspend;
mod uri;

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod fallback;
#[cfg(feature = "server")]
mod server;

pub use ask::{Ask, Payload, Received, Slot};
#[cfg(feature = "client")]
pub use client::{ClientConfig, ClientExchange, ClientSession, ServerCheck};
pub use exchange::{Exchange, Full, ObjectProgress};
#[cfg(feature = "client")]
pub use fallback::{FirstFailure, fallback};
pub use link::{MAX_IDLE, MAX_SENT, MAX_SESSION_BYTES, Package};
pub use load::{Attempts, Load, SessionLimits};
#[cfg(feature = "server")]
pub use login::{Arrival, LoginCheck, PendingLogin};
pub use object::{ObjectHead, payload, wire_form};
pub use owed::MAX_OWED;
pub use proof::{LoginState, OwnLogin};
#[cfg(feature = "server")]
pub use server::{Opening, ServerConfig, ServerExchange, ServerSession};
pub use suspend::Leftover;
pub use uri::resolve_resp_uri;

/// The smallest `MaxMsgSize` that is honoured: a reply header must fit.
pub const MIN_MSG_SIZE: u32 = 1024;

/// Why a session cannot go on. The value is as it was before the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The message belongs to another session.
    #[error("session id {got:?}, expected {expected:?}")]
    OtherSession {
        /// What the message says.
        got: Box<str>,
        /// What the session is.
        expected: Box<str>,
    },
    /// `RespURI` leads to another server than the one that was asked.
    // spec: threats S2
    #[error("RespURI {got:?} leads away from the server, {asked:?}; refused")]
    ForeignRespUri {
        /// What the message says.
        got: Box<str>,
        /// Where the session goes on.
        asked: Box<str>,
    },
    /// The message comes out of order: neither the next one nor the last one again.
    #[error("message {got} after message {last}")]
    OutOfOrder {
        /// `MsgID` of the message.
        got: u32,
        /// `MsgID` of the last one.
        last: u32,
    },
    /// Too many messages in which nothing happened.
    #[error("{0} messages without progress")]
    NoProgress(u8),
    /// The header of the answer does not fit the peer's `MaxMsgSize`.
    #[error("no room for a header: {0}")]
    NoRoom(#[from] crate::EncodeError),
    /// The stored value is of a newer format.
    #[error("session format {0} is newer than this software")]
    NewerFormat(u8),
    /// The stored value cannot be read.
    #[error("session value is damaged")]
    Damaged,
    /// The session value would pass [`MAX_SESSION_BYTES`].
    #[error("session value of {0} octets, limit {MAX_SESSION_BYTES}")]
    TooLarge(usize),
    /// The peer speaks a version that is not ours.
    #[error("version {0:?} is not supported")]
    Version(Box<str>),
}

/// The format that is written.
const FORMAT: u8 = 2;

/// Writes a value: of a format, then what all formats have, then what the second added.
pub(crate) fn to_bytes<T: serde::Serialize>(
    value: &T,
    more: &link::More,
) -> Result<bytes::Bytes, SessionError> {
    let bytes = postcard::to_extend(&(value, more), vec![FORMAT]).map_err(|_| SessionError::Damaged)?;
    if bytes.len() > MAX_SESSION_BYTES {
        return Err(SessionError::TooLarge(bytes.len()));
    }
    Ok(bytes.into())
}

pub(crate) fn from_bytes<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
) -> Result<(T, link::More), SessionError> {
    let read = match bytes.split_first() {
        Some((1, rest)) => postcard::from_bytes(rest).map(|value| (value, link::More::default())),
        Some((&FORMAT, rest)) => postcard::from_bytes(rest),
        Some((&newer, _)) if newer > FORMAT => return Err(SessionError::NewerFormat(newer)),
        _ => return Err(SessionError::Damaged),
    };
    read.map_err(|_| SessionError::Damaged)
}
