//! A stored session of this format stays readable, and goes on as if nothing had been. `UPDATE_GOLDEN=1 cargo test --test
//! sim golden` writes it anew, when the format has changed and its number with it.

use super::notes::{note, server_note};
use super::world::*;
use bytes::Bytes;
use mailsync_proto::sync::store::{Commit, Read, SessionRow, SessionWrite, Store, Value};
use syncml::{Encoding, Version};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/session-server-v4.hex");

fn hex(octets: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|octet| format!("{octet:02x}")).collect::<String>() + "\n";
    octets.chunks(48).map(line).collect()
}

/// The octets after the lines that say where they are from.
fn read(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with(';'))
        .flat_map(|line| line.trim().bytes())
        .map(|digit| char::from(digit).to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A session in the middle of its changes, half an object among them: its token, its row, and the request that waits.
fn middle() -> (World, Client, Box<str>, Bytes) {
    let mut world = World::new();
    world.server.config.session.max_msg_size = 2_000;
    let client = Client::new("dev-1", Encoding::Wbxml, Version::V1_2, 2_000, &["notes"]);
    for n in 0..8 {
        note(&client, &format!("c{n}"), &format!("client's {n} {}", "x".repeat(200)));
        server_note(&world, &format!("s{n}"), &format!("server's {n} {}", "y".repeat(200)));
    }
    note(&client, "c-large", &"large ".repeat(1_500));
    let mut events = Vec::new();
    let (token, mut request) = client.start(&world, &mut events).unwrap();
    for _ in 0..5 {
        let hop = client.hop(&token);
        let answer = world.answer(&hop.url, hop.encoding, &request).unwrap();
        request = client.take(&world, &token, &hop, &answer, &mut events).unwrap().unwrap();
    }
    (world, client, token, request)
}

fn row(world: &World) -> (Box<str>, SessionRow) {
    let [token] = &world.server.store.sessions()[..] else { panic!("one session") };
    let read = Read::Session(token.clone());
    match world.server.store.read(std::slice::from_ref(&read)).unwrap().get(&read) {
        Some(Value::Session(Some(row))) => (token.clone(), row.clone()),
        other => panic!("{other:?}"),
    }
}

/// The answer to the request that waits, when the session is this value.
fn goes_on(value: Option<Bytes>) -> (Bytes, Bytes) {
    let (world, client, token, request) = middle();
    let (server, before) = row(&world);
    let value = value.unwrap_or(before.value);
    let session =
        SessionWrite { token: server, expect: before.version, value: Some(value), answer: before.answer };
    world.server.store.commit(&Commit { session: Some(session), writes: Vec::new() }).unwrap();
    let hop = client.hop(&token);
    let answer = world.answer(&hop.url, hop.encoding, &request).unwrap();
    (answer, row(&world).1.value)
}

// mission: M7
#[test]
fn a_session_of_this_format_is_read_and_goes_on_octet_for_octet() {
    let (world, ..) = middle();
    let (_, now) = row(&world);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let head = "; origin: this program, tests/sim/golden.rs: a server's session value of format 4, in the middle of \
                    package 3, half an object open\n";
        std::fs::write(FILE, head.to_owned() + &hex(&now.value)).unwrap();
    }
    let golden = Bytes::from(read(&std::fs::read_to_string(FILE).unwrap()));
    assert_eq!(golden.first(), Some(&4), "the format's number");
    assert_eq!(hex(&now.value), hex(&golden), "what is written is what was written");
    assert_eq!(goes_on(Some(golden.clone())), goes_on(None), "the same answer and the same next value");
    // A newer format is refused, and so is a damaged value.
    for bad in [[&[5], &golden[1..]].concat(), golden[..golden.len() / 2].to_vec(), Vec::new()] {
        let (world, client, token, request) = middle();
        let (server, before) = row(&world);
        let session = SessionWrite {
            token: server,
            expect: before.version,
            value: Some(bad.into()),
            answer: before.answer,
        };
        world.server.store.commit(&Commit { session: Some(session), writes: Vec::new() }).unwrap();
        let hop = client.hop(&token);
        assert!(
            world.try_answer(&hop.url, hop.encoding, &request).is_none(),
            "no answer of a value like that"
        );
    }
}
