//! Deals that paid, by pair and by key.

use std::collections::BTreeMap;
use tallystick_core::{NostrKey, Sat};

use crate::reputation::{Deal, index::Index};

/// All deals between two keys.
pub struct Between<'a> {
    /// The key with the lower number, and the other.
    pub keys: (u32, u32),
    /// Deals in which the first pays, and in which the second does, as they are sorted.
    pub ways: [Vec<&'a Deal>; 2],
}

impl<'a> Between<'a> {
    /// The deals of both ways, sorted by the number of their fact.
    pub fn deals(&self) -> Vec<&'a Deal> {
        let mut deals = self.ways.concat();
        deals.sort_unstable_by_key(|deal| deal.seq);
        deals
    }

    /// What was paid both ways, in sat.
    pub fn volume(&self) -> u128 {
        self.ways.iter().map(|way| volume(way)).sum()
    }
}

/// What deals paid, in sat.
pub fn volume(deals: &[&Deal]) -> u128 {
    deals.iter().map(|deal| u128::from(deal.paid.get())).sum()
}

/// The numbers of deals' facts, sorted.
pub fn evidence<'a>(deals: impl IntoIterator<Item = &'a Deal>) -> Vec<u64> {
    let mut seqs: Vec<u64> = deals.into_iter().map(|deal| deal.seq).collect();
    seqs.sort_unstable();
    seqs
}

/// All deals that paid.
pub struct Trade<'a> {
    pub keys: Vec<NostrKey>,
    /// By the numbers of the two keys.
    pub pairs: BTreeMap<(u32, u32), Between<'a>>,
    /// What each key paid, and what each was paid, in sat.
    pub paid: Vec<u128>,
    pub earned: Vec<u128>,
}

impl<'a> Trade<'a> {
    pub fn of(deals: &'a [Deal]) -> Self {
        let index = Index::of(deals);
        let (mut paid, mut earned) = (vec![0; index.keys.len()], vec![0; index.keys.len()]);
        let mut pairs: BTreeMap<(u32, u32), Between<'a>> = BTreeMap::new();
        for (deal, &(payer, payee)) in deals.iter().zip(&index.parties).filter(|(deal, _)| deal.paid > Sat::ZERO) {
            let keys = (payer.min(payee), payer.max(payee));
            let between = pairs.entry(keys).or_insert_with(|| Between { keys, ways: [Vec::new(), Vec::new()] });
            between.ways[usize::from(payer > payee)].push(deal);
            paid[payer as usize] += u128::from(deal.paid.get());
            earned[payee as usize] += u128::from(deal.paid.get());
        }
        Self { keys: index.keys, pairs, paid, earned }
    }

    /// What a key paid and was paid, in sat.
    pub fn volume_of(&self, key: u32) -> u128 {
        self.paid[key as usize] + self.earned[key as usize]
    }

    /// Keys by their numbers, which are in the order of the keys.
    pub fn names(&self, numbers: &[u32]) -> Vec<NostrKey> {
        numbers.iter().map(|number| self.keys[*number as usize]).collect()
    }
}
