//! Tasks as clients see them.

use async_graphql::{Context, Enum, Object, SimpleObject};
use serde::{Deserialize, Serialize, de::IntoDeserializer};
use std::sync::Arc;
use tallystick_app::{App, prove::ProvenFact};
use tallystick_core::{self as core, BlockHeight, Blocks, Duration};
use tallystick_escrow::{self as escrow, TaskView, TrancheView, plan};

use super::{
    Result, Session, app, internal,
    scalar::{Hex32, Msat, NostrKey, Sat, Timestamp, Uuid},
    session,
};
use crate::error::Failure;

/// What a task's tranches are counted as in a query's complexity: as many as the usual policy allows.
const TRANCHES_USUAL: usize = 8;

/// What a signed request is counted as in a query's complexity: a walk through the task's facts, and up to 64 KiB.
const EVIDENCE_COST: usize = 500;

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
    /// The worker is being paid.
    Releasing,
    /// The money is being given back.
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
}

/// Where a tranche stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrancheState {
    /// The task has no worker yet.
    Planned,
    /// Nothing is locked.
    Unfunded,
    /// The requester's money is locked.
    Held,
    /// The payout is under way.
    Paying,
    /// The worker was paid; the requester's money is being claimed.
    Paid,
    /// The worker was paid, and the requester's money is claimed.
    Claimed,
    /// The worker was paid, and the requester's money is gone: the platform's own loss.
    Uncovered,
    /// The requester's money is being given back.
    Returning,
    /// The requester has the money back.
    Returned,
    /// The worker was paid and the requester's money claimed, as the Lightning node told afterwards.
    Spent,
}

impl TrancheState {
    /// Whether the worker has the money.
    fn is_paid(self) -> bool {
        matches!(self, Self::Paid | Self::Claimed | Self::Uncovered | Self::Spent)
    }
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
fn named<'de, T: Deserialize<'de>>(name: &'de str) -> Result<T> {
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

    fn blocks_left(&self) -> Option<Blocks> {
        self.view.decide_by.map(|decide_by| self.height.until(decide_by))
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

    /// Until when work must be submitted.
    async fn work_deadline(&self) -> Timestamp {
        Timestamp(self.view.work_deadline)
    }

    /// How long the requester may look at the work, in seconds.
    async fn review_window_secs(&self) -> u64 {
        self.view.review_window.as_secs()
    }

    /// Until when the requester may decide, while work waits for a decision.
    async fn review_until(&self) -> Option<Timestamp> {
        self.view.review_until.map(Timestamp)
    }

    /// What happens when the requester neither approves nor rejects in time.
    async fn on_silence(&self) -> OnSilence {
        self.view.on_silence.into()
    }

    /// SHA-256 of the work, once it was handed in.
    async fn work_hash(&self) -> Option<Hex32> {
        self.view.work_hash.map(Hex32)
    }

    /// SHA-256 of the reasons for which the work was rejected, if it was.
    async fn reason_hash(&self) -> Option<Hex32> {
        self.view.reason_hash.map(Hex32)
    }

    /// Until when the worker's invoices must be payable if they are handed in within the hour; only while the task is
    /// open.
    async fn invoice_expiry_needed(&self) -> Option<Timestamp> {
        (self.view.state == "open").then(|| Timestamp(self.view.invoice_needed(self.now.after(TIME_TO_ACCEPT))))
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

    /// The last height at which work can be handed in: later, too few blocks would be left to review it.
    async fn submit_by(&self) -> Option<u32> {
        self.view.submit_by.map(|height| height.0)
    }

    /// The deadline: the last height at which a payout may begin.
    async fn decide_by(&self) -> Option<u32> {
        self.view.decide_by.map(|height| height.0)
    }

    /// The height of the best block that the node knows.
    async fn height(&self) -> u32 {
        self.height.0
    }

    /// Blocks until the deadline.
    async fn blocks_to_decide(&self) -> Option<u32> {
        self.blocks_left().map(|blocks| blocks.0)
    }

    /// How long these blocks take on average, in seconds. An estimate: only blocks count.
    async fn seconds_to_decide(&self) -> Option<u64> {
        self.blocks_left().map(|blocks| plan::time_of(blocks).as_secs())
    }

    /// What happens at the deadline when nobody decides before it. Without submitted work: a refund, whatever the
    /// terms say about silence. While the worker is being paid: a refund if the payout fails; null once a tranche is
    /// paid, since only the others could still go back.
    async fn at_deadline(&self) -> Result<Option<OnSilence>> {
        let tranches = self.view.tranches.iter().map(|tranche| named(&tranche.state));
        let tranches = tranches.collect::<Result<Vec<_>>>()?;
        Ok(at_deadline(named(&self.view.state)?, self.view.on_silence.into(), &tranches))
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
        if !self.is_party && !session(ctx).is_operator {
            return Ok(None);
        }
        let proven = app(ctx).prove(self.view.id).await.map_err(Failure::from)?;
        Ok(Some(proven.into_iter().map(FactProof::from).collect()))
    }

    /// The parts of the payout, each with a hold of its own.
    #[graphql(complexity = "child_complexity.saturating_mul(TRANCHES_USUAL)")]
    async fn tranches(&self) -> Result<Vec<Tranche<'_>>> {
        let has_ended = named::<TaskState>(&self.view.state)?.has_ended();
        let tranche = |view| Tranche { view, is_party: self.is_party, has_ended };
        Ok(self.view.tranches.iter().map(tranche).collect())
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
    fn try_new(request: core::SignedRequest) -> Result<Self> {
        let body = String::from_utf8(request.body).map_err(|error| internal("a request's body", &error))?;
        Ok(Self { event: request.event, body })
    }
}

/// A part of a task's payout.
pub(crate) struct Tranche<'a> {
    view: &'a TrancheView,
    is_party: bool,
    has_ended: bool,
}

impl Tranche<'_> {
    fn for_parties(&self, invoice: &Option<String>) -> Option<String> {
        invoice.clone().filter(|_| self.is_party)
    }
}

/// A part of a task's payout, with a payment hash and a hold of its own.
#[Object]
impl Tranche<'_> {
    /// What the worker gets.
    async fn payout_sat(&self) -> Sat {
        Sat(self.view.payout)
    }

