//! Reading apart from what the node itself reads.

use std::time::Duration;
use tallystick_app::port::{journal::Journal, log::LogStore};
use tallystick_testkit::store_suite::fixture::append;
use tokio::{task::JoinSet, time::timeout};

use super::{connection, fresh};

/// Shorter than whoever waits for a connection would wait.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_reads_apart_keeps_nobody_waiting() {
    let (store, address) = fresh().await;
    store.append(append(1, 0)).await.unwrap();
    let (apart, holder) = (store.read_apart().unwrap(), connection(&address).await);
    holder.batch_execute("BEGIN; LOCK TABLE facts IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let apart = apart.clone();
        crowd.spawn(async move { apart.log_entries(0, 1).await });
    }
    let waiting = "SELECT count(*) >= 2 FROM pg_stat_activity WHERE datname = current_database()
        AND wait_event_type = 'Lock'";
    // What one transaction is told of others stays as it was: so another connection looks.
    let onlooker = connection(&address).await;
    let stuck = async {
        while !onlooker.query_one(waiting, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, stuck).await.expect("the crowd waits for the table");
    assert!(timeout(PATIENCE, store.log_state()).await.expect("the node's own readers are free").is_ok());
    holder.batch_execute("ROLLBACK").await.unwrap();
    for read in crowd.join_all().await {
        assert_eq!(read.map(|entries| entries.len()), Ok(1));
    }
}
