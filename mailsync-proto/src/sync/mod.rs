//! The sync engine. It knows datastores and items, and nothing of what they are.

pub mod collection;
pub mod store;
pub mod turn;
