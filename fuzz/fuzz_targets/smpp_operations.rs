//! `cargo fuzz run --features libfuzzer smpp_operations`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("smpp_operations");
