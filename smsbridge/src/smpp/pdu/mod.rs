//! PDUs: the raw one, and the typed views of its body.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod bind;
mod broadcast;
mod list;
mod message;
mod record;

pub use bind::{Bind, BindResp, Outbind};
pub use broadcast::{BroadcastSm, CancelBroadcastSm, QueryBroadcastSm, QueryBroadcastSmResp};
pub use list::{Destination, List, Unsuccess};
pub use message::{
    AlertNotification, CancelSm, DataSm, DeliverSm, MessageResp, ParamRetrieve, ParamRetrieveResp,
    QueryLastMsgs, QueryLastMsgsResp, QueryMsgDetails, QueryMsgDetailsResp, QuerySm, QuerySmResp, ReplaceSm,
    SubmitMulti, SubmitMultiResp, SubmitSm,
};

use super::field::{FieldError, Reader, SLACK, Writer};
use super::header::{HEADER, Header};
use super::{
    CommandId, CommandStatus, DecodeError, DecodeErrorKind, PayloadRule, Quirks, SequenceNumber, Tag,
};
use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;

/// A body's struct.
pub(super) trait Record: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError>;
    fn length(&self) -> usize;
    fn write(&self, out: &mut Writer<'_>);
}

/// A PDU as it travels: header fields, and the body as it came.
///
/// # Shape
/// Cloning and passing on copy nothing. [`encode`](Pdu::encode) writes the body unchanged.
/// # Spec
/// SMPP v3.4 §3.2
#[derive(Clone, PartialEq, Eq)]
pub struct Pdu {
    /// What it asks for or answers.
    pub command_id: CommandId,
    /// The result, in responses.
    pub command_status: CommandStatus,
    /// Its number.
    pub sequence_number: SequenceNumber,
    body: Bytes,
}

impl Pdu {
    /// A request, or a response with status ROK.
    pub fn new(sequence_number: SequenceNumber, body: &Body) -> Self {
        Pdu::with_status(CommandStatus::ROK, sequence_number, body)
    }

    /// A response with its status.
    pub fn with_status(command_status: CommandStatus, sequence_number: SequenceNumber, body: &Body) -> Self {
        let length = body.length();
        let mut octets = vec![0; length.saturating_add(SLACK)];
        body.write(&mut Writer::new(&mut octets));
        octets.truncate(length);
        Pdu { command_id: body.command_id(), command_status, sequence_number, body: octets.into() }
    }

    /// A response without a body, which is what a refusal has.
    pub fn refusal(
        command_id: CommandId,
        command_status: CommandStatus,
        sequence_number: SequenceNumber,
    ) -> Self {
        Pdu { command_id, command_status, sequence_number, body: Bytes::new() }
    }

    /// A command of a vendor, its body raw.
    pub fn vendor(command_id: CommandId, sequence_number: SequenceNumber, body: Bytes) -> Self {
        Pdu { command_id, command_status: CommandStatus::ROK, sequence_number, body }
    }

    /// From a whole frame; `None` if it is shorter than a header or not as long as it says.
    pub fn from_frame(mut frame: Bytes) -> Option<Self> {
        let header = Header::read(&frame)?;
        if usize::try_from(header.command_length).ok()? != frame.len() {
            return None;
        }
        Some(Pdu {
            command_id: header.command_id,
            command_status: header.command_status,
            sequence_number: header.sequence_number,
            body: frame.split_off(HEADER),
        })
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The whole PDU in wire form.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.body.len().saturating_add(HEADER));
        self.encode_into(&mut out);
        out.freeze()
    }

    /// The same, at the end of `out`.
    pub fn encode_into(&self, out: &mut BytesMut) {
        let length = u32::try_from(self.body.len().saturating_add(HEADER)).unwrap_or(u32::MAX);
        put_header(out, length, self.command_id, self.command_status, self.sequence_number);
        out.put_slice(&self.body);
    }

    /// The typed view of the body.
    ///
    /// # Errors
    /// [`DecodeError`] with the field, its place and the status to answer; the link is unharmed.
    pub fn decode(&self, quirks: &Quirks) -> Result<Body, DecodeError> {
        let mut reader = Reader::new(&self.body, quirks);
        let body = Body::read(self.command_id, self.command_status, &mut reader).and_then(|body| {
            if quirks.two_texts == PayloadRule::Refuse && body.has_two_texts() {
                reader.field = "message_payload";
                return Err((DecodeErrorKind::TwoTexts, CommandStatus::RINVMSGLEN));
            }
            Ok(body)
        });
        body.map_err(|(kind, status)| DecodeError {
            kind,
            command_id: self.command_id,
            sequence_number: self.sequence_number,
            offset: reader.position().saturating_add(HEADER),
            field: reader.field,
            status,
        })
    }
}

