//! Power loss: of what was written after the last acknowledgement, each sector of the disk is there or not, in whole or
//! torn. What was acknowledged is there, and chain, tree and read model fit together.
//!
//! Files are kept as they are when an append is acknowledged (what the store waited for is in them), and again after what
//! was written next. A disk that loses power in between holds, sector by sector, the one or the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tallystick_app::log::{LogConfig, LogWorker};
use tallystick_app::port::journal::Journal;
use tallystick_app::port::log::{LogState, LogStore, Published};
use tallystick_app::port::tasks::TaskReader;
use tallystick_core::Duration;
use tallystick_log::{CompactRange, KeyKind, KeyName, SignedCheckpoint, SigningKey, leaf_hash};
use tallystick_store::SqliteStore;
use tallystick_testkit::store_suite::fixture::append;

/// What a disk writes at once.
const SECTOR: usize = 512;
/// Appends, and broken disks after each.
const APPENDS: u64 = 120;
const DISKS: u64 = 6;

/// The files of a database: its own, and the write-ahead log.
type Files = BTreeMap<&'static str, Vec<u8>>;

fn keep(path: &Path) -> Files {
    let read = |end: &'static str| Some((end, std::fs::read(format!("{}{end}", path.display())).ok()?));
    ["", "-wal"].into_iter().filter_map(read).collect()
}

/// The sectors of two moments, mixed; one of them torn, and perhaps a file that ends where it did before.
fn broken(acknowledged: &Files, later: &Files, dice: &mut impl FnMut(u64) -> u64) -> Files {
    let mut files = Files::new();
    for end in ["", "-wal"] {
        let empty = Vec::new();
        let (old, new) = (acknowledged.get(end).unwrap_or(&empty), later.get(end).unwrap_or(&empty));
        let length = if dice(2) == 0 { old.len() } else { new.len() }.max(old.len().min(new.len()));
        let mut bytes = vec![0; length];
        for (at, sector) in (0..).step_by(SECTOR).zip(bytes.chunks_mut(SECTOR)) {
            let of = |file: &[u8]| file.get(at..at + sector.len()).map(<[u8]>::to_vec);
            let (old, new) = (of(old), of(new));
            match (dice(8), old, new) {
                // Torn: the first bytes are new, the others old.
                (0, Some(old), Some(new)) => {
                    let cut = usize::try_from(dice(SECTOR as u64)).unwrap().min(sector.len());
                    sector[..cut].copy_from_slice(&new[..cut]);
                    sector[cut..].copy_from_slice(&old[cut..]);
                }
                (1..=4, Some(kept), _) | (_, _, Some(kept)) | (_, Some(kept), None) => sector.copy_from_slice(&kept),
                // Never written: whatever was on the disk.
                (_, None, None) => sector.fill(u8::try_from(dice(256)).unwrap()),
            }
        }
        files.insert(end, bytes);
    }
    files
}

#[tokio::test]
async fn a_disk_that_loses_power_holds_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    let mut worker = worker(&store);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    // xorshift64*: the same disks every time.
    let mut dice = move |sides: u64| {
        seed ^= seed >> 12;
        seed ^= seed << 25;
        seed ^= seed >> 27;
        (seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    };
    let (mut kept, mut promised) = (keep(&path), (0, store.log_state().await.unwrap()));
    let (mut without, mut with) = (0, 0);
    for n in 0..APPENDS {
        store.append(append(n % 7, n / 7)).await.unwrap();
        if n % 3 == 0 {
            worker.run_once().await.unwrap();
        }
        let later = keep(&path);
        for _ in 0..DISKS {
            match check(&broken(&kept, &later, &mut dice), &promised).await > promised.0 {
                true => with += 1,
                false => without += 1,
            }
        }
        (kept, promised) = (later, (n + 1, store.log_state().await.unwrap()));
    }
    assert!(without > 100 && with > 20, "{without} disks without the append under way, {with} with it");
    store.close().await;
}

/// Opens a broken disk. Answers how many facts there are.
async fn check(files: &Files, (acknowledged, log): &(u64, LogState)) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    for (end, bytes) in files {
        std::fs::write(format!("{}{end}", path.display()), bytes).unwrap();
    }
    let store = SqliteStore::open(&path).expect("a disk that lost power is no damage");
    let count = store.verify_chain().await.expect("an unbroken chain");
    assert!((*acknowledged..=acknowledged + 1).contains(&count), "{acknowledged} acknowledged, {count} there");
    let found = store.log_state().await.unwrap();
    let published = |state: &LogState| state.published.as_ref().map_or(0, |published| published.size);
    assert!(found.size >= log.size && published(&found) >= published(log) && found.size <= count);
    // A start is a recovery: the tree goes on to what the facts make.
    assert_eq!(worker(&store).run_once().await, Ok(true));
    let mut range = CompactRange::new();
    for fact in store.facts(0, 1_000).await.unwrap() {
        range.append(leaf_hash(&fact.entry()), |_, _| ()).unwrap();
        let task = fact.stream.strip_prefix("escrow/").and_then(|id| id.parse().ok()).expect("a task's stream");
        assert!(store.task(task).await.unwrap().is_some(), "a fact without its row");
    }
    if let Some(Published { note, .. }) = store.log_state().await.unwrap().published {
        assert_eq!(*SignedCheckpoint::parse(&note).unwrap().unverified().root(), range.root());
    }
    store.close().await;
    count
}

fn worker(store: &SqliteStore) -> LogWorker {
    let key =
        SigningKey::try_from_seed(KeyName::try_new("node.example/log").unwrap(), KeyKind::Note, &[7; 32]).unwrap();
    let config = LogConfig { key, interval: Duration::from_secs(1), witnesses: Vec::new(), witnesses_needed: 0 };
    let store = Arc::new(store.clone());
    LogWorker::try_new(Arc::clone(&store) as _, store, config).unwrap()
}
