//! Power loss: of what was written and not synced, each sector of the disk is there or not, in whole or torn. What was
//! acknowledged is there, and chain, tree and read model fit together.

use std::collections::BTreeSet;
use std::path::Path;
use tallystick_store::SqliteStore;
use tallystick_testkit::power::{Cut, Dice, Disk, put};

use crate::powerless::{self, Promised};
use crate::writing::{self, DATABASE};

/// Where the power goes: in a commit, and while the write-ahead log is written into the database.
const CUTS: [&str; 4] = ["-wal", "", "-wal", "journal.db"];
/// How often it goes, and disks as they may be then.
const ROUNDS: u64 = 8;
const DISKS: u64 = 8;

#[test]
fn a_disk_that_loses_power_holds_what_was_acknowledged() {
    match std::env::var_os(DATABASE) {
        Some(path) => child(path.as_ref()),
        None => parent("sqlite::power::a_disk_that_loses_power_holds_what_was_acknowledged", |disk| disk),
    }
}

/// The test of the test: the same on a disk whose syncs do nothing.
#[test]
#[should_panic(expected = "an acknowledged fact is gone")]
fn a_disk_that_drops_what_it_was_told_to_keep_is_found_out() {
    match std::env::var_os(DATABASE) {
        Some(path) => child(path.as_ref()),
        None => parent("sqlite::power::a_disk_that_drops_what_it_was_told_to_keep_is_found_out", Disk::that_lies),
    }
}

fn child(path: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { powerless::child(SqliteStore::open(path).unwrap()).await });
}

fn parent(test: &str, make: impl FnOnce(Disk) -> Disk) {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    std::fs::create_dir(&live).unwrap();
    let disk = make(Disk::new(&live, &dir.path().join("disk")));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut promised, mut dice, mut differ) = (Promised::default(), Dice::default(), 0);
    for (round, of) in (0..ROUNDS).zip(CUTS.into_iter().cycle()) {
        let mut child = writing::again(test, live.join("journal.db").as_os_str());
        let before = 10 + usize::try_from(dice.roll(100)).unwrap();
        let lines = disk.cut_under(child.envs(disk.environment()), before, Cut { of, after: dice.roll(3) });
        promised.hear(&lines);
        let mut found = BTreeSet::new();
        for number in 0..DISKS {
            // The first holds nothing that was not synced.
            let lost = disk.lose((number > 0).then_some(&mut dice));
            let copy = dir.path().join(format!("{round}-{number}"));
            disk.copy(&copy);
            put(&lost, &copy);
            found.insert(runtime.block_on(check(&copy, &promised)));
            if number + 1 == DISKS {
                put(&lost, &live);
            }
        }
        differ += usize::from(found.len() > 1);
        disk.settle();
    }
    assert!(promised.facts() > 500 && promised.published() > 100 && differ > 1, "{differ} rounds lost something");
}

/// Opens a disk that lost power. Answers how many facts there are.
async fn check(disk: &Path, promised: &Promised) -> u64 {
    let store = SqliteStore::open(disk.join("journal.db")).expect("a disk that lost power is no damage");
    let count = store.verify_chain().await.expect("an unbroken chain");
    powerless::check(&store, count, promised).await;
    store.close().await;
    count
}
