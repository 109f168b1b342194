//! Transactions on their way to the network.

use std::sync::Arc;

use bitcoin::Transaction;
use lightning::chain::chaininterface::BroadcasterInterface;
use tallystick_bitcoin::{RpcClient, RpcError};
use tokio::sync::mpsc;

use crate::wallet::OnchainWallet;

/// Takes transactions from LDK without waiting. The wallet is told at once, so that it spends none of their coins.
pub(crate) struct Broadcaster {
    queue: mpsc::UnboundedSender<Vec<Transaction>>,
    wallet: Arc<OnchainWallet>,
}

/// Sends what the broadcaster took. LDK offers again what does not confirm.
pub(crate) struct Outgoing {
    queue: mpsc::UnboundedReceiver<Vec<Transaction>>,
    rpc: RpcClient,
}

impl Broadcaster {
    pub(crate) fn new(rpc: RpcClient, wallet: Arc<OnchainWallet>) -> (Self, Outgoing) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { queue: sender, wallet }, Outgoing { queue: receiver, rpc })
    }
}

impl Broadcaster {
    /// Sends transactions again that the wallet knows of.
    pub(crate) fn repeat(&self, txs: Vec<Transaction>) {
        for tx in txs {
            let _ = self.queue.send(vec![tx]);
        }
    }
}

impl BroadcasterInterface for Broadcaster {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        let txs: Vec<Transaction> = txs.iter().map(|tx| (*tx).clone()).collect();
        self.wallet.saw(&txs);
        // The receiver is gone only when the node stops; the next start offers it again.
        let _ = self.queue.send(txs);
    }
}

impl Outgoing {
    /// Sends until the node stops.
    pub(crate) async fn run(mut self) {
        while let Some(txs) = self.queue.recv().await {
            self.send(&txs).await;
        }
    }

    async fn send(&self, txs: &[Transaction]) {
        if txs.len() > 1 {
            match self.rpc.submit_package(txs).await {
                Ok(result) if result.is_success() => return,
                Ok(result) => tracing::debug!(message = %result.package_msg, "a package was refused; sent one by one"),
                Err(error) => tracing::debug!(%error, "a package could not be sent; sent one by one"),
            }
        }
        for tx in txs {
            let txid = tx.compute_txid();
            match self.rpc.send_raw_transaction(tx).await {
                Ok(_) => tracing::debug!(%txid, "sent a transaction"),
                Err(error) if error.is_already_in_chain() => {}
                Err(error @ RpcError::Rpc { .. }) => tracing::info!(%txid, %error, "a transaction was refused"),
                Err(error) => tracing::warn!(%txid, %error, "a transaction could not be sent"),
            }
        }
    }
}
