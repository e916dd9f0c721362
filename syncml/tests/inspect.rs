#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]
//! What people see: trees, JSON and token listings of every kind of document, whole and damaged.

use bytes::Bytes;
use std::path::{Path, PathBuf};
use syncml::inspect::{Kind, inspect, json, tokens, tree};
use syncml::{ConvertError, EncodeError, Encoding, Limits, Quirks, convert, decode};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn read(path: &str) -> Bytes {
    Bytes::from(std::fs::read(golden().join(path)).unwrap())
}

/// Every message below `tests/golden`.
fn messages() -> Vec<(PathBuf, Encoding)> {
    let mut found = Vec::new();
    let mut folders = vec![golden().join("examples"), golden().join("from-syncevolution")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let encoding = match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => {
                    folders.push(path);
                    continue;
                }
                Some("xml") => Encoding::Xml,
                Some("wbxml") => Encoding::Wbxml,
                _ => continue,
            };
            found.push((path, encoding));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if cfg!(miri) {
        // Where an octet takes as long as a thousand otherwise, a few small ones do.
        found.retain(|(path, _)| path.metadata().unwrap().len() < 900);
        let step = found.len().div_ceil(5);
        found = found.into_iter().step_by(step).collect();
    }
    found
}

/// Compares with a dump beside the golden file; `UPDATE_GOLDEN=1` writes it.
fn check_dump(path: &Path, dump: &str) {
    let mut name = path.as_os_str().to_owned();
    name.push(".txt");
    let name = PathBuf::from(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&name, dump).unwrap();
    }
    let expected = std::fs::read_to_string(&name).unwrap_or_default();
    assert_eq!(expected, dump, "{}", name.display());
}

#[test]
fn golden_dumps_of_the_examples() {
    for (path, encoding) in messages() {
        if !path.starts_with(golden().join("examples")) {
            continue;
        }
        let octets = Bytes::from(std::fs::read(&path).unwrap());
        let mut dump = tree(&octets);
        if encoding == Encoding::Wbxml {
            dump.push('\n');
            dump.push_str(&tokens(&octets));
        }
        check_dump(&path, &dump);
    }
    let san = golden().join("examples/07-san-1.2.bin");
    check_dump(&san, &tree(&Bytes::from(std::fs::read(&san).unwrap())));
}

#[test]
fn golden_dumps_of_the_captures() {
    for (path, _) in messages() {
        // The DevInf of scenario 40 alone would be 2 MB of dumps.
        let show = path.to_string_lossy().replace('\\', "/");
        if show.contains("from-syncevolution/") && !show.contains("/40-slow") {
            check_dump(&path, &tree(&Bytes::from(std::fs::read(&path).unwrap())));
        }
    }
}

#[test]
fn every_message_is_shown_whole() {
    for (path, encoding) in messages() {
        let octets = Bytes::from(std::fs::read(&path).unwrap());
        let inspection = inspect(&octets);
        assert_eq!(inspection.kind, Kind::Document(encoding), "{}", path.display());
        assert_eq!(inspection.error, None, "{}", path.display());
        if encoding == Encoding::Wbxml {
            let listing = tokens(&octets);
            assert!(!listing.contains("error"), "{}: {listing}", path.display());
        }
    }
}

#[test]
fn both_spellings_show_the_same_elements() {
    for (path, encoding) in messages() {
        let octets = Bytes::from(std::fs::read(&path).unwrap());
        let other = match encoding {
            Encoding::Xml => Encoding::Wbxml,
            Encoding::Wbxml => Encoding::Xml,
        };
        let crossed = convert(&octets, encoding, other).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let names = |octets: &Bytes| {
            inspect(octets).entries.into_iter().map(|e| (e.depth, e.name)).collect::<Vec<_>>()
        };
        let mut here = names(&octets);
        let mut there = names(&crossed);
        if path.to_string_lossy().contains("syncml1.0.wbxml") {
            // A raw digest becomes base64, and says so.
            there.retain(|(_, name)| name != "Format");
            here.retain(|(_, name)| name != "Format");
        }
        // Peers write some children in another order than ours.
        here.sort();
        there.sort();
        assert_eq!(here, there, "{}", path.display());
    }
}

#[test]
fn names_for_codes() {
    let shown = tree(&read("from-syncevolution/14-server-forgot-508.xml/001-resp.xml"));
    assert!(shown.contains("Data: 508 (refresh required)"), "{shown}");
    assert!(shown.contains("SyncType: 2 (slow sync)"));
    assert!(shown.contains("NextNonce: "));
    let shown = tree(&read("from-syncevolution/01-slow-first.wbxml/001-req.wbxml"));
    assert!(shown.contains("Data: 201 (slow sync)"), "{shown}");
    // The DevInf inside an opaque stands where it is, with offsets of the whole message.
    assert!(shown.contains("DevID: lab-dev-1"));
    let line = shown.lines().find(|line| line.contains("DevID")).unwrap();
    let offset: usize = line.split_whitespace().next().unwrap().parse().unwrap();
    let message = read("from-syncevolution/01-slow-first.wbxml/001-req.wbxml");
    assert_eq!(message[offset], 0x49, "{line}");
}

