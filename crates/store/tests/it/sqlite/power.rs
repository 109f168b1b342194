//! Power loss: of what was written and not synced, each sector of the disk is there or not, in whole or torn. What was
//! acknowledged is there, and chain, tree and read model fit together.

use std::path::Path;
use tallystick_store::SqliteStore;
use tallystick_testkit::power::{Disk, folder, outages};

use crate::powerless::{self, Promised};

/// Where the power goes: in a commit, and while the write-ahead log is written into the database.
const CUTS: [&str; 4] = ["-wal", "", "-wal", "journal.db"];

#[test]
fn a_disk_that_loses_power_holds_what_was_acknowledged() {
    run("sqlite::power::a_disk_that_loses_power_holds_what_was_acknowledged", |disk| disk);
}

/// The test of the test: the same on a disk whose syncs do nothing.
#[test]
#[should_panic(expected = "an acknowledged fact is gone")]
fn a_disk_that_drops_what_it_was_told_to_keep_is_found_out() {
    run("sqlite::power::a_disk_that_drops_what_it_was_told_to_keep_is_found_out", Disk::that_lies);
}

fn run(test: &str, make: impl FnOnce(Disk) -> Disk) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(folder) = folder() {
        let store = SqliteStore::open(folder.join("journal.db")).unwrap();
        return runtime.block_on(powerless::child(store));
    }
    let check = |disk: &Path, lines: &[String]| runtime.block_on(check(disk, &Promised::by(lines)));
    let outages = outages(test, make, &CUTS, check);
    assert!(Promised::by(&outages.acks).is_much() && outages.lossy > 1, "{} outages lost something", outages.lossy);
}

/// Opens a disk that lost power. Answers how many facts there are.
async fn check(disk: &Path, promised: &Promised) -> u64 {
    let store = SqliteStore::open(disk.join("journal.db")).expect("a disk that lost power is no damage");
    let count = store.verify_chain().await.expect("an unbroken chain");
    powerless::check(&store, count, promised).await;
    store.close().await;
    count
}
