//! The one road in.

use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use tallystick_core::{
    Authority, BlockHeight, Ctx, Decider, Decision, Duration, Id, NodeKey, NostrKey, PaymentHash, SignedRequest,
    canonical,
};
use tallystick_escrow::{
    Command, Escrow, Event, NodeCommand, Policy, Rejection, State, Task, TaskView, TrancheState, UserCommand,
};
use tokio::sync::{Notify, broadcast};

use crate::{
    change::{Change, read_view, stream_of, view_of},
    clock::Clock,
    error::AppError,
    port::{
        journal::{AppendError, Journal, StoreError},
        rail::{HoldRail, InvoiceReader},
        tasks::{TaskQuery, TaskReader},
    },
};

/// Tasks kept in memory; more are read from the journal when they are needed.
const CACHE_TASKS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
/// Updates kept for a subscriber that falls behind, before it is told to read again.
const UPDATES_KEPT: usize = 4_096;
/// How often a command is decided anew because another one came first.
const CONFLICTS_MAX: u32 = 64;
/// How long a request stays known, at least as long as its signature is accepted.
const REQUEST_MEMORY: Duration = Duration::from_secs(600);
/// How long funding waits for its invoices.
const FUNDING_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// What an [`App`] is made of.
pub struct Parts {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The read model.
    pub tasks: Arc<dyn TaskReader>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The node's own signing key.
    pub key: NodeKey,
    /// The policy for new tasks; checked.
    pub policy: Policy,
}

/// The use cases of the node. Cheap to clone.
#[derive(Clone)]
pub struct App(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub parts: Parts,
    rail: OnceLock<Rail>,
    height: AtomicU32,
    cache: Mutex<LruCache<Id<Task>, (State, u64)>>,
    updates: broadcast::Sender<TaskUpdate>,
    pub effects_added: Notify,
    pub wakes_changed: Notify,
}

/// A task as the node knows it.
struct Loaded {
    state: State,
    version: u64,
    /// Whether it comes from memory: then the journal may hold more by now.
    cached: bool,
}

/// The rail, and the reader of its invoices.
type Rail = (Arc<dyn HoldRail>, Arc<dyn InvoiceReader>);

/// A task changed.
#[derive(Clone, Debug)]
pub struct TaskUpdate {
    /// The journal's sequence number of the change.
    pub seq: u64,
    /// The task after it.
    pub view: Arc<TaskView>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether this very command changed something, or an earlier one had.
    pub changed: bool,
    /// The task now.
    pub view: Arc<TaskView>,
}

