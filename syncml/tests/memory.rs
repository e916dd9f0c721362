#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! What a session takes on the heap, for a client of WBXML alone: `scripts/size` prints it.

use bytes::Bytes;
use syncml::session::auth::Scheme;
use syncml::session::{Ask, ClientConfig, ClientSession};
use syncml::{
    Alert, AlertCode, Anchor, Change, Command, CommandName, Data, Encoding, Item, Limits, Message, Meta,
    Quirks, Source, Status, StatusCode, SyncHdr, Target, Version, decode, encode,
};

fn config() -> ClientConfig {
    ClientConfig {
        server_url: "http://127.0.0.1:8080/sync".into(),
        device: "IMEI:1".into(),
        user: "ann".into(),
        password: "secret".into(),
        scheme: Scheme::Md5,
        version: Version::V1_2,
        encoding: Encoding::Wbxml,
        max_msg_size: 4_000,
        max_obj_size: 100_000,
    }
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

/// An answer as large as the client takes: statuses, and eight objects of 400 octets.
fn answer(config: &ClientConfig) -> Bytes {
    let source = Source::new(&config.server_url);
    let mut message = Message::new(SyncHdr::new(Version::V1_2, "7", 1, Target::new(&config.device), source));
    let status = |id, cmd, name, code| Command::Status(Box::new(Status::new(id, 1, cmd, name, code)));
    message.commands.push(status(1, 0, CommandName::SyncHdr, StatusCode::AUTHENTICATED));
    message.commands.push(status(2, 1, CommandName::Alert, StatusCode::OK));
    let mut sync = syncml::Sync::default();
    sync.cmd_id = 3;
    sync.target = Some(Target::new("inbox"));
    sync.source = Some(Source::new("./mail"));
    for number in 0..8 {
        let mut item = Item::default();
        item.source = Some(Source::new(&number.to_string()));
        item.data = Some(Data::Bytes(Bytes::from(vec![b'x'; 400])));
        let mut change = Change::default();
        change.cmd_id = 4 + number;
        change.items = vec![item];
        sync.commands.push(Command::Add(Box::new(change)));
    }
    message.commands.push(Command::Sync(Box::new(sync)));
    encode(Encoding::Wbxml, &message).unwrap()
}

/// From the octets of an answer to the octets of the next request, all that lies between on the heap.
#[test]
fn a_session_takes_a_few_times_its_message() {
    let config = config();
    let mut exchange = ClientSession::new(&config, "7", None).start(&config).unwrap();
    exchange.send(alert(), b"alert".to_vec()).unwrap();
    let (session, _) = exchange.finish(true).unwrap();
    let stored = session.to_bytes().unwrap();
    let octets = answer(&config);
    assert!((3_000..4_000).contains(&octets.len()), "{}", octets.len());
    let (mut taken, mut request) = (0, Bytes::new());
    let used = allocation_counter::measure(|| {
        let message = decode(Encoding::Wbxml, &octets, &Limits::default(), &Quirks::normal()).unwrap();
        let session = ClientSession::from_bytes(&stored).unwrap();
        let mut exchange = session.receive(&config, &message, None).unwrap();
        while let Some(ask) = exchange.next_ask() {
            match ask {
                Ask::Sync { slot, .. } => exchange.answer(&slot, StatusCode::OK),
                Ask::Change { slot, .. } => {
                    taken += 1;
                    exchange.answer(&slot, StatusCode::ITEM_ADDED);
                }
                _ => {}
            }
        }
        request = exchange.finish(true).unwrap().1;
    });
    assert_eq!(taken, 8, "the client did not take what was sent");
    assert!(request.len() > 100, "{}", request.len());
    println!(
        "peak: {} octets on the heap, in {} allocations, between an answer of {} octets and the next request",
        used.bytes_max,
        used.count_total,
        octets.len()
    );
    assert!(used.bytes_max < 5 * octets.len() as u64, "{} octets for {}", used.bytes_max, octets.len());
}
