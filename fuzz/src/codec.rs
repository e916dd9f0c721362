//! The codec under any octets: XML, WBXML, DevInf inside them, and the way from one to the other.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use syncml::{
    Command, Data, EncodeError, Encoding, Event, Item, Limits, Message, Meta, Quirks, Reader, Source,
    SyncHdr, Target as Peer, Version, Writer, decode, encode, xml_can_carry,
};

/// Octets as an XML message.
pub const XML: Target = Target {
    name: "xml",
    input: "a SyncML message in XML",
    dictionary: Some("xml"),
    properties: &[
        Property { name: "readable", sentence: READABLE, check: |data| readable(Encoding::Xml, data) },
        Property { name: "round-trip", sentence: ROUND_TRIP, check: |data| round_trip(Encoding::Xml, data) },
        Property { name: "whole", sentence: WHOLE, check: |data| whole(Encoding::Xml, data) },
        Property { name: "sized", sentence: SIZED, check: |data| sized(Encoding::Xml, data) },
        Property { name: "cost", sentence: COST, check: |data| cost(Encoding::Xml, data) },
        Property { name: "steps", sentence: STEPS, check: |data| steps(Encoding::Xml, data) },
    ],
};

/// Octets as a WBXML message.
pub const WBXML: Target = Target {
    name: "wbxml",
    input: "a SyncML message in WBXML",
    dictionary: Some("wbxml"),
    properties: &[
        Property { name: "readable", sentence: READABLE, check: |data| readable(Encoding::Wbxml, data) },
        Property {
            name: "round-trip",
            sentence: ROUND_TRIP,
            check: |data| round_trip(Encoding::Wbxml, data),
        },
        Property { name: "whole", sentence: WHOLE, check: |data| whole(Encoding::Wbxml, data) },
        Property { name: "sized", sentence: SIZED, check: |data| sized(Encoding::Wbxml, data) },
        Property { name: "cost", sentence: COST, check: |data| cost(Encoding::Wbxml, data) },
        Property { name: "steps", sentence: STEPS, check: |data| steps(Encoding::Wbxml, data) },
    ],
};

/// Octets as the `Data` of a `Put` of device information.
pub const DEVINF: Target = Target {
    name: "devinf",
    input: "a DevInf document, WBXML or XML, as it stands in the Data of a Put",
    dictionary: Some("wbxml"),
    properties: &[
        Property {
            name: "inside",
            sentence: "a message whose Put carries these octets as device information is read or refused, and what \
                       is read is written and read again as the same, in both spellings",
            check: |data| {
                puts(data).try_for_each(|(encoding, octets)| {
                    round_trip(encoding, &octets)?;
                    convert(&octets)
                })
            },
        },
        Property {
            name: "cost",
            sentence: COST,
            check: |data| puts(data).try_for_each(|(encoding, octets)| cost(encoding, &octets)),
        },
        Property {
            name: "steps",
            sentence: STEPS,
            check: |data| puts(data).try_for_each(|(encoding, octets)| steps(encoding, &octets)),
        },
    ],
};

/// Octets as a message of whichever spelling they start like.
pub const CONVERT: Target = Target {
    name: "convert",
    input: "a SyncML message, WBXML or XML by its first octet",
    dictionary: Some("xml"),
    properties: &[
        Property {
            name: "there-and-back",
            sentence: "a message that the other spelling can carry is the same message there, and its canonical octets \
                       come back; one that it cannot carry is refused by name, never changed",
            check: convert,
        },
        Property {
            name: "respelled",
            sentence: "what was converted there and back stays the same octets when it is converted there and back again",
            check: respelled,
        },
        Property {
            name: "cost",
            sentence: "spelling a message the other way takes at no moment more memory than four times what is read \
                       and written together, and 1 MiB",
            check: cost_of_converting,
        },
    ],
};

const READABLE: &str = "any octets end in a message or in an error that names a place inside them, strictly, normally \
                        and leniently; the pull reader says the same as the tree";
const ROUND_TRIP: &str = "what decodes encodes, the octets decode to an equal message, and encode to the same octets \
                          again; only what was read from XML with octets that no XML may have is refused by name";
pub(crate) const WHOLE: &str = "a message that is cut short is refused, wherever it is cut";
pub(crate) const SIZED: &str =
    "a writer with a limit never passes it, and what it took decodes to just the commands it took";
pub(crate) const COST: &str = "reading takes at no moment more memory than four times the input and 1 MiB, and allocates no more \
                    than eight times the input and 2 MiB in all";
