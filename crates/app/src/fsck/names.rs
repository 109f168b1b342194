//! The payment hashes that tasks hold, against those that the facts name.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_core::{Fact, Id};
use tallystick_escrow::Task;

use super::{Damage, Fsck, facts::Facts};
use crate::{
    change::{HASH_SPACE, event_of, hashes, stream_of},
    port::{limits::PAGE_MAX, snapshot::Held},
};

const NOT_HELD: &str = "names a payment hash that is not reserved for its task";

/// Which task must hold a hash, and the fact that says so.
#[derive(Default)]
pub(super) struct Names(BTreeMap<Vec<u8>, (Id<Task>, u64)>);

impl Names {
    /// Adds what a task's facts name.
    pub(super) fn add(&mut self, task: Id<Task>, facts: &[Fact]) -> Result<(), Damage> {
        for fact in facts {
            let event = event_of(fact).map_err(|error| Damage::fact(fact.seq, format!("is none: {error}")))?;
            for hash in hashes(&event) {
                let before = self.0.insert(hash.0.to_vec(), (task, fact.seq));
                if before.is_some_and(|(other, _)| other != task) {
                    return Err(Damage::fact(fact.seq, "names a payment hash of another task"));
                }
            }
        }
        Ok(())
    }

    /// Compares. Which hashes an erased task holds nobody can tell any more, only whether it must hold any.
    pub(super) async fn check(mut self, fsck: &Fsck, facts: &Facts) -> Result<(), Damage> {
        let could = facts.streams.iter().filter(|(_, seen)| seen.is_erased() && seen.took_names);
        let mut unheld: BTreeSet<&str> = could.map(|(stream, _)| stream.as_str()).collect();
        let erased: BTreeSet<&str> = unheld.clone();
        let (mut after, mut not_held): (Option<Held>, Vec<u64>) = (None, Vec::new());
        loop {
            let mut page = fsck.store.names(after.as_ref(), PAGE_MAX).await?;
            for Held { space, name, stream } in &page {
                match self.0.remove(name).filter(|_| space == HASH_SPACE) {
                    Some((task, seq)) if stream_of(task) != *stream => not_held.push(seq),
                    Some(_) => {}
                    None if erased.contains(&**stream) && space == HASH_SPACE && name.len() == 32 => {
                        unheld.remove(&**stream);
                    }
                    None => {
                        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
                        return Err(Damage::Names(format!("{space} {name} is held by {stream}, as no fact says")));
                    }
                }
            }
            let Some(last) = page.pop() else { break };
            after = Some(last);
        }
        not_held.extend(self.0.into_values().map(|(_, seq)| seq));
        if let Some(seq) = not_held.into_iter().min() {
            return Err(Damage::fact(seq, NOT_HELD));
        }
        match unheld.first() {
            Some(stream) => Err(Damage::Names(format!("{stream} is erased, and holds none of its payment hashes"))),
            None => Ok(()),
        }
    }
}
