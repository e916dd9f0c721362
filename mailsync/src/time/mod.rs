//! Time in the two programs: reference time, clocks of terminals, appointed operations, time tasks.
//!
//! The rules are in `timesync` and `mailsync_proto`; here are their sockets, files and clocks.

pub mod ask;
mod config;
pub mod reference;

pub use config::Config;
pub use reference::Reference;
