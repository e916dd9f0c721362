//! What a server keeps of a terminal: its clock, its operations, and the session that is open.

use super::tree::Outcome;
use crate::stored::{self, Unread};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use timesync::appoint::{AppointedZone, Appointment};
use timesync::civil::{CivilRefusal, CivilText};
use timesync::clock::{ClockSync, ServerSide};
use timesync::starter::Missed;
use timesync::zones::ZoneName;

/// Operations kept for one terminal, finished ones included.
pub const MAX_OPERATIONS: usize = 64;
/// Octets of what an operation is told.
pub const MAX_DATA: usize = 4 << 10;

/// What a server keeps of one terminal of one user; small, serialisable, without the user's secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub(super) logins: u64,
    pub(super) session: Option<Session>,
    /// The terminal's clock.
    pub clock: ServerSide,
    operations: Vec<Operation>,
    next_id: u64,
}

/// The open session of a terminal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) token: Box<str>,
    pub(super) id: Box<str>,
    pub(super) peer_msg: u32,
    pub(super) our_msg: u32,
    pub(super) limit: u32,
    pub(super) digest: [u8; 16],
    pub(super) answer: Vec<u8>,
    /// Our commands of the last message that await their status.
    pub(super) sent: Vec<(u32, Sent)>,
    pub(super) probed: bool,
    pub(super) tell: bool,
    pub(super) set: Option<ClockSync>,
    /// Operations that were offered in this session.
    pub(super) offered: Vec<u64>,
    /// Messages so far.
    pub(super) messages: u32,
}

/// What a command of ours was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Sent {
    Probe,
    Set(u64),
    Exec(u64),
    Delete(u64),
    Other,
}

/// An operation to be started on a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its number: of the terminal, never used again.
    pub id: u64,
    /// The appointed local time, as text.
    pub at: Box<str>,
    /// Whose local time.
    pub zone: OperationZone,
    /// What if it was missed.
    pub missed: Missed,
    /// What the terminal's hook is told.
    pub data: Box<str>,
    /// Where it stands.
    pub state: OperationState,
}

/// Whose local time an operation is appointed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationZone {
    /// The server's, by its name.
    Server,
    /// The server's, unnamed: the terminal measures the difference.
    Unnamed,
    /// Another zone.
    Named(ZoneName),
    /// The terminal's own.
    Floating,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationState {
    /// The terminal has not heard of it, or not answered.
    Waiting,
    /// The terminal will start it.
    Accepted,
    /// The terminal will not, with this status.
    Refused(u16),
    /// It was started, or let go.
    Done(Outcome),
    /// It is to be withdrawn.
    Cancelling,
    /// It was withdrawn.
    Cancelled,
}

impl OperationState {
    fn is_over(self) -> bool {
        matches!(self, OperationState::Refused(_) | OperationState::Done(_) | OperationState::Cancelled)
    }
}

/// A new operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOperation<'a> {
    /// Local time, ISO 8601 without offset and zone.
    pub at: &'a str,
    /// Whose.
    pub zone: OperationZone,
    /// What if it was missed.
    pub missed: Missed,
    /// What the terminal's hook is told.
    pub data: &'a str,
}

/// Why a record was not changed, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordRefusal {
    /// No civil time.
    #[error("{0}")]
    Civil(CivilRefusal),
    /// The time brings a zone of its own.
    #[error("the time has an offset or a zone in it; say the zone apart")]
    ZoneInTime,
    /// Too much is waiting.
    #[error("{MAX_OPERATIONS} operations wait already")]
    Full,
    /// Too much to be told.
    #[error("data of {0} octets, limit {MAX_DATA}")]
    TooLarge(usize),
    /// No such operation, or it is over.
    #[error("no operation {0} that waits")]
    NoSuch(u64),
    /// A newer program wrote it.
    #[error("record format {0} is newer than this software")]
    NewerFormat(u8),
    /// It cannot be read.
    #[error("record is damaged")]
    Damaged,
}

impl From<Unread> for RecordRefusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Newer(format) => RecordRefusal::NewerFormat(format),
            Unread::Damaged => RecordRefusal::Damaged,
        }
    }
}

const FORMAT: u8 = 1;

impl Record {
    /// The value as octets, with a format version.
    ///
    /// # Errors
    /// [`RecordRefusal::Damaged`] never in practice.
    pub fn to_bytes(&self) -> Result<Bytes, RecordRefusal> {
        Ok(stored::to_bytes(FORMAT, self)?)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`RecordRefusal::NewerFormat`], [`RecordRefusal::Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordRefusal> {
        Ok(stored::from_bytes(FORMAT, bytes)?)
    }

    /// Its operations, oldest first.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Appoints an operation; the terminal hears of it in its next session.
    ///
    /// # Errors
    /// [`RecordRefusal`]; nothing changes then.
    pub fn appoint(&mut self, new: &NewOperation<'_>) -> Result<u64, RecordRefusal> {
        let civil = CivilText::parse(new.at).map_err(RecordRefusal::Civil)?;
        if civil.offset.is_some() || civil.zone.is_some() {
            return Err(RecordRefusal::ZoneInTime);
        }
        if new.data.len() > MAX_DATA {
            return Err(RecordRefusal::TooLarge(new.data.len()));
        }
        if self.operations.len() >= MAX_OPERATIONS {
            let over = self.operations.iter().position(|operation| operation.state.is_over());
            self.operations.remove(over.ok_or(RecordRefusal::Full)?);
        }
        self.next_id = self.next_id.saturating_add(1);
        self.operations.push(Operation {
            id: self.next_id,
            at: civil.civil.to_string().into(),
            zone: new.zone.clone(),
            missed: new.missed,
            data: new.data.into(),
            state: OperationState::Waiting,
        });
        Ok(self.next_id)
    }

    /// Withdraws an operation that has not started, as far as we know.
    ///
    /// # Errors
    /// [`RecordRefusal::NoSuch`].
    pub fn cancel(&mut self, id: u64) -> Result<(), RecordRefusal> {
        let operation = self.operation(id).filter(|operation| !operation.state.is_over());
        let operation = operation.ok_or(RecordRefusal::NoSuch(id))?;
        operation.state = OperationState::Cancelling;
        Ok(())
    }

    pub(super) fn operation(&mut self, id: u64) -> Option<&mut Operation> {
        self.operations.iter_mut().find(|operation| operation.id == id)
    }
}

/// The appointment that the nodes of an operation spell.
///
/// `zone`: an IANA name, an offset as `+03:00`, `floating`; none when the server did not name its own.
pub(super) fn appointment(at: &str, zone: Option<&str>) -> Option<Appointment> {
    let civil = CivilText::parse(at.trim()).ok()?;
    if civil.offset.is_some() || civil.zone.is_some() {
        return None;
    }
    let zone = match zone.map(str::trim) {
        None => AppointedZone::Unknown,
        Some("floating") => AppointedZone::Floating,
        Some(offset) if offset.starts_with(['+', '-']) => {
            // An offset is read where it stands in a time.
            AppointedZone::Fixed(CivilText::parse(&format!("2000-01-01T00:00:00{offset}")).ok()?.offset?)
        }
        Some(name) => AppointedZone::Named(ZoneName::new(name).ok()?),
    };
    Some(Appointment::new(civil.civil, zone))
}
