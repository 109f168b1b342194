//! Planted patterns are found among honest people, and honest people are hardly ever flagged.

use std::collections::BTreeSet;
use tallystick_civics::{
    anomaly::{Flag, Kind, Thresholds, find},
    reputation::{Deal, ReputationError, Service},
};
use tallystick_core::{Coded, NostrKey, Timestamp};

use crate::support::*;

/// Keys of planted patterns begin here.
const PLANTED: u32 = 10_000;

fn flags(deals: &[Deal]) -> Vec<Flag> {
    find(deals, &[], &Thresholds::default(), now()).unwrap()
}

/// The flags of a pattern among honest people: all others' flags are left out.
fn planted(pattern: impl IntoIterator<Item = Deal>) -> Vec<(Kind, Vec<u32>, usize)> {
    let keys: Vec<NostrKey> = (PLANTED..PLANTED + 10).map(key).collect();
    let honest = random_market(7, 100, 1_000);
    let first = honest.len() as u64 + 1;
    let deals = numbered(honest.into_iter().chain(pattern));
    let told = |flag: Flag| {
        let who: Vec<u32> = (0u32..).zip(&keys).filter(|(_, key)| flag.who.contains(key)).map(|(n, _)| n).collect();
        assert!(who.is_empty() || flag.evidence.iter().all(|seq| *seq >= first), "evidence of others");
        (!who.is_empty()).then_some((flag.kind, who, flag.evidence.len()))
    };
    flags(&deals).into_iter().filter_map(told).collect()
}

/// A deal of the pattern's keys, on its own day.
fn odd(payer: u32, payee: u32, paid: u64, days_ago: u64) -> Deal {
    // Days of no rhythm.
    deal(0, PLANTED + payer, PLANTED + payee, paid, days_ago * days_ago % 300)
}

/// Honest trade of a pattern's key, so that it is not captive.
fn outside(n: u32, paid: u64) -> impl Iterator<Item = Deal> {
    (0..20).map(move |other| deal(0, other, PLANTED + n, paid, u64::from(other * other)))
}

#[test]
fn payments_to_and_fro() {
    let pattern = (0..4).flat_map(|n| [odd(0, 1, 50_000 + 9_000 * n, n), odd(1, 0, 48_000 + 9_000 * n, n + 9)]);
    let found = planted(pattern.chain(outside(0, 200_000)));
    assert_eq!(found, [(Kind::ReciprocalPair, vec![0, 1], 8)]);
    let unlike = (0..4).flat_map(|n| [odd(0, 1, 50_000, n), odd(1, 0, 40_000, n + 9)]);
    assert_eq!(planted(unlike.chain(outside(0, 200_000))), []);
}

#[test]
fn a_pair_that_trades_with_nobody_else() {
    let pattern = || (0..6).map(|n| odd(0, 1, 50_000, n * 3 + 1));
    assert_eq!(planted(pattern()), [(Kind::CaptivePair, vec![0, 1], 6)]);
    assert_eq!(planted(pattern().chain(outside(1, 5_000))), [], "a worker with other requesters");
    assert_eq!(planted(pattern().take(4)), [], "too few");
}

fn ring(members: u32) -> impl Iterator<Item = Deal> {
    (0..3)
        .flat_map(move |round| (0..members).map(move |n| odd(n, (n + 1) % members, 100_000, u64::from(round * 7 + n))))
}

#[test]
fn rings_of_three_to_five() {
    for members in 3..=5 {
        let who: Vec<u32> = (0..members).collect();
        assert_eq!(planted(ring(members)), [(Kind::Ring, who, 3 * members as usize)]);
    }
    assert_eq!(planted(ring(6)), [], "longer ones are not looked for");
    let busy = (0..4).flat_map(|n| outside(n, 25_000));
    assert_eq!(planted(ring(4).chain(busy)), [], "four that do nearly half of their trade with others");
}

#[test]
fn a_ring_within_a_bound() {
    // Everybody pays everybody: no step has a quarter of anybody's payments, and the search ends at once.
    let everybody =
        numbered((0..60).flat_map(|a| (0..60).filter(move |b| *b != a).map(move |b| deal(0, a, b, 10_000, 0))));
    assert!(flags(&everybody).iter().all(|flag| flag.kind != Kind::Ring));
    let five = numbered((0..5).flat_map(|a| (0..5).filter(move |b| *b != a).map(move |b| deal(0, a, b, 10_000, 0))));
    let mut rings: Vec<usize> =
        flags(&five).iter().filter(|flag| flag.kind == Kind::Ring).map(|flag| flag.who.len()).collect();
    rings.sort_unstable();
    assert_eq!(rings, [4, 4, 4, 4, 4, 5], "four of them keep three quarters of their trade, three only half");
}

fn lasting(deal: Deal, millis: u64) -> Deal {
    let funded_at = Timestamp::from_millis(deal.ended_at.as_millis() - millis);
    Deal { funded_at, submitted_at: None, ..deal }
}

#[test]
fn deals_that_end_as_soon_as_they_are_funded() {
    let pattern = |millis| (0..6).map(move |n| lasting(odd(0, 1, 50_000, n * 3 + 1), millis)).chain(outside(1, 50_000));
    assert_eq!(planted(pattern(60_000)), [(Kind::InstantDeals, vec![0, 1], 6)]);
    assert_eq!(planted(pattern(60_001)), []);
}

