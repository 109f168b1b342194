//! Disputes about a milestone: opening them, what is done in them, and carrying out what they lead to.

use std::convert::Infallible;
use tallystick_civics::{
    dispute::{self, Award, Command, Dispute, Outcome, SeatState, Side},
    registry::Did,
};
use tallystick_core::{Ctx, Sat};

use super::{
    Decision,
    ending::{self, positions},
    user::{find, state_of},
};
use crate::{
    Case, Docket, Effect, Event, Job, OnSilence, Phase, Purpose, RefundReason, Rejection, ReleaseReason, Stage, State,
    Task, Tranche, TrancheState, evolve::evolve, plan,
};

/// A whole of thousandths.
const WHOLE: u16 = 1_000;

/// Opens a dispute about what is undecided of a milestone.
pub(super) fn open(task: &Task, milestone: u32, docket: Docket, ctx: &Ctx) -> Result<Decision, Rejection> {
    let (_, part) = find(task, milestone)?;
    let worker = task.phase.job().map(|job| job.worker);
    let by = match ctx.author {
        author if author == task.requester => Side::Payer,
        author if Some(author) == worker => Side::Payee,
        _ => return Err(Rejection::NotParty),
    };
    match part.and_then(|part| part.cases.iter().find(|case| case.dispute.opened_by == by)) {
        Some(case) if !case.dispute.phase.is_final() => return Ok(Decision::AlreadyApplied),
        Some(_) => return Err(Rejection::DisputedBefore),
        None => {}
    }
    if part.is_some_and(|part| part.running().is_some()) {
        return Err(Rejection::Disputed);
    }
    let seats_min = task.terms.panel.ok_or(Rejection::NoPanel)?;
    let Phase::Active { job } = &task.phase else { return Err(not_held(task, milestone)) };
    let decide_by = task.decide_by(job, milestone).ok_or_else(|| not_held(task, milestone))?;
    in_time(task, milestone, by, ctx)?;
    let held: Vec<_> = task.tranches_of(job, milestone).filter(|(_, part)| part.state.is_held()).collect();
    let bonds = job.tranches.iter().zip(0..).filter(|(part, _)| part.purpose != Purpose::Work && part.state.is_held());
    let bonds: Vec<(u32, &Tranche)> = bonds.map(|(part, at)| (at, part)).collect();
    let opening = dispute::Opening {
        id: docket.id,
        payer: task.requester,
        payee: job.worker,
        // Bonds are parts as well: each bit is what goes for the worker's good, so that more of them are worth more to it.
        parts: held.iter().chain(&bonds).map(|(_, part)| part.payout).collect(),
        plan: task.policy.dispute.clone(),
        rule_by: plan::rule_by(decide_by),
        seats_min,
        conflicts: docket.conflicts,
        registry_seq: docket.registry_seq,
    };
    let event = dispute::open(opening, ctx)?;
    let fees = Sat::sum(held.iter().map(|(_, part)| part.fee))?;
    let seats = dispute::evolve(None, &event).map_or(seats_min, |dispute| dispute.panel.seats);
    let tranches = held.iter().chain(&bonds).map(|(tranche, _)| *tranche).collect();
    let reward = task.policy.reward(fees, seats);
    Ok(Decision::event(Event::DisputeOpened { milestone, tranches, reward, event }))
}

/// What time has decided against a side it cannot dispute, even if the node has not got round to it: its silence, or that it
/// handed nothing in.
fn in_time(task: &Task, milestone: u32, by: Side, ctx: &Ctx) -> Result<(), Rejection> {
    let (terms, part) = find(task, milestone)?;
    let deadline = match (part.map(|part| part.stage), by) {
        (Some(Stage::Working), Side::Payee) => task.terms.hand_in_until(terms),
        (Some(Stage::Submitted { review_until }), Side::Payer) if task.terms.on_silence == OnSilence::Release => {
            review_until
        }
        _ => return Ok(()),
    };
    if ctx.now < deadline { Ok(()) } else { Err(Rejection::DeadlinePassed { deadline }) }
}

/// What parties and arbitrators do in a dispute.
pub(super) fn ask(
    task: &Task,
    milestone: u32,
    command: dispute::UserCommand,
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    let case = last(task, milestone)?;
    if command == dispute::UserCommand::Withdraw && !case.dispute.phase.is_final() {
        may_withdraw(task, milestone, ctx)?;
    }
    tell(task, milestone, case, Command::User(command), ctx)
}

/// What the node reports to a dispute.
pub(super) fn report(
    task: &Task,
    milestone: u32,
    command: dispute::NodeCommand,
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    tell(task, milestone, last(task, milestone)?, Command::Node(command), ctx)
}

