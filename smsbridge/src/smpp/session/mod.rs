//! SMPP sessions, ESME and SMSC side, sans-IO.
//!
//! One [`Session`] is one link. The host writes what [`Output::Transmit`] gives, answers every [`Event::Request`] by
//! [`Session::respond`] once it has stored what came, and sends by [`Session::request`]. There is no queue inside: a
//! full window or a spent rate is an error that says when to come back, so the host stops reading its own source.
//!
//! # What the session answers by itself
//!
//! `enquire_link`; bodies that cannot be read (their own response with the right status); unknown commands
//! (`generic_nack`, RINVCMDID); commands that the bind does not allow (RINVBNDSTS); a second bind (RALYBND); more
//! requests than its window (RTHROTTLED, or RX_T_APPN to a centre); a broken `command_length` (`generic_nack`,
//! RINVCMDLEN, and the end).
//!
//! # When the link ends
//!
//! [`Event::Closed`] lists the requests without an answer: they are *in doubt*, the peer may have acted on them or
//! not. Who sends them again risks a duplicate, and should mark it.

mod config;
mod event;
mod inbound;
mod reconnect;
mod state;
mod verbs;

pub use config::{BindMode, Config, Credentials, Rate, Timers};
pub use event::{Event, InDoubt, Output, Reason, SessionError, Token};
pub use reconnect::Reconnect;
pub use state::Session;
