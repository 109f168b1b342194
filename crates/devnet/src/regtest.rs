//! The whole regtest network, started.

use tallystick_bitcoin::{RpcClient, RpcConfig, RpcError};

use crate::chain::Chain;
use crate::miner::{Miner, MinerError};
use crate::rpc::{ChainServer, ServerError};

/// How many blocks are mined at the start: the first ten rewards are mature then.
pub const REGTEST_BLOCKS_START: u32 = 110;

const USER: &str = "devnet";
/// Coins of regtest are worth nothing, so their keys need not be secret, and every run begins alike.
const MINER_SEED: [u8; 32] = *b"tallystick devnet: worthless key";

/// The network could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegtestError {
    /// No port.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// No client.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// No blocks.
    #[error(transparent)]
    Miner(#[from] MinerError),
    /// No random bytes for the password.
    #[error("the system has no random bytes: {0}")]
    Random(getrandom::Error),
}

/// A running regtest network: chain, JSON-RPC and miner. It stops when this is dropped.
#[derive(Debug)]
pub struct RegtestChain {
    server: ChainServer,
    miner: Miner,
}

impl RegtestChain {
    /// Starts on a free port of 127.0.0.1 with a password of its own, and mines [`REGTEST_BLOCKS_START`] blocks.
    ///
    /// # Errors
    /// [`RegtestError`].
    pub async fn start() -> Result<Self, RegtestError> {
        let chain = Self::start_empty().await?;
        chain.miner.mine(REGTEST_BLOCKS_START).await?;
        Ok(chain)
    }

    /// The same without any block but the first.
    ///
    /// # Errors
    /// [`RegtestError`].
    pub async fn start_empty() -> Result<Self, RegtestError> {
        let mut secret = [0u8; 16];
        getrandom::fill(&mut secret).map_err(RegtestError::Random)?;
        let server = ChainServer::start(Chain::new(), USER, &hex::encode(secret)).await?;
        let miner = Miner::new(RpcClient::try_new(server.rpc_config())?, MINER_SEED);
        Ok(Self { server, miner })
    }

    /// How a client reaches it.
    #[must_use]
    pub fn rpc_config(&self) -> RpcConfig {
        self.server.rpc_config()
    }

    /// A client.
    #[must_use]
    pub fn rpc(&self) -> &RpcClient {
        self.miner.rpc()
    }

    /// Blocks, coins and reorganisations on demand.
    #[must_use]
    pub fn miner(&self) -> &Miner {
        &self.miner
    }

    /// Stops it, and waits until its port is free.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
