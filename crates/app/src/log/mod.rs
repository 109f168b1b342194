//! The journal as a log: the tree over its entries, signed checkpoints, and proofs.
//!
//! ```text
//! journal ──entries──▶ integrate ──tiles──▶ store ──▶ sign a checkpoint ──▶ ask the witnesses ──▶ publish
//!  (append path)        beside it, in batches           k of n cosigned, or the old one stays
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`reader`] | what the log shows: checkpoint, tiles, entries, proofs |
//! | `integrate` | brings the tree up to the journal's end |
//! | `publish` | signs a checkpoint, collects cosignatures, publishes it |
//! | [`worker`] | does both, again and again |
//!
//! # Invariants
//! * A leaf is an entry ([`tallystick_core::Fact::entry`]); fact `seq` is the leaf `seq − 1`.
//! * A fact that does not follow the one before it is not integrated: the worker stops.
//! * Nothing is signed before the tiles that it speaks of are on disk.
//! * Whatever stops in between is done again from what the store holds: a start is a recovery.

mod integrate;
mod publish;
pub mod reader;
pub mod worker;

pub use reader::{LogReader, consistency_at};
pub use worker::{LogConfig, LogWorker};

use tallystick_core::{Code, Coded};
use tallystick_log::{LogError, ProveError};

use crate::port::journal::StoreError;

/// Why the log does not go on, or does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The store failed, or its journal is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree in the store is not one.
    #[error("the log's tree is damaged: {0}")]
    Tree(LogError),
    /// A witness has cosigned, or the node itself published, what this journal does not hold: it is older than it was, or another
    /// one was shown.
    #[error(
        "{witness} knows a tree of {theirs} facts, and this journal has {ours}: it was put back to an older \
        state, or two nodes have used its key"
    )]
    Rollback {
        /// The witness's name, or what tells what the node published.
        witness: String,
        /// The size that it knows.
        theirs: u64,
        /// The size here.
        ours: u64,
    },
    /// A witness has cosigned, or the node itself published, what this journal does not begin with: it was put back and went on,
    /// or there are two.
    #[error(
        "{witness} knows a tree of {theirs} facts that the {ours} facts of this journal do not begin with: it was \
        put back to an older state and went on from there, or two nodes have used its key"
    )]
    Fork {
        /// The witness's name, or what tells what the node published.
        witness: String,
        /// The size that it knows.
        theirs: u64,
        /// The size here.
        ours: u64,
    },
    /// The fact is not in the tree yet.
    #[error("the log has not come to fact {seq} yet; its published checkpoint holds {size}")]
    NotYet {
        /// The fact's number.
        seq: u64,
        /// Facts under the published checkpoint.
        size: u64,
    },
}

impl TreeError {
    /// Whether somebody has seen another journal than this one.
    pub fn is_rollback(&self) -> bool {
        matches!(self, Self::Rollback { .. } | Self::Fork { .. })
    }

    /// Whether no other try can mend it.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Store(StoreError::Unavailable(_)) | Self::NotYet { .. })
    }
}

impl Coded for TreeError {
    fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Tree(error) => Code(error.code()),
            Self::Rollback { .. } | Self::Fork { .. } => Code("log.rollback"),
            Self::NotYet { .. } => Code("log.not_yet"),
        }
    }
}

impl From<LogError> for TreeError {
    fn from(error: LogError) -> Self {
        Self::Tree(error)
    }
}

impl From<ProveError<Self>> for TreeError {
    fn from(error: ProveError<Self>) -> Self {
        match error {
            ProveError::Read(error) => error,
            ProveError::Log(error) => Self::Tree(error),
        }
    }
}
