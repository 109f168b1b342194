//! The chain as the rules need it: which block is at a height.

use async_trait::async_trait;
use tallystick_core::{BlockHeight, Code, Coded, Digest32};

/// Tells the hashes of blocks.
#[async_trait]
pub trait Blocks: Send + Sync {
    /// The hash of the block at this height in the best chain, in the order in which it is shown.
    ///
    /// # Errors
    /// [`BlocksError`] if the chain does not answer, or has no such block.
    async fn hash_at(&self, height: BlockHeight) -> Result<Digest32, BlocksError>;
}

/// The chain does not tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain does not tell which block is at a height: {0}")]
pub struct BlocksError(pub String);

impl Coded for BlocksError {
    fn code(&self) -> Code {
        Code("bitcoin.no_block")
    }
}
