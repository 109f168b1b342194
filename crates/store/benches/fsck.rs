//! What fsck costs: whole lives of tasks, made by the app on a simulated rail, each request and each of the node's words signed
//! and checked, every decision made again.
//!
//! `cargo bench -p tallystick-store --bench fsck`; `TALLY_BENCH_TASKS` sets how many tasks, 10,000 if absent.
#![allow(clippy::print_stdout)] // A bench prints its findings.

use std::sync::Arc;
use std::time::Instant;

use tallystick_app::cause::Trusted;
use tallystick_app::fsck::Fsck;
use tallystick_app::outbox::Outbox;
use tallystick_app::port::{journal::Journal, request::Action};
use tallystick_app::{App, Clock, Parts};
use tallystick_core::{Duration, Id, NodeKey, NostrKey};
use tallystick_escrow::{Policy, Task, UserCommand};
use tallystick_log::WitnessPolicy;
use tallystick_store::{SqliteSnapshot, SqliteStore};
use tallystick_testkit::escrow::{self, requester, worker};
use tallystick_testkit::machine::machine;
use tallystick_testkit::{ManualClock, Requests, SimRail, action_of, asking_at, publish};
use tokio::task::JoinSet;

/// Tasks under way at once.
const AT_ONCE: u64 = 256;
/// How often a task may be looked at until it is settled.
const ROUNDS_MAX: u32 = 100;
const PAYOUT_SAT: u64 = 20_000;

fn main() {
    let wanted: u64 = std::env::var("TALLY_BENCH_TASKS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on disk");
    println!("{}", machine(dir.path()));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let path = dir.path().join("journal.db");
        let store = SqliteStore::open(&path).expect("a new store");
        let start = Instant::now();
        live(&store, wanted).await;
        publish(&Arc::new(store.clone())).await;
        store.close().await;
        println!("{wanted} tasks lived in {:.1} s", start.elapsed().as_secs_f64());

        let before = memory_kib();
        let start = Instant::now();
        let sound = checker(&path).run(|_| ()).await.expect("a sound store");
        let took = start.elapsed();
        println!(
            "fsck of {} facts, {} signatures, {} tasks: {:.1} s, {} facts/s, {} MiB more of memory at most",
            sound.facts,
            sound.signatures,
            sound.tasks,
            took.as_secs_f64(),
            u128::from(sound.facts) * 1_000_000 / took.as_micros().max(1),
            memory_kib().saturating_sub(before) >> 10
        );
    });
}

fn node_key() -> NodeKey {
    NodeKey::try_new(&[8; 32]).expect("a key")
}

fn checker(path: &std::path::Path) -> Fsck {
    Fsck {
        store: Arc::new(SqliteSnapshot::open(path).expect("a closed store")),
        requests: Arc::new(Requests),
        invoices: Arc::new(SimRail::new(ManualClock::new(escrow::NOW))),
        trusted: Trusted { node: Some(node_key().public()), ..Trusted::default() },
        key: None,
        policy: WitnessPolicy::none(),
        checkpoints: Vec::new(),
        published: None,
        // Later than the last of them, whatever was tried again.
        now: escrow::NOW.after(Duration::from_secs(86_400)),
    }
}

/// So many tasks, from their posting to their payment.
async fn live(store: &SqliteStore, tasks: u64) {
    let clock = ManualClock::new(escrow::NOW);
    let rail = Arc::new(SimRail::new(Arc::clone(&clock)));
    let shared = Arc::new(store.clone());
    let app = App::new(Parts {
        journal: Arc::clone(&shared) as _,
        log: Arc::clone(&shared) as _,
        tasks: shared,
        clock: Arc::clone(&clock) as _,
        key: node_key(),
        policy: Policy::default(),
    });
    app.connect(Arc::clone(&rail) as _, Arc::clone(&rail) as _);
    app.refresh_tasks(store).await.expect("a read model of this version");
    rail.add_wallet("payee", 0);
    rail.add_wallet("payer", tasks * PAYOUT_SAT * 2);
    let outbox = Outbox::new(app.clone());
    for first in (0..tasks).step_by(usize::try_from(AT_ONCE).expect("it fits")) {
        let ids: Vec<Id<Task>> =
            (first..tasks.min(first + AT_ONCE)).map(|n| Id::from_parts(escrow::NOW.as_millis() + n, [7; 10])).collect();
        at_once(ids.iter().map(|id| begin(app.clone(), Arc::clone(&rail), *id))).await;
        outbox.run_once().await.expect("an outbox");
        for id in &ids {
            let view = app.task(*id).await.expect("an answer").expect("the task");
            let invoice = view.tranches().next().and_then(|part| part.funding_invoice.clone()).expect("an invoice");
            assert!(rail.pay_hold("payer", &invoice), "the hold is paid");
        }
        rail.deliver(&app).await;
        at_once(ids.iter().map(|id| finish(app.clone(), *id))).await;
        for id in &ids {
            let mut rounds = 0;
            while app.task(*id).await.expect("an answer").expect("the task").state != "settled" {
                outbox.run_once().await.expect("an outbox");
                while rail.step() {}
                rail.deliver(&app).await;
                // What is to be tried again is due later.
                if let Some(due) = store.next_effect_due().await.expect("an outbox") {
                    clock.set(due.max(clock.now()));
                }
                rounds += 1;
                assert!(rounds < ROUNDS_MAX, "{id} does not come to its end");
            }
        }
    }
}

/// Does all of this at once.
async fn at_once(work: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut set = JoinSet::new();
    for one in work {
        set.spawn(one);
    }
    while let Some(ended) = set.join_next().await {
        ended.expect("it is done");
    }
}

async fn begin(app: App, rail: Arc<SimRail>, id: Id<Task>) {
    let terms = escrow::terms(&[PAYOUT_SAT]);
    let request = asking_at(app.clock().now(), requester(), id, &Action::Create(terms.clone()));
    app.create(id, terms, request).await.expect("a new task");
    let invoices = vec![rail.invoice("payee", PAYOUT_SAT)];
    let request = asking_at(app.clock().now(), worker(), id, &Action::Accept(invoices.clone()));
    app.accept(id, invoices, request).await.expect("a worker");
    ask(&app, id, requester(), UserCommand::RequestFunding).await;
}

async fn finish(app: App, id: Id<Task>) {
    ask(&app, id, worker(), escrow::submit()).await;
    ask(&app, id, requester(), escrow::approve()).await;
}

async fn ask(app: &App, id: Id<Task>, by: NostrKey, command: UserCommand) {
    let request = asking_at(app.clock().now(), by, id, &action_of(&command));
    app.ask(id, command, request).await.expect("a command that is allowed");
}

/// The most memory that this process ever had.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line for it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
