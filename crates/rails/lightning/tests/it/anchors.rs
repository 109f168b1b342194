//! Anchors end to end: a journal's checkpoints in real blocks, on the devnet and on Bitcoin Core.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bitcoin::consensus::serialize;
use bitcoin::{Address, CompactTarget, Network};
use serde_json::json;
use tallystick_app::anchor::{AnchorPolicy, AnchorWorker, Anchors, event::STREAM, export};
use tallystick_app::log::{LogConfig, LogReader, LogWorker};
use tallystick_app::port::anchor::{AnchorOrder, AnchorRail, AnchorRailError, Place, Sent, SignedAnchor};
use tallystick_app::port::journal::Journal;
use tallystick_app::port::operator::NodeOperator;
use tallystick_app::{App, Parts};
use tallystick_core::{BlockHeight, Blocks, Duration, NodeKey};
use tallystick_devnet::{Branch, RegtestChain, wait_until};
use tallystick_lightning::{LightningConfig, LightningNode};
use tallystick_log::anchor::{AnchorChain, BlockHash, Headers, OtsFile, Target, Txid};
use tallystick_log::{KeyKind, KeyName, SigningKey};
use tallystick_testkit::{ManualClock, MemoryStore, escrow, store_suite::fixture};

use crate::stage::PASSPHRASE;

const COIN_SAT: u64 = 1_000_000;
const BUMP: Blocks = Blocks(3);

/// A node with a journal, on a chain.
struct Site {
    chain: RegtestChain,
    config: LightningConfig,
    node: LightningNode,
    app: App,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    worker: AnchorWorker,
    facts: u64,
    _dir: tempfile::TempDir,
}

fn app(store: &Arc<MemoryStore>, clock: &Arc<ManualClock>) -> App {
    App::new(Parts {
        journal: Arc::clone(store) as _,
        log: Arc::clone(store) as _,
        tasks: Arc::clone(store) as _,
        clock: Arc::clone(clock) as _,
        key: NodeKey::try_new(&[8; 32]).unwrap(),
        policy: escrow::policy(),
    })
}

fn policy() -> AnchorPolicy {
    AnchorPolicy { facts_max: 1, bump_blocks: BUMP, ..AnchorPolicy::default() }
}

