//! Temporary ids, for clients that take only short ones.

use crate::{IdError, MapError};
use std::borrow::Borrow;
use std::fmt;

/// What an Add carries instead of a GUID longer than the client's `MaxGUIDSize`.
///
/// # Shape
/// Ours are 4 to 8 octets of digits and lower-case letters, so that no client trips over case or
/// escapes; 1 to 64 octets of UTF-8 without control characters are taken back from a store.
/// # Errors
/// [`IdError`] from `try_from`.
// quirk: Nokia states MaxGUIDSize 8, session facts §4 (Map)
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Box<str>"))]
pub struct TempId(Box<str>);

crate::id::id!(TempId, "temporary id", 64);

/// The shortest one that we make, in octets: 2^20 of them.
const LEAST: usize = 4;
/// The longest one that we make, in octets: 2^40 of them.
const MOST: usize = 8;
/// Without i, l, o and u, which people misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Odd, so that the steps of one `unique` reach different ids; far apart, so that neighbours do not meet.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

impl TempId {
    /// How many ids [`offer`](crate::offer) tries for one `unique`.
    pub const CANDIDATES: u32 = 8;

    /// The ids that [`offer`](crate::offer) tries for this `unique`, in its order.
    ///
    /// A host whose view is partial looks these up first, by wire id and by GUID. It need not if its
    /// `unique` is a counter per peer and its GUIDs are all longer than 8 octets: then the first is free
    /// (until the counter has gone round: 2^20 offers at 4 octets, 2^40 at 8).
    /// # Errors
    /// [`MapError::MaxGuidSize`] below 4 octets.
    pub fn candidates(unique: u64, max_guid_size: usize) -> Result<impl Iterator<Item = Self>, MapError> {
        if max_guid_size < LEAST {
            return Err(MapError::MaxGuidSize { max: max_guid_size, least: LEAST });
        }
        let len = max_guid_size.min(MOST);
        Ok((0..u64::from(Self::CANDIDATES))
            .map(move |attempt| Self::spell(unique.wrapping_add(attempt.wrapping_mul(STRIDE)), len)))
    }

    /// The low `5 * len` bits, highest first.
    fn spell(number: u64, len: usize) -> Self {
        let digit = |place: usize| {
            let bits = (number >> (5 * place)) as usize & 31;
            #[expect(clippy::indexing_slicing, reason = "five bits are less than 32")]
            char::from(ALPHABET[bits])
        };
        Self((0..len).rev().map(digit).collect::<String>().into_boxed_str())
    }
}
