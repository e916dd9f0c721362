//! The reference server `mailsyncd`.

mod accept;
mod ask_cli;
mod bind_cli;
mod by_url;
mod cli;
pub mod config;
mod delays;
mod doctor;
mod http;
mod kept_cli;
mod load;
pub mod logging;
pub mod notify;
mod outbox;
pub mod serve;
mod session_log;
mod smtp_in;
mod submit;
pub mod tasks;
mod tell;
mod users;

pub use cli::main;
