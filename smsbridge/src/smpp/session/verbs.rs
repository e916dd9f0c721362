//! What the host wants.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::config::{BindMode, Config};
use super::event::{Reason, SessionError, Token};
use super::inbound::{from_esme, from_smsc};
use super::state::{Session, State};
use crate::smpp::pdu::{BindResp, Outbind};
use crate::smpp::{Body, CommandId, CommandStatus, InterfaceVersion, Pdu, SequenceNumber, Tag, Tlvs};
use std::time::Duration;

impl Session {
    /// Sends a request; `parts` is how many short messages it costs (0 for what is no message).
    ///
    /// The PDU goes out as it is, but for its sequence number: pass on what came in, or build one by
    /// [`Pdu::new`]. On success the answer comes as [`Event::Response`](super::Event::Response) with `token`.
    ///
    /// # Errors
    /// [`SessionError::WrongState`], [`SessionError::NotAllowed`], [`SessionError::WindowFull`],
    /// [`SessionError::Throttled`].
    pub fn request(
        &mut self,
        now: Duration,
        token: Token,
        pdu: Pdu,
        parts: u32,
    ) -> Result<SequenceNumber, SessionError> {
        let State::Bound(mode) = self.state else { return Err(self.wrong_state("request")) };
        let id = pdu.command_id;
        let allowed = if self.is_esme() { from_esme(id, mode) } else { from_smsc(id, mode) };
        if !allowed || !id.expects_response() {
            return Err(SessionError::NotAllowed(id));
        }
        if self.pending.len() >= self.config.window {
            return Err(SessionError::WindowFull(self.config.window));
        }
        if parts > 0 {
            self.spend(now, parts)?;
        }
        Ok(self.send_request(now, token, pdu))
    }

    /// Takes parts out of the bucket.
    fn spend(&mut self, now: Duration, parts: u32) -> Result<(), SessionError> {
        if now < self.pace.pause_until {
            return Err(SessionError::Throttled { until: self.pace.pause_until });
        }
        let Some(rate) = self.config.rate else { return Ok(()) };
        let part =
            Duration::from_secs(1).checked_div(rate.parts_per_second).unwrap_or(Duration::from_secs(1));
        // a message may always go when the bucket is full, however many parts it has
        let burst = part.saturating_mul(rate.burst.max(1).saturating_sub(1));
        let ready = self.pace.ready_at;
        if ready > now.saturating_add(burst) {
            return Err(SessionError::Throttled { until: ready.saturating_sub(burst) });
        }
        self.pace.ready_at = ready.max(now).saturating_add(part.saturating_mul(parts));
        Ok(())
    }

    /// Answers a request of the peer; `body` only for an answer that has one.
    ///
    /// # Errors
    /// [`SessionError::NotOwed`], [`SessionError::WrongAnswer`].
    pub fn respond(
        &mut self,
        now: Duration,
        sequence_number: SequenceNumber,
        status: CommandStatus,
        body: Option<&Body>,
    ) -> Result<(), SessionError> {
        let request = *self.owed.get(&sequence_number).ok_or(SessionError::NotOwed(sequence_number))?;
        let id = request.response();
        if let Some(body) = body
            && body.command_id() != id
        {
            return Err(SessionError::WrongAnswer { request, answer: body.command_id() });
        }
        self.owed.remove(&sequence_number);
        self.active = now;
        match body {
            Some(body) => self.transmit(&Pdu::with_status(status, sequence_number, body)),
            None => self.transmit(&Pdu::refusal(id, status, sequence_number)),
        }
        self.drain();
        Ok(())
    }

    /// SMSC: keeps to another configuration from now on, which the account that asks to bind has. Limits on PDUs stay.
    pub fn configure(&mut self, config: Config) {
        self.pace.pause = config.timers.throttle;
        self.config = config;
    }

    /// SMSC: the ESME may bind.
    ///
    /// # Errors
    /// [`SessionError::WrongState`] if none asked.
    pub fn accept_bind(&mut self, now: Duration) -> Result<(), SessionError> {
        let State::Deciding(mode, sequence, version) = self.state else {
            return Err(self.wrong_state("accept_bind"));
        };
        let mut tlvs = Tlvs::default();
        // a 3.3 peer knows no TLVs
        if version >= InterfaceVersion::V3_4 {
            let ours = self.config.interface_version.0;
            // one octet always fits
            let _ = tlvs.push(Tag::SC_INTERFACE_VERSION, &[ours]);
        }
        let resp = BindResp { system_id: self.config.system_id.clone(), tlvs };
        let body = match mode {
            BindMode::Receiver => Body::BindReceiverResp(resp),
            BindMode::Transmitter => Body::BindTransmitterResp(resp),
            BindMode::Transceiver => Body::BindTransceiverResp(resp),
        };
        self.transmit(&Pdu::new(sequence, &body));
        self.heard = now;
        self.active = now;
        self.set_bound(mode, Some(version));
        Ok(())
    }

    /// SMSC: it may not. Give one status for a wrong account and a wrong password; the link is closed.
    ///
    /// # Errors
    /// [`SessionError::WrongState`] if none asked.
    pub fn refuse_bind(&mut self, status: CommandStatus) -> Result<(), SessionError> {
        let State::Deciding(mode, sequence, _) = self.state else {
            return Err(self.wrong_state("refuse_bind"));
        };
        self.transmit(&Pdu::refusal(mode.command_id().response(), status, sequence));
        self.close(Reason::BindRefused(status));
        Ok(())
    }

    /// ESME: binds on a link that a centre opened.
    ///
    /// # Errors
    /// [`SessionError::WrongState`] if it is bound already.
    pub fn bind(&mut self) -> Result<(), SessionError> {
        if self.state != State::Open || !self.is_esme() {
            return Err(self.wrong_state("bind"));
        }
        self.send_bind();
        Ok(())
    }

    /// SMSC: asks the ESME to bind, on a link that we opened.
    ///
    /// # Errors
    /// [`SessionError::WrongState`] if it is bound already.
    pub fn outbind(&mut self, outbind: Outbind) -> Result<(), SessionError> {
        if self.state != State::Open || self.is_esme() {
            return Err(self.wrong_state("outbind"));
        }
        self.send(&Body::Outbind(outbind));
        Ok(())
    }

    /// SMSC: tells something that has no response.
    ///
    /// # Errors
    /// [`SessionError::WrongState`], [`SessionError::NotAllowed`].
    pub fn notify(&mut self, body: &Body) -> Result<(), SessionError> {
        let State::Bound(mode) = self.state else { return Err(self.wrong_state("notify")) };
        let id = body.command_id();
        if id != CommandId::ALERT_NOTIFICATION || self.is_esme() || !mode.receives() {
            return Err(SessionError::NotAllowed(id));
        }
        self.send(body);
        Ok(())
    }

    /// Ends the session politely: our requests drain, then `unbind`. Answer what the peer still asks.
    ///
    /// # Errors
    /// [`SessionError::WrongState`] unless bound.
    pub fn unbind(&mut self, now: Duration) -> Result<(), SessionError> {
        let State::Bound(mode) = self.state else { return Err(self.wrong_state("unbind")) };
        self.start_unbind(now, mode);
        Ok(())
    }

    fn wrong_state(&self, verb: &'static str) -> SessionError {
        SessionError::WrongState { verb, state: self.state.name() }
    }
}
