//! The client's side: mail as Maildir++ and other stores as files, with our state beside them.

mod account;
mod args;
mod cli;
pub mod dirstore;
mod http;
mod look;
pub mod maildir;
mod maildir_index;
pub mod maildir_scan;
pub mod maildir_verbs;
mod maildir_write;
mod options;
mod parameters;
mod progress;
pub mod report;
mod settings;
pub mod sync;
#[cfg(test)]
mod tests;
mod tools;
mod watch;

pub(crate) use args::password;
pub use cli::main;
pub use dirstore::{DirStore, DirStoreError, Layout};
pub(crate) use http::Http;
pub use maildir_scan::ScanReport;
pub use maildir_verbs::{Listed, Maildir};
pub(crate) use sync::{device_id, owned};
