//! Applying facts. Total: a fact that does not fit leaves the task as it is.

use std::{collections::BTreeSet, ops::Range};
use tallystick_civics::dispute::Side;
use tallystick_core::{BlockHeight, Msat, PaymentHash, Sat, Timestamp};

use crate::{
    Event, Job, Milestone, Phase, Purpose, RefundReason, ReleaseReason, Renewal, Stage, State, Task, Tranche,
    TrancheInvoice, TrancheState, Verdict, case,
};

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
        (State::Present(task), event) if task.phase.is_final() && !outlives(event) => State::Present(task),
        (State::Present(mut task), event) => {
            apply_to_tranche(&mut task.phase, event);
            if let Some(job) = task.phase.job_mut() {
                case::apply(job, event);
            }
            task.phase = next_phase(&task, event);
            State::Present(task)
        }
    }
}

/// Whether a fact counts after a task's end: money that moved, and arbitrators' pay.
fn outlives(event: &Event) -> bool {
    matches!(
        event,
        Event::HoldSpent { .. }
            | Event::OtherHoldSpent { .. }
            | Event::RewardBegun { .. }
            | Event::RewardFailed { .. }
            | Event::RewardPaid { .. }
    )
}

/// The facts that move the whole task, or a milestone of it.
fn next_phase(task: &Task, event: &Event) -> Phase {
    let phase = task.phase.clone();
    match (event, phase) {
        (Event::TaskAccepted { worker, invoices }, Phase::Open) => {
            let milestones = vec![Milestone::default(); task.terms.milestones.len()];
            Phase::Assigned { job: Job { worker: *worker, tranches: tranches(task, invoices), milestones } }
        }
        (Event::BondOffered { invoice }, Phase::Assigned { mut job }) => {
            let bond = task.terms.bonds.worker.map(|bond| tranche(task, invoice, bond, Purpose::Bond(Side::Payee)));
            job.tranches.extend(bond);
            Phase::Assigned { job }
        }
        (Event::FundingRequested { until }, Phase::Assigned { job }) => Phase::Funding { job, until: *until },
        (Event::TaskHeld, Phase::Funding { job, .. }) => Phase::Active { job },
        (Event::WorkSubmitted { milestone, work_hash, review_until }, Phase::Active { mut job }) => {
            if let Some(part) = milestone_of(&mut job, *milestone) {
                part.stage = Stage::Submitted { review_until: *review_until };
                part.work_hash = Some(*work_hash);
            }
            Phase::Active { job }
        }
        (
            Event::ReviewResumed { milestone, .. } | Event::RefundPlanned { milestone, .. },
            Phase::Active { mut job },
        ) => {
            if let Some(part) = milestone_of(&mut job, *milestone) {
                part.stage = match event {
                    Event::RefundPlanned { reason, until, .. } => Stage::Rejected { until: *until, reason: *reason },
                    Event::ReviewResumed { review_until, .. } => Stage::Submitted { review_until: *review_until },
                    _ => part.stage,
                };
            }
            Phase::Active { job }
        }
        (Event::WorkRejected { milestone, reason_hash }, Phase::Active { mut job }) => {
            if let Some(part) = milestone_of(&mut job, *milestone) {
                part.reason_hash = Some(*reason_hash);
            }
            Phase::Active { job }
        }
        (Event::ReleaseBegun { milestone, tranches, reason }, Phase::Active { mut job }) => {
            let own = (0..).zip(&mut job.tranches).filter(|(at, _)| task.terms.tranches_of(*milestone).contains(at));
            for (at, (_, part)) in (0..).zip(own) {
                if tranches.contains(&at) && part.state.is_held() {
                    part.verdict = Some(Verdict::Release(*reason));
                }
            }
            Phase::Active { job }
        }
        (Event::RefundBegun { milestone, reason }, Phase::Funding { job, .. } | Phase::Active { job }) => {
            let own = milestone.map(|milestone| task.terms.tranches_of(milestone));
            refunding(job, *reason, |tranche| own.as_ref().is_none_or(|own| own.contains(&tranche)))
        }
        (Event::RenewalOffered { milestone, invoices, until, in_time }, Phase::Active { mut job }) => {
            offered(&mut job, &task.terms.tranches_of(*milestone), invoices, (*until, *in_time));
            Phase::Active { job }
        }
        (Event::HoldSpent { .. } | Event::OtherHoldSpent { .. }, phase) => spent(phase),
        (Event::TaskSettled, Phase::Active { job }) => Phase::Settled { job },
        (Event::TaskRefunded, Phase::Active { job }) => Phase::Refunded { job },
        (Event::TaskCancelled { by }, phase @ (Phase::Open | Phase::Assigned { .. } | Phase::Funding { .. })) => {
            Phase::Cancelled { job: phase.job().cloned(), by: *by }
        }
        (Event::TaskExpired, phase @ (Phase::Open | Phase::Assigned { .. } | Phase::Funding { .. })) => {
            Phase::Expired { job: phase.job().cloned() }
        }
        (_, phase) => phase,
    }
}

