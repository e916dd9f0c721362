//! What is an id and what is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use idmap::{Guid, IdError, Luid, TempId};

#[test]
fn lengths_are_counted_in_octets() {
    assert!(Luid::try_from("a".repeat(255)).is_ok());
    assert!(Guid::try_from("a".repeat(64)).is_ok());
    assert!(TempId::try_from("a".repeat(64)).is_ok());
    assert_eq!(Luid::try_from(""), Err(IdError::Empty { what: "LUID" }));
    let long = IdError::TooLong { what: "LUID", len: 256, limit: 255 };
    assert_eq!(Luid::try_from("é".repeat(128)), Err(long));
    assert_eq!(long.to_string(), "LUID of 256 octets, limit 255");
    assert_eq!(Guid::try_from("é".repeat(33)), Err(IdError::TooLong { what: "GUID", len: 66, limit: 64 }));
}

#[test]
fn threat_m2_control_characters_in_ids() {
    for (text, at) in [("\0", 0), ("a\r\nb", 1), ("ab\u{7F}", 2), ("é\u{85}", 2)] {
        assert_eq!(Luid::try_from(text), Err(IdError::Control { what: "LUID", at }), "{text:?}");
        assert_eq!(Guid::try_from(text), Err(IdError::Control { what: "GUID", at }), "{text:?}");
    }
    // Odd ones that phones use pass as they are.
    for text in ["./Inbox/1 2", "IMEI:4901-<5>", "~", "邮件"] {
        assert_eq!(Luid::try_from(text).unwrap().as_str(), text);
    }
}

#[test]
fn an_unvalidated_id_equals_a_validated_one() {
    assert_eq!(Luid::unvalidated("7"), Luid::try_from("7").unwrap());
    assert_eq!(format!("{0} {0:?} {0:>3}", Luid::unvalidated("7")), "7 Luid(\"7\")   7");
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "invalid GUID")]
fn an_unvalidated_id_that_is_invalid_is_caught_in_debug_builds() {
    let _ = Guid::unvalidated("");
}

#[cfg(feature = "serde")]
#[test]
fn stored_ids_are_validated_too() {
    use serde::Deserialize;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StringDeserializer};
    let from = |text: &str| {
        let text: StringDeserializer<Error> = text.to_owned().into_deserializer();
        Guid::deserialize(text)
    };
    assert_eq!(from("inbox/1").unwrap().as_str(), "inbox/1");
    assert_eq!(from("a\nb").unwrap_err().to_string(), "GUID has a control character at octet 1");
}
