//! Tasks as clients see them.

use async_graphql::{Context, Enum, Object, SimpleObject};
use serde::{Deserialize, Serialize, de::IntoDeserializer};
use std::sync::Arc;
use tallystick_app::{App, AppError, prove::ProvenFact};
use tallystick_civics::roles::Operation;
use tallystick_core::{self as core, BlockHeight, Duration};
use tallystick_escrow::{self as escrow, TaskView};

use super::{
    Result, Session, app,
    bond::Bond,
    internal,
    milestone::Milestone,
    scalar::{Hex32, NostrKey, Timestamp, Uuid},
    session,
};
use crate::error::Failure;

/// What a task's milestones are counted as in a query's complexity: more than most tasks have. The policy's limit on
/// tranches bounds what a task can really have.
const MILESTONES_USUAL: usize = 2;
/// A bond for each.
const SIDES: usize = 2;

/// What a signed request is counted as in a query's complexity: a walk through the task's facts, and up to 64 KiB.
pub(super) const EVIDENCE_COST: usize = 500;

/// What a task's proofs are counted as: each has its signed request, and takes a walk through the tree.
const PROOFS_COST: usize = 4_000;

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskState {
    /// Anybody may accept it.
    Open,
    /// A worker accepted it.
    Assigned,
    /// The funding invoices can be paid.
    Funding,
    /// The money is locked, the worker works.
    Held,
    /// The requester looks at the work.
    Submitted,
    /// Work was refused, and the worker may open a dispute.
    Rejected,
    /// A panel decides.
    Disputed,
    /// The worker is being paid.
    Releasing,
    /// The money is being given back, or only bonds still are on their way.
    Refunding,
    /// The worker was paid.
    Settled,
    /// The requester has the money back.
    Refunded,
    /// One side stepped back before any money was locked.
    Cancelled,
    /// Time ran out before any money was locked.
    Expired,
}

impl TaskState {
    /// Whether nothing can happen to it any more.
    fn has_ended(self) -> bool {
        matches!(self, Self::Settled | Self::Refunded | Self::Cancelled | Self::Expired)
    }
}

/// Why a task is being, or was, paid out or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskReason {
    /// The requester approved the work.
    Approved,
    /// The requester did not decide in time, and the terms decide.
    Silence,
    /// The requester rejected the work.
    Rejected,
    /// The requester stepped back before work was submitted.
    CancelledByRequester,
    /// The worker stepped back.
    CancelledByWorker,
    /// No work was submitted in time.
    WorkDeadline,
    /// So few blocks were left that a payout was no longer safe.
    BlocksRanOut,
    /// Not all tranches were funded in time.
    FundingLapsed,
    /// No payout worked while there was time.
    PayoutFailed,
    /// The requester's hold was lost or gave the money back by itself.
    HoldLost,
    /// The Lightning node had paid already, as it turned out.
    HoldSpent,
    /// The requester did not lock the next hold in time, and the terms decide.
    RenewalMissed,
    /// A panel ruled so.
    Ruled,
    /// The worker gave it up.
    Conceded,
    /// A bond: its worker handed nothing in by the deadline, and had not stepped back.
    BrokenPromise,
    /// A bond: all else is over, and nothing took it.
    BondKept,
}

/// What happens when nobody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum OnSilence {
    /// The worker is paid.
    Release,
    /// The requester gets the money back.
    Refund,
}

impl From<escrow::OnSilence> for OnSilence {
    fn from(term: escrow::OnSilence) -> Self {
        match term {
            escrow::OnSilence::Release => Self::Release,
            escrow::OnSilence::Refund => Self::Refund,
        }
    }
}

impl From<OnSilence> for escrow::OnSilence {
    fn from(term: OnSilence) -> Self {
        match term {
            OnSilence::Release => Self::Release,
            OnSilence::Refund => Self::Refund,
        }
    }
}

/// One of the read model's names, such as `held`.
pub(super) fn named<'de, T: Deserialize<'de>>(name: &'de str) -> Result<T> {
    T::deserialize(name.into_deserializer())
        .map_err(|error: serde::de::value::Error| internal("the schema lacks a name of the read model", &error))
}

/// A task, seen by somebody at some height.
pub(crate) struct Task {
    view: Arc<TaskView>,
    height: BlockHeight,
    now: core::Timestamp,
    is_party: bool,
}

/// How long a worker may take to make the invoices that a task asks for.
const TIME_TO_ACCEPT: Duration = Duration::from_secs(3_600);

