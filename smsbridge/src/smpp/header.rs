//! What every PDU begins with.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::CommandStatus;
use super::codes::codes;

codes! {
    /// `command_id`: what a PDU asks for or answers.
    ///
    /// # Spec
    /// SMPP v3.4 §5.1.2.1, v5.0 §4.7.5; the last six from v3.3
    CommandId(u32, "8") {
        GENERIC_NACK = 0x8000_0000 "refuses what has no response of its own",
        BIND_RECEIVER = 0x0000_0001 "opens a link for receiving",
        BIND_RECEIVER_RESP = 0x8000_0001 "answers `bind_receiver`",
        BIND_TRANSMITTER = 0x0000_0002 "opens a link for sending",
        BIND_TRANSMITTER_RESP = 0x8000_0002 "answers `bind_transmitter`",
        QUERY_SM = 0x0000_0003 "asks for a message's state",
        QUERY_SM_RESP = 0x8000_0003 "answers `query_sm`",
        SUBMIT_SM = 0x0000_0004 "hands a message to the centre",
        SUBMIT_SM_RESP = 0x8000_0004 "answers `submit_sm`",
        DELIVER_SM = 0x0000_0005 "hands a message to the ESME",
        DELIVER_SM_RESP = 0x8000_0005 "answers `deliver_sm`",
        UNBIND = 0x0000_0006 "ends the session",
        UNBIND_RESP = 0x8000_0006 "answers `unbind`",
        REPLACE_SM = 0x0000_0007 "replaces a waiting message",
        REPLACE_SM_RESP = 0x8000_0007 "answers `replace_sm`",
        CANCEL_SM = 0x0000_0008 "takes back a waiting message",
        CANCEL_SM_RESP = 0x8000_0008 "answers `cancel_sm`",
        BIND_TRANSCEIVER = 0x0000_0009 "opens a link for both",
        BIND_TRANSCEIVER_RESP = 0x8000_0009 "answers `bind_transceiver`",
        OUTBIND = 0x0000_000B "the centre asks the ESME to bind",
        ENQUIRE_LINK = 0x0000_0015 "asks whether the peer is there",
        ENQUIRE_LINK_RESP = 0x8000_0015 "answers `enquire_link`",
        SUBMIT_MULTI = 0x0000_0021 "hands over a message for several",
        SUBMIT_MULTI_RESP = 0x8000_0021 "answers `submit_multi`",
        ALERT_NOTIFICATION = 0x0000_0102 "a phone is reachable again",
        DATA_SM = 0x0000_0103 "hands over a message, both ways",
        DATA_SM_RESP = 0x8000_0103 "answers `data_sm`",
        BROADCAST_SM = 0x0000_0111 "hands over a cell broadcast",
        BROADCAST_SM_RESP = 0x8000_0111 "answers `broadcast_sm`",
        QUERY_BROADCAST_SM = 0x0000_0112 "asks for a broadcast's state",
        QUERY_BROADCAST_SM_RESP = 0x8000_0112 "answers `query_broadcast_sm`",
        CANCEL_BROADCAST_SM = 0x0000_0113 "takes back a broadcast",
        CANCEL_BROADCAST_SM_RESP = 0x8000_0113 "answers `cancel_broadcast_sm`",
        PARAM_RETRIEVE = 0x0000_0022 "asks for a setting (3.3 only)",
        PARAM_RETRIEVE_RESP = 0x8000_0022 "answers `param_retrieve`",
        QUERY_LAST_MSGS = 0x0000_0023 "asks for the last messages (3.3 only)",
        QUERY_LAST_MSGS_RESP = 0x8000_0023 "answers `query_last_msgs`",
        QUERY_MSG_DETAILS = 0x0000_0024 "asks for a whole message (3.3 only)",
        QUERY_MSG_DETAILS_RESP = 0x8000_0024 "answers `query_msg_details`",
    }
}

impl CommandId {
    const RESPONSE: u32 = 0x8000_0000;

    /// True for `generic_nack` and every `*_resp`.
    pub fn is_response(self) -> bool {
        self.0 & Self::RESPONSE != 0
    }

    /// The response that answers this request; `generic_nack` for requests that have none.
    pub fn response(self) -> CommandId {
        match self {
            CommandId::OUTBIND | CommandId::ALERT_NOTIFICATION => CommandId::GENERIC_NACK,
            known if known.name().is_some() => CommandId(known.0 | Self::RESPONSE),
            _ => CommandId::GENERIC_NACK,
        }
    }

    /// True if this request is answered at all.
    pub fn expects_response(self) -> bool {
        !self.is_response() && !matches!(self, CommandId::OUTBIND | CommandId::ALERT_NOTIFICATION)
    }

    /// The wire name, like `submit_sm`; `None` for what we do not know.
    pub fn wire_name(self) -> Option<String> {
        self.name().map(str::to_ascii_lowercase)
    }
}

/// `sequence_number`: chosen by the requester, repeated in the response.
///
/// # Shape
/// 1 to 0x7FFFFFFF by the standard; others are met and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceNumber(pub u32);

impl SequenceNumber {
    /// The number after this one; 1 after the last.
    pub fn next(self) -> SequenceNumber {
        if self.0 >= 0x7FFF_FFFF { SequenceNumber(1) } else { SequenceNumber(self.0.saturating_add(1)) }
    }

    /// True if the standard allows it.
    pub fn is_standard(self) -> bool {
        (1..=0x7FFF_FFFF).contains(&self.0)
    }
}

/// Octets of a header.
pub(super) const HEADER: usize = 16;

/// A header as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) command_length: u32,
    pub(super) command_id: CommandId,
    pub(super) command_status: CommandStatus,
    pub(super) sequence_number: SequenceNumber,
}

impl Header {
    /// Reads the first 16 octets; `None` if there are fewer.
    pub(super) fn read(octets: &[u8]) -> Option<Header> {
        use nom::Parser;
        use nom::number::complete::be_u32;
        let mut parser = (be_u32::<&[u8], nom::error::Error<&[u8]>>, be_u32, be_u32, be_u32);
        let (_, (length, id, status, sequence)) = parser.parse(octets).ok()?;
        Some(Header {
            command_length: length,
            command_id: CommandId(id),
            command_status: CommandStatus(status),
            sequence_number: SequenceNumber(sequence),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses() {
        assert_eq!(CommandId::SUBMIT_SM.response(), CommandId::SUBMIT_SM_RESP);
        assert_eq!(CommandId::OUTBIND.response(), CommandId::GENERIC_NACK);
        assert_eq!(CommandId(0x0001_0200).response(), CommandId::GENERIC_NACK);
        assert_eq!(format!("{:?} {:?}", CommandId::DATA_SM, CommandId(0x1_0200)), "DATA_SM 0x00010200");
    }

    #[test]
    fn sequence_numbers_wrap_to_one() {
        assert_eq!(SequenceNumber(0x7FFF_FFFF).next(), SequenceNumber(1));
        assert_eq!(SequenceNumber(0xFFFF_FFFF).next(), SequenceNumber(1));
        assert_eq!(SequenceNumber(0).next(), SequenceNumber(1));
    }
}
