//! The transactions of the mempool, and how they depend on each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bitcoin::{Amount, OutPoint, Transaction, Txid, Wtxid};

use super::accept::{Candidate, Terms};
use super::{KvbRate, Site};
use crate::chain::coins::{is_spendable, outpoints};
use crate::chain::{Coin, CoinView, MEMPOOL_HEIGHT, StoredBlock};

/// The largest size of all transactions, in virtual bytes.
pub(super) const POOL_VSIZE_MAX: u64 = 100_000_000;

/// A transaction in the mempool.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// Its id with signatures.
    pub wtxid: Wtxid,
    /// What it pays.
    pub fee: Amount,
    /// Virtual size, raised if it has many signature checks.
    pub vsize: u64,
    /// Weight (BIP 141).
    pub weight: u64,
    /// When it came, in seconds since 1970.
    pub time: u64,
    /// The height of the tip when it came.
    pub height: u32,
    /// The order in which they came.
    pub sequence: u64,
    /// Those of the mempool that it spends from.
    pub parents: BTreeSet<Txid>,
    /// Those of the mempool that spend from it.
    pub children: BTreeSet<Txid>,
}

/// Sums over a set of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub count: usize,
    /// Virtual size.
    pub vsize: u64,
    /// Fees.
    pub fee: Amount,
}

/// The mempool. No two of its transactions spend the same output, and each could be in the next block, after its
/// parents.
#[derive(Debug, Default)]
pub struct Mempool {
    entries: BTreeMap<Txid, Entry>,
    spent: HashMap<OutPoint, Txid>,
    coins: HashMap<OutPoint, Coin>,
    changes: u64,
    vsize: u64,
}

impl CoinView for Mempool {
    /// An output of one of its transactions, spent or not.
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }
}

impl Mempool {
    /// A transaction.
    #[must_use]
    pub fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// All transactions, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&Txid, &Entry)> {
        self.entries.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A number that grows with every change.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.changes + 1
    }

    /// The lowest rate that is accepted.
    #[must_use]
    pub fn min_fee_rate(&self) -> KvbRate {
        super::fee::MIN_RELAY
    }

    /// What a replacement pays more, for its own size.
    #[must_use]
    pub fn incremental_fee_rate(&self) -> KvbRate {
        super::fee::INCREMENTAL_RELAY
    }

    /// The transaction that spends an output.
    #[must_use]
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spent.get(outpoint).copied()
    }

    /// The size of all, in virtual bytes.
    #[must_use]
    pub fn vsize(&self) -> u64 {
        self.vsize
    }

    /// All that a transaction depends on, without itself.
    #[must_use]
    pub fn ancestors(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.closure(self.get(txid).map(|entry| &entry.parents), |entry| &entry.parents)
    }

    /// All that depends on a transaction, without itself.
    #[must_use]
    pub fn descendants(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.closure(self.get(txid).map(|entry| &entry.children), |entry| &entry.children)
    }

    /// The given parents and all that they depend on.
    pub(super) fn with_ancestors(&self, parents: &BTreeSet<Txid>) -> BTreeSet<Txid> {
        self.closure(Some(parents), |entry| &entry.parents)
    }

    fn closure(&self, start: Option<&BTreeSet<Txid>>, next: impl Fn(&Entry) -> &BTreeSet<Txid>) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut todo: Vec<Txid> = start.into_iter().flatten().copied().collect();
        while let Some(txid) = todo.pop() {
            if let (true, Some(entry)) = (found.insert(txid), self.get(&txid)) {
                todo.extend(next(entry).iter().copied());
            }
        }
        found
    }

    /// Sums over a set of its transactions.
    #[must_use]
    pub fn totals<'a>(&self, txids: impl IntoIterator<Item = &'a Txid>) -> Totals {
        txids.into_iter().filter_map(|txid| self.get(txid)).fold(Totals::default(), |sum, entry| Totals {
            count: sum.count + 1,
            vsize: sum.vsize + entry.vsize,
            fee: sum.fee + entry.fee,
        })
    }

    /// The fees of all.
    #[must_use]
    pub fn total_fee(&self) -> Amount {
        self.entries.values().map(|entry| entry.fee).sum()
    }

    /// Puts a checked transaction in.
    pub(super) fn insert(&mut self, candidate: Candidate, time: u64, height: u32) {
        let Candidate { tx, txid, wtxid, fee, vsize, weight, .. } = candidate;
        let mut parents = BTreeSet::new();
        for input in &tx.input {
            self.spent.insert(input.previous_output, txid);
            if let Some(parent) = self.entries.get_mut(&input.previous_output.txid) {
                parent.children.insert(txid);
                parents.insert(input.previous_output.txid);
            }
        }
        for (outpoint, output) in outpoints(&tx, txid).zip(&tx.output) {
            if is_spendable(output) {
                let coin = Coin { output: output.clone(), height: MEMPOOL_HEIGHT, coinbase: false };
                self.coins.insert(outpoint, coin);
            }
        }
        self.changes += 1;
        self.vsize += vsize;
        let sequence = self.changes;
        let children = BTreeSet::new();
        let entry = Entry { tx, wtxid, fee, vsize, weight, time, height, sequence, parents, children };
        self.entries.insert(txid, entry);
    }

    /// Takes one out and leaves what depends on it.
    fn remove(&mut self, txid: &Txid) -> Option<Entry> {
        let entry = self.entries.remove(txid)?;
        for input in &entry.tx.input {
            self.spent.remove(&input.previous_output);
        }
        for outpoint in outpoints(&entry.tx, *txid) {
            self.coins.remove(&outpoint);
        }
        for parent in &entry.parents {
            if let Some(parent) = self.entries.get_mut(parent) {
                parent.children.remove(txid);
            }
        }
        for child in &entry.children {
            if let Some(child) = self.entries.get_mut(child) {
                child.parents.remove(txid);
            }
        }
        self.changes += 1;
        self.vsize -= entry.vsize;
        Some(entry)
    }

    /// Takes one out with everything that depends on it.
    pub(super) fn remove_with_descendants(&mut self, txid: &Txid) {
        for descendant in self.descendants(txid) {
            self.remove(&descendant);
        }
        self.remove(txid);
    }

    /// Takes out what a block holds, and what can no longer be mined because of it.
    pub(crate) fn remove_for_block(&mut self, stored: &StoredBlock) {
        for (tx, txid) in stored.block.txdata.iter().zip(&stored.txids) {
            self.remove(txid);
            for input in &tx.input {
                if let Some(conflict) = self.spender(&input.previous_output) {
                    self.remove_with_descendants(&conflict);
                }
            }
        }
    }

    /// After a change of branches: tries `returned` first, then what was there, and drops what no longer fits.
    /// Limits and fees do not matter here, as these transactions were accepted before.
    pub(crate) fn rebuild(&mut self, returned: Vec<Transaction>, site: &Site<'_>) {
        let mut old: Vec<Entry> = std::mem::take(&mut self.entries).into_values().collect();
        old.sort_unstable_by_key(|entry| entry.sequence);
        self.spent.clear();
        self.coins.clear();
        self.vsize = 0;
        let terms = Terms::REBUILD;
        for tx in returned {
            if let Ok(checked) = self.check(&Arc::new(tx), site, terms) {
                self.insert(checked.candidate, site.now, site.tip_height());
            }
        }
        for entry in old {
            if let Ok(checked) = self.check(&entry.tx, site, terms) {
                self.insert(checked.candidate, entry.time, entry.height);
            }
        }
    }
}
