//! Transactions on their way to the network.

use std::{collections::HashSet, sync::Arc};

use bitcoin::Transaction;
use lightning::chain::chaininterface::BroadcasterInterface;
use tallystick_bitcoin::{RpcClient, RpcError};
use tokio::sync::mpsc;

use crate::{clock::now, wallet::OnchainWallet};

/// Takes transactions from LDK without waiting. The wallet is told at once, so that it spends none of their coins.
pub(crate) struct Broadcaster {
    queue: mpsc::UnboundedSender<Load>,
    wallet: Arc<OnchainWallet>,
}

/// Sends what the broadcaster took. LDK offers again what does not confirm.
pub(crate) struct Outgoing {
    queue: mpsc::UnboundedReceiver<Load>,
    rpc: RpcClient,
    wallet: Arc<OnchainWallet>,
}

/// What is to be sent.
enum Load {
    /// Transactions of LDK's that belong together.
    Package(Vec<Transaction>),
    /// Transactions that the wallet takes for waiting.
    Repeat(Vec<Transaction>),
}

/// What became of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// It is in the mempool or in a block.
    There,
    /// What it spends does not exist, or was spent by another.
    Orphan,
    /// It was not taken for another reason, such as its fee.
    Refused,
}

impl Broadcaster {
    pub(crate) fn new(rpc: RpcClient, wallet: Arc<OnchainWallet>) -> (Self, Outgoing) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { queue: sender, wallet: Arc::clone(&wallet) }, Outgoing { queue: receiver, rpc, wallet })
    }
}

impl Broadcaster {
    /// Sends transactions again that the wallet knows of.
    pub(crate) fn repeat(&self, txs: Vec<Transaction>) {
        let _ = self.queue.send(Load::Repeat(txs));
    }
}

impl BroadcasterInterface for Broadcaster {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        let txs: Vec<Transaction> = txs.iter().map(|tx| (*tx).clone()).collect();
        self.wallet.saw(&txs);
        // The receiver is gone only when the node stops; the next start offers it again.
        let _ = self.queue.send(Load::Package(txs));
    }
}

impl Outgoing {
    /// Sends until the node stops.
    pub(crate) async fn run(mut self) {
        while let Some(load) = self.queue.recv().await {
            match load {
                Load::Package(txs) => self.send(&txs).await,
                Load::Repeat(txs) => self.repeat(txs).await,
            }
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
            self.send_one(tx).await;
        }
    }

    /// Sends what the wallet takes for waiting. What spends from nothing that exists can never confirm, such as the fee
    /// bump of a closing transaction in whose place the peer's own confirmed: the wallet forgets it, and has its coins
    /// back. What spends from one that was refused for another reason waits with it. One that LDK broadcasts meanwhile is
    /// not forgotten.
    async fn repeat(&self, mut txs: Vec<Transaction>) {
        let begun = now();
        let mut waiting = HashSet::new();
        loop {
            let mut orphans = Vec::new();
            let all = txs.len();
            for tx in txs {
                let waits = tx.input.iter().any(|input| waiting.contains(&input.previous_output.txid));
                match self.send_one(&tx).await {
                    Sent::There => {}
                    Sent::Orphan if !waits => orphans.push(tx),
                    Sent::Orphan | Sent::Refused => {
                        waiting.insert(tx.compute_txid());
                    }
                }
            }
            if orphans.len() == all {
                // None of them became a child of another that was sent now.
                return self.wallet.forget(&orphans, begun);
            }
            txs = orphans;
        }
    }

    async fn send_one(&self, tx: &Transaction) -> Sent {
        let txid = tx.compute_txid();
        match self.rpc.send_raw_transaction(tx).await {
            Ok(_) => {
                tracing::debug!(%txid, "sent a transaction");
                return Sent::There;
            }
            Err(error) if error.is_already_in_chain() => return Sent::There,
            Err(error) if error.is_missing_inputs() => {
                tracing::info!(%txid, "a transaction was refused: it spends from nothing that exists");
                return Sent::Orphan;
            }
            Err(error @ RpcError::Rpc { .. }) => tracing::info!(%txid, %error, "a transaction was refused"),
            Err(error) => tracing::warn!(%txid, %error, "a transaction could not be sent"),
        }
        Sent::Refused
    }
}