impl Site {
    async fn on(chain: RegtestChain) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = LightningConfig::new(dir.path().to_owned(), Network::Regtest, chain.rpc().clone());
        LightningNode::create(&config.data_dir, PASSPHRASE).unwrap();
        let (store, clock) = (Arc::new(MemoryStore::new()), ManualClock::new(escrow::NOW));
        let app = app(&store, &clock);
        let node = LightningNode::start(config.clone(), PASSPHRASE, Arc::new(app.clone())).await.unwrap();
        app.connect(Arc::new(node.clone()), Arc::new(node.clone()));
        let worker = worker(&app, node.anchors());
        let site = Self { chain, config, node, app, store, clock, worker, facts: 0, _dir: dir };
        let address: Address<_> = site.node.new_address().await.unwrap().parse().unwrap();
        let coin = bitcoin::Amount::from_sat(COIN_SAT);
        site.chain.miner().faucet(&address.assume_checked(), coin).await.unwrap();
        site.mine(6).await;
        site
    }

    /// What a crash leaves: the journal and the node's directory.
    async fn start_again(&mut self) {
        self.node.shutdown().await;
        self.app = app(&self.store, &self.clock);
        let listener = Arc::new(self.app.clone());
        self.node = LightningNode::start(self.config.clone(), PASSPHRASE, listener).await.unwrap();
        self.app.connect(Arc::new(self.node.clone()), Arc::new(self.node.clone()));
        self.worker = worker(&self.app, self.node.anchors());
        self.seen().await;
    }

    async fn seen(&self) {
        let (hash, height) = {
            let info = self.chain.rpc().get_blockchain_info().await.unwrap();
            (info.best_block_hash.to_string(), BlockHeight(info.blocks))
        };
        wait_until("the node to see the block", async || {
            Ok(self.node.info().block_hash == hash && self.app.height() == height)
        })
        .await
        .unwrap();
    }

    async fn mine(&self, blocks: u32) {
        self.chain.miner().mine(blocks).await.unwrap();
        self.seen().await;
    }

    /// Mines blocks without any transaction.
    async fn mine_empty(&self, blocks: u32) {
        let address = self.node.new_address().await.unwrap();
        for _ in 0..blocks {
            let _: serde_json::Value = self.chain.rpc().call("generateblock", json!([address, []])).await.unwrap();
        }
        self.seen().await;
    }

    async fn reorg(&self, depth: u32) {
        self.chain.miner().reorg(depth, depth + 1, Branch::Empty).await.unwrap();
        self.seen().await;
    }

    /// Something happens, and a checkpoint of it is published.
    async fn publish(&mut self) {
        self.store.append(fixture::append(self.facts, 0)).await.unwrap();
        self.facts += 1;
        let key = SigningKey::try_from_seed(KeyName::try_new("node.example/log").unwrap(), KeyKind::Note, &[7; 32]);
        let interval = Duration::from_secs(1);
        let config = LogConfig { key: key.unwrap(), interval, witnesses: Vec::new(), witnesses_needed: 0 };
        let mut log = LogWorker::try_new(Arc::clone(&self.store) as _, Arc::clone(&self.store) as _, config).unwrap();
        assert_eq!(log.run_once().await, Ok(true));
    }

    async fn work(&mut self) -> Vec<String> {
        self.worker.run_once().await.unwrap();
        self.kinds().await
    }

    async fn kinds(&self) -> Vec<String> {
        self.store.stream(STREAM, 0).await.unwrap().into_iter().map(|fact| fact.kind).collect()
    }

    async fn mempool(&self) -> Vec<Txid> {
        self.chain.rpc().get_raw_mempool().await.unwrap()
    }

    async fn anchors(&self) -> Anchors {
        let mut anchors = Anchors::default();
        anchors.follow(&self.store.stream(STREAM, 0).await.unwrap()).unwrap();
        anchors
    }

    fn newest(anchors: &Anchors) -> Txid {
        anchors.all().last().unwrap().versions.last().unwrap().txid
    }

    /// Everything that a stranger can check, from the genesis outpoint and headers alone.
    async fn verify(&self) -> u64 {
        let anchors = self.anchors().await;
        let tip = self.chain.rpc().get_block_count().await.unwrap();
        let mut bytes = Vec::new();
        for height in 0..=tip {
            let hash = self.chain.rpc().get_block_hash(height).await.unwrap();
            bytes.extend(serialize(&self.chain.rpc().get_block_header(&hash).await.unwrap().header));
        }
        let easiest = Target::from(CompactTarget::from_consensus(0x207f_ffff));
        let headers = Headers::parse(0, &bytes, easiest).unwrap();
        let mut chain = AnchorChain::new(anchors.genesis().unwrap());
        let log = LogReader::new(Arc::clone(&self.store) as _, Arc::clone(&self.store) as _);
        let mut before = None;
        for anchor in anchors.all() {
            let size = anchor.confirmed_version().unwrap().size;
            let history = match before.replace(size) {
                Some(before) => log.consistency(before, size).await.unwrap(),
                None => Vec::new(),
            };
            let exported = export(anchor).unwrap();
            let proof = tallystick_log::anchor::AnchorProof::parse(&exported.proof).unwrap();
            let anchored = chain.extend(&exported.checkpoint, &proof, &history, &headers).unwrap();
            let ots = OtsFile::parse(&exported.ots).unwrap();
            let (height, _) = ots.verify(exported.checkpoint.as_bytes(), &headers).unwrap();
            assert_eq!(height, anchored.height);
        }
        chain.number()
    }

    async fn stop(self) {
        self.node.shutdown().await;
        self.chain.stop().await;
    }
}

fn worker(app: &App, rail: Arc<dyn AnchorRail>) -> AnchorWorker {
    AnchorWorker::new(app.clone(), rail, policy(), Duration::from_secs(1))
}

