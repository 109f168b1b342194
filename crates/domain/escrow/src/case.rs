//! A milestone's dispute, with what its host needs besides: which tranches it is about, and what its arbitrators are paid.

use tallystick_civics::dispute::{self, Dispute, Outcome, Side};
use tallystick_core::{BlockHeight, Id, Msat, NostrKey, PaymentHash, Timestamp};

use crate::{Event, Job, Phase, State, Task};

/// A dispute about what was undecided of a milestone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The dispute.
    pub dispute: Dispute,
    /// The disputed tranches by their positions among all of the task: part n of an award is the n-th of them.
    pub tranches: Vec<u32>,
    /// What each arbitrator is paid who votes, whatever the ruling is.
    pub reward: Msat,
    /// Arbitrators who asked to be paid.
    pub rewards: Vec<Reward>,
}

/// What an arbitrator is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reward {
    /// Who.
    pub arbitrator: NostrKey,
    /// The payment hash of the last invoice.
    pub hash: PaymentHash,
    /// The last invoice.
    pub invoice: String,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The first attempt to pay this invoice, counted from 1 through all of the arbitrator's invoices.
    pub first_attempt: u32,
    /// The last attempt.
    pub attempt: u32,
    /// Where it stands.
    pub state: RewardState,
}

/// Where an arbitrator's pay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewardState {
    /// A payment is under way, or about to begin.
    Paying,
    /// It was paid. The end.
    Paid {
        /// What routing cost.
        fee: Msat,
    },
    /// No attempt worked: another invoice can be handed in.
    Failed,
}

/// A draw that waits for its block, or can be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawDue {
    /// The disputed milestone.
    pub milestone: u32,
    /// The height of the block that decides.
    pub block: BlockHeight,
    /// From this height on it can be recorded.
    pub from: BlockHeight,
    /// Until this height.
    pub until: BlockHeight,
    /// The number of the fact as of which the candidates are taken from the registry.
    pub registry_seq: u64,
}

impl Case {
    /// Whether it keeps the worker from having broken a promise, also when it is over: while it runs nobody is told to hand
    /// anything in. The one that excuses nothing is the worker's own, withdrawn: else whoever is late would open one.
    pub fn excuses(&self) -> bool {
        self.dispute.opened_by == Side::Payer || self.dispute.outcome() != Outcome::Withdrawn
    }

    /// An arbitrator's pay, if it asked for it.
    pub fn reward_of(&self, arbitrator: NostrKey) -> Option<&Reward> {
        self.rewards.iter().find(|reward| reward.arbitrator == arbitrator)
    }
}

impl Task {
    /// The disputes of all milestones.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.phase.job().into_iter().flat_map(|job| &job.milestones).flat_map(|part| &part.cases)
    }
}

impl State {
    /// The draws of panels that are to be recorded: they need a block, which no wake-up brings.
    pub fn draws_due(&self) -> Vec<DrawDue> {
        let Self::Present(task) = self else { return Vec::new() };
        let Phase::Active { job } = &task.phase else { return Vec::new() };
        let draw = |(milestone, case): (u32, &Case)| {
            let dispute = &case.dispute;
            let drawing = dispute.phase == dispute::Phase::Drawing;
            drawing.then(|| DrawDue {
                milestone,
                block: dispute.panel.draw_block(),
                from: dispute.draw_from(),
                until: dispute.draw_by(),
                registry_seq: dispute.opening.registry_seq,
            })
        };
        (0..).zip(&job.milestones).filter_map(|(at, part)| draw((at, part.running()?))).collect()
    }
}

/// The facts about disputes and arbitrators' pay.
pub(crate) fn apply(job: &mut Job, event: &Event) {
    match event {
        Event::DisputeOpened { milestone, tranches, reward, event } => {
            let part = usize::try_from(*milestone).ok().and_then(|at| job.milestones.get_mut(at));
            if let Some(part) = part.filter(|part| part.running().is_none())
                && let Some(dispute) = dispute::evolve(None, event)
            {
                let (tranches, rewards) = (tranches.clone(), Vec::new());
                part.cases.push(Case { dispute, tranches, reward: *reward, rewards });
            }
        }
        Event::Dispute { milestone, event } => {
            let part = usize::try_from(*milestone).ok().and_then(|at| job.milestones.get_mut(at));
            if let Some(case) = part.and_then(|part| part.cases.last_mut())
                && let Some(after) = dispute::evolve(Some(case.dispute.clone()), event)
            {
                case.dispute = after;
            }
        }
        Event::RewardBegun { dispute, arbitrator, invoice, attempt, .. } => {
            let Some(case) = case_mut(job, *dispute) else { return };
            let before = case.rewards.iter().position(|reward| reward.arbitrator == *arbitrator);
            let before = before.map(|at| case.rewards.remove(at));
            let same = before.filter(|before| before.hash == invoice.hash);
            case.rewards.push(Reward {
                arbitrator: *arbitrator,
                hash: invoice.hash,
                invoice: invoice.bolt11.clone(),
                expires_at: invoice.expires_at,
                first_attempt: same.map_or(*attempt, |before| before.first_attempt),
                attempt: *attempt,
                state: RewardState::Paying,
            });
        }
        Event::RewardFailed { dispute, arbitrator, .. } => end(job, *dispute, *arbitrator, RewardState::Failed),
        Event::RewardPaid { dispute, arbitrator, fee } => {
            end(job, *dispute, *arbitrator, RewardState::Paid { fee: *fee });
        }
        _ => {}
    }
}

fn case_mut(job: &mut Job, dispute: Id<Dispute>) -> Option<&mut Case> {
    job.milestones.iter_mut().flat_map(|part| &mut part.cases).find(|case| case.dispute.opening.id == dispute)
}

fn end(job: &mut Job, dispute: Id<Dispute>, arbitrator: NostrKey, state: RewardState) {
    let case = case_mut(job, dispute);
    let reward = case.and_then(|case| case.rewards.iter_mut().find(|reward| reward.arbitrator == arbitrator));
    if let Some(reward) = reward.filter(|reward| !matches!(reward.state, RewardState::Paid { .. })) {
        reward.state = state;
    }
}
