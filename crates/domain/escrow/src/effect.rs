//! What a decision asks of the Lightning rail.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_civics::{dispute::Dispute, registry::Did};
use tallystick_core::{BlockHeight, Blocks, Digest32, Duration, Id, Msat, NostrKey, PaymentHash, Timestamp, canonical};

use crate::Task;

const REWARD_TAG: &str = "tallystick/reward/v1";
const PAYOUT_TAG: &str = "tallystick/payout/v1";

/// Something to be done outside, at least once. Each has a key that makes a repeat harmless.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Effect {
    /// Make a tranche's hold invoice.
    MakeHoldInvoice {
        /// The worker's hash.
        hash: PaymentHash,
        /// Payout and fee.
        amount: Msat,
        /// What the payer's wallet shows.
        description: String,
        /// How long it can be paid.
        expiry: Duration,
        /// How many blocks the payer's HTLC must leave.
        final_cltv_delta: Blocks,
    },
    /// Pay the worker.
    Pay {
        /// The worker's hash.
        hash: PaymentHash,
        /// The payout's id: [`payout_id`].
        id: Digest32,
        /// The worker's invoice.
        bolt11: String,
        /// The most that routing may cost.
        fee_limit: Msat,
        /// The most blocks that the route may take.
        cltv_limit: Blocks,
        /// The last height at which the payment may begin.
        begin_by: BlockHeight,
        /// Not before this time.
        not_before: Timestamp,
    },
    /// Claim the money held for a paid tranche.
    ClaimHold {
        /// The worker's hash.
        hash: PaymentHash,
        /// How much is held.
        amount: Msat,
    },
    /// Give a hold back.
    CancelHold {
        /// The worker's hash.
        hash: PaymentHash,
    },
    /// Pay an arbitrator out of the platform's own money: no hold covers it.
    PayReward {
        /// The arbitrator's hash.
        hash: PaymentHash,
        /// The payment's id: [`reward_id`].
        id: Digest32,
        /// The arbitrator's invoice.
        bolt11: String,
        /// The most that routing may cost.
        fee_limit: Msat,
        /// The most blocks that the route may take.
        cltv_limit: Blocks,
        /// Not before this time.
        not_before: Timestamp,
    },
    /// Tell the registry what an arbitrator did in a dispute that is over.
    NoteService {
        /// The dispute.
        dispute: Id<Dispute>,
        /// Who.
        arbitrator: NostrKey,
        /// What it did.
        did: Did,
    },
}

impl Effect {
    /// The idempotency key: one per hash and purpose, and for a payout one per attempt.
    pub fn key(&self) -> String {
        match self {
            Self::MakeHoldInvoice { hash, .. } => Self::invoice_key(hash),
            Self::Pay { id, .. } => Self::pay_key(id),
            Self::ClaimHold { hash, .. } => Self::claim_key(hash),
            Self::CancelHold { hash } => Self::cancel_key(hash),
            Self::PayReward { id, .. } => Self::pay_key(id),
            Self::NoteService { dispute, arbitrator, .. } => format!("dispute/service/{dispute}/{arbitrator}"),
        }
    }

    /// The key of the hold invoice on this hash.
    pub fn invoice_key(hash: &PaymentHash) -> String {
        format!("escrow/invoice/{hash}")
    }

    /// The key of giving the hold on this hash back.
    pub fn cancel_key(hash: &PaymentHash) -> String {
        format!("escrow/cancel/{hash}")
    }

    /// The key of the payout with this id.
    pub fn pay_key(id: &Digest32) -> String {
        format!("escrow/pay/{id}")
    }

    /// The key of the claim on this hash.
    pub fn claim_key(hash: &PaymentHash) -> String {
        format!("escrow/claim/{hash}")
    }

    /// Whether it can be this task's: its hash, or its dispute, is one of those that the task ever had.
    #[must_use]
    pub fn is_of(&self, task: &Task) -> bool {
        match self {
            Self::MakeHoldInvoice { hash, .. }
            | Self::Pay { hash, .. }
            | Self::ClaimHold { hash, .. }
            | Self::CancelHold { hash } => task.named_hashes().contains(hash),
            // Of several invoices of an arbitrator's the task knows the last one.
            Self::PayReward { .. } => task.cases().next().is_some(),
            Self::NoteService { dispute, .. } => task.cases().any(|case| case.dispute.opening.id == *dispute),
        }
    }

    /// Whether both ask for the same, at whatever time they were asked for: what depends on it is left out.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.clone().timeless() == other.clone().timeless()
    }

    fn timeless(mut self) -> Self {
        match &mut self {
            Self::MakeHoldInvoice { expiry, .. } => *expiry = Duration::default(),
            Self::Pay { begin_by, not_before, .. } => {
                (*begin_by, *not_before) = (BlockHeight(0), Timestamp::from_millis(0));
            }
            Self::PayReward { not_before, .. } => *not_before = Timestamp::from_millis(0),
            Self::ClaimHold { .. } | Self::CancelHold { .. } | Self::NoteService { .. } => {}
        }
        self
    }

    /// Before this time it need not be tried.
    pub const fn not_before(&self) -> Timestamp {
        match self {
            Self::Pay { not_before, .. } | Self::PayReward { not_before, .. } => *not_before,
            Self::MakeHoldInvoice { .. }
            | Self::ClaimHold { .. }
            | Self::CancelHold { .. }
            | Self::NoteService { .. } => Timestamp::from_millis(0),
        }
    }
}

/// The identity of a payout: the same after any crash, and another one for each attempt, so that the failure of one
/// attempt is never taken for the failure of the next.
pub fn payout_id(task: Id<Task>, tranche: u32, attempt: u32) -> Digest32 {
    canonical::digest(PAYOUT_TAG, &[task.as_bytes(), &tranche.to_le_bytes(), &attempt.to_le_bytes()])
}

/// The identity of an arbitrator's pay, like [`payout_id`].
pub fn reward_id(dispute: Id<Dispute>, arbitrator: NostrKey, attempt: u32) -> Digest32 {
    let fields: [&[u8]; 3] = [dispute.as_bytes(), &arbitrator.to_bytes(), &attempt.to_le_bytes()];
    canonical::digest(REWARD_TAG, &fields)
}
