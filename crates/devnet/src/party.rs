//! Lightning parties: requesters, workers and routing nodes with a node of their own in this process.

use async_trait::async_trait;
use bitcoin::Network;
use std::{path::PathBuf, sync::Arc};
use tallystick_app::port::{
    operator::{Balances, NodeOperator, OpenChannel, Payment},
    rail::{Heard, NotHeard, RailError, RailListener, RailNotice},
};
use tallystick_bitcoin::{RpcClient, RpcConfig, RpcError};
use tallystick_core::{Duration, Msat, Sat};
use tallystick_lightning::{LightningConfig, LightningError, LightningNode};
use tokio::sync::RwLock;

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
}

/// Somebody with a Lightning node. It can go offline and come back with everything it had.
pub struct Party {
    name: String,
    config: RwLock<LightningConfig>,
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
        let mut config = LightningConfig::new(dir, Network::Regtest, RpcClient::try_new(rpc)?);
        config.alias = name.to_owned();
        config.listen = vec![([127, 0, 0, 1], 0).into()];
        LightningNode::create(&config.data_dir, PASSPHRASE)?;
        let party = Self { name: name.to_owned(), config: RwLock::new(config), node: RwLock::new(None) };
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
            let mut config = self.config.write().await;
            let node = LightningNode::start(config.clone(), PASSPHRASE, Arc::new(Wallet)).await?;
            config.listen = node.listen_addresses().to_vec();
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

    /// Pays an invoice and waits, `timeout` at most; a held payment is still pending then.
    ///
    /// # Errors
    /// [`PartyError`] if the payment cannot begin.
    pub async fn pay(&self, bolt11: &str, fee_limit: Msat, timeout: Duration) -> Result<Payment, PartyError> {
        Ok(self.node().await?.pay_invoice(bolt11, fee_limit, timeout).await?)
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
        let request = OpenChannel {
            peer: peer.to_owned(),
            address: Some(address.to_owned()),
            capacity,
            push,
            announce: false,
        };
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
