//! One object, however it is spelled, is one object; another is another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use mailsync_proto::pim::{Format, PimCollection, Profile, content_key, convert};
use proptest::prelude::*;

/// A property of a card: its name, its types, its text.
#[derive(Clone, Debug)]
struct Said {
    name: &'static str,
    types: Vec<&'static str>,
    text: String,
}

fn said() -> impl Strategy<Value = Said> {
    let name = prop_oneof![
        Just("FN"),
        Just("NOTE"),
        Just("TITLE"),
        Just("TEL"),
        Just("EMAIL"),
        Just("X-OWN"),
        Just("ROLE"),
    ];
    let types = proptest::sample::subsequence(vec!["HOME", "WORK", "CELL"], 0..3);
    (name, types, "[a-zA-Z0-9 äß你,;:=\\\\\"'+.-]{0,60}(\n[a-z]{1,9})?").prop_map(|(name, types, text)| {
        let types = if name == "TEL" { types } else { Vec::new() };
        Said { name, types, text: format!("x{text}x") }
    })
}

fn card() -> impl Strategy<Value = Vec<Said>> {
    proptest::collection::vec(said(), 1..8)
}

fn shuffled(card: Vec<Said>) -> impl Strategy<Value = (Vec<Said>, Vec<Said>)> {
    (Just(card.clone()), Just(card).prop_shuffle())
}

/// vCard 3.0, folded after every `fold` octets at a character's start.
fn new_style(card: &[Said], fold: usize, lower: bool) -> Vec<u8> {
    let mut out = String::from("BEGIN:VCARD\r\nVERSION:3.0\r\nREV:20260101T000000Z\r\n");
    for said in card {
        let name = if lower { said.name.to_ascii_lowercase() } else { said.name.into() };
        let mut line = name;
        if !said.types.is_empty() {
            line += &format!(";TYPE={}", said.types.join(","));
        }
        line.push(':');
        for c in said.text.chars() {
            match c {
                '\n' => line += "\\n",
                ',' | ';' | '\\' => line.extend(['\\', c]),
                _ => line.push(c),
            }
        }
        let mut width = 0;
        for c in line.chars() {
            if width + c.len_utf8() > fold {
                out += "\r\n ";
                width = 1;
            }
            width += c.len_utf8();
            out.push(c);
        }
        out += "\r\n";
    }
    (out + "END:VCARD\r\n").into_bytes()
}

/// vCard 2.1, every text in quoted-printable, with a soft break after every `fold` octets.
fn old_style(card: &[Said], fold: usize) -> Vec<u8> {
    let mut out = String::from("BEGIN:VCARD\nVERSION:2.1\nPRODID:other\n");
    for said in card {
        out += said.name;
        for kind in said.types.iter().rev() {
            out += &format!(";{kind}");
        }
        out += ";CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:";
        let mut width = 0;
        for byte in said.text.replace('\n', "\r\n").bytes() {
            let escaped = matches!(byte, b'\\');
            let coded = match byte {
                b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ if escaped => "=5C=5C".into(),
                _ => format!("={byte:02X}"),
            };
            if width + coded.len() > fold {
                out += "=\n";
                width = 0;
            }
            width += coded.len();
            out += &coded;
        }
        out += "\n";
    }
    (out + "END:VCARD\n").into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    // mission: M3
    #[test]
    fn spelling_does_not_count((card, other) in card().prop_flat_map(shuffled), fold in 12usize..90, lower in any::<bool>()) {
        let key = content_key(&new_style(&card, 75, false)).unwrap();
        prop_assert_eq!(Some(key), content_key(&new_style(&other, fold, lower)));
        prop_assert_eq!(Some(key), content_key(&old_style(&other, fold)));
        let contacts = PimCollection::new(Profile::Contacts);
        prop_assert_eq!(contacts.value(&old_style(&card, fold)).match_keys, contacts.value(&new_style(&other, fold, lower)).match_keys);
    }

    #[test]
    fn content_counts(card in card(), at in any::<proptest::sample::Index>(), other in said(), fold in 12usize..90) {
        let at = at.index(card.len());
        let key = content_key(&new_style(&card, fold, false)).unwrap();
        let mut changed = card.clone();
        changed[at].text.push('y');
        prop_assert_ne!(Some(key), content_key(&new_style(&changed, fold, false)));
        let mut fewer = card.clone();
        fewer.remove(at);
        prop_assert_ne!(Some(key), content_key(&new_style(&fewer, fold, false)));
        let mut more = card;
        more.push(other);
        prop_assert_ne!(Some(key), content_key(&new_style(&more, fold, false)));
    }

    #[test]
    fn another_version_says_the_same(card in card(), fold in 12usize..90) {
        let text = new_style(&card, fold, false);
        let key = content_key(&text);
        let mut last = text;
        for format in [Format::VCard21, Format::VCard40, Format::VCard21, Format::VCard30] {
            last = convert(&last, format).unwrap();
            prop_assert_eq!(content_key(&last), key, "{:?}: {}", format, String::from_utf8_lossy(&last));
        }
    }

    // threat: L1
    #[test]
    fn threat_l1_any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..400),
        lines in proptest::collection::vec("(BEGIN|END|VERSION|N|TEL;QUOTED-PRINTABLE|PHOTO;BASE64|[ \t])[:;,=\\\\]{0,3}(VCARD|2\\.1|VEVENT|=|[ -~]{0,9})\r?\n", 0..40)) {
        for text in [octets, lines.concat().into_bytes()] {
            let key = content_key(&text);
            for profile in Profile::ALL {
                let value = PimCollection::new(profile).value(&text);
                prop_assert!(!value.match_keys.is_empty());
                if let Some(key) = key {
                    prop_assert_eq!(value.match_keys.last(), Some(&key));
                }
            }
            for format in [Format::VCard21, Format::VCard30, Format::VCard40, Format::VCalendar10, Format::ICalendar20] {
                if let Some(converted) = convert(&text, format) {
                    prop_assert!(content_key(&converted).is_some());
                }
            }
        }
    }
}

/// A value of a million soft line breaks: the same as the value without them, and read in one pass (a square of it would
/// not end within a test's patience).
// threat: L2
#[test]
fn threat_l2_long_values_are_read_once() {
    let card = |note: &str| {
        format!("BEGIN:VCARD\nVERSION:2.1\nN:A\nNOTE;ENCODING=QUOTED-PRINTABLE:{note}x\nEND:VCARD\n")
    };
    let folded = content_key(card(&"=\n".repeat(1_000_000)).as_bytes());
    assert!(folded.is_some());
    assert_eq!(folded, content_key(card("").as_bytes()));
}
