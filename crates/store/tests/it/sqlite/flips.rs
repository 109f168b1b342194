//! Bits of the file that turn: fsck finds each, or nothing that the node reads is changed by it, nor any row: it was where
//! nothing is kept.

use rusqlite::{Connection, types::Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tallystick_app::port::journal::{Append, Journal, StoreError};
use tallystick_app::port::snapshot::Snapshot;
use tallystick_store::{SqliteSnapshot, SqliteStore};
use tallystick_testkit::power::Dice;
use tallystick_testkit::store_suite::fixture::{append, effect, later, stream};

use crate::reading::{everything, much};
use crate::tampering::{EVIDENCE, FREE, TABLES, fsck};

/// Bits that turn in each leaf, one at a time.
const IN_A_LEAF: u64 = 2;
/// The same in each other page: there are few of them.
const ELSEWHERE: u64 = 16;

/// A closed journal in one file, with pages of every kind.
async fn journal(path: &Path) {
    let store = SqliteStore::open(path).unwrap();
    much(&store).await;
    store.close().await;
    let conn = Connection::open(path).unwrap();
    // What leaves makes pages free.
    conn.execute_batch("CREATE TABLE gone AS SELECT * FROM tasks; DROP TABLE gone").unwrap();
    let free: u64 = conn.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap();
    assert!(free > 1, "no page is free");
}

/// The first byte of a page tells what it is; what has none of these is an overflow, or free.
fn kind(page: &[u8], first: bool) -> &'static str {
    match page[if first { 100 } else { 0 }] {
        2 => "within an index",
        5 => "within a table",
        10 => "an index's leaf",
        13 => "a table's leaf",
        _ => "another",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsck_finds_every_bit_that_matters() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    journal(&path).await;
    let sound = std::fs::read(&path).unwrap();
    let wanted = read(&path).await.expect("a sound journal");
    let all = held(&path);
    assert!(all.len() > 500, "{} rows", all.len());
    let (mut dice, mut kinds, mut harmless, mut missed) = (Dice::default(), BTreeMap::new(), 0, Vec::new());
    let size = 4096;
    for page in 0..sound.len() / size {
        let kind = kind(&sound[page * size..], page == 0);
        for _ in 0..if kind.ends_with("leaf") && page > 0 { IN_A_LEAF } else { ELSEWHERE } {
            let (at, bit) = (page * size + usize::try_from(dice.roll(4096)).unwrap(), dice.roll(8));
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            match read(&path).await {
                None => *kinds.entry(kind).or_insert(0) += 1,
                Some(found) if found == wanted && held(&path) == all => harmless += 1,
                Some(_) => missed.push(format!("bit {bit} of byte {at}, in page {} ({kind})", page + 1)),
            }
            for beside in ["journal.db-wal", "journal.db-shm"] {
                let _ = std::fs::remove_file(dir.path().join(beside));
            }
        }
    }
    println!("found {kinds:?}, harmless {harmless}");
    assert!(missed.is_empty(), "{} missed, {harmless} harmless, found {kinds:?}: {missed:#?}", missed.len());
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

/// Every row of every table, but for what facts do not make ([`FREE`]).
fn held(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let mut rows = Vec::new();
    for (table, _) in TABLES.iter().chain(&EVIDENCE) {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let read = |row: &rusqlite::Row<'_>| {
            let kept = names.iter().enumerate().filter(|(_, name)| !FREE.contains(&(table, name)));
            kept.map(|(at, _)| row.get::<_, Value>(at)).collect::<rusqlite::Result<Vec<_>>>()
        };
        let found = statement.query_map([], read).unwrap();
        rows.extend(found.map(|row| format!("{table} {row:?}")));
    }
    rows.sort_unstable();
    rows
}

/// What a node reads from this file, if fsck says that it is sound.
async fn read(path: &Path) -> Option<Vec<String>> {
    let now = || SqliteSnapshot::open(path).map(|it| Arc::new(it) as Arc<dyn Snapshot>);
    fsck(now().ok()?).await.ok()?;
    let read = async {
        let store = SqliteStore::open(path).ok()?;
        let read = everything(&store, now().ok()?).await;
        store.close().await;
        Some(read)
    };
    Some(read.await.unwrap_or_default())
}

/// Timers find what is due again once the index is made again, and rows that it hid go.
#[tokio::test]
async fn a_damaged_index_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    journal(&path).await;
    let wanted = read(&path).await.expect("a sound journal");
    let conn = Connection::open(&path).unwrap();
    // The root of the index is that of another one, and the other way round.
    conn.execute_batch(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema
            WHERE name IN ('tasks_by_wake_at', 'tasks_by_wake_height')) - rootpage
            WHERE name IN ('tasks_by_wake_at', 'tasks_by_wake_height')",
    )
    .unwrap();
    drop(conn);
    let found = fsck(Arc::new(SqliteSnapshot::open(&path).unwrap())).await.unwrap_err().to_string();
    assert!(found.starts_with("the database: ") && found.contains("tasks_by_wake_"), "{found}");
    // A start makes this one again, and all is well.
    let damaged = std::fs::read(&path).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!((store.mend_due().await, store.mend_due().await), (Ok(true), Ok(false)));
    store.close().await;
    assert!(read(&path).await.is_some_and(|read| read == wanted));
    std::fs::write(&path, damaged).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    store.reindex().await.unwrap();
    store.close().await;
    assert!(read(&path).await.is_some_and(|read| read == wanted));
}

const EFFECTS: u64 = 5;

