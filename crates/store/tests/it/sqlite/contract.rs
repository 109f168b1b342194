//! The contract suite.

use tallystick_store::SqliteStore;
use tempfile::TempDir;

async fn make() -> (SqliteStore, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    (SqliteStore::open(dir.path().join("journal.db")).expect("a new store"), dir)
}

tallystick_testkit::store_suite!(super::make);
