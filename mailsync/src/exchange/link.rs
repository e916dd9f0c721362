//! One SMPP link, either side: what its session says goes to the exchange, what waits in its queue goes out.

use super::Exchange;
use super::config::{Account, link_of_account};
use super::counters::{add, count};
use super::message::submit_of;
use super::outcome::Answer;
use super::sms_in::{Inbound, Verdict};
use crate::store::sms::Claimed;
use crate::turns;
use bytes::Bytes;
use smsbridge::bridge::PeerText;
use smsbridge::smpp::drive::{Clock, Host};
use smsbridge::smpp::pdu::{Bind, MessageResp, SubmitSm};
use smsbridge::smpp::session::{BindMode, Event, Reason, Session, SessionError, Token};
use smsbridge::smpp::{Body, CommandId, CommandStatus, Pdu, SequenceNumber};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How often a queue is looked at, whatever is said of it.
const LOOK: Duration = Duration::from_secs(1);

/// A link's host.
pub(super) struct Link {
    exchange: Arc<Exchange>,
    clock: Clock,
    stop: watch::Receiver<()>,
    stopping: bool,
    side: Side,
    /// Its queue; empty until a client is bound.
    key: String,
    text: PeerText,
    window: usize,
    bell: Arc<Notify>,
    /// Claimed, but not sent yet.
    backlog: VecDeque<Claimed>,
    /// Sent: the message, and whether a receipt is to come.
    sent: HashMap<u64, (i64, bool)>,
    /// There may be more in the queue.
    more: bool,
    look_at: Instant,
    /// Why the link is over.
    pub(super) ended: Option<Reason>,
    /// It was bound at all.
    pub(super) was_bound: bool,
}

/// Which side we are.
pub(super) enum Side {
    /// We are the client of a centre.
    Centre,
    /// We are the centre; who the client is shows when it binds.
    Client(IpAddr, Option<Arc<Account>>),
}

impl Link {
    pub(super) fn new(
        exchange: Arc<Exchange>,
        side: Side,
        key: String,
        peer: &super::config::Peer,
        clock: Clock,
        stop: watch::Receiver<()>,
    ) -> Self {
        let bell = exchange.bell(&key);
        Link {
            clock,
            stop,
            stopping: false,
            side,
            key,
            text: peer.text(),
            window: peer.window,
            bell,
            backlog: VecDeque::new(),
            sent: HashMap::new(),
            more: true,
            look_at: Instant::now() + LOOK,
            ended: None,
            was_bound: false,
            exchange,
        }
    }

    fn is_centre(&self) -> bool {
        matches!(self.side, Side::Centre)
    }

    fn account(&self) -> Option<&Arc<Account>> {
        match &self.side {
            Side::Client(_, account) => account.as_ref(),
            Side::Centre => None,
        }
    }

    /// Whether this bind lets us send.
    fn may_send(&self, mode: BindMode) -> bool {
        if self.is_centre() { mode.transmits() } else { mode.receives() }
    }

    /// Sends what waits, as far as window and rate allow.
    async fn fill(&mut self, session: &mut Session) {
        while session.bound().is_some_and(|mode| self.may_send(mode)) && !self.stopping {
            if !self.send_backlog(session) || !self.more {
                return;
            }
            let free = self.window.saturating_sub(session.outstanding());
            if free == 0 {
                return;
            }
            let (key, now) = (self.key.clone(), turns::unix_now());
            match self.exchange.journal.run(move |tables| tables.claim(&key, now, free)).await {
                Ok(rows) => {
                    self.more = rows.len() == free;
                    if rows.is_empty() {
                        return;
                    }
                    self.backlog.extend(rows);
                }
                Err(_) => return self.more = false,
            }
        }
    }

    /// False if something is left.
    fn send_backlog(&mut self, session: &mut Session) -> bool {
        let command = if self.is_centre() { CommandId::SUBMIT_SM } else { CommandId::DELIVER_SM };
        while let Some(row) = self.backlog.pop_front() {
            let wants = submit_of(&row.body).is_some_and(|submit| submit.registered_delivery.0 & 3 != 0);
            let pdu = Pdu::vendor(command, SequenceNumber(0), Bytes::from(row.body.clone()));
            let token = Token(u64::try_from(row.id).unwrap_or(0));
            match session.request(self.clock.now(), token, pdu, 1) {
                Ok(_) => {
                    if row.doubt > 0 {
                        tracing::warn!(link = %self.key, part = row.id, doubt = row.doubt, "sent again, in doubt");
                    }
                    count(&self.exchange.counters.parts_sent);
                    self.sent.insert(token.0, (row.message, wants));
                }
                Err(error) => {
                    if let SessionError::Throttled { until } = error {
                        self.look_at = Instant::now() + until.saturating_sub(self.clock.now());
                    }
                    self.backlog.push_front(row);
                    return false;
                }
            }
        }
        true
    }

