//! The Lightning rail as escrow needs it: hold invoices on somebody else's payment hash, and payouts.
//!
//! # What an implementation guarantees
//! * The node learns a preimage only by paying the payee; it never leaves the rail.
//! * Every call may be repeated after a crash; a repeated call has one effect.
//! * A call that answers `Ok` is durable: the effect survives `kill -9` right after.
//! * Notices come at least once, and are repeated until the listener answers `Ok`.

use async_trait::async_trait;
use tallystick_core::{BlockHeight, Blocks, Code, Coded, Digest32, Duration, Msat, PaymentHash};
pub use tallystick_escrow::{InvoiceFacts, PayFailure};

/// A hold invoice to be made: BOLT 11, on a hash whose preimage the node does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The payee's own payment hash.
    pub hash: PaymentHash,
    /// What the payer must pay, exactly.
    pub amount: Msat,
    /// What the payer's wallet shows; at most 639 bytes (BOLT 11).
    pub description: String,
    /// How long the invoice can be paid.
    pub expiry: Duration,
    /// How many blocks the payer's HTLC must leave until it expires, when it arrives.
    pub final_cltv_delta: Blocks,
}

/// A payout to be made. Two requests with one `id` are one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayRequest {
    /// The payment's identity: derived from tranche and attempt, so that it is the same after a crash.
    pub id: Digest32,
    /// The payee's BOLT 11 invoice.
    pub bolt11: String,
    /// The most that routing may cost.
    pub fee_limit: Msat,
    /// The most blocks that the route may take, the last hop's delta included.
    pub cltv_limit: Blocks,
    /// The last height at which the payment may begin. A payment that has not begun by then fails with
    /// [`PayFailure::TooLate`]; one that has begun is not started again at a greater height.
    pub begin_by: BlockHeight,
    /// Whether it begins only while a payer's money is held on its hash. What is paid without, out of the node's own
    /// money, is refused if money is or was held there: its preimage is not to be bought.
    pub covered: bool,
}

/// How a payout stands. Only these two ends are final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayState {
    /// Under way: a notice will follow.
    InFlight,
    /// Paid: the preimage is sealed on disk and the claim on the payer's HTLC is under way.
    Paid {
        /// What routing cost.
        fee: Msat,
    },
    /// Failed for good: no HTLC of this payment is left anywhere, and none will come under this `id`.
    Failed {
        /// Why.
        reason: PayFailure,
    },
}

/// How a claim on a payer's HTLC stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// Under way: a notice follows.
    Claiming,
    /// The payer's HTLC is settled.
    Claimed,
}

/// What the rail reports by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RailNotice {
    /// A payer's HTLCs for a hold invoice arrived in full and are locked.
    HoldLocked {
        /// The hold's hash.
        hash: PaymentHash,
        /// What is locked.
        amount: Msat,
        /// The height at which the rail gives the money back by itself: a claim must come strictly before it.
        claim_deadline: BlockHeight,
    },
    /// A hold is gone, without a claim: given back by the rail at its deadline, or lost with its channel.
    HoldLost {
        /// The hold's hash.
        hash: PaymentHash,
    },
    /// A hold was claimed: the payer's money is ours.
    HoldClaimed {
        /// The hold's hash.
        hash: PaymentHash,
        /// What was claimed.
        amount: Msat,
    },
    /// A payout reached the payee.
    PayoutPaid {
        /// The [`PayRequest::id`].
        id: Digest32,
        /// The payout's hash.
        hash: PaymentHash,
        /// What routing cost.
        fee: Msat,
    },
    /// A payout failed for good.
    PayoutFailed {
        /// The [`PayRequest::id`].
        id: Digest32,
        /// The payout's hash.
        hash: PaymentHash,
        /// Why.
        reason: PayFailure,
    },
    /// The best block changed.
    Block {
        /// Its height.
        height: BlockHeight,
    },
}

/// What the listener made of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is journaled, or needs no fact.
    Noted,
    /// No product knows this hash: a hold on it must be given back.
    Unknown,
}

/// Who listens to a rail. An error means: tell me again.
#[async_trait]
pub trait RailListener: Send + Sync {
    /// Takes a notice. Answers only when every fact that follows from it is durable.
    ///
    /// # Errors
    /// [`NotHeard`] if it could not be journaled; the rail repeats the notice.
    async fn hear(&self, notice: RailNotice) -> Result<Heard, NotHeard>;
}

