//! OMA DS / SyncML: codec and sans-IO sessions.

#![warn(clippy::expect_used, clippy::panic)]

pub mod error;
pub mod limits;
pub mod model;
#[cfg(any(feature = "client", feature = "server"))]
pub mod session;
mod stub;
pub use stub::*;

pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
pub use model::*;
