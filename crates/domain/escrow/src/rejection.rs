//! Why the rules refuse a command. Values inside, a stable code each, and a sentence that tells how to mend it.

use tallystick_civics::dispute;
use tallystick_core::{AmountError, BlockHeight, Blocks, Code, Coded, Msat, Timestamp};

use crate::TermsError;

/// A refused command. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No task has this id.
    #[error("no task has this id")]
    NotFound,
    /// The id belongs to a task with another requester or other terms.
    #[error("this id belongs to another task; make a new UUIDv7")]
    IdTaken,
    /// A term does not fit.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The hold asked for is shorter than work and review may take.
    #[error("a hold of {blocks} is too short: work and review may take {needed}; ask for more blocks or less time")]
    HoldTooShort {
        /// What the terms ask for.
        blocks: Blocks,
        /// What work and review may take.
        needed: Blocks,
    },
    /// The hold would be longer than wallets and routes allow.
    #[error(
        "a hold of {blocks} needs a final CLTV delta of {delta}, and {limit} is the limit; shorten the work deadline \
         or the review window"
    )]
    HoldTooLong {
        /// What work and review take.
        blocks: Blocks,
        /// The final CLTV delta that this needs.
        delta: Blocks,
        /// The limit.
        limit: Blocks,
    },
    /// Only the requester may do this.
    #[error("only the task's requester may do this")]
    NotRequester,
    /// Only the worker may do this.
    #[error("only the task's worker may do this")]
    NotWorker,
    /// Neither requester nor worker.
    #[error("only the task's requester or worker may do this")]
    NotParty,
    /// The requester cannot work on the own task.
    #[error("the requester cannot accept the own task")]
    OwnTask,
    /// The task has a worker already.
    #[error("the task is already assigned to a worker")]
    AlreadyAssigned,
    /// The task has no worker yet.
    #[error("the task is {state}: it has no worker yet")]
    NotAssigned {
        /// The task's state.
        state: &'static str,
    },
    /// The money is not locked, or no longer.
    #[error("the task is {state}: this needs a task whose money is held")]
    NotHeld {
        /// The task's state.
        state: &'static str,
    },
    /// No work waits for a decision.
    #[error("the task is {state}: this needs work that was submitted and not decided on")]
    NotSubmitted {
        /// The task's state.
        state: &'static str,
    },
    /// The task has no such milestone.
    #[error("the task has {count} milestones, counted from 0: there is no {milestone}")]
    NoMilestone {
        /// The one that was named.
        milestone: u32,
        /// How many there are.
        count: usize,
    },
    /// The milestone has no such tranche, or it was named twice.
    #[error("the milestone has {count} tranches, counted from 0: name each once, and not {tranche}")]
    NoTranche {
        /// The one that was named.
        tranche: u32,
        /// How many there are.
        count: usize,
    },
    /// No tranche is named.
    #[error("name at least one tranche, or none at all for all that are undecided")]
    NothingToApprove,
    /// A tranche was decided before, the other way or by something else.
    #[error("tranche {tranche} of the milestone is decided already")]
    TrancheDecided {
        /// Its position in the milestone, from 0.
        tranche: u32,
    },
    /// The terms do not say that holds may be renewed.
    #[error("the holds of this task cannot be renewed: its terms do not say so")]
    NotRenewable,
    /// Another renewal can still be funded.
    #[error("another renewal was offered, and can be funded until {until}")]
    RenewalUnderWay {
        /// Until when.
        until: Timestamp,
    },
    /// The task cannot be cancelled any more.
    #[error("the task is {state}: it can no longer be cancelled")]
    NotCancellable {
        /// The task's state.
        state: &'static str,
    },
    /// The task has come to its end.
    #[error("the task is {state}, which is final")]
    Ended {
        /// The task's state.
        state: &'static str,
    },
    /// Other work was submitted before.
    #[error("other work was already submitted")]
    WorkAlreadySubmitted,
    /// Another invoice was given for the worker's bond before.
    #[error("another invoice was already given for the worker's bond")]
    BondAlreadyOffered,
    /// The work was rejected before, for other reasons.
    #[error("the work was already rejected, for other reasons")]
    WorkAlreadyRejected,
    /// The time for this has passed: the work deadline, or for a rejection the review window.
    #[error("the time for this has passed: it ended at {deadline}")]
    DeadlinePassed {
        /// The deadline.
        deadline: Timestamp,
    },
    /// Neither the review nor the payout that follows would be safe any more.
    #[error("too few blocks are left for this: the last height was {last}, and this is {height}")]
    TooFewBlocks {
        /// The height now.
        height: BlockHeight,
        /// The last height at which it could be done.
        last: BlockHeight,
    },
    /// Not one invoice per tranche.
    #[error(
        "one invoice is needed for each tranche or bond that would be paid to you, {tranches} in all, but {invoices} were handed in"
    )]
    InvoiceCount {
        /// Invoices handed in.
        invoices: usize,
        /// The task's tranches.
        tranches: usize,
    },
    /// The invoice is for another network.
    #[error("the invoice is for another network than this node's")]
    InvoiceNetwork,
    /// The invoice names no amount.
    #[error("the invoice names no amount; it must be for {needed}")]
    InvoiceAmountless {
        /// The tranche's payout.
        needed: Msat,
    },
    /// The invoice names another amount.
    #[error("the invoice is for {amount}; it must be for {needed}")]
    InvoiceAmount {
        /// What it names.
        amount: Msat,
        /// The tranche's payout.
        needed: Msat,
    },
    /// The invoice has expired.
    #[error("the invoice expired at {expires_at}")]
    InvoiceExpired {
        /// When.
        expires_at: Timestamp,
    },
    /// The invoice expires while the task may still have to pay it.
    #[error("the invoice expires at {expires_at}; it must be payable until {needed}")]
    InvoiceExpiresSoon {
        /// When it expires.
        expires_at: Timestamp,
        /// Until when it must be payable.
        needed: Timestamp,
    },
    /// The invoice asks for more blocks than a payout may take.
    #[error("the invoice asks for a final CLTV delta of {delta}, {limit} is the limit")]
    InvoiceFinalCltv {
        /// What it asks for.
        delta: Blocks,
        /// The limit.
        limit: Blocks,
    },
    /// The invoice would pay this node itself.
    #[error("the invoice is this node's own; use a wallet of your own")]
    InvoiceToSelf,
    /// The invoice's hash was used before.
    #[error("the invoice's payment hash was used before; make a fresh invoice")]
    HashReused,
    /// A payer's money for this hash is not wanted (any more).
    #[error("no money is wanted for this hash: the task is {state}")]
    HoldUnwanted {
        /// The task's state.
        state: &'static str,
    },
    /// A payer's money is not what was asked for.
    #[error("{amount} with deadline {claim_deadline} was locked, but {needed} until at least {deadline_min} is needed")]
    HoldUnfit {
        /// What was locked.
        amount: Msat,
        /// What was asked for.
        needed: Msat,
        /// Its deadline.
        claim_deadline: BlockHeight,
        /// The earliest deadline that would do.
        deadline_min: BlockHeight,
    },
    /// A hold was claimed before its payout was heard of; the rail will tell again.
    #[error("the hold was claimed, but its payout has not been heard of yet")]
    ClaimBeforePayout,
    /// The task has no tranche with this hash.
    #[error("the task has no tranche with this hash")]
    UnknownHash,
    /// A panel decides, and the parties can no longer.
    #[error("the milestone is disputed: its panel decides")]
    Disputed,
    /// The terms do not say that a panel decides.
    #[error("the task's terms name no panel: nothing of it can be disputed")]
    NoPanel,
    /// This side had its dispute.
    #[error("you opened a dispute about this milestone before; each side can once")]
    DisputedBefore,
    /// There is no dispute.
    #[error("the milestone is not, and was not, disputed")]
    NotDisputed,
    /// Arbitrators are paid when all is over.
    #[error("the dispute is not over yet: arbitrators are paid afterwards")]
    DisputeRuns,
    /// Did not vote.
    #[error("only an arbitrator who revealed a vote is paid")]
    NotServed,
    /// The arbitrator's pay is on its way.
    #[error("your pay is on its way to another invoice")]
    RewardUnderWay,
    /// The arbitrator was paid.
    #[error("you were paid for this dispute already")]
    RewardPaid,
    /// The rules of disputes refuse it.
    #[error(transparent)]
    Dispute(#[from] dispute::Rejection),
    /// An amount does not fit.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl Coded for Rejection {
    fn code(&self) -> Code {
        Code(match self {
            Self::NotFound => "escrow.not_found",
            Self::IdTaken => "escrow.id_taken",
            Self::Terms(error) => return error.code(),
            Self::HoldTooShort { .. } => "escrow.hold_too_short",
            Self::HoldTooLong { .. } => "escrow.hold_too_long",
            Self::NotRequester => "escrow.not_requester",
            Self::NotWorker => "escrow.not_worker",
            Self::NotParty => "escrow.not_party",
            Self::OwnTask => "escrow.own_task",
            Self::AlreadyAssigned => "escrow.already_assigned",
            Self::NotAssigned { .. } => "escrow.not_assigned",
            Self::NotHeld { .. } => "escrow.not_held",
            Self::NotSubmitted { .. } => "escrow.not_submitted",
            Self::NoMilestone { .. } => "escrow.no_milestone",
            Self::NoTranche { .. } => "escrow.no_tranche",
            Self::NothingToApprove => "escrow.nothing_to_approve",
            Self::TrancheDecided { .. } => "escrow.tranche_decided",
            Self::NotRenewable => "escrow.not_renewable",
            Self::RenewalUnderWay { .. } => "escrow.renewal_under_way",
            Self::NotCancellable { .. } => "escrow.not_cancellable",
            Self::Ended { .. } => "escrow.ended",
            Self::WorkAlreadySubmitted => "escrow.work_already_submitted",
            Self::BondAlreadyOffered => "escrow.bond_already_offered",
            Self::WorkAlreadyRejected => "escrow.work_already_rejected",
            Self::DeadlinePassed { .. } => "escrow.deadline_passed",
            Self::TooFewBlocks { .. } => "escrow.too_few_blocks",
            Self::InvoiceCount { .. } => "invoice.count",
            Self::InvoiceNetwork => "invoice.wrong_network",
            Self::InvoiceAmountless { .. } => "invoice.amountless",
            Self::InvoiceAmount { .. } => "invoice.wrong_amount",
            Self::InvoiceExpired { .. } => "invoice.expired",
            Self::InvoiceExpiresSoon { .. } => "invoice.expires_soon",
            Self::InvoiceFinalCltv { .. } => "invoice.final_cltv",
            Self::InvoiceToSelf => "invoice.to_self",
            Self::HashReused => "invoice.hash_reused",
            Self::HoldUnwanted { .. } => "escrow.hold_unwanted",
            Self::HoldUnfit { .. } => "escrow.hold_unfit",
            Self::ClaimBeforePayout => "escrow.claim_before_payout",
            Self::UnknownHash => "escrow.unknown_hash",
            Self::Disputed => "escrow.disputed",
            Self::NoPanel => "escrow.no_panel",
            Self::DisputedBefore => "escrow.disputed_before",
            Self::NotDisputed => "escrow.not_disputed",
            Self::DisputeRuns => "escrow.dispute_runs",
            Self::NotServed => "escrow.not_served",
            Self::RewardUnderWay => "escrow.reward_under_way",
            Self::RewardPaid => "escrow.reward_paid",
            Self::Dispute(rejection) => return rejection.code(),
            Self::Amount(error) => return error.code(),
        })
    }
}
