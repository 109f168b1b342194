//! Keys, terms, invoices and hashes, always the same.

use tallystick_core::{
    BlockHeight, Blocks, Digest32, Duration, Id, Msat, NodeKey, NostrKey, PaymentHash, Sat, Timestamp,
};
use tallystick_escrow::{InvoiceFacts, MilestoneTerms, OnSilence, Policy, Task, Terms};

/// The time at which everything begins.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// The height at which everything begins.
pub const HEIGHT: BlockHeight = BlockHeight(800_000);
/// How long work may take.
pub const WORK_TIME: Duration = Duration::from_secs(86_400);
/// How long the requester may look at it.
pub const REVIEW: Duration = Duration::from_secs(3_600);
/// When work must be submitted.
pub const DEADLINE: Timestamp = NOW.after(WORK_TIME);
/// The blocks of [`WORK_TIME`] and [`REVIEW`]: 25 hours, 6 blocks each, a fifth, and 6 for silence to lead.
pub const HOLD_BLOCKS: Blocks = Blocks(186);

/// The `n`th user's key.
///
/// # Panics
/// Never: the number is far below the curve's order.
pub fn key(n: u8) -> NostrKey {
    let mut secret = [1; 32];
    secret[31] = n;
    NodeKey::try_new(&secret).expect("far below the curve's order").public()
}

/// Who pays.
pub fn requester() -> NostrKey {
    key(1)
}

/// Who works.
pub fn worker() -> NostrKey {
    key(2)
}

/// Somebody else.
pub fn stranger() -> NostrKey {
    key(3)
}

/// The node.
pub fn node() -> NostrKey {
    key(4)
}

/// The task's id.
pub fn task_id() -> Id<Task> {
    Id::from_parts(NOW.as_millis(), [9; 10])
}

/// An amount in satoshi.
///
/// # Panics
/// If there is not that much bitcoin.
pub fn sat(amount: u64) -> Sat {
    Sat::try_new(amount).expect("a test asks for less than all bitcoin")
}

/// An amount in millisatoshi.
///
/// # Panics
/// If there is not that much bitcoin.
pub fn msat(amount: u64) -> Msat {
    Msat::try_new(amount).expect("a test asks for less than all bitcoin")
}

/// Terms with these payouts in satoshi: a day of work, an hour of review, silence pays.
pub fn terms(payouts: &[u64]) -> Terms {
    Terms {
        title: "Paint the fence".into(),
        description_hash: Digest32([0xdd; 32]),
        milestones: vec![milestone(payouts, DEADLINE)],
        review_window: REVIEW,
        on_silence: OnSilence::Release,
        hold_blocks: None,
        renewal: None,
        panel: None,
        bonds: tallystick_escrow::Bonds::default(),
    }
}

/// The same terms with the only milestone due then.
#[must_use]
pub fn due(work_deadline: Timestamp, terms: Terms) -> Terms {
    let milestones = terms.milestones.into_iter().map(|part| MilestoneTerms { work_deadline, ..part }).collect();
    Terms { milestones, ..terms }
}

/// A milestone with these payouts in satoshi, due then.
pub fn milestone(payouts: &[u64], work_deadline: Timestamp) -> MilestoneTerms {
    MilestoneTerms {
        title: "The north side".into(),
        payouts: payouts.iter().map(|payout| sat(*payout)).collect(),
        work_deadline,
    }
}

/// The hash of the worker's invoice for a tranche.
pub fn hash(tranche: u8) -> PaymentHash {
    PaymentHash([0x10 + tranche; 32])
}

/// The worker's invoice for a tranche, and what the rail reads in it.
pub fn invoice(tranche: u8, payout: u64) -> (String, InvoiceFacts) {
    let facts = InvoiceFacts {
        same_network: true,
        hash: hash(tranche),
        amount: Some(sat(payout).to_msat()),
        expires_at: NOW.after(Duration::from_secs(30 * 86_400)),
        final_cltv_delta: Blocks(18),
        payee_is_self: false,
        hash_was_paid: false,
    };
    (format!("payout invoice {tranche}"), facts)
}

/// One invoice for each of these payouts.
pub fn invoices(payouts: &[u64]) -> Vec<(String, InvoiceFacts)> {
    (0..).zip(payouts).map(|(tranche, payout)| invoice(tranche, *payout)).collect()
}

/// The default policy, but for payouts and fees of any size, so that tests may count with small numbers.
pub fn policy() -> Policy {
    Policy { fee_min: sat(1), payout_min: sat(1), ..Policy::default() }
}

/// What the payer locks for a payout under [`policy`]: the payout and its fee.
///
/// # Panics
/// If there is not that much bitcoin.
pub fn hold_of(payout: u64) -> Msat {
    let fee = policy().fee(sat(payout));
    sat(payout).checked_add(fee).expect("a test asks for less than all bitcoin").to_msat()
}

/// The work that is handed in.
pub const WORK: Digest32 = Digest32([0xaa; 32]);
/// The reasons for which it is refused.
pub const REASONS: Digest32 = Digest32([0xbb; 32]);
