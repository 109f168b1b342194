//! Attacks by name: what they gain, and what they cost at least. The table in `docs/reputation.md` tells these numbers.
//!
//! An attacker is given what is free here: 365 points of age without a day's fading, deals of any size at once, and as many
//! keys as wanted. A cost is the sum of all fees; sats that go round among the attacker's keys cost nothing else.

use tallystick_civics::reputation::{Deal, Limits, Market, Role, Tier};

use crate::support::*;

use Role::{Requester, Worker};

const AGE: i64 = 365;
/// The key that is to rise.
const HUB: u32 = 0;

/// A deal with so many sat of fee.
fn costing(requester: u32, worker: u32, fee: u64) -> Deal {
    deal(0, requester, worker, fee * 100, 0)
}

fn cost(deals: &[Deal]) -> u64 {
    deals.iter().map(|deal| deal.fee.get()).sum()
}

fn trade(deals: &[Deal], who: u32, role: Role) -> i64 {
    let terms = standing(deals, who, role).score.terms;
    terms.iter().filter(|term| term.name == "trade").map(|term| term.points).sum()
}

/// The tier, were the age free.
fn tier(deals: &[Deal], who: u32, role: Role) -> Tier {
    let trade = trade(deals, who, role);
    Tier::of(trade + trade.min(AGE))
}

#[test]
fn self_trade_of_a_pair_is_worth_nothing_at_any_price() {
    let deals = numbered((0..200).map(|n| costing(n % 2, 1 - n % 2, 1_000_000)));
    for role in [Requester, Worker] {
        assert_eq!((trade(&deals, 0, role), trade(&deals, 1, role)), (0, 0));
    }
}

#[test]
fn a_ring_is_worth_no_tier_at_any_price() {
    for members in 3..=30 {
        let deals = numbered((0..members).map(|n| costing(n, (n + 1) % members, 1_000_000)));
        let best = (0..members).flat_map(|who| [Requester, Worker].map(|role| trade(&deals, who, role))).max();
        assert_eq!(best, Some(50), "a ring of {members}: one neighbour more makes a weight of 100 of 1000");
    }
}

#[test]
fn a_star_of_new_keys_is_worth_nothing() {
    let deals = numbered((1..=500).map(|n| costing(n, HUB, 10_000)));
    assert_eq!(trade(&deals, HUB, Worker), 0);
}

/// Sybils that pay the hub, each with ten others that it trades with to count at all: one another as far as they go.
fn star_of_sybils(paying: u32, outer: u64, inner: u64) -> Vec<Deal> {
    let star = (1..=paying).map(|n| costing(n, HUB, outer));
    let round = move |n: u32| (1..=5).map(move |step| (n, (n + step) % paying));
    let among: Vec<(u32, u32)> = match paying {
        0..11 => (0..paying).flat_map(|n| (n + 1..11).map(move |other| (n, other))).collect(),
        _ => (0..paying).flat_map(round).collect(),
    };
    numbered(star.chain(among.into_iter().map(|(a, b)| costing(1 + a, 1 + b, inner))))
}

/// For one key to rise alone, its counterparties have to be raised as well.
#[test]
fn the_cheapest_star_of_sybils() {
    let mut cheapest = [u64::MAX; 4];
    for paying in (2..=16).chain([20, 30, 38, 40, 60]) {
        for outer in [625, 1_250, 2_325, 2_500, 4_250, 5_000, 10_000] {
            for inner in [100, 250, 400, 490, 500] {
                let star = star_of_sybils(paying, outer, inner);
                let (reached, cost) = (tier(&star, HUB, Worker), cost(&star));
                for tier in Tier::ALL.into_iter().filter(|tier| *tier <= reached) {
                    cheapest[tier as usize] = cheapest[tier as usize].min(cost);
                }
            }
        }
    }
    let told = [(Tier::Intermediate, 15_000), (Tier::Advanced, 70_000), (Tier::Expert, 190_000)];
    for (tier, least) in told {
        let found = cheapest[tier as usize];
        assert!(found >= least, "{tier} for {found} sat, told as at least {least}");
        assert!(found <= least + least / 4, "{tier} for {found} sat: the attack is badly made");
    }
}

/// Whoever raises many keys at once shares the cost of their counterparties, and comes close to the price that nobody can
/// go below: five sat a point.
#[test]
fn a_farm_pays_nearly_the_least_price() {
    for (wanted, least) in [(Tier::Intermediate, 3_175), (Tier::Advanced, 18_175), (Tier::Expert, 48_175)] {
        let points = wanted.points() - AGE;
        assert_eq!(u64::try_from(points).unwrap() * 5, least, "the table's number");
        let payers = u32::try_from(points).unwrap().div_ceil(100);
        // Eleven keys are raised together, each by 500 sat from each of the payers.
        let farm = numbered((0..payers).flat_map(|payer| (0..11).map(move |hub| costing(100 + payer, hub, 500))));
        assert!((0..11).all(|hub| tier(&farm, hub, Worker) >= wanted));
        let each = cost(&farm) / 11;
        assert!(each >= least && each <= least + 500, "{wanted} for {each} sat each");
    }
}

