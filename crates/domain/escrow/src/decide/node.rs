//! What the rail's outcomes, time and blocks lead to.

use tallystick_civics::dispute::{self, Side};
use tallystick_core::{BlockHeight, Ctx, Digest32, Msat, PaymentHash, Timestamp};

use super::{
    Decision, dispute as decide_dispute,
    ending::{self, conclude, positions},
    hold, renewal, reward,
};
use crate::{
    Case, Effect, Event, Job, Milestone, NodeCommand, OnSilence, Outage, PayFailure, Phase, RefundReason, Rejection,
    ReleaseReason, Renewal, Reward, Stage, State, Task, Tranche, TrancheState, effect, evolve::evolve, plan,
};

pub(super) fn decide(task: &Task, command: NodeCommand, ctx: &Ctx) -> Result<Decision, Rejection> {
    let hash = match command {
        NodeCommand::RecordDraw { milestone, block_height, block_hash, candidates, registry_seq } => {
            let draw = dispute::NodeCommand::RecordDraw { block_height, block_hash, candidates, registry_seq };
            return decide_dispute::report(task, milestone, draw, ctx);
        }
        ref other => other.hash(),
    };
    let Some(hash) = hash else {
        let outages = match &command {
            NodeCommand::WakeKnowing { outages } => Some(outages.as_slice()),
            _ => None,
        };
        return Ok(wake(task, outages, ctx));
    };
    if let Some(found) = find_reward(task, hash) {
        return of_reward(task, found, command, ctx);
    }
    match find(task, hash)? {
        (found, Place::Current) => of_current(task, found, command, ctx),
        ((tranche, part), Place::Next(next)) => of_next(task, (tranche, part), next, (command, ctx)),
        ((tranche, part), Place::Replaced) => Ok(of_replaced(task, (tranche, part), hash, command)),
    }
}

fn of_current(task: &Task, found: Found<'_>, command: NodeCommand, ctx: &Ctx) -> Result<Decision, Rejection> {
    match command {
        NodeCommand::RecordHoldInvoice { bolt11, .. } => invoice_made(task, found, bolt11),
        NodeCommand::RecordHoldLocked { amount, claim_deadline, .. } => {
            hold_locked(task, found, (amount, claim_deadline), ctx)
        }
        NodeCommand::RecordHoldLost { .. } => Ok(hold_lost(task, found)),
        NodeCommand::RecordHoldReturned { .. } => Ok(hold_returned(task, found)),
        NodeCommand::RecordHoldClaimed { amount, .. } => hold_claimed(task, found, amount),
        NodeCommand::RecordHoldSpent { .. } => Ok(hold_spent(task, found, None)),
        NodeCommand::RecordHoldRefused { .. } => Ok(invoice_refused(task, found)),
        NodeCommand::RecordPayoutPaid { fee, .. } => payout_paid(task, found, fee),
        NodeCommand::RecordPayoutFailed { id, reason, .. } => Ok(payout_failed(task, found, (id, reason), ctx)),
        NodeCommand::Wake | NodeCommand::WakeKnowing { .. } | NodeCommand::RecordDraw { .. } => {
            Ok(Decision::AlreadyApplied)
        }
    }
}

/// What is told of an arbitrator's pay. No hold is ever made on its hash.
fn of_reward(
    task: &Task,
    (case, pay): (&Case, &Reward),
    command: NodeCommand,
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    match command {
        NodeCommand::RecordPayoutPaid { fee, .. } => Ok(reward::paid(case, pay, fee)),
        NodeCommand::RecordPayoutFailed { id, reason, .. } => Ok(reward::failed(task, (case, pay), (id, reason), ctx)),
        NodeCommand::RecordHoldLocked { .. } => Err(unwanted(task)),
        _ => Ok(Decision::AlreadyApplied),
    }
}

fn find_reward(task: &Task, hash: PaymentHash) -> Option<(&Case, &Reward)> {
    task.cases().find_map(|case| Some((case, case.rewards.iter().find(|reward| reward.hash == hash)?)))
}

/// What is told of the hold that a renewal offers.
fn of_next(
    task: &Task,
    (tranche, part): Found<'_>,
    next: &Renewal,
    (command, ctx): (NodeCommand, &Ctx),
) -> Result<Decision, Rejection> {
    match command {
        NodeCommand::RecordHoldInvoice { bolt11, .. } => Ok(renewal::invoice_made(tranche, next, bolt11)),
        NodeCommand::RecordHoldRefused { .. } if next.funding_invoice.is_none() => {
            Ok(Decision::event(Event::RenewalRefused { tranche }))
        }
        NodeCommand::RecordHoldLocked { amount, claim_deadline, .. } => {
            renewal::locked(task, (tranche, part), (amount, claim_deadline), ctx)
        }
        NodeCommand::RecordPayoutPaid { hash, fee, .. } => Ok(renewal::other_spent(task, tranche, hash, Some(fee))),
        NodeCommand::RecordHoldSpent { hash } | NodeCommand::RecordHoldClaimed { hash, .. } => {
            Ok(renewal::other_spent(task, tranche, hash, None))
        }
        _ => Ok(Decision::AlreadyApplied),
    }
}

