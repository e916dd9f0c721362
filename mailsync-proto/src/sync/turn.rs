//! The shape of a turn: a pure function that is run again when it misses rows.

use super::store::{Found, Read, Reads, SessionWrite, Value, Write};
use bytes::Bytes;
use std::collections::HashSet;

/// The moment of a turn: fresh for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970-01-01 UTC.
    pub now: u64,
    /// Unpredictable octets for tokens, nonces and ids.
    pub entropy: [u8; 32],
}

/// What a run of an engine came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<E> {
    /// Rows are missing: read them, add them to what was found, run again.
    Need(Reads),
    /// Done: commit, then send.
    Done(Box<Turn<E>>),
    /// The last message came again: send the stored answer again, commit nothing.
    Again(Bytes),
}

/// The outcome of a turn. Nothing of it holds before it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn<E> {
    /// The session's new value; none when there is nothing to keep (a stranger costs no write).
    pub session: Option<SessionWrite>,
    /// The message that leaves when the commit is done.
    pub message: Bytes,
    /// The effects.
    pub writes: Vec<Write>,
    /// What happened, for logs, progress and notices.
    pub events: Vec<E>,
}

/// Rows that a turn needs are not there; they have been noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

/// Gives an engine what was found and notes what it missed, so that one run gathers many misses.
#[derive(Debug)]
pub struct Reader<'a> {
    found: &'a Found,
    missed: HashSet<Read>,
    order: Reads,
}

impl<'a> Reader<'a> {
    /// A reader over what was found so far.
    pub fn new(found: &'a Found) -> Self {
        Reader { found, missed: HashSet::new(), order: Vec::new() }
    }

    /// A row, or [`Missing`].
    pub fn read(&mut self, read: Read) -> Result<&'a Value, Missing> {
        match self.found.get(&read) {
            Some(value) => Ok(value),
            None => {
                if self.missed.insert(read.clone()) {
                    self.order.push(read);
                }
                Err(Missing)
            }
        }
    }

    /// What was missed so far, in order.
    pub fn missed(self) -> Reads {
        self.order
    }

    /// Whether anything was missed.
    pub fn has_missed(&self) -> bool {
        !self.missed.is_empty()
    }
}
