#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! Every file of every corpus, on stable; and proof that a broken property is seen and named.

use fuzz::{Broken, Property, TARGETS, Target, dict, ensure, run};

/// Replays the corpus of a target.
fn replay(name: &str) {
    let target = fuzz::target(name).unwrap();
    let corpus = run::corpus(name).unwrap();
    assert!(!corpus.is_empty(), "corpus/{name} is empty");
    for (path, octets) in corpus {
        if let Err(failure) = target.check(&octets) {
            panic!("{}: {failure}", path.display());
        }
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*
        #[test]
        fn every_target_is_replayed() {
            let named = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), named);
            let shims = std::fs::read_dir(run::folder().join("fuzz_targets")).unwrap();
            assert_eq!(shims.count(), named.len());
            for name in named {
                let shim = run::folder().join(format!("fuzz_targets/{name}.rs"));
                let text = std::fs::read_to_string(shim).unwrap();
                assert!(text.contains(&format!("fuzz::shim!({name:?});")), "{name}");
            }
        }
    };
}

replays! {
    xml wbxml xml_model wbxml_model cross scan devinf convert san split server_body client_body operations session_value
    anchors idmap naive sessions_model email forward cut own imap filter smpp_pdu smpp_model smpp_operations sms_text mail_to_sms sms_to_mail
    report policy decide bearer ntp exchange civil ical tasks people dm
}

#[test]
fn dictionaries_are_current() {
    for name in dict::NAMES {
        let path = run::folder().join(format!("dict/{name}.dict"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text == dict::file(name), "{} is old: cargo run -p fuzz -- dict", path.display());
    }
    for target in TARGETS {
        assert!(target.dictionary.is_none_or(|name| dict::NAMES.contains(&name)), "{}", target.name);
    }
}

/// A target with a bug that octets must be found for, and one that panics.
const PLANTED: Target = Target {
    name: "xml",
    input: "anything",
    dictionary: Some("xml"),
    properties: &[
        Property {
            name: "no-final",
            sentence: "no input has a Final",
            check: |data| {
                ensure!(!data.windows(8).any(|part| part == b"<Final/>"), "it has");
                Ok(())
            },
        },
        Property {
            name: "no-zero",
            sentence: "no input starts with 0",
            check: |data| if data.first() == Some(&0) { panic!("a zero") } else { Ok::<_, Broken>(()) },
        },
    ],
};

#[test]
fn a_broken_property_is_named_and_a_panic_is_one() {
    let named = |data: &[u8]| PLANTED.check(data).unwrap_err().to_string();
    assert!(named(b"a<Final/>").contains("\"no-final\": no input has a Final"));
    let panicked = named(b"\0");
    assert!(panicked.contains("no-zero") && panicked.contains("a zero"), "{panicked}");
    PLANTED.check(b"a").unwrap();
}

#[test]
fn the_runner_finds_a_planted_bug_and_shortens_it() {
    let report = run::run(&PLANTED, std::time::Duration::from_secs(20), 1).unwrap();
    let (failure, input) = report.failure.unwrap();
    assert_eq!(failure.property.name, "no-final");
    assert_eq!(input, b"<Final/>");
    assert!(report.executions > 0);
}

/// `docs/threats.md`: a row of the codec has a test and a seed by its name.
#[test]
fn every_threat_to_the_codec_has_a_test_and_a_seed() {
    let tests = std::fs::read_to_string(run::folder().join("../syncml/tests/threats.rs")).unwrap();
    let rows = (1..=8).map(|n| ("wbxml", format!("w{n}"))).chain((1..=4).map(|n| ("xml", format!("x{n}"))));
    for (target, row) in rows {
        assert!(tests.contains(&format!("fn threat_{row}_")), "no test of {row}");
        let seeds = run::corpus(target).unwrap();
        let named = seeds.iter().any(|(path, _)| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(&format!("threat-{row}-"))
        });
        assert!(named, "no seed of {row} in corpus/{target}");
    }
}
