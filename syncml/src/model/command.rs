//! The commands of a body.

use super::{AlertCode, Cred, Data, Element, Extra, Item, Meta, Source, Status, Target};

/// One command; boxed, so that a list of many is small and one goes from hand to hand cheaply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Command {
    /// A new object.
    Add(Box<Change>),
    /// A signal: sync type, next message, suspend, ...
    Alert(Box<Alert>),
    /// All or nothing.
    Atomic(Box<Nest>),
    /// A copy of an object of the receiver.
    Copy(Box<Change>),
    /// An object is gone.
    Delete(Box<Change>),
    /// Run something.
    Exec(Box<Exec>),
    /// Read something.
    Get(Box<Get>),
    /// LUIDs for GUIDs.
    Map(Box<Map>),
    /// Another place for an object (1.2).
    Move(Box<Change>),
    /// Something without being asked.
    Put(Box<Put>),
    /// An object as it is now.
    Replace(Box<Change>),
    /// The answer to `Get` or `Search`.
    Results(Box<Results>),
    /// A query.
    Search(Box<Search>),
    /// In this order.
    Sequence(Box<Nest>),
    /// The answer to a command.
    Status(Box<Status>),
    /// Changes of one datastore.
    Sync(Box<Sync>),
    /// A command that the tables do not know.
    Unknown(Box<Element>),
}

/// The name of a command, as `Cmd` in a [`Status`] spells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum CommandName {
    /// `Add`
    Add,
    /// `Alert`
    Alert,
    /// `Atomic`
    Atomic,
    /// `Copy`
    Copy,
    /// `Delete`
    Delete,
    /// `Exec`
    Exec,
    /// `Get`
    Get,
    /// `Map`
    Map,
    /// `Move`
    Move,
    /// `Put`
    Put,
    /// `Replace`
    Replace,
    /// `Results`
    Results,
    /// `Search`
    Search,
    /// `Sequence`
    Sequence,
    /// `Status`
    Status,
    /// `Sync`
    Sync,
    /// The header, in a `Status` for it.
    SyncHdr,
    /// Any other text.
    Other(Box<str>),
}

impl CommandName {
    const NAMES: [(CommandName, &'static str); 17] = [
        (CommandName::Add, "Add"),
        (CommandName::Alert, "Alert"),
        (CommandName::Atomic, "Atomic"),
        (CommandName::Copy, "Copy"),
        (CommandName::Delete, "Delete"),
        (CommandName::Exec, "Exec"),
        (CommandName::Get, "Get"),
        (CommandName::Map, "Map"),
        (CommandName::Move, "Move"),
        (CommandName::Put, "Put"),
        (CommandName::Replace, "Replace"),
        (CommandName::Results, "Results"),
        (CommandName::Search, "Search"),
        (CommandName::Sequence, "Sequence"),
        (CommandName::Status, "Status"),
        (CommandName::Sync, "Sync"),
        (CommandName::SyncHdr, "SyncHdr"),
    ];

    /// The text of `Cmd`.
    pub fn as_str(&self) -> &str {
        match self {
            CommandName::Other(text) => text,
            known => Self::NAMES.iter().find(|(name, _)| name == known).map_or("", |(_, text)| text),
        }
    }

    /// Reads the text of `Cmd`.
    pub fn parse(text: &str) -> Self {
        Self::NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map_or_else(|| CommandName::Other(text.into()), |(name, _)| name.clone())
    }
}

/// `Add`, `Replace`, `Delete`, `Copy`, `Move`: changes of objects.
///
/// # Shape
/// `CmdID, NoResp?, Archive?, SftDel?, Cred?, Meta?, Item+`; `Archive` and `SftDel` only with `Delete`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Change {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// No `Status` is wanted.
    pub no_resp: bool,
    /// The receiver keeps a copy of what is deleted.
    pub archive: bool,
    /// Deleted on the device only.
    pub sft_del: bool,
    /// Credentials.
    pub cred: Option<Box<Cred>>,
    /// For every item that has none of its own.
    pub meta: Option<Box<Meta>>,
    /// The objects.
    pub items: Vec<Item>,
    /// Unknown children.
    pub extra: Extra,
}

