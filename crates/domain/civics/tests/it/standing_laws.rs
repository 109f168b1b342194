//! Laws that hold for any deals.

use proptest::{collection::vec, prelude::*};
use tallystick_civics::{
    anomaly::{Thresholds, find},
    reputation::{BondsLost, Deal, Deals, FEE_PER_POINT, Limits, Market, Role, Standing},
};

use crate::support::*;

/// Few keys, so that they meet again and again.
const KEYS: u32 = 7;

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Requester), Just(Role::Worker)]
}

fn any_deal() -> impl Strategy<Value = Deal> {
    let parties = (0..KEYS, 1..KEYS).prop_map(|(a, step)| (a, (a + step) % KEYS));
    let paid = prop_oneof![1u64..30_000, 1u64..3_000_000];
    (parties, paid, 0u64..1_500, any_role(), 0..8u8).prop_map(|((a, b), paid, days_ago, role, kind)| {
        let deal = deal(0, a, b, paid, days_ago);
        match kind {
            0 => lost_by(deal, role),
            1 => refunded(deal, Some(role)),
            2 => Deal { bonds_lost: BondsLost::One(role), ..deal },
            3 => refunded(deal, None),
            _ => deal,
        }
    })
}

fn market() -> impl Strategy<Value = Vec<Deal>> {
    vec(any_deal(), 0..40).prop_map(numbered)
}

fn with(mut deals: Vec<Deal>, more: Deal) -> Vec<Deal> {
    deals.push(Deal { seq: deals.len() as u64 + 1, ..more });
    deals
}

