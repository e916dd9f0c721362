//! Holds the SMPP codec against its bars beside rusmpp 0.4, and says how fast mail becomes short messages. Exit status
//! 1 if a bar is missed.
//!
//! `cargo run --release -p benches --bin smpp [SECONDS]`: about so many seconds for each comparison (1).
//!
//! Decode: octets of a socket to typed fields. Encode: typed fields to octets in a reused buffer.

use benches::measure::shortest_of_two;
use bytes::{Bytes, BytesMut};
use rusmpp::Command;
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::{Encode, Length};
use smsbridge::bridge::{ConvertRules, Msisdn, Party, mail_to_sms};
use smsbridge::smpp::pdu::SubmitSm;
use smsbridge::smpp::{
    Body, CommandStatus, DataCoding, Framer, Limits, Pdu, Quirks, RegisteredDelivery, SequenceNumber, Tag,
    Ton, ValueError,
};
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How much faster than rusmpp decoding and encoding have to be.
const BARS: (f64, f64) = (3.0, 5.0);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let budget = Duration::from_secs_f64(seconds);
    let mut missed = 0;
    println!(
        "{:<22} {:>9} {:>9} {:>6}   {:>9} {:>9} {:>6}",
        "submit_sm", "decode", "rusmpp", "x", "encode", "rusmpp", "x"
    );
    for (name, body) in [
        ("10 octets", submit(10, 0, 0)?),
        ("140 octets", submit(140, 0, 0)?),
        ("140 octets, 6 TLVs", submit(140, 6, 0)?),
        ("payload 1,000 octets", submit(0, 0, 1_000)?),
    ] {
        let (decode, theirs_decode) = decode(budget, &body)?;
        let (encode, theirs_encode) = encode(budget, &body)?;
        let (faster_decode, faster_encode) = (ratio(theirs_decode, decode), ratio(theirs_encode, encode));
        missed += u32::from(faster_decode < BARS.0) + u32::from(faster_encode < BARS.1);
        println!(
            "{name:<22} {decode:>9.1?} {theirs_decode:>9.1?} {faster_decode:>6.1}   {encode:>9.1?} {theirs_encode:>9.1?} {faster_encode:>6.1}"
        );
    }
    println!("bars: decode {} x, encode {} x; {missed} missed", BARS.0, BARS.1);
    println!("mail to short messages: {:.0}/s", conversions(budget)?);
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn ratio(theirs: Duration, ours: Duration) -> f64 {
    theirs.as_secs_f64() / ours.as_secs_f64().max(1e-12)
}

fn submit(text: usize, tlvs: usize, payload: usize) -> Result<Body, ValueError> {
    let mut submit = SubmitSm::default();
    submit.source_addr = "10086".try_into()?;
    submit.dest_addr_ton = Ton::INTERNATIONAL;
    submit.destination_addr = "8613800138000".try_into()?;
    submit.data_coding = DataCoding::LATIN1;
    submit.short_message = Bytes::from(vec![b'x'; text]).try_into()?;
    let values: [(Tag, &[u8]); 6] = [
        (Tag::USER_MESSAGE_REFERENCE, &[0, 1]),
        (Tag::SOURCE_PORT, &[0, 1]),
        (Tag::DESTINATION_PORT, &[0, 1]),
        (Tag::SAR_MSG_REF_NUM, &[0, 1]),
        (Tag::SAR_TOTAL_SEGMENTS, &[1]),
        (Tag::SAR_SEGMENT_SEQNUM, &[1]),
    ];
    for (tag, value) in values.into_iter().take(tlvs) {
        submit.tlvs.push(tag, value)?;
    }
    if payload > 0 {
        submit.tlvs.push(Tag::MESSAGE_PAYLOAD, &vec![b'x'; payload])?;
    }
    Ok(Body::SubmitSm(submit))
}

/// Both begin with octets that go into a buffer, as a socket gives them.
fn decode(budget: Duration, body: &Body) -> Result<(Duration, Duration), Box<dyn Error>> {
    let quirks = Quirks::normal();
    let wire = Pdu::new(SequenceNumber(7), body).encode();
    let mut framer = Framer::new(Limits::default());
    framer.set_bound(true);
    let mut source = BytesMut::new();
    let after_length = wire.get(4..).unwrap_or_default();
    // rusmpp's own check that the two read the same
    if Command::decode(&mut BytesMut::from(after_length), after_length.len()).is_err() {
        return Err("rusmpp does not read it".into());
    }
    let ours = || {
        framer.push(black_box(&wire));
        framer.next_pdu().ok().flatten().map(|pdu| pdu.decode(&quirks))
    };
    let theirs = || {
        source.extend_from_slice(black_box(after_length));
        Command::decode(&mut source, after_length.len()).is_ok()
    };
    Ok(shortest_of_two(budget, ours, theirs))
}

fn encode(budget: Duration, body: &Body) -> Result<(Duration, Duration), Box<dyn Error>> {
    let wire = Pdu::new(SequenceNumber(7), body).encode();
    let after_length = wire.get(4..).unwrap_or_default();
    let command = Command::decode(&mut BytesMut::from(after_length), after_length.len());
    let command = command.map_err(|_| "rusmpp does not read it")?.0;
    let mut out = BytesMut::with_capacity(2_048);
    let mut slice = vec![0u8; 2_048];
    let ours = || {
        out.clear();
        black_box(body).encode_into(CommandStatus::ROK, SequenceNumber(7), &mut out);
        out.len()
    };
    let theirs = || {
        let length = u32::try_from(black_box(&command).length() + 4).unwrap_or(u32::MAX);
        if let Some((place, rest)) = slice.split_first_chunk_mut() {
            *place = length.to_be_bytes();
            return command.encode(rest);
        }
        0
    };
    Ok(shortest_of_two(budget, ours, theirs))
}

/// Plain mails of 300 octets that become two parts, a second.
fn conversions(budget: Duration) -> Result<f64, Box<dyn Error>> {
    let mail = format!(
        "From: Ann <ann@example.org>\r\nSubject: Lunch\r\nSMS-Convert: 1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n-- \r\nAnn\r\n",
        "Shall we meet at noon? ".repeat(10)
    );
    let sender = "ann@example.org".parse()?;
    let phone = Party::Phone(Msisdn::parse("+8613800138000").ok_or("no number")?);
    let source = Party::ShortCode("10086".into());
    let (rules, began, mut count) = (ConvertRules::default(), Instant::now(), 0u32);
    while began.elapsed() < budget {
        let made = mail_to_sms(
            black_box(mail.as_bytes()),
            &sender,
            &source,
            &phone,
            RegisteredDelivery::NONE,
            &rules,
        )?;
        count += u32::from(made.0.len() == 2);
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
