//! Which of a user's terminals a mail is pushed to, why that one, and by which bearer.
//!
//! Terminals report what they sense of their user ([`Report`]); a [`Ledger`] keeps the newest of each kind; a
//! [`Snapshot`] is what is known of all terminals of one user; a [`Policy`] says what the user wants. [`decide()`]
//! turns a compiled policy, a snapshot, the facts of a mail and the time into a [`Decision`]: targets, hints to the
//! other terminals, the bearer of each, and who is next when nobody reads the mail. It does no IO, reads no clock,
//! allocates nothing, uses integers only, and always answers. [`decide_traced`] also says why, and why not.
//!
//! ```
//! use pushpolicy::{decide, Limits, MailFacts, Millis, Now, Policy, Snapshot};
//!
//! let policy = Policy::from_json(br#"{"version":1,"default":{"push":{"select":["in_use","any"]}}}"#)?;
//! let policy = policy.compile(&Limits::default())?;
//! let snapshot = Snapshot::from_json(br#"{"version":1,"terminals":[
//!     {"id":"laptop","kind":"laptop","routes":[{"bearer":"channel","address":"192.0.2.7"}]},
//!     {"id":"phone","kind":"phone","routes":[{"bearer":"wap_push","address":"+8613800138000","power":"any"}],
//!      "evidence":[{"boot":1,"seq":4,"received_at":59000,"reading":{"input":{"age_ms":500}}}]}]}"#)?;
//! let mail = MailFacts::new("INBOX", "bob@example.org", "lunch?", 2048, ["text/plain"]);
//!
//! let decision = decide(&policy, &snapshot, &mail, Now::at(Millis(60_000)));
//! let view = decision.view(&policy, &snapshot);
//! assert_eq!(view.targets[0].terminal.as_str(), "phone");
//! assert_eq!(view.targets[0].address, "+8613800138000");
//! assert_eq!(view.hints[0].terminal.as_str(), "laptop");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! | question | module |
//! |---|---|
//! | what a terminal says, and what of it is believed | [`evidence`], [`ledger`], [`seal`], [`location`], [`attributes`] |
//! | what is known of a user's terminals | [`terminal`], [`snapshot`] |
//! | what the user wants | [`policy`], [`pattern`], [`lint`], [`stored`] (compare-and-set) |
//! | who gets the mail, and why | [`decide`](mod@decide), [`trace`], [`what_if`](mod@what_if), [`record`] |
//! | what becomes of each mail: asked, decided, told, escalated, taken back | [`dispatch`] |
//! | whether to tell at all | [`notify`]: rules, quiet hours, folding, the SMS budget |
//! | the same state everywhere | [`handled`] |
//! | bytes on the wire | `bearer` (feature `bearer`) |
//!
//! Normative order of evaluation: the [`decide`](mod@decide) module. Conformance vectors: `vectors/`.

#![warn(clippy::expect_used, clippy::panic)]

pub mod attributes;
#[cfg(feature = "bearer")]
pub mod bearer;
pub mod compile;
pub mod decide;
mod decision;
pub mod dispatch;
pub mod error;
pub mod evidence;
pub mod handled;
pub mod ledger;
pub mod limits;
pub mod lint;
pub mod location;
pub mod mail;
pub mod notify;
pub mod pattern;
pub mod policy;
pub mod record;
mod score;
#[cfg(feature = "seal")]
pub mod seal;
pub mod sent;
pub mod snapshot;
pub mod stored;
pub mod terminal;
pub mod time;
pub mod trace;
pub mod what_if;

pub use attributes::{Attributes, Capability, MediaRange, MediaType, Requirement};
pub use compile::CompiledPolicy;
pub use decide::{decide, decide_traced};
pub use decision::{Content, Decision, DecisionView, HintView, Outcome, Step, TargetView, TerminalSet, Then};
pub use dispatch::{Patience, PushState, Say, World};
pub use error::{Implausible, PolicyError, ReportError, SnapshotError};
pub use evidence::{Evidence, Order, PowerState, Reading, Report, Sensor};
pub use handled::{CancelHint, Handled, Progress};
pub use ledger::{Ingest, Ledger};
pub use limits::Limits;
pub use lint::{Finding, Lint};
pub use location::{Coordinates, PlaceLabel};
pub use mail::{Importance, MailFacts};
pub use pattern::Pattern;
pub use policy::{
    Action, Clause, Condition, Count, EscalationStep, Fallback, HintScope, Policy, Push, Rule, RuleId,
    Selector, Tuning,
};
pub use record::Record;
pub use score::Use;
pub use snapshot::Snapshot;
pub use stored::{Conflict, StoredPolicy};
pub use terminal::{Bearer, Route, RoutePower, Standing, Terminal, TerminalId, TerminalKind};
pub use time::{LocalTime, Millis, Now};
pub use trace::{Reason, Stage, Trace, TraceEntry};
pub use what_if::{Change, counterfactual, what_if};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
