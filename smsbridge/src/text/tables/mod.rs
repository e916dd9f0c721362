//! The character tables of GSM 7-bit, as data.

#[rustfmt::skip]
pub(super) mod lock;
#[rustfmt::skip]
pub(super) mod shift;
