//! Statuses that did not fit into the answer: kept in the session and sent first in the next one.

use crate::model::{Anchor, CommandName, Data, Item, Status, StatusCode};
use serde::{Deserialize, Serialize};

/// Statuses that a session owes at most. A peer that causes more is refused (403 for the rest).
pub const MAX_OWED: usize = 4096;

/// References kept with an owed status, in octets; longer ones are left out, `CmdRef` says enough.
const MAX_REF: usize = 64;

/// One status that is owed, as small as it can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owed {
    msg_ref: u32,
    cmd_ref: u32,
    cmd: CommandName,
    code: u16,
    item: Option<(bool, Box<str>)>,
}

/// The anchor that an owed status echoes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Echo {
    msg_ref: u32,
    cmd_ref: u32,
    next: Box<str>,
}

impl Echo {
    /// The echo in a status, if there is one.
    pub(crate) fn keep(status: &Status) -> Option<Self> {
        let next = status.items.iter().find_map(|item| match &item.data {
            Some(Data::Anchor(anchor)) => Some(anchor.next.clone()),
            _ => None,
        })?;
        Some(Echo { msg_ref: status.msg_ref.unwrap_or_default(), cmd_ref: status.cmd_ref, next })
    }

    /// Puts it back into its status.
    pub(crate) fn restore(&self, status: &mut Status) {
        let anchor = Anchor { last: None, next: self.next.clone() };
        status.items.push(Item { data: Some(Data::Anchor(anchor)), ..Item::default() });
    }

    /// Whether it belongs to this status.
    pub(crate) fn is_of(&self, status: &Status) -> bool {
        status.msg_ref == Some(self.msg_ref) && status.cmd_ref == self.cmd_ref
    }
}

impl Owed {
    /// Keeps a status; `many` when its command has several items, so that the reference tells which is meant.
    pub(crate) fn keep(status: &Status, many: bool) -> Self {
        let target = status.target_ref.first().map(|text| (true, text));
        let source = status.source_ref.first().map(|text| (false, text));
        let item = source.or(target).filter(|(_, text)| many && text.len() <= MAX_REF);
        Owed {
            msg_ref: status.msg_ref.unwrap_or_default(),
            cmd_ref: status.cmd_ref,
            cmd: status.cmd.clone(),
            code: status.data.0,
            item: item.map(|(is_target, text)| (is_target, text.clone())),
        }
    }

    /// The status to send.
    pub(crate) fn status(&self) -> Status {
        let mut status = Status::new(0, self.msg_ref, self.cmd_ref, self.cmd.clone(), StatusCode(self.code));
        match &self.item {
            Some((true, text)) => status.target_ref.push(text.clone()),
            Some((false, text)) => status.source_ref.push(text.clone()),
            None => {}
        }
        status
    }
}
