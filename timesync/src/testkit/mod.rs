//! A deterministic world for tests: clocks that drift, wander and step, networks that delay, lose and repeat.
//!
//! Everything follows from a seed; nothing looks at a real clock. Yours to use: feature `testkit`.

mod clock;
mod network;
pub mod property;
mod sntp;
#[cfg(feature = "tasks")]
mod tasks;

pub use clock::SimClock;
pub use network::{Path, SimNetwork};
pub use sntp::{SntpReport, SntpSim};
#[cfg(feature = "tasks")]
pub use tasks::{Behaviour, Shown, TaskReport, TaskSim};
