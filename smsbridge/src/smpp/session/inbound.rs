//! What the peer sends.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::config::BindMode;
use super::event::{Event, Reason};
use super::state::{Role, Session, State};
use crate::smpp::pdu::BindResp;
use crate::smpp::{Body, CommandId, CommandStatus, InterfaceVersion, Pdu, Tag};
use std::time::Duration;

impl Session {
    /// Takes octets of the peer. Never fails: whatever they are, there is an answer or an event.
    pub fn handle_input(&mut self, now: Duration, input: &[u8]) {
        self.framer.push(input);
        while !self.is_closed() {
            match self.framer.next_pdu() {
                Ok(Some(pdu)) => {
                    self.heard = now;
                    self.pdu(now, pdu);
                }
                Ok(None) => return,
                Err(error) => {
                    // threats P1: the next boundary is unknown, so this is the end
                    let sequence = error.sequence_number.unwrap_or_default();
                    let nack = Pdu::refusal(CommandId::GENERIC_NACK, CommandStatus::RINVCMDLEN, sequence);
                    self.transmit(&nack);
                    return self.close(Reason::Framing(error));
                }
            }
        }
    }

    fn pdu(&mut self, now: Duration, pdu: Pdu) {
        if pdu.command_id.is_response() {
            return self.response(now, pdu);
        }
        let body = match pdu.decode(&self.config.quirks) {
            Ok(body) => body,
            Err(error) => {
                self.refuse(&pdu, error.status);
                return self.event(Event::Rejected(error));
            }
        };
        match body {
            Body::EnquireLink => self.transmit(&Pdu::new(pdu.sequence_number, &Body::EnquireLinkResp)),
            Body::BindReceiver(bind) => self.bind_requested(BindMode::Receiver, bind, &pdu),
            Body::BindTransmitter(bind) => self.bind_requested(BindMode::Transmitter, bind, &pdu),
            Body::BindTransceiver(bind) => self.bind_requested(BindMode::Transceiver, bind, &pdu),
            Body::Outbind(outbind) if self.state == State::Open && self.is_esme() => {
                self.event(Event::Outbind(Box::new(outbind)));
            }
            Body::Unbind => self.unbind_requested(now, &pdu),
            body if !self.may_receive(pdu.command_id) => {
                drop(body);
                self.refuse(&pdu, CommandStatus::RINVBNDSTS);
            }
            body if !pdu.command_id.expects_response() => {
                self.event(Event::Notification { pdu, body: Box::new(body) });
            }
            body => self.requested(now, pdu, body),
        }
    }

    fn requested(&mut self, now: Duration, pdu: Pdu, body: Body) {
        if self.owed.contains_key(&pdu.sequence_number) {
            // the same number twice: an answer could not say to which
            return self.refuse(&pdu, CommandStatus::RSYSERR);
        }
        if self.owed.len() >= self.config.peer_window {
            // refused, not left unread: the answers to our own requests come on the same stream
            let status = if self.is_esme() { CommandStatus::RX_T_APPN } else { CommandStatus::RTHROTTLED };
            return self.refuse(&pdu, status);
        }
        self.active = now;
        self.owed.insert(pdu.sequence_number, pdu.command_id);
        self.event(Event::Request { pdu, body: Box::new(body) });
    }

    fn bind_requested(&mut self, mode: BindMode, bind: crate::smpp::pdu::Bind, pdu: &Pdu) {
        match self.state {
            State::Open if !self.is_esme() => {
                self.state = State::Deciding(mode, pdu.sequence_number, bind.interface_version);
                self.event(Event::BindRequested { mode, bind: Box::new(bind) });
            }
            State::Bound(_) | State::Deciding(..) if !self.is_esme() => {
                self.refuse(pdu, CommandStatus::RALYBND);
            }
            _ => self.refuse(pdu, CommandStatus::RINVBNDSTS),
        }
    }

    fn unbind_requested(&mut self, now: Duration, pdu: &Pdu) {
        match self.state {
            State::Bound(_) => {
                self.state = State::PeerUnbinding { since: now, sequence: pdu.sequence_number };
                self.event(Event::Unbinding);
                self.drain();
            }
            // both at once: answer, and wait for ours
            State::Unbinding { .. } => self.transmit(&Pdu::new(pdu.sequence_number, &Body::UnbindResp)),
            State::PeerUnbinding { .. } => {}
            _ => self.refuse(pdu, CommandStatus::RINVBNDSTS),
        }
    }

