//! Every task: its facts decided again, the names that it holds, its effects and its row.

use tallystick_core::Fact;

use super::{Damage, Fsck, Progress, facts::Facts, outbox::Outbox, rows::Rows, rules};
use crate::{
    change::{HASH_SPACE, event_of, hashes, is_task, row, task_of},
    port::journal::StoreError,
};

/// Tasks between two words of progress.
const STEP: u64 = 1_000;

/// Checks every task. Answers how many there are, and how many effects.
pub(super) async fn check(
    fsck: &Fsck,
    facts: &Facts,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(u64, u64), Damage> {
    let mut tasks = Vec::new();
    for (stream, seen) in facts.streams.iter().filter(|(stream, _)| is_task(stream)) {
        if !seen.is_erased() {
            tasks.push((task_of(stream)?, stream, seen.version));
        }
    }
    // As the rows are ordered.
    tasks.sort_by_key(|(id, ..)| *id);
    let (mut rows, mut outbox, mut done) = (Rows::open(fsck).await?, Outbox::default(), 0);
    for (id, stream, version) in tasks {
        let found = fsck.store.stream(stream).await?;
        let again = rules::again(fsck, id, &found).await?;
        if again.version != version {
            return Err(StoreError::Corrupt(format!("{stream} has other facts than the journal has of it")).into());
        }
        names(fsck, stream, &found).await?;
        outbox.add(id, &again.effects, &again.state);
        let made = row(id, version, &again.state);
        rows.compare(fsck, &made.map_err(|error| Damage::Rows(format!("task {id} makes no row: {error}")))?).await?;
        done += 1;
        if done % STEP == 0 {
            progress(Progress { what: "tasks", done });
        }
    }
    let effects = outbox.check(fsck, facts).await?;
    rows.finish(fsck).await?;
    Ok((done, effects))
}

/// Every payment hash of a task is reserved for it.
async fn names(fsck: &Fsck, stream: &str, facts: &[Fact]) -> Result<(), Damage> {
    for fact in facts {
        let event = event_of(fact).map_err(|error| Damage::fact(fact.seq, format!("is none: {error}")))?;
        for hash in hashes(&event) {
            if fsck.store.holder(HASH_SPACE, &hash.0).await?.as_deref() != Some(stream) {
                return Err(Damage::fact(fact.seq, "names a payment hash that is not reserved for its task"));
            }
        }
    }
    Ok(())
}
