//! Anchors on a chain that does what the test wants: late blocks, reorganisations, lost mempools, stops anywhere.

use async_trait::async_trait;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, Witness, absolute,
    block::{Header, Version},
    consensus::{deserialize, serialize},
    hashes::Hash as _,
    transaction,
};
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tallystick_app::{
    App, Parts,
    anchor::{
        AnchorPolicy, AnchorWorker, Anchors,
        event::{AnchorEvent, Confirmed, Dropped, Made, STREAM},
    },
    log::{LogConfig, LogWorker},
    port::{
        anchor::{AnchorOrder, AnchorRail, AnchorRailError, Place, Sent, SignedAnchor},
        journal::Journal,
        rail::{RailListener, RailNotice},
    },
};
use tallystick_core::{BlockHeight, Blocks, Duration, NodeKey, Sat};
use tallystick_log::{
    KeyKind, KeyName, SigningKey,
    anchor::{CONFIRMATIONS_MIN, MerklePath, tx::commitment_script},
};
use tallystick_testkit::{ManualClock, MemoryStore, escrow, store_suite::fixture};

const SEAL: u64 = 1_000_000;
const FEE: u64 = 100;
const BUMP: Blocks = Blocks(3);

/// A chain whose miner is the test.
#[derive(Default)]
struct SimChain {
    state: Mutex<State>,
    /// Whether sending fails, as if the process had stopped before it.
    cut: AtomicBool,
}

#[derive(Default)]
struct State {
    blocks: Vec<Block>,
    mempool: Vec<Transaction>,
    mined: u32,
}

impl State {
    fn in_chain(&self) -> impl Iterator<Item = &Transaction> {
        self.blocks.iter().flat_map(|block| &block.txdata)
    }

    fn add(&mut self, txdata: Vec<Transaction>) {
        let prev_blockhash = self.blocks.last().map_or_else(BlockHash::all_zeros, Block::block_hash);
        self.mined += 1;
        let header = Header {
            version: Version::TWO,
            prev_blockhash,
            merkle_root: TxMerkleNode::all_zeros(),
            time: self.mined,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: self.mined,
        };
        self.blocks.push(Block { header, txdata });
    }

    /// Whether what a transaction spends is there and not spent in the chain.
    fn spendable(&self, seal: OutPoint) -> bool {
        let exists = seal == genesis()
            || self.in_chain().chain(&self.mempool).any(|tx| seal == OutPoint { txid: tx.compute_txid(), vout: 0 });
        exists && !self.in_chain().any(|tx| tx.input[0].previous_output == seal)
    }

    /// What spends from nothing waits no longer.
    fn forget_orphans(&mut self) {
        while let Some(at) = self.mempool.iter().position(|tx| !self.spendable(tx.input[0].previous_output)) {
            self.mempool.remove(at);
        }
    }

    fn accept(&mut self, tx: &Transaction) -> Sent {
        let txid = tx.compute_txid();
        if self.in_chain().chain(&self.mempool).any(|other| other.compute_txid() == txid) {
            return Sent::There;
        }
        let seal = tx.input[0].previous_output;
        if !self.spendable(seal) {
            return Sent::Orphan;
        }
        let rival = self.mempool.iter().position(|other| other.input[0].previous_output == seal);
        if let Some(at) = rival {
            if self.mempool[at].output[0].value <= tx.output[0].value {
                return Sent::Refused("insufficient fee".to_owned());
            }
            self.mempool.remove(at);
        }
        self.mempool.push(tx.clone());
        Sent::There
    }
}

fn genesis() -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([9; 32]), vout: 5 }
}

impl SimChain {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mine(&self, blocks: u32, with: bool) {
        let mut state = self.state();
        for _ in 0..blocks {
            let mut taken = Vec::new();
            if with {
                state.forget_orphans();
                taken = std::mem::take(&mut state.mempool);
            }
            state.add(taken);
        }
    }

    /// Replaces the last blocks by one more, empty ones. What they held waits again, or is lost.
    fn reorg(&self, depth: usize, keep: bool) {
        let mut state = self.state();
        let from = state.blocks.len().saturating_sub(depth).max(1);
        let gone = state.blocks.split_off(from);
        if !keep {
            state.mempool.clear();
        }
        for tx in gone.iter().flat_map(|block| &block.txdata).filter(|_| keep) {
            state.accept(tx);
        }
        for _ in 0..=gone.len() {
            state.add(Vec::new());
        }
    }
}

