//! Commands over several messages and objects over several chunks, cut wherever an input wants.

use crate::codec::{own, roomy};
use crate::{Broken, Property, Target, ensure, model};
use bytes::Bytes;
use syncml::{
    Change, Command, Data, EncodeError, Encoding, Item, Message, Quirks, Source, Sync, SyncHdr,
    Target as Peer, Version, Writer, decode, xml_can_carry,
};

/// Octets as cuts, and as what is cut.
pub const SPLIT: Target = Target {
    name: "split",
    input: "an octet that chooses the limits; the rest is an object, and what Arbitrary makes a message of",
    dictionary: Some("xml"),
    properties: &[
        Property {
            name: "object",
            sentence: "an object that goes in chunks, under any limits and however the host slices it, is the same \
                       object when its chunks are joined, and every message makes progress",
            check: |data| both(|encoding| object(encoding, data)),
        },
        Property {
            name: "messages",
            sentence: "the commands of any message, over as many messages as a limit makes of them, are the same \
                       commands in the same order, and no message passes the limit",
            check: |data| {
                let (seed, rest) = parts(data);
                let message = model::message(rest);
                both(|encoding| messages(encoding, &message, limit(seed, 0)))
            },
        },
    ],
};

fn both(check: impl Fn(Encoding) -> Result<(), Broken>) -> Result<(), Broken> {
    check(Encoding::Xml)?;
    check(Encoding::Wbxml)
}

fn parts(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(seed, rest)| (*seed, rest))
}

/// The limit of the message with this number: 1,000 to 2,020 octets.
fn limit(seed: u8, number: usize) -> usize {
    let turn = u8::try_from(number % 251).unwrap_or(0).wrapping_mul(37);
    usize::from(seed.wrapping_add(turn)).saturating_mul(4).saturating_add(1_000)
}

fn told(error: impl std::fmt::Display) -> Broken {
    Broken(error.to_string())
}

fn add(data: Bytes) -> Command {
    let mut item = Item::default();
    item.source = Some(Source::new("7"));
    item.data = Some(Data::Bytes(data));
    let mut change = Change::default();
    change.cmd_id = 2;
    change.items = vec![item];
    Command::Add(Box::new(change))
}

fn object(encoding: Encoding, data: &[u8]) -> Result<(), Broken> {
    let (seed, object) = parts(data);
    if encoding == Encoding::Xml && !xml_can_carry(object) {
        return Ok(());
    }
    let object = Bytes::copy_from_slice(object);
    let hdr = SyncHdr::new(Version::V1_2, "1", 1, Peer::new("http://s/x"), Source::new("IMEI:1"));
    let mut joined = Vec::new();
    let mut number = 0;
    loop {
        let limit = limit(seed, number);
        let rest = object.slice(joined.len()..);
        // The host hands over a part, wherever that cuts a character.
        let part = rest.slice(..rest.len().min(limit.saturating_sub(usize::from(seed))));
        let more_after = part.len() < rest.len();
        let mut writer = Writer::new(encoding, Version::V1_2, limit);
        writer.header(&hdr).map_err(told)?;
        let written = writer.chunk(&add(part), more_after).map_err(told)?;
        let octets = writer.finish(false);
        ensure!(octets.len() <= limit, "{} octets, limit {limit}", octets.len());
        let message = decode(encoding, &octets, &roomy(), &own(&Quirks::normal())).map_err(told)?;
        let [Command::Add(change)] = message.commands.as_slice() else {
            return Err(Broken(format!("not one Add: {message:?}")));
        };
        let [Item { data: Some(Data::Bytes(chunk)), more_data, .. }] = change.items.as_slice() else {
            return Err(Broken(format!("not one item with octets: {message:?}")));
        };
        ensure!(chunk.len() == written, "{written} octets were written, {} read", chunk.len());
        joined.extend_from_slice(chunk);
        ensure!(*more_data == (joined.len() < object.len()), "MoreData {more_data} at {}", joined.len());
        if joined.len() >= object.len() {
            ensure!(joined == object, "{object:?} came as {joined:?}");
            return Ok(());
        }
        ensure!(written > 0, "no progress at {} of {}", joined.len(), object.len());
        number += 1;
    }
}

