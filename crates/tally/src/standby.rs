//! What a replica without the Lightning node can do: tell so, and know the height.

use async_trait::async_trait;
use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tallystick_app::{
    App,
    port::{
        operator::{Balances, Channel, NodeInfo, NodeOperator, OpenChannel, Payment},
        rail::{RailError, RailListener, RailNotice},
    },
};
use tallystick_bitcoin::RpcClient;
use tallystick_core::Msat;

/// The operator's side of the Lightning node, wherever it runs: asked here, it answers once the node is here.
pub struct Door {
    app: App,
    /// What is told of the node meanwhile.
    known: NodeInfo,
    node: OnceLock<Arc<dyn NodeOperator>>,
}

impl Door {
    /// A door without a node behind it.
    pub fn new(app: App, known: NodeInfo) -> Self {
        Self { app, known, node: OnceLock::new() }
    }

    /// The node is here. A second one changes nothing.
    pub fn open(&self, node: Arc<dyn NodeOperator>) {
        // There is one node in a process's life.
        let _ = self.node.set(node);
    }

    fn node(&self) -> Result<&dyn NodeOperator, RailError> {
        let elsewhere = || RailError::Unavailable("another replica runs the Lightning node: ask that one".into());
        self.node.get().map(|node| &**node).ok_or_else(elsewhere)
    }
}

#[async_trait]
impl NodeOperator for Door {
    fn info(&self) -> NodeInfo {
        match self.node.get() {
            Some(node) => node.info(),
            None => NodeInfo { height: self.app.height(), ..self.known.clone() },
        }
    }

    async fn balances(&self) -> Result<Balances, RailError> {
        self.node()?.balances().await
    }

    async fn new_address(&self) -> Result<String, RailError> {
        self.node()?.new_address().await
    }

    async fn connect(&self, peer: &str, address: &str) -> Result<(), RailError> {
        self.node()?.connect(peer, address).await
    }

    async fn open_channel(&self, request: OpenChannel) -> Result<String, RailError> {
        self.node()?.open_channel(request).await
    }

    async fn close_channel(&self, channel_id: &str, force: bool) -> Result<(), RailError> {
        self.node()?.close_channel(channel_id, force).await
    }

    async fn channels(&self) -> Vec<Channel> {
        match self.node() {
            Ok(node) => node.channels().await,
            Err(_) => Vec::new(),
        }
    }

    async fn payments(&self, limit: u32) -> Result<Vec<Payment>, RailError> {
        self.node()?.payments(limit).await
    }

    async fn pay_invoice(
        &self,
        bolt11: &str,
        fee_limit: Msat,
        timeout: tallystick_core::Duration,
    ) -> Result<Payment, RailError> {
        self.node()?.pay_invoice(bolt11, fee_limit, timeout).await
    }

    async fn invoice(
        &self,
        amount: Msat,
        description: &str,
        expiry: tallystick_core::Duration,
    ) -> Result<String, RailError> {
        self.node()?.invoice(amount, description, expiry).await
    }
}

/// Tells the app the height of the replica's own chain source, for ever: the rules count blocks on every replica.
pub async fn follow_height(app: &App, rpc: &RpcClient, network: bitcoin::Network, every: Duration) -> Infallible {
    let mut looks = tokio::time::interval(every);
    let mut silent = false;
    loop {
        looks.tick().await;
        match rpc.get_blockchain_info().await {
            Ok(info) if info.network == network => {
                silent = false;
                let height = tallystick_core::BlockHeight(info.blocks);
                if height != app.height() && app.hear(RailNotice::Block { height }).await.is_err() {
                    tracing::warn!("a height could not be told");
                }
            }
            // The first of a row is told.
            Ok(info) => {
                if !std::mem::replace(&mut silent, true) {
                    tracing::error!("the chain source is on {}, the node is configured for {network}", info.network);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut silent, true) {
                    tracing::warn!("the chain source does not answer: {error}");
                }
            }
        }
    }
}
