//! Every stable error code is told in `docs/errors.md`, and nothing is told there that does not exist.

use std::{collections::BTreeSet, fs, path::Path};

/// The first halves of codes.
const ROOMS: [&str; 26] = [
    "amount",
    "anchor",
    "app",
    "arbitrator",
    "auth",
    "bitcoin",
    "bundle",
    "client",
    "config",
    "dispute",
    "escrow",
    "evidence",
    "export",
    "fsck",
    "graphql",
    "hammer",
    "invoice",
    "lightning",
    "log",
    "reputation",
    "request",
    "restore",
    "roles",
    "store",
    "terms",
    "witness",
];

#[test]
fn the_table_of_codes_is_complete() {
    // At run time: two checkouts may share one folder of built tests.
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells it")).join("../..");
    let mut in_code = BTreeSet::new();
    collect(&root.join("crates"), &mut in_code);
    assert!(in_code.len() > 40, "only {} codes seen: the test looks in the wrong place", in_code.len());

    let table = fs::read_to_string(root.join("docs/errors.md")).expect("docs/errors.md is there");
    let told: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(code, _)| code.to_owned())
        .collect();
    let untold: Vec<_> = in_code.difference(&told).collect();
    let gone: Vec<_> = told.difference(&in_code).collect();
    assert!(untold.is_empty(), "codes missing in docs/errors.md: {untold:?}");
    assert!(gone.is_empty(), "docs/errors.md tells codes that no code has: {gone:?}");
}

/// Collects string literals that are codes from the sources of a folder; tests and kinds of facts excepted.
fn collect(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder can be read").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["tests", "benches", "testkit", "devnet"].contains(&name.as_str()) {
                collect(&path, codes);
            }
        } else if name.ends_with(".rs") && name != "event.rs" {
            let text = fs::read_to_string(&path).expect("a source can be read");
            let source = text.split("#[cfg(test)]").next().unwrap_or_default();
            codes.extend(source.split('"').filter(|literal| is_code(literal)).map(str::to_owned));
        }
    }
}

fn is_code(literal: &str) -> bool {
    let lower = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_file = [".sqlite", ".lock", ".toml"].iter().any(|end| literal.ends_with(end));
    !is_file && literal.split_once('.').is_some_and(|(room, reason)| ROOMS.contains(&room) && lower(reason))
}
