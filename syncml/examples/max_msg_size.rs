//! Writing under `MaxMsgSize`: a phone takes 2,000 octets a message, the mail has 5,000.
//!
//! `cargo run -p syncml --example max_msg_size`

use std::io::Write;
use syncml::{
    Change, Command, CommandName, Data, EncodeError, Encoding, Item, Limits, Meta, Quirks, Source, Status,
    StatusCode, Sync, SyncHdr, Target, Version, Writer, decode,
};

const MAX_MSG_SIZE: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    let object = bytes::Bytes::from("All work & no play makes Jack a dull boy.\r\n".repeat(120));
    let mut sent = 0;
    let mut received = Vec::new();
    for msg_id in 1.. {
        // A writer knows what still fits: the ends of all open elements are kept aside from the start.
        let mut writer = Writer::new(Encoding::Wbxml, Version::V1_2, MAX_MSG_SIZE);
        writer.header(&hdr(msg_id))?;
        let status = Status::new(1, msg_id, 0, CommandName::SyncHdr, StatusCode::OK);
        writer.command(&Command::Status(Box::new(status)))?;
        writer.open_sync(&sync())?;

        // A command goes in whole or not at all; a refused one leaves no trace.
        let add = add(&object, sent);
        match writer.command(&add) {
            Ok(()) => sent = object.len(),
            Err(EncodeError::Full { needed, left }) => {
                // An object may be cut: as much as fits, with MoreData behind it.
                let written = writer.chunk(&add, false)?;
                sent += written;
                writeln!(out, "message {msg_id}: needs {needed}, has {left}; {written} octets go")?;
            }
            Err(other) => return Err(other.into()),
        }
        writer.close_sync();
        let message = writer.finish(sent == object.len());
        assert!(message.len() <= MAX_MSG_SIZE, "never more than the phone takes");

        // The other side joins the pieces.
        let read = decode(Encoding::Wbxml, &message, &Limits::default(), &Quirks::normal())?;
        let Some(Command::Sync(sync)) = read.commands.last() else { return Err("no Sync".into()) };
        let [Command::Add(add)] = &sync.commands[..] else { return Err("not one Add".into()) };
        let item = add.items.first().ok_or("no item")?;
        received.extend_from_slice(item.data.as_ref().and_then(Data::as_bytes).ok_or("no data")?);
        if !item.more_data {
            writeln!(out, "whole after {msg_id} messages: {}", received == object)?;
            break;
        }
    }
    Ok(())
}

fn hdr(msg_id: u32) -> SyncHdr {
    SyncHdr::new(Version::V1_2, "1", msg_id, Target::new("IMEI:1"), Source::new("http://s/sync"))
}

fn sync() -> Sync {
    let mut sync = Sync::default();
    sync.cmd_id = 2;
    sync.target = Some(Target::new("inbox"));
    sync.source = Some(Source::new("./mail"));
    sync
}

/// What is left of the object; the first piece says how large all of it is.
fn add(object: &bytes::Bytes, sent: usize) -> Command {
    let mut meta = Meta::default();
    meta.size = (sent == 0).then_some(object.len() as u64);
    let mut item = Item::default();
    item.source = Some(Source::new("7"));
    item.meta = Some(Box::new(meta));
    item.data = Some(Data::Bytes(object.slice(sent..)));
    let mut add = Change::default();
    add.cmd_id = 3;
    add.items = vec![item];
    Command::Add(Box::new(add))
}
