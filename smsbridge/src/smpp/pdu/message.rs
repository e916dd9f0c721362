//! Messages and what is asked about them.

use super::list::{Destination, List, Unsuccess};
use super::record::records;
use crate::smpp::{
    CString, DataCoding, EsmClass, MessageState, Npi, RegisteredDelivery, ShortMessage, Time, Ton,
};
use bytes::Bytes;

records! {
    /// `submit_sm`: the ESME hands the centre a message.
    ///
    /// # Shape
    /// `short_message` 0 to 254 octets; longer text in the TLV `message_payload`, and `short_message` empty.
    /// # Spec
    /// SMPP v3.4 §4.4.1
    SubmitSm [tlvs] {
        service_type: CString<6> = "Service; empty for the default.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender; empty lets the centre choose.",
        dest_addr_ton: Ton = "Type of the recipient's number.",
        dest_addr_npi: Npi = "Plan of the recipient's number.",
        destination_addr: CString<21> = "The recipient.",
        esm_class: EsmClass = "Mode, type and features.",
        protocol_id: u8 = "GSM's TP-PID.",
        priority_flag: u8 = "0 to 3 (5.0: 4).",
        schedule_delivery_time: Time = "When to deliver; empty for now.",
        validity_period: Time = "How long to try; empty for the centre's default.",
        registered_delivery: RegisteredDelivery = "Which receipts are wanted.",
        replace_if_present_flag: u8 = "1 replaces a waiting message of the same addresses and service.",
        data_coding: DataCoding = "The text's alphabet.",
        sm_default_msg_id: u8 = "A text stored at the centre; 0 for none.",
        short_message: ShortMessage = "The text.",
    }

    /// `deliver_sm`: the centre hands the ESME a message or a receipt. Four fields mean nothing here.
    ///
    /// # Spec
    /// SMPP v3.4 §4.6.1
    DeliverSm [tlvs] {
        service_type: CString<6> = "Service; empty for the default.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender.",
        dest_addr_ton: Ton = "Type of the recipient's number.",
        dest_addr_npi: Npi = "Plan of the recipient's number.",
        destination_addr: CString<21> = "The recipient.",
        esm_class: EsmClass = "Mode, type and features.",
        protocol_id: u8 = "GSM's TP-PID.",
        priority_flag: u8 = "0 to 3 (5.0: 4).",
        schedule_delivery_time: Time = "Unused, empty.",
        validity_period: Time = "Unused, empty.",
        registered_delivery: RegisteredDelivery = "Which acknowledgements are wanted.",
        replace_if_present_flag: u8 = "Unused, 0.",
        data_coding: DataCoding = "The text's alphabet.",
        sm_default_msg_id: u8 = "Unused, 0.",
        short_message: ShortMessage = "The text.",
    }

    /// Answers `submit_sm`, `deliver_sm`, `data_sm` and `broadcast_sm`.
    ///
    /// # Spec
    /// SMPP v3.4 §4.4.2, §4.6.2, §4.7.2
    MessageResp [tlvs] {
        message_id: CString<65> = "The centre's number of the message; unused for `deliver_sm`.",
    }

    /// `data_sm`: a message in either direction, its text in `message_payload`.
    ///
    /// # Spec
    /// SMPP v3.4 §4.7.1
    DataSm [tlvs] {
        service_type: CString<6> = "Service; empty for the default.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<65> = "The sender.",
        dest_addr_ton: Ton = "Type of the recipient's number.",
        dest_addr_npi: Npi = "Plan of the recipient's number.",
        destination_addr: CString<65> = "The recipient.",
        esm_class: EsmClass = "Mode, type and features.",
        registered_delivery: RegisteredDelivery = "Which receipts are wanted.",
        data_coding: DataCoding = "The text's alphabet.",
    }

    /// `submit_multi`: one message for several recipients or distribution lists.
    ///
    /// # Spec
    /// SMPP v3.4 §4.5.1
    SubmitMulti [tlvs] {
        service_type: CString<6> = "Service; empty for the default.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender.",
        dest_addresses: List<Destination> = "1 to 254 recipients.",
        esm_class: EsmClass = "Mode, type and features.",
        protocol_id: u8 = "GSM's TP-PID.",
        priority_flag: u8 = "0 to 3 (5.0: 4).",
        schedule_delivery_time: Time = "When to deliver; empty for now.",
        validity_period: Time = "How long to try; empty for the centre's default.",
        registered_delivery: RegisteredDelivery = "Which receipts are wanted.",
        replace_if_present_flag: u8 = "1 replaces a waiting message.",
        data_coding: DataCoding = "The text's alphabet.",
        sm_default_msg_id: u8 = "A text stored at the centre; 0 for none.",
        short_message: ShortMessage = "The text.",
    }

    /// Answers `submit_multi`.
    ///
    /// # Spec
    /// SMPP v3.4 §4.5.2
    SubmitMultiResp [tlvs] {
        message_id: CString<65> = "The centre's number of the message.",
        unsuccess_sme: List<Unsuccess> = "Recipients that were not taken.",
    }

    /// `query_sm`: how far is a message?
    ///
    /// # Spec
    /// SMPP v3.4 §4.8.1
    QuerySm [no tlvs] {
        message_id: CString<65> = "The centre's number of the message.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender, as submitted.",
    }

    /// Answers `query_sm`.
    ///
    /// # Spec
    /// SMPP v3.4 §4.8.2
    QuerySmResp [tlvs] {
        message_id: CString<65> = "The message asked about.",
        final_date: Time = "When it reached its final state; empty before.",
        message_state: MessageState = "Its state.",
        error_code: u8 = "The network's error, 0 for none.",
    }

    /// `cancel_sm`: takes a waiting message back, or with no `message_id` all of one sender to one recipient.
    ///
    /// # Spec
    /// SMPP v3.4 §4.9.1
    CancelSm [no tlvs] {
        service_type: CString<6> = "Service, as submitted.",
        message_id: CString<65> = "The centre's number of the message; empty for all.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender, as submitted.",
        dest_addr_ton: Ton = "Type of the recipient's number.",
        dest_addr_npi: Npi = "Plan of the recipient's number.",
        destination_addr: CString<21> = "The recipient.",
    }

    /// `replace_sm`: a new text for a waiting message; its `data_coding` stays.
    ///
    /// # Spec
    /// SMPP v3.4 §4.10.1
    ReplaceSm [tlvs] {
        message_id: CString<65> = "The centre's number of the message.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender, as submitted.",
        schedule_delivery_time: Time = "A new time; empty keeps the old one.",
        validity_period: Time = "A new period; empty keeps the old one.",
        registered_delivery: RegisteredDelivery = "Which receipts are wanted.",
        sm_default_msg_id: u8 = "A text stored at the centre; 0 for none.",
        short_message: ShortMessage = "The new text.",
    }

    /// `alert_notification`: a phone that was away is back. It has no response.
    ///
    /// # Spec
    /// SMPP v3.4 §4.12.1
    AlertNotification [tlvs] {
        source_addr_ton: Ton = "Type of the phone's number.",
        source_addr_npi: Npi = "Plan of the phone's number.",
        source_addr: CString<65> = "The phone.",
        esme_addr_ton: Ton = "Type of the ESME's number.",
        esme_addr_npi: Npi = "Plan of the ESME's number.",
        esme_addr: CString<65> = "The ESME that asked to be told.",
    }

    /// `query_last_msgs`: the last messages of a sender (3.3 only; fields as two other implementations have them).
    QueryLastMsgs [no tlvs] {
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender.",
        num_msgs: u8 = "How many, at most 100.",
    }

    /// Answers `query_last_msgs`.
    QueryLastMsgsResp [no tlvs] {
        message_ids: List<CString<65>> = "The messages' numbers.",
    }

    /// `query_msg_details`: a whole message (3.3 only; fields as two other implementations have them).
    QueryMsgDetails [no tlvs] {
        message_id: CString<65> = "The centre's number of the message.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender, as submitted.",
        sm_length: u8 = "Octets of the text that are wanted.",
    }

    /// Answers `query_msg_details`.
    QueryMsgDetailsResp [no tlvs] {
        service_type: CString<6> = "Service.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender.",
        dest_addresses: List<Destination> = "The recipients.",
        protocol_id: u8 = "GSM's TP-PID.",
        priority_flag: u8 = "0 or 1.",
        schedule_delivery_time: Time = "When to deliver.",
        validity_period: Time = "How long to try.",
        registered_delivery: RegisteredDelivery = "Which receipts were wanted.",
        data_coding: DataCoding = "The text's alphabet.",
        short_message: ShortMessage = "The text, as much as was wanted.",
        message_id: CString<65> = "The message's number.",
        final_date: Time = "When it reached its final state.",
        message_state: MessageState = "Its state.",
        error_code: u8 = "The network's error, 0 for none.",
    }

    /// `param_retrieve`: a setting of the centre (3.3 only).
    ParamRetrieve [no tlvs] {
        param_name: CString<33> = "Which one.",
    }

    /// Answers `param_retrieve`.
    ParamRetrieveResp [no tlvs] {
        param_value: CString<101> = "Its value.",
    }
}

