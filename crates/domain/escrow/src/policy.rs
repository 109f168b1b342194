//! What a node asks of every task. Its numbers become part of a task when that is created, so that a change of
//! configuration changes no promise that was given.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_civics::dispute::{Plan, PlanError, Seats};
use tallystick_core::{BasisPoints, Blocks, Code, Coded, Duration, Msat, Sat};

use crate::plan::{ARRIVAL_BLOCKS, FAIL_BACK_BLOCKS};

/// A node's limits and prices for tasks.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Policy {
    /// The platform's fee on every payout, rounded up to whole satoshi once. Routing costs come out of it: it is the
    /// most that the route of a payout may cost.
    pub fee_rate: BasisPoints,
    /// The smallest fee: what a small payout's route may cost. Never zero, so that payer's and worker's amounts differ.
    pub fee_min: Sat,
    /// The smallest payout of a tranche; at least [`DUST_LIMIT`].
    pub payout_min: Sat,
    /// The largest payout of a tranche.
    pub payout_max: Sat,
    /// The most tranches of a task.
    pub tranches_max: u32,
    /// The largest final CLTV delta that a hold invoice may ask of the payer's wallet.
    pub final_cltv_max: Blocks,
    /// The most blocks that the route of a payout may take.
    pub payout_cltv_max: Blocks,
    /// The largest final CLTV delta that a worker's invoice may ask for.
    pub payee_final_cltv_max: Blocks,
    /// Blocks kept between the end of a payout's route and the deadline of the hold that covers it.
    pub payout_margin: Blocks,
    /// How long the funding invoices can be paid.
    pub funding_window: Duration,
    /// The longest review window.
    pub review_window_max: Duration,
    /// Times of disputes, and how many decide about which amount.
    pub dispute: Plan,
    /// How long a worker whose work is refused can open a dispute, before the money goes back.
    pub dispute_window: Duration,
    /// The share of the disputed tranches' fees that the arbitrators of one panel divide, whatever they rule; a fifth at
    /// most, so that all rounds together cost no more than the fees.
    pub arbitrator_share: BasisPoints,
    /// The largest bond.
    pub bond_max: Sat,
}

impl Default for Policy {
    /// 1 % fee and 10 sat at least, 1,000 sat to 0.05 bitcoin a tranche, holds that most wallets still route.
    fn default() -> Self {
        let sat = |amount| Sat::try_new(amount).expect("far below the supply");
        Self {
            fee_rate: BasisPoints::try_new(100).expect("far below the whole"),
            fee_min: sat(10),
            payout_min: sat(1_000),
            payout_max: sat(5_000_000),
            tranches_max: 8,
            final_cltv_max: Blocks(1_000),
            payout_cltv_max: Blocks(288),
            payee_final_cltv_max: Blocks(144),
            payout_margin: Blocks(48),
            funding_window: Duration::from_secs(3_600),
            review_window_max: Duration::from_secs(4 * 86_400),
            dispute: Plan::default(),
            dispute_window: Duration::from_secs(6 * 3_600),
            arbitrator_share: ARBITRATOR_SHARE_MAX,
            bond_max: sat(100_000),
        }
    }
}

