#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]
//! Every recorded message decodes, encodes to an equal model, and crosses to the other spelling and back.

use bytes::Bytes;
use std::path::{Path, PathBuf};
use syncml::{Command, Data, DecodeError, EncodeError, Encoding, Limits, Message, Quirks, decode, encode};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Every message below a folder, in a stable order.
fn messages(folder: &str) -> Vec<(PathBuf, Encoding)> {
    let mut found = Vec::new();
    let mut folders = vec![golden().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            match path.extension().and_then(|e| e.to_str()) {
                Some("xml") => found.push((path, Encoding::Xml)),
                Some("wbxml") => found.push((path, Encoding::Wbxml)),
                _ => {}
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// All of them; under Miri, where an octet takes as long as a thousand otherwise, a few small ones of each kind.
fn part(all: Vec<(PathBuf, Encoding)>) -> Vec<(PathBuf, Encoding)> {
    if !cfg!(miri) {
        return all;
    }
    let small = all.into_iter().filter(|(path, _)| path.metadata().unwrap().len() < 1_200);
    let small: Vec<_> = small.collect();
    let step = small.len().div_ceil(7);
    small.into_iter().step_by(step).collect()
}

fn read(path: &Path) -> Bytes {
    Bytes::from(std::fs::read(path).unwrap())
}

fn normal(encoding: Encoding, bytes: &Bytes) -> Result<Message, DecodeError> {
    decode(encoding, bytes, &Limits::default(), &Quirks::normal())
}

fn other(encoding: Encoding) -> Encoding {
    match encoding {
        Encoding::Xml => Encoding::Wbxml,
        Encoding::Wbxml => Encoding::Xml,
    }
}

fn check(path: &Path, encoding: Encoding) {
    let show = path.display();
    let bytes = read(path);
    let message = normal(encoding, &bytes).unwrap_or_else(|e| panic!("{show}: {e}"));
    assert!(message.extra.is_none(), "{show}: the tables know every element");
    let again = encode(encoding, &message).unwrap_or_else(|e| panic!("{show}: {e}"));
    let reread = normal(encoding, &again).unwrap_or_else(|e| panic!("{show}: {e}"));
    assert_eq!(message, reread, "{show}");
    assert_eq!(again, encode(encoding, &reread).unwrap(), "{show}: canonical");

    let crossed = match encode(other(encoding), &message) {
        Ok(crossed) => crossed,
        // SyncML 1.0 in WBXML carries its digest raw, which XML cannot.
        Err(EncodeError::Unrepresentable { .. }) if has_raw_digest(&message) => return,
        Err(error) => panic!("{show}: {error}"),
    };
    let there = normal(other(encoding), &crossed).unwrap_or_else(|e| panic!("{show}: {e}"));
    assert_eq!(message, there, "{show}: crossed");
    assert_eq!(again, encode(encoding, &there).unwrap(), "{show}: back");
}

fn has_raw_digest(message: &Message) -> bool {
    message.hdr.cred.as_ref().is_some_and(|cred| cred.data.len() == 16 && !cred.data.is_ascii())
}

#[test]
fn captures_decode_encode_and_cross() {
    let all = messages("from-syncevolution");
    assert_eq!(all.len(), 304, "a golden file is missing");
    for (path, encoding) in part(all) {
        check(&path, encoding);
    }
}

#[test]
fn examples_decode_encode_and_cross() {
    let all = messages("examples");
    assert_eq!(all.len(), 13, "a golden file is missing");
    for (path, encoding) in part(all) {
        check(&path, encoding);
    }
}

#[test]
fn examples_are_our_canonical_wbxml() {
    for (path, encoding) in part(messages("examples")) {
        // One has a string table, one has `Type` before `Format`.
        let show = path.to_string_lossy().into_owned();
        let otherwise = show.contains("strtbl") || show.contains("05-chal");
        if encoding == Encoding::Wbxml && !otherwise {
            let message = normal(encoding, &read(&path)).unwrap();
            assert_eq!(encode(encoding, &message).unwrap(), read(&path), "{}", path.display());
        }
    }
}

/// Octets of every object in the message.
fn payload(message: &Message) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut rest: Vec<&Command> = message.commands.iter().collect();
    while let Some(command) = rest.pop() {
        match command {
            Command::Sync(sync) => rest.extend(&sync.commands),
            Command::Add(change) | Command::Replace(change) => {
                found.extend(
                    change.items.iter().filter_map(|i| i.data.as_ref().and_then(Data::as_bytes)).cloned(),
                );
            }
            _ => {}
        }
    }
    found
}

#[test]
fn item_data_are_slices_of_the_message() {
    let mut slices = 0;
    for (path, encoding) in part(messages("from-syncevolution")) {
        let bytes = read(&path);
        let range = bytes.as_ptr_range();
        for data in payload(&normal(encoding, &bytes).unwrap()) {
            assert!(range.contains(&data.as_ptr()), "{}: a copy", path.display());
            slices += 1;
        }
    }
    assert!(slices > if cfg!(miri) { 0 } else { 200 }, "{slices}");
}
