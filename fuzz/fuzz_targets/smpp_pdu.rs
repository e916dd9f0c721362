//! `cargo fuzz run --features libfuzzer smpp_pdu`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("smpp_pdu");
