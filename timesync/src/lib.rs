#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::panic)]
//! x
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "tz")]
pub mod appoint;
#[cfg(feature = "tz")]
pub mod civil;
pub mod clock;
pub mod drift;
#[cfg(feature = "tokio")]
pub mod drive;
pub mod exchange;
pub mod filter;
pub mod instant;
pub mod nitz;
pub mod packet;
pub mod request;
pub mod rng;
pub mod select;
pub mod sntp;
#[cfg(feature = "tz")]
pub mod starter;
pub mod statement;
pub mod steer;
#[cfg(feature = "tasks")]
pub mod task;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod timestamp;
#[cfg(feature = "tz")]
pub mod zones;

pub use drift::{DriftRefusal, Estimate, Rate};
pub use exchange::{Exchange, ExchangeRefusal, Measurement, PHI, Tolerance, one_way};
pub use filter::{ClockFilter, FilterRefusal, Filtered, Sample};
pub use instant::{Interval, Now, Ppb, Reading, UnixTime};
pub use nitz::{Nitz, NitzRefusal};
pub use packet::{DecodeError, KissCode, Packet, Trailer};
pub use request::{ReplyRefusal, Request};
pub use select::{
    Candidate, Overlap, SelectRefusal, Selection, SourceId, covered_by, intersection, marzullo, select,
};
pub use statement::{Contradiction, Ledger, Statement};
pub use steer::{Correction, SteerRefusal, Thresholds, VirtualClock, advise};
pub use timestamp::{NtpDate, NtpDuration, NtpShort, NtpTime32, NtpTimestamp};
