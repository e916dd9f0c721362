//! `cargo fuzz run --features libfuzzer client_body`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("client_body");