impl fmt::Debug for Pdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no message text in logs
        let (id, status) = (self.command_id, self.command_status);
        write!(f, "{id:?} {} {status:?}, {} octets", self.sequence_number.0, self.body.len())
    }
}

fn put_header(
    out: &mut BytesMut,
    length: u32,
    command_id: CommandId,
    status: CommandStatus,
    sequence: SequenceNumber,
) {
    let mut header = [0; HEADER];
    let fields = [length, command_id.0, status.0, sequence.0];
    for (place, field) in header.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    out.put_slice(&header);
}

macro_rules! bodies {
    (bare { $($bare:ident $bare_id:ident,)* } full { $($full:ident($record:ident) $full_id:ident,)* }) => {
        /// The typed view of a body.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Body {
            $(#[doc = concat!("[`CommandId::", stringify!($bare_id), "`], header only.")] $bare,)*
            $(#[doc = concat!("[`CommandId::", stringify!($full_id), "`].")] $full($record),)*
        }

        impl Body {
            /// The command that has this body.
            pub fn command_id(&self) -> CommandId {
                match self {
                    $(Body::$bare => CommandId::$bare_id,)*
                    $(Body::$full(_) => CommandId::$full_id,)*
                }
            }

            fn length(&self) -> usize {
                match self {
                    $(Body::$bare => 0,)*
                    $(Body::$full(record) => record.length(),)*
                }
            }

            fn write(&self, out: &mut Writer<'_>) {
                match self {
                    $(Body::$bare => {})*
                    $(Body::$full(record) => record.write(out),)*
                }
            }

            fn read(
                command_id: CommandId,
                status: CommandStatus,
                reader: &mut Reader<'_>,
            ) -> Result<Body, FieldError> {
                match command_id {
                    $(CommandId::$bare_id => read_nothing(reader).map(|()| Body::$bare),)*
                    $(CommandId::$full_id => {
                        read_record(command_id, status, reader).map(Body::$full)
                    })*
                    _ => Err((DecodeErrorKind::UnknownCommand, CommandStatus::RINVCMDID)),
                }
            }
        }
    };
}

bodies! {
    bare {
        GenericNack GENERIC_NACK,
        Unbind UNBIND,
        UnbindResp UNBIND_RESP,
        EnquireLink ENQUIRE_LINK,
        EnquireLinkResp ENQUIRE_LINK_RESP,
        ReplaceSmResp REPLACE_SM_RESP,
        CancelSmResp CANCEL_SM_RESP,
        CancelBroadcastSmResp CANCEL_BROADCAST_SM_RESP,
    }
    full {
        BindReceiver(Bind) BIND_RECEIVER,
        BindReceiverResp(BindResp) BIND_RECEIVER_RESP,
        BindTransmitter(Bind) BIND_TRANSMITTER,
        BindTransmitterResp(BindResp) BIND_TRANSMITTER_RESP,
        BindTransceiver(Bind) BIND_TRANSCEIVER,
        BindTransceiverResp(BindResp) BIND_TRANSCEIVER_RESP,
        Outbind(Outbind) OUTBIND,
        SubmitSm(SubmitSm) SUBMIT_SM,
        SubmitSmResp(MessageResp) SUBMIT_SM_RESP,
        DeliverSm(DeliverSm) DELIVER_SM,
        DeliverSmResp(MessageResp) DELIVER_SM_RESP,
        DataSm(DataSm) DATA_SM,
        DataSmResp(MessageResp) DATA_SM_RESP,
        SubmitMulti(SubmitMulti) SUBMIT_MULTI,
        SubmitMultiResp(SubmitMultiResp) SUBMIT_MULTI_RESP,
        QuerySm(QuerySm) QUERY_SM,
        QuerySmResp(QuerySmResp) QUERY_SM_RESP,
        ReplaceSm(ReplaceSm) REPLACE_SM,
        CancelSm(CancelSm) CANCEL_SM,
        AlertNotification(AlertNotification) ALERT_NOTIFICATION,
        BroadcastSm(BroadcastSm) BROADCAST_SM,
        BroadcastSmResp(MessageResp) BROADCAST_SM_RESP,
        QueryBroadcastSm(QueryBroadcastSm) QUERY_BROADCAST_SM,
        QueryBroadcastSmResp(QueryBroadcastSmResp) QUERY_BROADCAST_SM_RESP,
        CancelBroadcastSm(CancelBroadcastSm) CANCEL_BROADCAST_SM,
        QueryLastMsgs(QueryLastMsgs) QUERY_LAST_MSGS,
        QueryLastMsgsResp(QueryLastMsgsResp) QUERY_LAST_MSGS_RESP,
        QueryMsgDetails(QueryMsgDetails) QUERY_MSG_DETAILS,
        QueryMsgDetailsResp(QueryMsgDetailsResp) QUERY_MSG_DETAILS_RESP,
        ParamRetrieve(ParamRetrieve) PARAM_RETRIEVE,
        ParamRetrieveResp(ParamRetrieveResp) PARAM_RETRIEVE_RESP,
    }
}

impl Body {
    /// Writes a whole PDU at the end of `out`, its body straight from the fields.
    pub fn encode_into(&self, status: CommandStatus, sequence_number: SequenceNumber, out: &mut BytesMut) {
        let start = out.len();
        let length = self.length().saturating_add(HEADER);
        let end = start.saturating_add(length);
        out.resize(end.saturating_add(SLACK), 0);
        let mut writer = Writer::new(out.get_mut(start..).unwrap_or_default());
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        writer.put_u32(length);
        writer.put_u32(self.command_id().0);
        writer.put_u32(status.0);
        writer.put_u32(sequence_number.0);
        self.write(&mut writer);
        out.truncate(end);
    }

    /// The octets of both texts, for the rule on two of them.
    fn has_two_texts(&self) -> bool {
        let (short, tlvs) = match self {
            Body::SubmitSm(body) => (&body.short_message, &body.tlvs),
            Body::DeliverSm(body) => (&body.short_message, &body.tlvs),
            Body::SubmitMulti(body) => (&body.short_message, &body.tlvs),
            Body::ReplaceSm(body) => (&body.short_message, &body.tlvs),
            _ => return false,
        };
        !short.is_empty() && !tlvs.is_empty() && tlvs.find(Tag::MESSAGE_PAYLOAD).is_some()
    }
}

fn read_nothing(reader: &mut Reader<'_>) -> Result<(), FieldError> {
    reader.field = "body";
    if reader.rest().is_empty() || reader.quirks.tlvs_anywhere {
        Ok(())
    } else {
        Err((DecodeErrorKind::Leftover, CommandStatus::RINVCMDLEN))
    }
}

fn read_record<T: Record + Default>(
    command_id: CommandId,
    status: CommandStatus,
    reader: &mut Reader<'_>,
) -> Result<T, FieldError> {
    reader.field = "body";
    if command_id.is_response() {
        let refused = !status.is_ok();
        if reader.rest().is_empty() {
            // spec: SMPP v3.4 §4.4.2, no body if the status is not 0
            return if refused || reader.quirks.missing_body {
                Ok(T::default())
            } else {
                Err((DecodeErrorKind::MissingBody, CommandStatus::RINVCMDLEN))
            };
        }
        if refused {
            return match T::read(reader) {
                Err(_) if reader.quirks.body_on_error => Ok(T::default()),
                other => other,
            };
        }
    }
    T::read(reader)
}