    /// A client asks to bind.
    async fn bind(&mut self, session: &mut Session, mode: BindMode, bind: &Bind) {
        let Side::Client(address, _) = self.side else { return };
        match self.exchange.check_bind(address, bind).await {
            Ok(account) => {
                let exchange = &self.exchange;
                tracing::info!(account = account.system_id, %address, ?mode, "client bound");
                count(&exchange.counters.binds);
                self.key = link_of_account(&account.system_id);
                self.bell = exchange.bell(&self.key);
                self.text = account.peer.text();
                self.window = account.peer.window;
                let system_id = exchange.host.chars().take(15).collect::<String>();
                session.configure(account.peer.session(&system_id));
                self.side = Side::Client(address, Some(account));
                // It asked, so it is not bound yet.
                let _ = session.accept_bind(self.clock.now());
            }
            Err(status) => {
                tracing::warn!(system_id = %bind.system_id, %address, ?status, "bind refused");
                count(&self.exchange.counters.binds_refused);
                let _ = session.refuse_bind(status);
            }
        }
    }

    /// Stores what the peer sent, then answers it.
    async fn requests(&mut self, session: &mut Session, requests: Vec<(Pdu, Body)>) {
        let mut inbound = Vec::new();
        for (pdu, body) in requests {
            let (submit, is_receipt): (SubmitSm, bool) = match body {
                Body::SubmitSm(submit) => (submit, false),
                Body::DeliverSm(deliver) => {
                    let is_receipt = deliver.is_receipt() && self.is_centre();
                    (deliver.into(), is_receipt)
                }
                Body::QuerySm(query) => {
                    self.query(session, &pdu, &query.message_id).await;
                    continue;
                }
                _ => {
                    let status = match pdu.command_id {
                        CommandId::CANCEL_SM => CommandStatus::RCANCELFAIL,
                        CommandId::REPLACE_SM => CommandStatus::RREPLACEFAIL,
                        CommandId::SUBMIT_MULTI | CommandId::DATA_SM => CommandStatus::RSUBMITFAIL,
                        _ => CommandStatus::RINVCMDID,
                    };
                    let _ = session.respond(self.clock.now(), pdu.sequence_number, status, None);
                    continue;
                }
            };
            inbound.push((
                pdu.clone(),
                Inbound {
                    link: self.key.clone(),
                    account: self.account().cloned(),
                    text: self.text,
                    body: pdu.body().clone(),
                    submit,
                    is_receipt,
                },
            ));
        }
        if inbound.is_empty() {
            return;
        }
        let (pdus, inbound): (Vec<Pdu>, Vec<Inbound>) = inbound.into_iter().unzip();
        add(&self.exchange.counters.sms_received, pdus.len());
        let verdicts = if self.account().is_some_and(|account| account.discard) {
            Ok(vec![Verdict::Taken(0); pdus.len()])
        } else {
            let shared = Arc::clone(&self.exchange);
            let work = move |tables: &crate::store::sms::Tables<'_>| {
                inbound.iter().map(|inbound| shared.ingest(tables, inbound)).collect::<Result<Vec<_>, _>>()
            };
            self.exchange.journal.run(work).await
        };
        // What is not stored is not taken: the peer keeps it and tries again.
        let trouble = if self.is_centre() { CommandStatus::RX_T_APPN } else { CommandStatus::RSYSERR };
        let verdicts = verdicts.unwrap_or_else(|_| vec![Verdict::Refused(trouble); pdus.len()]);
        for (pdu, verdict) in pdus.into_iter().zip(verdicts) {
            self.answer(session, &pdu, verdict);
        }
    }

    fn answer(&self, session: &mut Session, pdu: &Pdu, verdict: Verdict) {
        let mut resp = MessageResp::default();
        let (status, body) = match verdict {
            Verdict::Taken(id) if pdu.command_id == CommandId::SUBMIT_SM => {
                // At most 8 hexadecimal digits: version 3.3 takes no more.
                resp.message_id = format!("{id:x}").as_str().try_into().unwrap_or_default();
                (CommandStatus::ROK, Some(Body::SubmitSmResp(resp)))
            }
            Verdict::Taken(_) => (CommandStatus::ROK, Some(Body::DeliverSmResp(resp))),
            Verdict::Refused(status) => {
                count(&self.exchange.counters.sms_refused);
                let permanent = self.is_centre() && !status.is_temporary();
                (if permanent { CommandStatus::RX_R_APPN } else { status }, None)
            }
        };
        // The link may be over: then the peer sends again.
        let _ = session.respond(self.clock.now(), pdu.sequence_number, status, body.as_ref());
    }

    /// `query_sm`: what waits here is under way; what is gone, nobody knows any more.
    async fn query(&self, session: &mut Session, pdu: &Pdu, id: &[u8]) {
        let id = std::str::from_utf8(id).ok().and_then(|id| i64::from_str_radix(id, 16).ok());
        let found = match id {
            Some(id) => self.exchange.journal.run(move |tables| tables.message(id)).await.ok().flatten(),
            None => None,
        };
        let mut resp = smsbridge::smpp::pdu::QuerySmResp::default();
        let (status, body) = match (found, id) {
            (Some(_), Some(id)) => {
                resp.message_id = format!("{id:x}").as_str().try_into().unwrap_or_default();
                resp.message_state = smsbridge::smpp::MessageState::ENROUTE;
                (CommandStatus::ROK, Some(Body::QuerySmResp(resp)))
            }
            _ => (CommandStatus::RQUERYFAIL, None),
        };
        let _ = session.respond(self.clock.now(), pdu.sequence_number, status, body.as_ref());
    }

    async fn answers(&mut self, answers: Vec<Answer>) {
        let (shared, key, centre) = (Arc::clone(&self.exchange), self.key.clone(), self.is_centre());
        let work =
            move |tables: &crate::store::sms::Tables<'_>| shared.answered(tables, &key, centre, &answers);
        // Not stored: at the next start they are in doubt.
        let _ = self.exchange.journal.run(work).await;
    }

    /// The link is over: what was handed over is in doubt, what was not goes back.
    async fn closed(&mut self, reason: Reason, in_doubt: Vec<i64>) {
        let (sent, unsent) = (in_doubt.len(), self.backlog.len());
        tracing::info!(link = %self.key, %reason, in_doubt = sent, unsent, "link closed");
        add(&self.exchange.counters.in_doubt, sent);
        if let Some(account) = self.account() {
            self.exchange.unbound(&account.system_id);
        }
        let unsent: Vec<i64> = self.backlog.drain(..).map(|row| row.id).collect();
        if !in_doubt.is_empty() || !unsent.is_empty() {
            let work = move |tables: &crate::store::sms::Tables<'_>| {
                in_doubt.iter().try_for_each(|id| tables.in_doubt(*id, 0))?;
                unsent.iter().try_for_each(|id| tables.release(*id))
            };
            let _ = self.exchange.journal.run(work).await;
            self.exchange.ring(&self.key);
        }
        self.ended = Some(reason);
    }
}

