//! Why the rules refuse a command. Values inside, a stable code each, and a sentence that tells how to mend it.

use tallystick_core::{AmountError, BlockHeight, Blocks, Code, Coded};

use super::{CONFLICTS_MAX, EVIDENCE_BYTES_MAX, EVIDENCE_FILES_MAX, EVIDENCE_TOTAL_MAX, PARTS_MAX, PlanError};

/// A refused command. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Times or sizes that do not fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An amount does not fit.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// Payer and payee are one.
    #[error("payer and payee of a dispute must be different keys")]
    SameParty,
    /// Nothing to decide on, or too much.
    #[error("a dispute is about 1 to {} parts, not {count}", PARTS_MAX)]
    Parts {
        /// How many there were.
        count: usize,
    },
    /// The list of those who must not sit is too long, or not sorted.
    #[error(
        "who must not sit is a sorted list without repeats of {} keys at most; this one has {count}",
        CONFLICTS_MAX
    )]
    Conflicts {
        /// How many there were.
        count: usize,
    },
    /// More seats than a first panel has.
    #[error("a first panel has 5 seats at most, not {seats}: only an appeal goes to more")]
    TooManySeats {
        /// What was asked for.
        seats: usize,
    },
    /// No whole round fits any more.
    #[error("a dispute needs {needed}, but it is {height} and must be ruled by {rule_by}")]
    TooLate {
        /// The height now.
        height: BlockHeight,
        /// What a round takes.
        needed: Blocks,
        /// The last height for a ruling.
        rule_by: BlockHeight,
    },
    /// Neither payer nor payee.
    #[error("only a party of the dispute may do this")]
    NotParty,
    /// Not the one who opened it.
    #[error("only who opened the dispute may withdraw it")]
    NotOpener,
    /// Was not drawn, or does not sit.
    #[error("only who has a seat on the panel may do this")]
    NotSeated,
    /// The panel votes already, or the dispute is over.
    #[error("the dispute is {state}: evidence is filed before the panel commits to its votes")]
    EvidenceClosed {
        /// The dispute's state.
        state: &'static str,
    },
    /// No bytes, or too many.
    #[error("a piece of evidence has 1 to {} bytes, not {bytes}", EVIDENCE_BYTES_MAX)]
    EvidenceSize {
        /// How many it has.
        bytes: u64,
    },
    /// A side's pieces are used up.
    #[error("each side may file {} pieces of evidence: put several into one", EVIDENCE_FILES_MAX)]
    EvidenceCount,
    /// A side's bytes are used up.
    #[error("{bytes} bytes of evidence are too many: {left} are left of this side's {}", EVIDENCE_TOTAL_MAX)]
    EvidenceTotal {
        /// How many it has.
        bytes: u64,
        /// How many are left.
        left: u64,
    },
    /// The same bytes were filed by the other side, or with another length.
    #[error("evidence with this hash was filed before, by the other side or with another length")]
    EvidenceKnown,
    /// Seats are not being taken.
    #[error("the dispute is {state}: seats are taken only while its panel is seated")]
    NotSeating {
        /// The dispute's state.
        state: &'static str,
    },
    /// The seat was given away.
    #[error("the seat was refused, and went to the next of the draw")]
    SeatRefused,
    /// Votes are not being committed to.
    #[error("the dispute is {state}: votes are committed to only while it is committing")]
    NotCommitting {
        /// The dispute's state.
        state: &'static str,
    },
    /// Another commitment came first.
    #[error("another vote was committed to before; it cannot be changed")]
    AlreadyCommitted,
    /// Votes are not being revealed.
    #[error("the dispute is {state}: votes are revealed only while it is revealing")]
    NotRevealing {
        /// The dispute's state.
        state: &'static str,
    },
    /// There is nothing to reveal.
    #[error("no vote was committed to while there was time: there is none to reveal")]
    NotCommitted,
    /// Another vote was revealed before.
    #[error("another vote was revealed before")]
    AlreadyRevealed,
    /// The award names parts that do not exist.
    #[error("the award names parts that do not exist: the dispute has {parts}")]
    BadAward {
        /// How many there are.
        parts: usize,
    },
    /// Award and salt are not what was committed to.
    #[error("award and salt are not those that were committed to")]
    CommitmentDiffers,
    /// There is no ruling that could be accepted or appealed.
    #[error("the dispute is {state}: this needs a ruling that is not final")]
    NotRuled {
        /// The dispute's state.
        state: &'static str,
    },
    /// The other side has appealed.
    #[error("the ruling was appealed by the other side; there is one appeal")]
    AlreadyAppealed,
    /// Who accepted a ruling cannot appeal it.
    #[error("this side accepted the ruling: it can no longer appeal")]
    RulingAccepted,
    /// Somebody has voted, or it is over.
    #[error("the dispute is {state}: it can be withdrawn only until somebody votes")]
    NotWithdrawable {
        /// The dispute's state.
        state: &'static str,
    },
    /// The time for this is over.
    #[error("the time for this is over: it ended at {until}, and this is {height}")]
    TimeOver {
        /// The height now.
        height: BlockHeight,
        /// The first height at which it was too late.
        until: BlockHeight,
    },
    /// No draw is awaited.
    #[error("the dispute is {state}: no draw is awaited")]
    NotDrawing {
        /// The dispute's state.
        state: &'static str,
    },
    /// The draw was made from another block or list.
    #[error("this panel was drawn before, from another block or list")]
    AlreadyDrawn,
    /// Another block decides.
    #[error("the draw is decided by the block of {needed}, not of {block}")]
    WrongBlock {
        /// The block that was reported.
        block: BlockHeight,
        /// The one that decides.
        needed: BlockHeight,
    },
    /// The registry must be read as of the dispute's opening.
    #[error("panels are drawn from the registry as of fact {needed}, not {seq}")]
    WrongRegistry {
        /// The fact that was named.
        seq: u64,
        /// The one that was fixed.
        needed: u64,
    },
    /// The block could still be replaced.
    #[error("the draw's block counts from {needed} on, and this is {height}")]
    NotBuried {
        /// The height now.
        height: BlockHeight,
        /// The height from which it counts.
        needed: BlockHeight,
    },
}