pub(crate) const STEPS: &str = "steps are linear: the pull reader never goes back and gives at most two events for each octet, \
                     and reading allocates no more than three blocks for each octet and 256 besides";

/// Who reads how.
pub(crate) fn readers() -> [Quirks; 3] {
    [Quirks::strict(), Quirks::normal(), Quirks::lenient()]
}

/// What reads what we write of a message that was read with these: the same, and what our writer does itself.
pub(crate) fn own(quirks: &Quirks) -> Quirks {
    let mut quirks = quirks.clone();
    quirks.text_as_opaque = true;
    quirks.string_table_without_nul = true;
    quirks
}

/// Room for what the writer adds: a document at the limit of depth or size stays readable.
pub(crate) fn roomy() -> Limits {
    let mut limits = Limits::default();
    limits.depth = 64;
    limits.message_bytes = 64 * 1024 * 1024;
    limits.string_table_bytes = 64 * 1024 * 1024;
    limits.tree_slack_bytes = 64 * 1024 * 1024;
    limits
}

fn readable(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let input = Bytes::copy_from_slice(data);
    for quirks in readers() {
        let tree = decode(encoding, &input, &Limits::default(), &quirks);
        if let Err(error) = &tree {
            ensure!(error.offset <= data.len(), "{error}: beyond {} octets", data.len());
            ensure!(!error.to_string().is_empty(), "an error without words");
        }
        let pulled = pull(encoding, &input, &Limits::default(), &quirks);
        match (&tree, &pulled) {
            (Ok(tree), Ok(pulled)) => ensure!(tree == pulled, "the tree is {tree:?}, pulled {pulled:?}"),
            (Err(_), Err(_)) => {}
            _ => return Err(Broken(format!("the tree is {tree:?}, pulled {pulled:?}"))),
        }
    }
    Ok(())
}

/// The message as the pull reader gives it.
pub(crate) fn pull(
    encoding: Encoding,
    input: &Bytes,
    limits: &Limits,
    quirks: &Quirks,
) -> Result<Message, Broken> {
    let told = |error: syncml::DecodeError| Broken(error.to_string());
    let mut reader = Reader::new(encoding, input, limits, quirks).map_err(told)?;
    let mut message = Message::new(reader.header().map_err(told)?);
    let mut open = None;
    while let Some(event) = reader.next().map_err(told)? {
        match (event, &mut open) {
            (Event::Command(command), None) => message.commands.push(command),
            (Event::Command(command), Some(syncml::Sync { commands, .. })) => commands.push(command),
            (Event::SyncStart(sync), None) => open = Some(sync),
            (Event::SyncEnd { extra }, Some(_)) => {
                let Some(mut sync) = open.take() else { continue };
                match (&mut sync.extra, extra) {
                    (Some(all), Some(more)) => all.extend(*more),
                    (none @ None, more) => *none = more,
                    _ => {}
                }
                message.commands.push(Command::Sync(sync.into()));
            }
            (event, open) => return Err(Broken(format!("{event:?} while {open:?} is open"))),
        }
        ensure!(reader.offset() <= input.len(), "read {} of {} octets", reader.offset(), input.len());
    }
    ensure!(open.is_none(), "a Sync without an end");
    message.is_final = reader.is_final();
    message.extra = reader.extra().clone();
    Ok(message)
}

fn round_trip(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let input = Bytes::copy_from_slice(data);
    for quirks in readers() {
        let Ok(message) = decode(encoding, &input, &Limits::default(), &quirks) else { continue };
        let Some(octets) = written(encoding, &message, data)? else { continue };
        same(encoding, &message, &octets, &quirks)?;
    }
    Ok(())
}

/// The message in the spelling that it was read in; none if what it was read from is no XML text.
fn written(encoding: Encoding, message: &Message, data: &[u8]) -> Result<Option<Bytes>, Broken> {
    match encode(encoding, message) {
        Ok(octets) => Ok(Some(octets)),
        // Old phones put raw octets into Data; they are kept, and XML cannot say them again.
        Err(EncodeError::Unrepresentable { encoding: Encoding::Xml, .. }) if !xml_can_carry(data) => Ok(None),
        Err(error) => Err(Broken(format!("{error}: {message:?}"))),
    }
}

