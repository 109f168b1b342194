//! What replicas need of the store: heads that others move, turns, one key; and servers that cannot write.

use std::time::Duration;
use tallystick_app::port::journal::{Heads, Journal};
use tallystick_testkit::Cluster;
use tallystick_testkit::store_suite::fixture::{append, key};

use super::{connection, fresh, open};

/// A limit for what must come by itself.
const SOON: Duration = Duration::from_secs(60);

/// What another wrote is heard of, also after the connection was cut, and while it is away it is found by looking.
#[tokio::test]
async fn the_head_is_heard_of_across_lost_connections() {
    let (one, address) = fresh().await;
    let two = open(&address).await.unwrap();
    one.append(append(1, 0)).await.unwrap();
    let heads = two.heads().unwrap();
    assert_eq!(heads.head().await.map(|head| head.seq), Ok(1));
    let client = connection(&address).await;
    for version in 1..5u64 {
        tokio::time::timeout(SOON, heads.beyond(version - 1)).await.expect("what is there is known");
        let waiting = heads.beyond(version);
        tokio::pin!(waiting);
        // Polled once, and nothing is there.
        assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
        if version % 2 == 0 {
            let cut = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
                WHERE datname = current_database() AND query LIKE '%FROM head%' AND pid <> pg_backend_pid()";
            client.query(cut, &[]).await.unwrap();
        }
        one.append(append(1, version)).await.unwrap();
        tokio::time::timeout(SOON, waiting).await.expect("it is heard of");
        assert_eq!(heads.head().await.map(|head| head.seq), Ok(version + 1));
    }
}

/// Who has the turn has it alone; it ends with the one who had it.
#[tokio::test]
async fn turns_are_taken_one_after_the_other() {
    let (one, address) = fresh().await;
    let two = open(&address).await.unwrap();
    let turn = one.turn().await.unwrap();
    let waiting = tokio::spawn(async move { two.turn().await });
    let client = connection(&address).await;
    let limit = std::time::Instant::now() + SOON;
    while client.query("SELECT 1 FROM pg_locks WHERE NOT granted", &[]).await.unwrap().is_empty() {
        assert!(std::time::Instant::now() < limit && !waiting.is_finished(), "two have the turn");
    }
    drop(turn);
    tokio::time::timeout(SOON, waiting).await.expect("the next turn").unwrap().unwrap();
}

#[tokio::test]
async fn a_database_is_one_nodes() {
    let (one, address) = fresh().await;
    let two = open(&address).await.unwrap();
    one.claim_key(key(1)).await.unwrap();
    two.claim_key(key(1)).await.unwrap();
    let refused = two.claim_key(key(2)).await.unwrap_err().to_string();
    assert!(refused.contains("another seed"), "{refused}");
}

/// A standby is told apart from a server that fails, and left alone.
#[tokio::test]
async fn a_standby_is_refused() {
    let cluster = Cluster::start(&[]);
    let address = cluster.database();
    let store = open(&address).await.unwrap();
    store.append(append(1, 0)).await.unwrap();
    store.close().await;
    cluster.halt();
    cluster.become_standby();
    cluster.go();
    let refused = open(&address).await.unwrap_err().to_string();
    assert!(refused.contains("standby") && refused.contains("primary"), "{refused}");
}
