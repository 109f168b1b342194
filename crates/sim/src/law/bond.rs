//! Laws about bonds: why one is taken, why one goes back, that one is taken which is owed, and that nobody pays for our absence.
//! That a bond is paid once or given back, before its hold ends, and to the msat, the laws about money look at: a bond is a
//! tranche.

use tallystick_civics::dispute::Side;
use tallystick_core::{Decider, Duration, Timestamp};
use tallystick_escrow::{
    Escrow, Event, MilestoneTerms, Purpose, RefundReason, ReleaseReason, State, Task, Tranche, TrancheState,
};

use super::{
    Evidence,
    decision::{is_awarded, is_excused, ruling},
};
use crate::books::{Told, is_handed_in, last_to_hand_in, tranches};

/// Absences up to this, alone or one soon after the other, are no outage.
const AWAY_MIN: Duration = Duration::from_secs(120);
/// How long after a deadline something can still be handed in by a worker with a bond.
const LATE_MAX: Duration = Duration::from_secs(180);
/// For how long the node must have been there meanwhile.
const THERE_MIN: Duration = Duration::from_secs(20);
/// How soon that is.
const SOON: Duration = Duration::from_secs(3_600);
/// Absences up to this of a node that lives are none.
const STEADY_MAX: Duration = Duration::from_secs(40);

pub(super) fn reasons(seen: &Evidence<'_>) -> Result<(), String> {
    for (told, task) in seen.told.iter().filter_map(|told| Some((told, told.task_before()?))) {
        let has_reason = match &told.event {
            Event::BondTaken { tranche, reason: ReleaseReason::BrokenPromise } => {
                let broken_at = broken_at(task, told).filter(|_| is_put_up(told, *tranche, Side::Payee));
                told.by.is_none() && broken_at.is_some_and(|deadline| had_time(seen, told.task, deadline))
            }
            Event::BondTaken { tranche, reason: ReleaseReason::Ruled } => is_ruled(task, told, *tranche),
            Event::BondReturnBegun { reason: RefundReason::BondKept, .. } => {
                let mut work = tranches(&told.before).iter().filter(|part| part.purpose == Purpose::Work);
                work.all(|part| part.state.is_final() && part.replaced.is_empty())
            }
            Event::BondReturnBegun { tranche, reason: RefundReason::BlocksRanOut } => is_spent(task, told, *tranche),
            Event::BondTaken { .. } | Event::BondReturnBegun { .. } => false,
            _ => true,
        };
        if !has_reason {
            return Err(format!("fact {} of task {}: no reason for {:?}", told.seq, told.task, told.event));
        }
    }
    Ok(())
}

/// The reasons the other way round. They are looked at when a ruling comes, and when time decides that nothing was handed in, not
/// when a bond goes back: a milestone that is over tells no more whether blocks let its worker hand something in.
pub(super) fn owed(seen: &Evidence<'_>) -> Result<(), String> {
    for (told, task) in seen.told.iter().filter_map(|told| Some((told, told.task_before()?))) {
        let owed = match &told.event {
            Event::Dispute { milestone, .. } => ruled_away(task, told, *milestone),
            Event::RefundBegun { reason: RefundReason::WorkDeadline, .. } => forfeited(seen, task, told),
            _ => Vec::new(),
        };
        if let Some(tranche) = owed.into_iter().find(|tranche| !is_taken(seen, told.task, *tranche)) {
            let (seq, task) = (told.seq, told.task);
            return Err(format!("fact {seq} of task {task}: the bond in tranche {tranche} is owed, and is not taken"));
        }
    }
    Ok(())
}

