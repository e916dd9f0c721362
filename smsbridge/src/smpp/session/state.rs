//! The session's state, its timers and its end.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::config::{BindMode, Config, Credentials};
use super::event::{Event, InDoubt, Output, Reason, Token};
use crate::smpp::{Body, CommandId, CommandStatus, Framer, InterfaceVersion, Pdu, SequenceNumber};
use bytes::BytesMut;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One link, ESME or SMSC side.
///
/// # Shape
/// One mutation, then [`poll_output`](Session::poll_output) until `None`, then
/// [`poll_timeout`](Session::poll_timeout). Same inputs, same outputs.
/// # Spec
/// SMPP v3.4 §2, v5.0 §2
pub struct Session {
    pub(super) config: Config,
    pub(super) role: Role,
    pub(super) state: State,
    pub(super) framer: Framer,
    pub(super) version: Option<InterfaceVersion>,
    wire: BytesMut,
    outputs: VecDeque<Output>,
    pub(super) sequence: SequenceNumber,
    /// Our requests without an answer.
    pub(super) pending: BTreeMap<SequenceNumber, InDoubt>,
    /// The same in order of their deadlines.
    pub(super) deadlines: VecDeque<(Duration, SequenceNumber)>,
    /// The peer's requests without an answer.
    pub(super) owed: BTreeMap<SequenceNumber, CommandId>,
    started: Duration,
    pub(super) heard: Duration,
    /// Last message in either direction.
    pub(super) active: Duration,
    /// Our `enquire_link` without an answer, and its deadline.
    pub(super) enquiry: Option<(SequenceNumber, Duration)>,
    pub(super) misses: usize,
    pub(super) pace: Pace,
}

/// Which side we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Esme(Credentials),
    Smsc,
}

/// Where the session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Link up, nothing bound; an ESME waits for an `outbind` or the host.
    Open,
    /// ESME: the bind is sent.
    Binding(SequenceNumber),
    /// SMSC: the host decides.
    Deciding(BindMode, SequenceNumber, InterfaceVersion),
    Bound(BindMode),
    /// We unbind: first our requests drain, then `unbind` (its number) goes out.
    Unbinding {
        mode: BindMode,
        since: Duration,
        sent: Option<SequenceNumber>,
    },
    /// The peer unbinds: what is owed drains, then it gets its answer.
    PeerUnbinding {
        since: Duration,
        sequence: SequenceNumber,
    },
    Closed,
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            State::Open => "open",
            State::Binding(_) => "binding",
            State::Deciding(..) => "waiting for a decision on a bind",
            State::Bound(_) => "bound",
            State::Unbinding { .. } => "unbinding",
            State::PeerUnbinding { .. } => "being unbound",
            State::Closed => "closed",
        }
    }
}

/// How fast we may send.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Time from which the bucket counts: a full bucket lies `burst` parts in the past.
    pub(super) ready_at: Duration,
    /// Nothing before this, because the peer said so.
    pub(super) pause_until: Duration,
    pub(super) pause: Duration,
}

impl Session {
    /// The ESME side of a link; it binds at once.
    pub fn esme(config: Config, credentials: Credentials, now: Duration) -> Self {
        let mut session = Session::esme_listening(config, credentials, now);
        session.send_bind();
        session
    }

    /// The ESME side of a link that a centre opened: waits for [`Event::Outbind`].
    pub fn esme_listening(config: Config, credentials: Credentials, now: Duration) -> Self {
        Session::new(config, Role::Esme(credentials), now)
    }

    /// The SMSC side of a link; it waits for a bind.
    pub fn smsc(config: Config, now: Duration) -> Self {
        Session::new(config, Role::Smsc, now)
    }

    fn new(config: Config, role: Role, now: Duration) -> Self {
        let framer = Framer::new(config.limits.clone());
        let pause = config.timers.throttle;
        Session {
            config,
            role,
            state: State::Open,
            framer,
            version: None,
            wire: BytesMut::new(),
            outputs: VecDeque::new(),
            sequence: SequenceNumber(0),
            pending: BTreeMap::new(),
            deadlines: VecDeque::new(),
            owed: BTreeMap::new(),
            started: now,
            heard: now,
            active: now,
            enquiry: None,
            misses: 0,
            pace: Pace { ready_at: Duration::ZERO, pause_until: Duration::ZERO, pause },
        }
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs
            .pop_front()
            .or_else(|| (!self.wire.is_empty()).then(|| Output::Transmit(self.wire.split().freeze())))
    }