fn last(task: &Task, milestone: u32) -> Result<&Case, Rejection> {
    let (_, part) = find(task, milestone)?;
    part.and_then(|part| part.cases.last()).ok_or(Rejection::NotDisputed)
}

fn not_held(task: &Task, milestone: u32) -> Rejection {
    Rejection::NotHeld { state: state_of(task, milestone) }
}

/// Who withdraws gives the other side back what it had before: the time to look at the work, or to dispute its being refused.
fn may_withdraw(task: &Task, milestone: u32, ctx: &Ctx) -> Result<(), Rejection> {
    let Phase::Active { job } = &task.phase else { return Ok(()) };
    let handed_in = task.stage(job, milestone).is_some_and(|stage| stage != Stage::Working);
    let last = task.decide_by(job, milestone).map(|by| plan::review_by(&task.terms, &task.policy, by));
    match last.filter(|last| handed_in && ctx.height > *last) {
        Some(last) => Err(Rejection::TooFewBlocks { height: ctx.height, last }),
        None => Ok(()),
    }
}

fn tell(task: &Task, milestone: u32, case: &Case, command: Command, ctx: &Ctx) -> Result<Decision, Rejection> {
    let decided: tallystick_core::Decision<dispute::Event, Infallible> = dispute::decide(&case.dispute, command, ctx)?;
    let tallystick_core::Decision::Accept { events, .. } = decided else { return Ok(Decision::AlreadyApplied) };
    let events: Vec<Event> = events.into_iter().map(|event| Event::Dispute { milestone, event }).collect();
    let after = events.iter().fold(State::Present(Box::new(task.clone())), evolve);
    let State::Present(after) = after else { return Ok(Decision::AlreadyApplied) };
    let follows = match after.phase.job() {
        Some(job) => follows(&after, job, milestone, ctx),
        None => None,
    };
    let (more, effects) = follows.unwrap_or_default();
    let events = events.into_iter().chain(more).collect();
    Ok(Decision::Accept { events, effects })
}

type Follows = (Vec<Event>, Vec<Effect>);

/// What a dispute leads to once it is over.
fn follows(after: &Task, job: &Job, milestone: u32, ctx: &Ctx) -> Option<Follows> {
    let part = usize::try_from(milestone).ok().and_then(|at| job.milestones.get(at))?;
    let case = part.cases.last()?;
    let (events, mut effects) = match case.dispute.outcome() {
        Outcome::Running => return None,
        Outcome::Closed => Follows::default(),
        Outcome::Award(award) => carry_out(after, milestone, (case, award), ctx),
        Outcome::Withdrawn | Outcome::Failed => (resume(after, part.stage, milestone, ctx), Vec::new()),
    };
    effects.extend(services(&case.dispute));
    Some((events, effects))
}

/// What is awarded is paid out, the rest goes back. What is awarded too late for a payout goes back as well: a hold is
/// never lost over it.
fn carry_out(task: &Task, milestone: u32, (case, award): (&Case, Award), ctx: &Ctx) -> Follows {
    let (awarded, others): (Vec<_>, Vec<_>) =
        (0..).zip(case.tranches.iter().copied()).partition(|(part, _)| award.includes(*part));
    let awarded: Vec<u32> = awarded.into_iter().map(|(_, tranche)| tranche).collect();
    let others: Vec<u32> = others.into_iter().map(|(_, tranche)| tranche).collect();
    let in_time = |state| match state {
        TrancheState::Held { claim_deadline } => ctx.height <= plan::decide_by(&task.policy, claim_deadline),
        _ => false,
    };
    let is_work = |part: &Tranche| part.purpose == Purpose::Work;
    let held =
        positions(task).filter(|(tranche, part)| awarded.contains(tranche) && part.state.is_held() && is_work(part));
    let (paid, late): (Vec<_>, Vec<_>) = held.partition(|(_, part)| in_time(part.state));
    let paid: Vec<u32> = paid.into_iter().map(|(tranche, _)| tranche).collect();
    let mut all = taken_bonds(task, &awarded, &others, ctx);
    let mut after = task.clone();
    if !paid.is_empty()
        && let Ok(Decision::Accept { events, effects }) =
            ending::release(task, milestone, &paid, ReleaseReason::Ruled, ctx)
    {
        if let State::Present(next) = events.iter().fold(State::Present(Box::new(after.clone())), evolve) {
            after = *next;
        }
        all.0.extend(events);
        all.1.extend(effects);
    }
    let own = task.terms.tranches_of(milestone);
    if positions(&after).any(|(tranche, part)| own.contains(&tranche) && part.state.is_held()) {
        let reason = if late.is_empty() { RefundReason::Ruled } else { RefundReason::BlocksRanOut };
        if let Decision::Accept { events, effects } = ending::refund(&after, Some(milestone), reason) {
            all.0.extend(events);
            all.1.extend(effects);
        }
    }
    all
}

