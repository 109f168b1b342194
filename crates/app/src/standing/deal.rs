//! A task's facts as a deal.

use std::collections::BTreeMap;
use tallystick_civics::{
    dispute::{self, Dispute, Outcome, SeatState, Side, median},
    reputation::{BondsLost, Deal, Did, End, Role, Service},
};
use tallystick_core::{Decider, Fact, Id, Msat, NostrKey, Sat, Timestamp};
use tallystick_escrow::{
    Case, Escrow, Event, Job, Phase, Purpose, RefundReason, State, Task, Tranche, TrancheState, Verdict,
};

use crate::{change::event_of, error::AppError};

/// A task on its way to its end, as its facts make it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Going {
    state: State,
    held_at: Option<Timestamp>,
    submitted_at: Option<Timestamp>,
    /// The facts by which arbitrators revealed their votes: number and time.
    revealed: BTreeMap<(Id<Dispute>, NostrKey), (u64, Timestamp)>,
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
            Event::Dispute { milestone, event: dispute::Event::VoteRevealed { arbitrator, .. } } => {
                if let Some(dispute) = self.running(*milestone) {
                    self.revealed.insert((dispute, *arbitrator), (fact.seq, fact.recorded_at));
                }
            }
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

    fn running(&self, milestone: u32) -> Option<Id<Dispute>> {
        let task = self.task()?;
        Some(task.running(task.phase.job()?, milestone)?.dispute.opening.id)
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
            Some(job) => job.work().filter(|part| !part.state.is_final()).map(|part| part.payout.get()).sum(),
        }
    }

    /// What it comes to, if it ended with `last` and all of its money had been locked.
    pub fn deal(&self, last: &Fact) -> Option<Deal> {
        let task = self.task()?;
        let (Phase::Settled { job } | Phase::Refunded { job }) = &task.phase else { return None };
        let ended_at = last.recorded_at;
        // A clock that was set back between facts makes no deal that ends before it begins.
        let funded_at = self.held_at?.min(ended_at);
        let sums = Sums::of(task, job);
        let ruled = ruled(task);
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
            end: match (ruled, sums.paid) {
                (Some((award, of)), _) => End::Ruled { award, of },
                (None, Sat::ZERO) => End::Refunded { fault: fault(task) },
                (None, _) => End::Settled,
            },
            disputed: task.cases().next().is_some(),
            dispute_lost_by: ruled.and_then(|(award, of)| loser(award, of)),
            bonds_lost: bonds_lost(job),
        })
    }

    /// The votes that arbitrators revealed, by the facts by which they did.
    pub fn services(&self) -> Vec<Service> {
        let votes = self.task().into_iter().flat_map(Task::cases).flat_map(|case| self.votes(case));
        let mut votes = Vec::from_iter(votes);
        votes.sort_unstable_by_key(|service| service.seq);
        votes
    }

    fn votes(&self, case: &Case) -> Vec<Service> {
        let (parts, dispute) = (&case.dispute.opening.parts, case.dispute.opening.id);
        let of = disputed(case);
        let mut votes = Vec::new();
        for panel in case.dispute.panels() {
            let ruling = median(&panel.votes(), parts);
            for seat in &panel.bench {
                let SeatState::Revealed { award, .. } = seat.state else { continue };
                let Some((seq, at)) = self.revealed.get(&(dispute, seat.arbitrator)) else { continue };
                let (vote, ruling) = (award.value(parts), ruling.unwrap_or(award).value(parts));
                let did = Did::Revealed { vote, ruling, of };
                votes.push(Service { seq: *seq, dispute, arbitrator: seat.arbitrator, asked_at: *at, did });
            }
        }
        votes
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
    fn of(task: &Task, job: &Job) -> Self {
        let (mut paid, mut fee_msat, mut refunded) = (0u64, 0u64, 0u64);
        for part in job.work() {
            if part.state.is_paid() {
                paid += part.payout.get();
                fee_msat += kept_msat(part);
            } else {
                refunded += part.payout.get();
            }
        }
        // Arbitrators may be friends: what they can ask for is no fee, whether they did or not.
        let rewards = task.cases().map(|case| case.reward.get().saturating_mul(case.dispute.served().len() as u64));
        let fee_msat = fee_msat.saturating_sub(rewards.sum());
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

/// What a dispute is about, bonds included.
fn disputed(case: &Case) -> Sat {
    Sat::sum(case.dispute.opening.parts.iter().copied()).unwrap_or(Sat::MAX)
}

/// What all rulings that stand gave to the worker of the pay for work, and of how much; nothing if there is none. Bonds are
/// nobody's earnings: one that was kept or taken says nothing of who was right about the work.
fn ruled(task: &Task) -> Option<(Sat, Sat)> {
    let rulings = task.cases().filter_map(|case| match case.dispute.outcome() {
        Outcome::Award(award) => {
            let is_work = |tranche: &u32| task.milestone_at(*tranche).is_some();
            let parts = case.tranches.iter().zip(&case.dispute.opening.parts).enumerate();
            let work = || parts.clone().filter(|(_, (tranche, _))| is_work(tranche)).map(|(at, (_, sat))| (at, *sat));
            let sum = |parts: &mut dyn Iterator<Item = Sat>| Sat::sum(parts).unwrap_or(Sat::MAX);
            let awarded = sum(&mut work().filter(|(at, _)| award.includes(*at)).map(|(_, sat)| sat));
            Some((awarded, sum(&mut work().map(|(_, sat)| sat))))
        }
        // No ruling: nobody lost.
        Outcome::Running | Outcome::Withdrawn | Outcome::Closed | Outcome::Failed => None,
    });
    rulings.reduce(|(award, of), (more, of_more)| {
        let add = |a: Sat, b: Sat| a.checked_add(b).unwrap_or(Sat::MAX);
        (add(award, more), add(of, of_more))
    })
}

/// Who lost by a ruling: whoever got less than a quarter of what was disputed.
fn loser(award: Sat, of: Sat) -> Option<Role> {
    let (award, of) = (u128::from(award.get()), u128::from(of.get()));
    if award * 4 < of {
        Some(Role::Worker)
    } else if (of - award) * 4 < of {
        Some(Role::Requester)
    } else {
        None
    }
}

/// Whose bonds went to the other side.
fn bonds_lost(job: &Job) -> BondsLost {
    let taken = job.tranches.iter().filter(|part| part.state.is_paid());
    let lost = taken.filter_map(|part| match part.purpose {
        Purpose::Work => None,
        Purpose::Bond(Side::Payer) => Some(Role::Requester),
        Purpose::Bond(Side::Payee) => Some(Role::Worker),
    });
    lost.collect()
}

/// Whose fault it is that a task paid nothing, where the rules can tell.
fn fault(task: &Task) -> Option<Role> {
    match task.verdict()? {
        Verdict::Release(_) => None,
        Verdict::Refund(reason) => match reason {
            RefundReason::CancelledByWorker | RefundReason::WorkDeadline | RefundReason::Conceded => Some(Role::Worker),
            RefundReason::CancelledByRequester | RefundReason::Silence | RefundReason::RenewalMissed => {
                Some(Role::Requester)
            }
            // A matter of opinion, of networks, or of nobody's; what a ruling says counts by itself.
            RefundReason::Rejected
            | RefundReason::Ruled
            | RefundReason::BlocksRanOut
            | RefundReason::FundingLapsed
            | RefundReason::PayoutFailed
            | RefundReason::HoldLost
            | RefundReason::HoldSpent
            | RefundReason::BondKept => None,
        },
    }
}
