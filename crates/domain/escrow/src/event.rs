//! What became true of a task. Stored for ever: variants are only added, at the end, and their bytes are golden.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{BlockHeight, Blocks, Digest32, Id, Msat, NostrKey, PaymentHash, Timestamp};

use crate::{PayFailure, Policy, RefundReason, ReleaseReason, Task, Terms};

/// A worker's invoice for one tranche.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TrancheInvoice {
    /// The invoice as the worker gave it.
    pub bolt11: String,
    /// Its payment hash.
    pub hash: PaymentHash,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A fact about a task. `tranche` is its position, from 0.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A requester posted the task.
    TaskCreated {
        /// The task's id.
        id: Id<Task>,
        /// Who pays.
        requester: NostrKey,
        /// The terms.
        terms: Terms,
        /// The node's policy, fixed for this task.
        policy: Policy,
        /// For how many blocks its holds are usable.
        hold_blocks: Blocks,
        /// When.
        at: Timestamp,
    },
    /// A worker took it.
    TaskAccepted {
        /// Who works.
        worker: NostrKey,
        /// One invoice per tranche.
        invoices: Vec<TrancheInvoice>,
    },
    /// The requester asked for the funding invoices.
    FundingRequested {
        /// Until when they can be paid.
        until: Timestamp,
    },
    /// A funding invoice was made.
    HoldInvoiceMade {
        /// The tranche.
        tranche: u32,
        /// The invoice.
        bolt11: String,
    },
    /// A tranche's money is locked.
    HoldLocked {
        /// The tranche.
        tranche: u32,
        /// How much.
        amount: Msat,
        /// The height before which it must be claimed.
        claim_deadline: BlockHeight,
    },
    /// All money is locked: work can begin.
    TaskHeld {
        /// The last height at which a payout may begin.
        decide_by: BlockHeight,
    },
    /// The worker handed in work.
    WorkSubmitted {
        /// SHA-256 of the work.
        work_hash: Digest32,
        /// Until when the requester may look at it.
        review_until: Timestamp,
    },
    /// The worker is to be paid.
    ReleaseBegun {
        /// Why.
        reason: ReleaseReason,
    },
    /// A payout was begun.
    PayoutBegun {
        /// The tranche.
        tranche: u32,
        /// Which attempt, from 1.
        attempt: u32,
        /// Not before this time.
        not_before: Timestamp,
    },
    /// A payout failed for good.
    PayoutFailed {
        /// The tranche.
        tranche: u32,
        /// Which attempt.
        attempt: u32,
        /// Why.
        reason: PayFailure,
    },
    /// A payout reached the worker.
    PayoutPaid {
        /// The tranche.
        tranche: u32,
        /// What routing cost.
        fee: Msat,
    },
    /// The money held for a paid tranche is ours.
    HoldClaimed {
        /// The tranche.
        tranche: u32,
        /// How much.
        amount: Msat,
    },
    /// Everything held that is not paid out is to be given back.
    RefundBegun {
        /// Why.
        reason: RefundReason,
    },
    /// One tranche's hold is to be given back, since its payout cannot be made.
    TrancheRefundBegun {
        /// The tranche.
        tranche: u32,
    },
    /// A hold was given back.
    HoldReturned {
        /// The tranche.
        tranche: u32,
    },
    /// A hold is gone without a claim.
    HoldLost {
        /// The tranche.
        tranche: u32,
    },
    /// Every tranche came to its end, and the worker was paid.
    TaskSettled,
    /// Every tranche came to its end, and nothing was paid out.
    TaskRefunded,
    /// One side stepped back before any money was locked.
    TaskCancelled {
        /// Which side.
        by: NostrKey,
    },
    /// Time ran out, or no funding invoice could be made, before any money was locked.
    TaskExpired,
    /// The requester refused the work.
    WorkRejected {
        /// SHA-256 of the reasons, which the parties keep.
        reason_hash: Digest32,
    },
    /// The rail paid the worker and took the payer's money, though by the journal no payout was under way: so it is when
    /// the journal is older than the rail's own store. Whatever else is held is to be given back.
    HoldSpent {
        /// The tranche.
        tranche: u32,
        /// What routing cost, if the rail told.
        fee: Option<Msat>,
    },
}

impl Event {
    /// The kind of [`Event::TaskCreated`], which the requester's own request stands behind.
    pub const CREATED: &'static str = "escrow.task_created";
    /// The kind of [`Event::TaskAccepted`], which the worker's own request stands behind.
    pub const ACCEPTED: &'static str = "escrow.task_accepted";
    /// The kind of [`Event::TaskCancelled`].
    pub const CANCELLED: &'static str = "escrow.task_cancelled";
    /// The kind of [`Event::ReleaseBegun`].
    pub const RELEASE_BEGUN: &'static str = "escrow.release_begun";

    /// The kind under which the journal files this fact.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TaskCreated { .. } => Self::CREATED,
            Self::TaskAccepted { .. } => Self::ACCEPTED,
            Self::FundingRequested { .. } => "escrow.funding_requested",
            Self::HoldInvoiceMade { .. } => "escrow.hold_invoice_made",
            Self::HoldLocked { .. } => "escrow.hold_locked",
            Self::TaskHeld { .. } => "escrow.task_held",
            Self::WorkSubmitted { .. } => "escrow.work_submitted",
            Self::ReleaseBegun { .. } => Self::RELEASE_BEGUN,
            Self::PayoutBegun { .. } => "escrow.payout_begun",
            Self::PayoutFailed { .. } => "escrow.payout_failed",
            Self::PayoutPaid { .. } => "escrow.payout_paid",
            Self::HoldClaimed { .. } => "escrow.hold_claimed",
            Self::RefundBegun { .. } => "escrow.refund_begun",
            Self::TrancheRefundBegun { .. } => "escrow.tranche_refund_begun",
            Self::HoldReturned { .. } => "escrow.hold_returned",
            Self::HoldLost { .. } => "escrow.hold_lost",
            Self::TaskSettled => "escrow.task_settled",
            Self::TaskRefunded => "escrow.task_refunded",
            Self::TaskCancelled { .. } => Self::CANCELLED,
            Self::TaskExpired => "escrow.task_expired",
            Self::WorkRejected { .. } => "escrow.work_rejected",
            Self::HoldSpent { .. } => "escrow.hold_spent",
        }
    }
}
