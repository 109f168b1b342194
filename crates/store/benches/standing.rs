//! What standings cost on a journal of many facts: the fold at the start, following what comes, and asking.
//!
//! `cargo bench -p tallystick-store --bench standing`; `TALLY_BENCH_FACTS` sets how many facts, 1,000,000 if absent.
//!
//! Every task is settled, of 1,000 to 300,000 sat, between two of 5,000 keys.
#![allow(clippy::print_stdout)] // A bench prints its findings.

use std::sync::Arc;
use std::time::Instant;

use tallystick_app::port::journal::{Append, Journal, NewFact};
use tallystick_app::{App, Parts};
use tallystick_civics::reputation::Role;
use tallystick_core::{Authority, Body, Duration, Id, NodeKey, NostrKey, Signature, canonical};
use tallystick_escrow::{Event, Policy};
use tallystick_store::SqliteStore;
use tallystick_testkit::machine::machine;
use tallystick_testkit::{ManualClock, escrow};

const KEYS: u64 = 5_000;
/// Tasks written at once.
const WRITERS: u64 = 256;
/// Standings asked for, one after the other.
const ASKED: u64 = 1_000;

fn main() {
    let wanted: u64 = std::env::var("TALLY_BENCH_FACTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on disk");
    println!("{}", machine(dir.path()));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let store = SqliteStore::open(dir.path().join("journal.db")).expect("a new store");
        let story = escrow::settled(&[1_000]).facts;
        let tasks = wanted.div_ceil(story.len() as u64);
        let keys: Vec<NostrKey> = (0..KEYS).map(key).collect();
        fill(&store, &story, &keys, 0..tasks).await;

        let app = app(&store);
        let start = Instant::now();
        let facts = app.read_standings().await.expect("a sound journal");
        println!("the fold of {facts} facts, {tasks} deals: {:.2?}", start.elapsed());

        fill(&store, &story, &keys, tasks..tasks + WRITERS).await;
        let start = Instant::now();
        let more = app.read_standings().await.expect("a sound journal") - facts;
        println!("{more} facts more: {:.1?}", start.elapsed());

        let mut took = Vec::new();
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

async fn fill(store: &SqliteStore, story: &[Event], keys: &[NostrKey], tasks: std::ops::Range<u64>) {
    let mut set = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, story, keys, tasks) = (store.clone(), story.to_vec(), keys.to_vec(), tasks.clone());
        set.spawn(async move {
            for task in (tasks.start + writer..tasks.end).step_by(usize::try_from(WRITERS).expect("it fits")) {
                store.append(append(task, &story, &keys)).await.expect("a new stream");
            }
        });
    }
    while let Some(ended) = set.join_next().await {
        ended.expect("a writer");
    }
}

/// A settled task, all of its facts at once.
fn append(task: u64, story: &[Event], keys: &[NostrKey]) -> Append {
    let id = Id::from_parts(escrow::NOW.as_millis() + task, [7; 10]);
    // Numbers that jump about (Knuth's multiplicative hash).
    let pick = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let payer = pick(task) % KEYS;
    let payee = (payer + 1 + pick(task + 1) % (KEYS - 1)) % KEYS;
    let of = |n: u64| keys[usize::try_from(n).expect("it fits")];
    let paid = escrow::sat(1_000 + pick(task + 2) % 299_000);
    let facts = story.iter().cloned().map(|mut event| {
        match &mut event {
            Event::TaskCreated { id: own, requester, terms, .. } => {
                (*own, *requester) = (id, of(payer));
                terms.milestones[0].payouts = vec![paid];
            }
            Event::TaskAccepted { worker, .. } => *worker = of(payee),
            _ => {}
        }
        NewFact { kind: event.kind(), body: Body::private([5; 32], canonical::encode(&event)) }
    });
    Append {
        stream: format!("escrow/{id}"),
        expected_version: 0,
        facts: facts.collect(),
        authority: Authority::Node {
            author: of(0),
            command: task.to_le_bytes().to_vec(),
            signature: Signature([6; 64]),
        },
        recorded_at: escrow::NOW.after(Duration::from_secs(task)),
        height: escrow::HEIGHT,
        effects: Vec::new(),
        finishes: Vec::new(),
        reservations: Vec::new(),
        row: None,
        erases: None,
    }
}

fn key(n: u64) -> NostrKey {
    let mut secret = [1; 32];
    secret[24..].copy_from_slice(&n.to_be_bytes());
    NodeKey::try_new(&secret).expect("far below the curve's order").public()
}
