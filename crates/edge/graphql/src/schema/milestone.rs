//! The parts of a task as clients see them: milestones, their tranches, and renewals of these.

use async_graphql::{Context, Enum, Object};
use serde::Deserialize;
use tallystick_core::{self as core, BlockHeight, Blocks};
use tallystick_escrow::{MilestoneView, RenewalView, TaskView, TrancheView, plan};

use super::{
    Result, app,
    dispute::Dispute,
    internal,
    scalar::{Hex32, Msat, Sat, Timestamp},
    task::{EVIDENCE_COST, OnSilence, SignedRequest, TaskReason, named},
};
use crate::error::Failure;

/// What a milestone's tranches are counted as in a query's complexity.
const TRANCHES_USUAL: usize = 2;

/// Where a milestone stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MilestoneState {
    /// Its money is not locked.
    Planned,
    /// Its money is locked, the worker works.
    Held,
    /// The requester looks at what is undecided of it.
    Submitted,
    /// Work was refused, and the worker may open a dispute.
    Rejected,
    /// A panel decides about what is undecided of it.
    Disputed,
    /// The worker is being paid.
    Releasing,
    /// The money is being given back.
    Refunding,
    /// The worker was paid, at least a part.
    Settled,
    /// The requester has the money back.
    Refunded,
}

/// Where a tranche stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrancheState {
    /// The task has no worker yet.
    Planned,
    /// Nothing is locked.
    Unfunded,
    /// The payer's money is locked.
    Held,
    /// The payout is under way.
    Paying,
    /// The payee was paid; the payer's money is being claimed.
    Paid,
    /// The payee was paid, and the payer's money is claimed.
    Claimed,
    /// The payee was paid, and the payer's money is gone: the platform's own loss.
    Uncovered,
    /// The payer's money is being given back.
    Returning,
    /// The payer has the money back.
    Returned,
    /// The payee was paid and the payer's money claimed, as the Lightning node told afterwards.
    Spent,
}

/// A milestone, seen by somebody at some height.
pub(crate) struct Milestone<'a> {
    pub(super) task: &'a TaskView,
    pub(super) position: u32,
    pub(super) view: &'a MilestoneView,
    pub(super) height: BlockHeight,
    pub(super) is_party: bool,
    pub(super) has_ended: bool,
}

impl Milestone<'_> {
    fn blocks_left(&self) -> Option<Blocks> {
        self.view.decide_by.map(|decide_by| self.height.until(decide_by))
    }
}

/// A part of the work, with a deadline and money of its own.
#[Object]
impl Milestone<'_> {
    /// What it is about, in one line.
    async fn title(&self) -> &str {
        &self.view.title
    }

    /// Where it stands.
    async fn state(&self) -> Result<MilestoneState> {
        named(&self.view.state)
    }

    /// Until when its work must be submitted: see `promisedBy` of the bond of a worker who is late.
    async fn work_deadline(&self) -> Timestamp {
        Timestamp(self.view.work_deadline)
    }

    /// SHA-256 of the work, once it was handed in.
    async fn work_hash(&self) -> Option<Hex32> {
        self.view.work_hash.map(Hex32)
    }

    /// SHA-256 of the reasons for which the work was rejected, if it was.
    async fn reason_hash(&self) -> Option<Hex32> {
        self.view.reason_hash.map(Hex32)
    }

    /// Until when the requester may decide, while work waits for a decision.
    async fn review_until(&self) -> Option<Timestamp> {
        self.view.review_until.map(Timestamp)
    }

    /// The last height at which work can be handed in: later, too few blocks would be left to review it.
    async fn submit_by(&self) -> Option<u32> {
        self.view.submit_by.map(|height| height.0)
    }

    /// The last height at which the worker can offer to renew the holds in time: later, a refund is what happens when the
    /// next ones are not locked, whatever the terms say.
    async fn renew_by(&self) -> Option<u32> {
        self.view.renew_by.map(|height| height.0)
    }

    /// The deadline: the last height at which a payout may begin.
    async fn decide_by(&self) -> Option<u32> {
        self.view.decide_by.map(|height| height.0)
    }

    /// Blocks until the deadline.
    async fn blocks_to_decide(&self) -> Option<u32> {
        self.blocks_left().map(|blocks| blocks.0)
    }

    /// How long these blocks take on average, in seconds. An estimate: only blocks count.
    async fn seconds_to_decide(&self) -> Option<u64> {
        self.blocks_left().map(|blocks| plan::time_of(blocks).as_secs())
    }

    /// What happens at the deadline when nobody does anything before it: to what is undecided, else to a payout that does
    /// not work. Null once all is decided and some of it paid.
    async fn at_deadline(&self) -> Option<OnSilence> {
        self.view.at_deadline.map(Into::into)
    }

    /// When the money goes back, once work is refused and the worker does not open a dispute.
    async fn refund_at(&self) -> Option<Timestamp> {
        self.view.refund_at.map(Timestamp)
    }

    /// The last height at which a dispute can be opened: later, a panel could not rule in time.
    async fn dispute_by(&self) -> Option<u32> {
        self.view.dispute_by.map(|height| height.0)
    }

    /// The last dispute about it, over or not.
    async fn dispute(&self) -> Option<Dispute<'_>> {
        let dispute = self.view.dispute.as_ref();
        dispute.map(|view| Dispute { task: self.task, view, height: self.height })
    }

    /// The worker's signed request that offered the last renewal; for requester and worker only. Check it before you pay a
    /// renewal's funding invoice: it ties the next payout invoices to the worker's key.
    #[graphql(complexity = "EVIDENCE_COST")]
    async fn renewal_offer(&self, ctx: &Context<'_>) -> Result<Option<SignedRequest>> {
        if !self.is_party {
            return Ok(None);
        }
        let request = app(ctx).renewal_offer(self.task.id, self.position).await.map_err(Failure::from)?;
        request.map(SignedRequest::try_new).transpose()
    }

    /// The parts of the payout, each with a hold of its own.
    #[graphql(complexity = "child_complexity.saturating_mul(TRANCHES_USUAL)")]
    async fn tranches(&self) -> Vec<Tranche<'_>> {
        let tranche = |view| Tranche { view, is_party: self.is_party, has_ended: self.has_ended };
        self.view.tranches.iter().map(tranche).collect()
    }
}

