//! Statuses: one for each command, the header's first, and what does not fit is owed.

use super::ask::Slot;
use super::exchange::{Exchange, Level};
use super::owed::{Echo, MAX_OWED, Owed};
use crate::model::{
    Anchor, Chal, Command, CommandName, Data, Element, Item, Name, Node, Source, Status, StatusCode, SyncHdr,
    Target,
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
        if !self.is_tight() {
            status.target_ref.push(hdr.target.loc_uri.clone());
            status.source_ref.push(hdr.source.loc_uri.clone());
        }
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
        if let Some(pending) = self.pending.take_if(|pending| pending.slot.cmd_id == slot.cmd_id)
            && let Some(nest) = pending.atomic
        {
            return self.open_atomic(pending.slot, nest, code);
        }
        if slot.cmd == CommandName::Sync
            && code.is_error()
            && let Some(level) = self.stack.last_mut()
        {
            level.refused = Some(code);
        }
        let Some(items) = self.hold(slot, code, items) else { return };
        if slot.silent {
            return;
        }
        self.write_status(self.status_of(slot, code, items), slot.many);
    }

    pub(super) fn status_of(&self, slot: &Slot, code: StatusCode, items: Vec<Item>) -> Status {
        let mut status = Status::new(0, self.link.peer_msg, slot.cmd_id, slot.cmd.clone(), code);
        status.target_ref.extend(slot.target.clone());
        status.source_ref.extend(slot.source.clone());
        status.items = items;
        status
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
            Command::Results(_) | Command::Status(_) => return,
            Command::Unknown(element) => return self.unknown(element, code),
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
            self.stack.push(Level { in_sync: true, refused: Some(code), ..Level::of(nested) });
        }
    }

    /// Answers a command that nobody knows, if it has a `CmdID` to answer to.
    // spec: threats W6
    pub(super) fn unknown(&mut self, element: &Element, code: StatusCode) {
        let child = |name: &str, token: u8| {
            element.children.iter().find_map(|node| match node {
                Node::Element(child) => match &child.name {
                    Name::Text(text) if **text == *name => Some(&child.children),
                    Name::Token(t) if *t == token => Some(&child.children),
                    _ => None,
                },
                Node::Text(_) => None,
            })
        };
        let cmd_id = child("CmdID", 0x0B).and_then(|children| match children.first() {
            Some(Node::Text(text)) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
            _ => None,
        });
        let Some(cmd_id) = cmd_id else { return };
        let name = Command::Unknown(Box::new(element.clone())).name();
        let silent = self.silent || child("NoResp", 0x1D).is_some();
        let slot = Slot { cmd: name, cmd_id, target: None, source: None, many: false, silent };
        self.answer(&slot, code);
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
            self.owe_status(&status, many);
            return;
        }
        let (kept, echo) = (Owed::keep(&status, many), Echo::keep(&status));
        if self.write(Command::Status(Box::new(status))).is_err() {
            self.owe(kept);
            self.link.more.echoes.extend(echo);
        }
    }

    /// Keeps a status for the next message.
    pub(super) fn owe_status(&mut self, status: &Status, many: bool) {
        self.owe(Owed::keep(status, many));
        self.link.more.echoes.extend(Echo::keep(status));
    }

    pub(super) fn write_owed(&mut self, owed: Owed) {
        if !self.link.owed.is_empty() {
            return self.owe(owed);
        }
        let mut status = owed.status();
        let echo = self.link.more.echoes.iter().position(|echo| echo.is_of(&status));
        if let Some(echo) = echo.and_then(|at| self.link.more.echoes.get(at)) {
            echo.restore(&mut status);
        }
        match (self.write(Command::Status(Box::new(status))), echo) {
            (Err(_), _) => self.owe(owed),
            (Ok(_), Some(at)) => {
                self.link.more.echoes.remove(at);
            }
            (Ok(_), None) => {}
        }
    }

    pub(super) fn owe(&mut self, owed: Owed) {
        if self.link.owed.len() < MAX_OWED {
            self.link.owed.push(owed);
        }
    }

    /// Answers an Alert 222: where messages are small, behind our own commands, or they would never fit.
    pub(super) fn answer_next(&mut self, slot: &Slot) {
        if slot.silent {
            return;
        }
        if self.is_tight() && self.link.more.late.len() < MAX_OWED {
            let status = self.status_of(slot, StatusCode::OK, Vec::new());
            self.link.more.late.push(Owed::keep(&status, false));
        } else {
            self.answer(slot, StatusCode::OK);
        }
    }

    /// Writes what waited, as far as there is room.
    pub(super) fn write_late(&mut self) {
        while let Some(owed) = self.link.more.late.first() {
            let status = owed.status();
            if self.write(Command::Status(Box::new(status))).is_err() {
                return;
            }
            self.link.more.late.remove(0);
        }
    }
}