/// All that a standing says but the numbers of the facts.
fn said(standing: &Standing) -> (Vec<(&'static str, i64)>, i64, Vec<String>) {
    let mut terms: Vec<_> = standing.score.terms.iter().map(|term| (term.name, term.points)).collect();
    terms.sort_unstable();
    let rest = vec![standing.tier.to_string(), standing.open_limit.to_string(), standing.cut_by.len().to_string()];
    (terms, standing.score.total, rest)
}

proptest! {
    #[test]
    fn terms_add_up_and_name_facts_of_the_key(deals in market(), who in 0..KEYS, role in any_role()) {
        let standing = standing(&deals, who, role);
        prop_assert_eq!(standing.score.terms.iter().map(|term| term.points).sum::<i64>(), standing.score.total);
        for seq in standing.score.terms.iter().flat_map(|term| &term.facts) {
            let fact = deals.iter().find(|deal| deal.seq == *seq);
            prop_assert_eq!(fact.map(|deal| deal.key(role)), Some(key(who)));
        }
    }

    /// The deals that a standing is made of are a part of all of them, and enough.
    #[test]
    fn the_deals_around_a_key_make_the_same_standing(deals in market(), who in 0..KEYS, role in any_role()) {
        let mut kept = Deals::default();
        deals.iter().rev().chain(&deals).cloned().for_each(|deal| kept.add(deal));
        prop_assert_eq!(kept.all(), deals.clone());
        prop_assert_eq!(standing(&kept.around(key(who)), who, role), standing(&deals, who, role));
    }

    #[test]
    fn order_means_nothing(deals in market().prop_shuffle(), who in 0..KEYS, role in any_role()) {
        let mut sorted = deals.clone();
        sorted.sort_by_key(|deal| deal.seq);
        prop_assert_eq!(said(&standing(&numbered(deals), who, role)), said(&standing(&sorted, who, role)));
    }

    #[test]
    fn the_time_of_day_means_nothing(deals in market(), who in 0..KEYS, role in any_role(), hours in 0u64..12) {
        let shift = |at: tallystick_core::Timestamp| tallystick_core::Timestamp::from_millis(at.as_millis() - hours * DAY / 24);
        let earlier: Vec<Deal> = deals.iter().map(|deal| Deal {
            funded_at: shift(deal.funded_at), submitted_at: deal.submitted_at.map(shift), ended_at: shift(deal.ended_at),
            ..deal.clone()
        }).collect();
        prop_assert_eq!(said(&standing(&earlier, who, role)), said(&standing(&deals, who, role)));
    }

    #[test]
    fn more_good_deals_never_lower_a_score(deals in market(), a in 0..KEYS, step in 1..KEYS, paid in 1u64..3_000_000,
        days_ago in 0u64..1_500, who in 0..KEYS, role in any_role())
    {
        let before = standing(&deals, who, role);
        let after = standing(&with(deals, deal(0, a, (a + step) % KEYS, paid, days_ago)), who, role);
        prop_assert!(after.score.total >= before.score.total);
        prop_assert!(after.tier >= before.tier && after.open_limit >= before.open_limit);
    }

    #[test]
    fn a_lost_dispute_always_lowers(deals in market(), a in 0..KEYS, step in 1..KEYS, paid in 1u64..3_000_000,
        days_ago in 0u64..3_000, role in any_role())
    {
        let (who, other) = (a, (a + step) % KEYS);
        let (requester, worker) = if role == Role::Requester { (who, other) } else { (other, who) };
        let good = deal(0, requester, worker, paid, days_ago);
        let without = standing(&deals, who, role);
        let won = standing(&with(deals.clone(), good.clone()), who, role);
        let lost = standing(&with(deals, lost_by(good, role)), who, role);
        prop_assert!(lost.score.total < without.score.total && lost.score.total < won.score.total);
        prop_assert!(lost.tier <= without.tier && lost.open_limit <= without.open_limit);
    }

    /// The price that no attack can go below, whoever trades with whom: each deal has one requester and one worker.
    #[test]
    fn a_point_of_trade_costs_five_sat_in_fees(fresh in vec((0..KEYS, 1..KEYS, 1u64..30_000), 1..40), who in 0..KEYS,
        role in any_role())
    {
        // Of today, and everybody counts in full as somebody's worker: nothing but the fees keeps a requester's points down.
        let fresh = fresh.into_iter().map(|(a, step, paid)| deal(0, a, (a + step) % KEYS, paid, 0));
        let deals = numbered(fresh.chain((0..KEYS).flat_map(|n| established(n, 100 + 10 * n))));
        let terms = standing(&deals, who, role).score.terms;
        let points: i64 = terms.iter().filter(|term| term.name == "trade").map(|term| term.points).sum();
        let own = deals.iter().filter(|deal| deal.key(role) == key(who));
        let fees: u64 = own.map(|deal| deal.fee.to_msat().get()).sum();
        prop_assert!(u64::try_from(points).unwrap() * FEE_PER_POINT <= fees);
    }

    #[test]
    fn a_deal_gives_its_own_counterparty_no_weight(deals in market(), a in 0..KEYS, step in 1..KEYS, paid in 1u64..3_000_000) {
        let b = (a + step) % KEYS;
        let limits = Limits::default();
        let weight = |deals: &[Deal]| Market::try_new(deals, &limits, now()).unwrap().weight(key(b), key(a));
        let before = weight(&deals);
        let once = with(deals, deal(0, a, b, paid, 0));
        let twice = with(once.clone(), deal(0, b, a, paid, 0));
        prop_assert_eq!((before, before), (weight(&once), weight(&twice)));
    }

    #[test]
    fn without_new_deals_the_limit_never_grows(deals in market(), who in 0..KEYS, role in any_role(), days in 1u64..800) {
        let limits = Limits::default();
        let then = |day| Market::try_new(&deals, &limits, at(day)).unwrap().standing(key(who), role);
        prop_assert!(then(TODAY + days).ended_well <= then(TODAY).ended_well);
    }

    #[test]
    fn no_flag_without_evidence(deals in market()) {
        let flags = find(&deals, &[], &Thresholds::default(), now()).unwrap();
        for flag in &flags {
            prop_assert!(!flag.evidence.is_empty() && !flag.who.is_empty() && flag.strength <= 1_000);
            prop_assert!(flag.who.is_sorted() && flag.evidence.is_sorted());
            for seq in &flag.evidence {
                let fact = deals.iter().find(|deal| deal.seq == *seq).unwrap();
                prop_assert!(flag.who.contains(&fact.requester) || flag.who.contains(&fact.worker));
            }
        }
        prop_assert_eq!(find(&deals, &[], &Thresholds::default(), now()).unwrap(), flags);
    }
}