    /// What the platform gets, the cost of routing included.
    async fn fee_sat(&self) -> Sat {
        Sat(self.view.fee)
    }

    /// What the requester locks: payout and fee.
    async fn hold_sat(&self) -> Result<Sat> {
        let hold = self.view.payout.checked_add(self.view.fee);
        hold.map(Sat).map_err(|error| internal("a tranche in the read model", &error))
    }

    /// Where it stands.
    async fn state(&self) -> Result<TrancheState> {
        named(&self.view.state)
    }

    /// The worker's payment hash, which the requester's hold is locked to as well; for requester and worker only, until
    /// the task has ended.
    async fn payment_hash(&self) -> Option<Hex32> {
        let hash = self.view.hash.filter(|_| self.is_party || self.has_ended);
        hash.map(|hash| Hex32(core::Digest32(hash.0)))
    }

    /// The worker's invoice (BOLT 11); for requester and worker only.
    async fn payout_invoice(&self) -> Option<String> {
        self.for_parties(&self.view.payout_invoice)
    }

    /// The hold invoice (BOLT 11) that the requester pays; for requester and worker only.
    async fn funding_invoice(&self) -> Option<String> {
        self.for_parties(&self.view.funding_invoice)
    }

    /// The height at which the hold goes back by itself.
    async fn claim_deadline(&self) -> Option<u32> {
        self.view.claim_deadline.map(|height| height.0)
    }

    /// Which attempt of the payout is under way, from 1; 0 before and after.
    async fn attempts(&self) -> u32 {
        self.view.attempts
    }

    /// What routing the payout cost.
    async fn routing_fee_msat(&self) -> Result<Option<Msat>> {
        let fee = self.view.routing_fee_msat.map(core::Msat::try_new).transpose();
        fee.map(|fee| fee.map(Msat)).map_err(|error| internal("a routing fee in the read model", &error))
    }
}

fn at_deadline(task: TaskState, on_silence: OnSilence, tranches: &[TrancheState]) -> Option<OnSilence> {
    match task {
        TaskState::Held => Some(OnSilence::Refund),
        TaskState::Submitted => Some(on_silence),
        TaskState::Releasing if !tranches.iter().any(|tranche| tranche.is_paid()) => Some(OnSilence::Refund),
        _ => None,
    }
}

/// The name of a state in the read model.
pub(crate) fn name_of(state: TaskState) -> Result<String> {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(internal("a state's name", &format!("{other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refund_is_told_once_the_worker_has_money() {
        use {OnSilence::*, TrancheState as T};
        let told = |task, tranches: &[T]| at_deadline(task, Release, tranches);
        assert_eq!(told(TaskState::Held, &[T::Held]), Some(Refund));
        assert_eq!(told(TaskState::Submitted, &[T::Held]), Some(Release));
        assert_eq!(told(TaskState::Releasing, &[T::Paying, T::Returned]), Some(Refund));
        for paid in [T::Paid, T::Claimed, T::Uncovered, T::Spent] {
            assert_eq!(told(TaskState::Releasing, &[T::Paying, paid]), None, "{paid:?}");
        }
        assert_eq!(told(TaskState::Settled, &[T::Claimed]), None);
    }
}
