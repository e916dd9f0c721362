//! Device management for time: a terminal's clock, and operations appointed in the server's local time.
//!
//! Sessions are SyncML DM 1.2, begun by the terminal (Alert 1201). What they carry lies in the management tree:
//!
//! | node | said by | by | meaning |
//! |---|---|---|---|
//! | `./Ext/mailsync/Clock/Now` | server | Get | "what does your clock show?" |
//! | `./Ext/mailsync/Clock/Received`, `.../Sent` | terminal | Results | local time when that came and when the answer leaves |
//! | `./Ext/mailsync/Clock/Deviation` | server | Replace | the terminal's clock minus true time: lowest and highest, nanoseconds |
//! | `./Ext/mailsync/Clock/Set` | server | Exec | "your clock is wrong, will you set it?"; 200 done, 202 the user is asked, 215 refused |
//! | `./Ext/mailsync/Operation/N/At` | server | Replace | appointed civil time |
//! | `.../N/Zone` | server | Replace | whose: an IANA name, an offset, `floating`; without it the server's, unnamed |
//! | `.../N/Stamp` | server | Replace | the server's local time when the message left |
//! | `.../N/Missed` | server | Replace | `skip`, `once`, or `within` seconds |
//! | `./Ext/mailsync/Operation/N` | server | Exec | start it then; 202, and later the outcome |
//! | `./Ext/mailsync/Operation/N` | server | Delete | never mind |
//!
//! Outcomes, and answers that a user gave later, are generic alerts (1226) with the types [`tree::OUTCOME`] and
//! [`tree::ANSWER`]. Both ends are values with pure functions: what a message does to them is known before it is sent,
//! so a host stores first and sends then.
//!
//! # Spec
//! OMA DM Protocol 1.2, SyncML Representation Protocol 1.2.

pub mod client;
mod message;
pub mod record;
pub mod server;
pub mod tree;

pub use record::{NewOperation, Operation, OperationState, OperationZone, Record, RecordRefusal};

/// The text of `VerProto`.
pub const VER_PROTO: &str = "DM/1.2";
