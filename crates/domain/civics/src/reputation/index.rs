//! Deals by key, and by pair of keys.

use std::collections::BTreeMap;
use tallystick_core::NostrKey;

use super::{Deal, Role};

/// The keys of deals by number, in the order of their bytes: numbers compare faster than keys.
pub struct Index {
    /// The keys.
    pub keys: Vec<NostrKey>,
    /// Requester and worker of each deal.
    pub parties: Vec<(u32, u32)>,
}

/// One key's deals with another: a run of [`Index::sides`].
pub struct Side {
    /// Whose.
    pub key: u32,
    /// With whom.
    pub other: u32,
    /// The deal's place in the list.
    pub deal: u32,
}

impl Index {
    /// Numbers the keys.
    pub fn of(deals: &[Deal]) -> Self {
        let mut first_seen: BTreeMap<(u64, [u8; 32]), (u32, NostrKey)> = BTreeMap::new();
        let mut number = |key: NostrKey| {
            let next = small(first_seen.len());
            first_seen.entry(quick(key.to_bytes())).or_insert((next, key)).0
        };
        let seen: Vec<(u32, u32)> = deals.iter().map(|deal| (number(deal.requester), number(deal.worker))).collect();
        let mut rank = vec![0; first_seen.len()];
        for (place, (first, _)) in first_seen.values().enumerate() {
            rank[*first as usize] = small(place);
        }
        let parties = seen.into_iter().map(|(a, b)| (rank[a as usize], rank[b as usize])).collect();
        Self { keys: first_seen.into_values().map(|(_, key)| key).collect(), parties }
    }

    /// The number of a key.
    pub fn number(&self, key: NostrKey) -> Option<u32> {
        let place = self.keys.binary_search_by_key(&key.to_bytes(), |known| known.to_bytes());
        place.ok().map(small)
    }

    /// Each deal from both sides, sorted by key, then by counterparty, then as the deals are.
    pub fn sides(&self) -> Vec<Side> {
        let mut sides: Vec<Side> = (0u32..)
            .zip(&self.parties)
            .flat_map(|(deal, &(a, b))| [Side { key: a, other: b, deal }, Side { key: b, other: a, deal }])
            .collect();
        // One number to compare instead of three: that is a good part of a market's time.
        let order = |side: &Side| u128::from(side.key) << 64 | u128::from(side.other) << 32 | u128::from(side.deal);
        sides.sort_unstable_by_key(order);
        sides
    }

    /// The side of a key in a deal.
    pub fn role(&self, deal: u32, key: u32) -> Role {
        if self.parties[deal as usize].0 == key { Role::Requester } else { Role::Worker }
    }
}

/// Bytes with their first eight as a number before them: the same order, and mostly one comparison of numbers.
fn quick(bytes: [u8; 32]) -> (u64, [u8; 32]) {
    let [a, b, c, d, e, f, g, h, ..] = bytes;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), bytes)
}

/// Places and numbers fit into 32 bits: a journal of four billion deals does not fit into memory.
pub fn small(value: usize) -> u32 {
    u32::try_from(value).expect("fewer than four billion deals in memory")
}
