//! When the rules want to be asked again.

use tallystick_core::{BlockHeight, Timestamp};

use crate::{Phase, State, plan};

/// The next time and height at which [`crate::NodeCommand::Wake`] changes something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// The time.
    pub at: Option<Timestamp>,
    /// The height.
    pub height: Option<BlockHeight>,
}

impl State {
    /// When to wake this task. Once a wake-up is due, giving it always changes the task, so none is due for ever.
    pub fn wake(&self) -> Wake {
        let Self::Present(task) = self else { return Wake::default() };
        match &task.phase {
            Phase::Open | Phase::Assigned { .. } => Wake { at: Some(task.terms.work_deadline), height: None },
            Phase::Funding { job, until } => {
                Wake { at: Some(*until), height: plan::earliest_decide_by(&task.policy, job) }
            }
            Phase::Held { decide_by, .. } => Wake { at: Some(task.terms.work_deadline), height: Some(*decide_by) },
            Phase::Submitted { decide_by, review_until, .. } => {
                Wake { at: Some(*review_until), height: Some(plan::silence_at(task.terms.on_silence, *decide_by)) }
            }
            Phase::Releasing { .. }
            | Phase::Refunding { .. }
            | Phase::Settled { .. }
            | Phase::Refunded { .. }
            | Phase::Cancelled { .. }
            | Phase::Expired { .. } => Wake::default(),
        }
    }
}
