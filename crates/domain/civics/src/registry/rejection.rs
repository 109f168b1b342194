//! Why the registry refuses a command.

use tallystick_core::{Code, Coded};

use super::PAY_BYTES_MAX;

/// A refused command. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Nobody registered under this key.
    #[error("no arbitrator has registered with this key")]
    NotFound,
    /// Somebody else's stream.
    #[error("only the arbitrator itself may do this")]
    NotSelf,
    /// The text that tells how to pay does not fit.
    #[error("how to pay is told in 1 to {} bytes of printable ASCII without spaces", PAY_BYTES_MAX)]
    Pay,
    /// It left.
    #[error("the arbitrator has withdrawn; register again")]
    Withdrawn,
    /// The operator has read another statement than the arbitrator's present one.
    #[error("the arbitrator's statement is another one by now: read it, and admit that")]
    OtherStatement,
}

impl Coded for Rejection {
    fn code(&self) -> Code {
        Code(match self {
            Self::NotFound => "arbitrator.not_found",
            Self::NotSelf => "arbitrator.not_self",
            Self::Pay => "arbitrator.pay",
            Self::Withdrawn => "arbitrator.withdrawn",
            Self::OtherStatement => "arbitrator.other_statement",
        })
    }
}
