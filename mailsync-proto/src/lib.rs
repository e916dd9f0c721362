//! Mail over OMA DS: the sync engine and the mail objects.

#![warn(clippy::expect_used, clippy::panic)]

pub mod dm;
pub mod mail;
pub mod mirror;
pub mod pim;
pub mod plain;
pub mod probe;
pub mod replay;
mod stored;
pub mod sync;
pub mod tasks;
#[cfg(feature = "testkit")]
pub mod testkit;
