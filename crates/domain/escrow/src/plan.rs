//! How the blocks of a hold are spent.
//!
//! ```text
//!  locked      submit by   silence   decide by         claim deadline     HTLC expires
//!    │◀──────────────── hold_blocks ───▶│◀─ payout reserve ─▶│◀── 39 ──────────▶│
//!    │  work        │ review     │ 6    │ the payout's route │  the rail gives  │
//!    │              │            │      │ and its margin     │  back by itself  │
//! ```
//!
//! Silence that pays comes 6 blocks before *decide by*, and work can be handed in only while the blocks of a whole
//! review are left before that: no worker is paid by silence before the requester could look.
//!
//! Up to *decide by* a payout may begin: even its slowest route ends, if need be on the chain, before the claim
//! deadline. What nobody has decided at *decide by* is ended by the task's terms.
//!
//! With a panel, the hold is longer by a dispute, which lies before *decide by*:
//!
//! ```text
//!  submit by   refuse by     open by                      rule by   decide by
//!    │  review    │ time to open │ a round, mostly two rounds │   6      │
//! ```

use tallystick_core::{BlockHeight, Blocks, Duration, Timestamp};

use crate::{OnSilence, Policy, Rejection, Terms, Tranche, TrancheState};

/// LDK fails a held HTLC back this many blocks before it expires (`HTLC_FAIL_BACK_BUFFER`): its claim deadline.
pub const FAIL_BACK_BLOCKS: Blocks = Blocks(39);
/// Blocks that may be found while the payer's HTLC is on its way.
pub const ARRIVAL_BLOCKS: Blocks = Blocks(3);
/// Silence that pays the worker does so this many blocks before the last height, so that a block or two at once, or a
/// first attempt that fails, do not turn the payment into a refund.
pub const SILENCE_LEAD: Blocks = Blocks(6);
/// A ruling comes this many blocks before the last height for a payout, at the latest: what it awards begins in time, even
/// if a block or two come at once.
pub const RULING_LEAD: Blocks = Blocks(6);
/// The rounds of a dispute that a hold is planned for: one, and another if its panel fails or its ruling is appealed.
const ROUNDS: u32 = 2;
/// A renewal that is offered this many blocks before the last height, half a day, leaves the requester time to lock the
/// next hold.
pub const RENEWAL_LEAD: Blocks = Blocks(72);
/// The longest pause between two attempts of a payout: one for each block.
pub const PAYOUT_PAUSE_MAX: Duration = BLOCK_TIME;
/// The shortest hold that is to be renewed: as long to work as to renew it.
const RENEWABLE_MIN: Blocks = Blocks(144);
/// The average time of a block.
const BLOCK_TIME: Duration = Duration::from_secs(600);
/// A worker's invoice must outlive work and review by this much.
const EXPIRY_MARGIN: Duration = Duration::from_secs(3_600);

/// How long after a deadline work is still taken from a worker with a bond. A node does not tell of short absences; whoever tries to
/// hand something in by the deadline, and goes on trying, finds it there within this time unless it tells of an absence.
pub const GRACE: Duration = Duration::from_secs(180);

/// The blocks that a span of time may take, when blocks come a fifth faster than on average, and at least 6.
pub fn blocks_of(span: Duration) -> Blocks {
    let blocks = u128::from(span.as_millis()) * 6;
    let blocks = blocks.div_ceil(u128::from(BLOCK_TIME.as_millis()) * 5);
    Blocks(u32::try_from(blocks).unwrap_or(u32::MAX).max(6))
}

/// How long a number of blocks takes on average. For display.
pub fn time_of(blocks: Blocks) -> Duration {
    Duration::from_millis(u64::from(blocks.0) * BLOCK_TIME.as_millis())
}

/// The blocks that a review takes on average, rounded up: those that the requester is sure to have.
pub fn review_blocks(review_window: Duration) -> Blocks {
    let blocks = review_window.as_millis().div_ceil(BLOCK_TIME.as_millis());
    Blocks(u32::try_from(blocks).unwrap_or(u32::MAX))
}

/// The blocks that a task's hold must be usable for: what its terms ask, or what work and review may take, with
/// [`SILENCE_LEAD`]; with a panel, a dispute as well ([`dispute_blocks`]). A hold that can be renewed may be shorter than that.
///
/// # Errors
/// [`Rejection::HoldTooShort`] if the terms ask for fewer than work, review and dispute may take, [`Rejection::HoldTooLong`]
/// if the hold would need a larger final CLTV delta than the policy allows. Both carry the numbers.
pub fn hold_blocks(terms: &Terms, policy: &Policy, now: Timestamp) -> Result<Blocks, Rejection> {
    let span = now.until(terms.last_deadline().after(terms.review_window));
    let dispute = if terms.panel.is_some() { dispute_blocks(policy) } else { Blocks(0) };
    let whole = blocks_of(span).plus(SILENCE_LEAD).plus(dispute);
    let needed = match terms.renewal {
        Some(_) => whole.min(RENEWABLE_MIN.plus(dispute)),
        None => whole,
    };
    let longest = Blocks(policy.final_cltv_max.0.saturating_sub(final_cltv_delta(policy, Blocks(0)).0));
    let usual = if terms.renewal.is_some() { whole.min(longest) } else { whole };
    let blocks = terms.hold_blocks.unwrap_or(usual);
    if blocks < needed {
        return Err(Rejection::HoldTooShort { blocks, needed });
    }
    let delta = final_cltv_delta(policy, blocks);
    if delta > policy.final_cltv_max {
        return Err(Rejection::HoldTooLong { blocks, delta, limit: policy.final_cltv_max });
    }
    Ok(blocks)
}

