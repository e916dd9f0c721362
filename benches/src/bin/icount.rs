//! Runs one piece of work so many times and nothing else: for `icount.sh`, which counts its instructions.
//!
//! `icount list`, `icount NAME TIMES`

use benches::messages::{self, limits};
use benches::{floor, session::Pair};
use std::hint::black_box;
use std::process::ExitCode;
use syncml::{Encoding, Quirks, decode, encode};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            for size in SIZES {
                for work in WORK {
                    println!("{work}-{size}");
                }
            }
            println!("session-100-notes");
            ExitCode::SUCCESS
        }
        [name, times] => match (times.parse(), name.rsplit_once('-')) {
            (Ok(times), _) if *name == "session-100-notes" => {
                for _ in 0..times {
                    black_box(Pair::with_notes(100, Encoding::Wbxml).sync());
                }
                ExitCode::SUCCESS
            }
            (Ok(times), Some((work, size))) if WORK.contains(&work) && SIZES.contains(&size) => {
                run(work, size, times);
                ExitCode::SUCCESS
            }
            _ => ExitCode::from(2),
        },
        _ => ExitCode::from(2),
    }
}

const SIZES: [&str; 5] = ["small", "medium", "large", "large8", "object"];
const WORK: [&str; 8] = [
    "wbxml-decode",
    "wbxml-decode-floor",
    "wbxml-encode",
    "wbxml-encode-floor",
    "xml-decode",
    "xml-decode-floor",
    "xml-encode",
    "xml-encode-floor",
];

fn run(work: &str, size: &str, times: u32) {
    let workload = match size {
        "small" => messages::small(),
        "medium" => messages::medium(),
        "large" => messages::large(1_000),
        "large8" => messages::large(8_000),
        _ => messages::object(),
    };
    let (limits, quirks) = (limits(), Quirks::normal());
    let wbxml_pieces = floor::wbxml_pieces(&workload.wbxml).unwrap_or_default();
    let xml_pieces = floor::xml_pieces(&workload.xml).unwrap_or_default();
    for _ in 0..times {
        match work {
            "wbxml-decode" => drop(black_box(decode(Encoding::Wbxml, &workload.wbxml, &limits, &quirks))),
            "wbxml-decode-floor" => drop(black_box(floor::token_offsets(&workload.wbxml))),
            "wbxml-encode" => drop(black_box(encode(Encoding::Wbxml, &workload.message))),
            "wbxml-encode-floor" => drop(black_box(floor::replay(&wbxml_pieces))),
            "xml-decode" => drop(black_box(decode(Encoding::Xml, &workload.xml, &limits, &quirks))),
            "xml-decode-floor" => drop(black_box(floor::xml_events(&workload.xml))),
            "xml-encode" => drop(black_box(encode(Encoding::Xml, &workload.message))),
            _ => drop(black_box(floor::replay(&xml_pieces))),
        }
    }
}
