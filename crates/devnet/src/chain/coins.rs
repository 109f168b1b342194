//! Unspent outputs: the set, views on it, and what is needed to undo a block.

use std::collections::HashMap;

use bitcoin::{OutPoint, Transaction, TxOut, Txid};

/// The longest script that can ever be spent; longer outputs are not kept.
const SCRIPT_BYTES_MAX: usize = 10_000;
/// The height of an output that is not in a block yet.
pub const MEMPOOL_HEIGHT: u32 = 0x7fff_ffff;

/// An unspent output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Amount and script.
    pub output: TxOut,
    /// The height of its block, or [`MEMPOOL_HEIGHT`].
    pub height: u32,
    /// It is the reward of a block.
    pub coinbase: bool,
}

/// The spent outputs of each transaction of a block but the first, in their order.
pub type BlockUndo = Vec<Vec<Coin>>;

/// Somewhere to look for unspent outputs.
pub trait CoinView {
    /// The output, if it exists and is unspent.
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin>;
}

/// The unspent outputs of the best chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoinSet {
    coins: HashMap<OutPoint, Coin>,
}

impl CoinView for CoinSet {
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }
}

impl CoinSet {
    /// All unspent outputs, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&OutPoint, &Coin)> {
        self.coins.iter()
    }

    /// Takes over what an [`Overlay`] found.
    pub(crate) fn apply(&mut self, changes: CoinChanges) {
        for (outpoint, change) in changes.0 {
            match change {
                Some(coin) => self.coins.insert(outpoint, coin),
                None => self.coins.remove(&outpoint),
            };
        }
    }

    /// Takes a block back: the exact opposite of applying it.
    pub(crate) fn undo(&mut self, txs: &[Transaction], txids: &[Txid], undo: &BlockUndo) {
        for (index, (tx, txid)) in txs.iter().zip(txids).enumerate().rev() {
            for outpoint in outpoints(tx, *txid) {
                self.coins.remove(&outpoint);
            }
            // The first transaction of a block spends nothing and has no undo data.
            let Some(spent) = index.checked_sub(1).and_then(|i| undo.get(i)) else { continue };
            for (input, coin) in tx.input.iter().zip(spent) {
                self.coins.insert(input.previous_output, coin.clone());
            }
        }
    }
}

/// The outcome of an [`Overlay`]: new coins, and spent ones as `None`.
#[derive(Debug, Default)]
pub struct CoinChanges(HashMap<OutPoint, Option<Coin>>);

/// Changes on top of a view that stays untouched until they are applied.
pub struct Overlay<'a> {
    base: &'a dyn CoinView,
    changes: CoinChanges,
}

impl CoinView for Overlay<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        match self.changes.0.get(outpoint) {
            Some(change) => change.as_ref(),
            None => self.base.coin(outpoint),
        }
    }
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn CoinView) -> Self {
        Self { base, changes: CoinChanges::default() }
    }

    /// Spends an output and hands it back, if there is one.
    pub(crate) fn spend(&mut self, outpoint: &OutPoint) -> Option<Coin> {
        let coin = self.coin(outpoint)?.clone();
        self.changes.0.insert(*outpoint, None);
        Some(coin)
    }

    /// Adds the outputs of a transaction.
    pub(crate) fn add(&mut self, tx: &Transaction, txid: Txid, height: u32) {
        let coinbase = tx.is_coinbase();
        for (outpoint, output) in outpoints(tx, txid).zip(&tx.output) {
            if is_spendable(output) {
                self.changes.0.insert(outpoint, Some(Coin { output: output.clone(), height, coinbase }));
            }
        }
    }

    pub(crate) fn into_changes(self) -> CoinChanges {
        self.changes
    }
}

/// Whether an output can ever be spent, as far as its form tells.
pub(crate) fn is_spendable(output: &TxOut) -> bool {
    !output.script_pubkey.is_op_return() && output.script_pubkey.len() <= SCRIPT_BYTES_MAX
}

/// The outpoints of a transaction, in order.
pub(crate) fn outpoints(tx: &Transaction, txid: Txid) -> impl Iterator<Item = OutPoint> + use<> {
    let count = u32::try_from(tx.output.len()).unwrap_or(u32::MAX);
    (0..count).map(move |vout| OutPoint { txid, vout })
}
