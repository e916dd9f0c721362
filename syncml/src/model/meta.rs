//! Meta-information, credentials and challenges.

use super::{Anchor, Extra};
use bytes::Bytes;

/// MetInf: what is said about a command, an item or a message.
///
/// # Shape
/// `FieldLevel?, Format?, Type?, Mark?, Size?, Anchor?, Version?, NextNonce?, MaxMsgSize?, MaxObjSize?, EMI*, Mem?`
/// # Spec
/// SyncML Meta-Information DTD 1.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Meta {
    /// Data holds only the changed fields (1.2).
    pub field_level: bool,
    /// `chr` (the default), `b64`, `bin`, `bool`, `int`, `node`, `null`, `xml`.
    pub format: Option<Box<str>>,
    /// A media type or an authentication scheme.
    pub type_: Option<Box<str>>,
    /// `draft`, `final`, `read`, ...: a hint.
    pub mark: Option<Box<str>>,
    /// Octets of the whole object, as the concatenated `Data` shows it.
    pub size: Option<u64>,
    /// Sync anchors.
    pub anchor: Option<Box<Anchor>>,
    /// Version of the type.
    pub version: Option<Box<str>>,
    /// The nonce for the next digest, decoded (never its base64 text).
    pub next_nonce: Option<Bytes>,
    /// Octets of the largest message that the sender takes.
    pub max_msg_size: Option<u64>,
    /// Octets of the largest object that the sender takes.
    pub max_obj_size: Option<u64>,
    /// Experimental meta-information.
    pub emi: Vec<Box<str>>,
    /// Memory of a datastore.
    pub mem: Option<Box<Mem>>,
    /// Unknown children.
    pub extra: Extra,
}

/// Free memory of a datastore: `SharedMem?, FreeMem, FreeID`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Mem {
    /// The memory is shared with other datastores.
    pub shared_mem: bool,
    /// Free octets.
    pub free_mem: u64,
    /// Free item ids.
    pub free_id: u64,
    /// Unknown children.
    pub extra: Extra,
}

/// Credentials: `Meta?, Data`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Cred {
    /// Scheme (`Type`) and `Format`.
    pub meta: Option<Box<Meta>>,
    /// Base64 text, or raw digest octets.
    pub data: Bytes,
    /// Unknown children.
    pub extra: Extra,
}

/// A challenge: `Meta` with `Type`, `Format` and `NextNonce`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Chal {
    /// Scheme, format and nonce.
    pub meta: Meta,
    /// Unknown children.
    pub extra: Extra,
}