/// When the node was away, the simulator knows by itself: the journal may have missed it.
pub(super) fn away(seen: &Evidence<'_>) -> Result<(), String> {
    for (told, task) in seen.told.iter().filter_map(|told| Some((told, told.task_before()?))) {
        let Event::BondTaken { reason: ReleaseReason::BrokenPromise, .. } = told.event else { continue };
        let Some(deadline) = broken_at(task, told) else { continue };
        let mut outages = seen.outages.iter().filter(|(from, until)| from.until(*until) > AWAY_MIN);
        if let Some((from, until)) = outages
            .find(|(from, until)| *from <= deadline.after(LATE_MAX) && task.created_at <= *until && *until <= told.at)
        {
            let (seq, task) = (told.seq, told.task);
            return Err(format!(
                "fact {seq} of task {task} takes a bond, and the node was away from {from} to {until}"
            ));
        }
        let there = LATE_MAX.as_millis().saturating_sub(away_while_late(seen, deadline));
        if there < THERE_MIN.as_millis() {
            return Err(format!("fact {} takes a bond, and late work could be handed in for {there} ms", told.seq));
        }
        if let Some(secs) = away_in_parts(seen, task, deadline) {
            return Err(format!("fact {} takes a bond, and the node was away for {secs} s, in parts", told.seq));
        }
    }
    Ok(())
}

/// For how many milliseconds the node was away while late work would have been taken.
fn away_while_late(seen: &Evidence<'_>, deadline: Timestamp) -> u64 {
    let since = seen.outages.get(seen.clock_set_after..).unwrap_or_default();
    let within = since.iter().map(|(from, until)| (*from).max(deadline).until((*until).min(deadline.after(LATE_MAX))));
    within.map(Duration::as_millis).sum()
}

/// How long the node was away before late work was over, since the task was created, in parts that follow each other soon: nothing if that
/// is no outage.
fn away_in_parts(seen: &Evidence<'_>, task: &Task, deadline: Timestamp) -> Option<u64> {
    let since = seen.outages.get(seen.clock_set_after..).unwrap_or_default();
    let (mut last, mut millis) = (None, 0);
    for (from, until) in since.iter().filter(|(from, _)| task.created_at <= *from && *from <= deadline.after(LATE_MAX))
    {
        if from.until(*until) > STEADY_MAX {
            let is_soon = last.is_none_or(|last: Timestamp| last.until(*from) <= SOON);
            millis = if is_soon { millis } else { 0 } + from.until(*until).as_millis();
            last = Some(*until);
        }
        if millis > AWAY_MIN.as_millis() {
            return Some(millis / 1_000);
        }
    }
    None
}

/// Whether everything was locked while half of the time was still left that was left when it was asked for: whoever put up a bond
/// then had as much for the work.
fn had_time(seen: &Evidence<'_>, task: usize, deadline: Timestamp) -> bool {
    let (asked_at, held_at) = (seen.books.asked_at.get(&task), seen.books.held_at.get(&task));
    asked_at.zip(held_at).is_some_and(|(asked_at, held_at)| {
        held_at.until(deadline).as_millis() * 2 >= asked_at.until(deadline).as_millis()
    })
}

/// Whether nothing can be handed in any more, for reasons of time.
pub(super) fn is_late(task: &Task, part: &MilestoneTerms, told: &Told) -> bool {
    let more = task.terms.bonds.worker.map_or(Duration::default(), |_| LATE_MAX);
    told.at >= part.work_deadline.after(more)
}

/// The first deadline that passed with nothing handed in though it could be, no dispute that excuses it, and its money locked.
fn broken_at(task: &Task, told: &Told) -> Option<Timestamp> {
    let missed = (0..).zip(&task.terms.milestones).filter(|(milestone, part)| {
        let is_locked = last_to_hand_in(task, *milestone).is_some_and(|last| told.height <= last);
        let is_idle = !is_handed_in(task, *milestone) && !is_excused(task, *milestone);
        is_locked && is_idle && is_late(task, part, told)
    });
    missed.map(|(_, part)| part.work_deadline).min()
}

fn part(told: &Told, tranche: u32) -> Option<&Tranche> {
    tranches(&told.before).get(usize::try_from(tranche).ok()?)
}

