//! `cargo fuzz run --features libfuzzer mail_to_sms`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("mail_to_sms");
