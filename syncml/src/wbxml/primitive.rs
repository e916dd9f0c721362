//! WBXML's numbers, tokens and document types.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::model::{Page, Version};

/// Global tokens. spec: WBXML facts §4.
pub(crate) mod global {
    pub(crate) const SWITCH_PAGE: u8 = 0x00;
    pub(crate) const END: u8 = 0x01;
    pub(crate) const ENTITY: u8 = 0x02;
    pub(crate) const STR_I: u8 = 0x03;
    pub(crate) const LITERAL: u8 = 0x04;
    pub(crate) const EXT_I_0: u8 = 0x40;
    pub(crate) const EXT_I_2: u8 = 0x42;
    pub(crate) const PI: u8 = 0x43;
    pub(crate) const EXT_T_0: u8 = 0x80;
    pub(crate) const EXT_T_2: u8 = 0x82;
    pub(crate) const STR_T: u8 = 0x83;
    pub(crate) const EXT_0: u8 = 0xC0;
    pub(crate) const EXT_2: u8 = 0xC2;
    pub(crate) const OPAQUE: u8 = 0xC3;
    pub(crate) const HAS_ATTRIBUTES: u8 = 0x80;
    pub(crate) const HAS_CONTENT: u8 = 0x40;
}

/// Which document a code page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doc {
    SyncMl,
    DevInf,
}

impl Doc {
    /// The vocabulary of a code page.
    pub(crate) fn page(self, code: u8) -> Page {
        match (self, code) {
            (Doc::SyncMl, 0) => Page::SyncMl,
            (Doc::DevInf, 0) => Page::DevInf,
            (_, 1) => Page::MetInf,
            // quirk: Nokia writes DevInf properties of a field filter inline on page 2, WBXML facts §5.
            (Doc::SyncMl, 2) => Page::DevInf,
            (_, other) => Page::Other(other),
        }
    }

    /// The code page of a vocabulary, if the document has it.
    pub(crate) fn code(self, page: Page) -> Option<u8> {
        let code = match (self, page) {
            (Doc::SyncMl, Page::SyncMl) | (Doc::DevInf, Page::DevInf) => 0,
            (_, Page::MetInf) => 1,
            (Doc::SyncMl, Page::DevInf) => 2,
            (_, Page::Other(code)) => code,
            (Doc::DevInf, Page::SyncMl) => return None,
        };
        (self.page(code) == page).then_some(code)
    }
}

/// Numeric public ids. spec: WBXML facts §2.
pub(crate) const fn public_id(doc: Doc, version: Version) -> u32 {
    match (doc, version) {
        (Doc::SyncMl, Version::V1_0) => 0x0FD1,
        (Doc::DevInf, Version::V1_0) => 0x0FD2,
        (Doc::SyncMl, Version::V1_1) => 0x0FD3,
        (Doc::DevInf, Version::V1_1) => 0x0FD4,
        (Doc::SyncMl, Version::V1_2) => 0x1201,
        (Doc::DevInf, Version::V1_2) => 0x1203,
    }
}

/// What a numeric public id names.
pub(crate) fn doc_of_number(id: u32) -> Option<Doc> {
    match id {
        0x0FD1 | 0x0FD3 | 0x1201 => Some(Doc::SyncMl),
        // quirk: some libraries swapped 0x1202 (MetInf) and 0x1203, WBXML facts §2.
        0x0FD2 | 0x0FD4 | 0x1203 | 0x1202 => Some(Doc::DevInf),
        _ => None,
    }
}

/// What a public id in words names: both families, `-//SYNCML//` and `-//OMA//`.
pub(crate) fn doc_of_text(id: &[u8]) -> Option<Doc> {
    let id = std::str::from_utf8(id).ok()?.to_ascii_uppercase();
    if id.contains("DTD DEVINF") || id.contains("DTD SYNCML-DEVINF") {
        Some(Doc::DevInf)
    } else if id.contains("DTD SYNCML") {
        Some(Doc::SyncMl)
    } else {
        None
    }
}

/// Why a number could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadNumber {
    /// The octets end first.
    Truncated,
    /// More than 5 octets, or more than 2^32 - 1.
    TooLarge,
}

/// The number at the start, big-endian in groups of seven bits, and how many octets it takes.
#[inline]
pub(crate) fn mb_u_int32(input: &[u8]) -> Result<(u32, usize), BadNumber> {
    match input.first() {
        Some(octet) if octet & 0x80 == 0 => Ok((u32::from(*octet), 1)),
        _ => long_number(input),
    }
}

fn long_number(input: &[u8]) -> Result<(u32, usize), BadNumber> {
    let mut value = 0_u32;
    // spec: WBXML facts §1: at most 5 octets and 2^32 - 1.
    for len in 1..=5_usize {
        let octet = input.get(len.wrapping_sub(1)).ok_or(BadNumber::Truncated)?;
        value = value
            .checked_mul(128)
            .and_then(|value| value.checked_add(u32::from(octet & 0x7F)))
            .ok_or(BadNumber::TooLarge)?;
        if octet & 0x80 == 0 {
            return Ok((value, len));
        }
    }
    Err(BadNumber::TooLarge)
}

/// A number in as few octets as it takes: the octets and how many.
pub(crate) fn mb_octets(value: u32) -> ([u8; 5], usize) {
    let mut octets = [0_u8; 5];
    let mut len = 0_usize;
    for shift in [28_u32, 21, 14, 7, 0] {
        let group = (value.wrapping_shr(shift) & 0x7F) as u8;
        if (group != 0 || len > 0 || shift == 0)
            && let Some(cell) = octets.get_mut(len)
        {
            *cell = group | if shift == 0 { 0 } else { 0x80 };
            len = len.saturating_add(1);
        }
    }
    (octets, len)
}

/// How many octets a number takes.
pub(crate) fn mb_len(value: usize) -> usize {
    mb_octets(u32::try_from(value).unwrap_or(u32::MAX)).1
}

/// Text up to a NUL.
#[inline]
pub(crate) fn nul_terminated(input: &[u8]) -> Option<&[u8]> {
    input.get(..memchr::memchr(0, input)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_both_directions() {
        let table: [(u32, &[u8]); 8] = [
            (0, &[0]),
            (0x6A, &[0x6A]),
            (0x7F, &[0x7F]),
            (0x80, &[0x81, 0x00]),
            (0x3D3, &[0x87, 0x53]),
            (0x0FD3, &[0x9F, 0x53]),
            (0x1201, &[0xA4, 0x01]),
            (u32::MAX, &[0x8F, 0xFF, 0xFF, 0xFF, 0x7F]),
        ];
        for (value, octets) in table {
            let (written, len) = mb_octets(value);
            assert_eq!(written.get(..len), Some(octets));
            assert_eq!(mb_u_int32(octets), Ok((value, octets.len())));
        }
        // Leading 0x80 octets are legal but useless.
        assert_eq!(mb_u_int32(&[0x80, 0x80, 0x05]), Ok((5, 3)));
    }

    #[test]
    fn threat_w2_number_longer_than_five_octets_or_32_bits() {
        let too_large = Err(BadNumber::TooLarge);
        assert_eq!(mb_u_int32(&[0x90, 0x80, 0x80, 0x80, 0x03]), too_large);
        assert_eq!(mb_u_int32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]), too_large);
        assert_eq!(mb_u_int32(&[0x81]), Err(BadNumber::Truncated));
    }
}
