//! Standings by example.

use tallystick_civics::reputation::{BondsLost, Deal, End, Limits, Market, Role, Standing, Tier};
use tallystick_core::{Coded, Sat};

use crate::support::*;

use Role::{Requester, Worker};

/// Key 1 works for requesters 100, 101, … that all count in full.
fn worker_for(requesters: u32, paid: u64, days_ago: u64) -> Vec<Deal> {
    let known = (0..requesters).flat_map(|n| established(100 + n, 1_000 + 10 * n));
    let own = (0..requesters).map(move |n| deal(0, 100 + n, 1, paid, days_ago));
    numbered(known.chain(own))
}

fn told(standing: &Standing) -> Vec<(&'static str, i64)> {
    standing.score.terms.iter().map(|term| (term.name, term.points)).collect()
}

fn badges(standing: &Standing) -> Vec<&'static str> {
    standing.badges.iter().map(|badge| badge.name).collect()
}

#[test]
fn nobody_has_an_empty_score() {
    let empty = standing(&[], 1, Worker);
    assert_eq!((empty.score.total, empty.tier, empty.open_limit), (0, Tier::Novice, sat(200_000)));
    assert!(empty.score.terms.is_empty() && empty.badges.is_empty());
}

/// A deal is worth weight to the side that nothing of it is held against, and none to the other.
#[test]
fn a_deal_that_one_side_lost_makes_only_the_other_known() {
    let (winner, loser, seen_by) = (2, 3, key(1));
    for lost in [Worker, Requester] {
        let (requester, worker) = if lost == Worker { (winner, loser) } else { (loser, winner) };
        // A loser who works is paid some of it, and that makes a fee.
        let end = End::Ruled { award: sat(10_000), of: sat(50_000) };
        let some = Deal {
            refunded: sat(40_000),
            end,
            disputed: true,
            dispute_lost_by: Some(Worker),
            ..deal(0, requester, worker, 10_000, 0)
        };
        let deals =
            numbered([if lost == Worker { some } else { lost_by(deal(0, requester, worker, 50_000, 0), lost) }]);
        let limits = Limits::default();
        let market = Market::try_new(&deals, &limits, now()).unwrap();
        let weights = [winner, loser].map(|n| market.weight(key(n), seen_by));
        assert!(weights[0] > 0 && weights[1] == 0, "{lost:?}: {weights:?}");
    }
}

/// The worked example of `docs/reputation.md`.
#[test]
fn the_worked_example() {
    // Ada works. Three deals for Ben, who trades enough with others; one for Cyd, who has traded with three others.
    let (ada, ben, cyd) = (1, 2, 3);
    let deals = numbered(
        established(ben, 100)
            .chain((0..3).map(|n| deal(0, 200 + n, cyd, 50_000, 0)))
            .chain([deal(0, ben, ada, 100_000, 180), deal(0, ben, ada, 40_000, 90), deal(0, ben, ada, 20_000, 0)])
            .chain([deal(0, cyd, ada, 60_000, 30)])
            .chain([lost_by(deal(0, ben, ada, 10_000, 73), Worker)]),
    );
    let ada = standing(&deals, ada, Worker);
    // Ben: 500 + 300 + 200 sat = 1,000 sat of fees, faded: the root of 1,000,000 / 40.
    // Cyd: 600 sat, 50 of them faded, make 110 points; 300 thousandths of these.
    // Age: 180 days, but no more than the 191 points of trade. The dispute: 1,000 and the root of 10,000, 73 days faded.
    assert_eq!(told(&ada), [("trade", 158), ("trade", 33), ("age", 180), ("dispute_lost", -990)]);
    assert_eq!(ada.score.total, -619);
    let facts: Vec<&[u64]> = ada.score.terms.iter().map(|term| term.facts.as_slice()).collect();
    assert_eq!(facts, [&[14, 15, 16][..], &[17], &[14], &[18]]);
    assert_eq!(ada.cut_by, [18]);
    // 40,000 + 20,000 of Ben's, whose first deal is too old, and 300 thousandths of Cyd's 60,000.
    assert_eq!(ada.ended_well, sat(78_000));
}

