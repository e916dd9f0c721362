//! Holds the codec's memory against its bars. Exit status 1 if one is missed.
//!
//! `cargo run --release -p benches --bin heap`: octets as asked of the allocator; a list that grows counts twice
//! while it moves.

use benches::messages::{self, limits};
use std::hint::black_box;
use std::process::ExitCode;
use syncml::{Encoding, Quirks, Reader, decode};

fn main() -> ExitCode {
    let mut missed = 0_u32;
    let mut row = |what: &str, value: f64, bar: f64| {
        let verdict = if value <= bar { "ok" } else { "MISSED" };
        missed += u32::from(value > bar);
        println!("{what:<64} {value:>8.2}  bar {bar:<6} {verdict}");
    };
    let tree = |encoding, octets| memory(|| decode(encoding, octets, &limits(), &Quirks::normal()));
    let object = messages::object();
    for (encoding, octets) in [(Encoding::Wbxml, &object.wbxml), (Encoding::Xml, &object.xml)] {
        let (_, total) = tree(encoding, octets);
        row(&format!("{encoding:?} decode of 1 MB, KiB allocated in all"), total as f64 / 1024.0, 64.0);
    }
    let large = messages::large(1_000);
    for (encoding, octets) in [(Encoding::Wbxml, &large.wbxml), (Encoding::Xml, &large.xml)] {
        let wire = octets.len() as f64;
        let (peak, _) = tree(encoding, octets);
        row(&format!("{encoding:?} tree of 1,000 items, peak / wire"), peak as f64 / wire, 4.0);
        let (peak, _) = memory(|| {
            let mut reader = Reader::new(encoding, octets, &limits(), &Quirks::normal()).ok()?;
            let mut events = 0;
            while reader.next().ok()?.is_some() {
                events += 1;
            }
            Some(events)
        });
        row(&format!("{encoding:?} pulled 1,000 items, peak / wire"), peak as f64 / wire, 1.5);
    }
    ExitCode::from(u8::from(missed > 0))
}

/// Octets allocated at most at once, and in all.
fn memory<T>(work: impl FnOnce() -> T) -> (u64, u64) {
    let used = allocation_counter::measure(|| {
        black_box(work());
    });
    (used.bytes_max, used.bytes_total)
}
