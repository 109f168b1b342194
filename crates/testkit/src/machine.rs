//! What the machine itself can do: every bench tells it beside what it measured.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tallystick_core::{Authority, BlockHeight, NodeKey, NodeWord, Timestamp};

/// Writes that are timed.
const WRITES: usize = 500;
/// Signatures that are checked.
const CHECKS: u32 = 5_000;

/// How long this disk takes to keep 4 KiB, and how many signatures (BIP 340) one core checks in a second, as a sentence.
///
/// # Panics
/// If nothing can be written to the folder.
pub fn machine(dir: &Path) -> String {
    format!(
        "machine: write + fdatasync of 4 KiB {}; {} BIP-340 checks/s on one core",
        quantiles(fsync_times(dir)),
        schnorr_checks_per_second()
    )
}

/// Median, 95th and 99th percentile, as a sentence.
///
/// # Panics
/// Without any time.
pub fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    format!("p50 {:.2?}, p95 {:.2?}, p99 {:.2?}", at(50), at(95), at(99))
}

fn fsync_times(dir: &Path) -> Vec<Duration> {
    let mut file = File::create(dir.join("fsync")).expect("a folder to write to");
    let mut time = || {
        let start = Instant::now();
        file.write_all(&[7; 4_096]).and_then(|()| file.sync_data()).expect("a durable write");
        start.elapsed()
    };
    (0..WRITES).map(|_| time()).collect()
}

fn schnorr_checks_per_second() -> u128 {
    let key = NodeKey::try_new(&[7; 32]).expect("a key");
    let word = NodeWord {
        stream: "bench",
        expected_version: 1,
        recorded_at: Timestamp::from_millis(0),
        height: BlockHeight(1),
        command: &[1],
    };
    let Authority::Node { author, signature, .. } = key.authorise(&word) else {
        unreachable!("a node gives its own word");
    };
    let digest = word.digest();
    let start = Instant::now();
    for _ in 0..CHECKS {
        author.verify(&digest, &signature).expect("its own signature");
    }
    u128::from(CHECKS) * 1_000_000 / start.elapsed().as_micros().max(1)
}
