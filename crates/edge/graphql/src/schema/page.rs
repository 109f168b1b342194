//! Pages of tasks (Relay's cursor connections).

use async_graphql::{
    InputObject,
    connection::{Connection, CursorType, Edge},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::Arc;
use tallystick_app::{App, port::tasks::TaskQuery};
use tallystick_core::Id;
use tallystick_escrow as escrow;

use super::{
    Result, Session,
    scalar::NostrKey,
    task::{Task, TaskState, name_of},
};
use crate::error::{EdgeError, Failure};

/// How many on a page if the client does not say. A client that declares a variable and leaves it out means the same
/// as one that leaves the argument out, so that arguments with a default can be null.
pub(crate) const FIRST: u32 = 20;

/// Which tasks. Conditions are joined by *and*; an absent one holds for all.
#[derive(Default, InputObject)]
pub(crate) struct TaskFilter {
    /// In one of these states.
    states: Option<Vec<TaskState>>,
    /// Paid by.
    requester: Option<NostrKey>,
    /// Worked on by.
    worker: Option<NostrKey>,
}

/// Where a page ends: a task's id.
pub(crate) struct TaskCursor(pub Id<escrow::Task>);

impl CursorType for TaskCursor {
    type Error = EdgeError;

    fn decode_cursor(text: &str) -> std::result::Result<Self, EdgeError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| EdgeError::BadCursor)?;
        let uuid = uuid::Uuid::from_slice(&bytes).map_err(|_| EdgeError::BadCursor)?;
        Id::try_new(uuid).map(Self).map_err(|_| EdgeError::BadCursor)
    }

    fn encode_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }
}

/// A page of tasks, the newest first.
pub(crate) async fn read(
    app: &App,
    session: &Session,
    filter: TaskFilter,
    first: u32,
    after: Option<String>,
) -> Result<Connection<TaskCursor, Task>> {
    let after = after.as_deref().map(TaskCursor::decode_cursor).transpose().map_err(Failure::from)?;
    let mut states = filter.states.unwrap_or_default();
    states.sort_unstable_by_key(|state| *state as u8);
    states.dedup();
    let query = TaskQuery {
        states: states.into_iter().map(name_of).collect::<Result<_>>()?,
        requester: filter.requester.map(|key| key.0),
        worker: filter.worker.map(|key| key.0),
        before: after.map(|cursor| cursor.0),
        // One more tells whether there is a next page.
        limit: first.saturating_add(1),
    };
    let mut views = app.tasks(&query).await.map_err(Failure::from)?;
    let length = usize::try_from(first).unwrap_or(usize::MAX);
    let has_next = views.len() > length;
    views.truncate(length);
    // Whether something newer is there is not looked up: pages go one way.
    let mut connection = Connection::new(false, has_next);
    connection.edges = views
        .into_iter()
        .map(|view| Task::new(Arc::new(view), app, session))
        .map(|task| Edge::new(TaskCursor(task.id()), task))
        .collect();
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_the_rest_is_refused() {
        let id = Id::from_parts(1_000, [7; 10]);
        let cursor = TaskCursor(id).encode_cursor();
        assert_eq!(TaskCursor::decode_cursor(&cursor).map(|cursor| cursor.0), Ok(id));
        for bad in ["", "x", &cursor[1..], &id.to_string(), &URL_SAFE_NO_PAD.encode([0; 16])] {
            assert!(TaskCursor::decode_cursor(bad).is_err(), "{bad}");
        }
    }
}
