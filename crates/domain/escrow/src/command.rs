//! What can be asked of a task: by its users, and by the node.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_civics::{
    dispute::{self, Dispute},
    draw::Candidates,
};
use tallystick_core::{BlockHeight, Digest32, Id, Msat, NostrKey, PaymentHash, Timestamp};

use crate::{InvoiceFacts, PayFailure, Policy, Task, Terms, TrancheInvoice};

/// A command to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A user asks.
    User(UserCommand),
    /// The node reports an outcome, or that time has passed.
    Node(NodeCommand),
}

/// What users ask. Who asks is in the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCommand {
    /// Post a task; the author becomes its requester.
    CreateTask {
        /// The new task's id.
        id: Id<Task>,
        /// Its terms.
        terms: Terms,
        /// The node's policy at this time, which becomes part of the task.
        policy: Box<Policy>,
    },
    /// Take the task; the author becomes its worker.
    AcceptTask {
        /// One invoice per tranche, in order, and one for the requester's bond, with what the rail read in it.
        invoices: Vec<(String, InvoiceFacts)>,
    },
    /// Ask for the funding invoices.
    RequestFunding,
    /// The same, with an invoice of the requester's own to which the worker's bond would be paid.
    FundWithBond {
        /// The invoice, with what the rail read in it.
        invoice: Box<(String, InvoiceFacts)>,
    },
    /// Hand in a milestone's work.
    SubmitWork {
        /// The milestone's position, from 0.
        milestone: u32,
        /// SHA-256 of what was handed in.
        work_hash: Digest32,
    },
    /// Offer to renew the holds of what is undecided of a milestone.
    OfferRenewal {
        /// The milestone's position, from 0.
        milestone: u32,
        /// One invoice for each of its undecided tranches, in order, with what the rail read in it.
        invoices: Vec<(String, InvoiceFacts)>,
    },
    /// Accept a milestone's work, or a part of it: the worker is paid.
    ApproveWork {
        /// The milestone's position, from 0.
        milestone: u32,
        /// Which of its tranches, from 0; all that are undecided if there are none named.
        tranches: Option<Vec<u32>>,
    },
    /// Refuse what is undecided of a milestone's work: the requester gets its money back.
    RejectWork {
        /// The milestone's position, from 0.
        milestone: u32,
        /// SHA-256 of the reasons, which the parties keep.
        reason_hash: Digest32,
    },
    /// Step back from the task: what is held for work that was not handed in goes back, and for the worker, what is
    /// undecided as well.
    CancelTask,
    /// The worker gives up what is undecided of a milestone: the requester gets it back.
    ConcedeWork {
        /// The milestone's position, from 0.
        milestone: u32,
    },
    /// Have a panel decide about what is undecided of a milestone.
    OpenDispute {
        /// The milestone's position, from 0.
        milestone: u32,
        /// What the node adds.
        docket: Docket,
    },
    /// Do something in a milestone's dispute.
    Dispute {
        /// The milestone's position, from 0.
        milestone: u32,
        /// What.
        command: dispute::UserCommand,
    },
    /// Be paid for a vote in a milestone's dispute that is over; the author is the arbitrator.
    CollectReward {
        /// The milestone's position, from 0.
        milestone: u32,
        /// An invoice for what is due, with what the rail read in it.
        invoice: Box<(String, InvoiceFacts)>,
    },
}

/// A time in which this node was away, as its own facts tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Outage {
    /// The last time at which it is known to have been there.
    pub from: Timestamp,
    /// When it was back.
    pub until: Timestamp,
}

impl Outage {
    /// Whether some of it lies in this time, ends included.
    pub fn overlaps(self, from: Timestamp, until: Timestamp) -> bool {
        self.from <= until && from <= self.until
    }
}

/// What the node adds to a dispute that is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docket {
    /// The new dispute's id.
    pub id: Id<Dispute>,
    /// Who must not sit, besides the parties: sorted, without repeats.
    pub conflicts: Vec<NostrKey>,
    /// The number of the journal's fact as of which all panels are drawn from the registry.
    pub registry_seq: u64,
}

/// What the node reports. Its canonical bytes are what the node signs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum NodeCommand {
    /// A hold invoice was made.
    RecordHoldInvoice {
        /// The tranche's hash.
        hash: PaymentHash,
        /// The invoice.
        bolt11: String,
    },
    /// A payer's money is locked.
    RecordHoldLocked {
        /// The tranche's hash.
        hash: PaymentHash,
        /// How much.
        amount: Msat,
        /// The height before which it must be claimed.
        claim_deadline: BlockHeight,
    },
    /// A hold is gone without a claim.
    RecordHoldLost {
        /// The tranche's hash.
        hash: PaymentHash,
    },
    /// A hold was given back as asked.
    RecordHoldReturned {
        /// The tranche's hash.
        hash: PaymentHash,
    },
    /// A hold was claimed.
    RecordHoldClaimed {
        /// The tranche's hash.
        hash: PaymentHash,
        /// How much.
        amount: Msat,
    },
    /// A payout reached the worker.
    RecordPayoutPaid {
        /// The tranche's hash.
        hash: PaymentHash,
        /// The payout's id.
        id: Digest32,
        /// What routing cost.
        fee: Msat,
    },
    /// A payout failed for good.
    RecordPayoutFailed {
        /// The tranche's hash.
        hash: PaymentHash,
        /// The payout's id.
        id: Digest32,
        /// Why.
        reason: PayFailure,
    },
    /// Time has passed, or blocks were found.
    Wake,
    /// The rail settled a hold by itself: its payee was paid, and the payer's money is taken or being taken.
    RecordHoldSpent {
        /// The tranche's hash.
        hash: PaymentHash,
    },
    /// The rail refuses to make a hold invoice, and would the next time too.
    RecordHoldRefused {
        /// The tranche's hash.
        hash: PaymentHash,
    },
    /// The block that decides who sits on a disputed milestone's panel is buried deep enough.
    RecordDraw {
        /// The milestone's position, from 0.
        milestone: u32,
        /// The block's height.
        block_height: BlockHeight,
        /// Its hash, in the order in which it is shown.
        block_hash: Digest32,
        /// All that the registry had to offer.
        candidates: Candidates,
        /// The number of the fact as of which that is so.
        registry_seq: u64,
    },
    /// The same as [`NodeCommand::Wake`], with all times in which this node was away since the task was created: with that, a
    /// bond may be taken.
    WakeKnowing {
        /// The times.
        outages: Vec<Outage>,
    },
}

impl NodeCommand {
    /// The hash of the hold or payment that it tells of; nothing for a wake-up or a draw.
    pub const fn hash(&self) -> Option<PaymentHash> {
        match self {
            Self::RecordHoldInvoice { hash, .. }
            | Self::RecordHoldLocked { hash, .. }
            | Self::RecordHoldLost { hash }
            | Self::RecordHoldReturned { hash }
            | Self::RecordHoldClaimed { hash, .. }
            | Self::RecordPayoutPaid { hash, .. }
            | Self::RecordPayoutFailed { hash, .. }
            | Self::RecordHoldSpent { hash }
            | Self::RecordHoldRefused { hash } => Some(*hash),
            Self::Wake | Self::WakeKnowing { .. } | Self::RecordDraw { .. } => None,
        }
    }
}

/// An invoice as a task keeps it.
impl From<(String, &InvoiceFacts)> for TrancheInvoice {
    fn from((bolt11, facts): (String, &InvoiceFacts)) -> Self {
        Self { bolt11, hash: facts.hash, expires_at: facts.expires_at }
    }
}
