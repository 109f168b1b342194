//! How a task comes to its end: paying out, giving back, and noticing that nothing is left to do.

use tallystick_civics::dispute::Side;
use tallystick_core::{BlockHeight, Ctx, Duration, PaymentHash, Timestamp};

use super::{Decision, dispute};
use crate::{
    Effect, Event, Job, PayFailure, Phase, RefundReason, Rejection, ReleaseReason, State, Task, Tranche, TrancheState,
    effect,
    evolve::evolve,
    plan::{self, PAYOUT_PAUSE_MAX},
};

/// Attempts of a payout that come soon after each other: a payee who comes back in a few minutes is paid at once.
const QUICK_ATTEMPTS: u32 = 10;
/// The longest pause between two quick attempts.
const QUICK_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Attempts after which a payee that refuses, or a failure that nobody can name, is not tried any more.
const REFUSED_ATTEMPTS_MAX: u32 = 20;

/// Pays out held tranches of a milestone, by their positions among all of the task, unless too few blocks are left for any of them.
pub(super) fn release(
    task: &Task,
    milestone: u32,
    tranches: &[u32],
    reason: ReleaseReason,
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    let first = task.terms.tranches_of(milestone).start;
    let own = tranches.iter().map(|tranche| tranche.saturating_sub(first)).collect();
    let mut events = vec![Event::ReleaseBegun { milestone, tranches: own, reason }];
    let mut effects = Vec::new();
    for (tranche, part) in positions(task).filter(|(tranche, _)| tranches.contains(tranche)) {
        if let TrancheState::Held { claim_deadline } = part.state {
            let begin_by = plan::decide_by(&task.policy, claim_deadline);
            if ctx.height > begin_by {
                return Err(Rejection::TooFewBlocks { height: ctx.height, last: begin_by });
            }
            let not_before = ctx.now;
            events.push(Event::PayoutBegun { tranche, attempt: 1, not_before });
            effects.push(pay(task, tranche, part, Attempt { number: 1, not_before, begin_by }));
        }
    }
    dispute::close_empty(task, &mut events, &mut effects);
    Ok(Decision::Accept { events, effects })
}

/// Gives back what is held and undecided of a milestone, or of all of them.
pub(super) fn refund(task: &Task, milestone: Option<u32>, reason: RefundReason) -> Decision {
    conclude(task, vec![Event::RefundBegun { milestone, reason }], give_back_held(task, milestone, None))
}

/// Gives back what is held and undecided of several milestones.
pub(super) fn refund_some(task: &Task, milestones: &[u32], reason: RefundReason) -> Decision {
    let events = milestones.iter().map(|milestone| Event::RefundBegun { milestone: Some(*milestone), reason });
    let effects = milestones.iter().flat_map(|milestone| give_back_held(task, Some(*milestone), None));
    conclude(task, events.collect(), effects.collect())
}

/// The same as [`refund`], for which this fact is the reason.
pub(super) fn refund_after(task: &Task, fact: Event, milestone: Option<u32>, reason: RefundReason) -> Decision {
    conclude(task, vec![fact, Event::RefundBegun { milestone, reason }], give_back_held(task, milestone, None))
}

/// Asks the rail to give back every held tranche of a milestone, or of all of them, but this one.
pub(super) fn give_back_held(task: &Task, milestone: Option<u32>, but: Option<u32>) -> Vec<Effect> {
    let own = milestone.map(|milestone| task.terms.tranches_of(milestone));
    positions(task)
        .filter(|(tranche, _)| own.as_ref().is_none_or(|own| own.contains(tranche)))
        .filter(|(tranche, part)| Some(*tranche) != but && part.state.is_held())
        .map(|(_, part)| Effect::CancelHold { hash: part.hash })
        .collect()
}

/// Tries a failed payout again while that is safe, and gives the tranche back when it is not.
pub(super) fn retry_or_return(
    task: &Task,
    (tranche, part): (u32, &Tranche),
    failed: Event,
    reason: PayFailure,
    ctx: &Ctx,
) -> Decision {
    let TrancheState::Paying { attempt, covered, claim_deadline } = part.state else {
        return Decision::AlreadyApplied;
    };
    let begin_by = plan::decide_by(&task.policy, claim_deadline);
    if may_try_again(reason, attempt) && covered && ctx.height <= begin_by {
        let number = attempt.saturating_add(1);
        let not_before = ctx.now.after(pause_after(attempt));
        let again = Event::PayoutBegun { tranche, attempt: number, not_before };
        let effect = pay(task, tranche, part, Attempt { number, not_before, begin_by });
        return Decision::Accept { events: vec![failed, again], effects: vec![effect] };
    }
    let effects = if covered { vec![Effect::CancelHold { hash: part.hash }] } else { Vec::new() };
    conclude(task, vec![failed, Event::TrancheRefundBegun { tranche }], effects)
}

