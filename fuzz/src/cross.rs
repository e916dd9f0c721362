//! One message, two spellings.

use crate::codec::{own, roomy};
use crate::model::{message, spelled};
use crate::{Broken, Property, Target, ensure};
use syncml::{EncodeError, Encoding, Message, Quirks, decode, encode};

/// Octets as a message of the model, by `Arbitrary`, in both spellings.
pub const CROSS: Target = Target {
    name: "cross",
    input: "what Arbitrary makes a message of, in XML against WBXML",
    dictionary: None,
    properties: &[Property {
        name: "one-message",
        sentence: "a message that XML can carry is read from XML as it is read from WBXML, and its WBXML after the way \
                   through XML is the WBXML it had",
        check: |data| crossed(&message(data)),
    }],
};

fn crossed(message: &Message) -> Result<(), Broken> {
    let Some(xml) = spelled(Encoding::Xml, message)? else { return Ok(()) };
    let told = |error: EncodeError| Broken(error.to_string());
    let wbxml = encode(Encoding::Wbxml, message).map_err(told)?;
    let read = |encoding, octets| {
        decode(encoding, octets, &roomy(), &own(&Quirks::normal())).map_err(|error| Broken(error.to_string()))
    };
    let (from_xml, from_wbxml) = (read(Encoding::Xml, &xml)?, read(Encoding::Wbxml, &wbxml)?);
    ensure!(from_xml == from_wbxml, "from XML {from_xml:?}, from WBXML {from_wbxml:?}");
    let again = encode(Encoding::Wbxml, &from_xml).map_err(told)?;
    ensure!(again == wbxml, "WBXML {wbxml:?}, through XML {again:?}");
    Ok(())
}
