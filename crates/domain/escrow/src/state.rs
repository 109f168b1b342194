//! What is known of a task. Made from its facts, never stored.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeSet;
use tallystick_civics::dispute::Side;
use tallystick_core::{AmountError, BlockHeight, Blocks, Digest32, Id, Msat, NostrKey, PaymentHash, Sat, Timestamp};

use crate::{Case, OnSilence, Policy, Terms, plan};

/// A task's stream: nothing yet, or a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No task has this id.
    #[default]
    Absent,
    /// A task.
    Present(Box<Task>),
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: Id<Task>,
    /// Who pays.
    pub requester: NostrKey,
    /// What was agreed on.
    pub terms: Terms,
    /// The node's policy when it was created.
    pub policy: Policy,
    /// For how many blocks its holds are usable.
    pub hold_blocks: Blocks,
    /// When it was created.
    pub created_at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Anybody may take it.
    Open,
    /// A worker took it.
    Assigned {
        /// Worker and tranches.
        job: Job,
    },
    /// The funding invoices can be paid.
    Funding {
        /// Worker and tranches.
        job: Job,
        /// Until when.
        until: Timestamp,
    },
    /// Money is locked, or on its way to worker or requester: each milestone stands where its own [`Stage`] says.
    Active {
        /// Worker and tranches.
        job: Job,
    },
    /// The worker was paid, at least a part. The end.
    Settled {
        /// Worker and tranches.
        job: Job,
    },
    /// The requester has all of the money back. The end.
    Refunded {
        /// Worker and tranches.
        job: Job,
    },
    /// One side stepped back before any money was locked. The end.
    Cancelled {
        /// Worker and tranches, if it was assigned.
        job: Option<Job>,
        /// Which side.
        by: NostrKey,
    },
    /// Time ran out before any money was locked. The end.
    Expired {
        /// Worker and tranches, if it was assigned.
        job: Option<Job>,
    },
}

/// The worker's side of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Who works.
    pub worker: NostrKey,
    /// One for each payout of the terms, in order, through all milestones; then the bonds.
    pub tranches: Vec<Tranche>,
    /// One for each milestone of the terms, in order.
    pub milestones: Vec<Milestone>,
}

/// Where a milestone's work stands. What is locked for it, and what is left to decide, its tranches tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Milestone {
    /// Where its work stands. While a dispute runs, nothing else decides about it.
    pub stage: Stage,
    /// SHA-256 of the work, once it was handed in.
    pub work_hash: Option<Digest32>,
    /// SHA-256 of the reasons for which it was refused, if it was.
    pub reason_hash: Option<Digest32>,
    /// Its disputes, in order: one for each side at most, and only the last one can be running.
    pub cases: Vec<Case>,
}

/// Where the work of a milestone stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The worker works.
    #[default]
    Working,
    /// The requester looks at it.
    Submitted {
        /// Until when the requester may decide.
        review_until: Timestamp,
    },
    /// It was refused, by word or by silence, and the worker may have a panel decide.
    Rejected {
        /// When the money goes back otherwise.
        until: Timestamp,
        /// Why.
        reason: RefundReason,
    },
}

/// What is held, and on whose hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The requester pays for work: to the worker, or back.
    Work,
    /// A side's bond: back to it, or to the other side.
    Bond(Side),
}

/// What is held on one hash: a part of the payout, or a bond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tranche {
    /// What it is for. Its payer is who put it up, its payee the other side.
    pub purpose: Purpose,
    /// What the worker gets.
    pub payout: Sat,
    /// What the platform gets, routing costs included.
    pub fee: Sat,
    /// The worker's payment hash.
    pub hash: PaymentHash,
    /// The worker's invoice.
    pub payout_invoice: String,
    /// The hold invoice, once made.
    pub funding_invoice: Option<String>,
    /// Where it stands.
    pub state: TrancheState,
    /// What was last decided on it, if anything was.
    pub verdict: Option<Verdict>,
    /// The hold that is to take the place of this one, if the worker offered it.
    pub renewal: Option<Renewal>,
    /// How often its hold was renewed.
    pub renewals: u32,
    /// Holds whose place was taken, and that are not back yet.
    pub replaced: Vec<PaymentHash>,
    /// Every hash that it ever had, or was offered: none is taken twice, as what was asked for on it once is not done again.
    pub named: BTreeSet<PaymentHash>,
}

/// An offer to renew a tranche's hold: the next one, on a hash of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The worker's payment hash.
    pub hash: PaymentHash,
    /// The worker's invoice.
    pub payout_invoice: String,
    /// The hold invoice, once made.
    pub funding_invoice: Option<String>,
    /// Until when it can be paid.
    pub until: Timestamp,
    /// Whether it was offered early enough for the requester to answer for its being missed.
    pub in_time: bool,
}

