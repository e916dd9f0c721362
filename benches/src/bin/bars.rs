//! Holds the codec's times against their bars, all in one run on one core. Exit status 1 if one is missed.
//!
//! The bars of memory are in `heap`: counting what is allocated takes time.
//!
//! `cargo run --release -p benches --bin bars [SECONDS]`: about so many seconds for each comparison (2).

use benches::measure::shortest_of_two;
use benches::messages::{self, Workload, limits};
use benches::{floor, session::Pair};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use syncml::{Encoding, Quirks, decode, encode};

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let mut table = Table { budget: Duration::from_secs_f64(seconds), missed: 0 };
    for workload in messages::all() {
        table.times(&workload);
    }
    table.linear();
    for encoding in [Encoding::Wbxml, Encoding::Xml] {
        let mut pair = Pair::with_notes(1_000, encoding);
        let began = Instant::now();
        let traffic = pair.sync();
        let took = began.elapsed();
        println!("slow sync of 1,000 notes, {encoding:?}: {:.1} ms, {traffic:?}", took.as_secs_f64() * 1e3);
    }
    if table.missed > 0 {
        println!("{} bars missed", table.missed);
    }
    ExitCode::from(u8::from(table.missed > 0))
}

struct Table {
    budget: Duration,
    missed: u32,
}

impl Table {
    fn row(&mut self, what: &str, value: f64, bar: f64, detail: &str) {
        let verdict = if value <= bar { "ok" } else { "MISSED" };
        self.missed += u32::from(value > bar);
        println!("{what:<64} {value:>8.2}  bar {bar:<6} {verdict:<7}{detail}");
    }

    fn ratio(&mut self, what: &str, bar: f64, octets: usize, (ours, floor): (Duration, Duration)) {
        let per_second = octets as f64 / ours.as_secs_f64() / 1e6;
        let detail = format!("{ours:.1?} over {floor:.1?}, {per_second:.0} MB/s");
        self.row(what, ours.as_secs_f64() / floor.as_secs_f64(), bar, &detail);
    }

    fn times(&mut self, workload: &Workload) {
        let Workload { name, message, wbxml, xml } = workload;
        let (limits, quirks) = (limits(), Quirks::normal());
        let ours = || decode(Encoding::Wbxml, wbxml, &limits, &quirks);
        let times = shortest_of_two(self.budget, ours, || floor::token_offsets(wbxml));
        self.ratio(&format!("WBXML decode, {name}"), 2.5, wbxml.len(), times);
        let ours = || decode(Encoding::Xml, xml, &limits, &quirks);
        let times = shortest_of_two(self.budget, ours, || floor::xml_events(xml));
        self.ratio(&format!("XML decode, {name}"), 1.3, xml.len(), times);
        let pieces = floor::wbxml_pieces(wbxml).unwrap_or_default();
        let ours = || encode(Encoding::Wbxml, message);
        let times = shortest_of_two(self.budget, ours, || floor::replay(&pieces));
        self.ratio(&format!("WBXML encode, {name}"), 2.5, wbxml.len(), times);
        let pieces = floor::xml_pieces(xml).unwrap_or_default();
        let ours = || encode(Encoding::Xml, message);
        let times = shortest_of_two(self.budget, ours, || floor::replay(&pieces));
        self.ratio(&format!("XML encode, {name}"), 3.0, xml.len(), times);
    }

    fn linear(&mut self) {
        let (one, eight) = (messages::large(1_000), messages::large(8_000));
        let mut roomy = limits();
        roomy.message_bytes = 64 * 1024 * 1024;
        for (encoding, small, big) in
            [(Encoding::Wbxml, &one.wbxml, &eight.wbxml), (Encoding::Xml, &one.xml, &eight.xml)]
        {
            let ours = |octets| decode(encoding, octets, &roomy, &Quirks::normal()).map(|m| m.commands.len());
            let (small, big) = shortest_of_two(self.budget, || ours(small), || ours(big));
            let detail = format!("{big:.1?} over {small:.1?}");
            let times = big.as_secs_f64() / small.as_secs_f64();
            self.row(
                &format!("{encoding:?} decode of 8 times the items, times the time"),
                times,
                9.0,
                &detail,
            );
        }
    }
}
