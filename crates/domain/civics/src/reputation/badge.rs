//! Badges: few, and each a plain fact.

use std::collections::BTreeMap;

use super::{Market, Role, standing::Own};

/// Something that the facts tell about somebody in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// Which: `fifty_deals`, `a_year`, `no_dispute_lost_in_50` or `twenty_counterparties`.
    pub name: &'static str,
    /// The facts behind it, in order.
    pub facts: Vec<u64>,
}

/// Days of a year.
const YEAR: u64 = 365;
/// Who was away for longer is not told to be here for a year.
const LATELY: u64 = 90;
/// A counterparty counts for a badge from this weight on: trading with oneself makes none.
const WEIGHT_MIN: u64 = 500;

/// The badges of somebody's deals in a role, sorted by fact.
pub fn of(market: &Market<'_>, own: &[Own<'_>], role: Role) -> Vec<Badge> {
    let known: Vec<&Own<'_>> = own.iter().filter(|own| own.weight >= WEIGHT_MIN).collect();
    let good: Vec<&Own<'_>> = known.iter().copied().filter(|own| own.deal.is_good_for(role)).collect();
    let mut badges = Vec::new();
    let mut give = |name, facts: Vec<u64>| badges.push(Badge { name, facts });

    if good.len() >= 50 {
        give("fifty_deals", good.iter().take(50).map(|own| own.deal.seq).collect());
    }
    if let Some([first, last]) =
        ends(&good).filter(|[first, last]| market.age(first.deal) >= YEAR && market.age(last.deal) < LATELY)
    {
        give("a_year", vec![first.deal.seq, last.deal.seq]);
    }
    // A dispute lost to anybody counts, a deal only if the counterparty does.
    if let Some(start) = known.len().checked_sub(50) {
        let since = known[start].deal.seq;
        let lost = own.iter().any(|own| own.deal.seq >= since && own.deal.dispute_lost_by == Some(role));
        if !lost {
            give("no_dispute_lost_in_50", known[start..].iter().map(|own| own.deal.seq).collect());
        }
    }
    let mut firsts = BTreeMap::new();
    for own in &good {
        firsts.entry(own.other).or_insert(own.deal.seq);
    }
    if firsts.len() >= 20 {
        let mut facts: Vec<u64> = firsts.into_values().collect();
        facts.sort_unstable();
        facts.truncate(20);
        give("twenty_counterparties", facts);
    }
    badges
}

/// The first and the last deal by time.
fn ends<'m, 'a>(good: &[&'m Own<'a>]) -> Option<[&'m Own<'a>; 2]> {
    let time = |own: &&&'m Own<'a>| (own.deal.ended_at, own.deal.seq);
    Some([*good.iter().min_by_key(time)?, *good.iter().max_by_key(time)?])
}
