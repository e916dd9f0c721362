//! What can go wrong. After any error here nothing has changed.

use crate::{Guid, Luid};

/// Why a text is no LUID, GUID or temporary id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// It has no octets.
    #[error("{what} is empty")]
    Empty {
        /// `LUID`, `GUID` or `temporary id`.
        what: &'static str,
    },
    /// It is too long.
    #[error("{what} of {len} octets, limit {limit}")]
    TooLong {
        /// `LUID`, `GUID` or `temporary id`.
        what: &'static str,
        /// Its length in octets.
        len: usize,
        /// The most octets allowed.
        limit: usize,
    },
    /// It holds a control character.
    #[error("{what} has a control character at octet {at}")]
    Control {
        /// `LUID`, `GUID` or `temporary id`.
        what: &'static str,
        /// Where, in octets from its start.
        at: usize,
    },
}

/// Why an operation was refused. The map is unchanged, whichever it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// Violation: the client maps an id that was not offered to it, or no longer is.
    #[error("id {wire:?} was not offered in generation {generation}")]
    NotOffered {
        /// The generation asked.
        generation: u32,
        /// The id that the client sent back, cut to 64 characters.
        wire: Box<str>,
    },
    /// Violation: the LUID is bound to another GUID.
    #[error("LUID {luid} is bound to GUID {guid}")]
    LuidBound {
        /// The LUID asked for.
        luid: Luid,
        /// The GUID that has it.
        guid: Guid,
    },
    /// The GUID is bound to another LUID (violation, from [`bind`](crate::bind) and
    /// [`adopt`](crate::adopt)), or bound at all (misuse, from [`offer`](crate::offer): the client
    /// has the item, so it takes a Replace).
    #[error("GUID {guid} is bound to LUID {luid}")]
    GuidBound {
        /// The GUID asked for.
        guid: Guid,
        /// The LUID that it has.
        luid: Luid,
    },
    /// Misuse: the view has no entry of this GUID.
    #[error("GUID {guid} has no entry in generation {generation}")]
    NoEntry {
        /// The generation asked.
        generation: u32,
        /// The GUID asked for.
        guid: Guid,
    },
    /// Unsupported: the GUID is longer than the client takes, and so would be a temporary id.
    #[error("MaxGUIDSize {max}, limit at least {least} octets for a temporary id")]
    MaxGuidSize {
        /// What the client states, in octets.
        max: usize,
        /// The shortest temporary id, in octets.
        least: usize,
    },
    /// Misuse: every temporary id that this `unique` leads to is in use; call again with another.
    #[error("all {tried} temporary ids of unique {unique} are in use")]
    TempIdsInUse {
        /// The number given.
        unique: u64,
        /// How many ids were tried.
        tried: u32,
    },
}

impl MapError {
    /// Whether the peer broke a rule (it gets an error status), rather than our own caller.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::NotOffered { .. } | Self::LuidBound { .. } | Self::GuidBound { .. })
    }
}
