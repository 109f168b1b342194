//! Which block is at a height, as the chain source tells.

use async_trait::async_trait;
use bitcoin::hashes::Hash;
use tallystick_app::port::blocks::{Blocks, BlocksError};
use tallystick_bitcoin::RpcClient;
use tallystick_core::{BlockHeight, Digest32};

/// Asks Bitcoin Core for the hashes of blocks.
#[derive(Clone)]
pub struct BlockHashes(RpcClient);

impl BlockHashes {
    /// Asks over this connection.
    pub const fn new(rpc: RpcClient) -> Self {
        Self(rpc)
    }
}

#[async_trait]
impl Blocks for BlockHashes {
    async fn hash_at(&self, height: BlockHeight) -> Result<Digest32, BlocksError> {
        let hash = self.0.get_block_hash(height.0).await.map_err(|error| BlocksError(error.to_string()))?;
        let mut shown = hash.to_byte_array();
        shown.reverse();
        Ok(Digest32(shown))
    }
}