/// A part of a milestone's payout, or a bond.
pub(crate) struct Tranche<'a> {
    pub(super) view: &'a TrancheView,
    pub(super) is_party: bool,
    pub(super) has_ended: bool,
}

impl Tranche<'_> {
    fn for_parties(&self, invoice: &Option<String>) -> Option<String> {
        invoice.clone().filter(|_| self.is_party)
    }
}

/// What has a payment hash and a hold of its own: a part of a milestone's payout, which the requester locks for the worker;
/// or a bond, which one side locks for the other. The payer is who locks it, the payee whom it is paid out to.
#[Object]
impl Tranche<'_> {
    /// What the payee gets, if it is paid out.
    async fn payout_sat(&self) -> Sat {
        Sat(self.view.payout)
    }

    /// What the platform gets then, the cost of routing included.
    async fn fee_sat(&self) -> Sat {
        Sat(self.view.fee)
    }

    /// What the payer locks: payout and fee.
    async fn hold_sat(&self) -> Result<Sat> {
        let hold = self.view.payout.checked_add(self.view.fee);
        hold.map(Sat).map_err(|error| internal("a tranche in the read model", &error))
    }

    /// Where it stands.
    async fn state(&self) -> Result<TrancheState> {
        named(&self.view.state)
    }

    /// Why it is being, or was, paid out or given back.
    async fn reason(&self) -> Result<Option<TaskReason>> {
        self.view.reason.as_deref().map(named).transpose()
    }

    /// How often its hold was renewed.
    async fn renewals(&self) -> u32 {
        self.view.renewals
    }

    /// The hold that the worker offered to take the place of this one; for requester and worker only.
    async fn renewal(&self) -> Option<Renewal<'_>> {
        self.view.renewal.as_ref().filter(|_| self.is_party).map(Renewal)
    }

    /// The payee's payment hash, which the payer's hold is locked to as well; for requester and worker only, until the task
    /// has ended.
    async fn payment_hash(&self) -> Option<Hex32> {
        let hash = self.view.hash.filter(|_| self.is_party || self.has_ended);
        hash.map(|hash| Hex32(core::Digest32(hash.0)))
    }

    /// The payee's invoice (BOLT 11); for requester and worker only.
    async fn payout_invoice(&self) -> Option<String> {
        self.for_parties(&self.view.payout_invoice)
    }

    /// The hold invoice (BOLT 11) that the payer pays; for requester and worker only.
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

/// An offer to renew a hold: the requester locks the next one, and the one before goes back.
pub(crate) struct Renewal<'a>(&'a RenewalView);

/// An offer to renew a hold, on a payment hash of its own.
#[Object]
impl Renewal<'_> {
    /// The worker's payment hash.
    async fn payment_hash(&self) -> Hex32 {
        Hex32(core::Digest32(self.0.hash.0))
    }

    /// The worker's invoice (BOLT 11).
    async fn payout_invoice(&self) -> &str {
        &self.0.payout_invoice
    }

    /// The hold invoice (BOLT 11) that the requester pays, once made.
    async fn funding_invoice(&self) -> Option<&str> {
        self.0.funding_invoice.as_deref()
    }

    /// Until when it can be paid.
    async fn fund_until(&self) -> Timestamp {
        Timestamp(self.0.fund_until)
    }
}
