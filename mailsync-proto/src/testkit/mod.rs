//! For tests: a store in memory, and the suite that says whether a vendor's store does what
//! [`Store`](crate::sync::store::Store) promises.
//!
//! ```
//! use mailsync_proto::testkit::{MemoryStore, conformance};
//!
//! conformance::run(MemoryStore::default);
//! ```

pub mod conformance;
mod memory;

pub use memory::{FailAt, MemoryStore, Snapshot};
