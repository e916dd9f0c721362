//! Cell broadcast (5.0).

use super::record::records;
use crate::smpp::{CString, DataCoding, Npi, Time, Ton};

records! {
    /// `broadcast_sm`: a message for all phones of an area. The area, kind and frequency are TLVs.
    ///
    /// # Spec
    /// SMPP v5.0 §4.4.1
    BroadcastSm [tlvs] {
        service_type: CString<6> = "Service; empty for the default.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender.",
        message_id: CString<65> = "The message to replace; empty for a new one.",
        priority_flag: u8 = "0 to 4.",
        schedule_delivery_time: Time = "When to begin; empty for now.",
        validity_period: Time = "How long; empty for the centre's default.",
        replace_if_present_flag: u8 = "1 replaces the message named.",
        data_coding: DataCoding = "The text's alphabet.",
        sm_default_msg_id: u8 = "A text stored at the centre; 0 for none.",
    }

    /// `query_broadcast_sm`: how far is a broadcast?
    ///
    /// # Spec
    /// SMPP v5.0 §4.6.1
    QueryBroadcastSm [tlvs] {
        message_id: CString<65> = "The centre's number of the message.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender, as submitted.",
    }

    /// Answers `query_broadcast_sm`: state, areas and success are TLVs.
    ///
    /// # Spec
    /// SMPP v5.0 §4.6.2
    QueryBroadcastSmResp [tlvs] {
        message_id: CString<65> = "The message asked about.",
    }

    /// `cancel_broadcast_sm`: takes a broadcast back.
    ///
    /// # Spec
    /// SMPP v5.0 §4.6.3
    CancelBroadcastSm [tlvs] {
        service_type: CString<6> = "Service, as submitted.",
        message_id: CString<65> = "The centre's number of the message; empty for all.",
        source_addr_ton: Ton = "Type of the sender's number.",
        source_addr_npi: Npi = "Plan of the sender's number.",
        source_addr: CString<21> = "The sender, as submitted.",
    }
}
