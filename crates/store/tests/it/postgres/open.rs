//! Opening, closing and refusing databases.

use tallystick_app::port::journal::{AppendError, Journal, StoreError};
use tallystick_app::port::tasks::TaskReader;
use tallystick_core::Body;
use tallystick_testkit::Cluster;
use tallystick_testkit::store_suite::fixture::{append, effect, request, row, stream, task_id};

use super::{connection, fresh, open};
use crate::refusal;

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let address = Cluster::shared().database();
    for version in 0..3 {
        let store = open(&address).await.unwrap();
        assert_eq!(store.append(append(1, version)).await.unwrap().seq, version + 1);
        assert_eq!(store.verify_chain().await, Ok(version + 1));
        store.close().await;
    }
    let store = open(&address).await.unwrap();
    assert_eq!(store.stream(&stream(1), 0).await.unwrap().len(), 3);
    assert_eq!(store.task(task_id(1)).await.unwrap(), Some(row(1, 2).view));
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let (store, _) = fresh().await;
    let clone = store.clone();
    store.append(append(1, 0)).await.unwrap();
    store.close().await;
    store.close().await;
    let closed = StoreError::Unavailable("it is closed".into());
    assert_eq!(clone.append(append(1, 1)).await, Err(AppendError::Store(closed.clone())));
    assert_eq!(clone.finish_effect("key").await, Err(closed.clone()));
    assert_eq!(clone.facts(0, 1).await, Err(closed.clone()));
    assert_eq!(clone.verify_chain().await, Err(closed));
}

#[tokio::test]
async fn closing_writes_what_was_accepted() {
    let (store, address) = fresh().await;
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
    assert_eq!(open(&address).await.unwrap().verify_chain().await, Ok(u64::try_from(done).unwrap()));
}

#[tokio::test]
async fn a_later_schema_is_refused_and_left_alone() {
    let (store, address) = fresh().await;
    store.close().await;
    let client = connection(&address).await;
    for version in [1_000i64, -1] {
        client.execute("UPDATE tallystick_schema SET version = $1", &[&version]).await.unwrap();
        let why = refusal(open(&address).await);
        assert!(why.contains(&format!("schema version {version}")) && why.contains("newer"), "{why}");
        let row = client.query_one("SELECT version FROM tallystick_schema", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), version);
    }
}

/// The migration before the last, as a database has it that an older program made.
pub const BEFORE_THE_LAST: &str = "ALTER TABLE evidence DROP COLUMN keys;
    CREATE TABLE evidence_over (task uuid, dispute uuid, since bigint);
    UPDATE tallystick_schema SET version = 7";

