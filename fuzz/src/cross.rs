//! One message, two spellings.

use crate::codec::same;
use crate::{Broken, Property, Target, ensure};
use arbitrary::{Arbitrary, Unstructured};
use syncml::{EncodeError, Encoding, Message, Quirks, decode, encode};

/// Octets as a message of the model, by `Arbitrary`.
pub const CROSS: Target = Target {
    name: "cross",
    input: "what Arbitrary makes a message of",
    dictionary: None,
    properties: &[
        Property {
            name: "wbxml-carries-all",
            sentence: "every message of the model is written in WBXML and read as the same",
            check: |data| wbxml(&message(data)),
        },
        Property {
            name: "xml-carries-or-refuses",
            sentence: "every message of the model is written in XML and read as the same, or refused by name",
            check: |data| xml(&message(data)),
        },
        Property {
            name: "one-message",
            sentence: "a message that XML can carry is read from XML as it is read from WBXML",
            check: |data| crossed(&message(data)),
        },
    ],
};

/// The message that `Arbitrary` makes of these octets.
pub(crate) fn message(data: &[u8]) -> Message {
    let made = Message::arbitrary(&mut Unstructured::new(data));
    made.unwrap_or_else(|error| panic!("octets without a message: {error}"))
}

fn wbxml(message: &Message) -> Result<(), Broken> {
    let octets = encode(Encoding::Wbxml, message).map_err(|error| Broken(format!("{error}: {message:?}")))?;
    same(Encoding::Wbxml, message, &octets, &Quirks::normal())
}

fn in_xml(message: &Message) -> Result<Option<bytes::Bytes>, Broken> {
    match encode(Encoding::Xml, message) {
        Ok(xml) => Ok(Some(xml)),
        Err(EncodeError::Unrepresentable { encoding: Encoding::Xml, what }) => {
            ensure!(!what.is_empty(), "refused without a name: {message:?}");
            Ok(None)
        }
        Err(error) => Err(Broken(format!("{error}: {message:?}"))),
    }
}

fn xml(message: &Message) -> Result<(), Broken> {
    in_xml(message)?.map_or(Ok(()), |octets| same(Encoding::Xml, message, &octets, &Quirks::normal()))
}

fn crossed(message: &Message) -> Result<(), Broken> {
    let Some(xml) = in_xml(message)? else { return Ok(()) };
    let told = |error: EncodeError| Broken(error.to_string());
    let read = decode(Encoding::Xml, &xml, &crate::codec::roomy(), &crate::codec::own(&Quirks::normal()));
    let read = read.map_err(|error| Broken(error.to_string()))?;
    let (there, here) =
        (encode(Encoding::Wbxml, &read).map_err(told)?, encode(Encoding::Wbxml, message).map_err(told)?);
    ensure!(there == here, "WBXML {here:?}, through XML {there:?}");
    Ok(())
}
