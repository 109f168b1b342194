//! Every value of every row in turn.

use rusqlite::{Connection, config::DbConfig, types::Value};
use std::{path::Path, sync::Arc};
use tallystick_app::port::{journal::Journal, snapshot::Snapshot};
use tallystick_store::{SqliteSnapshot, SqliteStore};
use tallystick_testkit::store_suite::fixture;

use crate::tampering::{
    EVIDENCE, EVIDENCE_LIES, FREE, LIES, SOUND, TABLES, a_log_that_is_behind_is_told, a_snapshot_stands_still, argue,
    fsck, is_said_of, kept_checkpoints_are_compared, live, outbox_numbers, tiles_are_made_again,
    what_a_clock_may_have_made_is_told,
};

/// The database as it is now.
fn now(path: &Path) -> Arc<dyn Snapshot> {
    Arc::new(SqliteSnapshot::open(path).unwrap())
}

#[tokio::test]
async fn fsck_finds_every_changed_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    live(&store).await;
    assert_eq!(fsck(now(&path)).await, Ok(SOUND));
    let tried = change_values(&path, &TABLES).await;
    assert!(tried > 140, "only {tried} values");
    assert_eq!(fsck(now(&path)).await, Ok(SOUND), "all is as it was");
    store.close().await;
}

#[tokio::test]
async fn fsck_finds_every_changed_value_of_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    argue(&store, 40_000).await;
    let sound = fsck(now(&path)).await.unwrap();
    assert_eq!(sound.evidence, 2);
    let tried = change_values(&path, &EVIDENCE).await;
    assert!(tried > 40, "only {tried} values");
    assert_eq!(fsck(now(&path)).await, Ok(sound), "all is as it was");
    store.close().await;
}

/// Changes every value in turn, and back. Answers how many there were.
async fn change_values(path: &Path, tables: &[(&str, &str)]) -> usize {
    let conn = unguarded(path);
    let mut tried = 0;
    for (table, rows) in tables.iter().copied() {
        for (rowid, column, value) in values(&conn, table, rows) {
            if FREE.contains(&(table, column.as_str())) {
                continue;
            }
            let key = key(table);
            let set = format!("UPDATE {table} SET {column} = ?1 WHERE {key} = ?2");
            // What is another row's already cannot be stored: something else then.
            let mut tries = (tried..).map(|turn| changed(&value, turn));
            let changed = tries.find(|changed| conn.execute(&set, rusqlite::params![changed, rowid]).is_ok()).unwrap();
            // A row that is told by its own number moves with it.
            let moved = match (table, column.as_str()) {
                ("facts", "seq") | (_, "one") => changed.clone(),
                (_, column) if column == key => changed.clone(),
                _ => rowid.clone(),
            };
            let change = format!("{table}.{column} of row {rowid:?}: {value:?} became {changed:?}");
            is_said_of(table, fsck(now(path)).await, &change);
            conn.execute(&set, rusqlite::params![value, moved]).unwrap();
            tried += 1;
        }
    }
    tried
}

#[tokio::test]
async fn fsck_finds_lies() {
    for (lie, wanted) in LIES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let store = SqliteStore::open(&path).unwrap();
        live(&store).await;
        unguarded(&path).execute_batch(lie).unwrap();
        let found = fsck(now(&path)).await.unwrap_err().to_string();
        assert!(found.starts_with(wanted), "{lie}: {found}");
    }
    for (lie, wanted) in EVIDENCE_LIES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let store = SqliteStore::open(&path).unwrap();
        argue(&store, 10).await;
        unguarded(&path).execute_batch(lie).unwrap();
        let found = fsck(now(&path)).await.unwrap_err().to_string();
        assert!(found.ends_with(wanted), "{lie}: {found}");
    }
}

#[tokio::test]
async fn checkpoints_that_others_kept_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    live(&store).await;
    kept_checkpoints_are_compared(&store, now(&path)).await;
}

#[tokio::test]
async fn fsck_on_a_node_that_goes_on_cries_no_wolf() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    live(&store).await;
    a_snapshot_stands_still(&store, now(&path)).await;
    assert!(fsck(now(&path)).await.is_ok_and(|sound| sound.facts == SOUND.facts + 2));
}

#[tokio::test]
async fn a_clock_that_was_set_back_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    live(&store).await;
    let conn = unguarded(&path);
    what_a_clock_may_have_made_is_told(async || now(&path), async |sql: &str| conn.execute_batch(sql).unwrap()).await;
}

#[tokio::test]
async fn a_wiped_log_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    let conn = unguarded(&path);
    a_log_that_is_behind_is_told(&store, async || now(&path), async |sql| conn.execute_batch(sql).unwrap()).await;
}

