//! What became true of a dispute. Stored for ever, inside of its host's facts: variants are only added, at the end, and
//! their bytes are golden.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{BlockHeight, Digest32, NostrKey};

use super::{Award, Cause, Opening, Seats, Side};

/// Why a panel did not come to a ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Failure {
    /// Its draw was not recorded while there was time.
    NoDraw,
    /// Fewer than a majority sat.
    TooFewSeated,
    /// Fewer than a majority committed to a vote.
    TooFewCommitted,
    /// Fewer than a majority revealed their vote.
    TooFewRevealed,
    /// Its next phase would have begun too late for a ruling to be carried out.
    NoTime,
}

/// A fact about a dispute. Rounds count from 1; `until` is the first height at which it is too late.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Event {
    /// A party opened it; its first round began.
    DisputeOpened {
        /// What about, and on which terms.
        opening: Opening,
        /// By whom.
        by: Side,
        /// How many are to sit.
        seats: Seats,
        /// At which height.
        at: BlockHeight,
    },
    /// A party showed something.
    EvidenceFiled {
        /// Which party.
        by: Side,
        /// SHA-256 of its bytes.
        hash: Digest32,
        /// How many bytes.
        bytes: u64,
    },
    /// A panel was drawn; its first names are asked. All that anyone needs to draw it again.
    PanelDrawn {
        /// The round.
        round: u32,
        /// The height of the draw's block.
        block_height: BlockHeight,
        /// Its hash, in the order in which it is shown.
        block_hash: Digest32,
        /// The number of the fact as of which the list was taken from the registry.
        registry_seq: u64,
        /// [`crate::draw::Candidates::digest`] of the whole list.
        candidates: Digest32,
        /// Who was drawn, in order.
        order: Vec<NostrKey>,
        /// At which height they were asked.
        at: BlockHeight,
        /// Until when they may answer.
        until: BlockHeight,
    },
    /// Somebody will sit.
    SeatAccepted {
        /// Who.
        arbitrator: NostrKey,
    },
    /// Somebody will not sit; the next of the draw is asked.
    SeatRefused {
        /// Who.
        arbitrator: NostrKey,
        /// At which height.
        at: BlockHeight,
    },
    /// The panel is complete, or as complete as it gets. Evidence is closed.
    CommittingBegun {
        /// Until when votes can be committed to.
        until: BlockHeight,
    },
    /// An arbitrator has voted.
    VoteCommitted {
        /// Who.
        arbitrator: NostrKey,
        /// What hides the vote.
        commitment: Digest32,
    },
    /// All votes are in, or the time for them is over.
    RevealingBegun {
        /// Until when they can be revealed.
        until: BlockHeight,
    },
    /// An arbitrator showed the vote.
    VoteRevealed {
        /// Who.
        arbitrator: NostrKey,
        /// The vote.
        award: Award,
        /// The salt, with which anyone can check the commitment.
        salt: [u8; 32],
    },
    /// The votes made a ruling.
    RulingMade {
        /// The round.
        round: u32,
        /// The ruling.
        award: Award,
        /// Until when it can be appealed.
        until: BlockHeight,
    },
    /// A party is content with the ruling.
    RulingAccepted {
        /// Which party.
        by: Side,
    },
    /// Another round began.
    RoundBegun {
        /// The round.
        round: u32,
        /// Why.
        cause: Cause,
        /// How many are to sit.
        seats: Seats,
        /// At which height.
        at: BlockHeight,
    },
    /// A panel did not come to a ruling.
    PanelFailed {
        /// The round.
        round: u32,
        /// Why.
        why: Failure,
        /// At which height.
        at: BlockHeight,
    },
    /// A ruling stands.
    DisputeDecided {
        /// The ruling.
        award: Award,
    },
    /// No panel came to a ruling.
    DisputeFailed,
    /// Who opened it gave it up.
    DisputeWithdrawn,
    /// Its host closed it: the sides agreed, or nothing was left to decide on.
    DisputeClosed,
}

impl Event {
    /// The kind of [`Event::DisputeClosed`].
    pub const CLOSED: &'static str = "dispute.closed";
    /// The kind of [`Event::PanelDrawn`].
    pub const PANEL_DRAWN: &'static str = "dispute.panel_drawn";
    /// The kinds of facts by which a dispute goes on by itself.
    pub const STEPS: [&'static str; 7] = [
        "dispute.committing_begun",
        "dispute.revealing_begun",
        "dispute.ruling_made",
        "dispute.round_begun",
        "dispute.panel_failed",
        "dispute.decided",
        "dispute.failed",
    ];
    /// The kinds of facts that a party or an arbitrator asks for.
    pub const ASKED_FOR: [&'static str; 7] = [
        "dispute.evidence_filed",
        "dispute.seat_accepted",
        "dispute.seat_refused",
        "dispute.vote_committed",
        "dispute.vote_revealed",
        "dispute.ruling_accepted",
        "dispute.withdrawn",
    ];

    /// The kind under which a host files this fact.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::DisputeOpened { .. } => "dispute.opened",
            Self::EvidenceFiled { .. } => "dispute.evidence_filed",
            Self::PanelDrawn { .. } => Self::PANEL_DRAWN,
            Self::SeatAccepted { .. } => "dispute.seat_accepted",
            Self::SeatRefused { .. } => "dispute.seat_refused",
            Self::CommittingBegun { .. } => "dispute.committing_begun",
            Self::VoteCommitted { .. } => "dispute.vote_committed",
            Self::RevealingBegun { .. } => "dispute.revealing_begun",
            Self::VoteRevealed { .. } => "dispute.vote_revealed",
            Self::RulingMade { .. } => "dispute.ruling_made",
            Self::RulingAccepted { .. } => "dispute.ruling_accepted",
            Self::RoundBegun { .. } => "dispute.round_begun",
            Self::PanelFailed { .. } => "dispute.panel_failed",
            Self::DisputeDecided { .. } => "dispute.decided",
            Self::DisputeFailed => "dispute.failed",
            Self::DisputeWithdrawn => "dispute.withdrawn",
            Self::DisputeClosed => Self::CLOSED,
        }
    }
}
