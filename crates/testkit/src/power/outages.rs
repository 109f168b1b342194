//! Files of one process, whose disk loses power time after time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Cut, Dice, Disk, LIVE, put};
use crate::again;

/// How often the power goes, and disks as they may be then.
const ROUNDS: u64 = 8;
const DISKS: u64 = 8;

/// What came of it.
#[derive(Debug)]
pub struct Outages {
    /// All that was acknowledged.
    pub acks: Vec<String>,
    /// How many times something was lost: not all disks as they may be then held the same.
    pub lossy: usize,
}

/// The folder to write to, in a process that [`outages`] started.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(LIVE).map(PathBuf::from)
}

/// Runs `test`, of this test's file, as a child that writes to [`folder`] and prints lines that begin with `ack `, and cuts
/// the power: at syncs of files whose names end as `cuts` say, one after the other. The next child goes on with what is
/// left. `check` looks at a folder as the disk may hold it, with all acknowledgements so far, and tells what it holds.
///
/// # Panics
/// If `check` does, a child ends by itself, or a file cannot be copied.
pub fn outages<T: Ord>(
    test: &str,
    make: impl FnOnce(Disk) -> Disk,
    cuts: &[&str],
    mut check: impl FnMut(&Path, &[String]) -> T,
) -> Outages {
    let dir = tempfile::tempdir().expect("a folder");
    let live = dir.path().join("live");
    fs::create_dir(&live).expect("the folder is ours");
    let disk = make(Disk::new(&live, &dir.path().join("disk")));
    let (mut acks, mut dice, mut lossy) = (Vec::new(), Dice::default(), 0);
    for of in (0..ROUNDS).zip(cuts.iter().cycle()).map(|(_, of)| of) {
        let before = 10 + usize::try_from(dice.roll(100)).expect("it fits");
        let cut = Cut { of, after: dice.roll(3) };
        acks.extend(disk.cut_under(again(test).envs(disk.environment()), before, cut));
        let mut found = BTreeSet::new();
        for number in 0..DISKS {
            // The first holds nothing that was not synced.
            let lost = disk.lose((number > 0).then_some(&mut dice));
            let copy = dir.path().join("copy");
            disk.copy(&copy);
            put(&lost, &copy);
            found.insert(check(&copy, &acks));
            fs::remove_dir_all(copy).expect("the folder is ours");
            if number + 1 == DISKS {
                put(&lost, &live);
            }
        }
        lossy += usize::from(found.len() > 1);
        disk.settle();
    }
    Outages { acks, lossy }
}
