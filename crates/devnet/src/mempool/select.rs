//! What goes into the next block: always the transaction that pays best together with the ancestors that it needs.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap};

use bitcoin::{Amount, Transaction, Txid};

use super::fee::MIN_RELAY;
use super::pool::Mempool;
use crate::chain::BLOCK_WEIGHT_MAX;

/// Room that stays free for the header and the first transaction.
const WEIGHT_RESERVED: u64 = 8_000;

/// What a transaction pays with the ancestors that are not in the block yet.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Score {
    fee: Amount,
    vsize: u64,
    txid: Txid,
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        // fee / vsize, compared without dividing.
        let ours = u128::from(self.fee.to_sat()) * u128::from(other.vsize);
        let theirs = u128::from(other.fee.to_sat()) * u128::from(self.vsize);
        ours.cmp(&theirs).then_with(|| other.txid.cmp(&self.txid))
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Mempool {
    /// The transactions for the next block, parents first, and their fees.
    #[must_use]
    pub fn select_for_block(&self) -> (Vec<Transaction>, Amount) {
        let mut chosen: BTreeSet<Txid> = BTreeSet::new();
        let mut txs = Vec::new();
        let mut fees = Amount::ZERO;
        let mut weight = WEIGHT_RESERVED;
        let mut heap: BinaryHeap<Score> = self.iter().map(|(txid, _)| self.score(*txid, &chosen)).collect();
        while let Some(best) = heap.pop() {
            if chosen.contains(&best.txid) {
                continue;
            }
            let current = self.score(best.txid, &chosen);
            if current != best {
                heap.push(current);
                continue;
            }
            if current.fee < MIN_RELAY.fee(current.vsize) {
                continue;
            }
            let mut package: Vec<Txid> = self.missing(best.txid, &chosen);
            let added: u64 = package.iter().filter_map(|txid| self.get(txid)).map(|entry| entry.weight).sum();
            if weight + added > BLOCK_WEIGHT_MAX {
                continue;
            }
            weight += added;
            package.sort_unstable_by_key(|txid| (self.ancestors(txid).len(), *txid));
            for &txid in &package {
                let Some(entry) = self.get(&txid) else { continue };
                txs.push(Transaction::clone(&entry.tx));
                fees += entry.fee;
                chosen.insert(txid);
            }
            let waiting: BTreeSet<Txid> = package.iter().flat_map(|txid| self.descendants(txid)).collect();
            heap.extend(waiting.difference(&chosen).map(|txid| self.score(*txid, &chosen)));
        }
        (txs, fees)
    }

    /// A transaction and its ancestors, as far as they are not chosen.
    fn missing(&self, txid: Txid, chosen: &BTreeSet<Txid>) -> Vec<Txid> {
        let mut missing: Vec<Txid> = self.ancestors(&txid).difference(chosen).copied().collect();
        missing.push(txid);
        missing
    }

    fn score(&self, txid: Txid, chosen: &BTreeSet<Txid>) -> Score {
        let totals = self.totals(&self.missing(txid, chosen));
        Score { fee: totals.fee, vsize: totals.vsize, txid }
    }
}
