//! Why a backup is not restored.

use anyhow::anyhow;
use tallystick_core::{Code, Coded};

/// What `tally restore` refuses by itself. What a part of it refuses has that part's code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It never writes over anything.
    #[error("{0} is not empty")]
    NotEmpty(String),
    /// A file is not in the backup.
    #[error("the backup has no {0}")]
    Incomplete(String),
    /// Somebody without the node's seed made the backup, or changed it.
    #[error(
        "the backup was not made with the seed in it: somebody changed what it holds, such as who operates the node and \
        who witnesses its log. Use another one"
    )]
    Forged,
    /// The configuration in the backup makes no sense.
    #[error("in the backup's {0}")]
    Config(String),
    /// The journal is not of the history that a checkpoint tells.
    #[error("the backup's first {size} facts are not those of the checkpoint: one of them is of another history")]
    OtherHistory {
        /// Facts under the checkpoint.
        size: u64,
    },
    /// So few witnesses answered that nobody knows whether the backup is the newest.
    #[error(
        "only {answered} of {witnesses} witnesses told what they have seen, and {needed} must: without them nobody knows \
        whether this backup is the newest"
    )]
    Unseen {
        /// Witnesses that answered.
        answered: usize,
        /// Witnesses in the configuration.
        witnesses: usize,
        /// As many as make sure that one of them cosigned what was published last.
        needed: usize,
    },
}

impl Coded for Refusal {
    fn code(&self) -> Code {
        match self {
            Self::NotEmpty(_) => Code("restore.not_empty"),
            Self::Incomplete(_) => Code("restore.incomplete"),
            Self::Forged => Code("restore.forged"),
            Self::Config(_) => Code("restore.config"),
            Self::OtherHistory { .. } => Code("restore.other_history"),
            Self::Unseen { .. } => Code("restore.unseen"),
        }
    }
}

/// An error with its code, for people.
pub(crate) fn told(error: impl Coded) -> anyhow::Error {
    anyhow!("{error} ({})", error.code())
}
