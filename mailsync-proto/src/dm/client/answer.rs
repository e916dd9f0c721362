//! What the server's commands do to a terminal, and how they are answered.

use super::{ClockFace, Event, Job, Terminal};
use crate::dm::message::{Outgoing, answerable, own, target_of, text_of};
use crate::dm::record::appointment;
use crate::dm::tree;
use std::collections::BTreeMap;
use std::time::Duration;
use syncml::{Command, Exec, Get, StatusCode};
use timesync::Interval;
use timesync::appoint::{Difference, Place};
use timesync::clock::{ClientOutput, ClockSync};
use timesync::starter::{Missed, OpId, Operation, StarterRefusal, When};

/// Longest trip of a message with a stamp in it, nanoseconds.
const MAX_TRIP: u64 = 60_000_000_000;
/// Up to this late an operation is on time.
const TOLERANCE: Duration = Duration::from_secs(5);

/// A message of the server being answered.
pub(super) struct Run<'a> {
    pub(super) terminal: &'a mut Terminal,
    pub(super) place: Place<'a>,
    pub(super) came: ClockFace,
    pub(super) leaves: ClockFace,
    pub(super) out: Outgoing,
    pub(super) events: Vec<Event>,
    /// Nodes of operations, until their `Exec`.
    pub(super) nodes: BTreeMap<(u64, Box<str>), Box<str>>,
    pub(super) asked: bool,
}

impl Run<'_> {
    pub(super) fn command(&mut self, command: &Command) {
        let Some((name, id)) = answerable(command) else { return };
        self.asked = true;
        let mut clock = false;
        let code = match command {
            Command::Get(get) => {
                clock = is_clock(get);
                if clock { StatusCode::OK } else { StatusCode::NOT_FOUND }
            }
            Command::Replace(change) | Command::Add(change) => {
                let codes = change.items.iter().map(|item| self.replace(target_of(item), text_of(item)));
                codes.fold(StatusCode::OK, |all, one| if all == StatusCode::OK { one } else { all })
            }
            Command::Delete(change) => {
                let codes = change.items.iter().map(|item| self.delete(target_of(item)));
                codes.fold(StatusCode::OK, |all, one| if all == StatusCode::OK { one } else { all })
            }
            Command::Exec(exec) => self.exec(exec),
            Command::Alert(_) => StatusCode::OK,
            _ => StatusCode::NOT_SUPPORTED,
        };
        self.out.status(id, name, code, None);
        if clock {
            let text = |face: ClockFace| tree::stamp_text(face.stamp());
            let items =
                vec![own(tree::CLOCK_RECEIVED, &text(self.came)), own(tree::CLOCK_SENT, &text(self.leaves))];
            self.out.results(id, items);
        }
    }

    fn replace(&mut self, path: Option<&str>, text: Option<&str>) -> StatusCode {
        let (Some(path), Some(text)) = (path, text) else { return StatusCode::BAD_REQUEST };
        if path == tree::CLOCK_DEVIATION {
            let Some(deviation) = tree::interval(text) else { return StatusCode::BAD_REQUEST };
            self.terminal.told = Some((deviation, self.came.now.wall));
            self.events.push(Event::Deviation(deviation));
            return StatusCode::OK;
        }
        match tree::operation_of(path) {
            Some((id, leaf @ ("At" | "Zone" | "Stamp" | "Missed"))) if self.nodes.len() < 1024 => {
                self.nodes.insert((id, leaf.into()), text.into());
                StatusCode::OK
            }
            _ => StatusCode::NOT_FOUND,
        }
    }

    fn delete(&mut self, path: Option<&str>) -> StatusCode {
        let Some((id, "")) = path.and_then(tree::operation_of) else { return StatusCode::NOT_FOUND };
        if !self.terminal.starter.cancel(OpId(id)) {
            return StatusCode::NOT_FOUND;
        }
        self.terminal.data.remove(&id);
        self.events.push(Event::Withdrawn { id });
        StatusCode::OK
    }

    fn exec(&mut self, exec: &Exec) -> StatusCode {
        let [item] = &exec.items[..] else { return StatusCode::BAD_REQUEST };
        let text = text_of(item).unwrap_or_default();
        match target_of(item) {
            Some(tree::CLOCK_SET) => self.set_clock(exec.correlator.as_deref(), text),
            Some(path) => match tree::operation_of(path) {
                Some((id, "")) => self.appoint(id, text),
                _ => StatusCode::NOT_FOUND,
            },
            None => StatusCode::BAD_REQUEST,
        }
    }

    fn set_clock(&mut self, serial: Option<&str>, text: &str) -> StatusCode {
        let (Some(serial), Some(deviation)) =
            (serial.and_then(|text| text.parse().ok()), tree::interval(text))
        else {
            return StatusCode::BAD_REQUEST;
        };
        let mut code = StatusCode::ACCEPTED;
        for output in self.terminal.clock.clock_sync(ClockSync { serial, deviation }) {
            match output {
                ClientOutput::AskUser(request) => self.events.push(Event::AskUser(request)),
                ClientOutput::SetClock { by } => {
                    let event = self.terminal.set_clock(by);
                    self.events.push(event);
                }
                ClientOutput::Send(answer) => {
                    code = if answer.accepted { StatusCode::OK } else { StatusCode::NOT_EXECUTED };
                }
                _ => {}
            }
        }
        code
    }

    /// mission: D1, D2
    fn appoint(&mut self, id: u64, data: &str) -> StatusCode {
        let leaf = |leaf: &str| self.nodes.get(&(id, leaf.into())).map(|text| &**text);
        let appointed = leaf("At").and_then(|at| appointment(at, leaf("Zone")));
        let missed = leaf("Missed").map_or(Some(Missed::default()), tree::missed);
        let (Some(appointment), Some(missed)) = (appointed, missed) else { return StatusCode::BAD_REQUEST };
        let difference = leaf("Stamp").and_then(tree::stamp).map(|server| {
            // The clock error is true time minus clock: the deviation the other way round.
            let deviation = self.terminal.deviation().unwrap_or(Interval::point(0));
            let error = Interval::new(deviation.hi().saturating_neg(), deviation.lo().saturating_neg());
            let here = self.came;
            let terminal = here.stamp();
            Difference::from_stamp(server.shown, terminal.shown, here.now.wall, error, MAX_TRIP)
        });
        let operation = Operation {
            id: OpId(id),
            when: When::Appointed { appointment, difference },
            missed,
            tolerance: TOLERANCE,
        };
        let now = self.terminal.true_now(self.came.now);
        match self.terminal.starter.submit(now, self.place, operation) {
            Ok(start) => {
                let job = Job { data: data.into(), started: None, late: 0 };
                self.terminal.data.insert(id, job);
                self.events.push(Event::Appointed { id, start: start.instant });
                StatusCode::ACCEPTED
            }
            Err(StarterRefusal::AlreadyDone) => StatusCode::ALREADY_EXISTS,
            Err(refusal) => {
                self.events.push(Event::Refused { id, why: refusal.to_string() });
                match refusal {
                    StarterRefusal::Full { .. } => StatusCode::DEVICE_FULL,
                    StarterRefusal::TooOld => StatusCode::GONE,
                    _ => StatusCode::COMMAND_FAILED,
                }
            }
        }
    }
}

fn is_clock(get: &Get) -> bool {
    matches!(&get.items[..], [item] if target_of(item) == Some(tree::CLOCK_NOW))
}