macro_rules! texts {
    ($($name:ident)*) => {$(
        impl $name {
            /// The text: `message_payload` if there is one, else `short_message`.
            pub fn text(&self) -> Bytes {
                self.tlvs.message_payload().unwrap_or_else(|| self.short_message.bytes().clone())
            }
        }
    )*};
}

texts! { SubmitSm DeliverSm SubmitMulti ReplaceSm }

impl From<DeliverSm> for SubmitSm {
    /// The same message in the other direction: both bodies have the same fields.
    fn from(deliver: DeliverSm) -> Self {
        SubmitSm {
            service_type: deliver.service_type,
            source_addr_ton: deliver.source_addr_ton,
            source_addr_npi: deliver.source_addr_npi,
            source_addr: deliver.source_addr,
            dest_addr_ton: deliver.dest_addr_ton,
            dest_addr_npi: deliver.dest_addr_npi,
            destination_addr: deliver.destination_addr,
            esm_class: deliver.esm_class,
            protocol_id: deliver.protocol_id,
            priority_flag: deliver.priority_flag,
            schedule_delivery_time: deliver.schedule_delivery_time,
            validity_period: deliver.validity_period,
            registered_delivery: deliver.registered_delivery,
            replace_if_present_flag: deliver.replace_if_present_flag,
            data_coding: deliver.data_coding,
            sm_default_msg_id: deliver.sm_default_msg_id,
            short_message: deliver.short_message,
            tlvs: deliver.tlvs,
        }
    }
}

impl DeliverSm {
    /// True for a delivery receipt of the centre.
    pub fn is_receipt(&self) -> bool {
        self.esm_class.is_receipt()
    }
}
