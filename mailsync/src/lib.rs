//! The host around the sans-IO crates: storage, sockets, files. It decides nothing of any protocol.

#![warn(clippy::expect_used, clippy::panic)]

pub(crate) mod bearers;
pub mod client;
pub mod daemon;
pub mod demo;
pub mod exchange;
pub mod mailbox;
pub mod push;
mod record;
pub mod relay;
mod secret;
pub(crate) mod sms;
pub mod store;
pub mod time;
mod tls;
pub mod turns;
