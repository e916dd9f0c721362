//! `cargo fuzz run --features libfuzzer server_body`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("server_body");
