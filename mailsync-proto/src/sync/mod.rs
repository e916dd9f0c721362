//! The sync engine. It knows datastores and items, and nothing of what they are.
//!
//! | file | what |
//! |---|---|
//! | `store` | the vocabulary: what an engine reads, finds and writes |
//! | `turn` | the shape of a turn |
//! | `collection` | what a kind of datastore must tell the engine |
//! | `server`, `client` | the two turns |
//! | `modes` | the kinds of sync: one table |
//! | `matching` | how equal items find each other |
//! | `resume` | what an earlier session left |
//! | `sweep`, `kept` | the end of a refresh; what was set aside is put back |
//! | `send` | the walk that sends our changes |
//! | `state`, `lookup`, `batch`, `ids`, `core` | a turn at work |
//! | `filter` | which items a peer wants, and what of them |
//! | `devinf`, `device`, `event` | capabilities, oddities of known devices, and what the host is told |

mod batch;
pub mod client;
pub mod collection;
mod core;
pub mod device;
pub mod devinf;
pub mod event;
pub mod filter;
mod ids;
pub mod kept;
mod lookup;
mod matching;
mod modes;
mod resume;
mod savepoint;
pub mod seal;
mod send;
pub mod server;
mod state;
pub mod store;
mod sweep;
pub mod turn;

pub use self::core::StoreConfig;
pub use self::modes::Mode;
