//! What became true of a task. Stored for ever: variants are only added, at the end, and their bytes are golden.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_civics::dispute::{self, Dispute};
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

/// A fact about a task. `tranche` is its position among all of the task, from 0.
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
    TaskHeld,
    /// The worker handed in a milestone's work.
    WorkSubmitted {
        /// The milestone's position, from 0.
        milestone: u32,
        /// SHA-256 of the work.
        work_hash: Digest32,
        /// Until when the requester may look at it.
        review_until: Timestamp,
    },
    /// The worker is to be paid these tranches of a milestone.
    ReleaseBegun {
        /// The milestone's position, from 0.
        milestone: u32,
        /// The tranches by their positions in the milestone, from 0, in order.
        tranches: Vec<u32>,
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
    /// What is held and undecided is to be given back.
    RefundBegun {
        /// Of this milestone; of all of them if there is none.
        milestone: Option<u32>,
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
    /// The requester refused what was still undecided of a milestone's work.
    WorkRejected {
        /// The milestone's position, from 0.
        milestone: u32,
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
    /// The worker offered to renew the holds of what is undecided of a milestone.
    RenewalOffered {
        /// The milestone's position, from 0.
        milestone: u32,
        /// One invoice for each of its undecided tranches, in order.
        invoices: Vec<TrancheInvoice>,
        /// Until when the next holds can be locked.
        until: Timestamp,
        /// Whether it was early enough for the requester to answer for its being missed.
        in_time: bool,
    },
    /// The hold invoice of a renewal was made.
    RenewalInvoiceMade {
        /// The tranche.
        tranche: u32,
        /// The invoice.
        bolt11: String,
    },
    /// The hold invoice of a renewal will never be made: it has to be offered anew.
    RenewalRefused {
        /// The tranche.
        tranche: u32,
    },
    /// The next hold is locked and takes the place of the one before, which is to be given back.
    HoldRenewed {
        /// The tranche.
        tranche: u32,
        /// How much.
        amount: Msat,
        /// The height before which it must be claimed.
        claim_deadline: BlockHeight,
    },
    /// A hold whose place was taken is back.
    ReplacedHoldReturned {
        /// The tranche.
        tranche: u32,
        /// The hash of that hold.
        hash: PaymentHash,
    },
    /// The rail paid the worker on a hold whose place was taken, or was to take it, and took the payer's money. What else
    /// is held for the tranche goes back.
    OtherHoldSpent {
        /// The tranche.
        tranche: u32,
        /// The hash of that hold.
        hash: PaymentHash,
        /// What routing cost, if the rail told.
        fee: Option<Msat>,
    },
    /// What is undecided of a milestone goes back at this time, unless the worker opens a dispute before.
    RefundPlanned {
        /// The milestone's position, from 0.
        milestone: u32,
        /// Why.
        reason: RefundReason,
        /// When.
        until: Timestamp,
    },
    /// A dispute was opened about what is undecided of a milestone.
    DisputeOpened {
        /// The milestone's position, from 0.
        milestone: u32,
        /// The disputed tranches by their positions among all of the task, in order: part n of an award is the n-th of them.
        tranches: Vec<u32>,
        /// What each arbitrator is paid who votes, whatever the ruling is.
        reward: Msat,
        /// Its first fact: [`dispute::Event::DisputeOpened`].
        event: dispute::Event,
    },
    /// A fact about a milestone's dispute.
    Dispute {
        /// The milestone's position, from 0.
        milestone: u32,
        /// The fact.
        event: dispute::Event,
    },
    /// A dispute ended without a ruling, and there is time: the requester may look at the work again.
    ReviewResumed {
        /// The milestone's position, from 0.
        milestone: u32,
        /// Until when.
        review_until: Timestamp,
    },
    /// An arbitrator is to be paid for a vote.
    RewardBegun {
        /// The dispute.
        dispute: Id<Dispute>,
        /// Whom.
        arbitrator: NostrKey,
        /// The arbitrator's invoice.
        invoice: TrancheInvoice,
        /// Which attempt, from 1, through all of the arbitrator's invoices.
        attempt: u32,
        /// Not before this time.
        not_before: Timestamp,
    },
    /// An attempt to pay an arbitrator failed for good.
    RewardFailed {
        /// The dispute.
        dispute: Id<Dispute>,
        /// Whom.
        arbitrator: NostrKey,
        /// Which attempt.
        attempt: u32,
        /// Why.
        reason: PayFailure,
    },
    /// An arbitrator was paid.
    RewardPaid {
        /// The dispute.
        dispute: Id<Dispute>,
        /// Whom.
        arbitrator: NostrKey,
        /// What routing cost.
        fee: Msat,
    },
    /// The requester handed in the invoice to which the worker's bond would be paid.
    BondOffered {
        /// The invoice.
        invoice: TrancheInvoice,
    },
    /// A bond is to be paid to the other side.
    BondTaken {
        /// The bond's position among the tranches.
        tranche: u32,
        /// Why.
        reason: ReleaseReason,
    },
    /// A bond is to be given back.
    BondReturnBegun {
        /// The bond's position among the tranches.
        tranche: u32,
        /// Why.
        reason: RefundReason,
    },
}

impl Event {
    /// The kind of [`Event::TaskCreated`], which the requester's own request stands behind.
    pub const CREATED: &'static str = "escrow.task_created";
    /// The kind of [`Event::TaskAccepted`], which the worker's own request stands behind.
    pub const ACCEPTED: &'static str = "escrow.task_accepted";
    /// The kind of [`Event::TaskCancelled`].
    pub const CANCELLED: &'static str = "escrow.task_cancelled";
    /// The kind of [`Event::FundingRequested`].
    pub const FUNDING_REQUESTED: &'static str = "escrow.funding_requested";
    /// The kind of [`Event::HoldInvoiceMade`].
    pub const HOLD_INVOICE_MADE: &'static str = "escrow.hold_invoice_made";
    /// The kind of [`Event::HoldLocked`].
    pub const HOLD_LOCKED: &'static str = "escrow.hold_locked";
    /// The kind of [`Event::TaskHeld`].
    pub const TASK_HELD: &'static str = "escrow.task_held";
    /// The kind of [`Event::WorkSubmitted`].
    pub const WORK_SUBMITTED: &'static str = "escrow.work_submitted";
    /// The kind of [`Event::ReleaseBegun`].
    pub const RELEASE_BEGUN: &'static str = "escrow.release_begun";
    /// The kind of [`Event::PayoutBegun`].
    pub const PAYOUT_BEGUN: &'static str = "escrow.payout_begun";
    /// The kind of [`Event::PayoutFailed`].
    pub const PAYOUT_FAILED: &'static str = "escrow.payout_failed";
    /// The kind of [`Event::PayoutPaid`].
    pub const PAYOUT_PAID: &'static str = "escrow.payout_paid";
    /// The kind of [`Event::HoldClaimed`].
    pub const HOLD_CLAIMED: &'static str = "escrow.hold_claimed";
    /// The kind of [`Event::RefundBegun`].
    pub const REFUND_BEGUN: &'static str = "escrow.refund_begun";
    /// The kind of [`Event::TrancheRefundBegun`].
    pub const TRANCHE_REFUND_BEGUN: &'static str = "escrow.tranche_refund_begun";
    /// The kind of [`Event::HoldReturned`].
    pub const HOLD_RETURNED: &'static str = "escrow.hold_returned";
    /// The kind of [`Event::HoldLost`].
    pub const HOLD_LOST: &'static str = "escrow.hold_lost";
    /// The kind of [`Event::TaskSettled`].
    pub const TASK_SETTLED: &'static str = "escrow.task_settled";
    /// The kind of [`Event::TaskRefunded`].
    pub const TASK_REFUNDED: &'static str = "escrow.task_refunded";
    /// The kind of [`Event::TaskExpired`].
    pub const TASK_EXPIRED: &'static str = "escrow.task_expired";
    /// The kind of [`Event::WorkRejected`].
    pub const WORK_REJECTED: &'static str = "escrow.work_rejected";
    /// The kind of [`Event::HoldSpent`].
    pub const HOLD_SPENT: &'static str = "escrow.hold_spent";
    /// The kind of [`Event::RenewalOffered`].
    pub const RENEWAL_OFFERED: &'static str = "escrow.renewal_offered";
    /// The kind of [`Event::RenewalInvoiceMade`].
    pub const RENEWAL_INVOICE_MADE: &'static str = "escrow.renewal_invoice_made";
    /// The kind of [`Event::RenewalRefused`].
    pub const RENEWAL_REFUSED: &'static str = "escrow.renewal_refused";
    /// The kind of [`Event::HoldRenewed`].
    pub const HOLD_RENEWED: &'static str = "escrow.hold_renewed";
    /// The kind of [`Event::ReplacedHoldReturned`].
    pub const REPLACED_HOLD_RETURNED: &'static str = "escrow.replaced_hold_returned";
    /// The kind of [`Event::OtherHoldSpent`].
    pub const OTHER_HOLD_SPENT: &'static str = "escrow.other_hold_spent";
    /// The kind of [`Event::RefundPlanned`].
    pub const REFUND_PLANNED: &'static str = "escrow.refund_planned";
    /// The kind of [`Event::DisputeOpened`].
    pub const DISPUTE_OPENED: &'static str = "escrow.dispute_opened";
    /// The kind of [`Event::ReviewResumed`].
    pub const REVIEW_RESUMED: &'static str = "escrow.review_resumed";
    /// The kind of [`Event::RewardBegun`].
    pub const REWARD_BEGUN: &'static str = "escrow.reward_begun";
    /// The kind of [`Event::RewardFailed`].
    pub const REWARD_FAILED: &'static str = "escrow.reward_failed";
    /// The kind of [`Event::BondOffered`].
    pub const BOND_OFFERED: &'static str = "escrow.bond_offered";
    /// The kind of [`Event::BondTaken`].
    pub const BOND_TAKEN: &'static str = "escrow.bond_taken";
    /// The kind of [`Event::BondReturnBegun`].
    pub const BOND_RETURN_BEGUN: &'static str = "escrow.bond_return_begun";
    /// The kind of [`Event::RewardPaid`].
    pub const REWARD_PAID: &'static str = "escrow.reward_paid";

    /// The kind under which the journal files this fact.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TaskCreated { .. } => Self::CREATED,
            Self::TaskAccepted { .. } => Self::ACCEPTED,
            Self::FundingRequested { .. } => Self::FUNDING_REQUESTED,
            Self::HoldInvoiceMade { .. } => Self::HOLD_INVOICE_MADE,
            Self::HoldLocked { .. } => Self::HOLD_LOCKED,
            Self::TaskHeld => Self::TASK_HELD,
            Self::WorkSubmitted { .. } => Self::WORK_SUBMITTED,
            Self::ReleaseBegun { .. } => Self::RELEASE_BEGUN,
            Self::PayoutBegun { .. } => Self::PAYOUT_BEGUN,
            Self::PayoutFailed { .. } => Self::PAYOUT_FAILED,
            Self::PayoutPaid { .. } => Self::PAYOUT_PAID,
            Self::HoldClaimed { .. } => Self::HOLD_CLAIMED,
            Self::RefundBegun { .. } => Self::REFUND_BEGUN,
            Self::TrancheRefundBegun { .. } => Self::TRANCHE_REFUND_BEGUN,
            Self::HoldReturned { .. } => Self::HOLD_RETURNED,
            Self::HoldLost { .. } => Self::HOLD_LOST,
            Self::TaskSettled => Self::TASK_SETTLED,
            Self::TaskRefunded => Self::TASK_REFUNDED,
            Self::TaskCancelled { .. } => Self::CANCELLED,
            Self::TaskExpired => Self::TASK_EXPIRED,
            Self::WorkRejected { .. } => Self::WORK_REJECTED,
            Self::HoldSpent { .. } => Self::HOLD_SPENT,
            Self::RenewalOffered { .. } => Self::RENEWAL_OFFERED,
            Self::RenewalInvoiceMade { .. } => Self::RENEWAL_INVOICE_MADE,
            Self::RenewalRefused { .. } => Self::RENEWAL_REFUSED,
            Self::HoldRenewed { .. } => Self::HOLD_RENEWED,
            Self::ReplacedHoldReturned { .. } => Self::REPLACED_HOLD_RETURNED,
            Self::OtherHoldSpent { .. } => Self::OTHER_HOLD_SPENT,
            Self::RefundPlanned { .. } => Self::REFUND_PLANNED,
            Self::DisputeOpened { .. } => Self::DISPUTE_OPENED,
            Self::Dispute { event, .. } => event.kind(),
            Self::ReviewResumed { .. } => Self::REVIEW_RESUMED,
            Self::RewardBegun { .. } => Self::REWARD_BEGUN,
            Self::RewardFailed { .. } => Self::REWARD_FAILED,
            Self::RewardPaid { .. } => Self::REWARD_PAID,
            Self::BondOffered { .. } => Self::BOND_OFFERED,
            Self::BondTaken { .. } => Self::BOND_TAKEN,
            Self::BondReturnBegun { .. } => Self::BOND_RETURN_BEGUN,
        }
    }
}
