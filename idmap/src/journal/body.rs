//! A record as octets.

use crate::{Entry, Guid, IdError, Luid, Record, State, TempId, Wire, id};

/// Tag, generation, GUID, revision, form, state, LUID, temporary id at their longest.
pub(super) const MAX_LEN: usize = 1 + 5 + 65 + 10 + 5 + 1 + 256 + 65;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const KEEP_ONLY: u8 = 3;

const BOUND: u8 = 1;
const HAS_TEMP: u8 = 2;

pub(super) fn kind(record: &Record) -> u8 {
    match record {
        Record::Put(_) => PUT,
        Record::Remove { .. } => REMOVE,
        Record::KeepOnly { .. } => KEEP_ONLY,
    }
}

/// Adds the fields after the tag.
pub(super) fn write(out: &mut Vec<u8>, record: &Record) -> Result<(), IdError> {
    match record {
        Record::Put(entry) => {
            number(out, entry.generation.into());
            write_guid(out, &entry.guid)?;
            number(out, entry.seen_rev);
            number(out, entry.form.into());
            let temp = entry.wire().temp();
            let bound = if entry.luid().is_some() { BOUND } else { 0 };
            out.push(bound | if temp.is_some() { HAS_TEMP } else { 0 });
            if let Some(luid) = entry.luid() {
                text(out, "LUID", luid.as_str(), Luid::MAX_LEN)?;
            }
            if let Some(temp) = temp {
                text(out, "temporary id", temp.as_str(), TempId::MAX_LEN)?;
            }
        }
        Record::Remove { generation, guid } => {
            number(out, (*generation).into());
            write_guid(out, guid)?;
        }
        Record::KeepOnly { generation } => number(out, (*generation).into()),
    }
    Ok(())
}

/// Reads the fields after the tag; all of them, and nothing more.
pub(super) fn read(kind: u8, fields: &[u8]) -> Result<Record, &'static str> {
    let mut input = Input(fields);
    let record = match kind {
        PUT => {
            let (generation, guid) = (input.u32()?, input.guid()?);
            let (seen_rev, form) = (input.number()?, input.u32()?);
            let state = match input.octet()? {
                0 => State::Pending { wire: Wire::Guid },
                HAS_TEMP => State::Pending { wire: Wire::Temp(input.temp()?) },
                BOUND => State::Bound { luid: input.luid()?, wire: Wire::Guid },
                3 => State::Bound { luid: input.luid()?, wire: Wire::Temp(input.temp()?) },
                _ => return Err("unknown state"),
            };
            Record::Put(Entry { guid, state, generation, seen_rev, form })
        }
        REMOVE => Record::Remove { generation: input.u32()?, guid: input.guid()? },
        KEEP_ONLY => Record::KeepOnly { generation: input.u32()? },
        _ => return Err("unknown kind"),
    };
    if input.0.is_empty() { Ok(record) } else { Err("octets left over") }
}

fn write_guid(out: &mut Vec<u8>, guid: &Guid) -> Result<(), IdError> {
    text(out, "GUID", guid.as_str(), Guid::MAX_LEN)
}

fn text(out: &mut Vec<u8>, what: &'static str, text: &str, limit: usize) -> Result<(), IdError> {
    id::check(what, text, limit)?;
    let length = u8::try_from(text.len());
    out.push(length.map_err(|_| IdError::TooLong { what, len: text.len(), limit })?);
    out.extend(text.as_bytes());
    Ok(())
}

/// LEB128: seven bits an octet, lowest first.
fn number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low & 0x7F);
        }
        out.push(low | 0x80);
    }
}

struct Input<'a>(&'a [u8]);

const SHORT: &str = "missing octets";

impl<'a> Input<'a> {
    fn octet(&mut self) -> Result<u8, &'static str> {
        let (&octet, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(octet)
    }

    fn number(&mut self) -> Result<u64, &'static str> {
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

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.number()?.try_into().map_err(|_| "a number past 32 bits")
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        let length = self.octet()?;
        let (text, rest) = self.0.split_at_checked(length.into()).ok_or(SHORT)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| "text that is not UTF-8")
    }

    fn guid(&mut self) -> Result<Guid, &'static str> {
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
            number(&mut out, value);
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

    #[test]
    fn bodies_that_are_none() {
        let table: [(u8, &[u8], &str); 9] = [
            (4, &[1], "unknown kind"),
            (0, &[1], "unknown kind"),
            (KEEP_ONLY, &[1, 0], "octets left over"),
            (KEEP_ONLY, &[], SHORT),
            (REMOVE, b"\x01\x02a", SHORT),
            (REMOVE, b"\x01\x00", "an invalid GUID"),
            (REMOVE, b"\x01\x01\xFF", "text that is not UTF-8"),
            (PUT, b"\x01\x01a\x05\x00\x04", "unknown state"),
            (PUT, b"\x01\x01a\x05\x00\x01\x01\x0A", "an invalid LUID"),
        ];
        for (kind, fields, error) in table {
            assert_eq!(read(kind, fields), Err(error));
        }
    }
}
