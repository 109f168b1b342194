//! Timing that no work leaves room for, or that only a machine keeps.

use std::collections::BTreeMap;
use tallystick_core::Duration;

use super::{
    Flag, Kind, Thresholds,
    flag::permille,
    trade::{Between, Trade, evidence},
};
use crate::reputation::{Deal, End};

pub fn find(trade: &Trade<'_>, thresholds: &Thresholds) -> Vec<Flag> {
    let both = |between| [instant(trade, between, thresholds), intervals(trade, between, thresholds)];
    let pairs = trade.pairs.values().flat_map(both).flatten();
    pairs.chain(hasty(trade, thresholds)).collect()
}

fn instant(trade: &Trade<'_>, between: &Between<'_>, thresholds: &Thresholds) -> Option<Flag> {
    let deals = between.deals();
    let quick: Vec<&Deal> =
        deals.iter().copied().filter(|deal| deal.funded_at.until(deal.ended_at) <= thresholds.instant).collect();
    let strength = permille(quick.len() as u128, deals.len() as u128);
    (quick.len() >= thresholds.instant_min && strength >= thresholds.instant_share).then(|| Flag {
        kind: Kind::InstantDeals,
        who: trade.names(&[between.keys.0, between.keys.1]),
        sentence: format!(
            "{} of {} deals between them ended within {} of being funded",
            quick.len(),
            deals.len(),
            thresholds.instant
        ),
        evidence: evidence(quick),
        strength,
    })
}

fn intervals(trade: &Trade<'_>, between: &Between<'_>, thresholds: &Thresholds) -> Option<Flag> {
    let mut deals = between.deals();
    if deals.len() < thresholds.interval_min {
        return None;
    }
    deals.sort_by_key(|deal| (deal.ended_at, deal.seq));
    let gaps: Vec<u64> = deals.windows(2).map(|two| two[0].ended_at.until(two[1].ended_at).as_millis()).collect();
    let mut sorted = gaps.clone();
    sorted.sort_unstable();
    let middle = sorted[sorted.len() / 2];
    let near = |gap: u64| {
        u128::from(gap.abs_diff(middle)) * 1_000 <= u128::from(middle) * u128::from(thresholds.interval_near)
    };
    let regular = gaps.iter().filter(|gap| near(**gap)).count();
    let strength = permille(regular as u128, gaps.len() as u128);
    // Deals that end together have no interval: a batch is no rhythm.
    (middle > 0 && strength >= thresholds.interval_share).then(|| Flag {
        kind: Kind::FixedIntervals,
        who: trade.names(&[between.keys.0, between.keys.1]),
        sentence: format!(
            "{regular} of {} times, a deal between them ended {} after the one before it, or within {} thousandths of that",
            gaps.len(),
            Duration::from_millis(middle),
            thresholds.interval_near
        ),
        evidence: evidence(deals),
        strength,
    })
}

fn hasty(trade: &Trade<'_>, thresholds: &Thresholds) -> Vec<Flag> {
    let mut approvals: BTreeMap<u32, Vec<(&Deal, Duration)>> = BTreeMap::new();
    for between in trade.pairs.values() {
        for (way, requester) in between.ways.iter().zip([between.keys.0, between.keys.1]) {
            let approved = way.iter().filter(|deal| deal.end == End::Settled && !deal.disputed);
            let taken = approved.filter_map(|deal| Some((*deal, deal.submitted_at?.until(deal.ended_at))));
            approvals.entry(requester).or_default().extend(taken);
        }
    }
    let flag = |(requester, all): (u32, Vec<(&Deal, Duration)>)| {
        let quick = all.iter().filter(|(_, taken)| *taken <= thresholds.hasty).map(|(deal, _)| *deal);
        let quick: Vec<&Deal> = quick.collect();
        let strength = permille(quick.len() as u128, all.len() as u128);
        (quick.len() >= thresholds.hasty_min && strength >= thresholds.hasty_share).then(|| Flag {
            kind: Kind::HastyApprovals,
            who: trade.names(&[requester]),
            sentence: format!(
                "{} of {} approvals came within {} of the work",
                quick.len(),
                all.len(),
                thresholds.hasty
            ),
            evidence: evidence(quick),
            strength,
        })
    };
    approvals.into_iter().filter_map(flag).collect()
}
