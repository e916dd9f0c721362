//! Records in an append-only file, for hosts without a database. Octets in, octets out.
//!
//! # Shape
//! ```text
//! file   = header *batch                       batch = what one operation or message changed
//! header = "IDMAP" 0A, version u16             version 1; all numbers little-endian
//! batch  = 1*frame                             the first frame opens it, the last closes it
//! frame  = length u16, CRC-32 u32, body        length of the body; the sum is over length and body
//! body   = tag, generation, ...                tag: 1 Put, 2 Remove, 3 KeepOnly; +40h opens, +80h closes
//! Put    = guid seen_rev form state [luid] [temporary id]    state: 1 bound, 2 has a temporary id
//! Remove = guid
//! ids    = length u8, UTF-8                    other numbers: LEB128
//! ```
//! # Use
//! 1. Start a file with [`header`], sync it.
//! 2. [`append`] a batch, write it at the end, sync, then acknowledge. Never write the next batch before
//!    the sync: a tear is told from damage by that.
//! 3. After a crash [`replay`]; cut the file to [`Replay::good_len`] (0: write a header again).
//! 4. When the file has grown to several times the length of [`compact`], write that to another file,
//!    sync it, rename it over the first, sync the folder.
//!
//! ```
//! use idmap::{Guid, Luid, View, adopt, journal};
//!
//! let mut file = journal::header().to_vec();
//! let records = adopt(&View::default(), 1, &Luid::try_from("7")?, &Guid::try_from("inbox/4711")?, 1, 0)?;
//! journal::append(&mut file, &records)?;
//!
//! let whole = file.len();
//! file.extend(b"a torn write");
//! let replay = journal::replay(&file)?;
//! assert_eq!((replay.good_len, replay.lost), (whole, 12));
//! assert_eq!(replay.view.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod body;
mod crc;
mod frame;

use crate::{IdError, Record, View};
use frame::Frame;
use std::borrow::Borrow;

/// The format that [`append`] writes.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 6] = *b"IDMAP\n";
const HEADER_LEN: usize = 8;

/// Why a journal cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file is something else.
    #[error("not an idmap journal")]
    NotAJournal,
    /// The file was written by a later release; nothing was read.
    #[error("idmap journal of version {found}, this release reads up to {known}")]
    Newer {
        /// The version in the file.
        found: u16,
        /// The latest that we read.
        known: u16,
    },
    /// Octets in the middle are not as they were written: a batch that opens later is whole.
    #[error("idmap journal damaged at octet {offset}")]
    Damaged {
        /// Where the first bad frame starts.
        offset: usize,
    },
    /// The checksum is right, yet the content is none of this format.
    #[error("idmap journal: {what} in the record at octet {offset}")]
    Malformed {
        /// Where the frame starts.
        offset: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What a file says, and where it ends.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The entries after the last whole batch.
    pub view: View,
    /// The octets up to there: cut the file to this length before appending. 0: it has no header.
    pub good_len: usize,
    /// The octets after it: a batch of which the end was never written.
    pub lost: usize,
}

/// The first octets of a file.
#[must_use]
pub fn header() -> [u8; 8] {
    let [m0, m1, m2, m3, m4, m5] = MAGIC;
    let [v0, v1] = VERSION.to_le_bytes();
    [m0, m1, m2, m3, m4, m5, v0, v1]
}

/// Adds one batch: after a crash all of it is there, or nothing.
/// # Errors
/// [`IdError`] if an id was made by `unvalidated` and is not valid; nothing was added.
pub fn append<I>(out: &mut Vec<u8>, records: I) -> Result<(), IdError>
where
    I: IntoIterator<Item: Borrow<Record>>,
{
    let start = out.len();
    let mut rest = records.into_iter().peekable();
    let mut tag = frame::OPENS;
    while let Some(record) = rest.next() {
        if rest.peek().is_none() {
            tag |= frame::CLOSES;
        }
        if let Err(error) = frame::write(out, tag, record.borrow()) {
            out.truncate(start);
            return Err(error);
        }
        tag = 0;
    }
    Ok(())
}

/// A new file with these entries and no history.
///
/// Each entry is a batch, so that damage anywhere but at the end is noticed later; that the file is whole
/// is for the host to see to, by a sync before the rename.
/// # Errors
/// As [`append`].
pub fn compact(view: &View) -> Result<Vec<u8>, IdError> {
    let mut file = header().to_vec();
    for entry in view.iter() {
        append(&mut file, [Record::Put(entry.clone())])?;
    }
    Ok(file)
}

/// Reads a whole file.
/// # Errors
/// [`JournalError`]; a torn tail is none.
pub fn replay(file: &[u8]) -> Result<Replay, JournalError> {
    let mut records = records(file)?;
    let mut view = View::default();
    for record in &mut records {
        view.apply(&record?);
    }
    let good_len = records.good_len();
    Ok(Replay { view, good_len, lost: file.len().saturating_sub(good_len) })
}

/// Reads record by record.
/// # Errors
/// [`JournalError::NotAJournal`], [`JournalError::Newer`].
pub fn records(file: &[u8]) -> Result<Records<'_>, JournalError> {
    let start = match file.split_first_chunk::<HEADER_LEN>() {
        // Torn before it had a header, so nothing was ever acknowledged from it.
        None if header().starts_with(file) => 0,
        Some((&[m0, m1, m2, m3, m4, m5, v0, v1], _)) if [m0, m1, m2, m3, m4, m5] == MAGIC => {
            match u16::from_le_bytes([v0, v1]) {
                0 => return Err(JournalError::NotAJournal),
                VERSION => HEADER_LEN,
                found => return Err(JournalError::Newer { found, known: VERSION }),
            }
        }
        _ => return Err(JournalError::NotAJournal),
    };
    let end = if start == 0 { 0 } else { file.len() };
    Ok(Records { file: file.get(..end).unwrap_or_default(), next: start, whole: start, failed: false })
}

/// The records of the whole batches of a file, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    file: &'a [u8],
    next: usize,
    whole: usize,
    failed: bool,
}

impl Records<'_> {
    /// The octets up to the end of the last whole batch met so far.
    #[must_use]
    pub fn good_len(&self) -> usize {
        self.whole
    }

    /// Moves `whole` to the end of the next batch; false if there is no whole one.
    fn find_batch(&mut self) -> Result<bool, JournalError> {
        let mut at = self.whole;
        let mut first = true;
        while let Some(frame) = Frame::at(self.file, at).filter(|frame| frame.opens() == first) {
            at = frame.end;
            if frame.closes() {
                self.whole = at;
                return Ok(true);
            }
            first = false;
        }
        // Batches are opened only when the one before is safe on disk, so one that opens after the
        // trouble means that acknowledged octets are lost.
        match (at..self.file.len()).any(|later| Frame::opens_at(self.file, later)) {
            true => Err(JournalError::Damaged { offset: at }),
            false => Ok(false),
        }
    }

    fn read(&mut self) -> Result<Option<Record>, JournalError> {
        if self.next == self.whole && !self.find_batch()? {
            return Ok(None);
        }
        let offset = self.next;
        let frame = Frame::at(self.file, offset).ok_or(JournalError::Damaged { offset })?;
        self.next = frame.end;
        match body::read(frame.kind(), frame.fields) {
            Ok(record) => Ok(Some(record)),
            Err(what) => Err(JournalError::Malformed { offset, what }),
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.read().transpose();
        self.failed = !matches!(read, Some(Ok(_)));
        read
    }
}
