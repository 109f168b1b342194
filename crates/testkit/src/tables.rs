//! Tables and bytes that are kept: what a table-driven test compares, and what a golden file holds.

use borsh::BorshDeserialize;
use std::{fmt::Debug, fmt::Write, fs, path::PathBuf};
use tallystick_core::canonical;

/// Compares rows of ` | ` with a table as it is written down, blanks around its cells and empty lines aside.
///
/// # Panics
/// On the first row that differs, or if there are too many or too few.
#[track_caller]
pub fn same_table(actual: &[String], expected: &str) {
    let expected: Vec<String> = expected
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join(" | "))
        .collect();
    for (actual, expected) in actual.iter().zip(&expected) {
        assert_eq!(actual, expected);
    }
    assert_eq!(actual.len(), expected.len(), "a row is missing or too many:\n{}", actual.join("\n"));
}

/// Compares named bytes with `tests/golden/<file>` of the crate under test. `UPDATE_SNAPSHOTS` in the environment writes
/// the file instead: for new variants, and for a change on purpose.
///
/// # Panics
/// On the first line that differs, or if there are too many or too few.
#[track_caller]
pub fn golden(file: &str, lines: &[(String, Vec<u8>)]) {
    let mut text = String::new();
    for (name, bytes) in lines {
        writeln!(text, "{name} {}", hex::encode(bytes)).expect("a string takes all");
    }
    let root = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo tells it");
    let path = PathBuf::from(root).join("tests/golden").join(file);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &text).expect("the folder is there");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    for (kept, new) in kept.lines().zip(text.lines()) {
        assert_eq!(kept, new, "stored bytes changed: journals in the world can no longer be read");
    }
    assert_eq!(kept.lines().count(), text.lines().count(), "{file} has lines too few or too many");
}

/// Checks that every variant of an enum has a line, and that there is no variant after the last one.
///
/// # Panics
/// If that is not so.
#[track_caller]
pub fn complete<T: BorshDeserialize + Debug>(lines: &[(String, Vec<u8>)], variants: u8) {
    let mut first: Vec<u8> = lines.iter().filter_map(|(_, bytes)| bytes.first().copied()).collect();
    first.sort_unstable();
    first.dedup();
    assert_eq!(first, (0..variants).collect::<Vec<_>>(), "a variant without a golden line");
    let error = canonical::decode::<T>("value", &[variants]).expect_err("a variant without a golden line").to_string();
    assert!(error.contains("Unexpected variant"), "a variant without a golden line: {error}");
}
