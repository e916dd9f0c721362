//! From XML to WBXML and back: what a proxy does, or a person with a recording.
//!
//! `cargo run -p syncml --example convert`

use std::io::Write;
use syncml::{Encoding, convert, inspect};

const XML: &str = "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto>\
    <SessionID>1</SessionID><MsgID>2</MsgID><Target><LocURI>http://s/sync</LocURI></Target>\
    <Source><LocURI>IMEI:1</LocURI></Source></SyncHdr><SyncBody><Sync><CmdID>1</CmdID>\
    <Target><LocURI>./mail</LocURI></Target><Source><LocURI>inbox</LocURI></Source><Add><CmdID>2</CmdID>\
    <Meta><Type xmlns='syncml:metinf'>text/plain</Type></Meta><Item><Source><LocURI>7</LocURI></Source>\
    <Data><![CDATA[1 < 2 & 3]]></Data></Item></Add></Sync><Final/></SyncBody></SyncML>";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    let xml = bytes::Bytes::from_static(XML.as_bytes());
    let wbxml = convert(&xml, Encoding::Xml, Encoding::Wbxml)?;
    writeln!(out, "{} octets of XML are {} of WBXML", xml.len(), wbxml.len())?;

    // Both spellings have one canonical form for each message: there and back gives the same octets.
    let back = convert(&wbxml, Encoding::Wbxml, Encoding::Xml)?;
    let again = convert(&back, Encoding::Xml, Encoding::Wbxml)?;
    writeln!(out, "the same again: {}", again == wbxml)?;
    writeln!(out, "{}", String::from_utf8_lossy(&back))?;

    // Token by token, with offsets.
    let tokens = inspect::tokens(&wbxml);
    for line in tokens.lines().take(5) {
        writeln!(out, "{line}")?;
    }

    // WBXML can carry octets that XML cannot. That is an error, never a silent change.
    let position = wbxml.windows(5).position(|part| part == b"1 < 2").ok_or("no data")?;
    let mut odd = wbxml.to_vec();
    odd[position] = 0x01;
    match convert(&odd.into(), Encoding::Wbxml, Encoding::Xml) {
        Ok(_) => writeln!(out, "carried")?,
        Err(error) => writeln!(out, "refused: {error}")?,
    }
    Ok(())
}
