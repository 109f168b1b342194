//! `kill -9` of the writing process and of the server at random moments: what was acknowledged is there, once, and the
//! chain holds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tallystick_app::port::journal::{AppendError, Journal};
use tallystick_store::PostgresStore;
use tallystick_testkit::Cluster;

use super::open;
use crate::writing::{self, Acks, DATABASE, TASKS, planned};

const TEST: &str = "postgres::crash::acknowledged_facts_survive_sigkill";
const KILLS: u64 = 20;
const HALTS: u64 = 6;
/// How long the store may take to go on after the server is back.
const BACK_MAX: Duration = Duration::from_secs(90);

/// The parent starts this very test again with [`DATABASE`] set: that one is the child, and writes until it is killed.
#[test]
fn acknowledged_facts_survive_sigkill() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match std::env::var(DATABASE) {
        Ok(address) => {
            runtime.block_on(async { writing::child(open(&address).await.expect("the database")).await });
        }
        Err(_) => parent(&runtime),
    }
}

fn parent(runtime: &tokio::runtime::Runtime) {
    let address = Cluster::shared().database();
    let mut acknowledged = Acks::new();
    for round in 0..KILLS {
        // From none to a few hundred acknowledgements, in no regular order; where it hits the writer is chance.
        let before_kill = if round % 10 == 0 { 0 } else { round * 7_919 % 307 };
        for (seq, task, version) in writing::kill_after(TEST, address.as_ref(), before_kill) {
            let doubled = acknowledged.insert(seq, (task, version));
            assert_eq!(doubled, None, "fact {seq} was acknowledged twice");
        }
        runtime.block_on(async {
            let store = open(&address).await.expect("the head is sound");
            settle(&store).await;
            check(&store, &acknowledged).await;
        });
    }
    assert!(acknowledged.len() > 1_000, "only {} appends were acknowledged", acknowledged.len());
}

/// The killed process's last transaction may still be under way at the server. It holds the head: a write waits for it.
async fn settle(store: &PostgresStore) {
    store.finish_effect("nobody's").await.expect("the head is free");
}

async fn check(store: &PostgresStore, acknowledged: &Acks) {
    let count = store.verify_chain().await.expect("an unbroken chain");
    writing::check(store, count, acknowledged).await;
    store.close().await;
}

/// The server is stopped as by a crash while everybody writes, and comes back: the store goes on by itself, two of them
/// at once. An append that was answered with an error may be there or not, but never twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_facts_survive_a_server_that_crashes() {
    let cluster = Cluster::start(&[]);
    let address = cluster.database();
    let stores = [open(&address).await.unwrap(), open(&address).await.unwrap()];
    let acknowledged = Arc::new(Mutex::new(Acks::new()));
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut set = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let store = stores[usize::from(task % 2 == 0)].clone();
        let (acknowledged, count, stop) = (Arc::clone(&acknowledged), Arc::clone(&count), Arc::clone(&stop));
        set.spawn(async move {
            let mut version = 0;
            while !stop.load(SeqCst) {
                match store.append(planned(task, version)).await {
                    Ok(appended) => {
                        assert_eq!(appended.version, version + 1);
                        let mut acknowledged = acknowledged.lock().unwrap();
                        let doubled = acknowledged.insert(appended.seq, (task, appended.version));
                        assert_eq!(doubled, None, "fact {} was acknowledged twice", appended.seq);
                        version = appended.version;
                        count.fetch_add(1, SeqCst);
                    }
                    // An append whose fate was not known was written after all; nobody else writes to this stream.
                    Err(AppendError::Conflict { expected, actual }) => {
                        assert_eq!((expected, actual), (version, version + 1));
                        version = actual;
                    }
                    Err(AppendError::Store(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    for halt in 0..HALTS {
        let wanted = count.load(SeqCst) + 1 + halt * 7_919 % 211;
        let limit = Instant::now() + BACK_MAX;
        while count.load(SeqCst) < wanted {
            assert!(Instant::now() < limit, "nothing is written after halt {halt}");
            tokio::time::timeout(Duration::from_secs(1), set.join_next()).await.expect_err("a writer ended");
        }
        tokio::task::block_in_place(|| {
            cluster.halt();
            cluster.go();
        });
    }
    let before = count.load(SeqCst);
    let limit = Instant::now() + BACK_MAX;
    while count.load(SeqCst) < before + 100 {
        assert!(Instant::now() < limit, "nothing is written after the last halt");
        tokio::task::yield_now().await;
    }
    stop.store(true, SeqCst);
    set.join_all().await;
    stores[1].close().await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    check(&stores[0], &acknowledged).await;
}
