//! When the rules want to be asked again.

use tallystick_civics::dispute::Side;
use tallystick_core::{BlockHeight, Blocks, Timestamp};

use crate::{Job, Phase, Stage, State, Task, plan};

/// The next time and height at which [`crate::NodeCommand::Wake`] changes something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// The time.
    pub at: Option<Timestamp>,
    /// The height.
    pub height: Option<BlockHeight>,
}

impl Wake {
    /// Whichever of the two comes first.
    fn earlier(self, other: Self) -> Self {
        Self { at: earliest(self.at, other.at), height: earliest(self.height, other.height) }
    }

    /// Whether it is time.
    pub(crate) fn is_due(self, now: Timestamp, height: BlockHeight) -> bool {
        self.at.is_some_and(|at| now >= at) || self.height.is_some_and(|at| height >= at)
    }
}

fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl State {
    /// When to wake this task. Once a wake-up is due, giving it always changes the task, so none is due for ever.
    pub fn wake(&self) -> Wake {
        let Self::Present(task) = self else { return Wake::default() };
        match &task.phase {
            Phase::Open | Phase::Assigned { .. } => Wake { at: Some(task.terms.first_deadline()), height: None },
            Phase::Funding { job, until } => {
                Wake { at: Some(*until), height: plan::earliest_decide_by(&task.policy, &job.tranches) }
            }
            Phase::Active { job } => {
                let milestones = (0..).zip(&job.milestones);
                let wake = milestones
                    .fold(Wake::default(), |wake, (milestone, _)| wake.earlier(task.milestone_wake(job, milestone)));
                // What is put up goes back while that is sure.
                let bonds = [Side::Payer, Side::Payee].into_iter().filter_map(|side| task.bond(job, side));
                bonds.fold(wake, |wake, (_, height)| wake.earlier(Wake { at: None, height: Some(height) }))
            }
            Phase::Settled { .. } | Phase::Refunded { .. } | Phase::Cancelled { .. } | Phase::Expired { .. } => {
                Wake::default()
            }
        }
    }
}

impl Task {
    /// When a milestone wants to be asked again: never, once nothing of it is undecided.
    pub(crate) fn milestone_wake(&self, job: &Job, milestone: u32) -> Wake {
        let position = usize::try_from(milestone).unwrap_or(usize::MAX);
        let (Some(part), Some(terms)) = (job.milestones.get(position), self.terms.milestones.get(position)) else {
            return Wake::default();
        };
        let Some(decide_by) = self.decide_by(job, milestone) else { return Wake::default() };
        if let Some(case) = part.running() {
            return Wake { at: None, height: case.dispute.wake() };
        }
        match part.stage {
            Stage::Working => Wake { at: Some(self.terms.hand_in_until(terms)), height: Some(decide_by) },
            Stage::Submitted { review_until } => {
                Wake { at: Some(review_until), height: Some(plan::silence_at(self.terms.on_silence, decide_by)) }
            }
            // Once no dispute fits any more, there is nothing to wait for.
            Stage::Rejected { until, .. } => {
                Wake { at: Some(until), height: Some(plan::open_by(&self.policy, decide_by).after(Blocks(1))) }
            }
        }
    }
}
