//! Laws about bonds: why one is taken, why one goes back, and that nobody pays for our absence. That a bond is paid once or
//! given back, before its hold ends, and to the msat, the laws about money look at: a bond is a tranche.

use tallystick_civics::dispute::Side;
use tallystick_core::{Duration, Timestamp};
use tallystick_escrow::{Event, Purpose, RefundReason, ReleaseReason, Task, Tranche, TrancheState};

use super::{
    Evidence,
    decision::{is_awarded, is_excused, ruling},
};
use crate::books::{Told, is_handed_in, last_height, tranches};

/// Absences up to this are no outage.
const AWAY_MIN: Duration = Duration::from_secs(120);

pub(super) fn reasons(seen: &Evidence<'_>) -> Result<(), String> {
    for (told, task) in seen.told.iter().filter_map(|told| Some((told, told.task_before()?))) {
        let has_reason = match &told.event {
            Event::BondTaken { tranche, reason: ReleaseReason::BrokenPromise } => {
                is_put_up(told, *tranche, Side::Payee) && told.by.is_none() && broken_at(task, told).is_some()
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

/// When the node was away, the simulator knows by itself: the journal may have missed it.
pub(super) fn away(seen: &Evidence<'_>) -> Result<(), String> {
    for (told, task) in seen.told.iter().filter_map(|told| Some((told, told.task_before()?))) {
        let Event::BondTaken { reason: ReleaseReason::BrokenPromise, .. } = told.event else { continue };
        let Some(deadline) = broken_at(task, told) else { continue };
        let mut outages = seen.outages.iter().filter(|(from, until)| from.until(*until) > AWAY_MIN);
        if let Some((from, until)) =
            outages.find(|(from, until)| *from <= deadline && task.created_at <= *until && *until <= told.at)
        {
            let (seq, task) = (told.seq, told.task);
            return Err(format!(
                "fact {seq} of task {task} takes a bond, and the node was away from {from} to {until}"
            ));
        }
    }
    Ok(())
}

/// The first deadline that passed with nothing handed in, no dispute that excuses it, and its money locked.
fn broken_at(task: &Task, told: &Told) -> Option<Timestamp> {
    let missed = (0..).zip(&task.terms.milestones).filter(|(milestone, part)| {
        let is_locked = last_height(task, *milestone).is_some_and(|last| told.height < last);
        let is_idle = !is_handed_in(task, *milestone) && !is_excused(task, *milestone);
        is_locked && is_idle && told.at >= part.work_deadline
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

/// Whether no payout of a bond would be sure any more.
fn is_spent(task: &Task, told: &Told, tranche: u32) -> bool {
    let reserve = task.policy.payout_cltv_max.plus(task.policy.payout_margin);
    let state = part(told, tranche).map(|part| part.state);
    matches!(state, Some(TrancheState::Held { claim_deadline }) if told.height.after(reserve) >= claim_deadline)
}
