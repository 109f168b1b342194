//! Load, decide, append, tell: what every command goes through.

use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};
use tallystick_core::{Authority, Ctx, Decider, Decision, Fact, Id, NodeWord, SignedRequest, canonical};
use tallystick_escrow::{Command, Escrow, NodeCommand, Rejection, State, Task, UserCommand};

use crate::{
    app::{Answer, App, TaskUpdate},
    change::{Change, event_of, stream_of, view_of},
    error::AppError,
    port::journal::{AppendError, StoreError},
};

/// Tasks kept in memory; more are read from the journal when they are needed.
const CACHE_TASKS: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");
/// How often a command is decided anew because another one came first.
const CONFLICTS_MAX: u32 = 64;

/// Tasks as some of their facts make them, with the version that they show. Never the truth: whoever takes a task from
/// here applies what the journal holds besides.
pub(crate) struct Cache(Mutex<Kept>);

struct Kept {
    tasks: LruCache<Id<Task>, (State, u64)>,
    /// Counts what was forgotten. A task that was read before something was forgotten may be that very one.
    forgotten: u64,
}

/// How much had been forgotten when the reading of a task began.
#[derive(Clone, Copy)]
pub(crate) struct Since(u64);

impl Cache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Kept { tasks: LruCache::new(CACHE_TASKS), forgotten: 0 }))
    }

    /// A task, or the state and version before its first fact.
    fn get(&self, id: Id<Task>) -> (State, u64, Since) {
        let mut kept = self.kept();
        let (state, version) = kept.tasks.get(&id).cloned().unwrap_or_default();
        (state, version, Since(kept.forgotten))
    }

    /// Keeps a task, unless a later version is known, or it may have been erased since it was read.
    fn put(&self, id: Id<Task>, state: &State, version: u64, since: Since) {
        let Kept { tasks, forgotten } = &mut *self.kept();
        if version > 0 && since.0 == *forgotten && tasks.peek(&id).is_none_or(|(_, known)| *known < version) {
            tasks.put(id, (state.clone(), version));
        }
    }

    /// Forgets a task, and keeps nobody from forgetting it who is reading it now.
    pub(crate) fn forget(&self, id: Id<Task>) {
        let Kept { tasks, forgotten } = &mut *self.kept();
        tasks.pop(&id);
        *forgotten += 1;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A panic between two lines of cache code leaves the cache whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command, and what is to stand behind its facts.
pub(crate) enum Order {
    /// A user's, in a signed request.
    User(Box<UserCommand>, SignedRequest),
    /// The node's own. Its word is signed once it is known what it leads to.
    Node(NodeCommand),
}

impl Order {
    fn command(&self) -> Command {
        match self {
            Self::User(command, _) => Command::User(command.as_ref().clone()),
            Self::Node(command) => Command::Node(command.clone()),
        }
    }
}

/// A command on its way.
pub(crate) struct Errand {
    pub id: Id<Task>,
    pub order: Order,
    pub ctx: Ctx,
    /// The effect that it brings to an end.
    pub finishes: Option<String>,
}

impl App {
    /// A command of the node itself: an outcome, or a wake-up. `finishes` is the effect that it brings to an end.
    ///
    /// # Errors
    /// [`AppError`]; the effect goes on then, unless the rules rejected the outcome.
    pub(crate) async fn report(
        &self,
        id: Id<Task>,
        command: NodeCommand,
        finishes: Option<String>,
    ) -> Result<Answer, AppError> {
        let ctx = self.ctx(self.key())?;
        let result = self.run(Errand { id, order: Order::Node(command), ctx, finishes: finishes.clone() }).await;
        let settled = match &result {
            Ok(answer) => !answer.changed,
            Err(AppError::Rejected(Rejection::ClaimBeforePayout)) => false,
            Err(AppError::Rejected(_)) => true,
            Err(_) => false,
        };
        if let (true, Some(effect)) = (settled, finishes) {
            self.0.parts.journal.finish_effect(&effect).await?;
        }
        result
    }

    /// Walks the road to its end, even if the one who asked goes away meanwhile: what is appended is always told. A
    /// panic on the way is an error of this one command: whoever gave it goes on.
    pub(crate) async fn run(&self, errand: Errand) -> Result<Answer, AppError> {
        let (app, id) = (self.clone(), errand.id);
        let walk = tokio::spawn(async move { app.walk(&errand).await });
        match walk.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => {
                tracing::error!(task = %id, "a command ended in a panic");
                Err(AppError::Fault)
            }
            Err(_) => Err(StoreError::Unavailable("the node is stopping".into()).into()),
        }
    }

    async fn walk(&self, errand: &Errand) -> Result<Answer, AppError> {
        for _ in 0..CONFLICTS_MAX {
            if let Some(answer) = self.try_once(errand).await? {
                return Ok(answer);
            }
        }
        Err(AppError::Busy)
    }

    /// Load, decide, append, tell. `None` if another command came first.
    async fn try_once(&self, errand: &Errand) -> Result<Option<Answer>, AppError> {
        let Errand { id, order, ctx, finishes } = errand;
        let (state, version, since) = self.load_since(*id).await?;
        let (events, effects) = match (self.0.rules)(&state, order.command(), ctx)? {
            Decision::Accept { events, effects } => (events, effects),
            Decision::AlreadyApplied => {
                return Ok(Some(Answer { changed: false, view: Arc::new(view_of(&state)?) }));
            }
        };
        // Until the facts are in the journal.
        let _room = self.room_for(errand, &state).await?;
        let after = events.iter().fold(state, Escrow::evolve);
        let view = view_of(&after)?;
        let change = Change { id: *id, version, events: &events, effects: &effects, after: &after };
        let append = change.to_append(self.authority(errand, version), finishes.clone(), ctx)?;
        let appended = match self.0.parts.journal.append(append).await {
            Ok(appended) => appended,
            Err(AppendError::Conflict { .. }) => return Ok(None),
            Err(AppendError::Taken { .. }) => return Err(Rejection::HashReused.into()),
            Err(AppendError::Erased { .. }) => {
                self.0.cache.forget(*id);
                return Err(AppError::Erased);
            }
            Err(AppendError::UnderWay { .. }) => return Err(AppError::Fault),
            // Whether the facts are on disk is unknown; whoever loads the task next reads them.
            Err(AppendError::Store(error)) => {
                self.missed();
                return Err(error.into());
            }
        };
        let view = Arc::new(view);
        self.0.cache.put(*id, &after, appended.version, since);
        if self.0.told.get().is_none() {
            // Nobody listening is fine.
            let _ = self.0.updates.send(TaskUpdate { seq: appended.seq, view: Arc::clone(&view) });
        }
        if !effects.is_empty() {
            self.0.effects_added.notify_one();
        }
        self.0.wakes_changed.notify_one();
        Ok(Some(Answer { changed: true, view }))
    }

    /// What stands behind the facts of a decision made on `version`.
    fn authority(&self, errand: &Errand, version: u64) -> Authority {
        match &errand.order {
            Order::User(_, request) => Authority::Request(request.clone()),
            Order::Node(command) => self.0.parts.key.authorise(&NodeWord {
                stream: &stream_of(errand.id),
                expected_version: version,
                recorded_at: errand.ctx.now,
                height: errand.ctx.height,
                command: &canonical::encode(command),
            }),
        }
    }

    /// A task as the journal holds it now, and its version. What is in memory saves reading its facts again, and no
    /// more than that: nothing is decided on memory alone.
    pub(crate) async fn load(&self, id: Id<Task>) -> Result<(State, u64), AppError> {
        let (state, version, _) = self.load_since(id).await?;
        Ok((state, version))
    }

    async fn load_since(&self, id: Id<Task>) -> Result<(State, u64, Since), AppError> {
        let (state, version, since) = self.0.cache.get(id);
        let facts = self.0.parts.journal.stream(&stream_of(id), version).await?;
        let (state, version) = replay(state, version, &facts)?;
        if !facts.is_empty() {
            self.0.cache.put(id, &state, version, since);
        }
        Ok((state, version, since))
    }
}

/// Applies the facts that follow a version.
pub(crate) fn replay(state: State, version: u64, facts: &[Fact]) -> Result<(State, u64), AppError> {
    facts
        .iter()
        .try_fold((state, version), |(state, _), fact| Ok((Escrow::evolve(state, &event_of(fact)?), fact.version)))
}
