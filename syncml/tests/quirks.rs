#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]
//! Each quirk: refused when it alone is off, read when it is on, and what it is read as.

use bytes::Bytes;
use std::path::{Path, PathBuf};
use syncml::{Encoding, Limits, Message, Quirks, decode, encode};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quirks")
}

/// Octets of a golden file: XML as it is, or hex with 'text' and ; comments.
fn load(name: &str) -> (Encoding, Bytes) {
    if let Ok(xml) = std::fs::read(folder().join(format!("{name}.xml"))) {
        return (Encoding::Xml, xml.into());
    }
    let text = std::fs::read_to_string(folder().join(format!("{name}.hex"))).unwrap();
    let mut octets = Vec::new();
    for line in text.lines() {
        let mut in_text = false;
        let mut digits = String::new();
        for c in line.chars() {
            match c {
                '\'' => in_text = !in_text,
                c if in_text => octets.push(c as u8),
                ';' => break,
                ' ' => {}
                c => {
                    digits.push(c);
                    if digits.len() == 2 {
                        octets.push(u8::from_str_radix(&digits, 16).unwrap());
                        digits.clear();
                    }
                }
            }
        }
    }
    (Encoding::Wbxml, octets.into())
}

fn read(name: &str, quirks: &Quirks) -> Result<Message, String> {
    let (encoding, octets) = load(name);
    decode(encoding, &octets, &Limits::default(), quirks).map_err(|error| error.to_string())
}

/// Reads a golden file with the quirk off and on; compares with what it should be, in our XML.
fn check(name: &str, set: fn(&mut Quirks) -> &mut bool, refused: &str) {
    let mut on = Quirks::lenient();
    assert!(*set(&mut on), "{name} is on in lenient");
    let mut strict = Quirks::strict();
    assert!(!*set(&mut strict), "{name} is off in strict");

    let message = read(name, &on).unwrap_or_else(|error| panic!("{name}: {error}"));
    let xml = encode(Encoding::Xml, &message).unwrap_or_else(|_| encode(Encoding::Wbxml, &message).unwrap());
    let shown = syncml::inspect::tree(&xml);
    let path = folder().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), shown, "{name}");

    *set(&mut on) = false;
    match read(name, &on) {
        Err(error) => assert!(error.contains(refused), "{name}: {error}"),
        // Some are not refused without the quirk but understood less.
        Ok(other) => assert!(refused.is_empty() && other != message, "{name} makes no difference"),
    }
}

#[test]
fn missing_namespace() {
    check("missing_namespace", |q| &mut q.missing_namespace, "");
    let message = read("missing_namespace", &Quirks::normal()).unwrap();
    let text = format!("{message:?}");
    assert!(text.contains("DevInf(DevInf {") && text.contains("anchor: Some(Anchor {"), "{text}");
}

#[test]
fn any_order() {
    check("any_order", |q| &mut q.any_order, "out of order");
}

#[test]
fn newer_elements() {
    check("newer_elements", |q| &mut q.newer_elements, "SourceParent is not of this version");
}

#[test]
fn metinf_wrapper() {
    check("metinf_wrapper", |q| &mut q.metinf_wrapper, "");
}

#[test]
fn devinf_as_text() {
    check("devinf_as_text", |q| &mut q.devinf_as_text, "");
}

#[test]
fn partial_devinf() {
    check("partial_devinf", |q| &mut q.partial_devinf, "cut off");
}

#[test]
fn incomplete_info() {
    check("incomplete_info", |q| &mut q.incomplete_info, "Next is missing");
}

#[test]
fn incomplete_commands() {
    check("incomplete_commands", |q| &mut q.incomplete_commands, "CmdID is missing");
    assert!(read("incomplete_commands", &Quirks::normal()).is_err());
}

#[test]
fn stray_text() {
    check("stray_text", |q| &mut q.stray_text, "text where elements belong");
    assert!(read("stray_text", &Quirks::normal()).is_err());
}

#[test]
fn odd_values() {
    check("odd_values", |q| &mut q.odd_values, "second Source");
    assert!(read("odd_values", &Quirks::normal()).is_err());
}

#[test]
fn odd_devinf() {
    let mut quirks = Quirks::normal();
    assert!(read("odd_devinf", &quirks).is_ok());
    quirks.odd_devinf = false;
    assert!(read("odd_devinf", &quirks).unwrap_err().contains("second Rx-Pref"));
    check(
        "odd_devinf",
        |q| {
            q.odd_values = false;
            &mut q.odd_devinf
        },
        "second Rx-Pref",
    );
}

#[test]
fn trailing_bytes() {
    check("trailing_bytes", |q| &mut q.trailing_bytes, "outside the root");
    assert!(read("trailing_bytes", &Quirks::normal()).is_err());
}

#[test]
fn text_as_opaque() {
    check("text_as_opaque", |q| &mut q.text_as_opaque, "opaque in VerDTD");
}

#[test]
fn string_table_without_nul() {
    check("string_table_without_nul", |q| &mut q.string_table_without_nul, "without its last NUL");
}

#[test]
fn nameless_xmlns() {
    check("nameless_xmlns", |q| &mut q.nameless_xmlns, "outside the string table");
}

#[test]
fn extension_tokens() {
    check("extension_tokens", |q| &mut q.extension_tokens, "extension token 0xC0");
}

#[test]
fn inline_devinf_is_read_by_every_preset() {
    for quirks in [Quirks::strict(), Quirks::normal(), Quirks::lenient()] {
        let message = read("inline_devinf", &quirks).unwrap();
        assert!(format!("{message:?}").contains("Properties([Property {"), "{message:?}");
        // It is how we write it, too.
        let (_, octets) = load("inline_devinf");
        assert_eq!(encode(Encoding::Wbxml, &message).unwrap(), octets);
    }
}

#[test]
fn presets_widen() {
    let fields = |quirks: &Quirks| format!("{quirks:?}").matches("true").count();
    assert_eq!(fields(&Quirks::strict()), 0);
    assert!(fields(&Quirks::normal()) > 5);
    assert!(!format!("{:?}", Quirks::lenient()).contains("false"));
    assert_eq!(Quirks::default(), Quirks::normal());
}
