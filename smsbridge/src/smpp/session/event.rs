//! What comes out of a session, and what a host can do wrong.

use super::BindMode;
use crate::smpp::pdu::{Bind, Outbind};
use crate::smpp::{
    Body, CommandId, CommandStatus, DecodeError, FrameError, InterfaceVersion, Pdu, SequenceNumber,
};
use bytes::Bytes;
use std::time::Duration;

/// The host's own number of a request; comes back with the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What a session wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Octets for the peer.
    Transmit(Bytes),
    /// Something for the host.
    Event(Event),
    /// Send what is queued, then close the link. Nothing follows.
    Close,
}

/// Something for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An ESME asks to bind: [`accept_bind`](super::Session::accept_bind) or
    /// [`refuse_bind`](super::Session::refuse_bind).
    BindRequested {
        /// What for.
        mode: BindMode,
        /// Who.
        bind: Box<Bind>,
    },
    /// The bind stands.
    Bound {
        /// What for.
        mode: BindMode,
        /// What the peer speaks, if it says so.
        version: Option<InterfaceVersion>,
    },
    /// A centre asks us to bind: check it, then [`bind`](super::Session::bind).
    Outbind(Box<Outbind>),
    /// The peer wants something: [`respond`](super::Session::respond) once it is safely stored.
    Request {
        /// As it came, to pass on unchanged.
        pdu: Pdu,
        /// What it says.
        body: Box<Body>,
    },
    /// The peer tells something that has no response.
    Notification {
        /// As it came.
        pdu: Pdu,
        /// What it says.
        body: Box<Body>,
    },
    /// A request was answered.
    Response {
        /// Which one.
        token: Token,
        /// The answer as it came; its status says how it went.
        pdu: Pdu,
        /// What it says; `None` for `generic_nack` and for answers that cannot be read.
        body: Option<Box<Body>>,
    },
    /// A request was not answered in time: in doubt.
    NoResponse(InDoubt),
    /// The peer wants us slower; nothing may be sent until then.
    Throttled {
        /// When sending may go on.
        until: Duration,
    },
    /// A PDU was refused by the session itself.
    Rejected(DecodeError),
    /// The peer ends the session: answer what is owed, no new requests.
    Unbinding,
    /// The link is over.
    Closed {
        /// Why.
        reason: Reason,
        /// Our requests without an answer.
        in_doubt: Vec<InDoubt>,
        /// Requests of the peer that were never answered.
        unanswered: Vec<SequenceNumber>,
    },
}

/// A request of ours that the peer may have carried out or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// The host's number.
    pub token: Token,
    /// The request.
    pub pdu: Pdu,
}

/// Why a link is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Both sides agreed.
    #[error("unbound")]
    Unbound,
    /// The bind was refused.
    #[error("bind refused: {0:?}")]
    BindRefused(CommandStatus),
    /// No bind in time.
    #[error("no bind in time")]
    BindTimeout,
    /// `enquire_link` was not answered.
    #[error("the peer is silent")]
    Silent,
    /// A whole window of requests was not answered.
    #[error("the peer answers no requests")]
    WindowStuck,
    /// Unbinding took too long.
    #[error("unbind not answered in time")]
    UnbindTimeout,
    /// The stream is no longer PDUs.
    #[error("{0}")]
    Framing(FrameError),
    /// The peer closed the link.
    #[error("the link was closed")]
    LinkClosed,
}

/// A verb that could not be carried out; the session is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Misuse: not in this state.
    #[error("{verb}: the session is {state}")]
    WrongState {
        /// The verb called.
        verb: &'static str,
        /// What the session is doing.
        state: &'static str,
    },
    /// Misuse: this bind does not allow the command, or it is no request.
    #[error("{0:?} may not be sent on this bind")]
    NotAllowed(CommandId),
    /// The window is full: wait for a response.
    #[error("window of {0} full")]
    WindowFull(usize),
    /// Too fast: come back later.
    #[error("throttled until {until:?}")]
    Throttled {
        /// When.
        until: Duration,
    },
    /// Misuse: no such request waits for an answer.
    #[error("nothing to answer with number {}", .0.0)]
    NotOwed(SequenceNumber),
    /// Misuse: this body does not answer that request.
    #[error("{answer:?} does not answer {request:?}")]
    WrongAnswer {
        /// The request.
        request: CommandId,
        /// The answer given.
        answer: CommandId,
    },
}
