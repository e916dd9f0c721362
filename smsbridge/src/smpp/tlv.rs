//! Optional parameters: tag, length, value.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::codes::codes;
use super::field::FieldError;
use super::{CommandStatus, DecodeErrorKind, MessageState, Quirks, ValueError};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fmt;

codes! {
    /// A TLV's tag. Vendors have 0x1400 to 0x3FFF.
    ///
    /// # Spec
    /// SMPP v3.4 §5.3.2, v5.0 §4.8.1
    Tag(u16, "4") {
        DEST_ADDR_SUBUNIT = 0x0005 "subunit at the destination; 1 is the display",
        DEST_NETWORK_TYPE = 0x0006 "network of the destination",
        DEST_BEARER_TYPE = 0x0007 "bearer at the destination",
        DEST_TELEMATICS_ID = 0x0008 "telematics id at the destination",
        SOURCE_ADDR_SUBUNIT = 0x000D "subunit at the source",
        SOURCE_NETWORK_TYPE = 0x000E "network of the source",
        SOURCE_BEARER_TYPE = 0x000F "bearer at the source",
        SOURCE_TELEMATICS_ID = 0x0010 "telematics id at the source",
        QOS_TIME_TO_LIVE = 0x0017 "seconds to keep the message",
        PAYLOAD_TYPE = 0x0019 "WDP or WCMP",
        ADDITIONAL_STATUS_INFO_TEXT = 0x001D "words about a status",
        RECEIPTED_MESSAGE_ID = 0x001E "the message that a receipt is about",
        MS_MSG_WAIT_FACILITIES = 0x0030 "message waiting indication",
        PRIVACY_INDICATOR = 0x0201 "privacy level",
        SOURCE_SUBADDRESS = 0x0202 "subaddress of the source",
        DEST_SUBADDRESS = 0x0203 "subaddress of the destination",
        USER_MESSAGE_REFERENCE = 0x0204 "the ESME's own number",
        USER_RESPONSE_CODE = 0x0205 "a user's answer",
        SOURCE_PORT = 0x020A "port of the source",
        DESTINATION_PORT = 0x020B "port of the destination",
        SAR_MSG_REF_NUM = 0x020C "reference of a split message",
        LANGUAGE_INDICATOR = 0x020D "language",
        SAR_TOTAL_SEGMENTS = 0x020E "parts of a split message",
        SAR_SEGMENT_SEQNUM = 0x020F "which part this is, from 1",
        SC_INTERFACE_VERSION = 0x0210 "version that the centre speaks",
        CALLBACK_NUM_PRES_IND = 0x0302 "how to show the callback number",
        CALLBACK_NUM_ATAG = 0x0303 "words for the callback number",
        NUMBER_OF_MESSAGES = 0x0304 "messages waiting",
        CALLBACK_NUM = 0x0381 "callback number",
        DPF_RESULT = 0x0420 "delivery pending flag was set",
        SET_DPF = 0x0421 "set the delivery pending flag",
        MS_AVAILABILITY_STATUS = 0x0422 "whether the phone is reachable",
        NETWORK_ERROR_CODE = 0x0423 "the network's own error",
        MESSAGE_PAYLOAD = 0x0424 "text of any length",
        DELIVERY_FAILURE_REASON = 0x0425 "why delivery failed",
        MORE_MESSAGES_TO_SEND = 0x0426 "more follows for this phone",
        MESSAGE_STATE = 0x0427 "state of the receipted message",
        CONGESTION_STATE = 0x0428 "load of the peer, 0 to 100",
        USSD_SERVICE_OP = 0x0501 "USSD operation",
        BROADCAST_CHANNEL_INDICATOR = 0x0600 "basic or extended channel",
        BROADCAST_CONTENT_TYPE = 0x0601 "kind of broadcast",
        BROADCAST_CONTENT_TYPE_INFO = 0x0602 "words about the kind",
        BROADCAST_MESSAGE_CLASS = 0x0603 "class of broadcast",
        BROADCAST_REP_NUM = 0x0604 "how often",
        BROADCAST_FREQUENCY_INTERVAL = 0x0605 "how often, in time",
        BROADCAST_AREA_IDENTIFIER = 0x0606 "where",
        BROADCAST_ERROR_STATUS = 0x0607 "errors by area",
        BROADCAST_AREA_SUCCESS = 0x0608 "per cent of an area reached",
        BROADCAST_END_TIME = 0x0609 "until when",
        BROADCAST_SERVICE_GROUP = 0x060A "service group",
        BILLING_IDENTIFICATION = 0x060B "billing data",
        SOURCE_NETWORK_ID = 0x060D "network of the source",
        DEST_NETWORK_ID = 0x060E "network of the destination",
        SOURCE_NODE_ID = 0x060F "node of the source",
        DEST_NODE_ID = 0x0610 "node of the destination",
        DEST_ADDR_NP_RESOLUTION = 0x0611 "number portability looked up",
        DEST_ADDR_NP_INFORMATION = 0x0612 "number portability result",
        DEST_ADDR_NP_COUNTRY = 0x0613 "number portability country",
        DISPLAY_TIME = 0x1201 "how long to show",
        SMS_SIGNAL = 0x1203 "alert signal",
        MS_VALIDITY = 0x1204 "how long the phone keeps it",
        ALERT_ON_MESSAGE_DELIVERY = 0x130C "alert on delivery; no octets",
        ITS_REPLY_TYPE = 0x1380 "how to reply (Korean CDMA)",
        ITS_SESSION_INFO = 0x1383 "session (Korean CDMA)",
    }
}

