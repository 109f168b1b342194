//! What takes an admin and a second factor.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{Digest32, Id, Msat, NostrKey, canonical};

use super::Operation;
use crate::dispute::Dispute;

const ACTION_TAG: &str = "tallystick/admin-action/v1";

/// A role that is granted and withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Role {
    /// Sees the node, and runs it from day to day.
    Operator,
    /// Says who has which role, and does what cannot be undone.
    Admin,
}

/// What an admin does with a second factor, in full: two who sign the same action mean the same.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Action {
    /// Give somebody a role.
    GrantRole {
        /// Which.
        role: Role,
        /// To whom.
        key: NostrKey,
    },
    /// Take a role from somebody.
    WithdrawRole {
        /// Which.
        role: Role,
        /// From whom.
        key: NostrKey,
    },
    /// Let an admin have an authenticator, in place of any that he has. He does it himself; another one proposes it.
    Enrol {
        /// Who.
        admin: NostrKey,
    },
    /// Pay an invoice out of the node.
    Pay {
        /// The invoice (BOLT 11).
        invoice: String,
        /// The most that routing may cost.
        fee_limit: Msat,
    },
    /// Close a channel.
    CloseChannel {
        /// The channel's id, 64 hexadecimal digits.
        channel_id: String,
        /// Alone, without the peer.
        force: bool,
    },
    /// Erase what a stream's facts say.
    Erase {
        /// The stream.
        stream: String,
    },
    /// Erase what was filed in a dispute, before its time is over.
    EraseEvidence {
        /// The stream of what the dispute is about.
        stream: String,
        /// The dispute.
        dispute: Id<Dispute>,
    },
}

impl Action {
    /// The row of the table that it is.
    pub const fn operation(&self) -> Operation {
        match self {
            Self::GrantRole { .. } => Operation::GrantRole,
            Self::WithdrawRole { .. } => Operation::WithdrawRole,
            Self::Enrol { .. } => Operation::Enrol,
            Self::Pay { .. } => Operation::Pay,
            Self::CloseChannel { .. } => Operation::CloseChannel,
            Self::Erase { .. } => Operation::EraseTask,
            Self::EraseEvidence { .. } => Operation::EraseEvidence,
        }
    }

    /// SHA-256 over its framed canonical bytes: a short name for exactly this action.
    pub fn digest(&self) -> Digest32 {
        canonical::digest(ACTION_TAG, &[&canonical::encode(self)])
    }
}
