//! The smallest client: only WBXML, only the client's side of a session. The README says what it weighs.
//!
//! `cargo run -p syncml --no-default-features --features wbxml,client --example tiny_client`
//!
//! A host sends each request by HTTP and hands the answer in; here the answers are made up on the spot.

use std::io::Write;
use syncml::session::auth::{Scheme, challenge};
use syncml::session::{Ask, ClientConfig, ClientSession, LoginState};
use syncml::{
    Alert, AlertCode, Anchor, Command, CommandName, Encoding, Item, Limits, Message, Meta, Quirks, Source,
    Status, StatusCode, SyncHdr, Target, Version, decode, encode,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    let config = ClientConfig {
        server_url: "http://127.0.0.1:8080/sync".into(),
        device: "IMEI:1".into(),
        user: "ann".into(),
        password: "secret".into(),
        scheme: Scheme::Md5,
        version: Version::V1_2,
        encoding: Encoding::Wbxml,
        max_msg_size: 4_000,
        max_obj_size: 100_000,
    };

    // The session is a value: store it with what was done, and any later run goes on from there.
    let mut exchange = ClientSession::new(&config, "7", None).start(&config)?;
    exchange.send(alert(), b"alert".to_vec())?;
    let (mut session, mut request) = exchange.finish(true)?;
    for answer in [challenges, accepts] {
        writeln!(out, "{} octets to {}", request.len(), session.url())?;
        let asked = decode(Encoding::Wbxml, &request, &Limits::default(), &Quirks::normal())?;
        let reply = encode(Encoding::Wbxml, &answer(&config, &asked))?;
        let message = decode(Encoding::Wbxml, &reply, &Limits::default(), &Quirks::normal())?;
        let stored = session.to_bytes()?;
        let mut exchange = ClientSession::from_bytes(&stored)?.receive(&config, &message, None)?;

        // What the engine cannot decide, it asks.
        while let Some(ask) = exchange.next_ask() {
            if let Ask::Answered { code, .. } = ask {
                writeln!(out, "our command was answered: {code}")?;
            }
        }
        match exchange.login() {
            LoginState::Again => exchange.send(alert(), b"alert".to_vec())?,
            LoginState::In => writeln!(out, "logged in, session under 200 octets: {}", stored.len() < 200)?,
            other => writeln!(out, "{other:?}")?,
        }
        (session, request) = exchange.finish(true)?;
    }
    Ok(())
}

fn alert() -> Command {
    let mut meta = Meta::default();
    meta.anchor = Some(Box::new(Anchor { last: Some("1".into()), next: "2".into() }));
    let mut item = Item::default();
    item.target = Some(Target::new("./mail"));
    item.source = Some(Source::new("inbox"));
    item.meta = Some(Box::new(meta));
    let mut alert = Alert::new(1, AlertCode::TWO_WAY);
    alert.items = vec![item];
    Command::Alert(Box::new(alert))
}

/// A server's answer: one status for the header and one for every command but statuses.
fn reply(config: &ClientConfig, request: &Message, header: Status) -> Message {
    let source = Source::new(&config.server_url);
    let msg_id = request.hdr.msg_id;
    let mut reply =
        Message::new(SyncHdr::new(Version::V1_2, "7", msg_id, Target::new(&config.device), source));
    let code = if header.data == StatusCode::AUTHENTICATED { StatusCode::OK } else { header.data };
    reply.commands.push(Command::Status(Box::new(header)));
    for command in &request.commands {
        if !matches!(command, Command::Status(_)) {
            let status = Status::new(2, msg_id, command.cmd_id(), command.name(), code);
            reply.commands.push(Command::Status(Box::new(status)));
        }
    }
    reply.is_final = true;
    reply
}

/// A server that wants a digest with its nonce.
fn challenges(config: &ClientConfig, request: &Message) -> Message {
    let code = StatusCode::INVALID_CREDENTIALS;
    let mut header = Status::new(1, request.hdr.msg_id, 0, CommandName::SyncHdr, code);
    header.chal = Some(Box::new(challenge(Scheme::Md5, Some(b"sixteen octets!!"))));
    reply(config, request, header)
}

/// One that has checked it.
fn accepts(config: &ClientConfig, request: &Message) -> Message {
    let code = StatusCode::AUTHENTICATED;
    reply(config, request, Status::new(1, request.hdr.msg_id, 0, CommandName::SyncHdr, code))
}
