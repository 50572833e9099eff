//! The comparison names tests, and they are there.

use std::{fs, path::Path};

const COMPARISON: &str = include_str!("../COMPARISON.md");
/// Where tests are that it may name, from the crate's folder.
const FOLDERS: [&str; 2] = ["tests", "../../examples/tests"];

#[test]
fn every_feature_is_shown_by_a_test_that_is_there() {
    let rows = rows();
    assert!(rows.len() > 30, "a table is missing");
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 6, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        for test in cells[5].split(", ") {
            let name = test
                .strip_prefix('`')
                .and_then(|test| test.strip_suffix('`'));
            let (file, name) = name.and_then(|name| name.split_once("::")).unwrap();
            assert!(is_test(file, name), "there is no test {test}");
        }
    }
}

/// What stands below the heads of the tables.
fn rows() -> Vec<&'static str> {
    let rows = COMPARISON.lines().filter(|line| line.starts_with('|'));
    rows.filter(|row| !row.starts_with("| |") && !row.starts_with("|-"))
        .collect()
}

fn is_test(file: &str, name: &str) -> bool {
    let folders = FOLDERS.map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let texts = folders.map(|folder| fs::read_to_string(folder.join(file).with_extension("rs")));
    texts.into_iter().flatten().any(|text| {
        let mut before = "";
        text.lines().any(|line| {
            let begins = line.contains(&format!("fn {name}("));
            // Right below its attribute.
            let is_test = begins && before.starts_with("#[") && before.contains("test");
            before = line;
            is_test
        })
    })
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    assert!(is_test(
        "comparison",
        "what_is_no_test_is_not_taken_for_one"
    ));
    assert!(is_test("smoke", "echo_sends_back_what_it_is_sent"));
    assert!(!is_test("comparison", "rows"));
    assert!(!is_test("comparison", "every_feature"));
    assert!(!is_test("nowhere", "rows"));
}
