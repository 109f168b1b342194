//! Makes the read model again.

use tallystick_escrow::State;

use crate::{
    app::App,
    change::{ROWS_FORMAT, is_task, row, task_of},
    erase::STREAM,
    error::AppError,
    port::{limits::PAGE_MAX, tasks::TaskRebuild},
    road::replay,
};

impl App {
    /// Makes the read model again if it is not complete, or was made by a program with another idea of it. Answers
    /// whether it did. For the start, before queries are served.
    ///
    /// # Errors
    /// [`AppError::Store`]; the next start begins anew.
    pub async fn refresh_tasks(&self, rows: &dyn TaskRebuild) -> Result<bool, AppError> {
        if rows.rows_format().await? == ROWS_FORMAT {
            return Ok(false);
        }
        let count = self.rebuild_tasks(rows).await?;
        tracing::info!(tasks = count, format = ROWS_FORMAT, "the read model of tasks was made again");
        Ok(true)
    }

    /// Throws the read model away, and makes every task's row from its facts. Answers how many tasks there are.
    ///
    /// # Errors
    /// [`AppError::Store`]; the read model is not complete then, and marked so.
    pub async fn rebuild_tasks(&self, rows: &dyn TaskRebuild) -> Result<u64, AppError> {
        loop {
            let before = self.own_version().await?;
            let count = self.make_rows(rows).await?;
            // A task that another replica erased between its facts and its row would have one again.
            if self.own_version().await? == before {
                rows.set_rows_format(ROWS_FORMAT).await?;
                return Ok(count);
            }
        }
    }

    /// How much the journal tells of itself: erasures are in it.
    async fn own_version(&self) -> Result<u64, AppError> {
        let own = self.0.parts.journal.stream(STREAM, 0).await?;
        Ok(own.last().map_or(0, |fact| fact.version))
    }

    async fn make_rows(&self, rows: &dyn TaskRebuild) -> Result<u64, AppError> {
        let journal = &self.0.parts.journal;
        rows.clear_rows().await?;
        let (mut after, mut count) = (0, 0);
        loop {
            let page = journal.facts(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after = last.seq;
            let mut made = Vec::new();
            for first in page.iter().filter(|fact| fact.version == 1 && is_task(&fact.stream)) {
                let facts = journal.stream(&first.stream, 0).await?;
                let (state, version) = match replay(State::default(), 0, &facts) {
                    // It has no row any more.
                    Err(AppError::Erased) => continue,
                    replayed => replayed?,
                };
                made.push(row(task_of(&first.stream)?, version, &state)?);
                count += 1;
            }
            rows.show_rows(made).await?;
        }
    }
}
