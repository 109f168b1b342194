//! Tasks as they change.

use async_graphql::{Context, Subscription};
use futures::{Stream, stream};
use lru::LruCache;
use std::{num::NonZeroUsize, sync::Arc};
use tallystick_app::{App, AppError, TaskUpdate};
use tallystick_core::Id;
use tallystick_escrow::{self as escrow, Rejection, TaskView};
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use super::{Result, Session, app, scalar::Uuid, session, task::Task};
use crate::error::{EdgeError, Failure};

/// Tasks whose last update is remembered. Two updates of one task can only be swapped within a moment.
const RECENT_TASKS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

pub(crate) struct Subscription;

/// Tasks as they change, over a WebSocket (graphql-transport-ws). The payload of `connection_init` carries
/// `authorization`: the value that the header of a signed GET request would have (NIP-98).
#[Subscription]
impl Subscription {
    /// A task as it stands and then after each change; without an id, every change of every task from now on. Who
    /// reads too slowly gets the newest state of the one task, or an error `request.lagged` among all tasks.
    async fn task_updates(
        &self,
        ctx: &Context<'_>,
        id: Option<Uuid>,
    ) -> Result<impl Stream<Item = Result<Task>> + use<>> {
        let mut watch = Watch::new(app(ctx).clone(), session(ctx).clone(), id.map(|id| id.0));
        if let Some(id) = watch.task {
            watch.first = Some(watch.catch_up(id).await?);
        }
        Ok(stream::unfold(watch, |mut watch| async {
            let next = watch.next().await?;
            let next = next.map(|view| Task::new(view, &watch.app, &watch.session));
            Some((next, watch))
        }))
    }
}

struct Watch {
    app: App,
    session: Session,
    /// One task, or all.
    task: Option<Id<escrow::Task>>,
    /// To be told before any update.
    first: Option<Arc<TaskView>>,
    /// The journal's number of the last update of each task.
    recent: LruCache<Id<escrow::Task>, u64>,
    updates: Receiver<TaskUpdate>,
}

impl Watch {
    fn new(app: App, session: Session, task: Option<Id<escrow::Task>>) -> Self {
        let updates = app.updates();
        Self { app, session, task, first: None, recent: LruCache::new(RECENT_TASKS), updates }
    }

    /// The next state to tell; nothing when the node stops.
    async fn next(&mut self) -> Option<Result<Arc<TaskView>>> {
        if let Some(view) = self.first.take() {
            return Some(Ok(view));
        }
        loop {
            match (self.updates.recv().await, self.task) {
                (Ok(update), _) if self.is_news(&update) => return Some(Ok(update.view)),
                (Ok(_), _) => {}
                (Err(RecvError::Lagged(_)), Some(id)) => return Some(self.catch_up(id).await),
                (Err(RecvError::Lagged(_)), None) => return Some(Err(Failure::from(EdgeError::Lagged).into())),
                (Err(RecvError::Closed), _) => return None,
            }
        }
    }

    /// The task as it stands, no older than any update that is thereby left out.
    async fn catch_up(&mut self, id: Id<escrow::Task>) -> Result<Arc<TaskView>> {
        loop {
            let view = self.app.task(id).await.map_err(Failure::from)?;
            let view = view.ok_or_else(|| Failure::from(AppError::from(Rejection::NotFound)))?;
            if !self.skip_waiting() {
                return Ok(Arc::new(view));
            }
        }
    }

    /// Passes over the updates that wait. Tells whether there were any of a watched task.
    fn skip_waiting(&mut self) -> bool {
        let mut skipped = false;
        loop {
            match self.updates.try_recv() {
                Ok(update) => skipped |= self.is_news(&update),
                Err(TryRecvError::Lagged(_)) => skipped = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return skipped,
            }
        }
    }

    /// Whether an update is of a task that is watched, and later than the last one. Two updates may be told in
    /// another order than they were journaled in.
    fn is_news(&mut self, update: &TaskUpdate) -> bool {
        let id = update.view.id;
        if self.task.is_some_and(|watched| watched != id) {
            return false;
        }
        let later = self.recent.get(&id).is_none_or(|last| *last < update.seq);
        if later {
            self.recent.put(id, update.seq);
        }
        later
    }
}
