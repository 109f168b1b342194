//! What can go wrong in a use case.

use tallystick_civics::{
    registry::{self, RollError},
    reputation::ReputationError,
    roles,
};
use tallystick_core::{Code, Coded};
use tallystick_escrow::Rejection;

use crate::{
    port::{
        blocks::BlocksError,
        journal::StoreError,
        rail::{InvoiceError, RailError},
    },
    standing::LimitError,
};

/// Why a use case did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The rules refuse it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The registry's rules refuse it.
    #[error(transparent)]
    Registry(#[from] registry::Rejection),
    /// The registry makes no list of candidates.
    #[error(transparent)]
    Roll(#[from] RollError),
    /// The chain does not tell.
    #[error(transparent)]
    Blocks(#[from] BlocksError),
    /// Who asks has not the role for it, or showed no second factor that counts.
    #[error(transparent)]
    Roles(#[from] roles::Rejection),
    /// An admin's second factor is wrong; that is recorded.
    #[error("this code is wrong, or its time is over: look at your authenticator again, and at the time of its device")]
    WrongCode,
    /// An invoice cannot be read.
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The Lightning node failed.
    #[error(transparent)]
    Rail(#[from] RailError),
    /// More than this key may have open at once.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The journal's facts make no standing.
    #[error(transparent)]
    Reputation(#[from] ReputationError),
    /// The signed request was used before.
    #[error("this signed request was used before; sign a new one")]
    Replayed,
    /// Too many others change the same task at once.
    #[error("too many changes to this task at once; try again")]
    Busy,
    /// The node is still starting.
    #[error("the node is still starting; try again in a moment")]
    Starting,
    /// The node has too little room on its disk to begin anything.
    #[error("the node's disk is almost full, so it begins nothing new; what has begun goes on. Try again later")]
    Full,
    /// The node's log is damaged.
    #[error("the node's log is damaged, so it begins nothing new; what has begun goes on. Its operator must look")]
    Damaged,
    /// It was accepted, but its outcome is not there yet.
    #[error("accepted, but the outcome is still under way; ask for the task again")]
    Pending,
    /// What is asked for was erased.
    #[error("the contents of this task were erased; what is left is in the log")]
    Erased,
    /// The task is still going on.
    #[error("a task can be erased once it has ended and nothing of it is under way")]
    NotEnded,
    /// Our own code failed; the log has more.
    #[error("the node made a mistake of its own; it is logged")]
    Fault,
}

impl Coded for AppError {
    fn code(&self) -> Code {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::Registry(rejection) => rejection.code(),
            Self::Roll(error) => error.code(),
            Self::Blocks(error) => error.code(),
            Self::Roles(rejection) => rejection.code(),
            Self::WrongCode => Code("roles.wrong_code"),
            Self::Invoice(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Rail(error) => error.code(),
            Self::Limit(error) => error.code(),
            Self::Reputation(error) => error.code(),
            Self::Replayed => Code("auth.replayed"),
            Self::Busy => Code("app.busy"),
            Self::Starting => Code("app.starting"),
            Self::Full => Code("app.full"),
            Self::Damaged => Code("app.damaged"),
            Self::Pending => Code("app.pending"),
            Self::Erased => Code("app.erased"),
            Self::NotEnded => Code("app.not_ended"),
            Self::Fault => Code("app.fault"),
        }
    }
}
