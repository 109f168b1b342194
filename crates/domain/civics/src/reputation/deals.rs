//! Deals by key, so that somebody's standing takes only the deals that it depends on.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_core::NostrKey;

use super::Deal;

/// Deals as they come, by the number of their fact and by whose they are.
#[derive(Clone, Debug, Default)]
pub struct Deals {
    by_seq: BTreeMap<u64, Deal>,
    by_key: BTreeMap<NostrKey, BTreeSet<u64>>,
}

impl Deals {
    /// Adds a deal, unless one of the same fact is there: the first one stays.
    pub fn add(&mut self, deal: Deal) {
        for key in [deal.requester, deal.worker] {
            self.by_key.entry(key).or_default().insert(deal.seq);
        }
        self.by_seq.entry(deal.seq).or_insert(deal);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_seq.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_seq.is_empty()
    }

    /// All of them, sorted by the number of their fact.
    pub fn all(&self) -> Vec<Deal> {
        self.by_seq.values().cloned().collect()
    }

    /// Those that a key's standing depends on, sorted by the number of their fact: its own, and its counterparties', which
    /// make what they weigh. A market of these tells the same of this key as one of all.
    pub fn around(&self, key: NostrKey) -> Vec<Deal> {
        let own = self.of(key).filter_map(|seq| self.by_seq.get(seq));
        let near: BTreeSet<NostrKey> = own.flat_map(|deal| [deal.requester, deal.worker]).collect();
        let seqs: BTreeSet<u64> = near.into_iter().flat_map(|key| self.of(key)).copied().collect();
        seqs.iter().filter_map(|seq| self.by_seq.get(seq)).cloned().collect()
    }

    fn of(&self, key: NostrKey) -> impl Iterator<Item = &u64> {
        self.by_key.get(&key).into_iter().flatten()
    }
}
