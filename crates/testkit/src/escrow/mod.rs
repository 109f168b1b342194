//! Given/when/then for the rules of escrow.
//!
//! ```
//! use tallystick_testkit::escrow::*;
//! use tallystick_escrow::{Event, UserCommand};
//!
//! open(&[20_000])
//!     .when(requester(), UserCommand::CancelTask)
//!     .then_events(&[Event::TaskCancelled { by: requester() }]);
//! ```
//!
//! | module | what it has |
//! | --- | --- |
//! | `build` | keys, terms, invoices, hashes |
//! | `disputes` | disputed tasks, and panels that sit |
//! | `stages` | a task in each of its phases, brought there by commands |

mod build;
mod disputes;
mod stages;

pub use build::*;
pub use disputes::*;
pub use stages::*;

use tallystick_core::{BlockHeight, Ctx, Decider, Decision, Duration, NostrKey, Timestamp};
use tallystick_escrow::{
    Command, Effect, Escrow, Event, NodeCommand, Phase, Rejection, ReleaseReason, State, Task, UserCommand,
};

/// What a task's rules answer.
pub type Answer = Result<Decision<Event, Effect>, Rejection>;

/// A task's past: what happened so far, and the time and height now.
#[derive(Clone, Debug)]
pub struct Given {
    /// The task as the facts make it.
    pub state: State,
    /// The time now.
    pub now: Timestamp,
    /// The height now.
    pub height: BlockHeight,
    /// Every fact so far.
    pub facts: Vec<Event>,
    /// The height at which each of them came.
    pub heights: Vec<BlockHeight>,
    /// Every effect asked for so far.
    pub effects: Vec<Effect>,
}

impl Given {
    /// No task, at [`NOW`] and [`HEIGHT`].
    pub fn nothing() -> Self {
        Self {
            state: State::Absent,
            now: NOW,
            height: HEIGHT,
            facts: Vec::new(),
            heights: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Facts, whether the rules would have led to them or not.
    #[must_use]
    pub fn events(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        for event in events {
            self.state = Escrow::evolve(self.state, &event);
            self.facts.push(event);
            self.heights.push(self.height);
        }
        self
    }

    /// At this time.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// So much later.
    #[must_use]
    pub fn later(mut self, span: Duration) -> Self {
        self.now = self.now.after(span);
        self
    }

    /// At this height.
    #[must_use]
    pub fn height(mut self, height: BlockHeight) -> Self {
        self.height = height;
        self
    }

    /// A user did this, and the rules accepted it.
    ///
    /// # Panics
    /// If the rules do not.
    #[must_use]
    pub fn done(self, author: NostrKey, command: UserCommand) -> Self {
        self.accepted(author, Command::User(command))
    }

    /// The node reported this, and the rules accepted it.
    ///
    /// # Panics
    /// If the rules do not.
    #[must_use]
    pub fn reported(self, command: NodeCommand) -> Self {
        self.accepted(node(), Command::Node(command))
    }

    fn accepted(mut self, author: NostrKey, command: Command) -> Self {
        let answer = self.decide(author, command.clone());
        let Ok(Decision::Accept { events, effects }) = answer else {
            panic!("{command:?} should be accepted when the task is {}, not: {answer:?}", self.phase_name())
        };
        self.effects.extend(effects);
        self.events(events)
    }

    /// What the rules answer now; nothing changes by asking.
    pub fn decide(&self, author: NostrKey, command: Command) -> Answer {
        Escrow::decide(&self.state, command, &Ctx { now: self.now, height: self.height, author })
    }

    /// A user asks.
    #[must_use]
    pub fn when(&self, author: NostrKey, command: UserCommand) -> When {
        let (asked, answer) = (format!("{command:?}"), self.decide(author, Command::User(command)));
        When { given: self.clone(), asked, answer }
    }

    /// The node reports.
    #[must_use]
    pub fn when_reported(&self, command: NodeCommand) -> When {
        let (asked, answer) = (format!("{command:?}"), self.decide(node(), Command::Node(command)));
        When { given: self.clone(), asked, answer }
    }

    /// The task.
    ///
    /// # Panics
    /// If there is none.
    pub fn task(&self) -> &Task {
        match &self.state {
            State::Present(task) => task,
            State::Absent => panic!("there is no task"),
        }
    }

    /// Where the task stands.
    ///
    /// # Panics
    /// If there is none.
    pub fn phase(&self) -> &Phase {
        &self.task().phase
    }

    /// The phase's name; `absent` without a task.
    pub fn phase_name(&self) -> &'static str {
        match &self.state {
            State::Present(task) => task.state_name(),
            State::Absent => "absent",
        }
    }
}

/// A command, and what the rules answered.
#[derive(Debug)]
pub struct When {
    given: Given,
    asked: String,
    /// The rules' answer.
    pub answer: Answer,
}

impl When {
    /// Exactly these facts and effects. Answers what is given from here on.
    ///
    /// # Panics
    /// On any other answer.
    pub fn then(self, events: &[Event], effects: &[Effect]) -> Given {
        let expected = Ok(Decision::Accept { events: events.to_vec(), effects: effects.to_vec() });
        assert_eq!(self.answer, expected, "{} when {}", self.asked, self.given.phase_name());
        let mut given = self.given.events(events.to_vec());
        given.effects.extend_from_slice(effects);
        given
    }

    /// Exactly these facts, and nothing to do outside.
    ///
    /// # Panics
    /// On any other answer.
    pub fn then_events(self, events: &[Event]) -> Given {
        self.then(events, &[])
    }

    /// These tranches, by their positions among all of the task, are to be paid out, each once and at once.
    ///
    /// # Panics
    /// On any other answer.
    pub fn then_events_and_payouts(self, tranches: &[u32], reason: ReleaseReason) -> Given {
        let Ok(Decision::Accept { events, effects }) = &self.answer else {
            panic!("{} when {}: {:?}", self.asked, self.given.phase_name(), self.answer)
        };
        assert!(matches!(&events[0], Event::ReleaseBegun { reason: why, .. } if *why == reason), "{events:?}");
        let begun = events[1..].iter().map(|event| match event {
            Event::PayoutBegun { tranche, attempt: 1, .. } => *tranche,
            other => panic!("{other:?} is no payout"),
        });
        assert_eq!(begun.collect::<Vec<_>>(), tranches, "{}", self.asked);
        assert!(effects.iter().all(|effect| matches!(effect, Effect::Pay { .. })) && effects.len() == tranches.len());
        let (events, effects) = (events.clone(), effects.clone());
        let mut given = self.given.events(events);
        given.effects.extend(effects);
        given
    }

    /// Success that changes nothing.
    ///
    /// # Panics
    /// On any other answer.
    pub fn then_already_applied(self) {
        assert_eq!(self.answer, Ok(Decision::AlreadyApplied), "{} when {}", self.asked, self.given.phase_name());
    }

    /// Exactly this rejection.
    ///
    /// # Panics
    /// On any other answer.
    pub fn then_rejected(self, rejection: &Rejection) {
        assert_eq!(self.answer.as_ref(), Err(rejection), "{} when {}", self.asked, self.given.phase_name());
    }
}