impl Task {
    pub fn new(view: Arc<TaskView>, app: &App, session: &Session) -> Self {
        let is_party = view.requester == session.viewer || view.worker == Some(session.viewer);
        Self { view, height: app.height(), now: app.clock().now(), is_party }
    }

    pub fn id(&self) -> core::Id<escrow::Task> {
        self.view.id
    }

    fn expiry(&self) -> Option<core::Timestamp> {
        match self.view.state.as_str() {
            "open" | "assigned" => self.view.milestones.first().map(|part| part.work_deadline),
            "funding" => self.view.fund_until,
            _ => None,
        }
    }

    fn has_ended(&self) -> Result<bool> {
        Ok(named::<TaskState>(&self.view.state)?.has_ended())
    }
}

/// A task: work against sats that are held on Lightning until it is decided.
#[Object]
impl Task {
    /// The task's id.
    #[graphql(name = "id")]
    async fn uuid(&self) -> Uuid {
        Uuid(self.view.id)
    }

    /// Where it stands.
    async fn state(&self) -> Result<TaskState> {
        named(&self.view.state)
    }

    /// Why it is being, or was, paid out or given back.
    async fn reason(&self) -> Result<Option<TaskReason>> {
        self.view.reason.as_deref().map(named).transpose()
    }

    /// What it is about, in one line.
    async fn title(&self) -> &str {
        &self.view.title
    }

    /// SHA-256 of the full description, which the parties keep.
    async fn description_hash(&self) -> Hex32 {
        Hex32(self.view.description_hash)
    }

    /// Who pays.
    async fn requester(&self) -> NostrKey {
        NostrKey(self.view.requester)
    }

    /// Who works, once the task is accepted.
    async fn worker(&self) -> Option<NostrKey> {
        self.view.worker.map(NostrKey)
    }

    /// When it was created.
    async fn created_at(&self) -> Timestamp {
        Timestamp(self.view.created_at)
    }

    /// How long the requester may look at the work, in seconds.
    async fn review_window_secs(&self) -> u64 {
        self.view.review_window.as_secs()
    }

    /// What happens when the requester neither approves nor rejects in time.
    async fn on_silence(&self) -> OnSilence {
        self.view.on_silence.into()
    }

    /// Until when invoices must be payable if they are handed in within the hour: the worker's while the task is open, and
    /// then the requester's for the worker's bond. Null when none is asked for.
    async fn invoice_expiry_needed(&self) -> Option<Timestamp> {
        let is_asked = match self.view.state.as_str() {
            "open" => true,
            "assigned" => self.view.bonds.iter().any(|bond| bond.of_worker),
            _ => false,
        };
        is_asked.then(|| Timestamp(self.view.invoice_needed(self.now.after(TIME_TO_ACCEPT))))
    }

    /// For how many blocks the hold can be used.
    async fn hold_blocks(&self) -> u32 {
        self.view.hold_blocks.0
    }

    /// The final CLTV delta that the funding invoices ask for, in blocks.
    async fn final_cltv_delta(&self) -> u32 {
        self.view.final_cltv_delta.0
    }

    /// Until when the funding invoices can be paid.
    async fn fund_until(&self) -> Option<Timestamp> {
        self.view.fund_until.map(Timestamp)
    }

    /// Until all of its money is locked: when it ends by itself, and whatever is locked goes back. Null afterwards, when each
    /// milestone and bond tells of its own.
    async fn expires_at(&self) -> Option<Timestamp> {
        self.expiry().map(Timestamp)
    }

    /// Seconds until then.
    async fn seconds_to_expire(&self) -> Option<u64> {
        self.expiry().map(|at| self.now.until(at).as_secs())
    }

    /// The height of the best block that the node knows.
    async fn height(&self) -> u32 {
        self.height.0
    }

    /// The requester's signed request that posted the task. Check it before you work or pay: it ties the terms to the
    /// requester's key.
    #[graphql(complexity = "EVIDENCE_COST")]
    async fn posting(&self, ctx: &Context<'_>) -> Result<SignedRequest> {
        SignedRequest::try_new(app(ctx).posting(self.view.id).await.map_err(Failure::from)?)
    }