impl Coded for Rejection {
    fn code(&self) -> Code {
        Code(match self {
            Self::Plan(error) => return error.code(),
            Self::Amount(error) => return error.code(),
            Self::SameParty => "dispute.same_party",
            Self::Parts { .. } => "dispute.parts",
            Self::Conflicts { .. } => "dispute.conflicts",
            Self::TooManySeats { .. } => "dispute.too_many_seats",
            Self::TooLate { .. } => "dispute.too_late",
            Self::NotParty => "dispute.not_party",
            Self::NotOpener => "dispute.not_opener",
            Self::NotSeated => "dispute.not_seated",
            Self::EvidenceClosed { .. } => "dispute.evidence_closed",
            Self::EvidenceSize { .. } => "dispute.evidence_size",
            Self::EvidenceCount => "dispute.evidence_count",
            Self::EvidenceTotal { .. } => "dispute.evidence_total",
            Self::EvidenceKnown => "dispute.evidence_known",
            Self::NotSeating { .. } => "dispute.not_seating",
            Self::SeatRefused => "dispute.seat_refused",
            Self::NotCommitting { .. } => "dispute.not_committing",
            Self::AlreadyCommitted => "dispute.already_committed",
            Self::NotRevealing { .. } => "dispute.not_revealing",
            Self::NotCommitted => "dispute.not_committed",
            Self::AlreadyRevealed => "dispute.already_revealed",
            Self::BadAward { .. } => "dispute.bad_award",
            Self::CommitmentDiffers => "dispute.commitment_differs",
            Self::NotRuled { .. } => "dispute.not_ruled",
            Self::AlreadyAppealed => "dispute.already_appealed",
            Self::RulingAccepted => "dispute.ruling_accepted",
            Self::NotWithdrawable { .. } => "dispute.not_withdrawable",
            Self::TimeOver { .. } => "dispute.time_over",
            Self::NotDrawing { .. } => "dispute.not_drawing",
            Self::AlreadyDrawn => "dispute.already_drawn",
            Self::WrongBlock { .. } => "dispute.wrong_block",
            Self::WrongRegistry { .. } => "dispute.wrong_registry",
            Self::NotBuried { .. } => "dispute.not_buried",
        })
    }
}
