//! What can be asked of the registry: by an arbitrator, and by operators.

use tallystick_core::{Digest32, NostrKey};

/// A command to an arbitrator's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The arbitrator asks. Who asks is in the context.
    User(UserCommand),
    /// An operator asks; the host has checked that it is one.
    Operator(OperatorCommand),
}

/// What an arbitrator asks about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCommand {
    /// Offer to sit on panels, or change what was said before; the author becomes the arbitrator.
    Register {
        /// SHA-256 of the statement in which it tells who it is and what it knows.
        statement_hash: Digest32,
        /// How to pay it: a BOLT 12 offer or a Lightning address, 1 to [`super::PAY_BYTES_MAX`] bytes of printable ASCII
        /// without spaces.
        pay: String,
    },
    /// No work for now.
    Pause,
    /// Work again.
    Resume,
    /// Leave.
    Withdraw,
}

/// What operators ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// Let it be drawn.
    Admit {
        /// Whom.
        arbitrator: NostrKey,
        /// The statement that the operator has read.
        statement_hash: Digest32,
    },
    /// Let it not be drawn any more.
    Suspend {
        /// Whom.
        arbitrator: NostrKey,
    },
}
