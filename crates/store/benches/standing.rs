//! What standings cost on a journal of many facts: the fold at the start, following what comes, and asking.
//!
//! `cargo bench -p tallystick-store --bench standing`; `TALLY_BENCH_FACTS` sets how many facts, 1,000,000 if absent.
//!
//! Every task is settled, of 1,000 to 300,000 sat, between two of 5,000 keys.
#![allow(clippy::print_stdout)] // A bench prints its findings.

use std::sync::Arc;
use std::time::Instant;

use tallystick_app::{App, Parts};
use tallystick_civics::reputation::Role;
use tallystick_core::{Duration, NodeKey};
use tallystick_escrow::Policy;
use tallystick_store::SqliteStore;
use tallystick_testkit::crowd::{Crowd, WRITERS};
use tallystick_testkit::machine::machine;
use tallystick_testkit::{ManualClock, escrow};

const KEYS: u64 = 5_000;
/// Standings asked for, one after the other.
const ASKED: u64 = 1_000;

fn main() {
    let wanted: u64 = std::env::var("TALLY_BENCH_FACTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on disk");
    println!("{}", machine(dir.path()));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let store = SqliteStore::open(dir.path().join("journal.db")).expect("a new store");
        let crowd = Crowd::new(KEYS);
        let tasks = wanted.div_ceil(crowd.facts_per_task());
        crowd.fill(&store, 0..tasks).await;

        let app = app(&store);
        let start = Instant::now();
        let facts = app.read_standings().await.expect("a sound journal");
        println!("the fold of {facts} facts, {tasks} deals: {:.2?}", start.elapsed());

        crowd.fill(&store, tasks..tasks + WRITERS).await;
        let start = Instant::now();
        let more = app.read_standings().await.expect("a sound journal") - facts;
        println!("{more} facts more: {:.1?}", start.elapsed());

        let (mut took, keys) = (Vec::new(), crowd.keys());
        for n in 0..ASKED {
            let start = Instant::now();
            app.standing(keys[usize::try_from(n % KEYS).expect("it fits")], Role::Worker).await.expect("a standing");
            took.push(start.elapsed());
        }
        took.sort_unstable();
        println!("a standing: p50 {:?}, p99 {:?}", took[took.len() / 2], took[took.len() * 99 / 100]);
        let start = Instant::now();
        let flags = app.anomalies().await.expect("flags").len();
        println!("all {flags} flags: {:.2} s", start.elapsed().as_secs_f64());
        store.close().await;
    });
}

fn app(store: &SqliteStore) -> App {
    let store = Arc::new(store.clone());
    App::new(Parts {
        journal: Arc::clone(&store) as _,
        log: Arc::clone(&store) as _,
        tasks: store,
        clock: ManualClock::new(escrow::NOW.after(Duration::from_secs(100 * 86_400))),
        key: NodeKey::try_new(&[8; 32]).expect("a key"),
        policy: Policy::default(),
    })
}
