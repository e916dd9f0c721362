#![allow(missing_docs)]
//! The codec on four sizes of message, beside the least that the same octets could take.

use benches::{floor, messages};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use syncml::{Encoding, Quirks, Reader, decode, encode};

fn codec(criterion: &mut Criterion) {
    let (limits, quirks) = (messages::limits(), Quirks::normal());
    for workload in messages::all() {
        for (encoding, octets) in [(Encoding::Wbxml, &workload.wbxml), (Encoding::Xml, &workload.xml)] {
            let mut group = criterion.benchmark_group(format!("{encoding:?} {}", workload.name));
            group.throughput(Throughput::Bytes(octets.len() as u64));
            group.bench_function("decode", |b| b.iter(|| decode(encoding, octets, &limits, &quirks)));
            group.bench_function("pull", |b| {
                b.iter(|| {
                    let mut reader = Reader::new(encoding, octets, &limits, &quirks)?;
                    let mut events = 0;
                    while reader.next()?.is_some() {
                        events += 1;
                    }
                    Ok::<_, syncml::DecodeError>(events)
                });
            });
            group.bench_function("encode", |b| b.iter(|| encode(encoding, &workload.message)));
            let pieces = match encoding {
                Encoding::Wbxml => {
                    group.bench_function("floor: token walk", |b| b.iter(|| floor::token_offsets(octets)));
                    floor::wbxml_pieces(octets)
                }
                Encoding::Xml => {
                    group.bench_function("floor: quick-xml events", |b| b.iter(|| floor::xml_events(octets)));
                    floor::xml_pieces(octets)
                }
            };
            let pieces = pieces.unwrap_or_default();
            group.bench_function("floor: replay of pieces", |b| b.iter(|| floor::replay(&pieces)));
            group.finish();
        }
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
