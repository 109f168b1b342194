//! What a flag is, and from when on there is one.

use std::fmt;
use tallystick_core::{Duration, NostrKey};

use crate::reputation::ReputationError;

/// What looks odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Two keys pay each other near amounts, to and fro.
    ReciprocalPair,
    /// Two keys trade with hardly anybody else.
    CaptivePair,
    /// Three to five keys pay each other in a circle, and hardly trade with others.
    Ring,
    /// Deals of a pair end within seconds of being funded.
    InstantDeals,
    /// Deals of a pair end at fixed intervals.
    FixedIntervals,
    /// A requester approves within seconds, whoever did the work.
    HastyApprovals,
    /// An arbitrator votes for payers more than the others do.
    FavoursPayers,
    /// An arbitrator votes for payees more than the others do.
    FavoursPayees,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReciprocalPair => "reciprocal_pair",
            Self::CaptivePair => "captive_pair",
            Self::Ring => "ring",
            Self::InstantDeals => "instant_deals",
            Self::FixedIntervals => "fixed_intervals",
            Self::HastyApprovals => "hasty_approvals",
            Self::FavoursPayers => "favours_payers",
            Self::FavoursPayees => "favours_payees",
        })
    }
}

/// Something for people to look at. It may have an honest reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// What looks odd.
    pub kind: Kind,
    /// Whose keys, sorted.
    pub who: Vec<NostrKey>,
    /// The numbers of the facts, sorted; never empty.
    pub evidence: Vec<u64>,
    /// What was seen, with the numbers.
    pub sentence: String,
    /// How marked it is, in thousandths. Comparable within a kind only.
    pub strength: u16,
}

/// From when on something is flagged. Shares are in thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// The fewest payments with an answer between two keys.
    pub reciprocal_min: usize,
    /// How far an answer may be from its payment, as a share of the larger.
    pub reciprocal_near: u16,
    /// The least share of a pair's deals that must be such payments and answers.
    pub reciprocal_share: u16,
    /// The fewest deals of a captive pair.
    pub captive_min: usize,
    /// The least share of both keys' volume that must be between them.
    pub captive_share: u16,
    /// The least share that a step of a ring has of what its payer pays and of what its payee earns; 250 at least, which bounds
    /// the search.
    pub ring_step: u16,
    /// The least share of each member's volume that must stay in a ring.
    pub ring_inside: u16,
    /// A deal that ends so soon after being funded is instant.
    pub instant: Duration,
    /// The fewest instant deals of a pair.
    pub instant_min: usize,
    /// The least share of instant ones among a pair's deals.
    pub instant_share: u16,
    /// The fewest deals of a pair at fixed intervals.
    pub interval_min: usize,
    /// How far an interval may be from the middle one, as a share of it.
    pub interval_near: u16,
    /// The least share of a pair's intervals that must be near the middle one.
    pub interval_share: u16,
    /// An approval so soon after the work was handed in is hasty.
    pub hasty: Duration,
    /// The fewest hasty approvals of a requester.
    pub hasty_min: usize,
    /// The least share of hasty ones among a requester's approvals.
    pub hasty_share: u16,
    /// The fewest votes for a side or the other that an arbitrator is judged by.
    pub votes_min: usize,
    /// An arbitrator is flagged if so many votes for one side, or more, come by chance this rarely or more rarely.
    pub bias_chance: u16,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            reciprocal_min: 3,
            reciprocal_near: 100,
            reciprocal_share: 667,
            captive_min: 5,
            captive_share: 900,
            ring_step: 250,
            ring_inside: 700,
            instant: Duration::from_secs(60),
            instant_min: 5,
            instant_share: 800,
            interval_min: 8,
            interval_near: 10,
            interval_share: 900,
            hasty: Duration::from_secs(10),
            hasty_min: 10,
            hasty_share: 950,
            votes_min: 8,
            bias_chance: 5,
        }
    }
}

impl Thresholds {
    /// Checks that the numbers mean something.
    ///
    /// # Errors
    /// [`ReputationError::Thresholds`].
    pub fn check(&self) -> Result<(), ReputationError> {
        let shares = [
            self.reciprocal_near,
            self.reciprocal_share,
            self.captive_share,
            self.ring_step,
            self.ring_inside,
            self.instant_share,
            self.interval_near,
            self.interval_share,
            self.hasty_share,
            self.bias_chance,
        ];
        let fewest = [self.reciprocal_min, self.captive_min, self.instant_min, self.hasty_min, self.votes_min];
        let wrong = [
            (shares.into_iter().any(|share| share > 1_000), "a share is more than 1000 thousandths"),
            (fewest.contains(&0), "each kind of flag needs at least one fact"),
            (self.interval_min < 3, "intervals need at least three deals"),
            (self.ring_step < 250, "a ring's step below 250 thousandths makes the search too long"),
        ];
        match wrong.into_iter().find(|(broken, _)| *broken) {
            Some((_, why)) => Err(ReputationError::Thresholds(why)),
            None => Ok(()),
        }
    }
}

/// A part of a whole in thousandths; of nothing, none.
pub(super) fn permille(part: u128, whole: u128) -> u16 {
    let share = (part * 1_000).checked_div(whole).unwrap_or(0);
    u16::try_from(share).unwrap_or(u16::MAX)
}
