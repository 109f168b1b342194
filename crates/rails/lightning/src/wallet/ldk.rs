//! The wallet as LDK sees it: coins for fee bumps, and a place for change.

use bdk_wallet::{LocalOutput, SignOptions};
use bitcoin::{Psbt, ScriptBuf, Transaction};
use lightning::events::bump_transaction::{Utxo, WalletSource};
use lightning::sign::ChangeDestinationSource;
use lightning::util::async_poll::AsyncResult;

use super::OnchainWallet;

/// A key-path spend of taproot (BIP 341): an empty scriptSig with its length at 4 weight units per byte, then one item
/// of 64 bytes with its length and the number of items.
const TAPROOT_SATISFACTION_WEIGHT: u64 = 4 + 1 + 1 + 64;

impl OnchainWallet {
    fn confirmed_utxos(&self) -> Vec<Utxo> {
        let wallet = self.lock();
        let reserved = self.reserved();
        let free = |coin: &LocalOutput| coin.chain_position.is_confirmed() && !reserved.contains(&coin.outpoint);
        let coins = wallet.list_unspent().filter(free);
        coins
            .map(|coin| Utxo {
                outpoint: coin.outpoint,
                output: coin.txout,
                satisfaction_weight: TAPROOT_SATISFACTION_WEIGHT,
            })
            .collect()
    }

    fn sign_inputs(&self, mut psbt: Psbt) -> Result<Transaction, ()> {
        let wallet = self.lock();
        // LDK adds inputs of its own and signs them itself, so the transaction does not become whole here.
        let options = SignOptions { trust_witness_utxo: true, ..SignOptions::default() };
        self.sign(&wallet, &mut psbt, options).map_err(|error| tracing::error!(%error, "the wallet cannot sign"))?;
        Ok(psbt.extract_tx_unchecked_fee_rate())
    }
}

impl WalletSource for OnchainWallet {
    fn list_confirmed_utxos<'a>(&'a self) -> AsyncResult<'a, Vec<Utxo>, ()> {
        Box::pin(async move { Ok(self.confirmed_utxos()) })
    }

    fn get_change_script<'a>(&'a self) -> AsyncResult<'a, ScriptBuf, ()> {
        Box::pin(async move { self.fresh_script() })
    }

    fn sign_psbt<'a>(&'a self, psbt: Psbt) -> AsyncResult<'a, Transaction, ()> {
        Box::pin(async move { self.sign_inputs(psbt) })
    }
}

impl ChangeDestinationSource for OnchainWallet {
    fn get_change_destination_script<'a>(&'a self) -> AsyncResult<'a, ScriptBuf, ()> {
        Box::pin(async move { self.fresh_script() })
    }
}
