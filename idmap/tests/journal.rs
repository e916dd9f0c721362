//! The journal file: golden octets, every tear, every flipped octet, later versions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use idmap::journal::{self, JournalError};
use idmap::{Entry, Guid, Luid, Record, State, TempId, Wire};
use std::fmt::Write;
use std::path::PathBuf;

fn guid(text: &str) -> Guid {
    Guid::try_from(text).unwrap()
}

fn put(id: &str, state: State) -> Record {
    Record::Put(Entry { guid: guid(id), state, generation: 1, seen_rev: 300, form: 0 })
}

/// Every kind of record and of state; the longest ids; the largest numbers.
fn batches() -> Vec<Vec<Record>> {
    let luid = |text: &str| Luid::try_from(text).unwrap();
    let temp = Wire::Temp(TempId::try_from("000a").unwrap());
    vec![
        vec![put("inbox/1", State::Pending { wire: Wire::Guid })],
        vec![
            put("inbox/1", State::Bound { luid: luid("7"), wire: Wire::Guid }),
            put("inbox/4711", State::Pending { wire: temp.clone() }),
            put("дом", State::Bound { luid: luid("./1/é"), wire: Wire::Guid }),
        ],
        vec![put("inbox/4711", State::Bound { luid: luid("8"), wire: temp })],
        vec![Record::Remove { generation: 1, guid: guid("inbox/1") }],
        vec![
            Record::Put(Entry {
                guid: guid(&"g".repeat(64)),
                state: State::Bound {
                    luid: luid(&"l".repeat(255)),
                    wire: Wire::Temp(TempId::try_from("t".repeat(64)).unwrap()),
                },
                generation: u32::MAX,
                seen_rev: u64::MAX,
                form: u32::MAX,
            }),
            Record::KeepOnly { generation: u32::MAX },
        ],
    ]
}

/// The file, and the lengths that it had after the header and after each batch.
fn file() -> (Vec<u8>, Vec<usize>) {
    let mut file = journal::header().to_vec();
    let mut lengths = vec![file.len()];
    for batch in batches() {
        journal::append(&mut file, &batch).unwrap();
        lengths.push(file.len());
    }
    (file, lengths)
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn check_golden(name: &str, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "a switch of the test run")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(golden(name), text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden(name)).unwrap(), "{name}");
}

