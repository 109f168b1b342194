//! The decisions. One file for the opening, one for users, one for the node, one for how things go on by themselves.

mod node;
mod open;
mod progress;
mod user;

pub use open::open;

use std::convert::Infallible;
use tallystick_core::Ctx;

use super::{Command, Dispute, Event, Rejection};

/// What a command to a dispute leads to. It has no effects of its own: its host does what its outcome asks for.
pub type Decision = tallystick_core::Decision<Event, Infallible>;

/// Decides. The host makes the facts its own, and applies them with [`super::evolve()`].
///
/// # Errors
/// The rejection, if the rules do not allow the command now; nothing changes then.
pub fn decide(dispute: &Dispute, command: Command, ctx: &Ctx) -> Result<Decision, Rejection> {
    match command {
        Command::User(command) => user::decide(dispute, command, ctx),
        Command::Node(command) => node::decide(dispute, command, ctx),
    }
}
