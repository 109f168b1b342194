//! The node: started, asked, stopped.

mod balances;
mod build;
mod crew;
pub(crate) mod engine;
mod holds;
mod operator;
mod paid;
mod payouts;
mod rail;
mod reserve;
mod start;
mod tasks;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bitcoin::secp256k1::PublicKey;
use tallystick_app::port::anchor::AnchorRail;
use tallystick_app::port::operator::NodeInfo;
use tallystick_app::port::rail::{RailError, RailListener};
use tallystick_core::{BlockHeight, Blocks, Duration, Msat, NodeKey};
use tallystick_postgres::PostgresOptions;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::anchor::AnchorWallet;
use crate::ldk::types::PeerManager;
use crate::peers::Peers;
use crate::secret::{self, RootKeys, Seed};
use crate::{Database, LightningConfig, LightningError};
use engine::Engine;
pub use paid::PaidReader;
use tasks::Tasks;

/// A running Lightning node. Clones are handles to the same node.
///
/// Dropping the handles does not stop it; [`Self::shutdown`] does. A process that is killed instead loses nothing that
/// was acknowledged.
#[derive(Clone)]
pub struct LightningNode {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    peer_manager: Arc<PeerManager>,
    peers: Arc<Peers>,
    tasks: Tasks,
    node_key: NodeKey,
    anchors: Arc<AnchorWallet>,
    alias: String,
    listen: Vec<SocketAddr>,
    /// The height that everyone in the node has seen.
    height: watch::Receiver<BlockHeight>,
    failed: watch::Receiver<bool>,
}

/// A node whose seed is open, before it starts.
pub struct OpenedNode {
    config: LightningConfig,
    root: RootKeys,
    birth: Option<u32>,
}

impl OpenedNode {
    /// The key that the node signs its own facts with (BIP 340), from the same seed.
    #[must_use]
    pub fn node_key(&self) -> NodeKey {
        self.root.node_key()
    }

    /// The 32 bytes that the key of the node's log is made from (Ed25519), from the same seed.
    #[must_use]
    pub fn log_seed(&self) -> Zeroizing<[u8; 32]> {
        self.root.log_seed()
    }

    /// What can be told of the node before it starts: its key, its name, its network.
    #[must_use]
    pub fn info(&self) -> NodeInfo {
        let node_id = paid::node_id(&self.root).map(|key| key.to_string()).unwrap_or_default();
        NodeInfo {
            node_id,
            alias: self.config.alias.clone(),
            network: operator::network_name(self.config.network),
            height: BlockHeight(0),
            block_hash: String::new(),
            listen: Vec::new(),
            peers: 0,
            usable_channels: 0,
        }
    }

    /// Keeps channels and payments here instead of where the configuration says: for a database whose lease is taken
    /// after the seed was opened.
    #[must_use]
    pub fn on(mut self, database: Database) -> Self {
        self.config.database = database;
        self
    }

    /// Reads invoices without a running node, as any replica can; what was paid is read from the database.
    ///
    /// # Errors
    /// [`LightningError::Store`] if the database does not answer.
    pub async fn paid_reader(&self, options: &PostgresOptions) -> Result<PaidReader, LightningError> {
        PaidReader::open(&self.root, self.config.network, options).await
    }

    /// Starts: opens the database, catches up with the chain, claims what an earlier run could not any more, and begins
    /// to take connections. Notices go to the listener, those of an earlier run first.
    ///
    /// # Errors
    /// [`LightningError`], each with its own code: directory in use, no chain source, damaged database.
    pub async fn start(self, listener: Arc<dyn RailListener>) -> Result<LightningNode, LightningError> {
        // Its state is large, and started once.
        Box::pin(start::start(self, listener)).await
    }
}

impl LightningNode {
    /// Makes the seed of a new node in this directory, sealed with the passphrase. Takes a moment, and blocks.
    ///
    /// # Errors
    /// [`LightningError::SeedExists`] if there is one; others if it cannot be written.
    pub fn create(data_dir: &Path, passphrase: &str) -> Result<(), LightningError> {
        secret::create(data_dir, passphrase, &Seed::random()?)
    }

