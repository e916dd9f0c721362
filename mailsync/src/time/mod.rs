//! Time in the two programs: reference time, clocks of terminals, appointed operations, time tasks.
//!
//! The rules are in `timesync` and `mailsync_proto`; here are their sockets, files and clocks.

pub(crate) mod alarms;
pub mod ask;
mod config;
mod direct;
pub(crate) mod group_cli;
pub mod manage;
pub mod operation;
pub(crate) mod pocket;
pub mod reference;
pub(crate) mod register;
pub(crate) mod task_cli;
mod terminal;
pub(crate) mod terminal_cli;

pub use config::Config;
pub use manage::Manager;
pub use reference::Reference;
pub(crate) use terminal::zone_name;
