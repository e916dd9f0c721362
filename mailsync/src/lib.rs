//! The host around the sans-IO crates: storage, sockets, files. It decides nothing of any protocol.

#![warn(clippy::expect_used, clippy::panic)]

pub mod client;
pub mod daemon;
pub mod demo;
pub mod exchange;
pub(crate) mod sms;
mod record;
pub mod store;
pub mod time;
pub mod turns;
