//! The checksummed frame around each record.

use super::body;
use super::crc::crc32;
use crate::{IdError, Record};

/// Tag bit: the first frame of a batch.
pub(super) const OPENS: u8 = 0x40;
/// Tag bit: the last frame of a batch.
pub(super) const CLOSES: u8 = 0x80;

/// A frame whose checksum is right.
pub(super) struct Frame<'a> {
    tag: u8,
    pub(super) fields: &'a [u8],
    /// Where the next one starts.
    pub(super) end: usize,
}

impl<'a> Frame<'a> {
    pub(super) fn at(file: &'a [u8], start: usize) -> Option<Self> {
        let (length, rest) = file.get(start..)?.split_first_chunk::<2>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let body = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
        if crc32([length, body]) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (&tag, fields) = body.split_first()?;
        Some(Self { tag, fields, end: start.checked_add(6)?.checked_add(body.len())? })
    }

    /// Whether a batch opens here. An id cannot look like that: the length has a control character.
    pub(super) fn opens_at(file: &'a [u8], start: usize) -> bool {
        let head = file.get(start..).and_then(|rest| rest.split_first_chunk::<7>());
        let Some((&[l0, l1, _, _, _, _, tag], _)) = head else { return false };
        // Before the sum, which costs more.
        let likely = usize::from(u16::from_le_bytes([l0, l1])) <= body::MAX_LEN && tag & OPENS != 0;
        likely && Self::at(file, start).is_some()
    }

    pub(super) fn opens(&self) -> bool {
        self.tag & OPENS != 0
    }

    pub(super) fn closes(&self) -> bool {
        self.tag & CLOSES != 0
    }

    pub(super) fn kind(&self) -> u8 {
        self.tag & !(OPENS | CLOSES)
    }
}

/// Adds a frame, or a part of one if it fails.
pub(super) fn write(out: &mut Vec<u8>, tag: u8, record: &Record) -> Result<(), IdError> {
    let mut body = Vec::with_capacity(64);
    body.push(tag | body::kind(record));
    body::write(&mut body, record)?;
    // Valid ids keep it under `MAX_LEN`.
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_le_bytes();
    out.extend(length);
    out.extend(crc32([&length, &body]).to_le_bytes());
    out.extend(body);
    Ok(())
}
