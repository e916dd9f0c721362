//! The conformance vectors: the file is what the hand-written cases say, and both the compiled evaluator and a naive
//! interpreter agree with every one of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod cases;
mod common;

use serde_json::Value;
use std::path::Path;

fn file() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/decide.json");
    let mut text = String::from("[\n");
    let cases: Vec<String> = cases::all().iter().map(|c| c.json().to_string()).collect();
    text.push_str(&cases.join(",\n"));
    text.push_str("\n]\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert!(stored == text, "vectors/decide.json differs from tests/cases: run with UPDATE_GOLDEN=1");
    serde_json::from_str(&stored).unwrap()
}

fn check(name: &str, evaluate: impl Fn(&Value, &Value, &Value, &Value) -> Value) {
    let mut wrong = Vec::new();
    for case in file() {
        let got = evaluate(&case["policy"], &case["snapshot"], &case["mail"], &case["now"]);
        if got != case["expect"] {
            wrong.push(format!("{}\n  expected {}\n  got      {got}", case["name"], case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{name}: {} cases differ\n{}", wrong.len(), wrong.join("\n"));
}

// mission: P1 P2 P3 P4 P6
#[test]
fn the_compiled_evaluator_agrees_with_the_vectors() {
    check("compiled", common::compiled);
}

// mission: P1 P2 P3 P4 P6
#[test]
fn the_naive_interpreter_agrees_with_the_vectors() {
    check("naive", common::naive::decide);
}

#[test]
fn there_are_enough_and_each_has_its_own_name() {
    let cases = file();
    let names: std::collections::BTreeSet<&str> = cases.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(cases.len() >= 100, "{}", cases.len());
    assert_eq!(names.len(), cases.len());
    for mission in ["P1", "P2", "P3", "P4", "P6"] {
        assert!(
            cases.iter().any(|c| c["missions"].as_array().unwrap().iter().any(|m| m == mission)),
            "{mission}"
        );
    }
}