/// Each undecided tranche of a milestone has its own next hold.
fn offered(job: &mut Job, own: &Range<u32>, invoices: &[TrancheInvoice], (until, in_time): (Timestamp, bool)) {
    let held = (0..).zip(&mut job.tranches).filter(|(at, part)| own.contains(at) && part.state.is_held());
    for ((_, part), invoice) in held.zip(invoices) {
        part.named.insert(invoice.hash);
        part.renewal = Some(Renewal {
            hash: invoice.hash,
            payout_invoice: invoice.bolt11.clone(),
            funding_invoice: None,
            until,
            in_time,
        });
    }
}

fn milestone_of(job: &mut Job, milestone: u32) -> Option<&mut Milestone> {
    job.milestones.get_mut(usize::try_from(milestone).ok()?)
}

/// Everything of these tranches that is undecided goes back.
fn refunding(mut job: Job, reason: RefundReason, of: impl Fn(u32) -> bool) -> Phase {
    for (tranche, part) in (0..).zip(&mut job.tranches) {
        if of(tranche) && matches!(part.state, TrancheState::Held { .. } | TrancheState::Unfunded) {
            give_back(part, reason);
        }
    }
    Phase::Active { job }
}

/// Where a task goes of which a hold was spent that it knew nothing of: what else it holds goes back, and then it ends.
fn spent(phase: Phase) -> Phase {
    match phase {
        Phase::Open | Phase::Settled { .. } => phase,
        other => match other.job() {
            Some(job) => refunding(job.clone(), RefundReason::HoldSpent, |_| true),
            None => other,
        },
    }
}

fn tranches(task: &Task, invoices: &[TrancheInvoice]) -> Vec<Tranche> {
    let work = task.terms.payouts().map(|payout| (payout, Purpose::Work));
    let bond = task.terms.bonds.requester.map(|bond| (bond, Purpose::Bond(Side::Payer)));
    let parts = invoices.iter().zip(work.chain(bond));
    parts.map(|(invoice, (payout, purpose))| tranche(task, invoice, payout, purpose)).collect()
}

fn tranche(task: &Task, invoice: &TrancheInvoice, payout: Sat, purpose: Purpose) -> Tranche {
    Tranche {
        purpose,
        payout,
        fee: task.policy.fee(payout),
        hash: invoice.hash,
        payout_invoice: invoice.bolt11.clone(),
        funding_invoice: None,
        state: TrancheState::Unfunded,
        verdict: None,
        renewal: None,
        renewals: 0,
        replaced: Vec::new(),
        named: BTreeSet::from([invoice.hash]),
    }
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
            TrancheState::Held { claim_deadline } => {
                TrancheState::Paying { attempt: *attempt, covered: true, claim_deadline }
            }
            TrancheState::Paying { covered, claim_deadline, .. } => {
                TrancheState::Paying { attempt: *attempt, covered, claim_deadline }
            }
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
                give_back(part, RefundReason::PayoutFailed);
            }
        }
        Event::HoldReturned { tranche } => set(phase, *tranche, |state| match state {
            TrancheState::Returning => TrancheState::Returned,
            other => other,
        }),
        Event::HoldSpent { tranche, fee } => {
            if let Some(part) = part(phase, *tranche).filter(|part| !part.state.is_paid()) {
                part.state = TrancheState::Spent { fee: *fee };
                part.verdict = Some(Verdict::Release(ReleaseReason::HoldSpent));
            }
        }
        Event::BondTaken { tranche, reason } => {
            if let Some(part) = part(phase, *tranche).filter(|part| part.state.is_held()) {
                part.verdict = Some(Verdict::Release(*reason));
            }
        }
        Event::BondReturnBegun { tranche, reason } => {
            if let Some(part) = part(phase, *tranche) {
                give_back(part, *reason);
            }
        }
        Event::HoldLost { tranche } => {
            let in_funding = matches!(phase, Phase::Funding { .. });
            if let Some(part) = part(phase, *tranche) {
                lost(part, in_funding);
            }
        }
        other => apply_to_renewal(phase, other),
    }
}

