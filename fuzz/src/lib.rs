//! What must hold whatever octets come: properties, each first a sentence, then asserted exactly.
//!
//! A [`Target`] is one kind of input and its properties. The same functions run under libFuzzer
//! (`fuzz_targets/`), under the built-in runner (`cargo run --release -p fuzz -- run TARGET`), over the corpora
//! on stable (`tests/replay.rs`), and over one file (`cargo run -p fuzz -- TARGET FILE`).
//!
//! To add one: write the sentence, write the function, put a [`Property`] into its target, add a seed to
//! [`seeds`]. `fuzz/README.md` has the rest.

#[cfg(feature = "sessions")]
pub mod anchors;
#[cfg(feature = "sessions")]
pub mod client_body;
pub mod codec;
pub mod cross;
#[cfg(feature = "sessions")]
pub mod cut;
pub mod dict;
#[cfg(feature = "sessions")]
pub mod email;
#[cfg(feature = "sessions")]
pub mod filter;
#[cfg(feature = "sessions")]
pub mod forward;
#[cfg(feature = "sessions")]
pub mod idmap_ops;
#[cfg(feature = "sessions")]
pub mod imap;
pub mod model;
pub mod mutate;
#[cfg(feature = "sessions")]
pub mod naive;
#[cfg(feature = "sessions")]
pub mod operations;
#[cfg(feature = "sessions")]
pub mod own;
#[cfg(feature = "time")]
pub mod people;
#[cfg(feature = "push")]
pub mod push;
pub mod run;
pub mod san;
pub mod scan;
#[cfg(feature = "sessions")]
pub mod scene;
#[cfg(feature = "sessions")]
pub mod seeds;
#[cfg(feature = "time")]
mod seeds_time;
#[cfg(feature = "sessions")]
pub mod server_body;
#[cfg(feature = "sessions")]
pub mod session_value;
#[cfg(feature = "sessions")]
pub mod sessions_model;
#[cfg(feature = "sms")]
pub mod smpp;
#[cfg(feature = "sms")]
pub mod sms;
#[cfg(feature = "sms")]
mod sms_seeds;
pub mod split;
#[cfg(feature = "time")]
pub mod tasks;
#[cfg(feature = "time")]
pub mod time;
#[cfg(feature = "sessions")]
pub mod world;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One kind of input and what holds for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, on the command line and of its folder in `corpus/`.
    pub name: &'static str,
    /// What the octets of an input are.
    pub input: &'static str,
    /// The dictionary in `dict/` that helps a mutator.
    pub dictionary: Option<&'static str>,
    /// What is asserted, in this order.
    pub properties: &'static [Property],
}

/// A sentence, and the function that asserts it.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// A short name, unique in its target.
    pub name: &'static str,
    /// What is claimed of every input.
    pub sentence: &'static str,
    /// Asserts it for one input. A panic breaks it, too.
    pub check: fn(&[u8]) -> Result<(), Broken>,
}

/// How an input contradicts a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// A property that an input breaks.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The property.
    pub property: Property,
    /// How.
    pub broken: Broken,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { property, broken: Broken(how) } = self;
        write!(f, "breaks {:?}: {}\n  {how}", property.name, property.sentence)
    }
}

/// Breaks the property unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($how:tt)+) => {
        if !$holds {
            return Err($crate::Broken(format!($($how)+)));
        }
    };
}

/// The body of a file in `fuzz_targets/`: a libFuzzer target under cargo-fuzz, else a replay of the files named.
#[macro_export]
macro_rules! shim {
    ($target:literal) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::abort_if_broken($target, data));
        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::run::replay_files($target, std::env::args_os().skip(1))
        }
    };
}

/// Every target.
pub const TARGETS: &[Target] = &[
    codec::XML,
    codec::WBXML,
    model::XML_MODEL,
    model::WBXML_MODEL,
    cross::CROSS,
    scan::SCAN,
    codec::DEVINF,
    codec::CONVERT,
    san::SAN,
    split::SPLIT,
    #[cfg(feature = "sessions")]
    server_body::SERVER_BODY,
    #[cfg(feature = "sessions")]
    client_body::CLIENT_BODY,
    #[cfg(feature = "sessions")]
    operations::OPERATIONS,
    #[cfg(feature = "sessions")]
    session_value::SESSION_VALUE,
    #[cfg(feature = "sessions")]
    anchors::ANCHORS,
    #[cfg(feature = "sessions")]
    idmap_ops::IDMAP,
    #[cfg(feature = "sessions")]
    naive::NAIVE,
    #[cfg(feature = "sessions")]
    sessions_model::SESSIONS_MODEL,
    #[cfg(feature = "sessions")]
    email::EMAIL,
    #[cfg(feature = "sessions")]
    forward::FORWARD,
    #[cfg(feature = "sessions")]
    cut::CUT,
    #[cfg(feature = "sessions")]
    own::OWN,
    #[cfg(feature = "sessions")]
    imap::IMAP,
    #[cfg(feature = "sessions")]
    filter::FILTER,
    #[cfg(feature = "sms")]
    smpp::SMPP_PDU,
    #[cfg(feature = "sms")]
    smpp::SMPP_MODEL,
    #[cfg(feature = "sms")]
    smpp::SMPP_OPERATIONS,
    #[cfg(feature = "sms")]
    sms::SMS_TEXT,
    #[cfg(feature = "sms")]
    sms::MAIL_TO_SMS,
    #[cfg(feature = "sms")]
    sms::SMS_TO_MAIL,
    #[cfg(feature = "push")]
    push::REPORT,
    #[cfg(feature = "push")]
    push::POLICY,
    #[cfg(feature = "push")]
    push::DECIDE,
    #[cfg(feature = "push")]
    push::BEARER,
    #[cfg(feature = "time")]
    time::NTP,
    #[cfg(feature = "time")]
    time::EXCHANGE,
    #[cfg(feature = "time")]
    time::CIVIL,
    #[cfg(feature = "time")]
    time::ICAL,
    #[cfg(feature = "time")]
    tasks::TASKS,
    people::PEOPLE,
    #[cfg(feature = "time")]
    tasks::DM,
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Asserts every property of one input; panics are caught and named.
    ///
    /// # Errors
    /// The first property that the input breaks.
    pub fn check(&self, data: &[u8]) -> Result<(), Box<Failure>> {
        hush_panics();
        for property in self.properties {
            CHECKING.set(true);
            let outcome = catch_unwind(AssertUnwindSafe(|| (property.check)(data)));
            CHECKING.set(false);
            let broken = match outcome {
                Ok(Ok(())) => continue,
                Ok(Err(broken)) => broken,
                Err(_) => Broken(LAST_PANIC.take().unwrap_or_else(|| "panics".into())),
            };
            return Err(Box::new(Failure { property: *property, broken }));
        }
        Ok(())
    }
}

/// For libFuzzer: says what is broken and aborts.
pub fn abort_if_broken(name: &str, data: &[u8]) {
    let Some(target) = target(name) else { std::process::abort() };
    if let Err(failure) = target.check(data) {
        eprintln!("{name}: {failure}");
        std::process::abort();
    }
}

thread_local! {
    static CHECKING: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the place and words of a panic for the report instead of printing each: a mutator may meet thousands.
fn hush_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CHECKING.get() {
                LAST_PANIC.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}