fn hex(octets: &[u8]) -> String {
    octets.chunks(24).fold(String::new(), |mut text, line| {
        line.iter().for_each(|octet| write!(text, "{octet:02X} ").unwrap());
        text.truncate(text.len() - 1);
        text + "\n"
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let code = text.lines().map(|line| line.split(';').next().unwrap());
    code.flat_map(str::split_whitespace).map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
}

/// Version 1 is read for as long as there are releases: never rewrite this pair, add one for version 2.
#[test]
fn golden_version_1_stays_readable() {
    let octets = unhex(&std::fs::read_to_string(golden("journal-v1.hex")).unwrap());
    let mut dump = String::from("origin: journal-v1.hex\n");
    for record in journal::records(&octets).unwrap() {
        writeln!(dump, "{:?}", record.unwrap()).unwrap();
    }
    let replay = journal::replay(&octets).unwrap();
    writeln!(dump, "good {} lost {}", replay.good_len, replay.lost).unwrap();
    replay.view.iter().for_each(|entry| writeln!(dump, "left {entry:?}").unwrap());
    check_golden("journal-v1.txt", &dump);
}

#[test]
fn golden_version_1_is_what_we_write() {
    let (file, lengths) = file();
    let mut text = String::from("; origin: mailsync-idmap 0.1.0, the records of tests/journal.rs\n");
    text += &hex(&file[..8]).replace('\n', " ; header, version 1\n");
    for (number, ends) in lengths.windows(2).enumerate() {
        writeln!(text, "; batch {number}").unwrap();
        text += &hex(&file[ends[0]..ends[1]]);
    }
    check_golden("journal-v1.hex", &text);
}

#[test]
fn a_tear_at_any_octet_loses_the_last_batch_and_no_other() {
    let (file, lengths) = file();
    for end in 0..=file.len() {
        let replay = journal::replay(&file[..end]).unwrap();
        let whole = lengths.iter().rev().find(|length| **length <= end).copied().unwrap_or(0);
        assert_eq!((replay.good_len, replay.lost), (whole, end - whole), "cut at {end}");
        let expected = journal::replay(&file[..whole]).unwrap();
        assert_eq!(replay.view, expected.view);
        assert_eq!(journal::records(&file[..end]).unwrap().count(), {
            let kept = lengths.iter().filter(|length| **length <= end).count().saturating_sub(1);
            batches()[..kept].concat().len()
        });
    }
}

#[test]
fn a_tear_that_left_zeros_or_an_inner_hole() {
    let (file, lengths) = file();
    let [.., before, end] = lengths[..] else { panic!() };
    let mut zeros = file[..before].to_vec();
    zeros.resize(end, 0);
    assert_eq!(journal::replay(&zeros).unwrap().good_len, before);
    // The first block of the batch never reached the disk, the second did.
    let mut hole = file.clone();
    hole[before..before + 16].fill(0);
    let replay = journal::replay(&hole).unwrap();
    assert_eq!((replay.good_len, replay.lost), (before, end - before));
}

#[test]
fn work_goes_on_after_a_tear() {
    let (file, lengths) = file();
    let torn = &file[..lengths[2] - 1];
    let replay = journal::replay(torn).unwrap();
    let mut mended = torn[..replay.good_len].to_vec();
    journal::append(&mut mended, &batches()[1]).unwrap();
    assert_eq!(mended, file[..lengths[2]]);
}

#[test]
fn any_flipped_octet_is_noticed() {
    let (file, lengths) = file();
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 0x20;
        let last = lengths[lengths.len() - 2];
        match journal::replay(&bad) {
            Err(JournalError::NotAJournal) => assert!(at < 6, "{at}"),
            Err(JournalError::Newer { found, known: 1 }) => assert!(at < 8 && found > 1, "{at}"),
            Err(JournalError::Damaged { offset }) => {
                // At a frame of the batch that holds the octet, at the latest.
                let batch = lengths.iter().rposition(|start| *start <= at).unwrap();
                assert!((lengths[batch]..=at).contains(&offset), "{at}: {offset}");
            }
            // In the last batch it cannot be told from a tear.
            Ok(replay) => assert!(at >= last && replay.good_len == last, "{at}"),
            Err(other) => panic!("{at}: {other}"),
        }
    }
}

#[test]
fn a_batch_after_an_unmended_tear_is_damage() {
    let (file, lengths) = file();
    let mut bad = file[..lengths[2] - 1].to_vec();
    journal::append(&mut bad, &batches()[3]).unwrap();
    let error = journal::replay(&bad).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(error.to_string().starts_with("idmap journal damaged at octet "));
    // The iterator gives what comes before, says so once, and ends.
    let mut records = journal::records(&bad).unwrap();
    assert_eq!(records.by_ref().map_while(Result::ok).count(), 1);
    assert_eq!(records.next(), None);
}

#[test]
fn a_newer_version_is_refused_clearly() {
    let mut newer = file().0;
    newer[6] = 2;
    let error = journal::replay(&newer).unwrap_err();
    assert_eq!(error, JournalError::Newer { found: 2, known: 1 });
    assert_eq!(error.to_string(), "idmap journal of version 2, this release reads up to 1");
}

#[test]
fn another_file_is_refused() {
    for other in [&b"SQLite format 3\0"[..], b"x", b"IDMAP\n\0\0", b"IDMAP\r\n\x01\0"] {
        assert_eq!(journal::replay(other).unwrap_err(), JournalError::NotAJournal, "{other:?}");
    }
}

#[test]
fn a_right_checksum_over_wrong_content_is_malformed() {
    // Kind 5, with the sum that belongs to it (zlib.crc32(b"\x02\0\xC5\x01")).
    let mut file = journal::header().to_vec();
    file.extend([0x02, 0x00]);
    file.extend(0x4AC7_040A_u32.to_le_bytes());
    file.extend([0xC5, 0x01]);
    let error = journal::replay(&file).unwrap_err();
    assert_eq!(error, JournalError::Malformed { offset: 8, what: "unknown kind" });
}

#[test]
fn nothing_is_written_for_an_empty_batch() {
    let mut file = journal::header().to_vec();
    journal::append(&mut file, [] as [Record; 0]).unwrap();
    assert_eq!(file, journal::header());
}
