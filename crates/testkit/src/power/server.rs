//! A PostgreSQL server whose disk loses power time after time, under one process that writes to it.

use std::fs;
use std::path::Path;

use super::{Cut, Dice, Disk, Outages, put};
use crate::{Cluster, again};

/// Tells the process that writes which database it writes to.
const DATABASE: &str = "TALLYSTICK_DISK_DATABASE";
/// Where the power goes: in a commit, and in a checkpoint.
const CUTS: [&str; 4] = ["", "pg_control", "", "_fsm"];
/// How often it goes; more often until something was lost that was written, as what is under way then is chance.
const ROUNDS: u64 = 6;
const ROUNDS_MAX: u64 = 20;
/// Segments are small, and there are many checkpoints. A start need not sync each file that is there: all are on the disk.
const SETTINGS: [&str; 4] = [
    "min_wal_size = '2MB'",
    "max_wal_size = '4MB'",
    "checkpoint_completion_target = 0.1",
    "recovery_init_sync_method = 'syncfs'",
];

/// The database to write to, in a process that [`server_outages`] started.
pub fn database() -> Option<String> {
    std::env::var(DATABASE).ok()
}

/// Runs `test`, of this test's file, as a child that writes to [`database`] and prints lines that begin with `ack `, and cuts
/// the power under the server, which recovers from what its disk holds. The next child goes on with that. `check` looks at
/// the database, with all acknowledgements so far, and tells what it holds.
///
/// # Panics
/// If `check` does, a child ends by itself, the server does not start, or a file cannot be copied.
pub fn server_outages<T: PartialEq>(
    test: &str,
    make: impl FnOnce(Disk) -> Disk,
    mut check: impl FnMut(&str, &[String]) -> T,
) -> Outages {
    let cluster = Cluster::start_with_small_segments(&SETTINGS);
    let address = cluster.database();
    cluster.halt();
    let disk = make(Disk::new(&cluster.data(), &cluster.data().with_file_name("disk")));
    cluster.go_with(&disk.environment());
    let (mut acks, mut dice, mut lossy) = (Vec::new(), Dice::default(), 0);
    for (round, of) in (0..ROUNDS_MAX).zip(CUTS.into_iter().cycle()) {
        if round >= ROUNDS && lossy > 0 {
            break;
        }
        let before = 50 + usize::try_from(dice.roll(200)).expect("it fits");
        let cut = Cut { of, after: dice.roll(3) };
        acks.extend(disk.cut_under(again(test).env(DATABASE, &address), before, cut));
        cluster.halt();
        // The first time nothing is there that was not synced.
        let mut lost = disk.lose((round > 0).then_some(&mut dice));
        // Nobody has the number any more that a server had before the power went.
        lost.remove(Path::new("postmaster.pid"));
        let written = (lossy == 0).then(|| written(&cluster, &disk, || check(&address, &acks)));
        put(&lost, &cluster.data());
        disk.settle();
        cluster.go_with(&disk.environment());
        let left = check(&address, &acks);
        lossy += usize::from(written.is_some_and(|written| left != written));
    }
    Outages { acks, lossy }
}

/// What there would be if the halted server had only crashed. Its files are afterwards as they were.
fn written<T>(cluster: &Cluster, disk: &Disk, check: impl FnOnce() -> T) -> T {
    let (data, kept) = (cluster.data(), cluster.data().with_file_name("kept"));
    disk.copy(&kept);
    cluster.go();
    let found = check();
    cluster.halt();
    fs::remove_dir_all(&data).expect("the folder is ours");
    fs::rename(kept, data).expect("the folder is ours");
    found
}
