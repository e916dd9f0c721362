//! `Atomic`: all or nothing, its answers held back until it is known which.

use super::ask::{Ask, Slot};
use super::exchange::{Exchange, Level};
use crate::model::{Command, Item, Nest, Status, StatusCode};

/// An `Atomic` being gone through.
#[derive(Debug)]
pub(super) struct Atomic {
    slot: Slot,
    /// The length of the stack when it is over.
    depth: usize,
    answers: Vec<Answer>,
    failed: bool,
}

/// A status that is held back.
#[derive(Debug)]
struct Answer {
    slot: Slot,
    code: StatusCode,
    items: Vec<Item>,
}

/// `Atomic`s of one message that are done; what can be returned to costs as much as all that went before. The
/// others are refused with 417.
pub(super) const MAX_ATOMICS: usize = 64;

/// Octets kept for the header's status in a message that holds an `Atomic`'s answers.
const HEADER_STATUS: usize = 300;

impl<'m> Exchange<'m> {
    /// The caller has said whether it can do it.
    pub(super) fn open_atomic(&mut self, slot: Slot, nest: &'m Nest, code: StatusCode) {
        let in_sync = self.stack.last().is_some_and(|level| level.in_sync);
        let refused = code.is_error().then_some(StatusCode::NOT_EXECUTED);
        if refused.is_some() {
            self.answer_with(&slot, code, Vec::new());
        } else {
            let depth = self.stack.len();
            self.atomic = Some(Atomic { slot, depth, answers: Vec::new(), failed: false });
        }
        self.stack.push(Level { in_sync, refused, ..Level::of(&nest.commands) });
    }

    /// Whether an `Atomic` is open, and what the rest of it is refused with.
    pub(super) fn in_atomic(&self) -> Option<Option<StatusCode>> {
        self.atomic.as_ref().map(|atomic| atomic.failed.then_some(StatusCode::NOT_EXECUTED))
    }

    /// Holds an answer back; gives it back when no `Atomic` is open.
    pub(super) fn hold(&mut self, slot: &Slot, code: StatusCode, items: Vec<Item>) -> Option<Vec<Item>> {
        let Some(atomic) = &mut self.atomic else { return Some(items) };
        atomic.failed |= code.is_error();
        atomic.answers.push(Answer { slot: slot.clone(), code, items });
        None
    }

    /// What may not be in an `Atomic`: what cannot be taken back.
    pub(super) fn bars_atomic(&self, command: &Command) -> Option<StatusCode> {
        self.atomic.as_ref()?;
        match command {
            Command::Add(_)
            | Command::Replace(_)
            | Command::Delete(_)
            | Command::Copy(_)
            | Command::Move(_)
            | Command::Sync(_)
            | Command::Sequence(_)
            | Command::Map(_)
            | Command::Status(_)
            | Command::Unknown(_) => None,
            // spec: session facts section 4: nested Atomic
            Command::Atomic(_) => Some(StatusCode::COMMAND_FAILED),
            _ => Some(StatusCode::NOT_ALLOWED),
        }
    }

    /// Ends the open `Atomic` if its last command has been gone through.
    pub(super) fn end_atomic(&mut self) -> Option<Ask<'m>> {
        let over = self.atomic.as_ref().is_some_and(|atomic| atomic.depth >= self.stack.len());
        let Atomic { slot, answers, failed, .. } = self.atomic.take_if(|_| over)?;
        let code = if failed { StatusCode::ATOMIC_FAILED } else { StatusCode::OK };
        let mut statuses = self.statuses(&slot, &answers, code);
        let needed = self.octets(&statuses);
        let mut keep = !failed;
        if keep && needed > self.fresh.saturating_sub(HEADER_STATUS) {
            // Its answers must be in one message, or the peer cannot tell that all of it is done.
            statuses = self.statuses(&slot, &answers, StatusCode::ATOMIC_TOO_LARGE);
            keep = false;
        }
        let apart = keep && needed > self.writer.left();
        for (status, many) in statuses {
            if apart {
                self.owe_status(&status, many);
            } else {
                self.write_status(status, many);
            }
        }
        Some(Ask::AtomicEnd { keep })
    }

    /// The answers as they are now known.
    fn statuses(&self, slot: &Slot, answers: &[Answer], code: StatusCode) -> Vec<(Status, bool)> {
        let own = (!slot.silent).then(|| (self.status_of(slot, code, Vec::new()), false));
        let parts = answers.iter().filter(|answer| !answer.slot.silent).map(|answer| {
            let done = answer.code.is_success() && answer.code != StatusCode::NOT_EXECUTED;
            match code.is_error() && done {
                true => (self.status_of(&answer.slot, StatusCode::ROLLED_BACK, Vec::new()), answer.slot.many),
                false => (self.status_of(&answer.slot, answer.code, answer.items.clone()), answer.slot.many),
            }
        });
        own.into_iter().chain(parts).collect()
    }

    fn octets(&mut self, statuses: &[(Status, bool)]) -> usize {
        let sizes = statuses.iter().map(|(status, _)| {
            self.writer.measure(&Command::Status(Box::new(status.clone()))).unwrap_or(usize::MAX)
        });
        sizes.fold(0, usize::saturating_add)
    }
}
