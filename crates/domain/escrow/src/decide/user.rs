//! What users may do, and when.

use std::collections::BTreeSet;
use tallystick_civics::dispute::Side;
use tallystick_core::{BlockHeight, Ctx, Digest32, Id, NostrKey, Timestamp};

use super::{Decision, dispute, ending, hold, node::refund_planned, renewal, reward};
use crate::{
    Event, InvoiceFacts, Job, Milestone, MilestoneTerms, OnSilence, Phase, Policy, Purpose, RefundReason, Rejection,
    ReleaseReason, Stage, State, Task, Terms, Tranche, UserCommand, Verdict, evolve::evolve, plan,
};

pub(super) fn decide(state: &State, command: UserCommand, ctx: &Ctx) -> Result<Decision, Rejection> {
    let task = match (state, command) {
        (State::Absent, UserCommand::CreateTask { id, terms, policy }) => return create(id, terms, *policy, ctx),
        (State::Absent, _) => return Err(Rejection::NotFound),
        (State::Present(task), UserCommand::CreateTask { terms, .. }) => {
            let same = task.requester == ctx.author && task.terms == terms;
            return if same { Ok(Decision::AlreadyApplied) } else { Err(Rejection::IdTaken) };
        }
        (State::Present(task), command) => (task, command),
    };
    match task {
        (task, UserCommand::AcceptTask { invoices }) => accept(task, &invoices, ctx),
        (task, UserCommand::RequestFunding) => request_funding(task, None, ctx),
        (task, UserCommand::FundWithBond { invoice }) => request_funding(task, Some(&invoice), ctx),
        (task, UserCommand::SubmitWork { milestone, work_hash }) => submit(task, milestone, work_hash, ctx),
        (task, UserCommand::OfferRenewal { milestone, invoices }) => {
            only_worker(task, ctx)?;
            renewal::offer(task, milestone, &invoices, ctx)
        }
        (task, UserCommand::ApproveWork { milestone, tranches }) => approve(task, milestone, tranches.as_deref(), ctx),
        (task, UserCommand::RejectWork { milestone, reason_hash }) => reject(task, milestone, reason_hash, ctx),
        (task, UserCommand::CancelTask) => cancel(task, ctx),
        (task, UserCommand::ConcedeWork { milestone }) => concede(task, milestone, ctx),
        (task, UserCommand::OpenDispute { milestone, docket }) => dispute::open(task, milestone, docket, ctx),
        (task, UserCommand::Dispute { milestone, command }) => dispute::ask(task, milestone, command, ctx),
        (task, UserCommand::CollectReward { milestone, invoice }) => {
            reward::collect(task, milestone, (&invoice.0, &invoice.1), ctx)
        }
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
        let own = job.tranches.iter().filter(|part| part.purpose != Purpose::Bond(Side::Payee));
        let same_invoices = own.map(|part| &part.payout_invoice).eq(invoices.iter().map(|(text, _)| text));
        let same = job.worker == ctx.author && same_invoices;
        return if same { Ok(Decision::AlreadyApplied) } else { Err(Rejection::AlreadyAssigned) };
    }
    let Phase::Open = task.phase else { return Err(ended(task)) };
    in_time(task.terms.first_deadline(), ctx)?;
    let tranches = task.terms.workers_invoices().count();
    if invoices.len() != tranches {
        return Err(Rejection::InvoiceCount { invoices: invoices.len(), tranches });
    }
    let mut hashes = BTreeSet::new();
    for ((_, facts), payout) in invoices.iter().zip(task.terms.workers_invoices()) {
        facts.check(payout.to_msat(), task, task.policy.funding_window, ctx.now)?;
        if !hashes.insert(facts.hash) {
            return Err(Rejection::HashReused);
        }
    }
    let invoices = invoices.iter().map(|(text, facts)| (text.clone(), facts).into()).collect();
    Ok(Decision::event(Event::TaskAccepted { worker: ctx.author, invoices }))
}

