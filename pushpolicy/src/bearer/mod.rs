//! Formats of the bearers that carry a push (feature `bearer`): bytes in, bytes out; sockets are the host's.
//!
//! | bearer | module | carries |
//! |---|---|---|
//! | WAP push by SMS, UDP or TCP | [`wap`] | a server alert (SAN), [`si`], [`sl`], [`emn`] |
//! | push proxy gateway | [`pap`] | the same |
//! | MMS centre | [`mm7`] | any MIME parts |
//! | SIP MESSAGE, phone push | [`sip`] | a SAN; nothing |
//! | sleeping machines | [`wol`] | nothing |
//!
//! What a push says is never trusted: it only means "sync soon" with the server already known, and a digest in the
//! server alert proves who asks. Nothing here fetches a URL, a DTD or an entity.

pub mod date;
pub mod emn;
mod error;
pub mod mm7;
pub mod multipart;
pub mod pap;
pub mod si;
pub mod sip;
pub mod sl;
pub mod wap;
mod wbxml;
pub mod wol;
mod xml;

pub use error::{DecodeError, DecodeErrorKind, EncodeError};

/// What became of a push, whatever carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Delivery {
    /// The terminal said so, or its session came.
    Delivered,
    /// A gateway has it. Only a session or a receipt closes this.
    Accepted,
    /// Not now: try again, or another bearer.
    Unreachable,
    /// The address is no longer valid: unregister it.
    Gone,
    /// It will not be taken, however often it is sent.
    Refused,
    /// No answer, or one that says nothing.
    Unknown,
}

#[cfg(test)]
pub(crate) fn unhex(s: &str) -> Vec<u8> {
    let digits: Vec<u8> = s.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}
