//! Lightning parties: requesters, workers and routing nodes with a node of their own in this process.

mod network;

use async_trait::async_trait;
use bitcoin::Network;
use std::{path::PathBuf, sync::Arc};
use tallystick_app::port::{
    operator::{Balances, NodeOperator, OpenChannel, Payment},
    rail::{Heard, NotHeard, RailError, RailListener, RailNotice},
};
use tallystick_bitcoin::{RpcClient, RpcConfig, RpcError};
use tallystick_core::{Blocks, Duration, Msat, Sat};
use tallystick_lightning::{LightningConfig, LightningError, LightningNode, payment_proofs};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

pub use network::{ChannelPlan, Devnet, wait_until};

use crate::miner::MinerError;
use crate::ports::free_port;
use crate::regtest::RegtestError;

/// Parties live for one run: their seeds need no secret passphrase.
const PASSPHRASE: &str = "devnet";

/// What a party cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartyError {
    /// It went offline.
    #[error("{0} is offline")]
    Offline(String),
    /// Its node cannot start.
    #[error(transparent)]
    Node(#[from] LightningError),
    /// Its node refuses.
    #[error(transparent)]
    Rail(#[from] RailError),
    /// The chain cannot be reached.
    #[error(transparent)]
    Chain(#[from] RpcError),
    /// The miner failed.
    #[error(transparent)]
    Miner(#[from] MinerError),
    /// The chain cannot start.
    #[error(transparent)]
    Regtest(#[from] RegtestError),
    /// A directory cannot be made.
    #[error("no directory for a party: {0}")]
    Directory(#[from] std::io::Error),
    /// Nobody has this name.
    #[error("there is no party {0}")]
    Absent(String),
    /// What was waited for did not come.
    #[error("waited too long for {0}")]
    TooLong(String),
}

/// How a party is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartyOptions {
    /// Whether it forwards payments of others.
    pub forward: bool,
}

/// Somebody with a Lightning node. It can go offline and come back with everything it had.
pub struct Party {
    name: String,
    config: LightningConfig,
    node: RwLock<Option<LightningNode>>,
}

/// A party knows no hold: what arrives on a hash that is not its own goes back.
struct Wallet;

#[async_trait]
impl RailListener for Wallet {
    async fn hear(&self, notice: RailNotice) -> Result<Heard, NotHeard> {
        Ok(match notice {
            RailNotice::HoldLocked { .. } => Heard::Unknown,
            _ => Heard::Noted,
        })
    }
}

impl Party {
    /// Makes a party's node in `dir` and starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`PartyError`] if it cannot start.
    pub async fn start(name: &str, dir: PathBuf, rpc: RpcConfig) -> Result<Self, PartyError> {
        Self::start_with(name, dir, rpc, PartyOptions::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// [`PartyError`] if it cannot start.
    pub async fn start_with(
        name: &str,
        dir: PathBuf,
        rpc: RpcConfig,
        options: PartyOptions,
    ) -> Result<Self, PartyError> {
        let mut config = LightningConfig::new(dir, Network::Regtest, RpcClient::try_new(rpc)?);
        config.alias = name.to_owned();
        config.listen = vec![free_port()?];
        config.forward = options.forward;
        config.accept_without_reserve = true;
        let dir = config.data_dir.clone();
        // Sealing the seed takes a good part of a second.
        tokio::task::spawn_blocking(move || LightningNode::create(&dir, PASSPHRASE))
            .await
            .map_err(std::io::Error::other)??;
        let party = Self { name: name.to_owned(), config, node: RwLock::new(None) };
        party.come_back().await?;
        Ok(party)
    }

    /// The party's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stops the node; its directory stays.
    pub async fn go_offline(&self) {
        if let Some(node) = self.node.write().await.take() {
            node.shutdown().await;
        }
    }

    /// Starts the node again, at the address that it had.
    ///
    /// # Errors
    /// [`PartyError`] if it cannot start.
    pub async fn come_back(&self) -> Result<(), PartyError> {
        let mut slot = self.node.write().await;
        if slot.is_none() {
            let node = LightningNode::start(self.config.clone(), PASSPHRASE, Arc::new(Wallet)).await?;
            *slot = Some(node);
        }
        Ok(())
    }

    /// The node, for everything that an operator can do.
    ///
    /// # Errors
    /// [`PartyError::Offline`].
    pub async fn node(&self) -> Result<LightningNode, PartyError> {
        self.node.read().await.clone().ok_or_else(|| PartyError::Offline(self.name.clone()))
    }

    /// Public key and `host:port`.
    ///
    /// # Errors
    /// [`PartyError::Offline`].
    pub async fn address(&self) -> Result<(String, String), PartyError> {
        let node = self.node().await?;
        let address = node.listen_addresses().first().map(ToString::to_string).unwrap_or_default();
        Ok((node.node_id().to_string(), address))
    }

    /// An invoice that the party settles by itself.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn invoice(&self, amount: Msat, expiry: Duration) -> Result<String, PartyError> {
        Ok(self.node().await?.invoice(amount, &self.name, expiry).await?)
    }

    /// The same, asking for more blocks than usual on the last hop.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn invoice_with_delta(
        &self,
        amount: Msat,
        expiry: Duration,
        final_cltv_delta: Blocks,
    ) -> Result<String, PartyError> {
        Ok(self.node().await?.invoice_with_delta(amount, &self.name, expiry, final_cltv_delta)?)
    }

    /// Pays an invoice and waits, `timeout` at most; a held payment is still pending then.
    ///
    /// # Errors
    /// [`PartyError`] if the payment cannot begin.
    pub async fn pay(&self, bolt11: &str, fee_limit: Msat, timeout: Duration) -> Result<Payment, PartyError> {
        Ok(self.node().await?.pay_invoice(bolt11, fee_limit, timeout).await?)
    }

    /// Begins to pay an invoice; the task waits as [`Self::pay`] does.
    ///
    /// # Errors
    /// [`PartyError::Offline`].
    pub async fn pay_async(
        &self,
        bolt11: &str,
        fee_limit: Msat,
        timeout: Duration,
    ) -> Result<JoinHandle<Result<Payment, PartyError>>, PartyError> {
        let (node, bolt11) = (self.node().await?, bolt11.to_owned());
        Ok(tokio::spawn(async move { Ok(node.pay_invoice(&bolt11, fee_limit, timeout).await?) }))
    }

    /// The preimages that this party learned by paying, so that a test can look for them where they must not be.
    ///
    /// # Errors
    /// [`PartyError::Node`] if its files cannot be read.
    pub async fn revealed_preimages(&self) -> Result<Vec<Zeroizing<[u8; 32]>>, PartyError> {
        let dir = self.config.data_dir.clone();
        let proofs = tokio::task::spawn_blocking(move || payment_proofs(&dir, PASSPHRASE));
        let proofs = proofs.await.map_err(std::io::Error::other)??;
        Ok(proofs.into_iter().map(|proof| proof.preimage).collect())
    }

    /// Begins to open a channel to another node.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn open_channel(
        &self,
        (peer, address): (&str, &str),
        capacity: Sat,
        push: Msat,
    ) -> Result<String, PartyError> {
        let (peer, address) = (peer.to_owned(), Some(address.to_owned()));
        let request = OpenChannel { peer, address, capacity, push, announce: false, key: None };
        Ok(self.node().await?.open_channel(request).await?)
    }

    /// The party's money.
    ///
    /// # Errors
    /// [`PartyError`].
    pub async fn balances(&self) -> Result<Balances, PartyError> {
        Ok(self.node().await?.balances().await?)
    }
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Party({})", self.name)
    }
}
