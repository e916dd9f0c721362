//! SMPP codec speed beside rusmpp 0.4: `cargo run --release -p smsbridge --example codec_speed`.
//!
//! Decode: a whole frame to its typed fields. Encode: typed fields to a whole frame in a reused buffer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

use bytes::{Bytes, BytesMut};
use rusmpp::Command;
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::{Encode, Length};
use smsbridge::smpp::pdu::SubmitSm;
use smsbridge::smpp::{
    Body, CommandStatus, DataCoding, Framer, Limits, Pdu, Quirks, SequenceNumber, Tag, Ton,
};
use std::hint::black_box;
use std::time::Instant;

fn submit(text: usize, tlvs: usize, payload: usize) -> Body {
    let mut submit = SubmitSm::default();
    submit.source_addr = "10086".try_into().unwrap();
    submit.dest_addr_ton = Ton::INTERNATIONAL;
    submit.destination_addr = "8613800138000".try_into().unwrap();
    submit.data_coding = DataCoding::LATIN1;
    submit.short_message = Bytes::from(vec![b'x'; text]).try_into().unwrap();
    for tag in [Tag::USER_MESSAGE_REFERENCE, Tag::SOURCE_PORT, Tag::DESTINATION_PORT, Tag::SAR_MSG_REF_NUM] {
        if submit.tlvs.iter().count() < tlvs {
            submit.tlvs.push(tag, &[0, 1]).unwrap();
        }
    }
    for tag in [Tag::SAR_TOTAL_SEGMENTS, Tag::SAR_SEGMENT_SEQNUM] {
        if submit.tlvs.iter().count() < tlvs {
            submit.tlvs.push(tag, &[1]).unwrap();
        }
    }
    if payload > 0 {
        submit.tlvs.push(Tag::MESSAGE_PAYLOAD, &vec![b'x'; payload]).unwrap();
    }
    Body::SubmitSm(submit)
}

/// Nanoseconds on a processor, so that a busy machine does not count; wall time where the system does not tell.
fn clock(origin: Instant) -> f64 {
    let on_cpu = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = on_cpu.and_then(|text| text.split(' ').next().and_then(|number| number.parse().ok()));
    first.unwrap_or_else(|| origin.elapsed().as_secs_f64() * 1e9)
}

/// Best of five, nanoseconds for one call.
fn time(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 200_000;
    let mut best = f64::MAX;
    for _ in 0..5 {
        let origin = Instant::now();
        let start = clock(origin);
        (0..CALLS).for_each(|_| call());
        best = best.min((clock(origin) - start) / f64::from(CALLS));
    }
    best
}

fn main() {
    let quirks = Quirks::normal();
    println!(
        "{:<22} {:>9} {:>9} {:>6} {:>9} {:>9} {:>6}",
        "submit_sm", "decode", "rusmpp", "x", "encode", "rusmpp", "x"
    );
    for (name, body) in [
        ("10 octets", submit(10, 0, 0)),
        ("140 octets", submit(140, 0, 0)),
        ("140 octets, 6 TLVs", submit(140, 6, 0)),
        ("payload 1,000 octets", submit(0, 0, 1_000)),
    ] {
        let wire = Pdu::new(SequenceNumber(7), &body).encode();
        // both begin with octets that go into a buffer, as a socket gives them
        let mut framer = Framer::new(Limits::default());
        framer.set_bound(true);
        let decode = time(|| {
            framer.push(black_box(&wire));
            let pdu = framer.next_pdu().unwrap().unwrap();
            black_box(pdu.decode(&quirks).unwrap());
        });
        let mut source = BytesMut::new();
        let theirs_decode = time(|| {
            source.extend_from_slice(black_box(&wire[4..]));
            black_box(Command::decode(&mut source, wire.len() - 4).unwrap());
        });
        let mut out = BytesMut::with_capacity(2_048);
        let encode = time(|| {
            out.clear();
            black_box(&body).encode_into(CommandStatus::ROK, SequenceNumber(7), &mut out);
            black_box(&out);
        });
        let command = Command::decode(&mut BytesMut::from(&wire[4..]), wire.len() - 4).unwrap().0;
        let mut slice = vec![0u8; 2_048];
        let theirs_encode = time(|| {
            let length = black_box(&command).length();
            slice[..4].copy_from_slice(&u32::try_from(length + 4).unwrap().to_be_bytes());
            black_box(command.encode(&mut slice[4..]));
        });
        println!(
            "{name:<22} {decode:>6.0} ns {theirs_decode:>6.0} ns {:>6.1} {encode:>6.0} ns {theirs_encode:>6.0} ns {:>6.1}",
            theirs_decode / decode,
            theirs_encode / encode,
        );
    }
}
