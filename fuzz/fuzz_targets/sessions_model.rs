//! `cargo fuzz run --features libfuzzer sessions_model`; the property is in `src/`, this file has none.
#![cfg_attr(fuzzing, no_main)]
fuzz::shim!("sessions_model");
