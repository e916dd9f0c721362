//! Pushing a notice to the right terminal: rows, sockets and queues. Who gets it `pushpolicy` decides.
//!
//! | file | what |
//! |---|---|
//! | `config` | `[push]` of the configuration file |
//! | `state` | the rows of a user: reports, plans, policy, records of decisions |
//! | `engine` | one trait for all bearers, and which there are |
//! | `ip`, `channel` | UDP, HTTP, magic packets; the channel that a client holds |
//! | `smpp`, `gateway`, `sip`, `web_push` | WAP push in SMS; PAP and MM7; SIP MESSAGE and the signal call; push services |
//! | `policy_cli`, `explain_cli` | `mailsyncd policy`, `mailsyncd push` |

pub(crate) mod channel;
pub mod config;
pub(crate) mod engine;
pub(crate) mod explain_cli;
mod gateway;
mod ip;
pub(crate) mod policy_cli;
pub(crate) mod sip;
mod smpp;
pub(crate) mod state;
mod web_push;

pub use config::Push;
pub(crate) use engine::{Engines, Instruction};
