//! Power loss: of what was written after the last acknowledgement, each sector of the disk is there or not, in whole or
//! torn. What was acknowledged is there, and chain, tree and read model fit together.
//!
//! Files are kept as they are when an append is acknowledged (what the store waited for is in them), and again after what
//! was written next. A disk that loses power in between holds, sector by sector, the one or the other. The write-ahead log is
//! never cut back in between: SQLite waits for the disk around that, and what is kept at two moments knows nothing of it.

use std::path::Path;
use tallystick_app::port::journal::Journal;
use tallystick_store::SqliteStore;
use tallystick_testkit::store_suite::fixture::append;

use crate::powerless::{self, Dice, Promised, mixed, promised};

/// Appends, and broken disks after each.
const APPENDS: u64 = 120;
const DISKS: u64 = 6;
/// A database: its own file, and the write-ahead log.
const ENDS: [&str; 2] = ["", "-wal"];

fn keep(path: &Path) -> [Vec<u8>; 2] {
    ENDS.map(|end| std::fs::read(format!("{}{end}", path.display())).unwrap_or_default())
}

#[tokio::test]
async fn a_disk_that_loses_power_holds_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    let (mut worker, mut dice) = (powerless::worker(&store), Dice::new());
    let (mut kept, mut promise) = (keep(&path), promised(&store, 0).await);
    let (mut without, mut with) = (0, 0);
    for n in 0..APPENDS {
        store.append(append(n % 7, n / 7)).await.unwrap();
        if n % 3 == 0 {
            worker.run_once().await.unwrap();
        }
        let later = keep(&path);
        for _ in 0..DISKS {
            let disk = [0, 1].map(|file| mixed(&kept[file], &later[file], &mut dice));
            match check(&disk, &promise).await > promise.facts {
                true => with += 1,
                false => without += 1,
            }
        }
        (kept, promise) = (later, promised(&store, n + 1).await);
    }
    assert!(without > 100 && with > 20, "{without} disks without the append under way, {with} with it");
    store.close().await;
}

/// Opens a broken disk. Answers how many facts there are.
async fn check(disk: &[Vec<u8>; 2], promise: &Promised) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    for (end, bytes) in ENDS.iter().zip(disk) {
        std::fs::write(format!("{}{end}", path.display()), bytes).unwrap();
    }
    let store = SqliteStore::open(&path).expect("a disk that lost power is no damage");
    let count = powerless::check(&store, promise, 1).await;
    store.close().await;
    count
}