fn request_funding(task: &Task, offered: Option<&(String, InvoiceFacts)>, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_requester(task, ctx)?;
    let job = match &task.phase {
        Phase::Assigned { job } => job,
        Phase::Open => return Err(Rejection::NotAssigned { state: task.phase.name() }),
        phase if phase.is_final() => return Err(ended(task)),
        phase => return funded_before(phase, offered),
    };
    let deadline = task.terms.first_deadline();
    in_time(deadline, ctx)?;
    let window = plan::funding_window(&task.terms, &task.policy, ctx.now.until(deadline));
    let until = ctx.now.after(window).min(deadline);
    let mut events = bond_offered(task, job, offered, ctx)?;
    let after = events.iter().fold(State::Present(Box::new(task.clone())), evolve);
    let invoice = |part: &Tranche| hold::hold_invoice(task, part.hash, part, ctx.now.until(until));
    let effects = match &after {
        State::Present(after) => after.phase.job().into_iter().flat_map(|job| &job.tranches).map(invoice).collect(),
        State::Absent => Ok(Vec::new()),
    };
    events.push(Event::FundingRequested { until });
    Ok(Decision::Accept { events, effects: effects? })
}

/// Asked again: no other invoice takes the place of the one that the worker's bond goes to.
fn funded_before(phase: &Phase, offered: Option<&(String, InvoiceFacts)>) -> Result<Decision, Rejection> {
    let mut tranches = phase.job().into_iter().flat_map(|job| &job.tranches);
    let given = tranches.find(|part| part.purpose == Purpose::Bond(Side::Payee)).map(|part| &part.payout_invoice);
    match offered {
        Some((text, _)) if given != Some(text) => Err(Rejection::BondAlreadyOffered),
        _ => Ok(Decision::AlreadyApplied),
    }
}

/// The requester's invoice for the worker's bond: there is one exactly if the terms ask for that bond.
fn bond_offered(
    task: &Task,
    job: &Job,
    offered: Option<&(String, InvoiceFacts)>,
    ctx: &Ctx,
) -> Result<Vec<Event>, Rejection> {
    match (task.terms.bonds.worker, offered) {
        (None, None) => Ok(Vec::new()),
        (Some(bond), Some((text, facts))) => {
            facts.check(bond.to_msat(), task, task.policy.funding_window, ctx.now)?;
            if job.tranches.iter().any(|part| part.hash == facts.hash) {
                return Err(Rejection::HashReused);
            }
            Ok(vec![Event::BondOffered { invoice: (text.clone(), facts).into() }])
        }
        (bond, offered) => {
            let (invoices, tranches) = (usize::from(offered.is_some()), usize::from(bond.is_some()));
            Err(Rejection::InvoiceCount { invoices, tranches })
        }
    }
}

fn submit(task: &Task, milestone: u32, work_hash: Digest32, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_worker(task, ctx)?;
    let (terms, part) = find(task, milestone)?;
    match (part.map(|part| part.stage), undecided(task, milestone)) {
        (Some(_), _) if part.is_some_and(|part| part.work_hash == Some(work_hash)) => Ok(Decision::AlreadyApplied),
        (Some(Stage::Submitted { .. } | Stage::Rejected { .. }), Some(_)) => Err(Rejection::WorkAlreadySubmitted),
        (Some(Stage::Working), Some(decide_by)) => {
            in_time(task.terms.hand_in_until(terms), ctx)?;
            let last = plan::submit_by(&task.terms, &task.policy, decide_by);
            if ctx.height > last {
                return Err(Rejection::TooFewBlocks { height: ctx.height, last });
            }
            let review_until = ctx.now.after(task.terms.review_window);
            Ok(Decision::event(Event::WorkSubmitted { milestone, work_hash, review_until }))
        }
        _ => Err(Rejection::NotHeld { state: state_of(task, milestone) }),
    }
}

