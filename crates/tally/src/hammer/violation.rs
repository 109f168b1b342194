//! What a node must not do.

use tallystick_core::{Code, Coded, Id};
use tallystick_escrow::Task;
use tallystick_log::LogError;

/// A promise that the node broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A reply is not about what was asked.
    #[error("the reply to task {task} is wrong: {why}")]
    Reply {
        /// The task.
        task: Id<Task>,
        /// What does not fit.
        why: String,
    },
    /// A request that was sent again changed something again.
    #[error("task {task}: {what} was sent twice, and changed something twice")]
    Twice {
        /// The task.
        task: Id<Task>,
        /// Which request.
        what: &'static str,
    },
    /// A checkpoint is not signed by the log, or not cosigned as the policy asks.
    #[error("the checkpoint is refused: {0}")]
    Checkpoint(LogError),
    /// A checkpoint is smaller than the one before it, or gone.
    #[error("the log went back from {from} facts to {to}")]
    WentBack {
        /// Facts under the checkpoint before.
        from: u64,
        /// Facts under this one.
        to: u64,
    },
    /// A checkpoint's tree does not begin with the tree of the one before it.
    #[error("the checkpoint of {new} facts does not extend that of {old}: {why}")]
    NotExtended {
        /// Facts under the checkpoint before.
        old: u64,
        /// Facts under this one.
        new: u64,
        /// What the consistency proof says.
        why: LogError,
    },
    /// The tiles of a tree do not make its root.
    #[error("the tiles of the checkpoint of {size} facts: {why}")]
    Tiles {
        /// Facts under the checkpoint.
        size: u64,
        /// What is wrong.
        why: LogError,
    },
    /// A tile or a bundle of entries that the published tree has is not served.
    #[error("{path} of the published tree is not served")]
    Missing {
        /// The path below the node's address.
        path: String,
    },
    /// An entry is not a fact, does not follow the one before it, or is not the leaf that the tree has.
    #[error("entry {seq} of the log: {why}")]
    Entry {
        /// The fact's number, from 1.
        seq: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// An acknowledged change is not in the log.
    #[error("task {task}: {kind} was acknowledged, and is not in the log after {waited_s} s")]
    NotLogged {
        /// The task.
        task: Id<Task>,
        /// The kind of fact.
        kind: &'static str,
        /// How long was waited, in seconds.
        waited_s: u64,
    },
    /// A change is in the log more than once, or facts of the task are out of order.
    #[error(
        "task {task}: fact {seq} of the log is {kind}, version {version}, which stands there already or comes too early"
    )]
    LoggedTwice {
        /// The task.
        task: Id<Task>,
        /// The fact's number, from 1.
        seq: u64,
        /// Its kind.
        kind: String,
        /// Its version.
        version: u64,
    },
    /// A task's proofs are missing, refused, or prove something else than what the log has.
    #[error("the proofs of task {task}: {why}")]
    Proof {
        /// The task.
        task: Id<Task>,
        /// What is wrong.
        why: String,
    },
}

impl Coded for Violation {
    fn code(&self) -> Code {
        Code(match self {
            Self::Reply { .. } => "hammer.reply",
            Self::Twice { .. } => "hammer.twice",
            Self::Checkpoint(_) => "hammer.checkpoint",
            Self::WentBack { .. } => "hammer.went_back",
            Self::NotExtended { .. } => "hammer.not_extended",
            Self::Tiles { .. } => "hammer.tiles",
            Self::Missing { .. } => "hammer.missing",
            Self::Entry { .. } => "hammer.entry",
            Self::NotLogged { .. } => "hammer.not_logged",
            Self::LoggedTwice { .. } => "hammer.logged_twice",
            Self::Proof { .. } => "hammer.proof",
        })
    }
}
