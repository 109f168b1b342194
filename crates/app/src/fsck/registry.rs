//! The registry of arbitrators: its facts decided again, and the lists that panels were drawn from.

use std::collections::BTreeMap;
use tallystick_civics::{
    dispute::Dispute,
    registry::{Command, Event, NodeCommand, Registry as Rules, Roll, State},
    roles,
};
use tallystick_core::{Authority, Ctx, Decider, Decision, Fact, Id, NostrKey, canonical};
use tallystick_escrow::{Command as TaskCommand, NodeCommand as TaskReport, UserCommand};

use super::{Damage, Fsck};
use crate::{
    port::request::Asked,
    registry::{arbitrator_of, event_of},
};

/// The registry's facts, as they were decided.
#[derive(Debug, Default)]
pub(super) struct Registry {
    states: BTreeMap<NostrKey, State>,
    facts: Vec<Fact>,
}

impl Registry {
    /// Decides a fact of the registry again, with the roles as they were then. Facts come in the order of the journal. A
    /// decision has one fact.
    pub(super) fn add(
        &mut self,
        fsck: &Fsck,
        fact: &Fact,
        authority: Option<&Authority>,
        roles: &roles::State,
    ) -> Result<(), Damage> {
        let bad = |why: &str| Damage::fact(fact.seq, why);
        let arbitrator = arbitrator_of(&fact.stream)?;
        let event: Event = event_of(fact)?;
        let authority = authority.ok_or_else(|| bad("has nobody behind it"))?;
        let command = match authority {
            Authority::Request(request) => match fsck.requests.read(request) {
                Some(Asked::Registry(command)) => command,
                _ => return Err(bad("has a request behind it that asks for something else")),
            },
            Authority::Node { command, .. } => match canonical::decode::<NodeCommand>("node's command", command) {
                Ok(command) => Command::Node(command),
                Err(_) => return Err(bad("has a word behind it that is none")),
            },
        };
        let is_operators = matches!(command, Command::Operator(_));
        if is_operators && roles.is_founded() && !roles.operators.contains(&authority.author()) {
            return Err(bad("was asked for by nobody who was an operator then"));
        }
        let ctx = Ctx { now: fact.recorded_at, height: fact.height, author: authority.author() };
        let state = self.states.entry(arbitrator).or_default();
        match Rules::decide(state, command, &ctx) {
            Ok(Decision::Accept { events, .. }) if events == [event.clone()] => {}
            _ => return Err(bad("is not what the rules decide")),
        }
        *state = Rules::evolve(std::mem::take(state), &event);
        self.facts.push(fact.clone());
        Ok(())
    }

    /// Whether an arbitrator of the registry has not been told yet what it did in a dispute.
    pub(super) fn waits_for(&self, arbitrator: NostrKey, dispute: Id<Dispute>) -> bool {
        match self.states.get(&arbitrator) {
            Some(State::Present(known)) => !known.served.contains(&dispute),
            Some(State::Absent) | None => false,
        }
    }

    /// Checks what the node told a task of the registry: that a dispute names a fact of the registry that was there, and
    /// that a panel was drawn from the list as of that fact.
    pub(super) fn check(&self, seq: u64, command: &TaskCommand) -> Result<(), String> {
        match command {
            TaskCommand::User(UserCommand::OpenDispute { docket, .. }) if docket.registry_seq >= seq => {
                Err("names a fact of the registry that came later".into())
            }
            TaskCommand::Node(TaskReport::RecordDraw { candidates, registry_seq, .. }) => {
                let mut roll = Roll::default();
                for fact in self.facts.iter().take_while(|fact| fact.seq <= *registry_seq) {
                    crate::registry::note(&mut roll, fact).map_err(|error| error.to_string())?;
                }
                match roll.candidates() {
                    Ok(list) if list == *candidates => Ok(()),
                    _ => Err("is a draw from another list than the registry's".into()),
                }
            }
            _ => Ok(()),
        }
    }
}
