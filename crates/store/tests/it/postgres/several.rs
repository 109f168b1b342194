//! Several stores on one database, as several processes have it.

use std::collections::BTreeSet;
use std::time::Duration;
use tallystick_app::port::journal::{AppendError, Journal, StoreError};
use tallystick_testkit::Cluster;
use tallystick_testkit::store_suite::fixture::{append, later, name, request, stream};

use super::{connection, fresh, open};

/// A limit for what must come by itself.
const SOON: Duration = Duration::from_secs(60);

/// Many writers of both race for the same versions: each version is won once, who loses is told by whom it was
/// overtaken, and the chain has no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_write_one_chain() {
    let (one, address) = fresh().await;
    let two = open(&address).await.unwrap();
    let mut set = tokio::task::JoinSet::new();
    for writer in 0..16u64 {
        let store = if writer % 2 == 0 { one.clone() } else { two.clone() };
        set.spawn(async move {
            let (mut won, mut version, task) = (Vec::new(), 0, writer / 4);
            while version < 25 {
                match store.append(append(task, version)).await {
                    Ok(appended) => {
                        version = appended.version;
                        won.push((appended.seq, task, version));
                    }
                    Err(AppendError::Conflict { expected, actual }) => {
                        assert!(expected == version && actual > version, "{actual} after {version}");
                        version = actual;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            won
        });
    }
    let won: Vec<_> = set.join_all().await.into_iter().flatten().collect();
    let seqs: BTreeSet<u64> = won.iter().map(|(seq, ..)| *seq).collect();
    assert!(seqs.into_iter().eq(1..=100), "{won:?}");
    for store in [&one, &two] {
        assert_eq!(store.verify_chain().await, Ok(100));
    }
    for (seq, task, version) in won {
        let fact = one.facts(seq - 1, 1).await.unwrap().remove(0);
        assert_eq!((fact.stream, fact.version), (stream(task), version));
    }
}

/// Names and requests are one for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_requests_are_taken_once() {
    let (one, address) = fresh().await;
    let two = open(&address).await.unwrap();
    for n in 0..20u8 {
        let taking = |task| tallystick_app::port::journal::Append { reservations: vec![name(n)], ..append(task, 0) };
        let task = u64::from(n) * 2;
        let (a, b) = tokio::join!(one.append(taking(task)), two.append(taking(task + 1)));
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        assert_eq!(a.and(b).unwrap_err(), AppendError::Taken { space: "payment_hash" });
        let now = later(0);
        let (a, b) = tokio::join!(one.admit(request(n), now, later(9)), two.admit(request(n), now, later(9)));
        assert!(a.unwrap() != b.unwrap());
    }
}

/// What one has written is heard by whoever listens.
#[tokio::test]
async fn the_new_head_is_told() {
    let (store, address) = fresh().await;
    let (client, mut connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let tokio_postgres::AsyncMessage::Notification(told) = message {
                sender.send((told.channel().to_owned(), told.payload().to_owned())).unwrap();
            }
        }
    });
    client.batch_execute("LISTEN tallystick_head").await.unwrap();
    store.append(append(1, 7)).await.unwrap_err();
    store.append(append(1, 0)).await.unwrap();
    let told = tokio::time::timeout(SOON, heard.recv()).await.unwrap().unwrap();
    assert_eq!(told, ("tallystick_head".to_owned(), "1".to_owned()));
}

/// Connections that are cut are made again, for reading and for writing, and nobody sees it.
#[tokio::test]
async fn lost_connections_are_made_again() {
    let (store, address) = fresh().await;
    let client = connection(&address).await;
    for version in 0..5 {
        assert_eq!(store.append(append(1, version)).await.unwrap().seq, version + 1);
        assert_eq!(store.facts(0, 10).await.map(|facts| facts.len()), Ok(usize::try_from(version).unwrap() + 1));
        let cut = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        assert!(client.query(cut, &[]).await.unwrap().len() >= 2);
    }
    assert_eq!(store.verify_chain().await, Ok(5));
}

/// Who writes while a migration or another writer holds the head waits for it, and then sees what it left.
#[tokio::test]
async fn a_held_head_is_waited_for() {
    let (store, address) = fresh().await;
    let client = connection(&address).await;
    client.batch_execute("BEGIN; SELECT 1 FROM head FOR UPDATE").await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.append(append(1, 0)).await }
    });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let limit = std::time::Instant::now() + SOON;
    while client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(std::time::Instant::now() < limit, "nobody waits for the head");
    }
    assert!(!waiting.is_finished());
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().seq, 1);
}

/// Stores that open an empty database at the same moment migrate it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_open_at_once() {
    let address = Cluster::shared().database();
    let mut set = tokio::task::JoinSet::new();
    for n in 0..8 {
        let address = address.clone();
        set.spawn(async move {
            open(&address).await?.append(append(n, 0)).await.map_err(|error| match error {
                AppendError::Store(error) => error,
                other => StoreError::Corrupt(other.to_string()),
            })
        });
    }
    for answer in set.join_all().await {
        answer.unwrap();
    }
    assert_eq!(open(&address).await.unwrap().verify_chain().await, Ok(8));
}
