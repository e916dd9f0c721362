//! `cargo fuzz run --features libfuzzer devinf`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("devinf");
