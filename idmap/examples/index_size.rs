//! Measures `Index`: memory an entry and time a look-up, at 8-octet LUIDs and 16-octet GUIDs.
//!
//! `cargo run --release -p mailsync-idmap --example index_size -- 10000000`
#![expect(clippy::disallowed_methods, reason = "a measurement")]

use idmap::{Entry, Guid, Index, Luid, Record, State, Wire, journal};
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;

    let start = Clocks::now();
    let mut index = Index::new([7; 16]);
    for number in 0..count {
        index.apply(&Record::Put(entry(number)?))?;
    }
    report("fill", start, count);
    println!(
        "{} entries in {} octets: {:.1} an entry",
        index.len(),
        index.octets(),
        per(index.octets(), count)
    );
    if let Some(line) = resident() {
        println!("process: {line}");
    }

    let sample = 1_000_000;
    let guids: Vec<Guid> = (0..sample).map(|n| guid(scatter(n, count))).collect::<Result<_, _>>()?;
    let luids: Vec<Luid> = (0..sample).map(|n| luid(scatter(n, count))).collect::<Result<_, _>>()?;
    let absent: Vec<Luid> = (0..sample).map(|n| luid(count + n)).collect::<Result<_, _>>()?;
    let start = Clocks::now();
    let found = guids.iter().filter(|guid| index.by_guid(1, guid).is_some()).count();
    report("look-up by GUID", start, sample);
    let start = Clocks::now();
    let found = found + luids.iter().filter(|luid| index.by_luid(1, luid).is_some()).count();
    report("look-up by LUID", start, sample);
    let start = Clocks::now();
    let found = found + absent.iter().filter(|luid| index.by_luid(1, luid).is_some()).count();
    report("look-up of an absent LUID", start, sample);
    assert_eq!(found as u64, 2 * sample);

    let mut file = journal::header().to_vec();
    for number in 0..count {
        journal::append(&mut file, [Record::Put(entry(number)?)])?;
    }
    drop(index);
    let start = Clocks::now();
    let mut index = Index::new([7; 16]);
    for record in journal::records(&file)? {
        index.apply(&record?)?;
    }
    report("replay of a journal", start, count);
    println!("journal: {:.1} octets a record, {} entries back", per(file.len(), count), index.len());
    Ok(())
}

/// Each number once, in an order that no cache likes.
fn scatter(number: u64, count: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % count
}

fn entry(number: u64) -> Result<Entry, Box<dyn Error>> {
    let state = State::Bound { luid: luid(number)?, wire: Wire::Guid };
    Ok(Entry { guid: guid(number)?, state, generation: 1, seen_rev: number, form: 0 })
}

fn guid(number: u64) -> Result<Guid, Box<dyn Error>> {
    Ok(Guid::try_from(format!("inbox/{number:010}"))?)
}

fn luid(number: u64) -> Result<Luid, Box<dyn Error>> {
    Ok(Luid::try_from(format!("{number:08}"))?)
}

/// Wall time, and processor time where the system tells it: a busy machine shows only in the first.
struct Clocks {
    wall: Instant,
    cpu_ns: Option<u64>,
}

impl Clocks {
    fn now() -> Self {
        Self { wall: Instant::now(), cpu_ns: cpu_ns() }
    }
}

fn cpu_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

fn report(what: &str, start: Clocks, count: u64) {
    let took = start.wall.elapsed();
    let each = |ns: u64| ns / count.max(1);
    print!("{what}: {took:.2?}, {} ns each", each(took.as_nanos() as u64));
    match start.cpu_ns.zip(cpu_ns()) {
        Some((before, after)) => println!(", {} ns each of processor time", each(after - before)),
        None => println!(),
    }
}

fn per(octets: usize, count: u64) -> f64 {
    octets as f64 / count as f64
}

fn resident() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|line| line.starts_with("VmRSS")).map(str::to_owned)
}