/// A notice could not be journaled and must be repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the notice could not be journaled: {0}")]
pub struct NotHeard(pub String);

/// Holds and payouts. See the module's guarantees.
#[async_trait]
pub trait HoldRail: Send + Sync {
    /// Makes a hold invoice. The same request may give different invoices; all are on the same hash.
    ///
    /// # Errors
    /// [`RailError`] if the rail cannot make it now.
    async fn hold_invoice(&self, request: HoldRequest) -> Result<String, RailError>;

    /// Gives a hold back to its payer. `Ok` as well if nothing is held on this hash.
    ///
    /// # Errors
    /// [`RailError::Claimed`] if the hold is being claimed; others if the rail cannot do it now.
    async fn cancel_hold(&self, hash: PaymentHash) -> Result<(), RailError>;

    /// Claims a hold with the preimage that paying the payee revealed.
    ///
    /// # Errors
    /// [`RailError::NoPreimage`] if the payee was not paid; others if the rail cannot do it now.
    async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError>;

    /// Pays a payee, once per [`PayRequest::id`]. A repeated call answers how that payment stands.
    ///
    /// A payment that is to be covered begins only while a payer's money is held on its hash, with a claim deadline beyond the height that it
    /// may last to: the current one and [`PayRequest::cltv_limit`]. Without such a hold it fails for good with
    /// [`PayFailure::TooLate`]: the listener may not have heard yet that the hold is gone.
    ///
    /// # Errors
    /// [`RailError`] if the rail cannot tell or begin; the payment may be asked for again.
    async fn pay(&self, request: PayRequest) -> Result<PayState, RailError>;

    /// The hashes on which a payer's HTLC is held right now, with its amount.
    ///
    /// # Errors
    /// [`RailError`] if the rail is not running.
    async fn holds(&self) -> Result<Vec<(PaymentHash, Msat)>, RailError>;

    /// The height of the best block that the rail has processed.
    fn height(&self) -> BlockHeight;

    /// Whether it sees its chain and reaches its network, as far as it knows: a time in which it does not counts as the
    /// node's absence.
    fn is_reachable(&self) -> bool;
}

/// Reads payees' invoices.
pub trait InvoiceReader: Send + Sync {
    /// Reads a BOLT 11 invoice and checks its form and signature, nothing else.
    ///
    /// # Errors
    /// [`InvoiceError`] if it is none, or names features that the node does not know.
    fn read(&self, bolt11: &str) -> Result<InvoiceFacts, InvoiceError>;
}

/// Why an invoice cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvoiceError {
    /// Not a BOLT 11 invoice, or its checksum or signature is wrong.
    #[error("this is not a valid BOLT 11 invoice: {0}")]
    Malformed(String),
    /// It needs features that this node does not know.
    #[error("the invoice needs features that this node does not know")]
    UnknownFeatures,
    /// It does not carry one payment secret, which every payment needs (BOLT 11, BOLT 4).
    #[error("the invoice has no payment secret, or several; make it with a current wallet")]
    NoSecret,
    /// It is longer than any wallet makes.
    #[error("the invoice has {length} characters, at most {limit} are read")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Coded for InvoiceError {
    fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code("invoice.malformed"),
            Self::UnknownFeatures => Code("invoice.unknown_features"),
            Self::NoSecret => Code("invoice.no_secret"),
            Self::TooLong { .. } => Code("invoice.too_long"),
        }
    }
}

/// Why a rail did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RailError {
    /// Not now: try again later.
    #[error("the Lightning node cannot do this now: {0}")]
    Unavailable(String),
    /// The hold is being claimed, so it cannot be given back.
    #[error("the hold is being claimed")]
    Claimed,
    /// The payee was not paid, so there is no preimage to claim with.
    #[error("the preimage is not known")]
    NoPreimage,
    /// The request makes no sense to the rail; asking again will not help. A payment that is refused has not begun.
    #[error("the Lightning node refuses this: {0}")]
    Refused(String),
}

impl Coded for RailError {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable(_) => Code("lightning.unavailable"),
            Self::Claimed => Code("lightning.claimed"),
            Self::NoPreimage => Code("lightning.no_preimage"),
            Self::Refused(_) => Code("lightning.refused"),
        }
    }
}
