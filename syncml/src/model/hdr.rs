//! The message header.

use super::{Cred, Extra, Filter, Meta, Version};

/// The header of a message.
///
/// # Shape
/// `VerDTD, VerProto, SessionID, MsgID, Target, Source, RespURI?, NoResp?, Cred?, Meta?`
/// # Spec
/// SyncML Representation Protocol 1.2, `SyncHdr`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SyncHdr {
    /// `1.0`, `1.1`, `1.2`, or what the peer wrote.
    pub ver_dtd: Box<str>,
    /// `SyncML/1.2`, `DM/1.2`, ...
    pub ver_proto: Box<str>,
    /// The client's label of the session; opaque text.
    pub session_id: Box<str>,
    /// 1 for the first message of each side.
    pub msg_id: u32,
    /// Whom the message is for.
    pub target: Target,
    /// Whom it comes from; `LocName` carries the user name.
    pub source: Source,
    /// Where the peer must send the next message of the session.
    pub resp_uri: Option<Box<str>>,
    /// No `Status` is wanted for anything in the message.
    pub no_resp: bool,
    /// Credentials.
    pub cred: Option<Box<Cred>>,
    /// `MaxMsgSize`, `MaxObjSize`.
    pub meta: Option<Box<Meta>>,
    /// Unknown children.
    pub extra: Extra,
}

impl SyncHdr {
    /// A header of a data synchronisation message.
    pub fn new(version: Version, session_id: &str, msg_id: u32, target: Target, source: Source) -> Self {
        SyncHdr {
            ver_dtd: version.ver_dtd().into(),
            ver_proto: version.ver_proto().into(),
            session_id: session_id.into(),
            msg_id,
            target,
            source,
            resp_uri: None,
            no_resp: false,
            cred: None,
            meta: None,
            extra: None,
        }
    }
}

/// Where something goes to: `LocURI, LocName?, Filter?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Target {
    /// The address: a URL, a datastore path, a LUID or a GUID.
    pub loc_uri: Box<str>,
    /// A display name.
    pub loc_name: Option<Box<str>>,
    /// What part of a datastore is meant (1.2).
    pub filter: Option<Box<Filter>>,
    /// Unknown children.
    pub extra: Extra,
}

/// Where something comes from: `LocURI, LocName?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Source {
    /// The address: a URL, a device id, a datastore path, a LUID or a GUID.
    pub loc_uri: Box<str>,
    /// A display name; in a header the user name.
    pub loc_name: Option<Box<str>>,
    /// Unknown children.
    pub extra: Extra,
}

impl Target {
    /// A target without name and filter.
    pub fn new(loc_uri: &str) -> Self {
        Target { loc_uri: loc_uri.into(), ..Target::default() }
    }
}

impl Source {
    /// A source without name.
    pub fn new(loc_uri: &str) -> Self {
        Source { loc_uri: loc_uri.into(), ..Source::default() }
    }
}