fn is_put_up(told: &Told, tranche: u32, side: Side) -> bool {
    part(told, tranche).is_some_and(|part| part.purpose == Purpose::Bond(side) && part.state.is_held())
}

/// Each bit of a ruling is what goes for the worker's good: the requester's bond taken, or its own kept.
fn is_ruled(task: &Task, told: &Told, tranche: u32) -> bool {
    let milestones = (0..).zip(&task.terms.milestones).map(|(milestone, _)| milestone);
    let mut rulings = milestones.filter_map(|milestone| ruling(task, milestone));
    rulings.any(|(case, award)| {
        let is_good = is_awarded(case, award, tranche);
        let is_disputed = case.tranches.contains(&tranche);
        let side = if is_good { Side::Payer } else { Side::Payee };
        is_disputed && is_put_up(told, tranche, side)
    })
}

/// The bonds that go to the other side by this fact, if it makes a ruling of what is disputed of a milestone.
fn ruled_away(task: &Task, told: &Told, milestone: u32) -> Vec<u32> {
    let State::Present(after) = Escrow::evolve(told.before.clone(), &told.event) else { return Vec::new() };
    let fresh = ruling(&after, milestone).filter(|_| ruling(task, milestone).is_none());
    let Some((case, award)) = fresh else { return Vec::new() };
    let goes = |tranche: &u32| {
        let side = if is_awarded(case, award, *tranche) { Side::Payer } else { Side::Payee };
        is_put_up(told, *tranche, side) && is_payable(task, told, *tranche)
    };
    case.tranches.iter().copied().filter(goes).collect()
}

/// The worker's bond, if its promise is broken as time decides, and nothing excuses it.
fn forfeited(seen: &Evidence<'_>, task: &Task, told: &Told) -> Vec<u32> {
    let is_sure = broken_at(task, told).is_some_and(|deadline| had_time(seen, told.task, deadline));
    if !is_sure || !was_there(seen, task, told) {
        return Vec::new();
    }
    let all = (0..).zip(tranches(&told.before)).map(|(tranche, _)| tranche);
    all.filter(|tranche| is_put_up(told, *tranche, Side::Payee) && is_payable(task, told, *tranche)).collect()
}

/// Whether the node was there all the time from the task's beginning to this fact. It must not have been away for a moment as the
/// simulator counts, since a node that is cut off may decide without knowing when it was there; nor as the journal tells, which
/// may count too much: a clock that is set forward, or everything since the newest fact.
fn was_there(seen: &Evidence<'_>, task: &Task, told: &Told) -> bool {
    let as_told = seen.books.away.iter().map(|outage| (outage.from, outage.until));
    let mut absences = seen.outages.iter().copied().chain(as_told);
    !absences.any(|(from, until)| from <= told.at && task.created_at <= until)
}

/// Whether a bond is taken in this step: facts that are decided together are told together.
fn is_taken(seen: &Evidence<'_>, task: usize, tranche: u32) -> bool {
    let mut own = seen.told.iter().filter(|told| told.task == task);
    own.any(|told| matches!(told.event, Event::BondTaken { tranche: taken, .. } if taken == tranche))
}

/// Whether a payout of a bond that begins now would end before the deadline of its hold.
fn is_payable(task: &Task, told: &Told, tranche: u32) -> bool {
    let reserve = task.policy.payout_cltv_max.plus(task.policy.payout_margin);
    let state = part(told, tranche).map(|part| part.state);
    matches!(state, Some(TrancheState::Held { claim_deadline }) if told.height.after(reserve) <= claim_deadline)
}

/// Whether no payout of a bond would be sure any more.
fn is_spent(task: &Task, told: &Told, tranche: u32) -> bool {
    let reserve = task.policy.payout_cltv_max.plus(task.policy.payout_margin);
    let state = part(told, tranche).map(|part| part.state);
    matches!(state, Some(TrancheState::Held { claim_deadline }) if told.height.after(reserve) >= claim_deadline)
}
