//! What became true of an arbitrator. Stored for ever: variants are only added, at the end, and their bytes are golden.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{Digest32, Id, NostrKey};

use super::Did;
use crate::dispute::Dispute;

/// A fact about an arbitrator.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// It offers to sit, or said something new about itself.
    ArbitratorRegistered {
        /// Who.
        arbitrator: NostrKey,
        /// SHA-256 of its statement.
        statement_hash: Digest32,
        /// How to pay it.
        pay: String,
    },
    /// It wants no work for now.
    ArbitratorPaused,
    /// It wants work again.
    ArbitratorResumed,
    /// It left.
    ArbitratorWithdrawn,
    /// An operator let it be drawn.
    ArbitratorAdmitted,
    /// An operator lets it not be drawn any more.
    ArbitratorSuspended,
    /// A dispute is over in which it was asked to sit, and did not refuse: it counts in the next draws.
    ArbitratorServed {
        /// The dispute.
        dispute: Id<Dispute>,
        /// What it did.
        did: Did,
    },
}

impl Event {
    /// The kind under which the journal files this fact.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ArbitratorRegistered { .. } => "arbitrator.registered",
            Self::ArbitratorPaused => "arbitrator.paused",
            Self::ArbitratorResumed => "arbitrator.resumed",
            Self::ArbitratorWithdrawn => "arbitrator.withdrawn",
            Self::ArbitratorAdmitted => "arbitrator.admitted",
            Self::ArbitratorSuspended => "arbitrator.suspended",
            Self::ArbitratorServed { .. } => "arbitrator.served",
        }
    }
}
