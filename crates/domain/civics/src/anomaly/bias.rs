//! Arbitrators that vote for one side more than the others do.
//!
//! If an arbitrator votes as the others do, the number of votes for payees among n is binomial, with the share that
//! payees have in the others' votes. The chance of so many or more is computed in fixed point, 100 bits after the
//! point, and rounded up: it is never told too small, and too large by less than 2⁻⁸⁰.

use std::collections::BTreeMap;
use tallystick_core::NostrKey;

use super::{Flag, Kind, Thresholds};
use crate::reputation::{Did, Service};

/// An arbitrator's newest votes that are looked at.
pub const VOTES_MAX: usize = 200;

const POINT: u32 = 100;
const SHARE_BITS: u32 = 16;
const SHARE_WHOLE: u128 = 1 << SHARE_BITS;

pub fn find(services: &[Service], thresholds: &Thresholds) -> Vec<Flag> {
    let mut votes: BTreeMap<NostrKey, Vec<(u64, bool)>> = BTreeMap::new();
    for service in services {
        if let Some(for_payee) = leaning(service.did) {
            votes.entry(service.arbitrator).or_default().push((service.seq, for_payee));
        }
    }
    let all = count(votes.values().flatten(), true);
    let total: usize = votes.values().map(Vec::len).sum();
    let flag = |(arbitrator, votes): (&NostrKey, &Vec<(u64, bool)>)| {
        let others = (all - count(votes, true), total - votes.len());
        let newest = &votes[votes.len().saturating_sub(VOTES_MAX)..];
        [true, false].into_iter().find_map(|for_payee| judge(*arbitrator, newest, others, for_payee, thresholds))
    };
    votes.iter().filter_map(flag).collect()
}

/// Which side a vote leans to. One in the middle leans to none.
fn leaning(did: Did) -> Option<bool> {
    let Did::Revealed { vote, of, .. } = did else { return None };
    let (twice, of) = (2 * u128::from(vote.get()), u128::from(of.get()));
    (twice != of).then_some(twice > of)
}

fn count<'a>(votes: impl IntoIterator<Item = &'a (u64, bool)>, side: bool) -> usize {
    votes.into_iter().filter(|(_, for_payee)| *for_payee == side).count()
}

/// `others` is how many of the others' votes were for payees, and how many there were.
fn judge(
    arbitrator: NostrKey,
    votes: &[(u64, bool)],
    others: (usize, usize),
    for_payee: bool,
    thresholds: &Thresholds,
) -> Option<Flag> {
    if votes.len() < thresholds.votes_min {
        return None;
    }
    let share = share(others, for_payee, thresholds.votes_min);
    let seen = count(votes, for_payee);
    let chance = tail(votes.len(), seen, share);
    let (kind, side) = if for_payee { (Kind::FavoursPayees, "payees") } else { (Kind::FavoursPayers, "payers") };
    let permille = (chance * 1_000).div_ceil(1 << POINT);
    let permille = u16::try_from(permille).unwrap_or(u16::MAX);
    (permille <= thresholds.bias_chance).then(|| Flag {
        kind,
        who: vec![arbitrator],
        evidence: votes.iter().filter(|(_, vote)| *vote == for_payee).map(|(seq, _)| *seq).collect(),
        sentence: format!(
            "{seen} of {} votes were for {side}, to whom others give {} thousandths: by chance, {permille} in 1000 at \
             most would do so",
            votes.len(),
            share * 1_000 / SHARE_WHOLE
        ),
        strength: 1_000 - permille.min(1_000),
    })
}

/// The share of a side in the others' votes, of [`SHARE_WHOLE`]: as if each side had one vote more, so that it is never
/// all or nothing. One half while the others have cast too few.
fn share((payees, all): (usize, usize), for_payee: bool, votes_min: usize) -> u128 {
    if all < votes_min {
        return SHARE_WHOLE / 2;
    }
    let side = if for_payee { payees } else { all - payees };
    SHARE_WHOLE * (side as u128 + 1) / (all as u128 + 2)
}

/// The chance of `seen` or more out of `votes`, each with chance `share`.
fn tail(votes: usize, seen: usize, share: u128) -> u128 {
    let mut chances = vec![0u128; votes + 1];
    chances[0] = 1 << POINT;
    for vote in 0..votes {
        for hits in (0..=vote + 1).rev() {
            let miss = chances[hits] * (SHARE_WHOLE - share);
            let hit = hits.checked_sub(1).map_or(0, |fewer| chances[fewer] * share);
            chances[hits] = (miss + hit).div_ceil(SHARE_WHOLE);
        }
    }
    chances[seen..].iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u128 = 1 << POINT;

    #[test]
    fn chances_of_a_fair_coin_are_exact() {
        assert_eq!(tail(8, 8, SHARE_WHOLE / 2), WHOLE / 256);
        assert_eq!(tail(8, 7, SHARE_WHOLE / 2), WHOLE / 256 * 9);
        assert_eq!(tail(8, 0, SHARE_WHOLE / 2), WHOLE);
        assert_eq!(tail(4, 2, SHARE_WHOLE / 4), WHOLE / 256 * 67);
    }

    #[test]
    fn chances_are_never_too_small_and_hardly_too_large() {
        for share in [1, 12_345, SHARE_WHOLE - 1] {
            let whole = tail(VOTES_MAX, 0, share);
            assert!(whole >= WHOLE && whole - WHOLE < 1 << 20, "{share}");
        }
    }
}