/// What is told of a hold whose place was taken, and that is on its way back.
fn of_replaced(task: &Task, (tranche, _): Found<'_>, hash: PaymentHash, command: NodeCommand) -> Decision {
    match command {
        NodeCommand::RecordHoldReturned { .. } | NodeCommand::RecordHoldLost { .. } => {
            renewal::replaced_gone(task, tranche, hash)
        }
        NodeCommand::RecordPayoutPaid { fee, .. } => renewal::other_spent(task, tranche, hash, Some(fee)),
        NodeCommand::RecordHoldSpent { .. } | NodeCommand::RecordHoldClaimed { .. } => {
            renewal::other_spent(task, tranche, hash, None)
        }
        _ => Decision::AlreadyApplied,
    }
}

type Found<'a> = (u32, &'a Tranche);

/// Which of a tranche's holds a hash is.
enum Place<'a> {
    Current,
    /// The one that is to take its place.
    Next(&'a Renewal),
    /// One whose place was taken.
    Replaced,
}

fn find(task: &Task, hash: PaymentHash) -> Result<(Found<'_>, Place<'_>), Rejection> {
    for (tranche, part) in positions(task) {
        if let Some(next) = part.renewal.as_ref().filter(|next| next.hash == hash) {
            return Ok(((tranche, part), Place::Next(next)));
        }
        // The last one may be replaced by nothing: see `Event::OtherHoldSpent`.
        if part.replaced.contains(&hash) {
            return Ok(((tranche, part), Place::Replaced));
        }
        if part.hash == hash {
            return Ok(((tranche, part), Place::Current));
        }
    }
    Err(Rejection::UnknownHash)
}

fn invoice_made(task: &Task, (tranche, part): Found<'_>, bolt11: String) -> Result<Decision, Rejection> {
    match task.phase {
        _ if part.funding_invoice.is_some() => Ok(Decision::AlreadyApplied),
        Phase::Funding { .. } => Ok(Decision::event(Event::HoldInvoiceMade { tranche, bolt11 })),
        _ => Err(unwanted(task)),
    }
}

/// Without one of its invoices a task can never be funded in full.
fn invoice_refused(task: &Task, (_, part): Found<'_>) -> Decision {
    match &task.phase {
        Phase::Funding { .. } if part.funding_invoice.is_none() => give_up_funding(task, RefundReason::FundingLapsed),
        _ => Decision::AlreadyApplied,
    }
}

/// Gives back what was locked so far; nothing may be.
fn give_up_funding(task: &Task, reason: RefundReason) -> Decision {
    let any_held = positions(task).any(|(_, part)| part.state.is_held());
    if any_held { ending::refund(task, None, reason) } else { Decision::event(Event::TaskExpired) }
}

fn hold_locked(
    task: &Task,
    (tranche, part): Found<'_>,
    (amount, claim_deadline): (Msat, BlockHeight),
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    let until = match (&task.phase, part.state) {
        (Phase::Funding { until, .. }, TrancheState::Unfunded) => *until,
        (_, TrancheState::Held { .. } | TrancheState::Paying { covered: true, .. } | TrancheState::Paid { .. }) => {
            return Ok(Decision::AlreadyApplied);
        }
        _ => return Err(unwanted(task)),
    };
    hold::fits(task, part, (amount, claim_deadline), ctx)?;
    let mut events = vec![Event::HoldLocked { tranche, amount, claim_deadline }];
    // Too late for a worker who would answer with a bond for the time that is left: the next wake gives everything back.
    let is_late = task.terms.bonds.worker.is_some() && ctx.now >= until;
    if !is_late && positions(task).all(|(other, part)| other == tranche || part.state.is_held()) {
        events.push(Event::TaskHeld);
    }
    Ok(Decision::Accept { events, effects: Vec::new() })
}