#[test]
fn a_clique_is_no_cheaper_than_a_farm() {
    for members in [12u32, 20, 30, 40] {
        for fee in [10, 100, 500, 1_000] {
            let pay = move |payer: u32| (0..members).filter(move |n| *n != payer).map(move |n| costing(payer, n, fee));
            let clique = numbered((0..members).flat_map(pay));
            let each = cost(&clique) / u64::from(members);
            assert!(u64::try_from(trade(&clique, HUB, Worker)).unwrap() * 5 <= each, "{members} with {fee}");
        }
    }
}

/// Ten counterparties raise the key that they all help by 5,000 points at most, whatever they pay.
#[test]
fn helpers_of_good_standing_are_worth_500_points_each() {
    let known = (1..=10).flat_map(|n| established(n, 1_000 + 10 * n));
    let deals = numbered(known.chain((1..=10).map(|n| costing(n, HUB, 5_000_000))));
    assert_eq!(trade(&deals, HUB, Worker), 5_000);
}

#[test]
fn one_big_good_deal_before_a_theft() {
    let known: Vec<Deal> = established(1, 100).collect();
    let deals = numbered(known.into_iter().chain([deal(0, 1, HUB, 2_000_000_000, 0)]));
    let standing = standing(&deals, HUB, Worker);
    assert_eq!((standing.tier, standing.open_limit), (Tier::Novice, sat(200_000)));
}

/// The quickest honest way up: each deal as large as the limit allows, each with another requester of full weight.
#[test]
fn the_limit_grows_gradually() {
    let limits = Limits::default();
    let (mut deals, mut done, mut limit) = (Vec::new(), 0, 200_000);
    let mut firsts: Vec<(Tier, u32, u64)> = Vec::new();
    for n in 0..40 {
        deals.extend(established(1 + n, 1_000 + 10 * n));
        deals.push(deal(0, 1 + n, HUB, limit, 0));
        done += limit;
        let numbered = numbered(deals.clone());
        let standing = Market::try_new(&numbered, &limits, now()).unwrap().standing(key(HUB), Worker);
        let next = standing.open_limit.get();
        assert!(next <= (3 * done).max(200_000) && next <= 5 * limit, "from {limit} to {next} after {done}");
        if firsts.last().is_none_or(|first| first.0 < standing.tier) {
            firsts.push((standing.tier, n + 1, done));
        }
        limit = next;
    }
    let novice = (Tier::Novice, 1, 200_000);
    let told =
        [novice, (Tier::Intermediate, 5, 1_000_000), (Tier::Advanced, 11, 7_000_000), (Tier::Expert, 23, 67_000_000)];
    assert_eq!(firsts, told, "tier, deals until then, sat until then");
}

/// A thief's second victim meets a Novice or worse, and a new key begins where everybody does.
#[test]
fn after_a_theft() {
    let known = (1..=20).flat_map(|n| established(n, 1_000 + 10 * n));
    let rise = (1..=20).map(|n| costing(n, HUB, 10_000));
    let theft = lost_by(deal(0, 1, HUB, 20_000_000, 0), Worker);
    let before = numbered(known.chain(rise));
    let after = numbered(before.iter().cloned().chain([theft.clone()]));
    let tiers = [&before, &after].map(|deals| standing(deals, HUB, Worker).tier);
    assert_eq!(tiers, [Tier::Expert, Tier::Intermediate], "the score falls below Expert, and the cut takes one more");
    let thrice = numbered(after.iter().cloned().chain([theft.clone(), theft]));
    assert_eq!(standing(&thrice, HUB, Worker).tier, Tier::Novice);
    assert_eq!(standing(&after, 9_999, Worker).tier, Tier::Novice);
}

/// Nobody lowers another's score by trading with them, giving up, or losing to them.
#[test]
fn slander() {
    let deals = numbered(established(1, 100).chain([costing(1, HUB, 500)]));
    let before = standing(&deals, HUB, Worker).score.total;
    let stranger = |n: u32| {
        let base = costing(5_000 + n, HUB, 10);
        [base.clone(), refunded(base.clone(), None), refunded(base.clone(), Some(Requester)), lost_by(base, Requester)]
    };
    let slandered = numbered(deals.into_iter().chain((0..50).flat_map(stranger)));
    assert!(standing(&slandered, HUB, Worker).score.total >= before);
}
