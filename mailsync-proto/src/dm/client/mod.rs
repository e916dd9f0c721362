//! The terminal's side: a value that holds what waits to be started, and a session with the server.

mod answer;
mod session;

pub use session::Session;

use super::tree::Outcome;
use crate::stored::{self, Unread};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use syncml::session::auth::Scheme;
use syncml::{DecodeError, EncodeError, Encoding, Limits, Quirks, StatusCode, decode};
use timesync::appoint::Place;
use timesync::clock::{ClientOutput, ClientSide, ClockSync, LocalStamp, SyncAnswer, SyncPolicy};
use timesync::starter::{Action, HostEvent, OpId, Starter};
use timesync::{Interval, Now, UnixTime};

/// Who the terminal is.
#[derive(Clone)]
pub struct Config {
    /// The server's URL.
    pub server_url: Box<str>,
    /// Our device id.
    pub device: Box<str>,
    /// The user name.
    pub user: Box<str>,
    /// The sync password.
    pub password: Box<str>,
    /// How to log in.
    pub scheme: Scheme,
    /// The spelling.
    pub encoding: Encoding,
    /// Octets of the largest message we take.
    pub max_msg_size: u32,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("server_url", &self.server_url)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// What a terminal keeps: store it before acting on what it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terminal {
    starter: Starter,
    /// What is known of the own clock, and what the user wants of it.
    pub clock: ClientSide,
    /// The deviation the server last told, and when, on the own clock.
    told: Option<(Interval, UnixTime)>,
    /// What operations are told, until they have ended.
    data: BTreeMap<u64, Job>,
    /// Outcomes that the server has not confirmed.
    outcomes: BTreeMap<u64, Outcome>,
    /// An answer that the user gave between sessions.
    answer: Option<SyncAnswer>,
    nonce: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    data: Box<str>,
    started: Option<UnixTime>,
    late: i64,
}

/// What the host must do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Move the terminal's clock, before the message leaves.
    SetClock {
        /// Nanoseconds to add.
        by: i64,
    },
    /// Ask the user about the clock.
    AskUser(ClockSync),
    /// An operation waits.
    Appointed {
        /// Its number.
        id: u64,
        /// When it starts, true time.
        start: UnixTime,
    },
    /// An operation was not taken.
    Refused {
        /// Its number.
        id: u64,
        /// Why.
        why: String,
    },
    /// An operation was withdrawn.
    Withdrawn {
        /// Its number.
        id: u64,
    },
    /// The server told how far our clock is off.
    Deviation(Interval),
}

/// What to run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The operation.
    pub id: u64,
    /// What it is told.
    pub data: Box<str>,
    /// When it was due, true time.
    pub due: UnixTime,
    /// How late, nanoseconds.
    pub late: i64,
    /// It is let go, not run.
    pub skipped: bool,
}

/// The terminal's clock at a moment.
#[derive(Clone, Copy, Debug)]
pub struct ClockFace {
    /// Monotonic, and UTC as the terminal believes it.
    pub now: Now,
    /// Its zone's offset from UTC, seconds, as it believes it.
    pub offset: i32,
}

impl ClockFace {
    fn stamp(self) -> LocalStamp {
        let shown = self.now.wall.plus(i64::from(self.offset).saturating_mul(1_000_000_000));
        LocalStamp::with_zone(shown, self.offset)
    }
}

/// What comes after a message.
#[derive(Debug)]
pub enum Step {
    /// Send this and take the answer.
    Send(Session, Bytes),
    /// The session is over.
    Over,
}

/// Why a session broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The answer is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Our message does not fit.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The server does not let us in.
    #[error("login refused: {0}")]
    Login(StatusCode),
    /// An answer of another session.
    #[error("the answer belongs to another session")]
    OtherSession,
    /// The server sends us elsewhere.
    // spec: threats S2
    #[error("RespURI leads away from the server; refused")]
    ForeignRespUri,
    /// A session that goes on and on.
    #[error("{0} messages in one session")]
    TooLong(u32),
    /// The stored value is of a newer format.
    #[error("terminal state of format {0} is newer than this software")]
    NewerFormat(u8),
    /// The stored value cannot be read.
    #[error("terminal state is damaged")]
    Damaged,
}

impl From<Unread> for SessionError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Newer(format) => SessionError::NewerFormat(format),
            Unread::Damaged => SessionError::Damaged,
        }
    }
}

const FORMAT: u8 = 1;
const MESSAGES: u32 = 200;
/// Operations waiting, and started ones remembered.
const WAITING: usize = 64;
const REMEMBERED: usize = 1024;

impl Terminal {
    /// A terminal that has heard nothing yet.
    pub fn new(policy: SyncPolicy) -> Self {
        Terminal {
            starter: Starter::new(WAITING, REMEMBERED),
            clock: ClientSide::new(policy),
            told: None,
            data: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            answer: None,
            nonce: None,
        }
    }