fn hold_lost(task: &Task, (tranche, part): Found<'_>) -> Decision {
    let lost = Event::HoldLost { tranche };
    match (&task.phase, part.state) {
        // Nobody works on for a part of the money. What was handed in, or is disputed, is decided on with what is left.
        (Phase::Active { job }, TrancheState::Held { .. }) => match task.milestone_at(tranche) {
            Some(milestone)
                if task.stage(job, milestone) == Some(Stage::Working) && task.running(job, milestone).is_none() =>
            {
                let events =
                    vec![lost, Event::RefundBegun { milestone: Some(milestone), reason: RefundReason::HoldLost }];
                conclude(task, events, ending::give_back_held(task, Some(milestone), Some(tranche)))
            }
            _ => conclude(task, vec![lost], Vec::new()),
        },
        (
            _,
            TrancheState::Held { .. }
            | TrancheState::Paying { covered: true, .. }
            | TrancheState::Paid { .. }
            | TrancheState::Returning,
        ) => conclude(task, vec![lost], Vec::new()),
        _ => Decision::AlreadyApplied,
    }
}

fn hold_returned(task: &Task, (tranche, part): Found<'_>) -> Decision {
    match part.state {
        TrancheState::Returning => conclude(task, vec![Event::HoldReturned { tranche }], Vec::new()),
        _ => Decision::AlreadyApplied,
    }
}

fn hold_claimed(task: &Task, (tranche, part): Found<'_>, amount: Msat) -> Result<Decision, Rejection> {
    match part.state {
        TrancheState::Paid { .. } | TrancheState::Uncovered { .. } if !task.phase.is_final() => {
            Ok(conclude(task, vec![Event::HoldClaimed { tranche, amount }], Vec::new()))
        }
        state if state.is_paid() => Ok(Decision::AlreadyApplied),
        TrancheState::Paying { .. } => Err(Rejection::ClaimBeforePayout),
        _ => Ok(hold_spent(task, (tranche, part), None)),
    }
}

/// Records that the rail settled a tranche by itself, whatever the journal thought of it: money that moved is a fact.
fn hold_spent(task: &Task, (tranche, part): Found<'_>, fee: Option<Msat>) -> Decision {
    if part.state.is_paid() {
        return Decision::AlreadyApplied;
    }
    conclude(task, vec![Event::HoldSpent { tranche, fee }], ending::give_back_held(task, None, Some(tranche)))
}

fn payout_paid(task: &Task, (tranche, part): Found<'_>, fee: Msat) -> Result<Decision, Rejection> {
    match part.state {
        TrancheState::Paying { covered, .. } => {
            let claim = Effect::ClaimHold { hash: part.hash, amount: part.hold()? };
            let effects = if covered { vec![claim] } else { Vec::new() };
            Ok(conclude(task, vec![Event::PayoutPaid { tranche, fee }], effects))
        }
        _ => Ok(hold_spent(task, (tranche, part), Some(fee))),
    }
}

fn payout_failed(task: &Task, found: Found<'_>, (id, reason): (Digest32, PayFailure), ctx: &Ctx) -> Decision {
    let (tranche, part) = found;
    match part.state {
        TrancheState::Paying { attempt, .. } if id == effect::payout_id(task.id, tranche, attempt) => {
            ending::retry_or_return(task, found, Event::PayoutFailed { tranche, attempt, reason }, reason, ctx)
        }
        // An earlier attempt's end, told again.
        _ => Decision::AlreadyApplied,
    }
}

fn wake(task: &Task, outages: Option<&[Outage]>, ctx: &Ctx) -> Decision {
    match &task.phase {
        Phase::Open | Phase::Assigned { .. } if ctx.now >= task.terms.first_deadline() => {
            Decision::event(Event::TaskExpired)
        }
        Phase::Funding { until, .. } if ctx.now >= *until => give_up_funding(task, RefundReason::FundingLapsed),
        Phase::Funding { job, .. } => match plan::earliest_decide_by(&task.policy, &job.tranches) {
            Some(decide_by) if ctx.height >= decide_by => ending::refund(task, None, RefundReason::BlocksRanOut),
            _ => Decision::AlreadyApplied,
        },
        Phase::Active { job } => wake_milestones(task, job, outages, ctx),
        _ => Decision::AlreadyApplied,
    }
}

/// Decides on every milestone whose time has come; on one whose dispute ended without a ruling perhaps once more.
fn wake_milestones(task: &Task, job: &Job, outages: Option<&[Outage]>, ctx: &Ctx) -> Decision {
    let mut after = task.clone();
    let (mut events, mut effects) = broken_promise(task, job, outages, ctx);
    if let State::Present(next) = events.iter().fold(State::Present(Box::new(after.clone())), evolve) {
        after = *next;
    }
    for milestone in (0..).zip(&job.milestones).map(|(at, _)| at) {
        while let Some(Decision::Accept { events: more, effects: asked }) = decide_due(&after, milestone, ctx) {
            if let State::Present(next) = more.iter().fold(State::Present(Box::new(after.clone())), evolve) {
                after = *next;
            }
            events.extend(more);
            effects.extend(asked);
        }
    }
    let bonds = [Side::Payer, Side::Payee].into_iter().filter_map(|side| after.bond(after.phase.job()?, side));
    for (tranche, _) in bonds.filter(|(_, last)| ctx.height >= *last) {
        let (more, asked) = ending::return_bond(&after, tranche);
        events.extend(more);
        effects.extend(asked);
    }
    if events.is_empty() { Decision::AlreadyApplied } else { conclude(task, events, effects) }
}