/// The final CLTV delta that a hold invoice asks for, so that the hold is usable for `hold_blocks`.
pub fn final_cltv_delta(policy: &Policy, hold_blocks: Blocks) -> Blocks {
    hold_blocks.plus(policy.payout_reserve()).plus(FAIL_BACK_BLOCKS).plus(ARRIVAL_BLOCKS)
}

/// The last height at which a payout covered by this hold may begin.
pub fn decide_by(policy: &Policy, claim_deadline: BlockHeight) -> BlockHeight {
    claim_deadline.before(policy.payout_reserve())
}

/// The last height at which the payouts of all tranches may begin that are held now.
pub(crate) fn earliest_decide_by<'a>(
    policy: &Policy,
    tranches: impl IntoIterator<Item = &'a Tranche>,
) -> Option<BlockHeight> {
    let deadlines = tranches.into_iter().filter_map(|part| match part.state {
        TrancheState::Held { claim_deadline } => Some(claim_deadline),
        _ => None,
    });
    deadlines.min().map(|deadline| decide_by(policy, deadline))
}

/// The blocks that a dispute may take: the time to open it, its rounds, and [`RULING_LEAD`].
pub fn dispute_blocks(policy: &Policy) -> Blocks {
    let rounds = Blocks(policy.dispute.round_blocks().0.saturating_mul(ROUNDS));
    blocks_of(policy.dispute_window).plus(rounds).plus(RULING_LEAD)
}

/// The height by which a dispute must be ruled.
pub fn rule_by(decide_by: BlockHeight) -> BlockHeight {
    decide_by.before(RULING_LEAD)
}

/// The last height at which a dispute can be opened.
pub fn open_by(policy: &Policy, decide_by: BlockHeight) -> BlockHeight {
    rule_by(decide_by).before(policy.dispute.round_blocks())
}

/// The last height at which work can be refused that the worker may dispute: it has the time for that afterwards.
pub fn refuse_by(policy: &Policy, decide_by: BlockHeight) -> BlockHeight {
    open_by(policy, decide_by).before(blocks_of(policy.dispute_window))
}

/// The last height from which a whole review comes before [`refuse_by`].
pub fn review_by(terms: &Terms, policy: &Policy, decide_by: BlockHeight) -> BlockHeight {
    refuse_by(policy, decide_by).before(review_blocks(terms.review_window))
}

/// The height at which silence decides, if its time has not come before.
pub fn silence_at(on_silence: OnSilence, decide_by: BlockHeight) -> BlockHeight {
    match on_silence {
        OnSilence::Release => decide_by.before(SILENCE_LEAD),
        OnSilence::Refund => decide_by,
    }
}

/// The last height at which work can be handed in. Where silence pays, a whole review's blocks are left before that, and
/// with a panel before the last height at which it can be refused. Where silence gives back, late work harms nobody, and
/// may still be approved.
pub fn submit_by(terms: &Terms, policy: &Policy, decide_by: BlockHeight) -> BlockHeight {
    match terms.on_silence {
        OnSilence::Release if terms.panel.is_some() => review_by(terms, policy, decide_by),
        OnSilence::Release => silence_at(terms.on_silence, decide_by).before(review_blocks(terms.review_window)),
        OnSilence::Refund => decide_by,
    }
}

/// The last height at which a worker who has handed nothing in breaks its promise at the deadline: until then it could, and blocks
/// did not decide.
pub fn promised_by(terms: &Terms, policy: &Policy, decide_by: BlockHeight) -> BlockHeight {
    submit_by(terms, policy, decide_by).min(decide_by.before(Blocks(1)))
}

/// For how long the funding invoices can be paid, when so much time is left until the first deadline. Half of it at most if the
/// worker puts up a bond: whoever locks it has half of the time that is left then, whenever the rest is locked.
pub fn funding_window(terms: &Terms, policy: &Policy, left: Duration) -> Duration {
    match terms.bonds.worker {
        Some(_) => policy.funding_window.min(Duration::from_millis(left.as_millis() / 2)),
        None => policy.funding_window,
    }
}

/// For how long a worker's invoice must still be payable when it is handed in: until the money is locked, and then for
/// all blocks in which a payout may be tried, when these come a quarter slower than on average.
pub fn invoice_life(funding_window: Duration, hold_blocks: Blocks) -> Duration {
    Duration::from_millis(funding_window.as_millis().saturating_add(slow_time_of(hold_blocks).as_millis()))
}

/// How long a number of blocks takes when they come a quarter slower than on average.
pub fn slow_time_of(blocks: Blocks) -> Duration {
    let millis = time_of(blocks).as_millis();
    Duration::from_millis(millis.saturating_add(millis / 4))
}

/// Until when a worker's invoice must be payable that is handed in now: for its life ([`invoice_life`]), and, unless its
/// hold can be renewed, for an hour after work and review are over.
pub fn invoice_needed(over: Option<Timestamp>, life: Duration, now: Timestamp) -> Timestamp {
    let lives = now.after(life);
    over.map_or(lives, |over| over.after(EXPIRY_MARGIN).max(lives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_planned_a_fifth_longer() {
        assert_eq!(blocks_of(Duration::from_secs(86_400)), Blocks(173));
        assert_eq!(blocks_of(Duration::from_secs(0)), Blocks(6));
        assert_eq!(blocks_of(Duration::from_millis(u64::MAX)), Blocks(u32::MAX));
    }

    #[test]
    fn the_parts_of_a_hold_add_up() {
        let policy = Policy::default();
        let delta = final_cltv_delta(&policy, Blocks(100));
        let locked = BlockHeight(1_000);
        let expires = locked.after(delta);
        let claim_deadline = expires.before(FAIL_BACK_BLOCKS);
        assert_eq!(locked.until(decide_by(&policy, claim_deadline)), Blocks(100).plus(ARRIVAL_BLOCKS));
    }
}
