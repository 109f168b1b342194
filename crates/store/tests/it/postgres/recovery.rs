//! Recovery to a point in time, as the runbook tells: the journal comes back whole, to that point.

use tallystick_app::port::journal::Journal;
use tallystick_store::{PostgresOptions, PostgresStore};
use tallystick_testkit::{Cluster, store_suite::fixture::append};
use tokio_postgres::NoTls;

const ARCHIVING: [&str; 2] =
    ["archive_mode = on", "archive_command = 'mkdir -p ../archive && test ! -f ../archive/%f && cp %p ../archive/%f'"];
const RECOVERING: [&str; 3] = [
    "restore_command = 'cp ../archive/%f %p'",
    "recovery_target_name = 'before'",
    "recovery_target_action = 'promote'",
];

async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(address: &str, sql: &str) -> T {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = client.query_one(sql, &[]).await.unwrap().get(0);
    drop(client);
    connection.await.unwrap().unwrap();
    answer
}

async fn fill(store: &PostgresStore, facts: std::ops::Range<u64>) {
    for version in facts {
        store.append(append(1, version)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_comes_back_to_the_point_that_was_asked_for() {
    let cluster = Cluster::start(&ARCHIVING);
    let address = cluster.database();
    let options = PostgresOptions::try_new(&address).unwrap();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    fill(&store, 0..20).await;
    cluster.base_backup();
    fill(&store, 20..50).await;
    let _: bool = ask(&address, "SELECT pg_create_restore_point('before') IS NOT NULL").await;
    fill(&store, 50..60).await;
    let kept = store.facts(0, 50).await.unwrap();
    let file: String = ask(&address, "SELECT pg_walfile_name(pg_switch_wal())").await;
    let archived = format!("SELECT coalesce(max(last_archived_wal) >= '{file}', false) FROM pg_stat_archiver");
    let start = std::time::Instant::now();
    while !ask::<bool>(&address, &archived).await {
        assert!(start.elapsed().as_secs() < 60, "{file} is not archived");
        tokio::task::yield_now().await;
    }
    store.close().await;
    cluster.halt();

    cluster.recover(&RECOVERING);
    let start = std::time::Instant::now();
    while ask::<bool>(&address, "SELECT pg_is_in_recovery()").await {
        assert!(start.elapsed().as_secs() < 60, "it does not end its recovery");
        tokio::task::yield_now().await;
    }
    let store = PostgresStore::open(options).await.unwrap();
    assert_eq!(store.verify_chain().await, Ok(50));
    assert_eq!(store.facts(0, 100).await.unwrap(), kept);
    fill(&store, 50..55).await;
    assert_eq!(store.verify_chain().await, Ok(55));
    store.close().await;
}