/// The facts that move a renewal of one tranche, or no tranche at all.
fn apply_to_renewal(phase: &mut Phase, event: &Event) {
    match event {
        Event::RenewalInvoiceMade { tranche, bolt11 } => {
            if let Some(next) = part(phase, *tranche).and_then(|part| part.renewal.as_mut()) {
                next.funding_invoice = Some(bolt11.clone());
            }
        }
        Event::RenewalRefused { tranche } => {
            if let Some(part) = part(phase, *tranche) {
                part.renewal = None;
            }
        }
        Event::HoldRenewed { tranche, claim_deadline, .. } => {
            if let Some(part) = part(phase, *tranche).filter(|part| part.state.is_held()) {
                renewed(part, *claim_deadline);
            }
        }
        Event::ReplacedHoldReturned { tranche, hash } => {
            if let Some(part) = part(phase, *tranche) {
                part.replaced.retain(|replaced| replaced != hash);
            }
        }
        Event::OtherHoldSpent { tranche, hash, fee } => {
            if let Some(part) = part(phase, *tranche) {
                other_spent(part, hash, *fee);
            }
        }
        Event::TaskCreated { .. }
        | Event::TaskAccepted { .. }
        | Event::FundingRequested { .. }
        | Event::TaskHeld
        | Event::WorkSubmitted { .. }
        | Event::WorkRejected { .. }
        | Event::ReleaseBegun { .. }
        | Event::PayoutFailed { .. }
        | Event::RefundBegun { .. }
        | Event::TaskSettled
        | Event::TaskRefunded
        | Event::TaskCancelled { .. }
        | Event::TaskExpired
        | Event::RenewalOffered { .. }
        | Event::HoldInvoiceMade { .. }
        | Event::HoldLocked { .. }
        | Event::PayoutBegun { .. }
        | Event::PayoutPaid { .. }
        | Event::HoldClaimed { .. }
        | Event::TrancheRefundBegun { .. }
        | Event::HoldReturned { .. }
        | Event::HoldSpent { .. }
        | Event::HoldLost { .. }
        | Event::BondOffered { .. }
        | Event::BondTaken { .. }
        | Event::BondReturnBegun { .. }
        | Event::RefundPlanned { .. }
        | Event::DisputeOpened { .. }
        | Event::Dispute { .. }
        | Event::ReviewResumed { .. }
        | Event::RewardBegun { .. }
        | Event::RewardFailed { .. }
        | Event::RewardPaid { .. } => {}
    }
}

/// The next hold takes the place of the one before, which is on its way back.
fn renewed(part: &mut Tranche, claim_deadline: BlockHeight) {
    let Some(next) = part.renewal.take() else { return };
    part.replaced.push(part.hash);
    (part.hash, part.payout_invoice, part.funding_invoice) = (next.hash, next.payout_invoice, next.funding_invoice);
    part.state = TrancheState::Held { claim_deadline };
    part.renewals = part.renewals.saturating_add(1);
}

/// The worker was paid on another of the tranche's holds: its own one goes back, unless a payout is under way on it.
fn other_spent(part: &mut Tranche, hash: &PaymentHash, fee: Option<Msat>) {
    part.replaced.retain(|replaced| replaced != hash);
    part.renewal = part.renewal.take().filter(|next| next.hash != *hash);
    match part.state {
        TrancheState::Held { .. } | TrancheState::Returning => part.replaced.push(part.hash),
        TrancheState::Unfunded | TrancheState::Returned => {}
        _ => return,
    }
    part.state = TrancheState::Spent { fee };
    part.verdict = Some(Verdict::Release(ReleaseReason::HoldSpent));
}

/// What is left of a tranche whose hold is gone.
fn lost(part: &mut Tranche, in_funding: bool) {
    part.state = match part.state {
        TrancheState::Held { .. } if in_funding => TrancheState::Unfunded,
        TrancheState::Held { .. } => {
            part.verdict = Some(Verdict::Refund(RefundReason::HoldLost));
            TrancheState::Returned
        }
        TrancheState::Returning => TrancheState::Returned,
        TrancheState::Paying { attempt, claim_deadline, .. } => {
            TrancheState::Paying { attempt, covered: false, claim_deadline }
        }
        TrancheState::Paid { fee } => TrancheState::Uncovered { fee },
        other => other,
    };
}

/// What a tranche becomes when its hold is to be given back: there may be nothing to give.
fn give_back(part: &mut Tranche, reason: RefundReason) {
    part.state = match part.state {
        TrancheState::Held { .. } | TrancheState::Paying { covered: true, .. } => TrancheState::Returning,
        TrancheState::Unfunded | TrancheState::Paying { covered: false, .. } => TrancheState::Returned,
        _ => return,
    };
    part.verdict = Some(Verdict::Refund(reason));
}

fn part(phase: &mut Phase, tranche: u32) -> Option<&mut Tranche> {
    phase.job_mut()?.tranches.get_mut(usize::try_from(tranche).ok()?)
}

fn set(phase: &mut Phase, tranche: u32, change: impl FnOnce(TrancheState) -> TrancheState) {
    if let Some(part) = part(phase, tranche) {
        part.state = change(part.state);
    }
}
