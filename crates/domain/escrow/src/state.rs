//! What is known of a task. Made from its facts, never stored.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{AmountError, BlockHeight, Blocks, Digest32, Id, Msat, NostrKey, PaymentHash, Sat, Timestamp};

use crate::{Policy, Terms};

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
    /// The money is locked, the worker works.
    Held {
        /// Worker and tranches.
        job: Job,
        /// The last height at which a payout may begin.
        decide_by: BlockHeight,
    },
    /// The requester looks at the work.
    Submitted {
        /// Worker and tranches.
        job: Job,
        /// The last height at which a payout may begin.
        decide_by: BlockHeight,
        /// Until when the requester may decide.
        review_until: Timestamp,
    },
    /// The worker is being paid.
    Releasing {
        /// Worker and tranches.
        job: Job,
        /// The last height at which a payout may begin.
        decide_by: BlockHeight,
        /// Why.
        reason: ReleaseReason,
    },
    /// The money is being given back.
    Refunding {
        /// Worker and tranches.
        job: Job,
        /// Why.
        reason: RefundReason,
    },
    /// The worker was paid. The end.
    Settled {
        /// Worker and tranches.
        job: Job,
        /// Why.
        reason: ReleaseReason,
    },
    /// The requester has the money back. The end.
    Refunded {
        /// Worker and tranches.
        job: Job,
        /// Why.
        reason: RefundReason,
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
    /// One for each payout of the terms, in order.
    pub tranches: Vec<Tranche>,
    /// SHA-256 of the work, once it was handed in.
    pub work_hash: Option<Digest32>,
    /// SHA-256 of the reasons for which it was refused, if it was.
    pub reason_hash: Option<Digest32>,
}

/// A part of the payout, with a hash of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tranche {
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

impl TrancheState {
    /// Whether nothing more can happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Claimed { .. } | Self::Uncovered { .. } | Self::Returned | Self::Spent { .. })
    }

    /// Whether the worker was paid.
    pub const fn is_paid(self) -> bool {
        matches!(self, Self::Paid { .. } | Self::Claimed { .. } | Self::Uncovered { .. } | Self::Spent { .. })
    }
}

impl Phase {
    /// The phase's name, as the API shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Assigned { .. } => "assigned",
            Self::Funding { .. } => "funding",
            Self::Held { .. } => "held",
            Self::Submitted { .. } => "submitted",
            Self::Releasing { .. } => "releasing",
            Self::Refunding { .. } => "refunding",
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
            | Self::Held { job, .. }
            | Self::Submitted { job, .. }
            | Self::Releasing { job, .. }
            | Self::Refunding { job, .. }
            | Self::Settled { job, .. }
            | Self::Refunded { job, .. } => Some(job),
        }
    }

    /// The same as [`Phase::job`], to be changed.
    pub(crate) const fn job_mut(&mut self) -> Option<&mut Job> {
        match self {
            Self::Open => None,
            Self::Cancelled { job, .. } | Self::Expired { job } => job.as_mut(),
            Self::Assigned { job }
            | Self::Funding { job, .. }
            | Self::Held { job, .. }
            | Self::Submitted { job, .. }
            | Self::Releasing { job, .. }
            | Self::Refunding { job, .. }
            | Self::Settled { job, .. }
            | Self::Refunded { job, .. } => Some(job),
        }
    }

    /// Whether nothing more can happen, unless the rail turns out to have spent a hold ([`TrancheState::Spent`]).
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Settled { .. } | Self::Refunded { .. } | Self::Cancelled { .. } | Self::Expired { .. })
    }
}