    /// The value as octets, with a format version.
    ///
    /// # Errors
    /// [`SessionError::Damaged`] never in practice.
    pub fn to_bytes(&self) -> Result<Bytes, SessionError> {
        Ok(stored::to_bytes(FORMAT, self)?)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`SessionError::NewerFormat`], [`SessionError::Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SessionError> {
        Ok(stored::from_bytes(FORMAT, bytes)?)
    }

    /// How far the own clock is off, as the server last measured it: its clock minus true time.
    pub fn deviation(&self) -> Option<Interval> {
        self.told.map(|(deviation, _)| deviation)
    }

    /// The own clock put right by what is known of it.
    pub fn true_now(&self, now: Now) -> Now {
        let deviation = self.deviation().unwrap_or(Interval::point(0));
        Now {
            mono: now.mono,
            wall: now.wall.plus(deviation.mid().saturating_neg()),
            radius: now.radius.saturating_add(deviation.radius()),
        }
    }

    /// What waits, with its start in true time.
    pub fn waiting(&self) -> Vec<(u64, UnixTime)> {
        self.starter.waiting().map(|(id, start)| (id.0, start)).collect()
    }

    /// True when the server must still hear of something.
    pub fn has_news(&self) -> bool {
        !self.outcomes.is_empty() || self.answer.is_some()
    }

    /// When to look again, on the monotonic clock.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        self.starter.poll_timeout(self.true_now(now))
    }

    /// What is to be run now. Store the terminal first, then run, then [`ended`](Self::ended).
    pub fn due(&mut self, now: Now, place: Place<'_>, event: HostEvent) -> Vec<Due> {
        let now = self.true_now(now);
        if event == HostEvent::Rebooted {
            // Begun, and never ended: the terminal went down under it. It is not begun again.
            let cut: Vec<(u64, UnixTime, i64)> =
                self.data.iter().filter_map(|(id, job)| Some((*id, job.started?, job.late))).collect();
            for (id, at, late) in cut {
                self.data.remove(&id);
                self.outcomes.insert(id, Outcome { code: StatusCode::COMMAND_FAILED.0, at, late });
            }
        }
        let mut all = Vec::new();
        for action in self.starter.handle(now, place, event) {
            let (OpId(id), due, late, skipped) = match action {
                Action::Start { id, due, late, .. } => (id, due, late, false),
                Action::Skipped { id, due, late } => (id, due, late, true),
                _ => continue,
            };
            let Some(job) = self.data.get_mut(&id) else { continue };
            job.started = Some(now.wall);
            job.late = late;
            let data = job.data.clone();
            if skipped {
                self.ended(id, StatusCode::NOT_EXECUTED);
            }
            all.push(Due { id, data, due, late, skipped });
        }
        all
    }

    /// An operation that was run has ended, well (200) or not.
    pub fn ended(&mut self, id: u64, code: StatusCode) {
        let Some(job) = self.data.remove(&id) else { return };
        let at = job.started.unwrap_or(UnixTime::EPOCH);
        self.outcomes.insert(id, Outcome { code: code.0, at, late: job.late });
    }

    /// The user's word on the server's request to set the clock; the server hears it in the next session.
    pub fn decide(&mut self, accept: bool) -> Vec<Event> {
        let outputs = self.clock.decide(accept);
        let mut events = Vec::new();
        for output in outputs {
            match output {
                ClientOutput::Send(answer) => self.answer = Some(answer),
                ClientOutput::SetClock { by } => events.push(self.set_clock(by)),
                _ => {}
            }
        }
        events
    }

    fn set_clock(&mut self, by: i64) -> Event {
        // What was known of the old clock is nothing about the new one, but how well it was known.
        if let Some((deviation, _)) = &mut self.told {
            *deviation = deviation.shift(by);
        }
        Event::SetClock { by }
    }

    /// Begins a session; `id` is a label that was not used before.
    ///
    /// # Errors
    /// [`SessionError::Encode`].
    pub fn begin(&self, config: &Config, id: &str) -> Result<(Session, Bytes), SessionError> {
        Session::new(config, id).first(self, config, None)
    }

    /// Takes the server's answer. `came`: the clock when it came; `leaves`: the clock now.
    ///
    /// # Errors
    /// [`SessionError`]; the terminal is as it was.
    pub fn receive(
        &mut self,
        config: &Config,
        session: Session,
        body: &Bytes,
        place: Place<'_>,
        (came, leaves): (ClockFace, ClockFace),
    ) -> Result<(Step, Vec<Event>), SessionError> {
        let message = decode(config.encoding, body, &Limits::default(), &Quirks::default())?;
        let mut next = self.clone();
        let taken = session.take(&mut next, config, &message, place, (came, leaves))?;
        *self = next;
        Ok(taken)
    }
}
