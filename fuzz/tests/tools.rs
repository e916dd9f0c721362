#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! The tools that the targets are run with: the words of the dictionaries, and the mutator of the built-in runner.

use fuzz::dict::{Row, rows};
use fuzz::mutate::{Dice, mutate};

#[test]
fn the_table_is_read_whole() {
    let table = include_str!("../../syncml/src/tables.rs");
    let rows = rows();
    let count = |page| rows.iter().filter(|row| row.page == page).count();
    assert_eq!(rows.len(), table.matches(" = 0x").count(), "a row was not understood");
    assert!(count(0) > 50 && count(1) > 15 && count(2) > 45, "{rows:?}");
    assert!(rows.contains(&Row { page: 0, token: 0x2D, name: "SyncML" }));
    assert!(rows.contains(&Row { page: 1, token: 0x16, name: "FieldLevel" }));
    assert!(rows.contains(&Row { page: 2, token: 0x22, name: "Tx-Pref" }));
}

#[test]
fn the_same_seed_gives_the_same_inputs() {
    let inputs = |seed| -> Vec<Vec<u8>> {
        let mut dice = Dice::new(seed);
        let one = |_| {
            let mut input = b"<Data>1234</Data>".to_vec();
            mutate(&mut dice, &mut input, &[b"<Final/>".to_vec()], &[b"other".to_vec()], 100);
            input
        };
        (0..200).map(one).collect()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    assert!(inputs(3).iter().all(|input| input.len() <= 100));
    assert!(inputs(4).iter().any(|input| input.windows(8).any(|part| part == b"<Final/>")));
}

#[test]
fn nothing_is_an_input_too() {
    let mut dice = Dice::new(1);
    for _ in 0..1_000 {
        mutate(&mut dice, &mut Vec::new(), &[], &[], 10);
    }
}
