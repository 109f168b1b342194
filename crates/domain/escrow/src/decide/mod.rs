//! The decisions. One file for users, one for the node, one for how things end.

mod awaited;
mod dispute;
mod ending;
mod hold;
mod node;
mod renewal;
mod reward;
mod user;

use tallystick_core::{Ctx, Decider};

use crate::{Command, Effect, Event, Rejection, State, evolve::evolve};

pub use awaited::{awaited, served};

/// The rules of escrow.
#[derive(Clone, Copy, Debug)]
pub struct Escrow;

/// What a command to a task leads to.
type Decision = tallystick_core::Decision<Event, Effect>;

impl Decider for Escrow {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Effect = Effect;
    type Rejection = Rejection;

    fn decide(state: &State, command: Command, ctx: &Ctx) -> Result<Decision, Rejection> {
        match (state, command) {
            (_, Command::User(command)) => user::decide(state, command, ctx),
            (State::Present(task), Command::Node(command)) => node::decide(task, command, ctx),
            (State::Absent, Command::Node(_)) => Err(Rejection::NotFound),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        evolve(state, event)
    }
}
