//! Applying facts. Total: a fact that does not fit leaves the task as it is.

use crate::{Event, Job, Phase, RefundReason, ReleaseReason, State, Task, Tranche, TrancheInvoice, TrancheState};

pub(crate) fn evolve(state: State, event: &Event) -> State {
    match (state, event) {
        (State::Absent, Event::TaskCreated { id, requester, terms, policy, hold_blocks, at }) => {
            State::Present(Box::new(Task {
                id: *id,
                requester: *requester,
                terms: terms.clone(),
                policy: policy.clone(),
                hold_blocks: *hold_blocks,
                created_at: *at,
                phase: Phase::Open,
            }))
        }
        (State::Absent, _) => State::Absent,
        // Money that moved is told even of a task that had ended.
        (State::Present(task), event) if task.phase.is_final() && !matches!(event, Event::HoldSpent { .. }) => {
            State::Present(task)
        }
        (State::Present(mut task), event) => {
            apply_to_tranche(&mut task.phase, event);
            task.phase = next_phase(&task, event);
            State::Present(task)
        }
    }
}

/// The facts that move the whole task.
fn next_phase(task: &Task, event: &Event) -> Phase {
    let phase = task.phase.clone();
    match (event, phase) {
        (Event::TaskAccepted { worker, invoices }, Phase::Open) => {
            let tranches = tranches(task, invoices);
            Phase::Assigned { job: Job { worker: *worker, tranches, work_hash: None, reason_hash: None } }
        }
        (Event::FundingRequested { until }, Phase::Assigned { job }) => Phase::Funding { job, until: *until },
        (Event::TaskHeld { decide_by }, Phase::Funding { job, .. }) => Phase::Held { job, decide_by: *decide_by },
        (Event::WorkSubmitted { work_hash, review_until }, Phase::Held { mut job, decide_by }) => {
            job.work_hash = Some(*work_hash);
            Phase::Submitted { job, decide_by, review_until: *review_until }
        }
        (Event::WorkRejected { reason_hash }, Phase::Submitted { mut job, decide_by, review_until }) => {
            job.reason_hash = Some(*reason_hash);
            Phase::Submitted { job, decide_by, review_until }
        }
        (Event::ReleaseBegun { reason }, Phase::Submitted { job, decide_by, .. }) => {
            Phase::Releasing { job, decide_by, reason: *reason }
        }
        (
            Event::RefundBegun { reason },
            Phase::Funding { job, .. } | Phase::Held { job, .. } | Phase::Submitted { job, .. },
        ) => refunding(job, *reason),
        (Event::HoldSpent { .. }, phase) => spent(phase),
        (Event::TaskSettled, Phase::Releasing { job, reason, .. }) => Phase::Settled { job, reason },
        (Event::TaskSettled, Phase::Refunding { job, .. }) => Phase::Settled { job, reason: ReleaseReason::HoldSpent },
        (Event::TaskRefunded, Phase::Refunding { job, reason }) => Phase::Refunded { job, reason },
        (Event::TaskRefunded, Phase::Releasing { job, .. }) => {
            Phase::Refunded { job, reason: RefundReason::PayoutFailed }
        }
        (Event::TaskCancelled { by }, phase @ (Phase::Open | Phase::Assigned { .. } | Phase::Funding { .. })) => {
            Phase::Cancelled { job: phase.job().cloned(), by: *by }
        }
        (Event::TaskExpired, phase @ (Phase::Open | Phase::Assigned { .. } | Phase::Funding { .. })) => {
            Phase::Expired { job: phase.job().cloned() }
        }
        (_, phase) => phase,
    }
}

/// Everything that is held goes back.
fn refunding(mut job: Job, reason: RefundReason) -> Phase {
    job.tranches.iter_mut().for_each(give_back);
    Phase::Refunding { job, reason }
}

/// Where a task goes of which a hold was spent that it knew nothing of: what else it holds goes back, and then it ends.
fn spent(phase: Phase) -> Phase {
    match phase {
        Phase::Open | Phase::Releasing { .. } | Phase::Refunding { .. } | Phase::Settled { .. } => phase,
        other => match other.job() {
            Some(job) => refunding(job.clone(), RefundReason::HoldSpent),
            None => other,
        },
    }
}

