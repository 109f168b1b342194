//! Laws about decisions: whoever decided had the right to, and the time had come.

use tallystick_civics::dispute::{Award, Dispute, Outcome, SeatState, Side};
use tallystick_core::BlockHeight;
use tallystick_escrow::{
    Case, Event, OnSilence, RefundReason, ReleaseReason, Stage, State, Task, Tranche, TrancheState, plan,
};

use super::{Evidence, bond::is_late};
use crate::books::{SILENCE_LEAD, Told, is_handed_in, last_height, tranches};

pub(super) fn reasons(seen: &Evidence<'_>) -> Result<(), String> {
    for told in seen.told {
        let State::Present(task) = &told.before else { continue };
        let has_reason = match &told.event {
            Event::PayoutBegun { tranche, .. } => in_time(task, told, *tranche),
            Event::ReleaseBegun { milestone, tranches, reason } => {
                may_release(seen, (task, told), *milestone, (tranches, *reason))
            }
            Event::RefundBegun { milestone, reason } => may_refund(seen, (task, told), *milestone, *reason),
            Event::WorkSubmitted { milestone, .. } => {
                let part = usize::try_from(*milestone).ok().and_then(|at| task.terms.milestones.get(at));
                told.by.is_some()
                    && told.by != Some(task.requester)
                    && part.is_some_and(|part| !is_late(task, part, told))
            }
            Event::TaskAccepted { .. } | Event::RenewalOffered { .. } => {
                told.by.is_some() && told.by != Some(task.requester)
            }
            Event::FundingRequested { .. } | Event::WorkRejected { .. } => told.by == Some(task.requester),
            Event::HoldRenewed { tranche, .. } => {
                part_state(told, *tranche).is_some_and(|state| matches!(state, TrancheState::Held { .. }))
            }
            Event::RefundPlanned { until, .. } => *until >= told.at.after(task.policy.dispute_window),
            Event::ReviewResumed { review_until, .. } => *review_until >= told.at.after(task.terms.review_window),
            Event::DisputeOpened { .. } => {
                let worker = task.phase.job().map(|job| job.worker);
                told.by.is_some() && (told.by == Some(task.requester) || told.by == worker)
            }
            Event::TaskExpired => told.at >= task.terms.first_deadline() || task.phase.name() == "funding",
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

/// A milestone's last dispute.
fn case(task: &Task, milestone: u32) -> Option<&Case> {
    task.phase.job()?.milestones.get(usize::try_from(milestone).ok()?)?.cases.last()
}

/// Whether a dispute, running or over, kept the worker of a milestone from its deadline: any but one that it withdrew itself.
pub(super) fn is_excused(task: &Task, milestone: u32) -> bool {
    let part = task.phase.job().and_then(|job| job.milestones.get(usize::try_from(milestone).ok()?));
    let excuses = |case: &Case| case.dispute.outcome() != Outcome::Withdrawn || case.dispute.opened_by == Side::Payer;
    part.is_some_and(|part| part.cases.iter().any(excuses))
}

/// While a dispute runs, only its panel decides, or both sides do.
pub(super) fn is_disputed(task: &Task, milestone: u32) -> bool {
    case(task, milestone).is_some_and(|case| case.dispute.outcome() == Outcome::Running)
}

fn may_release(
    seen: &Evidence<'_>,
    (task, told): (&Task, &Told),
    milestone: u32,
    (released, reason): (&[u32], ReleaseReason),
) -> bool {
    let last = last_height(task, milestone);
    match reason {
        ReleaseReason::Approved => {
            let has_something = is_handed_in(task, milestone) || case(task, milestone).is_some();
            told.by == Some(task.requester) && has_something
        }
        ReleaseReason::Silence => {
            let Some((at, height)) = seen.books.submitted.get(&(told.task, milestone)) else { return false };
            let by_time = told.at >= at.after(task.terms.review_window);
            let review = plan::review_blocks(task.terms.review_window);
            let by_blocks =
                last.is_some_and(|last| told.height.0 + SILENCE_LEAD >= last.0) && told.height >= height.after(review);
            let is_undisputed = is_handed_in(task, milestone) && !is_disputed(task, milestone);
            task.terms.on_silence == OnSilence::Release && is_undisputed && (by_time || by_blocks)
        }
        ReleaseReason::RenewalMissed => {
            let offered = task.phase.job().into_iter().flat_map(|job| task.tranches_of(job, milestone));
            let mut held = offered.filter(|(_, part)| part.state.is_held());
            task.terms.renewal == Some(OnSilence::Release)
                && !is_handed_in(task, milestone)
                && !is_disputed(task, milestone)
                && held.all(|(_, part)| part.renewal.as_ref().is_some_and(|next| next.in_time))
                && reached(last, told)
        }
        ReleaseReason::Ruled => {
            let first = task.terms.tranches_of(milestone).start;
            let Some((case, award)) = ruling(task, milestone) else { return false };
            released.iter().all(|tranche| is_awarded(case, award, first + tranche))
        }
        // A bond is no release of work: `bond` looks at it.
        ReleaseReason::HoldSpent | ReleaseReason::BrokenPromise => false,
    }
}

/// The ruling on a milestone, if it is what its panel's votes make, counted again.
pub(super) fn ruling(task: &Task, milestone: u32) -> Option<(&Case, Award)> {
    let case = case(task, milestone)?;
    let Outcome::Award(award) = case.dispute.outcome() else { return None };
    rulings(&case.dispute).contains(&award).then_some((case, award))
}

/// The median of each panel's votes, by what they are worth: of two in the middle the lower one.
fn rulings(dispute: &Dispute) -> Vec<Award> {
    let parts = &dispute.opening.parts;
    let worth = |award: Award| -> u64 {
        parts.iter().enumerate().filter(|(part, _)| award.mask() >> part & 1 == 1).map(|(_, part)| part.get()).sum()
    };
    let median = |panel: &tallystick_civics::dispute::Panel| {
        let mut votes: Vec<(u64, u64)> = Vec::new();
        for seat in &panel.bench {
            if let SeatState::Revealed { award, .. } = seat.state {
                votes.push((worth(award), award.mask()));
            }
        }
        votes.sort_unstable();
        let is_enough = votes.len() > panel.seats.count() / 2;
        votes.get(votes.len().saturating_sub(1) / 2).filter(|_| is_enough).map(|(_, mask)| Award::new(*mask))
    };
    dispute.panels().filter_map(median).collect()
}

pub(super) fn is_awarded(case: &Case, award: Award, tranche: u32) -> bool {
    let part = case.tranches.iter().position(|disputed| *disputed == tranche);
    part.is_some_and(|part| award.mask() >> part & 1 == 1)
}

fn reached(last: Option<BlockHeight>, told: &Told) -> bool {
    last.is_some_and(|last| told.height >= last)
}

fn may_refund(seen: &Evidence<'_>, (task, told): (&Task, &Told), milestone: Option<u32>, reason: RefundReason) -> bool {
    let all = 0..u32::try_from(task.terms.milestones.len()).unwrap_or_default();
    let own: Vec<u32> = milestone.map_or_else(|| all.collect(), |milestone| vec![milestone]);
    let lasts = || own.iter().filter_map(|milestone| last_height(task, *milestone));
    let worker = task.phase.job().map(|job| job.worker);
    let first = own.first().copied().unwrap_or_default();
    let is_disputed = own.iter().any(|at| last_height(task, *at).is_some() && is_disputed(task, *at));
    let may = match reason {
        RefundReason::Rejected => {
            let said = told.by == Some(task.requester) && task.terms.panel.is_none();
            own.iter().all(|at| is_handed_in(task, *at)) && (said || is_over(task, told, first))
        }
        RefundReason::CancelledByRequester => {
            let open = |at: &u32| !is_handed_in(task, *at) || last_height(task, *at).is_none();
            told.by == Some(task.requester) && own.iter().all(open)
        }
        RefundReason::CancelledByWorker | RefundReason::Conceded => told.by.is_some() && told.by == worker,
        RefundReason::WorkDeadline => {
            let due = usize::try_from(first).ok().and_then(|at| task.terms.milestones.get(at));
            !is_handed_in(task, first) && due.is_some_and(|part| is_late(task, part, told))
        }
        RefundReason::Silence => {
            let submitted = seen.books.submitted.get(&(told.task, first));
            let is_reviewed = submitted.is_some_and(|(at, _)| told.at >= at.after(task.terms.review_window));
            task.terms.on_silence == OnSilence::Refund && (is_reviewed || is_over(task, told, first))
        }
        RefundReason::BlocksRanOut => lasts().any(|last| told.height >= last) || is_funding_spent(task, told),
        RefundReason::RenewalMissed => {
            task.terms.renewal == Some(OnSilence::Refund) && lasts().any(|last| told.height >= last)
        }
        RefundReason::FundingLapsed => task.phase.name() == "funding",
        RefundReason::HoldLost => own.iter().all(|at| !is_handed_in(task, *at)),
        RefundReason::Ruled => {
            let held = (0..).zip(tranches(&told.before)).filter(|(_, part)| part.state.is_held());
            let mut held = held.map(|(at, _)| at).filter(|at| task.terms.tranches_of(first).contains(at));
            ruling(task, first).is_some_and(|(case, award)| held.all(|at| !is_awarded(case, award, at)))
        }
        RefundReason::PayoutFailed | RefundReason::HoldSpent | RefundReason::BondKept => false,
    };
    may && (!is_disputed || reason == RefundReason::Conceded)
}

/// Whether a hold that waits for the others, a bond's perhaps, has so few blocks left that no payout of it would be sure any more.
fn is_funding_spent(task: &Task, told: &Told) -> bool {
    let reserve = task.policy.payout_cltv_max.plus(task.policy.payout_margin);
    let is_spent = |part: &Tranche| matches!(part.state, TrancheState::Held { claim_deadline } if told.height.after(reserve) >= claim_deadline);
    task.phase.name() == "funding" && tranches(&told.before).iter().any(is_spent)
}

/// Whether the worker had the time to dispute a refusal, or no dispute would fit any more.
fn is_over(task: &Task, told: &Told, milestone: u32) -> bool {
    let stage = task.phase.job().and_then(|job| task.stage(job, milestone));
    let Some(Stage::Rejected { until, .. }) = stage else { return false };
    let needs = task.policy.dispute.round_blocks().plus(plan::RULING_LEAD);
    told.at >= until || last_height(task, milestone).is_some_and(|last| told.height.after(needs) > last)
}
