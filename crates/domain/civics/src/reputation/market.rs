//! All deals at one moment, ready to be asked about anybody.

use std::ops::Range;
use tallystick_core::{NostrKey, Timestamp};

use super::{
    Deal, Limits, ReputationError, Role, check_deals,
    fade::{day, fade},
    formula::DEAL_HALF_LIFE,
    index::{Index, Side},
};

/// A whole weight.
pub const WEIGHT_WHOLE: u64 = 1_000;
/// Of the fees with one counterparty, so many msat count for weight: a whole weight takes ten counterparties.
const WEIGHT_PAIR_MAX: u128 = 500_000;
/// The fees in msat that make a whole weight.
const WEIGHT_FEES: u128 = 5_000_000;

/// One key's deals with one counterparty.
pub(crate) struct Pair {
    pub other: u32,
    /// Places in the list of sides.
    pub sides: Range<usize>,
    /// What counts of their fees for the key's weight with others.
    pub outside: u128,
}

/// All deals at one moment. Making one costs a sort of the deals; asking it costs only the key's own deals.
pub struct Market<'a> {
    pub(crate) deals: &'a [Deal],
    pub(crate) limits: &'a Limits,
    pub(crate) today: u64,
    pub(crate) index: Index,
    pub(crate) sides: Vec<Side>,
    pub(crate) pairs: Vec<Pair>,
    /// Each deal's fee in msat, faded.
    pub(crate) fees: Vec<u128>,
    /// The pairs of each key, and what counts of all its fees for its weight.
    people: Vec<(Range<usize>, u128)>,
}

impl<'a> Market<'a> {
    /// Takes deals, sorted by the number of their fact, as of `now`.
    ///
    /// # Errors
    /// [`ReputationError`] if the deals are not sorted, later than `now`, or contradict themselves, or if the limits do.
    pub fn try_new(deals: &'a [Deal], limits: &'a Limits, now: Timestamp) -> Result<Self, ReputationError> {
        limits.check()?;
        check_deals(deals, now)?;
        let today = day(now);
        let fees = deals
            .iter()
            .map(|deal| fade(u128::from(deal.fee.to_msat().get()), today - day(deal.ended_at), DEAL_HALF_LIFE))
            .collect();
        let index = Index::of(deals);
        let sides = index.sides();
        let mut market = Self { deals, limits, today, index, sides, pairs: Vec::new(), fees, people: Vec::new() };
        market.pair_up();
        Ok(market)
    }

    fn pair_up(&mut self) {
        let mut start = 0;
        let mut people = vec![(0..0, 0); self.index.keys.len()];
        for run in self.sides.chunk_by(|a, b| (a.key, a.other) == (b.key, b.other)) {
            let Side { key, other, .. } = run[0];
            let good = run.iter().filter(|side| self.deal(side).is_good_for(self.index.role(side.deal, key)));
            let outside = good.map(|side| self.fees[side.deal as usize]).sum::<u128>().min(WEIGHT_PAIR_MAX);
            let (pairs, all) = &mut people[key as usize];
            if pairs.start == pairs.end {
                pairs.start = self.pairs.len();
            }
            self.pairs.push(Pair { other, sides: start..start + run.len(), outside });
            pairs.end = self.pairs.len();
            *all += outside;
            start += run.len();
        }
        self.people = people;
    }

    pub(crate) fn deal(&self, side: &Side) -> &'a Deal {
        &self.deals[side.deal as usize]
    }

    /// The pairs of a key.
    pub(crate) fn pairs_of(&self, key: u32) -> &[Pair] {
        &self.pairs[self.people[key as usize].0.clone()]
    }

    /// Everybody who took part in a deal, in the order of their keys' bytes.
    pub fn keys(&self) -> &[NostrKey] {
        &self.index.keys
    }

    /// What a counterparty counts in the eyes of `seen_by`, out of [`WEIGHT_WHOLE`]: the fees of its good deals with
    /// everybody else, faded, 500 sat at most with each, as a share of 5,000 sat.
    pub fn weight(&self, counterparty: NostrKey, seen_by: NostrKey) -> u64 {
        let Some(counterparty) = self.index.number(counterparty) else { return 0 };
        self.weight_of(counterparty, self.index.number(seen_by))
    }

    pub(crate) fn weight_of(&self, counterparty: u32, seen_by: Option<u32>) -> u64 {
        let pairs = self.pairs_of(counterparty);
        let own = seen_by.and_then(|key| pairs.binary_search_by_key(&key, |pair| pair.other).ok());
        let own = own.map_or(0, |place| pairs[place].outside);
        let outside = self.people[counterparty as usize].1 - own;
        let weight = outside * u128::from(WEIGHT_WHOLE) / WEIGHT_FEES;
        u64::try_from(weight).unwrap_or(WEIGHT_WHOLE).min(WEIGHT_WHOLE)
    }

    /// The sides that a key took in a role with one counterparty.
    pub(crate) fn in_role<'m>(&'m self, pair: &'m Pair, key: u32, role: Role) -> impl Iterator<Item = &'m Side> {
        self.sides[pair.sides.clone()].iter().filter(move |side| self.index.role(side.deal, key) == role)
    }

    /// How many days ago a deal ended.
    pub(crate) fn age(&self, deal: &Deal) -> u64 {
        self.today - day(deal.ended_at)
    }

    pub(crate) fn number(&self, key: NostrKey) -> Option<u32> {
        self.index.number(key)
    }
}
