//! OMA DS / SyncML: codec and sans-IO sessions.

#![warn(clippy::expect_used, clippy::panic)]
#![cfg_attr(
    not(any(feature = "xml", feature = "wbxml")),
    allow(unused, reason = "without a spelling the model is all there is")
)]

#[cfg(feature = "arbitrary")]
mod arbitrary;
mod codec;
mod convert;
pub mod error;
pub mod inspect;
pub mod limits;
pub mod model;
pub mod names;
pub mod quirks;
mod reader;
pub mod san;
#[cfg(any(feature = "client", feature = "server"))]
pub mod session;
mod tables;
#[cfg(feature = "wbxml")]
mod wbxml;
mod writer;
#[cfg(feature = "xml")]
mod xml;

pub use convert::{ConvertError, convert, respell};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
pub use model::*;
pub use quirks::Quirks;
pub use reader::{Event, Reader, decode, decode_devinf};
pub use writer::{Writer, encode};
#[cfg(feature = "xml")]
pub use xml::chars::xml_can_carry;
