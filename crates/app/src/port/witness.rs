//! What the log needs of its witnesses: that they cosign its checkpoints (C2SP tlog-witness, tlog-cosignature).
//!
//! A witness is independent of the node. It cosigns a checkpoint only if that extends the one it cosigned before, so a
//! node that shows two histories finds no `k` witnesses for the second one.

use async_trait::async_trait;
use tallystick_core::{Code, Coded};
use tallystick_log::{AddCheckpoint, NoteSignature, VerifierKey};

/// One witness.
#[async_trait]
pub trait Witness: Send + Sync {
    /// The key whose cosignatures count.
    fn key(&self) -> &VerifierKey;

    /// Asks it to cosign; answers its cosignature line, already checked against its key.
    ///
    /// Asking again for the same checkpoint is allowed, and gives a cosignature with a later time. After
    /// [`WitnessError::Unavailable`] the witness may have moved on to the checkpoint nevertheless.
    ///
    /// # Errors
    /// Any [`WitnessError`].
    async fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<NoteSignature, WitnessError>;
}

/// Why a witness did not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The request starts from another size than the witness last cosigned (HTTP status 409): ask again, with a proof
    /// from its own size.
    #[error("the witness last cosigned {size} leaves: start from there")]
    Behind {
        /// Leaves in the tree that it last cosigned.
        size: u64,
    },
    /// The tree that the witness last cosigned is none that this one begins with (HTTP status 422; 409 if it is another one
    /// of this size): it has seen another history. That is what it says; it proves nothing.
    #[error("the witness has cosigned another history: {0}")]
    OtherHistory(String),
    /// The witness does not cosign this (HTTP status 400, 403, 404 or 413). Asking again will not help.
    #[error("the witness refuses: {0}")]
    Refused(String),
    /// No answer, or one that says *later*: ask again later.
    #[error("the witness does not answer: {0}")]
    Unavailable(String),
    /// The answer is no answer to the request, or the cosignature is not by its key.
    #[error("the witness answers nonsense: {0}")]
    Nonsense(String),
}

impl Coded for WitnessError {
    fn code(&self) -> Code {
        match self {
            Self::Behind { .. } => Code("witness.behind"),
            Self::OtherHistory(_) => Code("witness.other_history"),
            Self::Refused(_) => Code("witness.refused"),
            Self::Unavailable(_) => Code("witness.unavailable"),
            Self::Nonsense(_) => Code("witness.nonsense"),
        }
    }
}