/// The worker's bond goes to the requester if the time for handing something in passed ([`crate::Terms::hand_in_until`]) and nothing was,
/// though blocks let it, nobody disputing it and the worker not having stepped back; but only if this node tells when it was away,
/// and that was never between the task's beginning and then: whoever could not reach it has broken no promise.
fn broken_promise(task: &Task, job: &Job, outages: Option<&[Outage]>, ctx: &Ctx) -> (Vec<Event>, Vec<Effect>) {
    let is_broken = |(deadline, last): &(Timestamp, BlockHeight)| ctx.now >= *deadline && ctx.height <= *last;
    match (task.promises(job).find(is_broken), outages, task.bond(job, Side::Payee)) {
        (Some((deadline, _)), Some(outages), Some((tranche, _)))
            if !outages.iter().any(|outage| outage.overlaps(task.created_at, deadline)) =>
        {
            ending::take_bond(task, tranche, ReleaseReason::BrokenPromise, ctx)
        }
        _ => Default::default(),
    }
}

/// What becomes of a milestone whose time has come; nothing if it has not. Each decision leads on, so that this ends.
fn decide_due(task: &Task, milestone: u32, ctx: &Ctx) -> Option<Decision> {
    let Phase::Active { job } = &task.phase else { return None };
    let part = usize::try_from(milestone).ok().and_then(|at| job.milestones.get(at))?;
    let decide_by = task.decide_by(job, milestone)?;
    let is_due = task.milestone_wake(job, milestone).is_due(ctx.now, ctx.height);
    is_due.then(|| decide_milestone(task, (milestone, part), decide_by, ctx))
}

fn decide_milestone(task: &Task, (milestone, part): (u32, &Milestone), decide_by: BlockHeight, ctx: &Ctx) -> Decision {
    let refund = |reason| ending::refund(task, Some(milestone), reason);
    let release = |reason| {
        let held = positions(task).filter(|(_, part)| part.state.is_held()).map(|(tranche, _)| tranche);
        let own = task.terms.tranches_of(milestone);
        let tranches: Vec<u32> = held.filter(|tranche| own.contains(tranche)).collect();
        ending::release(task, milestone, &tranches, reason, ctx).unwrap_or_else(|_| refund(RefundReason::BlocksRanOut))
    };
    if part.running().is_some() {
        let wake = dispute::NodeCommand::Wake;
        return decide_dispute::report(task, milestone, wake, ctx).unwrap_or(Decision::AlreadyApplied);
    }
    let is_offered = task.phase.job().is_some_and(|job| task.is_offered(job, milestone));
    match (part.stage, task.terms.on_silence, task.terms.renewal) {
        (Stage::Working, _, _) if ctx.height < decide_by => refund(RefundReason::WorkDeadline),
        (Stage::Working, _, Some(OnSilence::Release)) if is_offered => release(ReleaseReason::RenewalMissed),
        (Stage::Working, _, Some(OnSilence::Refund)) if is_offered => refund(RefundReason::RenewalMissed),
        (Stage::Working, _, _) => refund(RefundReason::BlocksRanOut),
        (Stage::Submitted { .. }, OnSilence::Release, _) => release(ReleaseReason::Silence),
        // Silence that refuses the work is a refusal as well: the worker may dispute it.
        (Stage::Submitted { .. }, OnSilence::Refund, _)
            if task.terms.panel.is_some() && ctx.height <= plan::refuse_by(&task.policy, decide_by) =>
        {
            Decision::event(refund_planned(task, milestone, RefundReason::Silence, ctx))
        }
        (Stage::Submitted { review_until }, OnSilence::Refund, _) if ctx.now >= review_until => {
            refund(RefundReason::Silence)
        }
        (Stage::Submitted { .. }, OnSilence::Refund, _) => refund(RefundReason::BlocksRanOut),
        (Stage::Rejected { reason, .. }, _, _) => refund(reason),
    }
}

/// What is undecided goes back once the worker has had the time to dispute that.
pub(super) fn refund_planned(task: &Task, milestone: u32, reason: RefundReason, ctx: &Ctx) -> Event {
    Event::RefundPlanned { milestone, reason, until: ctx.now.after(task.policy.dispute_window) }
}

fn unwanted(task: &Task) -> Rejection {
    Rejection::HoldUnwanted { state: task.state_name() }
}