/// What was decided on a tranche, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The worker gets it.
    Release(ReleaseReason),
    /// The requester gets it back.
    Refund(RefundReason),
}

/// Where a tranche stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrancheState {
    /// Nothing is locked.
    Unfunded,
    /// The payer's money is locked.
    Held {
        /// The height before which it must be claimed.
        claim_deadline: BlockHeight,
    },
    /// A payout is under way, or about to begin.
    Paying {
        /// Which attempt, from 1.
        attempt: u32,
        /// Whether the payer's money is still locked.
        covered: bool,
        /// The height before which it must be claimed.
        claim_deadline: BlockHeight,
    },
    /// The worker was paid; the claim on the payer's money is under way.
    Paid {
        /// What routing cost.
        fee: Msat,
    },
    /// The worker was paid and the payer's money is ours. The end.
    Claimed {
        /// What routing cost.
        fee: Msat,
    },
    /// The worker was paid and the payer's money is gone: the platform's own loss. The end.
    Uncovered {
        /// What routing cost.
        fee: Msat,
    },
    /// The hold is being given back.
    Returning,
    /// The payer has the money back. The end.
    Returned,
    /// The rail paid the worker and took the payer's money without the journal's knowing. The end.
    Spent {
        /// What routing cost, if the rail told.
        fee: Option<Msat>,
    },
}

/// Why the worker is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ReleaseReason {
    /// The requester approved.
    Approved,
    /// The requester said nothing, and the terms say: release.
    Silence,
    /// The rail had paid already, as it turned out.
    HoldSpent,
    /// The requester did not lock the next hold in time, and the terms say: release.
    RenewalMissed,
    /// A panel ruled so.
    Ruled,
    /// A bond: its worker handed nothing in by the deadline, and had not stepped back.
    BrokenPromise,
}

/// Why the requester gets the money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RefundReason {
    /// The requester rejected the work.
    Rejected,
    /// The requester stepped back before work was submitted.
    CancelledByRequester,
    /// The worker stepped back.
    CancelledByWorker,
    /// No work was submitted in time.
    WorkDeadline,
    /// The requester said nothing, and the terms say: refund.
    Silence,
    /// So few blocks are left that a payout is no longer safe.
    BlocksRanOut,
    /// Not all tranches were funded in time.
    FundingLapsed,
    /// No payout worked while there was time.
    PayoutFailed,
    /// The payer's money is gone: given back by the rail, or lost with the payer's channel.
    HoldLost,
    /// The rail had paid a tranche without the journal's knowing; the others are given back.
    HoldSpent,
    /// The requester did not lock the next hold in time, and the terms say: refund.
    RenewalMissed,
    /// A panel ruled so.
    Ruled,
    /// The worker gave it up.
    Conceded,
    /// A bond: all else is over, and nothing took it.
    BondKept,
}

/// Why a payout failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PayFailure {
    /// No route to the payee within the limits; the payee may be offline.
    NoRoute,
    /// The payee refused the payment.
    Refused,
    /// The payee's invoice has expired.
    InvoiceExpired,
    /// All attempts within this payment failed.
    AttemptsExhausted,
    /// It had not begun when its last height passed.
    TooLate,
    /// Any other reason.
    Other,
}

impl Tranche {
    /// What the payer locks: payout and fee.
    ///
    /// # Errors
    /// [`AmountError`] if that is more than all bitcoin; the policy's limits rule it out.
    pub fn hold(&self) -> Result<Msat, AmountError> {
        Ok(self.payout.checked_add(self.fee)?.to_msat())
    }
}

impl Job {
    /// The tranches that pay for work.
    pub fn work(&self) -> impl Iterator<Item = &Tranche> {
        self.tranches.iter().filter(|part| part.purpose == Purpose::Work)
    }
}

impl TrancheState {
    /// Whether the payer's money is locked, and nothing decided.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// Whether nothing more can happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Claimed { .. } | Self::Uncovered { .. } | Self::Returned | Self::Spent { .. })
    }

    /// Whether the worker was paid.
    pub const fn is_paid(self) -> bool {
        matches!(self, Self::Paid { .. } | Self::Claimed { .. } | Self::Uncovered { .. } | Self::Spent { .. })
    }
}

