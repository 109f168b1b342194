//! The whole regtest network, started.

use tallystick_bitcoin::{RpcClient, RpcConfig, RpcError};

use crate::bitcoind::{Bitcoind, BitcoindError};
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
    /// No Bitcoin Core.
    #[error(transparent)]
    Bitcoind(#[from] BitcoindError),
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
    node: Node,
    miner: Miner,
}

/// What answers the JSON-RPC.
#[derive(Debug)]
enum Node {
    /// The chain of this crate.
    Devnet(ChainServer),
    /// Bitcoin Core itself.
    Core(Bitcoind),
}

impl Node {
    fn rpc_config(&self) -> RpcConfig {
        match self {
            Self::Devnet(server) => server.rpc_config(),
            Self::Core(bitcoind) => bitcoind.rpc_config(),
        }
    }
}

impl RegtestChain {
    /// Starts the chain of this crate on a free port of 127.0.0.1 with a password of its own, and mines
    /// [`REGTEST_BLOCKS_START`] blocks.
    ///
    /// # Errors
    /// [`RegtestError`].
    pub async fn start() -> Result<Self, RegtestError> {
        Self::start_empty().await?.with_blocks().await
    }

    /// The same without any block but the first.
    ///
    /// # Errors
    /// [`RegtestError`].
    pub async fn start_empty() -> Result<Self, RegtestError> {
        let mut secret = [0u8; 16];
        getrandom::fill(&mut secret).map_err(RegtestError::Random)?;
        Self::with_node(Node::Devnet(ChainServer::start(Chain::new(), USER, &hex::encode(secret)).await?))
    }

    /// Starts a real Bitcoin Core ([`Bitcoind::find`]) instead, and mines [`REGTEST_BLOCKS_START`] blocks.
    ///
    /// # Errors
    /// [`RegtestError`].
    pub async fn start_core() -> Result<Self, RegtestError> {
        Self::start_core_empty().await?.with_blocks().await
    }

    /// The same without any block but the first.
    ///
    /// # Errors
    /// [`RegtestError`].
    pub async fn start_core_empty() -> Result<Self, RegtestError> {
        Self::with_node(Node::Core(Bitcoind::start(&Bitcoind::find()?).await?))
    }

    fn with_node(node: Node) -> Result<Self, RegtestError> {
        let miner = Miner::new(RpcClient::try_new(node.rpc_config())?, MINER_SEED);
        Ok(Self { node, miner })
    }

    async fn with_blocks(self) -> Result<Self, RegtestError> {
        self.miner.mine(REGTEST_BLOCKS_START).await?;
        Ok(self)
    }

    /// How a client reaches it.
    #[must_use]
    pub fn rpc_config(&self) -> RpcConfig {
        self.node.rpc_config()
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
        match self.node {
            Node::Devnet(server) => server.stop().await,
            Node::Core(bitcoind) => bitcoind.stop().await,
        }
    }
}
