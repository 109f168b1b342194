//! Tasks as they change.

use async_graphql::{Context, Subscription};
use futures::{Stream, stream};
use lru::LruCache;
use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};
use tallystick_app::{App, TaskUpdate};
use tallystick_core::Id;
use tallystick_escrow::{self as escrow, Rejection, TaskView};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Result, Session, app, scalar::Uuid, session, task::Task};
use crate::error::{EdgeError, Failure};

/// Tasks whose last update is remembered. Two updates of one task can only be swapped within a moment.
const RECENT_TASKS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

pub(crate) struct Subscription;

/// Tasks as they change, over a WebSocket (graphql-transport-ws). The payload of `connection_init` carries
/// `authorization`: the value that the header of a signed GET request would have (NIP-98).
#[Subscription]
impl Subscription {
    /// A task as it stands and then after each change; without an id, every change of every task from now on. A
    /// reader that is too slow is told so by an error `request.lagged`, or gets the newest state of its one task.
    async fn task_updates(&self, ctx: &Context<'_>, id: Option<Uuid>) -> Result<impl Stream<Item = Result<Task>> + use<>> {
        let app = app(ctx).clone();
        // Before the first look, so that nothing falls between the two.
        let updates = app.updates();
        let mut first = VecDeque::new();
        if let Some(Uuid(id)) = id {
            first.push_back(present(&app, id).await?);
        }
        let watch = Watch {
            session: session(ctx).clone(),
            task: id.map(|id| id.0),
            last: first.front().cloned(),
            first,
            recent: LruCache::new(RECENT_TASKS),
            updates,
            app,
        };
        Ok(stream::unfold(watch, |mut watch| async {
            let next = watch.next().await?;
            let next = next.map(|view| Task::new(view, &watch.app, &watch.session));
            Some((next, watch))
        }))
    }
}

async fn present(app: &App, id: Id<escrow::Task>) -> Result<Arc<TaskView>> {
    let view = app.task(id).await.map_err(Failure::from)?;
    Ok(Arc::new(view.ok_or_else(|| Failure::from(tallystick_app::AppError::from(Rejection::NotFound)))?))
}

struct Watch {
    app: App,
    session: Session,
    /// One task, or all.
    task: Option<Id<escrow::Task>>,
    first: VecDeque<Arc<TaskView>>,
    /// What was told last of the one task.
    last: Option<Arc<TaskView>>,
    /// The journal's number of the last update of each task.
    recent: LruCache<Id<escrow::Task>, u64>,
    updates: Receiver<TaskUpdate>,
}

impl Watch {
    /// The next state to tell; nothing when the node stops.
    async fn next(&mut self) -> Option<Result<Arc<TaskView>>> {
        if let Some(view) = self.first.pop_front() {
            return Some(Ok(view));
        }
        loop {
            let view = match self.updates.recv().await {
                Ok(update) if !self.is_news(&update) => continue,
                Ok(update) => update.view,
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(_)) => match self.task {
                    None => return Some(Err(Failure::from(EdgeError::Lagged).into())),
                    Some(id) => match present(&self.app, id).await {
                        Ok(view) => view,
                        error => return Some(error),
                    },
                },
            };
            if self.task.is_none() {
                return Some(Ok(view));
            }
            if self.last.as_ref() != Some(&view) {
                self.last = Some(Arc::clone(&view));
                return Some(Ok(view));
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
