//! The outbox, against what the facts ask for.

use std::collections::BTreeMap;
use tallystick_core::{Digest32, Id, Timestamp, canonical};
use tallystick_escrow::{Effect, State, Task, awaited};

use super::{Damage, Fsck, facts::Facts, registry::Registry};
use crate::{change::stream_of, port::limits::PAGE_MAX};

/// What must be in the outbox, by key.
#[derive(Default)]
pub(super) struct Outbox(BTreeMap<String, Wanted>);

struct Wanted {
    task: Id<Task>,
    body: Digest32,
    /// Whether its outcome is no fact yet.
    awaited: bool,
}

impl Outbox {
    /// Adds what a task's facts ask for. The first effect of a key counts.
    pub(super) fn add(&mut self, task: Id<Task>, effects: &[Effect], state: &State, registry: &Registry) {
        for effect in effects {
            let body = canonical::sha256(&canonical::encode(effect));
            let awaited = match effect {
                Effect::NoteService { dispute, arbitrator, .. } => registry.waits_for(*arbitrator, *dispute),
                _ => false,
            };
            self.0.entry(effect.key()).or_insert(Wanted { task, body, awaited });
        }
        let State::Present(state) = state else { return };
        for effect in awaited(state, Timestamp::default()) {
            if let Some(wanted) = self.0.get_mut(&effect.key()) {
                wanted.awaited = true;
            }
        }
    }

    /// Compares. Answers how many effects there are.
    pub(super) async fn check(mut self, fsck: &Fsck, facts: &Facts) -> Result<u64, Damage> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = fsck.store.effects(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.place);
            for kept in &page {
                count += 1;
                let bad = |what: &str| Err(Damage::Outbox(format!("{} {what}", kept.key)));
                let erased = facts.streams.get(&kept.stream).is_some_and(|seen| seen.is_erased());
                match self.0.remove(&kept.key) {
                    Some(wanted) if stream_of(wanted.task) != kept.stream => return bad("is filed under another task"),
                    Some(wanted) if wanted.body != canonical::sha256(&kept.body) => {
                        return bad("is not what its fact asks for");
                    }
                    Some(wanted) if wanted.awaited && kept.finished => {
                        return bad("is marked as done, and no fact tells of its outcome");
                    }
                    Some(_) => {}
                    None if !erased => return bad("is asked for by no fact"),
                    None if !kept.finished => return bad("is not done, and its task is erased"),
                    None if !kept.body.is_empty() => return bad("is still there, and its task is erased"),
                    None => {}
                }
            }
        }
        match self.0.first_key_value() {
            None => Ok(count),
            Some((key, _)) => Err(Damage::Outbox(format!("{key} is missing, and a fact asks for it"))),
        }
    }
}