#[async_trait]
impl AnchorRail for SimChain {
    async fn sign(&self, order: &AnchorOrder) -> Result<SignedAnchor, AnchorRailError> {
        let old: Option<Transaction> = order.replaces.as_ref().map(|old| deserialize(old).unwrap());
        let held = order.seal.map_or(SEAL, |seal| seal.value.get());
        let (previous_output, value) = match &old {
            Some(old) => (old.input[0].previous_output, old.output[0].value.to_sat() - FEE),
            None => (order.seal.map_or_else(genesis, |seal| seal.outpoint), held - FEE),
        };
        let script_pubkey = ScriptBuf::from_bytes([&[0x51, 0x20][..], &[4; 32]].concat());
        let tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output,
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::from_slice(&[[1u8; 64]]),
                ..TxIn::default()
            }],
            output: vec![
                TxOut { value: Amount::from_sat(value), script_pubkey },
                TxOut { value: Amount::ZERO, script_pubkey: commitment_script(&order.commitment) },
            ],
        };
        let sat = |amount| Sat::try_new(amount).unwrap();
        Ok(SignedAnchor { tx: serialize(&tx), seal_value: sat(value), fee: sat(held - value) })
    }

    async fn send(&self, tx: &[u8]) -> Result<Sent, AnchorRailError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(AnchorRailError::Unavailable("cut".to_owned()));
        }
        Ok(self.state().accept(&deserialize(tx).unwrap()))
    }

    async fn find(&self, txids: &[Txid], _since: BlockHeight) -> Result<Place, AnchorRailError> {
        let state = self.state();
        for (height, block) in (1..).zip(&state.blocks) {
            let all: Vec<Txid> = block.txdata.iter().map(Transaction::compute_txid).collect();
            if let Some(index) = all.iter().position(|txid| txids.contains(txid)) {
                let path = MerklePath::of(&all, index).unwrap();
                let (txid, block, height) = (all[index], block.block_hash(), BlockHeight(height));
                return Ok(Place::Block { txid, block, height, path });
            }
        }
        let waiting = state.mempool.iter().map(Transaction::compute_txid).find(|txid| txids.contains(txid));
        Ok(waiting.map_or(Place::Nowhere, |txid| Place::Mempool { txid }))
    }

    async fn block_at(&self, height: BlockHeight) -> Result<Option<BlockHash>, AnchorRailError> {
        let index = height.0.checked_sub(1).unwrap() as usize;
        Ok(self.state().blocks.get(index).map(Block::block_hash))
    }

    async fn tip(&self) -> Result<BlockHeight, AnchorRailError> {
        Ok(BlockHeight(u32::try_from(self.state().blocks.len()).unwrap()))
    }
}

struct World {
    chain: Arc<SimChain>,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    worker: AnchorWorker,
    facts: u64,
}

fn worker(chain: &Arc<SimChain>, store: &Arc<MemoryStore>, clock: &Arc<ManualClock>) -> (App, AnchorWorker) {
    let app = App::new(Parts {
        journal: Arc::clone(store) as _,
        log: Arc::clone(store) as _,
        tasks: Arc::clone(store) as _,
        clock: Arc::clone(clock) as _,
        key: NodeKey::try_new(&[8; 32]).unwrap(),
        policy: escrow::policy(),
    });
    let policy = AnchorPolicy { facts_max: 3, bump_blocks: BUMP, ..AnchorPolicy::default() };
    let worker = AnchorWorker::new(app.clone(), Arc::clone(chain) as _, policy, Duration::from_secs(1));
    (app, worker)
}

impl World {
    fn new() -> Self {
        let (chain, store) = (Arc::new(SimChain::default()), Arc::new(MemoryStore::new()));
        chain.mine(10, false);
        let clock = ManualClock::new(escrow::NOW);
        let (_, worker) = worker(&chain, &store, &clock);
        Self { chain, store, clock, worker, facts: 0 }
    }

    async fn publish(&mut self, facts: u64) {
        for n in self.facts..self.facts + facts {
            self.store.append(fixture::append(n, 0)).await.unwrap();
        }
        self.facts += facts;
        let name = KeyName::try_new("node.example/log").unwrap();
        let key = SigningKey::try_from_seed(name, KeyKind::Note, &[7; 32]).unwrap();
        let interval = Duration::from_secs(1);
        let config = LogConfig { key, interval, witnesses: Vec::new(), witnesses_needed: 0 };
        let mut log = LogWorker::try_new(Arc::clone(&self.store) as _, Arc::clone(&self.store) as _, config).unwrap();
        log.run_once().await.unwrap();
    }