async fn a_story_of_anchors(chain: RegtestChain) {
    let mut site = Site::on(chain).await;
    assert!(site.work().await.is_empty(), "no checkpoint, no anchor");
    site.publish().await;
    assert_eq!(site.work().await, ["anchor.made"]);
    let first = Site::newest(&site.anchors().await);
    assert_eq!(site.mempool().await, [first]);
    assert_eq!(site.work().await, ["anchor.made"], "it waits");
    site.mine(5).await;
    assert_eq!(site.work().await, ["anchor.made"], "five blocks are too few");
    site.mine(1).await;
    assert_eq!(site.work().await, ["anchor.made", "anchor.confirmed"]);
    assert_eq!(site.verify().await, 1);
    // Its own facts are no reason for another one.
    let before = site.facts;
    site.publish().await;
    site.facts = before;
    assert_eq!(site.work().await.len(), 3);
    site.facts = before + 1;
    let second = Site::newest(&site.anchors().await);

    // Nobody takes it: the fee rises, and the seal pays.
    site.mine_empty(BUMP.0).await;
    assert_eq!(site.work().await[2..], ["anchor.made", "anchor.replaced"]);
    let anchors = site.anchors().await;
    let [old, new] = anchors.all()[1].versions.as_slice() else { panic!("two versions") };
    assert_eq!((old.txid, old.anchor.seal()), (second, new.anchor.seal()));
    assert!(new.fee > old.fee && new.seal_value < old.seal_value);
    assert_eq!(site.mempool().await, [new.txid], "it took the other's place");

    // A reorganisation of three blocks drops it.
    site.mine(3).await;
    site.reorg(3).await;
    site.work().await;
    assert_eq!(site.mempool().await, [Site::newest(&site.anchors().await)]);
    site.mine(6).await;
    assert_eq!(site.work().await.last().unwrap(), "anchor.confirmed");
    assert_eq!(site.verify().await, 2);

    // One of more than six drops what counted. It is told, and sent again.
    site.reorg(7).await;
    assert!(site.work().await.contains(&"anchor.dropped".to_owned()));
    assert!(!site.mempool().await.is_empty());
    site.mine(6).await;
    assert_eq!(site.work().await.last().unwrap(), "anchor.confirmed");
    site.publish().await;
    site.work().await;
    site.mine(6).await;
    site.work().await;
    assert_eq!(site.verify().await, 3);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anchors_on_the_devnet() {
    a_story_of_anchors(RegtestChain::start().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anchors_on_bitcoin_core() {
    a_story_of_anchors(RegtestChain::start_core().await.unwrap()).await;
}

/// Stops after so many calls outward, as a crash does.
struct Mortal {
    inner: Arc<dyn AnchorRail>,
    signs: Mutex<u32>,
    sends: Mutex<u32>,
}

impl Mortal {
    fn take(left: &Mutex<u32>) -> Result<(), AnchorRailError> {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.checked_sub(1).ok_or_else(|| AnchorRailError::Unavailable("the end".to_owned()))?;
        Ok(())
    }
}

#[async_trait]
impl AnchorRail for Mortal {
    async fn sign(&self, order: &AnchorOrder) -> Result<SignedAnchor, AnchorRailError> {
        Self::take(&self.signs)?;
        self.inner.sign(order).await
    }

    async fn send(&self, tx: &[u8]) -> Result<Sent, AnchorRailError> {
        Self::take(&self.sends)?;
        self.inner.send(tx).await
    }

    async fn find(&self, txids: &[Txid], since: BlockHeight) -> Result<Place, AnchorRailError> {
        self.inner.find(txids, since).await
    }

    async fn block_at(&self, height: BlockHeight) -> Result<Option<BlockHash>, AnchorRailError> {
        self.inner.block_at(height).await
    }

    async fn tip(&self) -> Result<BlockHeight, AnchorRailError> {
        self.inner.tip().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_between_fact_and_broadcast_leads_to_the_same_anchors() {
    let mut site = Site::on(RegtestChain::start().await.unwrap()).await;
    for number in 1..=3 {
        site.publish().await;
        let rail = Mortal { inner: site.node.anchors(), signs: Mutex::new(1), sends: Mutex::new(0) };
        let error = worker(&site.app, Arc::new(rail)).run_once().await.unwrap_err();
        assert!(error.to_string().ends_with("the end"), "{error}");
        let made = Site::newest(&site.anchors().await);
        assert!(site.mempool().await.is_empty(), "the fact comes before the broadcast");
        // A second one at the same time decides on the same facts.
        site.start_again().await;
        site.work().await;
        assert_eq!(site.mempool().await, [made]);
        // A replacement that was recorded, and never sent.
        site.mine_empty(BUMP.0).await;
        let rail = Mortal { inner: site.node.anchors(), signs: Mutex::new(1), sends: Mutex::new(0) };
        worker(&site.app, Arc::new(rail)).run_once().await.unwrap_err();
        let replaced = Site::newest(&site.anchors().await);
        assert!(replaced != made && site.mempool().await == [made]);
        if number == 2 {
            // The one that was out wins: the next anchor is built on it.
            site.mine(6).await;
            site.start_again().await;
        } else {
            site.start_again().await;
            site.work().await;
            assert_eq!(site.mempool().await, [replaced]);
            site.mine(6).await;
        }
        assert_eq!(site.work().await.last().unwrap(), "anchor.confirmed");
        assert_eq!(site.verify().await, number);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_without_coins_waits() {
    let chain = RegtestChain::start().await.unwrap();
    let mut site = Site::on(chain).await;
    let spent = AnchorPolicy { fee_rate_max_sat_vb: 1, ..policy() };
    site.publish().await;
    let mut thrifty = AnchorWorker::new(site.app.clone(), site.node.anchors(), spent, Duration::from_secs(1));
    let error = thrifty.run_once().await.unwrap_err();
    assert!(error.to_string().contains("sat/vB"), "{error}");
    assert!(site.kinds().await.is_empty());
    // The money that anchoring leaves alone is all there.
    assert_eq!(site.node.balances().await.unwrap().onchain_confirmed.get(), COIN_SAT);
    site.work().await;
    site.mine(6).await;
    site.work().await;
    let anchors = site.anchors().await;
    let version = anchors.all()[0].confirmed_version().unwrap();
    let left = site.node.balances().await.unwrap().onchain_confirmed.get();
    assert_eq!(left + version.seal_value.get() + version.fee.get(), COIN_SAT);
    site.stop().await;
}