/// What an older program's replica would write into newer tables, nobody could foresee.
#[tokio::test]
async fn no_table_changes_under_a_program_that_still_runs() {
    let (older, address) = fresh().await;
    older.append(append(1, 0)).await.unwrap();
    let client = connection(&address).await;
    client.batch_execute(BEFORE_THE_LAST).await.unwrap();
    let why = refusal(open(&address).await);
    assert!(why.contains("another process still uses it: stop all replicas"), "{why}");
    let version =
        async || client.query_one("SELECT version FROM tallystick_schema", &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(version().await, 7);
    older.append(append(1, 1)).await.unwrap();
    older.close().await;
    // Two at once: one brings it up to date, and the other one finds it so.
    let (one, two) = tokio::join!(open(&address), open(&address));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(version().await, 8);
    one.append(append(1, 2)).await.unwrap();
    two.append(append(1, 3)).await.unwrap();
    assert_eq!(two.verify_chain().await, Ok(4));
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let address = Cluster::shared().database();
    let client = connection(&address).await;
    client.batch_execute("CREATE TABLE theirs (value text)").await.unwrap();
    let why = refusal(open(&address).await);
    assert!(why.contains("another program"), "{why}");
    let row = client.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let cluster = Cluster::shared();
    let why = refusal(open(&cluster.address("nowhere")).await);
    assert!(why.contains("nowhere") && why.contains("3D000"), "{why}");
    refusal(open("host=/no/such/folder user=a dbname=b").await);
    let why = refusal(open("user=a password=hunter2").await);
    assert!(why.contains("names no host") && !why.contains("hunter2"), "{why}");
}

#[tokio::test]
async fn an_encoding_that_cannot_hold_all_text_is_refused() {
    let cluster = Cluster::shared();
    cluster.create("latin", &["-E", "LATIN1", "-T", "template0", "--locale=C"]);
    let why = refusal(open(&cluster.address("latin")).await);
    assert!(why.contains("LATIN1") && why.contains("UTF8"), "{why}");
}

/// A server that could lose what it acknowledged is refused, with the setting that is wrong.
#[tokio::test]
async fn a_careless_server_is_refused() {
    let cluster = Cluster::start(&["fsync = off"]);
    let why = refusal(open(&cluster.database()).await);
    assert!(why.contains("fsync = off") && why.contains("set fsync = on"), "{why}");
    drop(cluster);
    let cluster = Cluster::start(&["full_page_writes = off"]);
    let why = refusal(open(&cluster.database()).await);
    assert!(why.contains("full_page_writes = off"), "{why}");
}

#[tokio::test]
async fn a_careless_session_is_refused_or_overruled() {
    let address = Cluster::shared().database();
    let why = refusal(open(&format!("{address} options='-c synchronous_commit=off'")).await);
    assert!(why.contains("synchronous_commit = off"), "{why}");
    // Isolation is asked for with each transaction: what the session begins with does not matter.
    let strict = format!("{address} options='-c default_transaction_isolation=serializable'");
    let store = open(&strict).await.unwrap();
    assert_eq!(store.append(append(1, 0)).await.unwrap().seq, 1);
}

/// Text that PostgreSQL cannot hold is refused as such, and finds nothing; its neighbours are written.
#[tokio::test]
async fn the_character_zero_is_refused_alone() {
    let (store, _) = fresh().await;
    let mut bad = append(1, 0);
    bad.effects = vec![effect("a\0b", 0)];
    let (bad, good) = tokio::join!(store.append(bad), store.append(append(2, 0)));
    assert!(matches!(bad, Err(AppendError::Store(StoreError::Limit(_)))), "{bad:?}");
    assert_eq!(good.unwrap().seq, 1);
    assert_eq!(store.stream("a\0b", 0).await, Ok(Vec::new()));
    assert_eq!(store.holder("a\0b", b"").await, Ok(None));
}

/// So is what a constraint of the database refuses, found by the server in the middle of a batch.
#[tokio::test]
async fn a_value_that_the_server_refuses_fails_alone() {
    let (store, address) = fresh().await;
    let rule = "ALTER TABLE facts ADD CHECK (body <> 'poison')";
    connection(&address).await.batch_execute(rule).await.unwrap();
    let mut set = tokio::task::JoinSet::new();
    for n in 0..50 {
        let store = store.clone();
        set.spawn(async move {
            let mut wanted = append(n, 0);
            if n == 25 {
                wanted.facts[0].body = Body::Public(b"poison".to_vec());
            }
            (n, store.append(wanted).await)
        });
    }
    for (n, answer) in set.join_all().await {
        assert_eq!(answer.is_err(), n == 25, "{answer:?}");
    }
    assert_eq!(store.verify_chain().await, Ok(49));
}

/// A job of each kind in one batch, so that they meet in memory: in the order in which they came.
#[tokio::test]
async fn jobs_of_one_batch_see_each_other() {
    let (store, _) = fresh().await;
    let now = append(1, 0).recorded_at;
    let mut first = append(1, 0);
    first.effects = vec![effect("a", 0), effect("b", 0), effect("c", 0)];
    let mut second = append(1, 1);
    second.finishes = vec!["a".to_owned()];
    second.effects = vec![effect("a", 0)];
    let answers = tokio::join!(
        biased;
        store.finish_effect("c"),
        store.append(first),
        store.defer_effect("b", now),
        store.append(second),
        store.append(append(1, 1)),
        store.admit(request(1), now, now),
        store.admit(request(1), now, now),
        store.finish_effect("a"),
    );
    assert_eq!(answers.1.unwrap().seq, 1);
    assert_eq!(answers.3.unwrap().seq, 2);
    assert_eq!(answers.4, Err(AppendError::Conflict { expected: 1, actual: 2 }));
    assert_eq!((answers.5, answers.6), (Ok(true), Ok(false)));
    let due = store.due_effects(now, 10).await.unwrap();
    let due: Vec<_> = due.iter().map(|effect| (effect.key.as_str(), effect.attempts)).collect();
    assert_eq!(due, [("b", 1), ("c", 0)]);
}
