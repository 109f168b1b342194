//! What can be wrong with an anchor.

use thiserror::Error;

/// Why an anchor was refused. Each kind has a stable [`code`](Self::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// The input is longer than its limit.
    #[error("the input is longer than {max} bytes")]
    TooLarge {
        /// Most bytes that are read.
        max: usize,
    },
    /// The bytes are not an anchor's proof.
    #[error("the bytes are not the proof of an anchor")]
    BadProof,
    /// The transaction is malformed, or has not the shape of an anchor.
    #[error("the transaction is no anchor: it must commit to 32 bytes in output 1, and nowhere else")]
    BadTransaction,
    /// The transaction commits to something else.
    #[error("the anchor commits to another checkpoint")]
    WrongCommitment,
    /// The Merkle path is malformed, or does not lead to the block's root.
    #[error("the path does not lead from the transaction to the block")]
    BadPath,
    /// A header is malformed, or does not have the work that it claims.
    #[error("a block header is malformed or without its proof of work")]
    BadHeader,
    /// A header's target is easier than the verifier takes.
    #[error("a block header claims less work than is asked for")]
    TooEasy,
    /// A header does not follow the one before it.
    #[error("a block header does not follow the one before it")]
    NotLinked,
    /// A header's difficulty is not the one that its network asks for.
    #[error("the header of block {height} has not the difficulty that the blocks before it ask for")]
    WrongDifficulty {
        /// The block's height.
        height: u32,
    },
    /// The block that the verifier knows is not among the headers.
    #[error("the headers do not hold the block that is known: they may be of another chain")]
    OtherChain,
    /// There is no header of this height.
    #[error("there is no header of block {height}")]
    NoHeader {
        /// The block's height.
        height: u32,
    },
    /// Too few blocks are known on top of the anchor.
    #[error("the anchor has {have} confirmations, {need} are needed")]
    TooFewConfirmations {
        /// Headers from the anchor's block to the last one.
        have: u32,
        /// Headers that are needed.
        need: u32,
    },
    /// The anchor does not spend the output of the anchor before it.
    #[error("the anchor does not spend the output of the anchor before it")]
    WrongSeal,
    /// The anchor commits to another log's checkpoint.
    #[error("the anchor is of another log")]
    WrongLog,
    /// The anchor commits to a smaller tree than the one before it.
    #[error("the anchor's tree has {size} leaves, the one before had {before}")]
    Shrinks {
        /// Leaves before.
        before: u64,
        /// Leaves now.
        size: u64,
    },
    /// The anchor's tree does not begin with the one before it, or it is not proven that it does.
    #[error("the anchor's tree is not proven to begin with that of the anchor before it")]
    OtherHistory,
    /// The bytes are not an OpenTimestamps proof, or one beyond the limits.
    #[error("the bytes are not an OpenTimestamps proof")]
    BadOts,
    /// The OpenTimestamps proof is of other content.
    #[error("the OpenTimestamps proof is of other content")]
    WrongContent,
    /// No block vouches for it yet.
    #[error("no block of Bitcoin vouches for this yet")]
    NotAttested,
}

impl AnchorError {
    /// The stable code; `docs/errors.md` tells what each means.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "anchor.too_large",
            Self::BadProof => "anchor.bad_proof",
            Self::BadTransaction => "anchor.bad_transaction",
            Self::WrongCommitment => "anchor.wrong_commitment",
            Self::BadPath => "anchor.bad_path",
            Self::BadHeader => "anchor.bad_header",
            Self::TooEasy => "anchor.too_easy",
            Self::NotLinked => "anchor.not_linked",
            Self::WrongDifficulty { .. } => "anchor.wrong_difficulty",
            Self::OtherChain => "anchor.other_chain",
            Self::NoHeader { .. } => "anchor.no_header",
            Self::TooFewConfirmations { .. } => "anchor.too_few_confirmations",
            Self::WrongSeal => "anchor.wrong_seal",
            Self::WrongLog => "anchor.wrong_log",
            Self::Shrinks { .. } => "anchor.shrinks",
            Self::OtherHistory => "anchor.other_history",
            Self::BadOts => "anchor.bad_ots",
            Self::WrongContent => "anchor.wrong_content",
            Self::NotAttested => "anchor.not_attested",
        }
    }
}
