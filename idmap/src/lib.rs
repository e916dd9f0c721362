//! The LUID<->GUID map of one (user, device, datastore), as pure operations.

#![warn(clippy::expect_used, clippy::panic)]

mod entry;
mod error;
mod holders;
mod id;
pub mod journal;
mod ops;
mod temp;
mod view;

pub use entry::{Entry, Record, State, Wire};
pub use error::{IdError, MapError};
pub use holders::{Holder, Holders};
pub use id::{Guid, Luid};
pub use ops::{adopt, bind, forget, offer, seen, settle, switch_generation};
pub use temp::TempId;
pub use view::View;
