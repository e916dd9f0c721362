//! Device management uses the same representation: an OMA DM 1.2 client's first package, and a server's answer.
//!
//! `cargo run -p syncml --example dm_message`

use std::io::Write;
use syncml::{
    Change, Command, CommandName, Data, Encoding, Item, Limits, Message, Meta, Quirks, Source, Status,
    StatusCode, SyncHdr, Target, Version, decode, encode,
};

/// No DOCTYPE, `xmlns` on inner elements, values in Data: what devices send today.
const PACKAGE_1: &str = "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
    <SessionID>A1</SessionID><MsgID>1</MsgID><Target><LocURI>https://dm.example/srv</LocURI></Target>\
    <Source><LocURI>IMEI:493005100592800</LocURI></Source></SyncHdr><SyncBody>\
    <Alert><CmdID>1</CmdID><Data>1201</Data></Alert>\
    <Replace><CmdID>2</CmdID><Item><Source><LocURI>./DevInfo/Man</LocURI></Source>\
    <Meta><Format xmlns=\"syncml:metinf\">chr</Format></Meta><Data>Example</Data></Item></Replace>\
    <Final/></SyncBody></SyncML>";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    let body = bytes::Bytes::from_static(PACKAGE_1.as_bytes());
    let message = decode(Encoding::Xml, &body, &Limits::default(), &Quirks::normal())?;
    writeln!(out, "{} from {}", message.hdr.ver_proto, message.hdr.source.loc_uri)?;
    for command in &message.commands {
        match command {
            Command::Alert(alert) => {
                writeln!(out, "alert {}", alert.code.map(|code| code.to_string()).unwrap_or_default())?;
            }
            Command::Replace(replace) => {
                for item in &replace.items {
                    let node = item.source.as_ref().map_or("", |source| &source.loc_uri);
                    let value = item.data.as_ref().and_then(Data::as_bytes).map(|octets| &octets[..]);
                    writeln!(out, "{node} = {:?}", String::from_utf8_lossy(value.unwrap_or_default()))?;
                }
            }
            other => writeln!(out, "{}", other.name().as_str())?,
        }
    }

    // The answer: the protocol's name is the session's own, so it is set, not taken from the version.
    let device = Target::new(&message.hdr.source.loc_uri);
    let mut hdr = SyncHdr::new(Version::V1_2, "A1", 1, device, Source::new("https://dm.example/srv"));
    hdr.ver_proto = message.hdr.ver_proto.clone();
    let mut answer = Message::new(hdr);
    for (cmd_id, (name, reference)) in
        (1..).zip([(CommandName::SyncHdr, 0), (CommandName::Alert, 1), (CommandName::Replace, 2)])
    {
        answer.commands.push(Command::Status(Box::new(Status::new(
            cmd_id,
            1,
            reference,
            name,
            StatusCode::OK,
        ))));
    }
    // A node is written by Replace, its format in Meta.
    let mut meta = Meta::default();
    meta.format = Some("int".into());
    let mut item = Item::default();
    item.target = Some(Target::new("./Vendor/Example/PollSeconds"));
    item.meta = Some(Box::new(meta));
    item.data = Some(Data::Bytes("3600".into()));
    let mut replace = Change::default();
    replace.cmd_id = 4;
    replace.items = vec![item];
    answer.commands.push(Command::Replace(Box::new(replace)));
    answer.is_final = true;
    let octets = encode(Encoding::Wbxml, &answer)?;
    writeln!(out, "answered with {} commands in {} octets", answer.commands.len(), octets.len())?;
    Ok(())
}
