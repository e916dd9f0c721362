//! SNTP as two sans-IO engines: a [`Client`] of several servers, and a [`Server`].
//!
//! # The contract of the client
//! One mutation ([`handle_input`](Client::handle_input), [`handle_timeout`](Client::handle_timeout)), then
//! [`poll_output`](Client::poll_output) until `None`, then [`poll_timeout`](Client::poll_timeout). `now` is a
//! monotonic duration since an origin the host chose and never goes back. Same seed and same inputs give the
//! same outputs.
//!
//! The client measures a timescale of its own, which runs with the monotonic clock: what happens to the
//! system's wall clock meanwhile cannot spoil an exchange.

mod client;
mod server;

pub use client::{Client, Config, Event, Input, Known, Output, SampleRefusal};
pub use server::{Server, ServerStatus};
