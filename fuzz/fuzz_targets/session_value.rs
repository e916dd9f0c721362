//! `cargo fuzz run --features libfuzzer session_value`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("session_value");
