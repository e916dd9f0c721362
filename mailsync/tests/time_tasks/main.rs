//! Time tasks through the two programs: set, delivered, shown, reported, refused; with a server that dies, and without one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../peers/mod.rs"]
mod peers;

mod clocks;
mod delivery;
mod groups;
mod lab;
mod letters;
mod others;
mod paths;
mod people;
