//! One row of the map, and one change of a row.

use crate::{Guid, Luid, TempId};

/// The id under which an item was offered to the client, and which its Map brings back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Wire {
    /// The GUID itself.
    #[default]
    Guid,
    /// A temporary id, because the client does not take GUIDs of this length.
    Temp(TempId),
}

impl Wire {
    /// The text to send: `guid` is that of the entry.
    #[must_use]
    pub fn as_str<'a>(&'a self, guid: &'a Guid) -> &'a str {
        match self {
            Self::Guid => guid.as_str(),
            Self::Temp(id) => id.as_str(),
        }
    }

    /// The temporary id, if it is one.
    #[must_use]
    pub fn temp(&self) -> Option<&TempId> {
        match self {
            Self::Guid => None,
            Self::Temp(id) => Some(id),
        }
    }
}

/// How far the client has come with an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// Offered to the client and not mapped yet; kept across sessions.
    Pending {
        /// The id that was sent.
        wire: Wire,
    },
    /// The client has it.
    Bound {
        /// Under this LUID.
        luid: Luid,
        /// The id under which it was offered, kept so that a repeated Map is answered as the first;
        /// [`Wire::Guid`] as well when it was never offered.
        wire: Wire,
    },
}

/// What is known of one item on one device: a row of the map.
///
/// In one generation every GUID, every LUID and every temporary id occurs at most once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry {
    /// The server's id.
    pub guid: Guid,
    /// Pending or bound.
    pub state: State,
    /// The map generation that it belongs to; a slow sync fills a new one.
    pub generation: u32,
    /// The item revision that the device is known to hold; while pending, the one offered.
    pub seen_rev: u64,
    /// Which part of the item it holds: opaque here, 0 = whole.
    pub form: u32,
}

impl Entry {
    /// The client's id, once bound.
    #[must_use]
    pub fn luid(&self) -> Option<&Luid> {
        match &self.state {
            State::Pending { .. } => None,
            State::Bound { luid, .. } => Some(luid),
        }
    }

    /// How it was, or would have been, offered.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        match &self.state {
            State::Pending { wire } | State::Bound { wire, .. } => wire,
        }
    }

    /// The id that a MapItem names it by: the temporary id if it has one, else the GUID.
    #[must_use]
    pub fn wire_id(&self) -> &str {
        self.wire().as_str(&self.guid)
    }
}

/// One row change. Operations return them; a store applies them in order.
///
/// Applying a sequence again, from its start, gives the same rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Record {
    /// Insert the row, or replace the one of the same generation and GUID.
    Put(Entry),
    /// Delete the row, if there is one.
    Remove {
        /// The generation of the row.
        generation: u32,
        /// The GUID of the row.
        guid: Guid,
    },
    /// Delete the rows of every other generation.
    KeepOnly {
        /// The generation that stays.
        generation: u32,
    },
}
