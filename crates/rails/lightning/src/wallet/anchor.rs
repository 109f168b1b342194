//! The wallet as anchors see it.

use std::collections::HashSet;

use bdk_wallet::signer::SignerError;
use bdk_wallet::{SignOptions, Wallet};
use bitcoin::{OutPoint, Psbt, Transaction, TxOut};

use super::{OnchainWallet, inputs};

impl OnchainWallet {
    /// Coins that are so many blocks deep and not spoken for, the largest first.
    pub(crate) fn free_coins(&self, depth: u32) -> Vec<(OutPoint, TxOut)> {
        let wallet = self.lock();
        let reserved = self.reserved();
        let tip = wallet.latest_checkpoint().height();
        let deep = |height: Option<u32>| height.is_some_and(|height| (tip + 1).saturating_sub(height) >= depth);
        let mut coins: Vec<(OutPoint, TxOut)> = wallet
            .list_unspent()
            .filter(|coin| deep(coin.chain_position.confirmation_height_upper_bound()))
            .filter(|coin| coin.chain_position.is_confirmed() && !reserved.contains(&coin.outpoint))
            .map(|coin| (coin.outpoint, coin.txout))
            .collect();
        coins.sort_by_key(|(outpoint, output)| (std::cmp::Reverse(output.value), *outpoint));
        coins
    }

    /// An output of ours, spent or not.
    pub(crate) fn output(&self, outpoint: OutPoint) -> Option<TxOut> {
        self.lock().list_output().find(|output| output.outpoint == outpoint).map(|output| output.txout)
    }

    /// Keeps a transaction's coins for it until it is seen or given up.
    pub(crate) fn set_aside(&self, tx: &Transaction) {
        self.reserved().extend(inputs(tx));
    }

    /// Signs the inputs that are ours, and leaves the others as they are.
    pub(crate) fn sign_coins(&self, psbt: &mut Psbt) -> Result<(), SignerError> {
        let wallet = self.lock();
        let spends: Vec<OutPoint> = psbt.unsigned_tx.input.iter().map(|input| input.previous_output).collect();
        let ours: Vec<_> = wallet.list_output().filter(|output| spends.contains(&output.outpoint)).collect();
        for (input, outpoint) in psbt.inputs.iter_mut().zip(&spends) {
            let Some(output) = ours.iter().find(|output| output.outpoint == *outpoint) else { continue };
            if let Ok(filled) = wallet.get_psbt_input(output.clone(), None, true) {
                *input = filled;
            }
        }
        let options = SignOptions { trust_witness_utxo: true, ..SignOptions::default() };
        self.sign(&wallet, psbt, options).map(|_| ())
    }
}

/// Change of anchors that are in no block: a higher fee may take an anchor's place, and its change with it, so nothing
/// may be built on it.
pub(super) fn uncertain(wallet: &Wallet) -> HashSet<OutPoint> {
    let waiting = wallet.list_unspent().filter(|coin| !coin.chain_position.is_confirmed());
    let of_anchor = |outpoint: &OutPoint| {
        let tx = wallet.get_tx(outpoint.txid);
        tx.is_some_and(|tx| tx.tx_node.tx.output.iter().any(|output| output.script_pubkey.is_op_return()))
    };
    waiting.map(|coin| coin.outpoint).filter(of_anchor).collect()
}