/// `Alert`: `CmdID, NoResp?, Cred?, Data?, Correlator?, Item*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Alert {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// No `Status` is wanted.
    pub no_resp: bool,
    /// Credentials.
    pub cred: Option<Box<Cred>>,
    /// What the alert says.
    pub code: Option<AlertCode>,
    /// Ties an answer to an `Exec` (1.2).
    pub correlator: Option<Box<str>>,
    /// One per datastore.
    pub items: Vec<Item>,
    /// Unknown children.
    pub extra: Extra,
}

/// `Sync`: `CmdID, NoResp?, Cred?, Target?, Source?, Meta?, NumberOfChanges?`, then commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Sync {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// No `Status` is wanted.
    pub no_resp: bool,
    /// Credentials.
    pub cred: Option<Box<Cred>>,
    /// The receiver's datastore.
    pub target: Option<Target>,
    /// The sender's datastore.
    pub source: Option<Source>,
    /// Free memory.
    pub meta: Option<Box<Meta>>,
    /// How many changes follow, in all messages: a hint (1.1).
    pub number_of_changes: Option<u32>,
    /// The changes of this message.
    pub commands: Vec<Command>,
    /// Unknown children that are no commands.
    pub extra: Extra,
}

/// `Atomic`, `Sequence`: `CmdID, NoResp?, Meta?`, then commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Nest {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// No `Status` is wanted.
    pub no_resp: bool,
    /// Meta-information.
    pub meta: Option<Box<Meta>>,
    /// The commands in it.
    pub commands: Vec<Command>,
    /// Unknown children that are no commands.
    pub extra: Extra,
}

/// `Exec`: `CmdID, NoResp?, Cred?, Meta?, Correlator?, Item`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Exec {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// No `Status` is wanted.
    pub no_resp: bool,
    /// Credentials.
    pub cred: Option<Box<Cred>>,
    /// Meta-information.
    pub meta: Option<Box<Meta>>,
    /// Comes back in the alert that tells the outcome (1.2).
    pub correlator: Option<Box<str>>,
    /// What to run; exactly one by the specification, more are kept.
    pub items: Vec<Item>,
    /// Unknown children.
    pub extra: Extra,
}

/// `Get`: `CmdID, NoResp?, Lang?, Cred?, Meta?, Item+`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Get {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// No `Status` is wanted.
    pub no_resp: bool,
    /// Wanted language.
    pub lang: Option<Box<str>>,
    /// Credentials.
    pub cred: Option<Box<Cred>>,
    /// Wanted type.
    pub meta: Option<Box<Meta>>,
    /// What to read.
    pub items: Vec<Item>,
    /// Unknown children.
    pub extra: Extra,
}

/// `Put`: same shape as [`Get`].
pub type Put = Get;

/// `Results`: `CmdID, MsgRef?, CmdRef, Meta?, TargetRef?, SourceRef?, Item+`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Results {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// `MsgID` of the message that asked.
    pub msg_ref: Option<u32>,
    /// `CmdID` of the command that asked.
    pub cmd_ref: u32,
    /// Type of the items.
    pub meta: Option<Box<Meta>>,
    /// What was asked.
    pub target_ref: Option<Box<str>>,
    /// What was asked.
    pub source_ref: Option<Box<str>>,
    /// The answer.
    pub items: Vec<Item>,
    /// Unknown children.
    pub extra: Extra,
}

/// `Map`: `CmdID, Target, Source, Cred?, Meta?, MapItem+`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Map {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// The server's datastore.
    pub target: Target,
    /// The client's datastore.
    pub source: Source,
    /// Credentials.
    pub cred: Option<Box<Cred>>,
    /// Meta-information.
    pub meta: Option<Box<Meta>>,
    /// The pairs.
    pub items: Vec<MapItem>,
    /// Unknown children.
    pub extra: Extra,
}

/// One pair of a [`Map`]: GUID (or temporary id) and LUID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MapItem {
    /// The id under which the server offered the object.
    pub target: Target,
    /// The LUID that the client gave it.
    pub source: Source,
    /// Unknown children.
    pub extra: Extra,
}

