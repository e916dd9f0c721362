//! The same message in the other spelling.

use crate::error::{DecodeError, EncodeError};
use crate::model::{Command, Cred, Encoding, Item, Message, Meta};
use crate::{Limits, Quirks, decode, encode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

/// Why a message could not be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It could not be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The other spelling cannot carry something in it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Spells a message the other way. Every octet of every object stays as it is.
///
/// Two things change with the spelling, because they must: the type of DevInf documents says which it is, and a
/// digest that WBXML carries raw is base64 in XML, which its `Format` then says.
///
/// # Errors
/// What is wrong with the message, or what the other spelling cannot carry.
///
/// ```
/// use bytes::Bytes;
/// use syncml::{Encoding, convert};
/// let xml = Bytes::from_static(b"<SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
///     <SessionID>1</SessionID><MsgID>1</MsgID><Target><LocURI>IMEI:1</LocURI></Target>\
///     <Source><LocURI>http://s/dm</LocURI></Source></SyncHdr><SyncBody><Final/></SyncBody></SyncML>");
/// let wbxml = convert(&xml, Encoding::Xml, Encoding::Wbxml)?;
/// assert_eq!(wbxml.len(), 68);
/// let again = convert(&wbxml, Encoding::Wbxml, Encoding::Xml)?;
/// assert_eq!(convert(&again, Encoding::Xml, Encoding::Wbxml)?, wbxml);
/// # Ok::<(), syncml::ConvertError>(())
/// ```
pub fn convert(message: &Bytes, from: Encoding, to: Encoding) -> Result<Bytes, ConvertError> {
    let limits = Limits { message_bytes: usize::MAX, ..Limits::default() };
    let mut model = decode(from, message, &limits, &Quirks::normal())?;
    respell(&mut model, from, to);
    Ok(encode(to, &model)?)
}

/// Changes in a message what its spelling decides: the type of DevInf documents, and raw digests.
pub fn respell(message: &mut Message, from: Encoding, to: Encoding) {
    if let Some(cred) = &mut message.hdr.cred {
        respell_cred(cred, to);
    }
    for command in &mut message.commands {
        match command {
            Command::Put(get) | Command::Get(get) => respell_types(&mut get.meta, &mut get.items, from, to),
            Command::Results(results) => respell_types(&mut results.meta, &mut results.items, from, to),
            Command::Status(status) => {
                if let Some(cred) = &mut status.cred {
                    respell_cred(cred, to);
                }
            }
            _ => {}
        }
    }
}

fn respell_types(meta: &mut Option<Box<Meta>>, items: &mut [Item], from: Encoding, to: Encoding) {
    for meta in meta.iter_mut().chain(items.iter_mut().filter_map(|item| item.meta.as_mut())) {
        if meta.type_.as_deref() == Some(from.devinf_type()) {
            meta.type_ = Some(to.devinf_type().into());
        }
    }
}

/// spec: session facts §10: in XML the digest is always base64.
fn respell_cred(cred: &mut Cred, to: Encoding) {
    let is_text =
        std::str::from_utf8(&cred.data).is_ok_and(|text| !text.contains(|c: char| c.is_ascii_control()));
    if to == Encoding::Xml && !is_text {
        cred.data = STANDARD.encode(&cred.data).into();
        cred.meta.get_or_insert_default().format = Some("b64".into());
    }
}