fn tranches(task: &Task, invoices: &[TrancheInvoice]) -> Vec<Tranche> {
    let part = |(invoice, payout): (&TrancheInvoice, &tallystick_core::Sat)| Tranche {
        payout: *payout,
        fee: task.policy.fee(*payout),
        hash: invoice.hash,
        payout_invoice: invoice.bolt11.clone(),
        funding_invoice: None,
        state: TrancheState::Unfunded,
    };
    invoices.iter().zip(&task.terms.payouts).map(part).collect()
}

/// The facts that move one tranche.
fn apply_to_tranche(phase: &mut Phase, event: &Event) {
    match event {
        Event::HoldInvoiceMade { tranche, bolt11 } => {
            if let Some(part) = part(phase, *tranche) {
                part.funding_invoice = Some(bolt11.clone());
            }
        }
        Event::HoldLocked { tranche, claim_deadline, .. } => {
            set(phase, *tranche, |state| match state {
                TrancheState::Unfunded => TrancheState::Held { claim_deadline: *claim_deadline },
                other => other,
            });
        }
        Event::PayoutBegun { tranche, attempt, .. } => set(phase, *tranche, |state| match state {
            TrancheState::Held { .. } => TrancheState::Paying { attempt: *attempt, covered: true },
            TrancheState::Paying { covered, .. } => TrancheState::Paying { attempt: *attempt, covered },
            other => other,
        }),
        Event::PayoutPaid { tranche, fee } => set(phase, *tranche, |state| match state {
            TrancheState::Paying { covered: true, .. } => TrancheState::Paid { fee: *fee },
            TrancheState::Paying { covered: false, .. } => TrancheState::Uncovered { fee: *fee },
            other => other,
        }),
        Event::HoldClaimed { tranche, .. } => set(phase, *tranche, |state| match state {
            TrancheState::Paid { fee } | TrancheState::Uncovered { fee } => TrancheState::Claimed { fee },
            other => other,
        }),
        Event::TrancheRefundBegun { tranche } => {
            if let Some(part) = part(phase, *tranche) {
                give_back(part);
            }
        }
        Event::HoldReturned { tranche } => set(phase, *tranche, |state| match state {
            TrancheState::Returning => TrancheState::Returned,
            other => other,
        }),
        Event::HoldSpent { tranche, fee } => set(phase, *tranche, |state| match state {
            TrancheState::Unfunded
            | TrancheState::Held { .. }
            | TrancheState::Paying { .. }
            | TrancheState::Returning
            | TrancheState::Returned => TrancheState::Spent { fee: *fee },
            other => other,
        }),
        Event::HoldLost { tranche } => {
            let in_funding = matches!(phase, Phase::Funding { .. });
            set(phase, *tranche, |state| lost(state, in_funding));
        }
        Event::TaskCreated { .. }
        | Event::TaskAccepted { .. }
        | Event::FundingRequested { .. }
        | Event::TaskHeld { .. }
        | Event::WorkSubmitted { .. }
        | Event::WorkRejected { .. }
        | Event::ReleaseBegun { .. }
        | Event::PayoutFailed { .. }
        | Event::RefundBegun { .. }
        | Event::TaskSettled
        | Event::TaskRefunded
        | Event::TaskCancelled { .. }
        | Event::TaskExpired => {}
    }
}

/// What is left of a tranche whose hold is gone.
fn lost(state: TrancheState, in_funding: bool) -> TrancheState {
    match state {
        TrancheState::Held { .. } if in_funding => TrancheState::Unfunded,
        TrancheState::Held { .. } | TrancheState::Returning => TrancheState::Returned,
        TrancheState::Paying { attempt, .. } => TrancheState::Paying { attempt, covered: false },
        TrancheState::Paid { fee } => TrancheState::Uncovered { fee },
        other => other,
    }
}

/// What a tranche becomes when its hold is to be given back: there may be nothing to give.
fn give_back(part: &mut Tranche) {
    part.state = match part.state {
        TrancheState::Held { .. } | TrancheState::Paying { covered: true, .. } => TrancheState::Returning,
        TrancheState::Unfunded | TrancheState::Paying { covered: false, .. } => TrancheState::Returned,
        other => other,
    };
}

fn part(phase: &mut Phase, tranche: u32) -> Option<&mut Tranche> {
    phase.job_mut()?.tranches.get_mut(usize::try_from(tranche).ok()?)
}

fn set(phase: &mut Phase, tranche: u32, change: impl FnOnce(TrancheState) -> TrancheState) {
    if let Some(part) = part(phase, tranche) {
        part.state = change(part.state);
    }
}