    /// When to call [`handle_timeout`](Session::handle_timeout); `None` when closed.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let timers = &self.config.timers;
        let first = match &self.state {
            State::Closed => return None,
            State::Open | State::Binding(_) | State::Deciding(..) => {
                return Some(self.started.saturating_add(timers.bind));
            }
            State::Unbinding { since, .. } | State::PeerUnbinding { since, .. } => {
                Some(since.saturating_add(timers.unbind))
            }
            State::Bound(_) => timers.inactivity.map(|time| self.active.saturating_add(time)),
        };
        let enquiry = match self.enquiry {
            Some((_, deadline)) => deadline,
            None => self.heard.saturating_add(timers.enquire_link),
        };
        let response = self.deadlines.front().map(|(deadline, _)| *deadline);
        [first, Some(enquiry), response].into_iter().flatten().min()
    }

    /// Call it when [`poll_timeout`](Session::poll_timeout) says so; earlier is harmless.
    pub fn handle_timeout(&mut self, now: Duration) {
        let timers = self.config.timers.clone();
        self.expire_requests(now);
        match self.state {
            State::Closed => {}
            State::Open | State::Binding(_) | State::Deciding(..) => {
                if now >= self.started.saturating_add(timers.bind) {
                    self.close(Reason::BindTimeout);
                }
                return;
            }
            State::Unbinding { since, .. } => {
                if now >= since.saturating_add(timers.unbind) {
                    return self.close(Reason::UnbindTimeout);
                }
            }
            State::PeerUnbinding { since, sequence } => {
                if now >= since.saturating_add(timers.unbind) {
                    self.transmit(&Pdu::new(sequence, &Body::UnbindResp));
                    return self.close(Reason::Unbound);
                }
            }
            State::Bound(mode) => {
                if timers.inactivity.is_some_and(|time| now >= self.active.saturating_add(time)) {
                    self.start_unbind(now, mode);
                }
            }
        }
        match self.enquiry {
            // threats P2
            Some((_, deadline)) if now >= deadline => self.close(Reason::Silent),
            None if !self.is_closed() && now >= self.heard.saturating_add(timers.enquire_link) => {
                let sequence = self.send(&Body::EnquireLink);
                self.enquiry = Some((sequence, now.saturating_add(timers.response)));
            }
            _ => {}
        }
    }

    /// The peer closed the link.
    pub fn handle_eof(&mut self, _now: Duration) {
        self.close(Reason::LinkClosed);
    }

    /// True once the link is to be closed.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// What the bind is for, while it stands.
    pub fn bound(&self) -> Option<BindMode> {
        match self.state {
            State::Bound(mode) => Some(mode),
            _ => None,
        }
    }

    /// What the peer speaks, if it said so.
    pub fn peer_version(&self) -> Option<InterfaceVersion> {
        self.version
    }

    /// Our requests without an answer.
    pub fn outstanding(&self) -> usize {
        self.pending.len()
    }

    fn expire_requests(&mut self, now: Duration) {
        while let Some(&(deadline, sequence)) = self.deadlines.front() {
            if now < deadline {
                return;
            }
            self.deadlines.pop_front();
            let Some(request) = self.pending.remove(&sequence) else { continue };
            self.event(Event::NoResponse(request));
            self.misses = self.misses.saturating_add(1);
            if self.misses >= self.config.window.max(1) {
                return self.close(Reason::WindowStuck);
            }
            self.drain();
        }
    }

    pub(super) fn send_bind(&mut self) {
        let Role::Esme(credentials) = &self.role else { return };
        let bind = credentials.bind(self.config.interface_version);
        let body = match credentials.mode {
            BindMode::Transmitter => Body::BindTransmitter(bind),
            BindMode::Receiver => Body::BindReceiver(bind),
            BindMode::Transceiver => Body::BindTransceiver(bind),
        };
        let sequence = self.send(&body);
        self.state = State::Binding(sequence);
    }

    pub(super) fn start_unbind(&mut self, now: Duration, mode: BindMode) {
        self.state = State::Unbinding { mode, since: now, sent: None };
        self.drain();
    }

    /// Goes on with an unbind when nothing is left to wait for.
    pub(super) fn drain(&mut self) {
        match self.state {
            State::Unbinding { mode, since, sent: None } if self.pending.is_empty() => {
                let sequence = self.send(&Body::Unbind);
                self.state = State::Unbinding { mode, since, sent: Some(sequence) };
            }
            State::PeerUnbinding { sequence, .. } if self.pending.is_empty() && self.owed.is_empty() => {
                self.transmit(&Pdu::new(sequence, &Body::UnbindResp));
                self.close(Reason::Unbound);
            }
            _ => {}
        }
    }

    pub(super) fn set_bound(&mut self, mode: BindMode, version: Option<InterfaceVersion>) {
        self.version = version;
        // spec: SMPP v5.0 §4.7.26, 255 octets are legal there
        self.config.quirks.sm_length_255 |= version.is_some_and(|version| version >= InterfaceVersion::V5_0);
        self.framer.set_bound(true);
        self.state = State::Bound(mode);
        self.event(Event::Bound { mode, version });
    }

    pub(super) fn next_sequence(&mut self) -> SequenceNumber {
        loop {
            self.sequence = self.sequence.next();
            if !self.pending.contains_key(&self.sequence) {
                return self.sequence;
            }
        }
    }

    /// Sends a request that the session itself keeps track of.
    pub(super) fn send(&mut self, body: &Body) -> SequenceNumber {
        let sequence = self.next_sequence();
        body.encode_into(CommandStatus::ROK, sequence, &mut self.wire);
        sequence
    }

    /// Sends a request of the host.
    pub(super) fn send_request(&mut self, now: Duration, token: Token, mut pdu: Pdu) -> SequenceNumber {
        let sequence = self.next_sequence();
        pdu.sequence_number = sequence;
        self.transmit(&pdu);
        self.pending.insert(sequence, InDoubt { token, pdu });
        self.deadlines.push_back((now.saturating_add(self.config.timers.response), sequence));
        self.active = now;
        sequence
    }

    pub(super) fn transmit(&mut self, pdu: &Pdu) {
        pdu.encode_into(&mut self.wire);
    }

    pub(super) fn event(&mut self, event: Event) {
        if !self.wire.is_empty() {
            self.outputs.push_back(Output::Transmit(self.wire.split().freeze()));
        }
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn close(&mut self, reason: Reason) {
        if self.is_closed() {
            return;
        }
        self.state = State::Closed;
        self.deadlines.clear();
        let in_doubt = std::mem::take(&mut self.pending).into_values().collect();
        let unanswered = std::mem::take(&mut self.owed).into_keys().collect();
        self.event(Event::Closed { reason, in_doubt, unanswered });
        self.outputs.push_back(Output::Close);
    }
}