fn approve(task: &Task, milestone: u32, tranches: Option<&[u32]>, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_requester(task, ctx)?;
    let (_, part) = find(task, milestone)?;
    let job = match (&task.phase, part) {
        (Phase::Active { job } | Phase::Settled { job } | Phase::Refunded { job }, Some(part))
            if part.stage != Stage::Working || !part.cases.is_empty() =>
        {
            job
        }
        _ => return Err(Rejection::NotSubmitted { state: state_of(task, milestone) }),
    };
    // Before work is handed in, only what is disputed can be agreed on.
    let is_idle = part.is_some_and(|part| part.stage == Stage::Working && part.running().is_none());
    let chosen = match tranches {
        Some(tranches) => named(task, milestone, tranches)?,
        None => task.terms.tranches_of(milestone).collect(),
    };
    let parts = || (0..).zip(&job.tranches).filter(|(tranche, _)| chosen.contains(tranche));
    let open: Vec<u32> = parts().filter(|(_, part)| part.state.is_held()).map(|(tranche, _)| tranche).collect();
    let first = task.terms.tranches_of(milestone).start;
    let against = parts().find(|(_, part)| matches!(part.verdict, Some(Verdict::Refund(_))));
    match against {
        Some((tranche, _)) if tranches.is_some() => Err(Rejection::TrancheDecided { tranche: tranche - first }),
        _ if !open.is_empty() && is_idle => Err(Rejection::NotSubmitted { state: state_of(task, milestone) }),
        _ if !open.is_empty() && !agrees(task, milestone, &open) => Err(Rejection::Disputed),
        _ if !open.is_empty() => ending::release(task, milestone, &open, ReleaseReason::Approved, ctx),
        Some(_) if parts().all(|(_, part)| matches!(part.verdict, Some(Verdict::Refund(_)))) => {
            Err(Rejection::NotSubmitted { state: state_of(task, milestone) })
        }
        _ => Ok(Decision::AlreadyApplied),
    }
}

/// Whether no dispute runs, or the parties can end it and that is done: by approving all that it is about.
fn agrees(task: &Task, milestone: u32, approved: &[u32]) -> bool {
    let Phase::Active { job } = &task.phase else { return true };
    let held = || task.tranches_of(job, milestone).filter(|(_, part)| part.state.is_held());
    match task.running(job, milestone) {
        Some(_) => {
            dispute::may_agree(task, milestone).is_ok() && held().all(|(tranche, _)| approved.contains(&tranche))
        }
        None => true,
    }
}

/// The positions among all of the task of some of a milestone's tranches.
fn named(task: &Task, milestone: u32, tranches: &[u32]) -> Result<BTreeSet<u32>, Rejection> {
    let own = task.terms.tranches_of(milestone);
    let count = own.len();
    if tranches.is_empty() {
        return Err(Rejection::NothingToApprove);
    }
    let mut chosen = BTreeSet::new();
    for &tranche in tranches {
        let position = own.start.saturating_add(tranche);
        if !own.contains(&position) || !chosen.insert(position) {
            return Err(Rejection::NoTranche { tranche, count });
        }
    }
    Ok(chosen)
}

fn reject(task: &Task, milestone: u32, reason_hash: Digest32, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_requester(task, ctx)?;
    let (_, part) = find(task, milestone)?;
    match (part.map(|part| (part.stage, part.reason_hash)), undecided(task, milestone)) {
        (Some((Stage::Submitted { review_until }, _)), Some(decide_by)) => {
            dispute::not_disputed(task, milestone)?;
            // Silence has already decided for the worker, even if the node has not got round to it.
            if task.terms.on_silence == OnSilence::Release {
                in_time(review_until, ctx)?;
            }
            let fact = Event::WorkRejected { milestone, reason_hash };
            if task.terms.panel.is_some() {
                let last = plan::refuse_by(&task.policy, decide_by);
                if ctx.height > last {
                    return Err(Rejection::TooFewBlocks { height: ctx.height, last });
                }
                let planned = refund_planned(task, milestone, RefundReason::Rejected, ctx);
                return Ok(Decision::Accept { events: vec![fact, planned], effects: Vec::new() });
            }
            Ok(ending::refund_after(task, fact, Some(milestone), RefundReason::Rejected))
        }
        (Some((_, Some(before))), _) if before == reason_hash => Ok(Decision::AlreadyApplied),
        (Some((_, Some(_))), _) => Err(Rejection::WorkAlreadyRejected),
        _ => Err(Rejection::NotSubmitted { state: state_of(task, milestone) }),
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
        Phase::Funding { .. } => Ok(ending::refund(task, None, reason)),
        Phase::Active { job } => cancel_active(task, job, reason),
        Phase::Cancelled { by, .. } if *by == ctx.author => Ok(Decision::AlreadyApplied),
        phase if gone(phase, reason) => Ok(Decision::AlreadyApplied),
        _ => Err(Rejection::NotCancellable { state: task.state_name() }),
    }
}

