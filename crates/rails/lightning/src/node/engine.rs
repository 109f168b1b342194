//! What events and calls work on.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::Network;
use lightning::events::bump_transaction::Wallet as BumpWallet;
use lightning::ln::channelmanager::RecentPaymentDetails;
use tallystick_app::port::operator::PaymentStatus;
use tallystick_app::port::rail::{PayFailure, RailError};
use tallystick_core::{BlockHeight, Msat};
use tokio::sync::{Notify, watch};

use super::build::{Ground, Parts};
use crate::chain::{BlockGate, Fees, Pulse};
use crate::clock::now;
use crate::ldk::types::{Bumper, ChainMonitor, ChannelManager, Sweeper};
use crate::secret::{RootKeys, Sealer};
use crate::store::{Kind, PaymentRow, Store, StoreDown, Write};
use crate::wallet::OnchainWallet;
use crate::{LightningConfig, LightningError};

/// The running parts.
pub(crate) struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) manager: Arc<ChannelManager>,
    pub(crate) monitors: Arc<ChainMonitor>,
    pub(crate) wallet: Arc<OnchainWallet>,
    pub(crate) sweeper: Arc<Sweeper>,
    pub(crate) bumper: Bumper,
    pub(crate) fees: Arc<Fees>,
    pub(crate) sealer: Sealer,
    pub(crate) network: Network,
    pub(crate) accept_without_reserve: bool,
    pub(crate) gate: Arc<BlockGate>,
    pub(crate) pulse: Arc<Pulse>,
    /// Held over "is the preimage known?" and what follows from the answer: a hold is either claimed or given back.
    pub(crate) settling: Mutex<()>,
    /// Payments that were asked for in an earlier run and never reached LDK: only they may be begun again.
    pub(crate) never_begun: Mutex<HashSet<[u8; 32]>>,
    pub(crate) turns: Turns,
    /// Counts ends of outbound payments, for those who wait for one.
    pub(crate) ended: watch::Sender<u64>,
}

impl Engine {
    pub(super) fn new(config: &LightningConfig, root: &RootKeys, ground: &Ground, parts: &Parts) -> Self {
        let coins = BumpWallet::new(Arc::clone(&ground.wallet), Arc::clone(&ground.logger));
        let (broadcaster, keys) = (Arc::clone(&ground.broadcaster), Arc::clone(&ground.keys));
        Self {
            store: Arc::clone(&ground.store),
            manager: Arc::clone(&parts.manager),
            monitors: Arc::clone(&parts.monitors),
            wallet: Arc::clone(&ground.wallet),
            sweeper: Arc::clone(&parts.sweeper),
            bumper: Bumper::new(broadcaster, Arc::new(coins), keys, Arc::clone(&ground.logger)),
            fees: Arc::clone(&ground.fees),
            sealer: root.sealer(),
            network: config.network,
            accept_without_reserve: config.accept_without_reserve,
            gate: Arc::new(BlockGate::default()),
            pulse: Arc::new(Pulse::new(config.chain_silence_max)),
            settling: Mutex::new(()),
            never_begun: Mutex::new(HashSet::new()),
            turns: Turns::default(),
            ended: watch::Sender::new(0),
        }
    }

    pub(crate) fn settling(&self) -> MutexGuard<'_, ()> {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn never_begun(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.never_begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The height that LDK has processed.
    pub(crate) fn height(&self) -> BlockHeight {
        BlockHeight(self.manager.current_best_block().height)
    }

    /// Nothing that counts blocks may begin while none can be seen.
    pub(crate) fn sees_the_chain(&self) -> Result<(), RailError> {
        match self.pulse.silence() {
            None => Ok(()),
            Some(silent) => {
                Err(RailError::Unavailable(format!("the chain source has been silent for {} s", silent.as_secs())))
            }
        }
    }

    /// Waits until everything done so far is on the disk.
    pub(crate) async fn durable(&self) -> Result<(), RailError> {
        self.store.flush().await.map_err(unavailable)
    }

    /// Queues a payment's new state.
    pub(crate) fn put(&self, mut row: PaymentRow) {
        row.updated_at = now();
        let ended = row.is_outbound() && !row.is_pending();
        self.store.write(Write::Payment(row));
        if ended {
            self.ended.send_modify(|count| *count += 1);
        }
    }

    /// Once, after the events of the last run were handled and before anything new begins: takes stock of payments that
    /// were asked for, but that LDK does not know. The manager on the disk never is older than an HTLC, so nothing of
    /// them ever left.
    pub(crate) fn take_stock(&self) -> Result<(), LightningError> {
        let known: HashSet<[u8; 32]> = self.manager.list_recent_payments().iter().map(recent_id).collect();
        for row in self.store.outbound_pending()? {
            if known.contains(&row.id) {
                continue;
            }
            if row.kind == Kind::Payout {
                self.never_begun().insert(row.id);
            } else {
                self.put(PaymentRow { status: PaymentStatus::Failed, reason: Some(PayFailure::Other), ..row });
            }
        }
        Ok(())
    }
}

fn recent_id(payment: &RecentPaymentDetails) -> [u8; 32] {
    match payment {
        RecentPaymentDetails::AwaitingInvoice { payment_id }
        | RecentPaymentDetails::Pending { payment_id, .. }
        | RecentPaymentDetails::Fulfilled { payment_id, .. }
        | RecentPaymentDetails::Abandoned { payment_id, .. } => payment_id.0,
    }
}

/// LDK's amounts are bounded by channel sizes, and those by the supply.
pub(crate) fn msat(amount: u64) -> Msat {
    Msat::try_new(amount).unwrap_or(Msat::MAX)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn unavailable(error: impl Into<LightningError>) -> RailError {
    RailError::Unavailable(error.into().to_string())
}

impl From<StoreDown> for LightningError {
    fn from(down: StoreDown) -> Self {
        Self::Store(down.to_string())
    }
}

/// One at a time per key.
#[derive(Default)]
pub(crate) struct Turns {
    taken: Mutex<HashSet<[u8; 32]>>,
    freed: Notify,
}

/// A turn. Ends when dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    key: [u8; 32],
}

impl Turns {
    /// Waits for a turn.
    pub(crate) async fn take(&self, key: [u8; 32]) -> Turn<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Registered before looking, so that a turn that ends in between is not missed.
            freed.as_mut().enable();
            if self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(key) {
                return Turn { turns: self, key };
            }
            freed.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.turns.freed.notify_waiters();
    }
}
