//! What can be asked of the registry: by an arbitrator, and by operators.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{Digest32, Id, NostrKey};

use crate::dispute::{Dispute, Duty};

/// A command to an arbitrator's stream.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Command {
    /// The arbitrator asks. Who asks is in the context.
    User(UserCommand),
    /// An operator asks; the host has checked that it is one.
    Operator(OperatorCommand),
    /// The node reports.
    Node(NodeCommand),
}

/// What an arbitrator asks about itself.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum UserCommand {
    /// Offer to sit on panels, or change what was said before; the author becomes the arbitrator.
    Register {
        /// SHA-256 of the statement in which it tells who it is and what it knows.
        statement_hash: Digest32,
        /// How to pay it: a BOLT 12 offer or a Lightning address, 1 to [`super::PAY_BYTES_MAX`] bytes of printable ASCII
        /// without spaces.
        pay: String,
    },
    /// No work for now.
    Pause,
    /// Work again.
    Resume,
    /// Leave.
    Withdraw,
}

/// What operators ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum OperatorCommand {
    /// Let it be drawn.
    Admit {
        /// Whom.
        arbitrator: NostrKey,
        /// The statement that the operator has read.
        statement_hash: Digest32,
    },
    /// Let it not be drawn any more.
    Suspend {
        /// Whom.
        arbitrator: NostrKey,
    },
}

/// What the node reports. Its canonical bytes are what the node signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum NodeCommand {
    /// A dispute is over in which it was asked to sit, and did not refuse.
    RecordService {
        /// The dispute.
        dispute: Id<Dispute>,
        /// What it did.
        did: Did,
    },
}

/// What an arbitrator did in a dispute, as everybody may know it: without amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Did {
    /// Revealed a vote.
    Voted {
        /// How far it lay from the round's ruling, in thousandths of what was disputed; the whole if the round had none.
        off_permille: u16,
    },
    /// Missed this.
    Missed(Duty),
}
