//! Durable appends per second, and how long one waits, with 1, 16 and 256 writers; beside it what the disk itself does.
//!
//! `cargo bench -p tallystick-store`
//!
//! Each writer leads one task after the other through twelve facts, as escrow does: each append has a signed request
//! of about 1 KB, one fact, one effect, the end of the effect before, and a new row; every task reserves a payment hash.
#![allow(clippy::print_stdout)] // A bench prints its findings.

use std::time::{Duration, Instant};

use tallystick_app::port::journal::{Append, Journal, NewEffect, Reservation, StoreError};
use tallystick_core::{Authority, BlockHeight, SignedRequest, canonical};
use tallystick_store::{PostgresOptions, PostgresStore, SqliteStore};
use tallystick_testkit::Cluster;
use tallystick_testkit::machine::machine;
use tallystick_testkit::store_suite::fixture::{self, KIND, NOW};

/// Facts of one task.
const FACTS: u64 = 12;
/// Writers, and appends of each.
const ROUNDS: [(u64, u64); 3] = [(1, 2_000), (16, 1_200), (256, 240)];

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on disk");
    println!("{}", machine(dir.path()));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("SQLite");
    for (writers, appends) in ROUNDS {
        let store = SqliteStore::open(dir.path().join(format!("{writers}.db"))).expect("a new store");
        runtime.block_on(tell(store, writers, appends));
    }
    println!("PostgreSQL, server and writers on the same cores");
    // In /tmp, as the server's user may not visit everybody's folders; with the memory that a server of its own would be
    // given.
    let cluster = Cluster::start(&["shared_buffers = 512MB", "max_wal_size = 4GB"]);
    for (writers, appends) in ROUNDS {
        let options = PostgresOptions::try_new(&cluster.database()).expect("an address");
        runtime.block_on(async {
            let store = PostgresStore::open(options).await.expect("a new store");
            tell(store, writers, appends).await;
        });
    }
}

/// One round, and what it came to.
async fn tell(store: impl Verified, writers: u64, appends: u64) {
    let (mut waits, took) = round(&store, writers, appends).await;
    let rate = u128::from(writers * appends) * 1_000_000 / took.as_micros().max(1);
    let (p50, p99) = percentiles(&mut waits);
    println!(
        "{writers:>4} writers: {rate:>6} appends/s, p50 {:>6} µs, p99 {:>6} µs ({} appends)",
        p50.as_micros(),
        p99.as_micros(),
        waits.len()
    );
    catch_up(&store, writers).await;
    assert_eq!(store.verified().await.expect("an unbroken chain"), writers * appends);
}

/// What both stores can do here.
trait Verified: Journal + Clone + 'static {
    /// Verifies the chain, and closes the store.
    fn verified(&self) -> impl Future<Output = Result<u64, StoreError>>;
}

impl Verified for SqliteStore {
    async fn verified(&self) -> Result<u64, StoreError> {
        let count = self.verify_chain().await;
        self.close().await;
        count
    }
}

impl Verified for PostgresStore {
    async fn verified(&self) -> Result<u64, StoreError> {
        let count = self.verify_chain().await;
        self.close().await;
        count
    }
}

/// All writers together: how long each append waited, and how long all took.
async fn round(store: &impl Verified, writers: u64, appends: u64) -> (Vec<Duration>, Duration) {
    let start = Instant::now();
    let mut set = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let store = store.clone();
        set.spawn(async move {
            let mut waits = Vec::new();
            for n in 0..appends {
                let append = append(writer + writers * (n / FACTS), n % FACTS);
                let before = Instant::now();
                store.append(append).await.expect("the next version");
                waits.push(before.elapsed());
            }
            waits
        });
    }
    let waits = set.join_all().await.into_iter().flatten().collect();
    (waits, start.elapsed())
}

/// What a command pays to learn that a task in memory is up to date: a read that finds nothing.
async fn catch_up(store: &impl Verified, writers: u64) {
    let mut waits = Vec::new();
    for n in 0..2_000 {
        let before = Instant::now();
        let facts = store.stream(&fixture::stream(n % writers), FACTS).await.expect("facts");
        waits.push(before.elapsed());
        assert_eq!(facts.len(), 0);
    }
    let (p50, p99) = percentiles(&mut waits);
    println!("     reading nothing new of a task: p50 {} µs, p99 {} µs", p50.as_micros(), p99.as_micros());
}

fn append(task: u64, version: u64) -> Append {
    let mut append = fixture::append(task, version);
    let words = format!("task {task}, version {version}: ");
    let id = canonical::sha256(words.as_bytes());
    append.authority = Authority::Request(SignedRequest {
        author: fixture::key(1),
        id,
        event: words.clone() + &"e".repeat(600),
        body: (words.clone() + &"b".repeat(300)).into_bytes(),
    });
    append.facts = vec![fixture::private(KIND, (words.clone() + &"f".repeat(250)).into_bytes())];
    append.effects = vec![NewEffect { key: format!("{task}/{version}"), body: vec![0; 120], due: NOW }];
    append.finishes = version.checked_sub(1).map(|before| format!("{task}/{before}")).into_iter().collect();
    if version == 1 {
        append.reservations = vec![Reservation { space: "payment_hash", name: id.0.to_vec() }];
    }
    fixture::row_mut(&mut append).state = if version < 4 { "open" } else { "held" }.into();
    fixture::row_mut(&mut append).wake_height = Some(BlockHeight(800_000));
    fixture::row_mut(&mut append).view = words + &"v".repeat(800);
    append
}

fn percentiles(waits: &mut [Duration]) -> (Duration, Duration) {
    waits.sort();
    (waits[waits.len() / 2], waits[waits.len() * 99 / 100])
}
