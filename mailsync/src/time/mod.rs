//! Time in the two programs: reference time, clocks of terminals, appointed operations, time tasks.
//!
//! The rules are in `timesync` and `mailsync_proto`; here are their sockets, files and clocks.

pub(crate) mod alarms;
pub mod ask;
mod brought;
mod config;
mod direct;
pub(crate) mod group_cli;
mod letters;
pub mod manage;
pub mod operation;
pub(crate) mod pocket;
mod post;
pub mod reference;
pub(crate) mod register;
mod task_add;
mod task_answer;
pub(crate) mod task_cli;
mod terminal;
pub(crate) mod terminal_cli;

pub use config::Config;
pub use manage::Manager;
pub use reference::Reference;
pub(crate) use terminal::zone_name;
