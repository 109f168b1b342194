//! Bits of the file that turn: fsck finds each, or nothing that the node reads is changed by it, nor any row: it was where
//! nothing is kept.

use rusqlite::{Connection, types::Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tallystick_app::port::snapshot::Snapshot;
use tallystick_store::{SqliteSnapshot, SqliteStore};
use tallystick_testkit::power::Dice;

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
    assert_eq!((store.mend_wakes().await, store.mend_wakes().await), (Ok(true), Ok(false)));
    store.close().await;
    assert!(read(&path).await.is_some_and(|read| read == wanted));
    std::fs::write(&path, damaged).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    store.reindex().await.unwrap();
    store.close().await;
    assert!(read(&path).await.is_some_and(|read| read == wanted));
}
