//! Large objects: one on its way in, one on its way out. Their octets are in the host's spool.

use crate::model::{CommandName, Item, Meta, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An object of which chunks came and more will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IncomingObject {
    pub(crate) cmd: CommandName,
    pub(crate) target: Option<Box<str>>,
    pub(crate) source: Option<Box<str>>,
    pub(crate) source_parent: Option<Box<str>>,
    pub(crate) target_parent: Option<Box<str>>,
    pub(crate) media_type: Option<Box<str>>,
    pub(crate) format: Option<Box<str>>,
    pub(crate) size: u64,
    pub(crate) received: u64,
}

impl IncomingObject {
    /// Whether an item continues this object.
    pub(crate) fn continued_by(&self, cmd: &CommandName, item: &Item) -> bool {
        let target = item.target.as_ref().map(|t| &*t.loc_uri);
        let source = item.source.as_ref().map(|s| &*s.loc_uri);
        *cmd == self.cmd && target == self.target.as_deref() && source == self.source.as_deref()
    }
}

/// An object of which chunks went and more must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutgoingObject {
    pub(crate) cmd: CommandName,
    pub(crate) head: ObjectHead,
    /// Octets of the object in wire form.
    pub(crate) size: u64,
    /// Octets that went.
    pub(crate) sent: u64,
    /// `Target` and `Source` of the `Sync` it belongs to.
    pub(crate) stores: (Box<str>, Box<str>),
    pub(crate) tag: Vec<u8>,
}

/// What every chunk of an object repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHead {
    /// The receiver's id.
    pub target: Option<Box<str>>,
    /// The sender's id.
    pub source: Option<Box<str>>,
    /// The folder, by the sender's id.
    pub source_parent: Option<Box<str>>,
    /// The folder, by the receiver's id.
    pub target_parent: Option<Box<str>>,
    /// `Meta/Type`.
    pub media_type: Box<str>,
    /// Whether the data is base64 text.
    pub base64: bool,
    /// Only fields of the object are sent (`Meta/FieldLevel`).
    pub field_level: bool,
}

impl ObjectHead {
    pub(crate) fn item(&self, size: Option<u64>, data: Bytes) -> Item {
        use crate::model::{Data, Source, Target};
        let meta = Meta {
            field_level: self.field_level,
            format: self.base64.then(|| "b64".into()),
            type_: (!self.media_type.is_empty()).then(|| self.media_type.clone()),
            size,
            ..Meta::default()
        };
        Item {
            target: self.target.as_deref().map(Target::new),
            source: self.source.as_deref().map(Source::new),
            source_parent: self.source_parent.clone(),
            target_parent: self.target_parent.clone(),
            meta: (meta != Meta::default()).then(|| Box::new(meta)),
            data: Some(Data::Bytes(data)),
            ..Item::default()
        }
    }
}

/// Octets of an item's data in wire form, and whether they are base64: what XML cannot carry goes so.
pub fn wire_form(encoding: crate::Encoding, data: &Bytes) -> (Bytes, bool) {
    #[cfg(feature = "xml")]
    let carried = encoding == crate::Encoding::Wbxml || crate::xml_can_carry(data);
    #[cfg(not(feature = "xml"))]
    let carried = encoding == crate::Encoding::Wbxml;
    if carried { (data.clone(), false) } else { (Bytes::from(BASE64.encode(data)), true) }
}

/// The octets that an item's data means.
///
/// # Errors
/// 415 for a format that is none of ours, 400 for base64 that is none.
pub fn payload(format: Option<&str>, data: Bytes) -> Result<Bytes, StatusCode> {
    match format {
        None | Some("" | "chr" | "bin" | "xml") => Ok(data),
        Some("b64") => {
            let packed: Vec<u8> = data.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            BASE64.decode(packed).map(Bytes::from).map_err(|_| StatusCode::BAD_REQUEST)
        }
        Some(_) => Err(StatusCode::UNSUPPORTED_TYPE),
    }
}
