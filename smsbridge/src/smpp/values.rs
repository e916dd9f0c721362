//! Values of fields.

use super::codes::codes;

codes! {
    /// Type of number.
    ///
    /// # Spec
    /// SMPP v3.4 §5.2.5
    Ton(u8, "2") {
        UNKNOWN = 0 "unknown",
        INTERNATIONAL = 1 "international, digits without `+`",
        NATIONAL = 2 "national",
        NETWORK_SPECIFIC = 3 "network specific, often a short code",
        SUBSCRIBER = 4 "subscriber number",
        ALPHANUMERIC = 5 "letters; cannot be replied to",
        ABBREVIATED = 6 "abbreviated",
    }
}

codes! {
    /// Numbering plan.
    ///
    /// # Spec
    /// SMPP v3.4 §5.2.6
    Npi(u8, "2") {
        UNKNOWN = 0 "unknown",
        ISDN = 1 "E.164, what phones have",
        DATA = 3 "X.121",
        TELEX = 4 "F.69",
        LAND_MOBILE = 6 "E.212",
        NATIONAL = 8 "national",
        PRIVATE = 9 "private",
        ERMES = 10 "ERMES",
        INTERNET = 14 "IP",
        WAP_CLIENT_ID = 18 "WAP client id",
    }
}

codes! {
    /// `interface_version`: the SMPP version spoken. 0x33 and below is 3.3.
    InterfaceVersion(u8, "2") {
        V3_3 = 0x33 "3.3",
        V3_4 = 0x34 "3.4",
        V5_0 = 0x50 "5.0",
    }
}

codes! {
    /// `message_state`: how far a message has come.
    ///
    /// # Spec
    /// SMPP v3.4 §5.2.28, v5.0 §4.7.15
    MessageState(u8, "2") {
        SCHEDULED = 0 "waits for its time (5.0)",
        ENROUTE = 1 "under way",
        DELIVERED = 2 "delivered",
        EXPIRED = 3 "its validity period ended",
        DELETED = 4 "deleted",
        UNDELIVERABLE = 5 "cannot be delivered",
        ACCEPTED = 6 "taken, for instance by customer service",
        UNKNOWN = 7 "invalid state",
        REJECTED = 8 "rejected",
        SKIPPED = 9 "skipped (5.0)",
    }
}

codes! {
    /// `data_coding`: the alphabet of a text. From 0x10 on usually read as GSM's TP-DCS.
    ///
    /// # Spec
    /// SMPP v3.4 §5.2.19
    DataCoding(u8, "2") {
        DEFAULT = 0x00 "the centre's default alphabet, usually GSM 7-bit in octets",
        IA5 = 0x01 "ASCII",
        BINARY_2 = 0x02 "octets",
        LATIN1 = 0x03 "ISO-8859-1",
        BINARY = 0x04 "octets",
        JIS = 0x05 "JIS X 0208",
        CYRILLIC = 0x06 "ISO-8859-5",
        HEBREW = 0x07 "ISO-8859-8",
        UCS2 = 0x08 "UCS-2, big-endian; in practice UTF-16",
        PICTOGRAM = 0x09 "pictograms",
        ISO_2022_JP = 0x0A "ISO-2022-JP",
        EXTENDED_KANJI = 0x0D "JIS X 0212",
        KSC_5601 = 0x0E "KS C 5601",
        FLASH = 0x10 "GSM 7-bit, shown at once",
        FLASH_BINARY = 0x14 "octets, class 0",
        FLASH_UCS2 = 0x18 "UCS-2, shown at once",
    }
}

codes! {
    /// `esm_class`: mode, type and features of a message, as bits.
    ///
    /// # Spec
    /// SMPP v3.4 §5.2.12
    EsmClass(u8, "2") {
        DEFAULT = 0x00 "a plain message",
        STORE_AND_FORWARD = 0x03 "mode: store and forward",
        RECEIPT = 0x04 "type: delivery receipt of the centre",
        DELIVERY_ACK = 0x08 "type: acknowledgement of the phone",
        USER_ACK = 0x10 "type: acknowledgement of its user",
        CONVERSATION_ABORT = 0x18 "type: conversation abort (Korean CDMA)",
        INTERMEDIATE = 0x20 "type: intermediate notification",
        UDHI = 0x40 "feature: the text begins with a user data header",
        REPLY_PATH = 0x80 "feature: reply path",
    }
}

impl EsmClass {
    /// True if a user data header begins the text.
    pub fn has_udh(self) -> bool {
        self.0 & Self::UDHI.0 != 0
    }

    /// True for a delivery receipt of the centre.
    pub fn is_receipt(self) -> bool {
        self.0 & 0x3C == Self::RECEIPT.0
    }

    /// With these bits too.
    #[must_use]
    pub fn with(self, bits: EsmClass) -> EsmClass {
        EsmClass(self.0 | bits.0)
    }
}

codes! {
    /// `registered_delivery`: which reports are wanted, as bits.
    ///
    /// # Spec
    /// SMPP v3.4 §5.2.17, v5.0 §4.7.21
    RegisteredDelivery(u8, "2") {
        NONE = 0x00 "no receipt",
        ALWAYS = 0x01 "a receipt on success and on failure",
        ON_FAILURE = 0x02 "a receipt on failure",
        ON_SUCCESS = 0x03 "a receipt on success (5.0)",
        DELIVERY_ACK = 0x04 "an acknowledgement of the phone",
        USER_ACK = 0x08 "an acknowledgement of its user",
        INTERMEDIATE = 0x10 "intermediate notifications",
    }
}