/// A worker gives up everything that is undecided and not disputed. A requester takes back only what nobody has worked on yet: work that
/// was handed in is to be decided on.
fn cancel_active(task: &Task, job: &Job, reason: RefundReason) -> Result<Decision, Rejection> {
    let by_worker = reason == RefundReason::CancelledByWorker;
    let may = |part: &Milestone| part.running().is_none() && (by_worker || part.stage == Stage::Working);
    let open: Vec<u32> = (0..)
        .zip(&job.milestones)
        .filter(|(milestone, part)| may(part) && undecided(task, *milestone).is_some())
        .map(|(milestone, _)| milestone)
        .collect();
    match open.as_slice() {
        [] if gone(&task.phase, reason) => Ok(Decision::AlreadyApplied),
        [] => Err(Rejection::NotCancellable { state: task.state_name() }),
        open if open.len() == job.milestones.len() => Ok(ending::refund(task, None, reason)),
        open => Ok(ending::refund_some(task, open, reason)),
    }
}

/// The worker gives up a milestone, disputed or not.
fn concede(task: &Task, milestone: u32, ctx: &Ctx) -> Result<Decision, Rejection> {
    only_worker(task, ctx)?;
    find(task, milestone)?;
    let parts = || task.phase.job().into_iter().flat_map(|job| task.tranches_of(job, milestone));
    let conceded = Some(Verdict::Refund(RefundReason::Conceded));
    match undecided(task, milestone) {
        Some(_) => {
            dispute::may_agree(task, milestone)?;
            Ok(ending::refund(task, Some(milestone), RefundReason::Conceded))
        }
        None if parts().any(|(_, part)| part.verdict == conceded) => Ok(Decision::AlreadyApplied),
        None => Err(Rejection::NotHeld { state: state_of(task, milestone) }),
    }
}

/// Whether something went back for this reason before.
fn gone(phase: &Phase, reason: RefundReason) -> bool {
    phase.job().is_some_and(|job| job.tranches.iter().any(|part| part.verdict == Some(Verdict::Refund(reason))))
}

/// The terms of a milestone, and where it stands, once the task has a worker.
pub(super) fn find(task: &Task, milestone: u32) -> Result<(&MilestoneTerms, Option<&Milestone>), Rejection> {
    let position = usize::try_from(milestone).unwrap_or(usize::MAX);
    let count = task.terms.milestones.len();
    let terms = task.terms.milestones.get(position).ok_or(Rejection::NoMilestone { milestone, count })?;
    Ok((terms, task.phase.job().and_then(|job| job.milestones.get(position))))
}

/// The last height at which the payouts of a milestone's undecided tranches may begin; nothing if none is undecided.
fn undecided(task: &Task, milestone: u32) -> Option<BlockHeight> {
    match &task.phase {
        Phase::Active { job } => task.decide_by(job, milestone),
        _ => None,
    }
}

pub(super) fn state_of(task: &Task, milestone: u32) -> &'static str {
    match &task.phase {
        Phase::Active { job } => task.milestone_name(job, milestone),
        phase => phase.name(),
    }
}

fn any_held(job: &Job) -> bool {
    job.tranches.iter().any(|part| part.state.is_held())
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
