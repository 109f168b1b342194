//! From SQLite to PostgreSQL.

use std::path::Path;
use tallystick_app::port::journal::{Append, Journal, StoreError};
use tallystick_app::port::tasks::{TaskQuery, TaskReader, TaskRebuild};
use tallystick_store::{
    Beside, Copied, PostgresOptions, PostgresStore, SqliteStore, StoreStatus, copy, prepare_journal,
};
use tallystick_testkit::Cluster;
use tallystick_testkit::store_suite::fixture::{
    append, effect, key, later, name, request, row, row_mut, stream, task_id,
};

/// More than one batch of rows.
const TASKS: u64 = 600;

async fn filled(path: &Path) {
    let store = SqliteStore::open(path).unwrap();
    let mut set = tokio::task::JoinSet::new();
    for n in 0..TASKS {
        let store = store.clone();
        set.spawn(async move {
            let effects = vec![effect(&format!("pay {n}"), n % 7), effect(&format!("claim {n}"), 0)];
            let reservations = if n < 200 { vec![name(u8::try_from(n).unwrap())] } else { Vec::new() };
            store.append(Append { effects, reservations, ..append(n, 0) }).await.unwrap();
            let mut second = append(n, 1);
            second.finishes = vec![format!("claim {n}")];
            row_mut(&mut second).wake_at = Some(later(n));
            row_mut(&mut second).worker = Some(key(1));
            store.append(second).await.unwrap();
        });
    }
    set.join_all().await;
    store.defer_effect("pay 3", later(50)).await.unwrap();
    assert!(store.admit(request(1), later(0), later(100)).await.unwrap());
    store.set_rows_format(7).await.unwrap();
    store.close().await;
}

async fn target() -> PostgresOptions {
    let options = PostgresOptions::try_new(&Cluster::shared().database()).unwrap();
    prepare_journal(&options).await.unwrap();
    options
}

/// Copies from a file that keeps its name.
async fn copy_all(path: &Path, beside: &[Beside], options: &PostgresOptions) -> Result<Copied, StoreError> {
    copy(path, beside, options, |_, _, _| {}, || Ok(())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    filled(&path).await;
    let options = target().await;
    let mut told = Vec::new();
    let copied = copy(&path, &[], &options, |table, done, all| told.push((table.to_owned(), done, all)), || Ok(()))
        .await
        .unwrap();
    assert_eq!(copied.facts, TASKS * 2);
    assert!(told.contains(&("facts".to_owned(), 500, TASKS * 2)) && told.contains(&("facts".to_owned(), 1_200, 1_200)));
    let rows = |name: &str| copied.tables.iter().find(|(table, _)| table == name).map(|(_, rows)| *rows);
    assert_eq!((rows("outbox"), rows("tasks"), rows("seen_requests")), (Some(TASKS * 2), Some(TASKS), Some(1)));

    let (from, to) = (SqliteStore::open(&path).unwrap(), PostgresStore::open(options.clone()).await.unwrap());
    let mut after = 0;
    loop {
        let page = from.facts(after, 1_000).await.unwrap();
        assert_eq!(to.facts(after, 1_000).await.unwrap(), page);
        let Some(last) = page.last() else { break };
        assert_eq!(to.authority(last.authority).await, from.authority(last.authority).await);
        after = last.seq;
    }
    for secs in [0, 3, 100] {
        let due = from.due_effects(later(secs), 1_000).await.unwrap();
        assert!(!due.is_empty() && to.due_effects(later(secs), 1_000).await.unwrap() == due);
    }
    assert_eq!(to.holder("payment_hash", &[9; 32]).await, Ok(Some(stream(9))));
    assert_eq!(to.admit(request(1), later(0), later(100)).await, Ok(false));
    let query = TaskQuery { limit: 1_000, worker: Some(key(1)), ..TaskQuery::default() };
    assert_eq!(to.tasks(&query).await, from.tasks(&query).await);
    assert_eq!(to.next_wake_after(later(0)).await, Ok(Some(later(1))));
    assert_eq!(to.rows_format().await, Ok(7));

    // And it goes on: numbers that the database gives follow those that were copied.
    let more = Append { effects: vec![effect("new", 0)], ..append(1, 2) };
    assert_eq!(to.append(more).await.unwrap().seq, TASKS * 2 + 1);
    assert_eq!(to.verify_chain().await, Ok(TASKS * 2 + 1));
    assert_eq!(to.task(task_id(1)).await, Ok(Some(row(1, 2).view)));
}

#[tokio::test]
async fn a_target_that_holds_something_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    filled(&path).await;
    let options = target().await;
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.append(append(1, 0)).await.unwrap();
    let refused = copy_all(&path, &[], &options).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("not empty")), "{refused}");
    assert_eq!(store.verify_chain().await, Ok(1));
    assert_eq!(store.append(append(1, 1)).await.unwrap().seq, 2);
}

