//! What a message of a terminal that is in does, and what it is told.

use super::{At, Config, Event, MESSAGES, Turn};
use crate::dm::message::{Outgoing, answerable, node, source_of, text_of, type_of};
use crate::dm::record::{Operation, OperationState, OperationZone, Record, Sent, Session};
use crate::dm::tree::{self, Outcome};
use syncml::{Alert, AlertCode, Command, Results, Status, StatusCode};
use timesync::civil::shown_at;
use timesync::clock::{ClockEvent, LocalStamp, Report, ServerOutput, SyncAnswer};
use timesync::{Interval, UnixTime};

/// Least octets free for an operation to be begun in a message.
const ROOM: usize = 512;

/// A message of a terminal that is in.
pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    pub(super) at: At,
    pub(super) record: Record,
    pub(super) session: Session,
    /// What of ours awaited a status.
    pub(super) sent: Vec<(u32, Sent)>,
    pub(super) out: Outgoing,
    pub(super) events: Vec<Event>,
    /// The terminal ended the session.
    pub(super) over: bool,
}

impl Run<'_> {
    pub(super) fn take(&mut self, command: &Command) {
        let code = match command {
            Command::Status(status) => return self.answered(status),
            Command::Results(results) => self.results(results),
            Command::Alert(alert) => self.alert(alert),
            // DevInfo comes with every session; nothing here hangs on it.
            Command::Replace(_) => StatusCode::OK,
            _ => StatusCode::NOT_SUPPORTED,
        };
        if let Some((name, id)) = answerable(command) {
            self.out.status(id, name, code, None);
        }
    }

    fn answered(&mut self, status: &Status) {
        let sent = self.sent.iter().position(|(id, _)| *id == status.cmd_ref && *id != 0);
        let Some(sent) = sent.map(|place| self.sent.remove(place).1) else { return };
        let code = status.data;
        match sent {
            Sent::Set(serial) => match code {
                StatusCode::OK => self.clock_answer(serial, true),
                StatusCode::NOT_EXECUTED => self.clock_answer(serial, false),
                // 202: the user is asked; the answer comes as an alert.
                _ => {}
            },
            Sent::Exec(id) => {
                let Some(operation) = self.record.operation(id) else { return };
                if operation.state != OperationState::Waiting {
                    return;
                }
                operation.state = match code {
                    // It has it already: what became of it will be told.
                    StatusCode::ALREADY_EXISTS => OperationState::Accepted,
                    code if code.is_success() => OperationState::Accepted,
                    code => OperationState::Refused(code.0),
                };
                self.events.push(Event::Answered(id, code.0));
            }
            Sent::Delete(id) => {
                let gone = code.is_success() || code == StatusCode::NOT_FOUND;
                if let Some(operation) = self.record.operation(id).filter(|_| gone)
                    && operation.state == OperationState::Cancelling
                {
                    operation.state = OperationState::Cancelled;
                }
            }
            Sent::Probe | Sent::Other => {}
        }
    }

    fn results(&mut self, results: &Results) -> StatusCode {
        let value = |path| results.items.iter().find(|item| source_of(item) == Some(path)).and_then(text_of);
        let stamps = (
            value(tree::CLOCK_RECEIVED).and_then(tree::stamp),
            value(tree::CLOCK_SENT).and_then(tree::stamp),
        );
        let (Some(received), Some(sent)) = stamps else { return StatusCode::BAD_REQUEST };
        // The session is the terminal's own, and the probe good for one report: the number need not travel.
        let nonce = self.session.our_msg.saturating_sub(1).into();
        match self.record.clock.report(self.at.now, Report { nonce, received, sent }, &self.config.clock) {
            Ok(outputs) => self.clock(outputs),
            Err(refusal) => {
                self.events.push(Event::ClockRefused(refusal));
                return StatusCode::COMMAND_FAILED;
            }
        }
        StatusCode::OK
    }

    fn alert(&mut self, alert: &Alert) -> StatusCode {
        match alert.code {
            Some(AlertCode::DM_SESSION_ABORT) => {
                self.over = true;
                StatusCode::OK
            }
            Some(AlertCode::DM_GENERIC) => {
                let code = alert.items.iter().map(|item| match (type_of(item), text_of(item)) {
                    (Some(tree::OUTCOME), Some(text)) => {
                        self.outcome(source_of(item).unwrap_or_default(), text)
                    }
                    (Some(tree::ANSWER), Some(text)) => self.late_answer(text),
                    _ => StatusCode::UNSUPPORTED_TYPE,
                });
                code.last().unwrap_or(StatusCode::BAD_REQUEST)
            }
            Some(
                AlertCode::DM_CLIENT_INITIATED | AlertCode::DM_SERVER_INITIATED | AlertCode::DM_NEXT_MESSAGE,
            ) => StatusCode::OK,
            _ => StatusCode::NOT_SUPPORTED,
        }
    }

    fn outcome(&mut self, path: &str, text: &str) -> StatusCode {
        let (Some((id, "")), Some(outcome)) = (tree::operation_of(path), Outcome::parse(text)) else {
            return StatusCode::BAD_REQUEST;
        };
        // One that we have dropped is told to be known, so that it is not told for ever.
        let Some(operation) = self.record.operation(id) else { return StatusCode::OK };
        // The first word counts; a repeated one changes nothing.
        if !matches!(operation.state, OperationState::Done(_)) {
            operation.state = OperationState::Done(outcome);
            self.events.push(Event::Ended(id, outcome));
        }
        StatusCode::OK
    }

    fn late_answer(&mut self, text: &str) -> StatusCode {
        let answer = text.trim().split_once(' ').and_then(|(word, serial)| {
            let accepted = match word {
                "accept" => true,
                "refuse" => false,
                _ => return None,
            };
            Some((serial.trim().parse().ok()?, accepted))
        });
        let Some((serial, accepted)) = answer else { return StatusCode::BAD_REQUEST };
        self.clock_answer(serial, accepted);
        StatusCode::OK
    }

    fn clock_answer(&mut self, serial: u64, accepted: bool) {
        match self.record.clock.answer(SyncAnswer { serial, accepted }) {
            Ok(outputs) => {
                self.clock(outputs);
                // It says that it set its clock: that is believed when it is measured.
                self.session.probed &= !accepted;
            }
            Err(refusal) => self.events.push(Event::ClockRefused(refusal)),
        }
    }

    fn clock(&mut self, outputs: Vec<ServerOutput>) {
        for output in outputs {
            match output {
                ServerOutput::Send(request) => self.session.set = Some(request),
                ServerOutput::Event(event) => {
                    self.session.tell |= matches!(event, ClockEvent::Measured(_));
                    self.events.push(Event::Clock(event));
                }
                _ => {}
            }
        }
    }

    /// What we say of our own accord.
    pub(super) fn say(&mut self) {
        if !self.session.probed {
            if let Some(id) = self.out.get(tree::CLOCK_NOW) {
                self.session.probed = true;
                self.session.sent.push((id, Sent::Probe));
                self.record.clock.probe(self.at.now, self.session.our_msg.into());
            }
            // Nothing else goes with it: what it is to be told hangs on the answer.
            return;
        }
        if self.session.tell
            && let Some(deviation) = self.record.clock.deviation()
            && let Some(id) = self.tell(deviation.clock_at(self.at.now.time, self.config.clock.phi))
        {
            self.session.tell = false;
            self.session.sent.push((id, Sent::Other));
        }
        if let Some(request) = self.session.set
            && let Some(id) = self.out.exec(
                tree::CLOCK_SET,
                &request.serial.to_string(),
                &tree::interval_text(request.deviation),
            )
        {
            self.session.set = None;
            self.session.sent.push((id, Sent::Set(request.serial)));
        }
        let open: Vec<Operation> =
            self.record.operations().iter().filter(|one| self.is_due(one)).cloned().collect();
        for operation in open {
            if self.out.left() < ROOM.saturating_add(operation.data.len()) && self.out.asks {
                break;
            }
            self.offer(&operation);
        }
    }

    fn is_due(&self, operation: &Operation) -> bool {
        let open = matches!(operation.state, OperationState::Waiting | OperationState::Cancelling);
        open && !self.session.offered.contains(&operation.id)
    }

    fn tell(&mut self, deviation: Interval) -> Option<u32> {
        self.out.replace(vec![node(tree::CLOCK_DEVIATION, Some(&tree::interval_text(deviation)))])
    }

    fn offer(&mut self, operation: &Operation) {
        let id = operation.id;
        self.session.offered.push(id);
        if operation.state == OperationState::Cancelling {
            if let Some(command) = self.out.delete(&tree::operation(id, "")) {
                self.session.sent.push((command, Sent::Delete(id)));
            }
            return;
        }
        let mut nodes = vec![node(&tree::operation(id, "At"), Some(&operation.at))];
        let zone = match &operation.zone {
            OperationZone::Server => Some(self.config.zone.as_str()),
            OperationZone::Named(zone) => Some(zone.as_str()),
            OperationZone::Floating => Some("floating"),
            OperationZone::Unnamed => None,
        };
        if let Some(zone) = zone {
            nodes.push(node(&tree::operation(id, "Zone"), Some(zone)));
        }
        if let Some(stamp) = self.local(self.at.now.time) {
            // mission: D1: its local time is in the message; its offset only where its zone is
            let stamp = LocalStamp { zone: zone.and(stamp.zone), ..stamp };
            nodes.push(node(&tree::operation(id, "Stamp"), Some(&tree::stamp_text(stamp))));
        }
        nodes.push(node(&tree::operation(id, "Missed"), Some(&tree::missed_text(operation.missed))));
        if let Some(command) = self.out.replace(nodes) {
            self.session.sent.push((command, Sent::Other));
        }
        if let Some(command) = self.out.exec(&tree::operation(id, ""), &id.to_string(), &operation.data) {
            self.session.sent.push((command, Sent::Exec(id)));
        }
    }

    /// The server's wall clock.
    fn local(&self, now: UnixTime) -> Option<LocalStamp> {
        let zone = self.config.zones.zone(&self.config.zone).ok()?;
        let (_, offset) = shown_at(now, &zone).ok()?;
        Some(LocalStamp::with_zone(now.plus(i64::from(offset).saturating_mul(1_000_000_000)), offset))
    }

    pub(super) fn finish(mut self, digest: [u8; 16]) -> Turn {
        let ended = self.over || !self.out.asks;
        let answer = self.out.finish();
        self.session.digest = digest;
        self.session.answer = answer.to_vec();
        if ended {
            // Kept to answer a repeated last message; no other comes.
            self.session.messages = MESSAGES;
            self.session.sent.clear();
        }
        self.record.session = Some(self.session);
        Turn { record: Some(self.record), answer, events: self.events }
    }
}
