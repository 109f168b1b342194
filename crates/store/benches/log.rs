//! A journal of many facts: how far behind the log is while it is written, how fast it catches up, how long a start takes,
//! what fsck costs, and how many bytes a fact takes.
//!
//! `cargo bench -p tallystick-store --bench log`; `TALLY_BENCH_FACTS` sets how many facts, 1,000,000 if absent.
//!
//! Facts are as escrow makes them: each task has twelve, with four signed requests of about 1 KB behind them.
#![allow(clippy::print_stdout)] // A bench prints its findings.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tallystick_app::log::{LogConfig, LogWorker};
use tallystick_app::port::{journal::Journal, log::LogStore};
use tallystick_core::{Authority, SignedRequest, canonical};
use tallystick_log::{KeyKind, KeyName, SigningKey};
use tallystick_store::SqliteStore;
use tallystick_testkit::machine::machine;
use tallystick_testkit::store_suite::fixture;

/// Facts of one append, and appends of one task.
const FACTS: u64 = 3;
const APPENDS: u64 = 4;
/// Tasks written at once.
const WRITERS: u64 = 256;
/// Rounds of the lag's measure: appends, one after the other, while the worker runs.
const LAG_ROUNDS: u64 = 2_000;

fn main() {
    let wanted: u64 = std::env::var("TALLY_BENCH_FACTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on disk");
    let path = dir.path().join("journal.db");
    println!("{}", machine(dir.path()));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let store = SqliteStore::open(&path).expect("a new store");
        let (tasks, start) = (wanted / (FACTS * APPENDS), Instant::now());
        fill(&store, tasks).await;
        let facts = tasks * FACTS * APPENDS;
        println!("written: {facts} facts in {:.1} s", start.elapsed().as_secs_f64());

        let (start, mut worker) = (Instant::now(), worker(&store));
        worker.run_once().await.expect("a sound journal");
        println!("integrated: {} facts/s, all in {} ms", rate(facts, start), start.elapsed().as_millis());

        let mut lags = lags(&store, worker, tasks).await;
        let (p50, p99) = percentiles(&mut lags);
        println!(
            "lag, from an append's answer to its published checkpoint: p50 {} ms, p99 {} ms, at an interval of 100 ms",
            p50.as_millis(),
            p99.as_millis()
        );
        store.close().await;

        let bytes = size(&path);
        println!("disk: {} bytes per fact, request, row, effect and tree included ({} MB)", bytes / facts, bytes >> 20);

        let start = Instant::now();
        let store = SqliteStore::open(&path).expect("the same store");
        store.verify_tail(1_000).await.expect("a sound end");
        let mut worker = self::worker(&store);
        worker.run_once().await.expect("a sound tree");
        println!("start-up with {facts} facts: {} ms", start.elapsed().as_millis());

        let start = Instant::now();
        let count = store.verify_chain().await.expect("an unbroken chain");
        println!("the chain verified from its first fact: {} facts/s", rate(count, start));
        store.close().await;
    });
}

async fn fill(store: &SqliteStore, tasks: u64) {
    let mut set = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        set.spawn(async move {
            for task in (writer..tasks).step_by(usize::try_from(WRITERS).expect("it fits")) {
                for n in 0..APPENDS {
                    store.append(append(task, n)).await.expect("the next version");
                }
            }
        });
    }
    while let Some(ended) = set.join_next().await {
        ended.expect("a writer");
    }
}

/// How long after its answer an append was under the published checkpoint.
async fn lags(store: &SqliteStore, mut worker: LogWorker, first: u64) -> Vec<Duration> {
    let running = tokio::spawn(async move { worker.run().await });
    let mut waiting = std::collections::VecDeque::new();
    let mut lags = Vec::new();
    for n in 0..LAG_ROUNDS {
        let appended = store.append(append(first + n, 0)).await.expect("a new task");
        waiting.push_back((appended.seq, Instant::now()));
        tokio::time::sleep(Duration::from_millis(1)).await;
        settle(store, &mut waiting, &mut lags).await;
    }
    while !waiting.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        settle(store, &mut waiting, &mut lags).await;
    }
    running.abort();
    lags
}

async fn settle(
    store: &SqliteStore,
    waiting: &mut std::collections::VecDeque<(u64, Instant)>,
    lags: &mut Vec<Duration>,
) {
    let size = store.log_state().await.expect("a log").published.map_or(0, |published| published.size);
    while let Some((_, since)) = waiting.pop_front_if(|(seq, _)| *seq <= size) {
        lags.push(since.elapsed());
    }
}

fn append(task: u64, n: u64) -> tallystick_app::port::journal::Append {
    let mut append = fixture::append(task, n * FACTS);
    let words = format!("task {task}, request {n}: ");
    append.authority = Authority::Request(SignedRequest {
        author: fixture::key(1),
        id: canonical::sha256(words.as_bytes()),
        event: words.clone() + &"e".repeat(600),
        body: (words.clone() + &"b".repeat(300)).into_bytes(),
    });
    let fact = |k: u64| fixture::private(fixture::KIND, format!("{words}{k}{}", "f".repeat(250)).into_bytes());
    append.facts = (0..FACTS).map(fact).collect();
    append.effects = vec![fixture::effect(&format!("{task}/{n}"), 0)];
    append.finishes = n.checked_sub(1).map(|before| format!("{task}/{before}")).into_iter().collect();
    fixture::row_mut(&mut append).version = (n + 1) * FACTS;
    fixture::row_mut(&mut append).view = words + &"v".repeat(800);
    append
}

fn worker(store: &SqliteStore) -> LogWorker {
    let key = SigningKey::try_from_seed(KeyName::try_new("node.example/log").expect("a name"), KeyKind::Note, &[7; 32]);
    let config = LogConfig {
        key: key.expect("a key"),
        interval: tallystick_core::Duration::from_millis(100),
        witnesses: Vec::new(),
        witnesses_needed: 0,
    };
    let store = Arc::new(store.clone());
    LogWorker::try_new(Arc::clone(&store) as _, store, config).expect("no witnesses are needed")
}

fn rate(count: u64, start: Instant) -> u128 {
    u128::from(count) * 1_000_000 / start.elapsed().as_micros().max(1)
}

fn size(path: &Path) -> u64 {
    let bytes = |end: &str| std::fs::metadata(format!("{}{end}", path.display())).map_or(0, |file| file.len());
    bytes("") + bytes("-wal")
}

fn percentiles(waits: &mut [Duration]) -> (Duration, Duration) {
    waits.sort();
    (waits[waits.len() / 2], waits[waits.len() * 99 / 100])
}
