//! The vectors of the exchange, the selection and the drift.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;
use timesync::drift::least_squares;
use timesync::{
    Candidate, Exchange, ExchangeRefusal, Interval, NtpTimestamp, SourceId, Tolerance, marzullo, select,
};

fn rows(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn number<T: std::str::FromStr>(row: &Value, key: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    row[key].as_str().unwrap().parse().unwrap()
}

// mission: T1
#[test]
fn exchange_vectors() {
    let mut measured = 0;
    for row in rows(include_str!("vectors/exchange.jsonl")) {
        let stamp = |key| NtpTimestamp::from_bits(number(&row, key));
        let exchange = Exchange::new(stamp("t1"), stamp("t2"), stamp("t3"), stamp("t4"));
        let (off2, delay): (i128, i128) = (number(&row, "off2"), number(&row, "delay"));
        assert_eq!(exchange.twice_offset(), off2, "{row}");
        assert_eq!(exchange.delay(), delay, "{row}");
        if row["true_off"].is_null() {
            continue;
        }
        let truth: i128 = number(&row, "true_off");
        assert!((2 * truth - off2).abs() <= delay, "{row}");
        let answer = exchange.measure(&Tolerance::EXACT).unwrap();
        // The same in nanoseconds: the interval holds both roundings of the truth.
        let floor = i64::try_from((truth * 1_000_000_000) >> 32).unwrap();
        assert!(answer.offset.contains(floor) || answer.offset.contains(floor + 1), "{row} {answer:?}");
        measured += 1;
    }
    assert_eq!(measured, 620);
}

#[test]
fn the_odd_rows_are_refused_by_name() {
    for row in rows(include_str!("vectors/exchange.jsonl")) {
        let stamp = |key| NtpTimestamp::from_bits(number(&row, key));
        let measured =
            Exchange::new(stamp("t1"), stamp("t2"), stamp("t3"), stamp("t4")).measure(&Tolerance::EXACT);
        match row["tag"].as_str().unwrap() {
            "neg-delay" => assert_eq!(measured, Err(ExchangeRefusal::NegativeDelay { by: 1_000_000_000 })),
            "t4-before-t1" => assert!(matches!(measured, Err(ExchangeRefusal::ClientWentBack { .. }))),
            "all-zero" | "all-ones" => assert_eq!(measured.unwrap().offset, Interval::point(0)),
            "max-sep" => {
                assert_eq!(measured.unwrap().offset, Interval::point(-(1 << 31) * 1_000_000_000));
            }
            _ => {}
        }
    }
}

// mission: T1
#[test]
fn selection_vectors() {
    let mut seen = 0;
    for row in rows(include_str!("vectors/select.jsonl")) {
        let candidates: Vec<Candidate> = row["iv"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(|(i, pair)| {
                let id = SourceId(u32::try_from(i).unwrap());
                Candidate::new(id, Interval::new(pair[0].as_i64().unwrap(), pair[1].as_i64().unwrap()))
            })
            .collect();
        let best = marzullo(&candidates).unwrap();
        let expected = Interval::new(row["lo"].as_i64().unwrap(), row["hi"].as_i64().unwrap());
        assert_eq!(
            (best.interval, best.count),
            (expected, usize::try_from(row["count"].as_u64().unwrap()).unwrap())
        );
        let selection = select(&candidates, 1);
        assert_eq!(selection.is_ok(), row["majority"].as_bool().unwrap(), "{row}");
        // With a majority telling the truth, the truth is in the bound.
        if let (Ok(selection), Some(truth)) = (selection, row["truth"].as_i64()) {
            let honest = candidates.iter().filter(|c| c.interval.contains(truth)).count();
            if honest * 2 > candidates.len() {
                assert!(selection.bound.contains(truth), "{row}");
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 408);
}

#[test]
fn drift_vectors() {
    let mut seen = 0;
    for row in rows(include_str!("vectors/drift.jsonl")) {
        let column = |key: &str| -> Vec<i64> {
            row[key].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
        };
        let points: Vec<(i64, i64)> = column("xs").into_iter().zip(column("ys")).collect();
        let ours = least_squares(&points).unwrap();
        let theirs = row["slope_ppb"].as_f64().unwrap();
        assert!((ours as f64 - theirs).abs() <= 0.51, "{ours} {theirs}");
        seen += 1;
    }
    assert_eq!(seen, 18);
}