/// `Search`: `CmdID, NoResp?, NoResults?, Cred?, Target?, Source+, Lang?, Meta, Data`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Search {
    /// Unique in its message, from 1.
    pub cmd_id: u32,
    /// No `Status` is wanted.
    pub no_resp: bool,
    /// No `Results` are wanted.
    pub no_results: bool,
    /// Credentials.
    pub cred: Option<Box<Cred>>,
    /// Where the results go.
    pub target: Option<Target>,
    /// Where to look.
    pub sources: Vec<Source>,
    /// Wanted language.
    pub lang: Option<Box<str>>,
    /// Grammar of the query.
    pub meta: Option<Box<Meta>>,
    /// The query.
    pub data: Option<Data>,
    /// Unknown children.
    pub extra: Extra,
}

impl Alert {
    /// An alert without items.
    pub fn new(cmd_id: u32, code: AlertCode) -> Self {
        Alert { cmd_id, code: Some(code), ..Alert::default() }
    }
}

impl Command {
    /// Its name.
    pub fn name(&self) -> CommandName {
        match self {
            Command::Add(_) => CommandName::Add,
            Command::Alert(_) => CommandName::Alert,
            Command::Atomic(_) => CommandName::Atomic,
            Command::Copy(_) => CommandName::Copy,
            Command::Delete(_) => CommandName::Delete,
            Command::Exec(_) => CommandName::Exec,
            Command::Get(_) => CommandName::Get,
            Command::Map(_) => CommandName::Map,
            Command::Move(_) => CommandName::Move,
            Command::Put(_) => CommandName::Put,
            Command::Replace(_) => CommandName::Replace,
            Command::Results(_) => CommandName::Results,
            Command::Search(_) => CommandName::Search,
            Command::Sequence(_) => CommandName::Sequence,
            Command::Status(_) => CommandName::Status,
            Command::Sync(_) => CommandName::Sync,
            Command::Unknown(element) => match &element.name {
                super::Name::Text(text) => CommandName::Other(text.clone()),
                super::Name::Token(token) => CommandName::Other(format!("0x{token:02X}").into()),
            },
        }
    }

    /// Its `CmdID`; 0 for an unknown command.
    pub fn cmd_id(&self) -> u32 {
        match self {
            Command::Add(c)
            | Command::Copy(c)
            | Command::Delete(c)
            | Command::Move(c)
            | Command::Replace(c) => c.cmd_id,
            Command::Alert(c) => c.cmd_id,
            Command::Atomic(c) | Command::Sequence(c) => c.cmd_id,
            Command::Exec(c) => c.cmd_id,
            Command::Get(c) | Command::Put(c) => c.cmd_id,
            Command::Map(c) => c.cmd_id,
            Command::Results(c) => c.cmd_id,
            Command::Search(c) => c.cmd_id,
            Command::Status(c) => c.cmd_id,
            Command::Sync(c) => c.cmd_id,
            Command::Unknown(_) => 0,
        }
    }

    /// The commands in it, if it can hold any.
    pub fn nested(&self) -> Option<&Vec<Command>> {
        match self {
            Command::Sync(c) => Some(&c.commands),
            Command::Atomic(c) | Command::Sequence(c) => Some(&c.commands),
            _ => None,
        }
    }

    /// Its own credentials, if it carries any.
    pub fn cred(&self) -> Option<&Cred> {
        match self {
            Command::Add(c)
            | Command::Copy(c)
            | Command::Delete(c)
            | Command::Move(c)
            | Command::Replace(c) => c.cred.as_deref(),
            Command::Alert(c) => c.cred.as_deref(),
            Command::Exec(c) => c.cred.as_deref(),
            Command::Get(c) | Command::Put(c) => c.cred.as_deref(),
            Command::Map(c) => c.cred.as_deref(),
            Command::Search(c) => c.cred.as_deref(),
            Command::Sync(c) => c.cred.as_deref(),
            Command::Atomic(_)
            | Command::Sequence(_)
            | Command::Results(_)
            | Command::Status(_)
            | Command::Unknown(_) => None,
        }
    }
}
