//! The shape of all rules.
//!
//! A product is a [`Decider`]: a pure function from what is known and what is asked to what becomes fact and what
//! must be done outside. The same command twice answers [`Decision::AlreadyApplied`].

use crate::{BlockHeight, NostrKey, Timestamp};

/// What the rules may know of the world, passed in by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ctx {
    /// The time at which the command is decided.
    pub now: Timestamp,
    /// The height of the best block that the node knows.
    pub height: BlockHeight,
    /// Who asks: a user's key, or the node's own for outcomes and timers.
    pub author: NostrKey,
}

/// What a command leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<Event, Effect> {
    /// New facts, and what must be done outside because of them, in order.
    Accept {
        /// What became true. Never empty.
        events: Vec<Event>,
        /// What must be done outside, at least once.
        effects: Vec<Effect>,
    },
    /// The command had its effect before: success, and nothing changes.
    AlreadyApplied,
}

impl<Event, Effect> Decision<Event, Effect> {
    /// One fact and nothing to do outside.
    pub fn event(event: Event) -> Self {
        Self::Accept { events: vec![event], effects: Vec::new() }
    }
}

/// The rules of one kind of aggregate. Pure: no IO, no clock, no randomness.
pub trait Decider {
    /// What is known; the empty aggregate is the default.
    type State: Default + Clone;
    /// What is asked.
    type Command;
    /// What became true.
    type Event;
    /// What must be done outside.
    type Effect;
    /// Why a command is refused.
    type Rejection;

    /// Decides.
    ///
    /// # Errors
    /// The rejection, if the rules do not allow the command now; nothing changes then.
    fn decide(
        state: &Self::State,
        command: Self::Command,
        ctx: &Ctx,
    ) -> Result<Decision<Self::Event, Self::Effect>, Self::Rejection>;

    /// Applies a fact. Total: a journal of any age replays without failing.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;
}
