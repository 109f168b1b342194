//! When the node was away, by its own facts, against what it told the tasks of that.

use tallystick_core::Fact;
use tallystick_escrow::{Command, NodeCommand, Outage, State};

use super::Damage;
use crate::away::{STREAM, outage_of};

/// The times in which the node was away, each with the number of the fact that tells.
#[derive(Debug, Default)]
pub(super) struct Away(Vec<(u64, Outage)>);

impl Away {
    /// Adds a fact, if it is one of these.
    pub(super) fn add(&mut self, fact: &Fact) -> Result<(), Damage> {
        if fact.stream == STREAM {
            self.0.push((fact.seq, outage_of(fact)?));
        }
        Ok(())
    }

    /// Checks that a task was told of all times since it was created that were facts by then. One that became a fact at the
    /// same moment may be missing only if it is a later fact.
    pub(super) fn check(&self, task: &State, seq: u64, command: &Command) -> Result<(), String> {
        let Command::Node(NodeCommand::WakeKnowing { outages }) = command else { return Ok(()) };
        let State::Present(task) = task else { return Ok(()) };
        let since = |outage: &Outage| outage.until >= task.created_at;
        let known = self.0.iter().take_while(|(told, _)| *told < seq).map(|(_, outage)| *outage);
        let known: Vec<Outage> = known.filter(since).collect();
        if known == *outages { Ok(()) } else { Err("was told of other times in which the node was away".into()) }
    }
}
