//! What users may do, and when.

use std::collections::BTreeSet;
use tallystick_core::{Ctx, Digest32, Id, NostrKey, Timestamp};

use super::{Decision, ending};
use crate::{
    Effect, Event, InvoiceFacts, Job, OnSilence, Phase, Policy, RefundReason, Rejection, ReleaseReason, State, Task,
    Terms, TrancheState, UserCommand, plan,
};

pub(super) fn decide(state: &State, command: UserCommand, ctx: &Ctx) -> Result<Decision, Rejection> {
    let task = match (state, command) {
        (State::Absent, UserCommand::CreateTask { id, terms, policy }) => return create(id, terms, policy, ctx),
        (State::Absent, _) => return Err(Rejection::NotFound),
        (State::Present(task), UserCommand::CreateTask { terms, .. }) => {
            let same = task.requester == ctx.author && task.terms == terms;
            return if same { Ok(Decision::AlreadyApplied) } else { Err(Rejection::IdTaken) };
        }
        (State::Present(task), command) => (task, command),
    };
    match task {
        (task, UserCommand::AcceptTask { invoices }) => accept(task, &invoices, ctx),
        (task, UserCommand::RequestFunding) => request_funding(task, ctx),
        (task, UserCommand::SubmitWork { work_hash }) => submit(task, work_hash, ctx),
        (task, UserCommand::ApproveWork) => approve(task, ctx),
        (task, UserCommand::RejectWork { reason_hash }) => reject(task, reason_hash, ctx),
        (task, UserCommand::CancelTask) => cancel(task, ctx),
        (_, UserCommand::CreateTask { .. }) => Err(Rejection::IdTaken),
    }
}

fn create(id: Id<Task>, terms: Terms, policy: Policy, ctx: &Ctx) -> Result<Decision, Rejection> {
    terms.check(&policy, ctx.now)?;
    let hold_blocks = plan::hold_blocks(&terms, &policy, ctx.now)?;
    let event = Event::TaskCreated { id, requester: ctx.author, terms, policy, hold_blocks, at: ctx.now };
    Ok(Decision::event(event))
}

fn accept(task: &Task, invoices: &[(String, InvoiceFacts)], ctx: &Ctx) -> Result<Decision, Rejection> {
    if ctx.author == task.requester {
        return Err(Rejection::OwnTask);
    }
    if let Some(job) = task.phase.job() {
        let same_invoices =
            job.tranches.iter().map(|part| &part.payout_invoice).eq(invoices.iter().map(|(text, _)| text));
        let same = job.worker == ctx.author && same_invoices;
        return if same { Ok(Decision::AlreadyApplied) } else { Err(Rejection::AlreadyAssigned) };
    }
    let Phase::Open = task.phase else { return Err(ended(task)) };
    in_time(task.terms.work_deadline, ctx)?;
    if invoices.len() != task.terms.payouts.len() {
        return Err(Rejection::InvoiceCount { invoices: invoices.len(), tranches: task.terms.payouts.len() });
    }
    let mut hashes = BTreeSet::new();
    for ((_, facts), payout) in invoices.iter().zip(&task.terms.payouts) {
        facts.check(payout.to_msat(), task, ctx.now)?;
        if !hashes.insert(facts.hash) {
            return Err(Rejection::HashReused);
        }
    }
    let invoices = invoices.iter().map(|(text, facts)| (text.clone(), facts).into()).collect();
    Ok(Decision::event(Event::TaskAccepted { worker: ctx.author, invoices }))
}

fn request_funding(task: &Task, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_requester(task, ctx)?;
    let job = match &task.phase {
        Phase::Assigned { job } => job,
        Phase::Open => return Err(Rejection::NotAssigned { state: task.phase.name() }),
        phase if phase.is_final() => return Err(ended(task)),
        _ => return Ok(Decision::AlreadyApplied),
    };
    in_time(task.terms.work_deadline, ctx)?;
    let until = ctx.now.after(task.policy.funding_window).min(task.terms.work_deadline);
    let effects = job
        .tranches
        .iter()
        .map(|part| {
            Ok(Effect::MakeHoldInvoice {
                hash: part.hash,
                amount: part.hold()?,
                description: format!("{} (task {})", task.terms.title, task.id),
                expiry: ctx.now.until(until),
                final_cltv_delta: plan::final_cltv_delta(&task.policy, task.hold_blocks),
            })
        })
        .collect::<Result<_, Rejection>>()?;
    Ok(Decision::Accept { events: vec![Event::FundingRequested { until }], effects })
}

