//! The one message model behind both spellings.
//!
//! A [`Message`] is a [`SyncHdr`] and a list of [`Command`]s. XML and WBXML are two spellings of it, so
//! nothing here knows how it is written. Children are kept in the canonical order of the representation
//! protocol; what the tables do not know is kept in `extra` and written back after the known children.

mod anchor;
mod code;
mod command;
mod data;
mod devinf;
mod element;
mod hdr;
mod meta;
mod status;
mod version;

pub use anchor::Anchor;
pub use code::{AlertCode, StatusCode};
pub use command::{
    Alert, Change, Command, CommandName, Exec, Get, Map, MapItem, Nest, Put, Results, Search, Sync,
};
pub use data::{Data, Field, Filter, Item, Record};
pub use devinf::{
    CtCap, CtCapEntry, CtType, DataStore, DevInf, DsMem, Ext, FilterCap, FlatCtCap, PropParam, Property,
    SyncCap,
};
pub use element::{Element, Extra, Name, Node, Page};
pub use hdr::{Source, SyncHdr, Target};
pub use meta::{Chal, Cred, Mem, Meta};
pub use status::Status;
pub use version::{Encoding, Version};

/// One SyncML message: what one HTTP request or response carries.
///
/// # Shape
/// A header, commands in order, and `Final` when this is the last message of its package.
/// # Spec
/// SyncML Representation Protocol 1.2, `SyncML`, `SyncBody`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Message {
    /// Who talks to whom, in which session.
    pub hdr: SyncHdr,
    /// The commands of the body, in order.
    pub commands: Vec<Command>,
    /// Whether this message ends its package.
    pub is_final: bool,
    /// Children of `SyncML` and `SyncBody` that the tables do not know.
    pub extra: Extra,
}

impl Message {
    /// A message without commands.
    pub fn new(hdr: SyncHdr) -> Self {
        Message { hdr, commands: Vec::new(), is_final: false, extra: Extra::default() }
    }
}