#[test]
fn tiers_and_limits() {
    let at = |requesters, paid| {
        let standing = standing(&worker_for(requesters, paid, 0), 1, Worker);
        (standing.score.total, standing.tier, standing.open_limit.get())
    };
    assert_eq!(at(7, 62_500), (875, Tier::Novice, 200_000));
    assert_eq!(at(8, 62_500), (1_000, Tier::Intermediate, 1_000_000));
    assert_eq!(at(32, 62_500), (4_000, Tier::Advanced, 5_000_000));
    assert_eq!(at(80, 62_500), (10_000, Tier::Expert, 15_000_000));
    assert_eq!(at(20, 1_000_000), (10_000, Tier::Expert, 20_000_000));
    assert_eq!(at(1, 1_000_000_000), (500, Tier::Novice, 200_000), "one counterparty is worth no tier");
}

#[test]
fn the_limit_looks_at_180_days() {
    let limit = |days_ago| {
        let standing = standing(&worker_for(30, 200_000, days_ago), 1, Worker);
        (standing.tier, standing.open_limit.get())
    };
    assert_eq!(limit(0), (Tier::Advanced, 5_000_000));
    assert_eq!(limit(179), (Tier::Advanced, 5_000_000));
    assert_eq!(limit(180), (Tier::Advanced, 200_000));
}

#[test]
fn deals_fade_and_age_grows() {
    let points = |days_ago| told(&standing(&worker_for(8, 62_500, days_ago), 1, Worker));
    let of = |trade, age| [vec![("trade", trade); 8], vec![("age", age)]].concat();
    assert_eq!(points(0), of(125, 0));
    assert_eq!(points(90), of(93, 90));
    assert_eq!(points(180), of(62, 180));
    assert_eq!(points(360), of(31, 248), "no more than trade gives");
}

#[test]
fn roles_have_scores_of_their_own_and_a_cut_is_in_both() {
    let mut deals = worker_for(8, 62_500, 0);
    let seq = deals.last().unwrap().seq + 1;
    deals.push(Deal { seq, ..lost_by(deal(0, 1, 50, 10_000, 0), Requester) });
    let worker = standing(&deals, 1, Worker);
    assert_eq!((worker.score.total, worker.tier, worker.cut_by), (1_000, Tier::Novice, vec![seq]));
    let requester = standing(&deals, 1, Requester);
    assert_eq!(told(&requester), [("dispute_lost", -1_100)]);
    let winner = standing(&deals, 50, Worker);
    assert_eq!(told(&winner), [("trade", 16), ("age", 0)], "20 points, and key 1 counts 8 × 500 sat of 5,000");
}

#[test]
fn a_lost_dispute_cuts_the_tier_for_90_days_whatever_the_volume() {
    let tier = |days_ago| {
        let mut deals = worker_for(300, 1_000_000, 0);
        let seq = deals.last().unwrap().seq + 1;
        deals.push(Deal { seq, ..lost_by(deal(0, 100, 1, 1_000, days_ago), Worker) });
        let standing = standing(&deals, 1, Worker);
        assert!(standing.score.total > 100_000);
        standing.tier
    };
    assert_eq!([tier(0), tier(89), tier(90)], [Tier::Advanced, Tier::Advanced, Tier::Expert]);
}

#[test]
fn what_is_held_against_somebody() {
    let base = deal(1, 2, 1, 40_000, 0);
    let with = |deal: Deal, role| told(&standing(&[deal], 1, role));
    let late = refunded(base.clone(), Some(Worker));
    assert_eq!(with(late.clone(), Worker), [("fault", -200)]);
    assert_eq!(with(refunded(base.clone(), None), Worker), []);
    let bond = Deal { bonds_lost: BondsLost::One(Worker), ..late };
    assert_eq!(with(bond.clone(), Worker), [("bond_lost", -500), ("fault", -200)]);
    // Of both, each counts.
    let both = Deal { bonds_lost: [Requester, Worker].into_iter().collect(), ..bond.clone() };
    assert_eq!(with(both.clone(), Worker), with(bond, Worker));
    assert_eq!(told(&standing(std::slice::from_ref(&both), 2, Requester)), [("bond_lost", -500)]);
    assert_eq!(both.bonds_lost, BondsLost::Both);
    // One or none is encoded as it always was.
    let encoded = |lost: BondsLost| borsh::to_vec(&lost).unwrap();
    assert_eq!(encoded(BondsLost::Nobody), borsh::to_vec(&None::<Role>).unwrap());
    for role in [Requester, Worker] {
        assert_eq!(encoded(BondsLost::One(role)), borsh::to_vec(&Some(role)).unwrap());
    }
    assert_eq!(with(lost_by(base.clone(), Worker), Worker), [("dispute_lost", -1_200)]);
    let year_old = lost_by(deal(1, 2, 1, 40_000, 365), Worker);
    assert_eq!(with(year_old, Worker), [("dispute_lost", -600)]);
    let even = Deal { end: End::Ruled { award: sat(5), of: sat(10) }, disputed: true, ..base };
    assert_eq!(with(even, Worker), [("trade", 0), ("age", 0)], "a ruling in the middle is held against nobody");
}

