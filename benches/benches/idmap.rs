#![allow(missing_docs)]
//! The map of one device with 100,000 entries: 8-octet LUIDs, 16-octet GUIDs.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use idmap::{Entry, Guid, Index, Luid, Record, View, adopt, bind, journal, offer};
use std::hint::black_box;

const ENTRIES: u64 = 100_000;

fn luid(n: u64) -> Luid {
    Luid::unvalidated(format!("{n:08}"))
}

fn guid(n: u64) -> Guid {
    Guid::unvalidated(format!("guid-{n:011}"))
}

fn records() -> Vec<Record> {
    let adopted = (0..ENTRIES).map(|n| adopt(&View::default(), 1, &luid(n), &guid(n), n, 0));
    adopted.flat_map(|records| records.unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// Each number once, in an order that no cache likes.
fn scatter(n: u64) -> u64 {
    n.wrapping_mul(7_919) % ENTRIES
}

fn map(criterion: &mut Criterion) {
    let records = records();
    let mut index = Index::new([7; 16]);
    for record in &records {
        index.apply(record).unwrap_or_else(|error| panic!("{error}"));
    }
    let mut group = criterion.benchmark_group("map of 100,000 entries");
    group.sample_size(20);
    let mut n = 0;
    group.bench_function("look up a LUID", |b| {
        b.iter(|| {
            n += 1;
            index.by_luid(1, &luid(scatter(n)))
        });
    });
    group.bench_function("look up a GUID", |b| {
        b.iter(|| {
            n += 1;
            index.by_guid(1, &guid(scatter(n)))
        });
    });
    group.bench_function("offer under a temporary id, then bind", |b| {
        let new = Guid::unvalidated("a-guid-that-is-longer-than-eight");
        b.iter(|| {
            let mut view = View::default();
            let (_, records) = offer(&view, 1, &new, Some(8), 1, 1, 0)?;
            view.extend(&records);
            let wire = view.by_guid(1, &new).map_or("", Entry::wire_id);
            bind(&view, 1, wire, &luid(ENTRIES))
        });
    });
    group.throughput(Throughput::Elements(ENTRIES));
    group.bench_function("fill", |b| {
        b.iter_batched(
            || Index::new([7; 16]),
            |mut index| {
                for record in &records {
                    let _ = black_box(index.apply(record));
                }
                index
            },
            BatchSize::PerIteration,
        );
    });
    let mut file = journal::header().to_vec();
    let written = journal::append(&mut file, records.iter().cloned());
    assert!(written.is_ok(), "{written:?}");
    group.bench_function("replay a journal", |b| {
        b.iter(|| journal::records(&file).map(|records| records.filter(Result::is_ok).count()));
    });
    group.finish();
}

criterion_group!(benches, map);
criterion_main!(benches);
