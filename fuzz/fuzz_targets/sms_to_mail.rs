//! `cargo fuzz run --features libfuzzer sms_to_mail`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("sms_to_mail");