impl Task {
    /// Where the task stands, as the API shows it. While money is locked or moves, it is the most urgent that any
    /// milestone says.
    pub fn state_name(&self) -> &'static str {
        match &self.phase {
            Phase::Active { job } => {
                let names: Vec<_> = (0..).zip(&job.milestones).map(|(at, _)| self.milestone_name(job, at)).collect();
                let order = ["disputed", "submitted", "rejected", "held", "releasing", "refunding"];
                let urgent = order.into_iter().find(|name| names.contains(name));
                // All milestones are over: bonds are on their way.
                urgent.unwrap_or("refunding")
            }
            phase => phase.name(),
        }
    }

    /// Where a milestone stands, as the API shows it.
    pub fn milestone_name(&self, job: &Job, milestone: u32) -> &'static str {
        let parts = || self.tranches_of(job, milestone).map(|(_, part)| part.state);
        if parts().any(TrancheState::is_held) {
            return match (self.running(job, milestone), self.stage(job, milestone)) {
                (Some(_), _) => "disputed",
                (None, Some(Stage::Submitted { .. })) => "submitted",
                (None, Some(Stage::Rejected { .. })) => "rejected",
                (None, _) => "held",
            };
        }
        if parts().all(TrancheState::is_final) {
            return if parts().any(TrancheState::is_paid) { "settled" } else { "refunded" };
        }
        let is_returning = parts().any(|state| state == TrancheState::Returning);
        match parts().any(|state| matches!(state, TrancheState::Paying { .. } | TrancheState::Paid { .. })) {
            true => "releasing",
            false if is_returning => "refunding",
            false => "unfunded",
        }
    }

    /// What decided the task: a verdict for the worker if there is one, else the last.
    pub fn verdict(&self) -> Option<Verdict> {
        let parts = || self.phase.job().into_iter().flat_map(|job| &job.tranches);
        let work = || parts().filter(|part| part.purpose == Purpose::Work);
        let verdicts = || work().filter_map(|part| part.verdict);
        verdicts().find(|verdict| matches!(verdict, Verdict::Release(_))).or_else(|| verdicts().next_back())
    }

    /// The last height at which a payout of a milestone may begin, decided on or not.
    pub fn last_payout(&self, job: &Job, milestone: u32) -> Option<BlockHeight> {
        let deadlines = self.tranches_of(job, milestone).filter_map(|(_, part)| match part.state {
            TrancheState::Held { claim_deadline } | TrancheState::Paying { claim_deadline, .. } => Some(claim_deadline),
            _ => None,
        });
        deadlines.min().map(|deadline| plan::decide_by(&self.policy, deadline))
    }

    /// The last height at which the worker can offer to renew a milestone's holds and the requester answers for its
    /// being missed; nothing if they cannot be renewed.
    pub fn renew_by(&self, job: &Job, milestone: u32) -> Option<BlockHeight> {
        self.terms.renewal.and(self.decide_by(job, milestone)).map(|decide_by| decide_by.before(plan::RENEWAL_LEAD))
    }

    /// What happens to a milestone at its deadline, if nobody does anything until then: to what is undecided of it, else
    /// to payouts that do not work. Nothing once all is decided and some of it paid.
    pub fn at_deadline(&self, job: &Job, milestone: u32) -> Option<OnSilence> {
        let states = || self.tranches_of(job, milestone).map(|(_, part)| part.state);
        if !states().any(TrancheState::is_held) {
            // A payout that fails: its tranche goes back, which is not the milestone's end if another one was paid.
            let is_paying = states().any(|state| matches!(state, TrancheState::Paying { .. }));
            return (is_paying && !states().any(TrancheState::is_paid)).then_some(OnSilence::Refund);
        }
        match self.stage(job, milestone)? {
            Stage::Submitted { .. } => Some(self.terms.on_silence),
            Stage::Working if self.is_offered(job, milestone) => self.terms.renewal,
            Stage::Working | Stage::Rejected { .. } => Some(OnSilence::Refund),
        }
    }

    /// Whether the worker offered in time to renew everything that is undecided of a milestone, and the requester could: it has
    /// the invoices.
    pub(crate) fn is_offered(&self, job: &Job, milestone: u32) -> bool {
        let mut held = self.tranches_of(job, milestone).filter(|(_, part)| part.state.is_held());
        let payable = |next: &Renewal| next.in_time && next.funding_invoice.is_some();
        held.all(|(_, part)| part.renewal.as_ref().is_some_and(payable))
    }

    /// Every payment hash that the task ever named: its holds, those that were offered, and arbitrators' pay.
    pub(crate) fn named_hashes(&self) -> BTreeSet<PaymentHash> {
        let of_tranches = self.phase.job().into_iter().flat_map(|job| &job.tranches).flat_map(|part| &part.named);
        of_tranches.copied().chain(self.cases().flat_map(|case| &case.rewards).map(|reward| reward.hash)).collect()
    }

    /// Where the work of a milestone stands.
    pub fn stage(&self, job: &Job, milestone: u32) -> Option<Stage> {
        usize::try_from(milestone).ok().and_then(|at| job.milestones.get(at)).map(|part| part.stage)
    }

    /// A side's bond that is locked and undecided, with its position among the tranches.
    pub fn bond(&self, job: &Job, side: Side) -> Option<(u32, BlockHeight)> {
        let held = |part: &Tranche| match part.state {
            TrancheState::Held { claim_deadline } => Some(plan::decide_by(&self.policy, claim_deadline)),
            _ => None,
        };
        let own = (0..).zip(&job.tranches).filter(|(_, part)| part.purpose == Purpose::Bond(side));
        own.filter_map(|(tranche, part)| Some((tranche, held(part)?))).next()
    }

    /// The times by which the worker has to hand something in or step back ([`Terms::hand_in_until`]), in order, each with the last
    /// height at which that can be asked ([`plan::promised_by`]): those of milestones of which nothing is handed in, and which no
    /// dispute kept from that.
    pub fn promises<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = (Timestamp, BlockHeight)> + 'a {
        let idle = |part: &Milestone| part.stage == Stage::Working && !part.cases.iter().any(Case::excuses);
        let parts = (0..).zip(job.milestones.iter().zip(&self.terms.milestones));
        parts.filter(move |(_, (part, _))| idle(part)).filter_map(|(milestone, (_, terms))| {
            let decide_by = self.decide_by(job, milestone)?;
            Some((self.terms.hand_in_until(terms), plan::promised_by(&self.terms, &self.policy, decide_by)))
        })
    }

    /// A milestone's dispute, while it runs.
    pub fn running<'a>(&self, job: &'a Job, milestone: u32) -> Option<&'a Case> {
        usize::try_from(milestone).ok().and_then(|at| job.milestones.get(at))?.running()
    }

    /// The milestone that a tranche belongs to.
    pub fn milestone_at(&self, tranche: u32) -> Option<u32> {
        (0..).zip(&self.terms.milestones).map(|(at, _)| at).find(|at| self.terms.tranches_of(*at).contains(&tranche))
    }

    /// A milestone's tranches, with their positions among all of the task.
    pub fn tranches_of<'a>(&self, job: &'a Job, milestone: u32) -> impl Iterator<Item = (u32, &'a Tranche)> + use<'a> {
        let own = self.terms.tranches_of(milestone);
        (0..).zip(&job.tranches).filter(move |(tranche, _)| own.contains(tranche))
    }

    /// The last height at which a payout of a milestone's undecided tranches may begin; nothing if none is undecided.
    pub fn decide_by(&self, job: &Job, milestone: u32) -> Option<BlockHeight> {
        plan::earliest_decide_by(&self.policy, self.tranches_of(job, milestone).map(|(_, part)| part))
    }
}

