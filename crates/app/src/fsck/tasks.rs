//! Every task: its facts decided again, the names that it holds, its effects and its row.

use super::{
    ClockSet, Damage, Fsck, Progress, evidence::Evidence, facts::Facts, names::Names, outbox::Outbox, rows::Rows, rules,
};
use crate::{
    change::{is_task, row, task_of},
    port::journal::StoreError,
};

/// Tasks between two words of progress.
const STEP: u64 = 1_000;

/// Checks every task. Answers how many there are, how many effects, and whether a clock was set back.
pub(super) async fn check(
    fsck: &Fsck,
    facts: &Facts,
    evidence: &Evidence,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(u64, u64, Option<ClockSet>), Damage> {
    let mut tasks = Vec::new();
    for (stream, seen) in facts.streams.iter().filter(|(stream, _)| is_task(stream)) {
        if !seen.is_erased() {
            tasks.push((task_of(stream)?, stream, seen.version));
        }
    }
    // As the rows are ordered.
    tasks.sort_by_key(|(id, ..)| *id);
    let (mut rows, mut names, mut outbox) = (Rows::open(fsck).await?, Names::default(), Outbox::default());
    let mut done = 0;
    for (id, stream, version) in tasks {
        let found = fsck.store.stream(stream).await?;
        let again = rules::again(fsck, (&facts.registry, &facts.away), id, &found).await?;
        if again.version != version {
            return Err(StoreError::Corrupt(format!("{stream} has other facts than the journal has of it")).into());
        }
        evidence.check_filed(facts, id, &again.state)?;
        names.add(id, &found)?;
        outbox.add(id, &again.effects, &again.state, &facts.registry);
        let made = row(id, version, &again.state);
        rows.compare(fsck, &made.map_err(|error| Damage::Rows(format!("task {id} makes no row: {error}")))?).await?;
        done += 1;
        if done % STEP == 0 {
            progress(Progress { what: "tasks", done });
        }
    }
    evidence.check_tasks(facts)?;
    names.check(fsck, facts).await?;
    let effects = outbox.check(fsck, facts).await?;
    let clock = facts.remembered.check(fsck.now)?;
    rows.finish(fsck).await?;
    Ok((done, effects, clock))
}
