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
use tallystick_app::port::{
    journal::{Journal, StoreError},
    log::LogStore,
};
use tallystick_core::{Authority, SignedRequest, canonical};
use tallystick_log::{KeyKind, KeyName, SigningKey};
use tallystick_store::{PostgresOptions, PostgresStore, SqliteStore};
use tallystick_testkit::Cluster;
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
    println!("{}", machine(dir.path()));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("SQLite");
    let path = dir.path().join("journal.db");
    let open = async || SqliteStore::open(&path).expect("a store");
    runtime.block_on(measure(open, || size(&path) + size(&path.with_extension("db-wal")), wanted));
    println!("PostgreSQL, server and writers on the same cores");
    // In /tmp, as the server's user may not visit everybody's folders; with the memory that a server of its own would be
    // given.
    let cluster = Cluster::start(&["shared_buffers = 512MB", "max_wal_size = 4GB"]);
    let address = cluster.database();
    let open = async || {
        let options = PostgresOptions::try_new(&address).expect("an address");
        PostgresStore::open(options).await.expect("a store")
    };
    let tables = cluster.data().join("base");
    let before = size(&tables);
    runtime.block_on(measure(open, || size(&tables).saturating_sub(before), wanted));
}

/// Fills a store, and measures all that is told of it.
async fn measure<S: Measured>(open: impl AsyncFn() -> S, size: impl Fn() -> u64, wanted: u64) {
    let store = open().await;
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

    let bytes = size();
    println!("disk: {} bytes per fact, request, row, effect and tree included ({} MB)", bytes / facts, bytes >> 20);

    let start = Instant::now();
    let store = open().await;
    store.verify_tail(1_000).await.expect("a sound end");
    let mut worker = self::worker(&store);
    worker.run_once().await.expect("a sound tree");
    println!("start-up with {facts} facts: {} ms", start.elapsed().as_millis());

    let start = Instant::now();
    let count = store.verify_chain().await.expect("an unbroken chain");
    println!("the chain verified from its first fact: {} facts/s", rate(count, start));
    store.close().await;
}

/// What both stores can do here.
trait Measured: Journal + LogStore + Clone + 'static {
    fn verify_tail(&self, count: u64) -> impl Future<Output = Result<u64, StoreError>>;
    fn verify_chain(&self) -> impl Future<Output = Result<u64, StoreError>>;
    fn close(&self) -> impl Future<Output = ()>;
}

impl Measured for SqliteStore {
    async fn verify_tail(&self, count: u64) -> Result<u64, StoreError> {
        Self::verify_tail(self, count).await
    }

    async fn verify_chain(&self) -> Result<u64, StoreError> {
        Self::verify_chain(self).await
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}

impl Measured for PostgresStore {
    async fn verify_tail(&self, count: u64) -> Result<u64, StoreError> {
        Self::verify_tail(self, count).await
    }

    async fn verify_chain(&self) -> Result<u64, StoreError> {
        Self::verify_chain(self).await
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}

async fn fill(store: &impl Measured, tasks: u64) {
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
async fn lags(store: &impl Measured, mut worker: LogWorker, first: u64) -> Vec<Duration> {
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
    store: &impl Measured,
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

fn worker(store: &impl Measured) -> LogWorker {
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

/// The bytes of a file, or of all files below a folder; none if there is nothing.
fn size(path: &Path) -> u64 {
    let Ok(about) = std::fs::metadata(path) else { return 0 };
    if !about.is_dir() {
        return about.len();
    }
    let inside = std::fs::read_dir(path).expect("a folder that can be read");
    inside.map(|entry| size(&entry.expect("an entry").path())).sum()
}

fn percentiles(waits: &mut [Duration]) -> (Duration, Duration) {
    waits.sort();
    (waits[waits.len() / 2], waits[waits.len() * 99 / 100])
}
