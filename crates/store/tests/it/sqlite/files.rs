//! Opening, closing and refusing database files.

use rusqlite::Connection;
use std::os::unix::fs::{PermissionsExt, symlink};
use tallystick_app::port::journal::{AppendError, Journal, StoreError};
use tallystick_app::port::tasks::TaskReader;
use tallystick_store::SqliteStore;
use tallystick_testkit::store_suite::fixture::{append, row, stream, task_id};

use crate::refusal;

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    for version in 0..3 {
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.append(append(1, version)).await.unwrap().seq, version + 1);
        assert_eq!(store.verify_chain().await, Ok(version + 1));
        store.close().await;
    }
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.stream(&stream(1), 0).await.unwrap().len(), 3);
    assert_eq!(store.task(task_id(1)).await.unwrap(), Some(row(1, 2).view));
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_closes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let first = SqliteStore::open(&path).unwrap();
    let why = refusal(SqliteStore::open(&path));
    assert!(why.contains("journal.db.lock") && why.contains("another process"), "{why}");
    first.append(append(1, 0)).await.expect("the first goes on");
    first.close().await;
    let second = SqliteStore::open(&path).expect("the lock is free");
    second.append(append(1, 1)).await.expect("the next version");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("journal.db")).unwrap();
    let clone = store.clone();
    store.append(append(1, 0)).await.unwrap();
    store.close().await;
    store.close().await;
    let closed = StoreError::Unavailable("it is closed".into());
    assert_eq!(clone.append(append(1, 1)).await, Err(AppendError::Store(closed.clone())));
    assert_eq!(clone.finish_effect("key").await, Err(closed.clone()));
    assert_eq!(clone.facts(0, 1).await, Err(closed.clone()));
    assert_eq!(clone.verify_chain().await, Err(closed));
    assert!(!dir.path().join("journal.db-wal").exists(), "the log is merged into the database");
}

#[tokio::test]
async fn closing_writes_what_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    let mut set = tokio::task::JoinSet::new();
    for n in 0..100 {
        let store = store.clone();
        set.spawn(async move { store.append(append(n, 0)).await });
    }
    // Some are in by now and some come too late; both must be told the truth.
    tokio::task::yield_now().await;
    store.close().await;
    let done = set.join_all().await.into_iter().filter(Result::is_ok).count();
    assert!(done > 0, "nothing was accepted before the end");
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.verify_chain().await, Ok(u64::try_from(done).unwrap()));
}

#[tokio::test]
async fn a_database_under_another_name_is_the_same_database() {
    let dir = tempfile::tempdir().unwrap();
    let (real, linked) = (dir.path().join("real"), dir.path().join("linked"));
    std::fs::create_dir(&real).unwrap();
    symlink(&real, &linked).unwrap();
    symlink(real.join("journal.db"), dir.path().join("other.db")).unwrap();
    let first = SqliteStore::open(linked.join("journal.db")).unwrap();
    for name in [real.join("journal.db"), dir.path().join("other.db"), linked.join("../real/journal.db")] {
        let why = refusal(SqliteStore::open(&name));
        assert!(why.contains("another process"), "{}: {why}", name.display());
    }
    first.close().await;
    let second = SqliteStore::open(dir.path().join("other.db")).expect("the lock is free");
    second.append(append(1, 0)).await.unwrap();
    assert!(real.join("journal.db-wal").exists() && !dir.path().join("other.db-wal").exists());
}

#[tokio::test]
async fn files_are_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("journal.db")).unwrap();
    store.append(append(1, 0)).await.unwrap();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_later_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    drop(SqliteStore::open(&path).unwrap());
    let conn = Connection::open(&path).unwrap();
    let known: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert!(known > 0);
    for version in [known + 1, -1] {
        conn.pragma_update(None, "user_version", version).unwrap();
        let why = open_when_free(&path);
        assert!(why.contains(&format!("schema version {version}")) && why.contains("newer"), "{why}");
        assert_eq!(conn.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)), Ok(version));
    }
}

/// The lock of a dropped store is free once its thread has ended: tries until another refusal comes.
fn open_when_free(path: &std::path::Path) -> String {
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let why = refusal(SqliteStore::open(path));
        if !why.contains("another process") {
            return why;
        }
        assert!(std::time::Instant::now() < limit, "{why}");
        std::thread::yield_now();
    }
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE theirs (value TEXT)").unwrap();
    let why = refusal(SqliteStore::open(&path));
    assert!(why.contains("another program"), "{why}");
    let tables: u64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn files_that_are_no_database_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.db");
    std::fs::write(&text, "this is not a database, however long one looks at it".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(&text), Err(StoreError::Corrupt(_))));
    assert!(matches!(SqliteStore::open(dir.path().join("no/such/dir.db")), Err(StoreError::Unavailable(_))));
    assert!(matches!(SqliteStore::open(dir.path()), Err(StoreError::Unavailable(_))));
}