impl App {
    /// Makes the road. Commands that need the rail answer [`AppError::Starting`] until [`App::connect`].
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            rail: OnceLock::new(),
            height: AtomicU32::new(0),
            cache: Mutex::new(LruCache::new(CACHE_TASKS)),
            updates: broadcast::channel(UPDATES_KEPT).0,
            effects_added: Notify::new(),
            wakes_changed: Notify::new(),
        }))
    }

    /// Gives the road its rail, once. A second call changes nothing.
    pub fn connect(&self, rail: Arc<dyn HoldRail>, invoices: Arc<dyn InvoiceReader>) {
        let height = rail.height();
        let _ = self.0.rail.set((rail, invoices));
        self.set_height(height);
    }

    /// A signed request's command to a task. The request is remembered, and refused the second time.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn ask(&self, id: Id<Task>, command: UserCommand, request: SignedRequest) -> Result<Answer, AppError> {
        let ctx = self.ctx(request.author)?;
        self.admit(&request).await?;
        self.run(id, Command::User(command), Authority::Request(request), ctx, None).await
    }

    /// Remembers a request for good, so that it works once. [`App::ask`] does it by itself; what acts on a signed
    /// request without a task, such as an operator's command, calls it first.
    ///
    /// # Errors
    /// [`AppError::Replayed`] the second time.
    pub async fn admit(&self, request: &SignedRequest) -> Result<(), AppError> {
        let now = self.0.parts.clock.now();
        let fresh = self.0.parts.journal.admit(request.id, now, now.after(REQUEST_MEMORY)).await?;
        if fresh { Ok(()) } else { Err(AppError::Replayed) }
    }

    /// Takes a task with the worker's invoices as text.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn accept(
        &self,
        id: Id<Task>,
        invoices: Vec<String>,
        request: SignedRequest,
    ) -> Result<Answer, AppError> {
        let (_, reader) = self.rail()?;
        let invoices = invoices
            .into_iter()
            .map(|bolt11| {
                let facts = reader.read(&bolt11)?;
                Ok((bolt11, facts))
            })
            .collect::<Result<_, AppError>>()?;
        self.ask(id, UserCommand::AcceptTask { invoices }, request).await
    }

    /// Asks for the funding invoices and waits until they are there.
    ///
    /// # Errors
    /// [`AppError::Pending`] if they are not there in time: the request stands, ask for the task.
    pub async fn request_funding(&self, id: Id<Task>, request: SignedRequest) -> Result<Answer, AppError> {
        let mut updates = self.updates();
        let mut answer = self.ask(id, UserCommand::RequestFunding, request).await?;
        let ready = |view: &TaskView| {
            view.state != "funding" || view.tranches.iter().all(|tranche| tranche.funding_invoice.is_some())
        };
        let wait = async {
            while !ready(&answer.view) {
                match updates.recv().await {
                    Ok(update) if update.view.id == id => answer.view = update.view,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        answer.view = Arc::new(self.task(id).await?.ok_or(Rejection::NotFound)?);
                    }
                    Err(broadcast::error::RecvError::Closed) => return Err(AppError::Pending),
                }
            }
            Ok(answer)
        };
        tokio::time::timeout(FUNDING_WAIT, wait).await.map_err(|_| AppError::Pending)?
    }

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
        let key = &self.0.parts.key;
        let authority = key.authorise(&stream_of(id), canonical::encode(&command));
        let ctx = self.ctx(key.public())?;
        let result = self.run(id, Command::Node(command), authority, ctx, finishes.clone()).await;
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

    /// Walks the road to its end, even if the one who asked goes away meanwhile: what is appended is always told.
    async fn run(
        &self,
        id: Id<Task>,
        command: Command,
        authority: Authority,
        ctx: Ctx,
        finishes: Option<String>,
    ) -> Result<Answer, AppError> {
        let app = self.clone();
        let walk = tokio::spawn(async move { app.walk(id, &command, &authority, ctx, finishes).await });
        match walk.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(StoreError::Unavailable("the node is stopping".into()).into()),
        }
    }

    /// Load, decide, append, tell; again if another command came first.
    async fn walk(
        &self,
        id: Id<Task>,
        command: &Command,
        authority: &Authority,
        ctx: Ctx,
        finishes: Option<String>,
    ) -> Result<Answer, AppError> {
        for _ in 0..CONFLICTS_MAX {
            let Loaded { state, version, cached } = self.load(id).await?;
            let decision = Escrow::decide(&state, command.clone(), &ctx);
            // The journal checks an acceptance, by the version that it was made on. Anything else is said only of
            // what the journal holds now.
            if cached && !matches!(decision, Ok(Decision::Accept { .. })) {
                self.forget(id);
                continue;
            }
            let (events, effects) = match decision? {
                Decision::Accept { events, effects } => (events, effects),
                Decision::AlreadyApplied => {
                    return Ok(Answer { changed: false, view: Arc::new(view_of(&state)?) });
                }
            };
            let after = events.iter().fold(state, Escrow::evolve);
            let view = view_of(&after)?;
            let change = Change { id, version, events: &events, effects: &effects, after: &after, view: &view };
            let append = change.to_append(authority.clone(), finishes.clone(), ctx.now)?;
            match self.0.parts.journal.append(append).await {
                Ok(appended) => {
                    let view = Arc::new(view);
                    self.remember(id, after, appended.version);
                    // Nobody listening is fine.
                    let _ = self.0.updates.send(TaskUpdate { seq: appended.seq, view: Arc::clone(&view) });
                    if !effects.is_empty() {
                        self.0.effects_added.notify_one();
                    }
                    self.0.wakes_changed.notify_one();
                    return Ok(Answer { changed: true, view });
                }
                Err(AppendError::Conflict { .. }) => self.forget(id),
                Err(AppendError::Taken { .. }) => return Err(Rejection::HashReused.into()),
                Err(AppendError::Store(error)) => {
                    // Whether the facts are on disk is unknown: read them again next time.
                    self.forget(id);
                    return Err(error.into());
                }
            }
        }
        Err(AppError::Busy)
    }

    async fn load(&self, id: Id<Task>) -> Result<Loaded, AppError> {
        if let Some((state, version)) = self.cache().get(&id).cloned() {
            return Ok(Loaded { state, version, cached: true });
        }
        self.catch_up(id, State::default(), 0).await
    }

    /// Applies the facts after `version`.
    async fn catch_up(&self, id: Id<Task>, mut state: State, mut version: u64) -> Result<Loaded, AppError> {
        for fact in self.0.parts.journal.stream(&stream_of(id), version).await? {
            let event: Event = canonical::decode("escrow event", &fact.body)
                .map_err(|error| StoreError::Corrupt(format!("fact {}: {error}", fact.seq)))?;
            state = Escrow::evolve(state, &event);
            version = fact.version;
        }
        self.remember(id, state.clone(), version);
        Ok(Loaded { state, version, cached: false })
    }

    /// Whether the payout on this hash is under way, with its payer's money still locked.
    ///
    /// Asked of the journal, not of the cache alone: an effect can be found in the outbox before the command that asked
    /// for it has told the cache.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub(crate) async fn covers(&self, id: Id<Task>, hash: PaymentHash) -> Result<bool, AppError> {
        let Loaded { state, version, .. } = self.load(id).await?;
        let State::Present(task) = self.catch_up(id, state, version).await?.state else { return Ok(false) };
        let mut parts = task.phase.job().into_iter().flat_map(|job| &job.tranches);
        Ok(parts.any(|part| part.hash == hash && matches!(part.state, TrancheState::Paying { covered: true, .. })))
    }

    fn remember(&self, id: Id<Task>, state: State, version: u64) {
        let mut cache = self.cache();
        if cache.peek(&id).is_none_or(|(_, known)| *known < version) && version > 0 {
            cache.put(id, (state, version));
        }
    }

    fn forget(&self, id: Id<Task>) {
        self.cache().pop(&id);
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, LruCache<Id<Task>, (State, u64)>> {
        // A panic between two lines of cache code leaves the cache whole.
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses to pay an invoice by hand whose hash belongs to a task: only the task's own payout may, since being paid
    /// reveals the preimage on which its payer's money is held.
    ///
    /// # Errors
    /// [`Rejection::HashReused`], or an invoice that cannot be read.
    pub async fn refuse_tasks_invoice(&self, bolt11: &str) -> Result<(), AppError> {
        let (_, reader) = self.rail()?;
        let hash = reader.read(bolt11)?.hash;
        match self.task_with(hash).await? {
            Some(_) => Err(Rejection::HashReused.into()),
            None => Ok(()),
        }
    }

    /// A task as it stands now.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn task(&self, id: Id<Task>) -> Result<Option<TaskView>, AppError> {
        Ok(self.0.parts.tasks.task(id).await?.as_deref().map(read_view).transpose()?)
    }

    /// Tasks, the newest first.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn tasks(&self, query: &TaskQuery) -> Result<Vec<TaskView>, AppError> {
        let rows = self.0.parts.tasks.tasks(query).await?;
        Ok(rows.iter().map(String::as_str).map(read_view).collect::<Result<_, _>>()?)
    }

    /// Every change of every task, from now on.
    pub fn updates(&self) -> broadcast::Receiver<TaskUpdate> {
        self.0.updates.subscribe()
    }

    /// The policy for new tasks.
    pub fn policy(&self) -> &Policy {
        &self.0.parts.policy
    }

    /// The node's own public key.
    pub fn key(&self) -> NostrKey {
        self.0.parts.key.public()
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.parts.clock
    }

    /// The height of the best block that the node knows; 0 while it is starting.
    pub fn height(&self) -> BlockHeight {
        BlockHeight(self.0.height.load(Ordering::Acquire))
    }

    pub(crate) fn set_height(&self, height: BlockHeight) {
        self.0.height.store(height.0, Ordering::Release);
        self.0.wakes_changed.notify_one();
    }

    pub(crate) fn rail(&self) -> Result<Rail, AppError> {
        self.0.rail.get().cloned().ok_or(AppError::Starting)
    }

    /// The rules count blocks: without a height nothing can be decided.
    fn ctx(&self, author: NostrKey) -> Result<Ctx, AppError> {
        match self.height() {
            BlockHeight(0) => Err(AppError::Starting),
            height => Ok(Ctx { now: self.0.parts.clock.now(), height, author }),
        }
    }
}
