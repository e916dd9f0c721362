//! Managing the clocks of terminals: measure, tell, ask, and compensate exactly once.
//!
//! A terminal's *deviation* is what its clock shows minus true time: positive when it is fast. The server
//! measures it with its own two stamps around the terminal's two; what the terminal says is a claim that can
//! only ever move that terminal's own compensation.
//!
//! ```text
//!   server  s1 ── Probe ─┐          ┌─ Report ── s4     deviation = ((c2 - s1) + (c3 - s4)) / 2
//!                         \        /                    bound     = ((s4 - s1) - (c3 - c2)) / 2
//!   client                 c2    c3
//! ```
//!
//! Both ends are small values with methods: no clock, no IO, no identity. The host keeps one [`ServerSide`]
//! per terminal and one [`ClientSide`] on the terminal, stores them, and carries the [`message`]s.

mod client;
mod deviation;
pub mod message;
mod server;

pub use client::{ClientOutput, ClientSide, SyncPolicy};
pub use deviation::{Compensation, CompensationRefusal, Deviation, Due, Timescale, ZoneSource, split_zone};
pub use message::{ClockSync, LocalStamp, Probe, Report, SyncAnswer};
pub use server::{ClockConfig, ClockEvent, ClockRefusal, ServerOutput, ServerSide};
