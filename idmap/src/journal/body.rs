//! A record as octets.

use crate::octets::{Input, MAX_ENTRY, write_entry, write_guid, write_number};
use crate::{IdError, Record};

/// Tag, generation and an entry at their longest.
pub(super) const MAX_LEN: usize = 1 + 5 + MAX_ENTRY;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const KEEP_ONLY: u8 = 3;

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
            write_number(out, entry.generation.into());
            write_entry(out, entry)
        }
        Record::Remove { generation, guid } => {
            write_number(out, (*generation).into());
            write_guid(out, guid)
        }
        Record::KeepOnly { generation } => {
            write_number(out, (*generation).into());
            Ok(())
        }
    }
}

/// Reads the fields after the tag; all of them, and nothing more.
pub(super) fn read(kind: u8, fields: &[u8]) -> Result<Record, &'static str> {
    let mut input = Input(fields);
    if !(PUT..=KEEP_ONLY).contains(&kind) {
        return Err("unknown kind");
    }
    let generation = input.u32()?;
    let record = match kind {
        PUT => Record::Put(input.entry(generation)?),
        REMOVE => Record::Remove { generation, guid: input.guid()? },
        _ => Record::KeepOnly { generation },
    };
    if input.0.is_empty() { Ok(record) } else { Err("octets left over") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::SHORT;

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

    proptest::proptest! {
        /// What is read can be written, and reads the same.
        #[test]
        fn what_is_read_can_be_written(
            kind in 1..4_u8,
            start in proptest::sample::select(vec![&b"\x01\x02ab\x05\x00\x03\x011\x04000a"[..], b"\x01\x02ab", b""]),
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..6),
            flip in proptest::option::of((0..16_usize, proptest::prelude::any::<u8>())),
        ) {
            let mut fields = [start, &rest].concat();
            if let Some((at, octet)) = flip && let Some(old) = fields.get_mut(at) {
                *old = octet;
            }
            for end in 0..=fields.len() {
                let Some(Ok(record)) = fields.get(..end).map(|fields| read(kind, fields)) else { continue };
                let mut out = Vec::new();
                write(&mut out, &record).unwrap();
                proptest::prop_assert_eq!(read(super::kind(&record), &out), Ok(record));
                proptest::prop_assert!(out.len() < MAX_LEN);
            }
        }
    }
}