impl Milestone {
    /// Its dispute, while it runs.
    pub fn running(&self) -> Option<&Case> {
        self.cases.last().filter(|case| !case.dispute.phase.is_final())
    }
}

impl Phase {
    /// The phase's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Assigned { .. } => "assigned",
            Self::Funding { .. } => "funding",
            Self::Active { .. } => "active",
            Self::Settled { .. } => "settled",
            Self::Refunded { .. } => "refunded",
            Self::Cancelled { .. } => "cancelled",
            Self::Expired { .. } => "expired",
        }
    }

    /// Worker and tranches, once there are any.
    pub const fn job(&self) -> Option<&Job> {
        match self {
            Self::Open => None,
            Self::Cancelled { job, .. } | Self::Expired { job } => job.as_ref(),
            Self::Assigned { job }
            | Self::Funding { job, .. }
            | Self::Active { job }
            | Self::Settled { job }
            | Self::Refunded { job } => Some(job),
        }
    }

    /// The same as [`Phase::job`], to be changed.
    pub(crate) const fn job_mut(&mut self) -> Option<&mut Job> {
        match self {
            Self::Open => None,
            Self::Cancelled { job, .. } | Self::Expired { job } => job.as_mut(),
            Self::Assigned { job }
            | Self::Funding { job, .. }
            | Self::Active { job }
            | Self::Settled { job }
            | Self::Refunded { job } => Some(job),
        }
    }

    /// Whether nothing more can happen, unless the rail turns out to have spent a hold ([`TrancheState::Spent`]).
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Settled { .. } | Self::Refunded { .. } | Self::Cancelled { .. } | Self::Expired { .. })
    }
}