/// Every value is compared once it is there, not rows counted alone.
#[tokio::test]
async fn a_row_that_is_not_kept_as_it_came_ends_the_copy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    filled(&path).await;
    let options = target().await;
    let client = tallystick_postgres::connect(&options).await.unwrap();
    let meddle = "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.attempts := NEW.attempts + 1; RETURN NEW; END $$;
        CREATE TRIGGER meddle BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.key IN ('pay 7', 'pay 8'))
            EXECUTE FUNCTION meddle()";
    client.batch_execute(meddle).await.unwrap();
    let refused = copy_all(&path, &[], &options).await.unwrap_err();
    assert_eq!(refused, StoreError::Corrupt("outbox holds 2 of the rows otherwise than the source".into()));
    assert_eq!(StoreStatus::of_postgres(&options).await.unwrap().facts, 0);
    client.batch_execute("DROP TRIGGER meddle ON outbox").await.unwrap();
    assert_eq!(copy_all(&path, &[], &options).await.unwrap().facts, TASKS * 2);
}

#[tokio::test]
async fn a_journal_in_use_and_a_table_that_has_no_place_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    filled(&path).await;
    let running = SqliteStore::open(&path).unwrap();
    let options = target().await;
    assert!(matches!(copy_all(&path, &[], &options).await, Err(StoreError::Unavailable(_))));
    running.close().await;
    let beside = dir.path().join("beside.sqlite");
    rusqlite::Connection::open(&beside).unwrap().execute_batch("CREATE TABLE lost (n INTEGER)").unwrap();
    let beside = [Beside { path: beside, prefix: "beside_" }];
    let refused = copy_all(&path, &beside, &options).await.unwrap_err();
    assert!(refused.to_string().contains("beside_lost"), "{refused}");
    // Nothing of the rest was left behind, and nobody begins on the empty tables meanwhile.
    let facts = StoreStatus::of_postgres(&options).await.unwrap().facts;
    assert_eq!(facts, 0);
    let early = PostgresStore::open(options.clone()).await.unwrap_err();
    assert!(early.to_string().contains("has not ended"), "{early}");
    assert_eq!(copy_all(&path, &[], &options).await.unwrap().facts, TASKS * 2);
}

#[tokio::test]
async fn a_store_at_a_glance() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    filled(&path).await;
    // Also while a node has it.
    let running = SqliteStore::open(&path).unwrap();
    running.claim_effects(later(0), later(30), 1, 5).await.unwrap();
    let sqlite = StoreStatus::of_sqlite(&path).unwrap();
    assert!(sqlite.program.starts_with("SQLite 3") && sqlite.schema == sqlite.schema_known);
    assert_eq!((sqlite.facts, sqlite.effects, sqlite.effects_claimed), (TASKS * 2, TASKS, 5));
    running.close().await;
    let options = PostgresOptions::try_new(&Cluster::shared().database()).unwrap();
    assert!(StoreStatus::of_postgres(&options).await.unwrap_err().to_string().contains("migrate"));
    prepare_journal(&options).await.unwrap();
    copy_all(&path, &[], &options).await.unwrap();
    let postgres = StoreStatus::of_postgres(&options).await.unwrap();
    assert!(postgres.program.starts_with("PostgreSQL 1") && postgres.schema == postgres.schema_known);
    assert_eq!((postgres.facts, postgres.head), (sqlite.facts, sqlite.head));
    assert_eq!((postgres.effects, postgres.effects_claimed), (TASKS, 5));

    // Without the row that tells where the chain ends.
    let lost = StoreError::Corrupt("the head of the chain is missing".into());
    rusqlite::Connection::open(&path).unwrap().execute_batch("DELETE FROM head").unwrap();
    assert_eq!(StoreStatus::of_sqlite(&path).unwrap_err(), lost);
    tallystick_postgres::connect(&options).await.unwrap().batch_execute("DELETE FROM head").await.unwrap();
    assert_eq!(StoreStatus::of_postgres(&options).await.unwrap_err(), lost);
}

/// Files that cannot be retired stay the node's only store.
#[tokio::test]
async fn what_cannot_be_retired_is_not_copied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    filled(&path).await;
    let options = target().await;
    let full = || Err(std::io::Error::other("the disk is full"));
    let refused = copy(&path, &[], &options, |_, _, _| {}, full).await.unwrap_err();
    assert!(refused.to_string().contains("the disk is full"), "{refused}");
    assert!(PostgresStore::open(options.clone()).await.is_err());
    // Whatever stood beside it is in the file: under another name it is whole.
    let moved = dir.path().join("journal.sqlite.moved");
    let retire = || std::fs::rename(&path, &moved);
    assert_eq!(copy(&path, &[], &options, |_, _, _| {}, retire).await.unwrap().facts, TASKS * 2);
    assert_eq!(SqliteStore::open(&moved).unwrap().verify_chain().await, Ok(TASKS * 2));
    assert_eq!(PostgresStore::open(options).await.unwrap().verify_chain().await, Ok(TASKS * 2));
}

/// A database that a node has taken for its own is not marked: its replicas start again at any time.
#[tokio::test]
async fn a_database_in_use_is_not_marked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    filled(&path).await;
    let options = target().await;
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.claim_key(key(1)).await.unwrap();
    let refused = copy_all(&path, &[], &options).await.unwrap_err();
    assert!(refused.to_string().contains("not empty"), "{refused}");
    let again = PostgresStore::open(options).await.unwrap();
    assert_eq!(again.claim_key(key(1)).await, Ok(()));
}