    /// A new process: what was in memory is gone.
    async fn start_again(&mut self) {
        let (app, worker) = worker(&self.chain, &self.store, &self.clock);
        let height = self.chain.tip().await.unwrap();
        app.hear(RailNotice::Block { height }).await.unwrap();
        self.worker = worker;
    }

    async fn work(&mut self) {
        self.start_again().await;
        let outcome = self.worker.run_once().await;
        let cut = self.chain.cut.load(Ordering::SeqCst);
        assert!(outcome.is_ok() || cut, "{outcome:?}");
    }

    async fn anchors(&self) -> Anchors {
        let mut anchors = Anchors::default();
        anchors.follow(&self.store.stream(STREAM, 0).await.unwrap()).unwrap();
        anchors
    }

    async fn kinds(&self) -> Vec<String> {
        self.store.stream(STREAM, 0).await.unwrap().into_iter().map(|fact| fact.kind).collect()
    }

    /// What must hold whatever happened.
    async fn check(&self) {
        let anchors = self.anchors().await;
        let known: BTreeSet<Txid> =
            anchors.all().iter().flat_map(|a| &a.versions).map(|version| version.txid).collect();
        let state = self.chain.state();
        for tx in state.in_chain().chain(&state.mempool) {
            assert!(known.contains(&tx.compute_txid()), "nothing is out that is no fact");
        }
        for anchor in anchors.all() {
            let versions: BTreeSet<Txid> = anchor.versions.iter().map(|version| version.txid).collect();
            let out = state.in_chain().filter(|tx| versions.contains(&tx.compute_txid())).count();
            assert!(out <= 1, "two versions of one anchor are in the chain");
            let sizes: Vec<u64> = anchor.versions.iter().map(|version| version.size).collect();
            assert!(sizes.is_sorted(), "a replacement is never older");
        }
    }

    /// Blocks come, and everything counts in the end.
    async fn settle(&mut self) {
        for _ in 0..60 {
            self.work().await;
            self.chain.mine(1, true);
        }
        self.work().await;
        self.check().await;
        let anchors = self.anchors().await;
        assert!(anchors.open().is_none(), "{:?}", self.kinds().await);
        let mut seal = genesis();
        for anchor in anchors.all() {
            let version = anchor.confirmed_version().unwrap();
            assert_eq!(version.anchor.seal(), seal, "one chain");
            seal = version.anchor.next_seal();
            let confirmed = anchor.confirmed.as_ref().unwrap();
            let block = &self.chain.state().blocks[confirmed.height as usize - 1];
            assert_eq!(block.block_hash().to_byte_array(), confirmed.block);
            assert!(block.txdata.iter().any(|tx| tx.compute_txid() == version.txid));
        }
    }
}

#[tokio::test]
async fn an_anchor_is_made_when_there_is_reason_and_not_for_its_own_facts() {
    let mut world = World::new();
    world.work().await;
    assert!(world.kinds().await.is_empty());
    world.publish(1).await;
    world.settle().await;
    assert_eq!(world.kinds().await, ["anchor.made", "anchor.confirmed"], "the first fact is reason enough");
    // Two more are not, and the anchor's own two do not count.
    world.publish(2).await;
    world.settle().await;
    assert_eq!(world.kinds().await.len(), 2);
    world.publish(1).await;
    world.settle().await;
    assert_eq!(world.kinds().await.len(), 4);
    // After a day one fact is, and after another day without one nothing is.
    world.publish(1).await;
    world.settle().await;
    assert_eq!(world.kinds().await.len(), 4);
    world.clock.advance(AnchorPolicy::default().interval);
    world.settle().await;
    assert_eq!(world.kinds().await.len(), 6);
    world.clock.advance(AnchorPolicy::default().interval);
    world.publish(0).await;
    world.settle().await;
    assert_eq!(world.kinds().await.len(), 6);
}

#[tokio::test]
async fn a_replacement_takes_the_newest_checkpoint_and_the_old_version_may_still_win() {
    let mut world = World::new();
    world.publish(3).await;
    world.work().await;
    let first = world.anchors().await.all()[0].versions[0].clone();
    world.publish(3).await;
    world.chain.mine(BUMP.0, false);
    world.work().await;
    let versions = world.anchors().await.all()[0].versions.clone();
    assert_eq!(versions.len(), 2);
    assert!(versions[1].size > first.size && versions[1].fee > first.fee);
    // A miner who had the first version only.
    {
        let mut state = world.chain.state();
        state.mempool.clear();
        let tx = deserialize(&first.tx).unwrap();
        state.add(vec![tx]);
    }
    world.settle().await;
    let anchors = world.anchors().await;
    assert_eq!(anchors.all()[0].confirmed_version().unwrap().txid, first.txid);
}