/// Bonds that a ruling takes: the requester's if it is for the worker's good, the worker's if it is not. The others stay
/// where they are, until the end.
fn taken_bonds(task: &Task, awarded: &[u32], others: &[u32], ctx: &Ctx) -> Follows {
    let mut all = Follows::default();
    for (tranche, part) in positions(task) {
        let is_taken = match part.purpose {
            Purpose::Work => false,
            Purpose::Bond(Side::Payer) => awarded.contains(&tranche),
            Purpose::Bond(Side::Payee) => others.contains(&tranche),
        };
        if is_taken {
            let (events, effects) = ending::take_bond(task, tranche, ReleaseReason::Ruled, ctx);
            all.0.extend(events);
            all.1.extend(effects);
        }
    }
    all
}

/// The milestone goes on where its work stands, with the time anew that the dispute took from somebody who did not open it;
/// when blocks run short, they decide.
fn resume(task: &Task, stage: Stage, milestone: u32, ctx: &Ctx) -> Vec<Event> {
    match stage {
        Stage::Working => Vec::new(),
        Stage::Submitted { .. } => {
            vec![Event::ReviewResumed { milestone, review_until: ctx.now.after(task.terms.review_window) }]
        }
        Stage::Rejected { reason, .. } => {
            vec![Event::RefundPlanned { milestone, reason, until: ctx.now.after(task.policy.dispute_window) }]
        }
    }
}

/// What to tell the registry of those who were asked to sit in a dispute that is over.
pub(super) fn services(dispute: &Dispute) -> Vec<Effect> {
    let parts = &dispute.opening.parts;
    let whole = Sat::sum(parts.iter().copied()).map_or(0, Sat::get);
    let mut told = Vec::new();
    for panel in dispute.panels() {
        let ruling = dispute::median(&panel.votes(), parts).filter(|_| panel.votes().len() >= panel.seats.majority());
        for seat in &panel.bench {
            let did = match seat.state {
                SeatState::Revealed { award, .. } => {
                    let off = ruling.map(|ruling| award.value(parts).get().abs_diff(ruling.value(parts).get()));
                    let off_permille = off.map_or(WHOLE, |off| permille(off, whole));
                    Did::Voted { off_permille }
                }
                SeatState::Missed(duty) => Did::Missed(duty),
                SeatState::Asked | SeatState::Refused | SeatState::Accepted | SeatState::Committed { .. } => continue,
            };
            told.push(Effect::NoteService { dispute: dispute.opening.id, arbitrator: seat.arbitrator, did });
        }
    }
    told
}

fn permille(part: u64, whole: u64) -> u16 {
    let share = u128::from(part) * u128::from(WHOLE) / u128::from(whole.max(1));
    u16::try_from(share).unwrap_or(WHOLE).min(WHOLE)
}

/// Adds that disputes are closed that have nothing left to decide on after these events.
pub(super) fn close_empty(task: &Task, events: &mut Vec<Event>, effects: &mut Vec<Effect>) {
    let after = events.iter().fold(State::Present(Box::new(task.clone())), evolve);
    let State::Present(after) = after else { return };
    let Some(job) = after.phase.job() else { return };
    for (milestone, part) in (0..).zip(&job.milestones) {
        let Some(case) = part.running() else { continue };
        if !after.tranches_of(job, milestone).any(|(_, part)| part.state.is_held()) {
            let event = dispute::Event::DisputeClosed;
            effects.extend(dispute::evolve(Some(case.dispute.clone()), &event).iter().flat_map(services));
            events.push(Event::Dispute { milestone, event });
        }
    }
}

/// Refuses what only the parties may do while they still may end a dispute.
pub(super) fn not_disputed(task: &Task, milestone: u32) -> Result<(), Rejection> {
    let running = task.phase.job().and_then(|job| task.running(job, milestone));
    if running.is_some() { Err(Rejection::Disputed) } else { Ok(()) }
}

/// Whether the parties can end the milestone's dispute, if one runs.
pub(super) fn may_agree(task: &Task, milestone: u32) -> Result<(), Rejection> {
    match task.phase.job().and_then(|job| task.running(job, milestone)) {
        Some(case) if !case.dispute.may_be_given_up() => Err(Rejection::Disputed),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_thousandths_and_nothing_is_shared_of_nothing() {
        assert_eq!([permille(0, 0), permille(1, 3), permille(3, 3), permille(u64::MAX, 1)], [0, 333, 1_000, 1_000]);
    }
}
