//! The registry's decisions, and applying its facts.

use std::{collections::BTreeSet, convert::Infallible};
use tallystick_core::{Ctx, Decider, Digest32, NostrKey};

use super::{
    Admission, Arbitrator, Command, Event, NodeCommand, OperatorCommand, PAY_BYTES_MAX, Rejection, State, UserCommand,
};

/// The rules of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Registry;

type Decision = tallystick_core::Decision<Event, Infallible>;

impl Decider for Registry {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Effect = Infallible;
    type Rejection = Rejection;

    fn decide(state: &State, command: Command, ctx: &Ctx) -> Result<Decision, Rejection> {
        match (state, command) {
            (State::Absent, Command::User(UserCommand::Register { statement_hash, pay })) => {
                register(ctx.author, statement_hash, pay)
            }
            (State::Absent, _) => Err(Rejection::NotFound),
            (State::Present(arbitrator), Command::User(command)) => user(arbitrator, command, ctx),
            (State::Present(arbitrator), Command::Operator(command)) => operator(arbitrator, command),
            (State::Present(arbitrator), Command::Node(command)) => Ok(node(arbitrator, command)),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (state, Event::ArbitratorRegistered { arbitrator, statement_hash, pay }) => {
                State::Present(registered(state, *arbitrator, *statement_hash, pay))
            }
            (State::Absent, _) => State::Absent,
            (State::Present(mut arbitrator), event) => {
                match event {
                    Event::ArbitratorPaused => arbitrator.paused = true,
                    Event::ArbitratorResumed => arbitrator.paused = false,
                    Event::ArbitratorWithdrawn => arbitrator.withdrawn = true,
                    Event::ArbitratorAdmitted => arbitrator.admission = Admission::Admitted,
                    Event::ArbitratorSuspended => arbitrator.admission = Admission::Suspended,
                    Event::ArbitratorServed { dispute, .. } => drop(arbitrator.served.insert(*dispute)),
                    Event::ArbitratorRegistered { .. } => {}
                }
                State::Present(arbitrator)
            }
        }
    }
}

/// An admission holds for a statement, and ends with leaving; a suspension holds whatever is said.
fn registered(before: State, key: NostrKey, statement_hash: Digest32, pay: &str) -> Arbitrator {
    let (admission, paused, served) = match before {
        State::Present(before) => {
            let same = before.statement_hash == statement_hash && !before.withdrawn;
            let admission = match before.admission {
                Admission::Admitted if !same => Admission::Pending,
                admission => admission,
            };
            (admission, before.paused && !before.withdrawn, before.served)
        }
        State::Absent => (Admission::Pending, false, BTreeSet::new()),
    };
    Arbitrator { key, statement_hash, pay: pay.to_owned(), admission, paused, withdrawn: false, served }
}

fn register(arbitrator: NostrKey, statement_hash: Digest32, pay: String) -> Result<Decision, Rejection> {
    let fits = (1..=PAY_BYTES_MAX).contains(&pay.len()) && pay.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(Rejection::Pay);
    }
    Ok(Decision::event(Event::ArbitratorRegistered { arbitrator, statement_hash, pay }))
}

fn user(arbitrator: &Arbitrator, command: UserCommand, ctx: &Ctx) -> Result<Decision, Rejection> {
    if ctx.author != arbitrator.key {
        return Err(Rejection::NotSelf);
    }
    let gone = arbitrator.withdrawn;
    let event = match command {
        UserCommand::Register { statement_hash, pay } => {
            let same = arbitrator.statement_hash == statement_hash && arbitrator.pay == pay && !gone;
            return if same { Ok(Decision::AlreadyApplied) } else { register(ctx.author, statement_hash, pay) };
        }
        UserCommand::Withdraw => (!gone).then_some(Event::ArbitratorWithdrawn),
        UserCommand::Pause | UserCommand::Resume if gone => return Err(Rejection::Withdrawn),
        UserCommand::Pause => (!arbitrator.paused).then_some(Event::ArbitratorPaused),
        UserCommand::Resume => arbitrator.paused.then_some(Event::ArbitratorResumed),
    };
    Ok(event.map_or(Decision::AlreadyApplied, Decision::event))
}

fn operator(arbitrator: &Arbitrator, command: OperatorCommand) -> Result<Decision, Rejection> {
    let (OperatorCommand::Admit { arbitrator: named, .. } | OperatorCommand::Suspend { arbitrator: named }) = command;
    if named != arbitrator.key {
        return Err(Rejection::NotFound);
    }
    let event = match command {
        OperatorCommand::Admit { .. } if arbitrator.withdrawn => return Err(Rejection::Withdrawn),
        OperatorCommand::Admit { statement_hash, .. } if statement_hash != arbitrator.statement_hash => {
            return Err(Rejection::OtherStatement);
        }
        OperatorCommand::Admit { .. } => {
            (arbitrator.admission != Admission::Admitted).then_some(Event::ArbitratorAdmitted)
        }
        OperatorCommand::Suspend { .. } => {
            (arbitrator.admission != Admission::Suspended).then_some(Event::ArbitratorSuspended)
        }
    };
    Ok(event.map_or(Decision::AlreadyApplied, Decision::event))
}

/// Once for each dispute, whatever became of the arbitrator since: nobody is asked twice in one.
fn node(arbitrator: &Arbitrator, command: NodeCommand) -> Decision {
    let NodeCommand::RecordService { dispute, did } = command;
    match arbitrator.served.contains(&dispute) {
        true => Decision::AlreadyApplied,
        false => Decision::event(Event::ArbitratorServed { dispute, did }),
    }
}
