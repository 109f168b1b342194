//! A synchronous standby that is not there: nothing is acknowledged that it does not have.

use std::time::{Duration, Instant};
use tallystick_app::port::journal::{AppendError, Appended, Journal, StoreError};
use tallystick_store::{PostgresOptions, PostgresStore, SqliteStore, copy, prepare_journal};
use tallystick_testkit::Cluster;
use tallystick_testkit::store_suite::fixture::{append, later, request};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::{connection, open};

/// A limit for what must come by itself.
const SOON: Duration = Duration::from_secs(60);
/// Processes of the server whose COMMIT is on the disk, and waits for the standby.
const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> ALL ($1)";

type Appending = JoinHandle<Result<Appended, AppendError>>;

/// The server waits for a standby of this name from some moment on; for none if it is empty.
async fn wait_for(client: &Client, standby: &str) {
    client.batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'")).await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

/// The process that waits for the standby, other than those; none once `work` has ended.
async fn waiting<T>(client: &Client, others: &[i32], work: &JoinHandle<T>) -> Option<i32> {
    let limit = Instant::now() + SOON;
    loop {
        if let Some(row) = client.query_opt(WAITING, &[&others]).await.unwrap() {
            return Some(row.get(0));
        }
        if work.is_finished() {
            return None;
        }
        assert!(Instant::now() < limit, "nobody waits for the standby");
        tokio::task::yield_now().await;
    }
}

/// Appends until the server has heard of its standby: answers the append that waits, its version, and the process.
async fn hanging(store: &PostgresStore, client: &Client) -> (Appending, u64, i32) {
    for version in 0.. {
        let store = store.clone();
        let appending = tokio::spawn(async move { store.append(append(1, version)).await });
        match waiting(client, &[], &appending).await {
            Some(pid) => return (appending, version, pid),
            None => assert_eq!(appending.await.unwrap().unwrap().version, version + 1),
        }
    }
    unreachable!("versions do not end");
}

async fn signal(client: &Client, function: &str, pid: i32) {
    let sent = client.query_one(&format!("SELECT {function}({pid})"), &[]).await.unwrap();
    assert!(sent.get::<_, bool>(0), "{function}");
}

/// The wait is broken off from outside, once with the connection and once without: what the server has on its own disk
/// is not acknowledged before the standby has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_primary_has_is_not_acknowledged() {
    for function in ["pg_terminate_backend", "pg_cancel_backend"] {
        let cluster = Cluster::start(&[]);
        let address = cluster.database();
        let (store, client) = (open(&address).await.unwrap(), connection(&address).await);
        wait_for(&client, "ghost").await;
        let (appending, version, pid) = hanging(&store, &client).await;
        signal(&client, function, pid).await;
        let other = waiting(&client, &[pid], &appending).await;
        let there = client.query_one("SELECT seq FROM head", &[]).await.unwrap();
        assert_eq!(there.get::<_, i64>(0), i64::try_from(version).unwrap() + 1, "it is on the primary");
        assert!(other.is_some() && !appending.is_finished(), "{function}: it was acknowledged without the standby");
        wait_for(&client, "").await;
        let seq = version + 1;
        assert_eq!(appending.await.unwrap(), Ok(Appended { seq, version: seq }), "{function}");
        assert_eq!(store.append(append(1, seq)).await.unwrap().seq, seq + 1);
    }
}

/// A batch without facts is not acknowledged at all: nobody can tell what it left from what another did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_only_the_primary_knows_is_not_admitted() {
    let cluster = Cluster::start(&[]);
    let address = cluster.database();
    let (store, client) = (open(&address).await.unwrap(), connection(&address).await);
    wait_for(&client, "ghost").await;
    for n in 1.. {
        let store = store.clone();
        let admitting = tokio::spawn(async move { store.admit(request(n), later(0), later(9)).await });
        let Some(pid) = waiting(&client, &[], &admitting).await else {
            assert_eq!(admitting.await.unwrap(), Ok(true));
            continue;
        };
        signal(&client, "pg_cancel_backend", pid).await;
        let refused = admitting.await.unwrap();
        assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("standby")), "{refused:?}");
        break;
    }
}

/// The log has no writer in common with the journal, and listens as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_has_on_the_primary_alone_is_not_written() {
    let cluster = Cluster::start(&[]);
    let address = cluster.database();
    let (store, client) = (open(&address).await.unwrap(), connection(&address).await);
    wait_for(&client, "ghost").await;
    for n in 0.. {
        let store = store.clone();
        let telling = tokio::spawn(async move { store.set_log_damaged(n % 2 == 0).await });
        let Some(pid) = waiting(&client, &[], &telling).await else {
            assert_eq!(telling.await.unwrap(), Ok(()));
            continue;
        };
        signal(&client, "pg_cancel_backend", pid).await;
        let refused = telling.await.unwrap();
        assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("standby")), "{refused:?}");
        break;
    }
    wait_for(&client, "").await;
    assert_eq!(store.set_log_damaged(true).await, Ok(()));
    assert_eq!(store.is_log_damaged().await, Ok(true));
}

/// A copy has not ended before the standby has it: the only other copy is retired by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_only_the_primary_has_has_not_ended() {
    let (cluster, dir) = (Cluster::start(&[]), tempfile::tempdir().unwrap());
    let (address, path) = (cluster.database(), dir.path().join("journal.sqlite"));
    let source = SqliteStore::open(&path).unwrap();
    source.append(append(1, 0)).await.unwrap();
    source.close().await;
    let (options, client) = (PostgresOptions::try_new(&address).unwrap(), connection(&address).await);
    prepare_journal(&options).await.unwrap();
    client.batch_execute("CREATE TABLE probe (n int)").await.unwrap();
    let (all_is_there, retiring) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let copying = tokio::spawn(async move {
        let retire = move || {
            tokio::task::block_in_place(|| {
                all_is_there.send(()).unwrap();
                may_go_on.recv().unwrap();
            });
            Ok(())
        };
        copy(&path, &[], &options, |_, _, _| {}, retire).await
    });
    tokio::task::spawn_blocking(move || retiring.recv().unwrap()).await.unwrap();
    wait_for(&client, "ghost").await;
    // Once another COMMIT waits, the copy's will.
    let probe = loop {
        let other = connection(&address).await;
        let writing = tokio::spawn(async move { other.execute("INSERT INTO probe VALUES (1)", &[]).await.unwrap() });
        if let Some(pid) = waiting(&client, &[], &writing).await {
            break pid;
        }
    };
    go_on.send(()).unwrap();
    let pid = waiting(&client, &[probe], &copying).await.expect("the copy waits for the standby");
    signal(&client, "pg_cancel_backend", pid).await;
    let refused = copying.await.unwrap();
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("standby")), "{refused:?}");
}

/// A server that answers before the standby has it on its disk is refused.
#[tokio::test]
async fn a_commit_that_waits_for_less_is_refused() {
    let address = Cluster::shared().database();
    for value in ["local", "remote_write", "off"] {
        let refused = open(&format!("{address} options='-c synchronous_commit={value}'")).await;
        let Err(StoreError::Unavailable(why)) = refused else { panic!("{value}: {refused:?}") };
        assert!(why.contains(&format!("synchronous_commit = {value}")) && why.contains("= on"), "{why}");
    }
    for value in ["on", "remote_apply"] {
        let store = open(&format!("{address} options='-c synchronous_commit={value}'")).await.unwrap();
        store.close().await;
    }
}
