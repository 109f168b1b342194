//! The read model of tasks: rows made of a task's facts, for queries and timers. Never the truth: it can be thrown
//! away and made again from the journal.

use async_trait::async_trait;
use std::borrow::Cow;
use tallystick_core::{BlockHeight, Id, NostrKey, Timestamp};
use tallystick_escrow::Task;

use super::journal::StoreError;

/// One task as queries and timers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// The task.
    pub id: Id<Task>,
    /// The stream's version that this row shows.
    pub version: u64,
    /// The state's name, such as `held`.
    pub state: Cow<'static, str>,
    /// Who pays.
    pub requester: NostrKey,
    /// Who works, once assigned.
    pub worker: Option<NostrKey>,
    /// When the rules want to be asked again.
    pub wake_at: Option<Timestamp>,
    /// At which height the rules want to be asked again.
    pub wake_height: Option<BlockHeight>,
    /// The whole view as JSON.
    pub view: String,
}

/// Which tasks. Conditions are joined by *and*; an empty one holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// In one of these states.
    pub states: Vec<String>,
    /// Paid by.
    pub requester: Option<NostrKey>,
    /// Worked on by.
    pub worker: Option<NostrKey>,
    /// Only tasks older than this one: the last of the page before.
    pub before: Option<Id<Task>>,
    /// How many at most.
    pub limit: u32,
}

/// Reads the tasks' read model.
#[async_trait]
pub trait TaskReader: Send + Sync {
    /// A task's view as JSON.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn task(&self, id: Id<Task>) -> Result<Option<String>, StoreError>;

    /// Views as JSON, the newest task first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn tasks(&self, query: &TaskQuery) -> Result<Vec<String>, StoreError>;

    /// Tasks whose wake-up time or height has come, each once: those by height first, the longest due first. The first
    /// `skip` of them are left out, so that those that stay due do not hide the others.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn due_tasks(
        &self,
        now: Timestamp,
        height: BlockHeight,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Id<Task>>, StoreError>;

    /// The first wake-up time of any task after this one.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn next_wake_after(&self, time: Timestamp) -> Result<Option<Timestamp>, StoreError>;
}

/// Throws the tasks' read model away, and takes it anew.
///
/// The store keeps a number with it: the format of the rows that it holds. 0 stands for rows that are not complete.
#[async_trait]
pub trait TaskRebuild: Send + Sync {
    /// The format of the rows that are there; 0 if there never was one, or while rows are being made anew.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rows_format(&self) -> Result<u32, StoreError>;

    /// Deletes every row, and sets the format to 0.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn clear_rows(&self) -> Result<(), StoreError>;

    /// Writes rows, [`super::limits::ITEMS_MAX`] at most. None replaces one of the same or a later version, so that
    /// facts may be appended meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn show_rows(&self, rows: Vec<TaskRow>) -> Result<(), StoreError>;

    /// Says that the rows are complete, and of this format.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn set_rows_format(&self, format: u32) -> Result<(), StoreError>;
}