    /// Makes a node's directory from the seed of an earlier one. The on-chain money comes back with it, as far as it was
    /// paid at block `birth` or later: its first start reads all blocks from there. Channels are in the database alone.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn restore(data_dir: &Path, passphrase: &str, seed: [u8; 32], birth: u32) -> Result<(), LightningError> {
        secret::create(data_dir, passphrase, &Seed::restored(seed, birth))
    }

    /// The seed, for its owner to write down: whoever reads it owns the node's money. Takes a moment, and blocks.
    ///
    /// # Errors
    /// [`LightningError`]: wrong passphrase, or no seed.
    pub fn reveal_seed(data_dir: &Path, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, LightningError> {
        Ok(secret::open(data_dir, passphrase)?.into_bytes())
    }

    /// The node's own key, and the 32 bytes that its log's key is made from: what the seed tells without a chain source
    /// and without a database. Takes a moment, and blocks.
    ///
    /// # Errors
    /// As [`Self::reveal_seed`].
    pub fn keys(data_dir: &Path, passphrase: &str) -> Result<(NodeKey, Zeroizing<[u8; 32]>), LightningError> {
        // Private keys are the same on every network.
        let root = RootKeys::new(&secret::open(data_dir, passphrase)?, bitcoin::Network::Bitcoin);
        Ok((root.node_key(), root.log_seed()))
    }

    /// Opens a node's seed. Takes a moment: guessing passphrases must be slow.
    ///
    /// # Errors
    /// [`LightningError`]: wrong passphrase, no seed, or a configuration that makes no sense.
    pub async fn open(config: LightningConfig, passphrase: &str) -> Result<OpenedNode, LightningError> {
        start::open(config, passphrase).await
    }

    /// Opens and starts a node, for those who do not need its key before.
    ///
    /// # Errors
    /// As [`Self::open`] and [`OpenedNode::start`].
    pub async fn start(
        config: LightningConfig,
        passphrase: &str,
        listener: Arc<dyn RailListener>,
    ) -> Result<Self, LightningError> {
        Self::open(config, passphrase).await?.start(listener).await
    }

    /// Stops: takes no more work, leaves its peers, and writes everything. All handles are useless afterwards.
    pub async fn shutdown(&self) {
        self.inner.tasks.stop();
        self.inner.tasks.join().await;
        self.inner.peer_manager.disconnect_all_peers();
        let engine = Arc::clone(&self.inner.engine);
        if tokio::task::spawn_blocking(move || engine.store.close()).await.is_err() {
            tracing::error!("the database could not be closed in order");
        }
    }

    /// Waits until the node fails: its database does not take writes any more, or a part of it ended. Nothing leaves the
    /// node from then on; it must be shut down, mended and started again.
    pub async fn failed(&self) {
        let mut failed = self.inner.failed.clone();
        // The sender lives as long as the node.
        let _ = failed.wait_for(|failed| *failed).await;
    }

    /// The Lightning node's public key.
    #[must_use]
    pub fn node_id(&self) -> PublicKey {
        self.inner.engine.manager.get_our_node_id()
    }

    /// The key that the node signs its own facts with (BIP 340), from the same seed.
    #[must_use]
    pub fn node_key(&self) -> &NodeKey {
        &self.inner.node_key
    }

    /// What anchors the log in Bitcoin, with the node's wallet and its chain source.
    #[must_use]
    pub fn anchors(&self) -> Arc<dyn AnchorRail> {
        Arc::clone(&self.inner.anchors) as _
    }

    /// Makes an invoice that the node settles by itself, and that asks for `final_cltv_delta` blocks.
    ///
    /// # Errors
    /// [`RailError::Refused`] if the description, the expiry or the delta is too long.
    pub fn invoice_with_delta(
        &self,
        amount: Msat,
        description: &str,
        expiry: Duration,
        final_cltv_delta: Blocks,
    ) -> Result<String, RailError> {
        self.inner.engine.make_invoice(None, amount, description, expiry, Some(final_cltv_delta))
    }

    /// Where it takes connections, with the ports that were really taken.
    #[must_use]
    pub fn listen_addresses(&self) -> &[SocketAddr] {
        &self.inner.listen
    }
}

impl std::fmt::Debug for LightningNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LightningNode({})", self.node_id())
    }
}
