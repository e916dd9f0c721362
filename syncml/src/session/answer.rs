//! Statuses: one for each command, the header's first, and what does not fit is owed.

use super::exchange::{Exchange, Level, Slot};
use super::owed::{MAX_OWED, Owed};
use crate::model::{
    Anchor, Chal, Command, CommandName, Data, Item, Source, Status, StatusCode, SyncHdr, Target,
};

impl<'m> Exchange<'m> {
    /// Answers the peer's header; always the first status.
    pub(crate) fn answer_header(&mut self, hdr: &SyncHdr, code: StatusCode, chal: Option<Chal>) {
        if self.silent {
            return;
        }
        // Before the owed ones: the header's status is always the first.
        let owed = std::mem::take(&mut self.link.owed);
        let mut status = Status::new(0, hdr.msg_id, 0, CommandName::SyncHdr, code);
        status.target_ref.push(hdr.target.loc_uri.clone());
        status.source_ref.push(hdr.source.loc_uri.clone());
        status.chal = chal.map(Box::new);
        self.write_status(status, false);
        for owed in owed {
            self.write_owed(owed);
        }
    }

    /// Gives a command its status.
    pub fn answer(&mut self, slot: &Slot, code: StatusCode) {
        self.answer_with(slot, code, Vec::new());
    }

    /// Gives an alert its status, with the anchor that it carried echoed.
    // spec: session facts section 3: the received Next goes back in Status/Item/Data
    pub fn answer_alert(&mut self, slot: &Slot, code: StatusCode, anchor: Option<&Anchor>) {
        let items = anchor
            .map(|anchor| {
                let echo = Anchor { last: None, next: anchor.next.clone() };
                Item { data: Some(Data::Anchor(echo)), ..Item::default() }
            })
            .into_iter()
            .collect();
        self.answer_with(slot, code, items);
    }

    pub(super) fn answer_with(&mut self, slot: &Slot, code: StatusCode, items: Vec<Item>) {
        if slot.cmd == CommandName::Sync
            && code.is_error()
            && let Some(level) = self.stack.last_mut()
        {
            level.refused = Some(code);
        }
        if slot.silent {
            return;
        }
        let mut status = Status::new(0, self.link.peer_msg, slot.cmd_id, slot.cmd.clone(), code);
        status.target_ref.extend(slot.target.clone());
        status.source_ref.extend(slot.source.clone());
        status.items = items;
        self.write_status(status, slot.many);
    }

    /// `MsgID` and `CmdID` of a command of the message.
    pub fn reference(&self, slot: &Slot) -> (u32, u32) {
        (self.link.peer_msg, slot.cmd_id)
    }

    pub(super) fn status(&mut self, command: &Command, no_resp: bool, code: StatusCode) {
        let slot = self.slot(command, None, None, no_resp, false);
        self.answer(&slot, code);
    }

    /// Refuses a command and everything in it.
    pub(super) fn refuse(&mut self, command: &'m Command, code: StatusCode) {
        let (nested, no_resp): (&'m [Command], bool) = match command {
            Command::Sync(sync) => (&sync.commands, sync.no_resp),
            Command::Atomic(nest) | Command::Sequence(nest) => (&nest.commands, nest.no_resp),
            Command::Results(_) | Command::Status(_) | Command::Unknown(_) => return,
            Command::Add(c)
            | Command::Replace(c)
            | Command::Delete(c)
            | Command::Copy(c)
            | Command::Move(c) => (&[], c.no_resp),
            Command::Alert(c) => (&[], c.no_resp),
            Command::Get(c) | Command::Put(c) => (&[], c.no_resp),
            Command::Exec(c) => (&[], c.no_resp),
            Command::Search(c) => (&[], c.no_resp),
            Command::Map(_) => (&[], false),
        };
        self.status(command, no_resp, code);
        if !nested.is_empty() {
            let code = if matches!(command, Command::Atomic(_)) { StatusCode::NOT_EXECUTED } else { code };
            self.stack.push(Level {
                commands: nested,
                command: 0,
                item: 0,
                in_sync: true,
                refused: Some(code),
            });
        }
    }

    pub(super) fn slot(
        &self,
        command: &Command,
        target: Option<&Target>,
        source: Option<&Source>,
        no_resp: bool,
        many: bool,
    ) -> Slot {
        Slot {
            cmd: command.name(),
            cmd_id: command.cmd_id(),
            target: target.map(|t| t.loc_uri.clone()),
            source: source.map(|s| s.loc_uri.clone()),
            many,
            silent: self.silent || no_resp,
        }
    }

    pub(super) fn write_status(&mut self, status: Status, many: bool) {
        if !self.link.owed.is_empty() {
            self.owe(Owed::keep(&status, many));
            return;
        }
        let kept = Owed::keep(&status, many);
        if self.write(Command::Status(status)).is_err() {
            self.owe(kept);
        }
    }

    pub(super) fn write_owed(&mut self, owed: Owed) {
        if !self.link.owed.is_empty() || self.write(Command::Status(owed.status())).is_err() {
            self.owe(owed);
        }
    }

    pub(super) fn owe(&mut self, owed: Owed) {
        if self.link.owed.len() < MAX_OWED {
            self.link.owed.push(owed);
        }
    }
}
