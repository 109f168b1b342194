//! The table of roles as it is documented.

use std::fmt::Write;
use tallystick_civics::roles::Operation;

#[test]
fn the_documented_table_is_the_one_that_is_asked() {
    // At run time: two checkouts may share one folder of built tests.
    let path = format!("{}/../../../docs/roles.md", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let mut table = String::from("| operation | needs |\n| --- | --- |\n");
    for operation in Operation::ALL {
        writeln!(table, "| `{}` | {} |", operation.name(), operation.needs().words()).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(&table), "docs/roles.md should have:\n{table}");
}