#[test]
fn package_0_is_known_by_its_octets() {
    let alert = read("examples/07-san-1.2.bin");
    assert_eq!(Kind::guess(&alert), Kind::ServerAlert);
    let shown = tree(&alert);
    for line in [
        "version: 12 (DS 1.2)",
        "session-id: 258 (0x0102)",
        "sync: 206 (two-way by server)",
        "content-type: 0x000306 (application/vnd.omads-email+xml)",
        "server-uri: mail",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}

#[test]
fn a_damaged_file_is_shown_up_to_the_fault() {
    let whole = read("examples/03-alert-anchor-1.2.wbxml");
    for cut in 1..whole.len() {
        let damaged = whole.slice(..cut);
        let inspection = syncml::inspect::inspect_as(Kind::Document(Encoding::Wbxml), &damaged);
        let error = inspection.error.as_ref().unwrap_or_else(|| panic!("{cut}"));
        assert!(error.offset <= cut);
        let shown = inspection.to_string();
        assert!(shown.lines().last().unwrap().starts_with("error: wbxml: "), "{shown}");
        assert!(tokens(&damaged).contains("error: "), "{cut}");
    }
    let cut = whole.slice(..110);
    assert!(tree(&cut).contains("LocURI: ./mail"), "{}", tree(&cut));
    // Damage anywhere is shown, never a panic.
    for at in 0..whole.len() {
        for octet in [0x00, 0x01, 0x03, 0x43, 0x83, 0xC3, 0xFF] {
            let mut damaged = whole.to_vec();
            damaged[at] = octet;
            let damaged = Bytes::from(damaged);
            assert!(!tree(&damaged).is_empty() && !tokens(&damaged).is_empty() && !json(&damaged).is_empty());
        }
    }
}

/// A small reader of JSON, so that what is written is known to be JSON: gives the number of values.
fn json_values(text: &str) -> usize {
    fn value(text: &[u8], at: &mut usize) -> usize {
        match text[*at] {
            b'{' | b'[' => {
                let close = if text[*at] == b'{' { b'}' } else { b']' };
                let is_object = close == b'}';
                *at += 1;
                let mut count = 1;
                while text[*at] != close {
                    if is_object {
                        assert_eq!(text[*at], b'"');
                        value(text, at);
                        assert_eq!(text[*at], b':');
                        *at += 1;
                    }
                    count += value(text, at);
                    if text[*at] == b',' {
                        *at += 1;
                        assert_ne!(text[*at], close, "a comma before the end");
                    }
                }
                *at += 1;
                count
            }
            b'"' => {
                *at += 1;
                while text[*at] != b'"' {
                    assert!(text[*at] >= 0x20, "a raw control character");
                    *at += if text[*at] == b'\\' { 2 } else { 1 };
                }
                *at += 1;
                1
            }
            _ => {
                let from = *at;
                while text.get(*at).is_some_and(|b| b.is_ascii_alphanumeric()) {
                    *at += 1;
                }
                assert!(*at > from, "no value at {from}");
                1
            }
        }
    }
    let mut at = 0;
    let count = value(text.as_bytes(), &mut at);
    assert_eq!(at, text.len());
    count
}

#[test]
fn json_is_json() {
    for (path, _) in messages() {
        let octets = Bytes::from(std::fs::read(&path).unwrap());
        let entries = inspect(&octets).entries.len();
        assert!(json_values(&json(&octets)) > entries * 2, "{}", path.display());
        json_values(&json(&octets.slice(..octets.len() / 2)));
    }
    let tricky = Bytes::from_static(b"<a><b>\"\\\n\x01\xFF</b></a>");
    assert!(json(&tricky).contains("\"base64\""));
    json_values(&json(&tricky));
    json_values(&json(&read("examples/07-san-1.2.bin")));
}

#[test]
fn conversion_is_lossless_both_ways() {
    for (path, encoding) in messages() {
        let octets = Bytes::from(std::fs::read(&path).unwrap());
        let other = if encoding == Encoding::Xml { Encoding::Wbxml } else { Encoding::Xml };
        let there = convert(&octets, encoding, other).unwrap();
        let back = convert(&there, other, encoding).unwrap();
        let read = |octets: &Bytes| decode(encoding, octets, &Limits::default(), &Quirks::normal()).unwrap();
        // Raw digests become base64; example 04 names the other spelling's DevInf type.
        let show = path.to_string_lossy();
        if !show.contains("syncml1.0.wbxml") && !show.contains("04-put-devinf-1.1.xml") {
            assert_eq!(read(&back), read(&octets), "{}", path.display());
        }
        // From there on nothing changes any more.
        assert_eq!(convert(&back, encoding, other).unwrap(), there, "{}", path.display());
    }
}

#[test]
fn the_devinf_type_follows_the_spelling() {
    let xml = read("from-syncevolution/01-slow-first.xml/001-req.xml");
    let wbxml = convert(&xml, Encoding::Xml, Encoding::Wbxml).unwrap();
    assert!(tree(&wbxml).contains("application/vnd.syncml-devinf+wbxml"));
    assert!(!tree(&wbxml).contains("application/vnd.syncml-devinf+xml"));
}

#[test]
fn what_cannot_be_converted_says_so() {
    let broken = Bytes::from_static(b"<SyncML");
    assert!(matches!(convert(&broken, Encoding::Xml, Encoding::Wbxml), Err(ConvertError::Decode(_))));
    let mut octets = read("examples/06-add-large-1.2.wbxml").to_vec();
    let at = octets.windows(5).position(|w| w == b"Subje").unwrap();
    octets[at] = 0;
    let error = convert(&octets.into(), Encoding::Wbxml, Encoding::Xml).unwrap_err();
    assert!(matches!(error, ConvertError::Encode(EncodeError::Unrepresentable { .. })), "{error}");
}
