//! Which id of the client (LUID) is which id of the server (GUID): the map of one (user, device,
//! datastore), as pure operations.
//!
//! An operation reads a [`View`] and returns [`Record`]s, the row changes. The host commits them with
//! everything else that its message did, as rows of a table or as a batch of a [`journal`], and only
//! then answers. Nothing here does IO, reads a clock or rolls dice; nothing here knows SyncML or SQL.
//!
//! ```
//! use idmap::{Guid, Luid, View, bind, offer};
//!
//! let mut view = View::default(); // or: the rows of the ids that this message names
//! let generation = 1;
//!
//! // An Add to a client that takes ids of 8 octets: what to send, and what to store first.
//! let guid = Guid::try_from("inbox/2f1c-77ab-4711")?;
//! let (wire, records) = offer(&view, generation, &guid, Some(8), 42, 1, 0)?;
//! assert_eq!(wire.as_str(&guid), "0000001a");
//! view.extend(&records);
//!
//! // Its Map comes back, perhaps in a later session.
//! let luid = Luid::try_from("117")?;
//! let records = bind(&view, generation, "0000001a", &luid)?;
//! view.extend(&records);
//! assert_eq!(view.by_luid(generation, &luid).map(|entry| &entry.guid), Some(&guid));
//!
//! // The client missed our answer and repeats it: fine, nothing to store.
//! assert!(bind(&view, generation, "0000001a", &luid)?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The states of an entry
//!
//! Of one GUID in one generation:
//!
//! ```text
//!                  adopt (the client added it, or a slow sync matched it)
//!      ┌───────────────────────────────────────────────────────────────┐
//!      │                                                               ▼
//!  ┌───┴────┐  offer (Add goes out)  ┌─────────┐  bind (Map), adopt  ┌───────┐
//!  │ absent ├───────────────────────►│ Pending ├────────────────────►│ Bound │
//!  └────────┘                        └─┬────▲──┘                     └┬───▲──┘
//!      ▲  ▲            forget          │    │ offer, seen             │   │ seen, settle,
//!      │  └────────────────────────────┘    └──(stays)                │   │ bind and adopt of the
//!      │                               forget                         │   └─same pair (stays)
//!      └──────────────────────────────────────────────────────────────┘
//!   switch_generation(to): every entry of another generation is absent
//! ```
//!
//! | operation | absent | pending | bound |
//! |---|---|---|---|
//! | [`offer`] | pending | the same id again; revision and form as given | [`GuidBound`](MapError::GuidBound) |
//! | [`bind`] | [`NotOffered`](MapError::NotOffered) | bound; [`LuidBound`](MapError::LuidBound) if another GUID has the LUID | same LUID: ok, no change; another: [`GuidBound`](MapError::GuidBound), or [`LuidBound`](MapError::LuidBound) if another GUID has that one |
//! | [`adopt`] | bound, or [`LuidBound`](MapError::LuidBound) | as absent; keeps the offered id | same LUID: as [`seen`]; another: as [`bind`] |
//! | [`seen`] | [`NoEntry`](MapError::NoEntry) | newer revision, other form: stored; older: no change | as pending |
//! | [`settle`] | no change | no change | forgets the temporary id |
//! | [`forget`] | no change | absent | absent |
//!
//! [`offer`] may also find no id to send: [`MaxGuidSize`](MapError::MaxGuidSize) (the client takes less
//! than 4 octets), [`TempIdsInUse`](MapError::TempIdsInUse). After any error nothing has changed.
//!
//! # What always holds
//!
//! - In one generation a GUID, a LUID and a temporary id occur at most once each.
//! - Every operation done twice is as if done once, and so is every sequence of records, applied again
//!   from its start over any state that it went through.
//! - A view of just the entries that have one of the ids in an operation's arguments gives what the whole
//!   map gives: for [`bind`] by wire id and by LUID, for [`adopt`] by LUID and by GUID, for [`offer`] by
//!   GUID, by the GUID's text as wire id, and by the [candidates](TempId::candidates); for the rest by GUID.
//!   Apply the records of one operation to the view before the next.
//! - Generations do not mix: while a slow sync fills a new one, the old one answers as before.
//!
//! # Where the entries are
//!
//! In a table of the host: load the rows that a message touches. In a file: [`journal`]. In memory, by the
//! million: [`Index`]. Of several devices, asked by GUID: [`Holders`].
//!
//! # Features
//! `serde` (default): ids, entries and records implement `Serialize` and `Deserialize`; ids are
//! validated when read.

#![warn(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod entry;
mod error;
mod holders;
mod id;
mod index;
pub mod journal;
mod octets;
mod ops;
mod temp;
mod view;

pub use entry::{Entry, Record, State, Wire};
pub use error::{IdError, MapError};
pub use holders::{Holder, Holders};
pub use id::{Guid, Luid};
pub use index::{Index, IndexError};
pub use ops::{adopt, bind, forget, offer, seen, settle, switch_generation};
pub use temp::TempId;
pub use view::View;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
