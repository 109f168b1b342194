//! The read model, and the names that tasks hold, against a replay.

use tallystick_core::{Fact, Id};
use tallystick_escrow::{State, Task};

use super::{Damage, Fsck, Progress, facts::Facts};
use crate::{
    change::{HASH_SPACE, ROWS_FORMAT, event_of, hashes, is_task, row, task_of},
    error::AppError,
    port::{limits::PAGE_MAX, tasks::TaskRow},
    road::replay,
};

/// Tasks between two words of progress.
const STEP: u64 = 1_000;

/// Checks every row. Answers how many tasks there are.
pub(super) async fn check(
    fsck: &Fsck,
    facts: &Facts,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<u64, Damage> {
    let format = fsck.rows.rows_format().await?;
    if format != ROWS_FORMAT {
        return Err(Damage::Rows(format!(
            "its format is {format}, not {ROWS_FORMAT}: the node makes it again at its start"
        )));
    }
    let mut stored = Stored::default();
    let mut tasks = Vec::new();
    for (stream, seen) in facts.streams.iter().filter(|(stream, _)| is_task(stream)) {
        tasks.push((task_of(stream)?, stream, *seen));
    }
    // As the rows are ordered.
    tasks.sort_by_key(|(id, ..)| *id);
    let mut done = 0;
    for (id, stream, seen) in tasks {
        if seen.is_erased() {
            continue;
        }
        let found = match stored.next(fsck).await? {
            Some(found) if found.id == id => found,
            Some(found) if found.id < id => return Err(Damage::Rows(format!("task {} has no facts", found.id))),
            _ => return Err(Damage::Rows(format!("task {id} has no row"))),
        };
        // The row may have moved on since the facts were read, and so may they.
        let facts = fsck.journal.stream(stream, 0).await?;
        let shown = facts.partition_point(|fact| fact.version <= found.version);
        let facts = facts.get(..shown).filter(|facts| facts.len() as u64 >= seen.version).unwrap_or_default();
        if made(id, facts)? != Some(found) {
            return Err(Damage::Rows(format!("the row of task {id} is not what its facts make")));
        }
        names(fsck, stream, facts).await?;
        done += 1;
        if done % STEP == 0 {
            progress(Progress { what: "tasks", done });
        }
    }
    while let Some(more) = stored.next(fsck).await? {
        // Unless it was posted since.
        if fsck
            .journal
            .stream(&crate::change::stream_of(more.id), 0)
            .await?
            .iter()
            .all(|fact| fact.body.content().is_none())
        {
            return Err(Damage::Rows(format!("task {} has no facts, or was erased, and still has a row", more.id)));
        }
    }
    Ok(done)
}

/// The row that the facts make, if there are any.
fn made(id: Id<Task>, facts: &[Fact]) -> Result<Option<TaskRow>, Damage> {
    if facts.is_empty() {
        return Ok(None);
    }
    let wrong = |error: AppError| match error {
        AppError::Store(error) => Damage::Store(error),
        other => Damage::Rows(format!("task {id} cannot be replayed: {other}")),
    };
    let (state, version) = replay(State::default(), 0, facts).map_err(wrong)?;
    row(id, version, &state).map(Some).map_err(wrong)
}

/// Every payment hash of a task is reserved for it.
async fn names(fsck: &Fsck, stream: &str, facts: &[Fact]) -> Result<(), Damage> {
    for fact in facts {
        let event = event_of(fact).map_err(|error| Damage::fact(fact.seq, format!(": {error}")))?;
        for hash in hashes(&event) {
            if fsck.journal.holder(HASH_SPACE, &hash.0).await?.as_deref() != Some(stream) {
                return Err(Damage::fact(fact.seq, "names a payment hash that is not reserved for its task"));
            }
        }
    }
    Ok(())
}

/// The rows, a page at a time.
#[derive(Default)]
struct Stored {
    page: std::collections::VecDeque<TaskRow>,
    last: Option<Id<Task>>,
    ended: bool,
}

impl Stored {
    async fn next(&mut self, fsck: &Fsck) -> Result<Option<TaskRow>, Damage> {
        if self.page.is_empty() && !self.ended {
            self.page = fsck.rows.rows(self.last, PAGE_MAX).await?.into();
            self.ended = self.page.is_empty();
        }
        let row = self.page.pop_front();
        self.last = row.as_ref().map(|row| row.id).or(self.last);
        Ok(row)
    }
}
