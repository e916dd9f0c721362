//! `cargo fuzz run --features libfuzzer wbxml_model`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("wbxml_model");
