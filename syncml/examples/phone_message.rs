//! Reading what a phone sent: the first message of a 2004 phone, in WBXML.
//!
//! `cargo run -p syncml --example phone_message`

use std::io::Write;
use syncml::{Command, Encoding, Event, Limits, Quirks, Reader, StatusCode};

/// As it came over HTTP, `Content-Type: application/vnd.syncml+wbxml`.
const BODY: &[u8] = b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x031.2\0\x01\x72\x03SyncML/1.2\0\x01\x65\x0342\0\x01\x5B\x031\0\x01\
    \x6E\x57\x03http://s/sync\0\x01\x01\x67\x57\x03IMEI:1\0\x01\x01\x5A\x00\x01\x4C\x033000\0\x01\x00\x00\x01\x01\
    \x6B\x46\x4B\x031\0\x01\x4F\x03201\0\x01\x54\x6E\x57\x03./mail\0\x01\x01\x67\x57\x03inbox\0\x01\x01\
    \x5A\x00\x01\x45\x4F\x03T20\0\x01\x01\x00\x00\x01\x01\x01\x12\x01\x01";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    // The media type says which spelling it is; parameters after `;` do not matter.
    let encoding =
        Encoding::from_mime_type("application/vnd.syncml+wbxml; charset=utf-8").ok_or("not SyncML")?;

    // `Limits` bound what a stranger may make us do; `Quirks::normal()` forgives what phones are known to do.
    let (limits, quirks) = (Limits::default(), Quirks::normal());
    let body = bytes::Bytes::from_static(BODY);

    // The pull reader gives a message command by command; `syncml::decode` gives all of it at once.
    let mut reader = Reader::new(encoding, &body, &limits, &quirks)?;
    let hdr = reader.header()?;
    writeln!(out, "session {} message {} from {}", hdr.session_id, hdr.msg_id, hdr.source.loc_uri)?;
    if let Some(size) = hdr.meta.as_ref().and_then(|meta| meta.max_msg_size) {
        writeln!(out, "the phone takes messages of {size} octets")?;
    }
    while let Some(event) = reader.next()? {
        let Event::Command(command) = event else { continue };
        match command {
            // Codes are open numbers with names: what no table knows survives as it is.
            Command::Alert(alert) => {
                let code = alert.code.ok_or("an alert without a code")?;
                for item in &alert.items {
                    let store = item.target.as_ref().map_or("?", |target| &target.loc_uri);
                    let anchor = item.meta.as_ref().and_then(|meta| meta.anchor.as_deref());
                    writeln!(out, "{code} of {store}, next anchor {:?}", anchor.map(|anchor| &*anchor.next))?;
                }
            }
            other => writeln!(out, "{}: {}", other.name().as_str(), StatusCode::NOT_IMPLEMENTED)?,
        }
    }
    writeln!(out, "last of its package: {}", reader.is_final())?;

    // A damaged message names what is wrong, at which octet, inside of which elements.
    let damaged = body.slice(..body.len() - 20);
    if let Err(error) = syncml::decode(encoding, &damaged, &limits, &quirks) {
        writeln!(out, "cut short: {error}")?;
    }
    Ok(())
}