    /// The worker's signed request that took the task; for requester and worker only. Check it before you pay: it ties the
    /// payout invoices to the worker's key.
    #[graphql(complexity = "EVIDENCE_COST")]
    async fn acceptance(&self, ctx: &Context<'_>) -> Result<Option<SignedRequest>> {
        if !self.is_party {
            return Ok(None);
        }
        let request = app(ctx).acceptance(self.view.id).await.map_err(Failure::from)?;
        request.map(SignedRequest::try_new).transpose()
    }

    /// What proves the task's facts to anyone, contents and signed requests included; for requester, worker and operators
    /// only, null to others. 256 facts at most.
    #[graphql(complexity = "PROOFS_COST")]
    async fn proofs(&self, ctx: &Context<'_>) -> Result<Option<Vec<FactProof>>> {
        if !self.is_party {
            match app(ctx).may(session(ctx).viewer, Operation::Proofs).await {
                Err(AppError::Roles(_)) => return Ok(None),
                may => may.map_err(Failure::from)?,
            }
        }
        let proven = app(ctx).prove(self.view.id).await.map_err(Failure::from)?;
        Ok(Some(proven.into_iter().map(FactProof::from).collect()))
    }

    /// Whether the worker may renew the holds, and what happens to a milestone without submitted work when the requester
    /// does not lock the next ones in time.
    async fn renewal(&self) -> Option<OnSilence> {
        self.view.renewal.map(Into::into)
    }

    /// How many arbitrators decide at least what requester and worker do not agree on. Null if nobody does.
    async fn panel(&self) -> Option<usize> {
        self.view.panel
    }

    /// The parts of the work, in order.
    #[graphql(complexity = "child_complexity.saturating_mul(MILESTONES_USUAL)")]
    async fn milestones(&self) -> Result<Vec<Milestone<'_>>> {
        let has_ended = self.has_ended()?;
        let (task, height, is_party) = (&*self.view, self.height, self.is_party);
        let milestone = |(position, view)| Milestone { task, position, view, height, is_party, has_ended };
        Ok((0..).zip(&self.view.milestones).map(milestone).collect())
    }

    /// What each side puts up, if the terms ask for it: the requester's first.
    #[graphql(complexity = "child_complexity.saturating_mul(SIDES)")]
    async fn bonds(&self) -> Result<Vec<Bond<'_>>> {
        let (height, is_party, has_ended) = (self.height, self.is_party, self.has_ended()?);
        Ok(self.view.bonds.iter().map(|view| Bond { view, task: &self.view, height, is_party, has_ended }).collect())
    }

    /// The requester's signed request that asked for the funding with an invoice for the worker's bond; for requester and
    /// worker only. Check it before you put a bond up: it ties that invoice to the requester's key.
    #[graphql(complexity = "EVIDENCE_COST")]
    async fn bond_offer(&self, ctx: &Context<'_>) -> Result<Option<SignedRequest>> {
        if !self.is_party {
            return Ok(None);
        }
        let request = app(ctx).bond_offer(self.view.id).await.map_err(Failure::from)?;
        request.map(SignedRequest::try_new).transpose()
    }
}

/// A fact of a task, and what proves it.
#[derive(SimpleObject)]
pub(crate) struct FactProof {
    /// The fact's number in the journal.
    seq: u64,
    /// What kind of fact, such as `escrow.task_created`.
    kind: String,
    /// The proof as a file for `tally verify` (C2SP tlog-proof): the fact, its contents, who signed, and that it is under
    /// a checkpoint. Null until a checkpoint that holds it is published.
    bundle: Option<String>,
}

impl From<ProvenFact> for FactProof {
    fn from(proven: ProvenFact) -> Self {
        let ProvenFact { fact, bundle } = proven;
        Self { seq: fact.seq, kind: fact.kind, bundle: bundle.map(|bundle| bundle.to_string()) }
    }
}

/// A signed request (NIP-98), as it came.
#[derive(SimpleObject)]
pub(crate) struct SignedRequest {
    /// The Nostr event, as JSON. Its tag `payload` is the SHA-256 of the body.
    event: String,
    /// The body: a GraphQL request with its variables.
    body: String,
}

impl SignedRequest {
    pub(super) fn try_new(request: core::SignedRequest) -> Result<Self> {
        let body = String::from_utf8(request.body).map_err(|error| internal("a request's body", &error))?;
        Ok(Self { event: request.event, body })
    }
}

/// The name of a state in the read model.
pub(crate) fn name_of(state: TaskState) -> Result<String> {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(internal("a state's name", &format!("{other:?}"))),
    }
}
