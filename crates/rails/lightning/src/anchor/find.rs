//! Where a transaction is. Bitcoin Core has no index of all transactions by default: outputs that are not spent are
//! asked for, then the mempool, and blocks are read only if both know nothing.

use std::sync::{Mutex, PoisonError};

use bitcoin::{Block, BlockHash, OutPoint};
use tallystick_app::port::anchor::Place;
use tallystick_bitcoin::{RpcClient, RpcError};
use tallystick_core::BlockHeight;
use tallystick_log::anchor::{MerklePath, Txid};

/// Blocks that are read, at most: a week of them.
const BLOCKS_MAX: u32 = 1_008;

/// Looks for transactions.
pub(super) struct Finder {
    rpc: RpcClient,
    /// The tip below which blocks were read for some transactions, and none found.
    read: Mutex<Option<(BlockHash, Vec<Txid>)>>,
}

impl Finder {
    pub(super) fn new(rpc: RpcClient) -> Self {
        Self { rpc, read: Mutex::default() }
    }

    /// The first of these that is in the chain, or else in the mempool.
    pub(super) async fn find(&self, txids: &[Txid], since: BlockHeight) -> Result<Place, RpcError> {
        for txid in txids {
            if let Some(output) = self.rpc.get_tx_out(&OutPoint { txid: *txid, vout: 0 }, false).await? {
                let tip = self.rpc.get_block_header(&output.best_block).await?.height;
                let height = (tip + 1).saturating_sub(output.confirmations);
                let hash = self.rpc.get_block_hash(height).await?;
                // Nowhere, if the chain has changed in between: the next look sees it.
                return Ok(within(&self.rpc.get_block(&hash).await?, height, txids).unwrap_or(Place::Nowhere));
            }
        }
        for txid in txids {
            match self.rpc.get_mempool_entry(txid).await {
                Ok(_) => return Ok(Place::Mempool { txid: *txid }),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        self.read_blocks(txids, since).await
    }

    async fn read_blocks(&self, txids: &[Txid], since: BlockHeight) -> Result<Place, RpcError> {
        let info = self.rpc.get_blockchain_info().await?;
        let key = (info.best_block_hash, txids.to_vec());
        if self.read.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&key) {
            return Ok(Place::Nowhere);
        }
        let (mut hash, mut height) = (info.best_block_hash, info.blocks);
        let lowest = since.0.max(info.blocks.saturating_sub(BLOCKS_MAX));
        while height >= lowest {
            let block = self.rpc.get_block(&hash).await?;
            if let Some(place) = within(&block, height, txids) {
                return Ok(place);
            }
            let Some(below) = height.checked_sub(1) else { break };
            (hash, height) = (block.header.prev_blockhash, below);
        }
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(Place::Nowhere)
    }
}

/// Where one of these transactions is in a block.
fn within(block: &Block, height: u32, txids: &[Txid]) -> Option<Place> {
    let all: Vec<Txid> = block.txdata.iter().map(bitcoin::Transaction::compute_txid).collect();
    let (index, txid) = all.iter().enumerate().find(|(_, txid)| txids.contains(txid))?;
    let path = MerklePath::of(&all, index).ok()?;
    Some(Place::Block { txid: *txid, block: block.block_hash(), height: BlockHeight(height), path })
}
