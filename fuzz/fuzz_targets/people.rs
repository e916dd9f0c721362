//! `cargo fuzz run --features libfuzzer people`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("people");