#[test]
fn deals_at_fixed_intervals() {
    let at_days = |days: [u64; 9]| {
        let pattern = days.map(|days_ago| deal(0, PLANTED, PLANTED + 1, 5_000, days_ago));
        planted(pattern.into_iter().chain(outside(1, 50_000)))
    };
    assert_eq!(at_days([0, 7, 14, 21, 28, 35, 42, 49, 56]), [(Kind::FixedIntervals, vec![0, 1], 9)]);
    assert_eq!(at_days([0, 7, 14, 21, 28, 36, 42, 49, 56]), [], "two intervals of eight are off");
    assert_eq!(at_days([3; 9]), [], "a batch is no rhythm");
}

#[test]
fn approvals_within_seconds() {
    let approved = |after: u64| {
        let pattern = (0..12u32).map(move |n| {
            let deal = deal(0, PLANTED, n, 50_000, u64::from(n * n));
            let submitted_at = Some(Timestamp::from_millis(deal.ended_at.as_millis() - after));
            Deal { submitted_at, ..deal }
        });
        planted(pattern)
    };
    assert_eq!(approved(10_000), [(Kind::HastyApprovals, vec![0], 12)]);
    assert_eq!(approved(10_001), []);
}

/// Arbitrators 0 to 9 vote for payees 7 times out of 10; the planted one always for one side.
fn panels(own: u64, votes: u64) -> Vec<Service> {
    let honest = (0..10).flat_map(|who| (0..20u64).map(move |n| (who, if n % 10 < 7 { 1_000 } else { 0 })));
    let all = honest.chain((0..votes).map(|_| (PLANTED, own)));
    (1..).zip(all).map(|(seq, (who, own))| vote(seq, who, own, own, 0)).collect()
}

fn biased(services: &[Service]) -> Vec<(Kind, bool, usize)> {
    let flags = find(&[], services, &Thresholds::default(), now()).unwrap();
    flags.into_iter().map(|flag| (flag.kind, flag.who == [key(PLANTED)], flag.evidence.len())).collect()
}

#[test]
fn arbitrators_that_favour_one_side() {
    assert_eq!(biased(&panels(0, 8)), [(Kind::FavoursPayers, true, 8)]);
    assert_eq!(biased(&panels(0, 7)), [], "fewer than eight votes tell nothing");
    assert_eq!(biased(&panels(1_000, 14)), [], "where payees are mostly right, fourteen of fourteen may be honest");
    assert_eq!(biased(&panels(1_000, 16)), [(Kind::FavoursPayees, true, 16)]);
    assert_eq!(biased(&panels(500, 50)), [], "votes in the middle favour nobody");
    let alone: Vec<Service> = (1..=8).map(|seq| vote(seq, PLANTED, 1_000, 1_000, 0)).collect();
    assert_eq!(biased(&alone), [(Kind::FavoursPayees, true, 8)], "with nobody to compare, a fair coin");
}

/// The bound that `docs/reputation.md` tells: of honest keys, at most ten in a thousand are flagged.
#[test]
fn honest_people_are_hardly_ever_flagged() {
    let (mut keys, mut flagged) = (0, 0);
    for seed in 1..=8 {
        let markets = [random_market(seed, 250, 5_000), market_of_regulars(seed, 250, 5_000)];
        for deals in markets {
            let who: BTreeSet<NostrKey> = flags(&deals).into_iter().flat_map(|flag| flag.who).collect();
            keys += 250;
            flagged += who.len();
        }
    }
    assert!(flagged * 1_000 <= keys * 10, "{flagged} of {keys}");
}

#[test]
fn honest_arbitrators_are_hardly_ever_flagged() {
    let mut flagged = 0;
    for share in [20, 50, 70, 90] {
        let mut random = Lcg(share);
        let votes = (0..500).flat_map(|who| (0..40).map(move |_| who));
        let services: Vec<Service> = (1..)
            .zip(votes)
            .map(|(seq, who)| {
                let own = if random.below(100) < share { 1_000 } else { 0 };
                vote(seq, who, own, own, 0)
            })
            .collect();
        flagged += find(&[], &services, &Thresholds::default(), now()).unwrap().len();
    }
    assert!(flagged <= 20, "{flagged} of 2000");
}

#[test]
fn flags_are_in_order_and_each_says_something() {
    let pattern = ring(3).chain((0..6).map(|n| lasting(odd(5, 6, 50_000, n * 3 + 1), 1_000)));
    let all = flags(&numbered(pattern));
    let kinds: Vec<Kind> = all.iter().map(|flag| flag.kind).collect();
    assert_eq!(kinds, [Kind::CaptivePair, Kind::Ring, Kind::InstantDeals]);
    assert!(all.iter().all(|flag| flag.sentence.len() > 20 && flag.strength == 1_000));
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |deals: &[Deal], services: &[Service], thresholds: &Thresholds| -> ReputationError {
        find(deals, services, thresholds, now()).unwrap_err()
    };
    let default = Thresholds::default();
    let twice = [deal(1, 1, 2, 5_000, 0), deal(1, 1, 2, 5_000, 0)];
    assert_eq!(refused(&twice, &[], &default).code().0, "reputation.unsorted");
    let twice = [vote(1, 1, 0, 0, 0), vote(1, 1, 0, 0, 0)];
    assert_eq!(refused(&[], &twice, &default).code().0, "reputation.unsorted");
    for wrong in [
        Thresholds { ring_step: 249, ..default.clone() },
        Thresholds { captive_min: 0, ..default.clone() },
        Thresholds { hasty_share: 1_001, ..default.clone() },
        Thresholds { interval_min: 2, ..default.clone() },
    ] {
        assert_eq!(refused(&[], &[], &wrong).code().0, "reputation.thresholds");
    }
}
