//! Both engines on memory stores, in one thread: whole sessions, cut, lost and repeated at every place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod alerted;
mod capability;
mod commands;
mod conflicts;
mod crash;
mod events;
mod filters;
mod foreign;
mod forward;
mod golden;
mod hierarchy;
mod load;
mod login;
mod mail;
mod model;
mod modes;
mod network;
mod notes;
mod raw;
mod resume;
mod sealed;
mod sizes;
mod threats;
mod world;