/// These octets are the message, and its canonical form.
pub(crate) fn same(
    encoding: Encoding,
    message: &Message,
    octets: &Bytes,
    quirks: &Quirks,
) -> Result<(), Broken> {
    let shown = || String::from_utf8_lossy(octets).into_owned();
    let again = decode(encoding, octets, &roomy(), &own(quirks))
        .map_err(|error| Broken(format!("what we wrote is refused: {error}: {}", shown())))?;
    ensure!(again == *message, "the message {message:?}\n  came back as {again:?}\n  through {}", shown());
    let canonical = encode(encoding, &again).map_err(|error| Broken(error.to_string()))?;
    ensure!(canonical == *octets, "two forms of one message: {canonical:?} and {octets:?}");
    Ok(())
}

fn whole(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let input = Bytes::copy_from_slice(data);
    let Ok(message) = decode(encoding, &input, &Limits::default(), &Quirks::normal()) else { return Ok(()) };
    let Ok(octets) = encode(encoding, &message) else { return Ok(()) };
    refused_when_cut(encoding, &octets, pick(data))
}

/// Cut somewhere, these octets are no message.
pub(crate) fn refused_when_cut(encoding: Encoding, octets: &Bytes, at: usize) -> Result<(), Broken> {
    let at = at % octets.len().max(1);
    let cut = octets.slice(..at);
    for quirks in readers() {
        let read = decode(encoding, &cut, &roomy(), &quirks);
        ensure!(read.is_err(), "cut at {at} of {}: {read:?}", octets.len());
    }
    Ok(())
}

fn sized(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let input = Bytes::copy_from_slice(data);
    let Ok(message) = decode(encoding, &input, &Limits::default(), &Quirks::normal()) else { return Ok(()) };
    within(encoding, &message, pick(data) % (data.len().saturating_mul(2)).max(1))
}

/// A writer with this limit keeps it.
pub(crate) fn within(encoding: Encoding, message: &Message, limit: usize) -> Result<(), Broken> {
    let version = Version::from_ver_dtd(&message.hdr.ver_dtd).unwrap_or(Version::V1_2);
    let mut writer = Writer::new(encoding, version, limit);
    if writer.header(&message.hdr).is_err() {
        return Ok(());
    }
    let mut taken = Vec::new();
    for command in &message.commands {
        let left = writer.left();
        match writer.command(command) {
            Ok(()) => taken.push(command.clone()),
            Err(EncodeError::Full { .. }) => ensure!(writer.left() == left, "a refusal changed what is left"),
            Err(EncodeError::Unrepresentable { .. }) => {}
            Err(error) => return Err(Broken(error.to_string())),
        }
    }
    let told = writer.len_if_finished();
    let octets = writer.finish(true);
    ensure!(octets.len() <= limit, "{} octets, limit {limit}", octets.len());
    ensure!(octets.len() <= told, "{} octets, {told} were told", octets.len());
    let again = decode(encoding, &octets, &roomy(), &own(&Quirks::normal()))
        .map_err(|error| Broken(error.to_string()))?;
    ensure!(again.commands == taken, "took {taken:?}, wrote {:?}", again.commands);
    Ok(())
}

const SLACK: u64 = 1024 * 1024;

pub(crate) fn cost(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let input = Bytes::copy_from_slice(data);
    let len = data.len() as u64;
    for quirks in readers() {
        let used = allocation_counter::measure(|| {
            let _ = decode(encoding, &input, &Limits::default(), &quirks);
        });
        let most = len.saturating_mul(4).saturating_add(SLACK);
        ensure!(used.bytes_max <= most, "{} octets at once for {len} of input", used.bytes_max);
        ensure!(used.bytes_total <= most.saturating_mul(2), "{} octets in all for {len}", used.bytes_total);
    }
    Ok(())
}

pub(crate) fn steps(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let input = Bytes::copy_from_slice(data);
    for quirks in readers() {
        let mut told = Ok(());
        let used = allocation_counter::measure(|| told = progress(encoding, &input, &quirks));
        told?;
        let most = (data.len() as u64).saturating_mul(3).saturating_add(256);
        ensure!(used.count_total <= most, "{} blocks for {} octets", used.count_total, data.len());
    }
    Ok(())
}

fn progress(encoding: Encoding, input: &Bytes, quirks: &Quirks) -> Result<(), Broken> {
    let Ok(mut reader) = Reader::new(encoding, input, &Limits::default(), quirks) else { return Ok(()) };
    if reader.header().is_err() {
        return Ok(());
    }
    let (mut at, mut events) = (reader.offset(), 0);
    while let Ok(Some(event)) = reader.next() {
        // A `Sync` without content starts and ends with the same token.
        ensure!(reader.offset() >= at, "back from octet {at} to {}: {event:?}", reader.offset());
        at = reader.offset();
        events += 1;
        ensure!(events <= at * 2, "{events} events of {at} octets");
    }
    Ok(())
}

