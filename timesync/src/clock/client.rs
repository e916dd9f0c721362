//! The terminal's side.

use alloc::vec::Vec;

use crate::clock::deviation::{Compensation, CompensationRefusal, Due, Timescale};
use crate::clock::message::{ClockSync, LocalStamp, Probe, Report, SyncAnswer};
use crate::instant::Interval;

/// What to do with a request to set the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SyncPolicy {
    /// Ask the user.
    Ask,
    /// Set it; but ask when it is off by more than this many nanoseconds.
    AcceptUpTo(u64),
    /// Keep the clock as it is.
    Refuse,
}

/// What the terminal's host must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientOutput {
    /// Ask the user, then call [`ClientSide::decide`].
    AskUser(ClockSync),
    /// Move the system clock by this many nanoseconds, then send the answer that follows.
    SetClock {
        /// To add to the clock.
        by: i64,
    },
    /// Send this to the server.
    Send(SyncAnswer),
}

/// What a terminal knows of its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClientSide {
    policy: SyncPolicy,
    custom: bool,
    deviation: Option<Interval>,
    open: Option<ClockSync>,
}

impl ClientSide {
    /// A terminal that has heard nothing yet.
    #[must_use]
    pub const fn new(policy: SyncPolicy) -> Self {
        ClientSide { policy, custom: false, deviation: None, open: None }
    }

    /// Answers a probe: the clock when it came, and when the report leaves.
    #[must_use]
    pub const fn report(&self, probe: Probe, received: LocalStamp, sent: LocalStamp) -> Report {
        Report { nonce: probe.nonce, received, sent }
    }

    /// Takes a request to set the clock. A repeated request is answered again, and acts again only if the
    /// first answer was not given yet.
    pub fn clock_sync(&mut self, message: ClockSync) -> Vec<ClientOutput> {
        self.open = Some(message);
        let size = message.deviation.mid().unsigned_abs();
        match self.policy {
            SyncPolicy::Refuse => self.decide(false),
            SyncPolicy::AcceptUpTo(limit) if size <= limit => self.decide(true),
            // spec: RFC 5905 §11.2.3: a step over the panic threshold asks a human
            SyncPolicy::AcceptUpTo(_) | SyncPolicy::Ask => [ClientOutput::AskUser(message)].into(),
        }
    }

    /// The user's word on the open request; nothing happens when there is none.
    pub fn decide(&mut self, accept: bool) -> Vec<ClientOutput> {
        let Some(message) = self.open.take() else { return Vec::new() };
        let answer = ClientOutput::Send(SyncAnswer { serial: message.serial, accepted: accept });
        self.custom = !accept;
        if accept {
            self.deviation = None;
            let by = message.deviation.mid().saturating_neg();
            return [ClientOutput::SetClock { by }, answer].into();
        }
        self.deviation = Some(message.deviation);
        [answer].into()
    }

    /// True when the user keeps a time of their own.
    #[must_use]
    pub const fn is_custom(&self) -> bool {
        self.custom
    }

    /// True when a request to set the clock waits for the user's word.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.open.is_some()
    }

    /// The deviation the terminal keeps for itself.
    #[must_use]
    pub const fn deviation(&self) -> Option<Interval> {
        self.deviation
    }

    /// When an alarm must ring, as this terminal's own clock shows it: a moment in true time is compensated
    /// here, one that the server compensated already is left alone. Either way exactly once.
    #[must_use]
    pub fn alarm_at(&self, due: Due) -> Due {
        match due.scale() {
            Timescale::ClientClock => due,
            Timescale::Utc => due.to_client_clock(self.compensation()).unwrap_or(due),
        }
    }

    /// A moment the user set on this terminal's clock, in true time.
    ///
    /// # Errors
    /// [`CompensationRefusal::AlreadyOn`] when it is in true time already.
    pub fn true_time(&self, due: Due) -> Result<Due, CompensationRefusal> {
        due.to_utc(self.compensation())
    }

    fn compensation(&self) -> Compensation {
        self.deviation.map_or(Compensation::exact(0), Compensation::from_interval)
    }
}
