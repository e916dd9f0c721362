#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! Every file of `examples/` runs, and says what `golden/example-output` has. `UPDATE_GOLDEN=1` writes that anew.
#![cfg(all(feature = "client", feature = "xml", feature = "wbxml"))]
#![allow(dead_code, reason = "main is for cargo run --example")]

#[path = "../examples/convert.rs"]
mod convert;
#[path = "../examples/devinf.rs"]
mod devinf;
#[path = "../examples/dm_message.rs"]
mod dm_message;
#[path = "../examples/max_msg_size.rs"]
mod max_msg_size;
#[path = "../examples/phone_message.rs"]
mod phone_message;
#[path = "../examples/server_reply.rs"]
mod server_reply;
#[path = "../examples/tiny_client.rs"]
mod tiny_client;

use std::error::Error;
use std::io::Write;
use std::path::Path;

type Run = fn(&mut dyn Write) -> Result<(), Box<dyn Error>>;

const EXAMPLES: [(&str, Run); 7] = [
    ("convert", convert::run),
    ("devinf", devinf::run),
    ("dm_message", dm_message::run),
    ("max_msg_size", max_msg_size::run),
    ("phone_message", phone_message::run),
    ("server_reply", server_reply::run),
    ("tiny_client", tiny_client::run),
];

#[test]
fn every_example_says_what_it_is_said_to_say() {
    for (name, run) in EXAMPLES {
        let mut said = Vec::new();
        run(&mut said).unwrap_or_else(|error| panic!("{name}: {error}"));
        let said = String::from_utf8(said).unwrap();
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/example-output/{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &said).unwrap();
        }
        let expected =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(said, expected, "{name}");
    }
}

#[test]
fn no_example_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, EXAMPLES.map(|(name, _)| name));
}
