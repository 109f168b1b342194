//! How fast money passes through: hold, payout, claim, between three nodes on loopback with fsync on.
//!
//! `cargo bench -p tallystick-lightning`

// A program for people to read.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration as Span, Instant};

use async_trait::async_trait;
use bitcoin::Network;
use tallystick_app::port::operator::NodeOperator;
use tallystick_app::port::rail::{
    Heard, HoldRail, HoldRequest, InvoiceReader, NotHeard, PayRequest, RailListener, RailNotice,
};
use tallystick_core::{BlockHeight, Blocks, Digest32, Duration, Msat, PaymentHash, Sat};
use tallystick_devnet::{ChannelPlan, Devnet, PartyOptions};
use tallystick_lightning::{LightningConfig, LightningNode};
use tokio::sync::{Notify, Semaphore};

const SEQUENTIAL: usize = 30;
const CONCURRENT: usize = 200;
/// Far below the HTLCs that a channel takes: those of a settled cycle stay for a moment.
const AT_ONCE: usize = 10;
const HOUR: Duration = Duration::from_secs(3_600);

/// How far a hold is.
#[derive(Clone, Copy, Default)]
struct Seen {
    locked: bool,
    claimed: bool,
}

/// Notes what was locked and claimed.
#[derive(Default)]
struct Clock {
    seen: Mutex<HashMap<PaymentHash, Seen>>,
    changed: Notify,
}

#[async_trait]
impl RailListener for Clock {
    async fn hear(&self, notice: RailNotice) -> Result<Heard, NotHeard> {
        match notice {
            RailNotice::HoldLocked { hash, .. } => {
                self.seen.lock().unwrap().entry(hash).or_default().locked = true;
            }
            RailNotice::HoldClaimed { hash, .. } => {
                self.seen.lock().unwrap().entry(hash).or_default().claimed = true;
            }
            _ => {}
        }
        self.changed.notify_waiters();
        Ok(Heard::Noted)
    }
}

impl Clock {
    async fn until(&self, hash: &PaymentHash, there: impl Fn(Seen) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if there(self.seen.lock().unwrap().get(hash).copied().unwrap_or_default()) {
                return;
            }
            changed.await;
        }
    }
}

struct Bench {
    net: Devnet,
    node: LightningNode,
    clock: Arc<Clock>,
}

/// How long the hold took to lock, and how long the payer took to be settled after the decision.
struct Cycle {
    lock: Span,
    settle: Span,
}

impl Bench {
    async fn cycle(&self, number: usize) -> Cycle {
        let payout = Msat::try_new(1_000_000 + number as u64).unwrap();
        let hold = Msat::try_new(1_010_000 + number as u64).unwrap();
        let bolt11 = self.net.party("payee").unwrap().invoice(payout, HOUR).await.unwrap();
        let hash = self.node.read(&bolt11).unwrap().hash;
        let request = HoldRequest {
            hash,
            amount: hold,
            description: "bench".to_owned(),
            expiry: HOUR,
            final_cltv_delta: Blocks(612),
        };
        let invoice = self.node.hold_invoice(request).await.unwrap();
        let asked = Instant::now();
        let payment = self.net.party("payer").unwrap().pay_async(&invoice, hold, HOUR).await.unwrap();
        self.clock.until(&hash, |seen| seen.locked).await;
        let lock = asked.elapsed();
        let decided = Instant::now();
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let request = PayRequest {
            id: Digest32(id),
            bolt11,
            fee_limit: Msat::try_new(100_000).unwrap(),
            cltv_limit: Blocks(200),
            begin_by: BlockHeight(u32::MAX),
            covered: true,
        };
        self.node.pay(request).await.unwrap();
        payment.await.unwrap().unwrap();
        let settle = decided.elapsed();
        self.clock.until(&hash, |seen| seen.claimed).await;
        Cycle { lock, settle }
    }
}

fn percentile(spans: &mut [Span], part: usize) -> u128 {
    spans.sort_unstable();
    spans[(spans.len() - 1) * part / 100].as_millis()
}

fn report(name: &str, cycles: &[Cycle], took: Span) {
    let mut lock: Vec<Span> = cycles.iter().map(|cycle| cycle.lock).collect();
    let mut settle: Vec<Span> = cycles.iter().map(|cycle| cycle.settle).collect();
    let rate = cycles.len() as u128 * 1_000 / took.as_millis().max(1);
    println!(
        "{name}: {} cycles, {rate}/s; lock p50 {} ms, p95 {} ms; decision to payer settled p50 {} ms, p95 {} ms",
        cycles.len(),
        percentile(&mut lock, 50),
        percentile(&mut lock, 95),
        percentile(&mut settle, 50),
        percentile(&mut settle, 95),
    );
}

async fn set_up(dir: &std::path::Path) -> Bench {
    let mut net = Devnet::start().await.unwrap();
    let mut config = LightningConfig::new(dir.to_owned(), Network::Regtest, net.chain().rpc().clone());
    config.listen = vec![([127, 0, 0, 1], 0).into()];
    LightningNode::create(dir, "bench").unwrap();
    let clock = Arc::new(Clock::default());
    let node = LightningNode::start(config, "bench", clock.clone()).await.unwrap();
    net.fund(&node).await.unwrap();
    let (peer, address) = (node.node_id().to_string(), node.listen_addresses()[0].to_string());
    let plan = ChannelPlan {
        capacity: Sat::try_new(10_000_000).unwrap(),
        push: Msat::try_new(5_000_000_000).unwrap(),
        announce: false,
    };
    for name in ["payer", "payee"] {
        net.add_party(name, PartyOptions::default()).await.unwrap();
        net.open_channel_to(name, (&peer, &address), plan).await.unwrap();
    }
    tallystick_devnet::wait_until("both channels", async || Ok(node.info().usable_channels == 2)).await.unwrap();
    Bench { net, node, clock }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        println!("{}", tallystick_testkit::machine::machine(dir.path()));
        let bench = Arc::new(set_up(dir.path()).await);
        // The first HTLC after a start waits two seconds in LDK.
        bench.cycle(0).await;
        let start = Instant::now();
        let mut cycles = Vec::new();
        for number in 1..=SEQUENTIAL {
            cycles.push(bench.cycle(number).await);
        }
        report("one at a time", &cycles, start.elapsed());

        let start = Instant::now();
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let tasks: Vec<_> = (1_000..1_000 + CONCURRENT)
            .map(|number| {
                let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
                tokio::spawn(async move {
                    let _turn = gate.acquire().await.unwrap();
                    bench.cycle(number).await
                })
            })
            .collect();
        let mut cycles = Vec::new();
        for task in tasks {
            cycles.push(task.await.unwrap());
        }
        report(&format!("{AT_ONCE} at once"), &cycles, start.elapsed());
        let sizes = std::fs::metadata(dir.path().join("lightning.sqlite")).unwrap().len();
        println!("the platform's database: {} KiB after {} cycles", sizes / 1_024, 1 + SEQUENTIAL + CONCURRENT);
        bench.node.shutdown().await;
    });
}
