//! Errors of the codec.

use super::{CommandId, CommandStatus, SequenceNumber};

/// Why a PDU's body could not be read. The PDU is lost, the link is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("smpp: {command_id:?} {}: {field}: {kind} at byte {offset}", sequence_number.0)]
#[non_exhaustive]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The PDU's command.
    pub command_id: CommandId,
    /// The PDU's number.
    pub sequence_number: SequenceNumber,
    /// Octets from the start of the PDU, header included.
    pub offset: usize,
    /// The field that was read, by its name in the standard.
    pub field: &'static str,
    /// What to answer, in the request's own response if it has one.
    pub status: CommandStatus,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// Malformed: the body ends inside the field.
    #[error("cut short")]
    Truncated,
    /// Malformed: no NUL where the string must have ended.
    #[error("string without its end")]
    NoNul,
    /// Malformed: a string longer than the standard allows.
    #[error("string too long")]
    TooLong,
    /// Violation: a time is neither empty nor 16 characters.
    #[error("no time")]
    BadTime,
    /// Violation: a length or number that the standard does not allow.
    #[error("value {0} not allowed")]
    BadValue(u32),
    /// Malformed: octets after the last field that are no TLVs.
    #[error("leftover octets")]
    Leftover,
    /// Malformed: a TLV reaches past the end.
    #[error("TLV past the end")]
    TlvPastEnd,
    /// Violation: a TLV of another size than the standard's.
    #[error("TLV of the wrong size")]
    TlvSize,
    /// Violation: TLVs on a PDU that has none.
    #[error("TLV not allowed")]
    TlvNotAllowed,
    /// More TLVs than the limit.
    #[error("too many TLVs, limit {0}")]
    TooManyTlvs(usize),
    /// Violation: `short_message` and `message_payload` at once.
    #[error("two texts")]
    TwoTexts,
    /// Violation: a response without its body.
    #[error("no body")]
    MissingBody,
    /// Unsupported: we do not know this command.
    #[error("unknown command")]
    UnknownCommand,
}

/// Where a stream stopped being PDUs: the link is over, as the next boundary is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("smpp: command_length {length} not in 16..={limit}")]
#[non_exhaustive]
pub struct FrameError {
    /// The length met.
    pub length: u32,
    /// The longest PDU taken.
    pub limit: usize,
    /// The number to answer with `generic_nack` and RINVCMDLEN, if it was already there.
    pub sequence_number: Option<SequenceNumber>,
}

/// A value that no PDU can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Misuse: longer than the field.
    #[error("{octets} octets, the field takes {max}")]
    TooLong {
        /// Octets given.
        octets: usize,
        /// Octets that fit, without NUL.
        max: usize,
    },
    /// Misuse: NUL ends a string.
    #[error("NUL inside a string")]
    Nul,
    /// Misuse: not `YYMMDDhhmmsstnnp`.
    #[error("no time")]
    BadTime,
    /// Misuse: no room for another TLV, destination or error.
    #[error("too many, the field counts to {max}")]
    TooMany {
        /// The most that it counts to.
        max: usize,
    },
}
