//! What both sides of a session keep between messages.

use super::object::{IncomingObject, OutgoingObject};
use super::owed::{Echo, Owed};
use super::proof::Proof;
use super::suspend::HalfObject;
use crate::model::{Encoding, Version};
use serde::{Deserialize, Serialize};

/// Largest session value in octets. It holds no payload.
pub const MAX_SESSION_BYTES: usize = 64 * 1024;

/// Commands that may await their status at once.
pub const MAX_SENT: usize = 512;

/// Messages without progress after which a session is given up.
pub const MAX_IDLE: u8 = 10;

/// A step of a session; each side's last message of it carries `Final`.
///
/// # Spec
/// SyncML session facts, section 1: packages 1 to 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Package {
    /// Packages 1 and 2: login, device information, alerts.
    Alerts,
    /// Package 3 and, after it, package 4: the changes of both sides.
    Changes,
    /// Packages 5 and 6: statuses and maps.
    Maps,
    /// Nothing more is expected.
    Over,
}

/// The part of a session value that both sides have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) encoding: Encoding,
    pub(crate) version: Version,
    pub(crate) session_id: Box<str>,
    /// How we name ourselves in `Source`.
    pub(crate) our_uri: Box<str>,
    /// The user name, on the client's side.
    pub(crate) our_name: Option<Box<str>>,
    /// How we name the peer in `Target`.
    pub(crate) peer_uri: Box<str>,
    pub(crate) package: Package,
    /// `MsgID` of our last message; 0 before the first.
    pub(crate) our_msg: u32,
    /// `MsgID` of the peer's last message; 0 before the first.
    pub(crate) peer_msg: u32,
    /// The peer's last message carried `Final`.
    pub(crate) peer_final: bool,
    pub(crate) peer_max_msg: Option<u32>,
    pub(crate) peer_max_obj: Option<u64>,
    pub(crate) owed: Vec<Owed>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) incoming: Option<IncomingObject>,
    pub(crate) outgoing: Option<OutgoingObject>,
    pub(crate) idle: u8,
    /// Written behind the rest: format 1 has none of it.
    #[serde(skip)]
    pub(crate) more: More,
}

/// What format 2 of a session value added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct More {
    /// Either side said Alert 224.
    pub(crate) suspended: bool,
    /// It goes on with what an earlier session left.
    pub(crate) resumed: bool,
    /// More of `incoming`.
    pub(crate) half: Option<HalfObject>,
    /// Octets of `outgoing` for which the peer has answered.
    pub(crate) answered: u64,
    /// Anchors that owed statuses echo.
    pub(crate) echoes: Vec<Echo>,
    /// Statuses of Alert 222 that wait until there is room besides our own commands.
    pub(crate) late: Vec<Owed>,
    /// When it began, seconds since 1970; 0 where nobody knows.
    pub(crate) began: u64,
    /// When the last message came.
    pub(crate) heard: u64,
    /// The peer proves every message.
    pub(crate) proved: bool,
    /// A server's own login at the client.
    pub(crate) proof: Option<Proof>,
    /// A client's check of the server has succeeded for the session.
    pub(crate) peer_known: bool,
    /// The server has been challenged.
    pub(crate) peer_challenged: bool,
}

/// A command of ours that awaits its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) msg_id: u32,
    pub(crate) cmd_id: u32,
    /// What the caller wants to be reminded of.
    pub(crate) tag: Vec<u8>,
}

impl Link {
    /// Octets of the message to be written now: the peer's limit; `ours` where it states none.
    pub(crate) fn limit(&self, ours: u32) -> usize {
        let wanted = self.peer_max_msg.unwrap_or_else(|| ours.max(UNSTATED));
        wanted.clamp(super::MIN_MSG_SIZE, LARGEST) as usize
    }
}

/// Octets that a peer takes that states no `MaxMsgSize`.
const UNSTATED: u32 = 16 * 1024;

/// Octets of the largest message we write, whatever a peer takes.
const LARGEST: u32 = 1024 * 1024;
