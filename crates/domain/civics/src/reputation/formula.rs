//! The formula's numbers. They are no configuration: a score must be the same for everybody who computes it.

use std::fmt;
use tallystick_core::Sat;

use super::ReputationError;

/// The fees that a point of trade costs at least: 5 sat, in msat.
pub const FEE_PER_POINT: u64 = 5_000;
/// Beyond 125 points, four times the fees are worth twice the points: the root of a fortieth of the msat.
const ROOT_PART: u128 = 40;
/// The most points from one counterparty: those of 10,000 sat in fees.
const PAIR_POINTS_MAX: u128 = 500;
/// Days in which a deal loses half its worth.
pub const DEAL_HALF_LIFE: u64 = 180;
/// Days in which a penalty loses half its weight.
pub const PENALTY_HALF_LIFE: u64 = 365;
/// The most points for age, one a day.
pub const AGE_POINTS_MAX: u64 = 365;
/// Points that a lost dispute takes, with the root of the sats at stake.
pub const DISPUTE_LOST: u64 = 1_000;
/// Points that a lost bond takes.
pub const BOND_LOST: u64 = 500;
/// Points that a refund by one's own fault takes.
pub const FAULT: u64 = 200;
/// Days for which a lost dispute cuts the tier.
pub const CUT_DAYS: u64 = 90;
/// Days whose deals the limit looks at.
pub const LIMIT_DAYS: u64 = 180;

/// The points of trade with one counterparty that has full weight, for fees in msat: in proportion at first, so that many small
/// counterparties are no bargain, then by the root, then no more.
pub fn pair_points(fees_msat: u128) -> u128 {
    (fees_msat / u128::from(FEE_PER_POINT)).min((fees_msat / ROOT_PART).isqrt()).min(PAIR_POINTS_MAX)
}

/// How far somebody is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Everybody at first.
    Novice,
    /// From 1,000 points.
    Intermediate,
    /// From 4,000 points.
    Advanced,
    /// From 10,000 points.
    Expert,
}

impl Tier {
    /// All, the lowest first.
    pub const ALL: [Self; 4] = [Self::Novice, Self::Intermediate, Self::Advanced, Self::Expert];

    /// The points that it takes. Fewer than none make a Novice as well.
    pub const fn points(self) -> i64 {
        match self {
            Self::Novice => 0,
            Self::Intermediate => 1_000,
            Self::Advanced => 4_000,
            Self::Expert => 10_000,
        }
    }

    /// The tier of a score.
    pub fn of(points: i64) -> Self {
        Self::ALL.into_iter().rev().find(|tier| points >= tier.points()).unwrap_or(Self::Novice)
    }

    /// So many tiers lower; Novice is the lowest.
    #[must_use]
    pub fn lowered(self, by: usize) -> Self {
        Self::ALL[(self as usize).saturating_sub(by)]
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Novice => "novice",
            Self::Intermediate => "intermediate",
            Self::Advanced => "advanced",
            Self::Expert => "expert",
        })
    }
}

/// How much a node lets be open at once. Unlike the score, this is the node's own choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most sat that may be open in all, by tier, the lowest first.
    pub open: [Sat; 4],
    /// The most tasks that may be open, by tier, the lowest first.
    pub tasks: [u32; 4],
    /// Nor more than so many times what ended well lately. A Novice's limit is everybody's floor.
    pub factor: u32,
}

impl Default for Limits {
    /// 200,000, 1,000,000, 5,000,000 and 20,000,000 sat in 10, 30, 100 and 300 tasks, and three times what ended well.
    fn default() -> Self {
        let sat = |amount| Sat::try_new(amount).expect("far below the supply");
        Self {
            open: [sat(200_000), sat(1_000_000), sat(5_000_000), sat(20_000_000)],
            tasks: [10, 30, 100, 300],
            factor: 3,
        }
    }
}

impl Limits {
    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// [`ReputationError::Limits`].
    pub fn check(&self) -> Result<(), ReputationError> {
        if !self.open.is_sorted() || !self.tasks.is_sorted() {
            return Err(ReputationError::Limits("a higher tier has a lower limit than the one below it"));
        }
        if self.tasks[0] == 0 || self.open[0] == Sat::ZERO {
            return Err(ReputationError::Limits("a Novice must be allowed something to begin with"));
        }
        if self.factor == 0 {
            return Err(ReputationError::Limits("the limit's factor must be at least 1"));
        }
        Ok(())
    }

    /// The limit of a tier with what ended well lately, in sat.
    pub(crate) fn of(&self, tier: Tier, ended_well: u128) -> Sat {
        let earned = ended_well.saturating_mul(u128::from(self.factor));
        let earned = u64::try_from(earned).ok().and_then(|sat| Sat::try_new(sat).ok()).unwrap_or(Sat::MAX);
        self.open[tier as usize].min(earned).max(self.open[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_pair() {
        let of = |sat: u128| pair_points(sat * 1_000);
        assert_eq!([0, 5, 10, 625, 2_500, 9_999, 10_000, 1 << 50].map(of), [0, 1, 2, 125, 250, 499, 500, 500]);
    }

    #[test]
    fn no_point_below_its_price_and_more_fees_never_fewer_points() {
        let mut last = 0;
        for sat in 0..12_000u128 {
            let points = pair_points(sat * 1_000);
            assert!(points * 5 <= sat && points >= last, "{sat}");
            last = points;
        }
    }

    #[test]
    fn tiers_of_points() {
        let tiers = [-5, 999, 1_000, 3_999, 4_000, 9_999, 10_000, i64::MAX].map(Tier::of);
        let [n, i, a, e] = Tier::ALL;
        assert_eq!(tiers, [n, n, i, i, a, a, e, e]);
        assert_eq!([0, 1, 3, 9].map(|by| Tier::Expert.lowered(by)), [e, a, n, n]);
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        assert_eq!(Limits::default().check(), Ok(()));
        let mut upside_down = Limits::default();
        upside_down.open.reverse();
        assert!(upside_down.check().is_err());
        let mut fewer = Limits::default();
        fewer.tasks.reverse();
        assert!(fewer.check().is_err());
        assert!(Limits { tasks: [0, 1, 1, 1], ..Limits::default() }.check().is_err());
        assert!(Limits { open: [Sat::ZERO; 4], ..Limits::default() }.check().is_err());
        assert!(Limits { factor: 0, ..Limits::default() }.check().is_err());
    }
}
