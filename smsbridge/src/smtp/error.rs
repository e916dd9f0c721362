//! What a host can do wrong.

/// A verb that could not be carried out; the session is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Misuse: the session does not wait for this decision, or is not ready for this command.
    #[error("{verb}: not now, the session is {state}")]
    OutOfTurn {
        /// The verb called.
        verb: &'static str,
        /// What the session is doing.
        state: &'static str,
    },
    /// The link is gone; whatever was decided cannot be told to the peer.
    #[error("{verb}: the session is closed")]
    Closed {
        /// The verb called.
        verb: &'static str,
    },
    /// Misuse: a refusal needs a 4yz or 5yz code.
    #[error("reply code {code} does not refuse")]
    NotARefusal {
        /// The code given.
        code: u16,
    },
    /// Misuse: one reply for each accepted recipient is needed.
    #[error("{given} replies for {wanted} recipients")]
    ReplyCount {
        /// Replies given.
        given: usize,
        /// Replies wanted: 1 in SMTP, one for each recipient in LMTP.
        wanted: usize,
    },
    /// Not an address that may go on the wire.
    #[error("address: {reason} at octet {offset}")]
    Address {
        /// What is wrong.
        reason: &'static str,
        /// Octets from the start of the address.
        offset: usize,
    },
    /// Not a message that may go on the wire as it is.
    #[error("message: {reason} at octet {offset}")]
    Message {
        /// What is wrong.
        reason: &'static str,
        /// Octets from the start of the message.
        offset: usize,
    },
    /// Unsupported by this server: the message must be changed before it can go there.
    #[error("the server does not offer {extension}")]
    NotOffered {
        /// The extension's EHLO keyword.
        extension: &'static str,
    },
    /// A limit was passed.
    #[error("too much: {what} {value}, limit {limit}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The value met.
        value: usize,
        /// The limit.
        limit: usize,
    },
}