    fn response(&mut self, now: Duration, pdu: Pdu) {
        let sequence = pdu.sequence_number;
        match self.state {
            State::Binding(expected) if expected == sequence => return self.bind_answered(&pdu),
            State::Unbinding { sent: Some(expected), .. } if expected == sequence => {
                return self.close(Reason::Unbound);
            }
            _ => {}
        }
        if self.enquiry.is_some_and(|(expected, _)| expected == sequence) {
            self.enquiry = None;
            return;
        }
        // late, unknown, or of another command: nothing to do with it
        let fits = self.pending.get(&sequence).is_some_and(|request| {
            // not `response()`: a vendor's command has its answer too
            pdu.command_id == CommandId::GENERIC_NACK
                || pdu.command_id.0 == request.pdu.command_id.0 | CommandId::GENERIC_NACK.0
        });
        let Some(request) = fits.then(|| self.pending.remove(&sequence)).flatten() else { return };
        self.deadlines.retain(|(_, waiting)| *waiting != sequence);
        self.misses = 0;
        self.active = now;
        let body = match pdu.command_id {
            CommandId::GENERIC_NACK => None,
            _ => pdu.decode(&self.config.quirks).ok().map(Box::new),
        };
        let status = pdu.command_status;
        self.event(Event::Response { token: request.token, pdu, body });
        self.pace_by(now, status);
        self.drain();
    }

    /// Slows down when told to, and forgets it at the first success.
    fn pace_by(&mut self, now: Duration, status: CommandStatus) {
        let first = self.config.timers.throttle;
        if status.is_throttling() {
            // answers to what was sent before the pause say nothing new
            if now >= self.pace.pause_until {
                let until = now.saturating_add(self.pace.pause);
                self.pace.pause_until = until;
                self.pace.pause = self.pace.pause.saturating_mul(2).min(first.saturating_mul(64));
                self.event(Event::Throttled { until });
            }
        } else if status.is_ok() && now >= self.pace.pause_until {
            self.pace.pause = first;
        }
    }

    fn bind_answered(&mut self, pdu: &Pdu) {
        if !pdu.command_status.is_ok() || pdu.command_id == CommandId::GENERIC_NACK {
            return self.close(Reason::BindRefused(pdu.command_status));
        }
        let Role::Esme(credentials) = &self.role else { return };
        let mode = credentials.mode;
        let tlvs = match pdu.decode(&self.config.quirks) {
            Ok(
                Body::BindReceiverResp(BindResp { tlvs, .. })
                | Body::BindTransmitterResp(BindResp { tlvs, .. })
                | Body::BindTransceiverResp(BindResp { tlvs, .. }),
            ) => tlvs,
            // the bind stands, whatever its answer says else
            _ => crate::smpp::Tlvs::default(),
        };
        let version = tlvs.octet(Tag::SC_INTERFACE_VERSION).map(InterfaceVersion);
        self.set_bound(mode, version);
    }

    /// Whether the peer may ask for this now.
    fn may_receive(&self, command_id: CommandId) -> bool {
        let mode = match self.state {
            // also what was under way when we began to unbind
            State::Bound(mode) | State::Unbinding { mode, .. } => mode,
            _ => return false,
        };
        if self.is_esme() { from_smsc(command_id, mode) } else { from_esme(command_id, mode) }
    }

    pub(super) fn is_esme(&self) -> bool {
        matches!(self.role, Role::Esme(_))
    }

    /// Refuses a request in its own response, or by `generic_nack`. What has no response gets none.
    fn refuse(&mut self, pdu: &Pdu, status: CommandStatus) {
        if matches!(pdu.command_id, CommandId::OUTBIND | CommandId::ALERT_NOTIFICATION) {
            return;
        }
        self.transmit(&Pdu::refusal(pdu.command_id.response(), status, pdu.sequence_number));
    }
}

/// What an ESME may send. spec: SMPP v3.4 §2.3, v5.0 §2.4
pub(super) fn from_esme(command_id: CommandId, mode: BindMode) -> bool {
    match command_id {
        CommandId::DELIVER_SM | CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => false,
        CommandId::BIND_RECEIVER | CommandId::BIND_TRANSMITTER | CommandId::BIND_TRANSCEIVER => false,
        CommandId::UNBIND | CommandId::ENQUIRE_LINK => false,
        known => !known.is_response() && mode.transmits(),
    }
}

/// What a centre may send.
pub(super) fn from_smsc(command_id: CommandId, mode: BindMode) -> bool {
    match command_id {
        CommandId::DELIVER_SM | CommandId::DATA_SM | CommandId::ALERT_NOTIFICATION => mode.receives(),
        known => known.name().is_none() && !known.is_response(),
    }
}