#[test]
fn badges_come_with_their_facts_and_not_from_strangers() {
    let many = |requesters: u32, days_ago: u64| {
        let known = (0..requesters).flat_map(|n| established(100 + n, 1_000 + 10 * n));
        let own = (0..60).map(move |n| deal(0, 100 + n % requesters, 1, 10_000, days_ago * u64::from(n == 0)));
        numbered(known.chain(own))
    };
    let all = standing(&many(20, 400), 1, Worker);
    assert_eq!(badges(&all), ["fifty_deals", "a_year", "no_dispute_lost_in_50", "twenty_counterparties"]);
    let counts: Vec<usize> = all.badges.iter().map(|badge| badge.facts.len()).collect();
    assert_eq!(counts, [50, 2, 50, 20]);
    assert!(all.badges.iter().all(|badge| badge.facts.is_sorted()));
    assert_eq!(badges(&standing(&many(19, 364), 1, Worker)), ["fifty_deals", "no_dispute_lost_in_50"]);

    let mut lost = many(20, 0);
    let seq = lost.last().unwrap().seq + 1;
    lost.push(Deal { seq, ..lost_by(deal(0, 9_999, 1, 1_000, 0), Worker) });
    assert_eq!(badges(&standing(&lost, 1, Worker)), ["fifty_deals", "twenty_counterparties"]);

    let strangers = numbered((0..60).map(|n| deal(0, 100 + n, 1, 10_000, 0)));
    assert!(standing(&strangers, 1, Worker).badges.is_empty());
}

#[test]
fn deals_that_cannot_be_are_refused() {
    let good = deal(1, 2, 1, 10_000, 0);
    let refused = |deals: &[Deal]| {
        let limits = Limits::default();
        let error = Market::try_new(deals, &limits, now()).err().unwrap();
        (error.code().0, error.to_string())
    };
    assert_eq!(refused(&[good.clone(), good.clone()]).0, "reputation.unsorted");
    assert_eq!(refused(&[deal(2, 2, 1, 1, 0), good.clone()]).0, "reputation.unsorted");
    let later = Deal { ended_at: at(TODAY + 1), ..good.clone() };
    assert_eq!(refused(&[later]).0, "reputation.future");
    let contradictions = [
        deal(1, 2, 2, 10_000, 0),
        Deal { funded_at: now().after(tallystick_core::Duration::from_secs(1)), ..good.clone() },
        Deal { submitted_at: Some(at(TODAY - 10)), ..good.clone() },
        Deal { dispute_lost_by: Some(Worker), ..good.clone() },
        Deal { end: End::Ruled { award: sat(1), of: sat(2) }, ..good.clone() },
        Deal { end: End::Ruled { award: sat(3), of: sat(2) }, disputed: true, ..good.clone() },
        Deal { paid: Sat::ZERO, ..good.clone() },
        Deal { end: End::Refunded { fault: None }, ..good.clone() },
    ];
    for (n, wrong) in contradictions.into_iter().enumerate() {
        let (code, sentence) = refused(&[wrong]);
        assert_eq!(code, "reputation.contradiction", "{n}");
        assert!(sentence.starts_with("fact 1 contradicts itself: "), "{sentence}");
    }
    let limits = Limits { factor: 0, ..Limits::default() };
    assert_eq!(Market::try_new(&[], &limits, now()).err().unwrap().code().0, "reputation.limits");
}
