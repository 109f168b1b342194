//! Anchors: signed by a key of their own, paid by the on-chain wallet, looked for in the chain.
//!
//! ```text
//! draft   inputs, outputs and the fee; no keys, no IO
//! find    where a transaction is, without an index of all transactions
//! seal    the key that every anchor's output 0 pays to
//! ```

mod draft;
mod find;
mod seal;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bitcoin::consensus::encode;
use bitcoin::{Amount, FeeRate, Transaction, TxOut};
use lightning::chain::chaininterface::ConfirmationTarget;
use tallystick_app::port::anchor::{AnchorOrder, AnchorRail, AnchorRailError, Place, Sent, SignedAnchor};
use tallystick_bitcoin::{RpcClient, RpcError};
use tallystick_core::{BlockHeight, Sat};
use tallystick_log::anchor::{BlockHash, Txid};

use crate::node::engine::Engine;
use draft::{Coin, Draft, DraftError, Purse};
use find::Finder;
pub(crate) use seal::SealKey;

/// How deep a coin must be to be the genesis outpoint: no usual reorganisation takes it away.
const GENESIS_DEPTH: u32 = 6;

/// The wallet and the chain, as anchoring needs them.
pub(crate) struct AnchorWallet {
    engine: Arc<Engine>,
    rpc: RpcClient,
    key: SealKey,
    finder: Finder,
    /// What was signed last and not sent: its coins are spoken for until another is signed.
    unsent: Mutex<Option<Transaction>>,
}

impl AnchorWallet {
    pub(crate) fn new(engine: Arc<Engine>, rpc: RpcClient, key: SealKey) -> Self {
        Self { engine, finder: Finder::new(rpc.clone()), rpc, key, unsent: Mutex::default() }
    }

    fn draft(&self, order: &AnchorOrder) -> Result<Draft, AnchorRailError> {
        let wallet = &self.engine.wallet;
        let seal = order.seal.map(|seal| Coin {
            outpoint: seal.outpoint,
            output: TxOut { value: Amount::from_sat(seal.value.get()), script_pubkey: self.key.script() },
        });
        let rate_max = FeeRate::from_sat_per_vb(order.fee_rate_max_sat_vb).unwrap_or(FeeRate::MAX);
        let rate = |target| self.engine.fees.rate(target);
        if let Some(old) = &order.replaces {
            let old: Transaction = encode::deserialize(old).map_err(|error| refused(&error))?;
            let known = |outpoint| {
                let sealed = seal.iter().find(|coin| coin.outpoint == outpoint).map(|coin| coin.output.clone());
                sealed.or_else(|| wallet.output(outpoint))
            };
            let urgent = rate(ConfirmationTarget::UrgentOnChainSweep);
            return Draft::replacement(&old, known, &order.commitment, urgent, rate_max).map_err(translate);
        }
        let keep = if self.engine.accept_without_reserve { Amount::ZERO } else { self.engine.reserve(0) };
        let purse = Purse {
            coins: wallet.free_coins(if seal.is_some() { 1 } else { GENESIS_DEPTH }),
            may_spend: wallet.spendable().checked_sub(keep).unwrap_or(Amount::ZERO),
            change: wallet.fresh_script().map_err(|()| refused(&"the wallet has no script for change"))?,
            seal: self.key.script(),
        };
        let usual = rate(ConfirmationTarget::OutputSpendingFee);
        Draft::fresh(seal, &purse, &order.commitment, usual, rate_max).map_err(translate)
    }
}

#[async_trait]
impl AnchorRail for AnchorWallet {
    async fn sign(&self, order: &AnchorOrder) -> Result<SignedAnchor, AnchorRailError> {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let wallet = &self.engine.wallet;
        // What was signed before and never sent was never recorded either, or is sent again from its fact.
        if let Some(old) = unsent.take() {
            wallet.give_up(&old);
        }
        let draft = self.draft(order)?;
        let (seal_value, fee) = (sat(draft.seal_value())?, sat(draft.fee())?);
        let mut psbt = draft.psbt().map_err(|error| refused(&error))?;
        wallet.sign_coins(&mut psbt).map_err(|error| refused(&error))?;
        let prevouts: Vec<TxOut> = draft.inputs().iter().map(|coin| coin.output.clone()).collect();
        let mut tx = psbt.extract_tx_unchecked_fee_rate();
        self.key.sign(&mut tx, &prevouts).map_err(|error| refused(&error))?;
        if let Some(input) = tx.input.iter().find(|input| input.witness.is_empty()) {
            return Err(refused(&format!("nobody can sign for {}", input.previous_output)));
        }
        if order.replaces.is_none() {
            wallet.set_aside(&tx);
            *unsent = Some(tx.clone());
        }
        Ok(SignedAnchor { tx: encode::serialize(&tx), seal_value, fee })
    }

    async fn send(&self, tx: &[u8]) -> Result<Sent, AnchorRailError> {
        let tx: Transaction = encode::deserialize(tx).map_err(|error| refused(&error))?;
        // Known before it is out, so that nobody else spends its coins.
        self.engine.wallet.saw(std::slice::from_ref(&tx));
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner).take();
        match self.rpc.send_raw_transaction(&tx).await {
            Ok(_) => Ok(Sent::There),
            Err(error) if error.is_already_in_chain() => Ok(Sent::There),
            Err(error) if error.is_missing_inputs() => Ok(Sent::Orphan),
            Err(RpcError::Rpc { message, .. }) => Ok(Sent::Refused(message)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn find(&self, txids: &[Txid], since: BlockHeight) -> Result<Place, AnchorRailError> {
        self.finder.find(txids, since).await.map_err(|error| unavailable(&error))
    }

    async fn block_at(&self, height: BlockHeight) -> Result<Option<BlockHash>, AnchorRailError> {
        match self.rpc.get_block_hash(height.0).await {
            Ok(hash) => Ok(Some(hash)),
            Err(error) if error.is_invalid_parameter() => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn tip(&self) -> Result<BlockHeight, AnchorRailError> {
        self.rpc.get_block_count().await.map(BlockHeight).map_err(|error| unavailable(&error))
    }
}

fn translate(error: DraftError) -> AnchorRailError {
    match error {
        DraftError::Poor { have, need } => AnchorRailError::Poor(format!("it may spend {have}, and needs {need}")),
        DraftError::TooDear { needed, limit } => AnchorRailError::TooDear { needed, limit },
        DraftError::Unknown(outpoint) => refused(&format!("nothing is known of its input {outpoint}")),
    }
}

fn sat(amount: Amount) -> Result<Sat, AnchorRailError> {
    Sat::try_new(amount.to_sat()).map_err(|error| refused(&error))
}

fn unavailable(error: &dyn std::fmt::Display) -> AnchorRailError {
    AnchorRailError::Unavailable(error.to_string())
}

fn refused(error: &dyn std::fmt::Display) -> AnchorRailError {
    AnchorRailError::Refused(error.to_string())
}