impl Host for Link {
    async fn events(&mut self, session: &mut Session, _: Duration, events: Vec<Event>) {
        let mut requests = Vec::new();
        let mut answers = Vec::new();
        let mut end = None;
        for event in events {
            match event {
                Event::BindRequested { mode, bind } => self.bind(session, mode, &bind).await,
                Event::Bound { mode, version } => {
                    (self.was_bound, self.more) = (true, true);
                    if self.is_centre() {
                        count(&self.exchange.counters.binds);
                        tracing::info!(link = %self.key, ?mode, ?version, "bound");
                    }
                }
                Event::Request { pdu, body } => requests.push((pdu, *body)),
                Event::Response { token, pdu, body } => {
                    let Some((message, wants)) = self.sent.remove(&token.0) else { continue };
                    let remote = match body.as_deref() {
                        Some(Body::SubmitSmResp(resp) | Body::DeliverSmResp(resp)) => {
                            resp.message_id.to_string()
                        }
                        _ => String::new(),
                    };
                    let part = i64::try_from(token.0).unwrap_or(0);
                    answers.push(Answer { part, message, wants, status: pdu.command_status, remote });
                }
                Event::NoResponse(request) => {
                    tracing::warn!(link = %self.key, part = request.token.0, "not answered in time: in doubt");
                    count(&self.exchange.counters.in_doubt);
                    self.sent.remove(&request.token.0);
                    let part = i64::try_from(request.token.0).unwrap_or(0);
                    let later = turns::unix_now().saturating_add(5);
                    let _ = self.exchange.journal.run(move |tables| tables.in_doubt(part, later)).await;
                }
                Event::Throttled { until } => {
                    tracing::info!(link = %self.key, "the peer wants us slower");
                    self.look_at = Instant::now() + until.saturating_sub(self.clock.now());
                }
                Event::Rejected(error) => {
                    tracing::warn!(link = %self.key, %error, "PDU refused");
                    count(&self.exchange.counters.malformed);
                }
                Event::Closed { reason, in_doubt, .. } => {
                    let parts = in_doubt.iter().map(|doubt| i64::try_from(doubt.token.0).unwrap_or(0));
                    end = Some((reason, parts.collect()));
                }
                _ => {}
            }
        }
        if !answers.is_empty() {
            self.answers(answers).await;
        }
        if !requests.is_empty() {
            self.requests(session, requests).await;
        }
        if let Some((reason, in_doubt)) = end {
            return self.closed(reason, in_doubt).await;
        }
        if self.more || !self.backlog.is_empty() {
            self.fill(session).await;
        }
    }

    async fn wake(&mut self) {
        if self.stopping {
            return std::future::pending().await;
        }
        tokio::select! {
            () = self.bell.notified() => {}
            () = tokio::time::sleep_until(self.look_at) => {}
            _ = self.stop.changed() => self.stopping = true,
        }
    }

    async fn woken(&mut self, session: &mut Session, now: Duration) {
        if self.stopping {
            // Not bound: nothing to drain.
            if session.unbind(now).is_err() {
                session.handle_eof(now);
            }
            return;
        }
        self.more = true;
        self.look_at = Instant::now() + LOOK;
        self.fill(session).await;
    }
}

/// A number for a link, for engines that count links.
pub(super) fn number(key: &str) -> u32 {
    // FNV-1a: the same at every start.
    key.bytes().fold(0x811c_9dc5, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193))
}
