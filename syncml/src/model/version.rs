//! Protocol versions and spellings.

/// A SyncML protocol version, as `VerDTD` and `VerProto` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Version {
    /// SyncML 1.0 and 1.0.1.
    V1_0,
    /// SyncML 1.1, 1.1.1 and 1.1.2.
    V1_1,
    /// SyncML 1.2, 1.2.1 and 1.2.2.
    V1_2,
}

impl Version {
    /// The text of `VerDTD`.
    pub fn ver_dtd(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }

    /// The text of `VerProto` for data synchronisation.
    pub fn ver_proto(self) -> &'static str {
        match self {
            Version::V1_0 => "SyncML/1.0",
            Version::V1_1 => "SyncML/1.1",
            Version::V1_2 => "SyncML/1.2",
        }
    }

    /// The URI under which a peer's DevInf is asked for and put.
    pub fn devinf_uri(self) -> &'static str {
        match self {
            Version::V1_0 => "./devinf10",
            Version::V1_1 => "./devinf11",
            Version::V1_2 => "./devinf12",
        }
    }

    /// The next lower version.
    pub fn lower(self) -> Option<Self> {
        match self {
            Version::V1_0 => None,
            Version::V1_1 => Some(Version::V1_0),
            Version::V1_2 => Some(Version::V1_1),
        }
    }

    /// Reads the text of `VerDTD`.
    pub fn from_ver_dtd(text: &str) -> Option<Self> {
        [Version::V1_0, Version::V1_1, Version::V1_2].into_iter().find(|v| v.ver_dtd() == text)
    }
}

/// How a message is spelled on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Encoding {
    /// `application/vnd.syncml+xml`.
    Xml,
    /// `application/vnd.syncml+wbxml`.
    Wbxml,
}

impl Encoding {
    /// The MIME type of a message in this spelling.
    pub fn mime_type(self) -> &'static str {
        match self {
            Encoding::Xml => "application/vnd.syncml+xml",
            Encoding::Wbxml => "application/vnd.syncml+wbxml",
        }
    }

    /// The MIME type of a device management message in this spelling.
    // spec: OMA DM HTTP Binding 1.2
    pub fn dm_mime_type(self) -> &'static str {
        match self {
            Encoding::Xml => "application/vnd.syncml.dm+xml",
            Encoding::Wbxml => "application/vnd.syncml.dm+wbxml",
        }
    }

    /// The MIME type of a DevInf document inside a message of this spelling.
    pub fn devinf_type(self) -> &'static str {
        match self {
            Encoding::Xml => "application/vnd.syncml-devinf+xml",
            Encoding::Wbxml => "application/vnd.syncml-devinf+wbxml",
        }
    }

    /// Reads a `Content-Type` value; case and parameters do not count.
    pub fn from_mime_type(value: &str) -> Option<Self> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        [Encoding::Xml, Encoding::Wbxml].into_iter().find(|e| essence.eq_ignore_ascii_case(e.mime_type()))
    }
}