/// A journal in one file with effects that are not finished, and the bytes of the second of them.
async fn effects(path: &Path) -> std::ops::Range<usize> {
    let store = SqliteStore::open(path).unwrap();
    for n in 0..EFFECTS {
        store.append(Append { effects: vec![effect(&format!("pay-{n}"), n)], ..append(n, 0) }).await.unwrap();
    }
    store.close().await;
    // The row holds its key and its stream side by side, after a head of its own; an index holds the key alone.
    let words = [b"pay-1", stream(1).as_bytes()].concat();
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(words.len()).position(|window| window == words).expect("the row");
    at - 14..at + words.len() + 40
}

/// What a node does with its outbox, from its start on: works until nothing is left, started again when its store gives up. Answers
/// which effects were given, or why the store gave up in the end.
async fn worked(path: &Path) -> Result<BTreeSet<String>, StoreError> {
    let mut given = BTreeSet::new();
    for start in 1..=3 {
        let store = SqliteStore::open(path)?;
        let ended = work(&store, start * 10, &mut given).await;
        store.close().await;
        if start == 3 {
            ended?;
        }
    }
    Ok(given)
}

async fn work(store: &SqliteStore, epoch: u64, given: &mut BTreeSet<String>) -> Result<(), StoreError> {
    store.mend_due().await?;
    // The last time what was put off, as it seems, is due as well.
    for (turn, now) in (0..).zip([100, 100, 100_000]) {
        for effect in store.claim_effects(later(now), later(now + 30), epoch + turn, 10).await? {
            // One of the two still says which it is.
            given.insert(effect.key.clone());
            given.extend(String::from_utf8_lossy(&effect.body).strip_prefix("do ").map(str::to_owned));
            // One is put off first.
            store.defer_effect(&effect.key, later(50)).await?;
            store.finish_effect(&effect.key).await?;
        }
    }
    store.next_effect_due().await.map(drop)
}

/// One bit that turns in an effect keeps no other effect from being done, nor its own, unless its page cannot be read any more: the
/// node ends then, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_of_an_effect_stops_nothing_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let row = effects(&path).await;
    let sound = std::fs::read(&path).unwrap();
    let all: BTreeSet<String> = (0..EFFECTS).map(|n| format!("pay-{n}")).collect();
    assert_eq!(worked(&path).await, Ok(all.clone()));
    let (mut stopped, mut fates) = (Vec::new(), BTreeMap::new());
    for (at, bit) in row.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        for beside in ["journal.db-wal", "journal.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(beside));
        }
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << bit;
        std::fs::write(&path, &bytes).unwrap();
        let found = match SqliteSnapshot::open(&path) {
            Ok(snapshot) => snapshot.check_structure().await.err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let fate = match worked(&path).await {
            Ok(given) if given.is_superset(&all) => "done",
            // It was given, and its columns are those beside them: whoever reads its body says so, and SQLite as well.
            Ok(given) if all.difference(&given).count() == 1 && given.len() == all.len() && found.is_some() => {
                "given with other words, and told"
            }
            // It has the place of another, which SQLite finds.
            Ok(given)
                if all.difference(&given).count() == 1 && found.as_ref().is_some_and(|it| it.contains("Rowid")) =>
            {
                "its place is lost, and told"
            }
            // What SQLite cannot read, nobody can.
            Err(StoreError::Corrupt(why) | StoreError::Unavailable(why))
                if found.is_some() && why.contains("malformed") =>
            {
                "the page is lost, and told"
            }
            other => {
                stopped.push(format!("bit {bit} of byte {at}: {other:?}, found: {found:?}"));
                "stopped"
            }
        };
        *fates.entry(fate).or_insert(0) += 1;
    }
    println!("{fates:?}");
    assert!(stopped.is_empty(), "{fates:?}: {stopped:#?}");
    assert!(fates["done"] > 300, "{fates:?}");
}

/// A page of effects that are done, which nobody can read any more, stops no start, and no writer.
#[tokio::test]
async fn old_effects_that_cannot_be_read_stop_no_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    for n in 0..200 {
        store.append(Append { effects: vec![effect(&format!("pay-{n}"), n)], ..append(n, 0) }).await.unwrap();
        store.finish_effect(&format!("pay-{n}")).await.unwrap();
    }
    store.close().await;
    // The first leaf of the table says that it is of no kind that there is.
    let conn = Connection::open(&path).unwrap();
    let size: usize = conn.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    let root: usize =
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'outbox'", [], |row| row.get(0)).unwrap();
    drop(conn);
    let mut bytes = std::fs::read(&path).unwrap();
    let root = (root - 1) * size;
    assert_eq!(bytes[root], 5, "the table has more than one page");
    let cell = root + usize::from(u16::from_be_bytes([bytes[root + 12], bytes[root + 13]]));
    let leaf = u32::from_be_bytes(bytes[cell..cell + 4].try_into().unwrap());
    bytes[(leaf as usize - 1) * size] ^= 0x40;
    std::fs::write(&path, &bytes).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert!(matches!(store.mend_due().await, Err(StoreError::Corrupt(_))));
    store.append(Append { effects: vec![effect("pay-new", 1)], ..append(200, 0) }).await.unwrap();
    let given = store.claim_effects(later(300), later(330), 1, 10).await.unwrap();
    assert_eq!(given.iter().map(|effect| effect.key.as_str()).collect::<Vec<_>>(), ["pay-new"]);
    store.finish_effect("pay-new").await.unwrap();
    store.close().await;
}
