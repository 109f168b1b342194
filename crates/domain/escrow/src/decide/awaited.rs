//! What a task waits for.

use tallystick_core::{BlockHeight, Timestamp};

use super::{
    dispute,
    ending::{self, Attempt, positions},
    hold::hold_invoice,
    reward,
};
use crate::{Effect, Phase, RewardState, Task, Tranche, TrancheState, plan};

/// The effects whose outcome a task waits for, as its state asks for them at this time: were one of them done, a fact would tell.
/// They are those that its decisions asked for, times aside ([`Effect::asks_the_same`]). What an arbitrator did
/// is not among them ([`served`]): the registry waits for it.
pub fn awaited(task: &Task, now: Timestamp) -> Vec<Effect> {
    let of_tranches = positions(task).flat_map(|(tranche, part)| {
        let replaced = part.replaced.iter().map(|hash| Effect::CancelHold { hash: *hash });
        replaced.chain(of_tranche(task, tranche, part, now))
    });
    let of_arbitrators = task.cases().flat_map(|case| {
        let paying = case.rewards.iter().filter(|reward| reward.state == RewardState::Paying);
        paying.map(|reward| {
            let invoice = (reward.hash, reward.invoice.clone());
            reward::pay(task, case, (reward.arbitrator, reward.attempt), invoice, now)
        })
    });
    of_tranches.chain(of_arbitrators).collect()
}

/// What the registry is told of the arbitrators in a task's disputes that are over ([`Effect::NoteService`]), whether it knows or
/// not. Of two with one key the first counts.
pub fn served(task: &Task) -> impl Iterator<Item = Effect> {
    let over = task.cases().filter(|case| case.dispute.phase.is_final());
    over.flat_map(|case| dispute::services(&case.dispute))
}

fn of_tranche(task: &Task, tranche: u32, part: &Tranche, now: Timestamp) -> Option<Effect> {
    match part.state {
        TrancheState::Unfunded if part.funding_invoice.is_none() => {
            let Phase::Funding { until, .. } = &task.phase else { return None };
            hold_invoice(task, part.hash, part, now.until(*until)).ok()
        }
        TrancheState::Held { .. } => {
            let next = part.renewal.as_ref().filter(|next| next.funding_invoice.is_none())?;
            hold_invoice(task, next.hash, part, now.until(next.until)).ok()
        }
        TrancheState::Paying { attempt, covered, claim_deadline } => {
            // The payer's money is gone: a payout that has not begun must not, one that has is asked after.
            let begin_by = if covered { plan::decide_by(&task.policy, claim_deadline) } else { BlockHeight(0) };
            Some(ending::pay(task, tranche, part, Attempt { number: attempt, not_before: now, begin_by }))
        }
        TrancheState::Paid { .. } => Some(Effect::ClaimHold { hash: part.hash, amount: part.hold().ok()? }),
        TrancheState::Returning => Some(Effect::CancelHold { hash: part.hash }),
        TrancheState::Unfunded
        | TrancheState::Claimed { .. }
        | TrancheState::Uncovered { .. }
        | TrancheState::Returned
        | TrancheState::Spent { .. } => None,
    }
}
