//! A task's facts as a deal.

use tallystick_civics::reputation::{Deal, End, Role};
use tallystick_core::{Decider, Fact, Msat, NostrKey, Sat, Timestamp};
use tallystick_escrow::{Escrow, Event, Job, Phase, RefundReason, State, Task, Tranche, TrancheState, Verdict};

use crate::{change::event_of, error::AppError};

/// A task on its way to its end, as its facts make it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Going {
    state: State,
    held_at: Option<Timestamp>,
    submitted_at: Option<Timestamp>,
}

impl Going {
    /// Takes the task's next fact.
    ///
    /// # Errors
    /// [`AppError::Erased`] if its body was; [`AppError::Store`] if it is none of ours.
    pub fn take(&mut self, fact: &Fact) -> Result<(), AppError> {
        let event = event_of(fact)?;
        match &event {
            Event::TaskHeld => self.held_at = Some(fact.recorded_at),
            Event::WorkSubmitted { .. } => self.submitted_at = Some(fact.recorded_at),
            _ => {}
        }
        self.state = Escrow::evolve(std::mem::take(&mut self.state), &event);
        Ok(())
    }

    fn task(&self) -> Option<&Task> {
        match &self.state {
            State::Present(task) => Some(task),
            State::Absent => None,
        }
    }

    /// Whose it is.
    pub fn parties(&self) -> impl Iterator<Item = (NostrKey, Role)> {
        let requester = self.task().map(|task| (task.requester, Role::Requester));
        let worker = self.task().and_then(|task| task.phase.job()).map(|job| (job.worker, Role::Worker));
        requester.into_iter().chain(worker)
    }

    /// Whether it came to its end.
    pub fn has_ended(&self) -> bool {
        self.task().is_none_or(|task| task.phase.is_final())
    }

    /// What of its payouts has not come to an end, in sat.
    pub fn open_sat(&self) -> u64 {
        let Some(task) = self.task() else { return 0 };
        match task.phase.job() {
            None => payouts_sat(task),
            Some(job) => job.tranches.iter().filter(|part| !part.state.is_final()).map(|part| part.payout.get()).sum(),
        }
    }

    /// What it comes to, if it ended with `last` and all of its money had been locked.
    pub fn deal(&self, last: &Fact) -> Option<Deal> {
        let task = self.task()?;
        let (Phase::Settled { job } | Phase::Refunded { job }) = &task.phase else { return None };
        let ended_at = last.recorded_at;
        // A clock that was set back between facts makes no deal that ends before it begins.
        let funded_at = self.held_at?.min(ended_at);
        let sums = Sums::of(job);
        Some(Deal {
            seq: last.seq,
            task: task.id.same(),
            requester: task.requester,
            worker: job.worker,
            paid: sums.paid,
            fee: sums.fee,
            refunded: sums.refunded,
            funded_at,
            submitted_at: self.submitted_at.map(|at| at.clamp(funded_at, ended_at)),
            ended_at,
            end: match sums.paid {
                Sat::ZERO => End::Refunded { fault: fault(task) },
                _ => End::Settled,
            },
            disputed: false,
            dispute_lost_by: None,
            bond_lost_by: None,
        })
    }
}

/// All payouts of a task, in sat.
pub(crate) fn payouts_sat(task: &Task) -> u64 {
    task.terms.payouts().map(Sat::get).sum()
}

/// What became of a job's money.
struct Sums {
    paid: Sat,
    fee: Sat,
    refunded: Sat,
}

impl Sums {
    fn of(job: &Job) -> Self {
        let (mut paid, mut fee_msat, mut refunded) = (0u64, 0u64, 0u64);
        for part in &job.tranches {
            if part.state.is_paid() {
                paid += part.payout.get();
                fee_msat += kept_msat(part);
            } else {
                refunded += part.payout.get();
            }
        }
        // They are sums of what the rules let be locked.
        let sat = |amount| Sat::try_new(amount).unwrap_or(Sat::MAX);
        Self { paid: sat(paid), fee: sat(fee_msat / 1_000), refunded: sat(refunded) }
    }
}

/// What the platform kept of a tranche that was paid. What routing cost is not counted: the payee may have been on the
/// route.
fn kept_msat(part: &Tranche) -> u64 {
    let after = |cost: Msat| part.fee.to_msat().get().saturating_sub(cost.get());
    match part.state {
        TrancheState::Paid { fee } | TrancheState::Claimed { fee } => after(fee),
        TrancheState::Spent { fee } => fee.map_or(0, after),
        // The payer's money was gone: the platform paid.
        TrancheState::Uncovered { .. } => 0,
        TrancheState::Unfunded
        | TrancheState::Held { .. }
        | TrancheState::Paying { .. }
        | TrancheState::Returning
        | TrancheState::Returned => 0,
    }
}

/// Whose fault it is that a task paid nothing, where the rules can tell.
fn fault(task: &Task) -> Option<Role> {
    match task.verdict()? {
        Verdict::Release(_) => None,
        Verdict::Refund(reason) => match reason {
            RefundReason::CancelledByWorker | RefundReason::WorkDeadline => Some(Role::Worker),
            RefundReason::CancelledByRequester | RefundReason::Silence | RefundReason::RenewalMissed => {
                Some(Role::Requester)
            }
            // A matter of opinion, of networks, or of nobody's.
            RefundReason::Rejected
            | RefundReason::BlocksRanOut
            | RefundReason::FundingLapsed
            | RefundReason::PayoutFailed
            | RefundReason::HoldLost
            | RefundReason::HoldSpent => None,
        },
    }
}
