//! The reference server `mailsyncd`.

mod bind_cli;
mod cli;
pub mod config;
mod delays;
mod doctor;
mod http;
pub mod logging;
mod outbox;
pub mod serve;
mod session_log;
mod smtp_in;
mod users;

pub use cli::main;
