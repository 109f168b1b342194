//! Blocks and headers for LDK, from the JSON-RPC client.

use std::future::Future;

use bitcoin::{BlockHash, OutPoint};
use lightning::util::native_async::FutureSpawner;
use lightning_block_sync::gossip::UtxoSource;
use lightning_block_sync::{AsyncBlockSourceResult, BlockData, BlockHeaderData, BlockSource, BlockSourceError};
use tallystick_bitcoin::{RpcClient, RpcError};

/// LDK's block source over our client.
pub(crate) struct ChainSource {
    rpc: RpcClient,
}

impl ChainSource {
    pub(crate) fn new(rpc: RpcClient) -> Self {
        Self { rpc }
    }
}

/// A source that lies is worse than one that is silent: only what cannot get better is final.
fn translate(error: RpcError) -> BlockSourceError {
    match error {
        RpcError::Decode { .. } | RpcError::TooLarge { .. } => BlockSourceError::persistent(error),
        other => BlockSourceError::transient(other),
    }
}

impl BlockSource for ChainSource {
    fn get_header<'a>(
        &'a self,
        hash: &'a BlockHash,
        _height: Option<u32>,
    ) -> AsyncBlockSourceResult<'a, BlockHeaderData> {
        Box::pin(async move {
            let info = self.rpc.get_block_header(hash).await.map_err(translate)?;
            Ok(BlockHeaderData { header: info.header, height: info.height, chainwork: info.chain_work })
        })
    }

    fn get_block<'a>(&'a self, hash: &'a BlockHash) -> AsyncBlockSourceResult<'a, BlockData> {
        Box::pin(async move { Ok(BlockData::FullBlock(self.rpc.get_block(hash).await.map_err(translate)?)) })
    }

    fn get_best_block(&self) -> AsyncBlockSourceResult<'_, (BlockHash, Option<u32>)> {
        Box::pin(async move {
            let info = self.rpc.get_blockchain_info().await.map_err(translate)?;
            Ok((info.best_block_hash, Some(info.blocks)))
        })
    }
}

impl UtxoSource for ChainSource {
    fn get_block_hash_by_height<'a>(&'a self, height: u32) -> AsyncBlockSourceResult<'a, BlockHash> {
        Box::pin(async move { self.rpc.get_block_hash(height).await.map_err(translate) })
    }

    fn is_output_unspent<'a>(&'a self, outpoint: OutPoint) -> AsyncBlockSourceResult<'a, bool> {
        Box::pin(async move { Ok(self.rpc.get_tx_out(&outpoint, false).await.map_err(translate)?.is_some()) })
    }
}

/// Runs LDK's look-ups on the node's runtime, from whatever thread they are asked for.
pub(crate) struct Spawner(pub(crate) tokio::runtime::Handle);

impl FutureSpawner for Spawner {
    fn spawn<T: Future<Output = ()> + Send + 'static>(&self, future: T) {
        self.0.spawn(future);
    }
}
