//! Every new block to everyone who must see it, in a fixed order.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use bitcoin::block::Header;
use bitcoin::{Block, Network};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BestBlock, Listen};
use lightning_block_sync::poll::{ChainPoller, ValidatedBlockHeader};
use lightning_block_sync::{BlockSourceErrorKind, SpvClient};
use tallystick_core::BlockHeight;
use tokio::sync::watch;

use super::{ChainSource, HeaderCache, Pulse};
use crate::ldk::types::{ChainMonitor, ChannelManager, Sweeper};
use crate::wallet::OnchainWallet;

/// Keeps payments from beginning while a block is connected: what must not begin at the new height is stopped before the
/// manager learns of it.
#[derive(Default)]
pub(crate) struct BlockGate(RwLock<()>);

impl BlockGate {
    /// As long as this is held, the height does not change.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Hands blocks on. See the module.
pub(crate) struct Follower {
    pub(crate) monitors: Arc<ChainMonitor>,
    pub(crate) manager: Arc<ChannelManager>,
    pub(crate) sweeper: Arc<Sweeper>,
    pub(crate) wallet: Arc<OnchainWallet>,
    pub(crate) gate: Arc<BlockGate>,
    /// Called with a height before the manager learns of it.
    pub(crate) before: Box<dyn Fn(BlockHeight) + Send + Sync>,
    pub(crate) pulse: Arc<Pulse>,
    /// The height that everyone has seen.
    pub(crate) height: watch::Sender<BlockHeight>,
}

impl Listen for Follower {
    fn block_connected(&self, block: &Block, height: u32) {
        let closed = self.gate.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        (self.before)(BlockHeight(height));
        self.manager.block_connected(block, height);
        drop(closed);
        self.monitors.block_connected(block, height);
        self.sweeper.block_connected(block, height);
        self.wallet.block_connected(block, height);
    }

    fn filtered_block_connected(&self, _: &Header, _: &TransactionData<'_>, height: u32) {
        tracing::error!(height, "the chain source gave a filtered block; it gives whole ones only");
    }

    fn blocks_disconnected(&self, fork: BestBlock) {
        tracing::info!(height = fork.height, "the chain was reorganised");
        self.manager.blocks_disconnected(fork);
        self.monitors.blocks_disconnected(fork);
        self.sweeper.blocks_disconnected(fork);
        self.wallet.blocks_disconnected(fork);
    }
}

impl Follower {
    /// Asks for new blocks until the node stops.
    pub(crate) async fn run(
        self,
        source: Arc<ChainSource>,
        network: Network,
        tip: ValidatedBlockHeader,
        mut headers: HeaderCache,
        poll_interval: std::time::Duration,
    ) {
        let mut client = SpvClient::new(tip, ChainPoller::new(&*source, network), &mut headers, &self);
        let mut ticks = tokio::time::interval(poll_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match client.poll_best_tip().await {
                Ok((_, news)) => {
                    self.pulse.beat();
                    if news {
                        self.tell();
                    }
                }
                Err(error) if error.kind() == BlockSourceErrorKind::Transient => {
                    tracing::warn!(error = %error.into_inner(), "the chain source does not answer; asking again");
                }
                Err(error) => tracing::error!(error = %error.into_inner(), "the chain source answers nonsense"),
            }
        }
    }

    /// Tells the height, once everyone has seen its block.
    pub(crate) fn tell(&self) {
        let height = BlockHeight(self.manager.current_best_block().height);
        self.wallet.save();
        self.height.send_if_modified(|known| std::mem::replace(known, height) != height);
    }
}