/// Accepts events, and adds the end of disputes about nothing, and of the task if every tranche has come to its own.
pub(super) fn conclude(task: &Task, mut events: Vec<Event>, mut effects: Vec<Effect>) -> Decision {
    dispute::close_empty(task, &mut events, &mut effects);
    let after = events.iter().fold(State::Present(Box::new(task.clone())), evolve);
    if let State::Present(after) = after
        && let Phase::Active { job } = &after.phase
    {
        let is_over = |part: &Tranche| part.state.is_final() && part.replaced.is_empty();
        if job.tranches.iter().all(is_over) {
            let paid = job.work().any(|part| part.state.is_paid());
            events.push(if paid { Event::TaskSettled } else { Event::TaskRefunded });
        } else if job.work().all(is_over) {
            give_back_bonds(&after, job, &mut events, &mut effects);
        }
    }
    Decision::Accept { events, effects }
}

/// What was put up and not taken goes back.
fn give_back_bonds(task: &Task, job: &Job, events: &mut Vec<Event>, effects: &mut Vec<Effect>) {
    for (tranche, _) in [Side::Payer, Side::Payee].into_iter().filter_map(|side| task.bond(job, side)) {
        events.push(Event::BondReturnBegun { tranche, reason: RefundReason::BondKept });
        effects.extend(bond_hash(task, tranche).map(|hash| Effect::CancelHold { hash }));
    }
}

fn bond_hash(task: &Task, tranche: u32) -> Option<PaymentHash> {
    positions(task).find(|(at, _)| *at == tranche).map(|(_, part)| part.hash)
}

/// Gives a bond back whose hold is about to end.
pub(super) fn return_bond(task: &Task, tranche: u32) -> (Vec<Event>, Vec<Effect>) {
    let effects = bond_hash(task, tranche).map(|hash| Effect::CancelHold { hash });
    (vec![Event::BondReturnBegun { tranche, reason: RefundReason::BlocksRanOut }], effects.into_iter().collect())
}

/// Pays a bond to the other side, if there are blocks enough.
pub(super) fn take_bond(task: &Task, tranche: u32, reason: ReleaseReason, ctx: &Ctx) -> (Vec<Event>, Vec<Effect>) {
    let Some((_, part)) = positions(task).find(|(at, _)| *at == tranche) else { return Default::default() };
    let TrancheState::Held { claim_deadline } = part.state else { return Default::default() };
    let begin_by = plan::decide_by(&task.policy, claim_deadline);
    if ctx.height > begin_by {
        return Default::default();
    }
    let begun = Event::PayoutBegun { tranche, attempt: 1, not_before: ctx.now };
    let effect = pay(task, tranche, part, Attempt { number: 1, not_before: ctx.now, begin_by });
    (vec![Event::BondTaken { tranche, reason }, begun], vec![effect])
}

/// The tranches with their positions.
pub(super) fn positions(task: &Task) -> impl Iterator<Item = (u32, &Tranche)> {
    task.phase.job().into_iter().flat_map(|job| (0..).zip(&job.tranches))
}

pub(super) struct Attempt {
    pub number: u32,
    pub not_before: Timestamp,
    pub begin_by: BlockHeight,
}

pub(super) fn pay(task: &Task, tranche: u32, part: &Tranche, attempt: Attempt) -> Effect {
    Effect::Pay {
        hash: part.hash,
        id: effect::payout_id(task.id, tranche, attempt.number),
        bolt11: part.payout_invoice.clone(),
        fee_limit: part.fee.to_msat(),
        cltv_limit: task.policy.payout_cltv_max,
        begin_by: attempt.begin_by,
        not_before: attempt.not_before,
    }
}

pub(super) fn may_try_again(reason: PayFailure, attempt: u32) -> bool {
    match reason {
        PayFailure::InvoiceExpired | PayFailure::TooLate => false,
        PayFailure::Refused | PayFailure::Other => attempt < REFUSED_ATTEMPTS_MAX,
        PayFailure::NoRoute | PayFailure::AttemptsExhausted => true,
    }
}

/// 1 s after the first attempt, doubled with each up to a minute; after the tenth one try for each block, so that a
/// payee who stays away fills no journal.
pub(super) fn pause_after(attempt: u32) -> Duration {
    if attempt >= QUICK_ATTEMPTS {
        return PAYOUT_PAUSE_MAX;
    }
    let secs = 1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_secs(secs).min(QUICK_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_are_a_block_after_ten_attempts() {
        let pauses: Vec<_> = [1, 2, 3, 6, 7, 9, 10, 64, 65, u32::MAX].map(|n| pause_after(n).as_secs()).into();
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 600, 600, 600, 600]);
    }
}
