//! Any message of the model, in one spelling: what `Arbitrary` makes of the octets.

use crate::codec::{COST, STEPS, WHOLE, cost, own, pick, pull, refused_when_cut, roomy, same, steps, within};
use crate::{Broken, Property, Target, ensure};
use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use syncml::{EncodeError, Encoding, Message, Quirks, Version, Writer, decode, encode};

/// Octets as a message of the model, written in XML.
pub const XML_MODEL: Target = Target {
    name: "xml_model",
    input: "what Arbitrary makes a message of, in XML",
    dictionary: None,
    properties: &[
        Property { name: "carried", sentence: CARRIED, check: |data| carried(Encoding::Xml, data) },
        Property { name: "exact", sentence: EXACT, check: |data| exact(Encoding::Xml, data) },
        Property { name: "limited", sentence: LIMITED, check: |data| limited(Encoding::Xml, data) },
        Property { name: "whole", sentence: WHOLE, check: |data| whole(Encoding::Xml, data) },
        Property { name: "pulled", sentence: PULLED, check: |data| pulled(Encoding::Xml, data) },
        Property { name: "cost", sentence: COST, check: |data| on(Encoding::Xml, data, cost) },
        Property { name: "steps", sentence: STEPS, check: |data| on(Encoding::Xml, data, steps) },
    ],
};

/// Octets as a message of the model, written in WBXML.
pub const WBXML_MODEL: Target = Target {
    name: "wbxml_model",
    input: "what Arbitrary makes a message of, in WBXML",
    dictionary: None,
    properties: &[
        Property { name: "carried", sentence: CARRIED, check: |data| carried(Encoding::Wbxml, data) },
        Property { name: "exact", sentence: EXACT, check: |data| exact(Encoding::Wbxml, data) },
        Property { name: "limited", sentence: LIMITED, check: |data| limited(Encoding::Wbxml, data) },
        Property { name: "whole", sentence: WHOLE, check: |data| whole(Encoding::Wbxml, data) },
        Property { name: "pulled", sentence: PULLED, check: |data| pulled(Encoding::Wbxml, data) },
        Property { name: "cost", sentence: COST, check: |data| on(Encoding::Wbxml, data, cost) },
        Property { name: "steps", sentence: STEPS, check: |data| on(Encoding::Wbxml, data, steps) },
    ],
};

const CARRIED: &str = "every message of the model is written and read as the same, by a strict reader, too, and \
                       written again in the same octets; XML alone may refuse one, by name";
const EXACT: &str = "a writer with just the room that a message takes writes the octets that one without a limit \
                     writes, and knows how many they are";
const LIMITED: &str =
    "a writer with any limit keeps it, and what it took decodes to just the commands it took";
const PULLED: &str = "the pull reader gives the message that was written";

/// The message that `Arbitrary` makes of these octets.
pub(crate) fn message(data: &[u8]) -> Message {
    let made = Message::arbitrary(&mut Unstructured::new(data));
    made.unwrap_or_else(|error| panic!("octets without a message: {error}"))
}

/// The message in this spelling; none if XML cannot carry it.
pub(crate) fn spelled(encoding: Encoding, message: &Message) -> Result<Option<Bytes>, Broken> {
    match encode(encoding, message) {
        Ok(octets) => Ok(Some(octets)),
        Err(EncodeError::Unrepresentable { encoding: Encoding::Xml, what }) if encoding == Encoding::Xml => {
            ensure!(!what.is_empty(), "refused without a name: {message:?}");
            Ok(None)
        }
        Err(error) => Err(Broken(format!("{error}: {message:?}"))),
    }
}

fn on(
    encoding: Encoding,
    data: &[u8],
    check: fn(Encoding, &[u8]) -> Result<(), Broken>,
) -> Result<(), Broken> {
    spelled(encoding, &message(data))?.map_or(Ok(()), |octets| check(encoding, &octets))
}

fn carried(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let message = message(data);
    let Some(octets) = spelled(encoding, &message)? else { return Ok(()) };
    // The model may put an element of 1.2 into a message that says 1.0.
    let mut strict = Quirks::strict();
    strict.newer_elements = true;
    same(encoding, &message, &octets, &strict)?;
    same(encoding, &message, &octets, &Quirks::normal())
}

fn exact(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let mut message = message(data);
    message.extra = None; // no writer of commands has a place for it
    let Some(octets) = spelled(encoding, &message)? else { return Ok(()) };
    let write = |limit| {
        let version = Version::from_ver_dtd(&message.hdr.ver_dtd).unwrap_or(Version::V1_2);
        let mut writer = Writer::new(encoding, version, limit);
        writer.header(&message.hdr)?;
        message.commands.iter().try_for_each(|command| writer.command(command))?;
        Ok((writer.len_if_finished(), writer.finish(message.is_final)))
    };
    let told = |error: EncodeError| Broken(format!("{error}: {message:?}"));
    let (room, free) = write(usize::MAX).map_err(told)?;
    ensure!(free == octets, "{free:?} by commands, {octets:?} as a whole");
    if message.is_final {
        // In WBXML room for a switch of the code page is kept, needed or not.
        let most = if encoding == Encoding::Wbxml { 2 } else { 0 };
        let spare = room.checked_sub(free.len());
        ensure!(spare.is_some_and(|spare| spare <= most), "{} octets, {room} were told", free.len());
    }
    let (_, tight) = write(room).map_err(told)?;
    ensure!(tight == octets, "{tight:?} with room for {room} octets, {octets:?} with more");
    Ok(())
}

fn limited(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let message = message(data);
    let Some(octets) = spelled(encoding, &message)? else { return Ok(()) };
    within(encoding, &message, pick(data) % octets.len().max(1))
}

fn whole(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let octets = spelled(encoding, &message(data))?;
    octets.map_or(Ok(()), |octets| refused_when_cut(encoding, &octets, pick(data)))
}

fn pulled(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let message = message(data);
    let Some(octets) = spelled(encoding, &message)? else { return Ok(()) };
    let quirks = own(&Quirks::normal());
    let read = pull(encoding, &octets, &roomy(), &quirks)?;
    ensure!(read == message, "{message:?} was pulled as {read:?}");
    let tree = decode(encoding, &octets, &roomy(), &quirks).map_err(|error| Broken(error.to_string()))?;
    ensure!(read == tree, "the tree is {tree:?}, pulled {read:?}");
    Ok(())
}
