//! Laws about decisions: whoever decided had the right to, and the time had come.

use tallystick_core::BlockHeight;
use tallystick_escrow::{Event, OnSilence, RefundReason, ReleaseReason, State, Task, TrancheState, plan};

use super::Evidence;
use crate::books::{SILENCE_LEAD, Told, is_submitted, last_height, tranches};

pub(super) fn reasons(seen: &Evidence<'_>) -> Result<(), String> {
    for told in seen.told {
        let State::Present(task) = &told.before else { continue };
        let has_reason = match &told.event {
            Event::PayoutBegun { tranche, .. } => in_time(task, told, *tranche),
            Event::ReleaseBegun { milestone, reason, .. } => may_release(seen, task, told, *milestone, *reason),
            Event::RefundBegun { milestone, reason } => may_refund(seen, task, told, *milestone, *reason),
            Event::WorkSubmitted { .. } | Event::TaskAccepted { .. } | Event::RenewalOffered { .. } => {
                told.by.is_some() && told.by != Some(task.requester)
            }
            Event::FundingRequested { .. } | Event::WorkRejected { .. } => told.by == Some(task.requester),
            Event::HoldRenewed { tranche, .. } => {
                part_state(told, *tranche).is_some_and(|state| matches!(state, TrancheState::Held { .. }))
            }
            Event::TaskExpired => told.at >= task.terms.first_deadline() || matches!(task.phase.name(), "funding"),
            _ => true,
        };
        if !has_reason {
            let (seq, task) = (told.seq, told.task);
            return Err(format!("fact {seq} of task {task}: no reason for {:?}", told.event));
        }
    }
    Ok(())
}

fn part_state(told: &Told, tranche: u32) -> Option<TrancheState> {
    usize::try_from(tranche).ok().and_then(|at| tranches(&told.before).get(at)).map(|part| part.state)
}

/// A payout begins only while the slowest one would end before the deadline of its hold.
fn in_time(task: &Task, told: &Told, tranche: u32) -> bool {
    let reserve = task.policy.payout_cltv_max.plus(task.policy.payout_margin);
    match part_state(told, tranche) {
        Some(TrancheState::Held { claim_deadline } | TrancheState::Paying { claim_deadline, covered: true, .. }) => {
            told.height.after(reserve) <= claim_deadline
        }
        _ => false,
    }
}

fn may_release(seen: &Evidence<'_>, task: &Task, told: &Told, milestone: u32, reason: ReleaseReason) -> bool {
    let last = last_height(task, milestone);
    match reason {
        ReleaseReason::Approved => told.by == Some(task.requester) && is_submitted(task, milestone),
        ReleaseReason::Silence => {
            let Some((at, height)) = seen.books.submitted.get(&(told.task, milestone)) else { return false };
            let by_time = told.at >= at.after(task.terms.review_window);
            let review = plan::review_blocks(task.terms.review_window);
            let by_blocks = last.is_some_and(|last| told.height.0 + SILENCE_LEAD >= last.0)
                && told.height >= height.after(review);
            task.terms.on_silence == OnSilence::Release && is_submitted(task, milestone) && (by_time || by_blocks)
        }
        ReleaseReason::RenewalMissed => {
            let offered = task.phase.job().into_iter().flat_map(|job| task.tranches_of(job, milestone));
            let mut held = offered.filter(|(_, part)| part.state.is_held());
            task.terms.renewal == Some(OnSilence::Release)
                && !is_submitted(task, milestone)
                && held.all(|(_, part)| part.renewal.as_ref().is_some_and(|next| next.in_time))
                && reached(last, told)
        }
        ReleaseReason::HoldSpent => false,
    }
}

fn reached(last: Option<BlockHeight>, told: &Told) -> bool {
    last.is_some_and(|last| told.height >= last)
}

fn may_refund(
    seen: &Evidence<'_>,
    task: &Task,
    told: &Told,
    milestone: Option<u32>,
    reason: RefundReason,
) -> bool {
    let all = 0..u32::try_from(task.terms.milestones.len()).unwrap_or_default();
    let own: Vec<u32> = milestone.map_or_else(|| all.collect(), |milestone| vec![milestone]);
    let lasts = || own.iter().filter_map(|milestone| last_height(task, *milestone));
    let worker = task.phase.job().map(|job| job.worker);
    let first = own.first().copied().unwrap_or_default();
    match reason {
        RefundReason::Rejected => told.by == Some(task.requester) && own.iter().all(|at| is_submitted(task, *at)),
        RefundReason::CancelledByRequester => {
            let open = |at: &u32| !is_submitted(task, *at) || last_height(task, *at).is_none();
            told.by == Some(task.requester) && own.iter().all(open)
        }
        RefundReason::CancelledByWorker => told.by.is_some() && told.by == worker,
        RefundReason::WorkDeadline => {
            let due = usize::try_from(first).ok().and_then(|at| task.terms.milestones.get(at));
            !is_submitted(task, first) && due.is_some_and(|part| told.at >= part.work_deadline)
        }
        RefundReason::Silence => {
            let submitted = seen.books.submitted.get(&(told.task, first));
            task.terms.on_silence == OnSilence::Refund
                && submitted.is_some_and(|(at, _)| told.at >= at.after(task.terms.review_window))
        }
        RefundReason::BlocksRanOut => lasts().any(|last| told.height >= last),
        RefundReason::RenewalMissed => {
            task.terms.renewal == Some(OnSilence::Refund) && lasts().any(|last| told.height >= last)
        }
        RefundReason::FundingLapsed => task.phase.name() == "funding",
        RefundReason::HoldLost => own.iter().all(|at| !is_submitted(task, *at)),
        RefundReason::PayoutFailed | RefundReason::HoldSpent => false,
    }
}