/// Messages whose Put carries these octets as device information, in each spelling that can carry them.
fn puts(data: &[u8]) -> impl Iterator<Item = (Encoding, Bytes)> {
    let data = Bytes::copy_from_slice(data);
    [(Encoding::Wbxml, "wbxml"), (Encoding::Xml, "xml")].into_iter().filter_map(move |(encoding, kind)| {
        let mut item = Item::default();
        item.source = Some(Source::new("./devinf12"));
        item.data = Some(Data::Bytes(data.clone()));
        let mut put = syncml::Put::default();
        put.cmd_id = 1;
        let mut meta = Meta::default();
        meta.type_ = Some(format!("application/vnd.syncml-devinf+{kind}").into());
        put.meta = Some(Box::new(meta));
        put.items = vec![item];
        let hdr = SyncHdr::new(Version::V1_2, "1", 1, Peer::new("s"), Source::new("c"));
        let mut message = Message::new(hdr);
        message.commands.push(Command::Put(put.into()));
        Some((encoding, encode(encoding, &message).ok()?))
    })
}

fn respelled(data: &[u8]) -> Result<(), Broken> {
    let from = encoding_of(data);
    let to = other(from);
    let Ok(there) = syncml::convert(&Bytes::copy_from_slice(data), from, to) else { return Ok(()) };
    let back = match syncml::convert(&there, to, from) {
        Ok(back) => back,
        // What was tolerated in XML that no XML may have.
        Err(syncml::ConvertError::Encode(EncodeError::Unrepresentable { .. })) if !xml_can_carry(data) => {
            return Ok(());
        }
        Err(error) => return Err(Broken(format!("{error}: {there:?}"))),
    };
    let told = |error| Broken(format!("{error}: {back:?}"));
    let again = syncml::convert(&back, from, to).map_err(told)?;
    let stays = syncml::convert(&again, to, from).map_err(told)?;
    ensure!(stays == back, "{back:?}, by way of {again:?}, became {stays:?}");
    Ok(())
}

fn cost_of_converting(data: &[u8]) -> Result<(), Broken> {
    let from = encoding_of(data);
    let to = other(from);
    let input = Bytes::copy_from_slice(data);
    let mut written = 0;
    let used = allocation_counter::measure(|| {
        written = syncml::convert(&input, from, to).map_or(0, |octets| octets.len());
    });
    let both = (data.len() as u64).saturating_add(written as u64);
    let most = both.saturating_mul(4).saturating_add(SLACK);
    ensure!(
        used.bytes_max <= most,
        "{} octets at once, {} read, {written} written",
        used.bytes_max,
        data.len()
    );
    Ok(())
}

fn other(encoding: Encoding) -> Encoding {
    match encoding {
        Encoding::Xml => Encoding::Wbxml,
        Encoding::Wbxml => Encoding::Xml,
    }
}

fn convert(data: &[u8]) -> Result<(), Broken> {
    let from = encoding_of(data);
    let to = other(from);
    let input = Bytes::copy_from_slice(data);
    let Ok(message) = decode(from, &input, &Limits::default(), &Quirks::normal()) else { return Ok(()) };
    let octets = match encode(to, &message) {
        Ok(octets) => octets,
        Err(EncodeError::Unrepresentable { encoding, what }) => {
            ensure!(encoding == to && !what.is_empty(), "{encoding:?} cannot carry {what:?}");
            return Ok(());
        }
        Err(error) => return Err(Broken(error.to_string())),
    };
    same(to, &message, &octets, &Quirks::normal())?;
    let there =
        decode(to, &octets, &roomy(), &own(&Quirks::normal())).map_err(|error| Broken(error.to_string()))?;
    let Some(here) = written(from, &message, data)? else { return Ok(()) };
    let back = encode(from, &there).map_err(|error| Broken(error.to_string()))?;
    ensure!(here == back, "{here:?} came back as {back:?}");
    Ok(())
}

/// WBXML starts with its version, which is no character of XML.
pub(crate) fn encoding_of(data: &[u8]) -> Encoding {
    match data.first() {
        Some(0..=0x08) => Encoding::Wbxml,
        _ => Encoding::Xml,
    }
}

/// A number made of all the octets: cuts and limits that an input chooses.
pub(crate) fn pick(data: &[u8]) -> usize {
    let hash = data.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3)
    });
    usize::try_from(hash >> 16).unwrap_or(0)
}
