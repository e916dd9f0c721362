//! The envelope of a message: who sent it, to whom, and what was asked for.

use super::{ForwardPath, ReversePath};

/// A message's envelope as the server took it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// The name that the peer gave in EHLO, HELO or LHLO; its own claim.
    pub helo: String,
    /// True if it said EHLO or LHLO.
    pub extended: bool,
    /// True if the link was encrypted.
    pub tls: bool,
    /// The name that logged in on this link.
    pub login: Option<String>,
    /// MAIL FROM and its parameters.
    pub from: MailFrom,
    /// The accepted recipients in order of RCPT; duplicates are kept.
    pub recipients: Vec<Recipient>,
}

/// MAIL FROM with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailFrom {
    /// The sender; null for bounces.
    pub address: ReversePath,
    /// Octets that the peer announced with `SIZE=`; a hint, never a promise.
    pub size: Option<u64>,
    /// What `BODY=` said.
    pub body: BodyType,
    /// `SMTPUTF8`: addresses and headers may be UTF-8.
    pub smtputf8: bool,
    /// `RET=` (RFC 3461).
    pub ret: Option<Return>,
    /// `ENVID=` (RFC 3461), decoded.
    pub envid: Option<String>,
}

impl MailFrom {
    /// A sender without parameters.
    pub fn new(address: ReversePath) -> Self {
        MailFrom { address, size: None, body: BodyType::SevenBit, smtputf8: false, ret: None, envid: None }
    }
}

/// What the message's octets are (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyType {
    /// Octets below 128 only; what silence means. Not enforced on what we receive.
    #[default]
    SevenBit,
    /// Any octets, in lines.
    EightBitMime,
}

/// How much of a message a failure report returns (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

/// RCPT TO with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// The address.
    pub address: ForwardPath,
    /// `NOTIFY=` (RFC 3461); `None` if the sender left it to us.
    pub notify: Option<Notify>,
    /// `ORCPT=rfc822;...` (RFC 3461), decoded, without its type.
    pub orcpt: Option<String>,
}

impl Recipient {
    /// A recipient without parameters.
    pub fn new(address: ForwardPath) -> Self {
        Recipient { address, notify: None, orcpt: None }
    }
}

/// Which reports a sender wants (RFC 3461 §4.1); all false is `NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// On delivery.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}
