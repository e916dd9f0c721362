//! Writing a server's reply: a Status for each command, then the server's own.
//!
//! `cargo run -p syncml --example server_reply`

use std::io::Write;
use syncml::{
    Alert, AlertCode, Anchor, Command, CommandName, Encoding, Item, Message, Meta, Source, Status,
    StatusCode, SyncHdr, Target, Version, encode, inspect,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    // The header names both ends the other way round; RespURI is where the phone goes on.
    let mut hdr = SyncHdr::new(Version::V1_2, "42", 1, Target::new("IMEI:1"), Source::new("http://s/sync"));
    hdr.resp_uri = Some("http://s/sync?s=7f3c".into());
    let mut reply = Message::new(hdr);

    // Status: our CmdID, the phone's MsgID and CmdID, what it answers, and the code. 0 is the header.
    let mut login = Status::new(1, 1, 0, CommandName::SyncHdr, StatusCode::AUTHENTICATED);
    login.target_ref = vec!["http://s/sync".into()];
    login.source_ref = vec!["IMEI:1".into()];
    reply.commands.push(Command::Status(Box::new(login)));
    let slow = Status::new(2, 1, 1, CommandName::Alert, StatusCode::REFRESH_REQUIRED);
    reply.commands.push(Command::Status(Box::new(slow)));

    // The anchors do not match: ask for a slow sync of the datastore. Structures are open for new fields, so
    // they are made with `new` or `default` and then filled.
    let mut meta = Meta::default();
    meta.anchor = Some(Box::new(Anchor { last: None, next: "20261122T081500Z".into() }));
    let mut item = Item::default();
    item.target = Some(Target::new("inbox"));
    item.source = Some(Source::new("./mail"));
    item.meta = Some(Box::new(meta));
    let mut alert = Alert::new(3, AlertCode::SLOW);
    alert.items = vec![item];
    reply.commands.push(Command::Alert(Box::new(alert)));
    reply.is_final = true;

    // One model, two spellings.
    let wbxml = encode(Encoding::Wbxml, &reply)?;
    let xml = encode(Encoding::Xml, &reply)?;
    writeln!(out, "{} octets of WBXML, {} of XML", wbxml.len(), xml.len())?;

    // What a person sees of it.
    write!(out, "{}", inspect::tree(&wbxml))?;
    Ok(())
}
