//! The one road in.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use tallystick_civics::roles;
use tallystick_core::{
    Authority, BlockHeight, Ctx, Decider, Decision, Duration, Fact, Id, NodeKey, NostrKey, SignedRequest, Timestamp,
};
use tallystick_escrow::{
    Command, Effect, Escrow, Event, InvoiceFacts, Outage, Policy, Rejection, State, Task, TaskView, Terms, UserCommand,
};
use tokio::sync::{Notify, broadcast, watch};

use crate::{
    away::LastThere,
    change::{event_of, read_view, stream_of},
    clock::Clock,
    error::AppError,
    known::Known,
    port::{
        blocks::Blocks,
        entrance::Entrance,
        journal::{Head, Heads, Journal, StoreError},
        log::LogStore,
        rail::{HoldRail, InvoiceReader},
        tasks::{TaskQuery, TaskReader},
    },
    road::{Cache, Errand, Order},
    standing::Standings,
};

/// Updates kept for a subscriber that falls behind, before it is told to read again.
const UPDATES_KEPT: usize = 4_096;
/// How long a request stays known, at least as long as its signature is accepted.
pub(crate) const REQUEST_MEMORY: Duration = Duration::from_secs(600);
/// How long funding waits for its invoices.
const FUNDING_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// What an [`App`] is made of.
pub struct Parts {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The tree beside the journal.
    pub log: Arc<dyn LogStore>,
    /// The read model.
    pub tasks: Arc<dyn TaskReader>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The node's own signing key.
    pub key: NodeKey,
    /// The policy for new tasks; checked.
    pub policy: Policy,
}

/// What decides on commands.
pub type Rules = fn(&State, Command, &Ctx) -> Result<Decision<Event, Effect>, Rejection>;

/// The use cases of the node. Cheap to clone.
#[derive(Clone)]
pub struct App(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub parts: Parts,
    pub rules: Rules,
    rail: OnceLock<Rail>,
    /// Reads invoices while there is no rail here.
    reader: OnceLock<Arc<dyn InvoiceReader>>,
    /// Tells which block is at a height.
    blocks: OnceLock<Arc<dyn Blocks>>,
    /// Tells whether users reach the node, once they can.
    entrance: OnceLock<Arc<dyn Entrance>>,
    /// How far the journal has been told of, if others write it as well.
    pub told: OnceLock<Told>,
    height: AtomicU32,
    /// Whether the disk has room to begin something.
    room: AtomicBool,
    /// Whether nothing is known to be damaged.
    sound: AtomicBool,
    /// Whether the outbox could not be asked when it was last looked.
    stands_still: AtomicBool,
    /// Whether something could not be written since it was last looked.
    pub unwritten: AtomicBool,
    /// Whether the node is away, as it looked last, and for how long it will have to tell.
    pub away: AtomicBool,
    /// When the node was last there, once somebody keeps that.
    pub last_there: tokio::sync::Mutex<Option<LastThere>>,
    /// When the node was away.
    pub outages: Known<Vec<Outage>>,
    pub cache: Cache,
    pub roles: Known<roles::State>,
    pub standing: Standings,
    pub updates: broadcast::Sender<TaskUpdate>,
    pub effects_added: Notify,
    pub wakes_changed: Notify,
}