#[tokio::test]
async fn what_is_built_on_a_version_that_lost_is_made_again() {
    let mut world = World::new();
    world.publish(3).await;
    world.work().await;
    let first = world.anchors().await.all()[0].versions[0].clone();
    world.chain.mine(BUMP.0, false);
    world.work().await;
    world.chain.mine(CONFIRMATIONS_MIN, true);
    world.publish(3).await;
    world.work().await;
    let second = world.anchors().await.all()[1].versions[0].clone();
    // So deep a reorganisation that another version of the first anchor wins.
    world.chain.reorg(CONFIRMATIONS_MIN as usize, false);
    let tx = deserialize(&first.tx).unwrap();
    world.chain.state().add(vec![tx]);
    world.settle().await;
    assert!(world.kinds().await.contains(&"anchor.dropped".to_owned()));
    let anchors = world.anchors().await;
    assert_eq!(anchors.all()[0].confirmed_version().unwrap().txid, first.txid);
    assert_ne!(anchors.all()[1].confirmed_version().unwrap().txid, second.txid);
}

#[tokio::test]
async fn two_processes_at_once_make_one_anchor() {
    let mut world = World::new();
    world.publish(3).await;
    world.start_again().await;
    let (app, mut other) = worker(&world.chain, &world.store, &world.clock);
    app.hear(RailNotice::Block { height: BlockHeight(10) }).await.unwrap();
    let (one, two) = tokio::join!(world.worker.run_once(), other.run_once());
    assert_eq!((one, two), (Ok(()), Ok(())));
    assert_eq!(world.kinds().await, ["anchor.made"]);
    world.settle().await;
}

/// The facts are kept for ever: these bytes change for no reason. Written by hand, after Borsh.
#[test]
fn golden_bytes_of_the_facts() {
    let made = Made { number: 1, checkpoint: "a\n".to_owned(), tx: vec![1, 2], seal_sat: 3, fee_sat: 4 };
    let numbers = "0300000000000000".to_owned() + "0400000000000000";
    let body = "0100000000000000".to_owned() + "02000000610a" + "020000000102" + &numbers;
    let two = "0200000000000000";
    let (txid, block, sibling) = ("01".repeat(32), "02".repeat(32), "04".repeat(32));
    let confirmed =
        Confirmed { number: 2, txid: [1; 32], height: 7, block: [2; 32], index: 3, siblings: vec![[4; 32]] };
    let cases = [
        (AnchorEvent::Made(made.clone()), "anchor.made", body.clone()),
        (AnchorEvent::Replaced(made), "anchor.replaced", body),
        (
            AnchorEvent::Confirmed(confirmed),
            "anchor.confirmed",
            format!("{two}{txid}07000000{block}0300000001000000{sibling}"),
        ),
        (
            AnchorEvent::Dropped(Dropped { number: 2, block: [2; 32], height: 7 }),
            "anchor.dropped",
            format!("{two}{block}07000000"),
        ),
    ];
    for (event, kind, body) in cases {
        assert_eq!((event.kind(), hex::encode(event.body())), (kind, body));
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Publish(u64),
    Work,
    /// Work that stops before anything is sent.
    WorkCut,
    Mine(u32, bool),
    Reorg(usize, bool),
    LoseMempool,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => (1u64..5).prop_map(Deed::Publish),
        6 => Just(Deed::Work),
        2 => Just(Deed::WorkCut),
        4 => (1u32..8, any::<bool>()).prop_map(|(blocks, with)| Deed::Mine(blocks, with)),
        2 => (1usize..12, any::<bool>()).prop_map(|(depth, keep)| Deed::Reorg(depth, keep)),
        1 => Just(Deed::LoseMempool),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Whatever comes: one chain of anchors, nothing out that is no fact, and all of it counts in the end.
    #[test]
    fn whatever_happens_there_is_one_chain_of_anchors(deeds in prop::collection::vec(deed(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for deed in deeds {
                match deed {
                    Deed::Publish(facts) => world.publish(facts).await,
                    Deed::Work => world.work().await,
                    Deed::WorkCut => {
                        world.chain.cut.store(true, Ordering::SeqCst);
                        world.work().await;
                        world.chain.cut.store(false, Ordering::SeqCst);
                    }
                    Deed::Mine(blocks, with) => world.chain.mine(blocks, with),
                    Deed::Reorg(depth, keep) => world.chain.reorg(depth, keep),
                    Deed::LoseMempool => world.chain.state().mempool.clear(),
                }
                world.check().await;
            }
            world.settle().await;
        });
    }
}
