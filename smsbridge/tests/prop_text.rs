//! Texts over all of Unicode: split, sent in any order, joined: equal, and within the limits of the air.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "text")]

use proptest::prelude::*;
use smsbridge::text::gsm7::{self, Language, Shifts};
use smsbridge::text::{
    Added, Alphabet, Assembler, Limits, Part, PartKey, Reference, Rules, Udh, alphabet_of, split,
    transliterate, ucs2,
};
use std::time::Duration;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,300}",
        "[ -~]{0,700}",
        "[@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩ{}\\[\\]~|€]{0,400}",
        prop::collection::vec(any::<char>(), 0..300).prop_map(|chars| chars.into_iter().collect()),
        prop::collection::vec(
            prop::sample::select(vec!["👨‍👩‍👧‍👦", "🇨🇳", "e\u{301}", "中", "a", "न", "ş"]),
            0..200
        )
        .prop_map(|parts| parts.concat()),
    ]
}

/// Without U+FEFF: at the start of a text it reads as a byte order mark.
fn clean_text() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace('\u{FEFF}', ""))
}

fn rules() -> impl Strategy<Value = Rules> {
    let reference = prop_oneof![
        any::<u8>().prop_map(Reference::Udh8),
        any::<u16>().prop_map(Reference::Udh16),
        any::<u16>().prop_map(Reference::Sar),
        Just(Reference::Payload),
    ];
    let alphabet =
        prop::sample::select(vec![Alphabet::Gsm7, Alphabet::Gsm7Packed, Alphabet::Latin1, Alphabet::Ascii]);
    let languages = prop::sample::subsequence(Language::ALL.to_vec(), 0..3);
    (reference, alphabet, languages, any::<bool>()).prop_map(
        |(reference, alphabet, languages, transliterate)| {
            let mut rules = Rules::default();
            rules.reference = reference;
            rules.default_alphabet = alphabet;
            rules.languages = languages;
            rules.transliterate = transliterate;
            rules
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn split_and_joined_texts_are_equal(text in clean_text(), rules in rules(), rotate in any::<prop::sample::Index>()) {
        let message = split(&text, &rules).unwrap();
        let joined: String = message.parts.iter().map(|part| part.text.as_str()).collect();
        prop_assert!(joined == text || (rules.transliterate && joined == transliterate(&text)));
        let total = message.parts.len();
        let mut assembler = Assembler::new(Limits::default());
        let mut order: Vec<usize> = (0..total).collect();
        order.rotate_left(rotate.index(total));
        let mut whole = None;
        for index in order {
            let part = &message.parts[index];
            let (udh, octets) = if part.has_udh {
                Udh::parse(&part.octets).unwrap()
            } else {
                (Udh::default(), part.octets.as_slice())
            };
            let header = part.octets.len() - octets.len();
            // what fits on the air: 140 octets, seven of eight bits for GSM
            let air = match message.alphabet {
                Alphabet::Gsm7 => header + (octets.len() * 7).div_ceil(8),
                _ => part.octets.len(),
            };
            prop_assert!(air <= 140 || rules.reference == Reference::Payload, "{air} octets");
            prop_assert_eq!(alphabet_of(message.data_coding(), rules.default_alphabet), Some(message.alphabet));
            prop_assert_eq!(udh.shifts(), message.shifts);
            let decoded = message.alphabet.decode(octets, udh.shifts(), header);
            prop_assert_eq!(&decoded, &part.text);
            if total == 1 {
                whole = Some(decoded);
                break;
            }
            let concat = udh.concat().or(part.sar).unwrap();
            prop_assert_eq!(usize::from(concat.number), index + 1);
            let key = PartKey {
                link: 0,
                source: String::new(),
                destination: String::new(),
                reference: concat.reference,
                wide: concat.wide,
                data_coding: message.data_coding(),
                total: concat.total,
            };
            let part = Part { number: concat.number, octets: decoded.into_bytes().into() };
            if let Added::Complete(message) = assembler.add(Duration::ZERO, key, part).unwrap() {
                let octets: Vec<u8> = message.parts.into_iter().flatten().flatten().collect();
                whole = Some(String::from_utf8(octets).unwrap());
            }
        }
        prop_assert_eq!(whole, Some(joined));
        prop_assert_eq!(assembler.open_sets(), 0);
    }

    #[test]
    fn any_octets_decode(octets in prop::collection::vec(any::<u8>(), 0..300), header in 0usize..12, ids in any::<[u8; 2]>()) {
        let shifts = Shifts { locking: Language::from_id(ids[0] % 16), single: Language::from_id(ids[1] % 16) };
        for alphabet in [Alphabet::Gsm7, Alphabet::Gsm7Packed, Alphabet::Ascii, Alphabet::Latin1, Alphabet::Ucs2, Alphabet::Binary] {
            let text = alphabet.decode(&octets, shifts, header);
            prop_assert!(text.chars().count() <= octets.len() * 8 / 7 + 1);
        }
        if let Ok((udh, rest)) = Udh::parse(&octets) {
            let again = [udh.encode().unwrap(), rest.to_vec()].concat();
            // an empty header has a length octet, and is not written again
            prop_assert!(again == octets || udh.elements.is_empty());
        }
    }

    #[test]
    fn packing_comes_back(septets in prop::collection::vec(0u8..128, 0..200), fill in 0u32..7) {
        let packed = gsm7::pack(&septets, fill);
        prop_assert_eq!(gsm7::unpack(&packed, fill, septets.len()), septets.clone());
        prop_assert!(packed.len() <= (septets.len() * 7 + 7 + fill as usize).div_ceil(8));
    }

    #[test]
    fn utf_16_comes_back(text in any::<String>()) {
        prop_assume!(!text.starts_with('\u{FEFF}'));
        prop_assert_eq!(ucs2::decode(&ucs2::encode(&text)), text);
    }
}