#[tokio::test]
async fn damaged_tiles_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    live(&store).await;
    let conn = unguarded(&path);
    tiles_are_made_again(&store, async || now(&path), async |sql| conn.execute_batch(sql).unwrap()).await;
}

#[tokio::test]
async fn no_number_in_the_outbox_stops_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    live(&store).await;
    let conn = unguarded(&path);
    outbox_numbers(&store, async || now(&path), async |sql| conn.execute_batch(sql).unwrap()).await;
    for lie in ["finished = 2", "finished = -1"] {
        conn.execute_batch(&format!("UPDATE outbox SET {lie} WHERE finished = 1")).unwrap();
        let found = fsck(now(&path)).await.unwrap_err().to_string();
        assert!(found.contains("outbox"), "{found}");
        conn.execute_batch("UPDATE outbox SET finished = 1 WHERE finished NOT IN (0, 1)").unwrap();
    }
    // The database's own check finds it as well.
    store.close().await;
    conn.execute_batch("UPDATE outbox SET attempts = -1 WHERE finished = 0").unwrap();
    let found = fsck(now(&path)).await.unwrap_err().to_string();
    assert!(found.contains("CHECK constraint failed in outbox"), "{found}");
}

/// Tables of another version are not brought up to date by whoever only looks.
#[tokio::test]
async fn a_snapshot_refuses_other_tables_and_changes_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    SqliteStore::open(&path).unwrap().close().await;
    let conn = Connection::open(&path).unwrap();
    let version = || conn.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap();
    let newest = version();
    for other in [0, newest - 1, newest + 1] {
        conn.pragma_update(None, "user_version", other).unwrap();
        let refused = SqliteSnapshot::open(&path).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains(&format!("schema version {other}")), "{refused}");
        assert_eq!(version(), other);
    }
    assert!(SqliteSnapshot::open(&dir.path().join("none.db")).is_err());
    assert!(!dir.path().join("none.db").exists());
}

/// Nothing of what was erased is in any file.
#[tokio::test]
async fn what_was_erased_is_gone_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    live(&store).await;
    for (words, there) in [("title of 1", true), ("title of 2", false)] {
        assert_eq!(holds(dir.path(), words), there, "{words}");
    }
    store.close().await;
}

/// Nor once a process starts again that was killed between an erasure and what has it leave the disk.
#[tokio::test]
async fn what_was_erased_is_gone_from_the_disk_after_a_crash() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = SqliteStore::open(dir.path().join("journal.db")).unwrap();
    store.append(fixture::append(1, 0)).await.unwrap();
    store.append(fixture::erasing(1, 1)).await.unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(dir.path().join(name), killed.path().join(name)).unwrap();
    }
    assert!(holds(killed.path(), "version 1 of"));
    let again = SqliteStore::open(killed.path().join("journal.db")).unwrap();
    assert!(!holds(killed.path(), "version 1 of"));
    assert_eq!(again.verify_chain().await, Ok(2));
    store.scrub().await.unwrap();
    assert!(!holds(dir.path(), "version 1 of"));
}

/// Whether these words are in any file of a folder.
fn holds(dir: &Path, words: &str) -> bool {
    let mut files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.any(|bytes| bytes.windows(words.len()).any(|window| window == words.as_bytes()))
}

/// The database without its guards, as an intruder would have it.
fn unguarded(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF").unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn
}

/// What tells a table's rows apart.
fn key(table: &str) -> &'static str {
    match table {
        "reservations" => "name",
        "seen_requests" => "id",
        _ => "rowid",
    }
}

fn values(conn: &Connection, table: &str, rows: &str) -> Vec<(Value, String, Value)> {
    let mut statement = conn.prepare(&format!("SELECT {}, * FROM {table} WHERE {rows}", key(table))).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        for (index, name) in names.iter().enumerate().skip(1) {
            let value: Value = row.get(index).unwrap();
            if value != Value::Null {
                found.push((row.get(0).unwrap(), name.clone(), value));
            }
        }
    }
    found
}

/// A value of the same type, changed in one place: another place each time.
fn changed(value: &Value, turn: usize) -> Value {
    match value {
        Value::Integer(number) => Value::Integer(number + 1_000),
        Value::Text(text) => {
            let mut bytes = text.clone().into_bytes();
            let at = (turn * 7) % bytes.len();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            Value::Text(String::from_utf8(bytes).unwrap())
        }
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            let at = (turn * 13) % bytes.len();
            bytes[at] ^= 1 << (turn % 8);
            Value::Blob(bytes)
        }
        other => panic!("{other:?} is in no table"),
    }
}
