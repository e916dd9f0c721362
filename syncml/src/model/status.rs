//! The answer to a command.

use super::{Chal, CommandName, Cred, Extra, Item, StatusCode};

/// The answer to a command or to some of its items.
///
/// # Shape
/// `CmdID, MsgRef, CmdRef, Cmd, TargetRef*, SourceRef*, Cred?, Chal?, Data, Item*`
/// # Spec
/// SyncML Representation Protocol 1.2, `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Status {
    /// This command's own id.
    pub cmd_id: u32,
    /// `MsgID` of the message that held the command. Optional in reading: some peers leave it out.
    pub msg_ref: Option<u32>,
    /// `CmdID` of the command; 0 for the header.
    pub cmd_ref: u32,
    /// Name of the command.
    pub cmd: CommandName,
    /// Targets that this answer is about.
    pub target_ref: Vec<Box<str>>,
    /// Sources that this answer is about.
    pub source_ref: Vec<Box<str>>,
    /// Credentials, server to client.
    pub cred: Option<Box<Cred>>,
    /// A challenge.
    pub chal: Option<Box<Chal>>,
    /// The outcome.
    pub data: StatusCode,
    /// Items, for instance an anchor echoed.
    pub items: Vec<Item>,
    /// Unknown children.
    pub extra: Extra,
}

impl Status {
    /// An answer without references to items.
    pub fn new(cmd_id: u32, msg_ref: u32, cmd_ref: u32, cmd: CommandName, data: StatusCode) -> Self {
        Status {
            cmd_id,
            msg_ref: Some(msg_ref),
            cmd_ref,
            cmd,
            target_ref: Vec::new(),
            source_ref: Vec::new(),
            cred: None,
            chal: None,
            data,
            items: Vec::new(),
            extra: None,
        }
    }
}
