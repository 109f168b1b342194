//! What the start and `verify_chain` find: each case damages a journal behind the store's back.

use crate::damaging::{DAMAGE, LOST_END, REFUSED};
use rusqlite::Connection;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use tallystick_app::port::journal::{Journal, StoreError};
use tallystick_app::port::tasks::{TaskQuery, TaskReader};
use tallystick_app::{App, Parts};
use tallystick_core::{Authority, Id, NodeKey};
use tallystick_escrow::Policy;
use tallystick_store::SqliteStore;
use tallystick_testkit::store_suite::fixture::{NOW, append, authority, later, request};
use tallystick_testkit::{ManualClock, SimRail, escrow};
use tempfile::TempDir;

/// A closed journal of two streams with five facts each; odd numbers are stream 1, even ones stream 2.
async fn ten_facts() -> (PathBuf, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    for version in 0..5 {
        for task in [1, 2] {
            store.append(append(task, version)).await.unwrap();
        }
    }
    store.close().await;
    (path, dir)
}

/// Runs `sql` without the guards that the schema has against it.
fn damage(path: &PathBuf, sql: &str) {
    let conn = Connection::open(path).unwrap();
    let guards: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(guards.len(), 5);
    for guard in guards {
        conn.execute_batch(&format!("DROP TRIGGER {guard}")).unwrap();
    }
    conn.execute_batch(&format!("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {sql}")).unwrap();
}

#[tokio::test]
async fn a_sound_journal_verifies_from_anywhere() {
    let (path, _dir) = ten_facts().await;
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.verify_chain().await, Ok(10));
    for (count, checked) in [(0, 0), (1, 1), (4, 4), (10, 10), (11, 10), (u64::MAX, 10)] {
        assert_eq!(store.verify_tail(count).await, Ok(checked), "the last {count}");
    }
    let empty = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(empty.path().join("journal.db")).unwrap();
    assert_eq!(store.verify_chain().await, Ok(0));
    assert_eq!(store.verify_tail(1_000).await, Ok(0));
}

/// A statement as SQLite writes it.
fn here(sql: &str) -> String {
    sql.replace("ZERO", "zeroblob(32)").replace("X(00)", "x'00'").replace("X(ff)", "x'ff'")
}

#[tokio::test]
async fn the_first_bad_fact_is_named() {
    for (sql, wanted) in DAMAGE {
        let (path, _dir) = ten_facts().await;
        damage(&path, &here(sql));
        let store = SqliteStore::open(&path).expect("the last fact is sound");
        assert_eq!(store.verify_chain().await, Err(StoreError::Corrupt(wanted.into())), "{sql}");
    }
}

/// A hash that is wrong in itself but chained on is found at the link; rewriting the rest is what anchors are for.
#[tokio::test]
async fn a_fact_rehashed_alone_breaks_the_next_link() {
    let (path, _dir) = ten_facts().await;
    let store = SqliteStore::open(&path).unwrap();
    let mut fact = store.facts(3, 1).await.unwrap().remove(0);
    store.close().await;
    fact.kind = "test.other".to_owned();
    damage(&path, &format!("UPDATE facts SET kind = 'test.other', hash = x'{}' WHERE seq = 4", fact.link()));
    let store = SqliteStore::open(&path).unwrap();
    let wanted = StoreError::Corrupt("fact 5 does not follow the fact before it".into());
    assert_eq!(store.verify_chain().await, Err(wanted.clone()));
    assert_eq!(store.verify_tail(6).await, Err(wanted));
    assert_eq!(store.verify_tail(5).await, Ok(5), "what comes later is sound");
}

#[tokio::test]
async fn a_skipped_version_is_named() {
    let (path, _dir) = ten_facts().await;
    let store = SqliteStore::open(&path).unwrap();
    let mut last = store.facts(9, 1).await.unwrap().remove(0);
    store.close().await;
    last.version = 7;
    let hash = last.link();
    let sql =
        format!("UPDATE facts SET version = 7, hash = x'{hash}' WHERE seq = 10; UPDATE head SET hash = x'{hash}'");
    damage(&path, &sql);
    let store = SqliteStore::open(&path).unwrap();
    let wanted = StoreError::Corrupt("fact 10 skips a version of its stream".into());
    assert_eq!(store.verify_chain().await, Err(wanted));
}

