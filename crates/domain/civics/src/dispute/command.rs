//! What can be asked of a dispute: by its users, and by the node.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{BlockHeight, Digest32};

use super::Award;
use crate::draw::Candidates;

/// A command to a dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A user asks.
    User(UserCommand),
    /// The node reports a block, or that blocks were found.
    Node(NodeCommand),
}

/// What parties and arbitrators ask. Who asks is in the context.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum UserCommand {
    /// A party shows something to the panel.
    FileEvidence {
        /// SHA-256 of its bytes.
        hash: Digest32,
        /// How many bytes.
        bytes: u64,
    },
    /// Who was drawn will sit.
    AcceptSeat,
    /// Who was drawn will not sit; who has accepted can still do this until the seating is over.
    RefuseSeat,
    /// An arbitrator votes, without showing how.
    CommitVote {
        /// [`super::commitment`].
        commitment: Digest32,
    },
    /// An arbitrator shows the vote.
    RevealVote {
        /// The vote.
        award: Award,
        /// The salt of its commitment.
        salt: [u8; 32],
    },
    /// A party asks for a larger panel.
    Appeal,
    /// A party is content with the ruling.
    AcceptRuling,
    /// Who opened the dispute gives it up.
    Withdraw,
}

/// What the node reports. Its canonical bytes are what the node signs.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum NodeCommand {
    /// The draw's block is buried deep enough.
    RecordDraw {
        /// The block's height: that after the one at which the round began.
        block_height: BlockHeight,
        /// Its hash, in the order in which it is shown.
        block_hash: Digest32,
        /// All that the registry had to offer, the excluded ones with them.
        candidates: Candidates,
        /// The number of the fact as of which that is so.
        registry_seq: u64,
    },
    /// Blocks were found.
    Wake,
}
