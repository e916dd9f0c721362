#![allow(missing_docs)]
//! A slow sync of 1,000 notes between the two engines on memory stores; and the one after it, with nothing to say.

use benches::session::Pair;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use syncml::Encoding;

fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1,000 notes of 200 octets");
    group.sample_size(10).throughput(Throughput::Elements(1_000));
    for encoding in [Encoding::Wbxml, Encoding::Xml] {
        group.bench_function(format!("{encoding:?} slow sync"), |b| {
            let pair = || Pair::with_notes(1_000, encoding);
            b.iter_batched_ref(pair, Pair::sync, BatchSize::PerIteration);
        });
        group.bench_function(format!("{encoding:?} sync without a change"), |b| {
            let mut pair = Pair::with_notes(1_000, encoding);
            pair.sync();
            b.iter(|| pair.sync());
        });
    }
    group.finish();
}

criterion_group!(benches, session);
criterion_main!(benches);
