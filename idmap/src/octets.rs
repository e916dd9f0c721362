//! An entry as octets, in the journal and in the index: GUID, revision, form, state, LUID, temporary id.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{Entry, Guid, IdError, Luid, State, TempId, Wire, id};

/// GUID, revision, form, state, LUID, temporary id at their longest.
pub(crate) const MAX_ENTRY: usize = 65 + 10 + 5 + 1 + 256 + 65;

pub(crate) const BOUND: u8 = 1;
pub(crate) const HAS_TEMP: u8 = 2;

/// All of an entry but its generation.
pub(crate) fn write_entry(out: &mut Vec<u8>, entry: &Entry) -> Result<(), IdError> {
    write_guid(out, &entry.guid)?;
    write_number(out, entry.seen_rev);
    write_number(out, entry.form.into());
    let temp = entry.wire().temp();
    let bound = if entry.luid().is_some() { BOUND } else { 0 };
    out.push(bound | if temp.is_some() { HAS_TEMP } else { 0 });
    if let Some(luid) = entry.luid() {
        write_text(out, "LUID", luid.as_str(), Luid::MAX_LEN)?;
    }
    if let Some(temp) = temp {
        write_text(out, "temporary id", temp.as_str(), TempId::MAX_LEN)?;
    }
    Ok(())
}

pub(crate) fn write_guid(out: &mut Vec<u8>, guid: &Guid) -> Result<(), IdError> {
    write_text(out, "GUID", guid.as_str(), Guid::MAX_LEN)
}

/// LEB128: seven bits an octet, lowest first.
pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low & 0x7F);
        }
        out.push(low | 0x80);
    }
}

fn write_text(out: &mut Vec<u8>, what: &'static str, text: &str, limit: usize) -> Result<(), IdError> {
    id::check(what, text, limit)?;
    let length = u8::try_from(text.len());
    out.push(length.map_err(|_| IdError::TooLong { what, len: text.len(), limit })?);
    out.extend(text.as_bytes());
    Ok(())
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

pub(crate) const SHORT: &str = "missing octets";

impl<'a> Input<'a> {
    pub(crate) fn entry(&mut self, generation: u32) -> Result<Entry, &'static str> {
        let guid = self.guid()?;
        let (seen_rev, form) = (self.number()?, self.u32()?);
        let state = match self.octet()? {
            0 => State::Pending { wire: Wire::Guid },
            HAS_TEMP => State::Pending { wire: Wire::Temp(self.temp()?) },
            BOUND => State::Bound { luid: self.luid()?, wire: Wire::Guid },
            3 => State::Bound { luid: self.luid()?, wire: Wire::Temp(self.temp()?) },
            _ => return Err("unknown state"),
        };
        Ok(Entry { guid, state, generation, seen_rev, form })
    }

    pub(crate) fn octet(&mut self) -> Result<u8, &'static str> {
        let (&octet, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(octet)
    }

    pub(crate) fn number(&mut self) -> Result<u64, &'static str> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7F);
            if (bits << shift) >> shift != bits {
                break;
            }
            number |= bits << shift;
            if octet & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number past 64 bits")
    }

    pub(crate) fn u32(&mut self) -> Result<u32, &'static str> {
        self.number()?.try_into().map_err(|_| "a number past 32 bits")
    }

    /// A length and that many octets.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.octet()?;
        let (octets, rest) = self.0.split_at_checked(length.into()).ok_or(SHORT)?;
        self.0 = rest;
        Ok(octets)
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.counted()?).map_err(|_| "text that is not UTF-8")
    }

    pub(crate) fn guid(&mut self) -> Result<Guid, &'static str> {
        self.text()?.try_into().map_err(|_| "an invalid GUID")
    }

    fn luid(&mut self) -> Result<Luid, &'static str> {
        self.text()?.try_into().map_err(|_| "an invalid LUID")
    }

    fn temp(&mut self) -> Result<TempId, &'static str> {
        self.text()?.try_into().map_err(|_| "an invalid temporary id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_both_ways() {
        let table: [(u64, &[u8]); 6] = [
            (0, &[0]),
            (127, &[0x7F]),
            (128, &[0x80, 1]),
            (300, &[0xAC, 2]),
            (u32::MAX.into(), &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
            (u64::MAX, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]),
        ];
        for (value, octets) in table {
            let mut out = Vec::new();
            write_number(&mut out, value);
            assert_eq!(out, octets);
            assert_eq!(Input(octets).number(), Ok(value));
        }
    }

    #[test]
    fn numbers_past_64_bits_and_cut_short() {
        assert_eq!(Input(&[0xFF; 11]).number(), Err("a number past 64 bits"));
        let two_to_64 = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2];
        assert_eq!(Input(&two_to_64).number(), Err("a number past 64 bits"));
        assert_eq!(Input(&[0x80]).number(), Err(SHORT));
        assert_eq!(Input(&[0x80, 0x80, 0x80, 0x80, 0x10]).u32(), Err("a number past 32 bits"));
    }
}
