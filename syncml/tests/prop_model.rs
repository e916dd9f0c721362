#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! Whatever the model can say is read back as it was written, in either spelling and across.

use arbitrary::{Arbitrary, Unstructured};
use proptest::prelude::*;
use syncml::{EncodeError, Encoding, Limits, Message, Quirks, Reader, decode, encode};

/// Messages from octets, so that proptest shrinks by taking octets away.
fn message() -> impl Strategy<Value = Message> {
    proptest::collection::vec(any::<u8>(), 0..3_000)
        .prop_map(|octets| Message::arbitrary(&mut Unstructured::new(&octets)).unwrap())
}

fn roomy() -> Limits {
    let mut limits = Limits::default();
    limits.depth = 64;
    limits
}

/// Strict, but for elements newer than the version that a message claims, and the string table that all
/// peers of 1.0 leave without its last NUL.
fn nearly_strict() -> Quirks {
    let mut quirks = Quirks::strict();
    quirks.newer_elements = true;
    quirks.string_table_without_nul = true;
    quirks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2_000 }))]

    /// What we encode decodes to an equal message, and encodes to the same octets again.
    #[test]
    fn a_message_is_read_as_it_was_written(message in message()) {
        for quirks in [nearly_strict(), Quirks::normal()] {
            let wbxml = encode(Encoding::Wbxml, &message).unwrap();
            let read = decode(Encoding::Wbxml, &wbxml, &roomy(), &quirks).unwrap();
            prop_assert_eq!(&read, &message);
            prop_assert_eq!(encode(Encoding::Wbxml, &read).unwrap(), wbxml);
        }
    }

    /// The same in XML, for what XML can carry; and from there to WBXML and back.
    #[test]
    fn a_message_crosses_both_spellings(message in message()) {
        let wbxml = encode(Encoding::Wbxml, &message).unwrap();
        let xml = match encode(Encoding::Xml, &message) {
            Ok(xml) => xml,
            Err(EncodeError::Unrepresentable { encoding: Encoding::Xml, .. }) => return Ok(()),
            Err(other) => panic!("{other}"),
        };
        for quirks in [nearly_strict(), Quirks::normal()] {
            let read = decode(Encoding::Xml, &xml, &roomy(), &quirks).unwrap();
            prop_assert_eq!(&read, &message);
            prop_assert_eq!(&encode(Encoding::Xml, &read).unwrap(), &xml);
            prop_assert_eq!(&encode(Encoding::Wbxml, &read).unwrap(), &wbxml);
        }
    }

    /// A message cut anywhere is an error, never a shorter message.
    #[test]
    fn a_message_cut_short_is_refused(message in message(), at in any::<prop::sample::Index>()) {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let Ok(whole) = encode(encoding, &message) else { continue };
            let cut = whole.slice(..at.index(whole.len()));
            prop_assert!(decode(encoding, &cut, &roomy(), &Quirks::normal()).is_err());
        }
    }

    /// One octet changed: a message or an error that names a place inside the message, and what decodes
    /// encodes in WBXML.
    #[test]
    fn a_damaged_message_is_read_or_refused(
        message in message(), at in any::<prop::sample::Index>(), octet in any::<u8>(),
    ) {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let Ok(whole) = encode(encoding, &message) else { continue };
            let mut damaged = whole.to_vec();
            let at = at.index(damaged.len());
            damaged[at] = octet;
            let damaged = bytes::Bytes::from(damaged);
            for quirks in [Quirks::strict(), Quirks::normal(), Quirks::lenient()] {
                match decode(encoding, &damaged, &roomy(), &quirks) {
                    Ok(read) => {
                        let again = encode(Encoding::Wbxml, &read).unwrap();
                        let mut relaxed = quirks.clone();
                        relaxed.text_as_opaque = true;
                        relaxed.string_table_without_nul = true;
                        let reread = decode(Encoding::Wbxml, &again, &roomy(), &relaxed).unwrap();
                        prop_assert_eq!(reread, read);
                    }
                    Err(error) => prop_assert!(error.offset <= damaged.len()),
                }
            }
        }
    }

    /// Octets that are no message at all.
    #[test]
    fn noise_is_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let octets = bytes::Bytes::from(octets);
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            prop_assert!(decode(encoding, &octets, &roomy(), &Quirks::lenient()).is_err());
        }
    }
}

#[test]
fn an_error_stays_an_error() {
    let octets = bytes::Bytes::from_static(b"<SyncML><SyncHdr></SyncML>");
    let mut reader = Reader::new(Encoding::Xml, &octets, &Limits::default(), &Quirks::normal()).unwrap();
    let first = reader.header().unwrap_err();
    assert_eq!(reader.header().unwrap_err(), first);
    assert_eq!(reader.next().unwrap_err(), first);
}
