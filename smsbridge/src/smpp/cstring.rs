//! C-octet strings: octets up to a NUL.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::ValueError;
use bytes::Bytes;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// Octets of a string that is kept in place; the last is always 0.
pub(super) const BLOCK: usize = 24;
/// The longest string that is kept in place.
const SHORT: usize = BLOCK - 1;

/// A C-octet string: octets without NUL, ended by one on the wire. `MAX` counts that NUL, as the standards do.
///
/// Octets are kept as they came; see [`to_str`](CString::to_str). Numbers and names are kept in place, which costs
/// less than a share in the received buffer would; longer strings share it.
#[derive(Clone)]
pub struct CString<const MAX: usize>(Octets);

#[derive(Clone)]
enum Octets {
    /// Octets behind the end are 0.
    Short(u8, [u8; BLOCK]),
    Long(Bytes),
}

impl<const MAX: usize> CString<MAX> {
    /// The text, if it is UTF-8 (it should be ASCII).
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(self).ok()
    }

    fn check(octets: &[u8]) -> Result<(), ValueError> {
        if octets.len() >= MAX {
            Err(ValueError::TooLong { octets: octets.len(), max: MAX.saturating_sub(1) })
        } else if octets.contains(&0) {
            Err(ValueError::Nul)
        } else {
            Ok(())
        }
    }

    /// `octets` has no NUL.
    pub(super) fn from_slice(octets: &[u8], share: impl FnOnce(&[u8]) -> Bytes) -> Self {
        if octets.len() > SHORT {
            return CString(Octets::Long(share(octets)));
        }
        let mut block = [0; BLOCK];
        if let Some(place) = block.get_mut(..octets.len()) {
            place.copy_from_slice(octets);
        }
        CString(Octets::Short(u8::try_from(octets.len()).unwrap_or(0), block))
    }

    /// The string at the start of a block, and its length; `None` if no NUL is in the block.
    #[inline]
    pub(super) fn from_block(block: &[u8; BLOCK]) -> Option<(Self, usize)> {
        const LOW: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let [a, b, c] = words(block);
        let zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
        // the lowest set bit is exact, which is the first NUL
        let (first, second, third) = (zero(a), zero(b), zero(c));
        let before = |found: u64| (found.trailing_zeros() / 8) as usize;
        // all octets before it
        let mask = |found: u64| ((found & found.wrapping_neg()) >> 7).wrapping_sub(1);
        let (length, kept) = if first != 0 {
            (before(first), [a & mask(first), 0, 0])
        } else if second != 0 {
            (before(second).saturating_add(8), [a, b & mask(second), 0])
        } else if third != 0 {
            (before(third).saturating_add(16), [a, b, c & mask(third)])
        } else {
            return None;
        };
        let mut octets = [0; BLOCK];
        for (place, word) in octets.chunks_exact_mut(8).zip(kept) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Some((CString(Octets::Short(u8::try_from(length).unwrap_or(0), octets)), length))
    }

    /// The string and its NUL in a block of which only the start counts; `None` for long ones.
    #[inline]
    pub(super) fn block(&self) -> Option<&[u8; BLOCK]> {
        match &self.0 {
            Octets::Short(_, block) => Some(block),
            Octets::Long(_) => None,
        }
    }
}

/// Three numbers, little end first.
#[inline]
fn words(block: &[u8; BLOCK]) -> [u64; 3] {
    let mut words = [0; 3];
    for (word, octets) in words.iter_mut().zip(block.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*octets);
    }
    words
}

impl<const MAX: usize> Default for CString<MAX> {
    fn default() -> Self {
        CString(Octets::Short(0, [0; BLOCK]))
    }
}

impl<const MAX: usize> TryFrom<&str> for CString<MAX> {
    type Error = ValueError;

    fn try_from(text: &str) -> Result<Self, ValueError> {
        Self::check(text.as_bytes())?;
        Ok(Self::from_slice(text.as_bytes(), Bytes::copy_from_slice))
    }
}

impl<const MAX: usize> TryFrom<Bytes> for CString<MAX> {
    type Error = ValueError;

    fn try_from(octets: Bytes) -> Result<Self, ValueError> {
        Self::check(&octets)?;
        Ok(Self::from_slice(&octets, |_| octets.clone()))
    }
}

impl<const MAX: usize> Deref for CString<MAX> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Octets::Short(length, block) => block.get(..usize::from(*length)).unwrap_or_default(),
            Octets::Long(octets) => octets,
        }
    }
}

impl<const MAX: usize> PartialEq for CString<MAX> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const MAX: usize> Eq for CString<MAX> {}

impl<const MAX: usize> Hash for CString<MAX> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<const MAX: usize> fmt::Display for CString<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.escape_ascii())
    }
}

impl<const MAX: usize> fmt::Debug for CString<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_bounded() {
        assert!(CString::<6>::try_from("12345").is_ok());
        assert_eq!(CString::<6>::try_from("123456"), Err(ValueError::TooLong { octets: 6, max: 5 }));
        assert_eq!(CString::<6>::try_from("1\x002"), Err(ValueError::Nul));
    }

    #[test]
    fn blocks_and_slices_give_the_same_strings() {
        // every octet, in every place, before every length
        for length in 0..BLOCK {
            for octet in 1..=255u8 {
                let mut block = [octet; BLOCK];
                block[length] = 0;
                let (string, found) = CString::<65>::from_block(&block).unwrap();
                assert_eq!(found, length);
                assert_eq!(&string[..], &block[..length]);
                assert_eq!(string, CString::from_slice(&block[..length], Bytes::copy_from_slice));
                assert_eq!(string.block().unwrap()[length..], [0; BLOCK][length..]);
            }
        }
        assert!(CString::<65>::from_block(&[1; BLOCK]).is_none());
        let long = CString::<65>::try_from("x".repeat(64).as_str()).unwrap();
        assert_eq!((long.len(), long.block()), (64, None));
    }
}