/// How far a journal that others write as well has been told of, and how far it has come.
type Told = (watch::Receiver<Head>, Arc<dyn Heads>);
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
        Self::ruled_by(parts, Escrow::decide)
    }

    /// The same with other rules than escrow's: for a simulator that must find what is wrong with them.
    pub fn ruled_by(parts: Parts, rules: Rules) -> Self {
        Self(Arc::new(Inner {
            parts,
            rules,
            rail: OnceLock::new(),
            reader: OnceLock::new(),
            blocks: OnceLock::new(),
            entrance: OnceLock::new(),
            told: OnceLock::new(),
            height: AtomicU32::new(0),
            room: AtomicBool::new(true),
            sound: AtomicBool::new(true),
            stands_still: AtomicBool::new(false),
            unwritten: AtomicBool::new(false),
            away: AtomicBool::new(false),
            last_there: tokio::sync::Mutex::default(),
            cache: Cache::new(),
            roles: Known::default(),
            outages: Known::default(),
            standing: Standings::default(),
            updates: broadcast::channel(UPDATES_KEPT).0,
            effects_added: Notify::new(),
            wakes_changed: Notify::new(),
        }))
    }

    /// Gives the road its rail, once, and the height that the rail knows if it is above the one that was heard. A second call changes
    /// nothing.
    pub fn connect(&self, rail: Arc<dyn HoldRail>, invoices: Arc<dyn InvoiceReader>) {
        let height = rail.height();
        if self.0.rail.set((rail, invoices)).is_ok() {
            // A height that was heard meanwhile is newer than the one asked for: it stays, unless it is lower.
            self.0.height.fetch_max(height.0, Ordering::AcqRel);
            self.0.wakes_changed.notify_one();
        }
    }

    /// Gives the road what reads invoices as long as it has no rail: on a replica whose Lightning node runs elsewhere. A
    /// second call changes nothing.
    pub fn read_invoices_with(&self, reader: Arc<dyn InvoiceReader>) {
        // The first one is as good.
        let _ = self.0.reader.set(reader);
    }

    /// Gives the road what tells the hashes of blocks, which decide who sits on panels. A second call changes nothing.
    pub fn read_blocks_with(&self, blocks: Arc<dyn Blocks>) {
        // The first one is as good.
        let _ = self.0.blocks.set(blocks);
    }

    /// Gives the road what tells whether users reach the node, once they can: while they do not, it is away. A second call changes
    /// nothing.
    pub fn look_at(&self, entrance: Arc<dyn Entrance>) {
        // The first one is as good.
        let _ = self.0.entrance.set(entrance);
    }

    /// Whether users reach the node, as far as anybody looks.
    pub(crate) async fn lets_in(&self) -> bool {
        match self.0.entrance.get() {
            Some(entrance) => entrance.is_open().await,
            None => true,
        }
    }

    pub(crate) fn blocks(&self) -> Result<Arc<dyn Blocks>, AppError> {
        self.0.blocks.get().cloned().ok_or(AppError::Starting)
    }

    /// Tells whether the disk has room. Without it, commands that begin something (post a task, take it, ask for its
    /// funding) are refused with [`AppError::Full`], before their request is remembered; all others go on, so that what
    /// has begun can end. There is room until told otherwise.
    pub fn set_room(&self, room: bool) {
        self.0.room.store(room, Ordering::Release);
    }

    /// Tells that log, facts or outbox are damaged: from now on the commands that need room are refused with
    /// [`AppError::Damaged`], and all others go on.
    pub fn begin_nothing(&self) {
        self.0.sound.store(false, Ordering::Release);
    }

    /// Whether nothing is known to be damaged.
    pub fn is_sound(&self) -> bool {
        self.0.sound.load(Ordering::Acquire)
    }

    /// What the outbox did when it was last asked for effects: while it stands still, the commands that need room are refused as by a
    /// store that does not answer, and all others go on. What is damaged is told for good.
    pub(crate) fn outbox_answered(&self, answer: Result<(), &StoreError>) {
        self.0.stands_still.store(answer.is_err(), Ordering::Release);
        if let Err(StoreError::Corrupt(_)) = answer {
            self.begin_nothing();
        }
    }

    /// Whether the outbox could not be asked for effects when it was last looked: nothing is paid, and no hold goes back.
    pub fn stands_still(&self) -> bool {
        self.0.stands_still.load(Ordering::Acquire)
    }

    /// Posts a task under the node's policy; who signed becomes its requester.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn create(&self, id: Id<Task>, terms: Terms, request: SignedRequest) -> Result<Answer, AppError> {
        terms.check_new().map_err(Rejection::from)?;
        let command = UserCommand::CreateTask { id, terms, policy: Box::new(self.policy().clone()) };
        self.give(id, command, request).await
    }

    /// A signed request's command to a task that is there. The request is remembered, and refused the second time.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then. [`AppError::Fault`] for [`UserCommand::CreateTask`]: that is
    /// [`App::create`]'s, since the policy is not the caller's to choose.
    pub async fn ask(&self, id: Id<Task>, command: UserCommand, request: SignedRequest) -> Result<Answer, AppError> {
        if matches!(command, UserCommand::CreateTask { .. }) {
            tracing::error!(task = %id, "a task is to be created past App::create");
            return Err(AppError::Fault);
        }
        self.give(id, command, request).await
    }

    async fn give(&self, id: Id<Task>, command: UserCommand, request: SignedRequest) -> Result<Answer, AppError> {
        if begins(&command) {
            self.may_begin()?;
        }
        let ctx = self.ctx(request.author)?;
        self.remember(&request, ctx.now).await?;
        self.run(Errand { id, order: Order::User(Box::new(command), request), ctx, finishes: None }).await
    }

    fn may_begin(&self) -> Result<(), AppError> {
        if !self.is_sound() {
            return Err(AppError::Damaged);
        }
        if self.stands_still() {
            // Whoever begins something now would wait for what is not done.
            return Err(StoreError::Unavailable("the outbox cannot be asked for what is to be done".into()).into());
        }
        self.has_room()
    }

    /// Whether there is room for what belongs to something that has begun.
    pub(crate) fn has_room(&self) -> Result<(), AppError> {
        if self.0.room.load(Ordering::Acquire) { Ok(()) } else { Err(AppError::Full) }
    }

    /// Remembers a request for good, so that it works once. [`App::ask`] does it by itself; what acts on a signed
    /// request without a task, such as an operator's command, calls it first.
    ///
    /// # Errors
    /// [`AppError::Replayed`] the second time.
    pub async fn admit(&self, request: &SignedRequest) -> Result<(), AppError> {
        self.remember(request, self.0.parts.clock.now()).await
    }

    /// [`App::admit`], at the time that a decision is made at: what its facts show, so that fsck can tell what must be
    /// remembered.
    pub(crate) async fn remember(&self, request: &SignedRequest, now: Timestamp) -> Result<(), AppError> {
        let admitted = self.0.parts.journal.admit(request.id, now, now.after(REQUEST_MEMORY)).await;
        let fresh = admitted.inspect_err(|_| self.missed())?;
        if fresh { Ok(()) } else { Err(AppError::Replayed) }
    }

    /// Takes a task with the worker's invoices as text. More invoices than the task has tranches are refused before any
    /// is read: reading one costs the recovery of a signature.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn accept(
        &self,
        id: Id<Task>,
        invoices: Vec<String>,
        request: SignedRequest,
    ) -> Result<Answer, AppError> {
        let invoices = self.read_invoices(id, invoices).await?;
        self.ask(id, UserCommand::AcceptTask { invoices }, request).await
    }

    /// Offers to renew the holds of a milestone, with the worker's next invoices as text.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn offer_renewal(
        &self,
        id: Id<Task>,
        milestone: u32,
        invoices: Vec<String>,
        request: SignedRequest,
    ) -> Result<Answer, AppError> {
        let invoices = self.read_invoices(id, invoices).await?;
        self.ask(id, UserCommand::OfferRenewal { milestone, invoices }, request).await
    }

    async fn read_invoices(
        &self,
        id: Id<Task>,
        invoices: Vec<String>,
    ) -> Result<Vec<(String, InvoiceFacts)>, AppError> {
        let reader = self.invoices()?;
        let (State::Present(task), _) = self.load(id).await? else { return Err(Rejection::NotFound.into()) };
        let tranches = task.terms.workers_invoices().count();
        if invoices.len() > tranches {
            return Err(Rejection::InvoiceCount { invoices: invoices.len(), tranches }.into());
        }
        let read = |bolt11: String| {
            let facts = reader.read(&bolt11)?;
            Ok((bolt11, facts))
        };
        invoices.into_iter().map(read).collect()
    }

    /// Asks for the funding invoices and waits until they are there.
    ///
    /// # Errors
    /// [`AppError::Pending`] if they are not there in time: the request stands, ask for the task.
    pub async fn request_funding(&self, id: Id<Task>, request: SignedRequest) -> Result<Answer, AppError> {
        self.fund(id, UserCommand::RequestFunding, request).await
    }

    /// [`App::request_funding`] of a task whose worker puts up a bond, with the requester's own invoice for it.
    ///
    /// # Errors
    /// As [`App::request_funding`].
    pub async fn request_funding_with_bond(
        &self,
        id: Id<Task>,
        invoice: String,
        request: SignedRequest,
    ) -> Result<Answer, AppError> {
        let facts = self.invoices()?.read(&invoice)?;
        self.fund(id, UserCommand::FundWithBond { invoice: Box::new((invoice, facts)) }, request).await
    }

    async fn fund(&self, id: Id<Task>, command: UserCommand, request: SignedRequest) -> Result<Answer, AppError> {
        let mut updates = self.updates();
        let mut answer = self.ask(id, command, request).await?;
        let ready =
            |view: &TaskView| view.state != "funding" || view.holds().all(|tranche| tranche.funding_invoice.is_some());
        let wait = async {
            while !ready(&answer.view) {
                match updates.recv().await {
                    Ok(update) if update.view.id != id => {}
                    // What is told may be older than the answer: the task is looked at as it stands.
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                        answer.view = Arc::new(self.task(id).await?.ok_or(Rejection::NotFound)?);
                    }
                    Err(broadcast::error::RecvError::Closed) => return Err(AppError::Pending),
                }
            }
            Ok(answer)
        };
        tokio::time::timeout(FUNDING_WAIT, wait).await.map_err(|_| AppError::Pending)?
    }

    /// Refuses to pay an invoice by hand whose hash belongs to a task: only the task's own payout may, since being paid
    /// reveals the preimage on which its payer's money is held.
    ///
    /// # Errors
    /// [`Rejection::HashReused`], or an invoice that cannot be read.
    pub async fn refuse_tasks_invoice(&self, bolt11: &str) -> Result<(), AppError> {
        let reader = self.invoices()?;
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

    /// The requester's own signed word for a task: the request that posted it, as it came.
    ///
    /// # Errors
    /// [`AppError::Store`]; also if there is no such task.
    pub async fn posting(&self, id: Id<Task>) -> Result<SignedRequest, AppError> {
        let request = self.request_behind(id, Event::CREATED).await?;
        request.ok_or_else(|| StoreError::Corrupt(format!("nobody posted the task {id}")).into())
    }

    /// The worker's own signed word for a task: the request that took it, with the invoices, as it came.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn acceptance(&self, id: Id<Task>) -> Result<Option<SignedRequest>, AppError> {
        self.request_behind(id, Event::ACCEPTED).await
    }

    /// The requester's own signed word for the invoice to which the worker's bond would be paid, as it came.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn bond_offer(&self, id: Id<Task>) -> Result<Option<SignedRequest>, AppError> {
        self.request_behind(id, Event::BOND_OFFERED).await
    }

    /// The worker's own signed word for the last offer to renew a milestone's holds, as it came.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn renewal_offer(&self, id: Id<Task>, milestone: u32) -> Result<Option<SignedRequest>, AppError> {
        let facts = self.0.parts.journal.stream(&stream_of(id), 0).await?;
        for fact in facts.iter().rev().filter(|fact| fact.kind == Event::RENEWAL_OFFERED) {
            if matches!(event_of(fact)?, Event::RenewalOffered { milestone: of, .. } if of == milestone) {
                return self.request_of(fact).await.map(Some);
            }
        }
        Ok(None)
    }

    /// The request behind a task's first fact of a kind that only users cause.
    async fn request_behind(&self, id: Id<Task>, kind: &str) -> Result<Option<SignedRequest>, AppError> {
        let facts = self.0.parts.journal.stream(&stream_of(id), 0).await?;
        match facts.iter().find(|fact| fact.kind == kind) {
            Some(fact) => self.request_of(fact).await.map(Some),
            None => Ok(None),
        }
    }

    async fn request_of(&self, fact: &Fact) -> Result<SignedRequest, AppError> {
        match self.0.parts.journal.authority(fact.authority).await? {
            Some(Authority::Request(request)) => Ok(request),
            _ => Err(StoreError::Corrupt(format!("nobody's request stands behind fact {}", fact.seq)).into()),
        }
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

    pub(crate) fn invoices(&self) -> Result<Arc<dyn InvoiceReader>, AppError> {
        match self.0.rail.get() {
            Some((_, reader)) => Ok(Arc::clone(reader)),
            None => self.0.reader.get().cloned().ok_or(AppError::Starting),
        }
    }

    /// The rules count blocks: without a height nothing can be decided.
    pub(crate) fn ctx(&self, author: NostrKey) -> Result<Ctx, AppError> {
        match self.height() {
            BlockHeight(0) => Err(AppError::Starting),
            height => Ok(Ctx { now: self.0.parts.clock.now(), height, author }),
        }
    }
}

/// Whether a command makes the node promise more than it has promised already.
fn begins(command: &UserCommand) -> bool {
    match command {
        UserCommand::CreateTask { .. }
        | UserCommand::AcceptTask { .. }
        | UserCommand::RequestFunding
        | UserCommand::FundWithBond { .. } => true,
        // It keeps alive what has begun.
        UserCommand::OfferRenewal { .. } => false,
        UserCommand::SubmitWork { .. }
        | UserCommand::ApproveWork { .. }
        | UserCommand::RejectWork { .. }
        | UserCommand::CancelTask
        | UserCommand::ConcedeWork { .. }
        | UserCommand::OpenDispute { .. }
        | UserCommand::Dispute { .. }
        | UserCommand::CollectReward { .. } => false,
    }
}