fn submit(task: &Task, work_hash: Digest32, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_worker(task, ctx)?;
    match &task.phase {
        Phase::Held { decide_by, .. } => {
            in_time(task.terms.work_deadline, ctx)?;
            let last = plan::submit_by(&task.terms, *decide_by);
            if ctx.height > last {
                return Err(Rejection::TooFewBlocks { height: ctx.height, last });
            }
            let review_until = ctx.now.after(task.terms.review_window);
            Ok(Decision::event(Event::WorkSubmitted { work_hash, review_until }))
        }
        Phase::Submitted { job, .. } if job.work_hash == Some(work_hash) => Ok(Decision::AlreadyApplied),
        Phase::Submitted { .. } => Err(Rejection::WorkAlreadySubmitted),
        phase => Err(Rejection::NotHeld { state: phase.name() }),
    }
}

fn approve(task: &Task, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_requester(task, ctx)?;
    match &task.phase {
        Phase::Submitted { decide_by, .. } => ending::release(task, *decide_by, ReleaseReason::Approved, ctx),
        Phase::Releasing { .. } | Phase::Settled { .. } => Ok(Decision::AlreadyApplied),
        phase => Err(Rejection::NotSubmitted { state: phase.name() }),
    }
}

fn reject(task: &Task, reason_hash: Digest32, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_requester(task, ctx)?;
    match &task.phase {
        Phase::Submitted { review_until, .. } => {
            // Silence has already decided for the worker, even if the node has not got round to it.
            if task.terms.on_silence == OnSilence::Release {
                in_time(*review_until, ctx)?;
            }
            Ok(ending::refund_after(task, Event::WorkRejected { reason_hash }, RefundReason::Rejected))
        }
        Phase::Refunding { reason: RefundReason::Rejected, job }
        | Phase::Refunded { reason: RefundReason::Rejected, job } => {
            let same = job.reason_hash == Some(reason_hash);
            if same { Ok(Decision::AlreadyApplied) } else { Err(Rejection::WorkAlreadyRejected) }
        }
        phase => Err(Rejection::NotSubmitted { state: phase.name() }),
    }
}

fn cancel(task: &Task, ctx: &Ctx) -> Result<Decision, Rejection> {
    let by_requester = ctx.author == task.requester;
    let by_worker = task.phase.job().is_some_and(|job| job.worker == ctx.author);
    if !by_requester && !by_worker {
        return Err(Rejection::NotParty);
    }
    let reason = if by_requester { RefundReason::CancelledByRequester } else { RefundReason::CancelledByWorker };
    match &task.phase {
        Phase::Open | Phase::Assigned { .. } => Ok(Decision::event(Event::TaskCancelled { by: ctx.author })),
        Phase::Funding { job, .. } if !any_held(job) => Ok(Decision::event(Event::TaskCancelled { by: ctx.author })),
        Phase::Funding { .. } | Phase::Held { .. } => Ok(ending::refund(task, reason)),
        Phase::Submitted { .. } if by_worker => Ok(ending::refund(task, reason)),
        Phase::Cancelled { by, .. } if *by == ctx.author => Ok(Decision::AlreadyApplied),
        Phase::Refunding { reason: before, .. } | Phase::Refunded { reason: before, .. } if *before == reason => {
            Ok(Decision::AlreadyApplied)
        }
        phase => Err(Rejection::NotCancellable { state: phase.name() }),
    }
}

fn any_held(job: &Job) -> bool {
    job.tranches.iter().any(|part| matches!(part.state, TrancheState::Held { .. }))
}

fn ended(task: &Task) -> Rejection {
    Rejection::Ended { state: task.phase.name() }
}

fn only_requester(task: &Task, ctx: &Ctx) -> Result<(), Rejection> {
    if ctx.author == task.requester { Ok(()) } else { Err(Rejection::NotRequester) }
}

fn only_worker(task: &Task, ctx: &Ctx) -> Result<(), Rejection> {
    let worker: Option<NostrKey> = task.phase.job().map(|job| job.worker);
    if worker == Some(ctx.author) { Ok(()) } else { Err(Rejection::NotWorker) }
}

fn in_time(deadline: Timestamp, ctx: &Ctx) -> Result<(), Rejection> {
    if ctx.now < deadline { Ok(()) } else { Err(Rejection::DeadlinePassed { deadline }) }
}
