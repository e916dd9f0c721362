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

pub use crate::sent::Delivery;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};

/// The notification (Package #0 of DS 1.2) that a connectionless WAP push carries; none if it is no such push.
#[must_use]
pub fn notification(pdu: &[u8]) -> Option<Vec<u8>> {
    wap::Push::decode(pdu)
        .ok()
        .filter(|push| push.content_type.is(&wap::ContentType::DS_ALERT))
        .map(|push| push.body)
}

#[cfg(test)]
pub(crate) fn unhex(s: &str) -> Vec<u8> {
    let digits: Vec<u8> = s.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}