/// As when a file is put together from copies of different age: what is there is sound, but not all is there.
#[tokio::test]
async fn a_damaged_or_lost_end_is_found_at_the_start() {
    for (sql, wanted) in LOST_END {
        let (path, _dir) = ten_facts().await;
        damage(&path, &here(sql));
        let opened = SqliteStore::open(&path);
        assert!(matches!(&opened, Err(StoreError::Corrupt(why)) if why.contains(wanted)), "{sql}: {opened:?}");
    }
}

/// A page of the file that was overwritten is found by the job that needs it. From then on the store says that it
/// failed.
#[tokio::test]
async fn a_damaged_page_stops_the_writer() {
    let (path, _dir) = ten_facts().await;
    let conn = Connection::open(&path).unwrap();
    let number = |sql| conn.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    let page = number("SELECT rootpage FROM sqlite_schema WHERE name = 'seen_requests'");
    let size = number("PRAGMA page_size");
    drop(conn);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 512], (page - 1) * size).unwrap();
    let store = SqliteStore::open(&path).expect("the page is not needed yet");
    store.append(append(1, 5)).await.expect("nor here");
    let admitted = store.admit(request(1), NOW, later(60)).await;
    assert!(matches!(&admitted, Err(StoreError::Unavailable(why)) if why.contains("malformed")), "{admitted:?}");
    store.failed().await;
    assert!(store.append(append(1, 6)).await.is_err());
    store.close().await;
}

/// Rows of the read model that got lost or damaged come back from the facts.
#[tokio::test]
async fn damaged_rows_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let store = SqliteStore::open(&path).unwrap();
    let app = app(&store);
    for n in 0..4 {
        let authority = authority(&format!("request {n}"));
        let Authority::Request(request) = authority else { panic!("a user's request") };
        app.create(Id::from_parts(n, [9; 10]), escrow::terms(&[1_000]), request).await.unwrap();
    }
    assert_eq!(app.refresh_tasks(&store).await, Ok(true));
    let all = TaskQuery { limit: 100, ..TaskQuery::default() };
    let (views, woken) = (store.tasks(&all).await.unwrap(), store.next_wake_after(escrow::NOW).await.unwrap());
    assert_eq!((views.len(), woken.is_some()), (4, true));
    drop(app);
    store.close().await;

    damage(
        &path,
        "UPDATE tasks SET id = x'00' WHERE rowid = 1; UPDATE tasks SET view = '{', wake_at = -7 WHERE rowid = 2;
         DELETE FROM tasks WHERE rowid = 3; UPDATE tasks SET version = 99, state = 'held' WHERE rowid = 4;",
    );
    let store = SqliteStore::open(&path).unwrap();
    assert_ne!(store.tasks(&all).await, Ok(views.clone()));
    assert_eq!(self::app(&store).rebuild_tasks(&store).await, Ok(4));
    assert_eq!((store.tasks(&all).await, store.next_wake_after(escrow::NOW).await), (Ok(views), Ok(woken)));
}

fn app(store: &SqliteStore) -> App {
    let clock = ManualClock::new(escrow::NOW);
    let rail = Arc::new(SimRail::new(Arc::clone(&clock)));
    let store = Arc::new(store.clone());
    let key = NodeKey::try_new(&[8; 32]).unwrap();
    let app = App::new(Parts {
        journal: Arc::clone(&store) as _,
        log: Arc::clone(&store) as _,
        tasks: store,
        clock,
        key,
        policy: Policy::default(),
    });
    app.connect(Arc::clone(&rail) as _, rail);
    app
}

#[tokio::test]
async fn values_of_a_wrong_shape_are_damage_and_no_panic() {
    let (path, _dir) = ten_facts().await;
    damage(
        &path,
        "UPDATE facts SET prev = x'00' WHERE seq = 4; DELETE FROM tasks WHERE rowid > 1;
         UPDATE tasks SET wake_height = 1, id = x'0102';",
    );
    let store = SqliteStore::open(&path).unwrap();
    assert!(matches!(store.facts(0, 10).await, Err(StoreError::Corrupt(_))));
    let due = store.due_tasks(append(1, 0).recorded_at, tallystick_core::BlockHeight(5), 0, 10).await;
    assert!(matches!(due, Err(StoreError::Corrupt(_))), "{due:?}");
}

#[tokio::test]
async fn the_schema_guards_facts_and_authorities() {
    let (path, _dir) = ten_facts().await;
    let conn = Connection::open(&path).unwrap();
    for sql in REFUSED {
        let refused = conn.execute_batch(&here(sql)).unwrap_err().to_string();
        assert!(refused.contains("is never"), "{sql}: {refused}");
    }
}
