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
            // What this view shows may have been written elsewhere, and not have been told here yet.
            self.app.caught_up().await.map_err(Failure::from)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_app::Parts;
    use tallystick_core::{Digest32, Duration, NodeKey, NostrKey, Sat, SignedRequest, Timestamp};
    use tallystick_escrow::{MilestoneTerms, OnSilence, Policy, Terms, UserCommand};
    use tallystick_testkit::{ManualClock, MemoryStore, SimRail};

    /// One more than the app keeps for a subscriber that falls behind.
    const TOO_MANY: u32 = 4_097;

    struct Node {
        app: App,
        count: u32,
    }

    impl Node {
        fn new() -> Self {
            let clock = ManualClock::new(Timestamp::from_secs(1_700_000_000));
            let store = Arc::new(MemoryStore::new());
            let app = App::new(Parts {
                journal: Arc::clone(&store) as _,
                log: Arc::clone(&store) as _,
                tasks: store,
                clock: Arc::clone(&clock) as _,
                key: NodeKey::try_new(&[9; 32]).unwrap(),
                policy: Policy::default(),
            });
            let rail = SimRail::new(clock);
            app.connect(Arc::new(rail.clone()), Arc::new(rail));
            Self { app, count: 0 }
        }

        fn author(&self) -> NostrKey {
            NodeKey::try_new(&[1; 32]).unwrap().public()
        }

        async fn ask(&mut self, id: Id<escrow::Task>, command: UserCommand) {
            let request = self.signed();
            self.app.ask(id, command, request).await.unwrap();
        }

        fn signed(&mut self) -> SignedRequest {
            self.count += 1;
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&self.count.to_be_bytes());
            SignedRequest { author: self.author(), id: Digest32(digest), event: String::new(), body: Vec::new() }
        }

        async fn create(&mut self) -> Id<escrow::Task> {
            let now = self.app.clock().now();
            let id = tallystick_app::mint_id(now).unwrap();
            let terms = Terms {
                title: "task".into(),
                description_hash: Digest32([0; 32]),
                milestones: vec![MilestoneTerms {
                    title: "all of it".into(),
                    payouts: vec![Sat::try_new(1_000).unwrap()],
                    work_deadline: now.after(Duration::from_secs(3_600)),
                }],
                review_window: Duration::from_secs(3_600),
                on_silence: OnSilence::Release,
                hold_blocks: None,
                renewal: None,
                panel: None,
                bonds: tallystick_escrow::Bonds::default(),
            };
            let request = self.signed();
            self.app.create(id, terms, request).await.unwrap();
            id
        }

        fn watch(&self, task: Option<Id<escrow::Task>>) -> Watch {
            let session = Session { viewer: self.author(), request: None };
            Watch::new(self.app.clone(), session, task)
        }
    }

    #[tokio::test]
    async fn who_falls_behind_on_one_task_gets_its_newest_state() {
        let mut node = Node::new();
        let id = node.create().await;
        let mut watch = node.watch(Some(id));
        node.ask(id, UserCommand::CancelTask).await;
        for _ in 0..TOO_MANY {
            node.create().await;
        }
        assert_eq!(watch.next().await.unwrap().unwrap().state, "cancelled");
        assert!(watch.updates.is_empty(), "what is older than the newest state is not told after it");
    }

    #[tokio::test]
    async fn who_falls_behind_on_all_tasks_is_told_so() {
        let mut node = Node::new();
        let mut watch = node.watch(None);
        for _ in 0..TOO_MANY {
            node.create().await;
        }
        let error = watch.next().await.unwrap().unwrap_err();
        assert_eq!(error.extensions.unwrap().get("code"), Some(&"request.lagged".into()));
        assert_eq!(watch.next().await.unwrap().unwrap().state, "open");
    }

    #[tokio::test]
    async fn an_update_that_was_overtaken_is_left_out() {
        let mut node = Node::new();
        let id = node.create().await;
        let view = Arc::new(node.app.task(id).await.unwrap().unwrap());
        let other = node.create().await;
        let mut watch = node.watch(Some(id));
        let news = [2, 1, 2, 3].map(|seq| watch.is_news(&TaskUpdate { seq, view: Arc::clone(&view) }));
        assert_eq!(news, [true, false, false, true]);
        let other = Arc::new(node.app.task(other).await.unwrap().unwrap());
        assert!(!watch.is_news(&TaskUpdate { seq: 9, view: other }));
    }
}
