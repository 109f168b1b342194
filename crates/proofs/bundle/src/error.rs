//! Why a bundle is refused.

use tallystick_core::{Code, Coded, Timestamp, fact::EntryError};
use tallystick_log::{LogError, anchor::AnchorError};

/// Why a bundle proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The proof, the checkpoint or its cosignatures are wrong, or it is no proof at all.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It holds no fact.
    #[error("the bundle holds no fact: it is a bare proof, or one of another kind")]
    NoFact,
    /// The anchor is wrong, or the headers are not its.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// The anchor is of another log, or of a tree that does not hold the fact.
    #[error("the anchor in Bitcoin is not one of this fact")]
    OtherAnchor,
    /// The entry is not a fact's.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The fact's number is not the leaf's.
    #[error("the proof is for fact {proven}, and the fact is number {fact}")]
    OtherFact {
        /// The number that the proof is for.
        proven: u64,
        /// The number in the fact.
        fact: u64,
    },
    /// The opening does not open the fact's commitment.
    #[error("the contents are not those that the fact commits to")]
    OtherContents,
    /// The authority is not the one that the fact names.
    #[error("this is not the authority that the fact names")]
    OtherAuthority,
    /// The authority did not sign it.
    #[error("the signature behind the fact is wrong: {0}")]
    BadAuthority(&'static str),
    /// The request was signed at another time than the fact was recorded.
    #[error("the request behind the fact was signed at {signed}, and the fact was recorded at {recorded}")]
    OtherTime {
        /// When it was signed.
        signed: Timestamp,
        /// When the fact was recorded.
        recorded: Timestamp,
    },
}

impl Coded for BundleError {
    fn code(&self) -> Code {
        match self {
            Self::Log(error) => Code(error.code()),
            Self::Anchor(error) => Code(error.code()),
            Self::OtherAnchor => Code("bundle.other_anchor"),
            Self::NoFact => Code("bundle.no_fact"),
            Self::Entry(_) => Code("bundle.bad_entry"),
            Self::OtherFact { .. } => Code("bundle.other_fact"),
            Self::OtherContents => Code("bundle.other_contents"),
            Self::OtherAuthority => Code("bundle.other_authority"),
            Self::OtherTime { .. } => Code("bundle.other_time"),
            Self::BadAuthority(_) => Code("bundle.bad_authority"),
        }
    }
}
