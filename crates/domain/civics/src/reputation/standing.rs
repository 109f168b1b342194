//! What somebody's deals come to.

use tallystick_core::{NostrKey, Sat};

use super::{
    Badge, Deal, Explained, Market, Role, Term, Tier, badge,
    fade::fade,
    formula::{AGE_POINTS_MAX, BOND_LOST, CUT_DAYS, DISPUTE_LOST, FAULT, LIMIT_DAYS, PENALTY_HALF_LIFE, pair_points},
    market::{Pair, WEIGHT_WHOLE},
    term::points,
};

/// Somebody's standing in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose.
    pub key: NostrKey,
    /// In which role.
    pub role: Role,
    /// The score and its terms.
    pub score: Explained,
    /// The tier: that of the score, lowered by one for each of `cut_by`.
    pub tier: Tier,
    /// The facts of disputes lost in the last 90 days, in either role.
    pub cut_by: Vec<u64>,
    /// What counterparties' weights leave of what ended well in the last 180 days, in sat.
    pub ended_well: Sat,
    /// The most that may be open at once in this role, in sat.
    pub open_limit: Sat,
    /// The most tasks that may be open at once in this role.
    pub tasks_limit: u32,
    /// What else the facts tell.
    pub badges: Vec<Badge>,
}

/// A deal of the key in the role that is asked about.
pub(crate) struct Own<'a> {
    pub deal: &'a Deal,
    /// The counterparty's weight.
    pub weight: u64,
    pub other: u32,
}

impl Market<'_> {
    /// Somebody's standing in a role. Who has no deals has an empty score.
    pub fn standing(&self, key: NostrKey, role: Role) -> Standing {
        let number = self.number(key);
        let pairs = number.map(|number| self.pairs_of(number)).unwrap_or_default();
        let (mut terms, mut own, mut cut_by, mut ended_well) = (Vec::new(), Vec::new(), Vec::new(), 0u128);
        for (pair, number) in pairs.iter().zip(number.into_iter().cycle()) {
            let weight = self.weight_of(pair.other, Some(number));
            terms.extend(self.trade(pair, number, role, weight));
            cut_by.extend(self.cuts(pair, number));
            ended_well += self.ended_well(pair, number, role) * u128::from(weight) / u128::from(WEIGHT_WHOLE);
            let sides = self.in_role(pair, number, role);
            own.extend(sides.map(|side| Own { deal: self.deal(side), weight, other: pair.other }));
        }
        own.sort_unstable_by_key(|own| own.deal.seq);
        cut_by.sort_unstable();
        let trade = terms.iter().map(|term| term.points).sum();
        terms.extend(self.age_term(&own, role, trade));
        terms.extend(own.iter().flat_map(|own| self.penalties(own.deal, role)));
        let score = Explained::of(terms);
        let tier = Tier::of(score.total).lowered(cut_by.len());
        Standing {
            key,
            role,
            tier,
            cut_by,
            ended_well: u64::try_from(ended_well).ok().and_then(|sat| Sat::try_new(sat).ok()).unwrap_or(Sat::MAX),
            open_limit: self.limits.of(tier, ended_well),
            tasks_limit: self.limits.tasks[tier as usize],
            badges: badge::of(self, &own, role),
            score,
        }
    }

    /// The points of trade with one counterparty.
    fn trade(&self, pair: &Pair, key: u32, role: Role, weight: u64) -> Option<Term> {
        let good = self.in_role(pair, key, role).filter(|side| self.deal(side).is_good_for(role));
        let (mut fees, mut facts) = (0, Vec::new());
        for side in good {
            fees += self.fees[side.deal as usize];
            facts.push(self.deal(side).seq);
        }
        let worth = pair_points(fees);
        let given = points(worth * u128::from(weight) / u128::from(WEIGHT_WHOLE));
        let other = self.index.keys[pair.other as usize];
        let why = format!(
            "{} deals with {other} that ended well: fees worth {fees} msat today make {worth} points, and this \
             counterparty counts {weight} of {WEIGHT_WHOLE}",
            facts.len()
        );
        (!facts.is_empty()).then_some(Term { name: "trade", points: given, why, facts })
    }

    /// A point a day since the first deal that ended well; no more than trade gives, so that age alone is worth nothing.
    fn age_term(&self, own: &[Own<'_>], role: Role, trade: i64) -> Option<Term> {
        let good = own.iter().map(|own| own.deal).filter(|deal| deal.is_good_for(role));
        let first = good.min_by_key(|deal| (deal.ended_at, deal.seq))?;
        let days = self.age(first);
        let given = points(u128::from(days.min(AGE_POINTS_MAX))).min(trade);
        let why = format!(
            "the first deal that ended well is {days} days old: a point a day, {AGE_POINTS_MAX} at most, and no more \
             than trade gives"
        );
        Some(Term { name: "age", points: given, why, facts: vec![first.seq] })
    }

    /// What a deal takes from a party.
    fn penalties(&self, deal: &Deal, role: Role) -> impl Iterator<Item = Term> {
        let stake = deal.stake().isqrt();
        let held = [
            (deal.dispute_lost_by == Some(role), "dispute_lost", DISPUTE_LOST + stake, "lost a dispute"),
            (deal.bonds_lost.includes(role), "bond_lost", BOND_LOST, "lost a bond"),
            (deal.fault() == Some(role), "fault", FAULT, "the money went back by own fault"),
        ];
        let (days, seq) = (self.age(deal), deal.seq);
        held.into_iter().filter(|(is_held, ..)| *is_held).map(move |(_, name, full, what)| {
            let left = points(fade(u128::from(full), days, PENALTY_HALF_LIFE));
            let why = format!("{what} {days} days ago: {full} points then, {left} today");
            Term { name, points: -left, why, facts: vec![seq] }
        })
    }

    /// The facts of disputes that a key lately lost to a counterparty, in either role.
    fn cuts<'m>(&'m self, pair: &'m Pair, key: u32) -> impl Iterator<Item = u64> + 'm {
        let sides = self.sides[pair.sides.clone()].iter();
        let lost = sides.filter(move |side| self.deal(side).dispute_lost_by == Some(self.index.role(side.deal, key)));
        lost.map(|side| self.deal(side)).filter(|deal| self.age(deal) < CUT_DAYS).map(|deal| deal.seq)
    }

    /// What ended well with a counterparty lately, in sat.
    fn ended_well(&self, pair: &Pair, key: u32, role: Role) -> u128 {
        let deals = self.in_role(pair, key, role).map(|side| self.deal(side));
        let lately = deals.filter(|deal| deal.is_good_for(role) && self.age(deal) < LIMIT_DAYS);
        lately.map(|deal| u128::from(deal.paid.get())).sum()
    }
}