impl Tag {
    /// Octets that the standards allow, least and most; `None` for tags that we do not know.
    pub fn sizes(self) -> Option<(usize, usize)> {
        Some(match self.0 {
            0x0005..=0x0007 | 0x000D..=0x0010 | 0x0019 | 0x0030 | 0x0201 | 0x0205 | 0x020D..=0x0210 => (1, 1),
            0x0302 | 0x0304 | 0x0420..=0x0422 | 0x0425..=0x0428 | 0x0501 | 0x0600 | 0x0603 | 0x0608 => (1, 1),
            0x060A => (1, 255),
            0x0611 | 0x1201 | 0x1380 => (1, 1),
            0x0008 | 0x0204 | 0x020A..=0x020C | 0x0604 | 0x1203 | 0x1383 => (2, 2),
            0x0017 | 0x0607 => (4, 4),
            0x001D => (1, 256),
            0x001E | 0x0303 | 0x060D | 0x060E => (1, 65),
            0x0202 | 0x0203 => (2, 23),
            0x0381 => (4, 19),
            0x0423 | 0x0601 | 0x0605 => (3, 3),
            0x0424 | 0x0602 | 0x0606 => (0, 0xFFFF),
            0x0609 => (16, 17),
            0x060B => (1, 1024),
            0x060F | 0x0610 => (6, 6),
            0x0612 => (10, 10),
            0x0613 => (1, 5),
            0x1204 => (1, 4),
            0x130C => (0, 1),
            _ => return None,
        })
    }
}

/// The TLVs of a PDU, as they came and in their order; unknown ones too.
///
/// Looking one up is a walk over the octets, so reading a PDU allocates nothing for them.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Tlvs(Bytes);

impl Tlvs {
    /// `octets` passed [`check`].
    pub(super) fn from_checked(octets: Bytes) -> Self {
        Tlvs(octets)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As on the wire.
    pub fn as_octets(&self) -> &[u8] {
        &self.0
    }

    /// Tags and values in order.
    pub fn iter(&self) -> Iter {
        Iter(self.0.clone())
    }

    /// The value of the first TLV with this tag.
    pub fn find(&self, tag: Tag) -> Option<Bytes> {
        let found = walk(&self.0).find(|(found, _)| *found == tag)?;
        Some(self.0.slice_ref(found.1))
    }

    /// A value of one octet.
    pub fn octet(&self, tag: Tag) -> Option<u8> {
        self.number(tag).and_then(|value| u8::try_from(value).ok())
    }

    /// A value of two octets.
    pub fn short(&self, tag: Tag) -> Option<u16> {
        self.number(tag).and_then(|value| u16::try_from(value).ok())
    }

    /// A number of one to four octets, whatever the standard says: peers disagree on sizes.
    pub fn number(&self, tag: Tag) -> Option<u32> {
        let (_, value) = walk(&self.0).find(|(found, _)| *found == tag)?;
        if value.is_empty() || value.len() > 4 {
            return None;
        }
        Some(value.iter().fold(0u32, |number, &octet| number << 8 | u32::from(octet)))
    }

    /// A string, its NUL taken off if there is one.
    pub fn text(&self, tag: Tag) -> Option<String> {
        let (_, value) = walk(&self.0).find(|(found, _)| *found == tag)?;
        let text = value.split(|&octet| octet == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// `message_payload`.
    pub fn message_payload(&self) -> Option<Bytes> {
        self.find(Tag::MESSAGE_PAYLOAD)
    }

    /// `receipted_message_id`.
    pub fn receipted_message_id(&self) -> Option<String> {
        self.text(Tag::RECEIPTED_MESSAGE_ID)
    }

    /// `message_state`.
    pub fn message_state(&self) -> Option<MessageState> {
        self.octet(Tag::MESSAGE_STATE).map(MessageState)
    }

    /// Reference, total and number of a part, if all three SAR TLVs are there.
    pub fn sar(&self) -> Option<(u16, u8, u8)> {
        let total = self.octet(Tag::SAR_TOTAL_SEGMENTS)?;
        Some((self.short(Tag::SAR_MSG_REF_NUM)?, total, self.octet(Tag::SAR_SEGMENT_SEQNUM)?))
    }

    /// Adds a TLV at the end.
    ///
    /// # Errors
    /// [`ValueError::TooLong`] above 65,535 octets.
    pub fn push(&mut self, tag: Tag, value: &[u8]) -> Result<(), ValueError> {
        let length = u16::try_from(value.len())
            .map_err(|_| ValueError::TooLong { octets: value.len(), max: usize::from(u16::MAX) })?;
        let old = std::mem::take(&mut self.0);
        let mut octets = old.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        octets.reserve(value.len().saturating_add(4));
        octets.put_u16(tag.0);
        octets.put_u16(length);
        octets.put_slice(value);
        self.0 = octets.freeze();
        Ok(())
    }
}

impl fmt::Debug for Tlvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // tags and sizes only: values may be message text
        f.debug_map().entries(walk(&self.0).map(|(tag, value)| (tag, value.len()))).finish()
    }
}

/// Goes over the TLVs of a PDU.
#[derive(Clone, Debug)]
pub struct Iter(Bytes);

impl Iterator for Iter {
    type Item = (Tag, Bytes);