/// Why a policy is refused at start-up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No hold could be long enough for a payout.
    #[error("a hold of {final_cltv_max} leaves no block to work: a payout and its margins take {overhead}")]
    NoRoom {
        /// The configured limit.
        final_cltv_max: Blocks,
        /// What a payout and the margins take.
        overhead: Blocks,
    },
    /// A margin too small to end a failed payout on the chain before the hold's deadline.
    #[error("the payout margin is {margin}, at least {least} are needed to end a failed payout on the chain")]
    Margin {
        /// The configured margin.
        margin: Blocks,
        /// The least margin.
        least: Blocks,
    },
    /// Times of disputes that do not fit together.
    #[error(transparent)]
    Dispute(#[from] PlanError),
    /// Limits that contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

impl Coded for PolicyError {
    fn code(&self) -> Code {
        Code("config.policy")
    }
}

/// A payout that the payee's node sits on is ended on the chain: LDK goes there 3 blocks after its expiry, the height
/// counts one more, commitment and timeout transaction get 18 blocks each to confirm (LDK's own
/// `CLTV_CLAIM_BUFFER` is 36), and 6 confirmations make it final. All of that must fit before the hold's own deadline.
const MARGIN_MIN: Blocks = Blocks(46);
/// The longest delta that senders accept by default.
const FINAL_CLTV_LIMIT: Blocks = Blocks(2_016);
/// Below this, 546 sat, the highest limit that LDK lets a peer choose, an HTLC may be dust: it has no output on the
/// commitment transaction then (BOLT 3), and who knows its preimage cannot enforce the claim on the chain.
pub const DUST_LIMIT: Sat = match Sat::try_new(546) {
    Ok(limit) => limit,
    Err(_) => Sat::MAX,
};
/// A fifth. A panel of one may be followed by its replacement and an appeal to three: five seats' pay for one. Larger panels
/// grow by less.
const ARBITRATOR_SHARE_MAX: BasisPoints = match BasisPoints::try_new(2_000) {
    Ok(share) => share,
    Err(_) => panic!("a fifth is less than the whole"),
};
/// More tranches make a task that no wallet can fund at once; and two bonds are parts of a dispute with them, which has 64.
const TRANCHES_LIMIT: u32 = 62;

impl Policy {
    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// [`PolicyError`] with the numbers.
    pub fn check(&self) -> Result<(), PolicyError> {
        let overhead = self.payout_reserve().plus(FAIL_BACK_BLOCKS).plus(ARRIVAL_BLOCKS);
        if overhead >= self.final_cltv_max {
            return Err(PolicyError::NoRoom { final_cltv_max: self.final_cltv_max, overhead });
        }
        if self.payout_margin < MARGIN_MIN {
            return Err(PolicyError::Margin { margin: self.payout_margin, least: MARGIN_MIN });
        }
        let contradictions = [
            (self.fee_min == Sat::ZERO, "the smallest fee must be at least 1 sat"),
            (self.payout_min < DUST_LIMIT, "the smallest payout must be at least 546 sat: below, an HTLC is dust"),
            (self.payout_min > self.payout_max, "the smallest payout is larger than the largest"),
            (
                self.payout_max.checked_add(self.fee(self.payout_max)).is_err(),
                "the largest payout and its fee are more than all bitcoin",
            ),
            (self.tranches_max == 0 || self.tranches_max > TRANCHES_LIMIT, "a task must be allowed 1 to 62 tranches"),
            (
                self.payee_final_cltv_max >= self.payout_cltv_max,
                "a payout's route must be allowed more blocks than its last hop",
            ),
            (self.final_cltv_max > FINAL_CLTV_LIMIT, "no sender accepts a final CLTV delta above 2016 blocks"),
            (
                self.funding_window < Duration::from_secs(60) || self.funding_window > Duration::from_secs(7 * 86_400),
                "funding invoices must be payable for 1 minute to 7 days",
            ),
            (
                self.dispute_window < Duration::from_secs(60) || self.dispute_window > Duration::from_secs(7 * 86_400),
                "a worker must have 1 minute to 7 days to open a dispute",
            ),
            (self.bond_max < self.payout_min, "the largest bond is smaller than the smallest payout"),
            (self.bond_max > self.payout_max, "the largest bond is larger than the largest payout"),
            (self.arbitrator_share > ARBITRATOR_SHARE_MAX, "arbitrators' share of the fee is a fifth at most"),
        ];
        self.dispute.check()?;
        match contradictions.into_iter().find(|(broken, _)| *broken) {
            Some((_, why)) => Err(PolicyError::Contradiction(why)),
            None => Ok(()),
        }
    }

    /// The blocks that a payout may need, its margin included.
    pub fn payout_reserve(&self) -> Blocks {
        self.payout_cltv_max.plus(self.payout_margin)
    }

    /// The platform's fee on a payout: the rate, rounded up once, or the smallest fee.
    pub fn fee(&self, payout: Sat) -> Sat {
        self.fee_rate.of(payout).max(self.fee_min)
    }

    /// What each arbitrator is paid who votes on tranches with these fees, on a first panel of so many: rounded down to
    /// whole millisatoshi, once. The same in every round, and whatever the ruling is.
    pub fn reward(&self, fees: Sat, seats: Seats) -> Msat {
        let share = u128::from(fees.to_msat().get()) * u128::from(self.arbitrator_share.get()) / 10_000;
        let seats = u128::try_from(seats.count()).unwrap_or(u128::MAX);
        let each = u64::try_from(share / seats).ok().and_then(|each| Msat::try_new(each).ok());
        each.expect("a share of an amount is an amount")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound() {
        assert_eq!(Policy::default().check(), Ok(()));
    }

    #[test]
    fn unsound_numbers_are_refused() {
        let no_room = Policy { final_cltv_max: Blocks(300), ..Policy::default() };
        assert!(matches!(no_room.check(), Err(PolicyError::NoRoom { .. })));
        let thin = Policy { payout_margin: Blocks(45), ..Policy::default() };
        assert!(matches!(thin.check(), Err(PolicyError::Margin { .. })));
        let free = Policy { fee_min: Sat::ZERO, ..Policy::default() };
        assert!(matches!(free.check(), Err(PolicyError::Contradiction(_))));
        let dust = |sat| Policy { payout_min: Sat::try_new(sat).unwrap(), ..Policy::default() };
        assert!(matches!(dust(545).check(), Err(PolicyError::Contradiction(_))));
        assert_eq!(dust(546).check(), Ok(()));
        let everything = Policy { payout_max: Sat::MAX, ..Policy::default() };
        assert!(matches!(everything.check(), Err(PolicyError::Contradiction(_))));
    }

    #[test]
    fn the_fee_is_the_rate_or_the_smallest_fee() {
        let fee = |policy: &Policy, sat| policy.fee(Sat::try_new(sat).unwrap()).get();
        let free = Policy { fee_rate: BasisPoints::default(), ..Policy::default() };
        assert_eq!(fee(&free, 1_000_000), 10);
        let fees = [999, 1_000, 1_001, 20_000, 20_001].map(|payout| fee(&Policy::default(), payout));
        assert_eq!(fees, [10, 10, 11, 200, 201]);
    }
}
