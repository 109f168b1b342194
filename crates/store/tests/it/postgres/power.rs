//! Power loss under the server: of what it wrote and did not sync, each sector is there or not, in whole or torn. Its own
//! recovery must give back what was acknowledged to us, and ours must fit to that.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tallystick_testkit::Cluster;
use tallystick_testkit::power::{Cut, Dice, Disk, put};

use super::open;
use crate::powerless::{self, Promised};
use crate::writing::{self, DATABASE};

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

#[test]
fn a_server_that_loses_power_holds_what_was_acknowledged() {
    run("postgres::power::a_server_that_loses_power_holds_what_was_acknowledged", |disk| disk);
}

/// The test of the test: the same on a disk whose syncs do nothing.
#[test]
#[should_panic(expected = "an acknowledged fact is gone")]
fn a_disk_that_drops_what_it_was_told_to_keep_is_found_out() {
    run("postgres::power::a_disk_that_drops_what_it_was_told_to_keep_is_found_out", Disk::that_lies);
}

fn run(test: &str, make: impl FnOnce(Disk) -> Disk) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(address) = std::env::var(DATABASE) {
        return runtime.block_on(async { powerless::child(open(&address).await.unwrap()).await });
    }
    let cluster = Cluster::start_with_small_segments(&SETTINGS);
    let address = cluster.database();
    cluster.halt();
    let disk = make(Disk::new(&cluster.data(), &cluster.data().with_file_name("disk")));
    cluster.go_with(&disk.environment());
    let (mut acks, mut dice, mut lossy) = (Vec::new(), Dice::default(), false);
    for (round, of) in (0..ROUNDS_MAX).zip(CUTS.into_iter().cycle()) {
        if round >= ROUNDS && lossy {
            break;
        }
        let before = 50 + usize::try_from(dice.roll(200)).unwrap();
        let cut = Cut { of, after: dice.roll(3) };
        acks.extend(disk.cut_under(&mut writing::again(test, OsStr::new(&address)), before, cut));
        cluster.halt();
        // The first time nothing is there that was not synced.
        let mut lost = disk.lose((round > 0).then_some(&mut dice));
        // Nobody has the number any more that a server had before the power went.
        lost.remove(Path::new("postmaster.pid"));
        let written = (!lossy).then(|| written(&cluster, &disk, || runtime.block_on(facts(&address))));
        put(&lost, &cluster.data());
        disk.settle();
        cluster.go_with(&disk.environment());
        let left = runtime.block_on(check(&address, &Promised::by(&acks)));
        lossy |= written.is_some_and(|written| left < written);
    }
    assert!(lossy, "the power never went in the middle of anything");
    assert!(Promised::by(&acks).is_much());
}

/// How many facts there would be if the halted server had only crashed. Its files are afterwards as they were.
fn written(cluster: &Cluster, disk: &Disk, count: impl FnOnce() -> u64) -> u64 {
    let (data, kept) = (cluster.data(), cluster.data().with_file_name("kept"));
    disk.copy(&kept);
    cluster.go();
    let count = count();
    cluster.halt();
    fs::remove_dir_all(&data).unwrap();
    fs::rename(kept, data).unwrap();
    count
}

async fn facts(address: &str) -> u64 {
    let store = open(address).await.expect("a disk that lost power is no damage");
    let count = store.verify_chain().await.expect("an unbroken chain");
    store.close().await;
    count
}

/// Opens a disk that lost power. Answers how many facts there are.
async fn check(address: &str, promised: &Promised) -> u64 {
    let count = facts(address).await;
    let store = open(address).await.unwrap();
    powerless::check(&store, count, promised).await;
    store.close().await;
    count
}