    fn next(&mut self) -> Option<(Tag, Bytes)> {
        let (tag, value) = walk(&self.0).next()?;
        let value = self.0.slice_ref(value);
        self.0.advance(value.len().saturating_add(4).min(self.0.len()));
        Some((tag, value))
    }
}

fn walk(octets: &[u8]) -> impl Iterator<Item = (Tag, &[u8])> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (tag, value, after) = one(rest)?;
        rest = after;
        Some((tag, value))
    })
}

/// Tag, value and what follows; `None` if no whole TLV is there.
#[inline]
fn one(octets: &[u8]) -> Option<(Tag, &[u8], &[u8])> {
    let ([high, low, long, short], rest) = octets.split_first_chunk()?;
    let (value, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([*long, *short])))?;
    Some((Tag(u16::from_be_bytes([*high, *low])), value, after))
}

/// How many octets are TLVs.
pub(super) fn check(octets: &[u8], quirks: &Quirks) -> Result<usize, FieldError> {
    let mut rest = octets;
    let mut count = 0usize;
    while let Some((tag, value, after)) = one(rest) {
        count = count.saturating_add(1);
        if count > quirks.max_tlvs {
            return Err((DecodeErrorKind::TooManyTlvs(quirks.max_tlvs), CommandStatus::RINVOPTPARSTREAM));
        }
        let fits = || tag.sizes().is_none_or(|(least, most)| (least..=most).contains(&value.len()));
        if !quirks.tlv_sizes && !fits() {
            return Err((DecodeErrorKind::TlvSize, CommandStatus::RINVPARLEN));
        }
        rest = after;
    }
    match rest.len() {
        0 => Ok(octets.len()),
        // a tag and a length are there, so it is the value that is cut
        4.. => Err((DecodeErrorKind::TlvPastEnd, CommandStatus::RINVOPTPARSTREAM)),
        _ if quirks.trailing_octets => Ok(octets.len().saturating_sub(rest.len())),
        _ => Err((DecodeErrorKind::Leftover, CommandStatus::RINVOPTPARSTREAM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups() {
        let mut tlvs = Tlvs::default();
        tlvs.push(Tag::SAR_MSG_REF_NUM, &[1, 2]).unwrap();
        tlvs.push(Tag::SAR_TOTAL_SEGMENTS, &[0, 3]).unwrap(); // quirk: two octets
        tlvs.push(Tag::SAR_SEGMENT_SEQNUM, &[1]).unwrap();
        tlvs.push(Tag::RECEIPTED_MESSAGE_ID, b"ab\0").unwrap();
        tlvs.push(Tag(0x1400), &[]).unwrap();
        assert_eq!(tlvs.sar(), Some((0x0102, 3, 1)));
        assert_eq!(tlvs.receipted_message_id().as_deref(), Some("ab"));
        assert_eq!(tlvs.find(Tag(0x1400)), Some(Bytes::new()));
        assert_eq!(tlvs.iter().count(), 5);
        assert_eq!(format!("{:?}", Tag(0x1400)), "0x1400");
    }

    #[test]
    fn threat_p1_tlv_past_the_end() {
        let strict = Quirks::strict();
        let lenient = Quirks::lenient();
        for (wire, strictly, leniently) in [
            (&[][..], Ok(0), Ok(0)),
            (&[0x04, 0x27, 0, 1, 2], Ok(5), Ok(5)),
            (&[0x04, 0x27, 0, 2, 2], Err(DecodeErrorKind::TlvPastEnd), Err(DecodeErrorKind::TlvPastEnd)),
            (
                &[0x04, 0x24, 0xFF, 0xFF, 1, 2, 3],
                Err(DecodeErrorKind::TlvPastEnd),
                Err(DecodeErrorKind::TlvPastEnd),
            ),
            (&[0x04, 0x27, 0, 1, 2, 0], Err(DecodeErrorKind::Leftover), Ok(5)),
            (&[0x04, 0x27, 0, 2, 2, 2], Err(DecodeErrorKind::TlvSize), Ok(6)),
        ] {
            assert_eq!(check(wire, &strict).map_err(|error| error.0), strictly);
            assert_eq!(check(wire, &lenient).map_err(|error| error.0), leniently);
        }
        let many = [0x14, 0, 0, 0].repeat(65);
        assert_eq!(check(many.get(..64 * 4).unwrap(), &strict), Ok(256));
        assert_eq!(check(&many, &strict).unwrap_err().0, DecodeErrorKind::TooManyTlvs(64));
    }
}