fn messages(encoding: Encoding, message: &Message, limit: usize) -> Result<(), Broken> {
    let Some(mut sender) = Sender::new(encoding, &message.hdr, limit) else { return Ok(()) };
    let mut taken = Vec::new();
    for command in &message.commands {
        match command {
            Command::Sync(sync) if sync.extra.is_none() => {
                let mut head = sync.clone();
                head.commands = Vec::new();
                if !sender.put(None, |writer| writer.open_sync(&head))? {
                    continue;
                }
                let mut sent = head.clone();
                for inner in &sync.commands {
                    if sender.put(Some(&head), |writer| writer.command(inner))? {
                        sent.commands.push(inner.clone());
                    }
                }
                sender.writer.close_sync();
                taken.push(Command::Sync(sent));
            }
            command => {
                if sender.put(None, |writer| writer.command(command))? {
                    taken.push(command.clone());
                }
            }
        }
    }
    let mut read = Vec::new();
    for octets in sender.end() {
        ensure!(octets.len() <= limit, "{} octets, limit {limit}", octets.len());
        let message = decode(encoding, &octets, &roomy(), &own(&Quirks::normal())).map_err(told)?;
        read.extend(message.commands);
    }
    let (taken, read) = (flat(taken), flat(read));
    ensure!(taken == read, "sent {taken:?}\n  came as {read:?}");
    Ok(())
}

/// The commands in a row, each `Sync` as its head followed by what is in it; one that goes on is named once.
fn flat(commands: Vec<Command>) -> Vec<Command> {
    let mut row = Vec::new();
    let mut open: Option<Box<Sync>> = None;
    for command in commands {
        let Command::Sync(mut sync) = command else {
            open = None;
            row.push(command);
            continue;
        };
        let inner = std::mem::take(&mut sync.commands);
        if open.as_ref() != Some(&sync) {
            row.push(Command::Sync(sync.clone()));
            open = Some(sync);
        }
        row.extend(inner);
    }
    row
}

/// Writes as many messages as it takes.
struct Sender<'a> {
    encoding: Encoding,
    hdr: &'a SyncHdr,
    limit: usize,
    writer: Writer,
    full: Vec<Bytes>,
}

impl<'a> Sender<'a> {
    /// None if not even the header fits, or the spelling cannot carry it.
    fn new(encoding: Encoding, hdr: &'a SyncHdr, limit: usize) -> Option<Self> {
        let version = Version::from_ver_dtd(&hdr.ver_dtd).unwrap_or(Version::V1_2);
        let mut writer = Writer::new(encoding, version, limit);
        writer.header(hdr).ok()?;
        Some(Sender { encoding, hdr, limit, writer, full: Vec::new() })
    }

    /// Whether it was written, into this message or the next; `open` is the `Sync` that goes on there.
    fn put(
        &mut self,
        open: Option<&Sync>,
        write: impl Fn(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<bool, Broken> {
        for fresh in [false, true] {
            match write(&mut self.writer) {
                Ok(()) => return Ok(true),
                Err(EncodeError::Unrepresentable { .. }) => return Ok(false),
                Err(EncodeError::Full { .. }) if fresh => return Ok(false),
                Err(EncodeError::Full { .. }) => {}
                Err(error) => return Err(told(error)),
            }
            let next = Sender::new(self.encoding, self.hdr, self.limit);
            let Some(next) = next else { return Err(Broken("the header fits only once".into())) };
            self.full.push(std::mem::replace(&mut self.writer, next.writer).finish(false));
            if let Some(head) = open {
                self.writer.open_sync(head).map_err(told)?;
            }
        }
        Ok(false)
    }

    fn end(mut self) -> Vec<Bytes> {
        self.full.push(self.writer.finish(true));
        self.full
    }
}
